// SPDX-License-Identifier: GPL-2.0

//! The module in a spawn kernel: its end of the channel to the host.

use crate::{
    channel::{Channel, Handle, Neighbours, Open, Port},
    ffi::{
        misc,
        shared::SharedMemory,
        spawn::{Mapping, Notified, Registration},
        stream,
        work::OwnedQueue, //
    },
    portable::{
        channel::layout::{Region, Role},
        channel::status::{Status, CPUS},
        name::Name,
        range::Range, //
    },
};
use kernel::{
    prelude::*,
    sync::{Arc, ArcBorrow}, //
};

/// What notifiers and beats use.
struct End {
    channel: Arc<Channel>,
    memory: SharedMemory,
    status: Status,
}

/// This end. Fields drop in this order: first those through which somebody comes.
pub(crate) struct Spawn {
    _streams: KVec<misc::Registration>,
    _notifiers: Registration,
    _open: Open,
    _queue: Drained,
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
        let queue = Drained(Arc::new(OwnedQueue::new(c"multikernel-talk")?, GFP_KERNEL)?);
        let name = Name::new(b"host").map_err(|_| EINVAL)?;
        let channel = Channel::new(name, Role::Spawn, queue.0.clone())?;
        // An agent, or another kernel, was here before, perhaps.
        (0..CPUS).for_each(|cpu| status.rest(&memory, cpu));
        let open = channel.begin(memory, Neighbours::Host)?;
        let end = End {
            channel: channel.clone(),
            memory,
            status,
        };
        let notifiers = Registration::new(Arc::new(end, GFP_KERNEL)?)?;
        let mut ports = KVec::new();
        for (number, file) in (2..).zip([c"port2", c"port3", c"port4"]) {
            let channel = channel.clone();
            let port = Arc::new(Port { channel, number }, GFP_KERNEL)?;
            ports.push((file, port), GFP_KERNEL)?;
        }
        let mut streams = KVec::with_capacity(ports.len(), GFP_KERNEL)?;
        // Nothing fails from here on: who has opened a file would outlive a failed init.
        for (file, port) in ports {
            match stream::register::<Handle>(c"host", file, port) {
                // There is room.
                Ok(stream) => drop(streams.push_within_capacity(stream)),
                Err(e) => pr_err!("there is no /dev/multikernel/host/{file:?}: {e:?}\n"),
            }
        }
        pr_info!(
            "this kernel is a spawn; the channel to its host has {} bytes\n",
            range.size
        );
        Ok(Self {
            _streams: streams,
            _notifiers: notifiers,
            _open: open,
            _queue: queue,
            _mapping: mapping,
        })
    }
}

/// A queue that is empty when it is dropped: the last work may hold the channel, which holds the
/// queue.
struct Drained(Arc<OwnedQueue>);

impl Drop for Drained {
    fn drop(&mut self) {
        self.0.drain();
    }
}

impl Notified for End {
    fn beat(this: ArcBorrow<'_, Self>, cpu: u32, alive: bool) {
        // CAST: A CPU's number.
        let at = cpu as usize;
        if alive {
            this.status.beat(&this.memory, at);
            // Should a doorbell have been lost, while a vector moved for example.
            this.channel.tick(&this.memory);
        } else {
            this.status.rest(&this.memory, at);
        }
    }

    fn panic(this: ArcBorrow<'_, Self>, text: &[u8]) {
        this.status.panic(&this.memory, text);
        this.channel.ring_blindly(&this.memory);
    }

    fn leave(this: ArcBorrow<'_, Self>) {
        this.channel.end();
    }
}
