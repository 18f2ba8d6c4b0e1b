"""One device as the rest of edgebench sees it: a name, a way there, what it takes up."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from devices.local import LocalTransport
from devices.transport import Transport

CONTROLLER_CPU = "controller-cpu"


@dataclass(frozen=True, slots=True)
class Device:
    """A device that can be measured on.

    Attributes:
        name: as plans and tables have it.
        kind: "linux" or "android".
        transport: the way to it.
        workdir: absolute path on the device of the one directory that edgebench owns.
        python: interpreter on the device that has numpy and a TFLite runtime.
        resources: of the controller that measuring on it takes up; no two devices that
            share one are measured at the same time.
        simulated: True for an emulator, whose numbers never count as real.
    """

    name: str
    kind: str
    transport: Transport
    workdir: str
    python: str
    resources: frozenset[str]
    simulated: bool


def local_device(name: str = "local", workdir: Path | None = None) -> Device:
    """The machine that this process runs on.

    Args:
        workdir: by default a directory in the user's cache.
    """
    directory = workdir or platformdirs.user_cache_path("edgebench") / "device-local"
    return Device(
        name=name,
        kind="linux",
        transport=LocalTransport(name),
        workdir=str(directory.absolute()),
        python=sys.executable,
        resources=frozenset({CONTROLLER_CPU}),
        simulated=False,
    )
