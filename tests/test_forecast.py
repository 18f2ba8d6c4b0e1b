"""What the lists say of a model, what they do not know, and how a measurement is held to it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest
from ai_edge_litert import schema_py_generated as schema
from edgetpu_compiler import compiled_model
from hypothesis import given
from hypothesis import strategies as st
from models import (
    GraphBuilder,
    cast_model,
    flex_model,
    float_model,
    fp16_model,
    int8_model,
    partial_model,
    unsupported_model,
    variable_model,
)

from bench.delegation.model import Coverage, Delegation, Evidence, EvidenceSource, Refusal
from bench.forecast.check import check
from bench.forecast.forecast import forecast_for, forecasts
from bench.forecast.model import Checked, Expected, Forecast
from bench.forecast.rules import NUMBERS, RuleList, Rules, load_rules
from bench.forecast.stored import KEY, forecasts_of, to_json
from bench.tflite.graph import parse_model

CLASSIC, COMPILED = "benchmark_model", "litert"


def forecast(data: bytes, delegate: str = "xnnpack", runner: str = CLASSIC) -> Forecast:
    found = forecast_for(forecasts(parse_model(data), load_rules()), delegate, runner)
    assert found is not None
    return found


def one_op(name: str) -> bytes:
    """A model of one op without options, float in and out."""
    g = GraphBuilder()
    x, y = g.tensor((1, 4)), g.tensor((1, 4))
    g.op(getattr(schema.BuiltinOperator, name), (x,), (y,))
    return g.build((x,), (y,))


def test_the_lists_name_ops_that_there_are_and_where_they_were_read() -> None:
    rules = load_rules()
    assert {one.delegate for one in rules.list} == {"xnnpack", "gpu", "nnapi", "edgetpu"}
    for one in rules.list:
        assert one.last_builtin in NUMBERS
        assert all(url.startswith("https://") for url in one.documents)
        for rule in one.rules:
            # What is no builtin op would be an op's name misspelt, but for MediaPipe's.
            assert all(op in NUMBERS or rule.depends for op in rule.ops), rule.ops
            assert len(set(rule.ops)) == len(rule.ops), rule.ops
        types = {t for rule in one.rules for t in (*(rule.types or ()), *(rule.out_types or ()))}
        assert types <= set(vars(schema.TensorType))


@pytest.mark.parametrize(
    ("data", "delegate", "verdict", "taken", "refused"),
    [
        (float_model(), "xnnpack", Coverage.FULL, 2, {}),
        (int8_model(), "xnnpack", Coverage.PARTIAL, 1, {"SOFTMAX": 1}),
        (fp16_model(), "xnnpack", Coverage.FULL, 4, {}),
        (partial_model(), "xnnpack", Coverage.PARTIAL, 3, {"ATAN2": 1}),
        (unsupported_model(), "xnnpack", Coverage.NONE, 0, {"ATAN2": 1}),
        (unsupported_model(), "gpu", Coverage.NONE, 0, {"ATAN2": 1}),
        (int8_model(), "gpu", Coverage.FULL, 2, {}),
        (fp16_model(), "nnapi", Coverage.FULL, 4, {}),
        (float_model(), "edgetpu", Coverage.NONE, 0, {"FULLY_CONNECTED": 1, "SOFTMAX": 1}),
    ],
)
def test_what_is_taken_and_refused(
    data: bytes, delegate: str, verdict: Coverage, taken: int, refused: dict[str, int]
) -> None:
    found = forecast(data, delegate)
    assert (found.verdict, found.taken) == (verdict, taken)
    assert {e.op: e.nodes for e in found.refused} == refused
    assert all(e.reason for e in found.refused)


@pytest.mark.parametrize("runner", [CLASSIC, COMPILED])
@pytest.mark.parametrize(
    "op",
    [
        "LOCAL_RESPONSE_NORMALIZATION",
        "WHILE",
        "GATHER_ND",
        "NON_MAX_SUPPRESSION_V4",
        "CONV_3D",
        "RFFT2D",
    ],
)
def test_what_gpus_were_seen_to_refuse(op: str, runner: str) -> None:
    found = forecast(one_op(op), "gpu", runner)
    assert found.verdict is Coverage.NONE
    assert found.refused[0].op == op


def test_the_two_delegates_called_gpu_have_lists_of_their_own() -> None:
    assert forecast(unsupported_model(), "gpu", COMPILED).verdict is Coverage.FULL
    assert forecast(unsupported_model(), "gpu", CLASSIC).verdict is Coverage.NONE
    found = forecasts(parse_model(float_model()), load_rules())
    assert forecast_for(found, "gpu", "invoke_loop") is None
    assert forecast_for(found, "hexagon", CLASSIC) is None


@pytest.mark.parametrize("delegate", ["xnnpack", "gpu", "nnapi", "edgetpu"])
def test_an_op_that_no_list_holds_is_unknown_and_never_taken(delegate: str) -> None:
    found = forecast(flex_model(), delegate)
    assert (found.verdict, found.taken, found.refused) == (Coverage.UNKNOWN, 0, ())
    assert found.unknown == (Expected("FlexErf", 1, "not in this list"),)


def test_a_builtin_op_newer_than_a_list_is_unknown_to_it() -> None:
    rules = load_rules()
    old = replaced(rules, last_builtin="GELU")
    (found,) = forecasts(parse_model(unsupported_model()), old)
    assert found.unknown == (Expected("ATAN2", 1, "not in this list"),)
    (found,) = forecasts(parse_model(partial_model()), old)
    # It may be all or a part of it.
    assert (found.verdict, found.taken) == (Coverage.UNKNOWN, 3)


def replaced(rules: Rules, **changes: object) -> Rules:
    """XNNPACK's list alone, with something changed."""
    of = next(one for one in rules.list if one.delegate == "xnnpack")
    return Rules(version=1, list=(RuleList(**{**of.model_dump(), **changes}),))


def test_what_the_list_leaves_open_decides_nothing() -> None:
    found = forecast(variable_model(["a"], ["a"]))
    assert (found.verdict, found.taken, found.refused) == (Coverage.UNKNOWN, 1, ())
    assert {e.op for e in found.unknown} == {"VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE"}


def test_a_constant_is_unpacked_outside_where_its_user_is_refused() -> None:
    g = GraphBuilder()
    x = g.tensor((1, 8))
    half = g.tensor((1, 8), "float16", data=g.weights((1, 8)))
    full, y = g.tensor((1, 8)), g.tensor((1, 8))
    g.op(schema.BuiltinOperator.DEQUANTIZE, (half,), (full,), version=3)
    g.op(schema.BuiltinOperator.ATAN2, (x, full), (y,), schema.ATan2OptionsT())
    found = forecast(g.build((x,), (y,)))
    assert (found.verdict, {e.op for e in found.refused}) == (
        Coverage.NONE,
        {"ATAN2", "DEQUANTIZE"},
    )


def test_a_compiled_model_belongs_to_the_edge_tpu() -> None:
    found = forecast(compiled_model(), "edgetpu")
    assert (found.verdict, found.taken) == (Coverage.PARTIAL, 1)
    assert [e.op for e in found.refused] == ["SOFTMAX"]
    other = forecast(compiled_model(), "xnnpack")
    assert {e.op: e.reason for e in other.refused} == {
        "edgetpu-custom-op": "compiled for the Edge TPU; nothing else runs it",
        "SOFTMAX": "input of INT8, it takes FLOAT32, FLOAT16",
    }


def test_what_is_stored_comes_back_and_what_nobody_knows_is_none() -> None:
    found = forecasts(parse_model(partial_model()), load_rules())
    stored = {KEY: json.loads(json.dumps(to_json(found)))}
    assert forecasts_of(stored) == found
    assert forecasts_of({}) == ()
    assert forecasts_of({KEY: [{"delegate": "xnnpack"}]}) == ()
    assert forecasts_of({KEY: "of the year 2040"}) == ()


PARTLY = forecast(partial_model())
OUTSIDE = Delegation("xnnpack", Coverage.PARTIAL, 3, 4, 2, {"ATAN2": 1})


@pytest.mark.parametrize(
    ("delegation", "words"),
    [
        (OUTSIDE, None),
        (replace(OUTSIDE, verdict=Coverage.FULL, fallback_ops={}), "ATAN2: 1 were to stay outside"),
        (
            replace(OUTSIDE, fallback_ops={"ATAN2": 1, "SOFTMAX": 1}),
            "SOFTMAX: 1 stayed outside, and the list refuses none",
        ),
        (replace(OUTSIDE, fallback_ops={"ATAN2": 2}), "2 stayed outside, and the list refuses 1"),
        (replace(OUTSIDE, total_nodes=5), "5 nodes were seen, the file has 4"),
        (replace(OUTSIDE, verdict=Coverage.NONE), "took nothing, and the list refuses only 1 of 4"),
        (
            replace(OUTSIDE, fallback_ops={}, unsupported=(Refusal("SOFTMAX", "why"),)),
            "SOFTMAX stayed outside, and the list does not refuse it",
        ),
        (replace(OUTSIDE, fallback_ops={}), None),
    ],
)
def test_a_measurement_that_says_otherwise_is_told(
    delegation: Delegation, words: str | None
) -> None:
    found = check(PARTLY, delegation)
    assert found.why_not is None
    assert any(words in text for text in found.disagreements) if words else not found.disagreements


@pytest.mark.parametrize(
    ("delegation", "words"),
    [
        (None, "not known what the delegate took"),
        (Delegation("xnnpack", Coverage.UNKNOWN), "not known what the delegate took"),
        (replace(OUTSIDE, accelerators=("google-edgetpu",)), "google-edgetpu decided"),
    ],
)
def test_what_cannot_be_compared_neither_agrees_nor_disagrees(
    delegation: Delegation | None, words: str
) -> None:
    found = check(PARTLY, delegation)
    assert found.disagreements == ()
    assert found.why_not is not None
    assert words in found.why_not


def test_a_graphics_adapter_decides_nothing_but_a_rasteriser_is_no_gpu() -> None:
    list_of_gpu = forecast(partial_model(), "gpu", CLASSIC)
    line = Evidence(EvidenceSource.DEVICE, "The GPU is Adreno 740.")
    real = replace(OUTSIDE, requested="gpu", accelerators=("Adreno 740",), evidence=(line,))
    assert check(list_of_gpu, real) == Checked()
    wrong = replace(real, fallback_ops={"SOFTMAX": 1})
    assert check(list_of_gpu, wrong).disagreements
    line = Evidence(EvidenceSource.DEVICE, "a rasteriser", Coverage.NONE)
    found = check(
        list_of_gpu,
        Delegation("gpu", Coverage.NONE, accelerators=("SwiftShader",), evidence=(line,)),
    )
    assert found.why_not == "SwiftShader decided, and the list is not of it"


def test_an_op_that_the_list_does_not_know_never_disagrees() -> None:
    found = forecast(flex_model())
    for verdict, outside in ((Coverage.FULL, {}), (Coverage.NONE, {"FlexErf": 1})):
        assert check(found, Delegation("xnnpack", verdict, 0, 1, 0, outside)).disagreements == ()


@given(st.sampled_from([name for name in NUMBERS if name != "CUSTOM"]), st.integers(1, 9))
def test_every_node_is_counted_once_whatever_the_op(name: str, version: int) -> None:
    g = GraphBuilder()
    x, y = g.tensor((1, 4)), g.tensor((1, 4))
    g.op(getattr(schema.BuiltinOperator, name), (x,), (y,), version=version)
    for found in forecasts(parse_model(g.build((x,), (y,))), load_rules()):
        told = Counter({e.op: e.nodes for e in (*found.refused, *found.unknown)})
        assert found.taken + told.total() == found.nodes == 1


@pytest.mark.parametrize("dtype", ["int64", "int16"])
def test_a_reason_names_the_type(dtype: str) -> None:
    found = forecast(cast_model(dtype), "nnapi")
    (refused,) = found.refused
    assert dtype.upper() in refused.reason
