"""The command as a user runs it, on real models, with real inference, in a fresh folder."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from models import conv_model, flex_model, int8_model, write_model

from bench.records import Outcome, Purpose
from bench.store import open_store

PLAN = """
project = "e2e"

[[model]]
name = "small"
files = {{ fp32 = "fp32.tflite"{more} }}
holdout = "holdout.npz"

[measure]
threads = [1]
rounds = {rounds}
profile = "{checks}"
numerics = "{checks}"
{measure}
"""


def write_plan(
    folder: Path, *, rounds: int = 1, more: str = "", measure: str = "", checks: str = "off"
) -> Path:
    """A plan on a model of 16x16 images with 10 classes and a holdout of 40.

    Args:
        checks: "once" for the launches beside the timed ones.
    """
    write_model(folder / "fp32.tflite", conv_model(size=16, classes=10))
    rng = np.random.default_rng(0)
    np.savez(
        folder / "holdout.npz",
        x=rng.random((40, 16, 16, 1), dtype=np.float32),
        y=rng.integers(0, 10, 40),
    )
    path = folder / "edgebench.toml"
    path.write_text(PLAN.format(rounds=rounds, more=more, measure=measure, checks=checks))
    return path


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "HOME": str(folder / "home"), "EDGEBENCH_STORE": str(folder / "store.db")}


def edgebench(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-c", "from bench.cli.main import entry; entry()", *arguments],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=240,
    )


def shown(folder: Path) -> dict[str, Any]:
    done = edgebench(folder, "show", "--json")
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def assert_measured(folder: Path, code: int, said: str = "") -> None:
    """The run says 0, or 1 where a gate failed; 3 only where other load left no clean launch."""
    if code == 3:
        failures = [case["failure"] for case in shown(folder)["cases"] if case["failure"]]
        assert failures, said
        assert all("no clean launch" in failure for failure in failures), failures
    else:
        assert code in (0, 1), said


@pytest.mark.slow
def test_run_show_report(tmp_path: Path) -> None:
    path = write_plan(tmp_path, rounds=4, checks="once")
    done = edgebench(tmp_path, "run", str(path))
    assert_measured(tmp_path, done.returncode, done.stderr)
    assert "8 launches, and 4 more for profiles and answers" in done.stderr
    assert "report.html" in done.stdout

    document = shown(tmp_path)
    assert [(c["variant"], c["delegate"], c["threads"]) for c in document["cases"]] == [
        ("fp32", "none", 1),
        ("fp32", "xnnpack", 1),
    ]
    for case in document["cases"]:
        assert case["launches_made"] >= 4
        assert case["size_bytes"] == (tmp_path / "fp32.tflite").stat().st_size
        assert 0 <= case["accuracy"] <= 1
        assert case["verdicts"]["delegation"]["as_requested"] is True
        if case["launches"]:
            assert case["p50_us"] > 0
            assert case["samples"] >= 100 * case["launches"]
    coverage = [c["verdicts"]["delegation"]["verdict"] for c in document["cases"]]
    assert coverage[0] == "NONE"
    assert coverage[1] in ("FULL", "PARTIAL")

    with open_store(tmp_path / "store.db", write=False) as store:
        checks = store.load(document["run"]["run_id"]).checks
    made = {(check.case_id, check.purpose) for check in checks}
    assert len(checks) == len(made) == 2 * len(document["cases"])
    for check in checks:
        assert check.outcome in (Outcome.OK, Outcome.NOT_MADE), check.failure
        if check.purpose is Purpose.NUMERICS:
            assert check.numerics is not None
            assert check.numerics.outputs[0].nan == 0
            assert check.numerics.samples == 8

    done = edgebench(tmp_path, "report", "--out", "again", "--charts")
    assert done.returncode in (0, 1), done.stderr
    names = {p.suffix for p in (tmp_path / "again").iterdir()}
    assert {".html", ".md", ".csv", ".json", ".svg", ".png"} <= names


def test_a_model_that_cannot_run_is_a_row_with_its_reason(tmp_path: Path) -> None:
    write_model(tmp_path / "flex.tflite", flex_model())
    write_model(tmp_path / "int8.tflite", int8_model())
    path = write_plan(tmp_path, more=', fp16 = "flex.tflite"', measure='delegates = ["xnnpack"]')
    done = edgebench(tmp_path, "run", str(path))
    assert done.returncode in (1, 3), done.stderr
    cases = {c["variant"]: c for c in shown(tmp_path)["cases"]}
    assert cases["fp16"]["p50_us"] is None
    assert "Flex" in cases["fp16"]["failure"]
    # Other load may leave no clean launch, which is said; it ran all the same.
    assert "no clean launch" in (cases["fp32"]["failure"] or "no clean launch")
    assert cases["fp32"]["launches_made"] >= 1


@pytest.mark.parametrize(
    "stop",
    [
        # As a terminal does it: the whole foreground group gets the signal.
        pytest.param(lambda p: os.killpg(p.pid, signal.SIGINT), id="ctrl-c"),
        pytest.param(lambda p: p.terminate(), id="sigterm", marks=pytest.mark.slow),
    ],
)
def test_an_interruption_keeps_what_was_measured_and_resume_completes_it(
    tmp_path: Path, stop: Callable[[subprocess.Popen[str]], None]
) -> None:
    path = write_plan(tmp_path, rounds=3)
    process = started(tmp_path, "run", str(path))
    try:
        wait_for_launches(tmp_path / "store.db", 2, process)
        stop(process)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert "all of them are kept" in err
    assert "--resume" in err
    before = rows(tmp_path / "store.db")
    assert 2 <= len(before) < 6
    assert not left_over(tmp_path)
    assert not processes_of(tmp_path)

    done = edgebench(tmp_path, "run", str(path), "--resume")
    assert_measured(tmp_path, done.returncode, done.stderr)
    after = rows(tmp_path / "store.db")
    assert set(before) <= set(after)
    assert {(case, index) for _, case, index, _ in after} == {
        (case, index) for case in {c for _, c, _, _ in after} for index in range(3)
    }
    assert len({identifier for identifier, *_ in after}) == len(after)
    assert shown(tmp_path)["run"]["status"] == "finished"
    assert "no unfinished run" in edgebench(tmp_path, "run", str(path), "--resume").stderr


KILLS = 20
# What the plan asked for; how often the sentinel is taken depends on the interruptions.
LAUNCHES = "launch JOIN \"case\" USING (case_id) WHERE model != 'edgebench sentinel'"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_controller_killed_at_any_moment_loses_and_doubles_nothing(tmp_path: Path) -> None:
    path = write_plan(tmp_path, rounds=12, measure='delegates = ["xnnpack"]', checks="once")
    rng = random.Random(0)
    known: set[tuple[str, str, int, int]] = set()
    for _ in range(KILLS):
        process = started(tmp_path, "run", str(path), *(["--resume"] * unfinished(tmp_path)))
        try:
            process.communicate(timeout=rng.uniform(0.2, 8))
        except subprocess.TimeoutExpired:
            # The controller alone, with nothing said to what it has started.
            process.kill()
            process.communicate()
        else:
            assert_measured(tmp_path, process.returncode)
        now = set(rows(tmp_path / "store.db")) if unfinished(tmp_path) else known
        assert known <= now
        known = now
    done = edgebench(tmp_path, "run", str(path), *(["--resume"] * unfinished(tmp_path)))
    assert_measured(tmp_path, done.returncode, done.stderr)
    assert not unfinished(tmp_path)

    with sqlite3.connect(f"file:{tmp_path / 'store.db'}?mode=ro", uri=True) as store:
        launches = store.execute(
            f"SELECT run_id, case_id, round_index, attempt FROM {LAUNCHES}"
        ).fetchall()
        runs = [run for (run,) in store.execute("SELECT run_id FROM run")]
        checks = store.execute("SELECT run_id, purpose, attempt FROM check_launch").fetchall()
    assert known <= set(rows(tmp_path / "store.db"))
    assert len(set(launches)) == len(launches)
    for run in runs:
        assert {index for of, _, index, _ in launches if of == run} == set(range(12))
        first = sorted(purpose for of, purpose, attempt in checks if of == run and attempt == 0)
        assert first == ["numerics", "profile"]
    assert not left_over(tmp_path)
    assert not processes_of(tmp_path)


def test_a_run_that_bad_input_stopped_is_shown_and_can_be_resumed(tmp_path: Path) -> None:
    path = write_plan(tmp_path, measure='delegates = ["xnnpack"]')
    good = (tmp_path / "holdout.npz").read_bytes()
    (tmp_path / "holdout.npz").write_bytes(b"PK not an archive")
    assert edgebench(tmp_path, "run", str(path)).returncode == 2
    document = shown(tmp_path)
    assert document["run"]["status"] == "interrupted"
    assert [case["p50_us"] for case in document["cases"]] == [None]
    done = edgebench(tmp_path, "show")
    assert done.returncode == 0, done.stderr

    (tmp_path / "holdout.npz").write_bytes(good)
    done = edgebench(tmp_path, "run", str(path), "--resume")
    assert_measured(tmp_path, done.returncode, done.stderr)
    finished = shown(tmp_path)
    assert finished["run"]["run_id"] == document["run"]["run_id"]
    assert finished["run"]["status"] == "finished"
    assert finished["cases"][0]["launches_made"] >= 1


@pytest.mark.slow
def test_a_run_is_not_resumed_with_another_holdout(tmp_path: Path) -> None:
    path = write_plan(tmp_path, rounds=3)
    process = started(tmp_path, "run", str(path))
    try:
        wait_for_launches(tmp_path / "store.db", 1, process)
    finally:
        process.kill()
        process.communicate()
    with np.load(tmp_path / "holdout.npz") as arrays:
        np.savez(tmp_path / "holdout.npz", x=1 - arrays["x"], y=arrays["y"])
    done = edgebench(tmp_path, "run", str(path), "--resume")
    assert done.returncode == 2, done.stderr
    assert "holdout.npz has changed" in done.stderr
    # What it left on the device is ended there and stays for whoever resumes it: the holdout
    # may come back. The next run leaves nothing of its own.
    done = edgebench(tmp_path, "run", str(path))
    assert_measured(tmp_path, done.returncode, done.stderr)
    with open_store(tmp_path / "store.db", write=False) as store:
        newest = store.load(store.runs()[0].run_id)
    assert not {path.name for path in left_over(tmp_path)} & {
        *(record.launch_id for record in newest.launches),
        *(record.launch_id for record in newest.checks),
    }
    assert not list(tmp_path.rglob(".tmp-*"))
    assert not processes_of(tmp_path)


def started(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    # Tests that a shell runs in the background inherit that Ctrl-C is ignored.
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from bench.cli.main import entry; entry()"
    )
    return subprocess.Popen(
        [sys.executable, "-P", "-c", program, *arguments],
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def unfinished(folder: Path) -> bool:
    """Whether the store of a folder holds a run that is not finished."""
    try:
        with sqlite3.connect(f"file:{folder / 'store.db'}?mode=ro", uri=True) as store:
            return bool(store.execute("SELECT 1 FROM run WHERE status != 'finished'").fetchall())
    except sqlite3.Error:
        return False


def left_over(folder: Path) -> list[Path]:
    """Run directories on the device, and temporary files."""
    return [*(folder / "home").rglob("runs/*"), *folder.rglob(".tmp-*")]


def processes_of(folder: Path) -> list[str]:
    """Command lines of living processes that have to do with a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            where = f"{(process / 'cwd').readlink()} {command}"
        except OSError:
            continue
        if str(folder) in where:
            found.append(where)
    return found


def wait_for_launches(store: Path, count: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if process.poll() is not None:
            pytest.fail(f"ended too early: {process.communicate()[1]}")
        try:
            if len(rows(store)) >= count:
                return
        except sqlite3.Error:
            pass
        time.sleep(0.05)
    pytest.fail("no launch within two minutes")


def rows(store: Path) -> list[tuple[str, str, int, int]]:
    connection = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
    try:
        return connection.execute(
            f"SELECT launch_id, case_id, round_index, attempt FROM {LAUNCHES} ORDER BY 1"
        ).fetchall()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("spoil", "part"),
    [
        (lambda f: (f / "fp32.tflite").write_bytes(b"not a model"), "fp32.tflite"),
        (
            lambda f: (f / "fp32.tflite").write_bytes((f / "fp32.tflite").read_bytes()[:900]),
            "fp32.tflite",
        ),
        (lambda f: (f / "holdout.npz").write_bytes(b"PK not an archive"), "holdout.npz"),
        (lambda f: np.savez(f / "holdout.npz", x=np.zeros((3, 16, 16, 1), "f4")), "`y`"),
        (
            lambda f: np.savez(
                f / "holdout.npz", x=np.full((3, 16, 16, 1), np.nan, "f4"), y=np.arange(3)
            ),
            "NaN",
        ),
        (
            lambda f: np.savez(f / "holdout.npz", x=np.ones((3, 8, 8, 1), "f4"), y=np.arange(3)),
            "shape",
        ),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(tmp_path: Path, spoil: Any, part: str) -> None:
    path = write_plan(tmp_path)
    spoil(tmp_path)
    done = edgebench(tmp_path, "run", str(path))
    assert done.returncode == 2, done.stderr
    (line,) = [text for text in done.stderr.splitlines() if text.startswith("edgebench: ")]
    assert part in line
    assert "Traceback" not in done.stderr


def test_a_folder_with_packages_of_the_same_names_disturbs_nothing(tmp_path: Path) -> None:
    path = write_plan(tmp_path, measure='delegates = ["none"]')
    for name in ("bench", "devices", "reports", "numpy", "json"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('the wrong package')")
    done = edgebench(tmp_path, "run", str(path))
    assert_measured(tmp_path, done.returncode, done.stderr)
    assert shown(tmp_path)["cases"][0]["launches_made"] >= 1
