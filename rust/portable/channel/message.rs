// SPDX-License-Identifier: GPL-2.0

//! What frames say.

/// The longest message in bytes.
pub const MESSAGE_MAX: usize = 1 << 20;
/// The longest payload that lies in the slot, in bytes.
pub const INLINE_MAX: usize = 48;
/// The largest number of a port; the smallest is 1.
pub const PORT_MAX: u16 = 63;

/// A rule that the peer broke.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A frame longer than frames are, or of a length that its flags exclude.
    Length,
    /// A class that there is not.
    Class,
    /// Flags that there are not.
    Flags,
    /// A port where there is none, or none where one belongs, or one that there is not.
    Port,
    /// A frame that does not continue the message before it, or makes it too long.
    Message,
    /// Credits for what was never sent, or fewer than before.
    Credit,
    /// A control message that cannot be understood.
    Control,
    /// More bytes on a port than the window allows, too wide a window, or one of a port that is not
    /// open.
    Window,
}

/// What kind of message.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Class {
    /// See [`super::control`].
    Control,
    /// Text that may be dropped.
    Log,
    /// Bytes of the port with this number, from 1 to [`PORT_MAX`].
    Port(u16),
}

/// Whether a message goes on.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The message ends with this frame.
    Last,
    /// It goes on in the next one.
    More,
    /// It ends here, and what there was of it is void.
    Abort,
}

/// The second word of a slot.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Bytes of the frame.
    pub length: u32,
    /// Kind of the message.
    pub class: Class,
    /// Place in the message.
    pub part: Part,
}

impl Head {
    /// As the peer reads it.
    pub fn encode(&self) -> u64 {
        let (class, port) = match self.class {
            Class::Control => (1, 0),
            Class::Log => (2, 0),
            Class::Port(port) => (3, port),
        };
        let flags: u64 = match self.part {
            Part::Last => 0,
            Part::More => 1,
            Part::Abort => 2,
        };
        u64::from(self.length) | class << 32 | flags << 40 | u64::from(port) << 48
    }

    /// Checks what the peer wrote; `longest` is that of a frame.
    pub fn decode(word: u64, longest: u32) -> Result<Self, Violation> {
        let (length, port) = (word as u32, (word >> 48) as u16);
        let class = match (word >> 32 & 0xff, port) {
            (1, 0) => Class::Control,
            (2, 0) => Class::Log,
            (3, 1..=PORT_MAX) => Class::Port(port),
            (1..=3, _) => return Err(Violation::Port),
            _ => return Err(Violation::Class),
        };
        let part = match word >> 40 & 0xff {
            0 => Part::Last,
            1 => Part::More,
            2 => Part::Abort,
            _ => return Err(Violation::Flags),
        };
        let right = match part {
            Part::Last => length <= longest,
            Part::More => (1..=longest).contains(&length),
            Part::Abort => length == 0,
        };
        if !right {
            return Err(Violation::Length);
        }
        Ok(Self {
            length,
            class,
            part,
        })
    }
}
