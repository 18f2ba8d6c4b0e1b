"""Models that TensorFlow cannot load or convert, through the command line: one line, the
log that it names, and the exit code that is documented."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench.cli.main import main
from bench.variants.packages import missing_packages

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("tf"),
    pytest.mark.skipif(
        bool(missing_packages(["int8"])), reason="needs the extra edgebench[convert]"
    ),
]

MODELS = """
import os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras, tensorflow as tf
os.chdir(sys.argv[1])

def keras_model(shape):
    x = keras.Input(shape)
    h = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(x))
    return keras.Model(x, keras.layers.Dense(10, activation="softmax")(h))

@keras.saving.register_keras_serializable(package="mine")
class Odd(keras.layers.Layer):
    def call(self, x):
        return x * 2

keras_model((None, None, 3)).save("open.keras")
model = keras_model((8, 8, 1))
model.save("good.keras")
model.save_weights("only.weights.h5")
x = keras.Input((8,))
keras.Model(x, Odd()(x)).save("custom.keras")
y = keras.Input((8,))
keras.Model([x, y], keras.layers.Add()([x, y])).save("two.keras")

class Module(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec((1, 8))])
    def double(self, x):
        return {"y": x * 2}

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string)])
    def text(self, x):
        return {"y": tf.strings.length(x)}

    @tf.function(input_signature=[tf.TensorSpec((1, 8))])
    def betainc(self, x):
        return {"y": tf.math.betainc(tf.abs(x), tf.abs(x) + 1, x)}

    @tf.function(input_signature=[tf.TensorSpec((1, 8))])
    def angle(self, x):
        return {"y": tf.math.atan2(x @ tf.ones((8, 8)), x + 1.0)}

m = Module()
for name, signatures in {
    "several": {"one": m.double, "other": m.double},
    "text": {"serving_default": m.text},
    "betainc": {"serving_default": m.betainc},
    "angle": {"serving_default": m.angle},
    "without": {},
}.items():
    tf.saved_model.save(m, name, signatures=signatures)
"""

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    subprocess.run([sys.executable, "-P", "-c", MODELS, str(folder)], check=True, timeout=200)
    whole = (folder / "good.keras").read_bytes()
    (folder / "damaged.keras").write_bytes(whole[:300] + b"\xff" * 40 + whole[340:])
    shutil.copytree(folder / "without", folder / "corrupt")
    (folder / "corrupt" / "saved_model.pb").write_bytes(b"\x07" * 500)
    x = np.random.default_rng(0).random((120, 8), dtype=np.float32)
    np.savez(folder / "x8.npz", x=x)
    np.savez(folder / "images.npz", x=np.repeat(x[:, :, None, None], 8, 2).repeat(3, 3))
    return folder


@pytest.fixture
def call(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Call:
    """Run `convert`; returns the exit code, what was complained of, and what was shown."""
    monkeypatch.chdir(made)

    def run(*words: str) -> tuple[int, str, str]:
        code = main(["convert", *words, "--out", str(tmp_path)])
        shown = capsys.readouterr()
        assert "Traceback" not in shown.out + shown.err
        complaints = [x for x in shown.err.splitlines() if x.startswith("edgebench: ")]
        assert len(complaints) == (code == 2)
        return code, "".join(complaints), " ".join(shown.out.split())

    return run


@pytest.mark.parametrize(
    ("words", "message", "trace"),
    [
        (("damaged.keras",), "not a whole Keras file", "BadZipFile"),
        (("only.weights.h5",), "perhaps weights only", ""),
        (("custom.keras",), "code that the file does not hold (Odd)", "Could not locate class"),
        (("two.keras",), "has 2 inputs", ""),
        (("corrupt",), "Wire format was corrupt", "OSError"),
        (("text",), "its input takes string", ""),
        (("several",), "choose one as `signature`: `one`, `other`", ""),
        (("several", "--signature", "foo"), "no signature `foo`; it has `one`, `other`", ""),
        (("without",), "a SavedModel without any signature", ""),
        (("good.keras", "--signature", "foo"), "a Keras file has no signatures", ""),
        (("betainc",), "no kernel for Betainc", "ConverterError"),
    ],
)
def test_what_cannot_be_converted(
    words: tuple[str, ...], message: str, trace: str, call: Call
) -> None:
    code, line, _ = call(*words, "--variant", "fp32")
    assert code == 2
    assert message in line
    log = re.search(r"; full text in (\S+)$", line)
    assert (log is not None) == bool(trace)
    if log is not None:
        assert trace in Path(log[1]).read_text()


def test_the_check_names_a_log_that_is_there(call: Call) -> None:
    code, _, shown = call("betainc", "--check")
    assert code == 1
    log = re.search(r"full text in (\S+)$", shown)
    assert log is not None
    assert Path(log[1]).is_file()


def test_an_op_that_stayed_float_is_no_int8(call: Call) -> None:
    code, _, shown = call("angle", "--variant", "int8", "--calibration", "x8.npz")
    assert code == 3
    assert "is not int8: came out float: ATAN2 x1" in shown


def test_an_open_input_takes_the_size_of_the_samples(call: Call) -> None:
    code, _, shown = call("open.keras", "--variant", "fp32")
    assert code == 3
    assert "The size of its input is open and 1 was tried: give a `holdout`" in shown
    code, _, shown = call("open.keras", "--variant", "int8", "--calibration", "images.npz")
    assert code == 0
    assert "FAILED" not in shown
