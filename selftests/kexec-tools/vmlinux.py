# SPDX-License-Identifier: GPL-2.0
"""A small file that passes for a vmlinux, the formats that one is packed in, and how it lies in memory."""

import ctypes
import gzip
import lzma
import random
import struct
from types import SimpleNamespace

EHDR = "<16sHHIQQQIHHHHHH"
PHDR = "<IIQQQQQQ"
EHDR_SIZE, PHDR_SIZE = struct.calcsize(EHDR), struct.calcsize(PHDR)
PT_LOAD, PT_NOTE = 1, 4
BASE = 0x1000000
LZ4_BLOCK = 8 << 20


def part(paddr, size, memsz=None, kind=PT_LOAD, **fields):
    """What is loaded to an address; fields are more of its program header."""
    return SimpleNamespace(paddr=paddr, size=size, memsz=size if memsz is None else memsz, kind=kind, fields=fields)


# As a kernel's: code, data, per-CPU data that is linked for 0, bss; a note; a hole before the last.
PARTS = (
    part(BASE, 0x3456),
    part(BASE + 0x4000, 0x1000, vaddr=0),
    part(BASE + 0x8000, 0x2345, 0x9000),
    part(BASE + 0x3000, 0x24, kind=PT_NOTE),
)
ENTRY = BASE + 0x1230


def make(parts=PARTS, entry=ENTRY, tail=b"relocations", **fields):
    """An ELF file; fields are more of its header."""
    headers, body = b"", b""
    start = EHDR_SIZE + PHDR_SIZE * len(parts)
    for one in parts:
        values = {"offset": start + len(body), "vaddr": one.paddr, "paddr": one.paddr}
        values.update({"filesz": one.size, "memsz": one.memsz, "align": 0x200000}, **one.fields)
        headers += struct.pack(PHDR, one.kind, 7, *values.values())
        body += random.Random(one.paddr).randbytes(one.size)
    values = {"ident": b"\x7fELF\2\1\1", "type": 2, "machine": 62, "version": 1, "entry": entry, "phoff": EHDR_SIZE}
    values.update({"shoff": 0, "flags": 0, "ehsize": EHDR_SIZE, "phentsize": PHDR_SIZE, "phnum": len(parts)})
    values.update({"shentsize": 0, "shnum": 0, "shstrndx": 0}, **fields)
    return struct.pack(EHDR, *values.values()) + headers + body + tail


def in_memory(elf):
    """A good vmlinux as it lies in memory: its bytes, how many with the zeroes behind them, the entry's offset."""
    header = struct.unpack_from(EHDR, elf)
    entry, phoff, phnum = header[4], header[5], header[10]
    loads = [struct.unpack_from(PHDR, elf, phoff + PHDR_SIZE * i) for i in range(phnum)]
    loads = [(offset, paddr, filesz, memsz) for kind, _, offset, _, paddr, filesz, memsz, _ in loads if kind == PT_LOAD and memsz]
    lowest = min(paddr for _, paddr, _, _ in loads)
    data = bytearray(max(paddr + filesz - lowest for _, paddr, filesz, _ in loads if filesz))
    for offset, paddr, filesz, _ in loads:
        data[paddr - lowest : paddr - lowest + filesz] = elf[offset : offset + filesz]
    memsz = max(paddr + memsz - lowest for _, paddr, _, memsz in loads)
    return SimpleNamespace(data=bytes(data), memsz=-(-memsz // 4096) * 4096, entry=entry - lowest)


def library(name):
    """The library that kexec itself uses, without a header or a package more."""
    return ctypes.CDLL(name)


def zstd(data):
    lib = library("libzstd.so.1")
    lib.ZSTD_compress.restype = ctypes.c_size_t
    out = ctypes.create_string_buffer(len(data) + 1024)
    size = lib.ZSTD_compress(out, ctypes.c_size_t(len(out)), data, ctypes.c_size_t(len(data)), 3)
    return out.raw[:size]


def unzstd(data, size):
    lib = library("libzstd.so.1")
    out = ctypes.create_string_buffer(size)
    lib.ZSTD_decompress.restype = ctypes.c_size_t
    assert lib.ZSTD_decompress(out, ctypes.c_size_t(size), data, ctypes.c_size_t(len(data))) == size
    return out.raw


def lz4(data):
    """The format of lz4 -l."""
    lib = library("liblz4.so.1")
    packed = b"\x02\x21\x4c\x18"
    for at in range(0, len(data), LZ4_BLOCK):
        block = data[at : at + LZ4_BLOCK]
        out = ctypes.create_string_buffer(len(block) + len(block) // 128 + 64)
        size = lib.LZ4_compress_default(block, out, len(block), len(out))
        packed += struct.pack("<I", size) + out.raw[:size]
    return packed


def unlz4(data):
    lib = library("liblz4.so.1")
    at, plain = 4, b""
    while at < len(data):
        size = struct.unpack_from("<I", data, at)[0]
        out = ctypes.create_string_buffer(LZ4_BLOCK)
        done = lib.LZ4_decompress_safe(data[at + 4 : at + 4 + size], out, size, LZ4_BLOCK)
        plain += out.raw[:done]
        at += 4 + size
    return plain


def sized(packed, plain):
    """As scripts/Makefile.lib of Linux appends it for all but gzip, which has it anyway."""
    return packed + struct.pack("<I", len(plain))


PACKERS = {
    "gzip": lambda plain: gzip.compress(plain, mtime=0),
    "xz": lambda plain: sized(lzma.compress(plain, check=lzma.CHECK_CRC32), plain),
    "lzma": lambda plain: sized(lzma.compress(plain, format=lzma.FORMAT_ALONE), plain),
    "zstd": lambda plain: sized(zstd(plain), plain),
    "lz4": lambda plain: sized(lz4(plain), plain),
}


def unpack(payload):
    """The vmlinux in the payload of a real bzImage."""
    packed, size = payload[:-4], struct.unpack("<I", payload[-4:])[0]
    if packed.startswith(b"\x1f\x8b"):
        return gzip.decompress(payload)
    if packed.startswith(b"\x28\xb5\x2f\xfd"):
        return unzstd(packed, size)
    if packed.startswith(b"\x02\x21\x4c\x18"):
        return unlz4(packed)
    return lzma.LZMADecompressor().decompress(packed)
