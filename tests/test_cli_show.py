"""`edgebench show --evidence` and `report --junit` on a stored run."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
from analysis import around, check, measured, run_data, samples
from comparisons import numerics
from records import RUN_ID, case

from bench.cli.main import main
from bench.delegation.model import Coverage, Delegation, Evidence, EvidenceSource, Refusal
from bench.records import Purpose, RunStatus
from bench.store import open_store

XNNPACK, GPU = case("fp32"), case("fp32", "gpu")
PARTIAL = Delegation(
    "gpu",
    Coverage.PARTIAL,
    9,
    10,
    1,
    {"CAST": 1},
    (Evidence(EvidenceSource.MESSAGES, "9 will run on the \x1b[31mGPU.", Coverage.PARTIAL),),
    (Refusal("CAST", "not supported"),),
)


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run of two delegates, whose GPU gives wrong answers."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGEBENCH_STORE", str(tmp_path / "runs.db"))
    launches = {
        of: [
            measured(of, n, us, samples_ns=samples(us), warmup_ns=samples(us), count=200, **took)
            for n, us in enumerate(around(p50_us))
        ]
        for of, p50_us, took in (
            (XNNPACK, 1000.0, {}),
            (GPU, 400.0, {"delegation": PARTIAL}),
        )
    }
    data = run_data(launches, status=RunStatus.RUNNING)
    wrong = replace(numerics(0.9, nan=3), accuracy=None)
    with open_store(Path(os.environ["EDGEBENCH_STORE"]), write=True) as store:
        store.begin_run(data.run, data.cases)
        for variant in data.variants:
            store.add_variant(variant)
        for launch in data.launches:
            store.add_launch(launch)
        store.add_check(check(GPU, Purpose.NUMERICS, numerics=wrong))
        store.finish_run(RUN_ID, RunStatus.FINISHED, data.run.started_utc)
    return tmp_path


@pytest.mark.usefixtures("stored")
def test_evidence_is_printed_for_every_case_or_for_those_that_are_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["show", "--evidence"]) == 0
    everything = capsys.readouterr().out
    assert "fp32 · xnnpack" in everything
    assert "gpu PARTIAL: 9 of 10 nodes in 1 partition" in everything
    assert main(["show", RUN_ID[:8], "--evidence", "--delegate", "gpu", "--device", "local"]) == 0
    picked = capsys.readouterr().out
    assert "fp32 · xnnpack" not in picked
    assert r"9 will run on the \x1b[31mGPU." in picked
    assert "CAST: not supported" in picked
    assert "WRONG" in picked


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--evidence", "--delegate", "npu"], "no case with --delegate npu; it has delegates:"),
        (["--delegate", "gpu"], "--delegate picks evidence; add --evidence"),
        (["--evidence", "--json"], "leave --evidence out"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert said in err


def test_report_fails_on_wrong_answers_and_tells_ci(stored: Path) -> None:
    assert main(["report", "--junit", "gates.xml"]) == 1
    root = ET.fromstring((stored / "gates.xml").read_bytes())
    failed = [test for test in root.iter("testcase") if test.find("failure") is not None]
    assert [test.get("name") for test in failed] == ["numerics"]


@pytest.mark.usefixtures("stored")
def test_showing_a_run_brings_no_charts_and_no_statistics_along() -> None:
    """They take longer to import than the table to make."""
    code = (
        "import sys; from bench.cli.main import main; main(['show']); "
        "print(*sorted(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"matplotlib", "scipy.stats", "scipy.optimize"} & set(done.stderr.split())
