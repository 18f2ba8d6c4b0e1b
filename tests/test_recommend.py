"""The recommendation: its rule step by step, and what may never carry one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from analysis import answers, around, by_metric, errors, matrix, plan, rounds, run_data
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from records import case, launch

from bench.config import DeviceGates, GatesConfig
from bench.delegation.model import Coverage, Delegation
from bench.identity import Case
from bench.records import LaunchRecord, Outcome, RunData
from reports.compare import compare
from reports.model import Recommendation

FP32, INT8, QAT = case("fp32"), case("int8"), case("int8-qat")


def recommended(data: RunData) -> Recommendation:
    (found,) = compare(data).recommendations
    return found


def run(
    p50_us: Mapping[str, float],
    right: Mapping[str, int] | None,
    gates: GatesConfig | None = None,
    n: int = 6,
) -> RunData:
    correct = None if right is None else {name: answers(k) for name, k in right.items()}
    made = plan(holdout=right is not None, gates=gates)
    return run_data(matrix(p50_us, n=n), correct=correct, of=made)


def test_of_the_equally_fast_the_most_accurate() -> None:
    found = recommended(
        run(
            {"fp32": 1000, "int8": 500, "int8-qat": 502},
            {"fp32": 680, "int8": 676, "int8-qat": 681},
        )
    )
    assert found.variant == "int8-qat"
    assert found.equally_fast == ("int8", "int8-qat")
    assert found.configuration == {"local": ("xnnpack", 1)}
    assert found.reason == (
        "int8-qat with xnnpack and 1 thread: p50 502 [500, 504] µs, 1.99× fp32; accuracy"
        " 97.3 % (+0.14 points against fp32, not significant); 32 % of the size."
        " Equally fast (not significantly slower than int8, the fastest): int8, int8-qat."
        " Of these int8-qat is the most accurate, +0.71 points against int8"
        " (not significant, p = 0.062)."
    )
    assert "most accurate, then the smallest" in found.rule


def test_where_less_is_better_the_least_error_wins() -> None:
    data = by_metric(
        run({"fp32": 1000, "int8": 500, "int8-qat": 502}, {}),
        "rmse",
        {"fp32": errors(1.0), "int8": errors(1.01, seed=1), "int8-qat": errors(0.9, seed=2)},
    )
    found = recommended(data)
    assert found.variant == "int8-qat"
    assert "; RMSE 0.9487 (−0.0513 against fp32" in found.reason
    assert "the most accurate, −0.0563 against int8 (significant, p = " in found.reason
    front = {row.case.variant for row in compare(data).rows if row.pareto}
    assert front == {"int8", "int8-qat"}


def test_a_variant_that_is_significantly_slower_is_not_taken_for_its_accuracy() -> None:
    found = recommended(
        run({"fp32": 1000, "int8": 500, "int8-qat": 530},
            {"fp32": 680, "int8": 676, "int8-qat": 690})
    )  # fmt: skip
    assert found.variant == "int8"
    assert found.equally_fast == ("int8",)


def test_of_the_equally_fast_and_accurate_the_smallest() -> None:
    found = recommended(
        run({"fp32": 1000, "int8": 500, "int8-qat": 502},
            {"fp32": 680, "int8": 680, "int8-qat": 680})
    )  # fmt: skip
    assert found.variant == "int8-qat"


def test_without_holdout_the_smallest_and_it_says_so() -> None:
    found = recommended(run({"fp32": 1000, "int8": 500, "int8-qat": 502}, None))
    assert found.variant == "int8-qat"
    assert "accuracy was not checked (no holdout in the plan)" in found.reason


def test_a_variant_that_misses_a_gate_is_not_considered_and_the_gate_is_named() -> None:
    found = recommended(run({"fp32": 1000, "int8": 500}, {"fp32": 680, "int8": 500}))
    assert found.variant == "fp32"
    assert "Not considered: int8 (gate accuracy_ratio_min FAIL" in found.reason


def test_an_interval_that_straddles_a_gate_does_not_pass() -> None:
    found = recommended(run({"fp32": 1000, "int8": 500}, {"fp32": 680, "int8": 660}))
    assert found.variant == "fp32"
    assert "UNSURE" in found.reason


def test_where_nothing_passes_there_is_none_and_the_gates_are_named() -> None:
    gates = GatesConfig(device=(DeviceGates(p50_us_max=100.0),))
    found = recommended(run({"fp32": 1000, "int8": 500}, {"fp32": 680, "int8": 680}, gates))
    assert found.variant is None
    assert found.configuration == {}
    assert found.equally_fast == ()
    assert found.reason.startswith("No variant qualifies: fp32 (gate p50_us_max FAIL")
    assert "int8 (gate p50_us_max FAIL" in found.reason


def test_a_variant_is_represented_by_its_fastest_passing_case() -> None:
    two = case("int8", threads=2)
    data = run_data(
        {**matrix({"fp32": 1000, "int8": 500}, ["none", "xnnpack"]), two: rounds(two, around(300))}
    )
    assert recommended(data).configuration == {"local": ("xnnpack", 2)}


@pytest.mark.parametrize(
    ("launches", "why"),
    [
        (rounds(INT8, around(500), steady=False), "NOT STEADY: warm-up never became steady"),
        (
            rounds(INT8, around(500), delegation=Delegation("xnnpack", Coverage.NONE)),
            "xnnpack took no node",
        ),
        (
            [launch(INT8, index=i, outcome=Outcome.CRASHED) for i in range(6)],
            "crashed in 6 of 6 launches",
        ),
        (
            [
                replace(item, taints=("throttled: yes",) if item.index < 2 else ())
                for item in rounds(INT8, around(500))
            ],
            "INVALID: 2 of 6 launches tainted",
        ),
        (rounds(INT8, around(500, 3)), "3 usable launches give no interval"),
        ([], "not measured: the run is finished"),
    ],
)
def test_what_cannot_be_trusted_carries_nothing_and_the_reason_is_said(
    launches: Sequence[LaunchRecord], why: str
) -> None:
    found = recommended(run_data({FP32: rounds(FP32, around(1000)), INT8: launches}))
    assert found.variant == "fp32"
    assert f"Not considered: int8 ({why}" in found.reason


def test_batched_and_unbatched_are_not_ranked() -> None:
    batched = rounds(INT8, around(5), invokes_per_sample=8)
    found = recommended(run_data({FP32: rounds(FP32, around(50)), INT8: batched}))
    assert found.variant is None
    assert "never compared" in found.reason


def test_with_few_rounds_it_says_how_little_they_show() -> None:
    right = {"fp32": 680, "int8": 675}
    close = recommended(run({"fp32": 1000, "int8": 995}, right, n=5))
    assert close.variant == "fp32"
    assert "So few rounds show what is slower with 94 % only." in close.reason
    clear = recommended(run({"fp32": 1000, "int8": 300}, right, n=5))
    assert clear.variant == "int8"
    assert clear.equally_fast == ("int8",)


def test_variants_without_common_rounds_are_not_comparable() -> None:
    fast = rounds(INT8, around(500))
    late = [replace(item, index=item.index + 6) for item in rounds(QAT, around(501))]
    found = recommended(run_data({INT8: fast, QAT: late}))
    assert found.variant == "int8"
    assert "int8-qat has too few rounds in common with int8 to compare." in found.reason


def on(device: str, p50_us: Mapping[str, float]) -> dict[Case, list[LaunchRecord]]:
    return {
        (which := case(variant, device=device)): rounds(which, around(p50, seed=seed))
        for seed, (variant, p50) in enumerate(p50_us.items())
    }


def test_several_devices_go_by_the_geometric_mean_and_every_device_counts() -> None:
    # int8 is 4 times faster on a, and twice slower on b: fastest overall, and of the set.
    found = recommended(
        run_data({**on("a", {"fp32": 4000, "int8": 1000}), **on("b", {"fp32": 100, "int8": 200})})
    )
    assert found.variant == "int8"
    assert set(found.configuration) == {"a", "b"}
    assert "on a" in found.reason
    assert "on b" in found.reason
    # fp32 is significantly slower than int8 on a, though faster on b.
    assert found.equally_fast == ("int8",)


def test_a_gate_missed_on_one_device_is_missed() -> None:
    gates = GatesConfig(device=(DeviceGates(device="b", p50_us_max=150.0),))
    found = recommended(
        run_data(
            {**on("a", {"fp32": 4000, "int8": 1000}), **on("b", {"fp32": 100, "int8": 200})},
            of=plan(holdout=False, gates=gates),
        )
    )
    assert found.variant == "fp32"
    assert "on b" in found.reason


def test_a_cell_that_cannot_exist_stands_in_nobodys_way() -> None:
    impossible = case("fp32", device="c")
    data = run_data(
        {**on("a", {"fp32": 1000}), impossible: []},
        not_applicable={impossible: "no such delegate there"},
    )
    assert recommended(data).variant == "fp32"


def noise(right: int) -> NDArray[np.bool_]:
    return answers(right, 200)


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["fp32", "fp16", "dynamic", "int8", "int8-qat"]),
        st.tuples(st.sampled_from([400, 404, 500, 900]), st.integers(150, 200)),
        min_size=1,
    )
)
def test_the_rule_holds_whatever_was_measured(found: dict[str, tuple[int, int]]) -> None:
    data = run_data(
        matrix({name: p50 for name, (p50, _) in found.items()}),
        correct={name: noise(right) for name, (_, right) in found.items()},
    )
    comparison = compare(data)
    (choice,) = comparison.recommendations
    passing = {
        row.case.variant: row
        for row in comparison.rows
        if all(gate.status == "PASS" for gate in row.gates)
    }
    assert (choice.variant is None) == (not passing)
    if choice.variant is not None:
        assert choice.variant in choice.equally_fast
        assert set(choice.equally_fast) <= set(passing)
        chosen = passing[choice.variant]
        assert chosen.accuracy is not None
        for other in choice.equally_fast:
            rival = passing[other]
            assert rival.accuracy is not None
            assert chosen.accuracy.value >= rival.accuracy.value
            assert chosen.p50_us is not None
            assert rival.p50_us is not None
            assert abs(chosen.p50_us / rival.p50_us - 1) < 0.05
