"""Transport to an Android phone through an adb server."""

from __future__ import annotations

import os
import secrets
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import IO

from devices import adb_shell, adb_sync, remote
from devices.adb_phone import AdbPhone
from devices.adb_server import AdbServer
from devices.deadline import Deadline
from devices.errors import (
    CommandFailed,
    CommandNotFound,
    DeviceError,
    NoSpace,
    PathMissing,
    PermissionDenied,
    TransferError,
)
from devices.transport import CommandResult, Progress, no_progress

_CLEAN_UP_S = 1.0
_BACK_S = 0.2
_GROUP_S = 0.3
_FULL = ("no space left", "quota exceeded")
_REFUSED = ("permission denied", "read-only file system", "not permitted")
_ABSENT = ("no such file", "not a directory", "is a directory", "name too long")

# $1 directory, then what earlier pushes that failed have left.
_PREPARE = 'mkdir -p "$1" || exit 1; shift; [ $# -eq 0 ] || rm -f "$@"'
# $1 what was sent, $2 its sha256, $3 mode, $4 where it belongs.
_PLACE = """
sum=$(sha256sum < "$1") || exit 21
[ "${sum%% *}" = "$2" ] || { wc -c < "$1"; exit 22; }
[ -d "$4" ] && { echo "$4: Is a directory" >&2; exit 1; }
chmod "$3" "$1" && mv -f "$1" "$4"
"""
# Size and sha256 of a file; ls says why there is none.
_LOOK = """
[ -e "$1" ] || { ls -d "$1" > /dev/null; exit 1; }
[ -f "$1" ] || exit 23
wc -c < "$1" && sha256sum < "$1"
"""
# $1 a file to try; what the shell says is the reason that adb has kept to itself.
_TRY = 'head -c 65536 /dev/zero > "$1"; code=$?; rm -f "$1"; exit $code'


class AdbTransport:
    """devices.transport.Transport to one phone of one adb server.

    Every call makes connections of its own, so threads may share it. A phone at a
    host:port that its server has lost is connected to again by the next call.

    Args:
        device: name of the device, for messages and records.
        serial: as the adb server lists it, or host:port.
        server: where the phone is plugged in.
        scratch: a directory of the phone for the stderr of commands, where the phone is too
            old to send it apart.
    """

    def __init__(
        self,
        device: str,
        serial: str,
        *,
        server: AdbServer | None = None,
        scratch: str = "/data/local/tmp",
    ) -> None:
        self._device = device
        self._phone = AdbPhone(device, serial, server or AdbServer())
        self._scratch = scratch
        self._left: set[str] = set()

    @property
    def device(self) -> str:
        return self._device

    def run(
        self, argv: Sequence[str], *, deadline: Deadline, stdin: bytes | None = None
    ) -> CommandResult:
        """Run one command to its end; see Transport.run."""
        started = time.monotonic()
        with self._command(argv, deadline, stdin) as command:
            answer = command.answer(b"".join(command.stdout()))
        self._check_started(argv, answer)
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
        with self._command(argv, deadline, None) as command:
            status = b""
            pending = b""
            blank = False  # an empty line waits: the mark has a newline in front of its own
            for chunk in command.stdout():
                *lines, pending = (pending + chunk).split(b"\n")
                for line in lines:
                    if line.startswith(command.mark + b" "):
                        status, blank = b"\n" + line + b"\n", False
                        continue
                    if blank:
                        yield b""
                    blank = not line
                    if line:
                        yield line
            if pending:
                yield pending
            answer = command.answer(status)
        self._check_started(argv, answer)
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

        It is sent under another name, proved by its sha256 and only then put in place.
        """
        total = _size_of(source, self._device)
        until = Deadline(deadline.remaining() + _CLEAN_UP_S)
        directory = target.rpartition("/")[0] or "/"
        sent = f"{directory.rstrip('/')}/.edgebench-{secrets.token_hex(8)}"
        left = set(self._left)
        self._script(_PREPARE, [directory, *left], deadline, f"{directory} cannot be made")
        self._left -= left
        try:
            size, digest = self._send(source, sent, total, deadline, on_progress)
            placed = self._script(
                _PLACE,
                [sent, digest, f"{mode:o}", target],
                deadline,
                f"{target} cannot be put in place",
                expected=(22,),
            )
            if placed.exit_code == 22:
                raise TransferError(
                    f"{target} did not arrive whole: sent {size} bytes, found"
                    f" {placed.text.strip()} or other content",
                    device=self._device,
                )
        except BaseException:
            self._remove(sent, until)
            raise

    def pull(self, source: str, target: Path, *, deadline: Deadline) -> None:
        """Copy the absolute path source to target; see Transport.pull."""
        look = self._script(_LOOK, [source], deadline, f"{source} cannot be read", expected=(23,))
        if look.exit_code == 23:
            raise PathMissing(f"{source} is not a file", device=self._device)
        words = look.text.split()
        if len(words) < 2 or not words[0].isdigit():
            raise TransferError(f"{source}: no size and digest", device=self._device)
        there = (int(words[0]), words[1])
        temporary: Path | None = None
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=".edgebench-", dir=target.parent)
            temporary = Path(name)
            with os.fdopen(handle, "wb") as write, self._phone.open("sync:", deadline) as wire:
                arrived = adb_sync.receive(wire, source, write)
            if arrived != there:
                raise TransferError(
                    f"{source} did not arrive whole: it has {there[0]} bytes, {arrived[0]}"
                    " came, or other content",
                    device=self._device,
                )
            temporary.chmod(0o644)
            temporary.replace(target)
            temporary = None
        except adb_sync.Refused as refused:
            raise self._why(f"{source} cannot be read", str(refused)) from refused
        except (OSError, ValueError) as error:
            raise TransferError(
                f"{target} cannot be written on this machine: {error}", device=self._device
            ) from error
        finally:
            if temporary is not None:
                with suppress(OSError):
                    temporary.unlink()

    @contextmanager
    def _command(
        self, argv: Sequence[str], deadline: Deadline, stdin: bytes | None
    ) -> Iterator[adb_shell.Command]:
        """A command, ended on the phone if it has not ended when this is left."""
        mark = remote.new_mark()
        try:
            line = remote.line_of(argv, mark, has_stdin=stdin is not None)
        except ValueError as error:
            raise CommandFailed(
                f"the command cannot be started: {error}", device=self._device, argv=argv
            ) from error
        command: adb_shell.Command | None = None
        merged: adb_shell.Merged | None = None
        try:
            if "shell_v2" not in self._phone.features(deadline):
                merged = adb_shell.Merged(mark, self._scratch, has_stdin=stdin is not None)
                if stdin is not None:
                    self._send_stdin(stdin, merged.given, deadline)
            with self._phone.open(adb_shell.service_of(line, merged), deadline) as wire:
                command = adb_shell.Command(wire, argv, mark, merged, stdin or b"")
                try:
                    yield command
                finally:
                    # A link that was lost may be back in a moment; past the deadline there is
                    # no moment.
                    until = Deadline(max(_CLEAN_UP_S, min(deadline.remaining(), 2 * _CLEAN_UP_S)))
                    group = None if command.ended else command.wait_for_group(_GROUP_S)
                    if group is not None:
                        command.stderr += self._end(group, merged, until)
        except DeviceError as error:
            raise type(error)(
                error.message,
                device=self._device,
                argv=argv,
                exit_code=error.exit_code,
                stderr=command.said if command is not None else b"",
            ) from error

    def _end(self, group: int, merged: adb_shell.Merged | None, clean_up: Deadline) -> bytes:
        """End a process group by its number, on a connection of its own.

        Returns: what its stderr was, where that went into a file.
        """
        said = b""
        while not clean_up.expired():
            with suppress(DeviceError):
                with self._phone.open(adb_shell.end_service(group, merged), clean_up) as wire:
                    while data := wire.some():
                        said += data
                break
            time.sleep(min(_BACK_S, clean_up.remaining()))
        return said

    def _check_started(self, argv: Sequence[str], answer: remote.Answer) -> None:
        if answer.problem == "missing":
            raise CommandNotFound(f"there is no program {argv[0]}", device=self._device, argv=argv)
        if answer.problem:
            raise PermissionDenied(f"{argv[0]} may not be executed", device=self._device, argv=argv)

    def _script(
        self,
        script: str,
        arguments: Sequence[str],
        deadline: Deadline,
        what: str,
        *,
        expected: Sequence[int] = (),
    ) -> CommandResult:
        """Run a script that leaves with 0 or an expected code.

        Raises: what its stderr says, with `what` in front.
        """
        result = self.run(["sh", "-c", script, "sh", *arguments], deadline=deadline)
        if result.exit_code != 0 and result.exit_code not in expected:
            raise self._why(what, result.stderr.decode("utf-8", "replace"), result)
        return result

    def _send(
        self, source: Path, path: str, total: int, deadline: Deadline, on_progress: Progress
    ) -> tuple[int, str]:
        def told(sent: int) -> None:
            on_progress(sent, total)

        try:
            with source.open("rb") as read:
                return self._upload(read, path, deadline, told)
        except OSError as error:
            raise PathMissing(f"{source} cannot be read: {error}", device=self._device) from error

    def _send_stdin(self, stdin: bytes, path: str, deadline: Deadline) -> None:
        self._upload(BytesIO(stdin), path, deadline, lambda _sent: None)

    def _upload(
        self, read: IO[bytes], path: str, deadline: Deadline, told: Callable[[int], None]
    ) -> tuple[int, str]:
        try:
            with self._phone.open("sync:", deadline) as wire:
                return adb_sync.send(wire, read, path, told)
        except adb_sync.Refused as refused:
            reason = str(refused)
            if not _known(reason):
                tried = self.run(["sh", "-c", _TRY, "sh", path], deadline=deadline)
                reason = tried.stderr.decode("utf-8", "replace") or reason
            raise self._why(f"{path} cannot be written", reason) from refused

    def _remove(self, path: str, until: Deadline) -> None:
        """Remove what a failed push has left; the next push tries again if the link is gone."""
        # Not by `run`, which would take time of its own to clean up after itself.
        clean_up = until.at_most(_CLEAN_UP_S)
        with suppress(DeviceError):
            self._phone.features(clean_up)  # connects again where the link is lost
            with self._phone.open(adb_shell.remove_service(path), clean_up) as wire:
                if wire.exactly(len(adb_shell.REMOVED)) == adb_shell.REMOVED:
                    return
        self._left.add(path)

    def _why(self, what: str, reason: str, result: CommandResult | None = None) -> DeviceError:
        """The typed error for what a phone said about a file."""
        kind = _known(reason) or (TransferError if result is None else CommandFailed)
        said = next(iter(reason.strip().splitlines()), "the phone gave no reason")
        return kind(
            f"{what}: {said}",
            device=self._device,
            argv=result.argv if result else (),
            exit_code=result.exit_code if result else None,
            stderr=result.stderr if result else b"",
        )


def _known(reason: str) -> type[DeviceError] | None:
    """The error that a system's text stands for. Names stand before its last colon."""
    ends = [line.rpartition(": ")[2].lower() for line in reason.splitlines()]
    for texts, kind in ((_FULL, NoSpace), (_REFUSED, PermissionDenied), (_ABSENT, PathMissing)):
        if any(part in end for part in texts for end in ends):
            return kind
    return None


def _size_of(source: Path, device: str) -> int:
    try:
        found = source.stat()
    except (OSError, ValueError) as error:
        raise PathMissing(f"{source} cannot be read: {error}", device=device) from error
    if not stat.S_ISREG(found.st_mode):
        raise PathMissing(f"{source} is not a file", device=device)
    return found.st_size
