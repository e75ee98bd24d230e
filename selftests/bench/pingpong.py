#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Says what the machine of bench-machine measured as JSON and as a table, and holds it against a budget.

usage: pingpong.py SAID MACHINE JSON BUDGET

SAID has the lines of pingpong.c, MACHINE is a line of text about where they come from. Writes JSON, and
the table on stdout. Exit status 1 when a row of BUDGET ("WHAT WAIT CPUS SIZE NANOSECONDS") took more, or a
row is missing for another reason than that the kernel was built without.
"""

import json
import sys

SLACK = 1.1  # of the budget
NAMES = {
    "unix": "AF_UNIX stream",
    "tcp": "TCP, loopback",
    "agent": "program to program, mk-agent",
    "module": "program to program, module",
    "agent-ping": "module to mk-agent",
    "module-ping": "module to module",
}
TARGETS = [("sleep", 0.5), ("poll", 0.1)]
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
        what = "no spawn" if end == "alone" else f"spawn with {end}"
        yield IDLE.format(f"{kernel}, {what}", *figures)
    yield line


def ratios(rows):
    pipe = rows["pipe", "sleep", 2, 64][0]
    for end in "module-ping", "agent-ping", "module", "agent":
        for wait, target in TARGETS:
            took = rows.get((end, wait, 2, 64))
            if took:
                yield f"{NAMES[end]}, {wait}: {took[0] / pipe:.2f} of a pipe's round trip (target: {target})"


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
    said, machine, output, budget = sys.argv[1:]
    rows, idle, missing, failed = parse(said)
    names = "what", "wait", "cpus", "size", "median", "p99"
    with open(output, "w", encoding="utf-8") as out:
        text = {
            "machine": machine,
            "unit": "ns of virtual time, which are instructions",
            "rows": [dict(zip(names, (*key, *value))) for key, value in rows.items()],
            "idle": [dict(zip(("kernel", "spawn", "run", "switches", "interrupts"), row)) for row in idle],
            "missing": missing,
        }
        json.dump(text, out, indent=1)
        out.write("\n")
    print(*table(rows), "", *(f"{what}: {why}." for what, why in missing.items()), "", sep="\n")
    print(*idle_table(idle), "", *(f"- {line}" for line in ratios(rows)), sep="\n")
    bad = [*failed, *lost(rows, missing), *over(rows, budget)]
    for words in bad:
        print(words, file=sys.stderr)
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
