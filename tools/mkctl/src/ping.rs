// SPDX-License-Identifier: GPL-2.0

//! `ping`: how long a message takes to the kernel of an instance and back.

use crate::{
    error::{Error, Kind, Result},
    instance::{remedy, Instance, Order},
};
use multikernel_portable::{name::Name, ping::Wait};
use rustix::io::Errno;
use serde_json::{json, Value};
use std::fmt;

/// What `ping` of sysfs-class-multikernel reads as, when all answers came.
#[derive(Debug)]
pub struct Answers {
    name: Name,
    count: u16,
    bytes: u16,
    wait: &'static str,
    median_ns: u64,
    p99_ns: u64,
    max_ns: u64,
}

/// Sends so many messages of this size, one after the other.
///
/// # Errors
///
/// As documented in sysfs-class-multikernel; with a remedy.
pub fn ping(instance: &Instance, count: u16, bytes: u16, wait: Wait) -> Result<Answers> {
    let wait = wait.word();
    let order = format!("{count} {bytes} {wait}");
    let path = instance.class("ping");
    let written = instance.host.write(&path, &order);
    written.map_err(|error| explain(instance, error))?;
    let line = instance.host.read(&path).unwrap_or_default();
    // Not what another one has asked for meanwhile.
    let figures = line.strip_prefix(&format!("{order} "));
    let figures = figures.and_then(|figures| {
        let mut figures = figures.split_whitespace().map(|word| word.parse().ok());
        Some([figures.next()??, figures.next()??, figures.next()??])
    });
    let answers = figures.map(|[median_ns, p99_ns, max_ns]| Answers {
        name: instance.name,
        count,
        bytes,
        wait,
        median_ns,
        p99_ns,
        max_ns,
    });
    answers.ok_or_else(|| {
        let what = format!("{path}: '{line}' is no answer to '{order}'");
        Error::new(Kind::Failed, what).add("Another ping of it has come between; try again")
    })
}

const HANGS: &str =
    "Its mk-agent gets no CPU, or it hangs; SILENCE of 'mkctl list' tells since when";

/// Says in words of the instance what an errno of `ping` means.
fn explain(instance: &Instance, error: Error) -> Error {
    let state = instance.state().unwrap_or_default();
    let (kind, what, what_to_do) = match error.errno {
        _ if state.is_empty() => return instance.gone(),
        Some(Errno::NOENT) => (
            Kind::NotReady,
            "the module that is loaded knows no ping".to_owned(),
            "Load a newer one; 'mkctl check' tells what else this machine lacks".to_owned(),
        ),
        Some(Errno::NOTCONN) if matches!(&*state, "starting" | "running") => (
            Kind::WrongState,
            format!("{instance} is {state}, and nobody in it speaks to the host"),
            "It takes mk-agent in it, or this module, and a moment after the start".to_owned(),
        ),
        Some(Errno::NOTCONN) => (
            Kind::WrongState,
            format!("{instance} is {state}"),
            remedy(Order::Start, &state, &instance.name)
                .unwrap_or_else(|| format!("mkctl start {instance}")),
        ),
        Some(Errno::OPNOTSUPP) => (
            Kind::Failed,
            format!("what speaks to the host in {instance} does not answer a ping"),
            "It takes a newer mk-agent in it, or a newer module".to_owned(),
        ),
        Some(Errno::TIMEDOUT) => (
            Kind::Timeout,
            format!("an answer of {instance}, which is {state}, did not come within a second"),
            HANGS.to_owned(),
        ),
        Some(Errno::AGAIN) => (
            Kind::Failed,
            format!("{instance}, which is {state}, has no room for a message"),
            HANGS.to_owned(),
        ),
        Some(Errno::BUSY) => (
            Kind::WrongState,
            format!("another ping of {instance} runs"),
            "Try again when it is done".to_owned(),
        ),
        _ => return error,
    };
    Error {
        kind,
        what,
        ..error
    }
    .add(what_to_do)
}

impl Answers {
    /// For programs.
    pub fn json(&self) -> Value {
        json!({
            "name": self.name.to_string(), "count": self.count, "bytes": self.bytes, "wait": self.wait,
            "median_ns": self.median_ns, "p99_ns": self.p99_ns, "max_ns": self.max_ns,
        })
    }
}

/// For people.
impl fmt::Display for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            count,
            bytes,
            wait,
            ..
        } = self;
        let plural = if *count == 1 { "" } else { "s" };
        // CAST: Exact below 2^53 ns.
        let us = |ns: u64| ns as f64 / 1000.0;
        write!(
            f,
            "{name}: {count} answer{plural} of {bytes} bytes, median {:.1} us, p99 {:.1} us, max {:.1} us ({wait})",
            us(self.median_ns),
            us(self.p99_ns),
            us(self.max_ns),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tests::Tree;
    use std::io;

    const PING: &str = "/sys/class/multikernel/web/ping";
    const STATE: &str = "/sys/class/multikernel/web/state";

    /// A file of a folder keeps what is behind the bytes that are written, as if it were the answer.
    fn ping_in(file: &str, count: u16, wait: Wait) -> Result<Answers> {
        let tree = Tree::new(&[(PING, file), (STATE, "running\n")]);
        ping(&tree.instance("web"), count, 64, wait)
    }

    #[test]
    fn answers_are_for_people_and_programs() {
        let answers = ping_in("xx xx xxxxx 21249 29300 31000\n", 10, Wait::Sleep).unwrap();
        assert_eq!(
            answers.to_string(),
            "web: 10 answers of 64 bytes, median 21.2 us, p99 29.3 us, max 31.0 us (sleep)"
        );
        let expected = json!({
            "name": "web", "count": 10, "bytes": 64, "wait": "sleep",
            "median_ns": 21249, "p99_ns": 29300, "max_ns": 31000,
        });
        assert_eq!(answers.json(), expected);
        let one = ping_in("x xx xxxx 987 1987 1002987\n", 1, Wait::Poll).unwrap();
        assert_eq!(
            one.to_string(),
            "web: 1 answer of 64 bytes, median 1.0 us, p99 2.0 us, max 1003.0 us (poll)"
        );
        let woken = ping_in("x xx xxxx 987 1987 1002987\n", 1, Wait::Wake).unwrap();
        assert_eq!(woken.json()["wait"], "wake");
    }

    #[test]
    fn an_answer_to_somebody_else_is_none() {
        for file in [
            // No result; figures for another size; too few; no numbers.
            "-",
            "xx xx xxxxx0 1 2 3",
            "xx xx xxxxx 1 2",
            "xx xx xxxxx 1 2 x",
        ] {
            let error = ping_in(file, 10, Wait::Sleep).unwrap_err();
            assert_eq!(error.kind, Kind::Failed, "{file}");
            assert!(error.to_string().contains("try again"), "{file}");
        }
    }

    fn explained(errno: Errno, state: &str) -> (Kind, String) {
        let tree = Tree::new(&[(STATE, state)]);
        let error = Error::system("ping", &io::Error::from(errno));
        let error = explain(&tree.instance("web"), error);
        (error.kind, error.to_string())
    }

    #[test]
    fn each_errno_has_a_remedy() {
        use Kind::*;
        for (errno, state, kind, text) in [
            (Errno::NOTCONN, "empty", WrongState, "=web -l bzImage"),
            (Errno::NOTCONN, "killed", WrongState, "start web"),
            (Errno::NOTCONN, "quarantined", WrongState, "kill web"),
            (Errno::NOTCONN, "running", WrongState, "takes mk-agent"),
            (Errno::OPNOTSUPP, "running", Failed, "newer mk-agent"),
            (Errno::TIMEDOUT, "running", Timeout, "is running, did"),
            (Errno::AGAIN, "running", Failed, "has no room"),
            (Errno::BUSY, "running", WrongState, "of web runs"),
            (Errno::NOENT, "running", NotReady, "knows no ping"),
            (Errno::NOENT, "", NoInstance, "no instance web"),
            (Errno::NODEV, "", NoInstance, "no instance web"),
            (Errno::INTR, "running", Interrupted, "ping: Interrupted"),
        ] {
            let (found, said) = explained(errno, state);
            assert_eq!(found, kind, "{errno:?} {state}");
            assert!(said.contains(text), "{said}");
        }
    }

    #[test]
    fn a_module_without_ping() {
        let tree = Tree::new(&[(STATE, "running")]);
        let error = ping(&tree.instance("web"), 10, 64, Wait::Sleep).unwrap_err();
        assert_eq!(error.kind, Kind::NotReady);
    }
}
