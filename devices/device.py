"""One device as the rest of edgebench sees it: a name, a way there, what it takes up."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

from devices.local import LocalTransport
from devices.transport import Transport

CONTROLLER_CPU = "controller-cpu"
# One place for all users on purpose; devices.lease_sh trusts nothing that lies there.
LEASE_PLACES = {
    "android": "/data/local/tmp/.edgebench",
    "linux": "/var/tmp/.edgebench",  # noqa: S108
}


@dataclass(frozen=True, slots=True)
class Device:
    """A device that can be measured on.

    Attributes:
        name: as plans and tables have it.
        kind: "linux" or "android".
        transport: the way to it.
        workdir: absolute path on the device of the one directory that edgebench owns.
        python: interpreter on the device that has numpy and a TFLite runtime; None where
            there is none, as on every phone.
        resources: of the controller that measuring on it takes up; no two devices that
            share one are measured at the same time.
        simulated: True for an emulator, whose numbers never count as real.
        controls: what the inventory wants set while it is measured (devices.controls).
        by_network: whether a control that cuts the network cuts us off.
        lease_place: where its lease and journal lie, the same for every user and work
            directory; "" for the one place of its kind.
    """

    name: str
    kind: str
    transport: Transport
    workdir: str
    python: str | None
    resources: frozenset[str]
    simulated: bool
    controls: Mapping[str, str] = field(default_factory=dict)
    by_network: bool = False
    lease_place: str = ""

    def __post_init__(self) -> None:
        if not self.lease_place:
            object.__setattr__(self, "lease_place", LEASE_PLACES[self.kind])


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
        # Another place is for tests, which run side by side on one machine.
        lease_place=os.environ.get("EDGEBENCH_LOCAL_LEASE", ""),
    )
