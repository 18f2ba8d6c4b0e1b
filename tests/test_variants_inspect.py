"""The static reader tells what a .tflite is, and when it is not what it claims."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import conv_model, flex_model, float_model, fp16_model, int8_model, partial_model

from bench.errors import UnreadableOutput
from bench.variants.inspect import contradictions, read_model


def test_float_model() -> None:
    facts = read_model(float_model(features=16, classes=4))
    assert dict(facts.ops) == {"FULLY_CONNECTED": 1, "SOFTMAX": 1}
    assert facts.float_ops == facts.ops
    (x,) = facts.inputs
    assert (x.name, x.dtype, x.shape, x.scale) == ("input", "FLOAT32", (1, 16), None)
    assert facts.outputs[0].shape == (1, 4)
    assert contradictions("fp32", facts) == ()


def test_int8_model() -> None:
    facts = read_model(int8_model())
    (x,) = facts.inputs
    assert (x.dtype, x.scale, x.zero_point) == ("INT8", 1 / 16, -3)
    assert facts.float_ops == {}
    assert contradictions("int8", facts) == ()
    assert contradictions("int8-qat", facts) == ()


def test_dynamic_batch_is_seen() -> None:
    (x,) = read_model(conv_model(size=8, batch=-1)).inputs
    assert x.signature == (-1, 8, 8, 1)


@pytest.mark.parametrize(
    ("variant", "content", "words"),
    [
        ("int8", float_model(), "came out float: FULLY_CONNECTED x1, SOFTMAX x1"),
        ("int8", float_model(), "input is FLOAT32, not INT8"),
        ("int8", partial_model(), "ATAN2 x1"),
        ("int8-qat", fp16_model(), "holds no int8 weights"),
        ("fp16", float_model(), "holds no float16 weights"),
        ("dynamic", float_model(), "holds no int8 weights"),
        ("dynamic", int8_model(), "input is INT8, not FLOAT32"),
        ("fp32", fp16_model(), "holds FLOAT16 weights"),
        ("fp32", flex_model(), "FlexErf"),
    ],
)
def test_contradictions(variant: str, content: bytes, words: str) -> None:
    assert words in "; ".join(contradictions(variant, read_model(content)))


def test_fp16_is_fp16() -> None:
    assert contradictions("fp16", read_model(fp16_model())) == ()


@pytest.mark.parametrize("content", [b"", b"\0" * 64, b"\x1c\0\0\0TFL3", b"not a model at all"])
def test_what_is_no_model_is_refused(content: bytes) -> None:
    with pytest.raises(UnreadableOutput):
        read_model(content)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damage_is_refused_or_read_but_never_crashes(data: st.DataObject) -> None:
    content = bytearray(int8_model())
    del content[data.draw(st.integers(8, len(content))) :]
    for _ in range(data.draw(st.integers(0, 8))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    with suppress(UnreadableOutput):
        assert read_model(bytes(content)).ops
