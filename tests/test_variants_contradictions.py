"""A model that is not the variant it claims to be is found out, and a true one is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from edgetpu_compiler import compiled_model
from models import (
    GraphBuilder,
    cast_model,
    flex_model,
    float_model,
    fp16_model,
    int4_model,
    int8_model,
    int8_weights_model,
    island_model,
    partial_model,
    quantised_border_model,
)

from bench.tflite.facts import read_model
from bench.variants.contradictions import contradictions
from bench.variants.recipe import RECIPES

# A model that is each variant, and may pass as no other than those named.
TRUE = {
    "fp32": (float_model(), {"fp32", "select-tf-ops"}),
    "fp16": (fp16_model(), {"fp16"}),
    "dynamic": (int8_weights_model(decoded=False), {"dynamic"}),
    "dynamic-int4": (int4_model(), {"dynamic-int4"}),
    "weight-int8": (int8_weights_model(decoded=True), {"weight-int8"}),
    "int8": (int8_model(), {"int8", "int8-qat"}),
    "int8-qat": (int8_model(), {"int8", "int8-qat"}),
    "int8-uint8-io": (quantised_border_model(np.uint8), {"int8-uint8-io"}),
    "int8-float-io": (quantised_border_model(), {"int8-float-io"}),
    "int16x8": (quantised_border_model(inner=np.int16), {"int16x8"}),
    "int8-edgetpu": (compiled_model(), {"int8-edgetpu"}),
    "select-tf-ops": (flex_model(), {"select-tf-ops"}),
}


def test_every_recipe_is_covered() -> None:
    assert set(TRUE) == set(RECIPES)


@pytest.mark.parametrize("claimed", RECIPES)
@pytest.mark.parametrize("true", RECIPES)
def test_what_passes_as_what(true: str, claimed: str) -> None:
    content, passes_as = TRUE[true]
    found = contradictions(claimed, read_model(content))
    assert (found == ()) == (claimed in passes_as), found


@pytest.mark.parametrize(
    ("variant", "content", "words"),
    [
        ("int8", float_model(), "came out float: FULLY_CONNECTED x1, SOFTMAX x1"),
        ("int8", float_model(), "input is FLOAT32, not INT8"),
        ("int8", partial_model(), "ATAN2 x1"),
        ("int8", island_model(), "came out float: ABS x1, ATAN2 x1"),
        ("int8-float-io", island_model(), "came out float: ABS x1, ATAN2 x1"),
        ("int8-qat", fp16_model(), "holds no int8 weights"),
        ("int8-uint8-io", int8_model(), "input is INT8, not UINT8"),
        ("int16x8", quantised_border_model(), "activations are INT8, not INT16"),
        ("int8-float-io", quantised_border_model(inner=np.int16), "activations are INT16, not"),
        ("fp16", float_model(), "holds no float16 weights"),
        ("dynamic", float_model(), "holds no int8 weights (the converter leaves"),
        ("dynamic", int8_model(), "input is INT8, not FLOAT32"),
        ("dynamic", quantised_border_model(), "computes in integers: FULLY_CONNECTED x1"),
        ("dynamic", int8_weights_model(decoded=True), "that is weight-int8, not dynamic"),
        ("dynamic-int4", int8_weights_model(decoded=False), "holds no int4 weights"),
        ("weight-int8", int8_weights_model(decoded=False), "that is dynamic, not weight-int8"),
        ("fp32", fp16_model(), "holds FLOAT16 weights"),
        ("fp32", int4_model(), "holds INT4 weights"),
        ("fp32", flex_model(), "needs TensorFlow ops, which this runtime lacks: FlexErf"),
        ("int8", flex_model(), "FlexErf"),
        ("select-tf-ops", int8_weights_model(decoded=False), "holds INT8 weights"),
    ],
)
def test_what_is_said(variant: str, content: bytes, words: str) -> None:
    assert words in "; ".join(contradictions(variant, read_model(content)))


def test_a_custom_op_named_like_a_conversion_is_no_conversion() -> None:
    facts = read_model(quantised_border_model())
    named = replace(facts, float_ops={"DEQUANTIZE": 1}, custom_ops=("DEQUANTIZE",))
    assert contradictions("int8-float-io", facts) == ()
    assert "came out float: DEQUANTIZE x1" in contradictions("int8-float-io", named)


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.bool_, np.uint8])
@pytest.mark.parametrize("variant", ["fp32", "select-tf-ops"])
def test_ids_masks_and_pixels_are_no_sign_of_a_wrong_recipe(variant: str, dtype: type) -> None:
    assert contradictions(variant, read_model(cast_model(dtype))) == ()


def test_quantised_embeddings_do_not_make_a_dynamic_model_integer() -> None:
    """GATHER of int8 rows and their DEQUANTIZE, as converters make embeddings."""
    from ai_edge_litert.schema_py_generated import BuiltinOperator as Op

    g = GraphBuilder()
    ids = g.tensor((1, 4), np.int32, name="ids")
    table = g.tensor((64, 8), np.int8, data=g.rng.integers(-127, 128, (64, 8)), scale=0.01)
    rows = g.tensor((1, 4, 8), np.int8, scale=0.01)
    g.op(Op.GATHER, (table, ids), (rows,))
    output = g.tensor((1, 4, 8), name="output")
    g.op(Op.DEQUANTIZE, (rows,), (output,))
    assert contradictions("dynamic", read_model(g.build((ids,), (output,)))) == ()
