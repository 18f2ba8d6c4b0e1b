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
    return folder


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
