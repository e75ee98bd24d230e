#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Which spawn kernels boot on how many CPUs: the kernel of the host's build, and unmodified ones of Debian.

. "$(dirname "$0")/lib.sh"

# boots SERIES CPUS: all the way to its init, and goes away without a trace
boots() {
	local memory cpu cpus=2-$(($2 + 1))
	need_cpus $(($2 + 2))
	[ "$2" -gt 1 ] || cpus=2
	spawn it "$cpus" 512M "$1"
	hears 90 "^it: Linux [^ ]+ ${1//./\\.}[.-]"
	hears 30 "^it: CPUs: $2\$"
	hears 30 '^it: MemTotal: [0-9]+ kB$'
	# What is missing is the kernel's own: its image, its page structures.
	memory=$(spoken | sed -n 's/^it: MemTotal: \([0-9]*\) kB$/\1/p')
	[ "$memory" -le $((512 << 10)) ] && [ "$memory" -ge $((400 << 10)) ] || fail "it has $memory kB of 512 MiB"
	ticks 30 it
	order it kill
	equal state "$(state it)" killed
	destroy it
	for cpu in $(cpus_of "$cpus"); do
		cpu_online "$cpu" || fail "CPU $cpu is offline"
		taskset -c "$cpu" true
	done
}

# What follows shows something about x2APIC mode only if the machine is in it: IA32_APIC_BASE, bit 10.
test_apic_mode() {
	local base
	[ -n "${MK_X2APIC:-}" ] || skip 'any mode will do here (MK_X2APIC)'
	base=$(dd if=/dev/cpu/0/msr iflag=skip_bytes skip=$((0x1b)) bs=8 count=1 status=none | od -An -tu8)
	equal 'x2APIC mode' $((base >> 10 & 1)) "$MK_X2APIC"
}

test_7_3_on_1_cpu() { boots 7.3 1; }
test_7_3_on_2_cpus() { boots 7.3 2; }
test_7_3_on_3_cpus() { boots 7.3 3; }
test_6_1_on_1_cpu() { boots 6.1 1; }
test_6_1_on_2_cpus() { boots 6.1 2; }
test_6_1_on_3_cpus() { boots 6.1 3; }
test_6_12_on_1_cpu() { boots 6.12 1; }
test_6_12_on_2_cpus() { boots 6.12 2; }
test_6_12_on_3_cpus() { boots 6.12 3; }
test_6_18_on_1_cpu() { boots 6.18 1; }
test_6_18_on_2_cpus() { boots 6.18 2; }
test_6_18_on_3_cpus() { boots 6.18 3; }

run_tests "$@"
