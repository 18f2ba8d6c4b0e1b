"""The synthetic store of scripts/benchmark-store: its points are those of its launches."""

from __future__ import annotations

import runpy
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench.store import StorePlace, open_store
from reports.points import points_of
from tests import synthetic_runs as synthetic
from tests.synthetic_store import LAUNCHES_PER_DEVICE, fill

SCRIPT = Path(__file__).parent.parent / "scripts" / "benchmark-store"
UNTIL = datetime(2026, 11, 23, tzinfo=UTC)


def test_points_are_what_their_launches_say(tmp_path: Path) -> None:
    place = StorePlace.parse(tmp_path / "store.db")
    filled = fill(place, 2, 3, UNTIL, lambda text: None)
    assert filled.launches == 2 * 3 * LAUNCHES_PER_DEVICE
    with open_store(place, write=False) as store:
        runs = store.runs(synthetic.PROJECT)
        assert len(runs) == 3
        assert not store.runs_without_points()
        data = store.load(runs[0].run_id)
        assert len(data.launches) == 2 * LAUNCHES_PER_DEVICE
        stored = {point.case_id: point for point in store.points(run_id=runs[0].run_id)}
    made = points_of(data)
    assert {point.case_id for point in made} == set(stored)
    for point in made:
        same = stored[point.case_id]
        assert (same.state, same.quantity, same.coverage, same.numerics, same.environment_id) == (
            (point.state, point.quantity, point.coverage, point.numerics, point.environment_id)
        )
        assert same.p50_us == pytest.approx(point.p50_us)
        assert same.p50_low_us == pytest.approx(point.p50_low_us)
        assert same.p90_us == pytest.approx(point.p90_us)
        for (index, p50_us), (its, its_us) in zip(
            same.p50_by_round_us, point.p50_by_round_us, strict=True
        ):
            assert (index, p50_us) == (its, pytest.approx(its_us))


def test_the_report_is_timed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = runpy.run_path(str(SCRIPT), run_name="benchmark_store")
    script["main"](["--dir", str(tmp_path), "--report", "1x2x1"])
    assert "2 cases" in capsys.readouterr().out
    assert (tmp_path / "report" / "report.html").exists()


@pytest.mark.parametrize("size", ["2x2", "0x1x1", "1x6x1", "1x1x5", "axbxc"])
def test_a_size_that_is_none_is_refused(
    size: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = runpy.run_path(str(SCRIPT), run_name="benchmark_store")
    with pytest.raises(SystemExit) as stopped:
        script["main"](["--dir", str(tmp_path), "--report", size])
    assert stopped.value.code == 2
    assert "--report" in capsys.readouterr().err
