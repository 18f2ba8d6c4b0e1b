"""What every devices.transport.Transport does; each new one joins the fixture."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devices import local
from devices.deadline import Deadline
from devices.emulated.fake import Answer, FakeTransport, Fault, FaultyTransport
from devices.errors import (
    CommandFailed,
    CommandNotFound,
    DeviceOffline,
    DeviceTimeout,
    NoSpace,
    PathMissing,
    PermissionDenied,
    TransferError,
)
from devices.local import LocalTransport
from devices.transport import Transport

pytest_plugins = ("tests.ssh_fixtures", "tests.adb_fixtures")

MEGABYTES_10 = 10_000_000
BOTH_PIPES = [
    sys.executable,
    "-c",
    "import sys\nfor _ in range(100):\n"
    " sys.stdout.buffer.write(b'o' * 100000); sys.stderr.buffer.write(b'e' * 100000)",
]
PRINT_ARGUMENTS = ["sh", "-c", 'for a; do printf "<%s>" "$a"; done', "sh"]


def answer(argv: tuple[str, ...], stdin: bytes) -> Answer | None:
    """The few commands of this suite, for the fake."""
    match argv:
        case ("cat",):
            return Answer(stdout=stdin)
        case ("sleep", seconds):
            return Answer(takes_s=float(seconds))
        case ("sh", "-c", script, "sh", *arguments) if script == PRINT_ARGUMENTS[2]:
            return Answer(stdout="".join(f"<{a}>" for a in arguments).encode())
        case ("sh", "-c", "echo out; echo err >&2; exit 3"):
            return Answer(3, b"out\n", b"err\n")
        case ("sh", "-c", "kill -SEGV $$"):
            return Answer(-11)
        case ("sh", "-c", "printf 'one\\n\\nthree'"):
            return Answer(stdout=b"one\n\nthree")
        case _ if list(argv) == BOTH_PIPES:
            return Answer(0, b"o" * MEGABYTES_10, b"e" * MEGABYTES_10)
    return None


# Each new transport adds its row: what makes one, given the request of the fixture.
TRANSPORTS: dict[str, Callable[[pytest.FixtureRequest], Transport]] = {
    "fake": lambda _: FakeTransport(answer),
    "local": lambda _: LocalTransport(),
    "ssh": lambda request: request.getfixturevalue("board"),  # type: ignore[no-any-return]
    "adb": lambda request: request.getfixturevalue("steady_phone").transport,  # type: ignore[no-any-return]
    "adb-old": lambda request: request.getfixturevalue("old_phone").transport,  # type: ignore[no-any-return]
}


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> Transport:
    return TRANSPORTS[request.param](request)


def soon() -> Deadline:
    return Deadline(60)


@pytest.fixture
def on_device(tmp_path: Path) -> str:
    """A directory of the device that is not there yet."""
    return str(tmp_path / "device" / "deep er")


# --- every transport ---------------------------------------------------------


def test_exit_code_and_both_outputs_come_back(transport: Transport) -> None:
    result = transport.run(["sh", "-c", "echo out; echo err >&2; exit 3"], deadline=soon())
    assert (result.exit_code, result.stdout, result.stderr) == (3, b"out\n", b"err\n")
    assert result.device == transport.device
    with pytest.raises(CommandFailed) as caught:
        result.check()
    assert (caught.value.exit_code, caught.value.stderr_tail) == (3, "err\n")


def test_death_by_signal_is_minus_its_number(transport: Transport) -> None:
    assert transport.run(["sh", "-c", "kill -SEGV $$"], deadline=soon()).exit_code == -11


@pytest.mark.parametrize(
    "text", ["a b", "$HOME `id` $(id)", "'\"\\", "x;y|z&", "two\nlines", "é日", ""]
)
def test_arguments_arrive_as_they_are(transport: Transport, text: str) -> None:
    result = transport.run([*PRINT_ARGUMENTS, text, "-n"], deadline=soon())
    assert result.text == f"<{text}><-n>"


def test_stdin_arrives_and_without_it_there_is_none(transport: Transport) -> None:
    content = bytes(range(256)) * 4000
    assert transport.run(["cat"], deadline=soon(), stdin=content).stdout == content
    assert transport.run(["cat"], deadline=soon()).stdout == b""


def test_much_output_on_both_pipes_is_whole(transport: Transport) -> None:
    result = transport.run(BOTH_PIPES, deadline=soon())
    assert result.stdout == b"o" * MEGABYTES_10
    assert result.stderr == b"e" * MEGABYTES_10


def test_no_such_program(transport: Transport) -> None:
    with pytest.raises(CommandNotFound) as caught:
        transport.run(["edgebench-no-such-program"], deadline=soon())
    assert caught.value.argv == ("edgebench-no-such-program",)


def test_a_command_past_its_deadline_is_a_timeout(transport: Transport) -> None:
    with pytest.raises(DeviceTimeout) as caught:
        transport.run(["sleep", "1000"], deadline=Deadline(0.2))
    assert caught.value.argv == ("sleep", "1000")


def test_stream_gives_lines_without_their_newline(transport: Transport) -> None:
    lines = list(transport.stream(["sh", "-c", "printf 'one\\n\\nthree'"], deadline=soon()))
    assert lines == [b"one", b"", b"three"]


def test_stream_ends_in_an_error_if_the_command_does(transport: Transport) -> None:
    stream = transport.stream(["sh", "-c", "echo out; echo err >&2; exit 3"], deadline=soon())
    assert next(stream) == b"out"
    with pytest.raises(CommandFailed) as caught:
        next(stream)
    assert (caught.value.exit_code, caught.value.stderr_tail) == (3, "err\n")


def test_stream_past_its_deadline_is_a_timeout(transport: Transport) -> None:
    with pytest.raises(DeviceTimeout):
        list(transport.stream(["sleep", "1000"], deadline=Deadline(0.2)))


@pytest.mark.parametrize("name", ["plain", "é $x'\";\n.bin", "-rf"])
def test_a_file_goes_there_and_back_whole(
    transport: Transport, on_device: str, tmp_path: Path, name: str
) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(3_000_001))
    transport.push(source, f"{on_device}/{name}", deadline=soon())
    transport.pull(f"{on_device}/{name}", tmp_path / "back" / name, deadline=soon())
    assert (tmp_path / "back" / name).read_bytes() == source.read_bytes()


def test_push_replaces_what_was_there(transport: Transport, on_device: str, tmp_path: Path) -> None:
    for content in (b"a long first version", b"second"):
        (tmp_path / "source").write_bytes(content)
        transport.push(tmp_path / "source", f"{on_device}/f", deadline=soon())
    transport.pull(f"{on_device}/f", tmp_path / "back", deadline=soon())
    assert (tmp_path / "back").read_bytes() == b"second"


def test_missing_files_are_named(transport: Transport, on_device: str, tmp_path: Path) -> None:
    with pytest.raises(PathMissing, match="nowhere"):
        transport.push(tmp_path / "nowhere", f"{on_device}/f", deadline=soon())
    with pytest.raises(PathMissing, match="nowhere"):
        transport.pull(f"{on_device}/nowhere", tmp_path / "back", deadline=soon())
    assert not (tmp_path / "back").exists()


# --- the local one: real processes -------------------------------------------


def names_in(directory: str) -> list[str]:
    return [path.name for path in Path(directory).iterdir()]


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return fields[0] not in "ZX"


def gone_soon(pid: int) -> bool:
    """A killed process may need a moment to be gone; a surviving one never is."""
    for _ in range(500):
        if not alive(pid):
            return True
        time.sleep(0.01)
    return False


def pids_in(path: Path) -> list[int]:
    for _ in range(1000):
        if path.exists() and len(pids := path.read_text().split()) == 2:
            return [int(pid) for pid in pids]
        time.sleep(0.01)
    raise AssertionError("the command did not start")


# A parent and a child that both ignore SIGTERM.
STUBBORN = 'trap "" TERM; (trap "" TERM; sleep 1000) & echo $$ $! > "$1"; wait; sleep 1000'


def test_a_timeout_ends_the_grandchildren_too(tmp_path: Path) -> None:
    with pytest.raises(DeviceTimeout):
        LocalTransport().run(
            ["sh", "-c", STUBBORN, "sh", str(tmp_path / "pids")], deadline=Deadline(2)
        )
    assert all(gone_soon(pid) for pid in pids_in(tmp_path / "pids"))


def test_a_timeout_keeps_what_stderr_said() -> None:
    with pytest.raises(DeviceTimeout) as caught:
        LocalTransport().run(["sh", "-c", "echo why >&2; sleep 1000"], deadline=Deadline(2))
    assert caught.value.stderr_tail == "why\n"


def test_closing_a_stream_ends_its_processes(tmp_path: Path) -> None:
    script = 'sleep 1000 & echo $$ $! > "$1"; while :; do echo line; sleep 0.05; done'
    stream = LocalTransport().stream(
        ["sh", "-c", script, "sh", str(tmp_path / "pids")], deadline=soon()
    )
    assert next(stream) == b"line"
    assert isinstance(stream, Iterator)
    stream.close()  # type: ignore[attr-defined]
    assert all(gone_soon(pid) for pid in pids_in(tmp_path / "pids"))


def test_a_stream_yields_while_the_command_runs(tmp_path: Path) -> None:
    go = tmp_path / "go"
    script = 'echo first; while [ ! -e "$1" ]; do sleep 0.01; done; echo second'
    stream = LocalTransport().stream(["sh", "-c", script, "sh", str(go)], deadline=soon())
    assert next(stream) == b"first"
    go.touch()
    assert list(stream) == [b"second"]


def test_a_stream_is_not_stopped_by_much_stderr() -> None:
    lines = list(LocalTransport().stream(BOTH_PIPES, deadline=soon()))
    assert lines == [b"o" * MEGABYTES_10]


def test_push_sets_the_mode_and_leaves_no_temporary_file(on_device: str, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"x")
    LocalTransport().push(tmp_path / "source", f"{on_device}/f", deadline=soon(), mode=0o555)
    assert Path(on_device, "f").stat().st_mode & 0o777 == 0o555
    assert names_in(on_device) == ["f"]


def test_a_full_disk_is_no_space_and_leaves_the_old_file(
    on_device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "source").write_bytes(b"new")
    Path(on_device).mkdir(parents=True)
    Path(on_device, "f").write_bytes(b"old")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(LocalTransport, "_digest", full)
    with pytest.raises(NoSpace):
        LocalTransport().push(tmp_path / "source", f"{on_device}/f", deadline=soon())
    assert names_in(on_device) == ["f"]
    assert Path(on_device, "f").read_bytes() == b"old"


def test_a_copy_that_differs_is_a_transfer_error(
    on_device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "source").write_bytes(b"x" * 1000)
    whole = LocalTransport._digest

    def lossy(self: LocalTransport, read: object, deadline: Deadline, **to: object) -> object:
        size, digest = whole(self, read, deadline, **to)  # type: ignore[arg-type]
        return (size, digest) if to else (size - 1, hashlib.sha256(b"y").hexdigest())

    monkeypatch.setattr(LocalTransport, "_digest", lossy)
    with pytest.raises(TransferError, match="1000 bytes, found 999"):
        LocalTransport().push(tmp_path / "source", f"{on_device}/f", deadline=soon())
    assert names_in(on_device) == []


def test_a_copy_past_its_deadline_is_a_timeout_and_leaves_nothing(
    on_device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "source").write_bytes(b"x" * 100)
    monkeypatch.setattr(local, "_CHUNK_BYTES", 1)
    now = iter(range(10_000))
    with pytest.raises(DeviceTimeout):
        LocalTransport().push(
            tmp_path / "source",
            f"{on_device}/f",
            deadline=Deadline(50, clock=lambda: float(next(now))),
        )
    assert names_in(on_device) == []


def test_what_the_system_refuses_is_permission_denied(tmp_path: Path) -> None:
    (tmp_path / "source").write_text("not a program")
    with pytest.raises(PermissionDenied):
        LocalTransport().run([str(tmp_path / "source")], deadline=soon())
    with pytest.raises((PermissionDenied, PathMissing)):
        LocalTransport().push(tmp_path / "source", "/proc/edgebench/f", deadline=soon())


@pytest.mark.parametrize("argv", [[], ["sh", "a\0b"], ["sh", "-c", ":", "x" * 10_000_000]])
def test_what_no_system_can_start_is_a_device_error(argv: list[str]) -> None:
    with pytest.raises(CommandFailed, match="cannot be started"):
        LocalTransport().run(argv, deadline=soon())


def test_directories_and_pipes_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for source in (tmp_path, tmp_path / "fifo"):
        with pytest.raises(PathMissing, match="not a file"):
            LocalTransport().pull(str(source), tmp_path / "back", deadline=soon())


def test_an_interrupt_ends_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        pids_in(tmp_path / "pids")
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess.Popen, "communicate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        LocalTransport().run(["sh", "-c", STUBBORN, "sh", str(tmp_path / "pids")], deadline=soon())
    assert all(gone_soon(pid) for pid in pids_in(tmp_path / "pids"))


# --- faults ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.DROP, DeviceOffline),
        (Fault.DROP_AFTER, DeviceOffline),
        (Fault.FREEZE, DeviceTimeout),
        (Fault.NO_SPACE, NoSpace),
    ],
)
def test_a_fault_strikes_its_call_and_no_other(
    transport: Transport, on_device: str, tmp_path: Path, fault: Fault, error: type[Exception]
) -> None:
    faulty = FaultyTransport(transport, {2: fault})
    (tmp_path / "source").write_bytes(b"content")
    push: Callable[[str], None] = lambda name: faulty.push(  # noqa: E731
        tmp_path / "source", f"{on_device}/{name}", deadline=soon()
    )
    push("first")
    with pytest.raises(error):
        push("second")
    push("third")
    arrived = fault is Fault.DROP_AFTER
    transport.pull(f"{on_device}/third", tmp_path / "third", deadline=soon())
    if arrived:
        transport.pull(f"{on_device}/second", tmp_path / "second", deadline=soon())
    else:
        with pytest.raises(PathMissing):
            transport.pull(f"{on_device}/second", tmp_path / "second", deadline=soon())


def test_a_truncated_transfer_is_silent(
    transport: Transport, on_device: str, tmp_path: Path
) -> None:
    faulty = FaultyTransport(transport, {1: Fault.TRUNCATE, 3: Fault.TRUNCATE})
    (tmp_path / "source").write_bytes(b"12345678")
    faulty.push(tmp_path / "source", f"{on_device}/f", deadline=soon())
    faulty.pull(f"{on_device}/f", tmp_path / "back", deadline=soon())
    assert (tmp_path / "back").read_bytes() == b"1234"
    assert faulty.run(["cat"], deadline=soon(), stdin=b"12345678").stdout == b"1234"
