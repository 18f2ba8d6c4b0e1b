"""devices.telemetry: what is there is read, what is not is None, what is odd raises."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
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
{CPUFREQ}/policy0/scaling_governor:ondemand
{CPUFREQ}/policy0/stats/time_in_state:600000 100
{CPUFREQ}/policy0/stats/time_in_state:1800000 900
/sys/class/power_supply/AC/type:Mains
/sys/class/power_supply/hid-00:11-battery/type:Battery
/sys/class/power_supply/hid-00:11-battery/scope:Device
/sys/class/power_supply/hid-00:11-battery/capacity:3
/sys/class/power_supply/BAT0/type:Battery
/sys/class/power_supply/BAT0/capacity:81
/sys/class/power_supply/BAT0/status:Discharging
/proc/stat:cpu0 1 2 3 400 50 6 7 8 0 0
/proc/stat:cpu1 10 0 0 400 50 0 0 0 0 0
/proc/meminfo:MemAvailable:    3500000 kB
/proc/self/status:Cpus_allowed_list:\t0-1,3
vcgencmd:throttled=0x50005
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
        policies={"policy0": FrequencyPolicy(1800000, "ondemand", {600000: 100, 1800000: 900})},
        mem_available_kib=3500000,
        allowed_cpus=(0, 1, 3),
        battery_percent=81,
        charging=False,
        throttled_bits=0x50005,
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
    assert parse_snapshot(text).throttled_bits is None
    assert parse_snapshot(BOARD.replace("0x50005", "0x0")).throttled_bits == 0


@pytest.mark.parametrize(
    ("status", "charging"),
    [("Charging", True), ("Full", True), ("Not charging", False), ("Unknown", None)],
)
def test_words_for_charging(status: str, charging: bool | None) -> None:
    assert parse_snapshot(BOARD.replace("Discharging", status)).charging is charging


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
