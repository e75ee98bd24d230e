/* SPDX-License-Identifier: GPL-2.0 */
#ifndef FIGHT_H
#define FIGHT_H

/* Offsets in the page of fight.S. */
#define FIGHT_FAR	0x100	/* u32 address of the 32-bit part, u16 selector */
#define FIGHT_GDT_PTR	0x108	/* u16 limit, u32 base */
#define FIGHT_GDT	0x110
#define FIGHT_PAGE	0x130	/* u32, the page's number */
#define FIGHT_CPUS	0x134	/* u32[2], local APIC ids in the upper byte */

#endif
