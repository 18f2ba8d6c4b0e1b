"""`edgebench inspect` shows any .tflite, and says in one line what is none."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import models
import numpy as np
import pytest
from ai_edge_litert.schema_py_generated import BuiltinOperator
from models import GraphBuilder, write_model

from bench.cli.main import main


@pytest.fixture(autouse=True)
def _width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def shown(capsys: pytest.CaptureFixture[str], path: Path, *options: str) -> str:
    assert main(["inspect", str(path), *options]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def refused(capsys: pytest.CaptureFixture[str], path: Path | str) -> str:
    assert main(["inspect", str(path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err


def test_the_sections(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = shown(capsys, write_model(tmp_path / "m.tflite", models.island_model()))
    for words in (
        "m.tflite  ",
        "computes in integers, with ops that stayed float",
        "Inputs and outputs",
        "What stayed float",
        "ATAN2 (op 2), ABS (op 3): 2 conversions of 32 elements",
        "512 MACs",
        "exactly zero",
    ):
        assert words in out
    assert max(map(len, out.splitlines())) <= 80


def test_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    content = models.int8_model()
    document = json.loads(shown(capsys, write_model(tmp_path / "m.tflite", content), "--json"))
    assert document["sha256"] == hashlib.sha256(content).hexdigest()
    assert document["size_bytes"] == len(content)
    assert document["inputs"][0]["real_range"] == [-125 / 16, 130 / 16]
    assert document["graphs"][0]["macs"]["total"] == 640


def test_flex_ops_are_flagged_first(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = shown(capsys, write_model(tmp_path / "m.tflite", models.flex_model()))
    assert "FlexErf x1" in out.split("Inputs and outputs")[0]
    assert "MACs unknown" in out


def test_names_are_data(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    g = GraphBuilder()
    x = g.tensor((1, 4), name="[bold red]\x1b[31m\n:smile:")
    y = g.tensor((1, 4), name="y" * 5000)
    g.op(BuiltinOperator.CUSTOM, (x,), (y,), custom="[/]\x1b]0;title\x07")
    out = shown(capsys, write_model(tmp_path / "m.tflite", g.build((x,), (y,))))
    assert "\x1b" not in out
    assert "\x07" not in out
    assert "[/]\\x1b]0;title\\x07" in out
    assert "[bold red]\\x1b[31m\\x0a:smile:" in out
    assert "y" * 80 + "…" in out
    assert "y" * 81 not in out


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("m.tflite", b"", "an empty file"),
        ("m.tflite", b"TFL", "not a .tflite file: the identifier TFL3 is missing"),
        ("m.tflite", b"no model at all", "not a .tflite file"),
        ("m.tflite", b"PK\3\4" + b"\0" * 30, "a Keras model"),
        ("m.h5", b"\x89HDF\r\n\x1a\n", "a Keras model"),
        ("m.keras", b"whatever", "`edgebench convert` makes one"),
        ("m.onnx", b"\x08\x07\x12\x07pytorch", "an ONNX model"),
        ("edgebench.toml", b"project = 'p'\n", "a plan"),
        ("m.tflite", b"\x1c\0\0\0TFL3" + b"\0" * 20, "a damaged .tflite file"),
        ("cut.tflite", models.float_model()[:-200], "a damaged .tflite file"),
        ("a\x1b[31m\nb.tflite", b"no model", "a\\x1b[31m b.tflite"),
    ],
)
def test_what_is_no_model(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    assert words in refused(capsys, write_model(tmp_path / name, content))


def test_what_is_no_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "a directory, no .tflite" in refused(capsys, tmp_path)
    assert "no such file" in refused(capsys, tmp_path / "missing.tflite")
    assert "no regular file" in refused(capsys, "/dev/zero")


def test_a_fifo_does_not_make_it_wait(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "m.tflite")
    assert "no regular file" in refused(capsys, tmp_path / "m.tflite")


def test_a_terminal_that_knows_ascii_only(tmp_path: Path) -> None:
    g = GraphBuilder()
    x, y = g.tensor((1, 4), name="größe日本"), g.tensor((1, 4))
    g.op(BuiltinOperator.CUSTOM, (x,), (y,), custom="größe")
    path = write_model(tmp_path / "größe.tflite", g.build((x,), (y,)))
    program = "import sys; from bench.cli.main import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", program, "inspect", str(path)],
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert done.stdout.isascii()
    assert b"gr\\xf6\\xdfe" in done.stdout


def test_tensorflow_is_not_imported(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.tflite", models.quantised_border_model(np.uint8))
    program = (
        "import sys; from bench.cli.main import main; code = main(['inspect', sys.argv[1]]);"
        "print([m for m in sys.modules if m.split('.')[0] in"
        " ('tensorflow', 'keras', 'tf_keras', 'ai_edge_quantizer')]); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
