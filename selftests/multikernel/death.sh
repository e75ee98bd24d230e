#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A spawn kernel that reboots, powers off or panics stops alone. The host's part of it is that it goes on:
# where the spawn kernel resets the machine, all tests here end with it.

. "$(dirname "$0")/lib.sh"

# dies SERIES ACTION REASON
dies() {
	local cpu
	spawn it 2-3 512M "$1" "mk.do=$2 mk.after=1"
	hears 90 '^it: CPUs: 2$'
	hears 60 "^it: action $2\$"
	reaches it stopped 30
	equal reason "$(reason it)" "$3"
	equal REASON "$(column it REASON)" "$3"
	equal stops "$(sed -n 's/^stops //p' "$CLASS/it/stats")" 1
	for cpu in 0 1 4 5; do
		taskset -c "$cpu" true
	done
	mark
	start it
	hears 90 '^it: CPUs: 2$'
}

test_7_3_reboot() { dies 7.3 reboot reset; }
test_7_3_poweroff() { dies 7.3 poweroff poweroff; }
test_7_3_panic() { dies 7.3 panic reset; }
test_6_1_reboot() { dies 6.1 reboot reset; }
test_6_1_poweroff() { dies 6.1 poweroff poweroff; }
test_6_1_panic() { dies 6.1 panic reset; }
test_6_18_reboot() { dies 6.18 reboot reset; }
test_6_18_poweroff() { dies 6.18 poweroff poweroff; }
test_6_18_panic() { dies 6.18 panic reset; }

run_tests "$@"
