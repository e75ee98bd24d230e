#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What a spawn kernel has in its memory is its own: nothing of it is found in the next one's, nor by the host.
# Secrets travel as their complement (find_secret.c), so that they are where one wrote them and nowhere else.

. "$(dirname "$0")/lib.sh"

FIND=${MK_TESTS:-$HERE}/find_secret

complement() { od -An -v -tx1 -N32 /dev/urandom | tr -d ' \n'; }

# keep COMPLEMENT FILE: 1 MiB of the secret
keep() {
	local turn
	# shellcheck disable=SC2059 # escapes
	printf "$(tr 0-9a-f fedcba9876543210 <<<"$1" | sed 's/../\\x&/g')" >"$2"
	for turn in {1..15}; do
		cat "$2" "$2" >"$2.twice"
		mv "$2.twice" "$2"
	done
}

# add_program INITRD: one with find_secret in it
add_program() {
	mkdir -p /tmp/hygiene/bin
	cp "$FIND" /tmp/hygiene/bin
	cp "$INITRD" "$1"
	(cd /tmp/hygiene && find bin | cpio -o -H newc --quiet) | gzip >>"$1"
}

ranges() { sed -n "s/^ *\([0-9a-f-]*\) : multikernel $1\$/\1/p" /proc/iomem; }

# counts NAME WHEN: what this spawn kernel finds, or finds now, when it has written its secret
counts() {
	hears 120 "^$1: $2 [0-9 ]*end\$"
	spoken | sed -n "s/^$1: $2 \([0-9 ]*\) end\$/\1/p"
}

# enough FOUND LEAST: none may be found, or at least so many must
enough() { if [ "$2" -eq 0 ]; then [ "$1" -eq 0 ]; else [ "$1" -ge "$2" ]; fi; }

# has NAME WHEN OWN OTHER: the spawn kernel finds so many of its own secret and of another's
has() {
	local own other
	read -r own other <<<"$(counts "$1" "$2")"
	say "$1 $2 its own secret $own times, the other one $other times"
	enough "$own" "$3" && enough "$other" "$4" || fail "$1 $2 the secrets $own and $other times"
}

# host_has OWN OTHER: the host finds its own secret, and not the other one
host_has() {
	local own other
	read -r own other _ <<<"$("$FIND" /proc/kcore "$1" "$2")"
	say "the host finds its own secret $own times, the spawn kernel's $other times"
	enough "$own" 32768 && enough "$other" 0 || fail "the host finds the secrets $own and $other times"
}

test_secrets_stay_where_they_are() {
	local first second host place INITRD=$INITRD
	need_image 7.3
	[ -x "$FIND" ] || skip "there is no $FIND"
	first=$(complement) second=$(complement) host=$(complement)
	add_program /tmp/initrd.hygiene
	INITRD=/tmp/initrd.hygiene
	keep "$host" /tmp/secret

	# The first writes its secret, and finds it.
	spawn one 2-3 256M 7.3 "mk.secret=$first mk.find=$first,$host"
	has one 'finds now' 262144 0
	host_has "$host" "$first"
	place=$(ranges one)
	destroy one
	host_has "$host" "$first"

	# The next one, in the same pages, looks before it writes.
	mark
	spawn two 2-3 256M 7.3 "mk.secret=$second mk.find=$second,$first"
	equal 'where the second one is' "$(ranges two)" "$place"
	has two finds 0 0
	has two 'finds now' 262144 0
}

run_tests "$@"
