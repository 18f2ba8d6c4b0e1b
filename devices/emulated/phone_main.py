"""The process that an emulated phone runs: its adb daemon, its heat, and root for `su`."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from devices.emulated.adbd import AdbDaemon
from devices.emulated.adbd_faults import Faults
from devices.emulated.container import UNPRIVILEGED
from devices.emulated.phone_state import PhoneState
from devices.emulated.phone_su import RootServer

_TICK_S = 0.5
# So long after its last work a processor still runs at the clock that it had for it.
_CLOCK_STAYS_S = 5.0


class Phone:
    """The PhoneSide of this phone: it is served from inside, so paths are what they are."""

    def __init__(self, properties: dict[str, str], features: frozenset[str]) -> None:
        self.product = properties["ro.product.name"]
        self.model = properties["ro.product.model"]
        self.device = properties["ro.product.device"]
        self.features = features
        self.env: Mapping[str, str] = dict(os.environ)
        self.cwd = "/"
        self.used_at = time.monotonic()

    def command(self, line: str) -> list[str]:
        self.used_at = time.monotonic()
        shell = "/system/bin/sh"
        return [*UNPRIVILEGED, shell, "-c", line] if line else [*UNPRIVILEGED, shell]

    def path(self, path: str) -> Path:
        return Path("/", path)


def keep_warm(state: PhoneState, phone: Phone) -> None:
    """Move temperature and clocks with the work that is done; never returns.

    Every command raises the clocks; what a stand-in does makes warm too.
    """
    before = worked_at = time.monotonic()
    while True:
        time.sleep(_TICK_S)
        now = time.monotonic()
        busy = state.busy
        if (heat := state.heat) is not None:
            read = state.temperature_c
            fresh = heat.after(read, now - before, busy=busy)
            # Not over what somebody has set in the meantime.
            if state.heat == heat and state.temperature_c == read:
                state.set_temperature(fresh)
        worked_at = now if busy else max(worked_at, phone.used_at)
        state.spend(now - before, busy=now - worked_at < _CLOCK_STAYS_S)
        before = now


def main() -> None:
    """Serve until the phone is switched off; stdin is not used.

    Arguments: a JSON object with the keys port (0 for any), features and rooted.
    """
    wanted = json.loads(sys.argv[1])
    home = Path("/emulated")
    lines = (home / "properties").read_text().splitlines()
    properties = dict(line.split("=", 1) for line in lines if "=" in line)
    phone = Phone(properties, frozenset(wanted["features"]))
    daemon = AdbDaemon(phone, faults=Faults())
    if wanted["rooted"]:
        RootServer().start()
    threading.Thread(target=keep_warm, args=(PhoneState.inside(), phone), daemon=True).start()
    ports = {"adb": daemon.start(port=wanted["port"]), "faults": daemon.start_fault_port()}
    fresh = home / "ports.new"
    fresh.write_text(json.dumps(ports))
    fresh.rename(home / "ports")
    daemon.wait()


if __name__ == "__main__":
    main()
