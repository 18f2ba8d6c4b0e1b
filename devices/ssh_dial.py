"""A socket to an SSH server: by TCP, or through the user's ProxyCommand."""

from __future__ import annotations

import queue
import socket
import subprocess
import threading
from collections.abc import Callable
from typing import TypeVar

from devices.deadline import Deadline

_T = TypeVar("_T")


def by_tcp(host: str, port: int, deadline: Deadline) -> socket.socket:
    """Raises: OSError, where the time was over a TimeoutError."""
    return _within(
        deadline,
        lambda: socket.create_connection((host, port), timeout=deadline.remaining() + 0.1),
        abandon=lambda late: late.close(),
    )


def through_command(command: str) -> tuple[socket.socket, Callable[[], None]]:
    """A socket to the stdin and stdout of a ProxyCommand, and what ends its process.

    Raises: OSError.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        # A line of the user's own configuration, run as ssh runs it.
        process = subprocess.Popen(
            ["/bin/sh", "-c", f"exec {command}"],
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def end() -> None:
        process.terminate()
        try:
            process.wait(1)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    return ours, end


def _within(deadline: Deadline, work: Callable[[], _T], *, abandon: Callable[[_T], None]) -> _T:
    """What `work` returns or raises; TimeoutError at the deadline, and a late result is abandoned.

    For what takes no timeout, like the resolver of names.
    """
    results: queue.SimpleQueue[tuple[_T | None, BaseException | None]] = queue.SimpleQueue()
    given_up = threading.Event()

    def target() -> None:
        try:
            result = work()
        except BaseException as error:
            results.put((None, error))
        else:
            results.put((result, None))
            if given_up.is_set():
                abandon(result)

    threading.Thread(target=target, name="edgebench-dial", daemon=True).start()
    try:
        result, error = results.get(timeout=max(deadline.remaining(), 0.001))
    except queue.Empty:
        given_up.set()
        raise TimeoutError("no answer") from None
    if error is not None:
        raise error
    return result  # type: ignore[return-value]
