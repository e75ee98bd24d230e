#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Says what the machine of bench-machine measured as a table and draws it, and holds it against a budget.

usage: pingpong.py JSON SVG [SAID MACHINE BUDGET]

Draws the rows of JSON, and prints the table; before that, with SAID, writes JSON: SAID has the lines of
pingpong.c, MACHINE is a line of text about where they come from. Exit status 1 when a row of BUDGET ("WHAT WAIT
CPUS SIZE NANOSECONDS") took more, or a row is missing for another reason than that the kernel was built without.
The targets are told, and fail nothing.
"""

import json
import sys

import plot

SLACK = 1.1  # of the budget
NAMES = {
    "unix": "AF_UNIX stream",
    "tcp": "TCP, loopback",
    "agent": "program to program, mk-agent",
    "module": "program to program, module",
    "agent-ping": "module to mk-agent",
    "module-ping": "module to module",
}
TARGETS = [("sleep", 0.5), ("wake", 0.5), ("poll", 0.1)]
ROW = ("what", "wait", "cpus", "size"), ("median", "p99")
IDLE_ROW = "kernel", "spawn", "run", "switches", "interrupts"
# Within the host, each of these slept for on two CPUs and on one, and polled for on two.
HERE = {"pipe": (64, 4096), "unix": (64, 4096), "eventfd": (8,), "tcp": (64, 4096), "vsock": (64, 4096)}
WAYS = [("sleep", 2), ("sleep", 1), ("poll", 2)]
FORMAT = "{:<28}  {:<5}  {:>4}  {:>8}  {:>9}  {:>8}  {:>10}"
IDLE = "{:<28}  {:>12}  {:>10}  {:>10}"


def parse(name):
    """The rows {(what, wait, cpus, size): (median, p99)}, idle ones, what there was not, and what failed."""
    rows, idle, missing, failed = {}, [], {}, []
    with open(name, encoding="utf-8") as said:
        for line in said:
            words = line.split()
            if words[0] == "idle":
                kernel, end = words[1].split(",")
                idle.append((kernel, end, *map(int, words[2:])))
            elif words[0] == "no":
                missing[words[1].rstrip(":")] = line.split(": ", 1)[1].strip()
            elif words[0] == "failed":
                failed.append(line.strip())
            elif len(words) == 6:
                rows[words[0], words[1], int(words[2]), int(words[3])] = (int(words[4]), int(words[5]))
    return rows, idle, missing, failed


def cells(rows, what, wait, cpus, size):
    return rows.get((what, wait, cpus, size), ("-", "-"))


def table(rows):
    heading = FORMAT.format("between", "wait", "CPUs", "64 B", "p99", "4 KiB", "p99")
    line = FORMAT.format("=" * 28, "=" * 5, "=" * 4, "=" * 8, "=" * 9, "=" * 8, "=" * 10)
    yield from (line, heading, line)
    for what, wait, cpus in dict.fromkeys(key[:3] for key in rows):
        small = cells(rows, what, wait, cpus, 8 if what == "eventfd" else 64)
        yield FORMAT.format(NAMES.get(what, what), wait, cpus, *small, *cells(rows, what, wait, cpus, 4096))
    yield line


def idle_table(idle):
    heading = IDLE.format("in a second, doing nothing", "tasks run ns", "switches", "interrupts")
    line = IDLE.format("=" * 28, "=" * 12, "=" * 10, "=" * 10)
    yield from (line, heading, line)
    for kernel, end, *figures in idle:
        what = {"alone": "no spawn", "none": "spawn with neither"}.get(end, f"spawn with {end}")
        yield IDLE.format(f"{kernel}, {what}", *figures)
    yield line


def ratios(rows):
    """Lines on the targets; no pipe, no ratios."""
    pipe = rows.get(("pipe", "sleep", 2, 64))
    for end in "module-ping", "agent-ping", "module", "agent":
        for wait, target in TARGETS:
            took = rows.get((end, wait, 2, 64))
            if pipe and took:
                what = f"{NAMES[end]}, {wait}:"
                yield plot.judge(what, took[0] / pipe[0], "a pipe's round trip", "at most", target)[0]


def draw(rows, name):
    """The small messages: a bar for each row, those that sleep by themselves."""
    groups = []
    for way, heading in ("sleep", "both sleep"), ("wake", "one sleeps"), ("poll", "both poll"):
        found = []
        for (what, wait, cpus, size), (median, p99) in rows.items():
            if wait != way or size == 4096:
                continue
            of = "" if size == 64 else f", {size} B"
            ours = what.split("-")[0] in ("agent", "module")
            where = "" if ours else f", {cpus} CPU{'s' if cpus > 1 else ''}"
            found.append((NAMES.get(what, what) + of + where, median, p99, plot.COLOURS[0 if ours else 2]))
        if found:
            groups.append((heading, sorted(found, key=lambda row: row[1])))
    parts, height = plot.bars(groups, 210)
    plot.write(name, "Round trip of 64 B, median and p99 in ns; red: between two kernels", parts, height)


def lost(rows, missing):
    """What the host can do and was not measured."""
    for what, sizes in HERE.items():
        keys = [(what, wait, cpus, size) for size in sizes for wait, cpus in WAYS]
        if what not in missing or any(key in rows for key in keys):
            yield from (f"{what} {wait} {cpus} {size}: was not measured" for what, wait, cpus, size in keys
                        if (what, wait, cpus, size) not in rows)


def over(rows, budget):
    """What took more than its budget, or was not measured."""
    with open(budget, encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("#"):
                continue
            what, wait, cpus, size, limit = line.split()
            took = rows.get((what, wait, int(cpus), int(size)), (float("inf"),))[0]
            if took > int(limit) * SLACK:
                yield f"{what} {wait} {size}: {took} ns, the budget is {limit} ns and {SLACK - 1:.0%}"


def main():
    output, drawing, *rest = sys.argv[1:]
    bad = []
    if rest:
        said, machine, budget = rest
        rows, idle, missing, failed = parse(said)
        bad = [*failed, *lost(rows, missing), *over(rows, budget)]
        measured = {
            "machine": machine,
            "unit": "ns of virtual time, which are instructions",
            "rows": [dict(zip(ROW[0] + ROW[1], key + value)) for key, value in rows.items()],
            "idle": [dict(zip(IDLE_ROW, row)) for row in idle],
            "missing": missing,
        }
        with open(output, "w", encoding="utf-8") as out:
            json.dump(measured, out, indent=1)
            out.write("\n")
    with open(output, encoding="utf-8") as source:
        measured = json.load(source)
    rows = {tuple(row[name] for name in ROW[0]): tuple(row[name] for name in ROW[1]) for row in measured["rows"]}
    idle = [tuple(row[name] for name in IDLE_ROW) for row in measured["idle"]]
    draw(rows, drawing)
    print(f"{measured['machine']}.", "", *table(rows), "", sep="\n")
    print(*(f"{what}: {why}." for what, why in measured["missing"].items()), "", sep="\n")
    print(*idle_table(idle), "", *ratios(rows), sep="\n")
    for words in bad:
        print(words, file=sys.stderr)
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
