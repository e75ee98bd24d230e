#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# kexec is killed in the middle of a load: the instance has the image, or has not, and nothing is lost.

. "$(dirname "$0")/lib.sh"

free_kib() {
	echo 3 >/proc/sys/vm/drop_caches
	sleep 0.3
	awk '$1 == "MemFree:" { print $2 }' /proc/meminfo
}

test_kexec_killed() {
	local began whole percent pid seen='' before after
	need_image 7.3
	instance web 2-3 128M
	began=${EPOCHREALTIME/./}
	load web 7.3
	whole=$((${EPOCHREALTIME/./} - began))
	"$KEXEC" --multikernel=web -u
	before=$(free_kib)
	for percent in 20 40 50 60 70 75 80 85 90 95 100 130; do
		load web 7.3 2>/dev/null &
		pid=$!
		sleep "$(awk -v us="$whole" -v p="$percent" 'BEGIN { print us * p / 1e8 }')"
		kill -KILL "$(pgrep -P "$pid" -x kexec || echo "$pid")" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
		seen+=" $(state web)"
		case $(state web) in
		empty) equal KERNEL "$(column web KERNEL)" - ;;
		loaded) "$KEXEC" --multikernel=web -u ;;
		*) fail "it is $(state web)" ;;
		esac
	done
	say "a load takes $((whole / 1000)) ms; killed on the way:$seen"
	[[ $seen == *empty* ]] || fail 'no load was caught on the way'
	after=$(free_kib)
	# Free pages of each CPU do not count; one image has more than this.
	[ $((before - after)) -lt 24576 ] || fail "free memory went from $before KiB to $after KiB"
	load web 7.3
	equal state "$(state web)" loaded
}

run_tests "$@"
