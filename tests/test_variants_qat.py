"""Quantization-aware training in its worker: what it rebuilds, what it refuses, and that
the same seed gives the same bytes."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.tflite.facts import read_model
from bench.variants.child import ChildJob, run_children
from bench.variants.contradictions import contradictions
from bench.variants.conversion import WORKER_ENV
from bench.variants.packages import missing_packages

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("tf"),
    pytest.mark.skipif(
        bool(missing_packages(["int8-qat"])), reason="needs the extra edgebench[convert]"
    ),
]

SOURCES = """
import os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
from pathlib import Path
import keras, tf_keras
folder = Path(sys.argv[1])

def block(k, h, width, relu=True):
    L = k.layers
    h = L.BatchNormalization()(L.Conv2D(width, 3, padding="same", use_bias=False)(h))
    return L.ReLU()(h) if relu else h

def wide(k):
    # What a model is commonly made of: nested models, a ReLU used twice, a residual, a
    # squeeze-and-excite, a scaled input, and layers that vanish in inference.
    L = k.layers
    inner_input = L.Input((16, 16, 8))
    relu = L.ReLU(6.0)
    conv = L.Conv2D(8, 3, padding="same")
    inner = k.Model(inner_input, relu(conv(relu(block(k, inner_input, 8)))), name="inner")
    body = k.Sequential([L.Conv2D(8, 3, padding="same"), L.BatchNormalization(), L.ReLU()])
    x = L.Input((16, 16, 3))
    h = block(k, L.Rescaling(1 / 127.5, offset=-1.0)(x), 8)
    h = body(inner(h))
    h = L.ReLU()(L.Add()([h, block(k, h, 8, relu=False)]))
    h = L.LeakyReLU(0.1)(L.Conv2D(8, 3, padding="same")(h))
    gate = L.GlobalAveragePooling2D(keepdims=True)(h)
    h = L.Multiply()([h, L.Conv2D(8, 1, activation="sigmoid")(gate)])
    h = L.UpSampling2D()(L.MaxPooling2D()(L.ZeroPadding2D(1)(h)))
    h = L.Concatenate()([h, L.SeparableConv2D(4, 3, padding="same")(h)])
    h = L.Dropout(0.1)(L.GlobalAveragePooling2D()(L.Dense(8, activation="relu")(h)))
    return k.Model(x, L.Dense(5, activation="softmax")(h))

keras.utils.set_random_seed(1)
wide(keras).save(folder / "k3.keras")
wide(tf_keras).save(folder / "k2.keras")
L = keras.layers
x = L.Input((16, 16, 3))
h = L.Flatten()(x)
keras.Model(x, [L.Dense(5)(h), L.Dense(2)(h)]).save(folder / "outputs.keras")
h = L.Reshape((16, 48))(x)
h = L.LayerNormalization(name="norm")(L.LSTM(8, return_sequences=True, name="memory")(h))
keras.Model(x, L.Dense(5)(L.Flatten()(h))).save(folder / "layers.keras")
h = L.GlobalAveragePooling2D()(L.BatchNormalization(name="alone")(x))
keras.Model(x, L.Dense(5)(h)).save(folder / "alone.keras")
for k, name in ((keras, "twice3.keras"), (tf_keras, "twice2.keras")):
    x = k.layers.Input((16, 16, 3))
    twice = k.layers.Conv2D(3, 3, name="twice")
    h = k.layers.GlobalAveragePooling2D()(twice(k.layers.ReLU()(twice(x))))
    k.Model(x, k.layers.Dense(5)(h)).save(folder / name)
x = L.Input((16, 16, 3), batch_size=4)
keras.Model(x, L.Dense(5)(L.Flatten()(L.Conv2D(2, 3)(x)))).save(folder / "fours.keras")
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    subprocess.run([sys.executable, "-c", SOURCES, str(folder)], check=True)
    rng = np.random.default_rng(0)
    x = rng.random((64, 16, 16, 3), dtype=np.float32)
    np.savez(folder / "train.npz", x=x, y=rng.integers(0, 5, 64))
    np.savez(folder / "real.npz", x=x, y=rng.random((64, 3), dtype=np.float32))
    return folder


def train(root: Path, folder: Path, source: str, **change: Any) -> dict[str, Any]:
    """The one thing that a worker reports of one training, but for its progress."""
    settings = {
        "epochs": 2,
        "batch_size": 16,
        "learning_rate": 1e-3,
        "loss": "sparse_categorical_crossentropy",
    }
    folder.mkdir(exist_ok=True)
    job = {
        "task": "qat",
        "source": str(root / source),
        "train": str(root / change.pop("train", "train.npz")),
        "qat": {**settings, **change},
        "seed": 7,
        "folder": str(folder),
    }
    said: list[dict[str, Any]] = []
    env = {**WORKER_ENV, "TF_USE_LEGACY_KERAS": "1"}
    (end,) = run_children(
        [ChildJob("bench.variants.worker", job, folder, folder / "log", 300, env)],
        at_most=1,
        on_message=lambda index, message: said.append(dict(message)),
    )
    assert end.exit_code == 0, (folder / "log").read_text()
    (answer,) = [message for message in said if "progress" not in message]
    return answer


@pytest.mark.parametrize("source", ["k3.keras", "k2.keras"])
def test_common_layers_are_rebuilt_trained_and_come_out_in_integers(
    root: Path, tmp_path: Path, source: str
) -> None:
    answers = [train(root, tmp_path / name, source) for name in ("first", "second")]
    for answer in answers:
        assert answer.get("made") == "int8-qat", answer
        assert answer["facts"]["rebuilt"] is True
        assert 0 <= answer["facts"]["rebuild_max_difference"] < 1e-5
        assert answer["facts"]["loss_per_epoch"] == answers[0]["facts"]["loss_per_epoch"]
    files = [(tmp_path / name / "int8-qat.tflite").read_bytes() for name in ("first", "second")]
    assert contradictions("int8-qat", read_model(files[0])) == ()
    assert hashlib.sha256(files[0]).digest() == hashlib.sha256(files[1]).digest()


def test_a_fixed_batch_trains_with_any_and_is_kept(root: Path, tmp_path: Path) -> None:
    answer = train(root, tmp_path, "fours.keras", epochs=1, batch_size=10)
    assert answer.get("made") == "int8-qat", answer
    assert answer["facts"]["batch"] == 4
    assert answer["facts"]["from_logits"] is True
    facts = read_model((tmp_path / "int8-qat.tflite").read_bytes())
    assert facts.inputs[0].signature == (4, 16, 16, 3)


@pytest.mark.parametrize(
    ("source", "change", "said"),
    [
        ("outputs.keras", {}, "the model has 2 outputs"),
        ("layers.keras", {}, "cannot quantise layers memory (LSTM), norm (LayerNormalization);"),
        ("alone.keras", {}, "layer alone (BatchNormalization) that follows no convolution"),
        ("twice3.keras", {}, "layer twice (Conv2D): is used more than once"),
        ("twice2.keras", {}, "layer twice (Conv2D): is used more than once"),
        ("fours.keras", {"learning_rate": 1e30}, "training diverged"),
    ],
)
def test_what_cannot_be_trained_is_one_line(
    root: Path, tmp_path: Path, source: str, change: dict[str, Any], said: str
) -> None:
    answer = train(root, tmp_path, source, **change)
    assert answer["failed"] == "int8-qat"
    assert said in answer["message"]
    assert "\n" not in answer["message"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"loss": "nothing"}, "qat.loss: tf_keras has no loss nothing"),
        ({"loss": "mse"}, "mse takes the shape that the model gives, (N, 5)"),
        ({"loss": "mse", "train": "real.npz"}, "`y` has shape (64, 3), mse takes the shape"),
    ],
)
def test_labels_that_do_not_fit_the_loss_are_the_users_error(
    root: Path, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    assert said in train(root, tmp_path, "fours.keras", **change)["user_error"]
