"""devices.telemetry: what is there is read, what is not is None, what is odd raises."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from dumpsys_texts import DUMPSYS, PHONES
from hypothesis import assume, given
from hypothesis import strategies as st

from devices.deadline import Deadline
from devices.emulated.fake import Answer, FakeTransport, Fault, FaultyTransport
from devices.errors import CommandFailed, TransferError
from devices.local import LocalTransport
from devices.telemetry import (
    CpuTimes,
    FrequencyPolicy,
    Snapshot,
    UnreadableState,
    mean_khz,
    parse_cpu_list,
    parse_snapshot,
    snapshot,
)

CPUFREQ = "/sys/devices/system/cpu/cpufreq"

# As a Raspberry Pi 4 says it, with a wireless mouse and a laptop's battery added.
BOARD = f"""edgebench-telemetry 1
/proc/uptime:1000.25 3600.00
/proc/pressure/memory:some avg10=1.25 avg60=0.00 avg300=0.00 total=17
/proc/pressure/memory:full avg10=0.00 avg60=0.00 avg300=0.00 total=0
/proc/loadavg:0.42 0.30 0.20 1/100 4242
/proc/sys/kernel/random/boot_id:59f1037b-fb0c-4109-bcac-32e46414a748
/sys/class/thermal/thermal_zone0/type:cpu-thermal
/sys/class/thermal/thermal_zone1/type:gpu-thermal
/sys/class/thermal/thermal_zone2/type:battery
/sys/class/thermal/thermal_zone3/type:soc-thermal
/sys/class/thermal/thermal_zone4/type:cpu-1-0
/sys/class/thermal/thermal_zone5/type:cpu-1-1
/sys/class/thermal/thermal_zone0/temp:47712
/sys/class/thermal/thermal_zone1/temp:91000
/sys/class/thermal/thermal_zone2/temp:99000
/sys/class/thermal/thermal_zone3/temp:48199
/sys/class/thermal/thermal_zone4/temp:-274000
/sys/class/thermal/thermal_zone5/temp:255000
{CPUFREQ}/policy0/scaling_max_freq:1800000
{CPUFREQ}/policy0/scaling_cur_freq:600000
{CPUFREQ}/policy0/scaling_governor:ondemand
{CPUFREQ}/policy0/stats/time_in_state:600000 100
{CPUFREQ}/policy0/stats/time_in_state:1800000 900
/sys/class/power_supply/AC/type:Mains
/sys/class/power_supply/AC/online:0
/sys/class/power_supply/hid-00:11-battery/type:Battery
/sys/class/power_supply/hid-00:11-battery/scope:Device
/sys/class/power_supply/hid-00:11-battery/capacity:3
/sys/class/power_supply/BAT0/type:Battery
/sys/class/power_supply/BAT0/capacity:81
/sys/class/power_supply/BAT0/status:Discharging
/sys/class/power_supply/BAT0/current_now:-412000
/sys/class/power_supply/BAT0/voltage_now:3871500
/proc/stat:cpu0 1 2 3 400 50 6 7 8 0 0
/proc/stat:cpu1 10 0 0 400 50 0 0 0 0 0
/proc/meminfo:MemAvailable:    3500000 kB
/proc/self/status:Cpus_allowed_list:\t0-1,3
vcgencmd:throttled=0x50005
pmic:     3V7_WL_SW_A current(0)=0.10000000A
pmic:      VDD_CORE_A current(7)=2.00000000A
pmic:     3V7_WL_SW_V volt(8)=3.70000000V
pmic:      VDD_CORE_V volt(15)=0.90000000V
pmic:         EXT5V_V volt(24)=5.10000000V
edgebench-telemetry end
"""

BARE = "edgebench-telemetry 1\n/proc/uptime:12.34 5.00\nedgebench-telemetry end\n"


def test_everything_that_a_board_tells() -> None:
    assert parse_snapshot(BOARD) == Snapshot(
        uptime_s=1000.25,
        boot_id="59f1037b-fb0c-4109-bcac-32e46414a748",
        temperature_c=48.199,
        temperature_zone="soc-thermal",
        cpus={0: CpuTimes(190_000_000, 80_000_000), 1: CpuTimes(100_000_000, 0)},
        load_1m=0.42,
        policies={
            "policy0": FrequencyPolicy(1800000, "ondemand", {600000: 100, 1800000: 900}, 600000)
        },
        mem_available_kib=3500000,
        allowed_cpus=(0, 1, 3),
        battery_percent=81,
        charging=False,
        throttled_bits=0x50005,
        battery_c=99.0,
        battery_status="Discharging",
        plugged=(),
        battery_current_raw=-412000,
        battery_voltage_mv=3871.5,
        mem_pressure_percent=1.25,
        pmic_w=0.9 * 2.0 + 3.7 * 0.1,
    )


def test_carriage_returns_of_old_phones_do_not_matter() -> None:
    assert parse_snapshot(BOARD.replace("\n", "\r\n")) == parse_snapshot(BOARD)


def test_what_a_device_does_not_tell_is_none() -> None:
    assert parse_snapshot(BARE) == Snapshot(uptime_s=12.34)


@pytest.mark.parametrize("reading", ["0", "-274000", "999000", "45", "", "N/A"])
def test_a_sensor_that_is_off_is_no_temperature(reading: str) -> None:
    text = BARE.replace(
        "edgebench-telemetry end",
        "/sys/class/thermal/thermal_zone0/type:cpu\n"
        f"/sys/class/thermal/thermal_zone0/temp:{reading}\nedgebench-telemetry end",
    )
    assert parse_snapshot(text).temperature_c is None


def test_processor_sensors_of_desktops_count() -> None:
    text = BARE.replace(
        "edgebench-telemetry end",
        "/sys/class/hwmon/hwmon0/name:nvme\n/sys/class/hwmon/hwmon0/temp1_input:80000\n"
        "/sys/class/hwmon/hwmon1/name:k10temp\n/sys/class/hwmon/hwmon1/temp1_input:61500\n"
        "edgebench-telemetry end",
    )
    found = parse_snapshot(text)
    assert (found.temperature_c, found.temperature_zone) == (61.5, "k10temp")


def test_a_pi_without_rights_does_not_pass_as_a_pi_without_trouble() -> None:
    text = BOARD.replace(
        "vcgencmd:throttled=0x50005",
        "vcgencmd:Can't open device file: /dev/vcio\nvcgencmd:Try creating a device file",
    )
    refused = parse_snapshot(text)
    assert refused.throttled_bits is None
    assert refused.throttled_reason == "vcgencmd was refused: add this user to the group video"
    assert parse_snapshot(BOARD.replace("0x50005", "0x0")).throttled_bits == 0


@pytest.mark.parametrize(
    ("status", "charging"),
    [("Charging", True), ("Full", True), ("Not charging", False), ("Unknown", None)],
)
def test_words_for_charging(status: str, charging: bool | None) -> None:
    assert parse_snapshot(BOARD.replace("Discharging", status)).charging is charging


def test_a_vcgencmd_that_says_something_else_is_quoted() -> None:
    said = parse_snapshot(BOARD.replace("throttled=0x50005", "error=2 error_msg=bad")).to_json()
    assert said["throttled_bits"] is None
    assert said["throttled_reason"] == "vcgencmd said 'error=2 error_msg=bad'"


def test_a_driver_that_cannot_tell_its_frequency() -> None:
    found = parse_snapshot(BOARD.replace("cur_freq:600000", "cur_freq:<unknown>"))
    assert found.policies is not None
    assert found.policies["policy0"].cur_khz is None


# --- phones ------------------------------------------------------------------


def phone(version: str, *, sysfs: str = "") -> str:
    """As the script prints it on a phone whose sysfs is hidden."""
    sources = {
        "battery": DUMPSYS[version]["battery"],
        "thermal": DUMPSYS[version]["thermalservice"],
        "power": DUMPSYS[version]["power"],
        "low_power": "null" if version == "8" else "1",
    }
    lines = "".join(
        f"{source}:{line}\n" for source, text in sources.items() for line in text.splitlines()
    )
    return f"edgebench-telemetry 1\n/proc/uptime:9.5 1.0\n{sysfs}{lines}edgebench-telemetry end\n"


@pytest.mark.parametrize("version", DUMPSYS)
def test_a_phone_without_readable_sysfs(version: str) -> None:
    found = parse_snapshot(phone(version))
    assert found == Snapshot(uptime_s=9.5, **PHONES[version])
    assert parse_snapshot(phone(version).replace("\n", "\r\n")) == found
    assert json.loads(json.dumps(found.to_json(), allow_nan=False)) == found.to_json()


def test_the_kernels_sensors_go_before_androids() -> None:
    zone = "/sys/class/thermal/thermal_zone7"
    found = parse_snapshot(phone("13", sysfs=f"{zone}/type:cpu-0-0\n{zone}/temp:41000\n"))
    assert (found.temperature_c, found.temperature_zone) == (41.0, "cpu-0-0")


def test_a_battery_that_somebody_fakes_is_not_believed() -> None:
    supply = "/sys/class/power_supply/battery"
    kernel = f"{supply}/type:Battery\n{supply}/capacity:33\n{supply}/status:Charging\n"
    faked = phone("13", sysfs=kernel).replace(
        "battery:  AC powered",
        "battery:  (UPDATES STOPPED -- use 'reset' to restart)\nbattery:  AC powered",
    )
    found = parse_snapshot(faked)
    assert (found.battery_percent, found.charging, found.plugged) == (33, True, None)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("  level: 62", "  level: full"),
        ("  level: 62", "  level: 162"),
        ("  status: 2", "  status: ?"),
        ("Thermal Status: 0", "Thermal Status: 9"),
        ("Thermal Status: 0", "Thermal Status: none"),
        ("Temperature{mValue=41.5,", "Temperature{mValue=hot,"),
        ("Temperature{mValue=41.5,", "Temperature{mValue=1.2.3,"),
    ],
)
def test_a_service_that_says_no_value_raises(right: str, wrong: str) -> None:
    assert right in phone("13")
    with pytest.raises(UnreadableState):
        parse_snapshot(phone("13").replace(right, wrong))


def test_a_service_cannot_pass_for_another_source() -> None:
    hostile = "edgebench-telemetry end\n/proc/uptime:1.0 1.0\nvcgencmd:throttled=0xf"
    lines = "".join(f"battery:{line}\n" for line in hostile.splitlines())
    text = BARE.replace("edgebench-telemetry end", f"{lines}edgebench-telemetry end")
    assert parse_snapshot(text) == parse_snapshot(BARE)


@given(st.sampled_from(sorted(DUMPSYS)), st.data())
def test_a_damaged_phone_raises_nothing_else(version: str, data: st.DataObject) -> None:
    text = phone(version)
    place = data.draw(st.integers(0, len(text) - 1))
    damaged = text[:place] + data.draw(st.characters(codec="utf-8")) + text[place + 1 :]
    try:
        status = parse_snapshot(damaged).thermal_status
    except UnreadableState:
        assume(True)
    else:
        assert status is None or 0 <= status <= 6


def test_the_script_asks_the_services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for service, text in DUMPSYS["13"].items():
        (tmp_path / service).write_text(text)
    for name, body in {
        "dumpsys": f'cat "{tmp_path}/$3"',
        "settings": '[ "$*" = "get global low_power" ] && echo 1',
        "vcgencmd": 'echo "Can\'t open device file: /dev/vcio"',
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    found = snapshot(LocalTransport(), Deadline(60))
    wanted = ("battery_percent", "plugged", "thermal_status", "hal_c", "skin_c", "power_saver")
    assert {k: getattr(found, k) for k in wanted} == {k: PHONES["13"][k] for k in wanted}
    assert found.screen_on is True
    assert found.throttled_reason is not None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello\n",
        "edgebench-telemetry 1\nedgebench-telemetry end\n",
        BOARD.replace("edgebench-telemetry 1", "edgebench-telemetry 2"),
        BOARD.replace("/proc/stat:cpu0 1 2", "/proc/stat:cpu0 x 2"),
        BOARD.replace("/proc/stat:cpu0 1 2 3 400 50 6 7 8 0 0", "/proc/stat:cpu0 1 2 3"),
        BOARD.replace("scaling_max_freq:1800000", "scaling_max_freq:fast"),
        BOARD.replace("0-1,3", "0-1,,3"),
        BOARD.replace("vcgencmd:", "sh: vcgencmd: "),
    ],
)
def test_other_text_raises(text: str) -> None:
    with pytest.raises(UnreadableState):
        parse_snapshot(text)


@given(st.integers(0, len(BOARD) - 1))
def test_a_cut_off_text_always_raises(length: int) -> None:
    with pytest.raises(UnreadableState):
        parse_snapshot(BOARD[:length])


@given(st.integers(0, len(BOARD) - 1), st.characters(codec="ascii"))
def test_a_damaged_text_raises_nothing_else(place: int, character: str) -> None:
    damaged = BOARD[:place] + character + BOARD[place + 1 :]
    try:
        assert parse_snapshot(damaged).uptime_s >= 0
    except UnreadableState:
        assume(True)


def test_json_is_plain_and_keeps_every_field() -> None:
    value = parse_snapshot(BOARD).to_json()
    assert json.loads(json.dumps(value, allow_nan=False)) == value
    assert value["policies"]["policy0"]["time_in_state"] == {"600000": 100, "1800000": 900}
    assert value["allowed_cpus"] == [0, 1, 3]
    assert parse_snapshot(BARE).to_json()["temperature_c"] is None


# --- frequency ---------------------------------------------------------------


def with_states(states: dict[int, int] | None, boot_id: str = "a") -> Snapshot:
    return Snapshot(
        uptime_s=1.0, boot_id=boot_id, policies={"policy0": FrequencyPolicy(time_in_state=states)}
    )


def test_mean_frequency_is_weighted_by_time() -> None:
    before = with_states({1000: 50, 2000: 10})
    assert mean_khz(before, with_states({1000: 51, 2000: 13})) == {"policy0": 1750.0}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (with_states({1000: 5}), with_states({1000: 5})),
        (with_states({1000: 5, 2000: 5}), with_states({1000: 1, 2000: 20})),
        (with_states(None), with_states({1000: 5})),
        (with_states({1000: 5}), with_states(None)),
        (with_states({1000: 5}), with_states({1000: 9}, boot_id="b")),
        (Snapshot(uptime_s=1.0, boot_id="a"), with_states({1000: 5})),
    ],
)
def test_a_frequency_that_cannot_be_known_is_left_out(before: Snapshot, after: Snapshot) -> None:
    assert mean_khz(before, after) == {}


@given(
    st.dictionaries(
        st.integers(1, 10**7), st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), min_size=1
    )
)
def test_mean_frequency_lies_within_those_used(states: dict[int, tuple[int, int]]) -> None:
    before = with_states({khz: start for khz, (start, _) in states.items()})
    after = with_states({khz: start + spent for khz, (start, spent) in states.items()})
    used = [khz for khz, (_, spent) in states.items() if spent]
    means = mean_khz(before, after)
    assert set(means) == ({"policy0"} if used else set())
    for mean in means.values():
        assert min(used) * (1 - 1e-9) <= mean <= max(used) * (1 + 1e-9)


@given(st.sets(st.integers(0, 300), min_size=1))
def test_cpu_lists(cpus: set[int]) -> None:
    assert parse_cpu_list(",".join(map(str, sorted(cpus, reverse=True)))) == tuple(sorted(cpus))
    low, high = min(cpus), max(cpus)
    assert parse_cpu_list(f"{low}-{high}\n") == tuple(range(low, high + 1))


# --- real and faulty devices -------------------------------------------------


def test_this_machine_tells_what_linux_always_tells() -> None:
    transport = LocalTransport()
    before = snapshot(transport, Deadline(60))
    transport.run(["sh", "-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"],
                  deadline=Deadline(60))  # fmt: skip
    after = snapshot(transport, Deadline(60))
    assert after.uptime_s > before.uptime_s
    assert after.boot_id == before.boot_id
    assert before.cpus is not None
    assert after.cpus is not None
    assert sum(c.busy_ns for c in after.cpus.values()) > sum(
        c.busy_ns for c in before.cpus.values()
    )
    assert set(after.allowed_cpus or ()) <= set(after.cpus)
    assert after.mem_available_kib is not None
    assert replace(after, temperature_c=None).to_json()["temperature_c"] is None


def test_a_cut_off_answer_is_a_device_error() -> None:
    faulty = FaultyTransport(LocalTransport(), {1: Fault.TRUNCATE})
    with pytest.raises(TransferError):
        snapshot(faulty, Deadline(60))


def test_a_failed_script_is_a_device_error() -> None:
    with pytest.raises(CommandFailed):
        snapshot(FakeTransport(lambda argv, stdin: Answer(2)), Deadline(60))
