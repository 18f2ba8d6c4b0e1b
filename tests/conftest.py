"""Options and fixtures that every test may use."""

from __future__ import annotations

import os
import random
import shutil
import socket
import tempfile
from contextlib import suppress

import hypothesis
import pytest

# A machine that is busy elsewhere is slow for no fault of the code.
hypothesis.settings.register_profile("edgebench", deadline=None)
hypothesis.settings.load_profile("edgebench")

_LEASE = "EDGEBENCH_LOCAL_LEASE"
_KEPT = "EDGEBENCH_KEPT"


_ADB_PORT = "ANDROID_ADB_SERVER_PORT"


def pytest_configure(config: pytest.Config) -> None:
    """A place of its own for each worker: tests measure on this machine side by side, and
    the adb server of whoever runs them is none of their business.
    """
    os.environ[_LEASE] = tempfile.mkdtemp(prefix="edgebench-lease-")
    os.environ[_KEPT] = tempfile.mkdtemp(prefix="edgebench-kept-")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        os.environ[_ADB_PORT] = str(free.getsockname()[1])


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(os.environ.pop(_LEASE), ignore_errors=True)
    shutil.rmtree(os.environ.pop(_KEPT), ignore_errors=True)
    port = int(os.environ.pop(_ADB_PORT))
    # A command that asked for phones has started a server there.
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as server:
        server.sendall(b"0009host:kill")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("sample")
    group.addoption(
        "--sample", type=int, default=None, help="run only this many tests, drawn at random"
    )
    group.addoption("--sample-seed", default="0", help="draws the sample; same seed, same tests")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep a seeded sample of what the other options selected."""
    size = config.getoption("--sample")
    if size is None or size >= len(items):
        return
    by_name = sorted(items, key=lambda item: item.nodeid)
    drawn = set(random.Random(config.getoption("--sample-seed")).sample(by_name, size))
    config.hook.pytest_deselected(items=[item for item in items if item not in drawn])
    items[:] = [item for item in items if item in drawn]
