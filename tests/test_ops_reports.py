"""Profiles as text, JSON, CSV, traces and overlays: right, and harmless whatever names say."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ops_profiles import STEPS, chain, mobilenet_ops, plain, profile, step, summary
from rich.console import Console

from bench.delegation.model import Coverage, Delegation
from bench.ops.compare import compare_profiles
from bench.ops.explain import Side, explain
from bench.ops.mapping import map_rows
from bench.ops.model import OpKind, OpProfile, OpRow, OpTable, ProfileSource
from bench.parsers.op_profile import parse_profile_text
from reports.ops.comparison_view import comparison_view
from reports.ops.csv import COLUMNS, profile_to_csv
from reports.ops.json import comparison_to_json, explanation_to_json, profile_to_json
from reports.ops.model_explorer import delegate_overlay, time_overlay
from reports.ops.terminal import terminal
from reports.ops.trace import profile_to_trace
from reports.ops.view import ProfileView, overview, profile_view

EVIL = '=cmd|"/c calc"!A1\x1b[31m\n[bold]\u202e,;"'
TWO = profile(plain(0, "ADD", 10.0), step("Subtract (ND)", 30.0), invoke_us=50.0)
MODEL = chain(["ADD", "SUB"])


def shown(view: ProfileView, *, width: int = 120, encoding: str = "utf-8") -> str:
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=out, width=width, color_system=None)
    console.print(terminal(view))
    out.flush()
    return out.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


# --- Terminal ------------------------------------------------------------------------------


def test_one_profile_on_a_terminal() -> None:
    found = Delegation("xnnpack", Coverage.PARTIAL, 1, 2, 1, {"ADD": 1})
    text = shown(profile_view("m · int8", TWO, summary(TWO, MODEL), found, by=None, top=1))
    for words in (
        "m · int8",
        "Sum of ops 40.0 µs, 80.0 % of a profiled run (50.0 µs)",
        "75.0 % by a delegate, 25.0 % by plain kernels",
        "Delegate xnnpack: PARTIAL, 1 of 2 nodes in 1 partition; outside it: ADD x1.",
        "1 row more",
        "~1",
        "float32 [1, 4]",
        "told by the runtime",
        "slower than timed ones",
    ):
        assert words in text
    assert "By type" in text


def test_layers_need_an_order() -> None:
    view = profile_view("t", TWO, summary(TWO), None, by="layer", top=1)
    assert [row[0] for row in view.tables[0].rows] == ["0", "1"]
    loose = profile(plain(0, "ADD"), ordered=False)
    with pytest.raises(ValueError, match="in which order"):
        profile_view("t", loose, summary(loose), None, by="layer", top=1)


def test_zero_of_a_coarse_clock_is_not_called_zero() -> None:
    coarse = OpProfile(ProfileSource.C_API, (OpTable((plain(0, "ADD", 0.0),)),))
    assert "<1.00 µs" in shown(profile_view("t", coarse, summary(coarse), None, by="op", top=1))
    assert "too coarse" in shown(profile_view("t", coarse, summary(coarse), None, by=None, top=1))
    fine = profile(plain(0, "ADD", 0.0))
    assert "<" not in shown(profile_view("t", fine, summary(fine), None, by="op", top=1))


def test_what_is_absent_is_a_dash() -> None:
    given_ = profile(plain(0, "ADD", None), plain(1, "MUL", 1.0))
    view = profile_view("t", given_, summary(given_), None, by="layer", top=9)
    assert view.tables[0].rows[0][1:3] == ("–", "–")


def test_numbers_are_whole_on_a_narrow_terminal() -> None:
    model = chain(mobilenet_ops(), names=["a/very/long/name/of/a/layer" * 3] * 65)
    given_ = profile(*(step(STEPS[op], 1234.5) for op in mobilenet_ops()))
    text = shown(profile_view("t", given_, summary(given_, model), None, by=None, top=5), width=80)
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("1.23 ms") >= 5
    assert text.count("1.5 %") >= 5


def test_a_comparison_on_a_terminal() -> None:
    other = profile(plain(0, "ADD", 4.0), plain(1, "SUB", 5.0))
    ours, theirs = summary(TWO, MODEL), summary(other, MODEL)
    said = explain(Side("int8", TWO, ours), Side("fp32", other, theirs)).lines
    pair = compare_profiles(ours, theirs, MODEL, MODEL)
    text = shown(comparison_view("a against b", pair, ("int8", "fp32"), said, by=None, top=1))
    for words in (
        "int8 is slower than fp32",
        "Sum of ops: int8 40.0 µs, fp32 9.00 µs (+31.0 µs).",
        "+25.0 µs",
        "1 op more",
        "~delegate",
        "0/1",
    ):
        assert words in text
    long = comparison_view("t", pair, ("a" * 30, "b"), said, by=None, top=1)
    assert f"first: {'a' * 30}; second: b." in long.notes


def test_many_profiles_are_a_line_each() -> None:
    found = Delegation("xnnpack", Coverage.FULL)
    text = shown(overview([("one", summary(TWO), found), ("two", summary(profile()), None)]))
    assert "2 profiles" in text
    assert "Subtract (ND)" in text
    assert "FULL" in text


def test_a_sum_that_a_coarse_clock_cut_off_is_a_bound_in_the_overview() -> None:
    coarse = OpProfile(ProfileSource.C_API, (OpTable((plain(0, "ADD", 0.0),) * 3),))
    text = shown(overview([("one", summary(coarse), None)]))
    assert "<3.00 µs" in text
    assert "0 ns" not in text


def test_cases_are_told_apart_on_a_narrow_terminal() -> None:
    case = "digits · fp32 · external (options=a:b, path=/usr/lib/libx.so) · 1 thread on board by "
    cases = [(case + runner, summary(TWO), None) for runner in ("litert", "invoke_loop")]
    words = " ".join(shown(overview(cases), width=80).split())
    assert "litert" in words
    assert "invoke_loop" in words


def test_a_comparison_says_of_which_ops_on_a_narrow_terminal() -> None:
    ours, theirs = summary(TWO, MODEL), summary(TWO, MODEL)
    pair = compare_profiles(ours, theirs, MODEL, MODEL)
    labels = ("dynamic-int4", "select-tf-ops")
    text = shown(comparison_view("t", pair, labels, [], by=None, top=9), width=80)
    assert max(map(len, text.splitlines())) <= 80
    of_kinds = text[text.index("By kind of op") :].splitlines()
    assert {line.split()[0] for line in of_kinds if "µs" in line} == {"ADD", "SUB"}
    assert text.count("10.0 µs") == 4


def test_what_a_coarse_clock_leaves_open_of_a_run_is_a_range() -> None:
    rows = (plain(0, "ADD", 0.0), plain(1, "SUB", 6.0))
    coarse = OpProfile(ProfileSource.C_API, (OpTable(rows),), invoke_us=20.0)
    view = profile_view("t", coarse, summary(coarse), None, by=None, top=1)
    assert "30.0 % to 40.0 % of a profiled run (20.0 µs)" in " ".join(view.lines)


def test_names_steer_no_terminal() -> None:
    given_ = profile(OpRow(OpKind.OP, EVIL, EVIL, 1.0), step(EVIL, name=EVIL))
    view = profile_view(EVIL, given_, summary(given_), None, by=None, top=9)
    text = shown(view, width=250)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "[bold]" in text
    assert shown(view, width=250, encoding="ascii").isascii()


# --- CSV -----------------------------------------------------------------------------------


def test_csv() -> None:
    (first, second) = rows_of(profile_to_csv(TWO, summary(TWO, MODEL)))
    assert tuple(first) == COLUMNS
    assert (first["kind"], first["avg_us"], first["share"]) == ("op", "10.0", "0.25")
    assert (first["match"], first["node"], first["op"]) == ("exact", "0", "ADD")
    assert (first["output"], first["output_dtype"], first["output_shape"]) == (
        "out0",
        "FLOAT32",
        "1x4",
    )
    assert first["inputs"] == "FLOAT32 1x4"
    assert first["std_us"] == ""
    assert (second["match"], second["type"]) == ("best-effort", "Subtract (ND)")


def test_csv_says_how_coarse_a_clock_was() -> None:
    coarse = OpProfile(ProfileSource.C_API, (OpTable((plain(0, "ADD", 0.0),)),))
    (row,) = rows_of(profile_to_csv(coarse, summary(coarse)))
    assert (row["avg_us"], row["resolution_us"]) == ("0.0", "1.0")
    (row, _) = rows_of(profile_to_csv(TWO, summary(TWO)))
    assert row["resolution_us"] == ""


def test_csv_runs_no_formula() -> None:
    given_ = profile(OpRow(OpKind.OP, EVIL, EVIL, 1.0))
    (row,) = rows_of(profile_to_csv(given_, summary(given_)))
    assert row["type"].startswith("'=cmd")
    assert row["name"].startswith("'=cmd")
    assert "\x1b" not in row["name"]


# --- Trace ---------------------------------------------------------------------------------


def test_trace_lays_rows_out_in_order() -> None:
    trace = profile_to_trace("m · int8", TWO, summary(TWO, MODEL))
    events = [e for e in trace["traceEvents"] if e["ph"] == "X"]
    assert [(e["name"], e["ts"], e["dur"]) for e in events] == [
        ("run", 0.0, 40.0),
        ("ADD", 0.0, 10.0),
        ("SUB", 10.0, 30.0),
    ]
    assert len({e["tid"] for e in events}) == 3
    assert events[1]["args"]["outputs"] == ["out0: FLOAT32 [1, 4]"]
    assert {e["name"] for e in trace["traceEvents"] if e["ph"] == "M"} == {
        "process_name",
        "thread_name",
    }
    assert json.loads(json.dumps(trace, allow_nan=False)) == trace


def test_trace_without_an_order_is_refused() -> None:
    loose = profile(plain(0, "ADD"), ordered=False)
    with pytest.raises(ValueError, match="in which order"):
        profile_to_trace("t", loose, summary(loose))


def test_trace_leaves_out_what_has_no_time() -> None:
    given_ = profile(plain(0, "ADD", None), plain(1, "MUL", 1.0))
    trace = profile_to_trace("t", given_, summary(given_))
    assert [e["name"] for e in trace["traceEvents"] if e["ph"] == "X"] == ["run", "MUL"]
    assert trace["otherData"]["rows_without_time"] == 1


# --- Model Explorer ------------------------------------------------------------------------


def test_overlays_by_output_names() -> None:
    found = summary(TWO, MODEL)
    time = time_overlay(found, MODEL.main)
    assert time["results"] == {"out0": {"value": 10.0}, "out1": {"value": 30.0}}
    assert [item["stop"] for item in time["gradient"]] == [0, 1]
    who = delegate_overlay(found, MODEL.main)["results"]
    assert [item["value"] for item in who.values()] == ["plain kernels", "delegate"]


def test_overlays_by_index_where_names_are_not_clear() -> None:
    names = ["twice", "twice", "3", "results", "own"]
    model = chain(["ADD"] * 5, names=names)
    given_ = profile(*(plain(node, "ADD", float(node)) for node in range(5)))
    assert list(time_overlay(summary(given_, model), model.main)["results"]) == [
        "0",
        "1",
        "2",
        "3",
        "own",
    ]


def test_overlay_sums_the_steps_of_a_node() -> None:
    model = chain(["MEAN"])
    given_ = profile(step("Mean (ND) Reduce2", 5.0), step("Static Reshape (NC)", 1.0))
    found = summary(given_, model)
    assert time_overlay(found, model.main)["results"] == {"out0": {"value": 6.0}}
    assert delegate_overlay(found, model.main)["results"]["out0"]["value"] == "delegate"


def test_a_time_that_was_cut_off_colours_no_node() -> None:
    rows = (plain(0, "ADD", 0.0), plain(1, "SUB", 2.0))
    coarse = OpProfile(ProfileSource.C_API, (OpTable(rows),))
    assert time_overlay(summary(coarse, MODEL), MODEL.main)["results"] == {"out1": {"value": 2.0}}
    fine = profile(*rows)
    assert time_overlay(summary(fine, MODEL), MODEL.main)["results"]["out0"] == {"value": 0.0}


def test_an_overlay_of_nothing_is_refused() -> None:
    given_ = profile(step("what nobody knows"))
    found = summary(given_, chain(["ADD"]))
    for overlay in (time_overlay, delegate_overlay):
        with pytest.raises(ValueError, match="no row of the profile"):
            overlay(found, chain(["ADD"]).main)


# --- JSON ----------------------------------------------------------------------------------


def test_json_of_a_profile() -> None:
    mapping = map_rows(TWO, MODEL)
    document = profile_to_json(TWO, mapping, summary(TWO, MODEL), None, {"file": "f"})
    assert document["delegation"] is None
    document = json.loads(json.dumps(document, allow_nan=False))
    assert document["total_us"] == 40.0
    assert document["covered"] == 0.8
    assert (document["resolution_us"], document["cut_off_us"]) == (None, None)
    assert document["rows"][1]["kind"] == "delegate-op"
    assert document["rows"][1]["share"] == 0.75
    assert document["rows"][1]["node"]["op"] == "SUB"
    assert document["rows"][0]["std_us"] is None


def test_json_of_a_comparison() -> None:
    other = profile(plain(0, "ADD", 4.0))
    ours, theirs = summary(TWO), summary(other)
    document: Any = comparison_to_json(compare_profiles(ours, theirs, None, None))
    said = explanation_to_json(explain(Side("a", TWO, ours), Side("b", other, theirs)))
    json.dumps([document, said], allow_nan=False)
    assert document["groups"][0]["ops"] == ["SUB"]
    assert said["slower"] == "a"


STEERING = {"Cc", "Cf", "Cs", "Zl", "Zp"}
NAMES = st.text(max_size=30) | st.just(EVIL)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(NAMES, NAMES, st.none() | st.floats(0, 1e6)), max_size=5))
def test_nothing_breaks_on_names(given_: list[tuple[str, str, float | None]]) -> None:
    rows = [
        OpRow(OpKind.DELEGATE_OP if n % 2 else OpKind.OP, kind, name, us)
        for n, (kind, name, us) in enumerate(given_)
    ]
    made = profile(*rows)
    found = summary(made)
    assert len(rows_of(profile_to_csv(made, found))) == len(rows)
    if rows:
        json.dumps(profile_to_trace("t", made, found), allow_nan=False)
    text = shown(profile_view("t", made, found, None, by=None, top=9))
    assert {unicodedata.category(c) for c in text if c != "\n"}.isdisjoint(STEERING)


def test_the_golden_text_lists_all_rows() -> None:
    golden = Path(__file__).parent / "golden" / "benchmark_model" / "04_fp32_opprof_stdout"
    made = parse_profile_text((golden / "stdout").read_text())
    assert made is not None
    rows = rows_of(profile_to_csv(made, summary(made, chain(mobilenet_ops()))))
    assert len(rows) == 66
    assert sum(float(row["share"]) for row in rows) == pytest.approx(1.0)
    assert rows[63]["type"] == "Static Reshape (NC)"
    assert rows[63]["op"] == "MEAN"
