#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Runs the programs of this folder in one boot of the test machine, as kselftest's runner would, and looks
# at the host's kernel log afterwards. MK_TESTS is where the built ones are.
#   MK_CASE=PROGRAM[:TEST]   only this one

cd "$(dirname "$0")" || exit 1
mount -t configfs none /sys/kernel/config 2>/dev/null
mountpoint -q /sys/kernel/debug || mount -t debugfs none /sys/kernel/debug
TIMEOUT=$(sed -n 's/^timeout=//p' settings)
wanted=${MK_CASE%%:*} test=
[ "$wanted" = "${MK_CASE:-}" ] || test=${MK_CASE#*:}

programs=()
for program in *.sh "$MK_TESTS"/*; do
	name=$(basename "$program" .sh)
	case $name in lib | run_in_vm | *.*) continue ;; esac
	[ -x "$program" ] && [ -f "$program" ] || continue
	[ -z "$wanted" ] || [ "$wanted" = "$name" ] || continue
	programs+=("$program")
done

echo 'KTAP version 1'
echo "1..$((${#programs[@]} + 1))"
number=0
for program in "${programs[@]}"; do
	number=$((number + 1))
	name=$(basename "$program" .sh)
	echo "# running $name"
	only=(${test:+"$test"})
	case $program in
	*.sh) program=./$program ;;
	*) only=(${test:+-t "$test"}) ;;
	esac
	timeout -k 5 "$TIMEOUT" "$program" "${only[@]}" </dev/null 2>&1 | sed -u 's/^/    /'
	case ${PIPESTATUS[0]} in
	0) echo "ok $number $name" ;;
	4) echo "ok $number $name # SKIP" ;;
	124 | 137) echo "not ok $number $name # TIMEOUT $TIMEOUT seconds" ;;
	*) echo "not ok $number $name" ;;
	esac
done

# Nothing that a test did may have upset the host.
number=$((number + 1))
if dmesg | grep -E 'WARNING:|BUG:|Oops|Call Trace:|refcount_t:|soft lockup|possible recursive|hung_task' | sed 's/^/# /' | grep .; then
	echo "not ok $number kernel_log_is_clean"
	exit 1
fi
echo "ok $number kernel_log_is_clean"
