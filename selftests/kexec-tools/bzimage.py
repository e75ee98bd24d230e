# SPDX-License-Identifier: GPL-2.0
"""A small file that passes for a bzImage, and what is known of any: the x86 boot protocol."""

import random
import struct
from types import SimpleNamespace

PAGE = 4096
SETUP_HEADER = 0x1F1
SETUP_END = 0x290
RELEASE = b"7.3.0-test (builder@nowhere) #1 SMP"


def make(setup_sects=3, release=RELEASE, size=20001, jump=0x66, payload=b"", **fields):
    """A bzImage; fields are more of the setup header: name=value as in FIELDS.

    Its 64-bit part has some size, and the payload, if any, behind that.
    """
    real_sects = setup_sects or 4
    setup = bytearray((real_sects + 1) * 512)
    # What a setup header must not bring along: the boot sector's code before it.
    setup[: SETUP_HEADER] = bytes(random.Random(1).randbytes(SETUP_HEADER))
    setup[0x200] = 0xEB
    setup[0x201] = jump
    setup[0x202:0x206] = b"HdrS"
    values = {
        "setup_sects": setup_sects,
        "boot_flag": 0xAA55,
        "version": 0x020F,
        "kernel_version": 0,
        "loadflags": 1,
        "code32_start": 0x100000,
        "initrd_addr_max": 0x7FFFFFFF,
        "kernel_alignment": 0x200000,
        "relocatable_kernel": 1,
        "min_alignment": 21,
        "xloadflags": 0x3F,
        "cmdline_size": 2047,
        "pref_address": 0x1000000,
        "init_size": 0x200000,
    }
    if payload:
        values.update(payload_offset=size, payload_length=len(payload))
    if release is not None:
        where = len(setup) - 256
        setup[where : where + len(release) + 1] = release + b"\0"
        values["kernel_version"] = where - 0x200
    values.update(fields)
    for name, value in values.items():
        put(setup, name, value)
    return bytes(setup) + random.Random(2).randbytes(size) + payload + b"end"


FIELDS = {
    "ext_ramdisk_image": ("<I", 0xC0),
    "ext_ramdisk_size": ("<I", 0xC4),
    "ext_cmd_line_ptr": ("<I", 0xC8),
    "setup_sects": ("<B", 0x1F1),
    "boot_flag": ("<H", 0x1FE),
    "version": ("<H", 0x206),
    "kernel_version": ("<H", 0x20E),
    "loadflags": ("<B", 0x211),
    "code32_start": ("<I", 0x214),
    "ramdisk_image": ("<I", 0x218),
    "ramdisk_size": ("<I", 0x21C),
    "cmd_line_ptr": ("<I", 0x228),
    "initrd_addr_max": ("<I", 0x22C),
    "kernel_alignment": ("<I", 0x230),
    "relocatable_kernel": ("<B", 0x234),
    "min_alignment": ("<B", 0x235),
    "xloadflags": ("<H", 0x236),
    "cmdline_size": ("<I", 0x238),
    "payload_offset": ("<I", 0x248),
    "payload_length": ("<I", 0x24C),
    "pref_address": ("<Q", 0x258),
    "init_size": ("<I", 0x260),
}


def put(data, name, value):
    struct.pack_into(*FIELDS[name][:1], data, FIELDS[name][1], value)


def get(data, name):
    return struct.unpack_from(FIELDS[name][0], data, FIELDS[name][1])[0]


def get64(data, name):
    """A field of which the upper half is elsewhere."""
    return get(data, name) | get(data, "ext_" + name) << 32


def string(data, start):
    return data[start : data.index(b"\0", start)]


def compressed(image):
    """The 64-bit part as it lies in memory: a kernel that decompresses itself."""
    data = image[((get(image, "setup_sects") or 4) + 1) * 512 :]
    return SimpleNamespace(data=data, memsz=-(-len(data) // PAGE) * PAGE, entry=0x200)


def payload(image):
    start = get(image, "payload_offset")
    return compressed(image).data[start : start + get(image, "payload_length")]


def release(image):
    """The image's own string, "" if it has none."""
    offset = get(image, "kernel_version")
    return string(image, offset + 0x200) if offset else b""


def check(load, image, cmdline, initrd, cpu, flat=None):
    """The faults of what was given to kexec_load for this image: the contract, as the module reads it.

    flat is how its kernel lies in memory, if it should have been decompressed.
    """
    faults = []
    kernel = flat or compressed(image)

    def want(condition, what):
        if not condition:
            faults.append(what)

    want(load.flags == 0x10 | 62 << 16 | cpu << 32, f"flags are {load.flags:#x}")
    segments = load.segments
    want(len(segments) == (2 if initrd is None else 3), f"{len(segments)} segments")
    for one in segments:
        want(one.mem % PAGE == 0 and one.memsz % PAGE == 0, f"{one.mem:#x}+{one.memsz:#x} is not of pages")
        want(0 < one.bufsz <= one.memsz, f"bufsz {one.bufsz:#x}, memsz {one.memsz:#x}")
        want(len(one.data) == one.bufsz, f"of {one.bufsz:#x} bytes {len(one.data):#x} can be read")
    order = sorted(segments, key=lambda one: one.mem)
    for one, other in zip(order, order[1:]):
        want(one.mem + one.memsz <= other.mem, f"{one.mem:#x} and {other.mem:#x} overlap")

    kernels = [one for one in segments if one.mem <= load.entry < one.mem + one.memsz]
    if len(kernels) != 1:
        return faults + [f"the entry {load.entry:#x} is in {len(kernels)} segments"]
    want(load.entry == kernels[0].mem + kernel.entry, f"entry {load.entry:#x}, kernel at {kernels[0].mem:#x}")
    want(kernels[0].data == kernel.data, "the kernel is not that of the image")
    want(kernels[0].memsz == kernel.memsz, f"memsz of the kernel is {kernels[0].memsz:#x}, not {kernel.memsz:#x}")
    params = [one for one in segments if one not in kernels and one.data[0x202:0x206] == b"HdrS"]
    if len(params) != 1:
        return faults + [f"{len(params)} segments look like boot_params"]
    page = params[0].data

    end = min(0x202 + image[0x201], SETUP_END)
    expected = bytearray(PAGE)
    expected[SETUP_HEADER:end] = image[SETUP_HEADER:end]
    for name in ("kernel_version", "cmd_line_ptr", "ext_cmd_line_ptr"):
        put(expected, name, get(page, name))
    if flat:
        put(expected, "payload_offset", 0)
        put(expected, "payload_length", 0)
    rest = [one for one in segments if one not in kernels + params]
    put(expected, "ramdisk_image", rest[0].mem & 0xFFFFFFFF if rest else 0)
    put(expected, "ext_ramdisk_image", rest[0].mem >> 32 if rest else 0)
    put(expected, "ramdisk_size", len(initrd or b""))
    different = [offset for offset in range(PAGE) if page[offset] != expected[offset]]
    want(not different, f"the zero page is not ours at {different[:8]}")

    where = get64(page, "cmd_line_ptr") - params[0].mem
    want(PAGE <= where < len(page), f"the command line is at {where:#x} of boot_params")
    if PAGE <= where < len(page):
        want(string(page, where) == cmdline, f"the command line is {string(page, where)!r}")
    offset = get(page, "kernel_version")
    want(bool(offset) == bool(release(image)), f"kernel_version is {offset:#x}")
    if offset:
        want(PAGE <= offset + 0x200 < len(page), f"the release is at {offset + 0x200:#x}")
        want(string(page, offset + 0x200) == release(image)[:256], "the release is not that of the image")
    if initrd is not None:
        want(len(rest) == 1 and rest[0].data == initrd, "the initrd is not that of the file")
    return faults
