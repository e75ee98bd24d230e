// SPDX-License-Identifier: GPL-2.0

//! Waiting for changes of `state`.

use crate::{
    error::{Error, Kind, Result},
    instance::{is_alive, Instance},
};
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use std::{
    fs::File,
    io::{Read, Seek},
    time::{Duration, Instant as Time},
};

/// `state`, open.
pub struct State<'i> {
    instance: &'i Instance<'i>,
    file: File,
}

impl<'i> State<'i> {
    /// # Errors
    ///
    /// `NoInstance`, also of the other functions when it is removed.
    pub fn open(instance: &'i Instance<'i>) -> Result<Self> {
        let path = instance.host.path(&instance.class("state"));
        let file = File::open(path).map_err(|_| instance.gone())?;
        Ok(Self { instance, file })
    }

    /// Reads the state. [`State::wait`] sees each change from here on.
    pub fn get(&mut self) -> Result<String> {
        let mut text = String::new();
        let read = self
            .file
            .rewind()
            .and_then(|()| self.file.read_to_string(&mut text));
        read.map_err(|_| self.instance.gone())?;
        Ok(text
            .split_whitespace()
            .next()
            .unwrap_or_default()
            .to_owned())
    }

    /// Waits until there can be a change, for no longer than this.
    pub fn wait(&self, longest: Duration) -> Result {
        // sysfs wakes nobody when a file goes.
        let longest = longest.min(Duration::from_secs(1));
        let timeout = Timespec::try_from(longest).unwrap_or_default();
        let mut file = [PollFd::new(&self.file, PollFlags::PRI)];
        let polled = poll(&mut file, Some(&timeout));
        polled
            .map(drop)
            .map_err(|e| Error::system("poll of state", &e.into()))
    }
}

fn is_dead(state: &str) -> bool {
    !is_alive(state) && !matches!(state, "empty" | "loaded")
}

/// Waits until the instance is in one of these states, or with none, dead or quarantined. Returns the
/// state.
pub fn wait(instance: &Instance, states: &[String], timeout: Option<Duration>) -> Result<String> {
    let end = timeout.and_then(|timeout| Time::now().checked_add(timeout));
    let mut file = State::open(instance)?;
    loop {
        let state = file.get()?;
        let reached = match states {
            [] => is_dead(&state) || state == "quarantined",
            states => states.contains(&state),
        };
        if reached {
            return Ok(state);
        }
        let rest = match end {
            Some(end) => end.saturating_duration_since(Time::now()),
            None => Duration::MAX,
        };
        if rest.is_zero() {
            let what = format!("{instance} is {state}, and the time is up");
            return Err(Error::new(Kind::Timeout, what));
        }
        file.wait(rest)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tests::Tree;

    fn wait_in(state: &str, states: &[&str]) -> Result<String> {
        let tree = Tree::new(&[("/sys/class/multikernel/web/state", state)]);
        let instance = tree.instance("web");
        let states: Vec<_> = states.iter().map(|state| state.to_string()).collect();
        wait(&instance, &states, Some(Duration::from_millis(50)))
    }

    #[test]
    fn a_state_that_is_reached() {
        assert_eq!(wait_in("panicked\n", &[]).unwrap(), "panicked");
        assert_eq!(wait_in("quarantined\n", &[]).unwrap(), "quarantined");
        assert_eq!(
            wait_in("running more\n", &["hung", "running"]).unwrap(),
            "running"
        );
    }

    #[test]
    fn the_time_is_up() {
        for state in ["empty", "loaded", "starting", "running"] {
            assert_eq!(
                wait_in(state, &[]).unwrap_err().kind,
                Kind::Timeout,
                "{state}"
            );
        }
        assert_eq!(
            wait_in("hung", &["killed"]).unwrap_err().kind,
            Kind::Timeout
        );
    }

    #[test]
    fn no_instance() {
        let tree = Tree::new(&[]);
        let error = wait(&tree.instance("web"), &[], None).unwrap_err();
        assert_eq!(error.kind, Kind::NoInstance);
    }
}
