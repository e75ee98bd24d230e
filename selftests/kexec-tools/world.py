# SPDX-License-Identifier: GPL-2.0
"""A false root for kexec to run in, and what it did there. See fake_syscalls.c."""

import ctypes
import os
import shutil
import subprocess
from types import SimpleNamespace

INSTANCES = "/sys/kernel/config/multikernel"
DEVICES = "/sys/class/multikernel"
CPUS = "/sys/devices/system/cpu"

# What a host shows, and a spawn kernel must not see.
HOST_FILES = {
    "/proc/cmdline": "BOOT_IMAGE=/vmlinuz root=/dev/sda1 quiet\n",
    "/proc/iomem": "00000000-00000fff : Reserved\n00001000-0009fbff : System RAM\n"
    "000f0000-000fffff : System ROM\n00100000-3fffffff : System RAM\n"
    "  01000000-01bfffff : Kernel code\n  02000000-023fffff : Kernel data\n"
    "  10000000-1fffffff : Crash kernel\n40000000-4fffffff : Reserved\n",
    "/sys/kernel/kexec_loaded": "1\n",
    "/sys/kernel/kexec_crash_loaded": "1\n",
    "/sys/kernel/crash_elfcorehdr_size": "4096\n",
    "/sys/kernel/boot_params/version": "0x020f\n",
    "/sys/kernel/boot_params/data": "\xaa" * 4096,
    "/sys/firmware/edd/.keep": "",
}


def drop_capabilities():
    """A second belt: without these, what gets past the filter fails."""
    pr_capbset_drop, cap_net_admin, cap_sys_boot = 24, 12, 22
    libc = ctypes.CDLL(None)
    for capability in (cap_net_admin, cap_sys_boot):
        libc.prctl(pr_capbset_drop, capability, 0, 0, 0)


class World:
    """One folder: the false root, files that are real, the log of the last run."""

    def __init__(self, folder, shim):
        self.folder = folder
        self.root = os.path.join(folder, "root")
        self.shim = shim
        for path, text in HOST_FILES.items():
            self.put(path, text)
        for cpu in range(1, 8):
            self.put(f"{CPUS}/cpu{cpu}/online", "1\n" if cpu < 2 else "0\n")
        self.put("/sys/module/multikernel/refcnt", "0\n")
        self.instances({})

    def real(self, path):
        return self.root + path

    def put(self, path, content):
        """Writes a file of the false root."""
        path = self.real(path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as out:
            out.write(content if isinstance(content, bytes) else content.encode("latin-1"))

    def file(self, name, content):
        """A real file; kexec runs in its folder."""
        with open(os.path.join(self.folder, name), "wb") as out:
            out.write(content)
        return name

    def instances(self, instances):
        """What there is: {"web": ("2-3", "512M set-aside", "loaded")}."""
        for folder in (INSTANCES, DEVICES):
            shutil.rmtree(self.real(folder), ignore_errors=True)
            os.makedirs(self.real(folder))
        for name, (cpus, memory, state) in instances.items():
            self.put(f"{INSTANCES}/{name}/cpus", cpus + "\n")
            self.put(f"{INSTANCES}/{name}/memory", memory + "\n")
            self.put(f"{DEVICES}/{name}/state", state + "\n")

    def exists(self, name):
        return os.path.isdir(self.real(f"{INSTANCES}/{name}"))

    def run(self, kexec, *arguments, errors=""):
        """Runs kexec; returns status, output, error output and the parsed log."""
        log = os.path.join(self.folder, "log")
        if os.path.exists(log):
            os.unlink(log)
        environment = {"LD_PRELOAD": self.shim, "FAKE_WORK": self.folder, "FAKE_ROOT": self.root, "FAKE_ERRORS": errors}
        done = subprocess.run(
            [kexec, *arguments],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
        )
        with open(log, encoding="ascii") as lines:
            events = [line.rstrip("\n").split("\t") for line in lines]
        if events[:1] != [["begin"]]:
            raise RuntimeError(f"the system calls of kexec are not trapped: {done.stderr!r}")
        return SimpleNamespace(
            status=done.returncode,
            out=done.stdout.decode("latin-1"),
            err=done.stderr.decode("latin-1"),
            events=events[1:],
            world=self,
        )

    def dump(self, name):
        with open(os.path.join(self.folder, name), "rb") as data:
            return data.read()


def loads(run):
    """The kexec_load calls of a run, each with its segments."""
    found = []
    for event in run.events:
        if event[0] == "kexec_load":
            entry, count, flags, result = (int(field, 0) for field in event[1:])
            found.append(SimpleNamespace(entry=entry, count=count, flags=flags, result=result, segments=[]))
        elif event[0] == "segment":
            bufsz, mem, memsz = (int(field, 0) for field in event[2:])
            one = SimpleNamespace(mem=mem, memsz=memsz, bufsz=bufsz, data=run.world.dump(event[1]))
            found[-1].segments.append(one)
    return found


def deeds(run):
    """What a run did, as opposed to what it looked at: short words, in order."""
    words = []
    for event in run.events:
        if event[0] in ("mkdir", "rmdir", "write"):
            what = event[1].removeprefix(INSTANCES + "/").rstrip("/")
            words.append(f"{event[0]} {what}" + (f"={event[2]}" if event[0] == "write" else ""))
        elif event[0] == "kexec_load":
            words.append("unload" if int(event[2]) == 0 else "load")
        elif event[0] == "reboot":
            words.append("start" if int(event[3], 0) == 0x4D4B4C49 else "reboot")
        elif event[0] not in ("open", "access", "stat", "readlink", "segment", "argument"):
            words.append(event[0])
    return words


def touches_host(run, names=("web",)):
    """What a run with --multikernel must never do; an empty list if it did not."""
    faults = []
    inside = tuple(f"{INSTANCES}/{name}" for name in names)
    for event in run.events:
        kind, rest = event[0], event[1:]
        text = " ".join(event)
        if kind == "kexec_load":
            if int(rest[2], 0) & 0xFFFF != 0x10 or int(rest[2], 0) >> 32 == 0:
                faults.append(text)
        elif kind == "reboot":
            if int(rest[2], 0) != 0x4D4B4C49:
                faults.append(text)
        elif kind in ("mkdir", "rmdir"):
            if rest[0].rstrip("/") not in inside:
                faults.append(text)
        elif kind == "write":
            if rest[0] not in [f"{one}/{attribute}" for one in inside for attribute in ("cpus", "memory")]:
                faults.append(text)
        elif kind == "open":
            harmless = (INSTANCES + "/", DEVICES + "/", CPUS + "/cpu")
            is_file = not rest[0].startswith("/")
            writes = int(rest[1], 0) & 3
            if not is_file and rest[0] != "/proc/cmdline" and not rest[0].startswith(harmless):
                faults.append(text)
            if writes and not rest[0].startswith(INSTANCES + "/"):
                faults.append(text)
        elif kind in ("access", "stat"):
            if not rest[0].startswith((INSTANCES, "/sys/module/multikernel")) and rest[0].startswith("/"):
                faults.append(text)
        elif kind not in ("segment", "argument"):
            # kexec_file_load, sync, socket, ioctl, execve, unlink, unexpected
            faults.append(text)
    return faults
