#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What is written to and read from the files of an instance, as Documentation/ABI/testing describes it.

. "$(dirname "$0")/lib.sh"

mode() { stat -c %a "$1"; }

# refuses TEXT VALUE FILE: one line in the log, with the value's flaw, and the file reads as before
refuses() {
	local before lines
	before=$(cat "$3")
	echo "$MARK now" >/dev/kmsg
	fails "$1" put "$2" "$3"
	equal "$3 after '$2'" "$(cat "$3")" "$before"
	lines=$(dmesg | tac | sed "/$MARK now/q" | grep -c 'multikernel: ' || true)
	equal "number of lines in the log on '$2'" "$lines" 1
}

test_names() {
	local name long=a23456789.123456789_123456789-12
	for name in a 0 A.b_c-9 "$long"; do
		mkdir "$CONFIGFS/$name"
		equal state "$(state "$name")" empty
		equal 'state column' "$(column "$name" STATE)" empty
		fails 'File exists' mkdir "$CONFIGFS/$name"
		rmdir "$CONFIGFS/$name"
		[ ! -e "$CLASS/$name" ] || fail "$name is still in $CLASS"
	done
	for name in .hidden _a -a 'a b' 'a,b' a:b $'a\nb' 'ä' "${long}x"; do
		fails 'Invalid argument' mkdir -- "$CONFIGFS/$name"
	done
	logged 'mkdir .hidden: character of the name 0x2e: ' || fail 'the log does not explain .hidden'
	logged "mkdir ${long}x: length of the name 0x21: " || fail 'the log does not explain 33 characters'
	logged 'mkdir a\nb: ' || fail 'a newline came into the log'
	equal 'what is left' "$(ls "$CONFIGFS")$(ls "$CLASS")" ''
}

test_cpus() {
	local list
	mkdir "$CONFIGFS/a"
	list=$CONFIGFS/a/cpus
	equal mode "$(mode "$list")" 644
	equal 'an empty list' "$(od -An -c <"$list" | tr -d ' ')" '\n'
	equal 'CPUS column' "$(column a CPUS)" -
	while read -r given back; do
		put "$given" "$list"
		equal "'$given' read back" "$(cat "$list")" "$back"
		equal 'CPUS column' "$(column a CPUS)" "$back"
	done <<-END
		2 2
		2-3 2-3
		2,3 2-3
		3,2 2-3
		1-1 1
		01 1
		1,3 1,3
		2-3,3,2 2-3
		1-2,3 1-3
	END
	put $' 2-3\n' "$list"
	equal 'with white space' "$(cat "$list")" 2-3
	for given in 0 0-3 2,0 1000 1024 4294967298 99999999999999999999; do
		refuses 'Invalid argument' "$given" "$list"
	done
	for given in x 2- -3 2--3 3-2 2,,3 ,2 '2,' 2-3-4 '2 3' 0x2 2.0 $'2\n3' all; do
		refuses 'Invalid argument' "$given" "$list"
	done
	# Another's CPU, as long as it is another's.
	mkdir "$CONFIGFS/b"
	refuses 'Device or resource busy' 1,3 "$CONFIGFS/b/cpus"
	logged "b: cpus 3: belongs to a" || fail 'the log does not name the owner'
	put $'\n' "$list"
	equal 'after an empty write' "$(cat "$list")" ''
	put 1,3 "$CONFIGFS/b/cpus"
	refuses 'Device or resource busy' 3 "$list"
	rmdir "$CONFIGFS/b"
	put 3 "$list"
}

test_memory() {
	mkdir "$CONFIGFS/a"
	equal mode "$(mode "$CONFIGFS/a/memory")" 644
	equal 'no memory' "$(cat "$CONFIGFS/a/memory")" '0 none'
	equal 'MEMORY column' "$(column a MEMORY)" 0
	put 6M "$CONFIGFS/a/memory"
	equal 'memory' "$(cat "$CONFIGFS/a/memory")" '6M set-aside'
	equal 'MEMORY column' "$(column a MEMORY)" 6M
	refuses 'Invalid argument' 0 "$CONFIGFS/a/memory"
	refuses 'Cannot allocate memory' 1T "$CONFIGFS/a/memory"
}

test_class_device() {
	local file abi=$HERE/../../Documentation/ABI/testing/sysfs-class-multikernel
	mkdir "$CONFIGFS/a"
	equal 'mode of state' "$(mode "$CLASS/a/state")" 644
	equal 'mode of reason' "$(mode "$CLASS/a/reason")" 444
	equal 'mode of stats' "$(mode "$CLASS/a/stats")" 444
	equal 'mode of ping' "$(mode "$CLASS/a/ping")" 600
	equal ping "$(cat "$CLASS/a/ping")" -
	equal reason "$(reason a)" -
	# Those that are documented, and none has counted yet.
	equal stats "$(sort "$CLASS/a/stats")" "$(awk '/^What:/ { on = /stats$/; next } on && /^\t\t[a-z_]+  / { print $1, 0 }' "$abi" | sort)"
	grep -qx MULTIKERNEL_NAME=a "$CLASS/a/uevent" || fail 'the uevent does not name the instance'
	equal subsystem "$(basename "$(readlink -f "$CLASS/a/subsystem")")" multikernel
	for file in state reason stats; do
		setpriv --reuid=65534 --regid=65534 --clear-groups cat "$CLASS/a/$file" >/dev/null
	done
}

test_overview() {
	local address documented last abi=$HERE/../../Documentation/ABI/testing/procfs-multikernel
	equal mode "$(mode /proc/multikernel)" 444
	equal 'lines without an instance' "$(wc -l </proc/multikernel)" 1
	documented=$(awk '/^\t\t=+/ { on = !on; next } on && /^\t\t[A-Z]/ { printf "%s ", $1 }' "$abi")
	equal header "$(head -n 1 /proc/multikernel) " "$documented"
	mkdir "$CONFIGFS"/{c,a,b}
	equal 'order by id' "$(awk 'NR > 1 { print $2 }' /proc/multikernel | xargs)" 'c a b'
	awk 'NR > 2 && $1 <= last { exit 1 } { last = $1 }' /proc/multikernel || fail 'ids do not ascend'
	last=$(column b ID)
	rmdir "$CONFIGFS/b"
	mkdir "$CONFIGFS/b"
	[ "$(column b ID)" -gt "$last" ] || fail 'an id was used again'
	put 8M "$CONFIGFS/c/memory"
	put 2 "$CONFIGFS/c/cpus"
	equal 'columns' "$(awk '{ print NF }' /proc/multikernel | sort -u)" 10
	equal line "$(sed -n '/ c /s/ [0-9]*\.[0-9]\{3\} / SECONDS /p' /proc/multikernel)" \
		"$(column c ID) c empty 2 8M - SECONDS 0 - -"
	# No address of the ranges that root sees in /proc/iomem is in it.
	while read -r address; do
		! grep -qi "$address" /proc/multikernel || fail "it shows the address $address"
	done < <(sed -n 's/^ *0*\([0-9a-f]*\)-.* : multikernel.*/\1/p' /proc/iomem)
	setpriv --reuid=65534 --regid=65534 --clear-groups cat /proc/multikernel >/dev/null
	fails 'denied' setpriv --reuid=65534 --regid=65534 --clear-groups dd if=/dev/null of=/proc/multikernel conv=notrunc
}

# Time in a state goes on by the clock, and starts anew with the next one.
test_seconds() {
	local first second began=$EPOCHREALTIME
	mkdir "$CONFIGFS/a"
	first=$(column a SECONDS)
	sleep 1
	second=$(column a SECONDS)
	awk -v a="$first" -v b="$second" -v all="$began $EPOCHREALTIME" \
		'BEGIN { split(all, at); exit !(b - a > 0.9 && b - a < at[2] - at[1] + 0.1) }' ||
		fail "a second takes it from $first to $second"
}

run_tests "$@"
