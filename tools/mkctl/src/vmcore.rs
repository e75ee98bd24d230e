// SPDX-License-Identifier: GPL-2.0

//! `core`: a copy of /dev/multikernel/NAME/vmcore.

use crate::{
    error::{Error, Kind, Result},
    instance::Instance,
    output::tell,
};
use std::{
    fs::{self, File},
    io::{self, ErrorKind, IsTerminal, Read, Seek, SeekFrom},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, Instant as Time},
};

/// Holes are whole pages.
const PAGE: usize = 4096;
const BUFFER: usize = 1 << 20;

/// Copies the memory to a new file, which goes if that fails.
pub fn copy(instance: &Instance, to: &Path, interrupted: &AtomicBool) -> Result<u64> {
    let path = instance.device("vmcore");
    let explain = |e: &io::Error| {
        let error = Error::system(&path, e);
        match error.kind {
            Kind::NotPermitted => error.add("It takes root with CAP_SYS_ADMIN, and no lockdown"),
            // Not an instance that is missing.
            Kind::NoInstance => Error::new(Kind::WrongState, error.what).add(format!(
                "{instance} has no memory, or its next life has begun; mkctl list"
            )),
            _ => error,
        }
    };
    let mut from = File::open(instance.host.path(&path)).map_err(|e| explain(&e))?;
    // It has the size of a character device in stat(2).
    let size = from.seek(SeekFrom::End(0)).map_err(|e| explain(&e))?;
    from.rewind().map_err(|e| explain(&e))?;
    let mut options = File::options();
    let target = options.write(true).create_new(true).mode(0o600).open(to);
    let target = target.map_err(|e| {
        let error = Error::system(to.display(), &e);
        Error::new(Kind::Failed, error.to_string())
    })?;
    let mut progress = Progress::new(size);
    let copied = copy_sparse(&mut from, &target, |done| {
        progress.show(done);
        !interrupted.load(Relaxed)
    });
    progress.end();
    copied.map_err(|failure| {
        // Half a core misleads.
        let _ = fs::remove_file(to);
        match failure {
            Failure::Read(e) => explain(&e).add("no file is left"),
            Failure::Write(e) => Error::system(to.display(), &e).add("no file is left"),
            Failure::Interrupted => Error::new(Kind::Interrupted, "interrupted, no file is left"),
        }
    })
}

enum Failure {
    Read(io::Error),
    Write(io::Error),
    Interrupted,
}

/// Copies all, but pages of zeroes become holes, as long as `go_on` says so of what is done. Returns how much
/// there is.
fn copy_sparse(
    from: &mut impl Read,
    to: &File,
    mut go_on: impl FnMut(u64) -> bool,
) -> std::result::Result<u64, Failure> {
    let mut buffer = vec![0; BUFFER];
    let mut at = 0;
    loop {
        let len = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(len) => len,
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(e) => return Err(Failure::Read(e)),
        };
        for page in buffer[..len].chunks(PAGE) {
            if page.iter().any(|&b| b != 0) {
                to.write_all_at(page, at).map_err(Failure::Write)?;
            }
            at += page.len() as u64;
        }
        if !go_on(at) {
            return Err(Failure::Interrupted);
        }
    }
    // The last page may be a hole, too.
    to.set_len(at).map_err(Failure::Write)?;
    // What a full disk refuses late is told before the evidence is given up.
    to.sync_all().map_err(Failure::Write)?;
    Ok(at)
}

/// A line on a terminal.
struct Progress {
    size: u64,
    shown: Time,
    is_terminal: bool,
}

impl Progress {
    fn new(size: u64) -> Self {
        Self {
            size,
            shown: Time::now(),
            is_terminal: io::stderr().is_terminal(),
        }
    }

    fn show(&mut self, done: u64) {
        if self.is_terminal && self.shown.elapsed() > Duration::from_millis(200) {
            self.shown = Time::now();
            tell(format!("\r{} of {} MiB", done >> 20, self.size >> 20));
        }
    }

    fn end(&self) {
        if self.is_terminal {
            tell("\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tests::Tree;
    use std::os::unix::fs::MetadataExt;

    const VMCORE: &str = "/dev/multikernel/web/vmcore";

    fn copy_of(tree: &Tree, to: &Path) -> Result<u64> {
        copy(&tree.instance("web"), to, &AtomicBool::new(false))
    }

    #[test]
    fn an_interrupted_copy_leaves_nothing() {
        let tree = Tree::new(&[(VMCORE, "x")]);
        let to = tree.host.path("/copy");
        let copied = copy(&tree.instance("web"), &to, &AtomicBool::new(true));
        assert_eq!(copied.unwrap_err().kind, Kind::Interrupted);
        assert!(!to.exists());
    }

    #[test]
    fn a_copy_is_equal_and_has_holes() {
        let tree = Tree::new(&[(VMCORE, "")]);
        let mut bytes = vec![0; (3 << 20) + 17];
        bytes[5] = 1;
        bytes[2 << 20] = 2;
        fs::write(tree.host.path(VMCORE), &bytes).unwrap();
        let to = tree.host.path("/copy");
        assert_eq!(copy_of(&tree, &to).unwrap(), bytes.len() as u64);
        assert!(fs::read(&to).unwrap() == bytes);
        let data = fs::metadata(&to).unwrap();
        assert!(data.blocks() * 512 <= 64 << 10, "{} blocks", data.blocks());
        assert_eq!(data.mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_is_there_stays() {
        let tree = Tree::new(&[(VMCORE, "x"), ("/copy", "mine")]);
        let to = tree.host.path("/copy");
        assert_eq!(copy_of(&tree, &to).unwrap_err().kind, Kind::Failed);
        assert_eq!(fs::read(&to).unwrap(), b"mine");
    }

    struct Dies(usize);

    impl Read for Dies {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(1).ok_or(ErrorKind::NotFound)?;
            to[..PAGE].fill(1);
            Ok(PAGE)
        }
    }

    #[test]
    fn a_life_that_ends_in_the_middle_is_an_error() {
        let file = tempfile::tempfile().unwrap();
        assert!(matches!(
            copy_sparse(&mut Dies(3), &file, |_| true),
            Err(Failure::Read(_))
        ));
    }
}
