# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Sourced by every script: where things live, how we talk, how we run and leave.
#
# A script prints the path of its result on stdout and everything for people on stderr,
# so that they can be combined: kernel=$(scripts/build-kernel).

set -euo pipefail
export LC_ALL=C.UTF-8 PYTHONDONTWRITEBYTECODE=1

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# A service may be started without.
[ -n "${HOME:-}" ] || { unset HOME && HOME=~; }
CACHE=${MULTIKERNEL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/multikernel}
# shellcheck source=scripts/versions.sh
. "$TOP/scripts/versions.sh"
for found in "$TOP" "$CACHE"; do
	case $(realpath -m -- "$found") in
	/dev/* | /run/* | /var/cache/* | /var/log/* | /var/tmp/*)
		printf 'error: the test machine, which sees the files of this one, has other files where %s is\n' "$found" >&2
		printf '  Move the checkout, or set MULTIKERNEL_CACHE to another folder.\n' >&2
		exit 1
		;;
	esac
done
mkdir -p "$CACHE" 2>/dev/null || {
	printf 'error: the cache folder %s cannot be made\n  Set MULTIKERNEL_CACHE to a folder with 8 GB of room.\n' "$CACHE" >&2
	exit 1
}
CACHE=$(cd "$CACHE" && pwd)
# What is removed in it is ours: a folder with something in it is taken for that only where it says so.
if found=$(ls -A "$CACHE") && [ ! -e "$CACHE/.multikernel" ]; then
	[ -z "$found" ] || [ "$CACHE" -ef "${XDG_CACHE_HOME:-${HOME:-}/.cache}/multikernel" ] || {
		printf 'error: the cache folder %s has files of somebody else\n' "$CACHE" >&2
		printf '  Set MULTIKERNEL_CACHE to a new or empty folder. If it is a cache of ours: touch %s/.multikernel\n' "$CACHE" >&2
		exit 1
	}
	: >"$CACHE/.multikernel"
fi
export MULTIKERNEL_CACHE=$CACHE # also for who goes elsewhere
# Where cargo keeps what it fetches, if it cannot do that at home.
[ -n "${CARGO_HOME:-}" ] || [ -w "$HOME/.cargo" ] || [ -w "$HOME" ] || export CARGO_HOME=$CACHE/cargo
case $TOP$CACHE in
*[[:space:]:,%\'\"]*)
	printf 'error: the path %s or %s has a space, a colon, a comma, a quote or a %%, which the kernel'\''s build and QEMU do not take\n' "$TOP" "$CACHE" >&2
	printf '  Move the checkout, or set MULTIKERNEL_CACHE to another folder.\n' >&2
	exit 1
	;;
esac

# --- talking ---------------------------------------------------------------------------

say() { printf '%s\n' "$*" >&2; }
note() { printf '  %s\n' "$*" >&2; }

# die WHAT HAPPENED [THE ONE THING TO DO]
die() {
	printf 'error: %s\n' "$1" >&2
	[ $# -lt 2 ] || printf '  %s\n' "$2" >&2
	exit 1
}

# --- leaving ---------------------------------------------------------------------------

AT_EXIT=()
GROUPS_OWNED=()
PATIENT='' # what is waited for rather than broken off
at_exit() { AT_EXIT+=("$1"); }

leave() {
	local status=$? action pid
	trap - EXIT INT TERM HUP
	for pid in "${GROUPS_OWNED[@]}"; do
		[ -n "$PATIENT" ] || { end_group "$pid" && continue; }
		say "waiting for $PATIENT to end, which leaves things half done otherwise; Ctrl-C leaves it to itself"
		wait "$pid" || true # how it ended is in its log, and we leave with the status that we had
	done
	for action in "${AT_EXIT[@]}"; do eval "$action"; done
	exit "$status"
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# temporary_folder: sets WORK, a folder that goes when the script does
WORK=''
temporary_folder() {
	mkdir -p "$CACHE/tmp"
	WORK=$(mktemp -d "$CACHE/tmp/$$.XXXXXX")
	at_exit "rm -rf '$WORK'"
}

# --- running ---------------------------------------------------------------------------

# A command that we wait for runs in a session of its own, so that Ctrl-C comes to us
# alone and the whole of it (make's jobs, QEMU) is ended by its group id.
GROUP=''
start_group() { # sets GROUP, the id to wait for
	setsid "$@" &
	GROUP=$!
	GROUPS_OWNED+=("$GROUP")
}

end_group() {
	local pid=$1 wait
	kill -TERM -- "-$pid" 2>/dev/null || return 0
	for wait in 0.1 0.1 0.1 0.1 0.1 0.5 1; do
		sleep "$wait"
		kill -0 -- "-$pid" 2>/dev/null || return 0
	done
	kill -KILL -- "-$pid" 2>/dev/null || true
}

wait_group() { # the exit status of the group's leader, which then is no longer ours
	local pid=$1 status=0 left=() other
	wait "$pid" || status=$?
	for other in "${GROUPS_OWNED[@]}"; do
		[ "$other" = "$pid" ] || left+=("$other")
	done
	GROUPS_OWNED=("${left[@]}")
	return "$status"
}

duration() {
	if [ "$1" -lt 60 ]; then printf '%ds' "$1"; else printf '%dm%02ds' $(($1 / 60)) $(($1 % 60)); fi
}

# progress TITLE LOG TOTAL COMMAND...: runs the command with its output in the log and one
# line for people: time, and how many objects of about TOTAL (0: not known) the log counts.
progress() {
	local title=$1 log=$2 total=$3 pid status=0 began=$SECONDS count last=-30 now text
	shift 3
	mkdir -p "$(dirname "$log")"
	: >"$log"
	start_group "$@" >"$log" 2>&1 </dev/null
	pid=$GROUP
	while kill -0 "$pid" 2>/dev/null; do
		sleep 0.5
		now=$((SECONDS - began))
		text="  $title: $(duration $now)"
		if [ "$total" -gt 0 ]; then
			count=$(grep -cE '^ +([A-Z]+ )?(CC|AS|RUSTC|BINDGEN|HOSTCC|LD|AR|CC \[M\]) ' "$log" || true)
			text="$text, $count of about $total objects"
		fi
		if [ -t 2 ]; then
			printf '\r%s\033[K' "$text" >&2
		elif [ $((now - last)) -ge 30 ]; then
			[ "$last" -lt 0 ] || say "$text"
			last=$now
		fi
	done
	wait_group "$pid" || status=$?
	[ ! -t 2 ] || printf '\r\033[K' >&2
	if [ "$status" -ne 0 ]; then
		say "  the last lines of $log:"
		tail -n 20 "$log" | sed 's/^/    /' >&2
		return "$status"
	fi
	say "  $title: done in $(duration $((SECONDS - began)))"
}

# One builder at a time for each thing in the cache; the lock goes with the process.
lock() {
	mkdir -p "$CACHE/lock"
	exec {LOCK_FD}>"$CACHE/lock/$1"
	flock -n "$LOCK_FD" && return
	say "waiting for another run that works on $1"
	flock "$LOCK_FD"
}

# What was locked last is free.
unlock() { exec {LOCK_FD}>&-; }

# --- asking ----------------------------------------------------------------------------

# need_space GIGABYTES FOR WHAT
need_space() {
	local free
	free=$(df -Pk "$CACHE" | awk 'NR == 2 { print int($4 / 1048576) }')
	[ "$free" -ge "$1" ] ||
		die "$2 needs $1 GB, and $CACHE has $free GB free" "Free some, or set MULTIKERNEL_CACHE to a folder with more."
}

# is_git_tree FOLDER: a repository with a commit; one that is around the folder knows nothing of its files
is_git_tree() {
	[ "$(git -C "$1" rev-parse --show-toplevel 2>/dev/null)" = "$(realpath "$1")" ] && git -C "$1" rev-parse -q --verify HEAD >/dev/null
}

# at_least VERSION MINIMUM
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

# hash_of FILE...: short and stable, of contents and not of names
hash_of() { cat -- "$@" | sha256sum | cut -c1-12; }

check_sha256() { # check_sha256 FILE SUM
	[ "$(sha256sum "$1" | cut -d' ' -f1)" = "$2" ]
}

# --- tools -----------------------------------------------------------------------------

# rustc_has_source RUSTC: the kernel builds `core` itself, so the sources must match
rustc_has_source() {
	local root
	root=$("$1" --print sysroot 2>/dev/null) || return 1
	[ -e "$root/lib/rustlib/src/rust/library/core/src/lib.rs" ]
}

rustc_version() { "$1" --version | awk '{ sub(/-.*/, "", $2); print $2 }'; }

# find_rust: sets RUSTC to the first usable compiler, which need not be the first in PATH
# (a rustup toolchain without rust-src often is)
find_rust() {
	local candidate
	for candidate in ${RUSTC:+"$RUSTC"} /usr/bin/rustc "$(command -v rustc || true)"; do
		[ -x "$candidate" ] && rustc_has_source "$candidate" &&
			at_least "$(rustc_version "$candidate")" "$RUSTC_MIN" || continue
		RUSTC=$candidate
		return 0
	done
	return 1
}

find_bindgen() {
	local candidate
	for candidate in ${BINDGEN:+"$BINDGEN"} "$CACHE/tools/bin/bindgen" \
		"$(command -v bindgen || true)" "$HOME/.cargo/bin/bindgen" /usr/bin/bindgen; do
		[ -x "$candidate" ] &&
			at_least "$("$candidate" --version 2>/dev/null | awk '{ print $2 }')" "$BINDGEN_MIN" || continue
		BINDGEN=$candidate
		return 0
	done
	return 1
}

find_vng() {
	local candidate
	for candidate in ${VNG:+"$VNG"} "$CACHE/venv/bin/vng"; do
		[ -x "$candidate" ] || continue
		VNG=$candidate
		return 0
	done
	return 1
}

QEMU_VERSION=''
find_qemu() {
	QEMU=${QEMU:-$(command -v qemu-system-x86_64 || true)}
	[ -n "$QEMU" ] && QEMU_VERSION=$("$QEMU" --version | sed -n '1s/.*version \([0-9.]*\).*/\1/p')
}

# kbuild_tools: sets MAKE_TOOLS, the arguments that every make of the kernel gets
MAKE_TOOLS=()
kbuild_tools() {
	local bin libclang
	find_rust || die "no rustc $RUSTC_MIN or newer with its library source" "Run scripts/install-deps."
	find_bindgen || die "no bindgen $BINDGEN_MIN or newer" "Run scripts/install-deps."
	bin=$(dirname "$RUSTC")
	libclang=/usr/lib/llvm-$LLVM_MAJOR/lib
	[ ! -d "$libclang" ] || export LIBCLANG_PATH=${LIBCLANG_PATH:-$libclang}
	export CCACHE_DIR=${CCACHE_DIR:-$CACHE/ccache} CCACHE_BASEDIR=$CACHE CCACHE_NOHASHDIR=1
	export CCACHE_MAXSIZE=${CCACHE_MAXSIZE:-2G} CCACHE_COMPILERCHECK=content
	# A fixed identity, so that the same sources give the same image.
	export KBUILD_BUILD_TIMESTAMP='1970-01-01' KBUILD_BUILD_USER=multikernel KBUILD_BUILD_HOST=multikernel
	unset MAKEFLAGS MFLAGS MAKELEVEL
	# Not HOSTCC: it is handed to rustc as the linker, which must be one word.
	MAKE_TOOLS=(ARCH=x86_64 "LLVM=-$LLVM_MAJOR" "CC=ccache clang-$LLVM_MAJOR"
		"RUSTC=$RUSTC" "HOSTRUSTC=$RUSTC" "RUSTDOC=$bin/rustdoc" "RUSTFMT=$bin/rustfmt"
		"CLIPPY_DRIVER=$bin/clippy-driver" "BINDGEN=$BINDGEN")
}

# What the tools say of themselves: part of every key in the cache.
tool_versions() {
	"clang-$LLVM_MAJOR" --version
	"ld.lld-$LLVM_MAJOR" --version
	"$RUSTC" -vV
	"$BINDGEN" --version
}

jobs() { nproc; }
