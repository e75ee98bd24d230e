#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Tells of many deaths how many were seen, and how soon.

usage: deaths.py STAMPS NOTICES

STAMPS is what the spawn kernels said, NOTICES what the host did, both of deaths.c, of one machine
after the other, each time stamp one nanosecond. Prints "LIVES MISSED STATES" and then, in
milliseconds, the median, the 99th percentile and the maximum from the spawn's last words to
poll(2), those to the uevent, and those to the line of /proc/multikernel.
"""

import re
import sys


def percentile(values, percent):
    values = sorted(values)
    return values[max(0, -(-len(values) * percent // 100) - 1)]


def main():
    stamps, notices = (open(name, encoding="utf-8", errors="replace").read() for name in sys.argv[1:3])
    told, states, lives, missed = ([], [], []), {}, 0, 0
    machines = zip(stamps.split("machine\n")[1:], notices.split("machine\n")[1:])
    for said, noticed in machines:
        deaths = re.findall(r"^death: (\w{16}) (\w{16}) (\w{16}) (\S+) (\S+)", noticed, re.M)
        ends = re.findall(r"^(?:\[ *\d+\.\d+\] )?([0-9a-f]{16})$", said, re.M)
        lives += len(ends)
        # A machine that was reset says no more; its last life was not seen to end.
        missed += abs(len(ends) - len(deaths))
        for end, (*notice, state, reason) in zip(ends, deaths):
            states[f"{state}/{reason}"] = states.get(f"{state}/{reason}", 0) + 1
            if any(int(stamp, 16) == 0 for stamp in notice):
                missed += 1
                continue
            for values, stamp in zip(told, notice):
                values.append((int(stamp, 16) - int(end, 16)) / 1e6)
    print(lives, missed, ",".join(f"{name}:{count}" for name, count in states.items()) or "-", end="")
    for values in told:
        for percent in 50, 99, 100:
            print(f" {percentile(values, percent):.2f}" if values else " -", end="")
    print()


if __name__ == "__main__":
    main()
