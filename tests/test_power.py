"""devices.power: energy and drain only where unit, sign and state of the battery are sure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.power import energy_mj_per_invoke, pmic_w
from devices.sampler import TelemetryPoint
from devices.state import Snapshot

AWAY = Snapshot(
    uptime_s=1.0,
    battery_percent=80,
    battery_status="Discharging",
    charging=False,
    plugged=(),
    battery_voltage_mv=4000.0,
)


def points(*currents: int | None, microvolts: int | None = 4_000_000) -> list[TelemetryPoint]:
    return [
        TelemetryPoint(
            uptime_s=100.0 + second,
            battery_current_raw=current,
            battery_voltage_raw=microvolts,
            battery_status="Discharging",
        )
        for second, current in enumerate(currents)
    ]


def energy(
    of: list[TelemetryPoint], before: Snapshot = AWAY, after: Snapshot = AWAY, **changes: Any
) -> tuple[float | None, str | None]:
    return energy_mj_per_invoke(
        of, before, after, **{"mean_us": 2000.0, "measured_s": 5.0, **changes}
    )


# 500 mA at 4 V are 2 W; in 2 ms that is 4 mJ.
@pytest.mark.parametrize("scale", [1000, 1, -1000, -1])
def test_units_and_signs_of_vendors(scale: int) -> None:
    found, reason = energy(points(490 * scale, 500 * scale, 510 * scale))
    assert found == pytest.approx(4.0)
    assert reason is None


@pytest.mark.parametrize("volts", [4_000_000, 4000, None])
def test_the_voltage_in_either_unit_or_from_around_the_launch(volts: int | None) -> None:
    found, _ = energy(points(-490000, -500000, -510000, microvolts=volts))
    assert found == pytest.approx(4.0)


@given(
    st.lists(st.integers(60, 7000), min_size=3, max_size=9, unique=True),
    st.sampled_from([1, -1, 1000, -1000]),
    st.integers(3000, 4500),
)
def test_the_energy_is_that_of_the_battery(ma: list[int], scale: int, mv: int) -> None:
    found, _ = energy(points(*(i * scale for i in ma), microvolts=mv * 1000), measured_s=60.0)
    watts = sum(ma) / len(ma) * mv / 1e6
    assert found == pytest.approx(watts * 2.0)


@pytest.mark.parametrize(
    ("currents", "reason"),
    [
        ((), "nothing was sampled during the launch"),
        ((None, None, None), "the device does not tell its battery's current"),
        ((-500000, -510000), "2 readings of the current, 3 are needed"),
        (
            (-500000, -500000, -500000),
            "the current gauge did not move: it is slower than the launch",
        ),
        (
            (-500000, 510000, -490000),
            "the current gauge changes its sign or says 0 while discharging",
        ),
        ((-500000, 0, -490000), "the current gauge changes its sign or says 0 while discharging"),
        ((20000, 21000, 22000), "currents of 20000 to 22000 fit neither mA nor uA"),
        ((500, 500000, 510000), "currents of 500 to 510000 fit neither mA nor uA"),
    ],
)
def test_no_figure_without_evidence(currents: tuple[int | None, ...], reason: str) -> None:
    assert energy(points(*currents)) == (None, reason)


def test_readings_of_the_warm_up_do_not_count() -> None:
    warm_up_and_measured = points(-4000000, -4100000, -490000, -500000, -510000)
    found, _ = energy(warm_up_and_measured, measured_s=3.5)
    assert found == pytest.approx(4.0)
    assert energy(warm_up_and_measured, measured_s=2.5)[0] is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"plugged": ("USB",)}, "the device was on external power"),
        ({"charging": True, "plugged": None}, "the device was on external power"),
        ({"battery_status": None}, "no battery that says whether it is discharging"),
        ({"battery_status": "Not charging"}, "the battery was not discharging"),
    ],
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_external_power_is_no_energy(changes: dict[str, Any], reason: str, when: str) -> None:
    states = {"before": AWAY, "after": AWAY, when: replace(AWAY, **changes)}
    assert energy(points(-490000, -500000, -510000), **states) == (None, reason)


def test_a_charger_that_came_and_went_during_the_launch() -> None:
    sampled = points(-490000, -500000, -510000)
    sampled[1] = replace(sampled[1], battery_status="Charging")
    assert energy(sampled) == (None, "the battery was not discharging all the time")


def test_no_voltage_no_power() -> None:
    unknown = replace(AWAY, battery_voltage_mv=None)
    sampled = points(-490000, -500000, -510000, microvolts=None)
    assert energy(sampled, unknown, unknown) == (
        None,
        "the device does not tell its battery's voltage",
    )


RAILS = [
    "     3V7_WL_SW_A current(0)=0.10000000A",
    "      VDD_CORE_A current(7)=2.00000000A",
    "     3V7_WL_SW_V volt(8)=3.70000000V",
    "      VDD_CORE_V volt(15)=0.90000000V",
    "         EXT5V_V volt(24)=5.10000000V",
]


def test_the_rails_of_a_pi_5_are_summed() -> None:
    assert pmic_w(RAILS) == pytest.approx(0.1 * 3.7 + 2.0 * 0.9)


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ['error=1 error_msg="Command not registered"'],
        ["Can't open device file: /dev/vcio"],
        RAILS[2:],
        RAILS[:3],
        [RAILS[0].replace("0.10000000A", "nanA"), *RAILS[1:]],
    ],
)
def test_a_sum_that_lacks_a_rail_is_no_sum(lines: list[str]) -> None:
    assert pmic_w(lines) is None
