// SPDX-License-Identifier: GPL-2.0

//! How long it takes to the peer and back: messages that it returns as they are.

use super::{
    control::Control,
    hello::ECHO,
    link::{
        Link,
        Message, //
    },
    message::{
        Class,
        Violation, //
    },
    shared::Shared, //
};

/// Bytes of the longest one: a control word, and what follows.
pub const LENGTH_MAX: usize = 8 + 4096;
/// Longest time that one side looks for the next message because the other one does, in
/// microseconds.
pub const LOOK_US: u32 = 50;
/// That time, counted in looks; each has a pause.
pub const LOOKS: u32 = 1000;
/// Requests that are answered in one go.
const ANSWERS: u32 = 256;

/// Looks so many times for a message; `pause` is what to do in between, and whether to go on.
pub fn look<M: Shared>(
    link: &mut Link<M>,
    buffer: &mut [u8],
    looks: u32,
    mut pause: impl FnMut() -> bool,
) -> Option<Message> {
    for _ in 0..looks {
        match link.receive(buffer) {
            Ok(None) if pause() => {}
            Ok(message) => return message,
            Err(_) => return None,
        }
    }
    None
}

/// Answers a request of which `message` is all; the asker looks for the answer for `us`. Whether it
/// does, and so is likely to ask again soon.
pub fn answer<M: Shared>(link: &mut Link<M>, us: u32, message: &mut [u8]) -> bool {
    if !link.knows(ECHO) {
        let _ = link.violated(Violation::Control);
        return false;
    }
    // Larger than the smallest regions' frames: as if there was no room.
    if message.len() <= link.frame_max() as usize {
        if let Some(word) = message.first_chunk_mut() {
            *word = Control::EchoAnswer(us).encode();
        }
        // The asker does not wait for ever.
        let _ = link.send(Class::Control, message);
    }
    us > 0
}

/// Answers requests as soon as they come, until none comes for a while, or something else does.
pub fn linger<M: Shared>(
    link: &mut Link<M>,
    buffer: &mut [u8],
    mut pause: impl FnMut() -> bool,
) -> Option<Message> {
    for _ in 0..ANSWERS {
        let message = look(link, buffer, LOOKS, &mut pause)?;
        let bytes = buffer.get_mut(..message.length as usize).unwrap_or(&mut []);
        let us = match (message.class, Control::decode(bytes)) {
            (Class::Control, Ok(Control::EchoRequest(us))) => us,
            _ => return Some(message),
        };
        if !answer(link, us, bytes) {
            return None;
        }
    }
    None
}
