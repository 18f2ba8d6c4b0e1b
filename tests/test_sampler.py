"""devices.sampler: what it writes is read, it forks nothing, and it counts the launch alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.sampler import SCRIPT, TelemetryPoint, UnreadableSamples, parse_samples

TEXT = b"""edgebench-samples 1 read
file zone cpu-0-0
file zone cpu-1-0
file zone quiet-skin
file zone battery
file khz policy0
file khz policy4
file status battery
file capacity battery
file current_now battery
file voltage_now battery
at 100.25 - 100 5 20 1 2 3 45000 47000 31000 29000 1800000 - Discharging 61 -412000 3871500
at 101.25 90 190 5 25 1 2 3 45000 -274000 31500 29000 600000 2400000 Not-charging 61 0 -
at 102.26 180 - - - - - - - - - - - - - - - -
"""


def test_what_a_phone_says_during_a_launch() -> None:
    first, second, third = parse_samples(TEXT)
    assert first == TelemetryPoint(
        uptime_s=100.25,
        temperature_c=47.0,
        skin_c=31.0,
        battery_c=29.0,
        khz={"policy0": 1800000},
        busy_ns=1_280_000_000,
        steal_ns=30_000_000,
        own_cpu_ns=None,
        battery_percent=61,
        battery_status="Discharging",
        battery_current_raw=-412000,
        battery_voltage_raw=3871500,
    )
    assert (second.temperature_c, second.own_cpu_ns) == (45.0, 900_000_000)
    assert second.battery_status == "Not charging"
    assert second.khz == {"policy0": 600000, "policy4": 2400000}
    assert third == TelemetryPoint(uptime_s=102.26, own_cpu_ns=1_800_000_000)
    assert third.to_json() == {"uptime_s": 102.26, "own_cpu_ns": 1_800_000_000}
    assert json.loads(json.dumps(first.to_json(), allow_nan=False)) == first.to_json()


@given(st.integers(0, len(TEXT)))
def test_only_the_last_line_may_be_cut_off(length: int) -> None:
    whole = parse_samples(TEXT)
    cut = TEXT[:length]
    if b"\n" not in cut:
        with pytest.raises(UnreadableSamples):
            parse_samples(cut)
    else:
        complete = cut[: cut.rindex(b"\n")].count(b"\nat ")
        assert parse_samples(cut) == whole[:complete]


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (b"edgebench-samples 1 read", b"edgebench-samples 2 read"),
        (b"edgebench-samples 1 read", b"sh: syntax error"),
        (b"file khz policy0", b"file khz"),
        (b"at 101.25 90", b"at 101.25"),
        (b"at 101.25 90", b"at 101.25 x"),
        (b"at 101.25 90", b"at 101,25 90"),
        (b"at 101.25", b"at 99.25"),
        (b"at 102.26", b"\xff\x00 102.26"),
        (b"at 102.26", b"file zone late\nat 102.26"),
    ],
)
def test_other_text_raises(right: bytes, wrong: bytes) -> None:
    assert right in TEXT
    with pytest.raises(UnreadableSamples):
        parse_samples(TEXT.replace(right, wrong))


@given(st.integers(0, len(TEXT) - 1), st.binary(min_size=1, max_size=1))
def test_a_damaged_text_raises_nothing_else(place: int, byte: bytes) -> None:
    try:
        points = parse_samples(TEXT[:place] + byte + TEXT[place + 1 :])
    except UnreadableSamples:
        return
    assert all(point.uptime_s >= 0 for point in points)


def test_a_waiting_that_began_to_fork_is_no_error() -> None:
    assert len(parse_samples(TEXT.replace(b"at 102.26", b"forks\nat 102.26"))) == 3


# --- in real shells ----------------------------------------------------------

# name -> programs on the path; the first is `sh`, as the launch wrapper starts it.
SHELLS = {
    "bash beside dash": {"sh": "dash", "bash": "bash"},
    "mksh": {"sh": "mksh"},
    "busybox": {"sh": "busybox", "busybox": "busybox"},
    "dash alone": {"sh": "dash", "sleep": "sleep"},
}

# The first process of a pid namespace: numbers are given out one by one there, so that two
# fresh processes tell how many others were started between them.
PROBE = r"""
import json, os, subprocess, sys, time

def fresh():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return pid

def ticks():
    with open(out, "rb") as file:
        return file.read().count(b"\nat ")

path, out, script = sys.argv[1:]
with open(out, "wb") as file:
    leader = subprocess.Popen(
        [path + "/sh", "-c", 'sh -c "$1" & wait', "edgebench", script],
        env={"PATH": path}, stdout=file, stderr=subprocess.STDOUT, start_new_session=True,
    )
deadline = time.monotonic() + 60
numbers = []
for wanted in (2, 5):
    while ticks() < wanted and time.monotonic() < deadline:
        time.sleep(0.02)
    numbers.append(fresh())
os.killpg(leader.pid, 9)
print(json.dumps({"forks": numbers[1] - numbers[0] - 1, "ticks": ticks()}))
"""


def in_a_namespace(*argv: str) -> list[str]:
    rights = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", *rights, "--pid", "--fork", "--mount-proc", *argv]


def path_of(place: Path, programs: dict[str, str]) -> Path | None:
    """A directory with these programs and no other; None where one is missing here."""
    place.mkdir()
    for name, program in programs.items():
        found = shutil.which(program)
        if found is None:
            return None
        (place / name).symlink_to(Path(found).resolve())
    return place


@pytest.fixture(scope="module")
def probed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """All shells at the same time: each needs five seconds."""
    allowed = (
        shutil.which("unshare")
        and not subprocess.run(in_a_namespace("true"), capture_output=True, check=False).returncode
    )
    if not allowed:
        pytest.skip("no pid namespaces here (unshare of util-linux, and the right to use it)")
    running = {}
    for number, (name, programs) in enumerate(SHELLS.items()):
        place = tmp_path_factory.mktemp(f"shell{number}")
        path = path_of(place / "bin", programs)
        if path is not None:
            out = place / "out"
            argv = in_a_namespace(sys.executable, "-c", PROBE, str(path), str(out), SCRIPT)
            running[name] = (subprocess.Popen(argv, stdout=subprocess.PIPE), out)
    answers: dict[str, dict[str, Any]] = {}
    for name, (process, out) in running.items():
        said, _ = process.communicate(timeout=90)
        answers[name] = {**json.loads(said), "text": out.read_bytes()}
    return answers


@pytest.mark.parametrize("shell", SHELLS)
def test_it_forks_nothing_but_where_no_shell_can_wait(
    probed: dict[str, dict[str, Any]], shell: str
) -> None:
    if shell not in probed:
        pytest.skip(f"{SHELLS[shell]} are not all installed")
    answer = probed[shell]
    alone = shell == "dash alone"
    assert answer["text"].startswith(
        f"edgebench-samples 1 {'forks' if alone else 'read'}\n".encode()
    )
    assert answer["ticks"] >= 5
    # Three ticks lie between the two looks; one more may have begun.
    assert answer["forks"] in ((3, 4) if alone else (0,))
    points = parse_samples(answer["text"])
    assert len(points) == answer["ticks"]
    gaps = [b.uptime_s - a.uptime_s for a, b in pairwise(points)]
    assert min(gaps) > 0.9


BUSY = """
import os, sys, time
if os.fork() == 0:
    while time.process_time() < 0.3: pass
    os._exit(0)
os.wait()
end = time.monotonic() + 2.6
while time.monotonic() < end: pass
times = os.times()
print(times.user + times.system + times.children_user + times.children_system)
"""


@pytest.mark.parametrize(
    ("start", "late"),
    [('sh -c "$1" > "$2" &', "sleep 0.4"), ('( cd / && sh -c "$1"; : ) > "$2" &', "")],
)
def test_the_time_of_the_launch_is_counted_and_nothing_else(
    tmp_path: Path, start: str, late: str
) -> None:
    out = tmp_path / "out"
    # As the launch wrapper does it, with its watchdog, and a program that comes late.
    watchdog = "( sleep 60; kill -KILL 0 ) &"
    wrapper = f'{watchdog}\n{start}\n{late}\n"$3" -c "$4"\nkill -KILL 0'
    launch = subprocess.Popen(
        ["sh", "-c", wrapper, "edgebench", SCRIPT, str(out), sys.executable, BUSY],
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    said, _ = launch.communicate(timeout=60)
    points = parse_samples(out.read_bytes())
    own = [point.own_cpu_ns for point in points if point.own_cpu_ns is not None]
    assert own == sorted(own)
    # Four counters cut to ticks; the interpreter still does a little after its last look.
    assert 0.3e9 < own[-1] <= float(said) * 1e9 + 60_000_000
    assert all(point.busy_ns is not None and point.steal_ns is not None for point in points)


def test_it_ends_with_the_leader_of_its_group(tmp_path: Path) -> None:
    out = tmp_path / "out"
    wrapper = 'sh -c "$1" > "$2" & until grep -q "^at" "$2"; do :; done; kill -KILL $$'
    launch = subprocess.Popen(
        ["sh", "-c", wrapper, "edgebench", SCRIPT, str(out)],
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    # The sampler holds the pipe open too: it ends when the sampler has ended, not before.
    launch.communicate(timeout=60)
    assert launch.returncode == -9
    assert parse_samples(out.read_bytes())
