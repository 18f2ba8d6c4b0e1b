"""A runtime carried to a board without internet, and taken away again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.prove import prove_python
from devices.connect import PROVISIONED_PYTHON
from devices.deadline import Deadline
from devices.emulated.board import EmulatedBoard
from devices.facts import read_facts
from devices.provision import provision, remove
from devices.ssh import SshTransport
from tests.boards import device_of

pytest_plugins = ("tests.board_fixture",)
pytestmark = [pytest.mark.board, pytest.mark.xdist_group("board"), pytest.mark.timeout(1200)]


def test_a_board_without_internet_gets_a_runtime_that_measures(
    pi: EmulatedBoard, pi_transport: SshTransport, workdir: str
) -> None:
    device = replace(device_of(pi_transport, workdir), python=f"{workdir}/{PROVISIONED_PYTHON}")
    facts = read_facts(pi_transport, Deadline(60))
    said: list[str] = []

    made = provision(
        device, facts, tell=said.append, prove=lambda python: prove_python(device, python)
    )
    assert made.changed
    assert any("ai_edge_litert" in name and "aarch64" in name for name, _ in made.wheels)
    prove_python(device, f"{workdir}/{PROVISIONED_PYTHON}")

    again = provision(device, facts)
    assert not again.changed
    assert again.wheels == made.wheels

    remove(device, deadline=Deadline(60))
    left = pi_transport.run(["find", workdir, "-mindepth", "1"], deadline=Deadline(60)).check()
    ours = {f"{workdir}/blobs", f"{workdir}/runs"}
    others = [path for path in left.text.split() if path not in ours]
    assert all(path.startswith(f"{workdir}/blobs/") for path in others)
