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

/// What the distribution's is told for.
const LACKS: &str = "lacks --multikernel";

/// A kexec that knows instances.
pub struct Kexec {
    pub path: PathBuf,
}

impl Kexec {
    /// The first one of `PATH` and of the folders that a user's own often lacks.
    ///
    /// # Errors
    ///
    /// `NotReady`.
    pub fn find() -> Result<Self> {
        let path = env::var_os("PATH").unwrap_or_default();
        Self::find_in(folders(&path))
    }

    fn find_in(folders: impl Iterator<Item = PathBuf>) -> Result<Self> {
        let error = |what: String| {
            let remedy = "Install kexec-tools with patches/kexec-tools (make kexec-tools) in PATH";
            Error::new(Kind::NotReady, what).add(remedy)
        };
        let found = folders
            .map(|folder| folder.join("kexec"))
            .filter(|path| path.is_file())
            .map(|path| Self { path });
        let mut why = Vec::new();
        for kexec in found {
            match kexec.lacks() {
                None => return Ok(kexec),
                Some(lack) => why.push(format!("{} {lack}", kexec.path.display())),
            }
        }
        // The distribution's does not know them; one of ours that cannot run is what matters.
        let at = why
            .iter()
            .position(|why| !why.ends_with(LACKS))
            .unwrap_or(0);
        Err(error(match why.get(at) {
            Some(why) => why.clone(),
            None => "there is no kexec".into(),
        }))
    }

    /// Why it loads no instances, if it does not.
    fn lacks(&self) -> Option<String> {
        let said = Command::new(&self.path)
            .arg("--help")
            .stdin(Stdio::null())
            .output();
        let said = match said {
            Ok(said) => said,
            Err(e) => return Some(format!("cannot run: {e}")),
        };
        let text = [said.stdout, said.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        match text.lines().next() {
            _ if text.contains("--multikernel") => None,
            Some(line) if !said.status.success() => Some(format!("cannot run: {line}")),
            _ => Some(LACKS.into()),
        }
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

/// Where one is looked for.
fn folders(path: &OsStr) -> impl Iterator<Item = PathBuf> + '_ {
    let more = ["/usr/local/sbin", "/usr/sbin", "/sbin"];
    env::split_paths(path).chain(more.map(PathBuf::from))
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
    } else if refused(": Operation not supported") {
        // The module has gone, or cannot lend CPUs here.
        Kind::NotReady
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
    fn the_first_one_that_knows_instances() {
        let folder = tempfile::tempdir().unwrap();
        // Not written by this process: who executes what it writes would fail.
        let made = Command::new("sh")
            .current_dir(&folder)
            .args([
                "-ec",
                "mkdir none old new newer broken; printf '#!/bin/sh\\necho $0' >old/kexec; chmod +x old/kexec
                for it in new newer; do cp old/kexec $it; echo '; echo --multikernel' >>$it/kexec; done
                printf '#!/bin/sh\\necho no libz; exit 127' >broken/kexec; chmod +x broken/kexec",
            ])
            .status();
        assert!(made.unwrap().success());
        let find = |names: &[&str]| {
            let folders = names.iter().map(|name| folder.path().join(name));
            Kexec::find_in(folders).map(|kexec| kexec.path)
        };
        let path = |name| folder.path().join(name).join("kexec");
        let names = ["none", "old", "new", "newer"];
        assert_eq!(find(&names).unwrap(), path("new"));
        let error = |names| {
            let error = find(names).unwrap_err();
            assert_eq!(error.kind, Kind::NotReady);
            error.what
        };
        assert_eq!(error(&names[..1]), "there is no kexec");
        let lacks = format!("{} lacks --multikernel", path("old").display());
        assert_eq!(error(&names[..2]), lacks);
        let broken = format!("{} cannot run: no libz", path("broken").display());
        assert_eq!(error(&["old", "broken"]), broken);
    }

    #[test]
    fn where_the_guide_puts_it() {
        let folders: Vec<_> = folders("/opt:/bin".as_ref()).collect();
        let expected = ["/opt", "/bin", "/usr/local/sbin", "/usr/sbin", "/sbin"];
        assert_eq!(folders, expected.map(PathBuf::from));
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
        assert_eq!(kind("Operation not supported"), Kind::NotReady);
        assert_eq!(kind("Argument list too long"), Kind::Failed);
        assert_eq!(
            kind_of("Cannot open `k': Operation not permitted"),
            Kind::Failed
        );
    }
}
