"""XNNPACK's list against the runtime that is installed: node by node, op by op."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from forecast_zoo import zoo
from models import (
    conv_model,
    float_model,
    fp16_model,
    int4_model,
    int8_model,
    int8_weights_model,
    island_model,
    partial_model,
    quantised_border_model,
    two_input_model,
    unsupported_model,
    write_model,
)
from vulkan import swiftshader

from bench.config import ModelConfig
from bench.delegation.model import Coverage
from bench.events import silent
from bench.forecast.forecast import forecast_for, forecasts
from bench.forecast.model import Forecast
from bench.forecast.rules import load_rules
from bench.forecast.stored import forecasts_of
from bench.runners.invoke_loop import node_evidence
from bench.tflite.graph import parse_model
from bench.variants.make import make_variants
from bench.variants.packages import missing_packages

ZOO = dict(zoo())
SWIFTSHADER = swiftshader()
MODELS = {
    "float": float_model(),
    "conv": conv_model(),
    "int8": int8_model(),
    "fp16": fp16_model(),
    "partial": partial_model(),
    "unsupported": unsupported_model(),
    "two inputs": two_input_model(),
    "island": island_model(),
    "float borders": quantised_border_model(),
    "int16": quantised_border_model(inner=np.int16),
    "dynamic": int8_weights_model(decoded=False),
    "weight-int8": int8_weights_model(decoded=True),
    "int4": int4_model(),
}


def of_xnnpack(data: bytes) -> Forecast:
    found = forecast_for(forecasts(parse_model(data), load_rules()), "xnnpack", "invoke_loop")
    assert found is not None
    return found


def seen(data: bytes) -> tuple[int, dict[str, int]]:
    """Delegated nodes, and op -> nodes outside, by the runtime's own list."""
    interpreter = Interpreter(model_content=data)
    interpreter.allocate_tensors()
    found: dict[str, Any] = node_evidence(interpreter)
    return found["delegated"], found["outside"]


def expected(found: Forecast) -> tuple[int, dict[str, int]]:
    outside: dict[str, int] = {}
    for one in found.refused:
        outside[one.op] = outside.get(one.op, 0) + one.nodes
    return found.taken, outside


def test_the_zoo_tries_both_sides_of_the_list() -> None:
    verdicts = [of_xnnpack(data).verdict for data in ZOO.values()]
    assert verdicts.count(Coverage.FULL) >= 80
    assert verdicts.count(Coverage.NONE) >= 50
    # Custom ops and composites apart, every op that the list takes is in the zoo.
    named = {name.split(" ")[0] for name in ZOO}
    of = next(one for one in load_rules().list if one.delegate == "xnnpack")
    assert {op for rule in of.rules if not rule.depends for op in rule.ops} <= named


@pytest.mark.parametrize("name", ZOO)
def test_each_op_goes_where_the_list_says(name: str) -> None:
    found = of_xnnpack(ZOO[name])
    assert found.unknown == ()
    assert expected(found) == seen(ZOO[name]), found.refused


@pytest.mark.parametrize("name", MODELS)
def test_whole_models_go_where_the_list_says(name: str) -> None:
    found = of_xnnpack(MODELS[name])
    assert found.unknown == ()
    assert expected(found) == seen(MODELS[name]), found.refused


# One op each, so that the accelerator takes the model or refuses to be made.
GPU = """
import json, sys
sys.path[:0] = json.loads(sys.argv[1])
from ai_edge_litert.compiled_model import CompiledModel
from ai_edge_litert.hardware_accelerator import HardwareAccelerator
from forecast_zoo import zoo

found = {}
for name, data in zoo():
    try:
        model = CompiledModel.from_buffer(data, hardware_accel=HardwareAccelerator.GPU)
        found[name] = model.is_fully_accelerated()
    except RuntimeError:
        found[name] = False
print(json.dumps(found))
"""


@pytest.mark.slow
@pytest.mark.skipif(
    SWIFTSHADER is None, reason="needs a Vulkan driver: that of chromium (SwiftShader)"
)
def test_each_op_goes_where_the_list_of_the_gpu_says() -> None:
    assert SWIFTSHADER is not None
    ended = subprocess.run(
        [sys.executable, "-c", GPU, json.dumps([str(Path(__file__).parent)])],
        capture_output=True,
        check=True,
        env={**os.environ, **SWIFTSHADER},
    )
    seen = json.loads(ended.stdout.splitlines()[-1])
    rules = load_rules()
    expected = {}
    for name, data in ZOO.items():
        found = forecast_for(forecasts(parse_model(data), rules), "gpu", "litert")
        assert found is not None
        assert found.unknown == ()
        expected[name] = found.verdict is Coverage.FULL
    assert seen == expected
    assert list(seen.values()).count(True) >= 100
    assert list(seen.values()).count(False) >= 10


@pytest.mark.slow
@pytest.mark.skipif(
    bool(missing_packages(["int8"], of_tflite=True)), reason="needs the extra edgebench[quantize]"
)
def test_what_the_quantizer_makes_goes_where_the_stored_forecast_says(tmp_path: Path) -> None:
    write_model(tmp_path / "m.tflite", conv_model(size=8))
    x = np.random.default_rng(0).random((20, 8, 8, 1), dtype=np.float32)
    np.savez(tmp_path / "c.npz", x=x)
    variants = ["fp32", "fp16", "dynamic", "dynamic-int4", "weight-int8", "int8", "int16x8"]
    model = ModelConfig(name="m", source="m.tflite", calibration="c.npz")
    out = tmp_path / "out"
    records = make_variants(
        model, variants, root=tmp_path, out=out, seed=0, run_id="run", emit=silent
    )
    for record in records:
        assert record.failure is None, record.variant
        assert record.path is not None
        found = forecast_for(forecasts_of(record.provenance), "xnnpack", "invoke_loop")
        assert found is not None
        assert expected(found) == seen((out / record.path).read_bytes()), record.variant
