"""`edgebench weekly` as a whole: stores, dates, files, exit codes."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import histories
import pytest
import store_records
import weekly_stores
from hypothesis import given
from hypothesis import strategies as st

from bench.cli.dates import moment
from bench.cli.main import main
from bench.errors import UserError
from bench.points import Point
from bench.records import Failure, Outcome
from bench.store import open_store

UNTIL = f"{histories.UNTIL:%Y-%m-%d}"
Weekly = Callable[..., int]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def weekly(out: Path) -> Weekly:
    def call(store: Path, *arguments: str) -> int:
        return main(["weekly", "--store", str(store), "--out", str(out), *arguments])

    return call


def lab(place: Path, *, keep: Callable[[Point], Point | None] = lambda point: point) -> Path:
    """A store of ten weeks of the synthetic lab; `keep` may change its points, or drop them."""
    year = histories.year(weeks=10)
    kept = [found for point in year.points if (found := keep(point)) is not None]
    return weekly_stores.fill(place, year.runs, year.cases, kept)


def calm(point: Point) -> Point | None:
    """Only pi-5, without its missing case."""
    pi = {c.case_id for c in histories.cases() if c.device == "pi-5" and c.variant == "int8"}
    gone = histories.case("pi-5", "detector", "int8", "none").case_id
    return point if point.case_id in pi - {gone} else None


@pytest.fixture(scope="module")
def eventful(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lab(tmp_path_factory.mktemp("eventful") / "store.db")


def test_the_events_of_the_year_are_found_in_its_store(
    weekly: Weekly, eventful: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    junit, summary = out / "junit.xml", out / "summary.md"
    code = weekly(eventful, "--until", UNTIL, "--junit", str(junit), "--summary", str(summary))
    assert code == 1
    document = json.loads((out / "weekly.json").read_text())
    worse = {
        (e["word"], e["spec"]["device"], e["spec"]["delegate"]["name"])
        for e in document["projects"][0]["worse"]
    }
    assert ("WRONG", "pixel-8", "gpu") in worse
    assert ("FELL BACK", "galaxy-a54", "nnapi") in worse
    assert ("SLOWER", "pixel-8", "xnnpack") in worse
    assert ("MISSING", "pi-5", "none") in worse
    assert {device for word, device, _ in worse if word == "SLOWER"} == {"pixel-8"}
    assert [d["device"] for d in document["projects"][0]["devices"]] == ["moto-g"]
    printed = capsys.readouterr().out
    assert printed.startswith(f"edgebench: {document['headline'][:60]}")
    assert printed.splitlines()[-1] == f"All of it: {out / 'weekly.html'}"
    assert sorted(path.name for path in out.iterdir()) == [
        "junit.xml",
        "summary.md",
        "weekly.html",
        "weekly.json",
        "weekly.md",
        "weekly.txt",
    ]
    assert int(ET.parse(junit).getroot().attrib["failures"]) > 0
    assert summary.read_text().startswith("### edgebench: ")


def test_json_is_for_machines(
    weekly: Weekly, eventful: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert weekly(eventful, "--until", UNTIL, "--json") == 1
    assert json.loads(capsys.readouterr().out) == json.loads((out / "weekly.json").read_text())


def test_a_quiet_week_is_0(weekly: Weekly, tmp_path: Path, out: Path) -> None:
    store = lab(tmp_path / "store.db", keep=calm)
    assert weekly(store, "--until", UNTIL) == 0
    assert "Quiet week: nothing regressed." in (out / "weekly.txt").read_text()


def test_nothing_measured_is_3(weekly: Weekly, tmp_path: Path, out: Path) -> None:
    store = lab(tmp_path / "store.db", keep=calm)
    later = f"{histories.UNTIL + timedelta(days=60):%Y-%m-%d}"
    assert weekly(store, "--until", later) == 3
    told = (out / "weekly.txt").read_text()
    assert "Nothing was measured." in told
    assert "The last run is of 2026-11-22." in told


def test_an_emulator_alone_is_nothing_measured(weekly: Weekly, tmp_path: Path, out: Path) -> None:
    ids = {c.case_id for c in histories.cases() if c.device == "emulated-phone"}
    store = lab(tmp_path / "store.db", keep=lambda p: p if p.case_id in ids else None)
    assert weekly(store, "--until", UNTIL) == 3
    assert "Nothing was measured on a real device" in (out / "weekly.md").read_text()


def test_a_gate_of_the_plan_that_fails_now_is_1(weekly: Weekly, tmp_path: Path, out: Path) -> None:
    last = histories.run_id(histories.starts()[-1])

    def fail(point: Point) -> Point | None:
        if point.run_id == last and calm(point):
            return replace(point, gates_failed=("p50_us_max",))
        return calm(point)

    assert weekly(lab(tmp_path / "store.db", keep=fail), "--until", UNTIL) == 1
    assert "gates newly fail" in (out / "weekly.txt").read_text()


def test_a_later_run_does_not_change_the_week_before(
    weekly: Weekly, tmp_path: Path, out: Path
) -> None:
    year = histories.year(weeks=10)
    kept = [p for p in year.points if calm(p)]
    store = weekly_stores.fill(tmp_path / "store.db", year.runs, year.cases, kept)
    middle = f"{histories.UNTIL - timedelta(days=3):%Y-%m-%d}"
    assert weekly(store, "--until", middle) == 0
    before = (out / "weekly.json").read_text()
    cut = [run for run in year.runs if run.started_utc < histories.UNTIL - timedelta(days=3)]
    ids = {run.run_id for run in cut}
    other = weekly_stores.fill(
        tmp_path / "cut.db", cut, year.cases, [p for p in kept if p.run_id in ids]
    )
    assert weekly(other, "--until", middle) == 0
    assert (out / "weekly.json").read_text() == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--since", "soon"], "--since 'soon' is no moment"),
        (["--since", "9999999d"], "--since"),
        (["--until", "2026-13-01"], "--until '2026-13-01' is no moment"),
        (["--since", "2026-12-01", "--until", "2026-11-01"], "not before its end"),
        (["--project", "nobody"], "no run of project 'nobody'"),
    ],
)
def test_bad_input_is_one_line_and_2(
    weekly: Weekly,
    eventful: Path,
    out: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    assert weekly(eventful, *arguments) == 2
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1
    assert not out.exists()


def test_without_a_store_nothing_is_written(weekly: Weekly, tmp_path: Path, out: Path) -> None:
    assert weekly(tmp_path / "none.db") == 2
    assert not out.exists()


def test_a_place_that_cannot_be_written_is_2(
    weekly: Weekly, eventful: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert weekly(eventful, "--until", UNTIL, "--out", str(tmp_path / "file" / "below")) == 2
    assert "cannot be written" in capsys.readouterr().err


NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given_text", "meant"),
    [
        ("7d", NOW - timedelta(days=7)),
        ("2w", NOW - timedelta(days=14)),
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31 06:00", datetime(2026, 1, 31, 6, tzinfo=UTC)),
        ("2026-01-31T06:00+02:00", datetime(2026, 1, 31, 4, tzinfo=UTC)),
    ],
)
def test_moments(given_text: str, meant: datetime) -> None:
    assert moment(given_text, before=NOW, option="--since") == meant


@given(st.text(max_size=12))
def test_any_text_is_a_moment_or_the_users_error(given_text: str) -> None:
    with suppress(UserError):
        assert moment(given_text, before=NOW, option="--since").utcoffset() == timedelta(0)


def test_a_file_that_grew_is_told_of_the_real_device_too(
    weekly: Weekly, tmp_path: Path, out: Path
) -> None:
    kept = {
        histories.case(device, "detector", "fp32", "xnnpack").case_id
        for device in ("emulated-phone", "pi-5")
    }
    store = lab(tmp_path / "store.db", keep=lambda p: p if p.case_id in kept else None)
    assert weekly(store, "--until", UNTIL) == 1
    (project,) = json.loads((out / "weekly.json").read_text())["projects"]
    assert [(e["word"], e["spec"]["device"]) for e in project["worse"]] == [("BIGGER", "pi-5")]
    simulated = project["simulated"]["entries"]
    assert [(e["word"], e["spec"]["device"]) for e in simulated] == [("BIGGER", "emulated-phone")]


def test_reasons_of_lost_launches_are_counted_by_the_store(tmp_path: Path) -> None:
    run = store_records.run_record()
    case = store_records.planned(run)
    with open_store(tmp_path / "store.db", write=True) as store:
        store.begin_run(run, [case])
        for index, changes in enumerate(
            (
                {},
                {"taints": ("start temperature: 41.2 C, limit 38.0 C",)},
                {"taints": ("start temperature: 41.2 C, limit 38.0 C",)},
                {"outcome": Outcome.CRASHED, "measurement": None, "failure": Failure("crash", "")},
            )
        ):
            store.add_launch(store_records.launch_record(case, index, **changes))
        found = store.launch_outcomes([run.run_id])
        assert store.launch_outcomes(["another"]) == ()
    assert {(one.case_id, one.outcome, one.launches) for one in found} == {
        (case.case.case_id, Outcome.OK, 2),
        (case.case.case_id, Outcome.CRASHED, 1),
    }
