"""Two sides case by case: verdicts, what is never a verdict, and every view of them."""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from analysis import answers, around, check, evaluation, matrix, measured, rounds, run_data, took
from comparisons import HOSTILE
from hypothesis import given, settings
from hypothesis import strategies as st
from ops_profiles import plain, profile
from pairs_runs import (
    OLD,
    RUN_A,
    RUN_B,
    ab_run,
    one_pair,
    pairs,
    series_of,
    shown,
    within_ab,
)
from records import RUN_ID, case

from bench.delegation.model import Coverage, Delegation
from bench.identity import Case
from bench.numerics.model import Numerics, OutputNumbers
from bench.records import Outcome, Purpose, RunData
from bench.stats import Change
from reports.pairs.compare import Series
from reports.pairs.csv import COLUMNS, pairs_to_csv
from reports.pairs.html import html
from reports.pairs.json import SCHEMA, pairs_to_json
from reports.pairs.markdown import markdown
from reports.pairs.model import Pairs, PairWord

GOLDEN = Path(__file__).parent / "golden" / "pairs"
FP32, INT8 = case("fp32"), case("int8")


def is_variant(name: str) -> Any:
    return lambda of: of.variant == name


# --- Paired --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ratio", "word"), [(1.1, PairWord.SLOWER), (0.9, PairWord.FASTER), (1.0, PairWord.SAME)]
)
def test_common_rounds_are_judged_by_their_ratios(ratio: float, word: PairWord) -> None:
    (found,) = within_ab(ab_run(ratio, spread=0.002)).pairs
    assert (found.word, found.paired) == (word, True)
    assert found.speedup is not None
    assert found.speedup.rounds == 6
    # The rounds drift by 2 %: only their ratios are that close.
    assert found.speedup.ratio == pytest.approx(1 / ratio, rel=0.004)
    assert found.worse is (word is PairWord.SLOWER)


def test_too_few_rounds_are_unclear_and_say_what_is_missing() -> None:
    (found,) = within_ab(ab_run(1.3, n=4)).pairs
    assert found.word is PairWord.UNCLEAR
    assert "4 rounds" in found.reason
    assert not found.worse


def test_two_variants_of_one_run_are_paired() -> None:
    data = run_data(matrix({"fp32": 1000, "int8": 500}))
    found = one_pair(
        data, data, of_a=is_variant("fp32"), of_b=is_variant("int8"), differing=["variant"]
    )
    assert (found.word, found.paired) == (PairWord.FASTER, True)
    assert found.speedup is not None
    assert found.speedup.ratio == pytest.approx(2, rel=0.01)


@pytest.mark.slow
def test_the_same_is_called_changed_in_no_more_than_one_of_twenty() -> None:
    """A/A over 200 runs of 8 cases: runs with any case CHANGED."""
    cases = [case(v, d) for v in ("fp32", "fp16", "int8", "dynamic") for d in ("none", "xnnpack")]
    alarms = 0
    for seed in range(200):
        found = within_ab(ab_run(1.0, seed=seed, spread=0.02, cases=cases))
        alarms += any(p.word in (PairWord.SLOWER, PairWord.FASTER) for p in found.pairs)
    # 5 % of 200 are 10; 16 or more of them have a probability below 5 %.
    assert alarms <= 15


# --- Unpaired ------------------------------------------------------------------------------


def two_runs(us: float = 1300.0, **changes: Any) -> tuple[RunData, RunData]:
    a = run_data({FP32: rounds(FP32, around(1000))})
    return a, run_data({FP32: rounds(FP32, around(us), **changes)}, run_id=RUN_B)


def test_another_day_alone_is_unclear_whatever_the_ratio() -> None:
    found = pairs(*two_runs())
    (pair,) = found.pairs
    assert (pair.word, pair.paired, pair.spread) == (PairWord.UNCLEAR, False, None)
    assert "3 runs" in pair.reason
    assert re.search(r"0\.769× unpaired +UNCLEAR", shown(found))
    assert "1 UNCLEAR, unpaired" in shown(found)
    assert pairs_to_json(found)["pairs"][0]["paired"] is False
    assert not found.gate_failed


NEAR = {RUN_A: 1000.0, RUN_B: 1004.0, "r1": 1001.0, "r2": 999.0, "r3": 1003.0, "r4": 998.0}


def test_with_three_runs_the_spread_between_runs_decides() -> None:
    pair = one_pair(*two_runs(1004.0), series=series_of(FP32, NEAR))
    assert pair.word is PairWord.SAME
    assert pair.spread is not None
    assert pair.spread.share == pytest.approx(0.0022, rel=0.3)
    # The two runs that are compared are runs of it themselves.
    assert (pair.spread.runs_a, pair.spread.runs_b) == (6, 0)

    far = {**NEAR, "r1": 1100.0, "r2": 900.0}
    assert one_pair(*two_runs(1004.0), series=series_of(FP32, far)).word is PairWord.UNCLEAR
    few = {RUN_A: 1000.0, RUN_B: 1004.0}
    assert one_pair(*two_runs(1004.0), series=series_of(FP32, few)).spread is None


def test_an_unpaired_change_is_no_regression() -> None:
    a = run_data({FP32: rounds(FP32, around(1000))})
    of_b = {"model_sha256": "1" * 64, "runner": "invoke_loop"}
    launches = [replace(x, environment=of_b) for x in rounds(FP32, around(1300))]
    made = replace(a.variants[0], sha256="1" * 64)
    b = run_data({FP32: launches}, made=[made], run_id=RUN_B)
    before = {key: us for key, us in NEAR.items() if key != RUN_B}
    known = series_of(FP32, before)
    found = pairs(a, b, series=known)
    (pair,) = found.pairs
    assert pair.word is PairWord.CHANGED
    assert "unpaired" in pair.reason
    assert not found.gate_failed
    assert ("model", "0" * 12, "1" * 12) in [(c.what, c.before, c.after) for c in pair.provenance]
    assert "SLOWER" not in shown(found)


@pytest.mark.parametrize(
    "other", [{"quantity": "a tool's mean"}, {"simulated": True}, {"runtime": "2.2"}]
)
def test_runs_of_something_else_do_not_tell_the_spread(other: dict[str, Any]) -> None:
    own = series_of(FP32, {RUN_A: 1000.0, RUN_B: 1004.0}).points([FP32.case_id])
    others = {key: us for key, us in NEAR.items() if key.startswith("r")}
    different = series_of(FP32, others, **other).points([FP32.case_id])
    known = Series(lambda ids: [*own, *different], lambda ids: {"e": {}})
    assert one_pair(*two_runs(1004.0), series=known).word is PairWord.UNCLEAR


def test_devices_measured_side_by_side_have_no_common_rounds() -> None:
    here, there = case("fp32"), case("fp32", device="pi")
    data = run_data({c: rounds(c, around(us)) for c, us in ((here, 1000), (there, 3000))})
    found = one_pair(
        data,
        data,
        of_a=lambda c: c.device == "local",
        of_b=lambda c: c.device == "pi",
        differing=["device"],
    )
    assert (found.word, found.paired) == (PairWord.UNCLEAR, False)


# --- What is never divided -----------------------------------------------------------------


def of_b(**changes: Any) -> RunData:
    return run_data({FP32: rounds(FP32, around(900), **changes)}, run_id=RUN_B)


A = run_data({FP32: rounds(FP32, around(1000))})


def test_what_fell_back_has_no_number() -> None:
    found = pairs(A, of_b(delegation=Delegation("xnnpack", Coverage.NONE, 0, 10, 0)))
    (pair,) = found.pairs
    assert (pair.word, pair.speedup) == (PairWord.FELL_BACK, None)
    assert found.gate_failed
    assert "900 µs" not in shown(found)
    assert pairs_to_json(found)["pairs"][0]["b"]["p50_us"] is None


def test_unknown_delegation_is_unclear() -> None:
    pair = one_pair(A, of_b(delegation=Delegation("xnnpack", Coverage.UNKNOWN)))
    assert (pair.word, pair.speedup) == (PairWord.UNCLEAR, None)
    assert "unknown what xnnpack took" in pair.reason


def test_failed_now_and_failed_before() -> None:
    crashed = [replace(x, outcome=Outcome.CRASHED, measurement=None) for x in A.launches]
    broken = run_data({FP32: crashed}, run_id=RUN_B)
    pair = one_pair(A, broken)
    assert (pair.word, pair.worse) == (PairWord.FAILED, True)
    assert pair.reason.startswith("B: crashed")
    mended = one_pair(broken, A)
    assert (mended.word, mended.worse) == (PairWord.NOT_MEASURED, False)


def test_a_loaded_machine_breaks_no_model() -> None:
    spoilt = [replace(x, taints=("other load: 1.2 of a core",)) for x in A.launches]
    pair = one_pair(A, run_data({FP32: spoilt}, run_id=RUN_B))
    assert (pair.word, pair.worse) == (PairWord.UNCLEAR, False)


def test_what_a_run_has_not_come_to_is_not_measured() -> None:
    pair = one_pair(A, run_data({FP32: []}, run_id=RUN_B))
    assert (pair.word, pair.worse) == (PairWord.NOT_MEASURED, False)


def numerics(rms: float) -> Numerics:
    one = OutputNumbers(
        "out", "float32", 10, None, 1.0, 1.0, 1.0, rms, rms, rms, 1.0, 10.0, 1.0, 0, 0, 0
    )
    return Numerics((one,), 8, "holdout", "0" * 64, "plain kernels")


def with_answers(data: RunData, rms: float) -> RunData:
    of = data.cases[0].case
    return replace(data, checks=(check(of, Purpose.NUMERICS, numerics=numerics(rms)),))


def test_wrong_answers_have_no_speed() -> None:
    found = pairs(with_answers(A, 1e-6), with_answers(of_b(), 0.9))
    (pair,) = found.pairs
    assert (pair.word, pair.speedup) == (PairWord.WRONG, None)
    assert found.gate_failed
    text = shown(found)
    assert "WRONG" in text
    assert "900 µs" not in text
    assert re.search(r"answers +OK +WRONG", text)
    # What was WRONG is nothing to be faster than.
    assert one_pair(with_answers(A, 0.9), with_answers(of_b(), 1e-6)).word is PairWord.UNCLEAR


def test_another_runner_kind_is_not_comparable() -> None:
    other = replace(FP32, runner="benchmark_model")
    b = run_data({other: rounds(other, around(900))}, run_id=RUN_B)
    pair = one_pair(A, b)
    assert pair.word is PairWord.NOT_COMPARABLE
    assert "another runner kind: invoke_loop in A, benchmark_model in B" in pair.reason


def controls(*wanted: tuple[str, str, str]) -> dict[str, Any]:
    listed = [{"name": n, "wanted": w, "outcome": o} for n, w, o in wanted]
    return {"model_sha256": "0" * 64, "runner": "invoke_loop", "controls": listed}


def with_environment(data: RunData, environment: dict[str, Any]) -> RunData:
    return replace(data, launches=tuple(replace(x, environment=environment) for x in data.launches))


def test_other_controls_are_not_comparable() -> None:
    fast = with_environment(A, controls(("governor", "performance", "applied")))
    slow = with_environment(of_b(), controls(("governor", "powersave", "applied")))
    pair = one_pair(fast, slow)
    assert pair.word is PairWord.NOT_COMPARABLE
    assert "governor performance in A, powersave in B" in pair.reason
    refused = with_environment(of_b(), controls(("governor", "performance", "refused")))
    assert "performance (refused) in B" in one_pair(fast, refused).reason
    already = with_environment(of_b(), controls(("governor", "performance", "already")))
    assert one_pair(fast, already).word is PairWord.UNCLEAR


def test_a_mean_is_not_compared_with_a_median() -> None:
    from bench.records import Source

    pair = one_pair(A, of_b(p50_source=Source.TOOL_MEAN))
    assert pair.word is PairWord.NOT_COMPARABLE
    assert "a tool's mean in B" in pair.reason


def test_a_simulated_number_is_compared_with_no_real_one() -> None:
    simulated = {"model_sha256": "0" * 64, "runner": "invoke_loop", "simulated": True}
    pair = one_pair(A, with_environment(of_b(), simulated))
    assert (pair.word, pair.speedup) == (PairWord.NOT_COMPARABLE, None)
    both = pairs(with_environment(A, simulated), with_environment(of_b(), simulated))
    assert "SIMULATED: fp32" in shown(both)
    assert "SIMULATED: measured on an emulator" in markdown(both)


def test_new_and_missing_cases_are_listed() -> None:
    b = run_data(matrix({"int8": 500}), run_id=RUN_B)
    found = pairs(A, b)
    assert [(p.word, p.case.variant) for p in found.pairs] == [
        (PairWord.NEW, "int8"),
        (PairWord.MISSING, "fp32"),
    ]
    assert not found.gate_failed


# --- What else changed ---------------------------------------------------------------------


def test_what_else_differs_is_named_and_refuses_nothing() -> None:
    def measured_on(system: str, version: str, celsius: float, **run: Any) -> RunData:
        launches = [
            replace(
                measured(FP32, i, 1000.0, runtime={"name": "ai_edge_litert", "version": version}),
                environment={
                    "model_sha256": "0" * 64,
                    "runner": "invoke_loop",
                    "device": {"os": system},
                },
                conditions={"before": {"temperature_c": celsius}},
            )
            for i in range(6)
        ]
        return run_data({FP32: launches}, **run)

    a, b = measured_on("one", "2.1.0", 40.0), measured_on("two", "2.2.0", 47.0, run_id=RUN_B)
    found = pairs(a, b)
    changes = {c.what: (c.before, c.after) for c in found.pairs[0].provenance}
    assert changes["runtime"] == ("ai_edge_litert 2.1.0", "ai_edge_litert 2.2.0")
    assert changes["OS build"] == ("one", "two")
    assert changes["start temperature"] == ("40 °C", "47 °C")
    assert found.pairs[0].word is not PairWord.NOT_COMPARABLE
    assert "OS build: one → two" in shown(found)
    near = one_pair(a, measured_on("one", "2.1.0", 42.0, run_id=RUN_B))
    assert near.provenance == ()


def test_accuracy_is_paired_on_the_same_samples() -> None:
    def evaluated(right: int, *, holdout: str = "h") -> RunData:
        data = run_data({FP32: rounds(FP32, around(1000))}, correct={"fp32": answers(right)})
        records = tuple(replace(e, holdout_sha256=holdout) for e in data.evaluations)
        return replace(data, evaluations=records)

    found = pairs(evaluated(690), replace(evaluated(640), run=replace(A.run, run_id=RUN_B)))
    (pair,) = found.pairs
    assert pair.accuracy is not None
    assert pair.accuracy.change == pytest.approx(-50 / 700)
    assert pair.less_accurate
    assert found.gate_failed
    assert re.search(r"accuracy +98\.57 % +91\.43 % +−7\.14 points .* worse", shown(found))
    assert "worse by 5." in shown(found)

    other = one_pair(evaluated(690), evaluated(640, holdout="another"))
    assert other.accuracy is not None
    assert other.accuracy.change is None
    assert other.accuracy_reason is not None
    assert "another holdout" in other.accuracy_reason
    assert not other.less_accurate


def test_where_the_time_went() -> None:
    now = case("fp32", "none")
    before = replace(now, model=OLD)
    data = ab_run(1.5, cases=[now])
    mine = profile(plain(0, "CONV_2D", 60.0), plain(1, "ADD", 90.0))
    theirs = profile(plain(0, "CONV_2D", 60.0), plain(1, "ADD", 40.0))
    checks = (
        check(now, Purpose.PROFILE, profile=mine),
        check(before, Purpose.PROFILE, profile=theirs),
    )
    found = within_ab(replace(data, checks=checks))
    (pair,) = found.pairs
    assert pair.ops is not None
    assert [(op.op, op.difference_us) for op in pair.ops.moved] == [("ADD", 50.0)]
    text = shown(found)
    assert re.search(r"sum of ops +100 µs +150 µs +\+50\.0 µs", text)
    assert re.search(r"ADD \[out1\]:1 +40\.0 µs +90\.0 µs +\+50\.0 µs", text)
    # Where nothing changed, a difference of two single launches is noise.
    same = within_ab(replace(ab_run(1.0, spread=0.002, cases=[now]), checks=checks))
    assert same.pairs[0].ops is None


def test_a_delegate_that_takes_less_is_shown() -> None:
    part = Delegation("xnnpack", Coverage.PARTIAL, 50, 65, 3)
    whole = Delegation("xnnpack", Coverage.FULL, 65, 65, 1)
    text = shown(
        pairs(run_data({FP32: rounds(FP32, around(1000), delegation=whole)}), of_b(delegation=part))
    )
    assert re.search(r"delegated +FULL 65/65 +PARTIAL 50/65", text)


# --- Views ---------------------------------------------------------------------------------


def everything() -> Pairs:
    """A, B, an accuracy, a file, a fallback, something new and something missing."""
    a = run_data(
        matrix({"fp32": 1000, "int8": 500, "fp16": 990}),
        correct={"fp32": answers(690), "int8": answers(690), "fp16": answers(690)},
    )
    launches = {
        INT8: rounds(INT8, around(600, seed=1), peak_rss_kib=60_000),
        FP32: rounds(FP32, around(1000), delegation=took("none")),
        case("dynamic"): rounds(case("dynamic"), around(700)),
    }
    b = run_data(
        launches,
        correct={"fp32": answers(690), "int8": answers(640), "dynamic": answers(680)},
        run_id=RUN_B,
    )
    return pairs(a, b, notes=("Something to know.",))


@pytest.mark.parametrize("width", [80, 120])
def test_the_terminal_says_what_it_said(width: int) -> None:
    path = GOLDEN / f"terminal-{width}.txt"
    text = "".join(f"{line.rstrip()}\n" for line in shown(everything(), width=width).splitlines())
    assert text == path.read_text(encoding="utf-8")


def test_an_ab_run_says_what_it_said() -> None:
    text = "".join(f"{line.rstrip()}\n" for line in shown(within_ab(ab_run(1.2))).splitlines())
    assert text == (GOLDEN / "ab.txt").read_text(encoding="utf-8")


def test_an_old_terminal_gets_ascii() -> None:
    assert shown(everything(), encoding="ascii").isascii()


def test_json_and_csv_hold_what_the_table_shows() -> None:
    found = everything()
    document = json.loads(json.dumps(pairs_to_json(found), allow_nan=False))
    assert document["schema"] == SCHEMA
    words = [pair["word"] for pair in document["pairs"]]
    rows = list(csv.DictReader(io.StringIO(pairs_to_csv(found))))
    assert [row["word"] for row in rows] == words
    assert list(rows[0]) == list(COLUMNS)
    assert words == [pair.word.value for pair in found.pairs]
    new = next(row for row in rows if row["word"] == "NEW")
    assert (new["a_p50_us"], new["ratio"], float(new["b_p50_us"])) == ("", "", 700.0)


def hostile(name: str) -> Pairs:
    found = within_ab(ab_run(1.2))
    (pair,) = found.pairs
    assert pair.a is not None
    assert pair.b is not None
    evil = replace(pair.b.case, model=name, device=name, variant=name)
    row = replace(pair.b, case=evil, failure=name)
    change = [replace(c, before=name) for c in one_pair(*two_runs()).provenance]
    pair = replace(pair, b=row, reason=name, provenance=tuple(change))
    label = replace(found.a, label=name, what=name)
    return replace(found, a=label, pairs=(pair,), notes=(name,))


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_data(name: str) -> None:
    found = hostile(name)
    text = shown(found, width=200)
    assert not any(unicodedata.category(c) in {"Cc", "Cf"} for c in text if c != "\n")
    page = html(found)
    assert "<script" not in page
    assert "<img" not in page
    assert page.count("</style>") == 1
    page = markdown(found)
    assert "<script" not in page
    assert "<img" not in page
    for line in csv.reader(io.StringIO(pairs_to_csv(found))):
        assert not any(cell.startswith(("=", "+", "@")) for cell in line)


def test_the_page_loads_nothing() -> None:
    page = html(everything())
    assert "default-src 'none'" in unescape(page)
    assert not re.search(r"(src|href)=\"(?!#|data:,)", page)
    assert "prefers-color-scheme: dark" in page


# --- Properties ----------------------------------------------------------------------------


@settings(max_examples=40)
@given(
    ratio=st.floats(0.5, 2.0),
    seed=st.integers(0, 10_000),
    n=st.integers(1, 8),
    spread=st.floats(0, 0.05),
)
def test_swapping_the_sides_inverts_the_ratio(
    ratio: float, seed: int, n: int, spread: float
) -> None:
    data = ab_run(ratio, seed=seed, n=n, spread=spread)

    def old(of: Case) -> bool:
        return of.is_before

    (one,) = pairs(data, data, of_a=old, of_b=lambda c: not old(c)).pairs
    (other,) = pairs(data, data, of_a=lambda c: not old(c), of_b=old).pairs
    swapped = {PairWord.FASTER: PairWord.SLOWER, PairWord.SLOWER: PairWord.FASTER}
    assert other.word is swapped.get(one.word, one.word)
    if one.speedup is not None and other.speedup is not None:
        assert one.speedup.ratio * other.speedup.ratio == pytest.approx(1)
        assert (one.speedup.change is Change.CHANGED) == (one.word in swapped)


def test_evaluations_of_one_run_pair_two_delegates() -> None:
    none, xnnpack = case("fp32", "none"), case("fp32", "xnnpack")
    data = run_data({c: rounds(c, around(1000)) for c in (none, xnnpack)})
    records = (
        evaluation("fp32", answers(690), "none"),
        evaluation("fp32", answers(600), "xnnpack"),
    )
    data = replace(data, evaluations=records)
    found = one_pair(
        data,
        data,
        of_a=lambda c: c.delegate.name == "none",
        of_b=lambda c: c.delegate.name == "xnnpack",
        differing=["delegate"],
    )
    assert found.less_accurate
    assert found.a is not None
    assert found.a.case_id == none.case_id
    assert data.run.run_id == RUN_ID
