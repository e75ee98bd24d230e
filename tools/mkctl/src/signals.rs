// SPDX-License-Identifier: GPL-2.0

//! Signals that are only told.

use crate::{
    error::{Error, Result},
    host::status_mask, //
};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM, SIGWINCH},
    flag,
};
use std::{
    fs,
    sync::{atomic::AtomicBool, Arc},
};

/// From here on a change of the terminal's size is told there.
pub fn watch_size() -> Result<Arc<AtomicBool>> {
    tell_of(&[SIGWINCH])
}

/// From here on the signals that end a program only say so; not those that it was started without, as by
/// nohup.
pub fn catch() -> Result<Arc<AtomicBool>> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut signals = vec![SIGINT, SIGTERM, SIGHUP];
    let ignored = status_mask(&status, "SigIgn:").unwrap_or(0);
    signals.retain(|&signal| ignored >> (signal - 1) & 1 == 0);
    tell_of(&signals)
}

fn tell_of(signals: &[i32]) -> Result<Arc<AtomicBool>> {
    let told = Arc::new(AtomicBool::new(false));
    for &signal in signals {
        flag::register(signal, told.clone()).map_err(|e| Error::system("signals", &e))?;
    }
    Ok(told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use signal_hook::low_level::raise;
    use std::{
        env,
        process::Command,
        sync::atomic::Ordering::Relaxed, //
    };

    const CHILD: &str = "MKCTL_TEST_SIGNALS";

    /// This program again, as nohup would start it.
    #[test]
    fn what_was_ignored_stays_so() {
        if env::var_os(CHILD).is_some() {
            let interrupted = catch().unwrap();
            raise(SIGHUP).unwrap();
            assert!(!interrupted.load(Relaxed));
            raise(SIGTERM).unwrap();
            assert!(interrupted.load(Relaxed));
            return;
        }
        let child = Command::new("sh")
            .args([
                "-c",
                "trap '' HUP; exec \"$0\" --exact signals::tests::what_was_ignored_stays_so",
            ])
            .arg(env::current_exe().unwrap())
            .env(CHILD, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stdout);
        assert!(child.status.success(), "{said}");
        assert!(said.contains("1 passed"), "{said}");
    }
}
