#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Boots a QEMU machine on instruction-counted time and tells how long its measured kernel took.

usage: machine.py FOLDER FIRST LAST QEMU ARGUMENT...

FIRST and LAST are the first and the last CPU of the measured kernel. The serial ports go to
FOLDER/serial0 and serial1. Virtual time is the time stamp counter: one tick, one nanosecond, one
instruction. What bench.c says is exact. The other events have no words: they are seen by stopping
the machine, and with it its time, every few milliseconds of ours and looking at the two CPUs.

Prints "PHASE MILLISECONDS" for each phase; Documentation/benchmarks/boot.rst says what they are.
"""

import json
import re
import socket
import subprocess
import sys
import time

DEADLINE = 300  # seconds of ours; a run takes 20 to 60
PM_TIMER = 0x608  # the ACPI timer of QEMU's pc: 24 bits of virtual time, wraps after 4.7 s
PM_TIMER_HZ = 3579545
WRAP = (1 << 24) * 10**9 // PM_TIMER_HZ
LONG_MODE = 1 << 10  # EFER.LMA; the firmware never enters it
KERNEL_HALF = 1 << 63
PHASES = ["place", "decompress", "early", "secondary", "late"]  # see boot.rst


class Monitor:
    """The machine's control socket."""

    def __init__(self, path, deadline):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(DEADLINE)
        while True:
            try:
                self.socket.connect(path)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        self.stream = self.socket.makefile("rw")
        self.stream.readline()  # the greeting
        self.ask("qmp_capabilities")

    def ask(self, command, **arguments):
        self.stream.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.stream.flush()
        while True:
            answer = json.loads(self.stream.readline() or "{}")
            if "return" in answer:
                return answer["return"]
            if "event" not in answer:
                raise ConnectionError(answer)

    def human(self, line, **arguments):
        return self.ask("human-monitor-command", **{"command-line": line}, **arguments)

    def sample(self, cpus):
        """(nanoseconds modulo WRAP, [(EFER, RIP, halted) of each CPU]) at one moment."""
        self.ask("stop")
        ticks = int(self.human(f"i /w {PM_TIMER:#x}").split("=")[1], 16)
        states = []
        for cpu in cpus:
            text = self.human("info registers", **{"cpu-index": cpu})
            efer, rip, halted = (re.search(p, text)[1] for p in (r"EFER=(\w+)", r"[RE]IP=(\w+)", r"HLT=(\d)"))
            states.append((int(efer, 16), int(rip, 16), halted == "1"))
        self.ask("cont")
        return ticks * 10**9 // PM_TIMER_HZ, states


def run(folder, cpus, command):
    """Boots the machine until it ends; returns the samples."""
    path = f"{folder}/monitor"
    command = command + ["-qmp", f"unix:{path},server=on,wait=off"]
    for port in 0, 1:
        command += ["-serial", f"file:{folder}/serial{port}"]
    samples = []
    deadline = time.monotonic() + DEADLINE
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as qemu:
        try:
            monitor = Monitor(path, deadline)
            while qemu.poll() is None and time.monotonic() < deadline and not said(folder, "init"):
                # CPU 0 is not lent: nothing is to be seen before a start.
                if cpus[0] == 0 or said(folder, "ready"):
                    samples.append(monitor.sample(cpus))
                time.sleep(0.001)
            qemu.wait(max(1, deadline - time.monotonic()))
        except (OSError, ValueError):
            pass  # the machine ended under our hands
        finally:
            qemu.kill()
    return samples


def said(folder, event):
    """The counter at this event, on whichever serial port it was told."""
    for port in 0, 1:
        with open(f"{folder}/serial{port}", encoding="utf-8", errors="replace") as file:
            found = re.search(rf"bench: {event} (\d+)\s", file.read())
        if found:
            return int(found[1])
    return None


def seen(samples, origin, entry):
    """The times at which each phase without words was first seen to be over."""
    waiting = [
        ("decompress", lambda first, last: first[1] >= KERNEL_HALF),
        ("early", lambda first, last: first[2]),
        ("secondary", lambda first, last: last[2] and last[1] >= KERNEL_HALF and last[1] != parked),
    ]
    if not entry:
        waiting.insert(0, ("entry", lambda first, last: first[0] & LONG_MODE))
    times = {"entry": entry}
    parked = samples[0][1][-1][1]  # where the last CPU waits to be woken
    for when, states in samples:
        when = origin + (when - origin) % WRAP
        while waiting and when >= (entry or 0) and waiting[0][1](states[0], states[-1]):
            times[waiting.pop(0)[0]] = when
    return times


def main():
    folder, cpus = sys.argv[1], sorted({int(sys.argv[2]), int(sys.argv[3])})
    samples = run(folder, cpus, sys.argv[4:])
    ready, start, entry, init = (said(folder, event) for event in ("ready", "start", "entry", "init"))
    if init is None or not samples:
        sys.exit("the kernel did not reach user space")
    # A machine of its own has no start command; its firmware is not counted.
    times = seen(samples, ready or 0, entry)
    ends = [start or times["entry"], times["entry"], times["decompress"]]
    # A single CPU has no landmark between this and user space.
    ends += [times.get(phase, init) for phase in PHASES[2:4]] if len(cpus) > 1 else [init, init]
    ends.append(init)
    for phase, since, until in zip(PHASES, ends, ends[1:]):
        print(f"{phase} {(until - since) / 1e6:.1f}")
    print(f"total {(init - ends[0]) / 1e6:.2f}")


if __name__ == "__main__":
    main()
