#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Where an instance's memory is, and what becomes of it.

. "$(dirname "$0")/lib.sh"

GIB4=$((1 << 32))

# ranges NAME: "start end" of each of its ranges above 1 MiB, decimal, the end not included
ranges() {
	sed -n "s/^ *\([0-9a-f]*\)-\([0-9a-f]*\) : multikernel $1\$/\1 \2/p" /proc/iomem |
		while read -r start end; do ((0x$start < 1 << 20)) || echo "$((0x$start)) $((0x$end + 1))"; done
}
# total NAME: MiB
total() { ranges "$1" | awk '{ sum += $2 - $1 } END { print sum / 1048576 }'; }

# memory_of NAME SIZE [FILE]: the spawn kernel tells that it has about this many MiB
memory_of() {
	local found
	hears 90 "^$1: MemTotal: [0-9]+ kB\$" "${3:-}"
	found=$(spoken "${3:-}" | sed -n "s/^$1: MemTotal: \([0-9]*\) kB\$/\1/p")
	[ "$found" -le $(($2 << 10)) ] && [ "$found" -ge $((($2 - 112) << 10)) ] || fail "$1 has $found kB of $2 MiB"
}

# Three neighbours, the one in the middle stays: what comes next goes around it.
test_several_pieces() {
	local series count
	need_image 7.3
	need_image 6.1
	instance hole 2 256M
	instance hold 3 128M
	destroy hole
	instance web 2,4 768M
	say "$(ranges web | wc -l) ranges: $(ranges web | tr '\n' ';')"
	count=$(ranges web | wc -l)
	[ "$count" -ge 2 ] || skip "the host found its memory in one piece"
	equal 'MiB in /proc/iomem' "$(total web)" 768
	for series in 7.3 6.1; do
		load web "$series"
		mark
		start web
		memory_of web 768
		hears 30 '^web: CPUs: 2$'
		ticks 30 web
		order web kill
	done
}

# fills_a_gib NAME: one of its ranges has a GiB, as pages of that size have it
fills_a_gib() {
	ranges "$1" | awk '{ first = int(($1 + 1073741823) / 1073741824); last = int($2 / 1073741824); if (last > first) found = 1 }
		END { exit !found }'
}

# Its first page tables map that by one entry, where the processor has such pages.
test_whole_gibibytes() {
	local series
	need_image 6.1
	instance web 2 2560M
	fills_a_gib web || skip "the host has no whole GiB to give: $(ranges web | tr '\n' ';')"
	for series in 7.3 6.1; do
		load web "$series"
		mark
		start web
		ticks 90 web
		order web kill
	done
}

# Each instance takes some of the little that there is below 1 MiB.
test_low_memory_runs_out() {
	local n=0
	while mkdir "$CONFIGFS/i$n" && put 2M "$CONFIGFS/i$n/memory" 2>/tmp/said; do
		n=$((n + 1))
		[ "$n" -lt 32 ] || fail 'it does not'
	done
	say "there was enough for $n instances"
	grep -q 'Cannot allocate memory' /tmp/said || fail "it said $(cat /tmp/said)"
	logged "i$n: memory below 1 MiB is used up" || fail 'the log does not explain it'
	[ "$n" -ge 7 ] || fail "the README promises about eight"
	rmdir "$CONFIGFS/i0"
	put 2M "$CONFIGFS/i$n/memory"
}

# Two that ask at the same time do not share what the host keeps for itself.
test_two_ask_at_once() {
	local half i
	mkdir "$CONFIGFS/one" "$CONFIGFS/two"
	echo 3 >/proc/sys/vm/drop_caches
	half=$(awk '/^MemAvailable:/ { print int(($2 / 1024 - 32) / 4) * 2 }' /proc/meminfo)
	for i in one two; do put "${half}M" "$CONFIGFS/$i/memory" 2>"/tmp/$i" & done
	wait
	say "each asked for $half MiB: one has $(cat "$CONFIGFS/one/memory"), two has $(cat "$CONFIGFS/two/memory")"
	say "MemAvailable is $(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo) kB now"
	equal 'who has memory' "$(cat "$CONFIGFS"/{one,two}/memory | grep -c set-aside)" 1
	equal 'who was refused' "$(cat /tmp/one /tmp/two | grep -c 'Cannot allocate memory')" 1
	logged 'bytes to spare; ask for less' || fail 'the log does not say why'
}

# above NAME, below NAME: all of its memory is on that side of 4 GiB
above() { [ -z "$(ranges "$1" | awk -v limit="$GIB4" '$1 < limit')" ]; }
below() { [ -z "$(ranges "$1" | awk -v limit="$GIB4" '$2 > limit')" ]; }

# runs_here: web runs every kernel where it is
runs_here() {
	local series
	for series in 7.3 6.1 6.18; do
		image "$series" >/dev/null || continue
		load web "$series"
		mark
		start web
		memory_of web 512
		hears 30 '^web: CPUs: 2$'
		order web kill
	done
}

test_above_4_gib() {
	instance web 2-3 512M
	above web || skip "the host has set memory aside below 4 GiB: $(ranges web | tr '\n' ';')"
	runs_here
}

test_below_4_gib() {
	local size
	# All that there is above goes to another one.
	size=$(awk '/zone +Normal/ { normal = 1 } normal && $1 == "present" { print int($2 / 256 / 128) * 128; exit }' /proc/zoneinfo)
	for ((; size > 0; size -= 128)); do
		mkdir "$CONFIGFS/hold"
		put "${size}M" "$CONFIGFS/hold/memory" && above hold && break
		rmdir "$CONFIGFS/hold"
	done
	say "$size MiB above 4 GiB are taken"
	instance web 2-3 512M
	below web || fail "it has memory above 4 GiB: $(ranges web | tr '\n' ';')"
	runs_here
}

# seen BYTE RANGES...: how many pages full of it there are in these ranges, as /proc/kcore shows them, and
# whether they can be seen there at all: "0 yes"
seen() {
	python3 - "$@" <<-'PYTHON'
		import ctypes, mmap, struct, sys
		PAGE = 4096
		full = sys.argv[1].encode() * PAGE
		core = open("/proc/kcore", "rb")
		head = core.read(64)
		offset, size, count = struct.unpack("<Q", head[32:40]) + struct.unpack("<HH", head[54:58])
		core.seek(offset)
		segments = [struct.unpack("<IIQQQQQQ", core.read(size)) for _ in range(count)]

		def pages(start, end):
		    for kind, _, file, _, phys, length, _, _ in segments:
		        if kind == 1 and phys <= start and end <= phys + length:
		            core.seek(file + start - phys)
		            while start < end:
		                chunk = core.read(min(1 << 20, end - start))
		                yield from (chunk[i:i + PAGE] for i in range(0, len(chunk), PAGE))
		                start += len(chunk)
		            return
		    sys.exit(f"/proc/kcore has no {start:#x}-{end:#x}")

		own = mmap.mmap(-1, PAGE)
		own[:] = full
		with open("/proc/self/pagemap", "rb") as pagemap:
		    pagemap.seek(ctypes.addressof(ctypes.c_char.from_buffer(own)) // PAGE * 8)
		    frame = struct.unpack("<Q", pagemap.read(8))[0] & ((1 << 55) - 1)
		visible = list(pages(frame * PAGE, frame * PAGE + PAGE)) == [full]
		numbers = list(map(int, sys.argv[2:]))
		ranges = list(zip(numbers[::2], numbers[1::2]))
		found = sum(page == full for start, end in ranges for page in pages(start, end))
		# Our own page may have come from there.
		found -= any(start <= frame * PAGE < end for start, end in ranges)
		print(found, "yes" if visible else "no")
	PYTHON
}

# The host gets clean pages back, and never sees those that are lent.
test_zeroed_when_it_returns() {
	local where
	need_image 7.3
	instance web 2-3 256M
	# shellcheck disable=SC2046
	where=$(ranges web)
	load web 7.3 mk.fill=64
	start web
	hears 90 '^web: filled 67108864$'
	order web kill
	# shellcheck disable=SC2086
	equal 'pages of the spawn kernel that the host sees while they are lent' "$(seen Q $where)" '0 yes'
	destroy web
	# shellcheck disable=SC2086
	equal 'pages of the spawn kernel that came back as they were' "$(seen Q $where)" '0 yes'
}

test_all_of_it_returns() {
	local before after
	# The first one leaves things behind that stay, as slabs do.
	instance web 2 2G
	destroy web
	before=$(free_memory)
	instance web 2 2G
	[ "$(free_memory)" -lt $((before - 2000 * 1024)) ] || fail 'the memory was not taken'
	destroy web
	after=$(free_memory)
	say "MemFree $before kB before, $after kB after"
	# The host has work of its own, and free pages of each CPU that do not count; a piece has 128 MiB.
	[ "$after" -ge $((before - 32 * 1024)) ] || fail "$((before - after)) kB did not come back"
}

run_tests "$@"
