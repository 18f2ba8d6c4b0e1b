"""`edgebench fleet`: what stands out among devices, over time and by silence, on both databases."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from bench.cli.fleet import command
from bench.errors import UserError
from bench.store import StorePlace, initialise, open_store
from bench.store.telemetry import Window, any_real, last_heard, losses, telemetry
from reports.fleet import Fleet, Trouble, fleet
from reports.fleet.outliers import outlier_limit
from tests.edge_rows import NOW, edge_row, failed, put

pytest_plugins = ("tests.postgres_fixtures",)

WEEK = timedelta(days=7)


def hours(
    device: str, ms: float = 10.0, *, days: int = 7, **changes: Any
) -> Iterator[dict[str, Any]]:
    """A sample every six hours of a week, with a ripple of 1 %."""
    for number in range(days * 4):
        when = NOW - timedelta(hours=1 + 6 * number)
        p50 = ms * (1 + 0.01 * math.sin(number))
        yield edge_row(
            device_id=device, timestamp=when, **{"inference_latency_ms_p50": p50, **changes}
        )


def a_fleet(count: int = 8, **changes: Any) -> list[dict[str, Any]]:
    """Devices that are 2 % apart."""
    return [
        row
        for number in range(count)
        for row in hours(f"phone-{number}", 10 * 1.02 ** (number - count / 2), **changes)
    ]


def judged(place: StorePlace, *, since: datetime = NOW - WEEK, model: str | None = None) -> Fleet:
    with open_store(place, write=False) as store:
        window = Window(since, NOW, not any_real(store, since, NOW), model)
        return fleet(
            telemetry(store, window),
            last_heard(store, window),
            losses(store, window),
            since=since,
            until=NOW,
            simulated=window.simulated,
        )


def troubles(found: Fleet) -> set[tuple[Trouble, tuple[str, ...]]]:
    return {(finding.trouble, finding.devices) for finding in found.findings}


def test_a_quiet_fleet_has_nothing_to_say(store_place: StorePlace) -> None:
    put(store_place, a_fleet())
    found = judged(store_place)
    assert found.findings == ()
    assert (found.devices, found.samples, found.simulated) == (8, 8 * 28, False)
    (group,) = found.groups
    assert (group.devices, group.judged, group.kind.device_model) == (8, 8, "Pixel 8")
    assert group.low_ms is not None
    assert group.p50_ms is not None
    assert group.high_ms is not None
    assert group.low_ms < 9.4 < group.p50_ms < 10.1 < group.high_ms < 11
    assert group.limit is not None
    assert group.limit >= 1.2


def test_medians_are_those_of_numpy(store_place: StorePlace) -> None:
    rng = np.random.default_rng(1)
    values = {f"d{n}": rng.lognormal(2, 0.3, n).tolist() for n in (1, 2, 3, 4, 7, 12)}
    put(
        store_place,
        [
            edge_row(
                device_id=device,
                inference_latency_ms_p50=ms,
                timestamp=NOW - timedelta(minutes=5 * (number + 1)),
            )
            for device, many in values.items()
            for number, ms in enumerate(many)
        ],
    )
    with open_store(store_place, write=False) as store:
        window = Window(NOW - WEEK, NOW, simulated=False)
        found = {t.deployment.device_id: t for t in telemetry(store, window)}
    for device, many in values.items():
        assert found[device].p50_ms == pytest.approx(np.median(many))
        assert found[device].daily_ms == ((date(2026, 11, 21), pytest.approx(np.median(many))),)


def test_days_are_those_of_utc(store_place: StorePlace) -> None:
    midnight = datetime(2026, 11, 20, tzinfo=UTC)
    rows = [
        edge_row(timestamp=midnight - timedelta(seconds=1), inference_latency_ms_p50=1.0),
        edge_row(timestamp=midnight, inference_latency_ms_p50=2.0),
    ]
    put(store_place, rows)
    with open_store(store_place, write=False) as store:
        (found,) = telemetry(store, Window(NOW - WEEK, NOW, simulated=False))
    assert found.daily_ms == ((date(2026, 11, 19), 1.0), (date(2026, 11, 20), 2.0))


def test_the_newest_sample_is_each_models_own(store_place: StorePlace) -> None:
    at = NOW - timedelta(hours=1)
    rows = [
        edge_row(timestamp=at, delegate_verdict="FULL"),
        edge_row(timestamp=at - timedelta(hours=1), delegate_verdict="NONE"),
        # Of other models of the device, one at the very same moment.
        edge_row(timestamp=at, model_name="other", delegate_verdict="PARTIAL"),
        failed(timestamp=at, failure="old", model_name="other"),
        failed(timestamp=at + timedelta(minutes=1), failure="new"),
        failed(timestamp=at - timedelta(days=1), failure="older"),
    ]
    put(store_place, rows)
    with open_store(store_place, write=False) as store:
        found = telemetry(store, Window(NOW - WEEK, NOW, simulated=False))
    said = {t.deployment.model_name: t for t in found}
    mobilenet, other = said["mobilenet"], said["other"]
    assert mobilenet.latest["delegate_verdict"] == "FULL"
    assert mobilenet.latest["timestamp"] == at
    assert (mobilenet.last_failure, mobilenet.failures, mobilenet.samples) == ("new", 2, 4)
    assert other.latest["delegate_verdict"] == "PARTIAL"
    assert (other.last_failure, other.device_model) == ("old", "Pixel 8")
    assert len(found) == 2


def test_a_driver_that_regressed_to_the_cpu_stands_out(store_place: StorePlace) -> None:
    slow = hours(
        "phone-slow", 34.0, delegate_verdict="NONE", runtime_version="other build", temperature_c=44
    )
    put(store_place, [*a_fleet(), *slow])
    found = judged(store_place)
    assert found.gate_failed
    by_trouble = {finding.trouble: finding for finding in found.findings}
    assert set(by_trouble) == {Trouble.FELL_BACK, Trouble.SLOWER}
    slower = by_trouble[Trouble.SLOWER]
    assert slower.devices == ("phone-slow",)
    assert slower.ratio == pytest.approx(3.4, rel=0.03)
    assert slower.evidence == (
        "delegate verdict NONE, most others FULL",
        "runtime other build, most others benchmark_model 0123, Android 14 AP1A",
        "44 °C, others 31 °C",
    )
    assert "of the others most say FULL" in by_trouble[Trouble.FELL_BACK].text


def test_others_are_others_of_the_same_make(store_place: StorePlace) -> None:
    old = [row for n in range(6) for row in hours(f"old-{n}", 40.0 + n, device_model="Pixel 4")]
    put(store_place, [*a_fleet(), *old])
    found = judged(store_place)
    assert not found.findings
    assert {group.kind.device_model for group in found.groups} == {"Pixel 8", "Pixel 4"}


def test_few_devices_are_not_judged(store_place: StorePlace) -> None:
    put(store_place, [*a_fleet(3), *hours("phone-slow", 50.0)])
    found = judged(store_place)
    assert not found.findings
    assert found.groups[0].limit is None


def test_a_device_that_became_slower(store_place: StorePlace) -> None:
    today = [
        edge_row(
            device_id="phone-3", timestamp=NOW - timedelta(hours=h), inference_latency_ms_p50=15.0
        )
        for h in (2, 3, 4, 5, 6)
    ]
    put(store_place, [*a_fleet(), *today])
    found = judged(store_place)
    assert troubles(found) == {(Trouble.BECAME_SLOWER, ("phone-3",))}
    assert found.findings[0].ratio == pytest.approx(1.5, rel=0.06)
    assert found.gate_failed


def test_what_most_devices_do_at_once_is_said_once(store_place: StorePlace) -> None:
    rows = a_fleet()
    for row in rows:
        if row["timestamp"] >= datetime(2026, 11, 21, tzinfo=UTC):
            row["inference_latency_ms_p50"] *= 1.6
    put(store_place, rows)
    (finding,) = judged(store_place).findings
    assert finding.trouble is Trouble.BECAME_SLOWER
    assert len(finding.devices) == 8
    assert "8 of 8 devices at once on 2026-11-21" in finding.text


def test_silent_failing_throttled_drained_and_lost(store_place: StorePlace) -> None:
    at = NOW - timedelta(hours=2)
    silent = [row for row in hours("phone-silent") if row["timestamp"] < NOW - timedelta(hours=30)]
    bad = [failed(device_id="phone-bad", timestamp=at - timedelta(hours=n)) for n in range(4)]
    put(
        store_place,
        [
            *a_fleet(battery_drain_pct=0.5),
            *silent,
            *hours("phone-bad"),
            *bad,
            *hours("phone-hot", throttled=True, temperature_c=71.0),
            *hours("phone-empty", battery_drain_pct=6.0),
            failed(
                device_id="phone-0",
                model_name="(agent)",
                failure="the spool was full: 12 samples lost, of a to b",
                timestamp=at,
            ),
        ],
    )
    found = judged(store_place)
    assert troubles(found) == {
        (Trouble.SILENT, ("phone-silent",)),
        (Trouble.FAILING, ("phone-bad",)),
        (Trouble.THROTTLED, ("phone-hot",)),
        (Trouble.DRAINED, ("phone-empty",)),
        (Trouble.LOST_SAMPLES, ("phone-0",)),
    }
    said = {finding.trouble: finding for finding in found.findings}
    assert said[Trouble.FAILING].text == "4 of 32 samples failed."
    assert said[Trouble.FAILING].evidence == ("last: adb push: device offline",)
    assert said[Trouble.SILENT].text == "Nothing for 31 hours; it sent one every 6 hours."
    assert said[Trouble.THROTTLED].evidence == ("71 °C at the last sample",)
    assert said[Trouble.DRAINED].text.startswith("25 % of a charge per day")
    assert "12 samples lost" in said[Trouble.LOST_SAMPLES].text
    # What does not answer is one device of its make, and no group of its own.
    assert {group.kind.device_model for group in found.groups} == {"Pixel 8"}
    assert not found.gate_failed


def test_simulated_rows_never_count_beside_real_ones(store_place: StorePlace) -> None:
    emulated = [row for n in range(9) for row in hours(f"emulated-{n}", 1.0, simulated=True)]
    put(store_place, [*a_fleet(), *emulated])
    found = judged(store_place)
    assert not found.simulated
    assert found.devices == 8
    assert not found.findings


def test_all_simulated_is_said(store_place: StorePlace) -> None:
    put(store_place, a_fleet(simulated=True))
    assert judged(store_place).simulated


def test_a_clock_that_cannot_be_trusted_is_named(store_place: StorePlace) -> None:
    put(
        store_place,
        [*a_fleet(), edge_row(device_id="phone-2", clock_synchronised=False, timestamp=NOW - WEEK)],
    )
    assert judged(store_place).unsynchronised == ("phone-2",)


@given(
    st.lists(st.floats(-3, 3), min_size=5, max_size=60),
    st.floats(-2, 2),
)
def test_the_limit_is_never_below_its_two_rules(logs: list[float], shift: float) -> None:
    limit = outlier_limit(logs)
    middle = float(np.median(logs))
    robust_sd = 1.4826 * float(np.median(np.abs(np.array(logs) - middle)))
    assert limit >= math.log(1.2) - 1e-12
    assert limit >= 3.5 * robust_sd - 1e-9
    assert outlier_limit([log + shift for log in logs]) == pytest.approx(limit)


@pytest.mark.parametrize("count", [5, 8, 20, 100])
def test_false_alarms_of_normal_groups_are_few(count: int) -> None:
    rng = np.random.default_rng(count)
    alarms = 0
    for _ in range(400):
        logs = rng.normal(0, 0.12, count)
        alarms += bool((np.abs(logs - np.median(logs)) >= outlier_limit(list(logs))).any())
    assert alarms <= 16  # 4 %


# The command


def call(place: StorePlace, *arguments: str) -> Result:
    return CliRunner().invoke(
        command,
        ["--store", str(place.url or place.path), "--since", "2026-11-14", *arguments],
        standalone_mode=False,
    )


@pytest.fixture
def sqlite(tmp_path: Any) -> StorePlace:
    return StorePlace(path=tmp_path / "store.db")


def test_json_and_table_say_the_same(sqlite: StorePlace) -> None:
    name = "phone\x1b[31m [bold]<b>"
    put(sqlite, [*a_fleet(), *hours(name, 34.0)])
    result = call(sqlite, "--json")
    found = json.loads(result.stdout)
    assert found["schema"] == "edgebench-fleet/1"
    slower = [f for f in found["findings"] if f["trouble"] == "SLOWER"]
    assert [f["devices"] for f in slower] == [[name]]
    assert found["gate_failed"] is True

    shown = call(sqlite)
    assert "SLOWER" in shown.stdout
    assert "[bold]<b>" in shown.stdout.replace("\n", "")
    assert "\x1b" not in shown.stdout


def test_the_gate(sqlite: StorePlace) -> None:
    put(sqlite, a_fleet())
    assert call(sqlite, "--gate").return_value == 0
    put(sqlite, hours("phone-slow", 34.0))
    assert call(sqlite).return_value == 0
    assert call(sqlite, "--gate").return_value == 1


def test_no_telemetry_is_the_users_error(sqlite: StorePlace) -> None:
    initialise(sqlite)
    result = call(sqlite)
    assert isinstance(result.exception, UserError)
    assert "holds no telemetry" in str(result.exception)
    put(sqlite, a_fleet())
    result = call(sqlite, "--model", "resnet")
    assert "of model 'resnet'" in str(result.exception)
