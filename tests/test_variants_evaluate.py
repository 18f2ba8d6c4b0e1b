"""Accuracy by each set of kernels, against a reference computed here with numpy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from models import flex_model, float_model, int8_model, two_input_model, write_model

from bench.errors import UserError
from bench.events import silent
from bench.records import EvaluationRecord, VariantRecord
from bench.variants.evaluate import evaluate_variants, input_sample
from bench.variants.evaluate_worker import dequantise, quantise


def variant(out: Path, name: str, content: bytes) -> VariantRecord:
    path = write_model(out / f"{name}.tflite", content)
    return VariantRecord("run", "m", name, path.name, "0" * 64, len(content), {})


def holdout(tmp_path: Path, features: int = 64, n: int = 40, classes: int = 10) -> Path:
    rng = np.random.default_rng(0)
    path = tmp_path / "holdout.npz"
    x = rng.normal(size=(n, features)).astype(np.float32)
    x[0] = 0.5
    np.savez(path, x=x, y=rng.integers(0, classes, n))
    return path


def evaluated(
    tmp_path: Path, *variants: VariantRecord, kernels: tuple[str, ...] = ("none", "xnnpack")
) -> tuple[EvaluationRecord, ...]:
    return evaluate_variants(
        variants, tmp_path / "holdout.npz", kernels, out=tmp_path, run_id="run", emit=silent
    )


def reference(content: bytes, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    (i,), (o,) = interpreter.get_input_details(), interpreter.get_output_details()
    answers = []
    for row in x:
        value = row[None]
        if i["dtype"] == np.int8:
            scale, zero = i["quantization"]
            value = np.array(
                [[max(-128, min(127, round(float(v) / scale) + zero)) for v in row]], np.int8
            )
        interpreter.set_tensor(i["index"], value)
        interpreter.invoke()
        answers.append(int(np.argmax(interpreter.get_tensor(o["index"]))))
    return np.array(answers)


@pytest.mark.parametrize("content", [float_model(features=64, classes=10), int8_model()])
def test_full_holdout_by_both_kernels(tmp_path: Path, content: bytes) -> None:
    path = holdout(tmp_path)
    with np.load(path) as arrays:
        x, y = arrays["x"], arrays["y"]
    expected = reference(content, x)
    assert len(set(expected.tolist())) > 1
    records = evaluated(tmp_path, variant(tmp_path, "v", content))
    assert [record.kernels for record in records] == ["none", "xnnpack"]
    for record in records:
        assert record.failure is None
        assert record.predictions is not None
        assert record.predictions.dtype == np.int32
        assert np.array_equal(record.predictions, expected)
        assert record.correct is not None
        assert record.correct.dtype == np.bool_
        assert record.value == pytest.approx(float(np.mean(expected == y)))
        assert record.runtime["runtime"] == "ai-edge-litert"


def test_a_failing_variant_stops_no_other(tmp_path: Path) -> None:
    holdout(tmp_path, features=16, classes=4)
    bad, good = evaluated(
        tmp_path,
        variant(tmp_path, "fp16", flex_model()),
        VariantRecord("run", "m", "int8", None, None, None, {}),
        variant(tmp_path, "fp32", float_model()),
        kernels=("none",),
    )
    assert bad.failure is not None
    assert bad.failure.kind == "evaluate"
    assert (bad.value, bad.predictions, bad.correct) == (None, None, None)
    assert (good.variant, good.failure) == ("fp32", None)


def test_several_inputs_are_a_recorded_failure(tmp_path: Path) -> None:
    holdout(tmp_path, features=16, classes=4)
    (record,) = evaluated(tmp_path, variant(tmp_path, "fp32", two_input_model()), kernels=("none",))
    assert record.value is None
    assert record.failure is not None
    assert "one input" in record.failure.message


def test_an_abort_is_a_recorded_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    holdout(tmp_path)
    # The interpreter's start-up hook kills the child as a native abort would.
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook" / "sitecustomize.py").write_text(
        "import os, sys\nif 'bench.variants.evaluate_worker' in sys.orig_argv: os.abort()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "hook"))
    (record,) = evaluated(tmp_path, variant(tmp_path, "int8", int8_model()), kernels=("xnnpack",))
    assert record.failure is not None
    assert record.failure.kind == "crash"
    assert "SIGABRT" in record.failure.message
    assert record.value is None


def test_holdout_of_another_model_is_the_users_error(tmp_path: Path) -> None:
    holdout(tmp_path, features=63)
    with pytest.raises(UserError, match=r"holdout\.npz: `x` has shape \(40, 63\)"):
        evaluated(tmp_path, variant(tmp_path, "fp32", float_model(features=64, classes=10)))
    holdout(tmp_path, classes=30)
    with pytest.raises(UserError, match="10 outputs"):
        evaluated(tmp_path, variant(tmp_path, "fp32", float_model(features=64, classes=10)))


def test_input_sample_is_real_and_not_constant(tmp_path: Path) -> None:
    path = holdout(tmp_path)
    out = tmp_path / "out"
    taken = {}
    for name, content in (("f", float_model(features=64, classes=10)), ("q", int8_model())):
        model = write_model(tmp_path / f"{name}.tflite", content)
        with np.load(input_sample(model, path, out)) as arrays:
            assert arrays.files == ["arr_0"]
            taken[name] = arrays["arr_0"]
    assert taken["f"].shape == (1, 64)
    assert taken["f"].dtype == np.float32
    assert taken["f"].min() < taken["f"].max()
    assert np.array_equal(taken["f"], taken["q"])


@given(
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=20),
    st.floats(1e-4, 10),
    st.integers(-128, 127),
)
def test_quantisation_saturates_and_returns(values: list[float], scale: float, zero: int) -> None:
    detail = {"dtype": np.int8, "quantization": (scale, zero)}
    x = np.array(values, np.float32)
    q = quantise(x, detail)
    assert q.dtype == np.int8
    low, high = (-128 - zero) * scale, (127 - zero) * scale
    back = dequantise(q, detail)
    inside = np.clip(x, low, high)
    assert np.all(np.abs(back - inside) <= scale * 0.5 + 1e-3 * np.abs(inside) + 1e-6)
