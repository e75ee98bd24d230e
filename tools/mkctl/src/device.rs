// SPDX-License-Identifier: GPL-2.0

//! The files of an instance that lead to the agent in it: `console`, `port2` to `port4`.

use crate::{
    error::{Error, Kind, Result},
    instance::Instance,
};
use rustix::io::Errno;
use std::{
    fs::File,
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
};

/// What is to be done with it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Access {
    Read,
    Write,
    Both,
}

/// How a read or a write went.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Moved {
    Bytes(usize),
    /// Nothing is there, or no room.
    Nothing,
    /// The agent has not opened it.
    NotConnected,
    /// The other end is closed, and all was read.
    Over,
    /// All was read of a stream that was not closed: the instance has died, or its agent.
    Cut,
}

pub struct Device<'i> {
    pub instance: &'i Instance<'i>,
    pub path: String,
    pub file: File,
}

impl<'i> Device<'i> {
    /// # Errors
    ///
    /// `NotReady` when this module has none.
    pub fn open(instance: &'i Instance<'i>, name: &str, access: Access) -> Result<Self> {
        let path = instance.device(name);
        let mut options = File::options();
        options.read(access != Access::Write);
        options.write(access != Access::Read);
        options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32);
        let file = options.open(instance.host.path(&path)).map_err(|e| {
            let error = Error::system(&path, &e);
            match error.kind {
                Kind::NoInstance => Error::new(Kind::NotReady, error.what)
                    .add("The module that is loaded has no channel to instances"),
                Kind::NotPermitted => error.add("It takes root, or who may open that file"),
                _ => error,
            }
        })?;
        Ok(Self {
            instance,
            path,
            file,
        })
    }

    fn moved(&self, result: io::Result<usize>) -> Result<Moved> {
        match result {
            Ok(count) => Ok(Moved::Bytes(count)),
            Err(e) => match Errno::from_io_error(&e) {
                Some(Errno::AGAIN | Errno::INTR) => Ok(Moved::Nothing),
                Some(Errno::NOTCONN) => Ok(Moved::NotConnected),
                Some(Errno::CONNRESET) => Ok(Moved::Cut),
                // NODEV: the instance was removed.
                Some(Errno::PIPE | Errno::NODEV | Errno::IO) => Ok(Moved::Over),
                _ => Err(Error::system(&self.path, &e)),
            },
        }
    }

    pub fn read(&self, buffer: &mut [u8]) -> Result<Moved> {
        match self.moved((&self.file).read(buffer))? {
            Moved::Bytes(0) => Ok(Moved::Over),
            moved => Ok(moved),
        }
    }

    /// With no bytes it is their end that the other side is to see, once it is there.
    pub fn write(&self, bytes: &[u8]) -> Result<Moved> {
        self.moved((&self.file).write(bytes))
    }

    /// Whether the channel to the instance may not be open yet.
    pub fn is_starting(&self) -> bool {
        self.instance.state().is_ok_and(|state| state == "starting")
    }

    /// How the instance has ended, if it has. In quarantine it has: it is not heard any more.
    pub fn end(&self) -> Option<String> {
        let instance = self.instance;
        match instance.state() {
            Ok(state) if matches!(&*state, "starting" | "running") => None,
            Ok(state) => Some(match instance.reason().as_deref() {
                None | Some("-") => format!("{instance} is {state}"),
                Some(reason) => format!("{instance} is {state}, reason {reason}"),
            }),
            Err(_) => Some(format!("{instance} was removed")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{host::tests::Tree, port};
    use std::{sync::atomic::AtomicBool, time::Duration};

    /// What it is for those who send, and for those who receive.
    #[test]
    fn a_quarantine_is_an_end() {
        let tree = Tree::new(&[
            ("/sys/class/multikernel/web/state", "quarantined\n"),
            ("/sys/class/multikernel/web/reason", "stopped\n"),
            ("/dev/multikernel/web/port2", ""),
            ("/file", "more"),
        ]);
        let (instance, never) = (tree.instance("web"), AtomicBool::new(false));
        let wait = Some(Duration::from_secs(1));
        let file = tree.host.path("/file");
        for result in [
            port::send(&instance, 2, Some(&file), wait, &never),
            port::receive(&instance, 2, wait, &never),
        ] {
            let error = result.unwrap_err();
            assert_eq!(error.kind, Kind::WrongState);
            assert_eq!(error.to_string(), "web is quarantined, reason stopped");
        }
    }
}
