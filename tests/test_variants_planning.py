"""What determines a variant's bytes, and what does not; no TensorFlow."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from models import float_model, write_model

from bench.config import ModelConfig, QatConfig
from bench.errors import UserError
from bench.records import Json
from bench.variants import cache
from bench.variants.arrays import load_samples
from bench.variants.cache import keep
from bench.variants.planning import plan_variants
from bench.variants.wanted import Wanted

_real_version = cache._version

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


def planned(
    root: Path, seed: int = 0, variants: Sequence[str] = VARIANTS, **change: Any
) -> tuple[Wanted, ...]:
    paths = {"source": "model", "calibration": "calibration.npz", "train": "train.npz"}
    model = ModelConfig(name="m", **{**paths, **change})
    samples = {
        role: load_samples(root / path, role)
        for role in ("calibration", "train")
        if (path := getattr(model, role)) is not None
    }
    return plan_variants(model, variants, samples, root=root, folder=root, seed=seed)


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


def test_another_seed_makes_again_what_is_drawn_with_it(root: Path) -> None:
    # All 8 calibration samples are used: none of them was drawn.
    assert made_again(root, seed=1) == ["int8-qat"]
    np.savez(root / "calibration.npz", x=np.ones((600, 4), np.float32))
    first, other = (planned(root, seed=seed)[3].key for seed in (0, 1))
    assert first != other


def test_another_source_makes_everything_again(root: Path) -> None:
    (root / "model/saved_model.pb").write_bytes(b"other graph")
    assert made_again(root) == VARIANTS


def test_another_signature_makes_everything_again(root: Path) -> None:
    assert made_again(root, signature="other") == VARIANTS


def test_a_tool_counts_only_where_it_takes_part(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_model(root / "m.tflite", float_model(features=4))

    def keys() -> dict[str, str | None]:
        made = planned(root, variants=["fp16", "weight-int8"])
        of_tflite = planned(root, variants=["int16x8"], source="m.tflite", train=None)
        return {w.variant: w.key for w in (*made, *of_tflite)}

    assert made_again(root) == []
    with monkeypatch.context() as patch:
        patch.setattr(
            "bench.variants.cache._version",
            lambda names: (
                "999" if "tensorflow-model-optimization" in names else _real_version(names)
            ),
        )
        assert made_again(root) == ["int8-qat"]

    before = keys()
    for changed, again in (
        ("ai-edge-quantizer", {"weight-int8", "int16x8"}),
        ("tensorflow", {"fp16", "weight-int8", "fp32"}),
    ):
        with monkeypatch.context() as patch:

            def version(names: tuple[str, ...], changed: str = changed) -> str:
                return "999" if changed in names else _real_version(names) or ""

            patch.setattr("bench.variants.cache._version", version)
            after = keys()
        assert {v for v in before if before[v] != after[v]} == again


def test_what_the_quantizer_starts_from_is_planned_too(root: Path) -> None:
    weight, fp32 = planned(root, variants=["weight-int8"])
    assert (weight.maker, weight.base, weight.recorded) == ("quantizer", None, True)
    assert (fp32.variant, fp32.recorded) == ("fp32", False)
    assert fp32.kept is not None
    assert fp32.kept.path.exists()
    # One that was asked for is enough.
    assert len(planned(root, variants=["fp32", "weight-int8"])) == 2


def test_a_finished_fp32_serves_the_quantizer(root: Path) -> None:
    write_model(root / "f.tflite", float_model())
    (weight,) = planned(root, variants=["weight-int8"], files={"fp32": "f.tflite"})
    assert weight.base == root / "f.tflite"
    assert weight.provenance["source"]["name"] == "f.tflite"
    assert "tensorflow" not in weight.provenance["tools"]


def test_a_tflite_source_is_its_own_fp32(root: Path) -> None:
    write_model(root / "m.tflite", float_model(features=4))
    fp32, fp16, int8 = planned(root, variants=["fp32", "fp16", "int8"], source="m.tflite")
    assert fp32.imported == root / "m.tflite"
    assert {fp16.maker, int8.maker} == {"quantizer"}
    assert fp16.base == int8.base == root / "m.tflite"


def test_samples_have_to_fit_a_tflite_source(root: Path) -> None:
    write_model(root / "m.tflite", float_model(features=5))
    with pytest.raises(UserError, match=r"calibration calibration\.npz: `x` has shape \(8, 4\)"):
        planned(root, variants=["int8"], source="m.tflite")


def edited(root: Path, change: Json | list[int]) -> None:
    (path,) = root.glob("fp32-*.json")
    known = json.loads(path.read_text())
    path.write_text(json.dumps({**known, **change} if isinstance(change, Mapping) else change))


@pytest.mark.parametrize(
    "change",
    [
        {"recipe": "another"},
        {"tools": {}},
        {"source": {"sha256": "0"}},
        {"source": float("nan")},
        {"source": None},
        {"sha256": "0"},
        [1, 2],
    ],
)
def test_a_provenance_that_somebody_edited_is_not_believed(
    root: Path, change: Json | list[int]
) -> None:
    edited(root, change)
    assert made_again(root) == ["fp32"]


def test_what_was_noted_beside_a_variant_is_no_part_of_its_name(root: Path) -> None:
    edited(root, {"seconds": 12, "calibration": {"warnings": ["dark"]}})
    assert made_again(root) == []


def test_a_bottomless_provenance_is_not_believed(root: Path) -> None:
    (path,) = root.glob("fp32-*.json")
    path.write_text("[" * 100_000)
    assert made_again(root) == ["fp32"]


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
