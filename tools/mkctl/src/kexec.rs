// SPDX-License-Identifier: GPL-2.0

//! kexec of kexec-tools, which loads kernels.

use crate::{
    cli::RunArgs,
    error::{Error, Kind, Result},
    instance::Instance,
    kmsg,
};
use std::{
    env,
    ffi::{OsStr, OsString},
    path::PathBuf,
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
    pub fn load(&self, instance: &Instance, args: &RunArgs) -> Result {
        let mark = kmsg::Mark::now(instance.host);
        let said = Command::new(&self.path)
            .arg(format!("--multikernel={instance}"))
            .args(load_options(args))
            .stdin(Stdio::null())
            .output()
            .map_err(|e| Error::system(self.path.display(), &e))?;
        if said.status.success() {
            return Ok(());
        }
        let text = [said.stdout, said.stderr].concat();
        let lines = String::from_utf8_lossy(&text).into_owned();
        let kind = kind_of(&lines);
        // The kernel's own words follow, if they can be read.
        let complaint = mark.complaint();
        let lines = lines
            .lines()
            .filter(|line| complaint.is_none() || !line.starts_with("The kernel log may say"))
            .map(|line| format!("kexec: {line}"))
            .collect::<Vec<_>>();
        let what = format!("{} failed ({})", self.path.display(), said.status);
        Err(Error::new(kind, what).add_all(lines).add_all(complaint))
    }
}

/// By what kexec says. It has one exit status for all that fails.
fn kind_of(lines: &str) -> Kind {
    let refused = |why: &str| {
        lines
            .lines()
            .any(|line| line.starts_with("Cannot load a kernel into ") && line.ends_with(why))
    };
    // As the C library has it: kexec sets no locale.
    if refused(": Operation not permitted") {
        Kind::NotPermitted
    } else if refused(": Device or resource busy") {
        Kind::WrongState
    } else {
        Kind::Failed
    }
}

fn load_options(args: &RunArgs) -> Vec<OsString> {
    let with = |name: &str, value: &OsStr| {
        let mut option = OsString::from(name);
        option.push(value);
        option
    };
    let mut options = vec!["-l".into(), with("--append=", &args.append)];
    if let Some(initrd) = &args.initrd {
        options.push(with("--initrd=", initrd.as_os_str()));
    }
    if args.compressed {
        options.push("--mk-compressed".into());
    }
    // Nothing behind it is an option.
    options.extend(["--".into(), args.kernel.clone().into()]);
    options
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command as Verb};
    use clap::Parser;

    #[test]
    fn a_load_is_told_all_that_is_wanted() {
        let load = |words: &[&str]| {
            let words = [&["mkctl", "run", "web", "-c2", "-m2M"], words].concat();
            let Verb::Run(args) = Cli::try_parse_from(words).unwrap().command else {
                panic!("not run");
            };
            load_options(&args)
        };
        let all = load(&["--initrd=i", "--append=a b", "--compressed", "k"]);
        let expected = [
            "-l",
            "--append=a b",
            "--initrd=i",
            "--mk-compressed",
            "--",
            "k",
        ];
        assert_eq!(all, expected);
        assert_eq!(load(&["--", "-k"]), ["-l", "--append=", "--", "-k"]);
    }

    #[test]
    fn a_refusal_has_its_kind() {
        let kind = |why| {
            kind_of(&format!(
                "Cannot load a kernel into instance web: {why}\nThe kernel log may say more: dmesg | tail\n"
            ))
        };
        assert_eq!(kind("Operation not permitted"), Kind::NotPermitted);
        assert_eq!(kind("Device or resource busy"), Kind::WrongState);
        assert_eq!(kind("Argument list too long"), Kind::Failed);
        assert_eq!(
            kind_of("Cannot open `k': Operation not permitted"),
            Kind::Failed
        );
    }
}
