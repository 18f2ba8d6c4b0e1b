"""A whole diagnosis, from files to advice; workers, quantiser and launches are real."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diagnose_models import RELU6, WIDE, cliff_model, images
from models import write_model

from bench.config import PlanConfig
from bench.diagnose import latency
from bench.diagnose.activations import Runner
from bench.diagnose.diagnose import Request, diagnose
from bench.diagnose.making import CannotDiagnose, Made, QuantiserJob, Workshop
from bench.diagnose.outcome import Diagnosis, FindingKind, Verdict
from bench.errors import UserError
from bench.events import silent
from bench.planfile import parse_plan
from bench.records import Failure
from bench.tflite.facts import read_model
from devices.device import local_device

EXAMPLE = Path(__file__).parent.parent / "examples" / "accuracy_cliff"


def answers(data: bytes, x: np.ndarray) -> np.ndarray:
    runner = Runner(data)
    found = []
    for one in x:
        runner.run(one[None])
        found.append(int(runner.outputs()[0].argmax()))
    return np.array(found)


def write_cliff(folder: Path, scale: float, **model: Any) -> dict[str, Any]:
    """A float model, and a holdout that it answers rightly: 300 samples."""
    data = cliff_model(scale, **model)
    write_model(folder / "fp32.tflite", data)
    x = images(300, seed=1)
    np.savez(folder / "holdout.npz", x=x, y=answers(data, x))
    np.savez(folder / "calibration.npz", x=images(100, seed=2))
    return {
        "name": "cliff",
        "source": "fp32.tflite",
        "holdout": "holdout.npz",
        "calibration": "calibration.npz",
    }


def plan_of(model: dict[str, Any]) -> PlanConfig:
    return parse_plan({"project": "p", "out": "out", "model": [model]}, where="test")


def run(folder: Path, model: dict[str, Any], **changes: Any) -> Diagnosis:
    config = plan_of(model)
    request = Request(
        config=config,
        model=config.model[0],
        root=folder,
        out=folder / config.out,
        variant="int8",
        remedies=True,
        device=local_device(workdir=folder / "device"),
    )
    return diagnose(replace(request, **changes), emit=silent)


def rows(found: Diagnosis) -> dict[str, Verdict]:
    return {row.key: row.verdict for row in found.treatments}


@pytest.mark.slow
def test_outlier_channels_are_found_and_equalised_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latency, "ROUNDS", 1)
    found = run(tmp_path, write_cliff(tmp_path, 200.0))
    assert found.loss_shown
    assert found.first_fall == 1
    (finding,) = found.findings
    assert finding.kind is FindingKind.OUTLIER_CHANNELS
    assert {o.channel for o in found.analysis.layers[1].outliers} == set(WIDE)
    assert "equalised" in finding.supported_by
    verdicts = rows(found)
    assert verdicts["equalised"] is Verdict.RESTORES
    assert verdicts["recalibrated"] is verdicts["int8-qat"] is Verdict.NOT_APPLICABLE
    # Of a float .tflite the variant itself is made by the same quantiser: the same file.
    assert "requantised" not in verdicts
    assert found.recommended is not None

    folder = tmp_path / "out" / "diagnosis" / "cliff"
    kept = {path.stem for path in folder.glob("*.tflite")}
    assert kept == {row.key for row in found.treatments[2:] if row.accuracy is not None}
    assert not list(folder.glob(".tmp-*"))
    equalised = next(row for row in found.treatments if row.key == "equalised")
    assert equalised.latency is not None
    assert (tmp_path / "out" / str(equalised.path)).stat().st_size == equalised.size_bytes
    told = json.loads((folder / "equalised.json").read_text())
    assert told["remedy"]["facts"]["equalisation"]["max_difference"] < 1e-4
    assert told["remedy"]["sha256"] == equalised.sha256
    assert told["made_of"]["fp32"]["sha256"]


def test_no_loss_tries_nothing(tmp_path: Path) -> None:
    found = run(tmp_path, write_cliff(tmp_path, 1.0))
    assert not found.loss_shown
    assert len(found.treatments) == 2
    assert len(found.analysis.layers) > 5
    assert found.recommended is None


def test_what_is_in_train_and_holdout_is_said(tmp_path: Path) -> None:
    model = write_cliff(tmp_path, 1.0)
    x = np.load(tmp_path / "holdout.npz")["x"]
    np.savez(tmp_path / "train.npz", x=np.concatenate([x[:7], images(20, seed=9)]))
    found = run(tmp_path, {**model, "train": "train.npz"})
    assert found.analysis.trained_on == 7
    assert any("7 samples of the holdout are in train" in text for text in found.remarks)


def test_another_models_int8_is_not_explained(tmp_path: Path) -> None:
    model = write_cliff(tmp_path, 200.0)
    other = run(tmp_path, model, remedies=False)
    shutil.copy(tmp_path / "out" / str(other.untreated.path), tmp_path / "other.tflite")
    again = write_cliff(tmp_path, 1.0, seed=4)
    del again["source"]
    files = {"fp32": "fp32.tflite", "int8": "other.tflite"}
    found = run(tmp_path, {**again, "files": files}, remedies=False)
    assert found.loss_shown
    assert [finding.kind for finding in found.findings] == [FindingKind.NOT_COMPARABLE]
    assert found.first_fall is None


def test_remedies_can_be_left_out(tmp_path: Path) -> None:
    found = run(tmp_path, write_cliff(tmp_path, 200.0), remedies=False)
    assert found.loss_shown
    assert len(found.treatments) == 2
    assert "--no-remedies" in found.advice[0]


@pytest.mark.parametrize(
    ("change", "variant", "words"),
    [
        ({"holdout": None}, "int8", "has no holdout"),
        ({"calibration": None}, "int8", "--calibration"),
        ({"calibration": None}, "int8-qat", "--train"),
        ({"source": None, "files": {"int8": "fp32.tflite"}}, "int8", "has no fp32"),
        ({"source": None, "files": {"fp32": "fp32.tflite"}}, "int8", "has no int8"),
        ({"holdout": "none.npz"}, "int8", "no such file"),
    ],
)
def test_what_is_lacking_is_said_in_one_line(
    tmp_path: Path, change: dict[str, Any], variant: str, words: str
) -> None:
    model = {k: v for k, v in {**write_cliff(tmp_path, 1.0), **change}.items() if v is not None}
    with pytest.raises(UserError, match=words) as error:
        run(tmp_path, model, variant=variant)
    assert "\n" not in str(error.value)


def test_a_variant_that_cannot_be_made_is_no_users_fault(tmp_path: Path) -> None:
    model = write_cliff(tmp_path, 1.0)
    with pytest.raises(CannotDiagnose, match="int8-uint8-io"):
        run(tmp_path, model, variant="int8-uint8-io")


def workshop(folder: Path) -> Workshop:
    scratch = folder / "scratch"
    scratch.mkdir()
    return Workshop(scratch, seed=0)


def test_a_model_without_pairs_is_refused_with_the_reason(tmp_path: Path) -> None:
    write_cliff(tmp_path, 1.0, activation=RELU6)
    result = workshop(tmp_path).equalise(tmp_path / "fp32.tflite", tmp_path / "holdout.npz")
    assert isinstance(result, Failure)
    assert result.kind == "prerequisite"
    assert "RELU6" in result.message


def test_a_damaged_model_is_a_failure_not_a_crash(tmp_path: Path) -> None:
    write_cliff(tmp_path, 1.0)
    path = tmp_path / "fp32.tflite"
    path.write_bytes(path.read_bytes()[:-200] + b"\xff" * 150)
    shop = workshop(tmp_path)
    assert isinstance(shop.equalise(path, tmp_path / "holdout.npz"), Failure | Made)
    path.write_bytes(b"nothing")
    with pytest.raises(CannotDiagnose, match="layers could not be compared"):
        shop.analyse(path, path, tmp_path / "holdout.npz", calibration=None, train=None)


def test_selective_quantisation_leaves_float_what_it_is_told(tmp_path: Path) -> None:
    write_cliff(tmp_path, 200.0)
    names = ("model/stem/Conv2D", "model/dw/depthwise")
    job = QuantiserJob(
        "some", "int8-selective", tmp_path / "fp32.tflite", tmp_path / "calibration.npz", names
    )
    made = workshop(tmp_path).quantise([job])["some"]
    assert isinstance(made, Made)
    facts = read_model(made.path.read_bytes())
    assert dict(facts.float_ops) == {"CONV_2D": 1, "DEPTHWISE_CONV_2D": 1}


def edgebench(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    home = {"HOME": str(folder / "home"), "EDGEBENCH_STORE": str(folder / "store.db")}
    return subprocess.run(
        [sys.executable, "-P", "-c", "from bench.cli.main import entry; entry()", *arguments],
        cwd=folder,
        env={**os.environ, **home},
        capture_output=True,
        text=True,
        timeout=280,
    )


def test_the_command(tmp_path: Path) -> None:
    write_cliff(tmp_path, 200.0)
    samples = ("--holdout", "holdout.npz", "--calibration", "calibration.npz")
    done = edgebench(tmp_path, "diagnose", "fp32.tflite", *samples, "--no-remedies", "--json")
    assert done.returncode == 0, done.stderr
    (document,) = json.loads(done.stdout)
    assert document["loss_shown"] is True
    assert document["first_fall"] == 1
    page = tmp_path / "edgebench-out" / "diagnosis" / "fp32.html"
    assert page.read_text().startswith("<!doctype html>")

    done = edgebench(tmp_path, "diagnose", "fp32.tflite", *samples, "--variant", "fp16")
    assert done.returncode == 2
    assert "cannot be diagnosed" in done.stderr


@pytest.mark.slow
@pytest.mark.xdist_group("tf")
def test_the_example_tells_its_story(tmp_path: Path) -> None:
    folder = tmp_path / "accuracy_cliff"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("build", "edgebench-out"))
    subprocess.run([sys.executable, str(folder / "make.py")], check=True, timeout=280)
    done = edgebench(folder, "diagnose", "edgebench.toml", "--json")
    assert done.returncode == 0, done.stderr
    (document,) = json.loads(done.stdout)
    treatments = {row["key"]: row for row in document["treatments"]}
    assert treatments["fp32"]["accuracy"] > 0.97
    assert 0.6 < treatments["int8"]["accuracy"] < 0.85
    # The same samples and another tool: nothing of the gain is the tool's.
    assert treatments["requantised"]["verdict"] == "no help"
    (finding,) = document["findings"]
    assert finding["kind"] == "OUTLIER_CHANNELS"
    layers = document["analysis"]["layers"]
    assert [layers[i]["op"] for i in finding["layers"]] == ["CONV_2D"] * 4
    assert sorted(finding["layers"])[0] == document["first_fall"] == 1
    assert all(len(layers[i]["outliers"]) == 2 for i in finding["layers"])
    assert set(finding["supported_by"]) >= {"equalised", "int16x8"}
    assert treatments[document["recommended"]]["accuracy"] >= 0.97
    assert all(row["latency"]["launches"] >= 4 for row in treatments.values())
