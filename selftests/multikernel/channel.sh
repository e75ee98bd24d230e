#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The host's end of the channel with each of the ends that a spawn kernel can have: the same module, and mk-agent
# in an unmodified kernel. All of them keep the same rules.

. "$(dirname "$0")/lib.sh"

PORT=/dev/multikernel/it/port2

# beside END [MORE FOR THE COMMAND LINE]: `it` runs with this end, and sends back what comes on port 2, which is
# open as 8: a stream ends with its last close
beside() {
	local kernel=7.3
	[ "$1" = module ] || kernel=6.1
	need_faults
	need_image "$kernel"
	spawn it 2-3 512M "$kernel" "mk.$1 mk.echo=2 ${2:-}"
	# A busy machine may let CPUs wait.
	put 20000 "$CONFIGFS/it/heartbeat_timeout_ms"
	exec 8<>$PORT
	within 90 is_there || fail "nobody is there: $(spoken | tail -n 3)"
	timeout 10 head -c 1 <&8 >/dev/null || fail 'the first byte did not come back'
}
is_there() { timeout 5 printf '%s' . 2>/dev/null >&8; }
beats() { [[ $(column it SILENCE) != - ]]; }
stat_of() { sed -n "s/^$1 //p" "$CLASS/it/stats"; }

# back FILE: what is sent comes back, to the last byte
back() {
	timeout 60 head -c "$(stat -c %s "$1")" <&8 >/tmp/back &
	timeout 60 cat "$1" >&8
	wait $! || fail "only $(stat -c %s /tmp/back) of $(stat -c %s "$1") bytes came back"
	cmp "$1" /tmp/back
}

bytes_come_back() { # END
	local rung
	beside "$1"
	seq 1 100000 >/tmp/bytes
	back /tmp/bytes || fail 'other bytes came back'
	rung=$(awk '/multikernel:it$/ { for (i = 2; i < NF; i++) if ($i ~ /^[0-9]+$/) n += $i } END { print n + 0 }' /proc/interrupts)
	say "sessions $(stat_of sessions), the host was rung $rung times"
	[ "$1" != module ] || [ "$rung" -gt 0 ] || fail 'the host was never rung'
	equal violations "$(stat_of violations)" 0
}

errors() { # END
	need_image 7.3
	instance it 2-3 512M
	fails 'Transport endpoint is not connected' put . $PORT
	equal 'read of a dead one' "$(timeout 5 cat $PORT | wc -c)" 0
	destroy it
	beside "$1"
	# Nobody uses port 3 there.
	fails 'Transport endpoint is not connected' put x /dev/multikernel/it/port3
	timeout 20 cat <&8 >/tmp/rest &
	sleep 0.5
	order it kill
	# Who waited learns of the death.
	wait $! || fail 'a reader waits for the dead'
	fails 'Broken pipe' put x $PORT
	exec 8>&-
}

stop_is_a_poweroff() { # END
	local began
	beside "$1"
	beats || within 10 beats || fail 'it has no beats'
	began=$SECONDS
	order it stop
	say "it stopped after $((SECONDS - began)) s"
	equal state "$(state it)" halted
	equal reason "$(reason it)" poweroff
	equal beats "$(column it SILENCE)" -
}

test_panic_is_told() {
	beside module 'mk.do=panic panic=0'
	reaches it panicked 60
	[[ $(reason it) == 'panic Kernel panic - not syncing: sysrq triggered crash' ]] || fail "the reason is '$(reason it)'"
}

# No watchdog of its own is as fast.
test_hang_is_seen() {
	local began
	beside module 'mk.do=lkdtm:HARDLOCKUP nowatchdog'
	put 750 "$CONFIGFS/it/heartbeat_timeout_ms"
	hears 60 '^it: action lkdtm'
	began=${EPOCHREALTIME/./}
	reaches it hung 30
	say "seen after $(((${EPOCHREALTIME/./} - began) / 1000)) ms"
	[[ $(reason it) == 'lockup no beat of its CPU '* ]] || fail "the reason is '$(reason it)'"
}

# Nor does it take anybody who speaks.
test_hang_of_a_silent_spawn_is_seen() {
	need_faults
	need_image 7.3
	spawn it 2-3 512M 7.3 'mk.module mk.do=lkdtm:HARDLOCKUP mk.after=10 nowatchdog'
	within 60 beats || fail 'it has no beats'
	hears 90 '^it: action lkdtm'
	reaches it hung 30
	[[ $(reason it) == 'lockup no beat of its CPU '* ]] || fail "the reason is '$(reason it)'"
}

test_timeouts_are_checked() {
	local name bad
	mkdir "$CONFIGFS/it"
	equal heartbeat_timeout_ms "$(cat "$CONFIGFS/it/heartbeat_timeout_ms")" 750
	equal stop_timeout_ms "$(cat "$CONFIGFS/it/stop_timeout_ms")" 10000
	for name in heartbeat_timeout_ms stop_timeout_ms; do
		put 0 "$CONFIGFS/it/$name"
		put 60000 "$CONFIGFS/it/$name"
		for bad in -1 60001 4294967296 soon; do
			fails 'Invalid argument' put "$bad" "$CONFIGFS/it/$name"
		done
		equal "$name" "$(cat "$CONFIGFS/it/$name")" 60000
	done
}

# The vector moves when its CPU goes.
test_doorbell_moves() {
	local cpu
	beside module
	seq 1 2000 >/tmp/bytes
	for cpu in 1 4 5; do
		offline "$cpu"
		back /tmp/bytes || fail "other bytes came back without CPU $cpu"
	done
	online 1 4 5
	back /tmp/bytes || fail 'other bytes came back with all CPUs'
}

# Conformance: each end, the same.
test_module_bytes_come_back() { bytes_come_back module; }
test_agent_bytes_come_back() { bytes_come_back agent; }
test_module_errors() { errors module; }
test_agent_errors() { errors agent; }
test_module_stop_is_a_poweroff() { stop_is_a_poweroff module; }
test_agent_stop_is_a_poweroff() { stop_is_a_poweroff agent; }

run_tests "$@"
