// SPDX-License-Identifier: GPL-2.0

//! Lines for people: on standard error, or in the kernel log.

use std::{fmt, fs::File, io::Write, sync::OnceLock};

static KERNEL_LOG: OnceLock<File> = OnceLock::new();

/// From here on lines go to the kernel log. A console may be slow; the kernel log is not.
pub fn to_kernel() -> std::io::Result<()> {
    let file = File::options().write(true).open("/dev/kmsg")?;
    _ = KERNEL_LOG.set(file);
    Ok(())
}

/// Writes a line. What cannot be written is lost.
pub fn log(text: impl fmt::Display) {
    match KERNEL_LOG.get() {
        // Each write is a line there.
        Some(mut file) => _ = file.write_all(format!("<5>mk-agent: {text}\n").as_bytes()),
        None => _ = writeln!(std::io::stderr(), "{text}"),
    }
}
