// SPDX-License-Identifier: GPL-2.0

//! `log`: the kept kernel logs, /dev/multikernel/NAME/log.

use crate::{
    error::{Error, Kind, Result},
    instance::Instance,
    output,
    wait::State,
};
use std::{
    fs,
    time::{Duration, Instant as Time},
};

/// The log of one life, with the line before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Life<'t> {
    header: &'t [u8],
    text: &'t [u8],
}

impl<'t> Life<'t> {
    /// Takes the first one off `text`: "=== life 3: panicked, reason panic, 51234 bytes", and what follows.
    fn take(text: &mut &'t [u8]) -> Option<Self> {
        let end = text.iter().position(|&b| b == b'\n')?;
        let (header, rest) = text.split_at(end + 1);
        let words = std::str::from_utf8(header).ok()?;
        let words = words
            .strip_prefix("=== life ")?
            .trim_end()
            .strip_suffix(" bytes")?;
        let len: usize = words.rsplit(' ').next()?.parse().ok()?;
        let (text_of_it, rest) = rest.split_at_checked(len)?;
        *text = rest;
        Some(Self {
            header,
            text: text_of_it,
        })
    }

    fn all(mut text: &'t [u8]) -> Vec<Self> {
        std::iter::from_fn(|| Self::take(&mut text)).collect()
    }
}

fn read(instance: &Instance) -> Result<Vec<u8>> {
    let path = instance.device("log");
    fs::read(instance.host.path(&path)).map_err(|e| {
        let error = Error::system(path, &e);
        match error.kind {
            Kind::NotPermitted => error.add("It takes root with CAP_SYSLOG"),
            _ => error,
        }
    })
}

/// The last life that ended, if its log can be read: the line before it, and the log.
pub fn last(instance: &Instance) -> Option<(Vec<u8>, Vec<u8>)> {
    let text = read(instance).ok()?;
    let life = *Life::all(&text).last()?;
    Some((life.header.to_vec(), life.text.to_vec()))
}

/// Prints what is kept.
pub fn print(instance: &Instance) -> Result {
    output::print(read(instance)?)
}

/// Prints what is kept, then each life when it ends, until the instance is removed.
pub fn follow(instance: &Instance) -> Result {
    let mut state = State::open(instance)?;
    let mut last = Vec::new();
    loop {
        // Before the log: a life that ends from here on wakes us.
        let removed = state.get().is_err();
        let text = match read(instance) {
            Err(error) if error.kind == Kind::NoInstance && is_removed(&mut state)? => {
                return Ok(())
            }
            text => text?,
        };
        let lives = Life::all(&text);
        for life in newer(&lives, &last) {
            output::print([life.header, life.text].concat())?;
        }
        if let Some(life) = lives.last() {
            last = life.header.to_vec();
        }
        if removed {
            return Ok(());
        }
        state.wait(Duration::MAX)?;
    }
}

/// Whether it is removed, or just being so: its devices go before its state does.
fn is_removed(state: &mut State) -> Result<bool> {
    let began = Time::now();
    while state.get().is_ok() {
        if began.elapsed() > Duration::from_secs(2) {
            return Ok(false);
        }
        state.wait(Duration::from_millis(100))?;
    }
    Ok(true)
}

/// The lives behind the one whose header was printed last.
fn newer<'l, 't>(lives: &'l [Life<'t>], last: &[u8]) -> &'l [Life<'t>] {
    let seen = lives.iter().rposition(|life| life.header == last);
    &lives[seen.map_or(0, |seen| seen + 1)..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tests::Tree;
    use std::{
        os::unix::fs::symlink,
        path::Path,
        process::{Command, Stdio},
        thread,
    };

    const TEXT: &[u8] = b"=== life 1: killed, reason killed, 0 bytes
=== life 2: panicked, reason panic, 27 bytes
=== life 9: x, 1 bytes
one
=== life 3: rebooting, reason reboot, 4 bytes
two
";

    #[test]
    fn lives_have_their_length() {
        let lives = Life::all(TEXT);
        assert_eq!(lives.len(), 3);
        assert_eq!(lives[0].text, b"");
        assert_eq!(lives[1].text, b"=== life 9: x, 1 bytes\none\n");
        assert_eq!(lives[2].text, b"two\n");
    }

    #[test]
    fn damaged_text_ends_it() {
        for text in [
            "",
            "=== life 1",
            "x\n",
            "=== life 1: x, 5 bytes\nfour",
            "=== life 1: x bytes\n",
        ] {
            assert_eq!(Life::all(text.as_bytes()), [], "{text}");
        }
    }

    #[test]
    fn only_what_is_new() {
        let lives = Life::all(TEXT);
        assert_eq!(newer(&lives, b"").len(), 3);
        assert_eq!(newer(&lives, lives[1].header), &lives[2..]);
        assert_eq!(newer(&lives, lives[2].header), []);
        // Its own life is no longer kept.
        assert_eq!(
            newer(&lives, b"=== life 0: killed, reason killed, 7 bytes\n").len(),
            3
        );
    }

    #[test]
    fn removal_while_it_looks_is_the_end() {
        let tree = Tree::new(&[("/sys/class/multikernel/web/reason", "")]);
        let instance = tree.instance("web");
        // What is open of a process fails when that has ended, as an attribute does that is removed.
        let mut process = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let file = format!("/proc/{}/comm", process.id());
        symlink(&file, tree.host.path(&instance.class("state"))).unwrap();
        thread::scope(|scope| {
            let follower = scope.spawn(|| follow(&instance));
            while !follower.is_finished() && !has_open(&file) {
                thread::yield_now();
            }
            // Closes its input, which ends it.
            process.wait().unwrap();
            assert!(follower.join().unwrap().is_ok());
        });
    }

    /// Whether this process has it open.
    fn has_open(file: &str) -> bool {
        let mut open = fs::read_dir("/proc/self/fd").unwrap().flatten();
        open.any(|fd| fs::read_link(fd.path()).is_ok_and(|path| path == Path::new(file)))
    }

    #[test]
    fn log_of_no_device_is_told() {
        let tree = Tree::new(&[("/sys/class/multikernel/web/state", "running\n")]);
        let error = follow(&tree.instance("web")).unwrap_err();
        assert_eq!(error.kind, Kind::NoInstance);
    }
}
