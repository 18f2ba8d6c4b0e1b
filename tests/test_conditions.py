"""Conditions of a run, device by device: what was seen, what was spoilt, what nobody knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from analysis import around, rounds, run_data
from hypothesis import given
from hypothesis import strategies as st
from records import NOW, case, launch
from store_records import texts

from bench.records import LaunchRecord, Outcome
from reports.conditions import conditions
from reports.device_model import DeviceConditions
from reports.render.conditions import device_view

FP32 = case("fp32")


def seen(*launches: LaunchRecord) -> DeviceConditions:
    (found,) = conditions(run_data({FP32: launches}))
    return found


def at(seconds: float, index: int = 0, **conditions: Any) -> LaunchRecord:
    """A launch that began so long after its run."""
    made = rounds(FP32, around(1000))[index]
    return replace(made, started_utc=NOW + timedelta(seconds=seconds), conditions=conditions)


def with_environment(item: LaunchRecord, **environment: Any) -> LaunchRecord:
    return replace(item, environment={**item.environment, **environment})


def test_readings_lie_on_the_clock_of_the_run() -> None:
    found = seen(
        at(
            10,
            before={"uptime_s": 500.0, "temperature_c": 40.0},
            samples=[{"uptime_s": 501.0, "temperature_c": 44.0, "khz": {"policy0": 1_500_000}}],
            after={"uptime_s": 503.0, "temperature_c": 47.5},
        ),
        # A restart: its clock begins anew, and the run's goes on.
        at(60, 1, before={"uptime_s": 20.0, "temperature_c": 39.0}, after=None),
    )
    assert found.temperature_c == ((10.0, 40.0), (11.0, 44.0), (13.0, 47.5), (60.0, 39.0))
    assert found.khz == {"policy0": ((11.0, 1_500_000.0),)}
    summary = dict(device_view(found).summary)
    assert summary["temperature"] == "39.0 to 47.5 °C"
    assert summary["frequency of policy0"] == "1500 to 1500 MHz"


def test_snapshots_tell_the_frequency_too() -> None:
    found = seen(at(0, before={"uptime_s": 1.0, "policies": {"policy4": {"cur_khz": 1_800_000}}}))
    assert found.khz == {"policy4": ((0.0, 1_800_000.0),)}


def test_many_readings_keep_their_peaks() -> None:
    samples = [{"uptime_s": 1.0 + n, "temperature_c": 40.0} for n in range(5000)]
    samples[3333]["temperature_c"] = 91.0
    found = seen(at(0, before={"uptime_s": 0.5}, samples=samples))
    assert len(found.temperature_c) <= 600
    assert max(value for _, value in found.temperature_c) == 91.0


def test_controls_are_counted_by_how_they_went() -> None:
    applied = {
        "name": "governor",
        "wanted": "performance",
        "before": "schedutil",
        "after": "performance",
        "outcome": "applied",
        "reason": "",
    }
    refused = {**applied, "after": "schedutil", "outcome": "refused", "reason": "no root"}
    items = [at(n, n) for n in range(3)]
    found = seen(
        with_environment(items[0], controls=[applied]),
        with_environment(items[1], controls=[applied]),
        with_environment(items[2], controls=[refused]),
    )
    lines = device_view(found).controls
    assert lines == (
        ("governor", "performance", "schedutil", "performance", "applied", "2"),
        ("governor", "performance", "schedutil", "schedutil", "refused: no root", "1"),
    )
    assert not any("controls" in text for text in found.absent)


def test_the_gate_says_what_it_cost_and_what_it_missed() -> None:
    found = seen(
        at(0, gate={"reached": True, "waited_s": 4.0, "reason": None}),
        at(9, 1, gate={"reached": False, "waited_s": 300.0, "reason": "still 61 degrees"}),
    )
    assert found.thermal is not None
    assert (found.thermal.launches, found.thermal.missed) == (2, 1)
    assert (found.thermal.waited_s, found.thermal.longest_s) == (304.0, 300.0)
    assert dict(device_view(found).summary)["cooling"] == (
        "1 of 2 launches started too hot (still 61 degrees); waited 304 s in all, 300 s at most"
    )


def test_a_gate_that_does_not_say_that_it_was_reached_was_missed() -> None:
    found = seen(at(0, gate={"waited_s": 1.0}))
    assert found.thermal is not None
    assert found.thermal.missed == 1


def battery(level: float, charging: bool | None) -> dict[str, Any]:
    return {"battery_percent": level, "charging": charging}


def test_battery_drain_is_of_the_whole_run_and_only_without_a_charger() -> None:
    drained = seen(
        at(0, before=battery(80, False), after=battery(80, False)),
        at(600, 1, before=battery(78, False), after=battery(77, False)),
    )
    assert drained.battery is not None
    assert drained.battery.drain_percent == 3
    for charging in (True, None):
        found = seen(at(0, before=battery(80, False), after=battery(79, charging)))
        assert found.battery is not None
        assert found.battery.drain_percent is None
        assert any(text.startswith("battery drain:") for text in found.absent)


def test_spoilt_launches_are_listed_with_their_reasons() -> None:
    tainted = replace(at(5), taints=("other load: 0.50 of a core", "battery: 12 %"))
    crashed = launch(FP32, index=1, outcome=Outcome.CRASHED)
    found = seen(tainted, crashed, at(9, 2))
    assert [(s.round, s.outcome) for s in found.spoilt] == [(2, "crashed"), (1, "tainted")]
    assert found.spoilt[1].reasons == ("other load: 0.50 of a core", "battery: 12 %")
    assert dict(device_view(found).summary)["launches"] in (
        "3 made, 1 crashed, 1 tainted",
        "3 made, 1 tainted, 1 crashed",
    )


def test_what_is_not_there_says_so() -> None:
    text = " | ".join(seen(at(0)).absent)
    for words in ("temperature:", "frequency:", "battery:", "energy: not measured", "controls:"):
        assert words in text
    assert conditions(run_data({FP32: []}))[0].absent == ("no launch was made on this device",)


def test_the_reasons_of_missing_energy_are_counted() -> None:
    items = [at(n, n) for n in range(3)]
    reasons = ["charging", "charging", "too few readings"]
    changed = [
        replace(item, measurement=replace(item.measurement, energy_reason=why))  # type: ignore[type-var]
        for item, why in zip(items, reasons, strict=True)
    ]
    absent = seen(*changed).absent
    assert "energy: charging (2 of 3 launches)" in absent
    assert "energy: too few readings (1 of 3 launches)" in absent


def test_a_program_that_changed_in_the_middle_shows_as_two() -> None:
    items = [at(n, n) for n in range(3)]
    found = seen(
        with_environment(items[0], runner="benchmark_model", runner_sha256="aa"),
        with_environment(items[1], runner="benchmark_model", runner_sha256="aa"),
        with_environment(items[2], runner="benchmark_model", runner_sha256="bb"),
    )
    assert [(t.runner, t.facts["sha256"], t.launches) for t in found.tools] == [
        ("benchmark_model", "aa", 2),
        ("benchmark_model", "bb", 1),
    ]


KEYS = (
    "uptime_s", "temperature_c", "khz", "policies", "policy0", "cur_khz", "battery_percent",
    "charging", "plugged", "reached", "waited_s", "reason", "name", "wanted", "before", "after",
    "outcome", "controls", "runner", "runner_sha256", "simulated",
)  # fmt: skip
odd_objects = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts | st.just(10**400),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=8,
).filter(lambda value: isinstance(value, dict))


@given(odd_objects, odd_objects)
def test_whatever_was_stored_gives_conditions_and_no_exception(
    odd: Mapping[str, Any], environment: Mapping[str, Any]
) -> None:
    known = {
        "gate": odd,
        "samples": [odd, 3, {"uptime_s": 2.0, **odd}],
        "before": {**odd, "uptime_s": 1.0},
        "after": odd,
    }
    first = with_environment(at(0, **known), **{**environment, "controls": [odd, 1]})
    found = seen(first, at(1, 1, **known))
    assert device_view(found).title.startswith("local")
