// SPDX-License-Identifier: GPL-2.0

//! The host-owned page below 1 MiB through which every lent CPU passes, see `asm/trampoline.h`.

use crate::{
    apic::ApicId,
    cpu::crashing,
    ffi::{pages::Pages, x86}, //
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::Mutex,
    time::{delay::fsleep, delay::udelay, Delta, Instant, Monotonic}, //
};

// Layout of the page, as in asm/trampoline.h.
const PARAMS: usize = 0x800;
const CR3: usize = PARAMS;
const CR4: usize = PARAMS + 0x04;
const ENTRY: usize = PARAMS + 0x08;
const RSI: usize = PARAMS + 0x10;
const MSRS: usize = PARAMS + 0x18;
const GENERATION: usize = PARAMS + 0x28;
const ACK: usize = PARAMS + 0x2c;
const FAR: usize = PARAMS + 0x30;
const GDT_PTR: usize = PARAMS + 0x38;
const IDT_PTR: usize = PARAMS + 0x40;
const CALL: usize = PARAMS + 0x50;
const PRESENT: usize = PARAMS + 0x54;
const IDT: usize = 0xa00;
const GATES: usize = 32;
const IRET: usize = 0xc80;
// What an interrupt pushes below it hits nothing.
const _: () = assert!(IDT + GATES * 16 + 48 <= IRET);
const CODE_SELECTOR: u64 = 0x10;

const PAGE: usize = 4096;
/// The trampoline page, then the three page tables of a parked CPU.
const NR_PAGES: u32 = 4;

/// How long a CPU may take from SIPI to its proof. Microseconds on hardware; an emulator that
/// shares its processors with others needs the rest.
const ACK_DEADLINE: Delta = Delta::from_millis(1000);
/// When the second SIPI is sent, as the SDM's start-up sequence has it (vol. 3, 10.4.4.1).
const SECOND_SIPI: Delta = Delta::from_millis(10);

/// Where a CPU goes from the trampoline.
#[derive(Copy, Clone)]
pub(crate) struct Target {
    /// Physical address of the top page table, below 4 GiB.
    pub(crate) cr3: u32,
    /// 64-bit entry point.
    pub(crate) entry: u64,
    /// %rsi at the entry point.
    pub(crate) rsi: u64,
}

/// The trampoline. One CPU goes through at a time.
#[pin_data]
pub(crate) struct Trampoline {
    parking: Target,
    page: u8,
    #[pin]
    inner: Mutex<Inner>,
    /// The last ticket. Held during a call, which is one at a time.
    #[pin]
    tickets: Mutex<u32>,
}

struct Inner {
    low: Pages,
    generation: u32,
}

impl Trampoline {
    /// Takes four pages below 1 MiB and prepares them.
    ///
    /// # Errors
    ///
    /// ENOMEM.
    pub(crate) fn new() -> Result<impl PinInit<Self, Error>> {
        let mut low = Pages::low(NR_PAGES)?;
        let start = low.range().start;
        let base = u32::try_from(start)?;
        let page = u8::try_from(start / PAGE as u64)?;
        let code = x86::trampoline();
        low.bytes_mut()
            .get_mut(..code.len())
            .ok_or(EINVAL)?
            .copy_from_slice(code);
        relocate(&low, base);
        let parking = Target {
            cr3: base.wrapping_add(PAGE as u32),
            entry: u64::from(base) + u64::from(x86::trampoline_park()),
            rsi: 0,
        };
        Ok(try_pin_init!(Self {
            parking,
            page,
            inner <- new_mutex!(Inner { low, generation: 0 }),
            tickets <- new_mutex!(0),
        }))
    }

    /// Stops a CPU and sends it to `target`; returns when it has come by.
    ///
    /// # Errors
    ///
    /// ETIMEDOUT when the CPU gave no proof in time: it may be anywhere.
    pub(crate) fn launch(&self, cpu: ApicId, target: Target) -> Result {
        let mut inner = self.inner.lock();
        // 0 is what the page holds before the first proof.
        let generation = inner.generation.wrapping_add(1).max(1);
        inner.generation = generation;
        let low = &inner.low;
        low.write_u32(CR3, target.cr3);
        low.write_u32(CR4, x86::cr4_mce());
        low.write_u64(ENTRY, target.entry);
        low.write_u64(RSI, target.rsi);
        low.write_u32(ACK, 0);
        low.write_u32(GENERATION, generation);

        cpu.send_init();
        udelay(Delta::from_micros(10));
        self.send_startup(cpu)?;
        let sent = Instant::<Monotonic>::now();
        let mut second = true;
        // On hardware the proof is there within microseconds, so look often at first.
        for _ in 0..100 {
            if low.read_u32(ACK) == generation {
                return Ok(());
            }
            udelay(Delta::from_micros(5));
        }
        while low.read_u32(ACK) != generation {
            let waited = sent.elapsed();
            if waited >= ACK_DEADLINE {
                // A late proof must not find parameters that changed under it.
                cpu.send_init();
                return Err(ETIMEDOUT);
            }
            if second && waited >= SECOND_SIPI {
                self.send_startup(cpu)?;
                second = false;
            }
            fsleep(Delta::from_micros(200));
        }
        Ok(())
    }

    /// Wakes a CPU that waits for it, but not beside the kernel that a crash starts.
    fn send_startup(&self, cpu: ApicId) -> Result {
        if crashing() {
            return Err(ETIMEDOUT);
        }
        cpu.send_startup(self.page);
        Ok(())
    }

    /// Stops CPUs and parks them. One proof after the other does not show that all are parked: one
    /// that is not yet can wake one that is. So the parked CPUs are called in the end, and those
    /// that answer are in the parking loop all at the same time; from there nothing wakes a CPU.
    ///
    /// `proof` is told of each proof, or its absence. Returns whether all that have proved answered;
    /// where one of these did not, none of the proofs holds.
    pub(crate) fn park<T>(
        &self,
        cpus: &[T],
        apic: impl Fn(&T) -> ApicId,
        mut proof: impl FnMut(&T, Result),
    ) -> bool {
        let ticket = {
            let mut last = self.tickets.lock();
            // 0 is that of a CPU that has answered.
            *last = last.wrapping_add(1).max(1);
            *last
        };
        let parking = Target {
            rsi: ticket.into(),
            ..self.parking
        };
        let mut parked = 0;
        for cpu in cpus {
            let result = self.launch(apic(cpu), parking);
            if result.is_ok() {
                parked = u32::wrapping_add(parked, 1);
            }
            proof(cpu, result);
        }
        // One call at a time. Not held before: CPUs that give no proof would hold up the burials of others.
        let _calling = self.tickets.lock();
        self.call(ticket, parked)
    }

    /// Calls a ticket, and waits for so many answers.
    fn call(&self, ticket: u32, parked: u32) -> bool {
        let present = || self.inner.lock().low.read_u32(PRESENT);
        {
            let low = &self.inner.lock().low;
            // Late ones of an earlier call are not counted.
            low.write_u32(CALL, 0);
            low.write_u32(PRESENT, 0);
            low.write_u32(CALL, ticket);
        }
        let called = Instant::<Monotonic>::now();
        while present() != parked {
            if called.elapsed() >= ACK_DEADLINE {
                return false;
            }
            udelay(Delta::from_micros(5));
        }
        true
    }
}

/// Turns the offsets of the assembled page into addresses, and maps the first 2 MiB.
fn relocate(low: &Pages, base: u32) {
    let wide = u64::from(base);
    let add32 = |offset: usize| low.write_u32(offset, low.read_u32(offset).wrapping_add(base));
    let read64 = |offset: usize| {
        u64::from(low.read_u32(offset)) | u64::from(low.read_u32(offset.wrapping_add(4))) << 32
    };

    add32(FAR);
    // The bases follow 16-bit limits, so they are not aligned: rewrite both.
    let limit_and_base = |limit: u64| limit | (wide << 16);
    low.write_u64(GDT_PTR, limit_and_base(4 * 8 - 1) + (0x900 << 16));
    low.write_u64(
        IDT_PTR,
        limit_and_base(GATES as u64 * 16 - 1) + ((IDT as u64) << 16),
    );
    low.write_u64(IRET, read64(IRET).wrapping_add(wide));
    low.write_u64(IRET + 24, read64(IRET + 24).wrapping_add(wide));

    for (i, msr) in x86::trace_msrs().into_iter().enumerate() {
        low.write_u32(MSRS + i * 4, msr);
    }

    // 64-bit interrupt gates, SDM vol. 3, 7.14.1: present, type 14.
    for gate in (0..GATES).map(|i| IDT + i * 16) {
        let handler = read64(gate).wrapping_add(wide);
        let low_half = (handler & 0xffff)
            | CODE_SELECTOR << 16
            | 0x8e00 << 32
            | (handler >> 16 & 0xffff) << 48;
        low.write_u64(gate, low_half);
        low.write_u64(gate + 8, handler >> 32);
    }

    // PML4, PDPT, PD with one 2 MiB page (SDM vol. 3, 5.5.4): present, writable; bit 7 = page.
    low.write_u64(PAGE, (wide + 2 * PAGE as u64) | 3);
    low.write_u64(2 * PAGE, (wide + 3 * PAGE as u64) | 3);
    low.write_u64(3 * PAGE, 0x83);
}

#[kunit_tests(multikernel_trampoline)]
mod tests {
    use super::*;

    fn read_u64(low: &Pages, offset: usize) -> u64 {
        u64::from(low.read_u32(offset)) | u64::from(low.read_u32(offset + 4)) << 32
    }

    /// Every address that a CPU follows in the page lies in it.
    #[test]
    fn addresses_lie_in_the_page() -> Result {
        let mut low = Pages::low(NR_PAGES)?;
        let start = low.range().start;
        let page = start..start + PAGE as u64;
        let code = x86::trampoline();
        low.bytes_mut()[..code.len()].copy_from_slice(code);
        relocate(&low, start as u32);

        assert!(page.contains(&u64::from(low.read_u32(FAR))));
        assert_eq!(read_u64(&low, GDT_PTR) >> 16, start + 0x900);
        assert_eq!(read_u64(&low, IDT_PTR) >> 16, start + IDT as u64);
        assert!(page.contains(&read_u64(&low, IRET)));
        for gate in (0..GATES).map(|i| IDT + i * 16) {
            let low_half = read_u64(&low, gate);
            let handler = low_half & 0xffff | low_half >> 32 & 0xffff_0000;
            assert!(page.contains(&handler));
            assert_eq!(low_half >> 40 & 0xff, 0x8e);
        }
        Ok(())
    }

    /// The page tables of a parked CPU map the page to itself.
    #[test]
    fn page_is_mapped_to_itself() -> Result {
        let low = Pages::low(NR_PAGES)?;
        let start = low.range().start;
        relocate(&low, start as u32);
        let mut table = start + PAGE as u64;
        for _ in 0..2 {
            let entry = read_u64(&low, (table - start) as usize);
            assert_eq!(entry & 0xfff, 3);
            table = entry & !0xfff;
        }
        assert_eq!(read_u64(&low, (table - start) as usize), 0x83);
        Ok(())
    }
}
