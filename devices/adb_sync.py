"""Bytes to and from a file of a phone through adb's file service.

It proves nothing: bytes that change on the way are reported as success, so whoever calls
compares digests. Source of the format: SYNC.TXT of the Android Open Source Project's adb.
"""

from __future__ import annotations

import hashlib
import os
import struct
import time
from collections.abc import Callable
from typing import IO

from devices.adb_server import Wire
from devices.errors import CommandFailed, TransferError

_REQUEST = struct.Struct("<4sI")
_CHUNK_BYTES = 64 * 1024
_MAX_PATH_BYTES = 1024
_FILE_MODE = 0o100644


class Refused(Exception):
    """The phone could not write or read the file; the text is its reason, if it gave one."""


def send(
    wire: Wire, read: IO[bytes], path: str, on_bytes: Callable[[int], None]
) -> tuple[int, str]:
    """Write a file of the phone from what is read.

    Args:
        wire: on which "sync:" was opened.
        on_bytes: is told how many bytes have been sent so far.

    Returns: size in bytes and sha256 of what was sent, whatever may have arrived.
    Raises: Refused, and what Wire raises.
    """
    wire.send(_request(wire, b"SEND", f"{path},{_FILE_MODE}"))
    digest = hashlib.sha256()
    size = 0
    while data := read.read(_CHUNK_BYTES):
        left = memoryview(_REQUEST.pack(b"DATA", len(data)) + data)
        while left:
            # A phone whose disk is full says so at once and not at the end.
            answered, writable = wire.wait(reading=True, writing=True)
            if answered:
                _read_answer(wire)
                raise TransferError(f"the phone ended the push of {path}", device=wire.device)
            if writable:
                left = left[wire.send_some(left) :]
        digest.update(data)
        size += len(data)
        on_bytes(size)
    wire.send(_REQUEST.pack(b"DONE", int(time.time()) & 0xFFFFFFFF))
    _read_answer(wire)
    return size, digest.hexdigest()


def receive(wire: Wire, path: str, write: IO[bytes]) -> tuple[int, str]:
    """Write what a file of the phone holds.

    Args:
        wire: on which "sync:" was opened.

    Returns: size in bytes and sha256 of what has arrived.
    Raises: Refused, what Wire raises, OSError of `write`.
    """
    wire.send(_request(wire, b"RECV", path))
    digest = hashlib.sha256()
    size = 0
    while True:
        name, length = _REQUEST.unpack(wire.exactly(_REQUEST.size))
        if name == b"DONE":
            return size, digest.hexdigest()
        if name == b"FAIL":
            raise Refused(wire.exactly(min(length, _CHUNK_BYTES)).decode("utf-8", "replace"))
        if name != b"DATA" or length > _CHUNK_BYTES:
            raise TransferError(
                f"not an answer of adb's file service: {name!r}", device=wire.device
            )
        data = wire.exactly(length)
        write.write(data)
        digest.update(data)
        size += length


def _read_answer(wire: Wire) -> None:
    name, length = _REQUEST.unpack(wire.exactly(_REQUEST.size))
    if name == b"FAIL":
        raise Refused(wire.exactly(min(length, _CHUNK_BYTES)).decode("utf-8", "replace"))
    if name != b"OKAY":
        raise TransferError(f"not an answer of adb's file service: {name!r}", device=wire.device)


def _request(wire: Wire, name: bytes, argument: str) -> bytes:
    data = os.fsencode(argument)
    if len(data) > _MAX_PATH_BYTES:
        raise CommandFailed(f"{argument[:80]}...: the path is too long for adb", device=wire.device)
    return _REQUEST.pack(name, len(data)) + data
