/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Real-mode entry of a lent CPU, and the loop in which it is parked.
 *
 * Assembled as data: it runs from a copy in a page below 1 MiB, never from
 * here. So there are no relocations; every address is an offset in that page,
 * and what must be absolute is patched by rust/trampoline.rs after copying.
 */
#include <linux/linkage.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include "trampoline.h"

#define OFF(label)	(label - mk_trampoline)

	.section .rodata, "a", @progbits
	.balign 16

SYM_DATA_START(mk_trampoline)
.Lbase:
	.code16
	/* SDM vol. 3, 10.4.3: a SIPI with vector V starts at V00:0000. */
	cli
	cld
	movw	%cs, %ax
	movw	%ax, %ds

	/* Straight from real to 64-bit mode, SDM vol. 3, 11.8.5. */
	movl	$X86_CR4_PAE, %eax
	orl	(TRAMPOLINE_PARAMS + PARAMS_CR4), %eax
	movl	%eax, %cr4
	movl	(TRAMPOLINE_PARAMS + PARAMS_CR3), %eax
	movl	%eax, %cr3
	movl	$MSR_EFER, %ecx
	movl	$((1 << _EFER_LME) | (1 << _EFER_NX)), %eax
	xorl	%edx, %edx
	wrmsr

	lgdtl	(TRAMPOLINE_PARAMS + PARAMS_GDT_PTR)
	/* Written whole: INIT leaves CD and NW as they were (SDM vol. 3, table 11-1). */
	movl	$(X86_CR0_PG | X86_CR0_WP | X86_CR0_NE | X86_CR0_ET | X86_CR0_MP | X86_CR0_PE), %eax
	movl	%eax, %cr0
	ljmpl	*(TRAMPOLINE_PARAMS + PARAMS_FAR)

	.code64
.Llong_mode:
	lidt	(.Lbase + TRAMPOLINE_PARAMS + PARAMS_IDT_PTR)(%rip)
	movl	$TRAMPOLINE_DS, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	xorl	%eax, %eax
	movl	%eax, %fs
	movl	%eax, %gs
	leaq	(.Lbase + TRAMPOLINE_STACK_TOP)(%rip), %rsp

	/* Tracing and counters of the last owner would go on writing: off. */
	leaq	(.Lbase + TRAMPOLINE_PARAMS + PARAMS_MSRS)(%rip), %rbx
	movl	$4, %edi
1:	movl	(%rbx), %ecx
	testl	%ecx, %ecx
	jz	2f
	xorl	%eax, %eax
	xorl	%edx, %edx
	wrmsr
	addq	$4, %rbx
	decl	%edi
	jnz	1b
2:
	movq	(.Lbase + TRAMPOLINE_PARAMS + PARAMS_RSI)(%rip), %rsi
	movq	(.Lbase + TRAMPOLINE_PARAMS + PARAMS_ENTRY)(%rip), %rdx
	/* The parameters have been read: the host may reuse them after this. */
	movl	(.Lbase + TRAMPOLINE_PARAMS + PARAMS_GENERATION)(%rip), %eax
	movl	%eax, (.Lbase + TRAMPOLINE_PARAMS + PARAMS_ACK)(%rip)
	jmp	*%rdx

	/*
	 * A handler comes back here, too. It may take an answer away, between
	 * the two instructions, but never give one twice.
	 */
.Lpark:
	cli
	testl	%esi, %esi
	jz	2f
	cmpl	(.Lbase + TRAMPOLINE_PARAMS + PARAMS_CALL)(%rip), %esi
	jne	1f
	xorl	%esi, %esi
	lock incl (.Lbase + TRAMPOLINE_PARAMS + PARAMS_PRESENT)(%rip)
2:	hlt
	jmp	.Lpark
1:	pause
	jmp	.Lpark

	/*
	 * Parked CPUs share one stack. Nothing on it is ever read: a handler
	 * returns through a frame that the host has prepared and no CPU writes.
	 */
.Lmachine_check:
	/* SDM vol. 3, 17.3.1.2: with MCIP left set, the next one is a shutdown. */
	movl	$MSR_IA32_MCG_STATUS, %ecx
	xorl	%eax, %eax
	xorl	%edx, %edx
	wrmsr
.Lback:
	leaq	(.Lbase + TRAMPOLINE_IRET)(%rip), %rsp
	iretq

	.org	mk_trampoline + TRAMPOLINE_PARAMS, 0xcc
	.skip	PARAMS_FAR
	.long	OFF(.Llong_mode)
	.word	TRAMPOLINE_CS
	.org	mk_trampoline + TRAMPOLINE_PARAMS + PARAMS_GDT_PTR
	.word	4 * 8 - 1
	.long	TRAMPOLINE_GDT
	.org	mk_trampoline + TRAMPOLINE_PARAMS + PARAMS_IDT_PTR
	.word	32 * 16 - 1
	.quad	TRAMPOLINE_IDT

	.org	mk_trampoline + TRAMPOLINE_GDT
	.quad	0
	.quad	0
	.quad	0x00af9b000000ffff	/* 0x10: 64-bit code */
	.quad	0x00cf93000000ffff	/* 0x18: data */

	/* Offsets of handlers; the host turns them into gates. */
	.org	mk_trampoline + TRAMPOLINE_IDT
	.rept	18
	.quad	OFF(.Lback), 0
	.endr
	.quad	OFF(.Lmachine_check), 0
	.rept	13
	.quad	OFF(.Lback), 0
	.endr

	.org	mk_trampoline + TRAMPOLINE_IRET
	.quad	OFF(.Lpark)
	.quad	TRAMPOLINE_CS
	.quad	X86_EFLAGS_FIXED
	.quad	TRAMPOLINE_STACK_TOP
	.quad	TRAMPOLINE_DS
SYM_DATA_END_LABEL(mk_trampoline, SYM_L_GLOBAL, mk_trampoline_end)

	/* Where a parked CPU goes: the entry for parking. */
SYM_DATA_START(mk_trampoline_park)
	.long	OFF(.Lpark)
SYM_DATA_END(mk_trampoline_park)
