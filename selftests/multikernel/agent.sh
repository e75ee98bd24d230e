#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# mk-agent in unmodified kernels.

. "$(dirname "$0")/lib.sh"

# finds_the_region SERIES: maps it, and none of that kernel's protections is in the way
finds_the_region() {
	spawn it 2-3 512M "$1" mk.agent
	hears 120 '^mk-agent: the region has [0-9]+ KiB at 0x'
	ticks 60 it
	! said '^mk-agent: error' || fail "it says '$(spoken | grep '^mk-agent: error')'"
}

test_region_of_7_3() { finds_the_region 7.3; }
test_region_of_6_1() { finds_the_region 6.1; }
test_region_of_6_12() { finds_the_region 6.12; }
test_region_of_6_18() { finds_the_region 6.18; }

# on_console PATTERN: what was said there since the start has it
on_console() { timeout 2 cat /dev/multikernel/it/console 2>/dev/null | tr -d '\r' | grep -qE -- "$1"; }

# answers SERIES: a shell there does what is typed here
answers() {
	spawn it 2-3 512M "$1" mk.agent
	hears 120 '^mk-agent: the region has'
	within 10 put 'echo $((6 * 7)) $(uname -r)
' /dev/multikernel/it/console || fail "nothing can be typed"
	within 20 on_console '^42 ' || fail "the console has no answer: $(timeout 2 cat /dev/multikernel/it/console | tail -n 5)"
	on_console "^42 $(column it KERNEL)\$" || fail 'another kernel answered'
}

test_console_of_7_3() { answers 7.3; }
test_console_of_6_1() { answers 6.1; }

run_tests "$@"
