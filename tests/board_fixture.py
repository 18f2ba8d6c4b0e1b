"""Fixtures around tests.boards; a test module asks for them by `pytest_plugins`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from devices.emulated.board import EmulatedBoard
from devices.ssh import SshTransport
from tests.boards import WHEELS, start


@pytest.fixture(scope="module")
def pi() -> Iterator[EmulatedBoard]:
    """A Pi 4 for the tests of a module; whoever switches it off switches it on again."""
    board = start(EmulatedBoard(wheels=WHEELS))
    yield board
    board.stop()


@pytest.fixture(scope="module")
def steady_pi() -> Iterator[EmulatedBoard]:
    """A Pi 4 whose clock counts instructions; never switched off."""
    board = start(EmulatedBoard(icount=True, wheels=WHEELS, name="edgebench-steady-pi"))
    yield board
    board.stop()


@pytest.fixture
def pi_transport(pi: EmulatedBoard) -> Iterator[SshTransport]:
    transport = pi.transport()
    yield transport
    transport.close()


@pytest.fixture
def workdir() -> str:
    """A directory of a board that is not there yet."""
    return f"/var/tmp/edgebench-{uuid4().hex[:8]}"


@pytest.fixture
def meanwhile() -> Iterator[Callable[[Callable[[], None]], None]]:
    """Does something in another thread; the test ends, and fails, with it."""
    threads: list[threading.Thread] = []
    errors: list[BaseException] = []

    def meanwhile(action: Callable[[], None]) -> None:
        def run() -> None:
            try:
                action()
            except BaseException as error:
                errors.append(error)

        threads.append(threading.Thread(target=run))
        threads[-1].start()

    yield meanwhile
    for thread in threads:
        thread.join(240)
        assert not thread.is_alive()
    if errors:
        raise errors[0]
