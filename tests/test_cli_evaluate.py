"""`edgebench evaluate` as a user meets it: tables, JSON, JUnit, exit codes, bad input."""

from __future__ import annotations

import json
import os
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from models import float_model, fp16_model, int8_model, write_model

from bench.cli.main import main


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files of a float model and others, and a holdout that the float model answers well."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    content = float_model(features=64, classes=10)
    write_model(tmp_path / "float.tflite", content)
    write_model(tmp_path / "int8.tflite", int8_model())
    write_model(tmp_path / "same.tflite", content + b"\0\0\0\0")
    x = np.random.default_rng(0).normal(size=(60, 64)).astype(np.float32)
    np.savez(tmp_path / "h.npz", x=x, y=_answers(content, x))
    return tmp_path


def _answers(content: bytes, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    answers = []
    for row in x:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], row[None])
        interpreter.invoke()
        answers.append(
            int(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).argmax())
        )
    return np.array(answers)


def test_files_are_judged_against_the_float_one(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["int8.tflite", "float.tflite", "same.tflite", "--holdout", "h.npz", "--json"]
    assert main(["evaluate", *arguments, "--per-class", "--junit", "j.xml"]) == 1
    (model,) = json.loads(capsys.readouterr().out)["models"]
    assert model["reference"] == "float"
    found = {result["variant"]: result for result in model["results"]}
    assert found["float"]["accuracy"] == 1.0
    assert found["float"]["accuracy_change"] is None
    assert found["same"]["accuracy_change"] == 0.0
    assert found["same"]["accuracy_agreeing"] == 60
    assert found["same"]["accuracy_p_value"] == 1.0
    assert found["int8"]["accuracy_loss"] == "worse"
    low, high = found["int8"]["accuracy_change_interval"]
    assert low < found["int8"]["accuracy_change"] < high < 0
    assert {g["status"] for g in found["int8"]["gates"]} == {"FAIL"}
    assert sum(map(sum, found["int8"]["classes"]["confusion"])) == 60
    assert found["int8"]["runtime"]["kernels"] == "xnnpack"
    root = ET.parse("j.xml").getroot()
    assert (root.get("tests"), root.get("failures")) == ("6", "2")


def test_the_table_says_in_words_what_a_change_is(capsys: pytest.CaptureFixture[str]) -> None:
    main(["evaluate", "float.tflite", "int8.tflite", "--holdout", "h.npz", "--kernels", "none"])
    out = capsys.readouterr().out
    assert "worse by" in out
    assert "the reference" in out
    assert "60 samples, all of the holdout; changes are against float" in out
    main(["evaluate", "float.tflite", "same.tflite", "--holdout", "h.npz"])
    out = " ".join(capsys.readouterr().out.split())
    # 60 images cannot show that less than 3 points are lost.
    assert "unclear: 60 samples can show" in out


@pytest.mark.parametrize("columns", ["60", "80", "200"])
def test_no_number_is_broken_at_any_width(
    columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    main(["evaluate", "float.tflite", "int8.tflite", "--holdout", "h.npz"])
    out = capsys.readouterr().out
    assert "100.00 %" in out
    assert "[94.0, 100.0]" in out
    assert max(map(len, out.splitlines())) <= int(columns)


def test_one_file_needs_no_reference(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "int8.tflite", "--holdout", "h.npz", "--metric", "top3"]) == 0
    out = capsys.readouterr().out
    assert "top-3 accuracy" in out
    assert "verdict" not in out


def test_a_holdout_of_the_users_function(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "mine.py").write_text(
        "import numpy as np\n"
        "def data():\n    with np.load('h.npz') as a: return a['x'], a['y']\n"
        "def loss(outputs, y): return -np.log(outputs[np.arange(len(y)), y] + 1e-9)\n"
    )
    words = ["--holdout", "mine:data", "--metric", "mine:loss", "--lower-is-better", "--json"]
    assert main(["evaluate", "float.tflite", "same.tflite", *words]) == 0
    (model,) = json.loads(capsys.readouterr().out)["models"]
    first = model["results"][0]
    assert (first["accuracy_metric"], first["accuracy_higher_is_better"]) == ("mine:loss", False)
    assert first["accuracy_change_points"] is None
    assert [g["name"] for g in model["results"][1]["gates"]] == ["accuracy_ratio_min"]


def test_a_plan_is_made_and_judged(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = """
project = "p"
[[model]]
name = "m"
holdout = "h.npz"
[model.files]
fp32 = "float.tflite"
int8 = "int8.tflite"
[measure]
delegates = ["none", "xnnpack"]
[gates]
accuracy_ratio_min = 0.01
accuracy_drop_max_points = 100
"""
    (folder / "p.toml").write_text(plan)
    assert main(["evaluate", "p.toml", "--json"]) == 0
    (model,) = json.loads(capsys.readouterr().out)["models"]
    kernels = [(r["variant"], r["kernels"]) for r in model["results"]]
    assert kernels == [
        ("fp32", "none"), ("fp32", "xnnpack"), ("int8", "none"), ("int8", "xnnpack"),
    ]  # fmt: skip
    (folder / "p.toml").write_text(plan.replace('holdout = "h.npz"', 'holdout = "h.npz"\n'
                                                'metric = {name = "mae"}'))  # fmt: skip
    assert main(["evaluate", "p.toml"]) == 2
    assert "MAE of model 'm' is no share" in capsys.readouterr().err


def test_what_cannot_be_evaluated_is_exit_code_3(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["float.tflite", "int8.tflite", "--holdout", "h.npz", "--metric", "mean_iou"]
    assert main(["evaluate", *words]) == 2  # the labels are no maps
    np.savez(folder / "h.npz", x=np.zeros((5, 64), np.float32), y=np.zeros((5, 2, 2), int))
    assert main(["evaluate", *words]) == 3
    assert "mean IoU needs an output of shape" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["float.tflite"], "files need --holdout"),
        (["nope.tflite", "--holdout", "h.npz"], "nope.tflite: no such file"),
        (["float.tflite", "--holdout", "nope.npz"], "nope.npz"),
        (["h.npz", "--holdout", "h.npz"], "h.npz: samples, no .tflite"),
        (["m.keras", "--holdout", "h.npz"], "m.keras: no such file"),
        (["float.tflite", "float.tflite", "--holdout", "h.npz"], "given twice"),
        (["float.tflite", "--holdout", "h.npz", "--metric", "f1"], "--metric f1: known are top1"),
        (["float.tflite", "--holdout", "h.npz", "--lower-is-better"], "for a module:function"),
        (["int8.tflite", "--holdout", "h.npz", "--metric", "cosine"], "name it by --reference"),
        (["p.toml", "--holdout", "h.npz"], "--holdout beside a plan"),
        (["p.toml", "float.tflite"], "not both"),
        (["float.tflite", "--holdout", "h.npz", "--model", "m"], "--model chooses"),
        (
            ["float.tflite", "--holdout", "h.npz", "--junit", "h.npz/j.xml"],
            "h.npz/j.xml: cannot be written",
        ),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", *arguments]) == 2
    (line,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("edgebench: ")]
    assert message in line


def test_a_hostile_file_name_is_data(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "a[red]\x1b[2J.tflite"
    write_model(folder / name, fp16_model())
    main(["evaluate", "float.tflite", name, "--holdout", "h.npz", "--junit", "j.xml"])
    captured = capsys.readouterr()
    assert "\x1b[2J" not in captured.out + captured.err
    assert "[red]" in "".join(captured.out.split())
    ET.parse("j.xml")
    # A name that is no UTF-8 at all.
    undecodable = os.fsdecode(b"\xff.tflite")
    (folder / undecodable).write_bytes(fp16_model())
    assert main(["evaluate", undecodable, "--holdout", "h.npz", "--junit", "j.xml"]) in (0, 3)
    assert main(["evaluate", undecodable, "--holdout", "h.npz", "--json"]) in (0, 3)
    ET.parse("j.xml")
