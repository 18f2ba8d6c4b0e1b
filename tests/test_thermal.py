"""devices.thermal: a device is waited for until it is cool, within a budget, or it is said."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.errors import DeviceOffline
from devices.thermal import Cooling, GateLimit, GateResult, gate_limit, wait_until_cool


@dataclass
class Hot:
    """A device that cools towards the room's temperature, on a clock of its own."""

    now_c: float
    room_c: float = 25.0
    share_per_s: float = 0.02
    now_s: float = 1000.0
    readings: int = 0
    told: list[Cooling] = field(default_factory=list)

    def read(self) -> float:
        self.readings += 1
        return self.now_c

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.now_s += seconds
        self.now_c = self.room_c + (self.now_c - self.room_c) * (1 - self.share_per_s) ** seconds

    def wait(self, limit: GateLimit | None, budget_s: float = 300.0) -> GateResult:
        return wait_until_cool(
            self.read,
            limit=limit,
            budget_s=budget_s,
            sleep=self.sleep,
            clock=lambda: self.now_s,
            tell=self.told.append,
        )


LIMIT = GateLimit(45.0, 48.0)


def test_a_cool_device_is_not_waited_for() -> None:
    device = Hot(45.0)
    assert device.wait(LIMIT) == GateResult(True, 0.0, 45.0, 45.0, None, LIMIT)
    assert device.told == []


def test_a_hot_device_is_waited_for_with_ever_longer_pauses() -> None:
    device = Hot(70.0)
    result = device.wait(LIMIT)
    assert result.reached is True
    assert (result.start_c, result.reason) == (70.0, None)
    assert result.end_c is not None
    assert result.end_c <= 45.0
    # From 70 to 45 C it takes 40 s; eight looks with a longest pause of fifteen.
    assert 40 <= result.waited_s <= 55
    assert device.readings <= 9
    assert device.told[0].left_s is None
    left = [cooling.left_s for cooling in device.told[1:]]
    assert all(seconds is not None and 0 < seconds <= 300 for seconds in left)


def test_a_device_that_stays_hot_is_measured_when_the_budget_is_spent() -> None:
    device = Hot(70.0, room_c=60.0)
    result = device.wait(LIMIT, budget_s=30.0)
    assert (result.reached, result.waited_s) == (False, 30.0)
    assert result.reason == f"{device.now_c:.1f} C after 30 s, limit 45.0 C"
    json.dumps(result.to_json(), allow_nan=False)


def test_one_that_becomes_hotter_has_no_time_left() -> None:
    device = Hot(50.0, room_c=80.0)
    assert device.wait(LIMIT, budget_s=5.0).reached is False
    assert {cooling.left_s for cooling in device.told} == {None}


def test_a_budget_of_nothing_looks_once() -> None:
    device = Hot(70.0)
    assert device.wait(LIMIT, budget_s=0.0).reached is False
    assert device.readings == 1


def test_unknown_is_neither_cool_nor_hot() -> None:
    readings = iter([60.0, None])
    result = wait_until_cool(
        lambda: next(readings), limit=LIMIT, budget_s=9.0, sleep=lambda s: None, clock=lambda: 0.0
    )
    assert (result.reached, result.start_c, result.end_c) == (None, 60.0, None)
    assert result.reason == "the device tells no temperature of its processor"


def test_without_a_limit_the_first_reading_is_kept() -> None:
    result = Hot(70.0).wait(None)
    assert (result.reached, result.start_c, result.waited_s) == (None, 70.0, 0.0)


def test_a_device_that_goes_away_is_no_result() -> None:
    def gone() -> float:
        raise DeviceOffline("gone", device="phone")

    with pytest.raises(DeviceOffline):
        wait_until_cool(gone, limit=LIMIT, budget_s=9, sleep=lambda s: None, clock=lambda: 0.0)


@given(
    st.floats(1, 120), st.floats(1, 120), st.floats(0, 0.5), st.floats(1, 100), st.floats(0, 600)
)
def test_what_is_said_is_what_was(
    now_c: float, room_c: float, share: float, limit_c: float, budget_s: float
) -> None:
    device = Hot(now_c, room_c, share)
    result = device.wait(GateLimit(limit_c, limit_c), budget_s)
    assert result.end_c == device.now_c
    assert result.reached is (device.now_c <= limit_c)
    assert result.waited_s <= budget_s + 1e-6
    assert result.reached or result.waited_s >= budget_s - 0.011


def test_the_plans_limit_goes_before_the_first_launch() -> None:
    assert gate_limit(40.0, 55.0) == GateLimit(40.0, 43.0)
    assert gate_limit(None, 55.0) == GateLimit(58.0, 58.0)
    assert gate_limit(None, None) is None
