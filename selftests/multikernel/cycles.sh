#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# 25 lives of an instance, or MK_LIVES, leave nothing behind.

. "$(dirname "$0")/lib.sh"

CYCLES=${MK_LIVES:-25}
# What the host's own work moves between two looks, in kB: page tables, free pages and objects in the lists of
# each CPU, objects that wait for an RCU grace period. A life's memory comes in pieces of 128 MiB.
FREE_SLACK=16384
SLAB_SLACK=512

# The module's objects are among these; the files that a test reads and runs are not.
slab_kb() { awk '/^kmalloc-/ { sum += $2 * $4 } END { print int(sum / 1024) }' /proc/slabinfo; }
# What must be the very same: ranges, CPUs, and who has which interrupt.
exact() {
	cat /proc/iomem /sys/devices/system/cpu/online
	awk 'NR > 1 { print $1, $NF }' /proc/interrupts
	ls /sys/kernel/config/multikernel /sys/class/multikernel
	cat /proc/multikernel
}

one_life() {
	spawn web 2-3 512M 7.3
	hears 60 '^web: CPUs: 2$'
	order web kill
	"$KEXEC" --multikernel=web -u
	rmdir "$CONFIGFS/web"
	online 2 3
	mark
}

test_lives() {
	local i free slab before after
	need_image 7.3
	# What is made once and stays, as slabs and per-CPU lists are.
	one_life
	one_life
	before=$(exact)
	free=$(free_memory) slab=$(slab_kb)
	for ((i = 0; i < CYCLES; i++)); do one_life; done
	after=$(exact)
	free=$((free - $(free_memory))) slab=$(($(slab_kb) - slab))
	say "after $CYCLES lives: $free kB less free memory, $slab kB more in slabs"
	[ "$before" = "$after" ] || {
		diff <(echo "$before") <(echo "$after") | sed 's/^/# /'
		fail 'these differ'
	}
	[ "$free" -le "$FREE_SLACK" ] || fail "$free kB of memory are missing"
	# KASAN keeps what was freed for a while, and kmemleak looks for what is left (run_in_vm.sh).
	[ "${MK_SLOW:-1}" -eq 1 ] || { say 'slabs are not compared on a kernel that checks a lot' && return; }
	[ "$slab" -le "$SLAB_SLACK" ] || fail "$slab kB are left in slabs"
}

run_tests "$@"
