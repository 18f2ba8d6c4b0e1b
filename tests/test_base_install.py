"""What the base installation does without TensorFlow, from the wheel, in a folder with a
space and a quote in its name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from models import conv_model, write_model

ROOT = Path(__file__).parent.parent
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("base-install"), pytest.mark.timeout(600)]

FILES = """
project = "base"

[[model]]
name = "small"
files = { fp32 = "fp32.tflite" }
holdout = "holdout.npz"
"""
# Of a Keras model, only what is there already can be measured.
CONVERSION = FILES.replace("files", 'source = "model.keras"\nfiles', 1)
MEASURE = """
[measure]
variants = [{variants}]
threads = [1]
rounds = 1
profile = "off"
numerics = "off"
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the base lock and the project's wheel, nothing else."""
    venv = tmp_path_factory.mktemp("it's a folder") / "base install"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    pip = [str(venv / "bin/python"), "-m", "pip", "install", "--quiet", "--no-deps"]
    base = str(ROOT / "requirements/base.txt")
    subprocess.run([*pip, "--require-hashes", "-r", base], check=True)
    subprocess.run([*pip, "--no-build-isolation", str(ROOT)], check=True)
    return venv


class Command:
    def __init__(self, venv: Path, folder: Path) -> None:
        self.venv, self.folder = venv, folder

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "HOME": str(self.folder / "home"),
            "EDGEBENCH_STORE": str(self.folder / "store.db"),
        }
        return subprocess.run(
            [str(self.venv / "bin/edgebench"), *arguments],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
        )


@pytest.fixture
def edgebench(installed: Path, tmp_path: Path) -> Command:
    write_model(tmp_path / "fp32.tflite", conv_model(size=16, classes=10))
    rng = np.random.default_rng(0)
    x = rng.random((40, 16, 16, 1), dtype=np.float32)
    np.savez(tmp_path / "holdout.npz", x=x, y=rng.integers(0, 10, 40))
    np.savez(tmp_path / "calibration.npz", x=x)
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        for name in ("metadata.json", "config.json", "model.weights.h5"):
            archive.writestr(name, "{}")
    return Command(installed, tmp_path)


def test_tensorflow_is_not_there_and_nothing_misses_it(installed: Path) -> None:
    python = str(installed / "bin/python")
    listed = subprocess.run(
        [python, "-m", "pip", "list", "--format=json"], capture_output=True, text=True, check=True
    )
    names = {package["name"].lower() for package in json.loads(listed.stdout)}
    assert "edgebench" in names
    assert not [n for n in names if "tensorflow" in n or "keras" in n or "scikit" in n]
    checked = subprocess.run([python, "-m", "pip", "check"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def test_help_and_init(edgebench: Command) -> None:
    helped = edgebench("--help")
    assert helped.returncode == 0, helped.stderr
    assert "quickstart" in helped.stdout
    made = edgebench("init")
    assert made.returncode == 0, made.stderr
    assert (edgebench.folder / "edgebench.toml").is_file()


def test_files_are_measured_shown_and_reported(edgebench: Command) -> None:
    plan = edgebench.folder / "plan.toml"
    plan.write_text(FILES + MEASURE.format(variants='"fp32"'))
    done = edgebench("run", "plan.toml")
    assert done.returncode in (0, 1, 3), done.stderr

    shown = edgebench("show", "--json")
    assert shown.returncode == 0, shown.stderr
    cases = json.loads(shown.stdout)["cases"]
    failures = [case["failure"] for case in cases if case["failure"]]
    # Other load may leave no clean launch, which is said.
    assert bool(failures) or done.returncode != 3
    assert all("no clean launch" in failure for failure in failures)
    assert {case["delegate"] for case in cases} == {"none", "xnnpack"}
    for case in cases:
        assert case["size_bytes"] == (edgebench.folder / "fp32.tflite").stat().st_size
        assert case["accuracy"] is not None
        assert case["launches_made"] >= 1

    reported = edgebench("report")
    assert reported.returncode in (0, 1), reported.stderr
    assert list(edgebench.folder.rglob("report.html"))


def test_a_conversion_says_what_to_install(edgebench: Command) -> None:
    plan = edgebench.folder / "plan.toml"
    plan.write_text(CONVERSION + MEASURE.format(variants='"fp32", "fp16"'))
    done = edgebench("run", "plan.toml")
    install = "pip install 'edgebench[convert]'"
    warnings = [line for line in done.stderr.splitlines() if line.startswith("warning: fp16")]
    assert len(warnings) == 1
    assert done.returncode == 3
    assert install in warnings[0]
    assert "Traceback" not in done.stderr

    shown = edgebench("show", "--json")
    assert shown.returncode == 0, shown.stderr
    cases = json.loads(shown.stdout)["cases"]
    unmade = [case for case in cases if case["variant"] == "fp16"]
    assert len(unmade) == len(cases) - len(unmade) == 2
    for case in unmade:
        assert install in case["failure"]
        assert case["p50_us"] is None
        assert case["size_bytes"] is None
