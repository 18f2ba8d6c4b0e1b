"""How many launches a latency is made of, and when further ones would be time lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from records import launch

from bench.diagnose import latency
from bench.diagnose.outcome import Latency
from bench.events import silent
from bench.records import LaunchRecord
from devices.device import local_device


def measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoilt: dict[str, tuple[int, ...]]
) -> dict[str, Latency]:
    """Two files; `spoilt` tells which rounds of which one other load disturbs."""

    class StubSession:
        def __init__(self, **fields: Any) -> None:
            pass

        def launch(self, case: Any, files: Any, *, index: int, **place: int) -> LaunchRecord:
            taints = ("other load",) if index in spoilt.get(case.variant, ()) else ()
            return launch(case, index=index, taints=taints, p50_us=100.0 + index)

        def forget(self, identifier: str) -> None:
            pass

    monkeypatch.setattr(latency, "Session", StubSession)
    device = local_device(workdir=tmp_path)
    files = {key: (tmp_path / key, "0" * 64) for key in ("int8", "equalised")}
    return latency.measure_all(
        files, project="p", model="m", inputs=None, device=device, seed=0, emit=silent
    )


def test_undisturbed_all_rounds_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = measured(tmp_path, monkeypatch, {})
    assert {value.launches for value in found.values()} == {latency.ROUNDS}
    assert all(not value.taints for value in found.values())


def test_a_spoilt_launch_is_left_out_and_costs_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = measured(tmp_path, monkeypatch, {"int8": (0, 3)})
    assert (found["int8"].launches, found["equalised"].launches) == (4, 6)
    assert not found["int8"].taints


def test_where_nothing_can_be_decided_the_last_rounds_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = measured(tmp_path, monkeypatch, {"int8": (0, 1, 2)})
    assert (found["int8"].launches, found["equalised"].launches) == (4, 4)
    assert found["int8"].taints == ("other load",)
    assert found["int8"].interval_us is not None
