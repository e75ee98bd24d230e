// SPDX-License-Identifier: GPL-2.0

//! The loop: sessions, messages, and who gets them.

use crate::{
    channel::Channel,
    console::{self, Console},
    error::Result,
    heart::Heart,
    idle::{Backoff, Idle},
    log::log,
    power::{Power, Wish},
    region,
    socket::Socket,
};
use multikernel_portable::channel::{
    control::Control,
    echo,
    hello::Verdict,
    link::Error,
    message::MESSAGE_MAX,
    port::Event, //
};
use rustix::event::{poll, PollFd, Timespec};
use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// Messages that are received in one turn.
const TURN: usize = 256;

pub struct Agent {
    pub channel: Channel,
    pub heart: Heart,
    pub console: Option<Console>,
    pub sockets: Vec<Socket>,
    pub power: Power,
    pub idle: Idle,
    pub sessions: Sessions,
    /// The region was found by the ACPI table, as the module finds it.
    pub by_table: bool,
}

/// What was said of sessions.
pub struct Sessions {
    /// Since when there is one.
    since: Option<Instant>,
    lasted: Duration,
    again: Backoff,
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            since: None,
            lasted: Duration::ZERO,
            again: Backoff::new(Duration::from_millis(50), Duration::from_secs(10)),
        }
    }
}

impl Agent {
    /// Runs until it is to end.
    ///
    /// # Errors
    ///
    /// There is another one who speaks for this kernel.
    pub fn run(mut self, end: &AtomicBool) -> Result {
        let mut buffer = vec![0; MESSAGE_MAX];
        while !end.load(Relaxed) {
            self.heart.tend();
            self.look_after_session()?;
            let mut busy = self.receive(&mut buffer);
            self.power.serve(&mut self.channel);
            if let Some(console) = &mut self.console {
                busy |= console.serve(&mut self.channel);
            }
            for socket in &mut self.sockets {
                busy |= socket.serve(&mut self.channel);
            }
            self.channel.send_refusals();
            if busy {
                self.idle.active();
            }
            self.wait();
        }
        self.channel.link.close(Verdict::Gone);
        Ok(())
    }

    /// Notices that a session begins or ends, and says hello again.
    fn look_after_session(&mut self) -> Result {
        let Self {
            channel, sessions, ..
        } = self;
        // Nobody is rung: the host looks by itself.
        _ = channel.link.poll();
        match (sessions.since, channel.is_open()) {
            (None, true) => {
                sessions.since = Some(Instant::now());
                channel.begin();
                if let Some(console) = &mut self.console {
                    console.wanted();
                }
                log(format_args!(
                    "session {} with the host",
                    channel.link.generation()
                ));
            }
            (Some(since), false) => {
                sessions.lasted = since.elapsed();
                sessions.since = None;
                if let Some(console) = &mut self.console {
                    console.session_ended();
                }
                self.sockets.iter_mut().for_each(Socket::session_ended);
                tell_end(channel);
            }
            (None, false)
                if channel.link.verdict().is_some() && sessions.again.is_over(sessions.lasted) =>
            {
                // A module that was loaded meanwhile has ended it.
                if self.by_table {
                    region::be_alone()?;
                }
                channel.link.say_hello();
                sessions.lasted = Duration::ZERO;
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether there were messages.
    fn receive(&mut self, buffer: &mut [u8]) -> bool {
        let mut next = None;
        for turn in 0..TURN {
            let message = match next.take() {
                Some(message) => message,
                None => match self.channel.link.receive(buffer) {
                    Ok(Some(message)) => message,
                    Err(Error::Void) => continue,
                    Ok(None) | Err(_) => {
                        _ = self.channel.link.tell();
                        return turn > 0;
                    }
                },
            };
            let bytes = buffer.get_mut(..message.length as usize).unwrap_or(&mut []);
            match self.channel.ports.received(message, bytes) {
                Ok(Event::Other(Control::EchoRequest(us))) => {
                    let answered = echo::answer(&mut self.channel.link, us, bytes);
                    // What it takes is for the next turn.
                    if answered && turn + 1 < TURN {
                        next = echo::linger(&mut self.channel.link, buffer, pause);
                    }
                }
                Ok(event) => self.handle(event, bytes),
                Err(violation) => _ = self.channel.link.violated(violation),
            }
        }
        true
    }

    fn handle(&mut self, event: Event, bytes: &[u8]) {
        let (number, channel) = match event {
            Event::Opened(number) | Event::Closed(number, _) | Event::Bytes(number) => {
                (number, &mut self.channel)
            }
            Event::Other(Control::Shutdown(ms)) => return self.power.asked(Wish::Shutdown, ms),
            Event::Other(Control::Reboot(ms)) => return self.power.asked(Wish::Reboot, ms),
            Event::Other(Control::Resize(console::PORT, size)) => {
                return self
                    .console
                    .iter_mut()
                    .for_each(|console| console.resize(size));
            }
            // An answer to what was not asked, text: nothing to do. Room is looked at when needed.
            Event::Other(_) | Event::Room(_) | Event::Dropped | Event::Log => return,
        };
        let console = self.console.as_mut().filter(|_| number == console::PORT);
        let socket = self
            .sockets
            .iter_mut()
            .find(|socket| socket.number() == number);
        match (event, console, socket) {
            (Event::Opened(_), Some(console), _) => console.wanted(),
            (Event::Closed(..), Some(console), _) => console.closed(channel),
            (Event::Bytes(_), Some(console), _) => console.received(bytes),
            (Event::Opened(_), _, Some(socket)) => socket.opened(),
            (Event::Closed(_, errno), _, Some(socket)) => socket.closed(errno),
            (Event::Bytes(_), _, Some(socket)) => socket.received(bytes),
            (Event::Opened(_), ..) => channel.refuse(number),
            (Event::Closed(..), ..) => channel.refused(number),
            _ => {}
        }
    }

    /// Sleeps until a file has something, or it is time to look at the channel.
    fn wait(&mut self) {
        let sleep = self.idle.next();
        if sleep.is_zero() {
            pause();
        }
        let timeout = Timespec::try_from(sleep).unwrap_or_default();
        let mut files = Vec::new();
        if let Some((file, flags)) = self
            .console
            .as_ref()
            .and_then(|it| it.interest(&mut self.channel))
        {
            files.push(PollFd::from_borrowed_fd(
                std::os::fd::AsFd::as_fd(file),
                flags,
            ));
        }
        for socket in &self.sockets {
            if let Some((file, flags)) = socket.interest(&mut self.channel) {
                files.push(PollFd::from_borrowed_fd(file, flags));
            }
        }
        // A signal ends it early, which is what it is for.
        _ = poll(&mut files, Some(&timeout));
    }
}

/// A sibling of this processor may have it for a moment; an emulator runs another one.
fn pause() -> bool {
    std::hint::spin_loop();
    true
}

fn tell_end(channel: &Channel) {
    let why = match (channel.link.verdict(), channel.link.violations()) {
        (Some(Verdict::Violation), (count, Some(violation))) => {
            format!("the host broke a rule ({violation:?}; number {count})")
        }
        (Some(Verdict::Violation), _) => "the host says that we broke a rule".into(),
        (Some(Verdict::Gone) | None, _) => "the host has left, or started again".into(),
        (Some(verdict), _) => format!("it does not fit the host: {verdict:?}"),
    };
    log(format_args!("the session is over: {why}"));
}
