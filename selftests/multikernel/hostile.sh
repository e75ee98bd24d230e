#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A spawn kernel that is hostile on its channel, beside one that is not.

. "$(dirname "$0")/lib.sh"

LOOKS=100 # round trips
MS=10000  # of hostility

violations() { sed -n "s/^violations //p" "$CLASS/$1/stats"; }
broken_rules() { dmesg | sed "1,/$MARK/d" | grep -c 'bad: the peer broke a rule'; }

# echoed WORD: through the port that is open as 7
echoed() {
	local word
	echo "$1" >&7
	read -r -t 20 -u 7 word || fail "$1 does not come back"
	equal 'what came back' "$word" "$1"
}

# latency WHEN: of round trips to good and back
latency() {
	local turn began
	# Not in a pipe, which would swallow a failure.
	for ((turn = 0; turn < LOOKS; turn++)); do
		began=${EPOCHREALTIME/./}
		echoed "turn $turn"
		echo $((${EPOCHREALTIME/./} - began)) >&6
	done 6>/tmp/latency
	sort -n /tmp/latency | awk -v when="$1" '{ us[NR] = $1 } END {
		printf "# round trips to the other one %s: median %d us, 99th percentile %d us\n", when, us[int((NR + 1) / 2)], us[NR - 1] }'
}

test_scribbles_and_rings() {
	local before began seconds after logged
	need_faults
	spawn good 4-5 512M 7.3 "console=ttyS2,115200 mk.agent"
	# A busy machine may let CPUs wait.
	put 20000 "$CONFIGFS/good/heartbeat_timeout_ms"
	hears 120 '^mk-agent: the region has' "$TTY2"
	# Its end is a program that gives back what it gets.
	within 10 put 'mkfifo /echo; mk-agent --connect 2 </echo | cat >/echo &
' /dev/multikernel/good/console || fail 'nothing can be typed'
	exec 7<>/dev/multikernel/good/port2
	within 30 eval 'echo first >&7' 2>/dev/null || fail 'nobody has opened the port'
	read -r -t 30 -u 7 || fail "nothing is echoed: $(timeout 2 cat /dev/multikernel/good/console | tail -n 5)"
	latency before

	spawn bad 2-3 512M 7.3 "mk.do=fault:scribble-channel,ms=$MS mk.after=1"
	# What it scribbles may look like beats that stop.
	put 0 "$CONFIGFS/bad/heartbeat_timeout_ms"
	hears 90 '^bad: action fault:scribble-channel'
	began=$SECONDS
	before=$(broken_rules)
	# It answers whatever it likes, and a ping of it ends.
	timeout 30 dd of="$CLASS/bad/ping" bs=4096 status=none <<<'1000 64 poll' 2>/dev/null || [ $? -ne 124 ] ||
		fail 'a ping of it does not end'
	latency meanwhile
	hears 120 'scribble: done'
	seconds=$((SECONDS - began))
	logged=$(($(broken_rules) - before))
	after=$(violations bad)
	say "violations $after in $seconds s, $logged of them logged"
	[ "$after" -gt 0 ] || fail 'no violation was counted'
	[ "$logged" -gt 0 ] || fail 'none was logged'
	[ "$logged" -le $((seconds * 2 + 2)) ] || fail "$logged lines in $seconds s"
	host_goes_on
	is_in good running || fail "good is $(state good)"
	equal "good's violations" "$(violations good)" 0
	timed 5 order bad kill
	exec 7>&-
}

run_tests "$@"
