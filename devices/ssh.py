"""Transport to a board over SSH."""

from __future__ import annotations

import hashlib
import os
import posixpath
import stat
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import paramiko
from paramiko.ssh_exception import ChannelException

from devices import remote, ssh_files
from devices.deadline import Deadline
from devices.errors import (
    CommandFailed,
    DeviceError,
    DeviceOffline,
    DeviceTimeout,
    PathMissing,
    TransferError,
    TransientDeviceError,
)
from devices.local import copy_error
from devices.ssh_call import Call
from devices.ssh_config import SshAddress
from devices.ssh_link import LINK_ERRORS, Link, connect
from devices.ssh_login import Secrets
from devices.transport import CommandResult, Progress, no_progress

_GRACE_S = 0.9  # for ending a command; every call may take a second longer to clean up
_STREAM_STDERR_BYTES = 1 << 16
_AT_ONCE = 50  # of commands left behind, so that the line for it stays short
_MARK_BYTES = 64  # more than the last mark of a command takes


class SshTransport:
    """devices.transport.Transport by paramiko.

    One connection, made at the first call and made anew when it was lost; each command has
    a channel of its own, so a second thread may end what the first one runs. A command
    starts in / without a terminal. At its deadline its process group is ended; where the
    link is gone by then, this is done once there is one again.

    Args:
        address: where and how; see devices.ssh_config.
        device: name of the device, for messages and records.
        secrets: passwords and passphrases; by default from the environment only.
    """

    def __init__(
        self,
        address: SshAddress,
        device: str,
        *,
        secrets: Secrets | None = None,
    ) -> None:
        self._address = address
        self._device = device
        self._secrets = secrets or Secrets()
        self._lock = threading.Lock()
        self._link: Link | None = None
        self._left: list[str] = []  # marks of what could not be ended

    @property
    def device(self) -> str:
        return self._device

    @property
    def address(self) -> SshAddress:
        return self._address

    def close(self) -> None:
        """End the connection, also under another thread's call; the next call makes a new one."""
        link, self._link = self._link, None
        if link is not None:
            link.close()

    def connect(self, *, deadline: Deadline) -> None:
        """Have a connection. Raises as devices.ssh_link.connect."""
        self._connected(deadline)

    def run(
        self, argv: Sequence[str], *, deadline: Deadline, stdin: bytes | None = None
    ) -> CommandResult:
        """Run one command to its end; see Transport.run."""
        started = time.monotonic()
        with self._call(argv, deadline, has_stdin=stdin is not None) as call:
            out = b"".join(call.chunks(BytesIO(stdin or b"")))
            answer = call.answer(out)
        assert answer.exit_code is not None
        return CommandResult(
            device=self._device,
            argv=tuple(argv),
            exit_code=answer.exit_code,
            stdout=answer.stdout,
            stderr=answer.stderr,
            duration_s=time.monotonic() - started,
        )

    def stream(self, argv: Sequence[str], *, deadline: Deadline) -> Iterator[bytes]:
        """Yield stdout by lines, without their newline; see Transport.stream."""
        with self._call(argv, deadline, has_stdin=False) as call:
            mark = call.mark.encode() + b" "
            pending, end = b"", b""
            empty = False  # a line that may be the one that the mark begins with
            for chunk in call.chunks(keep_stderr=_STREAM_STDERR_BYTES):
                *lines, pending = (pending + chunk).split(b"\n")
                for line in lines:
                    if line.startswith(mark):
                        end, empty = b"\n" + line + b"\n", False
                        continue
                    if empty:
                        yield b""
                    empty = not line
                    if line:
                        yield line
            if empty:
                yield b""
            answer = call.answer(end)
            if pending:
                yield pending
            if answer.exit_code != 0:
                raise CommandFailed(
                    "a command failed",
                    device=self._device,
                    argv=argv,
                    exit_code=answer.exit_code,
                    stderr=answer.stderr,
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
        """Copy source to the absolute path target; see Transport.push.

        A push that was cut off leaves its part beside the target, named by its content,
        and the next push of the same content goes on from there.
        """
        try:
            if not stat.S_ISREG(source.stat().st_mode):
                raise PathMissing(f"{source} is not a file", device=self._device)
            with source.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
                part = ssh_files.part_of(target, sha256)
                there = self._prepare(source, target, part, deadline)
                there = there if there <= size else 0
                file.seek(there)
                self._send(
                    file,
                    target,
                    [part, target, f"{mode:o}", sha256, str(size), str(there)],
                    deadline,
                    on_progress,
                )
        except (OSError, ValueError) as error:
            raise copy_error(error, source, Path(target), self._device) from error

    def pull(self, source: str, target: Path, *, deadline: Deadline) -> None:
        """Copy the absolute path source to target; see Transport.pull."""
        temporary: Path | None = None
        argv = ["sh", "-c", ssh_files.FETCH, "edgebench", source]
        try:
            with self._call(argv, deadline, has_stdin=False) as call:
                target.parent.mkdir(parents=True, exist_ok=True)
                handle, name = tempfile.mkstemp(prefix=".edgebench-", dir=target.parent)
                temporary = Path(name)
                with os.fdopen(handle, "wb") as file:
                    end = b""
                    for chunk in call.chunks():
                        end += chunk
                        file.write(end[:-_MARK_BYTES])
                        end = end[-_MARK_BYTES:]
                    answer = call.answer(end)
                    file.write(answer.stdout)
            if answer.exit_code != 0:
                raise self._copy_failed(f"{source} cannot be pulled", argv, answer)
            temporary.chmod(0o644)
            temporary.replace(target)
            temporary = None
        except OSError as error:
            raise copy_error(error, Path(source), target, self._device) from error
        finally:
            if temporary is not None:
                with suppress(OSError):
                    temporary.unlink()

    def _prepare(self, source: Path, target: str, part: str, deadline: Deadline) -> int:
        """Make the target's directory; bytes of an earlier, cut off push that are there."""
        argv = ["sh", "-c", ssh_files.PREPARE, "edgebench"]
        argv += [posixpath.dirname(target), target, part]
        with self._call(argv, deadline, has_stdin=False) as call:
            answer = call.answer(b"".join(call.chunks()))
        if answer.exit_code != 0:
            raise self._copy_failed(f"{source} cannot be pushed to {target}", argv, answer)
        return int(answer.stdout)

    def _send(
        self,
        file: BinaryIO,
        target: str,
        arguments: Sequence[str],
        deadline: Deadline,
        on_progress: Progress,
    ) -> None:
        argv = ["sh", "-c", ssh_files.SEND, "edgebench", *arguments]
        size, there = map(int, arguments[-2:])

        def sent(total: int) -> None:
            on_progress(there + total, size)

        with self._call(argv, deadline, has_stdin=True) as call:
            answer = call.answer(b"".join(call.chunks(file, sent)))
        if answer.exit_code in (ssh_files.SHORT, ssh_files.WRONG):
            raise TransferError(
                f"{target} did not arrive whole", device=self._device, stderr=answer.stderr
            )
        if answer.exit_code != 0:
            raise self._copy_failed(f"{target} cannot be written", argv, answer)

    def _copy_failed(self, what: str, argv: Sequence[str], answer: remote.Answer) -> DeviceError:
        return ssh_files.meaning_of(answer.stderr)(
            what,
            device=self._device,
            argv=argv,
            exit_code=answer.exit_code,
            stderr=answer.stderr,
        )

    @contextmanager
    def _call(self, argv: Sequence[str], deadline: Deadline, *, has_stdin: bool) -> Iterator[Call]:
        """A command that has started; where the block is left by an error, it is ended."""
        call = Call(self._device, argv, deadline, has_stdin=has_stdin)
        link, channel = self._open(call, deadline)
        try:
            call.start(link, channel)
            yield call
        except BaseException:
            if not call.ended:
                self._end(call, link)
            raise
        finally:
            call.close()

    def _open(self, call: Call, deadline: Deadline) -> tuple[Link, paramiko.Channel]:
        """A channel, over a new connection where the old one turns out to be dead."""
        for last in (False, True):
            link = self._connected(deadline, call.argv)
            try:
                return link, link.transport.open_session(timeout=deadline.remaining() + 0.1)
            except ChannelException as error:
                raise call.error(
                    TransientDeviceError, f"sshd opens no more sessions: {error.text}"
                ) from error
            except LINK_ERRORS as error:
                link.close()
                if deadline.expired():
                    raise call.error(
                        DeviceTimeout, f"no answer within {deadline.seconds:g} s"
                    ) from error
                if last:
                    raise call.error(DeviceOffline, "the link was lost") from error
        raise AssertionError

    def _connected(self, deadline: Deadline, argv: Sequence[str] = ()) -> Link:
        """The connection, made where there is none."""
        if not self._lock.acquire(timeout=max(deadline.remaining(), 0.001)):
            raise DeviceTimeout("another thread connects", device=self._device, argv=argv)
        try:
            if self._link is not None and self._link.alive:
                return self._link
            self.close()
            try:
                self._link = connect(
                    self._address, device=self._device, secrets=self._secrets, deadline=deadline
                )
            except DeviceError as error:
                # A jump host is part of the way to the device.
                error.device, error.argv = self._device, tuple(argv)
                raise
            left = self._left[:_AT_ONCE]
            if left and self._kill(self._link, remote.end_marked_lines(left)):
                del self._left[: len(left)]
            return self._link
        finally:
            self._lock.release()

    def _end(self, call: Call, link: Link) -> None:
        """End a command that still runs; where that fails, leave it for the next connection."""
        grace = Deadline(_GRACE_S)
        group = call.wait_for_group(_GRACE_S / 3)
        script = remote.end_line(group) if group else remote.end_marked_lines([call.mark])
        if not (link.alive and self._kill(link, script, grace)):
            self._left.append(call.mark)

    def _kill(self, link: Link, script: str, grace: Deadline | None = None) -> bool:
        """Have a script run on a channel of its own; whether it has ended within the time."""
        grace = grace or Deadline(_GRACE_S)
        channel = None
        try:
            with link.closed_at(grace):
                channel = link.transport.open_session(timeout=grace.remaining() + 0.1)
                channel.exec_command(remote.for_any_shell(script))
            return channel.status_event.wait(grace.remaining()) and link.alive
        except LINK_ERRORS:
            return False
        finally:
            if channel is not None:
                with suppress(*LINK_ERRORS):
                    channel.close()
