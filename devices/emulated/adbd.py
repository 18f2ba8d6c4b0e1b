"""The device's side of adb over TCP, for an emulated phone that a real adb server attaches.

`adb connect 127.0.0.1:PORT` makes it a device like any other. What a phone is (its
properties, its shell, where its files lie) is the PhoneSide's; this is only the protocol.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from devices.emulated.adbd_faults import FaultBoard, FaultPort, Faults
from devices.emulated.adbd_link import VERSION, Link, Stream
from devices.emulated.adbd_serve import Listener
from devices.emulated.adbd_shell import run_shell
from devices.emulated.adbd_sync import serve_sync

# Of these faults a link learns in its handshake only.
_OF_THE_HANDSHAKE = ("unplugged", "offline", "unauthorized", "no_shell_v2")


class PhoneSide(Protocol):
    """The phone that the daemon belongs to.

    Attributes:
        product, model, device: as `adb devices -l` shows them.
        features: of the protocol, e.g. shell_v2, cmd, stat_v2, ls_v2, fixed_push_mkdir.
        env, cwd: of every command.
    """

    product: str
    model: str
    device: str
    features: frozenset[str]
    env: Mapping[str, str]
    cwd: str

    def command(self, line: str) -> list[str]:
        """The argv that runs one line of the phone's shell, here."""
        ...

    def path(self, path: str) -> Path:
        """Where a path of the phone lies here."""
        ...


class AdbDaemon:
    """Serves one phone to any number of adb servers.

    Args:
        phone: what is served.
        faults: the faults it starts with; `faults.change` and the fault port set others.
        version: of the protocol, VERSION or VERSION_CHECKSUMS.
    """

    def __init__(
        self, phone: PhoneSide, *, faults: Faults | None = None, version: int = VERSION
    ) -> None:
        self.faults = FaultBoard(faults)
        self.faults.on_change = self._changed
        self._phone = phone
        self._version = version
        self._listener = Listener(self._connected)
        self._fault_port = FaultPort(self.faults)
        self._links: set[Link] = set()

    def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen for adb servers; returns the port.

        Not an odd port from 5555 to 5585: every adb server takes those for emulators.
        """
        return self._listener.start(host, port)

    def start_fault_port(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen for adbd_faults.change_faults; returns the port."""
        return self._fault_port.start(host, port)

    def wait(self) -> None:
        """Return when it was stopped."""
        self._listener.wait()

    def stop(self) -> None:
        """Drop every link, end its commands and free the ports."""
        self.faults.change({"frozen": False})
        self._fault_port.stop()
        self.drop()
        self._listener.stop()

    def drop(self) -> None:
        """Drop every link, as a pulled cable does; servers may connect again."""
        for link in list(self._links):
            link.drop()

    def _changed(self, before: Faults, after: Faults) -> None:
        allowed = before.unauthorized and not after.unauthorized
        changed = any(getattr(before, name) != getattr(after, name) for name in _OF_THE_HANDSHAKE)
        if changed and not allowed:
            self.drop()

    def _connected(self, connection: socket.socket) -> None:
        if self.faults.now.unplugged:
            return
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link = Link(connection, self.faults, self._banner, self._serve, self._version)
        self._links.add(link)
        try:
            link.run()
        finally:
            self._links.discard(link)

    def _features(self) -> frozenset[str]:
        old = frozenset({"shell_v2"}) if self.faults.now.no_shell_v2 else frozenset()
        return self._phone.features - old

    def _banner(self) -> bytes:
        phone = self._phone
        return (
            f"device::ro.product.name={phone.product};ro.product.model={phone.model};"
            f"ro.product.device={phone.device};features={','.join(sorted(self._features()))}"
        ).encode()

    def _serve(self, stream: Stream) -> None:
        """One service; one that is not known is closed without having been opened."""
        kind, colon, argument = stream.service.partition(":")
        name, *options = kind.split(",")
        if not colon or name not in ("shell", "exec", "sync"):
            return
        stream.opened()
        if name == "sync":
            serve_sync(stream, self._phone.path)
        else:
            run_shell(
                stream,
                self._phone.command(argument),
                env=self._phone.env,
                cwd=self._phone.cwd,
                packets="v2" in options and "shell_v2" in self._features(),
            )
