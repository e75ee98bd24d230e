// SPDX-License-Identifier: GPL-2.0

//! What a machine's firmware and boot loader would have prepared for a spawn kernel: ACPI tables,
//! zero page, command line, page tables, an I/O APIC.

use super::{
    acpi,
    boot_params,
    bzimage::Header,
    cmdline,
    efi,
    fault::{Errno, Fault, Result},
    layout::{Layout, Memory, FIRMWARE_SIZE, LOW_PAGES_SIZE},
    page_table::{self, PAGE},
    range::Range, //
};

/// The machine that an instance is.
#[derive(Copy, Clone, Debug)]
pub struct Machine<'a> {
    /// Its memory.
    pub memory: Memory<'a>,
    /// Local APIC ids of its CPUs, the boot CPU's first.
    pub apic_ids: &'a [u32],
    /// Whether the host is in x2APIC mode, which a CPU keeps when it is lent.
    pub x2apic: bool,
    /// Frequency of the time stamp counter in kHz.
    pub tsc_khz: u32,
}

/// Chooses an APIC id that no CPU of the machine has, for the MADT's first entry: 254 if
/// possible, otherwise the largest free one that a local APIC entry can hold, otherwise, in
/// x2APIC mode, the smallest above.
pub fn phantom(apic_ids_in_use: impl Fn(u32) -> bool, x2apic: bool) -> Option<u32> {
    let wide = if x2apic {
        256..acpi::APIC_ID_LIMIT
    } else {
        0..0
    };
    // 255 means all CPUs.
    (1..=acpi::XAPIC_MAX)
        .rev()
        .chain(wide)
        .find(|&id| !apic_ids_in_use(id))
}

/// Writes the firmware area `fw` and the low pages `low`, whatever they held before.
///
/// `phantom` comes from [`phantom`], `layout` from [`Layout::new`] for the same memory and
/// header, `initrd_len` is the initrd's exact length, 0 for none.
///
/// # Errors
///
/// `Inval` for slices of other sizes than the ranges they stand for, an initrd that the layout
/// does not have, no CPU, a bad APIC id, or an unbalanced quote in the command line; `TooBig`
/// when the command line, the page tables or the ACPI tables do not fit.
#[expect(
    clippy::too_many_arguments,
    reason = "each is needed, and it is called once"
)]
pub fn build(
    machine: &Machine<'_>,
    phantom: u32,
    layout: &Layout,
    header: &Header,
    user_cmdline: &[u8],
    initrd_len: u64,
    fw: &mut [u8],
    low: &mut [u8],
) -> Result<()> {
    let memory = &machine.memory;
    check("firmware area", fw.len() as u64, FIRMWARE_SIZE)?;
    check("low pages", low.len() as u64, LOW_PAGES_SIZE)?;
    check(
        "initrd",
        pages(initrd_len),
        layout.initrd.map_or(0, |range| range.size),
    )?;
    fw.fill(0);
    low.fill(0);

    let (top, io_apic) = low.split_at_mut_checked(PAGE as usize).ok_or(OUTSIDE)?;
    let window = io_apic
        .get_mut(acpi::IO_APIC_WINDOW..)
        .and_then(|w| w.first_chunk_mut());
    *window.ok_or(OUTSIDE)? = acpi::IO_APIC_VERSION.to_le_bytes();

    let config = acpi::Config {
        apic_ids: machine.apic_ids,
        phantom,
        x2apic: machine.x2apic,
        io_apic: memory.low_pages.start.saturating_add(PAGE),
        reset_reg: layout.reset_reg,
        sleep_reg: layout.sleep_reg,
        shared: layout.shared,
    };
    acpi::build(&config, layout.rsdp, part(fw, layout, layout.acpi)?)?;

    let page = |start| Range { start, size: PAGE };
    let runtime = Range {
        start: layout.efi_code,
        size: 2 * PAGE,
    };
    let (code, data) = part(fw, layout, runtime)?
        .split_at_mut_checked(PAGE as usize)
        .ok_or(OUTSIDE)?;
    efi::fill(layout, code, data)?;
    let map = part(fw, layout, page(layout.efi_map))?;
    let (reset, map_size) = if header.has_efi() {
        (cmdline::Reset::Efi, efi::fill_map(memory, layout, map)?)
    } else {
        (cmdline::Reset::Acpi, 0)
    };
    let zero_page = part(fw, layout, page(layout.boot_params))?;
    boot_params::fill(memory, layout, header, initrd_len, map_size, zero_page)?;

    let text = Range {
        start: layout.cmdline,
        size: layout.cmdline_size,
    };
    let ours = cmdline::Params {
        tsc_khz: machine.tsc_khz,
        phantom_apic: phantom,
        reset,
    };
    cmdline::compose(
        user_cmdline,
        &ours,
        part(fw, layout, text)?,
        header.cmdline_size(),
    )?;

    let tables = part(fw, layout, layout.page_tables)?;
    let mut builder = page_table::Builder::new(top, tables, layout.page_tables.start);
    memory
        .mapped()
        .try_for_each(|range| builder.map(range, memory.huge_pages))
}

const OUTSIDE: Fault = Fault {
    errno: Errno::Inval,
    field: "layout",
    value: 0,
    remedy: "use one made for the same memory",
};

fn check(field: &'static str, value: u64, expected: u64) -> Result<()> {
    if value == expected {
        return Ok(());
    }
    Err(Fault {
        errno: Errno::Inval,
        field,
        value,
        remedy: "use the layout's sizes",
    })
}

/// The bytes of `range` in the firmware area.
fn part<'a>(fw: &'a mut [u8], layout: &Layout, range: Range) -> Result<&'a mut [u8]> {
    let offset = range
        .start
        .checked_sub(layout.firmware.start)
        .ok_or(OUTSIDE)?;
    let offset = usize::try_from(offset).map_err(|_| OUTSIDE)?;
    let size = usize::try_from(range.size).map_err(|_| OUTSIDE)?;
    fw.get_mut(offset..)
        .and_then(|rest| rest.get_mut(..size))
        .ok_or(OUTSIDE)
}

/// Rounds up to whole pages; a length that has none is not in any layout.
fn pages(size: u64) -> u64 {
    size.checked_next_multiple_of(PAGE).unwrap_or(u64::MAX)
}
