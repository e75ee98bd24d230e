#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The main road: load, start, kill, reload, restart, stop, remove, and the turns that it does not take.

. "$(dirname "$0")/lib.sh"

# says_it_is NAME KERNEL: the spawn kernel tells its release
says_it_is() { hears 60 "^$1: Linux [^ ]+ ${2//./\\.}[.-]"; }

# damaged SERIES OFFSET BYTES: this image with other bytes there, as a file
damaged() {
	local file=/tmp/damaged-$2
	cp "$(image "$1")" "$file"
	printf '%b' "$3" | dd of="$file" bs=1 seek="$(($2))" conv=notrunc status=none
	printf '%s\n' "$file"
}

test_start_and_kill() {
	local uptime
	need_image 7.3
	instance web 2-3 512M
	equal state "$(state web)" empty
	load web 7.3
	equal state "$(state web)" loaded
	start web
	equal state "$(state web)" running
	equal 'STATE in /proc/multikernel' "$(column web STATE)" running
	says_it_is web 7.3
	hears 30 '^web: CPUs: 2$'
	uptime=$(cut -d. -f1 /proc/uptime)
	ticks 30 web
	ticks 30 web
	[ "$(cut -d. -f1 /proc/uptime)" -gt "$uptime" ] || fail "the host's clock stands still"
	order web kill
	equal state "$(state web)" killed
	equal reason "$(reason web)" killed
	# Two rounds to each CPU, and a proof from each.
	equal 'inits, proofs, missing proofs' "$(sed -nE 's/^(inits|proofs|missing_proofs) //p' "$CLASS/web/stats" | xargs)" '6 2 0'
	mark
	sleep 2
	equal 'what it says when it is dead' "$(spoken)" ''
}

test_restart_stop_start() {
	spawn web 2-3 512M 7.3
	hears 60 '^web: CPUs: 2$'
	mark
	order web restart
	equal state "$(state web)" running
	hears 60 '^web: CPUs: 2$'
	order web stop
	equal state "$(state web)" killed
	equal reason "$(reason web)" stopped
	mark
	order web start
	hears 60 '^web: CPUs: 2$'
	equal starts "$(sed -n 's/^starts //p' "$CLASS/web/stats")" 3
	equal STARTS "$(column web STARTS)" 3
}

test_another_kernel() {
	need_image 6.1
	spawn web 2-3 512M 7.3
	says_it_is web 7.3
	order web kill
	load web 6.1
	equal state "$(state web)" loaded
	mark
	start web
	says_it_is web 6.1
	hears 30 '^web: CPUs: 2$'
	[[ $(column web KERNEL) == 6.1.* ]] || fail "KERNEL is $(column web KERNEL)"
}

# What is loaded while a kernel runs is for the next start, and is no matter to the one that runs.
test_load_while_running() {
	local last
	need_image 6.1
	spawn web 2-3 512M 7.3
	ticks 60 web
	last=$(uptime_of web)
	load web 6.1
	equal state "$(state web)" running
	ticks 30 web
	[ "$(uptime_of web)" -gt "$last" ] || fail "the running kernel began anew"
	order web kill
	mark
	start web
	says_it_is web 6.1
}

test_failed_load_keeps_the_image() {
	local large bad
	need_image 7.3
	instance web 2-3 512M
	load web 7.3
	head -c 4M /dev/urandom >/tmp/garbage
	fails '/tmp/garbage' "$KEXEC" --multikernel=web -l /tmp/garbage
	equal state "$(state web)" loaded
	# kernel_alignment 3 is no power of two.
	bad=$(damaged 7.3 0x230 '\003\000\000\000')
	fails 'Exec format error' "$KEXEC" --multikernel=web -l "$bad"
	logged 'web: kernel_alignment' || fail 'the kernel log does not name the field'
	# init_size 768 MiB, in an instance of 512.
	large=$(damaged 7.3 0x260 '\000\000\000\060')
	fails 'Argument list too long' "$KEXEC" --multikernel=web -l "$large"
	equal state "$(state web)" loaded
	start web
	says_it_is web 7.3
	# Nor does it touch the one that runs, or the one for its next start.
	fails 'Argument list too long' "$KEXEC" --multikernel=web -l "$large"
	equal state "$(state web)" running
	ticks 30 web
	mark
	order web restart
	says_it_is web 7.3
}

test_start_twice() {
	spawn web 2-3 512M 7.3
	fails 'Device or resource busy' start web
	fails 'Device or resource busy' order web start
	equal state "$(state web)" running
	equal STARTS "$(column web STARTS)" 1
	ticks 60 web
}

test_one_shot() {
	need_image 7.3
	offline 2 3
	"$KEXEC" --multikernel=one --mk-cpus=2-3 --mk-memory=512M "$(image 7.3)" ${INITRD:+"--initrd=$INITRD"} \
		--append='console=ttyS1,115200 mk.tag=one'
	equal state "$(state one)" running
	equal CPUS "$(column one CPUS)" 2-3
	equal MEMORY "$(column one MEMORY)" 512M
	hears 60 '^one: CPUs: 2$'
	fails 'is running' "$KEXEC" --multikernel=one "$(image 7.3)"
	equal state "$(state one)" running
	ticks 30 one
}

test_unload() {
	spawn web 2-3 512M 7.3
	fails 'Device or resource busy' "$KEXEC" --multikernel=web -u
	equal state "$(state web)" running
	hears 60 '^web: CPUs: 2$'
	order web kill
	"$KEXEC" --multikernel=web -u
	equal state "$(state web)" empty
	equal KERNEL "$(column web KERNEL)" -
	fails 'No data available' start web
	rmdir "$CONFIGFS/web"
	online 2 3
	equal 'name of a removed instance' "$(column web NAME)" ''
	! grep -q 'multikernel web' /proc/iomem || fail 'its memory is still in /proc/iomem'
}

# Who sees that it is empty can remove it, and have its CPUs.
test_empty_is_free() {
	local turn
	need_image 7.3
	for turn in {1..10}; do
		instance web 2-3 256M
		load web 7.3
		python3 - "$CLASS/web/state" "$CONFIGFS/web" <<-'PYTHON' || fail "it cannot be removed in turn $turn"
			import os, sys
			state, directory = sys.argv[1:]
			seen = os.open(state, os.O_RDONLY)
			if not os.fork():
			    os.write(os.open(state, os.O_WRONLY), b"unload")
			    os._exit(0)
			while os.pread(seen, 16, 0) != b"empty\n":
			    pass
			os.rmdir(directory)
		PYTHON
		online 2 3
	done
}

# A lent CPU stays away from the host until the image is unloaded.
test_veto() {
	local cpu
	instance web 2-3 512M
	online 2
	offline 2
	need_image 7.3
	load web 7.3
	for cpu in 2 3; do fails 'Device or resource busy' online "$cpu"; done
	start web
	for cpu in 2 3; do fails 'Device or resource busy' online "$cpu"; done
	ticks 60 web
	order web kill
	fails 'Device or resource busy' online 2
	"$KEXEC" --multikernel=web -u
	online 2 3
	taskset -c 2 true
	taskset -c 3 true
}

run_tests "$@"
