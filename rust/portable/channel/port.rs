// SPDX-License-Identifier: GPL-2.0

//! Ports: numbered streams in both directions, each with a window of its own.

use super::{
    control::Control,
    hello::STOP,
    link::{
        Error,
        Link,
        Message, //
    },
    message::{
        Class,
        Violation,
        PORT_MAX, //
    },
    shared::Shared, //
};

/// The most that a side may be allowed to send and has not sent, in bytes.
pub const WINDOW_MAX: u32 = 1 << 30;

/// What a side has said of a port.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Said {
    Nothing,
    Open,
    Close,
}

#[derive(Copy, Clone, Debug)]
struct Port {
    ours: Said,
    theirs: Said,
    /// Bytes that the peer can take still.
    may_send: u32,
    /// Bytes that it was told we can take still; nothing when we do not want any.
    may_receive: Option<u32>,
}

impl Port {
    const CLOSED: Self = Self {
        ours: Said::Nothing,
        theirs: Said::Nothing,
        may_send: 0,
        may_receive: None,
    };
}

/// What a message of the peer's means.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The peer has opened this port.
    Opened(u16),
    /// It can take more.
    Room(u16),
    /// It sends nothing more: 0, or an errno, and then it takes nothing more either.
    Closed(u16, u32),
    /// These bytes are for this port.
    Bytes(u16),
    /// Nobody wants it.
    Dropped,
    /// It is not about ports.
    Other(Control),
    /// Text for the log.
    Log,
}

/// The ports of one session.
#[derive(Clone, Debug)]
pub struct Ports {
    ports: [Port; PORT_MAX as usize],
}

impl Default for Ports {
    fn default() -> Self {
        Self {
            ports: [Port::CLOSED; PORT_MAX as usize],
        }
    }
}

impl Ports {
    fn find(&mut self, number: u16) -> Option<&mut Port> {
        self.ports.get_mut(usize::from(number).checked_sub(1)?)
    }

    fn sweep(&mut self, number: u16) {
        if let Some(port) = self.find(number) {
            if port.ours == Said::Close && port.theirs == Said::Close {
                *port = Port::CLOSED;
            }
        }
    }

    /// Opens a port on which so many bytes can be taken.
    ///
    /// # Errors
    ///
    /// `Unfinished` when it is open or being closed, `TooLong` when the window is too wide, or the
    /// number too large.
    pub fn open<M: Shared>(
        &mut self,
        link: &mut Link<M>,
        number: u16,
        window: u32,
    ) -> Result<(), Error> {
        if !(1..=WINDOW_MAX).contains(&window) {
            return Err(Error::TooLong);
        }
        let port = self.find(number).ok_or(Error::TooLong)?;
        if port.ours != Said::Nothing {
            return Err(Error::Unfinished);
        }
        send(link, Control::Open(number, window))?;
        port.ours = Said::Open;
        port.may_receive = Some(window);
        Ok(())
    }

    /// Ends what is sent on a port: all of it was sent, or there is an errno, and then nothing is
    /// received any more either. So a port that the peer has opened is refused.
    pub fn close<M: Shared>(
        &mut self,
        link: &mut Link<M>,
        number: u16,
        errno: u32,
    ) -> Result<(), Error> {
        let port = self.find(number).ok_or(Error::NotOpen)?;
        if port.ours == Said::Close {
            return Err(Error::NotOpen);
        }
        send(link, Control::Close(number, errno))?;
        port.ours = Said::Close;
        port.may_receive = port.may_receive.filter(|_| errno == 0);
        self.sweep(number);
        Ok(())
    }

    /// After [`Ports::close`] with 0: nothing is received any more either. If the peer has closed as
    /// well meanwhile, this says nothing.
    ///
    /// # Errors
    ///
    /// `NotOpen` also when the peer does not know that.
    pub fn stop<M: Shared>(
        &mut self,
        link: &mut Link<M>,
        number: u16,
        errno: u32,
    ) -> Result<(), Error> {
        let port = self.find(number).ok_or(Error::NotOpen)?;
        if port.ours != Said::Close || port.may_receive.is_none() || !link.knows(STOP) {
            return Err(Error::NotOpen);
        }
        send(link, Control::Stop(number, errno))?;
        port.may_receive = None;
        Ok(())
    }

    /// Whether the peer has opened or closed a port.
    pub fn is_met(&mut self, number: u16) -> bool {
        self.find(number)
            .is_some_and(|port| port.theirs != Said::Nothing)
    }

    /// Whether this side has opened a port, and not closed it.
    pub fn is_open(&mut self, number: u16) -> bool {
        self.find(number)
            .is_some_and(|port| port.ours == Said::Open)
    }

    /// How many bytes may be sent on a port.
    pub fn room(&mut self, number: u16) -> Result<u32, Error> {
        let port = self.find(number).ok_or(Error::NotOpen)?;
        if port.ours != Said::Open || port.theirs == Said::Nothing {
            return Err(Error::NotOpen);
        }
        Ok(port.may_send)
    }

    /// Sends a message, for all of which there must be room; then as [`Link::send`].
    pub fn send<M: Shared>(
        &mut self,
        link: &mut Link<M>,
        number: u16,
        bytes: &[u8],
    ) -> Result<usize, Error> {
        if bytes.len() > self.room(number)? as usize {
            return Err(Error::Full);
        }
        let sent = link.send(Class::Port(number), bytes)?;
        if let Some(port) = self.find(number) {
            port.may_send = port.may_send.saturating_sub(sent as u32);
        }
        Ok(sent)
    }

    /// Tells the peer that so many more bytes can be taken on a port.
    pub fn widen<M: Shared>(
        &mut self,
        link: &mut Link<M>,
        number: u16,
        bytes: u32,
    ) -> Result<(), Error> {
        let port = self.find(number).ok_or(Error::NotOpen)?;
        let window = port.may_receive.ok_or(Error::NotOpen)?;
        let sum = window.checked_add(bytes).filter(|&sum| sum <= WINDOW_MAX);
        let sum = sum.ok_or(Error::TooLong)?;
        send(link, Control::Window(number, bytes))?;
        port.may_receive = Some(sum);
        Ok(())
    }

    /// Takes note of a message that was received.
    ///
    /// # Errors
    ///
    /// What is to be told to [`Link::violated`].
    pub fn received(&mut self, message: Message, bytes: &[u8]) -> Result<Event, Violation> {
        match message.class {
            Class::Log => Ok(Event::Log),
            Class::Port(number) => self.bytes(number, message.length),
            Class::Control => match Control::decode(bytes)? {
                Control::Open(number, window) => self.opened(number, window),
                Control::Close(number, errno) => self.closed(number, errno),
                Control::Window(number, more) => self.widened(number, more),
                Control::Stop(number, errno) => Ok(self.stopped(number, errno)),
                other => Ok(Event::Other(other)),
            },
        }
    }

    fn bytes(&mut self, number: u16, length: u32) -> Result<Event, Violation> {
        let Some(window) = self.find(number).and_then(|port| port.may_receive.as_mut()) else {
            return Ok(Event::Dropped);
        };
        *window = window.checked_sub(length).ok_or(Violation::Window)?;
        Ok(Event::Bytes(number))
    }

    fn opened(&mut self, number: u16, window: u32) -> Result<Event, Violation> {
        if !(1..=WINDOW_MAX).contains(&window) {
            return Err(Violation::Window);
        }
        let port = self.find(number).ok_or(Violation::Port)?;
        if port.theirs != Said::Nothing {
            return Err(Violation::Window);
        }
        port.theirs = Said::Open;
        port.may_send = window;
        Ok(Event::Opened(number))
    }

    fn closed(&mut self, number: u16, errno: u32) -> Result<Event, Violation> {
        let port = self.find(number).ok_or(Violation::Port)?;
        if port.theirs == Said::Close {
            return Err(Violation::Window);
        }
        port.theirs = Said::Close;
        if errno != 0 {
            port.may_send = 0;
        }
        self.sweep(number);
        Ok(Event::Closed(number, errno))
    }

    /// One that is late is about a stream that is over.
    fn stopped(&mut self, number: u16, errno: u32) -> Event {
        match self.find(number) {
            Some(port) if port.theirs == Said::Close && errno != 0 => {
                port.may_send = 0;
                Event::Closed(number, errno)
            }
            _ => Event::Dropped,
        }
    }

    fn widened(&mut self, number: u16, more: u32) -> Result<Event, Violation> {
        let port = self.find(number).ok_or(Violation::Port)?;
        if port.theirs == Said::Nothing {
            return Ok(Event::Dropped);
        }
        let sum = port
            .may_send
            .checked_add(more)
            .filter(|&sum| sum <= WINDOW_MAX);
        port.may_send = sum.ok_or(Violation::Window)?;
        Ok(Event::Room(number))
    }
}

/// Sends a control message, whole or not at all: it is one frame.
fn send<M: Shared>(link: &mut Link<M>, control: Control) -> Result<(), Error> {
    link.send(Class::Control, &control.encode()).map(|_| ())
}
