#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A spawn kernel that reboots, powers off or panics stops alone. The host's part of it is that it goes on:
# where the spawn kernel resets the machine, all tests here end with it.

. "$(dirname "$0")/lib.sh"

# dies SERIES ACTION REASON: it starts, does this, and is found stopped
dies() {
	local cpu stops
	stops=$(sed -n 's/^stops //p' "$CLASS/it/stats")
	load it "$1" "mk.do=$2 mk.after=1"
	mark
	start it
	hears 90 '^it: CPUs: 2$'
	hears 60 "^it: action $2\$"
	reaches it stopped 30
	equal "reason after a $2" "$(reason it)" "$3"
	equal "REASON after a $2" "$(column it REASON)" "$3"
	equal stops "$(sed -n 's/^stops //p' "$CLASS/it/stats")" $((stops + 1))
	for cpu in $(cpus_of "$(cat /sys/devices/system/cpu/online)"); do
		taskset -c "$cpu" true
	done
}

# Each death is followed by another life.
deaths_of() {
	need_image "$1"
	instance it 2-3 512M
	dies "$1" poweroff poweroff
	dies "$1" panic reset
	dies "$1" reboot reset
	mark
	start it
	hears 90 '^it: CPUs: 2$'
}

test_of_7_3() { deaths_of 7.3; }
test_of_6_1() { deaths_of 6.1; }
test_of_6_18() { deaths_of 6.18; }

run_tests "$@"
