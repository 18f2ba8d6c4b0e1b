"""Which launches of a case are shown sample by sample, and where their heat is placed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import analysis
import numpy as np
import ops_profiles
import pytest
import records

from bench.identity import Case
from bench.records import LaunchRecord, Purpose
from reports.compare import compare
from reports.device_model import LaunchTrace
from reports.model import Row
from reports.op_times import op_differences, profile_seen


def launch(of: Case, index: int, p50_us: float, **changes: Any) -> LaunchRecord:
    samples = np.full(100, round(p50_us * 1000), dtype=np.int64)
    made = analysis.measured(of, index, p50_us, samples_ns=samples)
    return replace(made, **changes)


def only_row(launches: list[LaunchRecord], of: Case) -> Row:
    return compare(analysis.run_data({of: launches})).rows[0]


@pytest.fixture
def case() -> Case:
    return records.case("fp32")


def traces(launches: list[LaunchRecord], of: Case) -> list[tuple[int, str]]:
    return [(trace.round, trace.why) for trace in only_row(launches, of).traces]


def test_the_launch_of_the_median_is_shown(case: Case) -> None:
    p50s = [1000.0, 1300.0, 1100.0, 1050.0, 1200.0]
    launches = [launch(case, n, us) for n, us in enumerate(p50s)]
    assert traces(launches, case) == [(3, "the median of 5")]


def test_of_the_tainted_ones_the_slowest_is_shown_too(case: Case) -> None:
    launches = [launch(case, n, 1000.0 + n) for n in range(5)]
    launches.append(launch(case, 5, 2000.0, taints=("other load",)))
    launches.append(launch(case, 6, 3000.0, taints=("too hot",)))
    found = only_row(launches, case).traces
    assert [(t.round, t.why) for t in found][1] == (7, "the slowest of 2 tainted")
    assert found[1].taints == ("too hot",)
    assert found[0].taints == ()


def test_without_samples_nothing_is_shown(case: Case) -> None:
    launches = [analysis.measured(case, n, 1000.0) for n in range(5)]
    assert only_row(launches, case).traces == ()


def trace_with(conditions: dict[str, Any], case: Case) -> LaunchTrace:
    launches = [launch(case, n, 10_000.0, conditions=conditions) for n in range(5)]
    return only_row(launches, case).traces[0]


def state(uptime_s: float, celsius: float | None) -> dict[str, Any]:
    return {"uptime_s": uptime_s, "temperature_c": celsius}


def test_heat_is_placed_by_the_device_clock_and_says_how_well(case: Case) -> None:
    # 100 samples of 10 ms are 1 s; warm-up 1 s; loading 0.1 ms: of 3 s about 1 is unknown.
    conditions = {
        "before": state(500.0, 30.0),
        "samples": [state(501.0, 31.0), state(502.0, 32.0)],
        "after": state(503.0, 33.0),
    }
    trace = trace_with(conditions, case)
    assert [celsius for _, celsius in trace.temperature_c] == [30.0, 31.0, 32.0, 33.0]
    first = 1.5
    assert [at for at, _ in trace.temperature_c] == pytest.approx(
        [-first, 1 - first, 2 - first, 3 - first], abs=0.01
    )
    assert trace.placed_within_s == pytest.approx(0.5, abs=0.01)
    assert trace.seconds[-1] == pytest.approx(1.0)


@pytest.mark.parametrize(
    "conditions",
    [
        {"before": None, "after": None},
        {"before": state(500.0, None), "after": state(503.0, None)},
        {"before": {"temperature_c": 30.0}, "after": {"temperature_c": 31.0}},
        {"before": state(500.0, 30.0), "after": state(3.0, 31.0)},
    ],
    ids=["nothing", "no sensor", "no clock", "restarted"],
)
def test_what_cannot_be_placed_is_not(conditions: dict[str, Any], case: Case) -> None:
    trace = trace_with(conditions, case)
    assert trace.temperature_c == ()
    assert trace.placed_within_s is None


# Profiles.


def test_steps_of_a_delegate_are_one_kind_whatever_their_numbers() -> None:
    seen = profile_seen(
        ops_profiles.profile(
            ops_profiles.step("CONV_2D", 30.0, type="Convolution (NHWC, F32) IGEMM"),
            ops_profiles.step("CONV_2D", 50.0, type="Convolution (NHWC, QS8, QC8W) IGEMM"),
            ops_profiles.plain(3, "ADD", 20.0),
        )
    )
    assert seen is not None
    assert [(op.op, op.by_delegate, op.us) for op in seen.ops] == [
        ("Convolution", True, 80.0),
        ("ADD", False, 20.0),
    ]
    assert sum(op.share for op in seen.ops) == pytest.approx(1.0)


def test_without_times_there_is_nothing_to_say() -> None:
    assert profile_seen(ops_profiles.profile(ops_profiles.plain(0, "ADD", None))) is None


def test_differences_are_signed_and_leave_out_what_has_no_time() -> None:
    ours = ops_profiles.profile(
        ops_profiles.plain(0, "ADD", 50.0),
        ops_profiles.plain(1, "MUL", 10.0),
        ops_profiles.plain(2, "PAD", None),
    )
    theirs = ops_profiles.profile(
        ops_profiles.plain(0, "ADD", 20.0),
        ops_profiles.plain(1, "MUL", 100.0),
        ops_profiles.plain(2, "PAD", 5.0),
    )
    found = [(one.ops, one.difference_us) for one in op_differences(ours, theirs)]
    assert found == [("MUL", -90.0), ("ADD", 30.0)]


def test_a_variant_is_held_against_fp32_of_its_own_delegate() -> None:
    fp32, int8 = records.case("fp32"), records.case("int8")
    data = analysis.run_data(
        {one: [launch(one, n, 1000.0) for n in range(5)] for one in (fp32, int8)}
    )
    profiles = {
        fp32: ops_profiles.profile(ops_profiles.plain(0, "ADD", 20.0)),
        int8: ops_profiles.profile(ops_profiles.plain(0, "ADD", 50.0)),
    }
    checks = tuple(
        analysis.check(one, Purpose.PROFILE, profile=made) for one, made in profiles.items()
    )
    rows = compare(replace(data, checks=checks)).rows
    assert rows[0].profile is not None
    assert rows[0].profile.against_fp32 == ()
    assert rows[1].profile is not None
    assert [one.difference_us for one in rows[1].profile.against_fp32] == [30.0]
