#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Holds what spawn kernels touched against what they may.

usage: judge.py --ktap ALLOWED TRACE KERNEL...    KERNEL:missing is a test that is skipped, KERNEL:unended one that fails
       judge.py --tables ALLOWED NAME=TRACE... KERNEL...    as reST, for Documentation/audit.rst

Exit status 1 if a kernel touched what is not allowed, or did not run.
"""

import collections
import sys

import accesses

Rule = collections.namedtuple("Rule", "kind numbers access values scope reason")


def ranges(text):
    """ "0x42-0x43,0x61" as a list of ranges; None for "*", anything."""
    if text == "*":
        return None
    pairs = (part.partition("-") for part in text.split(","))
    return [range(int(first, 0), int(last or first, 0) + 1) for first, _, last in pairs]


def inside(number, those):
    return those is None or any(number in one for one in those)


def load(path):
    rules = []
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            if line[:1].isspace() and line.strip():
                rules[-1] = rules[-1]._replace(reason=f"{rules[-1].reason} {line.strip()}".strip())
            elif line.strip() and not line.startswith("#"):
                kind, numbers, access, values, scope, *words = line.split()
                rules.append(Rule(kind, numbers, access, values, scope, " ".join(words)))
    return rules


def rule_of(touch, rules):
    """The first rule that allows it."""
    for rule in rules:
        if touch.kind == rule.kind and inside(touch.number, ranges(rule.numbers)) and touch.access[0] in rule.access:
            # What is read is the device's word.
            if touch.access == "read" or inside(touch.value, ranges(rule.values)):
                return rule
    return None


def foreign(life, rules):
    return {touch: count for touch, count in life.items() if not rule_of(touch, rules)}


def describe(touch, count):
    return f"{touch.kind} {touch.number:#x} {touch.device} {touch.access} {touch.value:#x} ({count} times)"


def has_run(life):
    """A kernel that reaches its init talks to its UART and starts its other CPU."""
    return any(touch.kind == "ipi" for touch in life) and any(touch.number == 0x2F8 for touch in life)


def ktap(rules, path, kernels):
    lives, bad = accesses.read(path), 0
    print(f"1..{len(kernels)}")
    for number, kernel in enumerate(kernels, 1):
        kernel, _, what = kernel.partition(":")
        if what == "missing":
            print(f"ok {number} {kernel} # SKIP there is no such kernel")
            continue
        life = lives.get(kernel, {})
        found = foreign(life, rules)
        for touch, count in found.items():
            print("#", describe(touch, count))
        ran = has_run(life) and not what
        if not ran:
            print("# the trace has no life of this kernel, or no end of it")
        bad |= bool(found) or not ran
        print(f"{'not ok' if found or not ran else 'ok'} {number} {kernel}")
    return bad


def table(header, rows):
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    rule = "  ".join("=" * width for width in widths)
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in [header, *rows]]
    return "\n".join([rule, lines[0], rule, *lines[1:], rule])


def short(numbers):
    first, *more = numbers.split(",")
    return f"{first},..." if len(more) > 2 else numbers


def values(found):
    """What was written, when that is a word or two."""
    seen = sorted({touch.value for touch in found if touch.access == "write"})
    return "-" if not seen else " ".join(f"{value:#x}" for value in seen) if len(seen) <= 4 else "various"


def rows(rules, machines, kinds):
    """A row for each rule of these kinds and each way that was used."""
    for rule in rules:
        for access in "write", "read":
            counts, used = [], set()
            for lives in machines:
                for life in lives.values():
                    those = {t: n for t, n in life.items() if t.access == access and rule_of(t, rules) is rule}
                    counts.append(str(sum(those.values()) or "-"))
                    used |= set(those)
            if used and rule.kind in kinds:
                yield rule, access, used, counts


def tables(rules, words):
    machines = {name: accesses.read(path) for name, equals, path in (word.partition("=") for word in words) if equals}
    wanted = [word for word in words if "=" not in word]
    kernels = [f"{name} {kernel}" for name, lives in machines.items() for kernel in lives]
    lives = list(machines.values())
    print(table(["what", "numbers", "access", "values written", *kernels],
                [[rule.kind, short(rule.numbers), access, values(used), *counts]
                 for rule, access, used, counts in rows(rules, lives, ("port", "mmio", "cmos", "ipi"))]))
    print()
    print(table(["MSR", "scope", "values written", *kernels],
                [[short(rule.numbers), rule.scope, values(used), *counts] for rule, _, used, counts in rows(rules, lives, ("msr",))]))
    print()
    for rule in rules:
        print(f"{rule.kind} {short(rule.numbers)} ({rule.scope})\n    {rule.reason}\n")
    found = [describe(*item) for these in lives for life in these.values() for item in foreign(life, rules).items()]
    for line in found:
        print("not allowed:", line, file=sys.stderr)
    gone = [f"{name} {kernel}" for name in machines for kernel in wanted if not has_run(machines[name].get(kernel, {}))]
    for line in gone:
        print("the trace has no life of this kernel:", line, file=sys.stderr)
    return bool(found or gone)


def main():
    mode, allowed, *rest = sys.argv[1:]
    rules = load(allowed)
    return ktap(rules, rest[0], rest[1:]) if mode == "--ktap" else tables(rules, rest)


if __name__ == "__main__":
    sys.exit(main())
