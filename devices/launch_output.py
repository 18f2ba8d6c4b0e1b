"""What a launch left behind, read from the answers of devices.launch_sh."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from devices import launch_sh
from devices.errors import (
    CommandFailed,
    CommandNotFound,
    DeviceError,
    NoSpace,
    PathMissing,
    TransferError,
    TransientDeviceError,
)
from devices.transport import CommandResult

_HEADER = re.compile(rb"edgebench-launch (\d+) (\d+|-) ([\d.]+) ([\d.]+)\n")
_PART = re.compile(rb"(?:(\d+)|-) (\d+)\n")
# stdout, stderr, before, after, samples.
_FIXED_PARTS = 5


class LaunchLost(TransientDeviceError):
    """A launch ended without an exit status: its wrapper was killed, or the device restarted."""


@dataclass(frozen=True, slots=True)
class LaunchOutput:
    """What a finished launch left behind.

    Attributes:
        exit_code: of the program; negative is minus the signal that killed it; 127 and
            126 are sh's words for a program that is not there or cannot be executed.
        stdout, stderr: whole up to 33 MiB; of a longer one both ends, and between them a
            line that says how much is left out.
        duration_s: from start to end by the device's uptime, to 10 ms.
        files: name -> content of those of the files asked for that are there and came whole.
        too_long: name -> bytes of those that are longer than 33 MiB: no part of a file is
            worth anything, so that none comes.
        before, after, samples: what the scripts of its Watch said; b"" without one.
    """

    exit_code: int
    stdout: bytes
    stderr: bytes
    duration_s: float
    files: Mapping[str, bytes] = field(default_factory=dict)
    too_long: Mapping[str, int] = field(default_factory=dict)
    before: bytes = b""
    after: bytes = b""
    samples: bytes = b""


def parse_output(result: CommandResult, launch_id: str, results: Sequence[str]) -> LaunchOutput:
    cut_off = TransferError(
        f"the output of launch {launch_id} did not arrive whole",
        device=result.device,
        stderr=result.stderr,
    )
    header = _HEADER.match(result.stdout)
    if header is None:
        raise cut_off
    at = header.end()
    sizes: list[tuple[int | None, int]] = []
    for _ in range(_FIXED_PARTS + len(results)):
        part = _PART.match(result.stdout, at)
        if part is None:
            raise cut_off
        sizes.append((None if part[1] is None else int(part[1]), int(part[2])))
        at = part.end()
    if len(result.stdout) - at != sum(sent for _, sent in sizes):
        raise cut_off
    parts: list[bytes | None] = []
    for size, sent in sizes:
        body = result.stdout[at : at + sent]
        at += sent
        parts.append(None if size is None else _whole(body, size))
    stdout, stderr, before, after, samples, *files = parts
    too_long = {
        name: size
        for name, (size, sent) in zip(results, sizes[_FIXED_PARTS:], strict=True)
        if size is not None and size != sent
    }
    return LaunchOutput(
        exit_code=int(header[1]) if header[2] == b"-" else -int(header[2]),
        stdout=stdout or b"",
        stderr=stderr or b"",
        duration_s=round(float(header[4]) - float(header[3]), 2),
        files={
            name: content
            for name, content in zip(results, files, strict=True)
            if content is not None and name not in too_long
        },
        too_long=too_long,
        before=before or b"",
        after=after or b"",
        samples=samples or b"",
    )


def _whole(body: bytes, size: int) -> bytes:
    """A part as it is, or its two ends with a word on what lies between."""
    if len(body) == size:
        return body
    half = len(body) // 2
    gap = f"\n[edgebench: {size - len(body)} bytes left out]\n".encode()
    return body[:half] + gap + body[half:]


def error_of(result: CommandResult, launch_id: str) -> DeviceError:
    """The typed error for an exit code of a script that is not zero."""
    kind: type[DeviceError] = CommandFailed
    match result.exit_code:
        case launch_sh.NO_LAUNCH:
            kind, message = PathMissing, f"there is no launch {launch_id}"
        case launch_sh.VANISHED:
            kind = LaunchLost
            message = (
                f"launch {launch_id} ended without an exit status: its wrapper was killed"
                " (out of memory?) or the device restarted"
            )
        case launch_sh.LIMIT:
            kind = LaunchLost
            message = f"launch {launch_id} outlived its limit and was ended on the device"
        case launch_sh.FULL:
            kind = NoSpace
            message = f"the disk was full when launch {launch_id} ended; free space on it"
        case launch_sh.NOT_STARTED:
            kind, message = TransientDeviceError, f"launch {launch_id} was not started"
        case launch_sh.NO_BLOB:
            kind = TransferError
            message = f"a file of launch {launch_id} is gone from the device"
        case launch_sh.SURVIVED:
            message = f"a process of launch {launch_id} survived SIGKILL: restart the device"
        case launch_sh.NO_SETSID:
            kind, message = CommandNotFound, "there is no setsid (util-linux, busybox, toybox)"
        case _ if b"No space left on device" in result.stderr:
            kind, message = NoSpace, f"no space for launch {launch_id}"
        case launch_sh.KILLED | -9:
            # The step, and not the launch: what it was to bring still lies there.
            kind = TransferError
            message = f"a step of launch {launch_id} was killed on the device (out of memory?)"
        case _:
            message = f"a step of launch {launch_id} failed"
    return kind(message, device=result.device, exit_code=result.exit_code, stderr=result.stderr)
