# SPDX-License-Identifier: GPL-2.0
"""Reads a trace of the audit's machine: what the lent CPUs did while a spawn kernel had them."""

import collections
import re

LENT = {2, 3}  # CPUs, and their APIC ids
MARKER = 0x2E8  # the serial port on which the host says who has them, see guest
APIC, ICR_LOW, ICR_HIGH = 0xFEE00000, 0xFEE00300, 0xFEE00310
CMOS_INDEX, CMOS_DATA = 0x70, 0x71

ACCESS = re.compile(rb"memory_region_ops_(read|write) cpu (-?\d+) mr \S+ addr (\w+) value (\w+) size \d+ name '(.*)'")
WRMSR = re.compile(rb"msr (\d+) (\w+) (\w+)")
NOWHERE = re.compile(rb"Invalid (read|write) at addr (\w+)")

# kind: port, mmio, cmos (a register of it), ipi (an APIC id, 0xff for several), msr, nowhere
Touch = collections.namedtuple("Touch", "kind number access device value")


def read(path):
    """{kernel: Counter of touches}, in the order of the starts."""
    lives, life, said = {}, None, b""
    cmos, destination = 0, dict.fromkeys(LENT, 0)
    with open(path, "rb") as lines:
        for line in lines:
            if found := ACCESS.match(line):
                access, device = found[1].decode(), found[5].decode()
                cpu, address, value = int(found[2]), int(found[3], 16), int(found[4], 16)
                if cpu not in LENT:
                    if address == MARKER and access == "write":
                        said += bytes([value])
                        if said.endswith(b"\n"):
                            name = said.decode().strip()
                            life = lives.setdefault(name[1:], collections.Counter()) if name[:1] == "<" else None
                            said = b""
                    elif address == CMOS_INDEX:
                        cmos = value
                    continue
                kind, number = "port" if address < 1 << 16 else "mmio", address
                if address == CMOS_INDEX:
                    cmos = value
                elif address == CMOS_DATA:
                    kind, number = "cmos", cmos & 0x7F
                elif address == ICR_HIGH and access == "write":
                    destination[cpu] = value >> 24
                elif address == ICR_LOW and access == "write":
                    # Shorthands: none, self, all, all but self (SDM vol. 3, 12.6.1).
                    kind, number = "ipi", [destination[cpu], cpu, 0xFF, 0xFF][value >> 18 & 3]
                touch = Touch(kind, number, access, device, value)
            elif found := WRMSR.match(line):
                if int(found[1]) not in LENT:
                    continue
                touch = Touch("msr", int(found[2], 16), "write", "", int(found[3], 16))
            elif found := NOWHERE.match(line):
                touch = Touch("nowhere", int(found[2], 16), found[1].decode(), "", 0)
            else:
                continue
            if life is not None:
                life[touch] += 1
    return lives
