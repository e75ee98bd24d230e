#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A spawn kernel that reboots, powers off or panics dies alone. The host's part of it is that it goes on:
# where the spawn kernel resets the machine, all tests here end with it.

. "$(dirname "$0")/lib.sh"

counter() { sed -n "s/^$1 //p" "$CLASS/it/stats"; }

# dies SERIES ACTION STATE REASON: it starts, does this, and is found dead
dies() {
	local cpu stops
	stops=$(counter stops)
	load it "$1" "mk.do=$2 mk.after=1"
	mark
	start it
	hears 90 '^it: CPUs: 2$'
	hears 60 "^it: action $2\$"
	reaches it "$3" 30
	equal "reason after a $2" "$(cut -d' ' -f1 "$CLASS/it/reason")" "$4"
	equal "REASON after a $2" "$(column it REASON)" "$4"
	equal stops "$(counter stops)" $((stops + 1))
	for cpu in $(cpus_of "$(cat /sys/devices/system/cpu/online)"); do
		taskset -c "$cpu" true
	done
}

# Each death is followed by another life.
deaths_of() {
	need_image "$1"
	instance it 2-3 512M
	dies "$1" poweroff halted poweroff
	dies "$1" panic panicked panic
	dies "$1" reboot rebooting reboot
	equal 'poweroffs, panics, reboots' "$(counter poweroffs) $(counter panics) $(counter reboots)" '1 1 1'
	mark
	start it
	hears 90 '^it: CPUs: 2$'
}

test_of_7_3() { deaths_of 7.3; }
test_of_6_1() { deaths_of 6.1; }
test_of_6_18() { deaths_of 6.18; }

run_tests "$@"
