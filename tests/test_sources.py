"""Runs by tools that print no samples: what is stated, compared and gated, and what is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from analysis import answers, around, measured, plan, rounds, run_data
from records import case

from bench.config import DeviceGates, GatesConfig
from bench.identity import Case
from bench.records import LaunchRecord, Outcome, Source
from bench.stability import StabilityWord
from bench.stats import Change
from reports.compare import compare
from reports.model import Comparison, GateStatus, Row

FP32, INT8 = (replace(case(name), runner="benchmark_model") for name in ("fp32", "int8"))


def by_tool(of: Case, p50s_us: Sequence[float], **changes: Any) -> list[LaunchRecord]:
    """Launches of a tool that prints its own figures, in whole us."""
    launches = []
    for index, p50_us in enumerate(p50s_us):
        launch = measured(of, index, p50_us)
        assert launch.measurement is not None
        fields: dict[str, Any] = {
            "p50_us": float(round(p50_us)),
            "mean_us": p50_us * 1.02,
            "p50_source": Source.TOOL,
            "p90_source": Source.INTERPOLATED,
            "p90_bounds_us": (p50_us, p50_us * 1.2),
            "resolution_us": 1.0,
            "digest": None,
            "load": None,
            "steady": None,
            "warmup_cut": None,
            "timer_cost_ns": None,
            "cpu_us_per_invoke": None,
            "load_us": None,
            **changes,
        }
        launches.append(replace(launch, measurement=replace(launch.measurement, **fields)))
    return launches


def mean_only(of: Case, means_us: Sequence[float]) -> list[LaunchRecord]:
    return by_tool(
        of,
        means_us,
        p50_us=None,
        p90_us=None,
        p95_us=None,
        p90_bounds_us=None,
        p50_source=Source.UNAVAILABLE,
        p90_source=Source.UNAVAILABLE,
        p90_reason="the tool prints its mean only",
    )


def row(comparison: Comparison, variant: str) -> Row:
    (found,) = (r for r in comparison.rows if r.case.variant == variant)
    return found


def test_a_tools_median_is_stated_compared_and_never_finer_than_its_resolution() -> None:
    data = run_data({FP32: by_tool(FP32, [3000.0] * 6), INT8: by_tool(INT8, [1500.0] * 6)})
    comparison = compare(data)
    found = row(comparison, "int8")
    assert (found.p50_us, found.p50_source) == (1500.0, Source.TOOL)
    assert found.p50_interval_us is not None
    assert (found.p50_interval_us.low, found.p50_interval_us.high) == (1499.5, 1500.5)
    assert found.speedup is not None
    assert found.speedup.change is Change.CHANGED
    assert found.speedup.interval is not None
    assert found.speedup.interval.low < 2 < found.speedup.interval.high
    assert found.load_us is None
    assert found.cpu_us_per_invoke is None
    assert found.stability.word is StabilityWord.STABLE
    text = "; ".join(found.stability.reasons)
    for words in ("drift and modes are not judged", "steady is unknown", "other load"):
        assert words in text


def test_medians_of_samples_and_of_the_tool_are_compared() -> None:
    data = run_data(
        {FP32: rounds(FP32, around(3000)), INT8: by_tool(INT8, around(1500), resolution_us=30.0)}
    )
    found = row(compare(data), "int8")
    assert found.speedup is not None
    assert found.speedup.interval is not None
    # Half a step of 30 us in 1500.
    assert found.speedup.interval.low <= found.speedup.ratio * 0.9905


def test_a_tools_mean_is_never_compared_with_a_median() -> None:
    tiny = by_tool(INT8, around(60), p50_source=Source.TOOL_MEAN, p50_us=61.2)
    data = run_data(
        {FP32: by_tool(FP32, around(150)), INT8: tiny},
        correct={"fp32": answers(690), "int8": answers(690)},
    )
    comparison = compare(data)
    found = row(comparison, "int8")
    assert found.p50_source is Source.TOOL_MEAN
    assert found.p50_us == pytest.approx(61.2, rel=0.01)
    assert found.speedup is None
    assert found.speedup_reason == (
        "its p50 is a tool's mean, that of fp32 a median of single invokes"
    )
    # Neither dominates the other: they have fronts of their own.
    assert all(r.pareto for r in comparison.rows)
    (advice,) = comparison.recommendations
    assert advice.variant is None
    assert "a tool's mean" in advice.reason
    assert "never compared" in advice.reason
    assert any(note.startswith("tool-mean:") for note in comparison.notes)


def test_two_tools_means_are_compared() -> None:
    means = {"p50_source": Source.TOOL_MEAN, "resolution_us": 0.01}
    data = run_data(
        {
            FP32: by_tool(FP32, around(80), **means),
            INT8: by_tool(INT8, around(40), **means),
        }
    )
    speedup = row(compare(data), "int8").speedup
    assert speedup is not None
    assert speedup.ratio == pytest.approx(2, rel=0.02)


def test_one_launch_with_a_mean_makes_the_whole_case_one_of_means() -> None:
    launches = by_tool(FP32, around(100))
    first = launches[0].measurement
    assert first is not None
    launches[0] = replace(
        launches[0], measurement=replace(first, p50_source=Source.TOOL_MEAN, p50_us=first.mean_us)
    )
    found = row(compare(run_data({FP32: launches})), "fp32")
    assert found.p50_source is Source.TOOL_MEAN
    assert found.p50_us == pytest.approx(102, rel=0.01)


def test_without_a_p50_the_mean_stands_under_its_own_name_and_is_compared_with_nothing() -> None:
    gates = GatesConfig(device=(DeviceGates(device="*", p50_us_max=5000),))
    data = run_data(
        {FP32: mean_only(FP32, around(3000)), INT8: mean_only(INT8, around(1500))},
        of=plan(holdout=False, gates=gates),
    )
    comparison = compare(data)
    found = row(comparison, "int8")
    assert (found.p50_us, found.p50_interval_us) == (None, None)
    assert found.mean_us == pytest.approx(1530, rel=0.01)
    assert found.mean_interval_us is not None
    assert found.failure is None
    assert found.speedup is None
    assert found.speedup_reason == "the tool tells no p50"
    assert [gate.status for gate in found.gates] == [GateStatus.UNKNOWN]
    assert "only its mean, 1.53 ms" in found.gates[0].reason
    assert comparison.recommendations[0].variant is None
    assert "the tool tells no p50" in comparison.recommendations[0].reason


def test_an_interpolated_p90_has_bounds_and_no_interval_and_is_never_gated() -> None:
    gates = GatesConfig(device=(DeviceGates(device="*", p90_us_max=9000, p95_us_max=9000),))
    data = run_data({FP32: by_tool(FP32, around(3000))}, of=plan(holdout=False, gates=gates))
    found = row(compare(data), "fp32")
    assert found.p90_us == pytest.approx(3300, rel=0.01)
    assert found.p90_source is Source.INTERPOLATED
    assert found.p90_interval_us is None
    assert found.p90_bounds_us is not None
    low, high = found.p90_bounds_us
    assert low == pytest.approx(3000, rel=0.01)
    assert high == pytest.approx(3600, rel=0.01)
    status = {gate.name: gate for gate in found.gates}
    assert status["p90_us_max"].status is GateStatus.UNKNOWN
    assert "never gated" in status["p90_us_max"].reason
    # The tool prints p95 itself.
    assert found.p95_us is not None
    assert status["p95_us_max"].status is GateStatus.PASS


def test_where_only_bounds_are_known_they_alone_stand_there() -> None:
    launches = by_tool(
        FP32,
        around(3000),
        p90_us=None,
        p90_source=Source.UNAVAILABLE,
        p90_bounds_us=(3000.0, 3900.0),
        p90_reason="p95 is far from the median",
    )
    found = row(compare(run_data({FP32: launches})), "fp32")
    assert found.p90_us is None
    assert found.p90_bounds_us == (3000.0, 3900.0)
    assert found.p90_reason == "p95 is far from the median"


def test_a_tools_mean_is_gated_under_its_own_name() -> None:
    gates = GatesConfig(device=(DeviceGates(device="*", p50_us_max=90),))
    tiny = by_tool(FP32, around(60), p50_source=Source.TOOL_MEAN, p50_us=61.2)
    (gate,) = row(
        compare(run_data({FP32: tiny}, of=plan(holdout=False, gates=gates))), "fp32"
    ).gates
    assert gate.status is GateStatus.PASS
    assert gate.reason.startswith("tool-mean 61.2 µs")


def test_a_resolution_too_coarse_for_the_time_is_noisy() -> None:
    fine = by_tool(FP32, around(3000), resolution_us=1.0)
    coarse = by_tool(FP32, around(3000), resolution_us=50.0)
    assert row(compare(run_data({FP32: fine})), "fp32").stability.word is StabilityWord.STABLE
    found = row(compare(run_data({FP32: coarse})), "fp32").stability
    assert found.word is StabilityWord.NOISY
    assert "coarse clock: it steps by 50.0 µs" in found.reasons[0]


def test_launches_that_say_nothing_of_steadiness_are_not_called_unsteady() -> None:
    unknown = by_tool(FP32, around(3000))
    drifting = by_tool(FP32, around(3000), steady=False)
    assert row(compare(run_data({FP32: unknown})), "fp32").stability.word is StabilityWord.STABLE
    found = row(compare(run_data({FP32: drifting})), "fp32").stability
    assert found.word is StabilityWord.NOT_STEADY


def test_runners_are_never_mixed() -> None:
    loop32, loop8 = case("fp32"), case("int8")
    data = run_data(
        {
            FP32: by_tool(FP32, around(3000)),
            INT8: by_tool(INT8, around(3000)),
            loop32: rounds(loop32, around(2000)),
            loop8: rounds(loop8, around(1000)),
        },
        correct={"fp32": answers(690), "int8": answers(690)},
    )
    comparison = compare(data)
    by_case = {(r.case.variant, r.case.runner): r for r in comparison.rows}
    tool, loop = by_case["int8", "benchmark_model"].speedup, by_case["int8", "invoke_loop"].speedup
    assert tool is not None
    assert loop is not None
    assert tool.ratio == pytest.approx(1, rel=0.01)
    assert loop.ratio == pytest.approx(2, rel=0.01)
    # The slower runner's best is on its own front.
    assert by_case["int8", "benchmark_model"].pareto
    (advice,) = comparison.recommendations
    assert set(advice.configuration) == {"local (benchmark_model)", "local (invoke_loop)"}
    assert any("never compared with each other" in note for note in comparison.notes)


def on(device: str, variant: str) -> Case:
    return case(variant, device=device)


def emulated(launches: list[LaunchRecord], simulated: bool) -> list[LaunchRecord]:
    return [
        replace(item, environment={**item.environment, "simulated": simulated}) for item in launches
    ]


def test_simulated_devices_are_marked_and_have_no_say_beside_real_ones() -> None:
    p50s = {
        "a": {"fp32": 1000, "int8": 500},
        "b": {"fp32": 1000, "int8": 250},
        # Here int8 is slower: where it had a say, fp32 would be recommended.
        "emu": {"fp32": 1000, "int8": 9000},
        "emu2": {"fp32": 1000, "int8": 9000},
    }
    data = run_data(
        {
            on(device, variant): emulated(
                rounds(on(device, variant), around(p50)), device.startswith("emu")
            )
            for device, values in p50s.items()
            for variant, p50 in values.items()
        },
        correct={"fp32": answers(690), "int8": answers(690)},
        simulated=True,
    )
    comparison = compare(data)
    assert {r.case.device for r in comparison.rows if r.simulated} == {"emu", "emu2"}
    assert comparison.simulated
    (advice,) = comparison.recommendations
    assert advice.variant == "int8"
    assert not advice.simulated
    assert set(advice.configuration) == {"a", "b"}
    assert "Simulated and not considered: emu, emu2." in advice.reason
    means = {mean.simulated: mean for mean in comparison.across}
    assert means[False].ratio == pytest.approx((2 * 4) ** 0.5, rel=0.01)
    assert set(means[False].devices) == {"a", "b"}
    assert set(means[True].devices) == {"emu", "emu2"}
    assert [d.device for d in comparison.devices if d.simulated] == ["emu", "emu2"]


def test_a_run_on_emulators_only_says_so_in_its_recommendation() -> None:
    data = run_data(
        {
            on("emu", "fp32"): emulated(rounds(on("emu", "fp32"), around(1000)), True),
            on("emu", "int8"): emulated(rounds(on("emu", "int8"), around(500)), True),
        },
        correct={"fp32": answers(690), "int8": answers(690)},
    )
    comparison = compare(data)
    assert comparison.simulated
    (advice,) = comparison.recommendations
    assert (advice.variant, advice.simulated) == ("int8", True)


def test_launches_that_do_not_say_are_as_simulated_as_their_run() -> None:
    data = run_data({FP32: by_tool(FP32, around(1000))}, simulated=True)
    assert all(r.simulated for r in compare(data).rows)
    assert not any(r.simulated for r in compare(replace_run(data, simulated=False)).rows)


def replace_run(data: Any, **changes: Any) -> Any:
    return replace(data, run=replace(data.run, **changes))


def of_kind(device: str, soc: str, unit: str) -> dict[Case, list[LaunchRecord]]:
    which = on(device, "fp32")
    environment = {"model_sha256": "0" * 64, "device": {"soc": soc, "unit": unit}}
    launches = [replace(x, environment=environment) for x in rounds(which, around(1000))]
    return {which: launches}


def test_three_units_of_a_chip_speak_for_it_and_three_chips_for_themselves_only() -> None:
    three = {name: of_kind(name, "sm8550", name) for name in "abc"}
    alike = run_data({k: v for each in three.values() for k, v in each.items()})
    assert not any("Speaks for" in note for note in compare(alike).notes)
    mixed = run_data({**three["a"], **three["b"], **of_kind("pi", "bcm2711", "d")})
    (note,) = (note for note in compare(mixed).notes if "Speaks for" in note)
    assert note == "Speaks for these units only (a, b, pi), not for their kinds."
    twice = run_data({**three["a"], **three["b"], **of_kind("b-again", "sm8550", "b")})
    assert any("Speaks for these units" in note for note in compare(twice).notes)


def test_a_mean_over_devices_names_those_without_a_speedup() -> None:
    cases = {
        on(device, variant): rounds(on(device, variant), around(p50))
        for device in ("a", "b", "c")
        for variant, p50 in {"fp32": 1000, "int8": 500}.items()
    }
    gone = on("c", "int8")
    cases[gone] = [
        replace(item, outcome=Outcome.CRASHED, measurement=None, failure=lost())
        for item in cases[gone]
    ]
    (mean,) = compare(run_data(cases)).across
    assert set(mean.devices) == {"a", "b"}
    assert "SIGABRT" in mean.without["c"]


def lost() -> Any:
    from records import launch

    return launch(outcome=Outcome.CRASHED).failure


def test_one_device_makes_no_mean_over_devices() -> None:
    data = run_data({c: rounds(c, around(1000)) for c in (case("fp32"), case("int8"))})
    assert compare(data).across == ()


def test_what_a_device_that_stayed_away_did_not_measure_says_so() -> None:
    from bench.records import Failure

    away = replace(
        measured(FP32, 0, 1000.0),
        outcome=Outcome.DEVICE_FAILED,
        measurement=None,
        failure=Failure("device", "phone-a: offline for 300 s"),
    )
    comparison = compare(run_data({FP32: [away], INT8: []}))
    assert row(comparison, "int8").failure == (
        "not measured: the device stayed away (phone-a: offline for 300 s)"
    )
    assert row(comparison, "fp32").failure == (
        "device-failed in 1 of 1 launches: phone-a: offline for 300 s"
    )


def test_energy_is_stated_where_every_launch_has_it_and_else_the_reason() -> None:
    all_of_it = by_tool(FP32, around(1000), energy_mj_per_invoke=2.5)
    some = by_tool(INT8, around(1000), energy_reason="charging")
    first = some[0].measurement
    assert first is not None
    some[0] = replace(some[0], measurement=replace(first, energy_mj_per_invoke=2.0))
    comparison = compare(run_data({FP32: all_of_it, INT8: some}))
    assert row(comparison, "fp32").energy_mj_per_invoke == 2.5
    assert row(comparison, "int8").energy_mj_per_invoke is None
    assert row(comparison, "int8").energy_reason == "charging"
