# SPDX-License-Identifier: GPL-2.0
"""What kexec --multikernel does, and what it and every other kexec do not.

usage: cases.py KEXEC PLAIN_KEXEC SHIM FOLDER [CASE]

KEXEC has our patches, PLAIN_KEXEC is the same version without; SHIM is fake_syscalls.c, built. FOLDER is
empty, and private. Prints KTAP. SPAWN in the environment: real bzImages to test with besides, "a:b".
"""

import errno
import gzip
import hashlib
import itertools
import os
import re
import struct
import sys

import bzimage
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
OURS = ("--multikernel=web", "--mk-cpus=2-3", "--mk-memory=512M")
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


def segments(image, *options, cmdline=b"", initrd=None, packed=None, cpus="2-3", cpu=2):
    """Loads an image; the faults of the segments, none when all is well."""
    THE.file("image", packed or image)
    if initrd is not None:
        THE.file("ramdisk", initrd)
        options += ("--initrd=ramdisk",)
    result = good(["load"], MK, "-l", "image", *options, instances={"web": (cpus, "512M set-aside", "empty")})
    same(bzimage.check(loads(result)[0], image, cmdline, initrd, cpu), [], *options)


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
    segments(bzimage.make(payload_size=4096))
    segments(bzimage.make(payload_size=1 << 20))
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
        segments(image, "--append=quiet", cmdline=b"quiet", initrd=b"i" * 5001)
        want(re.match(rb"\d+\.\d+", bzimage.release(image)), path, "has no release")
    return None


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
    good(["load", "start"], MK, "kernel", instances={"web": ("2", "1G set-aside", "stopped")})


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
    for state in ("empty", "loaded", "stopped", "quarantined"):
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
        for state in ("running", "starting", "quarantined", "empty", "loaded", "stopped"):
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
    fails("root", MK, "--mk-cpus=4", "kernel", errors="open=0,0,0,0,13")


def case_debug():
    result = run(MK, "-d", "-l", "kernel")
    want("kexec_load: entry = 0x100200 flags = 0x2003e0010" in result.err, result.err)


def case_help():
    for options in (("--help",), (MK, "--help"), (MK, "-h")):
        result = THE.run(KEXEC, *options)
        same(result.status, 0)
        for option in OURS:
            want(f" {name(option)}=" in result.out, option, "is not in the help")
    same(THE.run(KEXEC, MK, "-v").out, THE.run(PLAIN, "-v").out)


# -- combinations -----------------------------------------------------------------------


def case_ours_need_the_name():
    """Without --multikernel=NAME ours would be a kexec of the host."""
    for option in ("--mk-cpus=2-3", "--mk-memory=512M"):
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
    for_load = names & {name(option) for option in FOR_LOAD + MAKE}
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
    rest = (*MAKE, "--initrd=initrd", "--append=a b", "--reuse-cmdline")
    for modes, others in itertools.product(subsets(MODES), subsets(rest)):
        for kernel, there in itertools.product(("kernel", None), (True, False)):
            arguments = [*modes, MK, *others] + ([kernel] if kernel else [])
            check_command(arguments, modes + others, kernel, there)
            count += 1
    return f"{count} commands", True


def case_every_pair_of_options():
    """Any two options, around and after --multikernel."""
    count = 0
    everything = OLD + MAKE
    for first, second in itertools.product(everything, repeat=2):
        names = {name(first), name(second)}
        kernel = None if names & {"--exec", "--unload"} else "kernel"
        places = [[MK, first, second]] if name(first) > name(second) else []
        if first not in ENDS:
            places.append([first, MK, second])
        for options in places:
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
    for first, second in itertools.product(OLD, repeat=2):
        compare(first, second, "kernel", errors="kexec_file_load=38")
        count += 1
    return f"{count} commands", True


def case_others_same_triples():
    """The options that decide what main() does."""
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


def main():
    wanted = sys.argv[5] if len(sys.argv) > 5 else ""
    cases = [(one, what) for one, what in globals().items() if one.startswith("case_")]
    cases = [(one.removeprefix("case_"), what) for one, what in cases if wanted in one]
    print(f"KTAP version 1\n1..{len(cases)}", flush=True)
    failed = 0
    for number, (title, what) in enumerate(cases, 1):
        THE.put("/sys/kernel/kexec_loaded", "1\n")
        try:
            told = what()
        except Failed as failure:
            failed += 1
            print("".join(f"# {line}\n" for line in str(failure).splitlines()), end="")
            print(f"not ok {number} {title}", flush=True)
            continue
        if isinstance(told, tuple):
            print(f"# {title}: {told[0]}")
            told = None
        print(f"ok {number} {title}" + (f" # SKIP {told}" if told else ""), flush=True)
    return 1 if failed or not cases else 0


drop_capabilities()
THE = World(FOLDER, SHIM)
KERNEL = bzimage.make()
THE.file("kernel", KERNEL)
THE.file("initrd", bytes(5000))
NEW_HELP = set(THE.run(KEXEC, "--help").out.splitlines()) - set(THE.run(PLAIN, "--help").out.splitlines())
sys.exit(main())
