"""Emulated phones: what runs in them, what they tell, and what can be done to them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.adb import AdbTransport
from devices.blobs import BlobStore
from devices.deadline import Deadline
from devices.emulated import standin
from devices.emulated.container import Container
from devices.emulated.phone import EmulatedPhone
from devices.emulated.phone_profiles import PROFILES
from devices.emulated.phone_state import Heat
from devices.errors import DeviceError, Unsupported
from devices.launch import Launcher

if TYPE_CHECKING:
    from tests.adb_fixtures import PrivateServer

pytest_plugins = ("tests.adb_fixtures",)

ROOT = Path(__file__).parents[1]
SENTINEL = ROOT / "bench" / "sentinel.tflite"
QUIET = "< /dev/null > /dev/null 2>&1"
GOVERNOR = "/sys/devices/system/cpu/cpufreq/policy0/scaling_governor"


def started(profile: str, name: str) -> EmulatedPhone:
    """A phone that is on, or a skipped test where this machine makes none."""
    phone = EmulatedPhone(profile, name)
    try:
        phone.start()
    except Unsupported as error:
        phone.stop()
        pytest.skip(str(error))
    return phone


@pytest.fixture(scope="module")
def phone() -> Iterator[EmulatedPhone]:
    """A rooted one of Android 14."""
    phone = started("android-14", "rooted-14")
    yield phone
    phone.stop()


@pytest.fixture
def fresh() -> Iterator[Callable[[str], EmulatedPhone]]:
    """Makes phones of a profile, and switches them off in the end."""
    made: list[EmulatedPhone] = []

    def make(profile: str) -> EmulatedPhone:
        made.append(started(profile, f"phone-{len(made)}"))
        return made[-1]

    yield make
    for phone in made:
        phone.stop()


def sh(phone: EmulatedPhone, line: str) -> subprocess.CompletedProcess[str]:
    """One line in the phone's shell, as its adbd runs it."""
    environment = {
        "PATH": "/system/bin:/usr/bin:/bin",
        "EDGEBENCH_PYTHON": sys.executable,
        "EDGEBENCH_STANDIN": "/emulated/standin.json",
        "PYTHONPATH": str(ROOT),
    }
    words = [f"{key}={value}" for key, value in environment.items()]
    return subprocess.run(
        phone.container.inside(["env", "-i", *words, "/system/bin/sh", "-c", line]),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def said(phone: EmulatedPhone, line: str) -> str:
    ran = sh(phone, line)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


def until(true: Callable[[], bool], what: str) -> None:
    """Wait for something that has to happen."""
    for _ in range(1500):
        if true():
            return
        time.sleep(0.02)
    raise AssertionError(what)


# What it is


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_a_profile_is_what_the_phone_says(name: str, fresh: Callable[[str], EmulatedPhone]) -> None:
    profile = PROFILES[name]
    phone = fresh(name)
    assert said(phone, "getprop ro.build.version.release") == profile.release
    assert said(phone, "getprop ro.build.version.sdk") == str(profile.sdk)
    assert "emulated" in said(phone, "getprop ro.product.model")
    assert said(phone, "getprop ro.serialno") == phone.name
    assert said(phone, "getprop no.such.property") == ""
    assert "[ro.hardware]: [edgebench]" in said(phone, "getprop")
    thermal = sh(phone, "dumpsys thermalservice")
    assert ("Thermal Status: 0" in thermal.stdout) == (profile.sdk >= 29)
    airplane = sh(phone, "cmd connectivity airplane-mode enable")
    assert (airplane.returncode == 0) == (profile.sdk >= 30)
    assert said(phone, "settings get global airplane_mode_on") == str(int(profile.sdk >= 30))
    assert (sh(phone, "su -c true").returncode == 0) == profile.rooted


def test_android_8_has_no_shell_v2_and_android_10_has() -> None:
    assert "shell_v2" not in PROFILES["android-8"].features
    assert "shell_v2" in PROFILES["android-10"].features


def test_it_has_its_own_root_names_and_processes(phone: EmulatedPhone) -> None:
    assert "uid=2000(shell)" in said(phone, "id")
    assert said(phone, "cat /proc/sys/kernel/hostname") == phone.name
    assert said(phone, "cat /proc/1/comm") == "sh"
    assert sh(phone, f"ls {Path(__file__)}").returncode == 0  # the package, read-only
    assert sh(phone, f"touch {ROOT}/written").returncode != 0
    assert not (ROOT / "written").exists()
    assert sh(phone, "touch /here").returncode != 0
    assert not Path("/data/local/tmp/edgebench-proof").exists()
    said(phone, "touch /data/local/tmp/edgebench-proof")
    assert not Path("/data/local/tmp/edgebench-proof").exists()
    assert (phone.home / "data" / "edgebench-proof").exists()


def test_only_its_data_directory_is_executable(phone: EmulatedPhone) -> None:
    said(phone, "cp /system/bin/getprop /sdcard/tool && chmod 755 /sdcard/tool")
    assert sh(phone, "/sdcard/tool ro.hardware").returncode == 126
    said(phone, "cp /system/bin/getprop /data/local/tmp/tool")
    assert said(phone, "/data/local/tmp/tool ro.hardware") == "edgebench"


def test_only_root_sets_a_governor(phone: EmulatedPhone) -> None:
    refused = sh(phone, f"echo performance > {GOVERNOR}")
    assert refused.returncode != 0
    assert "ermission denied" in refused.stderr
    assert phone.state.governor() == "schedutil"
    assert "uid=0(root)" in said(phone, "su -c id")
    said(phone, f"su -c 'echo performance > {GOVERNOR}'")
    assert phone.state.governor() == "performance"
    assert said(phone, f"cat {GOVERNOR}") == "performance"
    said(phone, f"su -c 'echo schedutil > {GOVERNOR}'")


def test_su_passes_streams_status_and_arguments_on(phone: EmulatedPhone) -> None:
    ran = sh(phone, "echo in | su -c 'cat; echo err >&2; exit 7'")
    assert (ran.returncode, ran.stdout, ran.stderr) == (7, "in\n", "err\n")
    assert said(phone, "su 0 echo 'a  b' '$HOME'") == "a  b $HOME"


def test_sysfs_has_clusters_that_are_cpus_of_this_machine(phone: EmulatedPhone) -> None:
    cpus = said(phone, "cat /sys/devices/system/cpu/cpufreq/policy*/related_cpus").split()
    assert {int(cpu) for cpu in cpus} == os.sched_getaffinity(0)
    for cpu in cpus:
        limit = said(phone, f"cat /sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_max_freq")
        assert int(limit) > 0


# Its services


def test_battery_follows_the_state(phone: EmulatedPhone) -> None:
    phone.state.set_battery(percent=42, temperature_c=31.7, status="Charging", plugged=True)
    text = said(phone, "dumpsys battery")
    for line in ("level: 42", "temperature: 317", "status: 2", "USB powered: true"):
        assert f"  {line}\n" in text
    assert said(phone, "cat /sys/class/power_supply/battery/capacity") == "42"
    said(phone, "dumpsys battery unplug")
    assert "USB powered: false" in said(phone, "dumpsys battery")
    assert "UPDATES STOPPED" in said(phone, "cmd battery; dumpsys battery")
    said(phone, "dumpsys battery reset")
    assert "USB powered: true" in said(phone, "dumpsys battery")


def test_thermal_service_follows_the_state(phone: EmulatedPhone) -> None:
    phone.state.set_heat(None)
    phone.state.set_temperature(71.5)
    phone.state.set_thermal_status(3)
    text = said(phone, "dumpsys thermalservice")
    assert "Thermal Status: 3\n" in text
    assert text.count("Temperature{mValue=71.5, mType=0, mName=CPU0, mStatus=3}") == 2
    said(phone, "cmd thermalservice override-status 1")
    assert "Thermal Status: 1\n" in said(phone, "dumpsys thermalservice")
    said(phone, "cmd thermalservice reset")
    phone.state.set_thermal_status(0)
    assert "Thermal Status: 0\n" in said(phone, "dumpsys thermalservice")


def test_screen_lock_and_stay_awake(phone: EmulatedPhone) -> None:
    phone.state.set_screen(on=False, lock="swipe")
    assert "mWakefulness=Asleep" in said(phone, "dumpsys power")
    assert "showing=true" in said(phone, "dumpsys window policy")
    said(phone, "input keyevent KEYCODE_WAKEUP; wm dismiss-keyguard")
    assert phone.state.screen_on
    assert "mWakefulness=Awake" in said(phone, "dumpsys power")
    assert "isKeyguardShowing=false" in said(phone, "dumpsys window policy")
    phone.state.set_screen(on=True, lock="secure")
    said(phone, "wm dismiss-keyguard")
    assert "isKeyguardShowing=true" in said(phone, "dumpsys window")
    phone.state.set_screen(on=True)

    said(phone, "svc power stayon true")
    assert phone.state.setting("global", "stay_on_while_plugged_in") == "7"
    assert "mStayOn=true" in said(phone, "dumpsys power")
    said(phone, "svc power stayon false")
    assert phone.state.setting("global", "stay_on_while_plugged_in") == "0"


def test_settings_are_kept_as_they_are_given(phone: EmulatedPhone) -> None:
    assert said(phone, "settings get global window_animation_scale") == "null"
    said(phone, "settings put global window_animation_scale '0.5 $x'")
    assert said(phone, "settings get global window_animation_scale") == "0.5 $x"
    assert said(phone, "settings delete global window_animation_scale") == "Deleted 1 rows"
    assert phone.state.setting("global", "window_animation_scale") is None
    assert sh(phone, "setprop ro.serialno other").returncode == 1
    said(phone, "setprop debug.edgebench 1")
    assert said(phone, "getprop debug.edgebench") == "1"


def test_an_app_is_installed_started_followed_and_stopped(phone: EmulatedPhone) -> None:
    package = "org.tensorflow.lite.benchmark"
    start = (
        f"am start -S -n {package}/.BenchmarkModelActivity --es args"
        " '\"--graph=/data/local/tmp/model.tflite --num_runs=2\"'"
    )
    assert "does not exist" in sh(phone, start).stderr
    said(phone, f"echo '{package} 7' > /data/local/tmp/app.apk")
    assert said(phone, "pm install -r /data/local/tmp/app.apk") == "Success"
    listed = said(phone, f"pm list packages --show-versioncode {package}")
    assert listed == f"package:{package} versionCode:7"
    before = phone.state.standin
    phone.state.set_standin(replace(before, sleep_s=0.0))
    try:
        assert f"cmp={package}/.BenchmarkModelActivity" in said(phone, start)
        until(
            lambda: "Inference timings in us" in said(phone, "logcat -d -s tflite:V"),
            "the app never said anything",
        )
    finally:
        phone.state.set_standin(before)
    line = next(line for line in said(phone, "logcat -d").splitlines() if "STARTING!" in line)
    _, _, pid, _, level, tag, _, text = line.split()
    assert (level, tag, text) == ("I", "tflite", "STARTING!")
    assert said(phone, f"logcat -d --pid={pid}").count("STARTING!") == 1
    assert "STARTING!" not in said(phone, "logcat -d --pid=99999")
    assert "STARTING!" not in said(phone, "logcat -d -s other:V")
    said(phone, "logcat -c")
    assert "STARTING!" not in said(phone, "logcat -d")
    assert said(phone, f"pm uninstall {package}") == "Success"
    assert sh(phone, f"pm path {package}").returncode == 1


# The stand-in on it, and its heat


def test_the_stand_in_runs_on_it_and_makes_it_warm(phone: EmulatedPhone) -> None:
    shutil.copy(standin.CLASSIC, phone.home / "data" / "benchmark_model")
    shutil.copy(SENTINEL, phone.home / "data" / "model.tflite")
    phone.state.set_heat(None)
    phone.state.set_temperature(30.0)
    phone.state.set_heat(Heat(ambient_c=30.0, busy_c=90.0, tau_s=0.5))
    ran = sh(
        phone,
        "cd /data/local/tmp && ./benchmark_model --graph=model.tflite --use_gpu=true"
        " --num_runs=2 --min_secs=1.2",
    )
    hot = phone.state.temperature_c
    assert ran.returncode == 0, ran.stderr
    assert f"INFO: {standin.NOTICE}\n" in ran.stdout
    assert "INFO: GPU delegate created.\n" in ran.stdout
    assert "VERBOSE: Replacing 3 out of 3 node(s)" in ran.stderr
    assert "Inference timings in us" in said(phone, "logcat -d -s tflite:V")
    assert hot > 31.0
    until(lambda: phone.state.temperature_c < hot - 1.0, "it never cooled down")
    spent = said(phone, "cat /sys/devices/system/cpu/cpufreq/policy*/stats/time_in_state")
    assert sum(int(line.split()[1]) for line in spent.splitlines()) > 0


@given(
    st.floats(-20, 120), st.floats(0, 1e4), st.floats(0, 1e4), st.booleans(), st.floats(0.1, 1e3)
)
def test_heat_depends_on_the_time_and_not_on_the_steps(
    start: float, first: float, second: float, busy: bool, tau: float
) -> None:
    heat = Heat(ambient_c=20, busy_c=70, tau_s=tau)
    end = 70.0 if busy else 20.0
    once = heat.after(start, first + second, busy=busy)
    twice = heat.after(heat.after(start, first, busy=busy), second, busy=busy)
    assert once == pytest.approx(twice, abs=1e-6)
    assert min(start, end) - 1e-6 <= once <= max(start, end) + 1e-6


# What can be done to it


def test_a_reboot_changes_boot_id_and_uptime_and_keeps_files(
    fresh: Callable[[str], EmulatedPhone],
) -> None:
    phone = fresh("android-13")
    address = phone.address
    boot = said(phone, "cat /proc/sys/kernel/random/boot_id")
    uptime = float(said(phone, "cat /proc/uptime").split()[0])
    said(phone, "echo kept > /data/local/tmp/file; echo gone > /tmp/file")
    said(phone, "settings put global edgebench 1")
    phone.reboot()
    assert said(phone, "cat /proc/sys/kernel/random/boot_id") != boot
    if phone.container.own_uptime:
        assert float(said(phone, "cat /proc/uptime").split()[0]) < uptime
    assert said(phone, "cat /data/local/tmp/file") == "kept"
    assert sh(phone, "cat /tmp/file").returncode != 0
    assert said(phone, "settings get global edgebench") == "1"
    assert phone.address == address


def states(pids: list[int]) -> set[str]:
    return {Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] for pid in pids}


def test_a_frozen_phone_goes_on_where_it_was(fresh: Callable[[str], EmulatedPhone]) -> None:
    phone = fresh("android-13")
    sh(
        phone,
        f"setsid sh -c 'while :; do echo x >> /data/local/tmp/ticks; sleep 0.01; done' {QUIET} &",
    )
    ticks = phone.home / "data" / "ticks"
    until(ticks.exists, "the loop never ran")
    phone.freeze()
    pids = phone.container.pids()
    assert len(pids) >= 4
    # A sleep that ends while its shell is stopped already is a zombie until it goes on.
    until(lambda: states(pids) <= {"T", "Z"}, "not all of it stopped")
    size = ticks.stat().st_size
    time.sleep(0.1)
    assert ticks.stat().st_size == size
    phone.thaw()
    until(lambda: ticks.stat().st_size > size, "it did not go on")


def test_a_power_cut_ends_everything_at_once(fresh: Callable[[str], EmulatedPhone]) -> None:
    phone = fresh("android-13")
    sh(phone, f"setsid sleep 1000 {QUIET} &")
    pids = phone.container.pids()
    phone.freeze()  # a frozen phone loses power, too
    phone.power_cut()
    assert not phone.container.alive()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "something lives on")
    with pytest.raises(DeviceError):
        phone.container.inside(["true"])
    phone.power_cut()  # twice is as good as once
    phone.boot()
    assert said(phone, "echo back") == "back"


def test_phones_know_nothing_of_each_other(fresh: Callable[[str], EmulatedPhone]) -> None:
    one, two = fresh("android-13"), fresh("android-8")
    said(one, "echo one > /data/local/tmp/file")
    assert sh(two, "cat /data/local/tmp/file").returncode != 0
    assert one.address != two.address
    one.power_cut()
    assert said(two, "echo here") == "here"


def test_a_phone_whose_owner_is_killed_goes_too() -> None:
    program = (
        "from devices.emulated.phone import EmulatedPhone; import sys, time\n"
        "phone = EmulatedPhone('android-13', 'orphan')\n"
        "phone.start()\n"
        "print(*phone.container.pids(), phone.home, flush=True)\n"
        "time.sleep(100)\n"
    )
    owner = subprocess.Popen(
        [sys.executable, "-P", "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert owner.stdout is not None
    assert owner.stderr is not None
    with owner.stdout, owner.stderr:
        words = owner.stdout.readline().split()
        if not words:
            pytest.skip(owner.stderr.read().splitlines()[-1])
        owner.send_signal(signal.SIGKILL)
        owner.wait(30)
    *pids, home = words
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "the phone lives on")
    shutil.rmtree(home)


def test_its_files_go_with_it_unless_somebody_keeps_them(tmp_path: Path) -> None:
    phone = started("android-15", "short")
    home = phone.home
    phone.stop()
    assert not home.exists()
    kept = EmulatedPhone("android-15", "kept", tmp_path / "home")
    kept.stop()
    assert (tmp_path / "home" / "data").is_dir()


# Machines that make none


def test_without_the_tools_it_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devices.emulated.container.shutil.which", lambda _: None)
    with pytest.raises(Unsupported, match="util-linux"):
        Container(tmp_path, "no-tools").start(["true"], boot_id="1", uptime_s=1, env={})


def test_where_namespaces_are_refused_it_says_what_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing = tmp_path / "bin" / "unshare"
    refusing.parent.mkdir()
    refusing.write_text("#!/bin/sh\necho 'unshare failed: Operation not permitted' >&2; exit 1\n")
    refusing.chmod(0o755)
    monkeypatch.setenv("PATH", f"{refusing.parent}:{os.environ['PATH']}")
    with pytest.raises(Unsupported, match="user namespaces") as caught:
        Container(tmp_path, "refused").start(["true"], boot_id="1", uptime_s=1, env={})
    assert "not permitted" in caught.value.stderr_tail


# By adb, as everybody else sees it


def test_a_real_adb_server_reaches_it_and_survives_its_faults(
    adb: PrivateServer, fresh: Callable[[str], EmulatedPhone]
) -> None:
    phone = fresh("android-13")
    transport = AdbTransport("pixel", phone.address, server=adb.server)
    listed = transport.run(["getprop", "ro.product.model"], deadline=Deadline(60))
    assert listed.text == "edgebench emulated phone\n"
    transport.push(
        standin.CLASSIC, "/data/local/tmp/a b/benchmark_model", deadline=Deadline(60), mode=0o755
    )
    transport.push(SENTINEL, "/data/local/tmp/a b/é.tflite", deadline=Deadline(60))
    ran = transport.run(
        [
            "/data/local/tmp/a b/benchmark_model",
            "--graph=/data/local/tmp/a b/é.tflite",
            "--num_runs=2",
            "--min_secs=0",
            "--warmup_min_secs=0",
        ],
        deadline=Deadline(60),
    )
    assert ran.exit_code == 0, ran.stderr
    assert "INFO: Graph: [/data/local/tmp/a b/é.tflite]\n" in ran.text
    assert b"VERBOSE: Replacing 3 out of 3" in ran.stderr
    refused = transport.run(["sh", "-c", f"echo x > {GOVERNOR}"], deadline=Deadline(60))
    assert refused.exit_code != 0

    phone.faults(unplugged=True)
    with pytest.raises(DeviceError):
        transport.run(["true"], deadline=Deadline(3))
    phone.faults(unplugged=False)
    phone.reboot()
    until(lambda: answers(transport), "it never came back")
    kept = transport.run(["ls", "/data/local/tmp/a b"], deadline=Deadline(60))
    assert "benchmark_model" in kept.text


def test_a_launch_on_it_is_waited_for_and_removed(
    adb: PrivateServer, fresh: Callable[[str], EmulatedPhone]
) -> None:
    phone = fresh("android-8")  # no shell_v2, no timeout
    phone.state.set_standin(replace(phone.state.standin, sleep_s=0.1))
    workdir = "/data/local/tmp/edgebench"
    transport = AdbTransport("old", phone.address, server=adb.server)
    launcher = Launcher(transport, workdir, BlobStore(transport, workdir))
    output = launcher.run(
        "launch-1",
        ["./benchmark_model", "--graph=m.tflite", "--use_xnnpack=true"],
        files={"benchmark_model": standin.CLASSIC, "m.tflite": SENTINEL},
        texts={},
        env={"LAYOUT": "x"},
        deadline=Deadline(60),
    )
    assert output.exit_code == 0, output.stderr
    assert b"XNNPACK delegate created." in output.stdout
    assert b"Inference timings in us" in output.stdout
    launcher.remove("launch-1", deadline=Deadline(60))
    assert not list((phone.home / "data" / "edgebench" / "runs").iterdir())


def answers(transport: AdbTransport) -> bool:
    try:
        return transport.run(["true"], deadline=Deadline(5)).exit_code == 0
    except DeviceError:
        return False
