#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Runs the programs of this folder in one boot of the test machine, as kselftest's runner would, and looks
# at the host's kernel log afterwards. MK_TESTS is where the built ones are.
#   MK_CASE='PROGRAM[:TEST] ...'   only these; all: what has suites of its own, too

cd "$(dirname "$0")" || exit 1
mount -t configfs none /sys/kernel/config 2>/dev/null
mountpoint -q /sys/kernel/debug || mount -t debugfs none /sys/kernel/debug
# What is read for each load and run for each step is copied once: the files of a test machine are far away.
near=$(mktemp -d) || exit 1
trap 'rm -rf "$near"' EXIT
for name in MK_MODULE MK_KEXEC MK_CTL MK_VMCORE_DMESG MK_INITRD MK_SPAWN_DIR MK_FAULTS; do
	[ -e "${!name:-}" ] || continue
	mkdir "$near/$name" && cp -r "${!name}" "$near/$name/" || exit 1
	export "$name=$near/$name/$(basename "${!name}")"
done
TIMEOUT=${MK_TIMEOUT:-$(sed -n 's/^timeout=//p' settings)}

# tests_of PROGRAM: the ones that MK_CASE names, or none for all; fails when the program is not wanted
tests_of() {
	local word wanted=1
	# The fault matrix is a suite of its own, and so is what kernels say to each other.
	[ "${MK_CASE:-}" != all ] || return 0
	[ -n "${MK_CASE:-}" ] || { [[ ! " faults agent channel hostile " =~ \ $1\  ]] && return; }
	for word in $MK_CASE; do
		[ "${word%%:*}" = "$1" ] || continue
		wanted=0
		[[ $word != *:* ]] || printf '%s\n' "${word#*:}"
	done
	return "$wanted"
}

# give_back: what a program that was ended has left does not stand in the way of the next one
give_back() {
	local left word
	for left in /sys/kernel/config/multikernel/*/; do
		[ -d "$left" ] || continue
		left=$(basename "$left")
		echo "# $name has left $left"
		for word in kill unload; do echo $word >"/sys/class/multikernel/$left/state"; done 2>/dev/null
		rmdir "/sys/kernel/config/multikernel/$left"
	done
	for left in /sys/devices/system/cpu/cpu*/online; do
		[ "$(cat "$left")" = 1 ] || echo 1 >"$left"
	done
}

# without_foreign_races: KCSAN finds some of the kernel's own, as in fs/dcache.c; these are only told
without_foreign_races() {
	awk '
		/BUG: KCSAN:/ { race = $0 }
		race { report = report $0 "\n" }
		race && /Reported by Kernel Concurrency Sanitizer/ {
			if (report ~ /\[multikernel\]|multikernel_/) printf "%s", report
			else print "# not ours: " race >"/dev/stderr"
			race = report = ""
			next
		}
		!race
		END { printf "%s", report }'
}

# This machine is for the tests alone, and the program in question comes last.
export MK_ONEWAY=1

programs=()
for program in *.sh "$MK_TESTS"/*; do
	name=$(basename "$program" .sh)
	case $name in lib | run_in_vm | find_secret | nonblock | *.*) continue ;; esac
	[ -x "$program" ] && [ -f "$program" ] || continue
	tests_of "$name" >/dev/null || continue
	programs+=("$program")
done
[ ${#programs[@]} -gt 0 ] || { echo "Bail out! there is no program '${MK_CASE:-}'" && exit 1; }

# Opened before a test locks the host down, after which nobody can; both directions by themselves.
leaks=/sys/kernel/debug/kmemleak
if [ -e $leaks ]; then
	exec 8>$leaks
	exec 9<$leaks
fi

echo 'KTAP version 1'
echo "1..$((${#programs[@]} + 1))"
number=0
for program in "${programs[@]}"; do
	number=$((number + 1))
	name=$(basename "$program" .sh)
	echo "# running $name"
	mapfile -t only < <(tests_of "$name")
	case $program in
	*.sh) program=./$program ;;
	*) only=("${only[@]/#/-t}") ;;
	esac
	timeout -k 5 "$TIMEOUT" "$program" "${only[@]}" </dev/null 2>&1 8>&- 9>&- | sed -u 's/^/    /'
	case ${PIPESTATUS[0]} in
	0) echo "ok $number $name" ;;
	4) echo "ok $number $name # SKIP" ;;
	124 | 137) echo "not ok $number $name # TIMEOUT $TIMEOUT seconds" ;;
	*) echo "not ok $number $name" ;;
	esac
	give_back
done

# Nothing that a test did may have upset the host. Its log is as long as all of them need (log_buf_len), and what
# was printed before that is in the taint: W a warning, D an oops, L a lockup, B what KASAN finds.
number=$((number + 1))
found=
tainted=$(cat /proc/sys/kernel/tainted)
[ $((tainted & (1 << 9 | 1 << 7 | 1 << 14 | 1 << 5))) -eq 0 ] || found="the kernel is tainted: $tainted"$'\n'
found+=$(dmesg | without_foreign_races | grep -E 'WARNING:|BUG:|Oops|Call Trace:|refcount_t:|soft lockup|possible recursive|hung_task')
if [ -e $leaks ]; then
	# What is young may be somewhere on its way; the second look finds what was lost before the first.
	for _ in 1 2; do
		echo scan >&8 || found+=$'leaks cannot be looked for\n'
		sleep 6
	done
	found+=$(cat <&9) || found+='nor read'
fi
if [ -n "$found" ]; then
	printf '%s\n' "$found" | sed 's/^/# /'
	echo "not ok $number kernel_log_is_clean"
else
	echo "ok $number kernel_log_is_clean"
fi
# The results tell what failed; another status is that of a machine that did not come so far.
exit 0
