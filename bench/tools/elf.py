"""Which machine and system a program was built for, from the head of its file.

Format: System V ABI, "ELF header"; machine numbers of its registry; e_flags of the ARM
ELF ABI (IHI 0044); note "Android" of bionic's crtbegin, "GNU" tag 1 of glibc's.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from bench.errors import UnreadableOutput

_MACHINES = {62: "x86_64", 183: "aarch64", 40: "arm", 3: "x86"}
_HARD_FLOAT = 0x400
_PT_INTERP, _PT_NOTE = 3, 4
_ET_EXEC, _ET_DYN = 2, 3
_MAX_SEGMENTS = 1000
_MAX_SEGMENT_BYTES = 1 << 16
# machine, as the ABI of a device has it.
_ABIS = {
    ("android", "aarch64"): "arm64-v8a",
    ("android", "arm"): "armeabi-v7a",
    ("android", "x86_64"): "x86_64",
    ("android", "x86"): "x86",
    ("linux", "aarch64"): "aarch64",
    ("linux", "arm"): "armhf",
    ("linux", "x86_64"): "x86_64",
    ("linux", "x86"): "x86",
}


@dataclass(frozen=True, slots=True)
class Program:
    """What a file says of itself.

    Attributes:
        machine: "x86_64", "aarch64", "arm" or "x86".
        system: "android", "linux", or None for a static program without a note.
        hard_float: of ARM: floats are passed in registers, as armhf wants it.
    """

    machine: str
    system: str | None
    hard_float: bool

    def misfit(self, system: str, abi: str) -> str | None:
        """Why it cannot run on a device of that system ("linux", "android") and ABI, or None."""
        if self.system not in (None, system):
            return f"it is built for {self.system}, not for {system}"
        own = _ABIS.get((system, self.machine), self.machine)
        if own != abi:
            return f"it is built for {own}, not for {abi}"
        if abi == "armhf" and self.system == "linux" and not self.hard_float:
            return "it is built for armel (soft float), not for armhf"
        return None


def read_program(data: bytes) -> Program:
    """Read an executable.

    Raises: UnreadableOutput, with what it is instead, where it is none.
    """
    if data[:4] != b"\x7fELF":
        raise UnreadableOutput(_what_else(data))
    try:
        return _read(data)
    except (struct.error, IndexError, OverflowError) as error:
        raise UnreadableOutput("a program that is cut off or damaged") from error


def _what_else(data: bytes) -> str:
    if not data:
        return "an empty file"
    if data[:4] == b"PK\x03\x04":
        return "an archive or APK, not a program"
    if data[:2] == b"#!":
        return "a script, not a program"
    start = data[:512].lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "a web page, not a program"
    return "not a program (no ELF file)"


def _read(data: bytes) -> Program:
    wide = data[4] == 2
    if data[5] != 1 or data[4] not in (1, 2):
        raise UnreadableOutput("a program of a byte order that no supported device has")
    kind, machine = struct.unpack_from("<HH", data, 16)
    if kind not in (_ET_EXEC, _ET_DYN):
        raise UnreadableOutput("an object file or core dump, not a program")
    if machine not in _MACHINES:
        raise UnreadableOutput(f"a program for another kind of machine (ELF machine {machine})")
    flags = struct.unpack_from("<I", data, 48 if wide else 36)[0]
    interpreters, notes = [], []
    for kind_of_segment, content in _segments(data, wide):
        if kind_of_segment == _PT_INTERP:
            interpreters.append(content.rstrip(b"\0"))
        elif kind_of_segment == _PT_NOTE:
            notes += list(_notes(content))
    system = None
    if any(path.startswith(b"/system/bin/linker") for path in interpreters) or b"Android" in notes:
        system = "android"
    elif interpreters or b"GNU" in notes:
        system = "linux"
    elif kind == _ET_DYN:
        raise UnreadableOutput("a shared library, not a program")
    return Program(_MACHINES[machine], system, bool(flags & _HARD_FLOAT))


def _segments(data: bytes, wide: bool) -> Iterator[tuple[int, bytes]]:
    start = struct.unpack_from("<Q" if wide else "<I", data, 32 if wide else 28)[0]
    size, count = struct.unpack_from("<HH", data, 54 if wide else 42)
    for number in range(min(count, _MAX_SEGMENTS)):
        place = start + number * size
        if wide:
            kind, _, offset, _, _, length = struct.unpack_from("<IIQQQQ", data, place)
        else:
            kind, offset, _, _, length = struct.unpack_from("<IIIII", data, place)
        if kind in (_PT_INTERP, _PT_NOTE):
            yield kind, data[offset : offset + min(length, _MAX_SEGMENT_BYTES)]


def _notes(content: bytes) -> Iterator[bytes]:
    """Owners of notes that name a system: Android's, or GNU's tag 1 (the ABI)."""
    place = 0
    while place + 12 <= len(content):
        name_bytes, described, kind = struct.unpack_from("<III", content, place)
        name = content[place + 12 : place + 12 + name_bytes].rstrip(b"\0")
        if kind == 1:
            yield name
        place += 12 + (name_bytes + 3) // 4 * 4 + (described + 3) // 4 * 4
