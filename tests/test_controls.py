"""devices.controls: applied, read back, put back; on files and commands that behave."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from devices.controls import (
    CONTROLS,
    ControlResult,
    Paths,
    RestoreResult,
    apply_controls,
    check_controls,
    restore,
)
from devices.deadline import Deadline
from devices.emulated.fake import Fault, FaultyTransport
from devices.errors import DeviceError, LeaseLost, Unsupported
from devices.journal import Change, Journal
from devices.lease import Lease, Owner, look
from devices.local import LocalTransport
from devices.transport import CommandResult, Transport

POLICIES: Mapping[str, Mapping[str, str]] = {
    "policy0": {
        "scaling_governor": "ondemand",
        "scaling_available_governors": "ondemand powersave performance",
        "scaling_min_freq": "600000",
        "scaling_max_freq": "1500000",
        "cpuinfo_min_freq": "600000",
        "cpuinfo_max_freq": "1500000",
        "scaling_available_frequencies": "600000 1000000 1500000",
        "related_cpus": "0",
    },
    "policy1": {
        "scaling_governor": "powersave",
        "scaling_available_governors": "ondemand powersave performance",
        "scaling_min_freq": "700000",
        "scaling_max_freq": "2000000",
        "cpuinfo_min_freq": "700000",
        "cpuinfo_max_freq": "2400000",
        "related_cpus": "1",
    },
}
COOLERS: Mapping[str, Mapping[str, str]] = {
    "cooling_device0": {"type": "cpufreq-cpu0", "cur_state": "0", "max_state": "9"},
    "cooling_device1": {"type": "pwm-fan", "cur_state": "2", "max_state": "4"},
}
SETTINGS: Mapping[str, str] = {
    "airplane_mode_on": "0",
    "window_animation_scale": "1.0",
    "transition_animation_scale": "0.5",
}
COMMANDS = {
    "getprop": "",
    "settings": """
        [ "$2" = global ] || exit 1
        case $1 in
            get) cat "$STATE/setting.$3" 2> /dev/null || echo null ;;
            put) printf '%s\\n' "$4" > "$STATE/setting.$3" ;;
            delete) rm -f "$STATE/setting.$3" ;;
        esac""",
    "cmd": """
        case "$1 $2" in
            "connectivity airplane-mode")
                [ -e "$STATE/old" ] && { echo "No shell command implementation."; exit 255; }
                case $3 in enable) on=1 ;; disable) on=0 ;; *) exit 1 ;; esac
                echo "$on" > "$STATE/setting.airplane_mode_on" ;;
            "power set-fixed-performance-mode-enabled")
                [ -e "$STATE/old" ] && { echo "Failed to set the mode" >&2; exit 255; }
                echo "$3" > "$STATE/fixed" ;;
            *) exit 1 ;;
        esac""",
    "dumpsys": """
        [ "$1" = power ] || exit 1
        echo "POWER MANAGER (dumpsys power)"
        echo "  mWakefulness=$(cat "$STATE/screen")"
        echo "  mWakefulnessChanging=false" """,
    "input": """
        case $2 in
            KEYCODE_WAKEUP) echo Awake > "$STATE/screen" ;;
            KEYCODE_SLEEP) echo Asleep > "$STATE/screen" ;;
        esac""",
    "am": '[ "$1" = kill-all ] && echo x >> "$STATE/killed"',
}
EVERYTHING = {
    "governor": "performance",
    "max_khz": "1000000",
    "min_khz": "max",
    "stay_awake": "on",
    "screen": "on",
    "animations": "off",
    "airplane": "on",
    "fixed_performance": "on",
    "background": "kill",
}


def soon() -> Deadline:
    return Deadline(60)


class Kernel:
    """This machine, where `on_write` stands in for the kernel: None lets a write pass."""

    def __init__(self, on_write: Callable[[str, str], tuple[int, str] | None]) -> None:
        self._on_write = on_write
        self.device = "local"

    def run(
        self, argv: Sequence[str], *, deadline: Deadline, stdin: bytes | None = None
    ) -> CommandResult:
        if argv[0] == "sh" and '> "$1"' in argv[2]:
            answer = self._on_write(argv[4], argv[5])
            if answer is not None:
                return CommandResult("local", tuple(argv), answer[0], b"", answer[1].encode(), 0.0)
        return LocalTransport().run(argv, deadline=deadline, stdin=stdin)

    push = pull = stream = None  # type: ignore[assignment]


class Thing:
    """A device of files: sysfs, and a phone's commands on the PATH."""

    def __init__(self, root: Path, transport: Transport | None = None) -> None:
        self.root = root
        self.place = root / "place"
        self.state = root / "state"
        self.transport = transport or LocalTransport()
        self.paths = Paths(str(root / "cpufreq"), str(root / "thermal"))
        for directory, tree in (("cpufreq", POLICIES), ("thermal", COOLERS)):
            for name, files in tree.items():
                (root / directory / name).mkdir(parents=True)
                for file, content in files.items():
                    (root / directory / name / file).write_text(f"{content}\n")
        self.state.mkdir()
        (self.state / "screen").write_text("Asleep\n")
        for key, value in SETTINGS.items():
            (self.state / f"setting.{key}").write_text(f"{value}\n")
        (self.state / "fixed").write_text("false\n")

    def put(self, directory: str, name: str, file: str, content: str) -> None:
        (self.root / directory / name / file).write_text(f"{content}\n")

    def snapshot(self) -> dict[str, str]:
        places = (self.root / "cpufreq", self.root / "thermal", self.state)
        files = sorted(path for place in places for path in place.rglob("*") if path.is_file())
        return {str(p.relative_to(self.root)): p.read_text() for p in files if p.name != "killed"}

    def take(self, owner: Owner | None = None, transport: Transport | None = None) -> Lease:
        return Lease.acquire(
            transport or self.transport,
            str(self.place),
            owner or Owner("ann", "lab1", 1, "run"),
            deadline=soon(),
            replay=lambda journal: self.restore(journal, transport),
        )

    def apply(
        self,
        journal: Journal,
        wanted: Mapping[str, str],
        *,
        kind: str = "android",
        over_network: bool = False,
        transport: Transport | None = None,
    ) -> dict[str, ControlResult]:
        results = apply_controls(
            transport or self.transport,
            kind,
            over_network,
            wanted,
            journal,
            deadline=soon(),
            paths=self.paths,
            hold_s=0.3,
        )
        return {result.name: result for result in results}

    def restore(
        self, journal: Journal, transport: Transport | None = None, *, over_network: bool = False
    ) -> tuple[RestoreResult, ...]:
        return restore(
            transport or self.transport,
            journal,
            deadline=soon(),
            over_network=over_network,
            paths=self.paths,
            hold_s=0.3,
        )


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts programs on the PATH."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")
    monkeypatch.setenv("STATE", str(tmp_path / "thing" / "state"))

    def add(**scripts: str) -> None:
        for name, script in scripts.items():
            (directory / name).write_text(f"#!/bin/sh\n{script}\n")
            (directory / name).chmod(0o755)

    return add


@pytest.fixture
def thing(tmp_path: Path, tools: Callable[..., None]) -> Thing:
    tools(**COMMANDS)
    (tmp_path / "thing").mkdir()
    return Thing(tmp_path / "thing")


@pytest.fixture
def journal(thing: Thing) -> Journal:
    return thing.take().journal


# --- applied and put back -----------------------------------------------------


def test_everything_is_applied_read_back_and_put_back(thing: Thing, journal: Journal) -> None:
    found = thing.snapshot()
    results = thing.apply(journal, EVERYTHING)
    assert {name: result.outcome for name, result in results.items()} == dict.fromkeys(
        EVERYTHING, "applied"
    )
    now = thing.snapshot()
    assert now["cpufreq/policy1/scaling_governor"] == "performance\n"
    assert now["cpufreq/policy0/scaling_max_freq"] == "1000000\n"
    assert now["cpufreq/policy1/scaling_max_freq"] == "1000000\n"
    assert now["state/setting.airplane_mode_on"] == "1\n"
    assert now["state/setting.stay_on_while_plugged_in"] == "7\n"
    assert now["state/setting.animator_duration_scale"] == "0\n"
    assert now["state/screen"] == "Awake\n"
    assert now["state/fixed"] == "true\n"
    restored = thing.restore(journal)
    assert all(result.restored for result in restored)
    assert thing.snapshot() == found
    assert thing.restore(journal) == ()
    assert journal.pending(deadline=soon()) == ()


def test_a_result_says_what_was_and_what_is(thing: Thing, journal: Journal) -> None:
    result = thing.apply(journal, {"governor": "performance!"})["governor"]
    assert result == ControlResult(
        "governor",
        "performance",
        "policy0=ondemand policy1=powersave",
        "performance",
        "applied",
    )


def test_what_is_so_already_is_not_touched(thing: Thing, journal: Journal) -> None:
    found = thing.snapshot()
    wanted = {
        "airplane": "off",
        "screen": "off",
        "stay_awake": "off",
        "animations": "on",
        "min_khz": "min",
    }
    thing.put("", "state", "setting.transition_animation_scale", "1")
    found = thing.snapshot()
    results = thing.apply(journal, wanted)
    assert {result.outcome for result in results.values()} == {"already"}
    assert thing.snapshot() == found
    assert journal.pending(deadline=soon()) == ()


def test_the_first_value_found_is_put_back_after_several_changes(
    thing: Thing, journal: Journal
) -> None:
    found = thing.snapshot()
    for governor in ("performance", "powersave", "ondemand", "performance"):
        thing.apply(journal, {"governor": governor})
    thing.restore(journal)
    assert thing.snapshot() == found


def test_a_change_is_in_the_journal_before_it_is_made(tmp_path: Path) -> None:
    seen: list[str] = []

    def on_write(path: str, value: str) -> None:
        journal = (tmp_path / "thing/place/lease.1/journal").read_text()
        seen.append(value)
        assert '"previous": "ondemand"' in journal

    (tmp_path / "thing").mkdir()
    thing = Thing(tmp_path / "thing", Kernel(on_write))
    thing.apply(thing.take().journal, {"governor": "performance"}, kind="linux")
    assert seen == ["performance", "performance"]


def test_a_fan_is_set_and_nothing_else_that_cools(thing: Thing, journal: Journal) -> None:
    found = thing.snapshot()
    assert thing.apply(journal, {"fan": "max"}, kind="linux")["fan"].before == "2"
    assert thing.snapshot() == {**found, "thermal/cooling_device1/cur_state": "4\n"}
    thing.restore(journal)
    assert thing.snapshot() == found
    result = thing.apply(journal, {"fan": "9"}, kind="linux")["fan"]
    assert (result.outcome, result.reason) == ("unsupported", "cooling_device1 has steps 0 to 4")


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"max_khz": "1200000"}, ("1000000", "1200000")),
        ({"max_khz": "1"}, ("600000", "700000")),
        ({"max_khz": "99999999"}, ("1500000", "2400000")),
        ({"max_khz": "max"}, ("1500000", "2400000")),
        ({"max_khz": "min"}, ("600000", "700000")),
    ],
)
def test_a_limit_is_the_nearest_frequency_that_a_policy_has(
    thing: Thing, journal: Journal, wanted: Mapping[str, str], expected: tuple[str, str]
) -> None:
    thing.apply(journal, wanted)
    now = thing.snapshot()
    found = tuple(now[f"cpufreq/{policy}/scaling_max_freq"].strip() for policy in POLICIES)
    assert found == expected


def test_a_lower_limit_is_the_next_frequency_above(thing: Thing, journal: Journal) -> None:
    thing.apply(journal, {"min_khz": "900000"})
    now = thing.snapshot()
    assert now["cpufreq/policy0/scaling_min_freq"] == "1000000\n"
    assert now["cpufreq/policy1/scaling_min_freq"] == "900000\n"


def test_animations_that_have_the_scale_in_other_words_are_left(
    thing: Thing, journal: Journal
) -> None:
    thing.apply(journal, {"animations": "1"})
    state = thing.snapshot()
    assert state["state/setting.window_animation_scale"] == "1.0\n"
    assert state["state/setting.transition_animation_scale"] == "1\n"
    assert "state/setting.animator_duration_scale" not in state  # not there means 1


def test_fixed_performance_says_that_it_cannot_be_read(thing: Thing, journal: Journal) -> None:
    result = thing.apply(journal, {"fixed_performance": "on"})["fixed_performance"]
    assert (result.before, result.after, result.outcome) == (None, None, "applied")
    assert result.reason == "cannot be read; it is put back to off"
    thing.restore(journal)
    assert (thing.state / "fixed").read_text() == "false\n"


def test_ending_the_background_is_done_once_with_nothing_to_put_back(
    thing: Thing, journal: Journal
) -> None:
    thing.apply(journal, {"background": "kill"})
    assert (thing.state / "killed").read_text() == "x\n"
    assert journal.pending(deadline=soon()) == ()


# --- cores --------------------------------------------------------------------

needs_two_cores = pytest.mark.skipif(
    not {0, 1} <= os.sched_getaffinity(0) or not shutil.which("taskset"),
    reason="needs CPUs 0 and 1, and taskset",
)


@needs_two_cores
@pytest.mark.parametrize(("value", "mask"), [("big", "2"), ("little", "1"), ("0", "1")])
def test_cores_are_words_before_the_program(
    thing: Thing, journal: Journal, value: str, mask: str
) -> None:
    result = thing.apply(journal, {"cores": value})["cores"]
    assert (result.outcome, result.argv_prefix) == ("applied", ("taskset", mask))
    assert result.after == ("1" if mask == "2" else "0")
    assert journal.pending(deadline=soon()) == ()
    argv = [*result.argv_prefix, "grep", "Cpus_allowed_list", "/proc/self/status"]
    output = LocalTransport().run(argv, deadline=soon())
    assert output.text.split()[-1] == result.after


@needs_two_cores
def test_busybox_reads_the_mask_too(
    thing: Thing, journal: Journal, tools: Callable[..., None]
) -> None:
    if not shutil.which("busybox"):
        pytest.skip("no busybox here")
    tools(taskset='exec busybox taskset "$@"')
    assert thing.apply(journal, {"cores": "1"})["cores"].after == "1"


def test_cores_that_are_not_there_are_unsupported(thing: Thing, journal: Journal) -> None:
    result = thing.apply(journal, {"cores": "0,997"})["cores"]
    assert (result.outcome, result.argv_prefix) == ("unsupported", ())


def test_there_is_no_big_core_where_all_are_alike(thing: Thing, journal: Journal) -> None:
    thing.put("cpufreq", "policy1", "cpuinfo_max_freq", "1500000")
    result = thing.apply(journal, {"cores": "big"})["cores"]
    assert (result.outcome, result.reason) == (
        "unsupported",
        "there are no big cores: all are alike",
    )


# --- refused, unsupported, required -------------------------------------------


def test_a_governor_that_is_not_offered_is_unsupported(thing: Thing, journal: Journal) -> None:
    result = thing.apply(journal, {"governor": "schedutil"})["governor"]
    assert result.outcome == "unsupported"
    assert result.reason == "policy0 offers ondemand, powersave, performance"


def test_what_another_kind_of_device_has_is_unsupported(thing: Thing, journal: Journal) -> None:
    results = thing.apply(journal, {**EVERYTHING, "fan": "max"}, kind="linux")
    unsupported = {name for name, result in results.items() if result.outcome == "unsupported"}
    assert unsupported == {
        "stay_awake",
        "screen",
        "animations",
        "airplane",
        "fixed_performance",
        "background",
    }


def test_a_board_that_shows_nothing_supports_nothing(tmp_path: Path) -> None:
    thing = Thing(tmp_path)
    shutil.rmtree(tmp_path / "cpufreq")
    shutil.rmtree(tmp_path / "thermal")
    wanted = {"governor": "performance", "max_khz": "max", "fan": "max", "cores": "little"}
    results = thing.apply(thing.take().journal, wanted, kind="linux")
    assert {result.outcome for result in results.values()} == {"unsupported"}
    assert all(result.reason for result in results.values())


def test_a_phone_without_its_commands_supports_nothing(tmp_path: Path) -> None:
    thing = Thing(tmp_path)
    wanted = {name: value for name, value in EVERYTHING.items() if "khz" not in name}
    del wanted["governor"]
    results = thing.apply(thing.take().journal, wanted)
    assert {name for name, result in results.items() if result.outcome != "unsupported"} == {
        "background"
    }
    assert results["background"].outcome == "refused"


def test_airplane_mode_is_never_touched_over_the_network(thing: Thing, journal: Journal) -> None:
    result = thing.apply(journal, {"airplane": "on"}, over_network=True)["airplane"]
    assert (result.outcome, result.reason) == (
        "unsupported",
        "it would cut the link to this device",
    )
    assert thing.apply(journal, {"airplane": "off"}, over_network=True)["airplane"].after == "0"
    (thing.state / "setting.airplane_mode_on").write_text("1\n")
    thing.apply(journal, {"airplane": "off"})
    (left,) = thing.restore(journal, over_network=True)
    assert not left.restored
    assert left.reason == "it would cut the link to this device"
    assert (thing.state / "setting.airplane_mode_on").read_text() == "0\n"
    (left,) = thing.restore(journal)
    assert left.restored
    assert (thing.state / "setting.airplane_mode_on").read_text() == "1\n"


def test_an_old_phone_says_what_it_lacks_and_nothing_stays_open(
    thing: Thing, journal: Journal
) -> None:
    (thing.state / "old").touch()
    results = thing.apply(journal, {"airplane": "on", "fixed_performance": "on"})
    assert results["airplane"].outcome == "unsupported"
    assert results["airplane"].reason == "No shell command implementation."
    assert results["fixed_performance"].outcome == "unsupported"
    assert journal.pending(deadline=soon()) == ()


def refuse(path: str, value: str) -> tuple[int, str] | None:
    return 2, f"sh: 1: cannot create {path}: Permission denied\n"


NOBODY = 'if [ "$ROOT" ]; then echo 0; else echo 1000; fi'


@pytest.mark.parametrize(
    "root",
    [
        {"sudo": '[ "$1" = -n ] || exit 1; shift; ROOT=1; export ROOT; exec "$@"'},
        {"getprop": "", "su": '[ "$1" = 0 ] || exit 1; shift; ROOT=1; export ROOT; exec "$@"'},
        {"getprop": "", "su": '[ "$1" = -c ] || exit 1; ROOT=1; export ROOT; exec sh -c "$2"'},
    ],
    ids=["sudo", "su", "magisk"],
)
def test_what_only_root_may_write_is_written_as_root(
    tmp_path: Path, tools: Callable[..., None], root: Mapping[str, str]
) -> None:
    tools(id=NOBODY, **root)
    (tmp_path / "a 'thing'").mkdir()
    thing = Thing(tmp_path / "a 'thing'", Kernel(refuse))
    found = thing.snapshot()
    journal = thing.take().journal
    assert thing.apply(journal, {"governor": "performance"})["governor"].outcome == "applied"
    assert thing.snapshot()["cpufreq/policy0/scaling_governor"] == "performance\n"
    assert all(result.restored for result in thing.restore(journal))
    assert thing.snapshot() == found


@pytest.fixture
def powerless(tmp_path: Path, tools: Callable[..., None]) -> Thing:
    """A board whose user may not write to the kernel's files."""
    tools(id=NOBODY, sudo="echo 'sudo: a password is required' >&2; exit 1")
    (tmp_path / "thing").mkdir()
    return Thing(tmp_path / "thing", Kernel(refuse))


def test_without_root_it_is_refused_and_nothing_stays_open(powerless: Thing) -> None:
    journal = powerless.take().journal
    results = powerless.apply(journal, {"governor": "performance", "fan": "off"}, kind="linux")
    assert {result.outcome for result in results.values()} == {"refused"}
    assert "Permission denied" in str(results["governor"].reason)
    assert journal.pending(deadline=soon()) == ()


def test_without_root_what_is_so_already_is_fine(powerless: Thing) -> None:
    powerless.put("cpufreq", "policy1", "scaling_governor", "ondemand")
    journal = powerless.take().journal
    results = powerless.apply(journal, {"governor": "ondemand!"}, kind="linux")
    assert results["governor"].outcome == "already"


def test_a_required_control_that_is_refused_puts_all_back(powerless: Thing, tools: object) -> None:
    powerless.transport = Kernel(lambda path, value: refuse(path, value) if "max" in path else None)
    found = powerless.snapshot()
    journal = powerless.take().journal
    wanted = {"governor": "performance", "fan": "max", "max_khz": "1000000!"}
    with pytest.raises(Unsupported, match=r"max_khz = 1000000 is required.*Permission denied"):
        powerless.apply(journal, wanted, kind="linux")
    assert powerless.snapshot() == found
    assert journal.pending(deadline=soon()) == ()


def test_a_required_control_that_does_not_exist_here_is_an_error(
    thing: Thing, journal: Journal
) -> None:
    with pytest.raises(Unsupported, match="no such thing on android"):
        thing.apply(journal, {"fan": "max!"})


def test_a_value_that_does_not_hold_is_refused_and_undone(tmp_path: Path) -> None:
    thing = Thing(tmp_path, Kernel(lambda path, value: (0, "") if "policy1" in path else None))
    found = thing.snapshot()
    journal = thing.take().journal
    result = thing.apply(journal, {"governor": "performance"}, kind="linux")["governor"]
    assert result.outcome == "refused"
    assert result.reason == "policy1 reads powersave after performance was written"
    assert thing.snapshot() == found
    assert journal.pending(deadline=soon()) == ()


def test_a_value_that_holds_after_a_moment_is_applied(tmp_path: Path) -> None:
    timers: list[threading.Timer] = []

    def later(path: str, value: str) -> tuple[int, str]:
        timers.append(threading.Timer(0.1, Path(path).write_text, [f"{value}\n"]))
        timers[-1].start()
        return 0, ""

    thing = Thing(tmp_path, Kernel(later))
    result = thing.apply(thing.take().journal, {"governor": "performance"}, kind="linux")
    for timer in timers:
        timer.join()
    assert result["governor"].outcome == "applied"


# --- what a plan may ask for --------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"govenor": "performance"}, "did you mean governor?"),
        ({"zzz": "1"}, "there are stay_awake, "),
        ({"governor": "a b"}, "governor takes a governor's name"),
        ({"governor": "../../x"}, "governor takes"),
        ({"max_khz": "1.5"}, "max_khz takes kHz"),
        ({"max_khz": "-1"}, "max_khz takes"),
        ({"cores": "3-1"}, "cores takes"),
        ({"cores": "0x3"}, "cores takes"),
        ({"airplane": "true"}, "airplane takes on or off, not 'true'"),
        ({"fan": "fast"}, "fan takes"),
        ({"animations": "²"}, "animations takes"),
        ({"background": "on!"}, "background takes kill, not 'on!'"),
        ({"screen": "!"}, "screen takes"),
    ],
)
def test_what_no_device_takes_is_a_mistake_in_the_plan(
    wanted: Mapping[str, str], message: str
) -> None:
    with pytest.raises(ValueError, match=message.replace("?", r"\?")):
        check_controls(wanted)


def test_every_control_takes_what_it_says() -> None:
    good = {**EVERYTHING, "fan": "3", "cores": "0-3,6"}
    assert good.keys() == CONTROLS.keys()
    check_controls(good)
    check_controls({name: f"{value}!" for name, value in good.items()})
    check_controls({})


# --- what others left ---------------------------------------------------------


def test_what_a_journal_of_somebody_else_names_is_no_path_and_no_command(
    thing: Thing, journal: Journal, tmp_path: Path
) -> None:
    found = thing.snapshot()
    journal.record(
        [
            Change("governor", "../../victim", "x", "y"),
            Change("governor", "policy0/../../..", "x", "y"),
            Change("fan", "../x", "1", "2"),
            Change("fan", "cooling_device0", "1", "2"),
            Change("stay_awake", "adb_enabled", "0", "1"),
            Change("rm", "-rf", "/", ""),
            Change("cores", "x", "1", "2"),
        ],
        deadline=soon(),
    )
    results = thing.restore(journal)
    assert not any(result.restored for result in results)
    assert all(result.reason for result in results)
    assert thing.snapshot() == found
    assert len(journal.pending(deadline=soon())) == 7


def test_after_a_restart_only_what_lasts_is_put_back(thing: Thing) -> None:
    lease = thing.take()
    thing.apply(lease.journal, {"governor": "performance", "airplane": "on", "screen": "on"})
    for name in ("owner", "journal"):
        path = thing.place / "lease.1" / name
        path.write_text(path.read_text().replace(lease.journal.boot, "0-0"))
    journal = thing.take().journal
    state = thing.snapshot()
    assert state["state/setting.airplane_mode_on"] == "0\n"
    assert state["cpufreq/policy0/scaling_governor"] == "performance\n"  # as the restart set it
    assert state["state/screen"] == "Awake\n"
    assert journal.pending(deadline=soon()) == ()


def test_one_thing_that_cannot_be_put_back_holds_up_no_other(
    thing: Thing, journal: Journal
) -> None:
    found = thing.snapshot()
    thing.apply(journal, {"governor": "performance", "airplane": "on"})
    gone = thing.root / "cpufreq/policy1"
    gone.rename(thing.root / "elsewhere")
    results = thing.restore(journal)
    assert [(result.name, result.target) for result in results if not result.restored] == [
        ("governor", "policy1")
    ]
    (thing.root / "elsewhere").rename(gone)
    assert [result.restored for result in thing.restore(journal)] == [True]
    assert thing.snapshot() == found


def test_who_lost_the_lease_neither_changes_nor_puts_back(thing: Thing) -> None:
    lease = thing.take()
    thing.apply(lease.journal, {"governor": "performance"})
    owner = thing.place / "lease.1/owner"
    first, *rest = owner.read_text().split("\n")
    owner.write_text("\n".join([" ".join([*first.split()[:3], "1"]), *rest]))
    other = thing.take(Owner("bob", "lab2", 2, "run"))
    thing.apply(other.journal, {"governor": "powersave"})
    state = thing.snapshot()
    with pytest.raises(LeaseLost):
        thing.restore(lease.journal)
    with pytest.raises(LeaseLost):
        thing.apply(lease.journal, {"governor": "performance"})
    assert thing.snapshot() == state


# --- faults -------------------------------------------------------------------


def life(thing: Thing, transport: Transport, owner: Owner, wanted: Mapping[str, str]) -> None:
    """A run from lease to release, put back at the end whatever happens, as a session does."""
    lease = thing.take(owner, transport)
    try:
        thing.apply(lease.journal, wanted, transport=transport)
        lease.renew(deadline=soon())
    finally:
        try:
            thing.restore(lease.journal, transport)
        finally:
            lease.release(deadline=soon())


def calls_of_a_life(thing: Thing, wanted: Mapping[str, str]) -> int:
    transport = FaultyTransport(thing.transport, {})
    life(thing, transport, Owner("ann", "lab1", 1, "run"), wanted)
    return transport.calls


def check_after(thing: Thing, found: Mapping[str, str], owner: Owner, what: str) -> None:
    lease = thing.take(owner)
    assert thing.snapshot() == found, what
    assert lease.journal.pending(deadline=soon()) == (), what
    lease.release(deadline=soon())
    assert look(thing.transport, str(thing.place), deadline=soon()) is None, what


@pytest.mark.parametrize("first", [Fault.DROP, Fault.DROP_AFTER])
def test_a_controller_that_dies_anywhere_is_cleaned_up_after_by_another(
    thing: Thing, first: Fault
) -> None:
    wanted = {"governor": "performance", "stay_awake": "on"}
    found = thing.snapshot()
    calls = calls_of_a_life(thing, wanted)
    for number in range(1, calls + 1):
        faults = {number: first} | dict.fromkeys(range(number + 1, 200), Fault.DROP)
        with pytest.raises(DeviceError):
            life(thing, FaultyTransport(thing.transport, faults), Owner("a", "h", 1, "r"), wanted)
        for owner in thing.place.glob("lease.*/owner"):  # its time is up
            first_line, *rest = owner.read_text().split("\n")
            owner.write_text("\n".join([" ".join([*first_line.split()[:3], "1"]), *rest]))
        check_after(thing, found, Owner("bob", "lab2", 2, "run"), f"{first} from call {number} on")


@pytest.mark.slow
@pytest.mark.parametrize("fault", list(Fault))
def test_a_single_fault_anywhere_leaves_the_device_as_it_was_found(
    thing: Thing, fault: Fault
) -> None:
    found = thing.snapshot()
    for number in range(1, calls_of_a_life(thing, EVERYTHING) + 1):
        owner = Owner("ann", "lab1", 1, "run")
        with suppress(DeviceError):
            life(thing, FaultyTransport(thing.transport, {number: fault}), owner, EVERYTHING)
        check_after(thing, found, owner, f"{fault} at call {number}")
