# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Sourced by every test program here. A program defines functions test_*, then calls run_tests "$@",
# which runs each in a subshell with `set -e` (or only those that are named) and prints KTAP.
#
# Where things are; the defaults fit a machine that has them installed:
#   MK_MODULE       multikernel.ko             (modprobe)
#   MK_KEXEC        kexec with --multikernel   (kexec of PATH)
#   MK_SPAWN_DIR    7.3/bzImage, 6.1/bzImage ...
#   MK_INITRD       initramfs of the spawn kernels (scripts/initramfs/init)
#   MK_SPAWN_TTY    what spawn kernels write to ttyS1, as a file; MK_SPAWN_TTY2 for ttyS2, MK_SPAWN_TTY3 for ttyS3
#   MK_KTAP         the kernel's ktap_helpers.sh
#   MK_FAULTS       what scripts/build-faults makes
#   MK_SERIES       set: the kernel has the series, and a test that sees none of it fails
#   MK_SLOW         a factor for all deadlines (1), for kernels that check a lot

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
MK_KTAP=${MK_KTAP:-$HERE/../kselftest/ktap_helpers.sh}
[ -r "$MK_KTAP" ] || {
	[ -z "${MK_SERIES:-}" ] || exit 1
	printf '1..0 # SKIP MK_KTAP is to name tools/testing/selftests/kselftest/ktap_helpers.sh of the kernel\n'
	exit 4
}
# shellcheck disable=SC1090
. "$MK_KTAP"

CONFIGFS=/sys/kernel/config/multikernel
CLASS=/sys/class/multikernel
KEXEC=${MK_KEXEC:-kexec}
INITRD=${MK_INITRD:-}
TTY1=${MK_SPAWN_TTY:-}
TTY2=${MK_SPAWN_TTY2:-}
TTY3=${MK_SPAWN_TTY3:-}

# --- asserting ---------------------------------------------------------------------------

say() { printf '# %s\n' "$*"; }

fail() {
	say "failed: $*"
	exit 1
}

skip() {
	say "$*"
	exit "$KSFT_SKIP"
}

# equal WHAT FOUND EXPECTED
equal() { [ "$2" = "$3" ] || fail "$1 is '$2', not '$3'"; }

# fails TEXT COMMAND...: the command fails and tells this, on stderr or stdout
fails() {
	local text=$1 said
	shift
	! said=$("$@" 2>&1) || fail "it worked: $*"
	grep -qF -- "$text" <<<"$said" || fail "'$*' said '$said', not '$text'"
}

# within SECONDS COMMAND...: the command becomes true in time
within() {
	local end=$((${EPOCHREALTIME/./} + $1 * 1000000 * ${MK_SLOW:-1}))
	shift
	until "$@"; do
		[ "${EPOCHREALTIME/./}" -lt "$end" ] || return 1
		sleep 0.1
	done
}

# put VALUE FILE: one write, whose errno shows
put() { printf '%s' "$1" | dd of="$2" bs=4096 status=none; }

# logged TEXT: the host's kernel log has it since the test began (each test writes a mark)
logged() { dmesg | sed "1,/$MARK/d" | grep -qF -- "$1"; }

# --- the module --------------------------------------------------------------------------

have_series() { [ -n "${MK_SERIES:-}" ] || grep -q ' multikernel_register' /proc/kallsyms; }
have_module() { [ -d /sys/module/multikernel ]; }

insert_module() {
	have_module && return
	if [ -n "${MK_MODULE:-}" ]; then insmod "$MK_MODULE"; else modprobe multikernel; fi
}

# --- instances ---------------------------------------------------------------------------

cpu_online() { [ "$(cat "/sys/devices/system/cpu/cpu$1/online" 2>/dev/null || echo 1)" = 1 ]; }
offline() { local cpu; for cpu in "$@"; do put 0 "/sys/devices/system/cpu/cpu$cpu/online"; done; }
online() { local cpu; for cpu in "$@"; do put 1 "/sys/devices/system/cpu/cpu$cpu/online"; done; }
cpus_of() { # "2-3,5" as words
	local part
	for part in ${1//,/ }; do seq "${part%-*}" "${part#*-}"; done
}

# instance NAME CPUS MEMORY: its CPUs go offline
instance() {
	mkdir "$CONFIGFS/$1"
	# shellcheck disable=SC2046
	offline $(cpus_of "$2")
	put "$2" "$CONFIGFS/$1/cpus"
	put "$3" "$CONFIGFS/$1/memory"
}

# image SERIES: its path; the test is skipped when it could not be fetched
image() {
	local path=${MK_SPAWN_DIR:-/nowhere}/$1/bzImage
	[ -r "$path" ] || return 1
	printf '%s\n' "$path"
}
need_image() { image "$1" >/dev/null || skip "there is no kernel image of $1 (MK_SPAWN_DIR)"; }
need_cpus() { [ -d "/sys/devices/system/cpu/cpu$(($1 - 1))" ] || skip "this machine has fewer than $1 CPUs"; }

# load NAME SERIES [MORE FOR THE COMMAND LINE]: what it says goes to ttyS1 unless told otherwise
load() {
	local more=${3:-}
	[[ $more == *console=* ]] || more="console=ttyS1,115200 $more"
	"$KEXEC" --multikernel="$1" -l "$(image "$2")" ${INITRD:+"--initrd=$INITRD"} --append="$more mk.tag=$1"
}

# spawn NAME CPUS MEMORY SERIES [MORE FOR THE COMMAND LINE]: an instance that runs this kernel
spawn() {
	need_image "$4"
	instance "$1" "$2" "$3"
	load "$1" "$4" "${5:-}"
	start "$1"
}

start() { "$KEXEC" --multikernel="$1" -e; }
state() { cat "$CLASS/$1/state"; }
reason() { cat "$CLASS/$1/reason"; }
order() { put "$2" "$CLASS/$1/state"; }
is_in() { [ "$(state "$1")" = "$2" ]; }
reaches() { within "$3" is_in "$1" "$2" || fail "$1 is $(state "$1") after $3 s, not $2"; }

# column NAME COLUMN: of /proc/multikernel, found by its header
column() {
	awk -v name="$1" -v wanted="$2" '
		NR == 1 { for (i = 1; i <= NF; i++) if ($i == wanted) at = i; next }
		$2 == name { print $at }' /proc/multikernel
}

# destroy NAME: whatever it is in, everything goes back, and its CPUs online
destroy() {
	local cpus
	[ -d "$CONFIGFS/$1" ] || return 0
	cpus=$(cat "$CONFIGFS/$1/cpus")
	case $(state "$1") in
	empty | loaded) ;;
	# It may end by itself, or start again, at this moment.
	*) order "$1" kill 2>/dev/null || true ;;
	esac
	"$KEXEC" --multikernel="$1" -u 2>/dev/null || true
	rmdir "$CONFIGFS/$1"
	# shellcheck disable=SC2046
	online $(cpus_of "$cpus")
}

# free_memory: kB, without what the host only remembers, with the free pages that each CPU keeps, and when what
# goes by itself has gone: programs that udev runs for a CPU.
free_memory() {
	local last=0 now=0 turn
	for turn in {1..20}; do
		sync
		echo 3 >/proc/sys/vm/drop_caches
		now=$(awk '$1 == "MemFree:" { kb += $2 } $1 == "count:" { kb += 4 * $2 } END { print kb }' /proc/meminfo /proc/zoneinfo)
		[ "$turn" -gt 3 ] && [ $((now - last)) -lt 64 ] && break
		last=$now
		sleep 1
	done
	echo "$now"
}

# --- what goes wrong ------------------------------------------------------------------------

BOOT_ID=$(cat /proc/sys/kernel/random/boot_id)

# The host is the one that it was, each CPU of it runs a task, and its kernel complains of nothing.
host_goes_on() {
	local cpu
	equal boot_id "$(cat /proc/sys/kernel/random/boot_id)" "$BOOT_ID"
	for cpu in $(cpus_of "$(cat /sys/devices/system/cpu/online)"); do
		limited 20 taskset -c "$cpu" true || fail "CPU $cpu runs nothing"
	done
	for cpu in WARNING: BUG: Oops 'Call Trace:' 'soft lockup' 'rcu: INFO'; do
		! logged "$cpu" || fail "the host's log has '$cpu'"
	done
}

# need_faults: the spawn's initramfs gets what breaks its kernel
need_faults() {
	[ -r "${MK_FAULTS:-}/payload" ] || skip 'needs what scripts/build-faults makes (MK_FAULTS)'
	[ -n "$INITRD" ] || skip 'needs an initramfs (MK_INITRD)'
	[ "$INITRD" != /tmp/initrd ] || return 0
	cat "$MK_FAULTS/modules.cpio" "$INITRD" >/tmp/initrd
	INITRD=/tmp/initrd
}

# limited SECONDS PROGRAM...: ends it with status 124 after that
limited() { timeout $(($1 * ${MK_SLOW:-1})) "${@:2}"; }

# timed SECONDS COMMAND...: it works within this time
timed() {
	local began=${EPOCHREALTIME/./} limit=$(($1 * ${MK_SLOW:-1}))
	shift
	"$@"
	began=$(((${EPOCHREALTIME/./} - began) / 1000))
	[ "$began" -le $((limit * 1000)) ] || fail "'$*' took $began ms"
}

# --- what spawn kernels say --------------------------------------------------------------

# From here on: mark [FILE], said PATTERN [FILE], hears SECONDS PATTERN [FILE]
declare -A HEARD
mark() { HEARD[${1:-$TTY1}]=$(stat -c %s "${1:-$TTY1}"); }
spoken() { tail -c +$((${HEARD[${1:-$TTY1}]:-0} + 1)) "${1:-$TTY1}" | tr -d '\r' | sed -E 's/^\[ *[0-9.]+\] //'; }
said() { spoken "${2:-}" | grep -qE -- "$1"; }
hears() {
	[ -n "$TTY1" ] || skip "nobody hears spawn kernels here (MK_SPAWN_TTY)"
	within "$1" said "$2" "${3:-}" && return
	spoken "${3:-}" | tail -n 12 | sed 's/^/# spawn: /'
	fail "no spawn kernel said '$2' within $1 s"
}

# uptime_of NAME [FILE]: the last one that it told, in hundredths of a second
uptime_of() { spoken "${2:-}" | sed -n "s/^$1: uptime \([0-9]*\)\.\([0-9][0-9]\)\$/\1\2/p" | tail -n 1; }
older_than() { [ "$(uptime_of "$1" "${3:-}")" -gt "$2" ]; }

# ticks SECONDS NAME [FILE]: it tells another uptime in time
ticks() {
	local last
	hears "$1" "^$2: uptime " "${3:-}"
	last=$(uptime_of "$2" "${3:-}")
	within "$1" older_than "$2" "$last" "${3:-}" || fail "$2's uptime stays at $last hundredths for $1 s"
}

# --- running -----------------------------------------------------------------------------

# What a test leaves behind goes, and the CPUs come back that were online before. There were no instances then.
tidy() {
	local left
	for left in "$CONFIGFS"/*/; do
		[ ! -d "$left" ] || destroy "$(basename "$left")"
	done
	for left in $(cpus_of "$CPUS_BEFORE"); do
		cpu_online "$left" || online "$left"
	done
}

one_test() { # in a subshell
	MARK="multikernel selftest: $PROGRAM $1 $$"
	echo "$MARK" >/dev/kmsg
	insert_module || fail "the module cannot be loaded"
	[ -z "$TTY1" ] || mark "$TTY1"
	[ -z "$TTY2" ] || mark "$TTY2"
	[ -z "$TTY3" ] || mark "$TTY3"
	trap tidy EXIT
	set -e
	"test_$1"
}

run_tests() {
	local name names status
	PROGRAM=$(basename "$0" .sh)
	ktap_print_header
	[ "$(id -u)" -eq 0 ] || { ktap_skip_all "needs root" && exit "$KSFT_SKIP"; }
	have_series || { ktap_skip_all "this kernel lacks the multikernel series" && exit "$KSFT_SKIP"; }
	! compgen -G "$CONFIGFS/*/" >/dev/null || {
		printf 'Bail out! The tests would end the instances that there are: mkctl rm removes one\n'
		exit 1
	}
	CPUS_BEFORE=$(cat /sys/devices/system/cpu/online)
	mapfile -t names < <(sed -n 's/^test_\([a-z0-9_]*\)().*/\1/p' "$0")
	[ $# -eq 0 ] || names=("$@")
	ktap_set_plan ${#names[@]}
	for name in "${names[@]}"; do
		(one_test "$name")
		status=$?
		case $status in
		0) ktap_test_pass "$name" ;;
		"$KSFT_SKIP") ktap_test_skip "$name" ;;
		*) dmesg | sed "1,/multikernel selftest: $PROGRAM $name /d" | tail -n 8 | sed 's/^/# dmesg: /' && ktap_test_fail "$name" ;;
		esac
	done
	ktap_finished
}
