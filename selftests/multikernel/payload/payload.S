/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A bzImage whose kernel dies at once, in the way that the first letter of its
 * command line says; Documentation/fault-matrix.rst has them.
 *
 * Before it dies it tells on ttyS1 the time stamp of its last write, 16 digits,
 * and waits for that moment: some microseconds to 5 ms from the start, so that
 * many lives see the host's looks from all sides.
 */
#define IMAGE_START	(2 * 512)	/* the 64-bit part, behind two sectors */
#define UART		0x2f8
#define KEYBOARD	0x64

/* Documentation/boot-contract.rst. */
#define RESET_REG	0x8000
#define SLEEP_REG	0x8001
/* struct boot_params */
#define ACPI_RSDP	0x070
#define CMDLINE_HIGH	0x0c8
#define CMDLINE_LOW	0x228
#define EFI_SYSTAB	0x1c4
#define EFI_SYSTAB_HIGH	0x1d8
/* UEFI 2.10, 4.3 and 4.5 */
#define SYSTAB_RUNTIME	0x58
#define RESET_SYSTEM	0x68

	.text
	.code64
image:
	.ascii	"MZ"			/* with zeros it would pass for lzma */
	.org	image + 0x1f1
	.byte	1			/* setup_sects */
	.org	image + 0x1fe
	.word	0xaa55
	.byte	0xeb, 0x66		/* the header's end */
	.ascii	"HdrS"
	.word	0x20f			/* version */
	.org	image + 0x20e
	.word	release - image - 0x200
	.org	image + 0x211
	.byte	1			/* loadflags */
	.org	image + 0x22c
	.long	0x7fffffff		/* initrd_addr_max */
	.long	0x200000		/* kernel_alignment */
	.byte	1, 21			/* relocatable_kernel, min_alignment */
	.word	0x13			/* xloadflags: 64 bits, above 4 GiB, EFI */
	.long	2047			/* cmdline_size */
	.org	image + 0x258
	.quad	0x1000000		/* pref_address */
	.long	0x10000			/* init_size */
	.org	image + 0x2f0
release:
	.asciz	"0.0-payload"

	.org	image + IMAGE_START + 0x200
	leaq	stack_top(%rip), %rsp
	movl	CMDLINE_HIGH(%rsi), %ebx
	shlq	$32, %rbx
	movl	CMDLINE_LOW(%rsi), %eax
	orq	%rax, %rbx
	movb	(%rbx), %bl		/* the letter */
	movq	ACPI_RSDP(%rsi), %rdi	/* the firmware area */

	/* The moment: now + 20000 ticks + up to 2^22 more, from a hash of now. */
	rdtsc
	shlq	$32, %rdx
	orq	%rdx, %rax
	movabsq	$0x9e3779b97f4a7c15, %rcx
	imulq	%rax, %rcx
	shrq	$42, %rcx
	leaq	20000(%rax, %rcx), %r8

	movl	$16, %ecx
	movq	%r8, %r9
	movl	$UART, %edx
1:	rolq	$4, %r9
	movl	%r9d, %eax
	andl	$15, %eax
	addb	$'0', %al
	cmpb	$'9', %al
	jbe	2f
	addb	$('a' - '9' - 1), %al
2:	outb	%al, %dx
	loop	1b
	movb	$'\n', %al
	outb	%al, %dx

	movq	%r8, %rcx
	call	wait_until

	cmpb	$'p', %bl		/* power off by register */
	je	power_off
	cmpb	$'r', %bl		/* reset by register */
	je	reset
	cmpb	$'e', %bl		/* reset by EFI */
	je	efi_reset
	cmpb	$'o', %bl		/* power off by EFI */
	je	efi_power_off
	cmpb	$'s', %bl		/* spin */
	je	.
halt:	cli
	hlt
	jmp	halt

power_off:
	movb	$0x34, SLEEP_REG(%rdi)
	jmp	.

	/* As acpi_reboot() and then native_machine_emergency_restart(). */
reset:	movb	$0x42, RESET_REG(%rdi)
	leaq	15000000(%r8), %rcx	/* 15 ms, where a tick is 1 ns */
	call	wait_until
	movb	$0xfe, %al
	outb	%al, $KEYBOARD
	jmp	halt

efi_power_off:
	movl	$2, %ecx
	jmp	1f
efi_reset:
	movl	$1, %ecx
1:	movl	EFI_SYSTAB_HIGH(%rsi), %ebx
	shlq	$32, %rbx
	movl	EFI_SYSTAB(%rsi), %eax
	orq	%rax, %rbx
	movq	SYSTAB_RUNTIME(%rbx), %rbx
	call	*RESET_SYSTEM(%rbx)
	jmp	halt

	/* Until the time stamp %rcx. */
wait_until:
	rdtsc
	shlq	$32, %rdx
	orq	%rdx, %rax
	cmpq	%rcx, %rax
	jb	wait_until
	ret

	.balign	4096
stack_top:
