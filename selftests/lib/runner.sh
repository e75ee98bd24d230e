# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Sourced by selftests/run: runs suites, which are functions suite_NAME that print KTAP, and tells how they ended.
# Needs scripts/common.sh and a temporary folder.

TOTALS=(0 0 0)
REPORT=()
FAILED=()
UNSTEADY=()
FAILURES=$WORK/failures
SHOW=()
[ -z "${V:-}" ] || SHOW=(--all)

# counted SUITE [CASE]: runs it, and sets passed, failed, skipped, and the file FAILURES (its lines are NAME<tab>WHY)
counted() {
	local status
	mkdir -p "$CACHE/log"
	# The suite's exit status, not the counter's: a suite that dies midway prints no "not ok".
	set +e
	(SUITE=$1 && "suite_$1" ${2:+"$2"}) </dev/null | tee ${KEEP:+-a} "$CACHE/log/$1.ktap" | "$TOP/selftests/lib/ktap.py" "$WORK/counts" "${SHOW[@]}" >&2
	status=${PIPESTATUS[0]}
	set -e
	read -r passed failed skipped <"$WORK/counts"
	sed 1d "$WORK/counts" >"$FAILURES"
	if [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then
		failed=1
		printf '\tended with status %s\n' "$status" >"$FAILURES"
		say "not ok: the suite $1 ended with status $status"
	elif [ $((passed + failed + skipped)) -eq 0 ]; then
		failed=1
		printf '\tran no test\n' >"$FAILURES"
		say "not ok: the suite $1 ran no test"
	fi
}

# An emulator on a busy machine loses time that a machine would not: what failed there is run once more, by
# itself. The end names it all the same, with what it said, and STRICT=1 lets it fail. Not bench and audit, which
# count: their figures do not depend on the machine.
AGAIN=' host vm faults talk vm-x2apic '
AGAIN_MOST=3

# again SUITE CASE: it can be run by itself, and passes so
again() {
	local case=$2 passed failed skipped whole=
	# What is left in the kernel's log is no matter of time.
	[ -n "$case" ] && [ "$case" != kernel_log_is_clean ] || return 1
	# A program in C is run as a whole.
	[[ $case != *.* ]] || case=${case%%:*} whole=1
	say "   once more: $case"
	KEEP=1 FAILURES=$WORK/again counted "$1" "${case#"$1":}"
	# To be skipped is not to pass; the rest of a program may be.
	[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ] && { [ -n "$whole" ] || [ "$skipped" -eq 0 ]; }
}

one_suite() { # one_suite NAME BUDGET [CASE]
	local name=$1 budget=$2 began=$SECONDS passed failed skipped took case why once_more=
	say "== $name (budget $(duration "$budget"))"
	counted "$name" ${3:+"$3"}
	[ -n "${STRICT:-}" ] || [ "$failed" -gt "$AGAIN_MOST" ] || [[ $AGAIN != *" $name "* ]] || once_more=1
	while IFS=$'\t' read -r case why <&3; do
		if [ -n "$once_more" ] && again "$name" "$case"; then
			UNSTEADY+=("$name/$case: $why")
			passed=$((passed + 1)) failed=$((failed - 1))
		else
			FAILED+=("$name${case:+/$case}: $why")
		fi
	done 3<"$FAILURES"
	took=$((SECONDS - began))
	TOTALS=($((TOTALS[0] + passed)) $((TOTALS[1] + failed)) $((TOTALS[2] + skipped)))
	REPORT+=("$(printf '%-12s %5d passed %5d failed %5d skipped %8s of %s%s' "$name" "$passed" "$failed" "$skipped" \
		"$(duration "$took")" "$(duration "$budget")" "$([ "$took" -le "$budget" ] || printf '  OVER ITS BUDGET')")")
	say "   ${REPORT[-1]}"
}

# report: the end of all that one_suite ran; fails when a test did
report() {
	printf '\n'
	printf '%s\n' "${REPORT[@]}"
	[ ${#UNSTEADY[@]} -eq 0 ] || printf 'failed at first, passed by itself: %s\n' "${UNSTEADY[@]}"
	[ ${#FAILED[@]} -eq 0 ] || printf 'failed: %s\n' "${FAILED[@]}"
	printf 'in %s\n' "$(duration "$SECONDS")"
	printf '%d passed, %d failed, %d skipped\n' "${TOTALS[@]}"
	[ "${TOTALS[1]}" -eq 0 ]
}
