"""Conversions and training for real, in worker processes, on a tiny untrained model."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.config import ModelConfig, QatConfig
from bench.errors import UserError
from bench.events import silent
from bench.records import VariantRecord
from bench.tflite.facts import read_model
from bench.variants.child import ChildJob, run_children
from bench.variants.contradictions import contradictions
from bench.variants.conversion import WORKER_ENV
from bench.variants.evaluate import evaluate_variants
from bench.variants.make import make_variants
from bench.variants.packages import missing_packages

pytestmark = [
    pytest.mark.xdist_group("tf"),
    pytest.mark.skipif(
        bool(missing_packages(["int8-qat"])), reason="needs the extra edgebench[convert]"
    ),
]

# Flatten makes the converter keep shape arithmetic where the batch is not fixed.
SOURCES = """
import os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
from pathlib import Path
import tensorflow as tf, keras, tf_keras

def build(k, logits):
    L = k.layers
    x = h = L.Input((12, 12, 1))
    h = L.ReLU(6.0)(L.BatchNormalization()(L.Conv2D(16, 3, use_bias=False)(h)))
    h = L.ReLU(6.0)(L.BatchNormalization()(L.DepthwiseConv2D(3, use_bias=False)(h)))
    # Large weights make decided answers, which rounding to int8 does not flip.
    large = k.initializers.RandomNormal(stddev=1.0, seed=1)
    h = L.Flatten()(h)
    h = L.Dense(5, activation=None if logits else "softmax", kernel_initializer=large)(h)
    return k.Model(x, h)

folder = Path(sys.argv[1])
keras.utils.set_random_seed(1)
build(keras, False).save(folder / "k3.keras")
build(tf_keras, True).save(folder / "k2.h5")
m = tf.Module()
m.w = tf.Variable(tf.random.stateless_normal((144, 16), (1, 2)) * 0.1)
@tf.function(input_signature=[tf.TensorSpec((None, 12, 12, 1))])
def f(x):
    y = tf.reshape(x, (tf.shape(x)[0], 144)) @ m.w
    return {"y": tf.math.atan2(y, y + 2.0) + y}
m.f = f
tf.saved_model.save(m, str(folder / "saved"), signatures={"serving_default": f})

def free(x):
    with tf.name_scope("gate"):
        return {"y": tf.math.erf(tf.reshape(x, (-1, 144)) @ m.w)}
def plain(x):
    return {"y": tf.reshape(x, (-1, 144)) @ m.w}
def pair(a, b):
    return {"y": a + b}
def spec(*shape):
    return tf.TensorSpec(shape)
def words(x):
    return {"y": tf.strings.length(x)}
signatures = {
    "fours": tf.function(plain, input_signature=[spec(4, 12, 12, 1)]),
    "gated": tf.function(free, input_signature=[spec(None, 12, 12, 1)]),
    "pair": tf.function(pair, input_signature=[spec(1, 3), spec(1, 3)]),
    "rankless": tf.function(lambda x: {"y": x * 2}, input_signature=[tf.TensorSpec(None)]),
    "words": tf.function(words, input_signature=[tf.TensorSpec((1,), tf.string)]),
}
m.functions = list(signatures.values())
tf.saved_model.save(m, str(folder / "several"), signatures=signatures)
tf.saved_model.save(tf.Module(), str(folder / "none"))

L = keras.layers
x = h = L.Input((10, 4))
keras.Model(x, L.Dense(3)(L.LSTM(8, name="memory")(h))).save(folder / "lstm.keras")
keras.Model([x, L.Input((10, 4))], L.Dense(3)(h)).save(folder / "two.keras")
@keras.saving.register_keras_serializable("mine")
class Twice(L.Layer):
    def call(self, x):
        return x * 2
keras.Model(x, Twice()(h)).save(folder / "custom.keras")
keras.Model(x, L.Lambda(lambda x: x * 2, name="twice")(h)).save(folder / "lambda.h5")
"""
VARIANTS = ["fp32", "fp16", "dynamic", "int8", "int8-qat"]
QAT = QatConfig(epochs=1, batch_size=16, learning_rate=1e-4)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    subprocess.run([sys.executable, "-c", SOURCES, str(folder)], check=True)
    rng = np.random.default_rng(0)
    x = rng.random((600, 12, 12, 1), dtype=np.float32)
    y = rng.integers(0, 5, 600)
    np.savez(folder / "train.npz", x=x[:64], y=y[:64])
    np.savez(folder / "calibration.npz", x=x)
    np.savez(folder / "holdout.npz", x=x[:50], y=y[:50])
    np.savez(folder / "narrow.npz", x=x[:, :11])
    np.savez(folder / "three.npz", x=x[:3])
    np.savez(folder / "ten.npz", x=x[:10])
    np.savez(folder / "series.npz", x=rng.random((10, 10, 4), dtype=np.float32))
    return folder


def work(
    root: Path, folder: Path, source: str, variants: list[str], **change: Any
) -> list[dict[str, Any]]:
    """What a worker reports of one job, but for its progress."""
    job = {
        "task": "convert",
        "source": str(root / source),
        "signature": None,
        "variants": variants,
        "calibration": None,
        "holdout": None,
        "seed": 0,
        "folder": str(folder),
        **change,
    }
    said: list[dict[str, Any]] = []
    (end,) = run_children(
        [ChildJob("bench.variants.worker", job, folder, folder / "log", 300, WORKER_ENV)],
        at_most=1,
        on_message=lambda index, message: said.append(dict(message)),
    )
    assert end.exit_code == 0, (folder / "log").read_text()
    return [message for message in said if "progress" not in message]


def made(
    root: Path, out: Path, variants: list[str], source: str, **change: Any
) -> tuple[VariantRecord, ...]:
    config = {
        "calibration": "calibration.npz",
        "train": "train.npz",
        "holdout": "holdout.npz",
        "qat": QAT,
        **change,
    }
    return make_variants(
        ModelConfig(name="tiny", source=source, **config),
        variants,
        root=root,
        out=out,
        seed=7,
        run_id="run",
        emit=silent,
    )


@pytest.fixture(scope="module")
def keras3(root: Path) -> tuple[Path, tuple[VariantRecord, ...]]:
    out = root / "out"
    return out, made(root, out, VARIANTS, "k3.keras")


def test_every_variant_is_made_and_is_what_it_claims(
    keras3: tuple[Path, tuple[VariantRecord, ...]],
) -> None:
    out, records = keras3
    assert [(r.variant, r.failure) for r in records] == [(v, None) for v in VARIANTS]
    facts = {r.variant: read_model((out / str(r.path)).read_bytes()) for r in records}
    for variant in ("int8", "int8-qat"):
        assert facts[variant].inputs[0].dtype == "INT8"
        assert facts[variant].outputs[0].dtype == "INT8"
        assert not facts[variant].float_ops
    for fact in facts.values():
        assert fact.inputs[0].signature == (1, 12, 12, 1)
        assert not {"SHAPE", "PACK", "STRIDED_SLICE"} & fact.ops.keys()
        assert "BATCH_NORM" not in " ".join(fact.ops)
    assert "tensorflow" not in sys.modules


def test_provenance_says_what_a_variant_was_made_of(
    keras3: tuple[Path, tuple[VariantRecord, ...]],
) -> None:
    provenance = {r.variant: r.provenance for r in keras3[1]}
    int8 = provenance["int8"]
    assert int8["calibration"]["samples"] == 500
    assert int8["calibration"]["of"] == 600
    assert int8["seed"] == 7
    assert int8["tools"]["tensorflow"]
    assert int8["cached"] is False
    qat = provenance["int8-qat"]
    assert qat["qat"]["epochs"] == 1
    assert qat["facts"]["rebuilt"] is True
    assert 0 <= qat["facts"]["rebuild_max_difference"] < 1e-4
    assert qat["facts"]["from_logits"] is False
    assert "calibration" not in provenance["fp32"]


def test_answers_of_all_variants_agree(
    root: Path, keras3: tuple[Path, tuple[VariantRecord, ...]]
) -> None:
    out, records = keras3
    found = evaluate_variants(
        records, root / "holdout.npz", ("none",), out=out, run_id="run", emit=silent
    )
    assert [f.failure for f in found] == [None] * 5
    reference = found[0].predictions
    assert reference is not None
    # int8-qat was trained on random labels here, so that its answers may move.
    for record in found[1:4]:
        assert np.mean(record.predictions == reference) >= 0.96


def test_nothing_changed_makes_nothing_and_a_changed_setting_only_its_variant(
    root: Path, keras3: tuple[Path, tuple[VariantRecord, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, records = keras3

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a worker was started")

    monkeypatch.setattr("bench.variants.conversion.run_children", refuse)
    again = made(root, out, VARIANTS, "k3.keras")
    assert [r.sha256 for r in again] == [r.sha256 for r in records]
    assert all(r.provenance["cached"] for r in again)
    with pytest.raises(AssertionError, match="a worker was started"):
        made(root, out, VARIANTS, "k3.keras", qat=QatConfig(epochs=2))


def test_calibration_of_the_wrong_shape_is_the_users_error(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"narrow\.npz: `x` has shape \(600, 11, 12, 1\)"):
        made(root, tmp_path, ["int8"], "k3.keras", calibration="narrow.npz")


def test_saved_model_without_layers_and_with_an_op_that_stays_float(
    root: Path, tmp_path: Path
) -> None:
    fp32, int8, qat = made(root, tmp_path, ["fp32", "int8", "int8-qat"], "saved")
    assert fp32.failure is None
    facts = read_model((tmp_path / str(fp32.path)).read_bytes())
    assert not {"SHAPE", "PACK", "STRIDED_SLICE"} & facts.ops.keys()
    assert int8.failure is not None
    assert int8.failure.kind == "verify"
    assert "came out float: ATAN2 x1" in int8.failure.message
    assert qat.failure is not None
    assert qat.failure.kind == "prerequisite"
    assert "the layers are gone; give the .keras file" in qat.failure.message


def test_borders_and_activations_are_those_of_the_recipe(root: Path, tmp_path: Path) -> None:
    variants = ["int8-uint8-io", "int8-float-io", "int16x8", "select-tf-ops"]
    calibration = str(root / "ten.npz")
    _, *made_ones = work(root, tmp_path, "k3.keras", variants, calibration=calibration)
    assert [message.get("made") for message in made_ones] == variants
    for message in made_ones:
        facts = read_model((tmp_path / message["file"]).read_bytes())
        assert contradictions(message["made"], facts) == ()
    assert [m["facts"].get("calibration_samples") for m in made_ones] == [10, 10, 10, None]


@pytest.mark.slow
def test_a_batch_that_a_signature_fixes_stays(root: Path, tmp_path: Path) -> None:
    ready, fp32, int8 = work(
        root,
        tmp_path,
        "several",
        ["fp32", "int8"],
        signature="fours",
        calibration=str(root / "ten.npz"),
    )
    assert ready["batch"] == 4
    for message in (fp32, int8):
        facts = read_model((tmp_path / message["file"]).read_bytes())
        assert facts.inputs[0].signature == (4, 12, 12, 1)
        assert message["facts"]["batch"] == 4
        assert message["facts"]["signature"] == "fours"
    assert int8["facts"]["calibration_samples"] == 8
    assert "the last 2 of 10 calibration samples fill none" in int8["warnings"][0]
    assert contradictions("int8", read_model((tmp_path / "int8.tflite").read_bytes())) == ()


@pytest.mark.slow
def test_an_op_without_kernel_fails_each_variant_but_select_tf_ops(
    root: Path, tmp_path: Path
) -> None:
    _, fp32, dynamic, flex = work(
        root, tmp_path, "several", ["fp32", "dynamic", "select-tf-ops"], signature="gated"
    )
    for message in (fp32, dynamic):
        assert message["kind"] == "unsupported"
        assert message["message"].startswith("TFLite has no kernel for Erf (scope gate); ")
        assert "select-tf-ops" in message["message"]
    assert flex["made"] == "select-tf-ops"
    facts = read_model((tmp_path / flex["file"]).read_bytes())
    assert facts.flex_ops == ("FlexErf",)


@pytest.mark.slow
def test_a_loop_is_converted_and_never_calibrated(root: Path, tmp_path: Path) -> None:
    variants = ["fp32", "dynamic", "int8", "int16x8"]
    calibration = str(root / "series.npz")
    said = work(root, tmp_path, "lstm.keras", variants, calibration=calibration)
    assert [m.get("made") for m in said[1:3]] == ["fp32", "dynamic"]
    assert "WHILE" in read_model((tmp_path / "fp32.tflite").read_bytes()).ops
    # Calibrating it would end the worker by a segmentation fault.
    for message in said[3:]:
        assert message["kind"] == "unsupported"
        assert message["message"].startswith("layer memory runs in a loop (WHILE)")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "change", "error"),
    [
        ("several", {}, "has several signatures; choose one as `signature`: `fours`, `gated`"),
        ("several", {"signature": "foo"}, "has no signature `foo`; it has `fours`, `gated`"),
        ("several", {"signature": "pair"}, "signature `pair` has 2 inputs"),
        ("several", {"signature": "rankless"}, "may have any number of dimensions"),
        ("several", {"signature": "words"}, "its input takes string"),
        (
            "several",
            {"signature": "fours", "calibration": "three.npz"},
            "has 3 samples, and the model takes them in batches of 4; give at least 4",
        ),
        ("none", {}, "a SavedModel without any signature"),
        ("k3.keras", {"signature": "foo"}, "a Keras file has no signatures"),
        ("two.keras", {}, "has 2 inputs"),
        ("custom.keras", {}, "is made of code that the file does not hold (Twice)"),
        ("lambda.h5", {}, "its Lambda layer twice is Python code"),
    ],
)
def test_a_source_that_cannot_be_taken_is_one_line(
    root: Path, tmp_path: Path, source: str, change: dict[str, str], error: str
) -> None:
    change = {k: str(root / v) if k == "calibration" else v for k, v in change.items()}
    (said,) = work(root, tmp_path, source, ["fp32", "int8"], **change)
    assert error in said["user_error"]
    assert "\n" not in said["user_error"]


@pytest.mark.slow
def test_same_seed_same_bytes(
    root: Path, tmp_path: Path, keras3: tuple[Path, tuple[VariantRecord, ...]]
) -> None:
    again = made(root, tmp_path, VARIANTS, "k3.keras")
    assert not any(r.provenance["cached"] for r in again)
    assert [r.sha256 for r in again] == [r.sha256 for r in keras3[1]]


@pytest.mark.slow
def test_tf_keras_source_with_logits(root: Path, tmp_path: Path) -> None:
    records = made(root, tmp_path, VARIANTS, "k2.h5")
    assert [(r.variant, r.failure) for r in records] == [(v, None) for v in VARIANTS]
    facts = records[-1].provenance["facts"]
    assert facts["rebuilt"] is False
    assert facts["from_logits"] is True


@pytest.mark.slow
def test_a_damaged_model_is_the_users_error(root: Path, tmp_path: Path) -> None:
    data = (root / "k2.h5").read_bytes()
    (root / "cut.h5").write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match=r"model cut\.h5: cannot be loaded"):
        made(root, tmp_path, ["fp32"], "cut.h5")
