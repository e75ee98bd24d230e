// SPDX-License-Identifier: GPL-2.0

//! kexec of kexec-tools, which loads and unloads kernels.

use crate::{
    error::{Error, Kind, Result},
    instance::Instance,
    kmsg,
};
use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// A kexec that knows instances.
pub struct Kexec {
    pub path: PathBuf,
}

impl Kexec {
    /// The first one of `PATH`; a user's own often lacks the last of these folders.
    ///
    /// # Errors
    ///
    /// `NotReady`.
    pub fn find() -> Result<Self> {
        let path = env::var_os("PATH").unwrap_or_default();
        let folders = env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
        let error = |what| {
            let remedy = "Install kexec-tools with patches/kexec-tools (make kexec-tools) in PATH";
            Error::new(Kind::NotReady, what).add(remedy)
        };
        let path = folders
            .map(|folder: PathBuf| folder.join("kexec"))
            .find(|path| path.is_file())
            .ok_or_else(|| error("there is no kexec".into()))?;
        let kexec = Self { path };
        if kexec.knows_instances() {
            return Ok(kexec);
        }
        Err(error(format!(
            "{} lacks --multikernel",
            kexec.path.display()
        )))
    }

    fn knows_instances(&self) -> bool {
        let said = Command::new(&self.path)
            .arg("--help")
            .stdin(Stdio::null())
            .output();
        said.is_ok_and(|said| {
            let text = [said.stdout, said.stderr].concat();
            String::from_utf8_lossy(&text).contains("--multikernel")
        })
    }

    /// Loads a kernel.
    pub fn load(
        &self,
        instance: &Instance,
        kernel: &Path,
        initrd: Option<&Path>,
        append: &OsString,
    ) -> Result {
        let mut arguments: Vec<OsString> = vec!["-l".into()];
        let mut option = |name: &str, value: &Path| {
            let mut argument = OsString::from(name);
            argument.push(value);
            arguments.push(argument);
        };
        if let Some(initrd) = initrd {
            option("--initrd=", initrd);
        }
        option("--append=", Path::new(append));
        // Nothing behind it is an option.
        arguments.extend(["--".into(), kernel.into()]);
        self.call(instance, &arguments)
    }

    /// Unloads what is loaded.
    pub fn unload(&self, instance: &Instance) -> Result {
        self.call(instance, &["-u".into()])
    }

    fn call(&self, instance: &Instance, arguments: &[OsString]) -> Result {
        let mark = kmsg::Mark::now(instance.host);
        let said = Command::new(&self.path)
            .arg(format!("--multikernel={instance}"))
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .map_err(|e| Error::system(self.path.display(), &e))?;
        if said.status.success() {
            return Ok(());
        }
        let text = [said.stdout, said.stderr].concat();
        let lines = String::from_utf8_lossy(&text).into_owned();
        // The kernel's own words follow, if they can be read.
        let complaint = mark.complaint();
        let lines = lines
            .lines()
            .filter(|line| complaint.is_none() || !line.starts_with("The kernel log may say"))
            .map(|line| format!("kexec: {line}"))
            .collect::<Vec<_>>();
        let what = format!("{} failed ({})", self.path.display(), said.status);
        Err(Error::new(Kind::Failed, what)
            .add_all(lines)
            .add_all(complaint))
    }
}
