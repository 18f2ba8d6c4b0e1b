"""An adb server of our own, apart from the user's: emulated phones must not get among real ones."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from adbutils import adb_path  # type: ignore[import-untyped]
from adbutils.errors import AdbError  # type: ignore[import-untyped]

from devices.adb_server import AdbServer, connect_phone, list_devices
from devices.deadline import Deadline
from devices.errors import CommandNotFound, DeviceError, DeviceOffline

_START_S = 20.0
_CONNECT_S = 20.0
# Every adb server takes the odd ones of 5555 to 5585 for emulators.
_LOWEST_PORT = 5600
_NAME = "private adb server"


class PrivateAdbServer:
    """An adb server on a free port of this machine that knows no phone but those it is told of.

    Leaving the context ends it.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._home = tempfile.TemporaryDirectory(prefix="edgebench-adb-")
        self.port = 0

    @property
    def server(self) -> AdbServer:
        return AdbServer("127.0.0.1", self.port)

    @property
    def pid(self) -> int:
        """Of the server; 0 where it does not run."""
        return 0 if self._process is None else self._process.pid

    def connect(self, address: str, deadline: Deadline) -> None:
        """Have it know a phone at host:port. Raises: as connect_phone."""
        connect_phone(self.server, address, _NAME, deadline)

    def __enter__(self) -> PrivateAdbServer:
        try:
            self._start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def _start(self) -> None:
        self.port = _free_port()
        with Path(self._home.name, "log").open("wb") as log:
            try:
                self._process = subprocess.Popen(
                    [str(adb_path()), "-L", f"tcp:{self.port}", "nodaemon", "server"],
                    env=self._environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,  # so that Ctrl-C leaves its end to us
                )
            except (AdbError, OSError) as error:
                raise CommandNotFound(
                    "there is no adb program on this machine: install Android's platform tools,"
                    " or name it in ADBUTILS_ADB_PATH",
                    device=_NAME,
                ) from error
        deadline = Deadline(_START_S)
        while self._process.poll() is None and not deadline.expired():
            with suppress(DeviceError):
                list_devices(self.server, deadline.at_most(5.0))
                return
            time.sleep(0.02)
        said = Path(self._home.name, "log").read_bytes()
        raise DeviceOffline("an adb server did not start", device=_NAME, stderr=said)

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._home.cleanup()

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ.get("PATH", ""),
            "HOME": self._home.name,
            "TMPDIR": self._home.name,
            "ANDROID_ADB_SERVER_PORT": str(self.port),
            "ADB_USB": "0",
            "ADB_MDNS": "0",
            "ADB_LOCAL_TRANSPORT_MAX_PORT": "5554",
        }


def _free_port() -> int:
    while True:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = int(probe.getsockname()[1])
        if port > _LOWEST_PORT:
            return port
