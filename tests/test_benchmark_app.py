"""The runner of the benchmark app: its reading of logs, and whole launches on emulated phones."""

from __future__ import annotations

import platform
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from models import float_model, write_model

from bench.errors import UserError
from bench.identity import Case, DelegateSpec
from bench.records import Failure, Measurement, Outcome
from bench.runners.base import LaunchLimits, LaunchSpec, RawOutput
from bench.runners.benchmark_app import SCRIPT, BenchmarkAppRunner
from bench.runners.choose import runner_for
from bench.tools.cache import ToolBinary, sha256_of_file, tool_from_path
from devices.blobs import BlobStore
from devices.connect import connect
from devices.deadline import Deadline
from devices.device import Device
from devices.emulated.phone import EmulatedPhone
from devices.emulated.standin.app import PACKAGE, write_app
from devices.errors import DeviceError, Unsupported
from devices.facts import Facts, read_facts
from devices.inventory import DeviceEntry
from devices.launch import Launcher, LaunchTimeout
from tests.adb_phones import PrivateServer

pytest_plugins = ("tests.adb_fixtures",)

GOLDEN = Path(__file__).parent / "golden" / "benchmark_model"
SENTINEL = Path(__file__).parents[1] / "bench" / "sentinel.tflite"
MISSING_MODEL = "08a_missing_model"
ABI = {"x86_64": "x86_64", "aarch64": "arm64-v8a"}.get(platform.machine(), "armeabi-v7a")
SHORT = LaunchLimits(
    warmup_min_s=0.01, warmup_min_invokes=4, measure_min_s=0.05, min_samples=20, timeout_s=60
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_model(tmp_path / "m.tflite", float_model())
    write_app(tmp_path / "app.apk", abi=ABI)
    return tmp_path


def runner(folder: Path, apk: str = "app.apk") -> BenchmarkAppRunner:
    path = folder / apk
    tool = ToolBinary("benchmark_app", "android", ABI, path, sha256_of_file(path), "here", "v1")
    return BenchmarkAppRunner(tool, scratch=folder / "raw")


def spec(folder: Path, delegate: str = "xnnpack", **options: str) -> LaunchSpec:
    chosen = DelegateSpec(delegate, tuple(sorted(options.items())))
    case = Case("p", "m", "fp32", chosen, 2, "benchmark_app", "phone", ())
    return LaunchSpec(case, folder / "m.tflite", None, 0, SHORT, "key")


def as_logcat(text: str, pid: int) -> str:
    return "".join(f"11-21 14:00:00.000  {pid}  {pid} I tflite  : {x}\n" for x in text.split("\n"))


def recorded(name: str, exit_code: int = 0) -> RawOutput:
    """A run of the real tool, as the app would have logged it between lines of others."""
    case = GOLDEN / name
    both = (case / "stdout").read_text() + (case / "stderr").read_text()
    lines = as_logcat("INFO: STARTING!\nINFO: count=1 curr=1", 99) + as_logcat(both, 4711)
    return RawOutput(exit_code, f"edgebench-app 4711\n--------- main\n{lines}".encode(), b"")


def failed(folder: Path, output: RawOutput, delegate: str = "xnnpack") -> tuple[Outcome, Failure]:
    outcome, measurement, failure = runner(folder).read(spec(folder, delegate), output)
    assert measurement is None
    assert failure is not None
    return outcome, failure


def measured(folder: Path, output: RawOutput, delegate: str = "xnnpack") -> Measurement:
    outcome, measurement, failure = runner(folder).read(spec(folder, delegate), output)
    assert (outcome, failure) == (Outcome.OK, None)
    assert measurement is not None
    return measurement


class TestPrepare:
    def test_the_app_gets_the_flags_of_the_tool_and_whole_paths(self, folder: Path) -> None:
        laid = runner(folder).prepare(spec(folder, "gpu"))
        shell, script, sha256, flags = laid.argv
        assert (shell, script) == ("sh", SCRIPT.name)
        assert sha256 == sha256_of_file(folder / "app.apk")
        words = flags.split(" ")
        assert words[0] == "--graph=@DIR@/model.tflite"
        assert "--use_gpu=true" in words
        assert any(
            re.fullmatch(r"--input_layer_value_files=\w+:@DIR@/input_0.bin", w) for w in words
        )
        assert not any("result" in word or "runtime_info" in word for word in words)
        assert set(laid.files) == {"app.apk", SCRIPT.name, "model.tflite", "input_0.bin"}
        assert laid.files["app.apk"] == folder / "app.apk"
        assert (laid.env, laid.results) == ({}, ())

    def test_what_the_app_would_split_is_refused(self, folder: Path) -> None:
        odd = spec(folder, "external", path="/data/my delegate.so")
        with pytest.raises(UserError, match="splits its flags at blanks"):
            runner(folder).prepare(odd)

    def test_the_record_names_app_and_script(self, folder: Path) -> None:
        environment = runner(folder).environment
        assert environment["runner_sha256"] == sha256_of_file(folder / "app.apk")
        assert environment["runner_script_sha256"] == sha256_of_file(SCRIPT)
        assert runner(folder).kind == "benchmark_app"


class TestRead:
    def test_the_lines_of_its_process_are_read_like_the_tools_own(self, folder: Path) -> None:
        found = measured(folder, recorded("02b_fp32_explicit_xnnpack"))
        text = (GOLDEN / "02b_fp32_explicit_xnnpack" / "stdout").read_text()
        line = [line for line in text.split("\n") if "count=" in line][1]
        assert f"count={found.count} " in line
        assert f"median={found.p50_us:.0f} " in line
        assert found.delegation.as_requested
        assert found.runtime["name"] == "benchmark_app"

    def test_an_end_without_a_summary_is_a_failure_with_the_tools_reason(
        self, folder: Path
    ) -> None:
        outcome, failure = failed(folder, recorded(MISSING_MODEL, 1))
        assert outcome is Outcome.LOAD_FAILED
        assert failure.kind == "load"

    @pytest.mark.parametrize("code", [139, -11])
    def test_a_signal_is_a_crash(self, folder: Path, code: int) -> None:
        log = as_logcat("INFO: STARTING!", 7)
        outcome, failure = failed(folder, RawOutput(code, f"edgebench-app 7\n{log}".encode(), b""))
        assert (outcome, failure.kind) == (Outcome.CRASHED, "crash")
        assert "SIGSEGV" in failure.message

    @pytest.mark.parametrize("code", range(61, 68))
    def test_what_the_script_found_is_said_in_one_line(self, folder: Path, code: int) -> None:
        outcome, failure = failed(folder, RawOutput(code, b"", b"this\nis why\n"))
        assert outcome is not Outcome.OK
        assert failure.message == "this is why"

    @pytest.mark.parametrize("stdout", [b"", b"edgebench-app \n", b"INFO: STARTING!\n"])
    @pytest.mark.parametrize("code", [0, 1, 70, 127])
    def test_no_word_of_the_script_is_no_measurement(
        self, folder: Path, stdout: bytes, code: int
    ) -> None:
        outcome, failure = failed(folder, RawOutput(code, stdout, b"sh: what?"))
        assert outcome is Outcome.UNREADABLE
        assert f"exit code {code}" in failure.message


class TestTool:
    def test_an_app_need_not_be_executable_and_has_to_fit(self, folder: Path) -> None:
        found = tool_from_path(folder / "app.apk", kind="benchmark_app", system="android", abi=ABI)
        assert (found.kind, found.abi) == ("benchmark_app", ABI)
        write_app(folder / "other.apk", abi="mips")
        (folder / "no.apk").write_text("no app")
        for name, why in (("other.apk", f"for mips, not for {ABI}"), ("no.apk", "not an APK")):
            with pytest.raises(UserError, match=why):
                tool_from_path(folder / name, kind="benchmark_app", system="android", abi=ABI)


# On an emulated phone


class Rig:
    """A phone, and launches on it."""

    def __init__(self, phone: EmulatedPhone, device: Device, facts: Facts) -> None:
        self.phone, self.device, self.facts = phone, device, facts
        blobs = BlobStore(device.transport, device.workdir)
        self.launcher = Launcher(device.transport, device.workdir, blobs)

    def read(
        self, folder: Path, asked: LaunchSpec, apk: str = "app.apk", timeout_s: float = 60
    ) -> tuple[Outcome, Measurement | None, Failure | None]:
        chosen = runner_for("benchmark_app", self.device, self.facts, tool=folder / apk)
        laid = chosen.prepare(asked)
        try:
            left = self.launcher.run(
                "launch",
                laid.argv,
                files=laid.files,
                texts=laid.texts,
                env=laid.env,
                deadline=Deadline(timeout_s),
            )
        finally:
            with suppress(DeviceError):
                self.launcher.remove("launch", deadline=Deadline(20))
        raw = RawOutput(left.exit_code, left.stdout, left.stderr)
        return chosen.read(asked, raw)

    def sh(self, line: str) -> str:
        ran = self.device.transport.run(["sh", "-c", line], deadline=Deadline(20))
        return ran.text + ran.stderr.decode()

    def sleeping(self, sleep_s: float | None) -> None:
        self.phone.state.set_standin(replace(self.phone.state.standin, sleep_s=sleep_s))


@contextmanager
def rig_of(profile: str, adb: PrivateServer) -> Iterator[Rig]:
    phone = EmulatedPhone(profile, f"app-{profile}")
    try:
        phone.start()
    except Unsupported as error:
        phone.stop()
        pytest.skip(str(error))
    try:
        entry = DeviceEntry(
            name="phone",
            kind="android",
            serial=phone.address,
            adb_host="127.0.0.1",
            adb_port=adb.port,
            simulated=True,
        )
        device = connect(entry)
        yield Rig(phone, device, read_facts(device.transport, Deadline(60)))
    finally:
        phone.stop()


@pytest.fixture(scope="module")
def rig(adb: PrivateServer) -> Iterator[Rig]:
    with rig_of("android-13", adb) as made:
        yield made


@pytest.fixture
def ready(rig: Rig) -> Iterator[Rig]:
    """A phone as it was new."""
    before = rig.phone.state.standin
    yield rig
    rig.phone.state.set_standin(before)
    rig.phone.state.set_screen(on=True)
    rig.sh(f"am force-stop {PACKAGE}; pm uninstall {PACKAGE}")


def until(true: Callable[[], bool], what: str) -> None:
    for _ in range(600):
        if true():
            return
        time.sleep(0.05)
    raise AssertionError(what)


class TestOnAPhone:
    def test_a_launch_is_a_measurement_and_the_app_is_installed_once(
        self, ready: Rig, folder: Path
    ) -> None:
        # One that takes longer than the 1 us that the tool's clock can tell.
        outcome, measurement, failure = ready.read(folder, replace(spec(folder), model=SENTINEL))
        assert (outcome, failure) == (Outcome.OK, None)
        assert measurement is not None
        assert measurement.count >= 20
        assert measurement.delegation.as_requested
        assert measurement.inputs["source"] == "seeded-draw"
        assert measurement.runtime["name"] == "benchmark_app"
        assert "versionCode=1" in ready.sh(f"dumpsys package {PACKAGE}")
        before = ready.sh("stat -c %Y-%i /emulated/apks/*")
        assert ready.sh(f"pidof {PACKAGE}") == ""
        # Lines of the first run stand in the log, and another app's.
        ready.sh("log -t tflite 'INFO: count=1 curr=1 p5=1 median=1 p95=1'")
        outcome, again, failure = ready.read(folder, replace(spec(folder, "none"), model=SENTINEL))
        assert (outcome, failure) == (Outcome.OK, None)
        assert again is not None
        assert again.delegation.requested == "none"
        assert again.delegation.as_requested
        assert ready.sh("stat -c %Y-%i /emulated/apks/*") == before

    def test_another_build_takes_its_place_and_another_signer_does_not(
        self, ready: Rig, folder: Path
    ) -> None:
        ready.sleeping(0.001)
        assert ready.read(folder, spec(folder))[0] is Outcome.OK
        write_app(folder / "new.apk", abi=ABI, version_code=2)
        assert ready.read(folder, spec(folder), "new.apk")[0] is Outcome.OK
        assert "versionCode=2" in ready.sh(f"dumpsys package {PACKAGE}")
        write_app(folder / "alien.apk", abi=ABI, version_code=3, signer="somebody")
        outcome, _, failure = ready.read(folder, spec(folder), "alien.apk")
        assert failure is not None
        assert (outcome, failure.kind) == (Outcome.LOAD_FAILED, "install")
        assert "adb uninstall" in failure.message

    @pytest.mark.parametrize(
        ("on", "lock", "said"),
        [(False, "open", "screen is off"), (True, "swipe", "locked"), (True, "secure", "locked")],
    )
    def test_a_phone_that_shows_nothing_is_told_of(
        self, ready: Rig, folder: Path, on: bool, lock: str, said: str
    ) -> None:
        ready.sleeping(0.001)
        ready.phone.state.set_screen(on=on, lock=lock)
        outcome, measurement, failure = ready.read(folder, spec(folder))
        assert measurement is None
        assert failure is not None
        assert (outcome, failure.kind) == (Outcome.DEVICE_FAILED, "screen")
        assert said in failure.message
        assert "STARTING!" not in failure.log

    def test_a_delegate_that_fails_is_the_tools_own_failure(self, ready: Rig, folder: Path) -> None:
        ready.phone.state.set_standin(
            replace(ready.phone.state.standin, failing_delegate="GPU", gpu_unsupported={})
        )
        outcome, measurement, failure = ready.read(folder, spec(folder, "gpu"))
        assert measurement is None
        assert failure is not None
        assert outcome is Outcome.LOAD_FAILED
        assert failure.kind == "invoke"

    def test_a_crash_is_one_and_its_signal_is_known(self, ready: Rig, folder: Path) -> None:
        ready.phone.state.set_standin(replace(ready.phone.state.standin, killed_by=11))
        outcome, measurement, failure = ready.read(folder, spec(folder))
        assert measurement is None
        assert failure is not None
        assert (outcome, failure.kind) == (Outcome.CRASHED, "crash")
        assert "SIGSEGV" in failure.message

    def test_one_that_is_killed_leaves_no_number(self, ready: Rig, folder: Path) -> None:
        ready.phone.state.set_standin(replace(ready.phone.state.standin, killed_by=9))
        outcome, measurement, failure = ready.read(folder, spec(folder))
        assert measurement is None
        assert failure is not None
        assert outcome is Outcome.CRASHED
        assert "without a word" in failure.message

    def test_at_its_time_limit_the_app_is_stopped_too(self, ready: Rig, folder: Path) -> None:
        ready.sleeping(3600)
        with pytest.raises(LaunchTimeout):
            ready.read(folder, spec(folder), timeout_s=6)
        until(lambda: ready.sh(f"pidof {PACKAGE}") == "", "the app still runs")

    def test_one_that_is_ended_takes_the_app_along(self, ready: Rig, folder: Path) -> None:
        ready.sleeping(3600)
        thread = threading.Thread(
            target=lambda: _quietly(ready.read, folder, spec(folder)), daemon=True
        )
        thread.start()
        until(lambda: ready.sh(f"pidof {PACKAGE}") != "", "the app never ran")
        ready.launcher.remove("launch", deadline=Deadline(20))
        until(lambda: ready.sh(f"pidof {PACKAGE}") == "", "the app still runs")
        thread.join(60)


def _quietly(function: Callable[..., object], *arguments: object) -> None:
    with suppress(DeviceError):
        function(*arguments)


@pytest.mark.parametrize("profile", ["android-8", "android-10"])
def test_older_phones_can_do_it_too(profile: str, adb: PrivateServer, folder: Path) -> None:
    with rig_of(profile, adb) as rig:
        rig.sleeping(0.001)
        assert rig.read(folder, spec(folder))[0] is Outcome.OK
