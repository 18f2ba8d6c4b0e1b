"""Which conditions taint a launch, and that absent ones never do."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from records import measurement

from bench.records import HostLoad
from bench.taint import taints
from devices.sampler import TelemetryPoint
from devices.state import CpuTimes, FrequencyPolicy, Snapshot
from devices.thermal import GateResult, gate_limit

SECOND = 1_000_000_000
TICK = 10_000_000
TIMES = {600_000: 100, 1_800_000: 1000}


def snapshot(**changes: Any) -> dict[str, Any]:
    calm = Snapshot(
        uptime_s=1000.0,
        boot_id="b1",
        policies={"policy0": FrequencyPolicy(1_800_000, "performance", TIMES)},
        battery_percent=80,
        charging=True,
        throttled_bits=0,
    )
    return {**calm.to_json(), **changes}


def policy(**changes: Any) -> dict[str, Any]:
    return {"policy0": {**snapshot()["policies"]["policy0"], **changes}}


def of_load(load: HostLoad) -> tuple[str, ...]:
    return taints(measurement(load=load), {}, {}, None)


def after(**changes: Any) -> tuple[str, ...]:
    return taints(measurement(), snapshot(), snapshot(**changes), None)


def test_calm_conditions_taint_nothing() -> None:
    assert taints(measurement(), snapshot(), snapshot(), {"policy0": 1_800_000.0}) == ()


def test_other_load_is_what_the_process_did_not_use() -> None:
    (reason,) = of_load(HostLoad(2 * SECOND, 2 * SECOND, int(2.62 * SECOND), 0))
    assert reason == "other load: 0.31 of a core, limit 0.10"
    # Two threads of our own are no other load.
    assert of_load(HostLoad(2 * SECOND, 4 * SECOND, 4 * SECOND, 0)) == ()


@pytest.mark.parametrize(("ticks", "tainted"), [(12, False), (13, True)])
def test_other_load_grants_the_ticks_of_its_counters(ticks: int, tainted: bool) -> None:
    load = HostLoad(SECOND, SECOND, SECOND + ticks * TICK, 0)
    assert bool(of_load(load)) is tainted


@pytest.mark.parametrize(("ticks", "tainted"), [(0, False), (2, False), (3, True)])
def test_steal_grants_one_tick(ticks: int, tainted: bool) -> None:
    assert bool(of_load(HostLoad(SECOND, SECOND, SECOND, ticks * TICK))) is tainted


def test_unknown_load_is_no_evidence() -> None:
    assert of_load(HostLoad(SECOND, SECOND, None, None)) == ()
    assert of_load(HostLoad(0, 0, SECOND, SECOND)) == ()


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"throttled_bits": 0x50005}, "throttling: under-voltage, throttled (get_throttled 0x5)"),
        ({"throttled_bits": 0x40000}, "throttled meanwhile: throttled (get_throttled 0x40000)"),
        ({"throttled_bits": 8}, "throttling: soft temperature limit (get_throttled 0x8)"),
        (
            {"policies": policy(max_khz=1_200_000)},
            "frequency limit of policy0: lowered from 1800 to 1200 MHz",
        ),
        (
            {"charging": False},
            "charger: disconnected during the launch",
        ),
        ({"battery_percent": 19}, "battery: 19 %, limit 20 %"),
        ({"thermal_status": 2}, "thermal status: 2, limit below 2 (MODERATE)"),
        ({"boot_id": "b2"}, "restart: the device restarted during the launch"),
    ],
)
def test_each_condition_taints_by_itself(changes: dict[str, Any], text: str) -> None:
    assert text in after(**changes)


def test_what_was_sticky_before_is_not_new() -> None:
    old = snapshot(throttled_bits=0x50000)
    assert taints(measurement(), old, old, None) == ()
    assert len(taints(measurement(), old, snapshot(throttled_bits=0x70000), None)) == 1


@pytest.mark.parametrize(
    ("was", "now", "reason"),
    [
        (["USB"], [], "charger: disconnected during the launch"),
        ([], ["AC"], "charger: connected during the launch"),
        (["USB"], ["AC"], "charger: changed during the launch"),
    ],
)
def test_what_is_plugged_in(was: list[str], now: list[str], reason: str) -> None:
    assert taints(None, snapshot(plugged=was), snapshot(plugged=now), None) == (reason,)


def test_a_battery_that_stops_charging_by_itself_taints_nothing() -> None:
    held = snapshot(plugged=["USB"], charging=False)
    assert taints(None, snapshot(plugged=["USB"]), held, None) == ()


def test_the_power_saver() -> None:
    on, off = snapshot(power_saver=True), snapshot(power_saver=False)
    assert taints(None, off, on, None) == ("power saver: switched on during the launch",)
    assert taints(None, on, off, None) == ("power saver: switched off during the launch",)
    assert taints(None, on, on, None) == ()


@pytest.mark.parametrize(("start_c", "tainted"), [(48.0, False), (48.1, True), (None, False)])
def test_a_start_outside_the_gate(start_c: float | None, tainted: bool) -> None:
    limit = gate_limit(45.0, None)
    gate = GateResult(False, 300.0, 60.0, start_c, "hot", limit).to_json()
    for before in (snapshot(temperature_c=start_c), {}):
        found = taints(None, before, {}, None, gate=gate)
        assert found == (("start temperature: 48.1 C, limit 48.0 C",) if tainted else ())


# --- load where the runner did not look --------------------------------------


def sampled(seconds: float, own: float, busy: float, steal: float = 0.0) -> list[dict[str, Any]]:
    """Before the program, at its first and its last sample, and after it; CPU times in s."""
    times = [(0.0, None, 0.0, 0.0), (1.0, 0.0, 5.0, 0.0)]
    times += [(1.0 + seconds, own, 5.0 + busy, steal), (9.0, None, 99.0, 9.0)]
    return [
        TelemetryPoint(
            uptime_s=100 + at,
            own_cpu_ns=None if mine is None else round(mine * SECOND),
            busy_ns=round(everybody * SECOND),
            steal_ns=round(stolen * SECOND),
        ).to_json()
        for at, mine, everybody, stolen in times
    ]


@pytest.mark.parametrize(("others", "tainted"), [(0.23, False), (0.25, True)])
def test_other_load_beside_the_launch(others: float, tainted: bool) -> None:
    # Two seconds: 0.20 s are the limit, four ticks are granted.
    found = taints(measurement(load=None), {}, {}, None, samples=sampled(2.0, 3.0, 3.0 + others))
    assert bool(found) is tainted
    assert all(reason.startswith("other load: 0.1") for reason in found)


def test_the_runners_own_figures_go_before_samples() -> None:
    loaded = sampled(2.0, 1.0, 3.0, steal=1.0)
    assert len(taints(measurement(load=None), {}, {}, None, samples=loaded)) == 2
    assert taints(measurement(), {}, {}, None, samples=loaded) == ()


@pytest.mark.parametrize("samples", [[], sampled(2.0, 0.0, 2.0)[:2], sampled(0.5, 0.0, 0.5)])
def test_too_few_samples_tell_no_load(samples: list[dict[str, Any]]) -> None:
    assert taints(measurement(load=None), {}, {}, None, samples=samples) == ()


@pytest.mark.parametrize(("stolen", "tainted"), [(0.05, False), (0.06, True)])
def test_snapshots_tell_steal_time_and_no_other_load(stolen: float, tainted: bool) -> None:
    def around(uptime_s: float, busy: float, steal: float) -> dict[str, Any]:
        cpus = {n: CpuTimes(round(busy * SECOND), round(steal / 2 * SECOND)) for n in (0, 1)}
        return Snapshot(uptime_s=uptime_s, cpus=cpus).to_json()

    # Three seconds: 0.03 s are the limit, and a tick for each of two CPUs.
    found = taints(measurement(load=None), around(10, 0, 0), around(13, 3, stolen), None)
    assert bool(found) is tainted
    assert all(reason.startswith("steal time") for reason in found)


def test_a_raised_limit_taints_nothing() -> None:
    assert after(policies=policy(max_khz=2_000_000)) == ()


@pytest.mark.parametrize(("slow_ticks", "tainted"), [(4, False), (6, True)])
def test_mean_frequency_is_the_residency_of_this_launch_alone(
    slow_ticks: int, tainted: bool
) -> None:
    # Of 100 ticks each slow one costs 2/3 of the frequency: 4.5 of them are 3 %.
    spent = {"600000": 100 + slow_ticks, "1800000": 1000 + 100 - slow_ticks}
    end = snapshot(policies=policy(time_in_state=spent))
    found = taints(measurement(), snapshot(), end, {"policy0": 1_800_000.0})
    assert bool(found) is tainted
    assert not taints(measurement(), snapshot(), end, None)


def test_a_launch_without_measurement_still_has_conditions() -> None:
    assert taints(None, snapshot(), snapshot(throttled_bits=1), None)


holes = st.fixed_dictionaries(
    {},
    optional={
        key: st.none()
        for key in (
            "boot_id",
            "policies",
            "battery_percent",
            "charging",
            "throttled_bits",
            "thermal_status",
            "load_1m",
        )
    },
)


@given(holes, holes, st.booleans(), st.booleans())
def test_what_is_absent_never_taints(
    before: dict[str, None], later: dict[str, None], full_before: bool, full_later: bool
) -> None:
    first = {**snapshot(), **before} if full_before else before
    second = {**snapshot(), **later} if full_later else later
    assert taints(measurement(), first, second, {"policy0": 1.0, "policy9": 1.0}) == ()


def test_a_policy_without_figures_never_taints() -> None:
    empty = {"policy0": {"governor": None, "max_khz": None, "time_in_state": None}}
    assert after(policies=empty) == ()
    assert after(policies={"policy0": None}) == ()
