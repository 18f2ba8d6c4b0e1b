"""Emulated boards as tests use them: switched on or skipped, and as a device of a run."""

from __future__ import annotations

import importlib.metadata
import os
from typing import Any

import pytest

from devices.device import Device
from devices.emulated.board import EmulatedBoard
from devices.emulated.board_image import PYTHON
from devices.errors import Unsupported
from devices.ssh import SshTransport

REQUIRED = "EDGEBENCH_REQUIRE_BOARD"
# The same versions as on this machine, so that answers can be compared.
WHEELS = tuple(
    f"{name}=={importlib.metadata.version(name)}" for name in ("ai-edge-litert", "numpy")
)


def start(board: EmulatedBoard) -> EmulatedBoard:
    """Switch a board on; a machine that cannot have one skips, unless it is required."""
    try:
        board.start()
    except Unsupported as error:
        board.stop()
        if os.environ.get(REQUIRED):
            raise
        pytest.skip(f"no emulated board: {error}")
    except BaseException:
        board.stop()
        raise
    return board


def device_of(transport: SshTransport, workdir: str, **changes: Any) -> Device:
    """A board as a run sees it."""
    fields: dict[str, Any] = {
        "name": transport.device,
        "kind": "linux",
        "transport": transport,
        "workdir": workdir,
        "python": PYTHON,
        "resources": frozenset({"controller-cpu"}),
        "simulated": True,
        "by_network": True,
    }
    return Device(**{**fields, **changes})
