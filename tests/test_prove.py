"""The proof that an interpreter measures."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench.prove import prove_python
from devices.device import Device, local_device
from devices.errors import StableDeviceError


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return replace(local_device("here", tmp_path / "work"), simulated=True)


def launches(device: Device) -> list[Path]:
    return list(Path(device.workdir, "runs").iterdir())


def test_an_interpreter_with_a_runtime_passes_and_nothing_stays(device: Device) -> None:
    prove_python(device, sys.executable)
    assert launches(device) == []


def test_one_without_is_refused_with_the_reason(device: Device, tmp_path: Path) -> None:
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    bare.chmod(0o755)
    with pytest.raises(StableDeviceError, match=r"python does not measure: .*numpy"):
        prove_python(device, str(bare))
    assert launches(device) == []
