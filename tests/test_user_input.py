"""What users give wrong, through the command line: one line, exit 2, the log that it names."""

from __future__ import annotations

import errno
import io
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from diagnose_models import diagnosis
from models import conv_model, write_model
from rich.console import Console

from bench.cli.main import main
from reports.diagnosis.terminal import terminal

FUNCTIONS = """
import os, time
import numpy as np
x = np.random.default_rng(0).random((120, 16, 16, 1), dtype=np.float32)
def good(): return x
def labelled(): return x, np.arange(120) % 10
def raises(): raise RuntimeError("no camera\\nsecond line")
def leaves(): os._exit(7)
def takes(a): return x
"""
PLAN = """
project = "p"
[[model]]
name = "m"
source = "m.tflite"
"""
GRAY = 'calibration = "images"\nimages = { mean = 0, std = 255, channels = "gray" }\n'

Call = Callable[..., tuple[int, str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGEBENCH_STORE", str(tmp_path / "store.db"))
    data = conv_model(size=16, layers=1)
    write_model(tmp_path / "m.tflite", data)
    write_model(tmp_path / "short.tflite", data[: len(data) // 2])
    write_model(tmp_path / "zip.tflite", b"PK\x03\x04" + bytes(100))
    for name in ("zero.tflite", "zero.keras", "zero.h5", "zero.npz"):
        (tmp_path / name).touch()
    for name in ("dir.tflite", "empty", "images"):
        (tmp_path / name).mkdir()
    (tmp_path / "images" / "1.png").write_bytes(b"no image")
    x = np.random.default_rng(0).random((120, 16, 16, 1), dtype=np.float32)
    np.savez(tmp_path / "c.npz", x=x)
    np.savez(tmp_path / "h.npz", x=x, y=np.arange(120) % 10)
    np.savez(tmp_path / "large.npz", x=np.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0))))
    np.savez(tmp_path / "single.npz", x=x[0])
    np.savez(tmp_path / "double.npz", x=x.astype(np.float64))
    np.savez(tmp_path / "bytes.npz", x=x.astype(np.uint8))
    np.savez(tmp_path / "nan.npz", x=np.full_like(x, np.nan))
    np.savez(tmp_path / "none.npz", x=x[:0])
    np.savez(tmp_path / "onehot.npz", x=x, y=np.eye(10)[np.arange(120) % 10])
    (tmp_path / "given.py").write_text(FUNCTIONS)
    return tmp_path


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Run a command line; returns its exit code and its one line of complaint."""

    def run(*words: str | os.PathLike[str]) -> tuple[int, str]:
        code = main([os.fspath(word) for word in words])
        shown = capsys.readouterr()
        assert "Traceback" not in shown.out + shown.err
        complaints = [x for x in shown.err.splitlines() if x.startswith("edgebench: ")]
        if code == 2:
            assert len(complaints) == 1
            assert shown.out == ""
        return code, complaints[-1] if complaints else shown.err

    return run


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nope.keras", "no such file"),
        ("zero.keras", "not a .keras file, or cut short"),
        ("zero.h5", "not an HDF5 file, or cut short"),
        ("zero.tflite", "identifier TFL3 is missing"),
        ("short.tflite", "a damaged .tflite file"),
        ("zip.tflite", "identifier TFL3 is missing"),
        ("dir.tflite", "is no file"),
        ("empty", "a directory without saved_model.pb"),
        (".", "a directory without saved_model.pb"),
        ("c.npz", "not a model; give a .keras"),
        (os.fsdecode(b"\xff.tflite"), "a file's name is not UTF-8 text"),
    ],
)
def test_what_is_no_source(source: str, message: str, folder: Path, call: Call) -> None:
    code, line = call("convert", source)
    assert code == 2
    assert message in line


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ("nope.npz", "no such file"),
        ("zero.npz", "not a readable .npz"),
        ("large.npz", "`x` has shape (120, 17, 17, 1)"),
        ("single.npz", "save x[None, ...]"),
        ("double.npz", "is float64, models take float32"),
        ("bytes.npz", "is uint8, the model's input takes float32"),
        ("nan.npz", "NaN or infinity in 120 of 120 samples"),
        ("none.npz", "`x` is empty"),
        ("images", "say in the plan how pixels become input"),
        ("nope:f", "there is no module 'nope'"),
        ("given:takes", "missing 1 required positional argument: 'a';"),
    ],
)
def test_what_calibrates_nothing(samples: str, message: str, folder: Path, call: Call) -> None:
    code, line = call("convert", "m.tflite", "--variant", "int8", "--calibration", samples)
    assert code == 2
    assert message in line


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        (GRAY.replace("gray", "grey"), "'grey' is none of 'rgb', 'bgr' or 'gray'"),
        (GRAY.replace("mean = 0", "mean = nan"), "model[0].images.mean: input should be a finite"),
        (GRAY.replace("mean = 0, ", ""), "model[0].images.mean: is missing"),
        (GRAY, "1.png is no image of a known format"),
        ('calibration = ""', "calibration is empty"),
        ('signature = "x"', "leave `x` out"),
        ('signatur = "x"', "did you mean 'signature'?"),
        ('metric = { name = "top-1" }', "'top-1' is no metric"),
        ("[measure]\nvariants = []", "measure.variants is empty"),
        ('[measure]\nvariants = ["fp32", "fp32"]', "names 'fp32' twice"),
        ('[[model]]\nname = "m"\nsource = "m.tflite"', "two models are called 'm'"),
    ],
)
def test_what_no_plan_may_say(rest: str, message: str, folder: Path, call: Call) -> None:
    (folder / "p.toml").write_text(PLAN + rest)
    code, line = call("convert", "p.toml")
    assert code == 2
    assert message in line


def test_what_no_tflite_is(folder: Path, call: Call) -> None:
    code, line = call("inspect", "c.npz")
    assert code == 2
    assert "samples, no .tflite" in line
    code, line = call("evaluate", "zip.tflite", "--holdout", "h.npz")
    assert code == 2
    assert "a Keras model, no .tflite" in line


def test_labels_that_are_one_hot(folder: Path, call: Call) -> None:
    code, line = call("evaluate", "m.tflite", "--holdout", "onehot.npz")
    assert code == 2
    assert line.endswith("save y.argmax(axis=1)")


def test_a_log_that_is_named_is_there(folder: Path, call: Call) -> None:
    code, line = call("evaluate", "m.tflite", "--holdout", "given:raises")
    assert code == 2
    assert "raised RuntimeError: no camera (given.py, line 7)" in line
    found = re.search(r"; (\S+) has the traceback", line)
    assert found is not None
    assert "second line" in Path(found[1]).read_text()


def test_an_empty_log_is_not_named(folder: Path, call: Call) -> None:
    code, line = call("evaluate", "m.tflite", "--holdout", "given:leaves")
    assert code == 2
    assert line.endswith("reading it ended with exit code 7")


def test_nothing_is_left_where_samples_were_good(
    folder: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder / "tmp"))
    assert call("evaluate", "m.tflite", "--holdout", "given:labelled")[0] == 0
    assert list((folder / "tmp").iterdir()) == []


def test_a_run_that_measured_nothing_is_not_to_be_resumed(folder: Path, call: Call) -> None:
    (folder / "p.toml").write_text(PLAN + 'calibration = "c.npz"\nholdout = "given:raises"\n')
    code, line = call("run", "p.toml")
    assert code == 2
    assert "no camera" in line
    assert "--resume" not in line


def test_samples_that_did_not_change_are_not_written_again(folder: Path, call: Call) -> None:
    plan = PLAN + 'holdout = "given:labelled"\n[measure]\nvariants = ["fp32"]\n'
    (folder / "p.toml").write_text(plan)
    assert call("convert", "p.toml")[0] == 0
    (made,) = (folder / "edgebench-out/samples").glob("*.npz")
    before = made.stat()
    assert call("convert", "p.toml")[0] == 0
    assert (made.stat().st_mtime_ns, made.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def test_a_full_disk_is_one_line(folder: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: Path) -> bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "some/file")

    monkeypatch.setattr("bench.cli.common.read_tflite", full)
    code, line = call("inspect", "m.tflite")
    assert code == 3
    assert line == "edgebench: No space left on device (some/file); free some space and start again"


def test_an_error_of_ours_is_not_hidden(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(_: Path) -> bytes:
        raise FileNotFoundError(errno.ENOENT, "x", "y")

    monkeypatch.setattr("bench.cli.common.read_tflite", wrong)
    with pytest.raises(FileNotFoundError):
        main(["inspect", "m.tflite"])


def test_a_diagnosis_on_a_terminal_of_ascii() -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    Console(file=out, width=80, color_system=None).print(terminal(diagnosis()))
    out.seek(0)
    shown = out.read()
    assert "-25.00 points [-26.00, -24.00]" in shown
    assert "\\u" not in shown


def test_a_name_that_stdout_cannot_show_is_escaped(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.cli.main import entry

    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    write_model(folder / "Größe.tflite", (folder / "m.tflite").read_bytes())
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "argv", ["edgebench", "convert", "--check", "Größe.tflite"])
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with pytest.raises(SystemExit) as stop:
        entry()
    assert stop.value.code == 0
    out.seek(0)
    assert "Gr\\xf6\\xdfe" in out.read()
