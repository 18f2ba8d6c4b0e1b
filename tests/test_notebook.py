"""examples/notebook: its cells run in order, and its outputs are of a real run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import store_records as make
from store_points import point

from bench.records import EvaluationRecord, Purpose, RunStatus
from bench.store import open_store
from bench.variants.packages import missing_packages

EXAMPLES = Path(__file__).parent.parent / "examples"
NOTEBOOK = EXAMPLES / "notebook" / "results.ipynb"


def notebook() -> dict[str, Any]:
    found = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def code_cells() -> list[str]:
    return ["".join(c["source"]) for c in notebook()["cells"] if c["cell_type"] == "code"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the cells run; figures are drawn and not shown."""
    import matplotlib.pyplot as plt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plt, "show", lambda: None)
    yield tmp_path
    plt.close("all")


def run_cells() -> dict[str, Any]:
    names: dict[str, Any] = {}
    for cell in code_cells():
        exec(compile(cell, str(NOTEBOOK), "exec"), names)
    return names


def test_the_cells_run_in_order(folder: Path) -> None:
    import numpy as np

    run = make.run_record()
    cases = [make.planned(run, variant) for variant in ("fp32", "int8")]
    with open_store(folder / "results.db", write=True) as store:
        store.begin_run(run, cases)
        for case in cases:
            for index in range(3):
                taints = ("other load: 1.2 of a core, limit 0.10",) if index == 1 else ()
                store.add_launch(make.launch_record(case, index, taints=taints))
            store.add_check(make.check_record(case, Purpose.PROFILE))
            store.add_evaluation(
                EvaluationRecord(
                    *(run.run_id, "cnn", case.case.variant, "none", "top1", 1.0, None),
                    *(np.ones((9, 1)), "h", {}),
                )
            )
        store.finish_run(run.run_id, RunStatus.FINISHED, make.START)
        store.add_points(run.run_id, [point(case) for case in cases])
    names = run_cells()
    assert list(names["fastest"]) == [1000.0, 1000.0]
    assert len(names["launches"]) == 6
    assert isinstance(names["samples"], pd.DataFrame)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.xdist_group("tf")
@pytest.mark.skipif(bool(missing_packages(["fp32"])), reason="needs the extra edgebench[convert]")
def test_the_store_is_made_as_its_readme_says(folder: Path) -> None:
    """But for two rounds in place of six."""
    make_py = (EXAMPLES / "delegates" / "make.py").read_text(encoding="utf-8")
    (folder / "delegates").mkdir()
    (folder / "delegates" / "make.py").write_text(make_py)
    plan = (EXAMPLES / "notebook" / "edgebench.toml").read_text(encoding="utf-8")
    assert "rounds = 6\n" in plan
    (folder / "notebook").mkdir()
    path = folder / "notebook" / "edgebench.toml"
    path.write_text(plan.replace("rounds = 6\n", "rounds = 2\n"))
    subprocess.run([sys.executable, str(folder / "delegates" / "make.py")], check=True)
    words = ["run", str(path), "--store", str(folder / "results.db")]
    command = [sys.executable, "-P", "-c", "from bench.cli.main import entry; entry()", *words]
    ran = subprocess.run(command, env=os.environ, capture_output=True, text=True, check=False)
    # 1 where the answers of random weights fail a gate, 3 without a clean launch.
    assert ran.returncode in (0, 1, 3), ran.stderr[-2000:]
    names = run_cells()
    assert len(names["cases"]) == 4
    assert not names["samples"].empty
    assert not names["ops"].empty


def test_its_outputs_are_of_a_real_run_and_of_no_machine() -> None:
    found = notebook()
    assert (found["nbformat"], found["nbformat_minor"] >= 5) == (4, True)
    cells = found["cells"]
    assert len({cell["id"] for cell in cells}) == len(cells)
    counts = [cell["execution_count"] for cell in cells if cell["cell_type"] == "code"]
    assert counts == list(range(1, len(counts) + 1))
    outputs = [out for cell in cells for out in cell.get("outputs", [])]
    assert {out["output_type"] for out in outputs} <= {"execute_result", "display_data"}
    assert len(outputs) == len(counts)
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert len(text) < 200_000
    for path in ("/home/", "/root", "/tmp", "/work"):
        assert path not in text
