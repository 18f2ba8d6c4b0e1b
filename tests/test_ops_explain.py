"""Two profiles against each other: pairs of ops, and sentences that the numbers carry."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ops_profiles import STEPS, chain, mobilenet_ops, plain, profile, step, summary

from bench.delegation.model import Coverage, Delegation
from bench.ops.compare import compare_profiles
from bench.ops.explain import Cause, Explanation, Side, explain
from bench.ops.groups import group
from bench.ops.model import OpKind, OpProfile, OpRow, ProfileSource
from bench.parsers.op_profile import parse_profile_text
from bench.tflite.graph import TfliteModel
from reports.ops.comparison_view import comparison_view

GOLDEN = Path(__file__).parent / "golden" / "benchmark_model"
# us of each op of MobileNetV2: with XNNPACK in fp32, and where dynamic range leaves the
# depthwise convolutions to plain kernels (15 of them in the one that FACTS measured).
FAST = {"DEPTHWISE_CONV_2D": 17.0, "CONV_2D": 70.0, "FULLY_CONNECTED": 100.0}
SLOW = {"DEPTHWISE_CONV_2D": 460.0, "CONV_2D": 40.0, "FULLY_CONNECTED": 60.0}


def side(
    label: str,
    given_: OpProfile,
    model: TfliteModel | None = None,
    *,
    asked: str | None = None,
    **changes: Any,
) -> Side:
    delegation = None if asked is None else Delegation(asked, Coverage.PARTIAL)
    if asked == "none":
        delegation = Delegation(asked, Coverage.NONE)
    fields = {"delegation": delegation, **changes}
    return Side(label, given_, summary(given_, model), **fields)


def fp32_profile() -> OpProfile:
    return profile(*(step(STEPS[op], FAST.get(op, 1.0)) for op in mobilenet_ops()))


def dynamic_profile() -> OpProfile:
    rows: list[OpRow] = []
    for node, op in enumerate(mobilenet_ops()):
        if op == "DEPTHWISE_CONV_2D":
            rows.append(plain(node, op, SLOW[op]))
        else:
            rows.append(step(STEPS[op], SLOW.get(op, 1.0)))
    return profile(*rows)


def golden(case: str) -> OpProfile:
    found = parse_profile_text((GOLDEN / case / "stdout").read_text())
    assert found is not None
    return found


@pytest.mark.parametrize("with_model", [False, True])
def test_depthwise_convolutions_that_stayed_on_plain_kernels(with_model: bool) -> None:
    model = chain(mobilenet_ops()) if with_model else None
    dynamic = side("dynamic", dynamic_profile(), model, asked="xnnpack")
    fp32 = side("fp32", fp32_profile(), model, asked="xnnpack")
    found = explain(dynamic, fp32)
    assert (found.slower, found.faster) == ("dynamic", "fp32")
    assert found.lines[0].startswith("dynamic is slower than fp32 by the sum of its ops (3.")
    assert found.lines[1] == (
        "17 DEPTHWISE_CONV_2D stayed on plain kernels: 84 % of its time; in fp32 XNNPACK took"
        " them (10 %)."
    )
    assert len(found.lines) == 2
    figure = found.figures[0]
    assert (figure.cause, figure.ops, figure.count) == (
        Cause.FALLBACK,
        ("DEPTHWISE_CONV_2D",),
        17,
    )
    assert figure.part > 1  # the convolutions were faster, and took some of it back
    assert found.explained == 1.0
    assert explain(fp32, dynamic) == found


def test_the_real_profiles_of_plain_kernels_against_xnnpack() -> None:
    none = side("none", golden("06e_dynamic_opprof_no_xnnpack"), asked="none")
    fp32 = side("xnnpack", golden("04_fp32_opprof_stdout"), asked="xnnpack")
    found = explain(none, fp32)
    assert found.lines[1:] == (
        "17 DEPTHWISE_CONV_2D ran on plain kernels: 55 % of its time; XNNPACK took them (18 %).",
        "36 CONV_2D/FULLY_CONNECTED ran on plain kernels: 45 % of its time; XNNPACK took them"
        " (82 %).",
    )
    assert found.explained == pytest.approx(1.0, abs=0.01)


def test_int8_is_faster_and_so_fp32_is_explained() -> None:
    int8 = side("int8", golden("06b_int8_opprof"), asked="xnnpack")
    fp32 = side("fp32", golden("04_fp32_opprof_stdout"), asked="xnnpack")
    found = explain(int8, fp32)
    assert found.slower == "fp32"
    assert found.figures[0].cause is Cause.KERNELS
    assert "by the same kind of kernels (XNNPACK)" in found.lines[1]


def test_ops_that_take_hardly_any_of_a_run_do_not_explain_it() -> None:
    slow, fast = profile(plain(0, "ADD", 3.0)), profile(plain(0, "ADD", 2.0))
    found = explain(side("a", slow, p50_us=400.0), side("b", fast, p50_us=300.0))
    assert found.slower == "a"
    assert found.figures == ()
    assert found.lines[1:] == (
        "The profiles do not say why: no kind of op makes up the difference.",
    )
    part = explain(side("a", slow, p50_us=9.0), side("b", fast, p50_us=5.0))
    assert part.figures[0].part == 0.25
    assert "That is 25 % of the difference" in part.lines[-1]


def test_conversions() -> None:
    core = [plain(1, "MUL", 100.0)]
    int8 = [plain(0, "QUANTIZE", 60.0), *core, plain(2, "DEQUANTIZE", 40.0)]
    found = explain(side("int8", profile(*int8)), side("fp32", profile(*core)))
    assert found.lines[1:] == (
        "1 QUANTIZE only to turn numbers into another type: 30 % of its time; in fp32 0 %.",
        "1 DEQUANTIZE only to turn numbers into another type: 20 % of its time; in fp32 0 %.",
    )
    assert {figure.cause for figure in found.figures} == {Cause.CONVERSION}


def test_quantising_while_it_runs_is_a_conversion() -> None:
    fast = profile(step(STEPS["CONV_2D"], 100.0))
    slow = profile(step("Convert (NC, F32, QD8)", 80.0), step(STEPS["CONV_2D"], 100.0))
    found = explain(side("dynamic", slow), side("fp32", fast))
    assert [figure.cause for figure in found.figures] == [Cause.CONVERSION]


def test_a_delegate_that_is_slower_than_plain_kernels() -> None:
    slow = profile(step(STEPS["SOFTMAX"], 90.0))
    found = explain(
        side("xnnpack", slow, asked="xnnpack"), side("none", profile(plain(0, "SOFTMAX", 10.0)))
    )
    assert found.lines[1] == (
        "1 SOFTMAX takes longer with XNNPACK than on plain kernels in none: 90.0 µs against"
        " 10.0 µs, 100 % of its time."
    )


def test_ops_that_only_one_has() -> None:
    fast = profile(plain(0, "ADD", 10.0))
    slow = profile(plain(0, "ADD", 10.0), plain(1, "TRANSPOSE", 50.0))
    found = explain(side("a", slow), side("b", fast))
    assert found.lines[1] == "1 TRANSPOSE, only in a: 83 % of its time."


def test_many_small_differences_are_no_reason() -> None:
    names = [f"OP_{n}" for n in range(20)]
    fast = profile(*(plain(n, name, 10.0) for n, name in enumerate(names)))
    slow = profile(*(plain(n, name, 11.0) for n, name in enumerate(names)))
    found = explain(side("a", slow), side("b", fast))
    assert found.lines[-1].startswith("The profiles do not say why")
    assert found.figures == ()
    assert found.explained == 0.0


def test_a_small_cause_is_not_the_whole_reason() -> None:
    names = [f"OP_{n}" for n in range(30)]
    fast = profile(*(plain(n, name, 10.0) for n, name in enumerate(names)))
    slow = profile(
        plain(0, names[0], 20.0), *(plain(n + 1, m, 11.0) for n, m in enumerate(names[1:]))
    )
    found = explain(side("a", slow), side("b", fast))
    assert len(found.figures) == 1
    assert found.lines[-1] == (
        "That is 26 % of the difference; the profiles do not say why the rest."
    )


def test_as_fast() -> None:
    a, b = profile(plain(0, "ADD", 100.0)), profile(plain(0, "ADD", 101.0))
    found = explain(side("a", a), side("b", b))
    assert found == Explanation(None, None, ("a is as fast as b by the sum of its ops (100 µs).",))


def test_timed_launches_say_who_is_slower() -> None:
    """What the profiler adds may turn the order round: then the ops are no reason."""
    a = side("a", profile(plain(0, "ADD", 10.0)), p50_us=30.0)
    b = side("b", profile(plain(0, "ADD", 20.0)), p50_us=20.0)
    found = explain(a, b)
    assert found.slower == "a"
    assert found.lines == (
        "a is slower than b here (1.50×: 30.0 µs against 20.0 µs).",
        "The profiles do not say why: their ops do not take longer.",
    )


def test_the_time_of_a_run_comes_before_the_sum_of_ops() -> None:
    a = dataclasses.replace(profile(plain(0, "ADD", 10.0)), invoke_us=50.0)
    b = dataclasses.replace(profile(plain(0, "ADD", 10.0)), invoke_us=20.0)
    found = explain(side("a", a), side("b", b))
    assert found.lines[0].startswith("a is slower than b while profiled (2.50×")
    assert found.lines[-1].startswith("The profiles do not say why")


def test_a_delegate_that_did_not_come_is_said_first() -> None:
    silent = Delegation("gpu", Coverage.NONE)
    a = side("gpu", profile(plain(0, "ADD", 30.0)), delegation=silent)
    found = explain(a, side("none", profile(plain(0, "ADD", 10.0))))
    assert found.lines[0] == "gpu did not run as asked: delegate gpu, verdict NONE."


def test_no_times_say_nothing() -> None:
    empty = side("a", profile(plain(0, "ADD", None)))
    found = explain(empty, side("b", profile(plain(0, "ADD", 1.0))))
    assert found.slower is None
    assert found.lines == ("A profile without times says nothing.",)


def coarse(*rows: OpRow) -> OpProfile:
    return profile(*rows, source=ProfileSource.C_API)


def test_a_coarse_clock_is_no_evidence() -> None:
    a, b = coarse(plain(0, "ADD", 1.0), plain(1, "MUL", 0.0)), coarse(plain(0, "ADD", 0.0))
    b = dataclasses.replace(b, invoke_us=10.0)
    a = dataclasses.replace(a, invoke_us=20.0)
    assert explain(side("a", a), side("b", b)).figures == ()
    # 20 ops of one tick each against none: the ticks may be all there is to it.
    ticks = [plain(n, "ADD", 1.0) for n in range(20)]
    slow = coarse(*ticks, plain(20, "MUL", 100.0))
    fast = coarse(*(plain(n, "ADD", 0.0) for n in range(20)), plain(20, "MUL", 100.0))
    found = explain(side("a", slow), side("b", fast))
    assert found.figures == ()
    assert found.lines[-1].startswith("The profiles do not say why")
    slow = coarse(*(plain(n, "ADD", 3.0) for n in range(20)), plain(20, "MUL", 100.0))
    found = explain(side("a", slow), side("b", fast))
    assert [figure.ops for figure in found.figures] == [("ADD",)]


ROWS = st.builds(
    lambda is_plain, op, us: plain(0, op, us) if is_plain else step(STEPS[op], us),
    st.booleans(),
    st.sampled_from(list(STEPS)),
    st.none() | st.floats(0.01, 1e6),
)
PROFILES = st.lists(ROWS, max_size=12).map(lambda rows: profile(*rows))


@settings(max_examples=200, deadline=None)
@given(PROFILES, PROFILES)
def test_every_claim_adds_up(one: OpProfile, other: OpProfile) -> None:
    a, b = side("a", one), side("b", other)
    groups = group(a.summary, b.summary)
    assert sum(g.ours.us for g in groups) == pytest.approx(a.summary.total_us)
    assert sum(g.theirs.us for g in groups) == pytest.approx(b.summary.total_us)
    assert sum(g.ours.ops for g in groups) == len(a.summary.rows)
    names = [name for g in groups for name in g.ops]
    assert len(names) == len(set(names))
    found = explain(a, b)
    assert len(found.lines) >= 1
    slow, fast = (a, b) if found.slower == "a" else (b, a)
    for figure in found.figures:
        assert figure.part >= 0.1
        assert figure.slower_us > figure.faster_us
        assert figure.slower_share == pytest.approx(figure.slower_us / slow.summary.total_us)
        assert figure.faster_share == pytest.approx(figure.faster_us / fast.summary.total_us)
        if figure.cause is Cause.FALLBACK:
            kinds = {r.row.kind for r in slow.summary.rows}
            assert OpKind.OP in kinds
    if found.slower is not None:
        assert explain(b, a) == found


# --- Op by op ------------------------------------------------------------------------------


def test_pairs_by_node_of_the_same_model() -> None:
    model = chain(mobilenet_ops())
    pair = compare_profiles(
        summary(dynamic_profile(), model), summary(fp32_profile(), model), model, model
    )
    assert pair.paired_by == "node"
    assert len(pair.ops) == 65
    depthwise = [op for op in pair.ops if op.op == "DEPTHWISE_CONV_2D"]
    assert {op.difference_us for op in depthwise} == {443.0}
    assert depthwise[0].ours is not None
    assert depthwise[0].ours.kinds == (OpKind.OP,)
    assert depthwise[0].theirs is not None
    assert depthwise[0].theirs.kinds == (OpKind.DELEGATE_OP,)


def test_conversions_stand_alone_beside_their_float_model() -> None:
    fp32 = chain(["CONV_2D", "ADD"])
    int8 = chain(["QUANTIZE", "CONV_2D", "ADD", "DEQUANTIZE"])
    ours = profile(
        plain(0, "QUANTIZE", 1.0),
        plain(1, "CONV_2D", 5.0),
        plain(2, "ADD", 2.0),
        plain(3, "DEQUANTIZE", 3.0),
    )
    theirs = profile(plain(0, "CONV_2D", 9.0), plain(1, "ADD", 2.0))
    pair = compare_profiles(summary(ours, int8), summary(theirs, fp32), int8, fp32)
    assert [(op.op, op.difference_us) for op in pair.ops] == [
        ("QUANTIZE", None),
        ("CONV_2D", -4.0),
        ("ADD", 0.0),
        ("DEQUANTIZE", None),
    ]
    back = compare_profiles(summary(theirs, fp32), summary(ours, int8), fp32, int8)
    assert [(op.op, op.difference_us) for op in back.ops] == [
        ("CONV_2D", 4.0),
        ("ADD", 0.0),
        ("QUANTIZE", None),
        ("DEQUANTIZE", None),
    ]


def test_steps_of_one_node_are_one_op() -> None:
    model = chain(["MEAN"])
    two = profile(step("Mean (ND) Reduce2", 5.0), step("Static Reshape (NC)", 1.0))
    pair = compare_profiles(
        summary(two, model), summary(profile(plain(0, "MEAN", 2.0)), model), model, model
    )
    assert [(op.op, op.difference_us) for op in pair.ops] == [("MEAN", 4.0)]
    assert pair.ops[0].ours is not None
    assert pair.ops[0].ours.steps == ("Mean (ND) Reduce2", "Static Reshape (NC)")


def test_without_models_by_the_names_of_rows() -> None:
    ours = profile(plain(0, "ADD", 3.0), step("Add (ND)"), step("Add (ND)"))
    theirs = profile(plain(0, "ADD", 1.0), step("Add (ND)"))
    pair = compare_profiles(summary(ours), summary(theirs), None, None)
    # Rows of the same name are nobody's counterpart.
    assert [(op.op, op.difference_us) for op in pair.ops] == [("ADD", 2.0), ("Add (ND)", None)]


def test_a_missing_time_is_no_difference() -> None:
    model = chain(["ADD"])
    pair = compare_profiles(
        summary(profile(plain(0, "ADD", None)), model),
        summary(profile(plain(0, "ADD", 1.0)), model),
        model,
        model,
    )
    assert pair.ops[0].difference_us is None


def test_what_has_no_time_is_no_cause_and_is_not_called_zero() -> None:
    slow = profile(plain(0, "ADD", 50.0), plain(1, "MUL", 90.0))
    fast = profile(plain(0, "ADD", 10.0), plain(1, "MUL", None))
    found = explain(side("a", slow), side("b", fast))
    assert [figure.ops for figure in found.figures] == [("ADD",)]
    pair = compare_profiles(summary(slow), summary(fast), None, None)
    assert {g.ops: g.difference_us for g in pair.groups} == {("ADD",): 40.0, ("MUL",): None}
    view = comparison_view("a, b", pair, ("a", "b"), (), by="type", top=9)
    (row,) = (row for row in view.tables[0].rows if row[0] == "MUL")
    assert row[4:] == ("–", "–", "1/1", "–")


def test_an_op_of_which_a_part_has_no_time_has_none() -> None:
    model = chain(["ADD", "MUL"])
    parts = profile(plain(0, "ADD", 1.0), plain(0, "ADD", None), plain(1, "MUL", 2.0))
    whole = profile(plain(0, "ADD", 3.0), plain(1, "MUL", 2.0))
    pair = compare_profiles(summary(parts, model), summary(whole, model), model, model)
    assert [(op.op, op.difference_us) for op in pair.ops] == [("ADD", None), ("MUL", 0.0)]
