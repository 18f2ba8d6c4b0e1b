"""The device's end of one adb link: messages, handshake, and the streams that share it.

Source of the format: protocol.txt of the Android Open Source Project's adb.
"""

from __future__ import annotations

import itertools
import os
import queue
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress

from devices.emulated.adbd_faults import FaultBoard

CNXN, AUTH, OPEN, OKAY, WRTE, CLSE = (
    int.from_bytes(name, "little")
    for name in (b"CNXN", b"AUTH", b"OPEN", b"OKAY", b"WRTE", b"CLSE")
)
VERSION_CHECKSUMS = 0x01000000
VERSION = 0x01000001
MAX_PAYLOAD = 256 * 1024
_TOKEN, _SIGNATURE, _PUBLIC_KEY = 1, 2, 3
_HEADER = struct.Struct("<6I")


class LinkLost(Exception):
    """The link is gone, or this stream of it was closed."""


class Stream:
    """One open service of a link: bytes both ways, an answer owed for each message.

    Attributes:
        service: as it was asked for.
        board: the phone's faults.
        on_kill: what the fault "kill" does.
        on_end: called when it has ended, from whichever side, once or more.
    """

    def __init__(self, link: Link, number: int, remote: int, service: str) -> None:
        self.service = service
        self.board = link.board
        self._link = link
        self.number = number
        self._remote = remote
        self._arrived: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._pending = b""
        self._ready = threading.Semaphore(0)
        self._closed = threading.Event()
        self._opened = False
        self._sent_bytes = 0
        self._received_bytes = 0
        self.on_kill: Callable[[], None] = lambda: None
        self.on_end: Callable[[], None] = lambda: None
        self._writing = threading.Lock()

    @property
    def closed(self) -> bool:
        return self._closed.is_set()

    def read(self) -> bytes:
        """What arrived next; b"" once the other side has closed."""
        if self._pending:
            data, self._pending = self._pending, b""
            return data
        data = self._arrived.get() or b""
        if not data:
            self._arrived.put(None)  # the end stays the end
        return data

    def read_exact(self, count: int) -> bytes:
        """Raises: LinkLost where the stream ends before."""
        parts = b""
        while len(parts) < count:
            data = self.read()
            if not data:
                raise LinkLost
            parts += data
        parts, self._pending = parts[:count], parts[count:] + self._pending
        return parts

    def write(self, data: bytes) -> None:
        """Send, and wait until the other side has taken it.

        Raises: LinkLost.
        """
        with self._writing:
            self._write(data)

    def _write(self, data: bytes) -> None:
        size = self._link.max_payload
        for start in range(0, len(data), size):
            part = data[start : start + size]
            strike = self.board.strikes(self.service, "to_host", self._sent_bytes, len(part))
            if strike is None:
                self._send(part)
            else:
                self._send(part[: strike[1]])
                self._act(strike[0])
                self._send(part[strike[1] :])

    def close(self) -> None:
        """End it from this side; before it was opened, refuse it."""
        if not self._closed.is_set():
            with suppress(LinkLost):
                self._link.send(CLSE, self.number if self._opened else 0, self._remote)
        self.end()

    def end(self) -> None:
        """It was ended from the other side, or with the link."""
        self._closed.set()
        self._arrived.put(None)
        self._ready.release()
        self.on_end()

    def opened(self) -> None:
        if (strike := self.board.strikes(self.service, "open", 0, 0)) is not None:
            self._act(strike[0])
        self._opened = True
        self._link.send(OKAY, self.number, self._remote)

    def taken(self) -> None:
        """The other side has taken what was sent last."""
        self._ready.release()

    def receive(self, data: bytes) -> None:
        """Called by the link: deliver, then say that it was taken."""
        strike = self.board.strikes(self.service, "to_device", self._received_bytes, len(data))
        self._received_bytes += len(data)
        if strike is not None:
            if part := data[: strike[1]]:
                self._arrived.put(part)
            self._act(strike[0])
            data = data[strike[1] :]
        if data:
            self._arrived.put(data)
        self._link.send(OKAY, self.number, self._remote)

    def _send(self, data: bytes) -> None:
        if not data:
            return
        if self.closed:
            raise LinkLost
        self._link.send(WRTE, self.number, self._remote, data)
        self._sent_bytes += len(data)
        self._ready.acquire()
        if self.closed:
            raise LinkLost

    def _act(self, action: str) -> None:
        if action == "drop":
            self._link.drop()
            raise LinkLost
        if action == "kill":
            self.on_kill()
        else:
            self.board.wait_while_frozen(self._link.gone)


class Link:
    """One connection of an adb server.

    Args:
        connection: the TCP connection.
        board: the phone's faults.
        banner: makes what the phone says about itself.
        serve: carries out one service; runs on a thread of its own.
        version: of the protocol; VERSION_CHECKSUMS proves every message by a sum.
    """

    def __init__(
        self,
        connection: socket.socket,
        board: FaultBoard,
        banner: Callable[[], bytes],
        serve: Callable[[Stream], None],
        version: int,
    ) -> None:
        self.board = board
        self.max_payload = 4096
        self.gone = threading.Event()
        self._connection = connection
        self._banner = banner
        self._serve = serve
        self._version = version
        self._sending = threading.Lock()
        self._streams: dict[int, Stream] = {}
        self._numbers = itertools.count(1)

    def run(self) -> None:
        """Answer until the link is gone."""
        try:
            with suppress(LinkLost, OSError):
                while True:
                    self._answer(*self._receive())
        finally:
            self.drop()
            for stream in list(self._streams.values()):
                stream.end()

    def drop(self) -> None:
        self.gone.set()
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def send(self, command: int, first: int, second: int, data: bytes = b"") -> None:
        """Raises: LinkLost."""
        self.board.wait_while_frozen(self.gone)
        self.board.wait_for_bytes(len(data), self.gone)
        # Until both sides know the other's version, sums are expected.
        summed = self._version < VERSION or command in (CNXN, AUTH)
        check = sum(data) & 0xFFFFFFFF if summed else 0
        header = _HEADER.pack(command, first, second, len(data), check, command ^ 0xFFFFFFFF)
        try:
            with self._sending:
                self._connection.sendall(header + data)
        except OSError as error:
            raise LinkLost from error

    def _receive(self) -> tuple[int, int, int, bytes]:
        command, first, second, size, check, magic = _HEADER.unpack(self._exactly(_HEADER.size))
        data = self._exactly(size)
        wrong = self._version < VERSION and check != sum(data) & 0xFFFFFFFF
        if magic != command ^ 0xFFFFFFFF or wrong:
            raise LinkLost
        self.board.wait_for_bytes(size, self.gone)
        self.board.wait_while_frozen(self.gone)
        return command, first, second, data

    def _exactly(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            part = self._connection.recv(min(count - len(data), 1 << 20))
            if not part:
                raise LinkLost
            data += part
        return bytes(data)

    def _answer(self, command: int, first: int, second: int, data: bytes) -> None:
        stream = self._streams.get(second)
        if command == CNXN:
            self._version = min(self._version, first)
            self.max_payload = min(MAX_PAYLOAD, second)
            self._greet()
        elif command == AUTH:
            # A signature is of a key that this phone does not know yet; the key itself
            # waits for somebody to touch "allow".
            if first == _SIGNATURE:
                self.send(AUTH, _TOKEN, 0, os.urandom(20))
            elif first == _PUBLIC_KEY:
                threading.Thread(target=self._wait_for_permission, daemon=True).start()
        elif command == OPEN:
            self._open(first, data.rstrip(b"\0").decode("utf-8", "surrogateescape"))
        elif stream is None:
            pass  # of a stream that is closed already
        elif command == OKAY:
            stream.taken()
        elif command == WRTE:
            stream.receive(data)
        elif command == CLSE:
            stream.end()

    def _greet(self) -> None:
        if self.board.now.unauthorized:
            self.send(AUTH, _TOKEN, 0, os.urandom(20))
        elif not self.board.now.offline:
            self.send(CNXN, self._version, self.max_payload, self._banner())

    def _wait_for_permission(self) -> None:
        while self.board.now.unauthorized:
            if self.gone.wait(0.05):
                return
        with suppress(LinkLost):
            self._greet()

    def _open(self, remote: int, service: str) -> None:
        stream = Stream(self, next(self._numbers), remote, service)
        self._streams[stream.number] = stream

        def work() -> None:
            try:
                with suppress(LinkLost):
                    self._serve(stream)
            finally:
                stream.close()
                self._streams.pop(stream.number, None)

        threading.Thread(target=work, daemon=True).start()
