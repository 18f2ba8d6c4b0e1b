"""Emulated phones: what `adb connect` finds is a real shell, a real file system and faults.

Every number that comes from one is simulated.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from devices.deadline import Deadline
from devices.emulated.adbd_faults import change_faults
from devices.emulated.container import Container
from devices.emulated.phone_files import lay_out
from devices.emulated.phone_profiles import PROFILES, PhoneProfile
from devices.emulated.phone_state import PhoneState
from devices.errors import DeviceTimeout, Unsupported

_START_S = 60.0
# Uptime of a phone that was on for a while, and of one that has just started.
_UPTIME_S = 3600
_RESTART_UPTIME_S = 30


class EmulatedPhone:
    """One phone; leaving the context switches it off and removes its files.

    Args:
        profile: one of PROFILES, or its name.
        name: its serial number and host name; letters, digits, "-" and ".".
        home: where its files lie, to keep them; by default a directory that goes with it.

    Attributes:
        container: the processes of it; `container.inside(argv)` runs a command past adb.
        state: its temperature, battery, clocks, screen and so on.
    """

    def __init__(
        self, profile: PhoneProfile | str, name: str = "emulated-phone", home: Path | None = None
    ) -> None:
        self.profile = PROFILES[profile] if isinstance(profile, str) else profile
        self.name = name
        self._temporary = None if home else tempfile.TemporaryDirectory(prefix="edgebench-phone-")
        self.home = home or Path(str(self._temporary and self._temporary.name))
        self.container = Container(self.home, name)
        self.state: PhoneState = lay_out(self.home, self.profile, name)
        self._ports: dict[str, int] = {}

    @property
    def address(self) -> str:
        """For `adb connect`; the same after a reboot."""
        return f"127.0.0.1:{self._ports['adb']}"

    def start(self) -> str:
        """Switch it on; returns its address.

        Raises: Unsupported (this machine makes no namespaces), DeviceTimeout.
        """
        self._boot(_UPTIME_S)
        return self.address

    def faults(self, **changes: Any) -> Mapping[str, Any]:
        """Change faults of its link (adbd_faults.Faults); returns all that hold now."""
        return change_faults(self._ports["faults"], **changes)

    def freeze(self) -> None:
        """Stop everything in it; links stay open and nothing answers."""
        self.container.freeze()

    def thaw(self) -> None:
        """Let everything go on."""
        self.container.thaw()

    def power_cut(self) -> None:
        """Switch it off at once; its files stay."""
        self.container.kill()

    def boot(self) -> None:
        """Switch it on again after a power cut: another boot id, an uptime of seconds.

        Raises: as `start`.
        """
        self._boot(_RESTART_UPTIME_S)

    def reboot(self) -> None:
        """A power cut, and on again."""
        self.power_cut()
        self.boot()

    def stop(self) -> None:
        """Switch it off; files that are nobody's to keep are removed."""
        self.container.kill()
        if self._temporary is not None:
            self._temporary.cleanup()

    def __enter__(self) -> EmulatedPhone:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _boot(self, uptime_s: int) -> None:
        for directory in (
            self.home / "tmp",
            self.home / "state" / "busy",
            self.home / "state/apps",
        ):
            for entry in directory.iterdir():
                if entry.is_file():
                    entry.unlink()
        ports = self.home / "state" / "ports"
        ports.unlink(missing_ok=True)
        wanted = {
            "port": self._ports.get("adb", 0),
            "features": self.profile.features,
            "rooted": self.profile.rooted,
        }
        self.container.start(
            [sys.executable, "-P", "-m", "devices.emulated.phone_main", json.dumps(wanted)],
            boot_id=str(uuid.uuid4()),
            uptime_s=uptime_s,
            env=_environment(),
        )
        deadline = Deadline(_START_S)
        while not ports.exists():
            if not self.container.alive():
                said = self.container.log()
                self.container.kill()
                raise Unsupported(
                    "an emulated phone ended while it started",
                    device=self.name,
                    stderr=said.encode(),
                )
            if deadline.expired():
                self.container.kill()
                raise DeviceTimeout("an emulated phone did not start", device=self.name)
            time.sleep(0.02)
        self._ports = json.loads(ports.read_text())


def _environment() -> dict[str, str]:
    """Of everything in a phone; nothing of the host's but what its stand-in needs."""
    return {
        "PATH": "/system/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/",
        "TMPDIR": "/data/local/tmp",
        "ANDROID_ROOT": "/system",
        "ANDROID_DATA": "/data",
        "EDGEBENCH_PYTHON": sys.executable,
        "EDGEBENCH_STANDIN": "/emulated/standin.json",
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
