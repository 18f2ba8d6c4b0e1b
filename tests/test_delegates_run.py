"""examples/delegates as a user runs it: who ran which op, whether the answers are right."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from vulkan import swiftshader

from bench.delegation.model import Coverage, EvidenceSource
from bench.numerics.model import NumericsWord
from bench.records import Outcome
from bench.store import open_store
from bench.variants.packages import missing_packages
from reports.compare import compare

EXAMPLE = Path(__file__).parent.parent / "examples" / "delegates"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("tf"),
    pytest.mark.skipif(
        bool(missing_packages(["fp32"])), reason="needs the extra edgebench[convert]"
    ),
]


GPU = swiftshader()


def edgebench(*words: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-c", "from bench.cli.main import entry; entry()", *words]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


@pytest.mark.skipif(GPU is None, reason="needs a Vulkan driver: that of chromium (SwiftShader)")
def test_plain_kernels_xnnpack_and_a_gpu_that_is_none(tmp_path: Path) -> None:
    plan = tmp_path / "edgebench.toml"
    text = (EXAMPLE / "edgebench.toml").read_text()
    plan.write_text(text + "\nrounds = 1\ndevice_accuracy = 16\n")
    shutil.copy(EXAMPLE / "make.py", tmp_path)
    env = {**os.environ, **(GPU or {})}
    subprocess.run([sys.executable, str(tmp_path / "make.py")], env=env, check=True)
    store = tmp_path / "store.sqlite"
    ran = edgebench("run", str(plan), "--store", str(store), env=env)
    # Never 0: no number stands under the GPU's name, and a model with random weights may
    # fail the gate on accuracy.
    assert ran.returncode in (1, 3), ran.stderr[-2000:]
    with open_store(store, write=False) as opened:
        run = opened.latest_run()
        assert run is not None
        data = opened.load(run.run_id)
    rows = {(r.case.variant, r.case.delegate.name): r for r in compare(data).rows}
    assert len(rows) == 9
    for (variant, delegate), row in rows.items():
        found = row.delegation
        assert found is not None
        if delegate == "gpu":
            assert found.verdict is Coverage.NONE
            assert any(e.source is EvidenceSource.DEVICE for e in found.evidence)
            assert row.p50_us is None
            continue
        expected = Coverage.FULL if variant == "fp32" else Coverage.PARTIAL
        assert found.verdict is (Coverage.NONE if delegate == "none" else expected)
        # Other tests may run at the same time.
        assert row.p50_us is not None or "no clean launch" in str(row.failure)
        assert row.numerics is not None, row.numerics_reason
        # Classes of random weights are nearly tied: integers may differ, and not be wrong.
        right = [NumericsWord.OK] if variant == "fp32" else [NumericsWord.OK, NumericsWord.DIFFERS]
        assert row.numerics.word in right, row.numerics.reasons
        assert row.answers is not None
        assert row.answers.accuracy is not None
        assert row.answers.accuracy.samples == 16
    assert rows["int8", "xnnpack"].delegation.fallback_ops == {"SOFTMAX": 1}
    assert set(rows["dynamic", "xnnpack"].delegation.fallback_ops) == {"DEPTHWISE_CONV_2D"}
    profiles = [check for check in data.checks if check.profile is not None]
    assert len(profiles) == 6
    for check in profiles:
        assert check.outcome is Outcome.OK
        assert check.profile is not None
        (table,) = check.profile.regular
        total_us = sum(row.avg_us or 0 for row in table.rows)
        assert total_us == pytest.approx(check.profile.invoke_us, rel=0.05)
    shown = edgebench("show", run.run_id, "--evidence", "--store", str(store), env=env)
    assert "SwiftShader" in shown.stdout
    explained = edgebench(
        *("profile", "--store", str(store), "--variant", "dynamic", "--against", "fp32"),
        *("--delegate", "xnnpack", "--json"),
        env=env,
    )
    assert explained.returncode == 0, explained.stderr
    assert "DEPTHWISE_CONV_2D stayed on plain kernels" in explained.stdout
    assert json.loads(explained.stdout)["schema"] == "edgebench-profile/1"
