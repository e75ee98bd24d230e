# SPDX-License-Identifier: GPL-2.0
"""What kexec --multikernel does, and what it and every other kexec do not.

usage: cases.py KEXEC PLAIN_KEXEC SHIM FOLDER [CASE]

KEXEC has our patches, PLAIN_KEXEC is the same version without; SHIM is fake_syscalls.c, built. FOLDER is
empty, and private. Prints KTAP. SPAWN in the environment: real bzImages to test with besides, "a:b".
"""

import bz2
import errno
import gzip
import hashlib
import itertools
import os
import re
import struct
import sys
from multiprocessing import Pool

import bzimage
import vmlinux
from world import CPUS, DEVICES, INSTANCES, World, deeds, drop_capabilities, loads, touches_host

KEXEC, PLAIN, SHIM, FOLDER = sys.argv[1:5]
WEB = {"web": ("2-3", "512M set-aside", "empty")}
MK = "--multikernel=web"
MAKE = ("--mk-cpus=2-3", "--mk-memory=512M")
MADE = ["mkdir web", "write web/cpus=2-3", "write web/memory=512M"]

# Every long option that there is: with an argument if it takes one, and what it is to --multikernel.
MODES = ("--load", "--exec", "--unload")
FOR_LOAD = ("--initrd=initrd", "--ramdisk=initrd", "--append=a b", "--command-line=c", "--reuse-cmdline", "--type=bzImage64")
NEUTRAL = ("--debug", "--no-ifdown", "--no-sync", "--no-checks", "--kexec-syscall")
# These end kexec where they stand, if they stand before --multikernel.
ENDS = ("--help", "--version", "--print-ckr-size", "--exec-live-update")
REFUSED = (
    *("--force", "--load-panic", "--kexec-file-syscall", "--kexec-syscall-auto", "--status", "--hotplug"),
    *("--mem-min=0x1000", "--mem-max=0x10000000", "--entry=0", "--reuseinitrd", "--print-ckr-size"),
    *("--load-preserve-context", "--load-jump-back-helper", "--load-live-update", "--exec-live-update"),
    *("--reset-vga", "--serial=ttyS0", "--serial-baud=9600", "--console-vga", "--console-serial"),
    *("--elf32-core-headers", "--elf64-core-headers", "--pass-memmap-cmdline", "--noefi", "--reuse-video-type"),
    *("--args-elf", "--args-linux", "--args-none", "--module=m", "--real-mode", "--entry-32bit", "--dtb=d"),
)
OLD = tuple(dict.fromkeys(MODES + FOR_LOAD + NEUTRAL + ENDS + REFUSED))
PACKED = "--mk-compressed"
OURS = ("--multikernel=web", *MAKE, PACKED)
SHORT = ("-l", "-e", "-u", "-f", "-p", "-s", "-c", "-a", "-S", "-d", "-x", "-y", "-i", "-tbzImage64", "-h", "-v", "-?", "-le", "-lx")


def name(option):
    return option.split("=")[0]


class Failed(Exception):
    """A case did not go as it should."""


def want(condition, *what):
    if not condition:
        raise Failed(" ".join(str(one) for one in what))


def same(got, expected, *what):
    want(got == expected, *what, f"\n  got      {got!r}\n  expected {expected!r}")


def run(*arguments, instances=None, errors="", kexec=KEXEC):
    """Runs kexec --multikernel in a new world, and sees to what holds always."""
    THE.instances(WEB if instances is None else instances)
    result = THE.run(kexec, *arguments, errors=errors)
    same(touches_host(result), [], *arguments)
    want(result.status in (0, 1), *arguments, f"exit status {result.status}")
    want(result.status == 0 or result.err, *arguments, "failed silently")
    return result


def fails(text, *arguments, after=(), **how):
    """It fails, says this, and did no more than `after`."""
    result = run(*arguments, **how)
    same((result.status, deeds(result)), (1, list(after)), *arguments)
    want(text in result.err, *arguments, f"\n  said {result.err!r}\n  and not {text!r}")
    return result


def good(expected, *arguments, **how):
    """It succeeds, silently, with these deeds."""
    result = run(*arguments, **how)
    same((result.status, deeds(result), result.err), (0, list(expected), ""), *arguments)
    return result


# -- what is given to kexec_load --------------------------------------------------------


def segments(image, *options, cmdline=b"", initrd=None, packed=None, cpus="2-3", cpu=2, flat=None):
    """Loads an image, and finds no fault with the segments."""
    THE.file("image", packed or image)
    if initrd is not None:
        THE.file("ramdisk", initrd)
        options += ("--initrd=ramdisk",)
    result = good(["load"], MK, "-l", "image", *options, instances={"web": (cpus, "512M set-aside", "empty")})
    same(bzimage.check(loads(result)[0], image, cmdline, initrd, cpu, flat), [], *options)


def case_the_traps_work():
    """The plain kexec does all that is forbidden here, and is seen doing it."""
    THE.instances({})
    seen = touches_host(THE.run(PLAIN, "-e"))
    same([fault.split()[0] for fault in seen], ["access", "open", "sync", "socket", "reboot"])
    seen = touches_host(THE.run(PLAIN, "kernel"))
    want({"kexec_file_load", "execve"} <= {fault.split()[0] for fault in seen}, seen)
    seen = touches_host(THE.run(PLAIN, "-c", "-l", "kernel"))
    want("kexec_load" in {fault.split()[0] for fault in seen}, seen)


def case_segments_without_initrd():
    segments(bzimage.make())


def case_segments_with_initrd():
    segments(bzimage.make(), initrd=b"x")
    segments(bzimage.make(), initrd=bytes(4096))
    segments(bzimage.make(), initrd=os.urandom(4097))
    THE.file("ramdisk", b"r" * 5000)
    result = good(["load"], MK, "-l", "kernel", "--ramdisk=ramdisk")
    same(bzimage.check(loads(result)[0], KERNEL, b"", b"r" * 5000, 2), [])


def case_segments_command_line():
    segments(bzimage.make(), "--append=console=ttyS1 quiet", cmdline=b"console=ttyS1 quiet")
    segments(bzimage.make(), "--command-line=one -- two", cmdline=b"one -- two")
    segments(bzimage.make(), "--append=one", "--append=two", cmdline=b"two")
    segments(bzimage.make(), "--reuse-cmdline", cmdline=b"root=/dev/sda1 quiet")
    segments(bzimage.make(), "--reuse-cmdline", "--append=more", cmdline=b"root=/dev/sda1 quiet more")
    segments(bzimage.make(), "--append=" + "x" * 2047, cmdline=b"x" * 2047)
    segments(bzimage.make(cmdline_size=0xFFFFFFFF), "--append=" + "x" * 100000, cmdline=b"x" * 100000, initrd=b"i" * 9)


def case_segments_odd_images():
    segments(bzimage.make(setup_sects=0))
    segments(bzimage.make(setup_sects=64))
    segments(bzimage.make(release=None))
    segments(bzimage.make(release=b""))
    segments(bzimage.make(release=b"r" * 255))
    segments(bzimage.make(size=4096))
    segments(bzimage.make(size=1 << 20))
    # What the image says of its own loading is not passed on.
    segments(bzimage.make(cmd_line_ptr=0x1234, ramdisk_image=0x5678, ramdisk_size=9, ext_ramdisk_image=1, ext_ramdisk_size=2))
    # A longer setup header than there is room for, and a shorter one.
    segments(bzimage.make(jump=0xFF))
    segments(bzimage.make(jump=0x62))


def case_segments_release_outside():
    """A release string that is not in the setup sectors is none."""
    image = bytearray(bzimage.make(release=None))
    bzimage.put(image, "kernel_version", 0xFFFF)
    THE.file("image", bytes(image))
    result = good(["load"], MK, "-l", "image")
    bzimage.put(image, "kernel_version", 0)
    same(bzimage.check(loads(result)[0], bytes(image), b"", None, 2), [])


def case_segments_compressed_image():
    image = bzimage.make()
    segments(image, packed=gzip.compress(image))


def case_boot_cpu():
    for cpus, cpu in (("2", 2), ("3,5-6", 3), ("15-17", 15), ("1048575", 1048575)):
        segments(bzimage.make(), cpus=cpus, cpu=cpu)
    fails("CPU 1048576 is too large", MK, "-l", "kernel", instances={"web": ("1048576", "1G", "empty")})
    fails(f"has no CPUs: echo 2-3 > {INSTANCES}/web/cpus", MK, "-l", "kernel", instances={"web": ("", "1G", "empty")})


def case_real_images():
    images = [path for path in os.environ.get("SPAWN", "").split(":") if path]
    if not images:
        return "SPAWN names no bzImage"
    for path in images:
        with open(path, "rb") as file:
            image = file.read()
        flat = vmlinux.in_memory(vmlinux.unpack(bzimage.payload(image)))
        segments(image, "--append=quiet", cmdline=b"quiet", initrd=b"i" * 5001, flat=flat)
        segments(image, "--mk-compressed")
        want(re.match(rb"\d+\.\d+", bzimage.release(image)), path, "has no release")
    return None


# -- the kernel as it lies in memory ----------------------------------------------------


def flat(elf, how="gzip", *options, **more):
    """The vmlinux is decompressed and laid out."""
    segments(bzimage.make(payload=vmlinux.PACKERS[how](elf)), *options, flat=vmlinux.in_memory(elf), **more)


def left_alone(what, payload, **fields):
    """The kernel is loaded as it is; --debug says so."""
    image = bzimage.make(payload=payload, **fields)
    THE.file("image", image)
    result = run(MK, "-d", "-l", "image")
    same((result.status, deeds(result)), (0, ["load"]), what)
    same(bzimage.check(loads(result)[0], image, b"", None, 2), [], what)
    want("will decompress itself at each start" in result.err, what, result.err)


def case_flat_formats():
    elf = vmlinux.make()
    for how in vmlinux.PACKERS:
        flat(elf, how)
        flat(elf, how, "--append=quiet", cmdline=b"quiet", initrd=b"i" * 5001)
        segments(bzimage.make(payload=vmlinux.PACKERS[how](elf)), "--mk-compressed")
    # More than a block of lz4's, and one that is a block exactly.
    for size in (2 * vmlinux.LZ4_BLOCK, vmlinux.LZ4_BLOCK - len(vmlinux.make(tail=b""))):
        elf = vmlinux.make(tail=bytes(size))
        segments(bzimage.make(payload=vmlinux.PACKERS["lz4"](elf), init_size=32 << 20), flat=vmlinux.in_memory(elf))


def case_flat_layouts():
    base = vmlinux.BASE
    code = vmlinux.part(base, 0x2000)
    flat(vmlinux.make((code,), tail=b""))
    flat(vmlinux.make((code,), entry=base))
    flat(vmlinux.make((code,), entry=base + 0x1FFF))
    flat(vmlinux.make((vmlinux.part(base, 0x1001),), entry=base + 0x1000))
    # Bss only, at the end; nothing at all, anywhere; as much as init_size.
    flat(vmlinux.make((code, vmlinux.part(base + 0x3000, 0, 0x5001))))
    flat(vmlinux.make((vmlinux.part(0, 0), code, vmlinux.part(5, 0))))
    flat(vmlinux.make((code, vmlinux.part(base + 0x2000, 1, 0x1FE000))))
    flat(vmlinux.make((vmlinux.part(0x40000000, 0x2000),), entry=0x40000000))


def case_flat_bad_payload():
    """What cannot be decompressed here is left to the kernel."""
    elf = vmlinux.make()
    for how, pack in vmlinux.PACKERS.items():
        good_one = pack(elf)
        size = good_one[-4:]
        broken = bytearray(good_one)
        broken[len(broken) // 2] ^= 0x55
        longer = struct.pack("<I", len(elf) + 1)
        for payload in (good_one[:-100] + size, good_one + longer, good_one[: len(good_one) // 2] + size, good_one[:20], good_one[:6] + size,
                        good_one[:-4] + struct.pack("<I", len(elf) - 1), good_one[:-4] + longer,
                        good_one[:-4] + struct.pack("<I", 0), good_one[:-4] + struct.pack("<I", 0xFFFFFFFF)):
            left_alone(how, payload)
        if how != "zstd" and how != "lz4":  # their kernels carry no checksum
            left_alone(how, bytes(broken))
        for field in (good_one[:15], b"x" * 15, b"x" * 16, b"x" * 5000):
            left_alone(how, field)
        # Said to be in the file, and is not.
        left_alone(how, good_one, payload_length=len(good_one) + 4)
        left_alone(how, good_one, payload_offset=0xFFFFFFF0)
        left_alone(how, good_one, payload_length=0xFFFFFFFF)
        # A bomb: more than the kernel has room for, said or not.
        bomb = pack(vmlinux.make(tail=bytes(0x200000)))
        left_alone(how, bomb)
        left_alone(how, bomb[:-4] + size)
        left_alone(how, good_one, init_size=0x40000001)
    left_alone("bzip2", bz2.compress(elf) + struct.pack("<I", len(elf)))
    left_alone("lzo", b"\x89LZO" + good_one)
    # lz4: a block that is no such, and a good one whose 7 MiB of literals would be behind the file.
    left_alone("lz4", b"\x02\x21\x4c\x18" + struct.pack("<II", 0xFFFFFFFF, len(elf)) + elf)
    literals = 15 + 27000 * 255
    block = b"\xf0" + b"\xff" * 27000 + b"\0"
    left_alone("lz4", b"\x02\x21\x4c\x18" + struct.pack("<I", len(block) + literals) + block + struct.pack("<I", literals), init_size=32 << 20)


def case_flat_bad_elf():
    """A payload that is no kernel, or has parts that are not where they can be, is left alone."""
    base, ident = vmlinux.BASE, b"\x7fELF"
    top = (1 << 64) - 1

    def bad(**fields):
        left_alone(fields, vmlinux.PACKERS["gzip"](vmlinux.make(**fields)))

    def bad_part(*parts, **fields):
        bad(parts=(vmlinux.part(base, 0x2000), *parts), **fields)

    for content in (b"x", b"", ident, ident + b"\2\1\1", b"#!/bin/sh\n" + bytes(500), vmlinux.make()[:100], bytes(4096)):
        left_alone(content, vmlinux.PACKERS["gzip"](content))
    bad(ident=ident + b"\1\1\1")
    bad(ident=ident + b"\2\2\1")
    bad(ident=ident + b"\2\1\2")
    for number in (0, 1, 3, 4):
        bad(type=number)
    bad(machine=3)
    bad(phentsize=32)
    for phoff in (0, 0xFFF8, 1 << 63, top - 7, top):
        bad(phoff=phoff)
    # Good ones at an odd place.
    elf = vmlinux.make(tail=b"")
    bad(phoff=len(elf), tail=elf[vmlinux.EHDR_SIZE :][: vmlinux.PHDR_SIZE * len(vmlinux.PARTS)])
    for phnum in (0, 500, 0xFFFF):
        bad(phnum=phnum)
    bad(parts=())
    bad(parts=(vmlinux.part(base, 0x2000, kind=vmlinux.PT_NOTE),))
    bad(parts=(vmlinux.part(base, 0, 0x2000),))
    bad(parts=(vmlinux.part(base, 0x2000, 0),))
    bad(parts=(vmlinux.part(base + 0x1000, 0x2000),))
    bad(parts=(vmlinux.part(base + 0x100000, 0x2000),), entry=base + 0x100000)
    # The entry: before, behind, in the zeroes.
    for entry in (0, base - 1, base + 0x2000, base + 0x3000, top):
        bad(parts=(vmlinux.part(base, 0x2000, 0x4000),), entry=entry)
    # In the file: behind its end, over it, around.
    for offset, filesz in ((1 << 20, 1), (0x40, 1 << 20), (top, 0x1000), (0x1000, top), (top, top), (1 << 63, 1 << 63)):
        bad_part(vmlinux.part(base + 0x2000, 0x1000, max(filesz, 0x1000), filesz=filesz, offset=offset))
    bad_part(vmlinux.part(base + 0x2000, 0x1001, 0x1000))
    # In memory: too long, around, too far away, over another one, before the first.
    for memsz in (0x1FE001, 1 << 32, 1 << 63, top - base, top):
        bad_part(vmlinux.part(base + 0x2000, 0x1000, memsz))
    for paddr in (base + 0x1FFFFF, base + 0x200000, 1 << 40, 1 << 63, top - 4095, base, base + 0x1FFF, base + 0x1000, 0, base - 0x1000):
        bad_part(vmlinux.part(paddr, 0x1000))


# -- load, start, unload ----------------------------------------------------------------


def case_start():
    result = good(["start"], MK, "-e", instances={})
    same([event[:4] for event in result.events if event[0] == "reboot"], [["reboot", "0xfee1dead", "0x28121969", "0x4d4b4c49"]])
    same(THE.dump("dump0"), struct.pack("<II40s", 48, 1, b"web"))
    longest = "A" + "." * 31
    good(["start"], f"--multikernel={longest}", "-e", instances={})
    same(THE.dump("dump0"), struct.pack("<II40s", 48, 1, longest.encode()))


def case_unload():
    result = good(["unload"], MK, "-u")
    load = loads(result)[0]
    same((load.entry, load.count, load.flags), (0, 0, 0x10 | 62 << 16 | 2 << 32))


def case_one_shot():
    good([*MADE, "load", "start"], MK, *MAKE, "kernel", "--initrd=initrd", instances={})
    good([*MADE, "load"], MK, *MAKE, "-l", "kernel", instances={})
    # What is set already is not written again: a loaded instance would refuse it.
    good(["load", "start"], MK, *MAKE, "kernel")
    good(["write web/cpus=4-5", "load", "start"], MK, "--mk-cpus=4-5", "kernel")
    good(["write web/memory=1G", "load", "start"], MK, "--mk-memory=1G", "kernel")
    good(["load", "start"], MK, "kernel", instances={"web": ("2", "1G set-aside", "panicked")})


def case_one_shot_undone():
    """A step that fails takes back what was made, and only that."""
    new = {"instances": {}}
    command = (MK, *MAKE, "kernel")
    fails("Cannot make instance web: Operation not permitted", *command, errors="mkdir=1", after=MADE[:1], **new)
    want(not THE.exists("web"), "web is there")
    fails("Cannot set cpus of instance web to 2-3: Invalid", *command, errors="write:cpus=22", after=[*MADE[:2], "rmdir web"], **new)
    fails("Cannot set memory", *command, errors="write:memory=12", after=[*MADE, "rmdir web"], **new)
    fails("Cannot load a kernel into", *command, errors="kexec_load=7", after=[*MADE, "load", "rmdir web"], **new)
    undone = [*MADE, "load", "start", "unload", "rmdir web"]
    result = fails("Cannot start instance web", *command, errors="reboot=5", after=undone, **new)
    want("Instance web is removed again" in result.err, result.err)
    want(not THE.exists("web"), "web is there")
    fails("Cannot unload instance web", *command, errors="kexec_load=0,16 reboot=5", after=undone, **new)
    fails("Cannot remove instance web again", *command, errors="kexec_load=7 rmdir=16", after=[*MADE, "load", "rmdir web"], **new)
    # It was there before: it stays.
    fails("Cannot load", *command, errors="kexec_load=7", after=["load"])
    fails("Cannot start", *command, errors="reboot=5", after=["load", "start", "unload"])
    want(THE.exists("web"), "web is gone")
    fails("Cannot load", MK, "-l", *MAKE, "kernel", errors="kexec_load=7", after=[*MADE, "load", "rmdir web"], **new)
    # A start alone made nothing.
    fails("Cannot start", MK, "-e", errors="reboot=5", after=["start"])


def case_files_are_read_first():
    """A bad file is found before anything is made."""
    THE.file("short", KERNEL[:1000])
    THE.file("truncated", KERNEL[:2048])
    THE.file("elf", b"\x7fELF" + bytes(5000))
    for what, field in (("old", {"version": 0x020B}), ("32bit", {"xloadflags": 0}), ("fixed", {"xloadflags": 1}),
                        ("sector", {"boot_flag": 0}), ("zimage", {"loadflags": 0})):
        THE.file(what, bzimage.make(**field))
        fails(f"{what} is not a bzImage", MK, *MAKE, what, instances={})
    fails("short is not a bzImage", MK, *MAKE, "short", instances={})
    fails("elf is not a bzImage", MK, *MAKE, "elf", instances={})
    fails("truncated is truncated", MK, *MAKE, "truncated", instances={})
    fails("nowhere", MK, *MAKE, "nowhere", instances={})
    fails("nowhere", MK, *MAKE, "kernel", "--initrd=nowhere", instances={})
    fails("has 2048 characters, kernel takes 2047", MK, *MAKE, "kernel", "--append=" + "x" * 2048, instances={})


def case_running_instance():
    """In one go: not into one that runs, whose image a load would replace."""
    for state in ("running", "starting"):
        there = {"web": ("2-3", "512M set-aside", state)}
        fails(f"Instance web is {state}. Stop it first (echo kill > {DEVICES}/web/state)", MK, "kernel", instances=there)
        good(["load"], MK, "-l", "kernel", instances=there)
    for state in ("empty", "loaded", "killed", "quarantined"):
        good(["load", "start"], MK, "kernel", instances={"web": ("2-3", "512M set-aside", state)})


def case_names():
    for bad in ("", ".", "..", "../x", "a/b", "-x", "_x", ".x", "x" * 33, "a b", "a\n", "\xe9"):
        fails("Bad name", f"--multikernel={bad}", "-e", instances={})
        fails("Bad name", f"--multikernel={bad}", *MAKE, "kernel", instances={})
    for fine in ("w", "0", "a.b_c-d", "x" * 32):
        good(["start"], f"--multikernel={fine}", "-e", instances={})
    good(["start"], "--multikernel", "web", "-e")


# -- what it says -----------------------------------------------------------------------


def case_nowhere_to_configure():
    fails(f"There is no instance web: mkdir {INSTANCES}/web", MK, "-l", "kernel", instances={})
    fails("give both --mk-cpus and --mk-memory", MK, "-l", "kernel", "--mk-cpus=2", instances={})
    THE.instances({})
    os.rmdir(THE.real(INSTANCES))
    for command in ((MK, "kernel"), (MK, *MAKE, "kernel"), (MK, "-u")):
        result = THE.run(KEXEC, *command)
        want("mount -t configfs none /sys/kernel/config" in result.err, result.err)
    os.rename(THE.real("/sys/module/multikernel"), THE.real("/sys/module/other"))
    try:
        for command in ((MK, "kernel"), (MK, *MAKE, "kernel"), (MK, "-u")):
            result = THE.run(KEXEC, *command)
            same((result.status, deeds(result)), (1, []))
            want("modprobe multikernel" in result.err, result.err)
    finally:
        os.rename(THE.real("/sys/module/other"), THE.real("/sys/module/multikernel"))


def case_explains_load():
    table = {
        errno.EPERM: "CAP_SYS_BOOT",
        errno.ENOSYS: "CONFIG_KEXEC",
        errno.EOPNOTSUPP: "modprobe multikernel",
        errno.EINVAL: "CONFIG_MULTIKERNEL",
        errno.ENODEV: "/proc/multikernel",
        errno.E2BIG: "larger size",
        errno.ENOEXEC: "64-bit relocatable kernel",
        errno.ENOMEM: "memory",
        errno.EBUSY: "dmesg",
        errno.EINTR: "dmesg",
    }
    for number, text in table.items():
        result = fails(text, MK, "-l", "kernel", errors=f"kexec_load={number}", after=["load"])
        want(os.strerror(number) in result.err and "dmesg" in result.err, result.err)


def case_explains_online():
    online = f"CPU 1 is online: echo 0 > {CPUS}/cpu1/online\n"
    busy = f"kexec_load={errno.EBUSY}"
    for cpus in ("1", "1-3", "2-3,1", "3,1-2"):
        there = {"web": (cpus, "1G set-aside", "empty")}
        result = fails(online, MK, "-l", "kernel", errors=busy, after=["load"], instances=there)
        want("echo kill" not in result.err, result.err)
    # Without one there is still the state; one that is not in the way is not blamed.
    for command, call, deed in (("-l", "kexec_load", "load"), ("-u", "kexec_load", "unload"), ("-e", "reboot", "start")):
        for state in ("running", "starting", "quarantined", "empty", "loaded", "panicked"):
            arguments = [MK, command] + (["kernel"] if command == "-l" else [])
            there = {"web": ("2-3", "1G set-aside", state)}
            result = fails("dmesg", *arguments, errors=f"{call}={errno.EBUSY}", after=[deed], instances=there)
            remedy = f"Instance web is {state}: echo kill > {DEVICES}/web/state\n"
            same(remedy in result.err, state in ("running", "starting", "quarantined"), arguments, state)
            same("echo kill" in result.err, remedy in result.err, arguments, state)
    # The CPUs of one that runs are offline here; there its state is what matters.
    there = {"web": ("1-2", "1G set-aside", "running")}
    fails("Instance web is running: echo kill >", MK, "-u", errors=busy, after=["unload"], instances=there)


def case_explains_start():
    table = {
        errno.EPERM: "CAP_SYS_BOOT",
        errno.EINVAL: "CONFIG_MULTIKERNEL",
        errno.EOPNOTSUPP: "modprobe multikernel",
        errno.ENODEV: "/proc/multikernel",
        errno.ENODATA: "-l bzImage",
        errno.EBUSY: "dmesg",
    }
    for number, text in table.items():
        fails(text, MK, "-e", errors=f"reboot={number}", after=["start"])


def case_explains_configuration():
    for number, text in ((errno.EBUSY, "-u"), (errno.EINVAL, "cannot be lent"), (errno.EPERM, "CAP_SYS_BOOT")):
        fails(text, MK, "--mk-cpus=4", "kernel", errors=f"write:cpus={number}", after=["write web/cpus=4"])
    fails("ask for less", MK, "--mk-memory=1T", "kernel", errors="write:memory=12", after=["write web/memory=1T"])
    fails("root", MK, "--mk-cpus=4", "kernel", errors="open-to-write=13")


def case_debug():
    result = run(MK, "-d", "-l", "kernel")
    want("kexec_load: entry = 0x100200 flags = 0x2003e0010" in result.err, result.err)


def case_help():
    for options in (("--help",), (MK, "--help"), (MK, "-h")):
        result = THE.run(KEXEC, *options)
        same(result.status, 0)
        for option in OURS:
            want(f" {name(option)}" in result.out, option, "is not in the help")
    same(THE.run(KEXEC, MK, "-v").out, THE.run(PLAIN, "-v").out)


# -- combinations -----------------------------------------------------------------------


def case_ours_need_the_name():
    """Without --multikernel=NAME ours would be a kexec of the host."""
    for option in OURS[1:]:
        for others in ((), ("-e",), ("-l", "kernel"), ("kernel",), ("-u",), ("-f", "kernel")):
            fails("", option, *others)
            fails("", *others, option)
    fails("go with --multikernel=NAME", "--mk-cpus=2", "-e")


def case_refused_options():
    for option in REFUSED:
        for command in ((MK, option, "kernel"), (option, MK, "kernel"), (MK, "-e", option), (MK, "-l", "kernel", option), ("-u", MK, option)):
            if command[0] == option and option in ENDS:
                continue
            fails(f"{name(option)} cannot go with --multikernel", *command)
    for kind in ("elf-x86_64", "multiboot-x86", "nonsense"):
        fails(f"takes a bzImage, not a {kind}", MK, "-t", kind, "kernel")
    for kind in ("bzImage", "bzImage64"):
        good(["load"], MK, "-t", kind, "-l", "kernel")
    for bad in ("--no-such-option", "-Z", "--initrd", "--m"):
        fails("", MK, "kernel", bad)
    fails("One kernel only", MK, "-l", "kernel", "kernel")


def expected(options, kernel, there):
    """What a command with --multikernel comes to: its deeds, None when it is refused or fails at once."""
    names = {name(option) for option in options}
    modes = names & set(MODES)
    if names & {name(option) for option in REFUSED} or len(modes) > 1:
        return None
    if names & {"--help", "--version"}:
        return []
    for_load = names & {name(option) for option in FOR_LOAD + OURS[1:]}
    if modes & {"--exec", "--unload"}:
        if for_load or kernel:
            return None
        if "--exec" in modes:
            return ["start"]
        return ["unload"] if there else None
    if not kernel:
        return None
    makes = names & {name(option) for option in MAKE}
    if not there and len(makes) < 2:
        return None
    return ([] if there else MADE) + ["load"] + ([] if modes else ["start"])


def check_command(arguments, options, kernel, there):
    result = run(*arguments, instances=WEB if there else {})
    model = expected(options, kernel, there)
    same((result.status, deeds(result)), (1, []) if model is None else (0, model), *arguments)


def subsets(items):
    return itertools.chain.from_iterable(itertools.combinations(items, count) for count in range(len(items) + 1))


def case_every_combination_of_ours():
    count = 0
    rest = (*MAKE, PACKED, "--initrd=initrd", "--append=a b")
    for modes, others in itertools.product(subsets(MODES), subsets(rest)):
        for kernel, there in itertools.product(("kernel", None), (True, False)):
            arguments = [*modes, MK, *others] + ([kernel] if kernel else [])
            check_command(arguments, modes + others, kernel, there)
            count += 1
    return f"{count} commands", True


def case_every_pair_of_options():
    """Any two options, around and after --multikernel."""
    count = 0
    everything = OLD + OURS[1:]
    for first, second in itertools.product(everything, repeat=2):
        names = {name(first), name(second)}
        kernel = None if names & {"--exec", "--unload"} else "kernel"
        # One way after --multikernel, the other way around it.
        options = [MK, first, second] if name(first) > name(second) or first in ENDS else [first, MK, second]
        # The first that ends it, one way or the other, is what counts.
        ends = [option for option in (first, second) if option in REFUSED + ("--help", "--version")]
        check_command(options + ([kernel] if kernel else []), tuple(ends[:1]) or (first, second), kernel, True)
        count += 1
    return f"{count} commands", True


# -- every other kexec ------------------------------------------------------------------


def compare(*arguments, errors=""):
    """Plain and patched kexec do the same, to the byte of what they load."""
    seen = []
    for kexec in (PLAIN, KEXEC):
        result = THE.run(kexec, *arguments, errors=errors)
        bodies = [hashlib.sha256(THE.dump(event[1])).hexdigest() for event in result.events if event[0] == "segment"]
        out = [line for line in result.out.splitlines() if line not in NEW_HELP]
        # Names of the program, and addresses in it, are its own.
        err = re.sub("0x[57][0-9a-f]{11}", "ADDRESS", result.err.replace(kexec, "kexec"))
        seen.append((result.status, result.events, bodies, out, err))
    for one, other, what in zip(*seen, ("exit status", "system calls", "segments", "output", "error output")):
        same(other, one, *arguments, what, "of the patched kexec")


def case_others_same_singles():
    count = 0
    errors_seen = ("", "kexec_file_load=38", "kexec_file_load=1", "kexec_file_load=38 kexec_load=16", "reboot=22")
    for loaded, errors in [("0\n", ""), *(("1\n", errors) for errors in errors_seen)]:
        THE.put("/sys/kernel/kexec_loaded", loaded)
        for option in OLD + SHORT:
            for more in ((), ("kernel",)):
                compare(option, *more, errors=errors)
                count += 1
    compare()
    compare("kernel")
    compare("nowhere")
    return f"{count} commands", True


def case_others_same_pairs():
    count = 0
    for first, second in itertools.combinations_with_replacement(OLD, 2):
        compare(first, second, "kernel", errors="kexec_file_load=38")
        count += 1
    return f"{count} commands", True


def case_others_same_triples():
    """The options that decide what main() does, in every order."""
    count = 0
    flow = ("-l", "-e", "-u", "-f", "-p", "-s", "-c", "-S", "-x", "-y")
    for options in itertools.permutations(flow, 3):
        compare(*options, "kernel", errors="kexec_file_load=38")
        count += 1
    return f"{count} commands", True


def case_others_same_abbreviations():
    """Our options take no abbreviation from another one."""
    count = 0
    for option in OLD:
        long_name, _, value = option.partition("=")
        for length in range(3, len(long_name)):
            short = long_name[:length] + ("=" + value if value else "")
            seen = [THE.run(kexec, short, "kernel") for kexec in (PLAIN, KEXEC)]
            if "ambiguous" in seen[0].err:
                want("ambiguous" in seen[1].err, short)
            else:
                same(seen[1].events, seen[0].events, short)
            count += 1
    return f"{count} commands", True


def case_every_option_is_known():
    """The tables above miss no option: getopt names them."""
    known = {name(option) for option in OLD + OURS}
    for letter in "abcdefghijklmnopqrstuvwxyz":
        listed = re.findall(r"'(--[^']+)'", THE.run(KEXEC, f"--{letter}").err.partition("possibilities:")[2])
        same(set(listed) - known, set(), letter)


# -- the runner -------------------------------------------------------------------------


def begin():
    """A world for this process alone."""
    global THE, NEW_HELP
    THE = World(os.path.join(FOLDER, str(os.getpid())), SHIM)
    THE.file("kernel", KERNEL)
    THE.file("initrd", bytes(5000))
    NEW_HELP = set(THE.run(KEXEC, "--help").out.splitlines()) - set(THE.run(PLAIN, "--help").out.splitlines())


def perform(title):
    """Runs one case; returns what it told, and how it failed."""
    THE.put("/sys/kernel/kexec_loaded", "1\n")
    try:
        return globals()[title](), None
    except Failed as failure:
        return None, str(failure)


def main():
    wanted = sys.argv[5] if len(sys.argv) > 5 else ""
    cases = [one for one in globals() if one.startswith("case_") and wanted in one]
    print(f"KTAP version 1\n1..{len(cases)}", flush=True)
    failed = 0
    with Pool(initializer=begin) as pool:
        # The long ones are the last: begin with them.
        results = {title: pool.apply_async(perform, (title,)) for title in reversed(cases)}
        for number, title in enumerate(cases, 1):
            told, failure = results[title].get()
            title = title.removeprefix("case_")
            if failure is not None:
                failed += 1
                print("".join(f"# {line}\n" for line in failure.splitlines()), end="")
                print(f"not ok {number} {title}", flush=True)
                continue
            if isinstance(told, tuple):
                print(f"# {title}: {told[0]}")
                told = None
            print(f"ok {number} {title}" + (f" # SKIP {told}" if told else ""), flush=True)
    return 1 if failed or not cases else 0


drop_capabilities()
KERNEL = bzimage.make()
sys.exit(main())
