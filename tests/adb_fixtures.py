"""Fixtures around tests.adb_phones; a test module asks for them by `pytest_plugins`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from devices.emulated.adbd_faults import Faults
from devices.emulated.adbd_link import VERSION_CHECKSUMS
from tests.adb_phones import PrivateServer, ServedPhone


@pytest.fixture(scope="session")
def adb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateServer]:
    """One adb server for all tests; those that kill it start their own."""
    server = PrivateServer(tmp_path_factory.mktemp("adb"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def steady_phone(
    adb: PrivateServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServedPhone]:
    """One phone for all tests without faults."""
    served = ServedPhone(adb, tmp_path_factory.mktemp("phone"))
    yield served
    served.stop()


@pytest.fixture(scope="session")
def old_phone(
    adb: PrivateServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServedPhone]:
    """One without shell_v2, on the first version of the protocol, with CRLF and noise."""
    faults = Faults(
        no_shell_v2=True,
        crlf=True,
        noise_before="WARNING: linker: unused DT entry\r\n",
        noise_after="\r\nKilled\r\n",
    )
    directory = tmp_path_factory.mktemp("old phone")
    served = ServedPhone(adb, directory, faults=faults, version=VERSION_CHECKSUMS)
    yield served
    served.stop()


@pytest.fixture
def phones(adb: PrivateServer, tmp_path: Path) -> Iterator[Callable[..., ServedPhone]]:
    """Makes phones for one test."""
    made: list[ServedPhone] = []

    def make(**options: Any) -> ServedPhone:
        made.append(
            ServedPhone(adb, tmp_path / f"phone-{len(made)}", name=f"phone-{len(made)}", **options)
        )
        return made[-1]

    yield make
    for served in made:
        served.stop()


@pytest.fixture
def phone(phones: Callable[..., ServedPhone]) -> ServedPhone:
    """A phone of the test's own, to be given faults."""
    return phones()


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[Callable[[], PrivateServer]]:
    """Starts adb servers for one test, which may kill them."""
    made: list[PrivateServer] = []

    def make() -> PrivateServer:
        made.append(PrivateServer(tmp_path / f"adb-{len(made)}"))
        made[-1].start()
        return made[-1]

    yield make
    for server in made:
        server.kill()
