"""A listening TCP port with a thread per connection, stopped as a whole."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress

_BACKLOG = 16


class Listener:
    """Accepts connections and hands each to a handler on a thread of its own.

    Args:
        handle: takes a connection, which is closed after it returns.
    """

    def __init__(self, handle: Callable[[socket.socket], None]) -> None:
        self._handle = handle
        self._socket: socket.socket | None = None
        self._threads: list[threading.Thread] = []
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def start(self, host: str, port: int) -> int:
        """Listen; returns the port, one that was free if 0 was asked for."""
        self._socket = socket.create_server((host, port), backlog=_BACKLOG)
        thread = threading.Thread(target=self._accept, args=(self._socket,), daemon=True)
        self._threads.append(thread)
        thread.start()
        return int(self._socket.getsockname()[1])

    def wait(self) -> None:
        """Return when it was stopped."""
        self._stopped.wait()

    def stop(self) -> None:
        """Close the port and every connection, and wait for the threads."""
        self._stopped.set()
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)  # wakes accept()
            self._socket.close()
        with self._lock:
            connections, threads = list(self._connections), list(self._threads)
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(timeout=5)

    def _accept(self, listening: socket.socket) -> None:
        while not self._stopped.is_set():
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with self._lock:
                self._threads = [thread for thread in self._threads if thread.is_alive()]
                self._connections.add(connection)
                thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
                self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with suppress(OSError):
                self._handle(connection)
        finally:
            with self._lock:
                self._connections.discard(connection)
            connection.close()
