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

# counts NAME: what this spawn kernel found, once it has
counts() {
	hears 120 "^$1: found .*end\$"
	spoken | sed -n "s/^$1: found \(.*\) end\$/\1/p"
}

test_secrets_stay_where_they_are() {
	local first second host found place INITRD=$INITRD
	need_image 7.3
	[ -x "$FIND" ] || skip "there is no $FIND"
	first=$(complement) second=$(complement) host=$(complement)
	add_program /tmp/initrd.hygiene
	INITRD=/tmp/initrd.hygiene
	keep "$host" /tmp/secret

	spawn one 2-3 256M 7.3 "mk.secret=$first mk.find=$first,$host"
	read -r -a found <<<"$(counts one)"
	say "the first spawn finds its own secret ${found[0]} times, the host's ${found[1]}"
	[ "${found[0]}" -ge 262144 ] || fail "the first spawn finds its own secret ${found[0]} times"
	equal "the host's secret in the first spawn" "${found[1]}" 0
	read -r -a found <<<"$("$FIND" /proc/kcore "$first" "$host")"
	say "while it lives the host finds its secret ${found[0]} times, its own ${found[1]}"
	[ "${found[1]}" -ge 32768 ] || fail "the host finds its own secret ${found[1]} times"
	equal "the first spawn's secret in the host" "${found[0]}" 0

	place=$(ranges one)
	destroy one
	read -r -a found <<<"$("$FIND" /proc/kcore "$first" "$host")"
	equal "the first spawn's secret in the host's free pages" "${found[0]}" 0
	[ "${found[1]}" -ge 32768 ] || fail "the host finds its own secret ${found[1]} times"

	mark
	spawn two 2-3 256M 7.3 "mk.secret=$second mk.find=$second,$first"
	equal 'where the second one is' "$(ranges two)" "$place"
	read -r -a found <<<"$(counts two)"
	say "the second spawn finds its own secret ${found[0]} times, the first one's ${found[1]}"
	[ "${found[0]}" -ge 262144 ] || fail "the second spawn finds its own secret ${found[0]} times"
	equal "the first spawn's secret in the second" "${found[1]}" 0
}

run_tests "$@"
