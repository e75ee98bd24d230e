#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# mk-agent in unmodified kernels, and mkctl as its other end.
#   MK_CTL   mkctl   (mkctl of PATH)

. "$(dirname "$0")/lib.sh"

CTL=${MK_CTL:-mkctl}
# It looks for kexec where everybody does.
[[ $KEXEC != */* ]] || PATH=$(dirname "$KEXEC"):$PATH

# agent SERIES [MORE FOR THE COMMAND LINE]: `it` runs with an agent
agent() {
	command -v "$CTL" >/dev/null || skip "there is no mkctl (MK_CTL)"
	spawn it 2-3 512M "$1" "mk.agent ${2:-}"
	# A busy machine may let CPUs wait.
	put "${PATIENCE:-20000}" "$CONFIGFS/it/heartbeat_timeout_ms"
}

# talk: what somebody does at the console, on stdin; see talk.py
talk() { "$HERE/talk.py" "$CTL" console it; }

# console_of SERIES: a shell that answers, on a terminal of its own with the size of ours
console_of() {
	agent "$1"
	talk <<-'TALK'
		say echo $((6 * 7))x $(uname -r)
		hear 42x
		say stty size
		hear 33 101
		size 20 70
		say stty size
		hear 20 70
		say tty; echo $((6 * 7))y >/dev/tty
		hear /dev/pts/0
		hear 42y
		key 1d
		hear it goes on
		end 0
	TALK
	hears 5 '^mk-agent: the region has [0-9]+ KiB at 0x'
	! said '^mk-agent: error' || fail "it says '$(spoken | grep '^mk-agent: error')'"
}

test_console_of_7_3() { console_of 7.3; }
test_console_of_6_1() { console_of 6.1; }
test_console_of_6_12() { console_of 6.12; }
test_console_of_6_18() { console_of 6.18; }

# Each sees what was said before, and what the other types; the last words come before the end.
test_viewers_and_a_death() {
	local pid
	agent 7.3
	talk <<-'TALK'
		say echo $((6 * 7))first
		hear 42first
		key 1d
		end 0
	TALK
	talk >/tmp/other 2>&1 <<-'TALK' &
		hear 42first
		hear 42second
		hear it is panicked, reason panic Kernel panic - not syncing: sysrq triggered crash
		end 0
	TALK
	pid=$!
	talk <<-'TALK'
		hear 42first
		say echo $((6 * 7))second
		hear 42second
		say echo c >/proc/sysrq-trigger
		hear it is panicked
		end 0
	TALK
	wait "$pid" || fail "the other one says $(cat /tmp/other)"
	# It is kept until the next start.
	"$CTL" console it </dev/null >/tmp/kept 2>/tmp/said
	grep -q 42second /tmp/kept || fail 'nothing is kept'
	grep -q 'it is panicked' /tmp/said || fail "it says $(cat /tmp/said)"
	start it
	printf 'echo $((6 * 7))third\npoweroff -f\n' | "$CTL" console it --wait 60 >/tmp/kept 2>/tmp/said
	grep -q 42third /tmp/kept || fail "a pipe gets $(cat /tmp/kept)"
	! grep -q 42second /tmp/kept || fail 'the last life shows in this one'
	grep -q 'it is halted, reason poweroff' /tmp/said || fail "it says $(cat /tmp/said)"
}

# Who has looked all the time is there for the next agent, too, with the size of the terminal.
test_viewer_of_two_agents() {
	agent 7.3
	talk <<-'TALK'
		say stty size; echo $((6 * 7))first
		hear 33 101
		hear 42first
		say setsid sh -c 'sleep 1; kill $(pidof mk-agent); sleep 2; exec mk-agent --kmsg --console sh -c "echo $((6 * 7))next; sh"' &
		hear 42next
		say sleep 2; stty size; echo $((6 * 7))second
		hear 33 101
		hear 42second
		key 1d
		end 0
	TALK
}

test_run_with_a_console() {
	command -v "$CTL" >/dev/null || skip "there is no mkctl (MK_CTL)"
	need_image 7.3
	"$HERE/talk.py" "$CTL" run it --console --cpus 2 --memory 512M --initrd "$INITRD" \
		--append 'console=ttyS1 mk.agent' "$(image 7.3)" <<-'TALK'
			hear it runs on CPU 2
			say echo $((6 * 7))x
			hear 42x
			key 1d
			hear it goes on
			end 0
		TALK
	"$CTL" rm --force --online it
}

test_nobody_there() {
	command -v "$CTL" >/dev/null || skip "there is no mkctl (MK_CTL)"
	spawn it 2 512M 7.3
	"$CTL" console it --wait 500ms </dev/null 2>/tmp/said && fail 'there is a console'
	grep -q 'nobody in it gives a console' /tmp/said || fail "it says $(cat /tmp/said)"
	"$CTL" recv it 2 --wait 500ms 2>/tmp/said && fail 'there is a port'
	grep -q 'nobody at the other end has sent' /tmp/said || fail "it says $(cat /tmp/said)"
	# The key that leaves is heard all the same.
	talk <<-'TALK'
		hear It waits for mk-agent
		key 1d
		end 0
	TALK
	# Or another one; the usual one is passed then.
	"$HERE/talk.py" "$CTL" console it --escape ^A <<-'TALK'
		hear ^A leaves it
		hear It waits for mk-agent
		key 1d
		key 01
		end 0
	TALK
}

counters() { sed -nE 's/^(asked|refusals|overdue) //p' "$CLASS/it/stats" | xargs; }

# An agent that stands still gives no beats, which may be allowed, and does nothing in the time for a poweroff.
test_stop_runs_out_of_time() {
	local PATIENCE=0
	agent 7.3
	talk <<-'TALK'
		say (sleep 1; kill -STOP $(pidof mk-agent)) & echo $((6 * 7))x
		hear 42x
		key 1d
		hear it goes on
		end 0
	TALK
	sleep 3
	equal 'state without beats' "$(state it)" running
	put 2000 "$CONFIGFS/it/stop_timeout_ms"
	timed 20 order it stop
	equal 'state, reason' "$(state it), $(reason it)" 'killed, stopped'
	logged 'it: did not power off within 2000 ms' || fail 'the log does not say why'
	equal 'asked, refusals, overdue' "$(counters)" '1 0 1'
	# With no time at all it is not asked.
	put 0 "$CONFIGFS/it/stop_timeout_ms"
	mark
	start it
	hears 120 '^mk-agent: the region has'
	order it stop
	equal 'state, reason' "$(state it), $(reason it)" 'killed, stopped'
	! said '^mk-agent: the host asks' || fail 'it was asked'
}

# A shutdown that hangs: the agent ends it before the host would.
test_shutdown_that_hangs() {
	agent 7.3
	talk <<-'TALK'
		say mkdir -p /sbin; rm -f /sbin/poweroff; printf '#!/bin/sh\nexec sleep 1000\n' >/sbin/poweroff
		say chmod 700 /sbin/poweroff; echo $((6 * 7))x
		hear 42x
		key 1d
		end 0
	TALK
	timed 20 order it stop
	equal 'state, reason' "$(state it) $(reason it)" 'halted poweroff'
	hears 5 '^mk-agent: the host asks for: Shutdown, within 7500 ms'
	hears 5 '^mk-agent: Shutdown: by reboot\(2\)'
}

# Streams in both directions, one after the other on the same port.
test_ports() {
	local turn pid
	agent 7.3
	seq 200000 >/tmp/sent
	for turn in 1 2; do
		"$CTL" recv it 2 --wait 60 >/tmp/received &
		pid=$!
		talk <<-TALK
			say seq 200000 | mk-agent --connect 2; echo sent\$((turn + $turn))
			hear sent$turn
			key 1d
			end 0
		TALK
		wait "$pid" || fail "recv ends with $?"
		cmp /tmp/sent /tmp/received || fail "stream $turn was damaged"
	done
	for turn in 1 2; do
		"$CTL" send it 3 /tmp/sent --wait 60 &
		pid=$!
		talk <<-TALK
			say mk-agent --connect 3 </dev/null | md5sum; echo sent\$((turn + $turn))
			hear $(md5sum </tmp/sent)
			hear sent$turn
			key 1d
			end 0
		TALK
		wait "$pid" || fail "send ends with $?"
	done
}

# Whoever comes first, and whoever ends first.
test_streams() {
	local sum pid
	agent 7.3
	seq 100000 >/tmp/sent
	sum=$(md5sum </tmp/sent)
	# Who sends nothing has ended before anybody here has come.
	talk <<-'TALK'
		say (mk-agent --connect 2 </dev/null | md5sum) & sleep 2; echo $((6 * 7))a
		hear 42a
		key 1d
		end 0
	TALK
	limited 60 "$CTL" send it 2 /tmp/sent || fail "send ends with $?"
	talk <<-TALK
		hear $sum
		say (for i in 1 2; do echo client\$i | mk-agent --connect 2; done) & sleep 2; echo \$((6 * 7))b
		hear 42b
		key 1d
		end 0
	TALK
	equal 'the first one' "$(limited 60 "$CTL" recv it 2)" client1
	equal 'the second one' "$(limited 60 "$CTL" recv it 2)" client2
	# Who reads here keeps the end of what others send from nobody.
	talk <<-'TALK'
		say (sleep 600 | mk-agent --connect 3 | wc -c | sed s/^/bytes:/) & echo $((6 * 7))c
		hear 42c
		key 1d
		end 0
	TALK
	limited 60 "$CTL" recv it 3 >/tmp/answer &
	pid=$!
	limited 60 "$CTL" send it 3 /tmp/sent || fail "send ends with $?"
	talk <<-TALK
		hear bytes:$(stat -c %s /tmp/sent)
		key 1d
		end 0
	TALK
	wait "$pid" || fail "recv ends with $?"
	# An empty file has an end, and one who died behind its own takes nothing.
	talk <<-'TALK' &
		say mk-agent --connect 2 </dev/null | cat; echo $((6 * 7))d
		hear 42d
		say mk-agent --connect 4 </dev/null >/dev/null & sleep 1; kill $!; sleep 1; echo $((6 * 7))e
		hear 42e
		key 1d
		end 0
	TALK
	pid=$!
	limited 60 "$CTL" send it 2 /dev/null || fail "send ends with $?"
	wait "$pid"
	fails 'nobody is at the other end' "$CTL" send it 4 /tmp/sent --wait 2
}

# Who gets a part of a stream is told that it is none of its ends: the instance begins another life, or another
# agent comes.
test_streams_that_are_cut() {
	local way pid status
	agent 7.3
	put 0 "$CONFIGFS/it/stop_timeout_ms"
	for way in life agent; do
		talk <<-'TALK'
			say mk-agent --connect 2 </dev/zero >/dev/null & echo $((6 * 7))x
			hear 42x
			key 1d
			end 0
		TALK
		limited 120 "$CTL" recv it 2 >/tmp/part 2>/tmp/said &
		pid=$!
		within 60 [ -s /tmp/part ] || fail "nothing comes: $(cat /tmp/said)"
		case $way in
		life) order it restart ;;
		agent) talk <<-'TALK' ;;
			say setsid sh -c 'sleep 1; for p in $(pidof mk-agent); do grep -q connect /proc/$p/cmdline || kill -9 $p; done; sleep 1; mk-agent --kmsg' & echo $((6 * 7))y
			hear 42y
			key 1d
			end 0
		TALK
		esac
		wait "$pid" && status=0 || status=$?
		say "$way: recv ends with $status after $(stat -c %s /tmp/part) bytes, and says $(cat /tmp/said)"
		rm /tmp/part
		grep -qE 'gone too early|it is (killed|starting)' /tmp/said || fail "it is an end as others are: $status"
		[[ $status =~ ^[14]$ ]] || fail "its exit status is $status"
	done
}

# Who looks on while nothing happens takes no processor.
test_viewer_is_idle() {
	local pid before after
	agent 7.3
	"$CTL" console it </dev/null >/tmp/seen 2>&1 &
	pid=$!
	within 90 grep -q '#' /tmp/seen || fail "it shows $(cat /tmp/seen)"
	before=$(awk '{ print $14 + $15 }' "/proc/$pid/stat")
	sleep 4
	after=$(awk '{ print $14 + $15 }' "/proc/$pid/stat")
	kill "$pid"
	say "$((after - before)) hundredths of 4 seconds"
	[ $((after - before)) -lt 100 ] || fail 'it takes a processor'
}

test_ping() {
	agent 7.3
	within 90 "$CTL" ping it >/dev/null 2>&1 || fail "it says $("$CTL" ping it 2>&1)"
	"$CTL" ping it --poll --count 100 --size 4096 >/tmp/said
	sed 's/^/# /' /tmp/said
	grep -qE '^it: 100 answers of 4096 bytes, median [0-9.]+ us, p99 [0-9.]+ us, max [0-9.]+ us \(poll\)$' /tmp/said ||
		fail "it says $(cat /tmp/said)"
	equal json "$("$CTL" ping it -c 3 --json | /usr/bin/python3 -c 'import json, sys
it = json.load(sys.stdin)
print(it["name"], it["count"], it["bytes"], it["wait"], 0 < it["median_ns"] <= it["p99_ns"] <= it["max_ns"])')" \
		'it 3 64 sleep True'
}

# A CPU that goes offline in the spawn is no hang; an agent that is stopped is taken for one.
test_beats() {
	local PATIENCE=2000
	agent 7.3
	talk <<-'TALK'
		say echo 0 >/sys/devices/system/cpu/cpu1/online; echo $((6 * 7))x
		hear 42x
		key 1d
		end 0
	TALK
	sleep 4
	equal state "$(state it)" running
	talk <<-'TALK'
		say kill -STOP $(pidof mk-agent)
		hear it is hung
		end 0
	TALK
}

# then_in_it COMMANDS: in a spawn with an agent, and with the module as /m.ko; what they print is not seen
then_in_it() {
	local pid
	# That of the spawn's kernel, which is not always the host's.
	[ -e "${MK_FAULTS:-}/multikernel.ko" ] || skip 'there is no module to be sent (MK_FAULTS)'
	agent 7.3
	"$CTL" send it 3 "$MK_FAULTS/multikernel.ko" --wait 60 &
	pid=$!
	talk <<-TALK
		say mk-agent --connect 3 </dev/null >/m.ko; echo \$((6 * 7))x
		hear 42x
		say setsid sh -c 'sleep 2; $1' & sleep 1; echo \$((6 * 7))y
		hear 42y
		key 1d
		end 0
	TALK
	wait "$pid" || fail "send ends with $?"
}
sessions() { sed -n 's/^sessions //p' "$CLASS/it/stats"; }

# The module speaks for its kernel, too, and there can be one who does.
test_beside_the_module() {
	local before
	then_in_it 'insmod /m.ko; sleep 5; mk-agent --kmsg; echo "mk-agent: ended with $?" >/dev/kmsg'
	# The one that was there ends, and the next one does not begin.
	within 60 taken 2 || fail "$(spoken | grep -c "$TAKEN") agents say that"
	hears 10 '^mk-agent: ended with 5'
	before=$(sessions)
	sleep 4
	equal sessions "$(sessions)" "$before"
}

has_another() { [ "$(sessions)" -ge 2 ]; }

# Its beats are not those that an agent left behind, of a CPU that has gone offline since.
test_module_after_an_agent() {
	local PATIENCE=0
	then_in_it 'killall -9 mk-agent; echo 0 >/sys/devices/system/cpu/cpu1/online; insmod /m.ko'
	within 60 has_another || fail 'the module has no session'
	put 2000 "$CONFIGFS/it/heartbeat_timeout_ms"
	sleep 4
	equal 'state, reason' "$(state it), $(reason it)" 'running, -'
}
TAKEN='^mk-agent: error: the module multikernel speaks for this kernel already'
taken() { [ "$(spoken | grep -c "$TAKEN")" -ge "$1" ]; }

# In time, by the spawn itself.
test_stop() {
	agent 7.3
	talk <<-'TALK'
		say echo $((6 * 7))x
		hear 42x
		key 1d
		end 0
	TALK
	"$CTL" stop it
	equal 'state, reason' "$(state it) $(reason it)" 'halted poweroff'
	hears 5 '^mk-agent: the host asks for: Shutdown'
}

# It cannot run what powers off, and says so: nobody waits for it.
test_refused_stop() {
	agent 7.3
	talk <<-'TALK'
		say mkdir -p /sbin; rm -f /sbin/poweroff; echo no >/sbin/poweroff; chmod 600 /sbin/poweroff; echo $((6 * 7))x
		hear 42x
		key 1d
		end 0
	TALK
	put 60000 "$CONFIGFS/it/stop_timeout_ms"
	mark
	timed 30 order it stop
	equal 'state, reason' "$(state it) $(reason it)" 'killed stopped'
	logged 'refuses to power off (errno 13)' || fail 'the log does not say why'
	equal 'asked, refusals, overdue' "$(counters)" '1 1 0'
}

# Who asks once more does not cut short what has begun.
test_two_stops() {
	local first
	agent 7.3
	talk <<-'TALK'
		say mkdir -p /sbin; rm -f /sbin/poweroff; printf '#!/bin/sh\nsleep 5\nexec /bin/busybox poweroff -f\n' >/sbin/poweroff
		say chmod 700 /sbin/poweroff; echo $((6 * 7))x
		hear 42x
		key 1d
		end 0
	TALK
	put 60000 "$CONFIGFS/it/stop_timeout_ms"
	order it stop &
	first=$!
	hears 10 '^mk-agent: the host asks for: Shutdown'
	order it stop
	wait "$first"
	equal 'state, reason' "$(state it) $(reason it)" 'halted poweroff'
}

# on_console PATTERN: what was said there since the start has it
on_console() { timeout 2 cat /dev/multikernel/it/console 2>/dev/null | tr -d '\r' | grep -qE -- "$1"; }

# answers SERIES: a shell there does what is typed here
answers() {
	spawn it 2-3 512M "$1" mk.agent
	hears 120 '^mk-agent: the region has'
	within 10 put 'echo $((6 * 7)) $(uname -r)
' /dev/multikernel/it/console || fail "nothing can be typed"
	within 20 on_console '^42 ' || fail "the console has no answer: $(timeout 2 cat /dev/multikernel/it/console | tail -n 5)"
	on_console "^42 $(column it KERNEL)\$" || fail 'another kernel answered'
}

test_file_of_the_console() { answers 6.1; }

run_tests "$@"
