"""One marked command on a phone: its line, its streams, its end.

With shell_v2 a phone sends packets, stdout and stderr apart and the exit code last. Phones
without it send one stream: there stderr goes through a file, and a second pair of marks
says where each begins and that none is cut. Source of the packets: shell_service.h of the
Android Open Source Project's adb.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress

from devices import remote
from devices.adb_server import Wire
from devices.deadline import Deadline
from devices.errors import CommandFailed, DeviceError, DeviceOffline, NoSpace, TransferError

STDIN, STDOUT, STDERR, EXIT, CLOSE_STDIN = range(5)
_PACKET = struct.Struct("<BI")
_CHUNK_BYTES = 32 * 1024
_MAX_PACKET_BYTES = 1 << 24

REMOVED = b"removed"

# $$ is the leader of the command's process group here too, in the subshell as well.
_ONE_STREAM = """\
printf '%s %s\\n' {mark} "$$"
if true 2> /dev/null > {errors}; then
(
{line}) 2> {errors}{stdin}
printf '\\n%s errors\\n' {mark}
cat {errors}
printf '\\n%s end\\n' {mark}
rm -f {errors} {given}
else printf '\\n%s refused\\n' {mark}
fi
"""
# The hang-up comes when the connection of this script closes, before it is done.
_END = """\
trap '' HUP
{end}
"""


class Command:
    """A command under way, from its first byte to its last.

    Args:
        wire: on which the service of `service_of` was opened.
        argv: as the caller gave it.
        mark: of its line.
        merged: takes one stream apart where the phone has no shell_v2, else None.
        stdin: what it reads, where the phone has shell_v2.

    Attributes:
        stderr: what has come of it so far, with its marks.
        exit_code: of the phone's shell, None until it ended or where it is not told.
    """

    def __init__(
        self, wire: Wire, argv: Sequence[str], mark: str, merged: Merged | None, stdin: bytes
    ) -> None:
        self.argv = tuple(argv)
        self.stderr = bytearray()
        self.exit_code: int | None = None
        self.ended = False
        self._wire = wire
        self.mark = mark.encode()
        self._mark = mark
        self._merged = merged
        self._stdin = stdin
        self._buffer = bytearray()

    @property
    def group(self) -> int | None:
        """Its process group on the phone; None before it is known."""
        return remote.group_of(bytes(self.stderr[:200]), self._mark)

    @property
    def said(self) -> bytes:
        """What it wrote to stderr, without the first mark."""
        return bytes(self.stderr).partition(b"\n")[2] if self.group else bytes(self.stderr)

    def stdout(self) -> Iterator[bytes]:
        """What it writes, to its end, with its marks.

        Raises: DeviceTimeout, DeviceOffline where the end is missing, TransferError.
        """
        for kind, data in self._packets() if self._merged is None else self._pieces(self._merged):
            if kind == STDOUT:
                yield data
            else:
                self.stderr += data
        self.ended = True

    def wait_for_group(self, seconds: float) -> int | None:
        """The process group, where it comes within so many seconds; for ending the command."""
        self._wire.deadline = Deadline(seconds)
        take = self._take if self._merged is None else self._merged.feed
        data = b""  # what stdout() was left in the middle of comes first
        with suppress(DeviceError, ValueError):
            while True:
                self.stderr += b"".join(part for kind, part in take(data) if kind == STDERR)
                if self.group is not None or not (data := self._wire.some()):
                    break
        return self.group

    def answer(self, stdout: bytes) -> remote.Answer:
        """What it said and how it ended.

        Args:
            stdout: its end at least, with the mark.

        Raises: CommandFailed where the phone's shell did not run it, TransferError where the
            shell was killed at its start or the answer is not whole.
        """
        answer = remote.read_answer(stdout, bytes(self.stderr), self._mark)
        if answer is not None:
            return answer
        if self.exit_code is not None and self.exit_code > 128 and self.group is not None:
            # The shell was killed too, so its last marks are missing; the exit code came last.
            return remote.Answer(128 - self.exit_code, "", stdout, self.said)
        if self.exit_code is not None and self.exit_code > 128:
            # Killed while it wrote its first mark: whether the command began, nobody knows.
            raise TransferError(
                "the phone's shell was killed (out of memory?)",
                device=self._wire.device,
                argv=self.argv,
                exit_code=self.exit_code,
                stderr=self.said,
            )
        if self.exit_code is not None:
            raise CommandFailed(
                "the phone's shell did not run the command",
                device=self._wire.device,
                argv=self.argv,
                exit_code=self.exit_code,
                stderr=self.said,
            )
        raise TransferError(
            "the answer has other text where its marks should be", device=self._wire.device
        )

    def _packets(self) -> Iterator[tuple[int, bytes]]:
        outgoing = memoryview(_stdin_packets(self._stdin))
        while self.exit_code is None:
            readable, writable = self._wire.wait(reading=True, writing=bool(outgoing))
            if writable:
                try:
                    outgoing = outgoing[self._wire.send_some(outgoing) :]
                except DeviceOffline:
                    outgoing = memoryview(b"")  # it may have ended without reading all
            if not readable:
                continue
            data = self._wire.some()
            if not data:
                raise DeviceOffline(
                    "the link was lost before the command ended", device=self._wire.device
                )
            yield from self._take(data)

    def _take(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """The packets that are whole now; one that is not stays for the next call."""
        buffer = self._buffer
        buffer += data
        while len(buffer) >= _PACKET.size:
            kind, size = _PACKET.unpack_from(buffer)
            if kind not in (STDOUT, STDERR, EXIT) or size > _MAX_PACKET_BYTES:
                raise TransferError(
                    f"not a packet of a command: {bytes(buffer[:20])!r}",
                    device=self._wire.device,
                )
            if len(buffer) < _PACKET.size + size:
                break
            body = bytes(buffer[_PACKET.size : _PACKET.size + size])
            del buffer[: _PACKET.size + size]
            if kind == EXIT and body:
                self.exit_code = body[0]
            else:
                yield kind, body

    def _pieces(self, merged: Merged) -> Iterator[tuple[int, bytes]]:
        while data := self._wire.some():
            try:
                yield from merged.feed(data)
            except ValueError as error:
                raise TransferError(str(error), device=self._wire.device) from error
        if merged.refused:
            raise NoSpace(
                "the phone cannot write the file for a command's stderr: its disk is full, or"
                " the directory for it is missing or not writable",
                device=self._wire.device,
                argv=self.argv,
            )
        if not merged.whole:
            raise DeviceOffline(
                "the link was lost, or the phone's shell killed, before the command ended",
                device=self._wire.device,
            )


class Merged:
    """Takes the one stream of a phone without shell_v2 apart.

    Text before the first mark and after the last is the phone's own noise. A terminal's
    CRLF is turned back where every line end has it.

    Args:
        mark: of the command's line.
        scratch: a directory of the phone for the files of this command.
        has_stdin: whether `given` is to be read as stdin.
    """

    def __init__(self, mark: str, scratch: str, *, has_stdin: bool) -> None:
        self.whole = False
        self.refused = False
        self._inner = mark.encode()
        self._outer_text = remote.new_mark()
        self._outer = self._outer_text.encode()
        self.errors = f"{scratch}/.{self._outer_text}.err"
        self.given = f"{scratch}/.{self._outer_text}.in"
        self._has_stdin = has_stdin
        self._buffer = bytearray()
        self._part = "noise"
        self._newline = b"\n"

    def line(self, line: str) -> str:
        """The line that a phone runs, around the marked one of the command."""
        return _ONE_STREAM.format(
            mark=self._outer_text,
            line=line,
            errors=remote.quote(self.errors),
            given=remote.quote(self.given),
            stdin=f" < {remote.quote(self.given)}" if self._has_stdin else "",
        )

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Take what has arrived; what can be told apart by now, as (STDOUT or STDERR, bytes).

        Raises: ValueError where only some line ends are CRLF: which were so is lost.
        """
        self._buffer += data
        if self._part == "noise":
            yield from self._begin()
        if self._part == "stdout":
            yield from self._stdout()
        if self._part == "stderr":
            body, found, _ = bytes(self._buffer).partition(self._mark_of(b"end"))
            if found:
                self._part = "over"
                self.whole = True
                # The first line is the command's mark, which was passed on at the beginning.
                yield STDERR, self._turned_back(body).partition(b"\n")[2]

    def _begin(self) -> Iterator[tuple[int, bytes]]:
        """Look for the first mark: how its line ends is how all lines do."""
        start = self._buffer.find(self._outer + b" ")
        end = self._buffer.find(b"\n", start)
        if start < 0 or end < 0:
            return
        number = bytes(self._buffer[start + len(self._outer) + 1 : end])
        if number.endswith(b"\r"):
            self._newline = b"\r\n"
        del self._buffer[: end + 1]
        self._part = "stdout"
        yield STDERR, self._inner + b" " + number.strip() + b"\n"

    def _stdout(self) -> Iterator[tuple[int, bytes]]:
        end = self._mark_of(b"errors")
        body, found, rest = bytes(self._buffer).partition(end)
        if found:
            self._part = "stderr"
            self._buffer[:] = rest
        elif self._mark_of(b"refused") in body:
            self.refused = True
            return
        else:
            # What may be the beginning of a mark stays, and no line end is cut in two.
            keep = min(len(body), len(end))
            if body[: len(body) - keep].endswith(b"\r"):
                keep += 1
            self._buffer[:] = body[len(body) - keep :]
            body = body[: len(body) - keep]
        if body:
            yield STDOUT, self._turned_back(body)

    def _mark_of(self, word: bytes) -> bytes:
        return self._newline + self._outer + b" " + word + self._newline

    def _turned_back(self, body: bytes) -> bytes:
        if self._newline == b"\n":
            return body
        if body.count(b"\n") != body.count(b"\r\n"):
            raise ValueError("line ends of the answer were changed on the way")
        return body.replace(b"\r\n", b"\n")


def service_of(line: str, merged: Merged | None) -> str:
    """The service that runs a marked line."""
    return f"shell,v2,raw:{line}" if merged is None else f"exec:{merged.line(line)}"


def end_service(group: int, merged: Merged | None) -> str:
    """The service that ends a process group, on any phone, and prints what stderr a file holds."""
    end = _END.format(end=remote.END_GROUP)
    argv = ["sh", "-c", end, "sh", str(group)]
    line = " ".join(map(remote.quote, argv))
    if merged is not None:
        files = f"{remote.quote(merged.errors)} {remote.quote(merged.given)}"
        line += f"; cat {remote.quote(merged.errors)} 2> /dev/null; rm -f {files}"
    return f"exec:{line}"


def remove_service(path: str) -> str:
    """The service that removes a file, on any phone, and prints REMOVED where it is gone."""
    return f"exec:rm -f {remote.quote(path)} && printf {REMOVED.decode()}"


def _stdin_packets(stdin: bytes) -> bytes:
    parts = []
    for start in range(0, len(stdin), _CHUNK_BYTES):
        part = stdin[start : start + _CHUNK_BYTES]
        parts += [_PACKET.pack(STDIN, len(part)), part]
    return b"".join([*parts, _PACKET.pack(CLOSE_STDIN, 0)])
