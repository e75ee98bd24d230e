// SPDX-License-Identifier: GPL-2.0

//! The files of the running kernel, the host.

use crate::{
    error::{Error, Kind, Result},
    kmsg,
};
use std::{
    fs::{self, File},
    io::{self, Write},
    path::PathBuf,
};

/// Where these files are. A test has a folder of its own in the place of `/`.
pub struct Host {
    root: PathBuf,
}

impl Host {
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The place of an absolute path.
    pub fn path(&self, absolute: &str) -> PathBuf {
        self.root.join(absolute.trim_start_matches('/'))
    }

    pub fn exists(&self, absolute: &str) -> bool {
        self.path(absolute).exists()
    }

    /// A file's text, without white space around it; `None` if it cannot be read.
    pub fn read(&self, absolute: &str) -> Option<String> {
        let bytes = fs::read(self.path(absolute)).ok()?;
        Some(String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    /// Writes a value with one write(2), as attributes want it. Nothing is an empty line: configfs
    /// does not take less.
    pub fn write(&self, absolute: &str, value: &str) -> Result {
        let path = self.path(absolute);
        self.explained(&format!("'{value}' to {absolute}"), || {
            let mut file = File::options().write(true).open(path)?;
            let value = if value.is_empty() { "\n" } else { value };
            file.write(value.as_bytes()).map(drop)
        })
    }

    pub fn make_directory(&self, absolute: &str) -> Result {
        self.explained(absolute, || fs::create_dir(self.path(absolute)))
    }

    pub fn remove_directory(&self, absolute: &str) -> Result {
        self.explained(absolute, || fs::remove_dir(self.path(absolute)))
    }

    /// An error has what the kernel says about it.
    fn explained(&self, what: &str, act: impl FnOnce() -> io::Result<()>) -> Result {
        let mark = kmsg::Mark::now(self);
        act().map_err(|e| {
            let error = Error::system(what, &e).add_all(mark.complaint());
            match error.kind {
                Kind::NotPermitted => error.add("It takes root with CAP_SYS_BOOT"),
                _ => error,
            }
        })
    }

    /// # Errors
    ///
    /// `NotReady`, with what is missing.
    pub fn ready(&self) -> Result {
        if self.exists("/sys/kernel/config/multikernel") {
            return Ok(());
        }
        let error = |what, remedy| Err(Error::new(Kind::NotReady, what).add(remedy));
        if self.exists("/sys/module/multikernel") {
            error(
                "configfs is not mounted",
                "mount -t configfs none /sys/kernel/config",
            )
        } else {
            error(
                "the module is not loaded",
                "modprobe multikernel, or insmod multikernel.ko; 'mkctl check' tells more",
            )
        }
    }
}

/// A mask of bits in what /proc/PID/status says of a process.
pub fn status_mask(status: &str, field: &str) -> Option<u64> {
    let mask = status.lines().find_map(|line| line.strip_prefix(field))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::instance::Instance;
    use multikernel_portable::name::Name;
    use std::{fs::File, io::Write, path::Path};

    /// A host that is a folder.
    pub struct Tree {
        pub host: Host,
        _folder: tempfile::TempDir,
    }

    impl Tree {
        pub fn new(files: &[(&str, &str)]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let host = Host::new(folder.path());
            for (path, text) in files {
                let path = host.path(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            Self {
                host,
                _folder: folder,
            }
        }

        pub fn instance(&self, name: &str) -> Instance<'_> {
            Instance {
                host: &self.host,
                name: Name::new(name.as_bytes()).unwrap(),
            }
        }
    }

    /// Puts a text over one that is not longer, in one step: an attribute is never empty.
    pub fn put_over(path: &Path, text: &str) {
        let mut file = File::options().write(true).open(path).unwrap();
        assert!(file.metadata().unwrap().len() <= text.len() as u64);
        file.write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn what_is_missing_is_told() {
        let told = |files| Tree::new(files).host.ready().unwrap_err().to_string();
        assert!(told(&[]).contains("modprobe"));
        assert!(told(&[("/sys/module/multikernel/x", "")]).contains("mount -t configfs"));
        let tree = Tree::new(&[("/sys/kernel/config/multikernel/web/cpus", "")]);
        assert!(tree.host.ready().is_ok());
    }

    #[test]
    fn nothing_is_written_as_an_empty_line() {
        let cpus = "/sys/kernel/config/multikernel/web/cpus";
        let tree = Tree::new(&[(cpus, "")]);
        tree.host.write(cpus, "").unwrap();
        assert_eq!(fs::read(tree.host.path(cpus)).unwrap(), b"\n");
    }

    #[test]
    fn a_refused_write_names_field_and_value() {
        let tree = Tree::new(&[]);
        let error = tree
            .host
            .write("/sys/kernel/config/multikernel/web/cpus", "2-3")
            .unwrap_err();
        assert_eq!(error.kind, Kind::NoInstance);
        let expected =
            "'2-3' to /sys/kernel/config/multikernel/web/cpus: No such file or directory";
        assert_eq!(error.to_string(), expected);
    }
}
