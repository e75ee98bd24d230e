// SPDX-License-Identifier: GPL-2.0

//! Crates that pass values or samples: small messages by value, others in boxes.

use crate::transport::{End, Transport};
use crossbeam_queue::ArrayQueue;
use iceoryx2::{
    port::{publisher::Publisher, subscriber::Subscriber},
    prelude::*,
};
use std::sync::Mutex;

const PLACES: usize = crate::transport::REGION / 8 / 64;
const SMALL: usize = 64;

/// What goes through a queue.
pub trait Message: Send + 'static {
    fn of(bytes: &[u8]) -> Self;
    fn bytes(&self) -> &[u8];
}

impl Message for [u8; SMALL] {
    fn of(bytes: &[u8]) -> Self {
        bytes.try_into().unwrap()
    }

    fn bytes(&self) -> &[u8] {
        self
    }
}

impl Message for Box<[u8]> {
    fn of(bytes: &[u8]) -> Self {
        bytes.into()
    }

    fn bytes(&self) -> &[u8] {
        self
    }
}

struct Queues<M>([ArrayQueue<M>; 2]);

struct QueueEnd<'a, M>(&'a ArrayQueue<M>, &'a ArrayQueue<M>);

impl<M: Message> Transport for Queues<M> {
    fn end(&self, side: usize) -> Box<dyn End + '_> {
        Box::new(QueueEnd(&self.0[side], &self.0[1 - side]))
    }
}

impl<M: Message> End for QueueEnd<'_, M> {
    fn send(&mut self, bytes: &[u8]) {
        let mut message = M::of(bytes);
        while let Err(back) = self.0.push(message) {
            message = back;
        }
    }

    fn receive(&mut self, to: &mut [u8]) {
        loop {
            if let Some(message) = self.1.pop() {
                return to.copy_from_slice(message.bytes());
            }
        }
    }
}

pub fn array_queue(length: usize) -> Box<dyn Transport> {
    fn new<M: Message>() -> Box<dyn Transport> {
        Box::new(Queues::<M>([(); 2].map(|()| ArrayQueue::new(PLACES))))
    }
    if length == SMALL {
        new::<[u8; SMALL]>()
    } else {
        new::<Box<[u8]>>()
    }
}

type Channel<M> = (crossbeam_channel::Sender<M>, crossbeam_channel::Receiver<M>);

struct Channels<M>([Channel<M>; 2]);

struct ChannelEnd<M>(crossbeam_channel::Sender<M>, crossbeam_channel::Receiver<M>);

impl<M: Message> Transport for Channels<M> {
    fn end(&self, side: usize) -> Box<dyn End + '_> {
        Box::new(ChannelEnd(
            self.0[side].0.clone(),
            self.0[1 - side].1.clone(),
        ))
    }
}

impl<M: Message> End for ChannelEnd<M> {
    fn send(&mut self, bytes: &[u8]) {
        let mut message = M::of(bytes);
        while let Err(back) = self.0.try_send(message) {
            message = back.into_inner();
        }
    }

    fn receive(&mut self, to: &mut [u8]) {
        loop {
            if let Ok(message) = self.1.try_recv() {
                return to.copy_from_slice(message.bytes());
            }
        }
    }
}

pub fn crossbeam_channel(length: usize) -> Box<dyn Transport> {
    fn new<M: Message>() -> Box<dyn Transport> {
        Box::new(Channels::<M>(
            [(); 2].map(|()| crossbeam_channel::bounded(PLACES)),
        ))
    }
    if length == SMALL {
        new::<[u8; SMALL]>()
    } else {
        new::<Box<[u8]>>()
    }
}

/// Each thread has ports of its own, which find each other by name.
pub struct Iceoryx {
    length: usize,
}

struct IceoryxEnd {
    publisher: Publisher<ipc::Service, [u8], ()>,
    subscriber: Subscriber<ipc::Service, [u8], ()>,
}

impl Transport for Iceoryx {
    fn end(&self, side: usize) -> Box<dyn End + '_> {
        // Two nodes at a time disturb each other.
        static ONE: Mutex<()> = Mutex::new(());
        let _one = ONE.lock().unwrap();
        set_log_level(LogLevel::Fatal);
        let node = NodeBuilder::new().create::<ipc::Service>().unwrap();
        let service = |side: usize| {
            let name = format!(
                "multikernel-bench-{}-{}-{side}",
                std::process::id(),
                self.length
            );
            node.service_builder(&name.as_str().try_into().unwrap())
                .publish_subscribe::<[u8]>()
                .enable_safe_overflow(false)
                .subscriber_max_buffer_size(if self.length > 1 << 16 { 4 } else { 64 })
                .open_or_create()
                .unwrap()
        };
        let publisher = service(side)
            .publisher_builder()
            .initial_max_slice_len(self.length)
            .unable_to_deliver_strategy(UnableToDeliverStrategy::Block)
            .create()
            .unwrap();
        let subscriber = service(1 - side).subscriber_builder().create().unwrap();
        Box::new(IceoryxEnd {
            publisher,
            subscriber,
        })
    }
}

impl End for IceoryxEnd {
    fn send(&mut self, bytes: &[u8]) {
        let sample = self.publisher.loan_slice_uninit(bytes.len()).unwrap();
        sample.write_from_slice(bytes).send().unwrap();
    }

    fn receive(&mut self, to: &mut [u8]) {
        loop {
            if let Some(sample) = self.subscriber.receive().unwrap() {
                return to.copy_from_slice(sample.payload());
            }
        }
    }
}

pub fn iceoryx2(length: usize) -> Box<dyn Transport> {
    Box::new(Iceoryx { length })
}
