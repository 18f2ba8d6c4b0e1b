"""`edgebench convert` as a user meets it: tables, JSON, exit codes, the check for CI."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from models import (
    conv_model,
    flex_model,
    float_model,
    fp16_model,
    partial_model,
    two_input_model,
    write_model,
)

from bench.cli.main import main
from bench.variants import packages
from bench.variants.packages import missing_packages
from bench.variants.recipe import RECIPES

QUANTIZER = pytest.mark.skipif(
    importlib.util.find_spec("ai_edge_quantizer") is None,
    reason="needs the extra edgebench[quantize]",
)
OF_TFLITE = [
    "fp32",
    "fp16",
    "dynamic",
    "dynamic-int4",
    "weight-int8",
    "int8",
    "int8-float-io",
    "int16x8",
]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    write_model(tmp_path / "m.tflite", float_model(features=64, classes=32))
    rng = np.random.default_rng(0)
    x = rng.random((120, 64), dtype=np.float32)
    np.savez(tmp_path / "c.npz", x=x)
    np.savez(tmp_path / "h.npz", x=x, y=rng.integers(0, 32, 120))
    return tmp_path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def call(*words: str) -> tuple[int, str, str]:
        code = main(["convert", *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


Run = Callable[..., tuple[int, str, str]]


@QUANTIZER
def test_all_that_a_tflite_gives_is_made_and_judged_in_80_columns(home: Path, run: Run) -> None:
    words = ("m.tflite", "--calibration", "c.npz", "--holdout", "h.npz")
    code, out, _ = run(*words)
    assert code == 0, out
    lines = out.splitlines()
    assert [line.split()[0] for line in lines[2 : 2 + len(OF_TFLITE)]] == OF_TFLITE
    assert max(map(len, lines[:-1])) <= 80
    assert f"{len(float_model(features=64, classes=32)):,}  100.0 %" in out
    assert "accuracy on 120 samples, xnnpack kernels" in out
    # Both tables name each variant once.
    assert all(len(re.findall(rf"^{variant} ", out, re.MULTILINE)) == 2 for variant in OF_TFLITE)
    assert lines[-1].endswith("edgebench-out/variants/m")

    code, out, err = run(*words, "--json")
    assert code == 0
    assert f"all {len(OF_TFLITE)} variants unchanged since last time; nothing was made" in err
    (model,) = json.loads(out)["models"]
    assert [v["variant"] for v in model["variants"]] == OF_TFLITE
    fp32, *others = model["variants"]
    assert fp32["change"] is fp32["agreement"] is None
    for variant in others:
        low, high = variant["change_interval"]
        assert low <= variant["change"] <= high
        assert 0 <= variant["agreement"] <= 1
    for variant in model["variants"]:
        assert variant["unchanged"] is True
        path = Path(model["out"]) / variant["path"]
        assert path.stat().st_size == variant["size_bytes"]
        assert variant["zip_bytes"] < variant["size_bytes"] + 100
        assert json.loads(path.with_suffix(".json").read_text())["sha256"] == variant["sha256"]


def test_one_by_name_and_nothing_else(home: Path, run: Run) -> None:
    code, out, _ = run("m.tflite", "--variant", "fp32")
    assert code == 0
    assert "new" in out
    assert "fp16" not in out
    assert "accuracy" not in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["none.tflite"], "no such file"),
        (["m.tflite", "--variant", "int8"], "needs `calibration`"),
        (["m.tflite", "--variant", "int8-qat"], "give the .keras file as `source`"),
        (["m.tflite", "--variant", "fp8"], "'fp8' is not one of"),
        (["m.tflite", "--check", "--variant", "fp32"], "--variant beside --check"),
        (["m.tflite", "--calibration", "h.npz", "--model", "m"], "is no .toml"),
        (["m.tflite", "--calibration", "wide.npz"], "`x` has shape (2, 65)"),
        (["half.tflite"], "is quantised already"),
        (["text.tflite"], "not a .tflite file"),
        (["two.tflite", "--calibration", "c.npz"], "has 2 inputs"),
    ],
)
def test_what_the_user_gave_wrong_is_one_line(
    home: Path, run: Run, words: list[str], said: str
) -> None:
    np.savez(home / "wide.npz", x=np.zeros((2, 65), np.float32))
    write_model(home / "half.tflite", fp16_model())
    write_model(home / "two.tflite", two_input_model())
    (home / "text.tflite").write_text("no model at all")
    code, out, err = run(*words)
    assert code == 2
    assert out == ""
    (line,) = err.splitlines()[-1:]
    assert said in line
    assert "Traceback" not in err


@QUANTIZER
def test_a_variant_that_came_out_otherwise_is_a_failure(home: Path, run: Run) -> None:
    write_model(home / "atan.tflite", partial_model())
    code, out, _ = run(
        "atan.tflite", "--calibration", "c.npz", "--variant", "fp32", "--variant", "int8"
    )
    assert code == 3
    assert re.search(r"^int8 .*FAILED$", out, re.MULTILINE)
    assert re.search(
        r"^int8: converted \([\d,]+ bytes\), but is not int8: came out float: ATAN2 x1$",
        out,
        re.MULTILINE,
    )


def test_without_the_quantizer_its_variants_are_left_out_and_named(
    home: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        packages.importlib.util, "find_spec", lambda name: None if "quantizer" in name else name
    )
    code, out, err = run("m.tflite")
    assert code == 0
    assert "left out: fp16, dynamic, dynamic-int4, weight-int8" in " ".join(err.split())
    assert "edgebench[quantize]" in err
    assert re.search(r"^fp32 .*new$", out, re.MULTILINE)
    # By name it is wanted, and its lack a failure.
    code, out, _ = run("m.tflite", "--variant", "weight-int8")
    assert code == 3
    assert "weight-int8: not installed: ai_edge_quantizer" in out


def test_several_models_of_a_plan(home: Path, run: Run) -> None:
    write_model(home / "n.tflite", conv_model(size=8, channels=4, layers=1))
    (home / "plan.toml").write_text(
        'project = "p"\n'
        '[[model]]\nname = "m"\nsource = "m.tflite"\n'
        '[[model]]\nname = "n"\nfiles = { fp32 = "n.tflite" }\n'
        "[measure]\nseed = 3\n"
    )
    code, out, _ = run("plan.toml", "--variant", "fp32", "--json")
    assert code == 0
    models = json.loads(out)["models"]
    assert [(m["name"], m["variants"][0]["provenance"]["how"]) for m in models] == [
        ("m", "imported"),
        ("n", "imported"),
    ]
    code, out, _ = run("plan.toml", "--variant", "fp32", "--model", "n", "--json")
    assert [m["name"] for m in json.loads(out)["models"]] == ["n"]


@QUANTIZER
def test_a_plan_that_names_its_variants_is_believed(home: Path, run: Run) -> None:
    (home / "plan.toml").write_text(
        'project = "p"\n[[model]]\nname = "m"\nsource = "m.tflite"\n'
        '[measure]\nvariants = ["fp32", "dynamic-int4"]\n'
    )
    code, out, _ = run("plan.toml", "--json")
    assert code == 0
    (model,) = json.loads(out)["models"]
    assert [v["variant"] for v in model["variants"]] == ["fp32", "dynamic-int4"]


def test_names_cannot_steer_the_terminal(home: Path, run: Run) -> None:
    name = "a\x1b[31m[bold]x"
    write_model(home / f"{name}.tflite", flex_model())
    code, out, err = run(f"{name}.tflite", "--variant", "fp32")
    assert "\x1b" not in out + err
    assert code in (2, 3)


def test_the_check_is_one_line_where_all_is_well(home: Path, run: Run) -> None:
    code, out, _ = run("m.tflite", "--check")
    assert code == 0
    assert out == "m: every op converts (fp32)\n"


def test_the_check_names_the_ops(home: Path, run: Run) -> None:
    write_model(home / "flex.tflite", flex_model())
    code, out, _ = run("flex.tflite", "--check")
    assert code == 1
    assert out.startswith("flex: fp32: ")
    assert "FlexErf" in out
    code, out, _ = run("flex.tflite", "--check", "--json")
    assert code == 1
    (model,) = json.loads(out)["models"]
    (problem,) = model["problems"]
    assert (problem["variant"], problem["kind"]) == ("fp32", "verify")


@QUANTIZER
def test_the_check_finds_an_op_without_an_int8_kernel(home: Path, run: Run) -> None:
    write_model(home / "atan.tflite", partial_model())
    code, out, _ = run("atan.tflite", "--check", "--calibration", "c.npz")
    assert code == 1
    assert "came out float: ATAN2 x1" in out


DIGITS = """
import os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
from pathlib import Path
import keras
import numpy as np
L = keras.layers
keras.utils.set_random_seed(1)
x = h = L.Input((8, 8, 1))
for filters in (16, 32):
    h = L.ReLU(6.0)(L.Conv2D(filters, 3)(h))
    h = L.ReLU(6.0)(L.DepthwiseConv2D(3, padding="same")(h))
model = keras.Model(x, L.Dense(10, activation="softmax")(L.Flatten()(h)))
# Trained, so that its answers are decided and rounding does not flip them.
folder, rng = Path(sys.argv[1]), np.random.default_rng(0)
labels = np.arange(300) % 10
images = 0.8 * rng.random((10, 8, 8, 1))[labels] + 0.2 * rng.random((300, 8, 8, 1))
images = images.astype("float32")
model.compile("adam", "sparse_categorical_crossentropy")
model.fit(images, labels, epochs=15, verbose=0)
model.save(folder / "digits.keras")
for name in ("train", "holdout", "calibration"):
    np.savez(folder / f"{name}.npz", x=images, y=labels)
"""


@pytest.mark.slow
@pytest.mark.xdist_group("tf")
@pytest.mark.skipif(
    bool(missing_packages(["int8-qat", "dynamic-int4"])),
    reason="needs the extras edgebench[convert,quantize]",
)
def test_all_recipes_by_one_command(home: Path, run: Run) -> None:
    subprocess.run([sys.executable, "-c", DIGITS, str(home)], check=True)
    samples = [f"--{r}={r}.npz" for r in ("train", "holdout", "calibration")]
    recipes = [variant for variant in RECIPES if not RECIPES[variant].compiled]
    named = [f"--variant={variant}" for variant in recipes]
    code, out, err = run("digits.keras", *samples, *named, "--json")
    assert code == 0, out + err
    (model,) = json.loads(out)["models"]
    found = {v["variant"]: v for v in model["variants"]}
    assert list(found) == recipes
    for variant, record in found.items():
        assert record["failure"] is None, variant
        assert record["value"] is not None, variant
        facts = record["provenance"]["inspect"]
        assert facts["inputs"][0]["dtype"] == RECIPES[variant].io_dtype
        assert facts["outputs"][0]["dtype"] == RECIPES[variant].io_dtype
    agreement = {variant: found[variant]["agreement"] for variant in recipes if variant != "fp32"}
    assert min(agreement.values()) >= 0.9, agreement
    assert found["int8"]["value"] == found["int8-float-io"]["value"]

    # By default everything but what is made by name only; and nothing is made again.
    code, out, err = run("digits.keras", *samples)
    assert code == 0
    assert "all 10 variants unchanged since last time; nothing was made" in err
    assert "select-tf-ops" not in out
