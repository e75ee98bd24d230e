// SPDX-License-Identifier: GPL-2.0

//! Control messages.

use super::{
    echo,
    message::{
        Violation,
        INLINE_MAX,
        PORT_MAX, //
    }, //
};

/// A control message.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// Asks to power off within so many milliseconds; 0 is as long as it takes.
    Shutdown(u32),
    /// Asks to restart, likewise.
    Reboot(u32),
    /// Answers such a request: 0, or an errno.
    Answer(u32),
    /// Opens a port; so many bytes can be taken there.
    Open(u16, u32),
    /// Ends what is sent on a port: 0 or an errno.
    Close(u16, u32),
    /// So many more bytes can be taken on a port.
    Window(u16, u32),
    /// The terminal at the port has this size now: rows in the upper 16 bits, columns in the lower.
    Resize(u16, u32),
    /// Wants all that follows back, see [`super::echo`]. The asker looks for it for so many
    /// microseconds before it sleeps.
    EchoRequest(u32),
    /// Brings it.
    EchoAnswer(u32),
    /// Behind a close with 0: the sender takes nothing more on this port either, an errno.
    Stop(u16, u32),
}

impl Control {
    /// As the peer reads it.
    pub fn encode(self) -> [u8; 8] {
        let (kind, port, value) = match self {
            Self::Shutdown(ms) => (1u64, 0, ms),
            Self::Reboot(ms) => (2, 0, ms),
            Self::Answer(errno) => (3, 0, errno),
            Self::Open(port, window) => (4, port, window),
            Self::Close(port, errno) => (5, port, errno),
            Self::Window(port, bytes) => (6, port, bytes),
            Self::Resize(port, size) => (7, port, size),
            Self::EchoRequest(us) => (8, 0, us),
            Self::EchoAnswer(us) => (9, 0, us),
            Self::Stop(port, errno) => (14, port, errno),
        };
        (kind | u64::from(port) << 16 | u64::from(value) << 32).to_le_bytes()
    }

    /// Checks what the peer wrote. Bytes behind the first 8 are of later versions.
    #[inline(always)]
    pub fn decode(bytes: &[u8]) -> Result<Self, Violation> {
        let word = u64::from_le_bytes(*bytes.first_chunk().ok_or(Violation::Control)?);
        let (port, value) = ((word >> 16) as u16, (word >> 32) as u32);
        let longest = match word as u16 {
            8 | 9 => echo::LENGTH_MAX,
            _ => INLINE_MAX,
        };
        if bytes.len() > longest {
            return Err(Violation::Control);
        }
        match (word as u16, port) {
            (1, 0) => Ok(Self::Shutdown(value)),
            (2, 0) => Ok(Self::Reboot(value)),
            (3, 0) => Ok(Self::Answer(value)),
            (4, 1..=PORT_MAX) => Ok(Self::Open(port, value)),
            (5, 1..=PORT_MAX) => Ok(Self::Close(port, value)),
            (6, 1..=PORT_MAX) => Ok(Self::Window(port, value)),
            (7, 1..=PORT_MAX) => Ok(Self::Resize(port, value)),
            (8, 0) => Ok(Self::EchoRequest(value)),
            (9, 0) => Ok(Self::EchoAnswer(value)),
            (14, 1..=PORT_MAX) => Ok(Self::Stop(port, value)),
            _ => Err(Violation::Control),
        }
    }
}
