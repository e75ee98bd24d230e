#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What follows a death: nothing, another start, or the end of patience.

. "$(dirname "$0")/lib.sh"

counter() { sed -n "s/^$1 //p" "$CLASS/it/stats"; }
counted() { [ "$(counter "$1")" -ge "$2" ]; }
policy() { # POLICY DELAY LIMIT
	put "$1" "$CONFIGFS/it/restart_policy"
	put "$2" "$CONFIGFS/it/restart_delay_ms"
	put "$3" "$CONFIGFS/it/restart_limit"
}
policy_is() { equal "$1" "$(cat "$CONFIGFS/it/$1")" "$2"; }

# lives: those whose logs are kept, with what they said
lives() {
	awk '$1 == "===" && / rebooting, reason reboot, / { life = $3 } / it: action reboot$/ { printf "%s ", life }' /dev/multikernel/it/log
}

# mortal ACTION: loads a kernel that does this as soon as it lives
mortal() { load it 7.3 "mk.do=$1 mk.after=0"; }

test_files() {
	instance it 2 64M
	policy_is restart_policy never
	policy_is restart_delay_ms 1000
	policy_is restart_limit 5
	policy always 60000 4294967295
	policy_is restart_policy always
	policy_is restart_delay_ms 60000
	policy_is restart_limit 4294967295
	fails 'Invalid argument' put sometimes "$CONFIGFS/it/restart_policy"
	logged 'it: length of restart_policy 0x9: write never, on-failure or always'
	fails 'Invalid argument' put 60001 "$CONFIGFS/it/restart_delay_ms"
	logged 'it: restart_delay_ms 0xea61: write a smaller number'
	fails 'Invalid argument' put -1 "$CONFIGFS/it/restart_limit"
	fails 'Invalid argument' put 4294967296 "$CONFIGFS/it/restart_limit"
	policy_is restart_policy always
	policy_is restart_limit 4294967295
}

test_never() {
	need_image 7.3
	instance it 2 128M
	mortal reboot
	start it
	reaches it rebooting 60
	sleep 2
	equal state "$(state it)" rebooting
	equal starts "$(counter starts)" 1
}

# It is dead for twice as long each time, and then for good, until somebody starts it by hand.
test_gives_up() {
	need_image 7.3
	instance it 2 128M
	policy on-failure 100 2
	mortal reboot
	start it
	within 60 counted starts 2 || fail 'it does not start again'
	# What is refused is no start by hand.
	fails 'Device or resource busy' order it start
	within 120 counted give_ups 1 || fail "it did not give up: $(tr '\n' ' ' <"$CLASS/it/stats")"
	equal state "$(state it)" rebooting
	equal 'starts, restarts' "$(counter starts) $(counter restarts)" '3 2'
	logged 'it: starts again in 100 ms'
	logged 'it: starts again in 200 ms'
	logged 'it: started 2 times in a row: it stays dead'
	sleep 1
	equal starts "$(counter starts)" 3
	equal 'lives whose logs are kept' "$(lives)" '1: 2: 3: '
	start it
	within 120 counted give_ups 2 || fail 'a start by hand does not begin anew'
	equal 'lives whose logs are kept' "$(lives)" '3: 4: 5: 6: '
}

test_poweroff_is_no_failure() {
	need_image 7.3
	instance it 2 128M
	policy on-failure 100 5
	mortal poweroff
	start it
	reaches it halted 60
	sleep 1
	equal starts "$(counter starts)" 1
	policy always 100 1
	start it
	within 60 counted give_ups 1 || fail 'it is not started again'
	equal starts "$(counter starts)" 3
}

# Somebody's word counts more than the policy, also while it waits.
test_ends_by_hand() {
	need_image 7.3
	instance it 2 128M
	policy always 60000 5
	load it 7.3
	start it
	order it kill
	sleep 1
	equal state "$(state it)" killed
	! logged 'starts again' || fail 'what was killed starts again'
	mortal reboot
	start it
	reaches it rebooting 60
	within 5 logged 'it: starts again in 60000 ms' || fail 'it does not start again'
	order it kill
	equal state "$(state it)" killed
	equal reason "$(reason it)" killed
	fails 'No such process' order it kill
	# While it waits it can be unloaded, and the directory goes.
	start it
	reaches it rebooting 60
	"$KEXEC" --multikernel=it -u
	equal state "$(state it)" empty
	rmdir "$CONFIGFS/it"
}

run_tests "$@"
