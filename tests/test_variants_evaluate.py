"""Accuracy by each set of kernels, against a reference computed here with numpy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from hypothesis import given
from hypothesis import strategies as st
from models import (
    GraphBuilder,
    conv_model,
    flex_model,
    float_model,
    int8_model,
    two_input_model,
    write_model,
)

from bench.config import MetricConfig
from bench.errors import UserError
from bench.events import StageAdvanced, silent
from bench.metrics import metric_of
from bench.records import EvaluationRecord, Failure, VariantRecord
from bench.variants.evaluate import evaluate_variants, input_sample
from bench.variants.feeding import dequantise, quantise


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
    tmp_path: Path,
    *variants: VariantRecord,
    kernels: tuple[str, ...] = ("none", "xnnpack"),
    **metric: Any,
) -> tuple[EvaluationRecord, ...]:
    return evaluate_variants(
        variants,
        tmp_path / "holdout.npz",
        kernels,
        metric=MetricConfig(**metric),
        root=tmp_path,
        out=tmp_path,
        run_id="run",
        emit=silent,
    )


def reference(content: bytes, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
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


def outputs_of(content: bytes, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Float outputs, one sample at a time."""
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    (i,), (o, *_) = interpreter.get_input_details(), interpreter.get_output_details()
    answers = []
    for row in x:
        interpreter.set_tensor(i["index"], row[None])
        interpreter.invoke()
        answers.append(interpreter.get_tensor(o["index"])[0])
    return np.array(answers)


def regression_model(outputs: int = 3) -> bytes:
    g = GraphBuilder()
    x = g.tensor((1, 16), name="input")
    return g.build((x,), (g.dense(x, 16, outputs),))


def segmentation_model(classes: int = 3) -> bytes:
    g = GraphBuilder()
    x = g.tensor((1, 4, 4, 1), name="input")
    return g.build((x,), (g.conv(x, 4, 1, classes),))


def two_output_model() -> bytes:
    g = GraphBuilder()
    x = g.tensor((1, 16), name="input")
    return g.build((x,), (g.dense(x, 16, 4), g.dense(x, 16, 2)))


def fixed_batch_model(batch: int = 8) -> bytes:
    """(batch, 16) -> (batch, 4), by a RESHAPE that no other batch fits."""
    g = GraphBuilder()
    x = g.tensor((batch, 16), name="input")
    w = g.tensor((4, 16), data=g.weights((4, 16)))
    b = g.tensor((4,), data=g.weights((4,)))
    y = g.tensor((batch, 4))
    options = schema.FullyConnectedOptionsT()
    g.op(schema.BuiltinOperator.FULLY_CONNECTED, (x, w, b), (y,), options)
    shape = g.tensor((2,), np.int32, data=np.array([batch, 4]))
    out = g.tensor((batch, 4), name="output")
    g.op(schema.BuiltinOperator.RESHAPE, (y, shape), (out,), schema.ReshapeOptionsT())
    return g.build((x,), (out,))


def random_x(tmp_path: Path, *shape: int, **more: Any) -> np.ndarray[Any, Any]:
    x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    np.savez(tmp_path / "holdout.npz", x=x, **more)
    return x


@pytest.mark.parametrize("name", ["mae", "rmse"])
def test_errors_of_a_regression(tmp_path: Path, name: str) -> None:
    content = regression_model()
    y = np.random.default_rng(2).normal(size=(40, 3))
    x = random_x(tmp_path, 40, 16, y=y)
    (record,) = evaluated(
        tmp_path, variant(tmp_path, "fp32", content), kernels=("xnnpack",), name=name
    )
    error = outputs_of(content, x) - y
    expected = np.abs(error).mean() if name == "mae" else np.sqrt(np.square(error).mean())
    assert record.failure is None
    assert record.value == pytest.approx(expected, rel=1e-5)
    assert (record.metric, record.higher_is_better) == (name, False)
    assert (record.predictions, record.labels) == (None, None)


def test_top_k_and_the_labels_that_a_confusion_needs(tmp_path: Path) -> None:
    content = float_model(features=64, classes=10)
    with np.load(holdout(tmp_path)) as arrays:
        x, y = arrays["x"], arrays["y"]
    (record,) = evaluated(
        tmp_path, variant(tmp_path, "fp32", content), kernels=("none",), name="topk", k=3
    )
    best = np.argsort(-outputs_of(content, x), axis=1)[:, :3]
    expected = [float(y[i] in best[i]) for i in range(len(y))]
    assert record.statistics is not None
    assert record.statistics[:, 0].tolist() == expected
    assert record.labels is not None
    assert record.labels.tolist() == y.tolist()
    assert (record.metric, record.k) == ("topk", 3)
    (record,) = evaluated(
        tmp_path, variant(tmp_path, "fp32", content), kernels=("none",), name="topk", k=10
    )
    assert record.failure is not None
    assert "always right for 10 classes" in record.failure.message


def test_mean_iou_of_class_maps(tmp_path: Path) -> None:
    content = segmentation_model()
    y = np.random.default_rng(2).integers(0, 3, (6, 4, 4)).astype(np.uint8)
    y[0, 0] = 255
    x = random_x(tmp_path, 6, 4, 4, 1, y=y)
    (record,) = evaluated(
        tmp_path, variant(tmp_path, "fp32", content), kernels=("none",), name="mean_iou"
    )
    answers = outputs_of(content, x).argmax(axis=-1)
    counted = y != 255
    shares = [
        (counted & (y == c) & (answers == c)).sum() / (counted & ((y == c) | (answers == c))).sum()
        for c in range(3)
    ]
    assert record.value == pytest.approx(np.mean(shares))
    np.savez(tmp_path / "holdout.npz", x=x, y=np.zeros((6, 8, 8), int))
    made = variant(tmp_path, "fp32", content)
    with pytest.raises(UserError, match="8 x 8 pixels, the model gives 4 x 4"):
        evaluated(tmp_path, made, name="mean_iou")
    np.savez(tmp_path / "holdout.npz", x=x, y=np.full((6, 4, 4), 3, np.uint8))
    with pytest.raises(UserError, match=r"`y` has class 3, the model has 3 \(0 to 2\)"):
        evaluated(tmp_path, made, name="mean_iou")
    np.savez(tmp_path / "holdout.npz", x=x, y=np.full((6, 4, 4), 255, np.uint8))
    (empty,) = evaluated(tmp_path, made, kernels=("none",), name="mean_iou")
    assert empty.failure is not None
    assert "no pixel belongs to a class" in empty.failure.message


def test_cosine_is_to_the_reference_by_the_same_kernels(tmp_path: Path) -> None:
    reference = regression_model()
    other = float_model(features=16, classes=3, seed=5)
    x = random_x(tmp_path, 20, 16)
    mine, theirs = outputs_of(other, x), outputs_of(reference, x)
    expected = (
        (mine * theirs).sum(1) / np.linalg.norm(mine, axis=1) / np.linalg.norm(theirs, axis=1)
    )
    variants = variant(tmp_path, "int8", other), variant(tmp_path, "fp32", reference)
    found = {(r.variant, r.kernels): r for r in evaluated(tmp_path, *variants, name="cosine")}
    assert found["fp32", "none"].value == 1.0
    for kernels in ("none", "xnnpack"):
        assert found["int8", kernels].statistics is not None
        assert found["int8", kernels].statistics[:, 0] == pytest.approx(expected, abs=1e-5)
    (alone,) = evaluated(tmp_path, variants[0], kernels=("none",), name="cosine")
    assert alone.failure is not None
    assert "nothing to compare with: fp32" in alone.failure.message


def test_a_function_of_the_user_gets_all_outputs_and_labels(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n"
        "def score(outputs, y):\n"
        "    assert [out.shape for out in outputs] == [(70, 4), (70, 2)], outputs\n"
        "    return outputs[0].sum(axis=1) + y[:, 0]\n"
    )
    x = random_x(tmp_path, 70, 16, y=np.arange(140).reshape(70, 2))
    content = two_output_model()
    (record,) = evaluated(
        tmp_path,
        variant(tmp_path, "fp32", content),
        kernels=("none",),
        name="mine:score",
        higher_is_better=False,
    )
    assert record.failure is None
    assert record.statistics is not None
    first = [outputs_of(content, x[i : i + 1])[0].sum() + 2 * i for i in (0, 69)]
    assert record.statistics[[0, 69], 0] == pytest.approx(first, rel=1e-5)
    assert record.value == pytest.approx(record.statistics.mean())
    assert not record.higher_is_better


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def score(o, y): return 1 / 0", r"raised ZeroDivisionError: .*\(mine.py, line 1\)"),
        ("def score(o, y): return o", r"returned shape \(40, 10\) of float32; return one number"),
        ("def score(o, y): return None", "returned shape .* of object"),
        ("def score(o, y): return o[:, 0] * float('nan')", "returned nan for sample 0"),
        ("import sys\ndef score(o, y): sys.exit(3)", "raised SystemExit: 3"),
        ("def other(): pass", "module 'mine' has no function 'score'"),
        ("import not_there", "raised ModuleNotFoundError: No module named 'not_there'"),
        ("def score(:", "raised SyntaxError"),
    ],
)
def test_a_function_that_fails_is_one_line(tmp_path: Path, code: str, message: str) -> None:
    holdout(tmp_path)
    (tmp_path / "mine.py").write_text(code)
    with pytest.raises(UserError, match=f"metric mine:score: {message}") as caught:
        evaluated(
            tmp_path,
            variant(tmp_path, "fp32", float_model(features=64, classes=10)),
            kernels=("none",),
            name="mine:score",
        )
    assert "\n" not in str(caught.value)


def test_a_missing_module_is_named(tmp_path: Path) -> None:
    holdout(tmp_path)
    model = variant(tmp_path, "fp32", float_model(features=64, classes=10))
    with pytest.raises(UserError, match="there is no module 'nowhere' in"):
        evaluated(tmp_path, model, kernels=("none",), name="nowhere:score")


@pytest.mark.parametrize(
    ("content", "shape", "batch", "why"),
    [
        (int8_model(), (40, 64), 32, "proved equal"),
        (conv_model(size=4, channels=2, layers=1), (40, 4, 4, 1), 1, "takes no batch"),
        (conv_model(size=4, channels=2, layers=1, batch=-1), (40, 4, 4, 1), 1, "takes no batch"),
        (fixed_batch_model(8), (41, 16), 8, "the model's own"),
        (fixed_batch_model(40), (41, 16), 40, "the model's own"),
        (float_model(), (1, 16), 1, "one sample"),
    ],
)
def test_a_batch_is_used_only_where_it_changes_nothing(
    tmp_path: Path, content: bytes, shape: tuple[int, ...], batch: int, why: str
) -> None:
    x = random_x(tmp_path, *shape, y=np.zeros(shape[0], np.int64))
    own = "own" in why
    metric = {"name": "mine:first" if own else "top1"}
    (tmp_path / "mine.py").write_text("def first(outputs, y): return outputs[:, 0]\n")
    (record,) = evaluated(tmp_path, variant(tmp_path, "v", content), kernels=("none",), **metric)
    assert record.failure is None
    assert record.runtime["batch"] == batch
    assert why in record.runtime["batch_why"]
    if own:
        interpreter = Interpreter(model_content=content)
        interpreter.allocate_tensors()
        padded = np.concatenate([x, np.zeros((-len(x) % batch, 16), np.float32)])
        expected = []
        for start in range(0, len(padded), batch):
            interpreter.set_tensor(
                interpreter.get_input_details()[0]["index"], padded[start : start + batch]
            )
            interpreter.invoke()
            expected += interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[
                :, 0
            ].tolist()
        assert record.statistics is not None
        assert record.statistics[:, 0] == pytest.approx(expected[:41], abs=1e-6)


def test_a_batch_that_ends_the_process_costs_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    holdout(tmp_path)
    (tmp_path / "hook").mkdir()
    # Ends the process as soon as a batch is asked for, as a native abort would.
    (tmp_path / "hook" / "sitecustomize.py").write_text(
        "import os, sys\n"
        "if 'bench.variants.evaluate_worker' in sys.orig_argv:\n"
        "    import json\n"
        "    if json.load(open(sys.orig_argv[-1]))['batched']: os.abort()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "hook"))
    (record,) = evaluated(tmp_path, variant(tmp_path, "int8", int8_model()), kernels=("none",))
    assert record.failure is None
    assert record.runtime["batch"] == 1
    assert record.runtime["batch_why"] == "a batch ended the process"


def test_what_cannot_run_is_not_evaluated(tmp_path: Path) -> None:
    holdout(tmp_path)
    made = variant(tmp_path, "select-tf-ops", float_model(features=64, classes=10))
    flex = VariantRecord(
        "run", "m", made.variant, made.path, made.sha256, 1, {}, Failure("flex", "cannot run")
    )
    assert evaluated(tmp_path, flex) == ()


def test_progress_counts_samples(tmp_path: Path) -> None:
    holdout(tmp_path)
    done: list[int] = []
    evaluate_variants(
        [variant(tmp_path, "int8", int8_model())],
        tmp_path / "holdout.npz",
        ("none", "xnnpack"),
        out=tmp_path,
        run_id="run",
        emit=lambda e: done.append(e.done) if isinstance(e, StageAdvanced) else None,
    )
    assert done[-1] == 80
    assert done == sorted(done)


def test_the_value_is_that_of_the_statistics(tmp_path: Path) -> None:
    holdout(tmp_path)
    (record,) = evaluated(tmp_path, variant(tmp_path, "int8", int8_model()), kernels=("none",))
    assert record.statistics is not None
    assert record.value == metric_of(MetricConfig()).value_of(record.statistics)


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
        with np.load(input_sample([model], path, out)) as arrays:
            assert arrays.files == ["arr_0"]
            taken[name] = arrays["arr_0"]
    assert taken["f"].shape == (1, 64)
    assert taken["f"].dtype == np.float32
    assert taken["f"].min() < taken["f"].max()
    assert np.array_equal(taken["f"], taken["q"])


def test_a_model_of_a_fixed_batch_is_judged_and_fed_whole_batches(tmp_path: Path) -> None:
    x = random_x(tmp_path, 41, 16, y=np.arange(41) % 4)
    (record,) = evaluated(tmp_path, variant(tmp_path, "v", fixed_batch_model(8)), kernels=("none",))
    assert record.failure is None
    assert record.predictions is not None
    assert record.predictions.shape == (41,)
    model = write_model(tmp_path / "m.tflite", fixed_batch_model(8))
    with np.load(input_sample([model], tmp_path / "holdout.npz", tmp_path / "out")) as arrays:
        assert np.array_equal(arrays["arr_0"], x[:8])
    other = write_model(tmp_path / "n.tflite", fixed_batch_model(4))
    with pytest.raises(UserError, match="answer 4 and 8 samples per invoke"):
        input_sample([model, other], tmp_path / "holdout.npz", tmp_path / "out")


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
