// SPDX-License-Identifier: GPL-2.0

//! A port as a Unix stream socket: each client is one stream, and others wait for its end.

use crate::{
    channel::Channel,
    stream::{Stream, Turn, WINDOW},
};
use rustix::{
    event::{poll, PollFd, PollFlags, Timespec},
    fd::BorrowedFd,
    fs::Mode,
    io::ioctl_fionread,
    process::umask,
};
use std::{
    fs, io,
    net::Shutdown,
    os::{
        fd::AsFd,
        unix::net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
};

/// EPIPE: the client has gone.
const GONE: u32 = 32;

/// What a side has said of the port.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Said {
    Nothing,
    Open,
    Close,
    /// That nobody is there any more.
    Gone,
}

pub struct Socket {
    number: u16,
    path: PathBuf,
    listener: UnixListener,
    client: Option<UnixStream>,
    stream: Stream,
    ours: Said,
    theirs: Said,
    /// The client sends no more.
    has_ended: bool,
    /// The client was told that the host sends no more.
    is_told: bool,
}

impl Socket {
    /// Makes `portN` in this folder, for its owner alone.
    pub fn bind(folder: &Path, number: u16) -> io::Result<Self> {
        let path = folder.join(format!("port{number}"));
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let before = umask(Mode::RWXG | Mode::RWXO | Mode::XUSR);
        let listener = UnixListener::bind(&path);
        umask(before);
        let listener = listener?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            number,
            path,
            listener,
            client: None,
            stream: Stream::new(number),
            ours: Said::Nothing,
            theirs: Said::Nothing,
            has_ended: false,
            is_told: false,
        })
    }

    pub fn number(&self) -> u16 {
        self.number
    }

    /// The session is over, and a stream that was cut is no stream.
    pub fn session_ended(&mut self) {
        self.client = None;
        self.forget();
    }

    fn forget(&mut self) {
        self.stream = Stream::new(self.number);
        self.ours = Said::Nothing;
        self.theirs = Said::Nothing;
        self.has_ended = false;
        self.is_told = false;
    }

    pub fn opened(&mut self) {
        self.theirs = Said::Open;
    }

    pub fn received(&mut self, bytes: &[u8]) {
        self.stream.received(bytes);
    }

    /// The host sends no more; with an errno, or without having opened, it takes no more either.
    pub fn closed(&mut self, errno: u32) {
        if errno != 0 || self.theirs == Said::Nothing {
            self.client = None;
        }
        self.theirs = Said::Close;
    }

    /// Whether something was moved.
    pub fn serve(&mut self, channel: &mut Channel) -> bool {
        let mut busy = false;
        if self.client.is_none() && self.ours == Said::Nothing && channel.is_open() {
            self.client = self.accept();
            busy = self.client.is_some();
        }
        if self.client.is_some() {
            busy |= match self.move_bytes(channel) {
                Ok(moved) => moved,
                Err(_) => {
                    self.client = None;
                    true
                }
            };
        }
        if self.client.is_none() {
            self.stream.discard(channel);
            let told = match (self.ours, self.theirs) {
                // Also what the host closes before anybody has opened.
                (Said::Open, _) | (Said::Nothing, Said::Close) => channel.close(self.number, GONE),
                (Said::Close, Said::Nothing | Said::Open) => channel.stop(self.number, GONE),
                _ => false,
            };
            if told {
                self.ours = Said::Gone;
            }
            if matches!(self.ours, Said::Close | Said::Gone) && self.theirs == Said::Close {
                self.forget();
            }
        }
        busy
    }

    fn accept(&self) -> Option<UnixStream> {
        let (client, _) = self.listener.accept().ok()?;
        client.set_nonblocking(true).ok().map(|()| client)
    }

    /// # Errors
    ///
    /// The client has gone.
    fn move_bytes(&mut self, channel: &mut Channel) -> io::Result<bool> {
        let Some(client) = &self.client else {
            return Ok(false);
        };
        if self.ours == Said::Nothing {
            let Channel { link, ports, .. } = channel;
            if ports.open(link, self.number, WINDOW).is_err() {
                return Ok(false);
            }
            self.ours = Said::Open;
        }
        let mut moved = match self.stream.write(channel, client) {
            Ok(moved) => moved,
            // It takes nothing more, and what it has sent goes on.
            Err(_) => {
                self.stream.discard(channel);
                false
            }
        };
        if self.theirs == Said::Close && self.stream.is_written() && !self.is_told {
            client.shutdown(Shutdown::Write)?;
            self.is_told = true;
        }
        if !self.has_ended {
            match self.stream.read(channel, client)? {
                Turn::Moved => moved = true,
                Turn::End => self.has_ended = true,
                Turn::Empty | Turn::Full => {}
            }
        } else if self.ours == Said::Open {
            self.stream.flush(channel);
        }
        if self.has_ended
            && self.ours == Said::Open
            && self.stream.is_sent()
            && channel.close(self.number, 0)
        {
            self.ours = Said::Close;
        }
        if self.ours == Said::Close && self.is_told {
            self.client = None;
        } else if !self.reads(channel) && self.has_gone(client) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(moved)
    }

    /// Whether the client's bytes are taken now.
    fn reads(&self, channel: &mut Channel) -> bool {
        !self.has_ended && channel.room(self.number) > 0
    }

    /// Whether the client takes nothing more, and all that it sent is on its way.
    fn has_gone(&self, client: &UnixStream) -> bool {
        let mut files = [PollFd::new(client, PollFlags::empty())];
        let is_over = poll(&mut files, Some(&Timespec::default())).is_ok_and(|count| count > 0);
        is_over && self.is_passed_on(client)
    }

    fn is_passed_on(&self, client: &UnixStream) -> bool {
        self.stream.is_sent() && ioctl_fionread(client).is_ok_and(|count| count == 0)
    }

    /// What to wait for, if there is something.
    pub fn interest(&self, channel: &mut Channel) -> Option<(BorrowedFd<'_>, PollFlags)> {
        match &self.client {
            None => (self.ours == Said::Nothing && channel.is_open())
                .then(|| (self.listener.as_fd(), PollFlags::IN)),
            Some(client) => {
                let mut flags = self.stream.interest(channel);
                flags.set(
                    PollFlags::IN,
                    !self.has_ended && flags.contains(PollFlags::IN),
                );
                // With none it tells that the client has gone.
                (!flags.is_empty() || self.is_passed_on(client)).then(|| (client.as_fd(), flags))
            }
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        _ = fs::remove_file(&self.path);
    }
}
