"""`edgebench history` and `edgebench baseline` on a stored past, as a user sees them."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import stored_past as past
from comparisons import HOSTILE
from rich.console import Console
from stored_past import case, fill, old_side, quiet, run_id, series, stepped, store

from bench.cli.main import main
from bench.points import Baseline, BaselineKind, Point, PointState
from bench.store import open_store
from reports.history.gather import gather
from reports.render.history_terminal import HistoryScreen, SeriesScreen, trend, with_findings_first

GOLDEN = Path(__file__).parent / "golden" / "history"
GPU, PLAIN, NNAPI = case(), case(delegate="none"), case(delegate="nnapi")
QUIET = [case(variant=v, delegate="xnnpack") for v in ("fp32", "fp16", "dynamic")]
BEFORE, AB = old_side(
    GPU,
    14,
    ratio=1.08,
    old_run=5,
    then={"runtime": "litert 2.3.0"},
    runtime="litert 2.3.0",
    model_sha256="c" * 64,
)
CASES = [GPU, PLAIN, NNAPI, *QUIET, BEFORE]


def a_past(*, side_by_side: bool = False) -> list[Point]:
    """A step with a new runtime, a fallback, a failure, and quiet cases."""
    fell = {
        "state": PointState.FELL_BACK,
        "reason": "nnapi took no node: what was measured is not nnapi",
        "p50_us": None,
        "coverage": "NONE",
        "delegated_nodes": 0,
    }
    nnapi = series(NNAPI, quiet(14, 3000.0, seed=4))
    return [
        *stepped(GPU, runtime="litert 2.3.0", model_sha256="c" * 64),
        *series(PLAIN, quiet(13, 9000.0, seed=3)),
        past.point(PLAIN, 13, None),
        *nnapi[:12],
        *(replace(p, **fell) for p in nnapi[12:]),
        *(p for n, one in enumerate(QUIET) for p in series(one, quiet(14, 5000.0, seed=n))),
        *(AB if side_by_side else ()),
    ]


def screen(points: list[Point], width: int = 120, encoding: str = "utf-8", **where: Any) -> str:
    found = gather(store(points, CASES), past.PROJECT, **where)
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    console = Console(file=stream, width=width, legacy_windows=False)
    if where:
        console.print(SeriesScreen(found.series[0], found.findings, found.series[0].points))
    else:
        rows = with_findings_first(found.series, found.findings)
        console.print(HistoryScreen(found, rows, 0))
    stream.flush()
    return raw.getvalue().decode(encoding)


def shown(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("many.txt", {}),
        ("many-ascii.txt", {"encoding": "ascii", "width": 80}),
        ("one.txt", {"where": lambda c: c == GPU}),
    ],
)
def test_the_screens_are_as_they_were_looked_at(name: str, how: dict[str, Any]) -> None:
    assert shown(screen(a_past(side_by_side=True), **how)) == (GOLDEN / name).read_text()


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_numbers_are_whole_and_lines_fit_at_every_width(width: int) -> None:
    text = screen(a_past(), width)
    assert max(map(len, text.splitlines())) <= width
    for number in ("2.18 ms", "8.99 ms", "+8.2 %*"):
        assert number in text


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_data(name: str) -> None:
    odd = case(name, device=name)
    points = stepped(odd, runtime=name)
    for number, reason in ((12, name), (13, name)):
        points[number] = replace(points[number], state=PointState.FAILED, reason=reason)
    found = gather(store(points, [odd]), past.PROJECT)
    for made in (
        HistoryScreen(found, found.series, 0),
        SeriesScreen(found.series[0], found.findings, found.series[0].points),
    ):
        stream = io.StringIO()
        Console(file=stream, width=300, legacy_windows=False).print(made)
        assert "\x1b[2J" not in stream.getvalue()
        assert "\u202e" not in stream.getvalue()


def test_the_trend_shows_the_newest_runs_and_those_without_a_number() -> None:
    points = [*series(GPU, [1000.0] * 10), past.point(GPU, 10, None), past.point(GPU, 11, 1100.0)]
    (one,) = gather(store(points, [GPU]), past.PROJECT).series
    assert trend(one, ascii_only=False) == "▁▁▁▁▁▁▁▁▁▁x█"
    assert trend(one, ascii_only=True) == "__________x#"
    level = gather(store(series(GPU, [1000.0, 1001.0, 999.0]), [GPU]), past.PROJECT).series[0]
    assert set(trend(level, ascii_only=False)) <= {"▄", "▅"}


# --- the commands -------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEBENCH_STORE", str(tmp_path / "runs.db"))
    monkeypatch.setenv("EDGEBENCH_KEPT", str(tmp_path / "kept"))
    return fill(tmp_path / "runs.db", a_past(), CASES)


def test_charts_are_written_of_what_is_shown(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "charts"
    assert main(["history", "--charts", str(out)]) == 0
    assert f"Wrote 6 chart files into {out}" in capsys.readouterr().out
    assert (out / f"series-{GPU.case_id[:12]}.svg").exists()
    assert (out / f"series-{GPU.case_id[:12]}.png").read_bytes().startswith(b"\x89PNG")
    assert main(["history", "--json", "--charts", str(out)]) == 0
    json.loads(capsys.readouterr().out)
    (tmp_path / "file").write_text("")
    assert main(["history", "--charts", str(tmp_path / "file" / "below")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_only_what_needs_a_look_is_shown(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history"]) == 0
    out = capsys.readouterr().out
    assert "p: 6 cases, 3 to look at." in out
    assert "SLOWER (suspected)" in out
    assert f"edgebench history --confirm {GPU.case_id[:12]}" in out
    assert "fp16" not in out
    assert "3 quiet cases not shown" in out
    assert main(["history", "--all"]) == 0
    assert "fp16" in capsys.readouterr().out


def test_one_case_by_its_id_or_by_what_it_is(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["history", GPU.case_id[:8]]) == 0
    by_id = capsys.readouterr().out
    assert main(["history", "--delegate", "gpu"]) == 0
    assert capsys.readouterr().out == by_id
    assert f"case {GPU.case_id}" in by_id
    assert "STEP: 8." in by_id


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["zzzz"], "no case begins with 'zzzz'"),
        ([""], "7 cases begin with ''"),
        (["--model", "other"], "no case with --model other; models: m"),
        (["--project", "nobody"], "holds no run of project 'nobody'"),
        (["--since", "soon"], "--since 'soon' is no moment"),
        (["--confirm"], "--confirm needs the case"),
        (["--confirm", "--variant", "int8"], "--confirm takes one case, and 3 are left"),
    ],
)
def test_bad_input_is_one_line(
    place: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["history", *arguments]) == 2
    error = capsys.readouterr().err
    assert message.replace("7 cases", "6 cases") in error
    assert error.count("\n") == 1


def test_json_holds_the_same(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "edgebench-history/1"
    assert len(document["series"]) == 6
    words = {found["word"]: found for found in document["findings"]}
    assert set(words) == {"SLOWER", "FELL BACK", "FAILED"}
    assert words["SLOWER"]["standing"] == "suspected"
    assert words["SLOWER"]["ratio"] > 1.05
    assert [c["what"] for c in words["SLOWER"]["provenance"]] == ["model", "runtime"]
    (one,) = [s for s in document["series"] if s["case_id"] == GPU.case_id]
    assert len(one["points"]) == 14
    assert one["steps"][0]["first_bad_run_id"] == run_id(10)


def test_since_leaves_out_what_began_before(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    since = f"{past.week(11):%Y-%m-%d}"
    assert main(["history", "--json", "--since", since]) == 0
    found = json.loads(capsys.readouterr().out)["findings"]
    assert {one["word"] for one in found} == {"FELL BACK", "FAILED"}


def test_a_gate_fails_by_what_is_certain_and_not_by_a_suspicion(tmp_path: Path) -> None:
    certain = fill(tmp_path / "a.db", a_past(), CASES)
    assert main(["history", "--gate", "--store", str(certain)]) == 1
    assert main(["history", "--store", str(certain)]) == 0
    suspected = fill(tmp_path / "b.db", stepped(GPU), CASES)
    assert main(["history", "--gate", "--store", str(suspected)]) == 0
    confirmed = fill(tmp_path / "c.db", [*stepped(GPU), *AB], CASES)
    assert main(["history", "--gate", "--store", str(confirmed)]) == 1
    simulated = [replace(p, simulated=True) for p in (*stepped(GPU), *AB)]
    assert (
        main(["history", "--gate", "--store", str(fill(tmp_path / "d.db", simulated, CASES))]) == 0
    )


def test_quiet_is_said_only_of_what_could_have_been_loud(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def printed(name: str, points: list[Point], *arguments: str) -> str:
        store_path = fill(tmp_path / f"{name}.db", points, CASES)
        assert main(["history", "--store", str(store_path), *arguments]) == 0
        return " ".join(capsys.readouterr().out.split())

    one = printed("one", [past.point(GPU, 0)])
    assert "no second run yet" in one
    assert "nothing that needs" not in one
    # It was never otherwise, so that nothing became of it; well it is not.
    failing = [past.point(GPU, n, None) for n in range(6)]
    never = printed("never", [*failing, *series(PLAIN, quiet(6))])
    assert "1 other case has no good number in the newest run" in never
    assert "nothing that began since 2030-01-01" in printed(
        "later", failing, "--since", "2030-01-01"
    )


def test_reading_writes_nothing(place: Path) -> None:
    before = place.read_bytes()
    assert main(["history"]) == 0
    assert main(["baseline", "list"]) == 0
    assert place.read_bytes() == before


def test_a_run_is_pinned_and_held_against_and_unpinned(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def against() -> str:
        capsys.readouterr()
        assert main(["history", "--json", GPU.case_id[:8]]) == 0
        return str(json.loads(capsys.readouterr().out)["series"][0]["against"]["what"])

    assert against() == "the 8 runs before"
    # The recorded plans of these runs are no plans: nothing can be kept, and it is said.
    with open_store(place, write=True) as opened:
        for number, kind, name in (
            (3, BaselineKind.RELEASE, "1.0"),
            (2, BaselineKind.PINNED, ""),
        ):
            opened.add_baseline(
                Baseline(past.PROJECT, kind, name, run_id(number), past.week(20 + number))
            )
    assert against() == f"pinned run {run_id(2)[:13]}"
    assert main(["baseline", "list"]) == 0
    assert capsys.readouterr().out == (
        f"pinned: run {run_id(2)} of 2026-01-19\n"
        f"release 1.0: run {run_id(3)} of 2026-01-26; does not count while another one does\n"
    )
    assert main(["baseline", "unpin"]) == 0
    assert against() == "release 1.0"
    assert main(["baseline", "unpin", "--release", "1.0"]) == 0
    assert against() == "the 8 runs before"
    assert main(["baseline", "list"]) == 0
    assert capsys.readouterr().out == "p: no baseline; the eight runs before are what is usual.\n"
    assert main(["baseline", "pin", run_id(2)]) == 2, "its plan cannot be read"
    assert against() == "the 8 runs before"
    assert main(["baseline", "unpin"]) == 2
    assert "no run is pinned" in capsys.readouterr().err
