// SPDX-License-Identifier: GPL-2.0

//! The other side of a real mk-agent: a host that shares a file with it.

#[path = "../../src/raw.rs"]
#[allow(dead_code, reason = "only the memory is used")]
mod raw;

use multikernel_portable::channel::{
    control::Control,
    hello::Offer,
    layout::{Region, Role},
    link::{Error, Link},
    message::MESSAGE_MAX,
    port::{Event, Ports},
    status::Status,
};
pub use raw::Memory;
pub use rustix::process::Signal;
use rustix::process::{kill_process, Pid};
use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};
use tempfile::TempDir;

pub const SIZE: usize = 256 << 10;
const WINDOW: u32 = 32 << 10;
const DEADLINE: Duration = Duration::from_secs(60);

/// Until it is so.
pub fn until<T>(what: &str, mut is: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(it) = is() {
            return it;
        }
        assert!(began.elapsed() < DEADLINE, "not in time: {what}");
        sleep(Duration::from_micros(200));
    }
}

/// A folder with a region, and perhaps an agent.
pub struct Spawn {
    pub folder: TempDir,
    child: Option<Child>,
}

impl Spawn {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = File::create(folder.path().join("region")).unwrap();
        file.set_len(SIZE as u64).unwrap();
        Self {
            folder,
            child: None,
        }
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// The agent's command line. None of these can end the machine that runs the tests: the first
    /// options see to that.
    pub fn command(&self, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mk-agent"));
        command.arg("--no-force");
        for option in ["--shutdown-command", "--reboot-command"] {
            if !more.contains(&option) {
                command.args([option, "true"]);
            }
        }
        command.arg("--region").arg(self.path("region"));
        command.arg("--sockets").arg(self.folder.path());
        command.args(more);
        command
    }

    pub fn start(&mut self, more: &[&str]) {
        self.child = Some(self.command(more).spawn().unwrap());
    }

    /// As nohup does it.
    pub fn start_without_hangup(&mut self, more: &[&str]) {
        let agent = self.command(more);
        let mut shell = Command::new("sh");
        shell.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]);
        shell.arg(agent.get_program()).args(agent.get_args());
        self.child = Some(shell.spawn().unwrap());
    }

    /// An agent, and a host that talks with it.
    pub fn meet(more: &[&str]) -> (Self, Host) {
        let mut spawn = Self::new();
        spawn.start(more);
        let mut host = spawn.host();
        host.meet();
        (spawn, host)
    }

    pub fn memory(&self) -> Memory {
        let file = File::options()
            .read(true)
            .write(true)
            .open(self.path("region"))
            .unwrap();
        Memory::map(&file, 0, Region::new(SIZE).unwrap()).unwrap()
    }

    pub fn host(&self) -> Host {
        Host::new(self.memory(), 0)
    }

    pub fn status(&self) -> Status {
        Status::new(&Region::new(SIZE).unwrap(), Role::Spawn)
    }

    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.as_mut().unwrap().try_wait(), Ok(None))
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(self.child.as_ref().unwrap());
        kill_process(pid, signal).unwrap();
    }

    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.child.as_mut().unwrap().wait().unwrap()
    }

    /// Runs an agent that is expected to give up.
    pub fn fails(&self, more: &[&str]) -> Output {
        self.command(more).stdin(Stdio::null()).output().unwrap()
    }
}

impl Drop for Spawn {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            _ = child.kill();
            _ = child.wait();
        }
    }
}

/// What has come for a port.
#[derive(Default)]
pub struct Port {
    pub opened: bool,
    pub closed: Option<u32>,
    pub bytes: Vec<u8>,
}

pub struct Host {
    pub link: Link<Memory>,
    pub ports: Ports,
    pub seen: BTreeMap<u16, Port>,
    pub answers: Vec<u32>,
    buffer: Vec<u8>,
}

impl Host {
    pub fn new(memory: Memory, generation: u32) -> Self {
        Self::offering(Offer::default().offered, memory, generation)
    }

    /// One with other features.
    pub fn offering(offered: u64, memory: Memory, generation: u32) -> Self {
        let offer = Offer {
            offered,
            ..Offer::default()
        };
        Self {
            link: Link::host(memory, offer, generation).unwrap(),
            ports: Ports::default(),
            seen: BTreeMap::new(),
            answers: Vec::new(),
            buffer: vec![0; MESSAGE_MAX],
        }
    }

    pub fn meet(&mut self) {
        until("a session", || {
            _ = self.link.poll();
            self.link.terms().copied()
        });
    }

    /// Takes what there is; the agent must keep to the rules.
    pub fn turn(&mut self) {
        _ = self.link.poll();
        while let Ok(Some(message)) = self.link.receive(&mut self.buffer) {
            let bytes = &self.buffer[..message.length as usize];
            let event = self
                .ports
                .received(message, bytes)
                .expect("an agent that keeps to the rules");
            match event {
                Event::Opened(number) => self.port(number).opened = true,
                Event::Closed(number, errno) => self.port(number).closed = Some(errno),
                Event::Bytes(number) => {
                    let bytes = bytes.to_vec();
                    self.port(number).bytes.extend(&bytes);
                    let widened = self.ports.widen(&mut self.link, number, bytes.len() as u32);
                    assert!(matches!(widened, Ok(()) | Err(Error::NotOpen)));
                }
                Event::Other(Control::Answer(errno)) => self.answers.push(errno),
                // A window can cross our close.
                Event::Room(_) | Event::Dropped => {}
                other => panic!("{other:?}"),
            }
        }
    }

    pub fn port(&mut self, number: u16) -> &mut Port {
        self.seen.entry(number).or_default()
    }

    /// Until it is so, taking what comes.
    pub fn until(&mut self, what: &str, mut is: impl FnMut(&mut Self) -> bool) {
        until(what, || {
            self.turn();
            is(self).then_some(())
        });
    }

    pub fn open(&mut self, number: u16) {
        self.ports.open(&mut self.link, number, WINDOW).unwrap();
    }

    /// Both ends of the console.
    pub fn open_console(&mut self) {
        self.until("an open console", |host| host.port(1).opened);
        self.open(1);
    }

    pub fn send(&mut self, number: u16, bytes: &[u8]) {
        let mut rest = bytes;
        self.until("room", |host| {
            let room = host.ports.room(number).unwrap_or(0) as usize;
            let (now, later) = rest.split_at(room.min(4096).min(rest.len()));
            if host.ports.send(&mut host.link, number, now).is_ok() {
                rest = later;
            }
            rest.is_empty()
        });
    }

    pub fn control(&mut self, control: Control) {
        use multikernel_portable::channel::message::Class;
        self.link.send(Class::Control, &control.encode()).unwrap();
    }

    /// Until the console has said it; takes all up to there.
    pub fn hears(&mut self, text: &str) -> String {
        let mut end = None;
        self.until(text, |host| {
            let said = &host.port(1).bytes;
            let at = said
                .windows(text.len())
                .position(|it| it == text.as_bytes());
            end = at.map(|at| at + text.len());
            end.is_some()
        });
        let said = self.port(1).bytes.drain(..end.unwrap()).collect::<Vec<_>>();
        String::from_utf8_lossy(&said).into_owned()
    }

    /// Types a line, and hears the answer, not the echo of the line.
    pub fn asks(&mut self, line: &str, answer: &str) {
        self.send(1, format!("{line}\n").as_bytes());
        self.hears(answer);
    }
}

pub fn text(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}
