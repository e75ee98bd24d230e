#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Reads KTAP on stdin, shows it, and counts the results of the innermost tests.

usage: ktap.py COUNTS [--all]

COUNTS is a file that gets one line, "passed failed skipped", and then one for each failure:
its name, a tab, and why. The name of a nested one has that of its program before it, and a
colon. Without --all only failures and what was said before them are shown. Nested results
count once: a line whose own subtests were counted is their summary. A plan that was not
kept counts as a failure, and so does one of nothing that skips nothing.
"""

import re
import sys

RESULT = re.compile(r"^(?P<indent>(?: |# )*)(?P<no>not )?ok (?P<number>\d+)\b[ \t]*-?[ \t]*(?P<rest>.*)$")
PLAN = re.compile(r"^(?P<indent>(?: |# )*)1\.\.(?P<count>\d+)\b(?P<rest>.*)$")
BAIL = re.compile(r"^(?: |# )*Bail out!(.*)")
SKIP = re.compile(r"# *skip\b", re.IGNORECASE)
# What a test says about its failure, by this project's suites, the kernel's harness and cargo.
REASON = re.compile(r"^(?: |# )*(?:failed: (.*)|[^:]*:\d+:\w+:(Expected .*)|(thread .* panicked at .*))$")
# An expected failure is not one; the kernel's harness writes it as "ok # XFAIL".
PENDING_LINES = 40


class Level:
    """One depth of nesting: how many results it promised and gave."""

    def __init__(self):
        self.planned = None
        self.seen = 0
        self.failed = 0


class Failure:
    """A test that failed: where, and what it said."""

    def __init__(self, depth, name, said):
        self.depth = depth
        self.name = name
        said = [line for line in said if line.strip("# \t")]
        reasons = [found.group(found.lastindex) for found in map(REASON.match, said) if found]
        self.reason = (reasons or [line.strip("# \t") for line in said] or [""])[-1]


def main():
    counts_file = sys.argv[1]
    show_all = "--all" in sys.argv[2:]
    passed = failed = skipped = 0
    levels = {}  # depth -> Level
    pending = []  # lines since the last result, told with a failure
    failures = []

    def close(deeper_than):
        """Ends the levels below a depth; returns how many results and failures they had."""
        nonlocal failed
        results = bad = 0
        for depth in [d for d in levels if d > deeper_than]:
            level = levels.pop(depth)
            results += level.seen
            bad += level.failed
            if level.planned is not None and level.seen < level.planned:
                failed += 1
                bad += 1
                missing = f"{level.planned - level.seen} of {level.planned} planned results are missing"
                failures.append(Failure(depth, "", pending + [missing]))
                print(f"not ok {missing}", flush=True)
        return results, bad

    for line in sys.stdin:
        line = line.rstrip("\r\n")
        # The console's own time stamps, when the lines come from a kernel log.
        text = re.sub(r"^\[ *\d+\.\d+\] ?", "", line)
        if show_all:
            print(line, flush=True)
        bail = BAIL.match(text)
        if bail:
            # Whatever ran has no result of its own, so what it left is of no name either.
            close(0)
            failed += 1
            failures.append(Failure(0, "", [bail.group(1)]))
            for failure in failures:
                failure.depth = 0
            print(f"bailed out:{bail.group(1)}", flush=True)
            continue
        plan = PLAN.match(text)
        if plan:
            depth = len(plan.group("indent"))
            before = levels.get(depth)
            if before and before.planned is not None and before.seen < before.planned:
                close(depth - 1)
            levels.setdefault(depth, Level()).planned = int(plan.group("count"))
            if not int(plan.group("count")) and not SKIP.search(plan.group("rest")):
                # As for a name that no test has.
                failed += 1
                failures.append(Failure(depth, "", ["no test was run"]))
                print("not ok no test was run", flush=True)
            continue
        result = RESULT.match(text)
        if not result:
            pending = (pending + [line])[-PENDING_LINES:]
            continue
        depth = len(result.group("indent"))
        summary, already = close(depth)
        name = result.group("rest").split("#")[0].strip()
        for failure in failures:
            if failure.depth > depth:
                failure.name = f"{name}:{failure.name}".rstrip(":")
                failure.depth = depth
        level = levels.setdefault(depth, Level())
        level.seen += 1
        skip = SKIP.search(result.group("rest"))
        if result.group("no") and not skip:
            # A summary fails with its parts, which were counted; alone, it is the failure.
            level.failed += 1
            if not already:
                failed += 1
                failures.append(Failure(depth, name, pending + [result.group("rest").partition("#")[2]]))
            if not show_all:
                print("\n".join(pending + [line]), flush=True)
        elif summary:
            pass
        elif skip:
            skipped += 1
            if not show_all:
                print(line.strip(), flush=True)
        else:
            passed += 1
        pending = []
    close(-1)
    if pending and not show_all and failed:
        print("\n".join(pending), flush=True)
    with open(counts_file, "w", encoding="utf-8", errors="backslashreplace") as out:
        out.write(f"{passed} {failed} {skipped}\n")
        out.writelines(f"{failure.name}\t{failure.reason}\n" for failure in failures)


if __name__ == "__main__":
    main()
