"""A device that does not answer is waited for, and given up only when its time is over."""

from __future__ import annotations

import time
from collections.abc import Callable

from bench.errors import EdgebenchError
from devices.deadline import Deadline
from devices.device import Device
from devices.errors import DeviceError, TransientDeviceError, Unauthorized
from devices.launch import LaunchTimeout
from devices.launch_output import LaunchLost

_ANSWER_S = 30.0
_LOOK_EVERY_S = 2.0


class DeviceAway(EdgebenchError):
    """A device did not come back in time; what it finished meanwhile waits there."""


def of_the_link(error: DeviceError) -> bool:
    """Whether it may be the way to the device that failed, and not what runs there.

    To be asked of a device that has answered before: one that trusts us no more, because
    its adb server was restarted with another key, has not lost what runs on it.
    """
    if isinstance(error, LaunchTimeout | LaunchLost):
        return False
    return isinstance(error, TransientDeviceError | Unauthorized)


def wait_until_back(
    device: Device,
    error: DeviceError,
    *,
    away_s: float,
    tell: Callable[[str], object] = lambda message: None,
    raise_if_stopped: Callable[[], object] = lambda: None,
    pause: Callable[[float], object] = time.sleep,
) -> float:
    """Wait until a device answers again; seconds waited.

    Args:
        error: by which it went away.
        away_s: for how long it may stay away.
        tell: told that it is away, and for how long it has been, at every look; then that it
            is back.
        raise_if_stopped: called before every look; what it raises ends the waiting.

    Raises: DeviceAway, and what raise_if_stopped raises.
    """
    budget = Deadline(max(away_s, 1e-3))
    while True:
        raise_if_stopped()
        try:
            device.transport.run(["true"], deadline=Deadline(_ANSWER_S)).check()
        except (TransientDeviceError, Unauthorized) as still:
            if budget.expired():
                raise DeviceAway(
                    f"{device.name} is away: {still.message}; given up after {away_s:.0f} s"
                ) from error
            tell(f"away for {budget.seconds - budget.remaining():.0f} s: {still.message}")
            pause(min(_LOOK_EVERY_S, max(away_s, 0.01)))
        else:
            waited_s = budget.seconds - budget.remaining()
            tell(f"back after {waited_s:.0f} s")
            return waited_s
