"""Transport to the machine that the controller itself runs on."""

from __future__ import annotations

import errno
import hashlib
import os
import selectors
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from devices.deadline import Deadline
from devices.errors import (
    CommandFailed,
    CommandNotFound,
    DeviceError,
    DeviceTimeout,
    NoSpace,
    PathMissing,
    PermissionDenied,
    TransferError,
)
from devices.transport import CommandResult, Progress, no_progress

_CHUNK_BYTES = 1 << 20
_GRACE_S = 0.5  # between SIGTERM and SIGKILL


class LocalTransport:
    """devices.transport.Transport by subprocess and file copies.

    A command runs in a session of its own with / as its working directory. It has
    ended when its process has and both pipes are closed, as with adb and ssh. At the
    deadline its whole process group is ended; a child that made a session of its own
    (setsid) is not in that group, which is how devices.launch detaches.

    Args:
        device: name of the device, for messages and records.
    """

    def __init__(self, device: str = "local") -> None:
        self._device = device

    @property
    def device(self) -> str:
        return self._device

    def run(
        self, argv: Sequence[str], *, deadline: Deadline, stdin: bytes | None = None
    ) -> CommandResult:
        """Run one command to its end; see Transport.run."""
        started = time.monotonic()
        process = self._start(
            argv,
            deadline,
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            # communicate() drains both pipes while it writes stdin, so none can fill up.
            stdout, stderr = process.communicate(stdin, timeout=deadline.remaining())
        except subprocess.TimeoutExpired as expired:
            raise self._timeout(argv, deadline, expired.stderr or b"") from None
        finally:
            _end(process)
        return CommandResult(
            device=self._device,
            argv=tuple(argv),
            exit_code=process.returncode,
            stdout=stdout,
            stderr=stderr,
            duration_s=time.monotonic() - started,
        )

    def stream(self, argv: Sequence[str], *, deadline: Deadline) -> Iterator[bytes]:
        """Yield stdout by lines, without their newline; see Transport.stream."""
        # A file takes any amount of stderr without a second reader.
        with tempfile.TemporaryFile() as stderr:
            process = self._start(argv, deadline, stdin=subprocess.DEVNULL, stderr=stderr)
            try:
                assert process.stdout is not None
                pending = b""
                for chunk in self._chunks(process.stdout, argv, deadline, stderr):
                    *lines, pending = (pending + chunk).split(b"\n")
                    yield from lines
                if pending:
                    yield pending
                try:
                    exit_code = process.wait(timeout=deadline.remaining())
                except subprocess.TimeoutExpired:
                    raise self._timeout(argv, deadline, _whole(stderr)) from None
            finally:
                _end(process)
            if exit_code != 0:
                raise CommandFailed(
                    "a command failed",
                    device=self._device,
                    argv=argv,
                    exit_code=exit_code,
                    stderr=_whole(stderr),
                )

    def push(
        self,
        source: Path,
        target: str,
        *,
        deadline: Deadline,
        mode: int = 0o644,
        on_progress: Progress = no_progress,
    ) -> None:
        """Copy source to the absolute path target; see Transport.push."""
        self._copy(source, Path(target), deadline, mode)

    def pull(self, source: str, target: Path, *, deadline: Deadline) -> None:
        """Copy the absolute path source to target; see Transport.pull."""
        self._copy(Path(source), target, deadline, 0o644)

    def _start(
        self, argv: Sequence[str], deadline: Deadline, *, stdin: int, stderr: int | IO[bytes]
    ) -> subprocess.Popen[bytes]:
        if deadline.expired():
            raise self._timeout(argv, deadline, b"")
        try:
            return subprocess.Popen(
                list(argv),
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=stderr,
                cwd="/",
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise CommandNotFound(
                f"there is no program {argv[0]}", device=self._device, argv=argv
            ) from error
        except PermissionError as error:
            raise PermissionDenied(
                f"{argv[0]} may not be executed", device=self._device, argv=argv
            ) from error
        except (OSError, ValueError, IndexError) as error:
            raise CommandFailed(
                f"the command cannot be started: {error}", device=self._device, argv=argv
            ) from error

    def _chunks(
        self, pipe: IO[bytes], argv: Sequence[str], deadline: Deadline, stderr: IO[bytes]
    ) -> Iterator[bytes]:
        """Whatever arrives on a pipe, until it is closed or the deadline expires."""
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            while True:
                ready = selector.select(deadline.remaining())
                if not ready or deadline.expired():
                    raise self._timeout(argv, deadline, _whole(stderr))
                chunk = os.read(ready[0][0].fd, _CHUNK_BYTES)
                if not chunk:
                    return
                yield chunk

    def _timeout(self, argv: Sequence[str], deadline: Deadline, stderr: bytes) -> DeviceTimeout:
        return DeviceTimeout(
            f"a command did not end within {deadline.seconds:g} s",
            device=self._device,
            argv=argv,
            stderr=stderr,
        )

    def _copy(self, source: Path, target: Path, deadline: Deadline, mode: int) -> None:
        temporary: Path | None = None
        try:
            if not stat.S_ISREG(source.stat().st_mode):
                raise PathMissing(f"{source} is not a file", device=self._device)
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=".edgebench-", dir=target.parent)
            temporary = Path(name)
            with source.open("rb") as read, os.fdopen(handle, "wb") as write:
                sent = self._digest(read, deadline, copy_to=write)
            with temporary.open("rb") as read:
                arrived = self._digest(read, deadline)
            if sent != arrived:
                raise TransferError(
                    f"{target} did not arrive whole: sent {sent[0]} bytes, found {arrived[0]}"
                    " or other content",
                    device=self._device,
                )
            temporary.chmod(mode)
            temporary.replace(target)
            temporary = None
        except (OSError, ValueError) as error:
            raise copy_error(error, source, target, self._device) from error
        finally:
            if temporary is not None:
                with suppress(OSError):
                    temporary.unlink()

    def _digest(
        self, read: IO[bytes], deadline: Deadline, *, copy_to: IO[bytes] | None = None
    ) -> tuple[int, str]:
        """Size in bytes and sha256 of what is read, copied on the way if asked for."""
        digest = hashlib.sha256()
        size = 0
        while chunk := read.read(_CHUNK_BYTES):
            if deadline.expired():
                raise DeviceTimeout(
                    f"a copy did not end within {deadline.seconds:g} s", device=self._device
                )
            if copy_to is not None:
                copy_to.write(chunk)
            digest.update(chunk)
            size += len(chunk)
        return size, digest.hexdigest()


def _whole(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and its whole group, unless it has ended and was waited for.

    The leader is left unreaped until the group was killed: as long as its zombie holds
    the number, no other group can have it.
    """
    if process.returncode is None:
        _signal_group(process.pid, signal.SIGTERM)
        grace = Deadline(_GRACE_S)
        while not grace.expired():
            if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                break
            time.sleep(0.005)
        _signal_group(process.pid, signal.SIGKILL)
        process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with suppress(OSError):  # bytes for a stdin that nobody reads any more
                pipe.close()


def _signal_group(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def copy_error(error: Exception, source: Path, target: Path, device: str) -> DeviceError:
    """The typed error for what the system said about a copy."""
    number = error.errno if isinstance(error, OSError) else None
    message = f"{source} cannot be copied to {target}: {error}"
    if number in (errno.ENOENT, errno.ENOTDIR, errno.EISDIR):
        return PathMissing(message, device=device)
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return PermissionDenied(message, device=device)
    if number in (errno.ENOSPC, errno.EDQUOT):
        return NoSpace(message, device=device)
    return TransferError(message, device=device)
