"""`edgebench compare`, `run --against` and `history --confirm` as a user runs them."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from analysis import around, matrix, rounds, run_data, variant_record
from models import conv_model, write_model
from pairs_runs import RUN_A, RUN_B, ab_run, stored
from records import NOW, case
from test_end_to_end import environment

from bench.cli import confirm as confirm_module
from bench.cli.main import main
from bench.config import MeasureConfig, ModelConfig, PlanConfig
from bench.errors import UserError
from bench.identity import Case, before, named_before
from bench.plan import Plan, expand
from bench.records import RunData
from bench.store import open_store
from reports.history.gather import gather
from reports.history.model import Finding, SeriesHistory, Standing, Word
from reports.pairs.model import PairWord


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two runs of fp32 and int8, and then an A/B run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGEBENCH_STORE", str(tmp_path / "runs.db"))
    first = run_data(matrix({"fp32": 1000, "int8": 500}), run_id=RUN_A)
    second = run_data(matrix({"fp32": 1010, "int8": 500}), run_id=RUN_B)
    both = ab_run(1.2, run_id="01939f3c-2222-7000-8000-000000000000")
    return stored(tmp_path / "runs.db", first, second, both)


def words(out: str) -> list[str]:
    return [pair["word"] for pair in json.loads(out)["pairs"]]


# --- compare -------------------------------------------------------------------------------


def test_two_runs_are_unpaired_and_fail_no_gate(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", RUN_A[:12], RUN_B, "--gate"]) == 0
    out = capsys.readouterr().out
    assert "2 cases: 2 UNCLEAR, unpaired" in out
    assert "run 01939f3b-1111 against run 01939f3a-0000" in out


def test_two_variants_of_a_run_and_one_that_only_one_side_names(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", f"{RUN_A}:variant=fp32", "variant=int8", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [p["word"] for p in document["pairs"]] == ["FASTER"]
    assert (document["a"]["label"], document["b"]["label"]) == ("fp32", "int8")
    assert document["a"]["run_id"] == document["b"]["run_id"] == RUN_A
    assert document["differing"] == ["variant"]
    assert main(["compare", f"{RUN_A}:variant=fp32", RUN_B, "--json"]) == 0
    assert words(capsys.readouterr().out) == ["UNCLEAR"]
    assert main(["compare", f"{RUN_A}:variant=int8", "variant=fp32", "--gate"]) == 1


def test_an_ab_run_alone_is_its_two_sides(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "latest", "--gate"]) == 1
    out = capsys.readouterr().out
    assert "1 case: 1 SLOWER" in out
    assert "m @ 01939f3a-0000" in out


def test_a_run_against_one_that_measured_its_files_again_is_paired(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", RUN_A, "latest"]) == 0
    out = capsys.readouterr().out
    assert "SLOWER" in out
    assert "the rounds are common" in " ".join(out.split())
    # Another run has nothing to do with it.
    assert main(["compare", RUN_B, "latest", "--json"]) == 0
    assert words(capsys.readouterr().out) == ["UNCLEAR", "MISSING"]


def test_files_are_written(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["compare", "latest", "--csv", "a.csv", "--markdown", "b/a.md", "--html", "a.html"]
    assert main(command) == 0
    (line,) = csv.DictReader(io.StringIO(Path("a.csv").read_text()))
    assert line["word"] == "SLOWER"
    assert "**SLOWER**" in Path("b/a.md").read_text()
    assert "SLOWER" in Path("a.html").read_text()
    capsys.readouterr()
    Path("folder").mkdir()
    assert main(["compare", "latest", "--csv", "folder/x/../.."]) == 2


@pytest.mark.parametrize(
    ("sides", "why"),
    [
        (["latest~9"], "has 3 runs"),
        (["baseline", "latest"], "edgebench baseline"),
        ([RUN_A], "are the same cases of run 01939f3a-0000"),
        (["latest", "variant=fp16"], "no case with variant=fp16"),
        (["nonsense", "latest"], "no run begins with"),
        (["speed=2", "latest"], "unknown filter"),
    ],
)
def test_bad_sides_are_one_line(
    place: Path, capsys: pytest.CaptureFixture[str], sides: list[str], why: str
) -> None:
    assert main(["compare", *sides]) == 2
    error = capsys.readouterr().err
    assert why in error
    assert error.strip().count("\n") == 0


def test_a_store_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "latest", "--store", str(tmp_path / "none.db")]) == 3
    assert "there is no store" in capsys.readouterr().err


# --- history --confirm ---------------------------------------------------------------------


class Past:
    """Ten runs of one file, and then four of another that takes 10 % longer."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "runs.db"
        self.of = case("fp32")
        self.digests = [
            hashlib.sha256(content).hexdigest() for content in (b"old model", b"new model")
        ]
        for name, content in (("old", b"old model"), ("new", b"new model")):
            (folder / f"{name}.tflite").write_bytes(content)
        plan = PlanConfig(
            project="p",
            out=".",
            model=(ModelConfig(name="m", files={"fp32": "new.tflite"}),),
            measure=MeasureConfig(threads=(1, 2), delegates=("none", "xnnpack"), rounds=9),
        )
        runs = [self.run(number, plan) for number in range(14)]
        stored(self.store, *runs)

    def run(self, number: int, plan: PlanConfig) -> RunData:
        new = number >= 10
        name, digest = ("new", self.digests[1]) if new else ("old", self.digests[0])
        us = around(1000.0, 14, spread=0.004, seed=1)[number] * (1.1 if new else 1.0)
        launches = [
            replace(x, environment={"model_sha256": digest, "runner": "invoke_loop"})
            for x in rounds(self.of, around(us))
        ]
        made = variant_record("fp32", path=f"{name}.tflite", sha256=digest)
        return run_data(
            {self.of: launches},
            made=[made],
            of=plan,
            run_id=f"{number:08x}-0000-7000-8000-000000000000",
            root=str(self.folder),
        )

    def finding(self) -> tuple[SeriesHistory, Finding]:
        with open_store(self.store, write=False) as store:
            history = gather(store, "p")
        (found,) = [f for f in history.findings if f.word is Word.SLOWER]
        return history.series[0], found

    def measure(self, plan: Plan, ratio: float, now_us: float) -> None:
        """What a run of that plan would leave."""
        rng = np.random.default_rng(5)
        digests = {"m": self.digests[1]}
        launches = {}
        for one in expand(plan):
            old = before(one.model) is not None
            digest = digests.get(one.model, self.digests[0])
            us = now_us / ratio if old else now_us
            values = [float(us * np.exp(e)) for e in rng.normal(0, 0.002, 6)]
            launches[one] = [
                replace(x, environment={"model_sha256": digest, "runner": "invoke_loop"})
                for x in rounds(one, values)
            ]
        made = [
            variant_record("fp32", model=name, sha256=digests.get(name, self.digests[0]))
            for name in dict.fromkeys(one.model for one in launches)
        ]
        stored(
            self.store,
            run_data(
                launches,
                made=made,
                of=plan.config,
                run_id="000000ff-0000-7000-8000-000000000000",
                started_utc=NOW + timedelta(hours=20),
            ),
        )


@pytest.fixture
def past(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Past:
    monkeypatch.setenv("EDGEBENCH_KEPT", str(tmp_path / "kept"))
    return Past(tmp_path)


def confirmed(
    past: Past, monkeypatch: pytest.MonkeyPatch, ratio: float, now_us: float
) -> tuple[int, Plan]:
    plans: list[Plan] = []

    def execute(plan: Plan, store_path: Path, **options: Any) -> int:
        assert options["report"] is False
        plans.append(plan)
        past.measure(plan, ratio, now_us)
        return 0

    monkeypatch.setattr("bench.cli.run.execute", execute)
    series, found = past.finding()
    assert found.standing is Standing.SUSPECTED
    return confirm_module.confirm(past.store, series, found), plans[0]


def test_a_step_that_is_there_side_by_side_is_confirmed(
    past: Past, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, plan = confirmed(past, monkeypatch, 1.1, 1100.0)
    assert code == 1
    assert "CONFIRMED: " in capsys.readouterr().out
    # The two very files, this one case, 6 rounds and nothing else.
    measure = plan.config.measure
    assert (measure.rounds, measure.profile, measure.numerics) == (6, "off", "off")
    last_good = "00000009-0000-7000-8000-000000000000"
    assert [(c.model, c.threads, c.delegate.name) for c in expand(plan)] == [
        ("m", 1, "xnnpack"),
        (named_before("m", last_good), 1, "xnnpack"),
    ]
    contents = [Path(model.files["fp32"]).read_bytes() for model in plan.config.model]
    assert contents == [b"new model", b"old model"]
    assert case("fp32") in expand(plan)


def test_old_as_slow_as_new_is_the_device(
    past: Past, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _ = confirmed(past, monkeypatch, 1.0, 1100.0)
    assert code == 0
    assert "DEVICE: " in capsys.readouterr().out


def test_an_old_file_that_is_gone_leaves_it_suspected(
    past: Past, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    series, found = past.finding()
    (past.folder / "old.tflite").unlink()
    assert confirm_module.confirm(past.store, series, found) == 3
    out = " ".join(capsys.readouterr().out.split())
    assert past.digests[0][:12] in out
    assert "was not to be had any more; two further weeks decide" in out
    # The trial is stored, once, and is a run of nothing else.
    (_, again) = past.finding()
    assert again.standing is Standing.SUSPECTED
    assert confirm_module.confirm(past.store, series, again) == 3
    with open_store(past.store, write=False) as store:
        runs = store.runs("p")
        assert len(runs) == 15
        (trial,) = store.points(run_id=runs[0].run_id)
    assert past.digests[0][:12] in trial.reason


def test_todays_file_that_is_gone_says_nothing_of_the_old_one(past: Past) -> None:
    series, found = past.finding()
    (past.folder / "new.tflite").unlink()
    with pytest.raises(UserError, match="today's file is gone"):
        confirm_module.confirm(past.store, series, found)
    with open_store(past.store, write=False) as store:
        assert len(store.runs("p")) == 14


def test_nothing_suspected_is_nothing_to_confirm(past: Past) -> None:
    series, found = past.finding()
    with pytest.raises(UserError, match="nothing to confirm"):
        confirm_module.confirm(past.store, series, None)
    sure = replace(found, standing=Standing.CONFIRMED)
    assert confirm_module.confirm(past.store, series, sure) == 1


# --- run --against -------------------------------------------------------------------------


def edgebench(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    kept = {"EDGEBENCH_KEPT": str(folder / "kept")}
    return subprocess.run(
        [sys.executable, "-P", "-c", "from bench.cli.main import entry; entry()", *arguments],
        cwd=folder,
        env={**environment(folder), **kept},
        capture_output=True,
        text=True,
        timeout=400,
    )


PLAN = """
project = "e2e"
[[model]]
name = "small"
files = {{ fp32 = "{file}" }}
[measure]
threads = [1]
delegates = ["xnnpack"]
rounds = {rounds}
profile = "off"
numerics = "off"
"""


def written_plan(folder: Path, name: str, file: str, rounds: int) -> str:
    (folder / name).write_text(PLAN.format(file=file, rounds=rounds))
    return name


def pair_of(folder: Path) -> dict[str, Any]:
    done = edgebench(folder, "compare", "latest", "--json")
    assert done.returncode == 0, done.stderr
    (pair,) = json.loads(done.stdout)["pairs"]
    assert isinstance(pair, dict)
    return pair


def assert_word(pair: dict[str, Any], *expected: PairWord) -> None:
    """Other load on this machine may leave nothing to judge by, and never another verdict."""
    if not ("no clean launch" in pair["reason"] or "INVALID" in pair["reason"]):
        assert pair["word"] in expected, pair


@pytest.mark.slow
def test_a_slower_model_is_slower(tmp_path: Path) -> None:
    write_model(tmp_path / "fp32.tflite", conv_model(size=16, layers=3))
    write_model(tmp_path / "slower.tflite", conv_model(size=16, layers=6))
    first = written_plan(tmp_path, "first.toml", "fp32.tflite", 1)
    done = edgebench(tmp_path, "run", first)
    assert done.returncode in (0, 1, 3), done.stderr
    (kept,) = (tmp_path / "kept").iterdir()
    assert kept.name == hashlib.sha256((tmp_path / "fp32.tflite").read_bytes()).hexdigest()

    slower = written_plan(tmp_path, "slower.toml", "slower.tflite", 6)
    done = edgebench(tmp_path, "run", slower, "--against", "latest")
    assert done.returncode in (0, 1, 3), done.stderr
    assert "against the old files (small @ " in done.stdout
    pair = pair_of(tmp_path)
    assert_word(pair, PairWord.SLOWER, PairWord.UNCLEAR)
    assert pair["a"]["model_sha256"] == kept.name
    assert pair["b"]["model_sha256"] != kept.name


@pytest.mark.slow
def test_a_model_against_itself_is_never_changed(tmp_path: Path) -> None:
    write_model(tmp_path / "fp32.tflite", conv_model(size=16, layers=3))
    same = written_plan(tmp_path, "same.toml", "fp32.tflite", 6)
    done = edgebench(tmp_path, "run", same, "--against", "fp32.tflite")
    assert done.returncode in (0, 1, 3), done.stderr
    pair = pair_of(tmp_path)
    assert_word(pair, PairWord.SAME, PairWord.UNCLEAR)
    digest = hashlib.sha256((tmp_path / "fp32.tflite").read_bytes()).hexdigest()
    assert pair["a"]["model_sha256"] == pair["b"]["model_sha256"] == digest
    with open_store(tmp_path / "store.db", write=False) as store:
        newest = store.latest_run()
        assert newest is not None
        data = store.load(newest.run_id)
    orders: dict[int, list[Case]] = {}
    cases = {planned.case.case_id: planned.case for planned in data.cases}
    for launch in data.launches:
        orders.setdefault(launch.index, []).append(cases[launch.case_id])
    timed = [own for own in orders.values() if any(not c.is_sentinel for c in own)]
    assert all(len({c.model for c in own if not c.is_sentinel}) == 2 for own in timed)


def test_against_is_told_in_a_dry_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGEBENCH_STORE", str(tmp_path / "none.db"))
    write_model(tmp_path / "fp32.tflite", conv_model(size=16))
    plan = written_plan(tmp_path, "plan.toml", "fp32.tflite", 6)
    assert main(["run", plan, "--dry-run", "--against", "fp32.tflite"]) == 0
    assert main(["run", plan, "--dry-run", "--against", "latest"]) == 3
    assert main(["run", plan, "--dry-run", "--against-python", os.devnull]) == 2
    assert main(["run", plan, "--dry-run", "--against", "old.toml"]) == 3
