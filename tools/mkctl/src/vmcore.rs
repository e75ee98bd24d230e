// SPDX-License-Identifier: GPL-2.0

//! `core`: a copy of /dev/multikernel/NAME/vmcore.

use crate::{
    error::{Error, Kind, Result},
    instance::Instance,
    output::tell,
};
use rustix::io::Errno;
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

/// What was copied.
#[derive(Debug, PartialEq, Eq)]
pub struct Copied {
    /// Its length in bytes.
    pub size: u64,
    /// Pages that could not be read, since the memory is broken there. They are holes.
    pub broken: u64,
}

/// Copies the memory to a new file, which goes if that fails.
pub fn copy(instance: &Instance, to: &Path, interrupted: &AtomicBool) -> Result<Copied> {
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
    let copied = copy_sparse(&mut from, &target, size, |done| {
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

/// Copies `size` bytes, or more if there are, as long as `go_on` says so of what is done. Pages of zeroes become
/// holes, and so do those of broken memory (EIO).
fn copy_sparse(
    from: &mut (impl Read + Seek),
    to: &File,
    size: u64,
    mut go_on: impl FnMut(u64) -> bool,
) -> std::result::Result<Copied, Failure> {
    let mut buffer = vec![0; BUFFER];
    let mut wanted = BUFFER;
    let (mut at, mut broken) = (0, 0);
    loop {
        match from.read(&mut buffer[..wanted]) {
            Ok(0) => break,
            Ok(len) => {
                for page in buffer[..len].chunks(PAGE) {
                    if page.iter().any(|&b| b != 0) {
                        to.write_all_at(page, at).map_err(Failure::Write)?;
                    }
                    at += page.len() as u64;
                }
                wanted = BUFFER;
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            // The device gives nothing of 64 KiB with such a page, which is found by asking for one at a time.
            Err(e) if Errno::from_io_error(&e) == Some(Errno::IO) && at < size => {
                let end_of_page = (at + 1).next_multiple_of(PAGE as u64).min(size);
                if wanted as u64 > end_of_page - at {
                    wanted = (end_of_page - at) as usize;
                    continue;
                }
                from.seek(SeekFrom::Start(end_of_page))
                    .map_err(Failure::Read)?;
                at = end_of_page;
                broken += 1;
                wanted = PAGE;
            }
            Err(e) => return Err(Failure::Read(e)),
        }
        if !go_on(at) {
            return Err(Failure::Interrupted);
        }
    }
    // The last page may be a hole, too.
    to.set_len(at).map_err(Failure::Write)?;
    // What a full disk refuses late is told before the evidence is given up.
    to.sync_all().map_err(Failure::Write)?;
    Ok(Copied { size: at, broken })
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
    use std::{io::Cursor, ops::Range, os::unix::fs::MetadataExt};

    const VMCORE: &str = "/dev/multikernel/web/vmcore";

    fn copy_of(tree: &Tree, to: &Path) -> Result<Copied> {
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
        assert_eq!(copy_of(&tree, &to).unwrap().size, bytes.len() as u64);
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

    impl Seek for Dies {
        fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
            unreachable!()
        }
    }

    #[test]
    fn a_life_that_ends_in_the_middle_is_an_error() {
        let file = tempfile::tempfile().unwrap();
        assert!(matches!(
            copy_sparse(&mut Dies(3), &file, 1 << 20, |_| true),
            Err(Failure::Read(_))
        ));
    }

    /// As the device: where a read meets a broken page it has nothing, and is not longer than 64 KiB.
    struct Broken {
        bytes: Cursor<Vec<u8>>,
        pages: Range<u64>,
    }

    impl Read for Broken {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            let at = self.bytes.position();
            let len = (self.bytes.get_ref().len() - at as usize)
                .min(to.len())
                .min(64 << 10);
            if len == 0 {
                return Ok(0);
            }
            let (first, last) = (at / PAGE as u64, (at + len as u64 - 1) / PAGE as u64);
            if first < self.pages.end && last >= self.pages.start {
                return Err(Errno::IO.into());
            }
            self.bytes.read(&mut to[..len])
        }
    }

    impl Seek for Broken {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.bytes.seek(to)
        }
    }

    #[test]
    fn broken_pages_are_holes() {
        for (pages, size) in [(20..21, 1 << 20), (0..1, 1 << 20), (3..9, 9 * PAGE - 5)] {
            let file = tempfile::NamedTempFile::new().unwrap();
            let mut expected = vec![7; size];
            let bytes = Cursor::new(expected.clone());
            let end = size.min(pages.end as usize * PAGE);
            expected[pages.start as usize * PAGE..end].fill(0);
            let broken = pages.end - pages.start;
            let mut from = Broken { bytes, pages };
            let size = size as u64;
            let copied = copy_sparse(&mut from, file.as_file(), size, |_| true);
            assert_eq!(copied.ok(), Some(Copied { size, broken }));
            assert!(fs::read(file.path()).unwrap() == expected);
        }
    }
}
