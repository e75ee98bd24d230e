#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Draws what bench-channel measured, and says it as a table; pingpong.py borrows from it.
    plot.py CHANNEL.JSON FOLDER     writes channel-latency.svg, channel-speed.svg, the table on stdout
Exit status 1 when a target is missed, which the table then says."""

import json
import math
import operator
import sys

OURS, FLOOR, CEILING = "multikernel", "cache line", "memcpy"
NOT_CRATES = (OURS, OURS + ", doorbells", FLOOR, CEILING)
COLOURS = ["#c0392b", "#e67e73", "#2980b9", "#27ae60", "#8e44ad", "#d68910", "#16a085"]
WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 760, 440, 90, 40, 50


def text(x, y, words, anchor="start", size=12):
    return f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}" text-anchor="{anchor}">{words}</text>'


def line(x1, y1, x2, y2, colour="#ddd"):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def write(name, title, parts, height=HEIGHT):
    body = "\n".join(parts)
    with open(name, "w", encoding="ascii") as out:
        out.write(f"""<!-- SPDX-License-Identifier: GPL-2.0 -->
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">
<rect width="{WIDTH}" height="{height}" fill="#fff"/>
{text(LEFT, 24, title, size=15)}
{body}
</svg>
""")


def human(size):
    return f"{size >> 20} MiB" if size >= 1 << 20 else f"{size >> 10} KiB" if size >= 1 << 10 else f"{size} B"


def colour(kind, kinds):
    return "#555" if kind in (FLOOR, CEILING) else COLOURS[kinds.index(kind) % len(COLOURS)]


def bars(groups, left=LEFT + 70):
    """Bars from the left: the median, and a mark at the 99th percentile; a scale for each group.

    groups: (heading, [(label, median, p99, colour)]). Returns the parts, and where they end."""
    parts, y = [], TOP + 10
    for heading, rows in groups:
        longest = max(p99 for _, _, p99, _ in rows)

        def x(value):
            return left + (WIDTH - left - 140) * value / longest
        parts.append(text(left, y + 4, f"{heading}, to {longest:.0f} ns"))
        y += 10
        for label, median, p99, fill in rows:
            parts.append(text(left - 8, y + 13, label, "end"))
            parts.append(f'<rect x="{left}" y="{y}" width="{x(median) - left:.0f}" height="16" fill="{fill}"/>')
            parts.append(line(x(p99), y, x(p99), y + 16, "#000"))
            parts.append(text(x(p99) + 6, y + 13, f"{median:.0f}, p99 {p99:.0f}"))
            y += 20
        y += 20
    return parts, y


def latency(rows, name):
    kinds = [r["kind"] for r in rows]
    groups = []
    for size in sorted({r["size"] for r in rows}):
        of_size = sorted((r for r in rows if r["size"] == size), key=lambda r: r["median"])
        groups.append((human(size), [(r["kind"], r["median"], r["other"], colour(r["kind"], kinds)) for r in of_size]))
    write(name, "Round trip between two processors, median and p99 in ns", bars(groups)[0])


def speed(rows, name):
    """Lines: MB/s by size, both logarithmic."""
    sizes = sorted({r["size"] for r in rows})
    kinds = list(dict.fromkeys(r["kind"] for r in rows))
    low = math.floor(math.log10(min(r["other"] for r in rows)))
    high = math.ceil(math.log10(max(r["other"] for r in rows)))

    def x(size):
        return LEFT + (WIDTH - LEFT - 170) * sizes.index(size) / (len(sizes) - 1)

    def y(value):
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * (math.log10(value) - low) / (high - low)
    parts = []
    for power in range(low, high + 1):
        parts.append(line(LEFT, y(10**power), x(sizes[-1]), y(10**power)))
        parts.append(text(LEFT - 8, y(10**power) + 4, f"{10**power:g}", "end"))
    for size in sizes:
        parts.append(text(x(size), HEIGHT - BOTTOM + 18, human(size), "middle", 11))
    ends = []
    for kind in kinds:
        points = [(x(r["size"]), y(r["other"])) for r in rows if r["kind"] == kind]
        dash = ' stroke-dasharray="6 4"' if kind == CEILING else ""
        parts.append(f'<polyline fill="none" stroke="{colour(kind, kinds)}" stroke-width="2"{dash} points="'
                     + " ".join(f"{a:.1f},{b:.1f}" for a, b in points) + '"/>')
        ends.append([points[-1][1], kind])
    above = -100
    for end, kind in sorted(ends):
        above = max(end, above + 15)
        parts.append(f'<g fill="{colour(kind, kinds)}">{text(x(sizes[-1]) + 8, above + 4, kind)}</g>')
    write(name, "Bytes that arrive, in MB/s", parts)


def table(header, rows):
    widths = [max(len(r[i]) for r in [header] + rows) for i in range(len(header))]
    rule = "  ".join("=" * w for w in widths)
    print(rule)
    for number, row in enumerate([header] + rows):
        print("  ".join(c.ljust(w) if not i else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths))).rstrip())
        if not number:
            print(rule)
    print(rule + "\n")


def get(rows, kind, size, which):
    return next(r[which] for r in rows if r["kind"] == kind and r["size"] == size)


COMPARE = {"at most": operator.le, "less than": operator.lt, "at least": operator.ge}


def judge(what, ratio, of, relation, limit):
    """A line on a target, and whether it is met: what is judged is the figure as it is printed."""
    ratio = round(ratio, 3)
    met = COMPARE[relation](ratio, limit)
    return f"- {what} {ratio:.3f} of {of} (target: {relation} {limit}): {'met' if met else 'missed'}", met


def targets(trips, streams):
    ours = get(trips, OURS, 64, "median")
    best = min(r["median"] for r in trips if r["size"] == 64 and r["kind"] not in NOT_CRATES)
    part = get(streams, OURS, 1 << 20, "other") / get(streams, CEILING, 1 << 20, "other")
    yield judge("a round trip of 64 B takes", ours / get(trips, FLOOR, 64, "median"), "the cache line's", "at most", 2)
    yield judge("a round trip of 64 B takes", ours / best, "the best crate's", "less than", 1)
    yield judge("1 MiB passes at", part, "memcpy's speed", "at least", 0.7)


def main():
    with open(sys.argv[1], encoding="ascii") as source:
        measured = json.load(source)
    trips = [r for r in measured["rows"] if r["what"] == "round trip ns"]
    streams = [r for r in measured["rows"] if r["what"] == "messages/s"]
    latency(trips, f"{sys.argv[2]}/channel-latency.svg")
    speed(streams, f"{sys.argv[2]}/channel-speed.svg")
    print("{processor}, processors {cpus}, virtual machine: {virtual}; Linux {kernel}; load {load};\n{scheduling}; "
          "medians of {repeats} repeats.\n".format(**measured))
    sizes = sorted({r["size"] for r in trips})
    kinds = list(dict.fromkeys(r["kind"] for r in trips))
    print("Round trip in ns, median and p99:\n")
    table(["", *(human(s) + w for s in sizes for w in ("", ", p99"))],
          [[k, *(f"{get(trips, k, s, w):.0f}" for s in sizes for w in ("median", "other"))] for k in kinds])
    sizes = sorted({r["size"] for r in streams})
    kinds = list(dict.fromkeys(r["kind"] for r in streams))
    print("MB/s, and at 64 B messages in a second:\n")
    table(["", "messages/s", *(human(s) for s in sizes)],
          [[k, f"{get(streams, k, 64, 'median') / 1e6:.1f} M", *(f"{get(streams, k, s, 'other'):.0f}" for s in sizes)]
           for k in kinds])
    verdicts = list(targets(trips, streams))
    print(*(words for words, _ in verdicts), sep="\n")
    sys.exit(not all(met for _, met in verdicts))


if __name__ == "__main__":
    main()
