// SPDX-License-Identifier: GPL-2.0

//! The signals that end the agent.

use signal_hook::flag::register;
use std::{
    fs, io,
    sync::{atomic::AtomicBool, Arc},
};

/// From here on they only say so. One that the agent was started without, as by nohup, says nothing; but it
/// is caught, too: the agent's children are to have it.
pub fn catch(end: &Arc<AtomicBool>) -> io::Result<()> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        let told = if is_ignored(&status, signal) {
            Arc::default()
        } else {
            end.clone()
        };
        register(signal, told)?;
    }
    Ok(())
}

/// Whether it is, by what /proc says of a process.
fn is_ignored(status: &str, signal: i32) -> bool {
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}
