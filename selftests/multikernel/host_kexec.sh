#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The host's own kexec, with the series and without the module: the kernel's own selftests of it.

. "$(dirname "$0")/lib.sh"

# kernels_own TEST: one of tools/testing/selftests/kexec, with the built image as the one in /boot
kernels_own() {
	local folder status=0 SAID=/tmp/said
	folder=$(dirname "${MK_KTAP:-$HERE/../kselftest/x}")/../kexec
	[ -x "$folder/$1" ] || [ -n "${MK_SERIES:-}" ] || skip "there is no $folder/$1"
	need_image 7.3
	rmmod multikernel
	unshare -m bash -c '
		mount -t tmpfs boot /boot && cp "$1" "/boot/vmlinuz-$(uname -r)" &&
			cd "$2" && PATH=$(dirname "$3"):$PATH "./$4"' - "$(image 7.3)" "$folder" "$KEXEC" "$1" >"$SAID" 2>&1 || status=$?
	sed 's/^/# /' "$SAID"
	case $status in
	0) ;;
	"$KSFT_SKIP") skip "it skips itself: $(tail -n 1 "$SAID")" ;;
	*) fail "it ended with $status" ;;
	esac
	equal kexec_loaded "$(cat /sys/kernel/kexec_loaded)" 0
}

test_load() { kernels_own test_kexec_load.sh; }
test_file_load() { kernels_own test_kexec_file_load.sh; }

run_tests "$@"
