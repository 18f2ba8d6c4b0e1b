"""The code that is printed for a model feeds and reads it as evaluation does."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from models import (
    GraphBuilder,
    cast_model,
    flex_model,
    float_model,
    fp16_model,
    int8_model,
    quantised_border_model,
    two_input_model,
    write_model,
)

from bench.errors import UserError
from bench.snippet import LANGUAGES
from bench.snippet.generate import Settings, snippet
from bench.tflite.graph import parse_model
from bench.variants.feeding import dequantise, open_interpreter, quantise

Array = np.ndarray[Any, Any]

SHA256 = "ab" * 32
PLAIN = Settings("none", 1, "not measured")
# Halves, and what lies beyond every range.
EDGES = np.array([0.5, -0.5, 1.5, 2.5, -2.5, 1e-30, 1e9, -1e9, np.inf, -np.inf], np.float32)


def code(data: bytes, language: str, name: str = "m.tflite", how: Settings = PLAIN) -> str:
    return snippet(parse_model(data), name=name, sha256=SHA256, language=language, settings=how)


def border_model(
    shape: tuple[int, ...] = (1, 6),
    dtype: Any = np.int8,
    *,
    scale: float | list[float] | None = 0.1,
    zero_point: int = 3,
    names: tuple[str, str] = ("x", "y"),
    count: int = 1,
) -> bytes:
    """`count` inputs and outputs of this kind, RESHAPEd; for their description only."""
    g = GraphBuilder()
    inputs, outputs = [], []
    for _ in range(count):
        x = g.tensor(shape, dtype, name=names[0], scale=scale, zero_point=zero_point, axis=1)
        y = g.tensor(shape, dtype, name=names[1], scale=scale, zero_point=zero_point, axis=1)
        g.op(schema.BuiltinOperator.RESHAPE, (x,), (y,), schema.ReshapeOptionsT())
        inputs.append(x)
        outputs.append(y)
    return g.build(inputs, outputs)


MODELS = {
    "float": float_model(),
    "fp16": fp16_model(),
    "int8": int8_model(),
    "uint8": quantised_border_model(np.uint8),
    "two": two_input_model(),
    "ids": cast_model(np.int32),
    "longs": cast_model(np.int64),
    "raw bytes": cast_model(np.uint8),
    "flags": cast_model(np.bool_),
    "dynamic": cast_model(np.float32, -1),
}

RUNS = """
import json, sys
import numpy as np
job = json.load(open(sys.argv[1]))
for name, code in job["code"].items():
    space = {}
    exec(compile(code, name, "exec"), space)
    model = space["Model"](job["models"][name])
    with np.load(job["inputs"][name]) as x:
        y = model.run(*(x[key] for key in sorted(x.files)))
    model.close()
    y = y if isinstance(y, tuple) else (y,)
    np.savez(job["outputs"][name], **{str(i): each for i, each in enumerate(y)})
"""


def real_inputs(data: bytes) -> list[Array]:
    """Values that reach every corner of each input."""
    rng = np.random.default_rng(0)
    found = []
    for index in parse_model(data).main.inputs:
        tensor = parse_model(data).main.tensors[index]
        x = rng.normal(0, 2, tensor.shape).astype(np.float32)
        if tensor.quantization is not None:
            flat = x.reshape(-1)
            steps = EDGES * tensor.quantization.scales[0]
            flat[: len(EDGES)] = steps[: flat.size]
        elif tensor.dtype == "BOOL":
            x = x > 0
        elif tensor.dtype != "FLOAT32":
            x = np.arange(x.size).reshape(x.shape).astype(tensor.dtype.lower())
        found.append(x)
    return found


def expected(path: Path, inputs: list[Array]) -> list[Array]:
    """By the rule that evaluation uses, with the same kernels."""
    interpreter = open_interpreter(str(path), "none")
    interpreter.allocate_tensors()
    for detail, x in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(detail["index"], quantise(x, detail))
    interpreter.invoke()
    return [
        dequantise(interpreter.get_tensor(detail["index"]), detail)
        for detail in interpreter.get_output_details()
    ]


def test_python_gives_what_evaluation_gives(tmp_path: Path) -> None:
    job: dict[str, dict[str, str]] = {key: {} for key in ("code", "models", "inputs", "outputs")}
    inputs = {name: real_inputs(data) for name, data in MODELS.items()}
    for name, data in MODELS.items():
        job["code"][name] = code(data, "python")
        job["models"][name] = str(write_model(tmp_path / f"{name}.tflite", data))
        job["inputs"][name] = str(tmp_path / f"{name}-in.npz")
        job["outputs"][name] = str(tmp_path / f"{name}-out.npz")
        np.savez(job["inputs"][name], **{str(i): x for i, x in enumerate(inputs[name])})
    (tmp_path / "job.json").write_text(json.dumps(job))
    (tmp_path / "runs.py").write_text(RUNS)
    subprocess.run(
        [sys.executable, "-P", tmp_path / "runs.py", tmp_path / "job.json"], check=True, timeout=120
    )
    for name in MODELS:
        with np.load(job["outputs"][name]) as outputs:
            found = [outputs[key] for key in sorted(outputs.files)]
        wanted = expected(Path(job["models"][name]), inputs[name])
        assert len(found) == len(wanted)
        for a, b in zip(found, wanted, strict=True):
            assert a.dtype == b.dtype, name
            np.testing.assert_array_equal(a, b, err_msg=name)


@pytest.mark.parametrize("delegate", ["none", "xnnpack"])
def test_delegate_and_threads_reach_the_code(delegate: str) -> None:
    data, how = float_model(), Settings(delegate, 3, "as asked for")
    on = "true" if delegate == "xnnpack" else "false"
    said = {
        "kotlin": f"setNumThreads(3).setUseXNNPACK({on})",
        "java": f"options.setUseXNNPACK({on});",
        "swift": f"options.isXNNPackEnabled = {on}",
        "cpp": "OpResolver resolver;" if on == "true" else "WithoutDefaultDelegates resolver;",
        "python": "num_threads=3",
    }
    for language in LANGUAGES:
        text = code(data, language, how=how)
        assert said[language] in text
        assert f"{delegate}, 3 threads: as asked for" in text
    assert ("WITHOUT_DEFAULT_DELEGATES" in code(data, "python", how=how)) == (on == "false")


LITERALS = {
    "kotlin": (r"INPUT_SCALE = (\S+)f$", r"INPUT_ZERO_POINT = (\S+)$"),
    "java": (r"INPUT_SCALE = (\S+)f;", r"INPUT_ZERO_POINT = (\S+);"),
    "python": (r"INPUT_SCALE, .* = np\.float32\((\S+)\), ", r"np\.float32\(\S+\), (\S+)$"),
    "cpp": (r"kInputScale = (\S+)f;", r"kInputZeroPoint = (\S+);"),
    "swift": (r"inputScale: Float = (\S+)$", r"inputZeroPoint: Int32 = (\S+)$"),
}


@settings(max_examples=60, deadline=None)
@given(
    st.floats(2.0**-140, 2.0**100, width=32) | st.sampled_from([2.0**-126, 1 / 255]),
    st.integers(-128, 127),
)
def test_every_scale_is_exact(scale: float, zero_point: int) -> None:
    data = border_model(scale=float(np.float32(scale)), zero_point=zero_point)
    for language in LANGUAGES:
        text = code(data, language)
        literal, zero = (re.search(p, text, re.MULTILINE) for p in LITERALS[language])
        assert literal is not None
        assert zero is not None
        assert np.float32(literal[1]) == np.float32(scale)
        # Without a point or an exponent it would be a whole number with a suffix.
        assert re.fullmatch(r"\d+(\.\d+)?(e[+-]?\d+)?", literal[1])
        assert "." in literal[1] or "e" in literal[1]
        assert int(zero[1]) == zero_point


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("dtype", "low", "high", "size"),
    [(np.int8, -128, 127, 210), (np.uint8, 0, 255, 210), (np.int16, -32768, 32767, 420)],
)
def test_constants(language: str, dtype: Any, low: int, high: int, size: int) -> None:
    text = code(border_model((1, 5, 6, 7), dtype, zero_point=0), language)
    assert f"{np.dtype(dtype).name} (1, 5, 6, 7), {size} bytes" in text
    body = text.partition("Needs")[2]
    # numpy knows sizes in bytes by itself.
    assert re.search(r"\(1, 5, 6, 7\)" if language == "python" else rf"\b{size}\b", body)
    assert language == "python" or re.search(r"\b210\b", body)
    clamp = [re.search(rf"(?<![\d-]){limit}(\.0)?[,)]", body) for limit in (low, high)]
    assert None not in clamp


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "data",
    [*MODELS.values(), border_model(count=3), border_model((), np.float32, scale=None)],
    ids=[*MODELS, "three", "scalar"],
)
def test_brackets_are_balanced_and_lines_are_short(language: str, data: bytes) -> None:
    text = code(data, language)
    pairs = {")": "(", "]": "[", "}": "{"}
    open_: list[str] = []
    for char in text:
        if char in pairs.values():
            open_.append(char)
        elif char in pairs:
            assert open_.pop() == pairs[char]
    assert not open_
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    assert "\n\n\n\n" not in text
    assert max(map(len, text.splitlines())) <= 130
    assert text.isascii()


def test_an_open_dimension_is_resized_and_its_sizes_asked_for() -> None:
    data = cast_model(np.float32, -1)
    for language, call in {
        "kotlin": "resizeInput(0, INPUT_SHAPE)",
        "java": "interpreter.resizeInput(0, INPUT_SHAPE);",
        "python": "resize_tensor_input(self._inputs[0], INPUT_SHAPE)",
        "cpp": "ResizeInputTensor(interpreter_->inputs()[0], {1, 1})",
        "swift": "resizeInput(at: 0, to: Tensor.Shape([1, 1]))",
    }.items():
        text = code(data, language)
        assert call in text
        assert "imension 1 takes any size: write yours" in text
        assert "float32 (1, any)" in text


HOSTILE = [
    "*/ System.exit(0); /*",
    '"); evil("',
    "a\nimport os",
    "a\r\nb",
    "\u2028evil()",
    "${evil}",
    "what??/",
    "trailing\\",
    "\\u000a evil();",
    '"""',
    "'''",
    "{{ evil }}",
    "\x1b[2J",
    "\u202eevil",
    "%s%n",
    "x" * 10_000,
    "",
]
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=80) | st.sampled_from(HOSTILE)


@settings(max_examples=80, deadline=None)
@given(TEXTS, TEXTS, TEXTS)
def test_no_name_gets_into_the_code(tensor: str, file: str, device: str) -> None:
    data = border_model(names=(tensor, tensor))
    harmless = border_model(names=("x", "y"))
    for language in LANGUAGES:
        mark = "#" if language == "python" else "//"
        how = Settings("none", 1, f"fastest measured on {device}")
        lines = code(data, language, file, how).split("\n")
        others = code(harmless, language, "m.tflite", PLAIN).split("\n")
        # Name, size and hash; one line per tensor; delegate.
        assert lines[4:] == others[4:]
        for line in lines[:4]:
            assert line.startswith(f"{mark} ")
            assert re.fullmatch(r"[ -~]*", line)
            assert not set(line) & set("\\?\"'`$%{}<>&@!|")
            # Ends no comment that somebody wraps around it.
            assert "*/" not in line


def test_custom_ops_are_named_and_their_names_harmless() -> None:
    g = GraphBuilder()
    x, y = g.tensor((1, 4), name="x"), g.tensor((1, 4), name="y")
    g.op(schema.BuiltinOperator.CUSTOM, (x,), (y,), custom="Evil\n*/ exit(); /*")
    data = g.build((x,), (y,))
    for language in LANGUAGES:
        (line,) = (one for one in code(data, language).split("\n") if "Custom ops" in one)
        assert line.endswith("registered with the runtime: Evil__/_exit();_/_")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (flex_model(), "needs TensorFlow ops (FlexErf), which no LiteRT interpreter runs"),
        (cast_model(np.float16), "input 0 is FLOAT16"),
        (border_model(scale=[0.1] * 6), "quantised per channel"),
        (border_model(scale=float("nan")), "which no int8 can have"),
        (border_model(scale=float("inf")), "which no int8 can have"),
        (border_model(scale=-1.0), "which no int8 can have"),
        (border_model(zero_point=128), "which no int8 can have"),
        (border_model(zero_point=2**40), "which no int8 can have"),
        (border_model(dtype=np.int64), "quantised int64"),
        (border_model((1, 0)), "0 bytes, which no buffer holds"),
        (border_model((60_000, 60_000)), "which no buffer holds"),
    ],
)
def test_models_without_code(data: bytes, says: str) -> None:
    with pytest.raises(UserError) as caught:
        code(data, "java", "m.tflite")
    assert str(caught.value).startswith("m.tflite: ")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_scale_of_zero_is_none() -> None:
    text = code(border_model(scale=0.0, zero_point=0), "java")
    assert "SCALE" not in text
    assert "byte[] run(byte[] input)" in text


def test_a_model_without_inputs() -> None:
    model = parse_model(float_model())
    empty = replace(model, graphs=(replace(model.main, inputs=()),))
    with pytest.raises(UserError, match="has no inputs"):
        snippet(empty, name="m", sha256=SHA256, language="java", settings=PLAIN)
