"""One marked command on one SSH channel: its bytes, its end, and how it is ended."""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import IO

import paramiko

from devices import remote
from devices.deadline import Deadline
from devices.errors import (
    CommandFailed,
    CommandNotFound,
    DeviceError,
    DeviceOffline,
    DeviceTimeout,
    PermissionDenied,
    TransferError,
    TransientDeviceError,
)
from devices.ssh_link import LINK_ERRORS, Link

_CHUNK_BYTES = 1 << 17
_SLICE_S = 0.5  # how long a wait may be before the link is looked at again
_LATE_S = 0.3
_STDIN_SLICE_S = 0.02  # nothing tells when a full window opens
# sshd gives the whole line to execve as one argument, which Linux limits to 128 KiB.
_LINE_BYTES = 131_000


class Call:
    """A command under way; `chunks` is its stdout, `answer` what it came to.

    Attributes:
        argv: as the caller gave it.
        mark: of this call alone.
        stderr: what has come of it, with its marks.
        ended: whether it is known that nothing of it runs any more.
    """

    def __init__(
        self, device: str, argv: Sequence[str], deadline: Deadline, *, has_stdin: bool
    ) -> None:
        """Raises: CommandFailed for what no shell can start."""
        self._device = device
        self.argv = tuple(argv)
        self._deadline = deadline
        self.mark = remote.new_mark()
        self.stderr = bytearray()
        self.ended = False
        self._exit_status: int | None = None
        try:
            line = remote.line_of(argv, self.mark, has_stdin=has_stdin)
            self._line = remote.for_any_shell(remote.with_begin(line, self.mark))
        except ValueError as error:
            raise self.error(CommandFailed, f"the command cannot be started: {error}") from error
        if len(self._line) > _LINE_BYTES:
            raise self.error(CommandFailed, "the command cannot be started: it is too long")

    def start(self, link: Link, channel: paramiko.Channel) -> None:
        """Raises: DeviceTimeout, DeviceOffline."""
        self._link = link
        self._channel = channel
        channel.settimeout(0.0)
        try:
            with link.closed_at(self._deadline):
                channel.exec_command(self._line)
        except LINK_ERRORS as error:
            raise self._lost() from error

    @property
    def group(self) -> int | None:
        """The process group on the device, as soon as it has said so."""
        return remote.group_of(
            bytes(self.stderr[self.stderr.find(self.mark.encode()) :]), self.mark
        )

    def chunks(
        self,
        stdin: IO[bytes] | None = None,
        sent: Callable[[int], None] = lambda total: None,
        *,
        keep_stderr: int | None = None,
    ) -> Iterator[bytes]:
        """Stdout as it comes, with the last mark, until both pipes are closed.

        Args:
            sent: told how many bytes of stdin are on their way.
            keep_stderr: of a longer stderr only so many bytes at its end are kept.

        Raises: DeviceTimeout, DeviceOffline.
        """
        noise: bytes | None = b""
        feed = _Feed(stdin, sent)
        with selectors.DefaultSelector() as selector:
            selector.register(self._channel.fileno(), selectors.EVENT_READ)
            while True:
                if self._deadline.expired():
                    raise self._lost()
                # Looked at before the draining: what came before the end is in the buffers then.
                ended = self._channel.eof_received or self._channel.closed
                try:
                    # Even a read sends (that the window is open), and sending takes no timeout.
                    with self._link.closed_at(self._deadline, _LATE_S):
                        data = self._drain(keep_stderr)
                        fed = not feed.done and self._feed(feed)
                except LINK_ERRORS as error:
                    raise self._lost() from error
                if data and noise is not None:
                    noise += data
                    own = remote.after_noise(noise, self.mark)
                    if own is None:
                        continue
                    noise, data = None, own
                if data:
                    yield data
                elif ended:
                    break
                elif not fed:
                    slice_s = _SLICE_S if feed.done else _STDIN_SLICE_S
                    selector.select(min(slice_s, self._deadline.remaining()))
        self._exit_status = self._status()
        self.ended = self._exit_status is not None and self._exit_status >= 0

    def answer(self, stdout: bytes) -> remote.Answer:
        """What the command came to; `stdout` is its end at least, with the last mark.

        Raises: CommandNotFound, PermissionDenied, DeviceOffline and TransientDeviceError
        (it is not known how the command ended), CommandFailed (it never began).
        """
        begin = max(0, self.stderr.find(self.mark.encode()))
        answer = remote.read_answer(stdout, bytes(self.stderr[begin:]), self.mark)
        if answer is None:
            raise self._unproven()
        if answer.problem == "missing":
            raise self.error(CommandNotFound, f"there is no program {self.argv[0]}")
        if answer.problem == "denied":
            raise self.error(PermissionDenied, f"{self.argv[0]} may not be executed")
        return answer

    def error(
        self, kind: type[DeviceError], message: str, exit_code: int | None = None
    ) -> DeviceError:
        """A typed error about this call, with the end of its stderr."""
        begin = self.stderr.find(self.mark.encode())
        own = bytes(self.stderr[begin:]).partition(b"\n")[2] if begin >= 0 else bytes(self.stderr)
        return kind(message, device=self._device, argv=self.argv, exit_code=exit_code, stderr=own)

    def wait_for_group(self, seconds: float) -> int | None:
        """The process group, where it comes within so many seconds; for ending the command."""
        until = time.monotonic() + seconds
        while self.group is None and time.monotonic() < until and not self._channel.closed:
            self._drain(None)
            time.sleep(0.01)
        return self.group

    def close(self) -> None:
        with suppress(*LINK_ERRORS):
            self._channel.close()

    def _drain(self, keep_stderr: int | None) -> bytes:
        """What has come of stdout; what has come of stderr is kept. Both share one window."""
        while self._channel.recv_stderr_ready():
            self.stderr += self._channel.recv_stderr(_CHUNK_BYTES)
        if (
            keep_stderr is not None
            and len(self.stderr) > 2 * keep_stderr
            and self.group is not None
        ):
            # The first line stays: it is the proof of the beginning.
            begin = self.stderr.find(self.mark.encode())
            head = self.stderr.find(b"\n", begin) + 1
            del self.stderr[head:-keep_stderr]
        return self._channel.recv(_CHUNK_BYTES) if self._channel.recv_ready() else b""

    def _feed(self, feed: _Feed) -> bool:
        """Send some of stdin; whether any went."""
        try:
            feed.fill()
        except OSError as error:
            raise self.error(
                TransferError, f"what was to be sent cannot be read: {error}"
            ) from error
        try:
            if not self._channel.send_ready():
                return False
            feed.send(self._channel)
        except TimeoutError:
            return False
        except LINK_ERRORS:
            # The command closed its stdin, or the link is gone, which the reader will see.
            feed.done = True
        return True

    def _status(self) -> int | None:
        """The exit status that sshd told, which may come a moment after the end of output."""
        until = min(time.monotonic() + 1, time.monotonic() + self._deadline.remaining())
        while not self._channel.exit_status_ready() and time.monotonic() < until:
            if not self._link.alive:
                return None
            time.sleep(0.005)
        return self._channel.exit_status if self._channel.exit_status_ready() else None

    def _lost(self) -> DeviceError:
        if self._deadline.expired():
            what = "a command did not end"
            if self.group is None:
                what = (
                    "the login shell did not begin a command (its start-up files may wait for"
                    " something, or the link is frozen)"
                )
            return self.error(DeviceTimeout, f"{what} within {self._deadline.seconds:g} s")
        return self.error(DeviceOffline, "the link was lost while a command ran")

    def _unproven(self) -> DeviceError:
        """The error for an output without its marks, by what else is known."""
        status = self._exit_status
        if status is not None and status < 0:
            # Killed, or the link was lost: the second shows a moment later.
            time.sleep(0.2)
        if status is None or (status < 0 and not self._link.alive):
            return self._lost()
        if self.group is None and 0 <= status <= 128:
            return self.error(CommandFailed, "the login shell did not run the command", status)
        return self.error(
            TransientDeviceError,
            "the shell of a command was killed on the device (out of memory, or a restart?)",
        )


class _Feed:
    """What is left of a stdin."""

    def __init__(self, stdin: IO[bytes] | None, sent: Callable[[int], None]) -> None:
        self._stdin = stdin
        self._sent = sent
        self._total = 0
        self._rest = b""
        self.done = False

    def fill(self) -> None:
        """Raises: OSError."""
        if not self._rest and self._stdin is not None:
            self._rest = self._stdin.read(_CHUNK_BYTES)

    def send(self, channel: paramiko.Channel) -> None:
        if not self._rest:
            self.done = True
            channel.shutdown_write()
            return
        size = channel.send(self._rest)
        self._rest = self._rest[size:]
        self._total += size
        self._sent(self._total)
