"""Phones that are plugged into a gateway: a real adb, emulated phones, and what tools print."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from adbutils import adb_path
from hypothesis import given
from hypothesis import strategies as st
from models import conv_model, write_model

from bench.agent import edge_phone
from bench.agent.edge_agent import Agent
from bench.agent.edge_config import Config, Phone, Target
from bench.agent.edge_phone import (
    Adb,
    PhoneError,
    read_battery,
    read_count,
    read_verdict,
)
from bench.agent.edge_sensors import Battery
from bench.delegation.judge import judge_tool
from bench.parsers.benchmark_model import parse_classic
from bench.parsers.count_line import parse_count_line
from devices import dumpsys
from devices.adb import AdbTransport
from devices.deadline import Deadline
from devices.emulated import standin
from devices.emulated.phone import EmulatedPhone
from devices.errors import Unsupported

if TYPE_CHECKING:
    from tests.adb_phones import PrivateServer, ServedPhone

pytest_plugins = ("tests.adb_fixtures",)

GOLDEN = Path(__file__).parent / "golden" / "benchmark_model"


# What the tools print


@pytest.mark.parametrize(
    "folder", sorted(f.name for f in GOLDEN.iterdir() if (f / "stdout").exists())
)
def test_recorded_runs_are_read_as_edgebench_reads_them(folder: str) -> None:
    stdout, stderr = ((GOLDEN / folder / name).read_bytes() for name in ("stdout", "stderr"))
    text = stdout.decode()
    try:
        output = parse_classic(stdout, stderr)
    except Exception:
        output = None
    lines = [line for line in map(parse_count_line, text.split("\n")) if line and line.count]
    if len(lines) < 2:
        with pytest.raises(PhoneError):
            read_count(text)
        return
    measured = lines[-1]
    median = measured.curr if measured.median is None else measured.median
    assert median is not None
    assert read_count(text) == (median / 1000, measured.count)
    if output is None:
        return
    for delegate in ("gpu", "nnapi"):
        theirs = judge_tool(delegate, output, None, compiled=False).verdict.value
        if theirs != "UNKNOWN":
            assert read_verdict(delegate, text) == theirs


@given(st.lists(st.integers(1, 10**7), min_size=2, max_size=60))
def test_count_lines_of_any_runs(runs: list[int]) -> None:
    first, last, ordered = runs[0], runs[-1], sorted(runs)
    middle = ordered[len(runs) // 2]
    line = (
        f"count={len(runs)} first={first} curr={last} min={ordered[0]} max={ordered[-1]}"
        f" avg={sum(runs) / len(runs):.6g} std=7 p5={ordered[0]} median={middle} p95={ordered[-1]}"
    )
    warm = "INFO: count=1 curr=99999999"
    assert read_count(f"{warm}\n\nINFO: {line}\n") == (middle / 1000, len(runs))
    for cut in range(1, len(line)):
        # A line that was cut off never gives another figure than the whole one.
        with pytest.raises(PhoneError):
            read_count(f"INFO: {line[:cut]}\n")


def test_runs_that_all_took_the_same_and_a_tool_without_medians() -> None:
    warm = "count=1 curr=70\n"
    assert read_count(f"{warm}count=100 curr=25(all same) p5=25 median=25 p95=25\n") == (0.025, 100)
    assert read_count(f"{warm}count=100 curr=25(all same)\n") == (0.025, 100)
    with pytest.raises(PhoneError, match="prints no median"):
        read_count(f"{warm}count=9 first=1 curr=2 min=1 max=3 avg=2 std=1\n")


WHOLE = "and the model graph will be completely executed by the delegate."
PART = "and the model graph will be partially executed by the delegate w/ 2 delegate kernels."


@pytest.mark.parametrize(
    ("delegate", "text", "said"),
    [
        ("none", "", "NONE"),
        ("none", f"Applied XNNPACK delegate, {WHOLE}", "UNKNOWN"),
        ("xnnpack", "", "UNKNOWN"),
        ("nnapi", "", "NONE"),
        (
            "nnapi",
            "Though NNAPI delegate is explicitly applied, the model graph will not be executed",
            "NONE",
        ),
        ("nnapi", f"Explicitly applied NNAPI delegate, {PART}", "PARTIAL"),
        ("gpu", f"Explicitly applied GPU delegate, {WHOLE}", "FULL"),
        ("gpu", f"Explicitly applied XNNPACK delegate, {WHOLE}", "NONE"),
    ],
)
def test_verdicts(delegate: str, text: str, said: str) -> None:
    assert read_verdict(delegate, f"INFO: {text}\n") == said


DUMPSYS = """Current Battery Service state:
  AC powered: false
  USB powered: {usb}
  status: {status}
  health: 2
  present: true
  level: {level}
  scale: {scale}
  voltage: 4012
  temperature: {tenths}
  technology: Li-ion
"""


@given(st.integers(0, 200), st.sampled_from([100, 200]), st.integers(-400, 2000), st.integers(1, 5))
def test_batteries_as_edgebench_reads_them(
    level: int, scale: int, tenths: int, status: int
) -> None:
    text = DUMPSYS.format(usb="true", status=status, level=level, scale=scale, tenths=tenths)
    battery, degrees = read_battery(text)
    if level > scale:
        assert battery is None
        return
    theirs = dumpsys.read_battery(text.splitlines())
    assert theirs is not None
    assert battery is not None
    assert round(battery.percent) == theirs.percent
    assert battery.status == (theirs.status or "Unknown")
    assert degrees == theirs.temperature_c


@pytest.mark.parametrize("text", ["", "Can't find service: battery\n", "level: x\nscale: 100\n"])
def test_a_battery_that_is_not_told(text: str) -> None:
    assert read_battery(text) == (None, None)


def test_a_battery_that_somebody_fakes() -> None:
    whole = DUMPSYS.format(usb="false", status=3, level=50, scale=100, tenths=300)
    assert read_battery(whole) == (Battery(50, "Discharging"), 30)
    assert read_battery(f"  (UPDATES STOPPED -- use 'reset' to restart)\n{whole}") == (None, None)


# On a phone


@pytest.fixture
def on_path(adb: PrivateServer, monkeypatch: pytest.MonkeyPatch) -> PrivateServer:
    """The private adb server is the one that `adb` on PATH speaks to."""
    for name, value in adb.env.items():
        monkeypatch.setenv(name, value)
    folder = str(Path(adb_path()).parent)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return adb


@pytest.fixture
def emulated(on_path: PrivateServer) -> Iterator[tuple[EmulatedPhone, str]]:
    phone = EmulatedPhone("android-13", "field-13")
    try:
        phone.start()
    except Unsupported as error:
        phone.stop()
        pytest.skip(str(error))
    try:
        AdbTransport("field-13", phone.address, server=on_path.server).run(
            ["true"], deadline=Deadline(60)
        )
        yield phone, phone.address
    finally:
        phone.stop()


def target(serial: str, model: Path, tool: Path = standin.CLASSIC, **changes: str) -> Target:
    return replace(
        Target("phone-17", "m", "1", model, "fp32", "nnapi", 1, Phone(serial, tool)),
        **changes,  # type: ignore[arg-type]
    )


def agent(tmp_path: Path, adb: str = "adb") -> Agent:
    config = Config(60, tmp_path / "spool.db", 10**7, None, False, ())
    return Agent(config, threading.Event(), adb=adb)


def test_an_emulated_phone_is_measured_and_marked_as_simulated(
    emulated: tuple[EmulatedPhone, str], tmp_path: Path
) -> None:
    phone, serial = emulated
    model = write_model(tmp_path / "it's a $(model).tflite", conv_model(size=16, classes=10))
    state = phone.state
    state.set_battery(percent=80, status="Discharging", plugged=False)
    measuring = agent(tmp_path)
    first = measuring.sample(target(serial, model))
    assert first["failure"] is None
    assert first["simulated"] is True
    assert first["device_model"] == "edgebench emulated phone"
    assert first["sample_count"] >= 100
    assert first["inference_latency_ms_p50"] > 0
    assert first.get("inference_latency_ms_p90") is None
    assert first["delegate_verdict"] in ("FULL", "PARTIAL")
    assert first["runtime_version"].startswith("benchmark_model ")
    assert "Android 13" in first["runtime_version"]
    assert first["battery_drain_pct"] is None
    assert first["throttled"] is False
    assert 10 < first["temperature_c"] < 60
    pushed = {file.name for file in (phone.home / "data" / "edge_agent").iterdir()}
    assert first["model_sha256"] in pushed

    state.set_battery(percent=77, status="Discharging", plugged=False)
    state.set_thermal_status(3)
    second = measuring.sample(target(serial, model, delegate="none"))
    assert second["failure"] is None
    assert second["battery_drain_pct"] == pytest.approx(3)
    assert second["throttled"] is True
    assert second["delegate_verdict"] == "NONE"

    state.set_standin(replace(state.standin, nnapi_accelerators=None))
    third = measuring.sample(target(serial, model))
    assert third["delegate_verdict"] == "NONE"

    state.set_standin(replace(state.standin, killed_by=9))
    killed = measuring.sample(target(serial, model))
    assert "ended with 137" in killed["failure"]
    assert killed["simulated"] is True

    phone.faults(unplugged=True)
    gone = measuring.sample(target(serial, model))
    assert gone["failure"].startswith("adb ")
    assert gone["simulated"] is True
    assert gone["model_name"] == "m"


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A benchmark_model that any shell runs: a real phone's, as far as the agent can tell."""
    tool = tmp_path / "benchmark_model"
    tool.write_text(
        "#!/bin/sh\n"
        "echo 'INFO: STARTING!'\n"
        'echo "args: $*" >&2\n'
        "echo 'INFO: count=10 first=9 curr=9 min=8 max=9 avg=8.5 std=1 p5=8 median=9 p95=9'\n"
        "echo 'INFO: count=100 first=9 curr=9 min=8 max=9 avg=8.5 std=1 p5=8 median=8 p95=9'\n"
    )
    return tool


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the agent's files lie on a phone whose files are this machine's."""
    monkeypatch.setattr(edge_phone, "_FOLDER", str(tmp_path / "phone"))
    getprop = tmp_path / "bin" / "getprop"
    getprop.parent.mkdir()
    getprop.write_text("#!/bin/sh\necho value of $1\n")
    getprop.chmod(0o755)
    monkeypatch.setenv("PATH", f"{getprop.parent}{os.pathsep}{os.environ['PATH']}")
    return tmp_path / "phone"


@pytest.mark.parametrize("which", ["steady_phone", "old_phone"])
def test_any_phone_gets_its_files_once_and_answers(
    request: pytest.FixtureRequest,
    on_path: PrivateServer,
    folder: Path,
    script: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    which: str,
) -> None:
    served: ServedPhone = request.getfixturevalue(which)
    # It was started before the program that tells properties was there.
    monkeypatch.setattr(served.daemon._phone, "env", {"PATH": os.environ["PATH"], "LC_ALL": "C"})
    served.transport.run(["true"], deadline=Deadline(60))
    model = write_model(tmp_path / "m.tflite", conv_model(size=16, classes=10))
    adb = Adb(served.serial)
    columns, battery = edge_phone.measure(target(served.serial, model, script), adb, None)
    assert columns["inference_latency_ms_p50"] == 0.008
    assert columns["sample_count"] == 100
    assert columns["device_model"] == "value of ro.product.model"
    assert not columns["simulated"]
    assert battery is None
    assert columns["temperature_c"] is None
    assert columns["throttled"] is None
    (pushed,) = [f for f in folder.iterdir() if f.name == columns["model_sha256"]]
    before = pushed.stat().st_mtime_ns
    edge_phone.measure(target(served.serial, model, script), adb, None)
    assert pushed.stat().st_mtime_ns == before
    pushed.write_bytes(b"half of it")
    edge_phone.measure(target(served.serial, model, script), adb, None)
    assert pushed.read_bytes() == model.read_bytes()


def test_arguments_are_data_for_the_phones_shell(
    on_path: PrivateServer, steady_phone: ServedPhone, folder: Path, tmp_path: Path
) -> None:
    steady_phone.transport.run(["true"], deadline=Deadline(60))
    adb = Adb(steady_phone.serial)
    for text in ("$(touch x)", "a'b\"c", "; exit 7", "a\\b `id`", "-n", "é ü", ""):
        assert adb.shell(["printf", "%s", text], 30) == text
    with pytest.raises(PhoneError, match="sh ended with 5: said so"):
        adb.shell(["sh", "-c", "echo said so >&2; exit 5"], 30)


def test_faults_on_the_way_are_one_line(
    on_path: PrivateServer,
    phones: Callable[..., ServedPhone],
    folder: Path,
    script: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    served = phones()
    served.transport.run(["true"], deadline=Deadline(60))
    model = write_model(tmp_path / "m.tflite", conv_model(size=16, classes=10))
    measuring = agent(tmp_path)

    served.faults(corrupt_push=True)
    row = measuring.sample(target(served.serial, model, script))
    assert "did not arrive whole" in row["failure"]
    served.faults(corrupt_push=False)

    row = measuring.sample(target(served.serial, tmp_path / "none.tflite", script))
    assert row["failure"].endswith("none.tflite: No such file or directory")

    script.write_text("#!/bin/sh\necho broken >&2\nexit 3\n")
    row = measuring.sample(target(served.serial, model, script))
    assert row["failure"].endswith("ended with 3: broken")

    script.write_text("#!/bin/sh\nexec sleep 30\n")
    monkeypatch.setattr(edge_phone, "_MEASURE_S", 1.0)
    row = measuring.sample(target(served.serial, model, script))
    assert row["failure"] == "adb shell took over 1 s"

    row = measuring.sample(target("no such phone", model, script))
    assert "not found" in row["failure"]
    for bad in (row["failure"],):
        assert "\n" not in bad


def test_without_adb_it_says_what_to_install(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m.tflite", conv_model(size=16, classes=10))
    row = agent(tmp_path, adb="no-such-adb").sample(target("x", model, Path(sys.executable)))
    assert row["failure"] == "adb is not on PATH; install Android's platform tools"
    assert shutil.which("no-such-adb") is None
