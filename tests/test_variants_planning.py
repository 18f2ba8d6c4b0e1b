"""What determines a variant's bytes, and what does not; no TensorFlow."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.config import ModelConfig, QatConfig
from bench.errors import UserError
from bench.variants.cache import keep
from bench.variants.planning import Wanted, plan_variants

VARIANTS = ["fp32", "fp16", "dynamic", "int8", "int8-qat"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    x = np.random.default_rng(0).random((8, 4), dtype=np.float32)
    (tmp_path / "model").mkdir()
    (tmp_path / "model/saved_model.pb").write_bytes(b"graph")
    np.savez(tmp_path / "calibration.npz", x=x)
    np.savez(tmp_path / "train.npz", x=x, y=np.arange(8))
    # All of them are in the cache.
    for wanted in planned(tmp_path):
        assert wanted.key is not None
        keep(tmp_path, wanted.variant, wanted.key, b"bytes", wanted.provenance)
    return tmp_path


def planned(root: Path, seed: int = 0, **change: Any) -> tuple[Wanted, ...]:
    paths = {"source": "model", "calibration": "calibration.npz", "train": "train.npz"}
    model = ModelConfig(name="m", **{**paths, **change})
    return plan_variants(model, VARIANTS, root=root, folder=root, seed=seed)


def made_again(root: Path, seed: int = 0, **change: Any) -> list[str]:
    return [w.variant for w in planned(root, seed, **change) if w.kept is None]


def test_nothing_changed_and_nothing_is_made_again(root: Path) -> None:
    assert made_again(root) == []


def test_new_names_and_dates_are_no_change(root: Path) -> None:
    (root / "model").rename(root / "renamed")
    with np.load(root / "calibration.npz") as arrays:
        np.savez_compressed(root / "other.npz", x=arrays["x"])
    os.utime(root / "train.npz", (0, 0))
    assert made_again(root, source="renamed", calibration="other.npz") == []


def test_other_calibration_makes_int8_again_and_nothing_else(root: Path) -> None:
    np.savez(root / "calibration.npz", x=np.ones((8, 4), np.float32))
    assert made_again(root) == ["int8"]


def test_other_training_makes_int8_qat_again_and_nothing_else(root: Path) -> None:
    assert made_again(root, qat=QatConfig(epochs=2)) == ["int8-qat"]
    np.savez(root / "train.npz", x=np.ones((8, 4), np.float32), y=np.arange(8))
    assert made_again(root) == ["int8-qat"]


def test_another_seed_makes_what_is_drawn_again(root: Path) -> None:
    assert made_again(root, seed=1) == ["int8", "int8-qat"]


def test_another_source_makes_everything_again(root: Path) -> None:
    (root / "model/saved_model.pb").write_bytes(b"other graph")
    assert made_again(root) == VARIANTS


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("m.keras", {"source": "m.keras"}),
        ("m.h5", {"source": "m.h5"}),
        ("model/saved_model.pb", {}),
        ("m.tflite", {"files": {"fp32": "m.tflite"}}),
        ("calibration.npz", {}),
    ],
)
def test_a_file_without_permission_is_the_users_error(
    root: Path, name: str, change: dict[str, Any]
) -> None:
    (root / name).touch()
    (root / name).chmod(0)
    with pytest.raises(UserError, match="Permission denied"):
        planned(root, **change)
