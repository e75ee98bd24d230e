// SPDX-License-Identifier: GPL-2.0

//! `mk-agent` speaks for a kernel that knows nothing of multikernel: it is the spawn's end of the
//! channel (Documentation/wire-protocol.rst) in user space.

mod agent;
mod channel;
mod cli;
mod client;
mod console;
mod error;
mod heart;
mod idle;
mod log;
mod power;
mod raw;
mod region;
mod signals;
mod socket;
mod stream;
mod table;

use clap::Parser;
use cli::Cli;
use error::{Error, Kind, Result};
use multikernel_portable::channel::{
    hello::Offer,
    link::Link, //
};
use rustix::mm::{mlockall, MlockAllFlags};
use std::{
    fs,
    io::{self, ErrorKind},
    path::Path,
    process::ExitCode,
    sync::{atomic::AtomicBool, Arc},
};

/// The ports that have sockets.
const PORTS: std::ops::RangeInclusive<u16> = 2..=4;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::log(format_args!("error: {error}"));
            // CAST: At most 7.
            ExitCode::from(error.kind as u8)
        }
    }
}

fn run(cli: Cli) -> Result {
    if let Some(number) = cli.connect {
        let path = cli.sockets.join(format!("port{number}"));
        return client::connect(&path).map_err(|e| cut_or_not_there(&path, &e));
    }
    if cli.kmsg {
        log::to_kernel().map_err(|e| failed("/dev/kmsg", &e))?;
    }
    let memory = region::open(cli.region.as_ref())?;
    let end = Arc::new(AtomicBool::new(false));
    signals::catch(&end).map_err(|e| failed("signals", &e))?;
    let idle = idle::Idle::new(cli.idle());
    let sockets = if cli.no_ports {
        Vec::new()
    } else {
        bind(&cli)?
    };
    // A beat must not wait for a disk.
    _ = mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT);
    let heart = heart::Heart::new(memory);
    let offer = Offer {
        beat_ms: heart.promise_ms(),
        ..Offer::default()
    };
    let link = Link::spawn(memory, offer)
        .ok_or_else(|| Error::new(Kind::Unknown, "the region's size is wrong", ""))?;
    let agent = agent::Agent {
        channel: channel::Channel::new(link),
        heart,
        console: (!cli.no_console).then(|| console::Console::new(cli.console)),
        sockets,
        power: power::Power::new(cli.shutdown_command, cli.reboot_command, !cli.no_force),
        idle,
        sessions: agent::Sessions::default(),
        by_table: cli.region.is_none(),
    };
    agent.run(&end)
}

fn bind(cli: &Cli) -> Result<Vec<socket::Socket>> {
    let folder = &cli.sockets;
    fs::create_dir_all(folder)
        .and_then(|()| {
            PORTS
                .map(|number| socket::Socket::bind(folder, number))
                .collect()
        })
        .map_err(|e| failed(&folder.display().to_string(), &e))
}

/// Why `--connect` ended too early, if it began at all.
fn cut_or_not_there(port: &Path, error: &io::Error) -> Error {
    let remedy = match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
            "mk-agent must run here, without --no-ports; --sockets names its folder"
        }
        _ => "",
    };
    Error::new(Kind::Failed, format!("{}: {error}", port.display()), remedy)
}

fn failed(what: &str, error: &io::Error) -> Error {
    Error::new(Kind::Failed, format!("{what}: {error}"), "")
}
