"""A real architecture through all recipes of the TensorFlow converter, in one job.

MobileNetV2 at its own 224 pixels and with random weights, which say nothing about
accuracy; int16x8 of it converts and does not load, from 96 pixels on.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from bench.config import ModelConfig, Variant
from bench.events import silent
from bench.forecast.forecast import forecast_for
from bench.forecast.stored import forecasts_of
from bench.records import VariantRecord
from bench.runners.invoke_loop import node_evidence
from bench.variants.make import make_variants
from bench.variants.packages import missing_packages
from bench.variants.recipe import RECIPES

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("tf"),
    pytest.mark.skipif(
        bool(missing_packages(["fp32"])), reason="needs the extra edgebench[convert]"
    ),
]

SOURCE = """
import sys, keras
keras.utils.set_random_seed(0)
keras.applications.MobileNetV2(weights=None).save(sys.argv[1])
"""
VARIANTS = [
    name for name, r in RECIPES.items() if not (r.by_quantizer or r.needs_training or r.compiled)
]


def mobilenet(folder: Path, variants: Sequence[Variant]) -> tuple[VariantRecord, ...]:
    """Variants of MobileNetV2, below folder/out."""
    subprocess.run([sys.executable, "-c", SOURCE, str(folder / "m.keras")], check=True)
    x = np.random.default_rng(0).random((10, 224, 224, 3), dtype=np.float32)
    np.savez(folder / "c.npz", x=x)
    return make_variants(
        ModelConfig(name="m", source="m.keras", calibration="c.npz"),
        variants,
        root=folder,
        out=folder / "out",
        seed=0,
        run_id="run",
        emit=silent,
    )


def test_every_recipe_is_made_and_the_one_that_does_not_load_is_told(tmp_path: Path) -> None:
    records = mobilenet(tmp_path, VARIANTS)
    failures = {r.variant: r.failure for r in records if r.failure is not None}
    assert list(failures) == ["int16x8"]
    assert failures["int16x8"].kind == "verify"
    assert "DEPTHWISE_CONV_2D" in failures["int16x8"].message
    sizes = {r.variant: r.size_bytes for r in records}
    assert sizes["int16x8"] is None
    fp32 = sizes["fp32"]
    assert fp32 is not None
    # 3,538,984 parameters: four bytes each, two, one.
    assert 13.5e6 < fp32 < 14.5e6
    shares = {"fp16": 0.50, "dynamic": 0.27, "int8": 0.28, "int8-uint8-io": 0.28}
    for variant, share in {**shares, "int8-float-io": 0.28, "select-tf-ops": 1.0}.items():
        assert sizes[variant] == pytest.approx(share * fp32, rel=0.05), variant
    _forecasts_agree(records, tmp_path / "out")


def _forecasts_agree(records: Sequence[VariantRecord], out: Path) -> None:
    """The forecast of each variant is what the runtime does with XNNPACK, node by node."""
    seen = {}
    for record in records:
        if record.path is None:
            continue
        forecast = forecast_for(forecasts_of(record.provenance), "xnnpack", "invoke_loop")
        assert forecast is not None
        interpreter = Interpreter(model_path=str(out / record.path))
        interpreter.allocate_tensors()
        found = node_evidence(interpreter)
        refused: Counter[str] = Counter()
        for one in forecast.refused:
            refused[one.op] += one.nodes
        assert (forecast.taken, dict(refused)) == (found["delegated"], found["outside"])
        seen[record.variant] = (forecast.taken, forecast.nodes)
    assert seen["fp32"] == (65, 65)
    assert seen["int8"] == (64, 65)
    assert seen["dynamic"] == (50, 65)
