/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Two CPUs that wake each other: whoever runs this sends the other one INIT
 * and SIPI into it, for ever. A copy runs in a page below 1 MiB, in which
 * faults_main.c fills in what depends on its address.
 */
#include <linux/linkage.h>
#include <asm/apicdef.h>
#include "fight.h"

	.section .rodata, "a", @progbits
	.balign 16

SYM_DATA_START(fight)
	.code16
	cli
	movw	%cs, %ax
	movw	%ax, %ds
	movzwl	%ax, %ebx
	shll	$4, %ebx		/* the page's address */
	lgdtl	FIGHT_GDT_PTR
	movl	$0x11, %eax		/* ET, PE */
	movl	%eax, %cr0
	ljmpl	*FIGHT_FAR

	.code32
.Lflat:
	movw	$0x10, %ax
	movw	%ax, %ds
	movl	$APIC_DEFAULT_PHYS_BASE, %esi
	movl	APIC_ID(%esi), %eax
	movl	FIGHT_CPUS(%ebx), %edx
	cmpl	%edx, %eax
	jne	1f
	movl	FIGHT_CPUS + 4(%ebx), %edx
1:	movl	%edx, APIC_ICR2(%esi)
	movl	$(APIC_INT_LEVELTRIG | APIC_INT_ASSERT | APIC_DM_INIT), APIC_ICR(%esi)
	movl	$(APIC_INT_LEVELTRIG | APIC_DM_INIT), APIC_ICR(%esi)
	movl	$APIC_DM_STARTUP, %eax
	orl	FIGHT_PAGE(%ebx), %eax
	movl	%eax, APIC_ICR(%esi)
	movl	$300, %ecx
2:	pause
	loop	2b
	jmp	1b

	.org	fight + FIGHT_FAR, 0xcc
	.long	.Lflat - fight
	.word	0x08
	.org	fight + FIGHT_GDT_PTR
	.word	3 * 8 - 1
	.long	FIGHT_GDT
	.org	fight + FIGHT_GDT
	.quad	0
	.quad	0x00cf9b000000ffff	/* code */
	.quad	0x00cf93000000ffff	/* data */
	.org	fight + FIGHT_CPUS + 8
SYM_DATA_END_LABEL(fight, SYM_L_GLOBAL, fight_end)
