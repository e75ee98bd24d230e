// SPDX-License-Identifier: GPL-2.0

//! `mkctl` runs and looks after the instances of multikernel.
//!
//! It uses what everybody can use: configfs, /sys/class/multikernel, /proc/multikernel,
//! /dev/multikernel, and kexec.

mod check;
mod cli;
mod config;
mod console;
mod cpu;
mod device;
mod error;
mod host;
mod instance;
mod kexec;
mod kmsg;
mod log;
mod output;
mod ping;
mod port;
mod run;
mod running;
mod signals;
mod table;
mod terminal;
mod vmcore;
mod wait;

use clap::Parser;
use cli::{Cli, Command, Escape};
use error::{Kind, Result};
use host::Host;
use instance::{Instance, Order};
use kexec::Kexec;
use multikernel_portable::{name::Name, ping::Wait};
use std::process::ExitCode;

fn main() -> ExitCode {
    match obey(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            output::tell(format!("error: {error}\n"));
            // CAST: At most 130.
            ExitCode::from(error.kind as u8)
        }
    }
}

fn obey(command: Command) -> Result<ExitCode> {
    let host = Host::new("/");
    let find = |name: Name| Instance::find(&host, name);
    match command {
        Command::Check { json } => return check::check(&host, json),
        Command::List { json } => {
            let mut table = table::Table::read(&host)?;
            table.explain(&host);
            let text = if json {
                format!("{:#}\n", table.json())
            } else {
                table.text()
            };
            output::print(text)?;
        }
        Command::Run(args) => {
            host.ready()?;
            let interrupted = signals::catch()?;
            let done = run::run(&host, Kexec::find()?, &args, &interrupted)?;
            output::print(format!("{done}\n"))?;
            if args.console {
                let resized = signals::watch_size()?;
                console::attach(
                    &find(args.name)?,
                    Escape::default(),
                    None,
                    &interrupted,
                    &resized,
                )?;
            }
        }
        Command::Console { escape, wait, name } => {
            let (interrupted, resized) = (signals::catch()?, signals::watch_size()?);
            console::attach(&find(name)?, escape, wait.wait, &interrupted, &resized)?
        }
        Command::Send {
            wait,
            name,
            port,
            file,
        } => port::send(
            &find(name)?,
            port,
            file.as_deref(),
            wait.wait,
            &*signals::catch()?,
        )?,
        Command::Recv { wait, name, port } => {
            port::receive(&find(name)?, port, wait.wait, &*signals::catch()?)?
        }
        Command::Ping {
            count,
            size,
            wake,
            poll,
            json,
            name,
        } => {
            let wait = match (wake, poll) {
                (_, true) => Wait::Poll,
                (true, false) => Wait::Wake,
                (false, false) => Wait::Sleep,
            };
            let answers = ping::ping(&find(name)?, count, size, wait)?;
            let text = if json {
                format!("{:#}\n", answers.json())
            } else {
                format!("{answers}\n")
            };
            output::print(text)?;
        }
        Command::Start { name } => find(name)?.order(Order::Start)?,
        Command::Stop { force, name } => {
            let instance = find(name)?;
            match instance.order(Order::Stop) {
                Err(error) if force && error.kind == Kind::Failed => instance.order(Order::Kill)?,
                result => result?,
            }
        }
        Command::Kill { name } => find(name)?.order(Order::Kill)?,
        Command::Restart { name } => find(name)?.order(Order::Restart)?,
        Command::Rm {
            force,
            online,
            name,
        } => run::remove(&find(name)?, force, online)?,
        Command::Wait {
            state,
            timeout,
            name,
        } => {
            let instance = find(name)?;
            let state = wait::wait(&instance, &state, timeout)?;
            let reason = instance.reason().unwrap_or_default();
            output::print(format!("{state} {reason}\n"))?;
        }
        Command::Log {
            follow,
            running: true,
            name,
        } => running::print(&find(name)?, follow)?,
        Command::Log {
            follow: true, name, ..
        } => log::follow(&find(name)?)?,
        Command::Log { name, .. } => log::print(&find(name)?)?,
        Command::Core { name, file } => {
            let copied = vmcore::copy(&find(name)?, &file, &*signals::catch()?)?;
            let broken = match copied.broken {
                0 => String::new(),
                pages => format!(", pages of broken memory left out: {pages}"),
            };
            let size = copied.size >> 20;
            output::print(format!("{}: {size} MiB{broken}\n", file.display()))?;
        }
        Command::Set { name, pairs } if pairs.is_empty() => {
            output::print(config::show(&find(name)?)?)?
        }
        Command::Set { name, pairs } => config::set(&find(name)?, &pairs)?,
    }
    Ok(ExitCode::SUCCESS)
}
