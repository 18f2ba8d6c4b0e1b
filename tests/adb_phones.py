"""A private adb server and phones that are nothing but a directory of this machine."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from adbutils import adb_path

from devices.adb import AdbTransport
from devices.adb_server import AdbServer, ask, list_devices
from devices.deadline import Deadline
from devices.emulated.adbd import AdbDaemon
from devices.emulated.adbd_faults import Faults
from devices.emulated.adbd_link import VERSION
from devices.errors import DeviceError

FEATURES = frozenset({"shell_v2", "cmd", "stat_v2", "ls_v2", "fixed_push_mkdir"})
SHELL = shutil.which("mksh") or "sh"
_SETTLE_S = 20


def free_port() -> int:
    """A port that nothing listens on, and none that adb servers look at by themselves."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port > 5600:
            return port


class PrivateServer:
    """A real adb server that knows no phone but those it is told of."""

    def __init__(self, home: Path) -> None:
        self.port = free_port()
        self._home = home
        home.mkdir(parents=True, exist_ok=True)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def server(self) -> AdbServer:
        return AdbServer("127.0.0.1", self.port)

    @property
    def env(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self._home),
            "TMPDIR": str(self._home),
            "ANDROID_ADB_SERVER_PORT": str(self.port),
            "ADB_USB": "0",
            "ADB_MDNS": "0",
            "ADB_LOCAL_TRANSPORT_MAX_PORT": "5554",
        }

    def start(self) -> None:
        self._process = subprocess.Popen(
            [adb_path(), "-L", f"tcp:{self.port}", "nodaemon", "server"],
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=(self._home / "adb.log").open("ab"),
        )
        for _ in range(_SETTLE_S * 50):
            try:
                list_devices(self.server, Deadline(5))
                return
            except DeviceError:
                time.sleep(0.02)
        raise AssertionError("the adb server did not start")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def state(self, serial: str) -> str | None:
        """What the server says of a phone; None where it has none of this name."""
        for phone in list_devices(self.server, Deadline(10)):
            if phone.serial == serial:
                return phone.state
        return None

    def wait_for(self, serial: str, *states: str | None) -> str | None:
        for _ in range(_SETTLE_S * 20):
            if (state := self.state(serial)) in states:
                return state
            time.sleep(0.05)
        raise AssertionError(f"{serial} is {self.state(serial)}, not one of {states}")


class PlainPhone:
    """A phone whose files and programs are this machine's."""

    product = "edgebench"
    model = "edgebench_emulated_phone"
    device = "emulated"
    cwd = "/"

    def __init__(self, features: frozenset[str] = FEATURES) -> None:
        self.features = features
        self.env: Mapping[str, str] = {"PATH": os.environ["PATH"], "LC_ALL": "C"}

    def command(self, line: str) -> list[str]:
        return [SHELL, "-c", line]

    def path(self, path: str) -> Path:
        return Path(path)


class ServedPhone:
    """A PlainPhone with its daemon, and the transport to it."""

    def __init__(
        self,
        private: PrivateServer,
        scratch: Path,
        *,
        faults: Faults | None = None,
        version: int = VERSION,
        name: str = "phone",
    ) -> None:
        self.daemon = AdbDaemon(PlainPhone(), faults=faults, version=version)
        self.serial = f"127.0.0.1:{self.daemon.start(port=free_port())}"
        self.private = private
        scratch.mkdir(parents=True, exist_ok=True)
        self.scratch = scratch
        self.transport = AdbTransport(
            name, self.serial, server=private.server, scratch=str(scratch)
        )

    def faults(self, **changes: Any) -> None:
        self.daemon.faults.change(changes)

    def stop(self) -> None:
        self.daemon.stop()
        with suppress(DeviceError):
            ask(self.private.server, "adb", f"host:disconnect:{self.serial}", Deadline(5))
