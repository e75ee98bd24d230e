#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What Debian's kernels leave behind, with KASLR, read by programs that know nothing of multikernel: readelf,
# vmcore-dmesg of kexec-tools (MK_VMCORE_DMESG), makedumpfile. The memory of a running one, too.

. "$(dirname "$0")/lib.sh"

FILES=/dev/multikernel/it
TMP=/tmp/vmcore
VMCORE_DMESG=${MK_VMCORE_DMESG:-vmcore-dmesg}

# load_packed SERIES [MORE]: the kernel decompresses itself, so it chooses its addresses
load_packed() {
	"$KEXEC" --multikernel=it -l "$(image "$1")" --mk-compressed ${INITRD:+"--initrd=$INITRD"} \
		--append="console=ttyS1,115200 mk.tag=it ${2:-}"
}

# prints FILE COMMAND...: what the command prints goes to the file, as a log from its first line on
prints() {
	local to=$1
	shift
	"$@" >"$to" 2>$TMP.err || fail "$1 ended with $?: $(tail -n 3 $TMP.err)"
	grep -qE '^\[ +0\.000000\] Linux version [0-9]' "$to" || fail "$* did not print the first line"
}

dump_dmesg() { # dump_dmesg VMCORE: its complaint that the kernel is newer than itself is no failure
	rm -f $TMP.dump
	makedumpfile --dump-dmesg "$1" $TMP.dump >&2 && cat $TMP.dump
}

# has FILE TEXT: one line ends with this
has() { grep -qE -- "\\] $2\$" "$1" || fail "$1 does not have '$2'"; }

texts() { sed -E 's/^(\[ *[0-9]+\.[0-9]{6}\] | {15})//' "$1"; }

# same_log TOOL: it read what we read. Before a record's second line one puts nothing, the other blanks.
same_log() {
	diff <(texts $TMP.ours) <(texts $TMP.theirs) >$TMP.diff || fail "$1 has another log: $(head -n 4 $TMP.diff)"
	! grep -vxFf $TMP.ours $TMP.theirs | grep '^\[' >$TMP.diff || fail "$1 has other times: $(head -n 4 $TMP.diff)"
}

read_by_others() { # read_by_others SERIES
	local lines
	need_image "$1"
	command -v makedumpfile >/dev/null || skip 'there is no makedumpfile'
	instance it 2-3 512M
	load_packed "$1" 'mk.do=panic mk.after=4'
	start it
	hears 90 '^it: uptime '
	# While it runs.
	prints $TMP.running "$VMCORE_DMESG" $FILES/vmcore
	has $TMP.running 'it: CPUs: 2'
	prints $TMP.running dump_dmesg $FILES/vmcore
	has $TMP.running 'it: CPUs: 2'

	reaches it panicked 90
	equal reason "$(reason it)" 'panic Kernel panic - not syncing: sysrq triggered crash'
	equal REASON "$(column it REASON)" panic
	prints $TMP.ours tail -n +2 $FILES/log
	has $TMP.ours 'Kernel panic - not syncing: sysrq triggered crash'
	grep -q 'Kernel Offset: 0x' $TMP.ours || fail 'it had no KASLR'
	prints $TMP.theirs "$VMCORE_DMESG" $FILES/vmcore
	same_log vmcore-dmesg
	prints $TMP.theirs dump_dmesg $FILES/vmcore
	same_log makedumpfile

	# A copy is a proper file, with the note and, twice, the memory.
	cat $FILES/vmcore >$TMP
	readelf -a $TMP >$TMP.elf 2>$TMP.err || fail 'readelf failed'
	equal 'what readelf complains of' "$(cat $TMP.err)" ''
	! grep -qi 'warning' $TMP.elf || fail 'readelf warns'
	grep -qE '^  VMCOREINFO ' $TMP.elf || fail 'readelf sees no VMCOREINFO'
	lines=$(grep -cE '^  (LOAD|NOTE) ' $TMP.elf)
	[ "$lines" -ge 4 ] || fail "there are $lines program headers"
	rm $TMP $TMP.*
}

test_6_1() { read_by_others 6.1; }
test_6_12() { read_by_others 6.12; }
test_6_18() { read_by_others 6.18; }
test_7_3() { read_by_others 7.3; }

# tasks: what a debugger that has the kernel's symbols finds in a copy of the memory
tasks() {
	cat $FILES/vmcore >$TMP
	"$MK_DRGN" -q -c $TMP -s "$MK_SYMBOLS" "$HERE/tasks.py" >$TMP.tasks 2>$TMP.err || fail "drgn: $(tail -n 3 $TMP.err)"
	equal 'the release' "$(sed -n 's/^release //p' $TMP.tasks)" "$(column it KERNEL)"
	grep -qE '^tasks [0-9]+ init kthreadd$' $TMP.tasks || fail "drgn finds no tasks: $(head -n 3 $TMP.tasks)"
	grep -qE '^#[0-9]+ +kthreadd ' $TMP.tasks || fail "drgn has no trace of kthreadd: $(tail -n 3 $TMP.tasks)"
}

test_debugger() {
	[ -n "${MK_DRGN:-}" ] || skip 'there are no debug symbols here (MK_DRGN, MK_SYMBOLS)'
	need_image 6.1
	instance it 2-3 512M
	load_packed 6.1 'mk.do=panic mk.after=60'
	start it
	hears 90 '^it: uptime '
	tasks
	! grep -q '^panicked' $TMP.tasks || fail 'drgn finds a panic in a kernel that runs'
	reaches it panicked 120
	tasks
	grep -qx 'panicked init' $TMP.tasks || fail "drgn does not know who panicked: $(grep panicked $TMP.tasks)"
	rm $TMP $TMP.*
}

# headers: the lines before the logs that are kept
headers() { grep '^=== ' $FILES/log; }

# The last life's note is still in memory when the next one begins.
test_no_stale_log() {
	need_image 6.1
	instance it 2-3 512M
	load_packed 6.1 'mk.do=panic mk.after=1'
	start it
	reaches it panicked 90
	order it start
	# Before its kernel has decompressed itself.
	order it kill
	equal reason "$(reason it)" killed
	[[ $(headers | tail -n 1) == '=== life 2: killed, reason killed, 0 bytes' ]] || fail "the log of life 2: $(headers)"
	! "$VMCORE_DMESG" $FILES/vmcore >$TMP 2>&1 || fail "life 2 has a log: $(head -n 3 $TMP)"
	rm $TMP
}

# Logs outlive restarts and other kernels, oldest first.
test_earlier_lives() {
	local series
	need_image 6.1
	need_image 6.18
	instance it 2-3 512M
	for series in 6.1 6.18 6.1; do
		load it "$series" 'mk.do=panic mk.after=1'
		mark
		start it
		reaches it panicked 90
	done
	load it 6.18
	mark
	start it
	hears 90 '^it: CPUs: 2$'
	equal 'the lives that are told' "$(headers | grep -oE 'life [0-9]+: [a-z]+, reason [a-z]+')" \
		"$(printf 'life %d: panicked, reason panic\n' 1 2 3)"
	equal 'their kernels' "$(grep -oE '\] Linux version [0-9]+\.[0-9]+' $FILES/log)" \
		"$(printf '] Linux version %s\n' 6.1 6.18 6.1)"
	equal 'their panics' "$(grep -c '\] Kernel panic - not syncing: sysrq triggered crash$' $FILES/log)" 3
	order it kill
	equal 'the last kernel' "$(grep -oE '\] Linux version [0-9]+\.[0-9]+' $FILES/log | tail -n 1)" '] Linux version 6.18'
	# Whoever reads slowly reads what was there when it opened the file.
	exec 9<$FILES/log
	order it start
	order it kill
	equal 'a file opened earlier' "$(grep -c '^=== ' <&9)" 4
	equal 'its first life' "$(headers | head -n 1 | cut -d: -f1)" '=== life 2'
	exec 9<&-
}

run_tests "$@"
