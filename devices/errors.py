"""The tree of everything that can go wrong with a device.

DeviceError
├── TransientDeviceError       the same call may succeed later: retry is allowed
│   ├── DeviceOffline          the link or the device is gone
│   ├── DeviceTimeout          a deadline expired
│   └── TransferError          a file did not arrive whole
└── StableDeviceError          the same call will fail again: do not retry
    ├── CommandFailed          a command ran and its exit code was not zero
    ├── CommandNotFound        there is no such program on the device
    ├── PathMissing            a file that was asked for is not on the device
    ├── PermissionDenied       the device refused
    ├── NoSpace                the device's disk is full
    ├── Unauthorized           the device, or this machine, does not trust the other side
    ├── LeaseHeld              somebody else is using the device
    ├── LeaseLost              the lease was taken over, or the device restarted
    └── Unsupported            the device cannot do what was asked

The retry policy follows from the type alone. Every error carries what a person
needs to act on it: the device, the argv, the exit code and the end of stderr.
"""

from __future__ import annotations

from collections.abc import Sequence

STDERR_TAIL_BYTES = 4000


class DeviceError(Exception):
    """Something went wrong with a device.

    Attributes:
        message: what happened, one line.
        device: name of the device.
        argv: the command that was under way, or ().
        exit_code: its exit status; negative is minus the signal; None if it never ended.
        stderr_tail: the end of what it wrote to stderr, decoded.
    """

    def __init__(
        self,
        message: str,
        *,
        device: str,
        argv: Sequence[str] = (),
        exit_code: int | None = None,
        stderr: bytes = b"",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.device = device
        self.argv = tuple(argv)
        self.exit_code = exit_code
        self.stderr_tail = stderr[-STDERR_TAIL_BYTES:].decode("utf-8", "replace")

    def __str__(self) -> str:
        parts = [f"{self.device}: {self.message}"]
        if self.argv:
            parts.append(f"command: {self.argv[0]}")
        if self.exit_code is not None:
            parts.append(f"exit code {self.exit_code}")
        if last := self.stderr_tail.strip().splitlines()[-1:]:
            parts.append(last[0])
        return "; ".join(parts)


class TransientDeviceError(DeviceError):
    """The same call may succeed later."""


class DeviceOffline(TransientDeviceError):
    """The link or the device is gone."""


class DeviceTimeout(TransientDeviceError):
    """A deadline expired."""


class TransferError(TransientDeviceError):
    """A file did not arrive whole."""


class StableDeviceError(DeviceError):
    """The same call will fail again."""


class CommandFailed(StableDeviceError):
    """A command ran and its exit code was not zero."""


class CommandNotFound(StableDeviceError):
    """There is no such program on the device."""


class PathMissing(StableDeviceError):
    """A file that was asked for is not on the device."""


class PermissionDenied(StableDeviceError):
    """The device refused."""


class NoSpace(StableDeviceError):
    """The device's disk is full."""


class Unauthorized(StableDeviceError):
    """The device does not accept this machine, or this machine does not know the device's key."""


class LeaseHeld(StableDeviceError):
    """Somebody else is using the device; the message names who, where and until when."""


class LeaseLost(StableDeviceError):
    """The lease is no longer ours: taken over after it expired or by force, or a restart."""


class Unsupported(StableDeviceError):
    """The device cannot do what was asked of it (a control, a delegate's library, a clock)."""
