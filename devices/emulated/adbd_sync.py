"""The file service of adbd: stat, list, send and receive, in their first and second versions.

Source of the format: SYNC.TXT and file_sync_protocol.h of the Android Open Source Project.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from devices.emulated.adbd_link import Stream

_LENGTH = struct.Struct("<I")
_STAT = struct.Struct("<3I")
_STAT2 = struct.Struct("<I2Q4IQ3q")
_CHUNK_BYTES = 64 * 1024
_ERRNOS = {  # Android's numbers, which are Linux's
    errno.EACCES,
    errno.EEXIST,
    errno.ELOOP,
    errno.EMFILE,
    errno.ENAMETOOLONG,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EPERM,
}


def serve_sync(stream: Stream, path_of: Callable[[str], Path]) -> None:
    """Answer requests until the other side quits.

    Args:
        path_of: where a path of the phone really lies.
    """
    while True:
        name = stream.read_exact(4)
        length = _LENGTH.unpack(stream.read_exact(4))[0]
        if name == b"QUIT":
            return
        argument = os.fsdecode(stream.read_exact(length))
        if name in (b"STAT", b"STA2", b"LST2"):
            stream.write(name + _status(name, path_of(argument)))
        elif name in (b"LIST", b"LIS2"):
            _list(stream, path_of(argument), second=name == b"LIS2")
        elif name == b"SEND":
            path, _, mode = argument.rpartition(",")
            _receive_file(stream, path_of(path), int(mode, 8 if mode.startswith("0") else 10))
        elif name == b"SND2":
            _, mode_bits, _flags = _header2(stream)
            _receive_file(stream, path_of(argument), mode_bits)
        elif name == b"RECV":
            _send_file(stream, path_of(argument))
        elif name == b"RCV2":
            stream.read_exact(8)
            _send_file(stream, path_of(argument))
        else:
            _fail(stream, f"unknown command {name!r}")
            return


def _header2(stream: Stream) -> tuple[bytes, int, int]:
    name, mode, flags = struct.unpack("<4sII", stream.read_exact(12))
    return name, mode, flags


def _status(name: bytes, path: Path) -> bytes:
    try:
        found = path.lstat() if name != b"STA2" else path.stat()
    except OSError as error:
        if name == b"STAT":
            return _STAT.pack(0, 0, 0)
        number = error.errno if error.errno in _ERRNOS else errno.EIO
        return _STAT2.pack(number, *[0] * 10)
    if name == b"STAT":
        return _STAT.pack(found.st_mode, found.st_size & 0xFFFFFFFF, int(found.st_mtime))
    return _pack2(found)


def _pack2(found: os.stat_result) -> bytes:
    times = (int(found.st_atime), int(found.st_mtime), int(found.st_ctime))
    owner = (found.st_mode, found.st_nlink, found.st_uid, found.st_gid)
    return _STAT2.pack(0, found.st_dev, found.st_ino, *owner, found.st_size, *times)


def _list(stream: Stream, path: Path, *, second: bool) -> None:
    entries = b""
    with suppress(OSError):
        for entry in sorted(path.iterdir()):
            name = os.fsencode(entry.name)
            with suppress(OSError):
                found = entry.lstat()
                if second:
                    entries += b"DNT2" + _pack2(found) + _LENGTH.pack(len(name)) + name
                else:
                    time = int(found.st_mtime)
                    entries += b"DENT" + _STAT.pack(found.st_mode, found.st_size, time)
                    entries += _LENGTH.pack(len(name)) + name
    stream.write(entries + b"DONE" + bytes((_STAT2.size if second else _STAT.size) + 4))


def _receive_file(stream: Stream, path: Path, mode: int) -> None:
    """Take a file. A partial one is removed; after a failure the rest is read and dropped."""
    faults = stream.board.now
    # As adbd does: what the owner may, everybody may.
    allowed = (mode & 0o700) | (mode & 0o700) >> 3 | (mode & 0o700) >> 6
    failure = ""
    size = 0
    file = None
    whole = False
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.is_symlink() or path.is_file():
                path.unlink()
            file = path.open("xb")
        except OSError as error:
            failure = f"couldn't create file: {os.strerror(error.errno or 0)}"
            _fail(stream, "" if faults.mute_failures else failure)
        while True:
            name = stream.read_exact(4)
            length = _LENGTH.unpack(stream.read_exact(4))[0]
            if name == b"DONE":
                break
            if name != b"DATA" or length > _CHUNK_BYTES:
                _fail(stream, "invalid data message")
                return
            data = stream.read_exact(length)
            if file is None or failure:
                continue
            size += length
            try:
                if faults.full_after_bytes is not None and size > faults.full_after_bytes:
                    raise OSError(errno.ENOSPC, "")
                file.write(_damaged(data, corrupt=faults.corrupt_push, short=faults.short_push))
                file.flush()  # a full disk shows here, as with adbd, and not when it is closed
            except OSError as error:
                failure = f"write failed: {os.strerror(error.errno or 0)}"
                _fail(stream, "" if faults.mute_failures else failure)
        if file is not None and not failure:
            os.fchmod(file.fileno(), allowed)
            file.close()
            # As adbd does: whoever removed the file meanwhile is nobody's failure here.
            with contextlib.suppress(FileNotFoundError):
                os.utime(path, (length, length))
            whole = True
            stream.write(b"OKAY" + _LENGTH.pack(0))
    finally:
        if file is not None:
            with suppress(OSError):
                file.close()
            if not whole:
                with suppress(OSError):
                    path.unlink()


def _send_file(stream: Stream, path: Path) -> None:
    corrupt = stream.board.now.corrupt_pull
    try:
        with path.open("rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise OSError(errno.EINVAL, "")
            while data := file.read(_CHUNK_BYTES):
                data = _damaged(data, corrupt=corrupt, short=False)
                stream.write(b"DATA" + _LENGTH.pack(len(data)) + data)
    except OSError as error:
        _fail(stream, f"open failed: {os.strerror(error.errno or 0)}")
        return
    stream.write(b"DONE" + _LENGTH.pack(0))


def _damaged(data: bytes, *, corrupt: bool, short: bool) -> bytes:
    if corrupt and data:
        data = data[:-1] + bytes([data[-1] ^ 1])
    return data[:-1] if short else data


def _fail(stream: Stream, message: str) -> None:
    text = message.encode()
    stream.write(b"FAIL" + _LENGTH.pack(len(text)) + text)
