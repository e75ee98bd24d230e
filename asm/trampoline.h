/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The trampoline page: offsets shared by trampoline.S and rust/trampoline.rs.
 *
 * One host-owned page below 1 MiB. A CPU enters it at offset 0 in real mode
 * (SIPI), goes to 64-bit mode on the page tables it is told, writes the
 * generation number as proof that it came by, and jumps to its entry: the
 * kernel of a spawn, or the parking loop in this very page. There it waits for
 * its ticket (%esi) to be called, and answers once.
 */
#ifndef MULTIKERNEL_TRAMPOLINE_H
#define MULTIKERNEL_TRAMPOLINE_H

#define TRAMPOLINE_PARAMS	0x800	/* struct Params of rust/trampoline.rs */
#define PARAMS_CR3		0x00	/* u32, page table below 4 GiB */
#define PARAMS_CR4		0x04	/* u32, set besides PAE */
#define PARAMS_ENTRY		0x08	/* u64, where to go in 64-bit mode */
#define PARAMS_RSI		0x10	/* u64, the entry's %rsi */
#define PARAMS_MSRS		0x18	/* u32[4], MSRs to clear, up to the first 0 */
#define PARAMS_GENERATION	0x28	/* u32, number of this start */
#define PARAMS_ACK		0x2c	/* u32, written by the CPU: its proof */
#define PARAMS_FAR		0x30	/* u32 offset + u16 selector, patched */
#define PARAMS_GDT_PTR		0x38	/* u16 limit + u32 base, patched */
#define PARAMS_IDT_PTR		0x40	/* u16 limit + u64 base, patched */
#define PARAMS_CALL		0x50	/* u32, ticket of the parked CPUs that are called */
#define PARAMS_PRESENT		0x54	/* u32, how many have answered */
#define TRAMPOLINE_GDT		0x900
#define TRAMPOLINE_IDT		0xa00	/* 32 gates, up to 0xc00 */
/* u64[5], the parked CPU's return frame; an interrupt may push 48 bytes below it. */
#define TRAMPOLINE_IRET		0xc80
#define TRAMPOLINE_STACK_TOP	0x1000

#define TRAMPOLINE_CS		0x10	/* __BOOT_CS of the boot protocol */
#define TRAMPOLINE_DS		0x18	/* __BOOT_DS */

#endif
