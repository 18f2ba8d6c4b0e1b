"""Fixtures around tests.sshd; a test module asks for them by `pytest_plugins`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from devices.ssh import SshTransport
from tests.sshd import Proxy, Sshd, start_sshd


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    server = start_sshd(tmp_path_factory.mktemp("sshd"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def board(sshd: Sshd) -> Iterator[SshTransport]:
    """A transport to the server; one for all, as it makes its connection anew when needed."""
    transport = sshd.transport()
    yield transport
    transport.close()


@pytest.fixture
def proxy(sshd: Sshd) -> Iterator[Proxy]:
    proxy = Proxy(sshd.port)
    yield proxy
    proxy.close()


@pytest.fixture
def far_board(sshd: Sshd, proxy: Proxy) -> Iterator[SshTransport]:
    """A transport to the server, over the proxy."""
    transport = sshd.transport(sshd.at(proxy.port))
    yield transport
    transport.close()
