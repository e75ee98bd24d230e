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
    let ignored = status_mask("SigIgn:").unwrap_or(0);
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        let told = if ignored >> (signal - 1) & 1 == 1 {
            Arc::default()
        } else {
            end.clone()
        };
        register(signal, told)?;
    }
    Ok(())
}

/// A mask of bits in what /proc says of this process.
pub fn status_mask(field: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let mask = status.lines().find_map(|line| line.strip_prefix(field))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}
