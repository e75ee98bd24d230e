#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What the host does with its own CPUs, memory and modules while a spawn kernel runs. (selftests/host has what
# ends the host, or takes a machine of its own.)

. "$(dirname "$0")/lib.sh"

test_module_stays_while_there_is_an_instance() {
	need_image 7.3
	instance web 2-3 256M
	fails 'in use' rmmod multikernel
	load web 7.3
	fails 'in use' rmmod multikernel
	start web
	fails 'in use' rmmod multikernel
	destroy web
	rmmod multikernel
	insert_module
}

# CPUs that a spawn has had are parked in a page of the module's until the host takes them online.
test_module_goes_before_its_cpus_are_back() {
	spawn web 2-3 256M 7.3
	ticks 60 web
	order web kill
	order web unload
	rmdir "$CONFIGFS/web"
	rmmod multikernel
	logged 'CPUs 2-3 answer no machine checks' || fail 'the log does not name the CPUs'
	# Whoever has the page now, no CPU runs in it.
	online 2 3
	host_goes_on
	insert_module
}

# The host's other CPUs are its own, and an interrupt meant for them reaches nobody else.
test_other_cpus_come_and_go() {
	local turn cpu
	need_cpus 6
	spawn web 2-3 256M 7.3
	ticks 60 web
	for turn in {1..3}; do
		for cpu in 1 4 5; do
			offline "$cpu"
			online "$cpu"
		done
		ticks 30 web
	done
	equal state "$(state web)" running
}

# Whoever watches over a spawn, it may be on any CPU of the host, and that may go.
test_watch_outlives_its_cpu() {
	need_cpus 6
	need_image 7.3
	instance web 2-3 256M
	load web 7.3 'mk.do=poweroff mk.after=4'
	taskset -c 1 "$KEXEC" --multikernel=web -e
	offline 1 4 5
	hears 90 '^web: action poweroff$'
	within 20 not_running web || fail "a power off is not noticed when CPUs have gone"
	equal reason "$(reason web)" poweroff
	online 1 4 5
}
not_running() { ! is_in "$1" running; }

# Its two timers stay on two CPUs, as long as the host has two: those of one that goes offline come to
# where the other one may be.
test_watch_spreads() {
	local cpu
	need_cpus 6
	[ -r /proc/timer_list ] || skip 'this kernel lists no timers'
	spawn web 2-3 256M 7.3
	# One that looks at this moment is not in the list.
	within 10 are_two || fail "they are on $(eyes | xargs)"
	for cpu in 1 4; do
		offline "$cpu"
		within 10 are_two || fail "without CPU $cpu they are on $(eyes | xargs)"
	done
	# There is no other one.
	offline 5
	within 10 is_one || fail "they are on $(eyes | xargs)"
	online 1 4 5
	within 10 are_two || fail "with all CPUs they are on $(eyes | xargs)"
	order web kill
	equal 'CPUs that watch' "$(eyes | wc -l)" 0
}
eyes() { awk '/^cpu:/ { cpu = $2 } /\[multikernel\]/ { print cpu }' /proc/timer_list | sort -u; }
are_two() { [ "$(eyes | wc -l)" -eq 2 ]; }
is_one() { [ "$(eyes)" = 0 ]; }

# A memory block of which anything is lent cannot be taken out.
test_lent_memory_stays() {
	local block_size start end block
	[ -r /sys/devices/system/memory/block_size_bytes ] || skip 'this kernel cannot remove memory'
	block_size=$((0x$(cat /sys/devices/system/memory/block_size_bytes)))
	spawn web 2-3 256M 7.3
	ticks 60 web
	while read -r start end; do
		# That block has holes, and is never taken out.
		((0x$start >= 1 << 20)) || continue
		for ((block = 0x$start / block_size; block <= 0x$end / block_size; block++)); do
			say "block $block of $start-$end"
			fails 'Device or resource busy' put offline "/sys/devices/system/memory/memory$block/state"
			equal "the block's state" "$(cat "/sys/devices/system/memory/memory$block/state")" online
		done
	done < <(sed -n 's/^ *\([0-9a-f]*\)-\([0-9a-f]*\) : multikernel web$/\1 \2/p' /proc/iomem)
	ticks 30 web
}

run_tests "$@"
