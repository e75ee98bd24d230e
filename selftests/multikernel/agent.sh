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

run_tests "$@"
