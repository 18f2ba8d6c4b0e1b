"""The one way to a device: run a command, move a file.

Callers pass argv lists; quoting is the business of the implementation alone.
Bytes come back as bytes and are decoded by whoever knows their encoding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from devices.deadline import Deadline
from devices.errors import CommandFailed


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What a finished command left behind.

    Attributes:
        device: name of the device it ran on.
        argv: as the caller gave it.
        exit_code: its exit status; negative is minus the signal that killed it.
        stdout, stderr: whole, never truncated.
        duration_s: wall time seen by the controller.
    """

    device: str
    argv: tuple[str, ...]
    exit_code: int
    stdout: bytes
    stderr: bytes
    duration_s: float

    @property
    def text(self) -> str:
        return self.stdout.decode("utf-8", "replace")

    def check(self) -> CommandResult:
        """Return self, or raise CommandFailed if the exit code is not zero."""
        if self.exit_code != 0:
            raise CommandFailed(
                "a command failed",
                device=self.device,
                argv=self.argv,
                exit_code=self.exit_code,
                stderr=self.stderr,
            )
        return self


# Bytes sent, bytes in all.
Progress = Callable[[int, int], object]


def no_progress(sent: int, total: int) -> None:
    """Nobody wants to know."""


class Transport(Protocol):
    """Implemented by `local`, by adb and ssh, and by the fake of the tests.

    Every method raises a DeviceError and nothing else, and returns or raises
    before its deadline (plus a second to clean up).
    """

    @property
    def device(self) -> str:
        """Name of the device, for messages and records."""
        ...

    def run(
        self, argv: Sequence[str], *, deadline: Deadline, stdin: bytes | None = None
    ) -> CommandResult:
        """Run one command to its end. A non-zero exit code is a result, not an error.

        Raises: CommandNotFound, PermissionDenied, DeviceTimeout (the command and
        its children were ended), DeviceOffline.
        """
        ...

    def push(
        self,
        source: Path,
        target: str,
        *,
        deadline: Deadline,
        mode: int = 0o644,
        on_progress: Progress = no_progress,
    ) -> None:
        """Copy a file of the controller to an absolute path of the device.

        The target appears whole or not at all. Missing parents are made. on_progress is
        told of bytes sent and bytes in all, where the copy takes time.
        Raises: PathMissing (no source), PermissionDenied, NoSpace, TransferError,
        DeviceTimeout, DeviceOffline.
        """
        ...

    def pull(self, source: str, target: Path, *, deadline: Deadline) -> None:
        """Copy a file of the device to the controller; whole or not at all.

        Raises: PathMissing, PermissionDenied, TransferError, DeviceTimeout, DeviceOffline.
        """
        ...

    def stream(self, argv: Sequence[str], *, deadline: Deadline) -> Iterator[bytes]:
        """Yield stdout line by line while a command runs; closing the iterator ends it.

        Raises as `run` does, and CommandFailed where the command ends with a
        non-zero exit code.
        """
        ...
