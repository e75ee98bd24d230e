// SPDX-License-Identifier: GPL-2.0

//! The module in a spawn kernel: its end of the channel to the host.

use crate::{
    channel::{Channel, Handle, Neighbours, Open, Port},
    ffi::{
        shared::SharedMemory,
        spawn::{self, Callbacks, Mapping},
        stream,
        work::OwnedQueue, //
    },
    portable::{
        channel::layout::{Region, Role},
        channel::status::Status,
        name::Name,
        range::Range, //
    },
};
use kernel::{
    prelude::*,
    sync::{Arc, SetOnce}, //
};

/// What notifiers and beats use. It stays for the life of the module.
struct End {
    channel: Arc<Channel>,
    memory: SharedMemory,
    status: Status,
}

static END: SetOnce<End> = SetOnce::new();

/// This end. Fields drop in this order: first those through which somebody comes.
pub(crate) struct Spawn {
    _streams: KVec<stream::Registration>,
    _notifiers: spawn::Registration,
    _open: Open,
    queue: Arc<OwnedQueue>,
    _mapping: Mapping,
}

impl Spawn {
    /// Says hello to the host in the region at `range`.
    ///
    /// # Errors
    ///
    /// EINVAL for a region that the protocol does not know, ENOMEM.
    pub(crate) fn new(range: Range) -> Result<Self> {
        let mapping = Mapping::new(range)?;
        let memory = mapping.memory();
        let region = usize::try_from(range.size).ok().and_then(Region::new);
        let status = Status::new(&region.ok_or(EINVAL)?, Role::Spawn);
        let queue = Arc::new(OwnedQueue::new(c"multikernel")?, GFP_KERNEL)?;
        let name = Name::new(b"host").map_err(|_| EINVAL)?;
        let channel = Channel::new(name, Role::Spawn, queue.clone())?;
        let open = channel.begin(memory, Neighbours::Host)?;
        let end = End {
            channel: channel.clone(),
            memory,
            status,
        };
        if !END.populate(end) {
            return Err(EBUSY);
        }
        let notifiers = spawn::Registration::new(Callbacks { beat, panic, leave })?;
        let mut streams = KVec::new();
        for (number, file) in (2..).zip([c"port2", c"port3", c"port4"]) {
            let channel = channel.clone();
            let port = Arc::new(Port { channel, number }, GFP_KERNEL)?;
            let stream = stream::Registration::new::<Handle>(c"host", file, port)?;
            streams.push(stream, GFP_KERNEL)?;
        }
        pr_info!(
            "this kernel is a spawn; the channel to its host has {} bytes\n",
            range.size
        );
        Ok(Self {
            _streams: streams,
            _notifiers: notifiers,
            _open: open,
            queue,
            _mapping: mapping,
        })
    }
}

impl Drop for Spawn {
    fn drop(&mut self) {
        self.queue.drain();
    }
}

fn beat(cpu: u32, alive: bool) {
    let (Some(end), Ok(at)) = (END.as_ref(), usize::try_from(cpu)) else {
        return;
    };
    if alive {
        end.status.beat(&end.memory, at);
        // Should a doorbell have been lost, while a vector moved for example.
        end.channel.tick(&end.memory);
    } else {
        end.status.rest(&end.memory, at);
    }
}

fn panic(text: &[u8]) {
    if let Some(end) = END.as_ref() {
        end.status.panic(&end.memory, text);
        end.channel.ring_blindly(&end.memory);
    }
}

fn leave() {
    if let Some(end) = END.as_ref() {
        end.channel.end();
    }
}
