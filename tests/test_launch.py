"""devices.launch: detached, collected, ended, removed; on real processes."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devices import launch_sh
from devices.blobs import BlobStore
from devices.deadline import Deadline
from devices.emulated.fake import Answer, FakeTransport, Fault, FaultyTransport
from devices.errors import (
    CommandNotFound,
    DeviceError,
    DeviceOffline,
    DeviceTimeout,
    NoSpace,
    PathMissing,
    TransferError,
    TransientDeviceError,
)
from devices.launch import Launcher, Watch
from devices.launch_output import LaunchLost, LaunchOutput
from devices.local import LocalTransport

NO_FILES: Mapping[str, Path] = {}
NO_TEXTS: Mapping[str, str] = {}


def soon() -> Deadline:
    return Deadline(60)


class Bench:
    """A launcher on this machine, and a look into its directory."""

    def __init__(self, workdir: Path, faults: Mapping[int, Fault] | None = None) -> None:
        self.workdir = workdir
        self.transport = FaultyTransport(LocalTransport(), faults or {})
        self.pauses: list[float] = []
        self.launcher = Launcher(
            self.transport,
            str(workdir),
            BlobStore(self.transport, str(workdir)),
            pause=self.pauses.append,
        )

    def run(
        self,
        argv: Sequence[str],
        *,
        files: Mapping[str, Path] = NO_FILES,
        texts: Mapping[str, str] = NO_TEXTS,
        env: Mapping[str, str] = NO_TEXTS,
        deadline: Deadline | None = None,
    ) -> LaunchOutput:
        try:
            return self.launcher.run(
                "launch", argv, files=files, texts=texts, env=env, deadline=deadline or soon()
            )
        finally:
            with suppress(DeviceError):
                self.launcher.remove("launch", deadline=soon())

    def start(self, script: str, *arguments: str, launch_id: str = "launch") -> None:
        argv = ["sh", "-c", script, "sh", *arguments]
        self.launcher.start(
            launch_id, argv, files=NO_FILES, texts=NO_TEXTS, env=NO_TEXTS, deadline=soon()
        )

    def group(self, launch_id: str = "launch") -> int:
        return int((self.workdir / "runs" / launch_id / ".launch/group").read_text().split()[0])

    def left_over(self) -> list[str]:
        runs = self.workdir / "runs"
        return [path.name for path in runs.iterdir()] if runs.exists() else []


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "work dir")
    yield bench
    for launch_id in bench.left_over():
        bench.launcher.remove(launch_id, deadline=soon())


def members(group: int) -> list[int]:
    """Living processes of a group; zombies do not count."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, pgrp = stat.read_text().rpartition(") ")[2].split()[:3]
        except OSError:
            continue
        if int(pgrp) == group and state not in "ZX":
            found.append(int(stat.parent.name))
    return found


def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it never happened")


# --- what comes back ---------------------------------------------------------


def test_a_launch_gives_back_everything_and_leaves_nothing(bench: Bench) -> None:
    output = bench.run(["sh", "-c", "echo out; echo err >&2; sleep 0.2; exit 3"])
    assert (output.exit_code, output.stdout, output.stderr) == (3, b"out\n", b"err\n")
    assert output.duration_s >= 0.19
    assert bench.left_over() == []


@pytest.mark.parametrize(
    ("script", "exit_code"),
    [
        ("exit 0", 0),
        ("exit 1", 1),
        ("exit 255", 255),
        ("exit 139", 139),
        ("exit 137", 137),
        ("kill -SEGV $$", -signal.SIGSEGV),
        ("kill -KILL $$", -signal.SIGKILL),
        ("kill -ABRT $$", -signal.SIGABRT),
        ("kill -TERM $$", -signal.SIGTERM),
        ("exec edgebench-no-such-program", 127),
    ],
)
def test_exit_codes_and_signals_are_told_apart(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, exit_code: int
) -> None:
    # Which shells tell them apart is said in devices.launch_sh; dash is one of them.
    if dash := shutil.which("dash"):
        use_shell(dash, tmp_path, monkeypatch)
    elif exit_code in (137, 139):
        pytest.skip("no dash here")
    assert bench.run(["sh", "-c", script]).exit_code == exit_code


def test_a_missing_program_is_127_with_the_shells_words(bench: Bench) -> None:
    output = bench.run(["edgebench-no-such-program"])
    assert output.exit_code == 127
    assert b"edgebench-no-such-program" in output.stderr


def test_ten_megabytes_on_both_pipes_are_whole(bench: Bench) -> None:
    program = "import sys; sys.stdout.write('o' * 10**7); sys.stderr.write('e' * 10**7)"
    output = bench.run([sys.executable, "-c", program])
    assert output.stdout == b"o" * 10**7
    assert output.stderr == b"e" * 10**7


def test_files_and_texts_lie_in_the_working_directory(bench: Bench, tmp_path: Path) -> None:
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\ncat model\nstat -c %a model tool\n")
    tool.chmod(0o755)
    model = tmp_path / "some name"
    model.write_bytes(b"weights\n")
    output = bench.run(["./tool"], files={"model": model, "tool": tool}, texts={"spec": "{}"})
    assert output.stdout == b"weights\n444\n555\n"
    assert (output.exit_code, output.stderr) == (0, b"")


@pytest.mark.parametrize("shell", ["dash", "busybox", "mksh", "bash"])
@pytest.mark.parametrize(
    "odd", ["a b", "'", '"', "$HOME", "a;b", "two\nlines", "Größe日本", "-n", "*", "\\", "`id`"]
)
def test_odd_names_and_values_survive(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, odd: str, shell: str
) -> None:
    if (path := shutil.which(shell)) is None:
        pytest.skip(f"no {shell} here")
    use_shell(path, tmp_path, monkeypatch)
    program = (
        "import os, sys\n"
        "odd = sys.argv[1]\n"
        "parts = [odd, os.environ['VALUE'], open(odd).read(), open(odd + '.t').read()]\n"
        "sys.stdout.buffer.write(b'|'.join(os.fsencode(p) for p in parts))"
    )
    (tmp_path / "source").write_text("from a file")
    output = bench.run(
        [sys.executable, "-X", "utf8", "-c", program, odd],
        files={odd: tmp_path / "source"},
        texts={f"{odd}.t": odd},
        env={"VALUE": odd},
    )
    assert output.stderr == b""
    assert output.stdout.decode() == f"{odd}|{odd}|from a file|{odd}"
    assert bench.left_over() == []


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    values=st.lists(
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), max_size=4
    )
)
def test_any_arguments_survive(bench: Bench, values: list[str]) -> None:
    program = "import os, sys; sys.stdout.buffer.write(b'\\0'.join(map(os.fsencode, sys.argv[1:])))"
    output = bench.run([sys.executable, "-X", "utf8", "-c", program, *values])
    assert output.stdout.decode() == "\0".join(values)


def use_shell(shell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `sh` that shell for every launch of a test."""
    directory = tmp_path / "shell"
    directory.mkdir()
    (directory / "sh").symlink_to(shell)
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")


def test_a_launch_reads_nothing_from_the_controllers_stdin(bench: Bench) -> None:
    assert bench.run(["cat"], texts={"t": "x"}).stdout == b""


def test_a_launch_after_the_first_takes_four_calls(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"x")
    for _ in range(2):
        before = bench.transport.calls
        bench.run(["true"], files={"m": tmp_path / "model", "n": tmp_path / "model"})
    assert bench.transport.calls - before == 4


# --- time and death ----------------------------------------------------------

STUBBORN = 'trap "" TERM; (trap "" TERM; sleep 1000) & sleep 1000'


def test_a_launch_past_its_deadline_is_ended_with_its_children(bench: Bench) -> None:
    bench.start(STUBBORN)
    group = bench.group()
    assert members(group)
    with pytest.raises(DeviceTimeout, match="were ended"):
        bench.launcher.wait("launch", deadline=Deadline(0.5))
    assert members(group) == []
    bench.launcher.remove("launch", deadline=soon())
    assert bench.left_over() == []


def test_run_past_its_deadline_leaves_nothing(bench: Bench) -> None:
    with pytest.raises(DeviceTimeout):
        bench.run(["sleep", "1000"], deadline=Deadline(2))
    assert bench.left_over() == []


def test_end_stops_a_launch_and_is_harmless_twice(bench: Bench) -> None:
    bench.start("sleep 1000")
    group = bench.group()
    for _ in range(2):
        bench.launcher.end("launch", deadline=soon())
        assert members(group) == []
    bench.launcher.end("never-started", deadline=soon())


def test_remove_ends_what_still_runs(bench: Bench) -> None:
    bench.start("sleep 1000")
    group = bench.group()
    bench.launcher.remove("launch", deadline=soon())
    assert members(group) == []
    assert bench.left_over() == []


def test_what_a_program_leaves_running_is_ended_with_it(bench: Bench) -> None:
    bench.start('(trap "" TERM HUP; exec sleep 1000) & exit 0')
    group = bench.group()
    assert bench.launcher.wait("launch", deadline=soon()).exit_code == 0
    wait_until(lambda: members(group) == [])


def test_a_killed_wrapper_is_a_typed_error_and_its_program_is_ended(bench: Bench) -> None:
    bench.start("sleep 1000")
    group = bench.group()
    wait_until(lambda: len(members(group)) >= 2)
    os.kill(group, signal.SIGKILL)
    with pytest.raises(LaunchLost, match="without an exit status"):
        bench.launcher.wait("launch", deadline=soon())
    assert members(group) == []


def test_everything_killed_at_once_is_a_typed_error(bench: Bench) -> None:
    bench.start("sleep 1000")
    os.killpg(bench.group(), signal.SIGKILL)
    with pytest.raises(LaunchLost) as caught:
        bench.launcher.wait("launch", deadline=soon())
    assert isinstance(caught.value, TransientDeviceError)


def test_a_process_that_got_the_number_of_an_ended_launch_is_left_alone(bench: Bench) -> None:
    bench.start("sleep 1000", launch_id="bystander")
    bench.start("exit 0")
    bench.launcher.wait("launch", deadline=soon())
    record = bench.workdir / "runs/launch/.launch/group"
    _, start, boot = record.read_text().split()
    record.write_text(f"{bench.group('bystander')} {start}9 {boot}\n")
    bench.launcher.remove("launch", deadline=soon())
    assert members(bench.group("bystander"))
    bench.launcher.remove("bystander", deadline=soon())


def test_a_launch_of_before_a_restart_is_lost_and_ends_nobody(bench: Bench) -> None:
    bench.start("sleep 1000", launch_id="bystander")
    bench.start("sleep 1000")
    ours = bench.group()
    record = bench.workdir / "runs/launch/.launch/group"
    _, start, _ = (bench.workdir / "runs/bystander/.launch/group").read_text().split()
    record.write_text(f"{bench.group('bystander')} {start} another-boot\n")
    bench.launcher.end("launch", deadline=soon())
    assert members(bench.group("bystander"))
    bench.launcher.remove("bystander", deadline=soon())
    os.killpg(ours, signal.SIGKILL)


# --- links that drop ---------------------------------------------------------


def test_another_launcher_collects_what_the_first_one_started(bench: Bench) -> None:
    bench.start('echo begun; while [ ! -e "$1" ]; do sleep 0.05; done; echo done', "go")
    other = Bench(bench.workdir).launcher
    assert other.collect("launch") is None
    (bench.workdir / "runs/launch/go").touch()
    assert other.wait("launch", deadline=soon()).stdout == b"begun\ndone\n"
    collected = bench.launcher.collect("launch")
    assert collected is not None
    assert collected.stdout == b"begun\ndone\n"


@pytest.mark.parametrize(
    "faults",
    [
        {2: Fault.DROP, 3: Fault.DROP},
        {2: Fault.DROP_AFTER, 4: Fault.DROP_AFTER},
        {2: Fault.FREEZE, 4: Fault.FREEZE},
        {3: Fault.TRUNCATE, 5: Fault.TRUNCATE},
    ],
)
def test_run_takes_a_dropped_link_up_again(tmp_path: Path, faults: Mapping[int, Fault]) -> None:
    bench = Bench(tmp_path, faults)
    assert bench.run(["echo", "result"]).stdout == b"result\n"
    assert bench.pauses == [1.0, 1.0]
    assert bench.left_over() == []


def test_run_gives_up_reconnecting_at_the_deadline(tmp_path: Path) -> None:
    bench = Bench(tmp_path, dict.fromkeys(range(2, 1000), Fault.DROP))
    clock = iter(range(10_000))
    with pytest.raises(DeviceOffline):
        bench.run(["true"], deadline=Deadline(50, clock=lambda: float(next(clock))))


def test_a_start_whose_answer_was_lost_can_be_repeated(tmp_path: Path) -> None:
    bench = Bench(tmp_path, {1: Fault.DROP_AFTER})
    with pytest.raises(DeviceOffline):
        bench.start("sleep 1000")
    first = bench.group()
    assert members(first)
    bench.start("echo second")
    assert members(first) == []
    assert bench.launcher.wait("launch", deadline=soon()).stdout == b"second\n"


def test_behind_a_frozen_link_a_launch_goes_on(tmp_path: Path) -> None:
    bench = Bench(tmp_path, {2: Fault.FREEZE})
    bench.start("sleep 1; echo done")
    with pytest.raises(DeviceOffline, match="no answer"):
        bench.launcher.wait("launch", deadline=soon())
    assert bench.launcher.wait("launch", deadline=soon()).stdout == b"done\n"


def test_a_launch_that_could_not_be_ended_may_still_run(tmp_path: Path) -> None:
    bench = Bench(tmp_path, {3: Fault.FREEZE})
    bench.start("sleep 1000")
    with pytest.raises(DeviceTimeout, match="may still run"):
        bench.launcher.wait("launch", deadline=Deadline(0.2))
    bench.launcher.remove("launch", deadline=soon())


# --- what watches a launch -----------------------------------------------------


def test_conditions_are_told_before_and_after_and_sampled_between(bench: Bench) -> None:
    watch = Watch(
        conditions="echo $(ls .launch | grep -c stdout); echo lost >&2",
        sampler="pwd; while :; do sleep 0.05; echo tick; done",
    )
    output = bench.launcher.run(
        "launch",
        ["sleep", "0.4"],
        files=NO_FILES,
        texts=NO_TEXTS,
        env=NO_TEXTS,
        deadline=soon(),
        watch=watch,
    )
    assert (output.before, output.after) == (b"0\n", b"1\n")
    place, *ticks = output.samples.splitlines()
    assert place.endswith(b"/runs/launch/.launch")
    assert len(ticks) >= 2
    assert members(bench.group()) == []


def test_files_that_a_launch_wrote_come_back_with_it(bench: Bench, tmp_path: Path) -> None:
    content = os.urandom(100_000)
    (tmp_path / "content").write_bytes(content)
    output = bench.launcher.run(
        "launch",
        ["sh", "-c", 'cp "$1" there; : > empty; echo out', "sh", str(tmp_path / "content")],
        files=NO_FILES,
        texts=NO_TEXTS,
        env=NO_TEXTS,
        deadline=soon(),
        results=("missing", "there", "empty"),
    )
    assert output.files == {"there": content, "empty": b""}
    assert output.stdout == b"out\n"


def test_of_an_endless_log_both_ends_come_back(bench: Bench) -> None:
    output = bench.run(
        ["sh", "-c", "echo first; dd if=/dev/zero bs=1M count=40 status=none; echo last"]
    )
    assert output.stdout.startswith(b"first\n\0")
    assert output.stdout.endswith(b"\0last\n")
    left_out = 40 * 2**20 + len(b"first\nlast\n") - 33 * 2**20
    assert b"\n[edgebench: %d bytes left out]\n" % left_out in output.stdout


def test_a_file_too_long_to_come_whole_does_not_come_and_is_named(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devices.launch._MOST_KIB", 2)
    output = bench.launcher.run(
        "launch",
        [
            "sh",
            "-c",
            "dd if=/dev/zero of=long bs=1 count=2049; dd if=long of=whole bs=1 count=2048",
        ],
        files=NO_FILES,
        texts=NO_TEXTS,
        env=NO_TEXTS,
        deadline=soon(),
        results=("missing", "long", "whole"),
    )
    assert output.files == {"whole": bytes(2048)}
    assert output.too_long == {"long": 2049}


def test_a_launch_that_everybody_forgot_ends_itself(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devices.launch._LIMIT_MARGIN_S", 0)
    bench.launcher.start(
        "launch",
        ["sleep", "1000"],
        files=NO_FILES,
        texts=NO_TEXTS,
        env=NO_TEXTS,
        deadline=Deadline(0.5),
    )
    with pytest.raises(LaunchLost, match="outlived its limit"):
        bench.launcher.wait("launch", deadline=soon())
    assert members(bench.group()) == []


def test_a_blob_that_went_away_is_pushed_again(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"weights")
    for _ in range(2):
        assert bench.run(["cat", "m"], files={"m": tmp_path / "model"}).stdout == b"weights"
        shutil.rmtree(bench.workdir / "blobs")


def test_a_launch_cannot_change_a_blob_through_its_link(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"weights")
    bench.run(["sh", "-c", "rm -f m; echo x > m"], files={"m": tmp_path / "model"})
    assert bench.run(["cat", "m"], files={"m": tmp_path / "model"}).stdout == b"weights"


# --- what is refused ---------------------------------------------------------


def test_no_such_launch(bench: Bench) -> None:
    with pytest.raises(PathMissing, match="no launch nowhere"):
        bench.launcher.wait("nowhere", deadline=soon())


@pytest.mark.parametrize("launch_id", ["", "..", ".hidden", "a/b", "a b", "x" * 200])
def test_an_id_that_is_no_plain_name(bench: Bench, launch_id: str) -> None:
    with pytest.raises(ValueError, match="launch id"):
        bench.launcher.remove(launch_id, deadline=soon())


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", ".launch", "a\0b"])
def test_a_name_that_leaves_the_run_directory(bench: Bench, name: str) -> None:
    with pytest.raises(ValueError, match=r"name|NUL"):
        bench.run(["true"], texts={name: ""})
    assert bench.left_over() == []


@pytest.mark.parametrize(
    ("argv", "env"),
    [([], {}), ([""], {}), (["-x"], {}), (["a\0"], {}), (["a"], {"1A": ""}), (["a"], {"A=B": ""})],
)
def test_a_command_that_no_device_could_take(
    bench: Bench, argv: list[str], env: dict[str, str]
) -> None:
    with pytest.raises(ValueError, match=r"not a|NUL"):
        bench.run(argv, env=env)


def test_one_name_for_two_things(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="both"):
        bench.run(["true"], files={"a": tmp_path}, texts={"a": ""})


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(88), CommandNotFound),
        (Answer(1, stderr=b"mkdir: cannot create: No space left on device"), NoSpace),
        (Answer(83, stderr=b"sh: out of memory"), TransientDeviceError),
    ],
)
def test_what_the_device_lacks_is_named(answer: Answer, error: type[Exception]) -> None:
    fake = FakeTransport(lambda argv, stdin: answer)
    launcher = Launcher(fake, "/w", BlobStore(fake, "/w"))
    with pytest.raises(error):
        launcher.start("a", ["x"], files={}, texts={}, env={}, deadline=soon())


@given(cut=st.integers(0, 80))
def test_a_cut_off_output_is_never_taken_for_a_whole_one(cut: int) -> None:
    whole = (
        b"edgebench-launch 0 - 10.00 12.50\n7 7\n9 9\n- 0\n- 0\n1 1\n" + b"o" * 7 + b"e" * 9 + b"s"
    )

    def handler(argv: tuple[str, ...], stdin: bytes) -> Answer:
        return Answer(stdout=whole[:cut]) if argv[2] == launch_sh.FETCH else Answer()

    fake = FakeTransport(handler)
    launcher = Launcher(fake, "/w", BlobStore(fake, "/w"))
    if cut < len(whole):
        with pytest.raises(TransferError):
            launcher.wait("a", deadline=soon())
    else:
        output = launcher.wait("a", deadline=soon())
        assert output == LaunchOutput(0, b"o" * 7, b"e" * 9, 2.5, samples=b"s")
