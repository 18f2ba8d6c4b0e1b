"""An adb server: where it is, how it is started and asked.

The protocol of the server's port is spoken here and not through adbutils, whose timeouts
count from each byte and are missing from file transfers, so that a phone that freezes or
trickles would hold a caller for ever. adbutils gives the adb program. Source of the format:
SERVICES.TXT and OVERVIEW.TXT of the Android Open Source Project's adb.
"""

from __future__ import annotations

import os
import re
import select
import socket
import subprocess
from dataclasses import dataclass

from adbutils import adb_path  # type: ignore[import-untyped]
from adbutils.errors import AdbError  # type: ignore[import-untyped]

from devices.adb_states import ADVICE, AdbDevice, parse_devices, refusal
from devices.deadline import Deadline
from devices.errors import (
    CommandFailed,
    CommandNotFound,
    DeviceOffline,
    DeviceTimeout,
    TransferError,
    Unauthorized,
)

_START_S = 20.0
_MAX_REQUEST_BYTES = 0xFFFF
_ADDRESS = re.compile(r"(\[[0-9A-Za-z:.%_-]+\]|[^\s:\[\]]+):([0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class AdbServer:
    """Where an adb server listens.

    Attributes:
        host, port: of a server that somebody else runs, such as one on another machine; it
            is never started from here. Without both, the user's own server, which adb starts
            when it is needed (at ANDROID_ADB_SERVER_PORT where that is set).
    """

    host: str | None = None
    port: int | None = None

    @property
    def own(self) -> bool:
        return self.host is None and self.port is None

    @property
    def address(self) -> tuple[str, int]:
        """Raises: ValueError for an environment variable that is no port."""
        port = os.environ.get("ANDROID_ADB_SERVER_PORT", "")
        if self.port is None and port and not (port.isdigit() and 0 < int(port) < 65536):
            raise ValueError(f"ANDROID_ADB_SERVER_PORT is {port!r}, which is no port")
        return self.host or "127.0.0.1", self.port or int(port or 5037)

    def __str__(self) -> str:
        host, port = self.address
        return f"{host}:{port}"


class Wire:
    """One connection to an adb server, every byte of it under one deadline.

    Args:
        server: where to connect; the user's own is started if it does not run.
        device: name, for errors.
        deadline: of everything that is done with this connection.

    Raises (every method): DeviceTimeout, DeviceOffline where the connection ended.
    """

    def __init__(self, server: AdbServer, device: str, deadline: Deadline) -> None:
        self.device = device
        self.deadline = deadline
        self._socket = _connect(server, device, deadline)
        self._socket.setblocking(False)
        self._poll = select.poll()
        self._poll.register(self._socket, 0)

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def request(self, text: str) -> None:
        """Ask for a service.

        Raises: what a refusal means, see `refusal`.
        """
        data = text.encode("utf-8", "surrogateescape")
        if len(data) > _MAX_REQUEST_BYTES:
            raise CommandFailed("the command cannot be started: too long", device=self.device)
        self.send(b"%04x" % len(data) + data)
        status = self.exactly(4)
        if status == b"FAIL":
            raise refusal(self.block().decode("utf-8", "replace"), self.device)
        if status != b"OKAY":
            raise TransferError(
                f"this is no adb server: it answered {status!r}", device=self.device
            )

    def block(self) -> bytes:
        """A text with its length in front."""
        length = self.exactly(4)
        try:
            return self.exactly(int(length, 16))
        except ValueError as error:
            raise TransferError(
                f"this is no adb server: it answered {length!r}", device=self.device
            ) from error

    def send(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            self.wait(writing=True)
            left = left[self.send_some(left) :]

    def send_some(self, data: memoryview) -> int:
        """As much as goes without waiting; the number of bytes, 0 for none."""
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise self._lost() from error

    def exactly(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            part = self.some(count - len(data))
            if not part:
                raise self._lost()
            data += part
        return bytes(data)

    def some(self, at_most: int = 1 << 16) -> bytes:
        """What arrives next; b"" where the other side has closed."""
        while True:
            self.wait(reading=True)
            try:
                return self._socket.recv(at_most)
            except BlockingIOError:
                continue
            except OSError as error:
                raise self._lost() from error

    def wait(self, *, reading: bool = False, writing: bool = False) -> tuple[bool, bool]:
        """Until it can be read or written, whichever is asked for; which of the two."""
        self._poll.modify(
            self._socket,
            (select.POLLIN if reading else 0) | (select.POLLOUT if writing else 0),
        )
        ready = self._poll.poll(self.deadline.remaining() * 1000)
        if not ready or self.deadline.expired():
            raise DeviceTimeout(f"no answer within {self.deadline.seconds:g} s", device=self.device)
        ended = bool(ready[0][1] & (select.POLLHUP | select.POLLERR))
        return (
            reading and (ended or bool(ready[0][1] & select.POLLIN)),
            writing and (ended or bool(ready[0][1] & select.POLLOUT)),
        )

    def _lost(self) -> DeviceOffline:
        return DeviceOffline(
            "the adb server or the phone closed the connection", device=self.device
        )


def ask(server: AdbServer, device: str, request: str, deadline: Deadline) -> str:
    """What a server answers to a request that has a text for an answer.

    Raises: as Wire does.
    """
    with Wire(server, device, deadline) as wire:
        wire.request(request)
        return wire.block().decode("utf-8", "replace")


def list_devices(server: AdbServer, deadline: Deadline) -> tuple[AdbDevice, ...]:
    """Every phone that a server has, also those that cannot be used.

    Raises: CommandNotFound where there is no adb program, DeviceOffline where no server
    answers, DeviceTimeout, TransferError for a list that cannot be read.
    """
    return parse_devices(ask(server, "adb", "host:devices-l", deadline))


def is_address(serial: str) -> bool:
    """Whether a serial is a host:port that the server can connect to."""
    match = _ADDRESS.fullmatch(serial)
    return match is not None and 0 < int(match[2]) < 65536


def connect_phone(server: AdbServer, address: str, device: str, deadline: Deadline) -> None:
    """Have a server connect to a phone at host:port, if it has not.

    Raises: DeviceOffline, Unauthorized, DeviceTimeout.
    """
    # The server reports every failure as an answer like any other.
    said = ask(server, device, f"host:connect:{address}", deadline).strip()
    if said.startswith(("connected to", "already connected to")):
        return
    if "authenticate" in said:
        raise Unauthorized(f"{said}: {ADVICE['unauthorized']}", device=device)
    raise DeviceOffline(
        f"{said}: is the phone on and in this network, and wireless debugging (adb tcpip) on?",
        device=device,
    )


def _connect(server: AdbServer, device: str, deadline: Deadline) -> socket.socket:
    try:
        address = server.address
    except ValueError as error:
        raise CommandFailed(str(error), device=device) from error
    try:
        return _open(address, device, deadline)
    except OSError as error:
        if not server.own:
            raise DeviceOffline(
                f"no adb server answers at {server} ({error}): start one on that machine with"
                f" adb -P {address[1]} start-server (-a for all its networks)",
                device=device,
            ) from error
    _start(device, deadline)
    try:
        return _open(address, device, deadline)
    except OSError as error:
        raise DeviceOffline(f"no adb server answers at {server}: {error}", device=device) from error


def _open(address: tuple[str, int], device: str, deadline: Deadline) -> socket.socket:
    try:
        opened = socket.create_connection(address, timeout=max(deadline.remaining(), 1e-3))
    except TimeoutError as error:
        raise DeviceTimeout(
            f"no adb server answers at {address[0]}:{address[1]}", device=device
        ) from error
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return opened


def _start(device: str, deadline: Deadline) -> None:
    """Start the user's own server, as every adb command does."""
    argv: tuple[str, ...] = ("adb", "start-server")
    try:
        argv = (str(adb_path()), "start-server")
        # In a session of its own, or Ctrl-C would end the server of everybody.
        started = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            timeout=max(deadline.at_most(_START_S).remaining(), 1e-3),
            check=False,
        )
    except (AdbError, OSError) as error:
        raise CommandNotFound(
            "there is no adb program on this machine: install Android's platform tools, or name"
            " it in ADBUTILS_ADB_PATH",
            device=device,
            argv=argv,
        ) from error
    except subprocess.TimeoutExpired as error:
        raise DeviceTimeout("the adb server did not start", device=device, argv=argv) from error
    if started.returncode != 0:
        raise DeviceOffline(
            "the adb server cannot be started: see adb start-server",
            device=device,
            argv=argv,
            exit_code=started.returncode,
        )
