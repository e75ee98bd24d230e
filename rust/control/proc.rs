// SPDX-License-Identifier: GPL-2.0

//! The overview: /proc/multikernel. See Documentation/ABI/testing/procfs-multikernel.

use crate::{
    ffi::proc::Text,
    instance::registry,
    portable::table, //
};
use kernel::{
    prelude::*,
    seq_file::SeqFile,
    seq_print, //
};

/// A header, and a line for each instance.
pub(super) struct Overview;

impl Text for Overview {
    fn show(out: &SeqFile) -> Result {
        // Copied first: a slow reader holds no lock, and the lines are of one moment.
        let rows = registry::rows()?;
        seq_print!(out, "{}", table::HEADER);
        for row in rows.iter() {
            seq_print!(out, "{row}\n");
        }
        Ok(())
    }
}
