#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Several spawn kernels at once, each on a serial port of its own: what one does is no matter to the others.

. "$(dirname "$0")/lib.sh"

# Kernels before 6.3 address CPUs by bits that every kernel counts from 0, unless told otherwise.
test_one_of_two_reboots() {
	local last
	spawn a 2-3 512M 6.1 console=ttyS1,115200
	spawn b 4-5 512M 6.1 'console=ttyS2,115200 mk.do=reboot mk.after=2'
	hears 90 '^a: CPUs: 2$' "$TTY1"
	hears 90 '^b: CPUs: 2$' "$TTY2"
	ticks 30 a "$TTY1"
	reaches b rebooting 60
	equal reason "$(reason b)" reboot
	last=$(uptime_of a "$TTY1")
	ticks 30 a "$TTY1"
	ticks 30 a "$TTY1"
	[ "$(uptime_of a "$TTY1")" -gt "$last" ] || fail "a began anew"
	equal 'state of a' "$(state a)" running
}

test_three_kernels() {
	spawn a 2 512M 7.3 console=ttyS1,115200
	spawn b 3 512M 6.1 console=ttyS2,115200
	spawn c 4 512M 6.18 console=ttyS3,115200
	ticks 90 a "$TTY1"
	ticks 90 b "$TTY2"
	ticks 90 c "$TTY3"
	order b kill
	equal states "$(column a STATE) $(column b STATE) $(column c STATE)" 'running killed running'
	ticks 30 a "$TTY1"
	ticks 30 c "$TTY3"
	# Its next life may be another one.
	load b 7.3 console=ttyS2,115200
	mark "$TTY2"
	start b
	hears 90 '^b: Linux [^ ]+ 7\.3\.' "$TTY2"
	ticks 30 b "$TTY2"
	ticks 30 a "$TTY1"
	ticks 30 c "$TTY3"
}

# host_calls: how many function-call interrupts the host's CPUs have had; spawn_calls: and those of a
total() { awk '{ for (i = 1; i <= NF; i++) if ($i ~ /^[0-9]+$/) sum += $i; print sum }'; }
host_calls() { grep '^ *CAL:' /proc/interrupts | total; }
spawn_calls() { spoken | sed -n 's/^a: interrupts CAL: \([0-9 ]*\).*/\1/p' | tail -n 1 | total; }

# call_all COUNT: interrupts for all online CPUs but one's own, so often. Linux would send those to all
# CPUs of the machine in one go, the lent ones too.
call_all() {
	python3 - "$1" <<-'PYTHON'
		import ctypes, os, signal, sys
		MEMBARRIER, GLOBAL_EXPEDITED, REGISTER = 324, 1 << 1, 1 << 2
		syscall = ctypes.CDLL(None, use_errno=True).syscall
		cpus = sorted(os.sched_getaffinity(0))
		children = []
		for cpu in cpus[1:]:
		    child = os.fork()
		    if child == 0:
		        os.sched_setaffinity(0, {cpu})
		        syscall(MEMBARRIER, REGISTER, 0)
		        while True:
		            pass
		    children.append(child)
		os.sched_setaffinity(0, {cpus[0]})
		done = sum(syscall(MEMBARRIER, GLOBAL_EXPEDITED, 0) == 0 for _ in range(int(sys.argv[1])))
		for child in children:
		    os.kill(child, signal.SIGKILL)
		    os.waitpid(child, 0)
		sys.exit(done != int(sys.argv[1]))
	PYTHON
}

test_calls_of_the_host_stay_there() {
	local host spawn
	spawn a 4-5 512M 6.1 mk.irq=CAL
	hears 90 '^a: interrupts CAL: [0-9]'
	ticks 30 a
	host=$(host_calls) spawn=$(spawn_calls)
	call_all 2000
	ticks 30 a
	ticks 30 a
	host=$(($(host_calls) - host)) spawn=$(($(spawn_calls) - spawn))
	say "function-call interrupts: $host in the host, $spawn in the spawn kernel"
	[ "$host" -ge 2000 ] || fail 'the host called nobody'
	# Its own are a few each second.
	[ "$spawn" -lt 1000 ] || fail 'the spawn kernel was called'
}

run_tests "$@"
