#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The host's end of the channel with each of the ends that a spawn kernel can have: the same module, and mk-agent
# in an unmodified kernel. All of them keep the same rules.

. "$(dirname "$0")/lib.sh"

PORT=/dev/multikernel/it/port2
PING=$CLASS/it/ping
NONBLOCK=${MK_TESTS:-$HERE}/nonblock

# alone END [MORE FOR THE COMMAND LINE]: `it` runs with this end: module, agent, or agent-KERNEL; it may do so
# already
alone() {
	local kernel=7.3
	[ ! -d "$CONFIGFS/it" ] || return 0
	[ "$1" = module ] || kernel=6.1
	[[ $1 != *-* ]] || kernel=${1#*-}
	need_faults
	need_image "$kernel"
	spawn it 2-3 512M "$kernel" "mk.${1%-*} ${2:-}"
	# A busy machine may let CPUs wait.
	put 20000 "$CONFIGFS/it/heartbeat_timeout_ms"
}

# beside END [MORE FOR THE COMMAND LINE]: `it` sends back what comes on port 2, too, which is open as 8: a
# stream ends with its last close
beside() {
	[ ! -d "$CONFIGFS/it" ] || return 0
	alone "$1" "mk.echo=2 ${2:-}"
	exec 8<>$PORT
	within 90 is_there || fail "nobody is there: $(spoken | tail -n 3)"
	limited 10 head -c 1 <&8 >/dev/null || fail 'the first byte did not come back'
}
is_there() { timeout 5 printf '%s' . 2>/dev/null >&8; }
beats() { [[ $(column it SILENCE) != - ]]; }
stat_of() { sed -n "s/^$1 //p" "$CLASS/it/stats"; }

# back FILE: what is sent comes back, to the last byte
back() {
	limited 60 head -c "$(stat -c %s "$1")" <&8 >/tmp/back &
	limited 60 cat "$1" >&8
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
	limited 5 cat $PORT >/tmp/dead || fail "a read of a dead one ends with status $?"
	equal 'read of a dead one' "$(stat -c %s /tmp/dead)" 0
	destroy it
	beside "$1"
	# Nobody uses port 3 there.
	fails 'Transport endpoint is not connected' put x /dev/multikernel/it/port3
	limited 20 cat <&8 >/tmp/rest 2>/tmp/said &
	sleep 0.5
	order it kill
	# Who waited learns of the death, which is no end as others are; once.
	! wait $! || fail 'a stream that was cut ends as others do'
	grep -q 'Connection reset by peer' /tmp/said || fail "a reader of the dead says $(cat /tmp/said)"
	limited 5 cat <&8 >/tmp/dead || fail "the next read ends with status $?"
	fails 'Broken pipe' put x $PORT
	exec 8>&-
}

# Who does not wait in read(2) and write(2) is told so, and poll(2) tells when to come again.
nonblocking() { # END
	[ -x "$NONBLOCK" ] || skip 'nonblock was not built (MK_TESTS)'
	need_image 7.3
	instance it 2-3 512M
	"$NONBLOCK" it dead
	destroy it
	beside "$1"
	"$NONBLOCK" it lives
	equal 'state, reason' "$(state it), $(reason it)" 'killed, killed'
	equal violations "$(stat_of violations)" 0
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

# answers WORDS: to a ping; some may be late on a busy machine
answers() { limited 60 dd of="$PING" bs=4096 status=none <<<"$1" 2>/dev/null; }

# pings END: without a user of any port
pings() {
	local words wanted count bytes wait median p99 max more bad
	alone "$1"
	within 90 answers '' || fail "no answer comes: $(spoken | tail -n 3)"
	while IFS=: read -r words wanted; do
		within 30 answers "$words" || fail "no answer comes to '$words'"
		read -r count bytes wait median p99 max more <"$PING"
		say "$count $bytes $wait: median $median ns, p99 $p99, max $max"
		equal "'$words' read back" "$count $bytes $wait" "$wanted"
		[[ $median =~ ^[1-9][0-9]*$ && $p99 =~ ^[0-9]+$ && $max =~ ^[0-9]+$ && -z $more ]] ||
			fail "it reads '$(cat "$PING")'"
		# An answer after a second is none.
		[ "$median" -le "$p99" ] && [ "$p99" -le "$max" ] && [ "$max" -le 2000000000 ] || fail "times that cannot be"
	done <<-END
		:10 64 sleep
		1:1 64 sleep
		3 8:3 8 sleep
		1000 64 sleep:1000 64 sleep
		100 4096 sleep:100 4096 sleep
		1000 64 wake:1000 64 wake
		1000 64 poll:1000 64 poll
		  100  4096  poll :100 4096 poll
	END
	for bad in 0 1001 -1 x 4294967297 '1 7' '1 4097' '1 64 spin' '1 64 Poll' '1 wake' '1 64 poll 1'; do
		within 30 answers 1 || fail 'no answer comes to 1'
		fails 'Invalid argument' put "$bad" "$PING"
		equal "result after '$bad'" "$(cat "$PING")" -
	done
	fails 'Operation not permitted' setpriv --bounding-set -sys_boot dd of="$PING" bs=4096 status=none <<<1
	fails 'Permission denied' setpriv --reuid=65534 --regid=65534 --clear-groups cat "$PING"
	equal state "$(state it)" running
	equal violations "$(stat_of violations)" 0
}

# asks WORDS: one ping after the other, as $!, until /tmp/enough is there; their results are in /tmp/pings
asks() {
	rm -f /tmp/enough
	while [ -e "$PING" ] && [ ! -e /tmp/enough ]; do
		! answers "$1" || cat "$PING"
	done >/tmp/pings &
	within 30 is_busy || fail 'two pings run at once, or none'
}
is_busy() { [[ $(put 1 "$PING" 2>&1) == *'Device or resource busy' ]]; }

# pings_beside_bytes END: those who use a port lose nothing by it
pings_beside_bytes() {
	local wait asker
	beside "$1"
	seq 1 50000 >/tmp/bytes
	for wait in sleep poll; do
		asks "1000 4096 $wait"
		asker=$!
		back /tmp/bytes || fail 'other bytes came back'
		within 60 test -s /tmp/pings || fail 'no ping came back'
		touch /tmp/enough
		wait "$asker"
		say "$(tail -n 1 /tmp/pings)"
	done
	equal violations "$(stat_of violations)" 0
}

# death_in_a_ping END: it ends then, and there is none before a start and after an end
death_in_a_ping() {
	local asker
	need_image 7.3
	instance it 2-3 512M
	fails 'Transport endpoint is not connected' put 1 "$PING"
	destroy it
	alone "$1"
	within 90 answers '' || fail "no answer comes: $(spoken | tail -n 3)"
	asks '1000 4096'
	asker=$!
	timed 5 order it kill
	touch /tmp/enough
	timed 2 wait "$asker"
	equal result "$(cat "$PING")" -
	fails 'Transport endpoint is not connected' put 1 "$PING"
	equal result "$(cat "$PING")" -
}

# Who is there, and does not answer.
test_no_answer_to_a_ping() {
	alone agent
	within 90 answers '' || fail "no answer comes: $(spoken | tail -n 3)"
	within 10 put 'kill -STOP $(pidof mk-agent)
' /dev/multikernel/it/console || fail 'nothing can be typed'
	within 15 times_out || fail "it reads '$(cat "$PING")'"
	equal result "$(cat "$PING")" -
	equal state "$(state it)" running
}
times_out() { [[ $(put 1 "$PING" 2>&1) == *'Connection timed out' ]]; }

test_panic_is_told() {
	beside module "mk.do=panic mk.after=$((5 * ${MK_SLOW:-1})) panic=0"
	reaches it panicked 60
	[[ $(reason it) == 'panic Kernel panic - not syncing: sysrq triggered crash' ]] || fail "the reason is '$(reason it)'"
}

# Another kernel would end this machine so.
test_module_resets_itself_only() {
	alone module 'reboot=triple mk.do=reboot mk.after=5'
	reaches it rebooting 90
	hears 5 'multikernel: the host is asked for a reset'
}

# Who halts leaves the channel open, and has no beats.
test_halt_is_seen() {
	alone module 'mk.do=halt mk.after=5'
	put 750 "$CONFIGFS/it/heartbeat_timeout_ms"
	hears 90 '^it: action halt'
	reaches it hung 30
	equal reason "$(reason it | cut -d' ' -f1)" lockup
}

# No watchdog of its own is as fast.
test_hang_is_seen() {
	local began
	beside module "mk.do=lkdtm:HARDLOCKUP mk.after=$((5 * ${MK_SLOW:-1})) nowatchdog"
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

# A stray write costs the session; the next one comes by itself.
test_module_comes_back() {
	local before
	alone module 'mk.do=fault:scribble-channel,ms=500 mk.after=5'
	put 0 "$CONFIGFS/it/heartbeat_timeout_ms"
	hears 90 'scribble: done'
	before=$(stat_of sessions)
	within 60 answers '' || fail "no answer comes: $(spoken | tail -n 3)"
	say "sessions before and after: $before, $(stat_of sessions)"
}

# Conformance: each end, the same.
test_module_bytes_come_back() { bytes_come_back module; }
test_agent_bytes_come_back() { bytes_come_back agent; }
test_module_errors() { errors module; }
test_agent_errors() { errors agent; }
test_module_nonblocking() { nonblocking module; }
test_agent_nonblocking() { nonblocking agent; }
test_module_stop_is_a_poweroff() { stop_is_a_poweroff module; }
test_agent_stop_is_a_poweroff() { stop_is_a_poweroff agent; }
test_module_pings() { pings module; }
test_agent_pings() { pings agent; }
test_module_pings_beside_bytes() { pings_beside_bytes module; }
test_agent_pings_beside_bytes() { pings_beside_bytes agent; }
test_module_death_in_a_ping() { death_in_a_ping module; }
test_agent_death_in_a_ping() { death_in_a_ping agent; }
# in_one_life END: a kernel takes longer to start than most of these; with MK_WHOLE those that take lives of
# their own, too
in_one_life() {
	local group
	bytes_come_back "$1"
	pings "$1"
	stop_is_a_poweroff "$1"
	[ -n "${MK_WHOLE:-}" ] || return 0
	for group in pings_beside_bytes errors nonblocking death_in_a_ping; do
		say "$group"
		exec 8>&-
		destroy it
		"$group" "$1"
	done
}
test_agent_in_6_12() { in_one_life agent-6.12; }
test_agent_in_6_18() { in_one_life agent-6.18; }

run_tests "$@"
