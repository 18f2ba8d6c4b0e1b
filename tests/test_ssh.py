"""SSH boards: what the contract suite cannot ask of every transport; a real sshd, real faults."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from devices import ssh_link
from devices.deadline import Deadline
from devices.errors import (
    CommandFailed,
    CommandNotFound,
    DeviceOffline,
    DeviceTimeout,
    NoSpace,
    PathMissing,
    PermissionDenied,
    TransferError,
    TransientDeviceError,
)
from devices.ssh import SshTransport
from devices.ssh_call import Call
from devices.ssh_files import part_of
from tests.sshd import NOBODY, Proxy, Sshd, free_port, make_key

pytest_plugins = ("tests.ssh_fixtures",)

MEGABYTE = 1_000_000


def soon() -> Deadline:
    return Deadline(60)


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return fields[0] not in "ZX"


def gone_soon(pid: int) -> bool:
    for _ in range(1000):
        if not alive(pid):
            return True
        time.sleep(0.01)
    return False


def pids_in(path: Path, count: int = 2) -> list[int]:
    for _ in range(2000):
        if path.exists() and len(pids := path.read_text().split()) == count:
            return [int(pid) for pid in pids]
        time.sleep(0.01)
    raise AssertionError("the command did not start")


def when_there(path: Path, act: object) -> threading.Thread:
    """Act, in a thread, as soon as a command has written its pids."""

    def wait() -> None:
        pids_in(path)
        act()  # type: ignore[operator]

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


# A parent and a child that both ignore SIGTERM.
STUBBORN = 'trap "" TERM; (trap "" TERM; sleep 1000) & echo $$ $! > "$1"; wait; sleep 1000'


def stubborn(path: Path) -> list[str]:
    return ["sh", "-c", STUBBORN, "sh", str(path)]


# --- commands ------------------------------------------------------------------


def test_a_timeout_ends_the_whole_group_also_what_ignores_sigterm(
    board: SshTransport, tmp_path: Path
) -> None:
    board.connect(deadline=soon())
    with pytest.raises(DeviceTimeout):
        board.run(stubborn(tmp_path / "pids"), deadline=Deadline(2))
    assert all(gone_soon(pid) for pid in pids_in(tmp_path / "pids"))
    assert board.run(["echo", "next"], deadline=soon()).stdout == b"next\n"


def test_a_timeout_keeps_what_stderr_said(board: SshTransport) -> None:
    board.connect(deadline=soon())
    with pytest.raises(DeviceTimeout) as caught:
        board.run(["sh", "-c", "echo why >&2; sleep 1000"], deadline=Deadline(2))
    assert caught.value.stderr_tail == "why\n"


def test_closing_a_stream_ends_its_processes(board: SshTransport, tmp_path: Path) -> None:
    script = 'sleep 1000 & echo $$ $! > "$1"; while :; do echo line; sleep 0.05; done'
    argv = ["sh", "-c", script, "sh", str(tmp_path / "pids")]
    stream = board.stream(argv, deadline=soon())
    assert next(stream) == b"line"
    stream.close()  # type: ignore[attr-defined]
    assert all(gone_soon(pid) for pid in pids_in(tmp_path / "pids"))


def test_a_stream_yields_while_the_command_runs(board: SshTransport, tmp_path: Path) -> None:
    go = tmp_path / "go"
    script = 'echo first; while [ ! -e "$1" ]; do sleep 0.01; done; printf "\\n\\nlast\\n\\n"'
    stream = board.stream(["sh", "-c", script, "sh", str(go)], deadline=soon())
    assert next(stream) == b"first"
    go.touch()
    assert list(stream) == [b"", b"", b"last", b""]


def test_a_stream_is_not_stopped_by_much_stderr(board: SshTransport) -> None:
    script = "head -c 10000000 /dev/zero >&2; echo over >&2; echo out; exit 3"
    stream = board.stream(["sh", "-c", script], deadline=soon())
    assert next(stream) == b"out"
    with pytest.raises(CommandFailed) as caught:
        next(stream)
    assert caught.value.exit_code == 3
    assert caught.value.stderr_tail.endswith("over\n")


def test_what_a_child_in_the_background_still_writes_is_waited_for(board: SshTransport) -> None:
    script = "(sleep 0.5; echo late; echo late >&2) & echo first"
    result = board.run(["sh", "-c", script], deadline=soon())
    assert (result.exit_code, result.stdout, result.stderr) == (0, b"first\nlate\n", b"late\n")


def test_a_child_in_the_background_cannot_outlast_the_deadline(
    board: SshTransport, tmp_path: Path
) -> None:
    board.connect(deadline=soon())
    script = 'sleep 1000 & echo $! > "$1"; echo first'
    with pytest.raises(DeviceTimeout):
        board.run(["sh", "-c", script, "sh", str(tmp_path / "pid")], deadline=Deadline(2))
    assert all(gone_soon(pid) for pid in pids_in(tmp_path / "pid", 1))


def test_a_large_stdin_arrives_and_may_be_ignored(board: SshTransport) -> None:
    content = os.urandom(5 * MEGABYTE)
    assert board.run(["cat"], deadline=soon(), stdin=content).stdout == content
    assert board.run(["true"], deadline=soon(), stdin=content).exit_code == 0
    assert board.run(["head", "-c", "3"], deadline=soon(), stdin=content).stdout == content[:3]


@pytest.mark.parametrize(
    "program", ["/etc", "/etc/passwd", "/etc/hostname/x", "if", "A=1", "no such", "exit x"]
)
def test_what_is_no_program(board: SshTransport, program: str) -> None:
    if program == "if":
        assert board.run([program], deadline=soon()).exit_code == 127
        return
    with pytest.raises((CommandNotFound, PermissionDenied)):
        board.run([program], deadline=soon())


def test_a_builtin_cannot_end_the_shell_around_it(board: SshTransport) -> None:
    assert board.run(["exit", "3"], deadline=soon()).exit_code == 3


@pytest.mark.parametrize("argv", [[], ["sh", "a\0b"], ["sh", "-c", ":", "x" * 200_000]])
def test_what_no_shell_can_start_is_a_device_error(board: SshTransport, argv: list[str]) -> None:
    with pytest.raises(CommandFailed, match="cannot be started"):
        board.run(argv, deadline=soon())


def test_an_interrupt_ends_the_command(board: SshTransport, tmp_path: Path) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        thread = when_there(tmp_path / "pids", lambda: os.kill(os.getpid(), signal.SIGUSR1))
        with pytest.raises(KeyboardInterrupt):
            board.run(stubborn(tmp_path / "pids"), deadline=soon())
        thread.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert all(gone_soon(pid) for pid in pids_in(tmp_path / "pids"))


def test_another_thread_may_end_a_command(board: SshTransport, tmp_path: Path) -> None:
    def end() -> None:
        group = pids_in(tmp_path / "pids")[0]
        board.run(["kill", "-KILL", str(group)], deadline=soon())

    when_there(tmp_path / "pids", end)
    script = 'echo $$ $$ > "$1"; exec sleep 1000'
    argv = ["sh", "-c", script, "sh", str(tmp_path / "pids")]
    assert board.run(argv, deadline=soon()).exit_code == -9


def test_close_ends_the_call_of_another_thread(board: SshTransport, tmp_path: Path) -> None:
    when_there(tmp_path / "pids", board.close)
    with pytest.raises(DeviceOffline):
        board.run(stubborn(tmp_path / "pids"), deadline=soon())
    assert board.run(["true"], deadline=soon()).exit_code == 0
    assert all(gone_soon(pid) for pid in pids_in(tmp_path / "pids"))


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_many_calls_leave_neither_files_nor_threads_open(board: SshTransport) -> None:
    board.run(["true"], deadline=soon())
    before = open_files(), threading.active_count()
    for _ in range(20):
        board.run(["cat"], deadline=soon(), stdin=b"x")
    assert open_files() <= before[0]
    assert threading.active_count() <= before[1]


# --- start-up files and accounts ------------------------------------------------


@pytest.fixture
def forced(sshd: Sshd) -> Iterator[SshTransport]:
    """Logs in with a key of its own, for which `authorized_keys` may say a command."""
    key = make_key(sshd.directory / "forced")
    transport = sshd.transport(replace(sshd.address, keys=(key,)))
    yield transport
    transport.close()


def force(sshd: Sshd, command: str) -> None:
    lines = (sshd.directory / "authorized_keys").read_text().splitlines()[:1]
    public = (sshd.directory / "forced.pub").read_text()
    quoted = command.replace('"', '\\"')
    lines.append(f'command="{quoted}" {public}')
    (sshd.directory / "authorized_keys").write_text("\n".join(lines))


def test_what_start_up_files_print_is_no_output(sshd: Sshd, forced: SshTransport) -> None:
    force(sshd, 'echo hello; echo hello >&2; eval "$SSH_ORIGINAL_COMMAND"')
    result = forced.run(["sh", "-c", "printf out; printf err >&2"], deadline=soon())
    assert (result.stdout, result.stderr) == (b"out", b"err")
    assert list(forced.stream(["printf", "a\nb"], deadline=soon())) == [b"a", b"b"]


def test_nothing_of_the_users_own_start_up_files_is_read(sshd: Sshd, board: SshTransport) -> None:
    home = board.run(["sh", "-c", 'printf %s "$HOME"'], deadline=soon()).stdout
    assert home == os.fsencode(sshd.directory)
    assert not any(name.startswith(".") for name in names_in(sshd.directory))


def test_a_command_that_its_login_shell_begins_too_late_does_nothing(
    sshd: Sshd, forced: SshTransport, tmp_path: Path
) -> None:
    # Goes on only when nobody listens any more, and is not ended by that.
    start_up = "trap '' PIPE; while printf x; do sleep 0.05; done 2> /dev/null"
    force(sshd, f'{start_up}; sh -c "$SSH_ORIGINAL_COMMAND"; touch {tmp_path}/over')
    forced.connect(deadline=soon())
    with pytest.raises(DeviceTimeout, match="login shell did not begin a command"):
        forced.run(["touch", f"{tmp_path}/done"], deadline=Deadline(1))
    for _ in range(2000):
        if (tmp_path / "over").exists():
            break
        time.sleep(0.01)
    assert names_in(tmp_path) == ["over"]


def test_an_account_that_runs_no_commands_says_so(sshd: Sshd, forced: SshTransport) -> None:
    force(sshd, "echo This account is not available; exit 1")
    with pytest.raises(CommandFailed, match="login shell did not run the command") as caught:
        forced.run(["true"], deadline=soon())
    assert caught.value.exit_code == 1


def test_a_login_shell_that_is_killed_may_be_asked_again(sshd: Sshd, forced: SshTransport) -> None:
    force(sshd, "kill -9 $$")
    with pytest.raises(TransientDeviceError, match="killed on the device"):
        forced.run(["true"], deadline=soon())


# --- lost links -----------------------------------------------------------------

# More than every buffer on the way takes.
NOISY = ["head", "-c", "20000000", "/dev/zero"]


@pytest.mark.parametrize("size", [2000, MEGABYTE, 19 * MEGABYTE])
def test_a_link_lost_while_output_comes_is_never_a_result(
    far_board: SshTransport, proxy: Proxy, size: int
) -> None:
    far_board.connect(deadline=soon())
    proxy.after(size, "down", "drop")
    with pytest.raises(DeviceOffline) as caught:
        far_board.run(NOISY, deadline=soon())
    assert caught.value.argv == tuple(NOISY)
    assert len(far_board.run(NOISY, deadline=soon()).stdout) == 20 * MEGABYTE


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_faults_at_random_lose_and_duplicate_nothing(
    far_board: SshTransport, proxy: Proxy, tmp_path: Path, seed: int
) -> None:
    """Each call gives the whole truth or a transient error; the next one after it works."""
    draw = random.Random(seed)
    content = draw.randbytes(3 * MEGABYTE)
    (tmp_path / "source").write_bytes(content)
    calls = {
        "run": lambda deadline: far_board.run(["cat"], deadline=deadline, stdin=content).stdout,
        "push": lambda deadline: far_board.push(
            tmp_path / "source", f"{tmp_path}/f", deadline=deadline
        ),
        "pull": lambda deadline: far_board.pull(
            f"{tmp_path}/source", tmp_path / "back", deadline=deadline
        ),
    }
    for _ in range(6):
        for path in (tmp_path / "f", tmp_path / "back"):
            path.unlink(missing_ok=True)
        name, way = draw.choice(list(calls)), draw.choice(["up", "down"])
        proxy.after(draw.randrange(4 * MEGABYTE), way, draw.choice(["drop", "freeze"]))
        try:
            result = calls[name](Deadline(draw.uniform(1, 3)))
        except TransientDeviceError:
            pass
        else:
            assert result in (None, content)
        for path in (tmp_path / "f", tmp_path / "back"):
            assert not path.exists() or path.read_bytes() == content
        proxy.thaw()
        result = calls[name](soon())
        assert result in (None, content)
        path = {"run": "source", "push": "f", "pull": "back"}[name]
        assert (tmp_path / path).read_bytes() == content


def test_a_link_lost_in_a_stream_is_no_end(far_board: SshTransport, proxy: Proxy) -> None:
    script = "echo 1; while :; do sleep 0.1; done"
    stream = far_board.stream(["sh", "-c", script], deadline=soon())
    assert next(stream) == b"1"
    proxy.drop()
    with pytest.raises(DeviceOffline):
        next(stream)


def test_a_command_left_behind_is_ended_once_there_is_a_link_again(
    far_board: SshTransport, proxy: Proxy, tmp_path: Path
) -> None:
    when_there(tmp_path / "pids", proxy.drop)
    with pytest.raises(DeviceOffline):
        far_board.run(stubborn(tmp_path / "pids"), deadline=soon())
    assert all(alive(pid) for pid in pids_in(tmp_path / "pids"))
    far_board.run(["true"], deadline=soon())
    assert all(gone_soon(pid) for pid in pids_in(tmp_path / "pids"))


def test_a_command_that_was_never_heard_of_is_ended_once_there_is_a_link_again(
    far_board: SshTransport, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    far_board.connect(deadline=soon())
    # The link is lost after the command has begun, before anything of it has come.
    monkeypatch.setattr(Call, "_drain", lambda *_: b"")
    when_there(tmp_path / "pids", proxy.drop)
    with pytest.raises(DeviceOffline):
        far_board.run(stubborn(tmp_path / "pids"), deadline=soon())
    monkeypatch.undo()
    assert all(alive(pid) for pid in pids_in(tmp_path / "pids"))
    far_board.run(["true"], deadline=soon())
    assert all(gone_soon(pid) for pid in pids_in(tmp_path / "pids"))


def test_a_killed_server_process_is_offline(sshd: Sshd) -> None:
    others = set(sshd.children())
    board = sshd.transport()
    board.connect(deadline=soon())
    mine = set(sshd.children()) - others
    assert mine
    threading.Timer(0.5, lambda: [os.kill(pid, signal.SIGKILL) for pid in mine]).start()
    with pytest.raises(DeviceOffline):
        board.run(["sleep", "1000"], deadline=soon())
    assert board.run(["true"], deadline=soon()).exit_code == 0
    board.close()


def test_a_killed_shell_is_told_from_a_lost_link(board: SshTransport) -> None:
    with pytest.raises(TransientDeviceError, match="was killed") as caught:
        board.run(["sh", "-c", "echo out; kill -KILL $PPID"], deadline=soon())
    assert type(caught.value) is TransientDeviceError


def test_a_link_that_died_unnoticed_is_made_anew(far_board: SshTransport, proxy: Proxy) -> None:
    far_board.connect(deadline=soon())
    proxy.drop()
    assert far_board.run(["echo", "x"], deadline=soon()).stdout == b"x\n"


# --- frozen links -----------------------------------------------------------------


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_frozen_link_is_a_timeout_and_works_again_after_it(
    far_board: SshTransport, proxy: Proxy, way: str
) -> None:
    far_board.connect(deadline=soon())
    proxy.after(MEGABYTE, way, "freeze")
    with pytest.raises(DeviceTimeout):
        far_board.run(["cat"], deadline=Deadline(1), stdin=bytes(20 * MEGABYTE))
    proxy.thaw()
    assert far_board.run(["echo", "x"], deadline=soon()).stdout == b"x\n"


def test_a_link_frozen_before_the_call(far_board: SshTransport, proxy: Proxy) -> None:
    far_board.connect(deadline=soon())
    proxy.freeze()
    with pytest.raises(DeviceTimeout):
        far_board.run(["true"], deadline=Deadline(1))
    with pytest.raises(DeviceTimeout):
        far_board.run(["true"], deadline=Deadline(1))


def test_a_board_that_is_silent_for_long_is_offline_before_the_deadline(
    far_board: SshTransport, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh_link, "KEEPALIVE_S", 0.2)
    monkeypatch.setattr(ssh_link, "SILENCE_S", 1.5)
    when_there(tmp_path / "pids", proxy.freeze)
    argv = ["sh", "-c", 'echo $$ $$ > "$1"; exec sleep 1000', "sh", str(tmp_path / "pids")]
    with pytest.raises(DeviceOffline):
        far_board.run(argv, deadline=Deadline(250))
    proxy.thaw()
    far_board.run(["true"], deadline=soon())
    assert all(gone_soon(pid) for pid in pids_in(tmp_path / "pids"))


@pytest.mark.slow
def test_a_command_without_output_is_not_silence(
    far_board: SshTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh_link, "KEEPALIVE_S", 0.2)
    monkeypatch.setattr(ssh_link, "SILENCE_S", 3.0)
    assert far_board.run(["sleep", "5"], deadline=soon()).exit_code == 0


def test_a_stopped_server_is_a_timeout(sshd: Sshd) -> None:
    os.kill(sshd.pid, signal.SIGSTOP)
    try:
        with pytest.raises(DeviceTimeout, match="no connection"):
            sshd.transport().run(["true"], deadline=Deadline(1.5))
        slow = replace(sshd.address, connect_timeout_s=1)
        with pytest.raises(DeviceOffline, match="no answer within 1 s"):
            sshd.transport(slow).run(["true"], deadline=soon())
    finally:
        os.kill(sshd.pid, signal.SIGCONT)


def test_nobody_listens(sshd: Sshd) -> None:
    address = replace(sshd.address, port=free_port())
    with pytest.raises(DeviceOffline, match="refused") as caught:
        sshd.transport(address).run(["true"], deadline=soon())
    assert caught.value.device == "board"


# --- files ------------------------------------------------------------------------


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_push_sets_the_mode_and_leaves_nothing_else(board: SshTransport, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"x")
    board.push(tmp_path / "source", f"{tmp_path}/d/f", deadline=soon(), mode=0o555)
    assert stat.S_IMODE((tmp_path / "d/f").stat().st_mode) == 0o555
    assert names_in(tmp_path / "d") == ["f"]


def test_names_of_any_bytes(board: SshTransport, tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff !%\\n\n'")
    (tmp_path / "source").write_bytes(b"content")
    board.push(tmp_path / "source", f"{tmp_path}/{name}", deadline=soon())
    assert (tmp_path / name).read_bytes() == b"content"
    board.pull(f"{tmp_path}/{name}", tmp_path / "back", deadline=soon())
    assert (tmp_path / "back").read_bytes() == b"content"


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 5 * MEGABYTE])
def test_files_of_every_size(board: SshTransport, tmp_path: Path, size: int) -> None:
    (tmp_path / "source").write_bytes(os.urandom(size))
    board.push(tmp_path / "source", f"{tmp_path}/f", deadline=soon())
    board.pull(f"{tmp_path}/f", tmp_path / "back", deadline=soon())
    assert (tmp_path / "back").read_bytes() == (tmp_path / "source").read_bytes()


def test_progress_ends_at_the_size(sshd: Sshd, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    transport = SshTransport(sshd.address, "board", secrets=NOBODY)
    (tmp_path / "source").write_bytes(bytes(MEGABYTE))
    transport.push(
        tmp_path / "source",
        f"{tmp_path}/f",
        deadline=soon(),
        on_progress=lambda sent, of: told.append((sent, of)),
    )
    transport.close()
    assert told == sorted(told)
    assert told[-1] == (MEGABYTE, MEGABYTE)
    assert len(told) > 5


def test_a_push_that_was_cut_off_goes_on_where_it_was(
    far_board: SshTransport, proxy: Proxy, tmp_path: Path
) -> None:
    content = os.urandom(8 * MEGABYTE)
    (tmp_path / "source").write_bytes(content)
    far_board.connect(deadline=soon())
    proxy.after(6 * MEGABYTE, "up", "drop")
    with pytest.raises(DeviceOffline):
        far_board.push(tmp_path / "source", f"{tmp_path}/d/f", deadline=soon())
    assert all(name.endswith(".part") for name in names_in(tmp_path / "d"))
    before = proxy.seen["up"]
    far_board.push(tmp_path / "source", f"{tmp_path}/d/f", deadline=soon())
    assert proxy.seen["up"] - before < 5 * MEGABYTE
    assert (tmp_path / "d/f").read_bytes() == content
    assert names_in(tmp_path / "d") == ["f"]


@pytest.mark.parametrize(
    ("fault", "size"),
    [("drop", 2000), ("drop", MEGABYTE), ("freeze", 0), ("freeze", 2000), ("freeze", MEGABYTE)],
)
def test_a_fault_in_a_push_leaves_the_old_file(
    far_board: SshTransport, proxy: Proxy, tmp_path: Path, fault: str, size: int
) -> None:
    (tmp_path / "source").write_bytes(os.urandom(3 * MEGABYTE))
    (tmp_path / "f").write_bytes(b"old")
    far_board.connect(deadline=soon())
    proxy.after(size, "up", fault)
    with pytest.raises((DeviceOffline, DeviceTimeout)):
        far_board.push(tmp_path / "source", f"{tmp_path}/f", deadline=Deadline(1.5))
    assert (tmp_path / "f").read_bytes() == b"old"
    proxy.thaw()
    far_board.push(tmp_path / "source", f"{tmp_path}/f", deadline=soon())
    assert (tmp_path / "f").read_bytes() == (tmp_path / "source").read_bytes()


@pytest.mark.parametrize("fault", ["drop", "freeze"])
def test_a_fault_in_a_pull_leaves_nothing(
    far_board: SshTransport, proxy: Proxy, tmp_path: Path, fault: str
) -> None:
    (tmp_path / "source").write_bytes(os.urandom(6 * MEGABYTE))
    far_board.connect(deadline=soon())
    proxy.after(3 * MEGABYTE, "down", fault)
    with pytest.raises((DeviceOffline, DeviceTimeout)):
        far_board.pull(f"{tmp_path}/source", tmp_path / "back/f", deadline=Deadline(1.5))
    assert names_in(tmp_path / "back") == []
    proxy.thaw()
    far_board.pull(f"{tmp_path}/source", tmp_path / "back/f", deadline=soon())
    assert (tmp_path / "back/f").read_bytes() == (tmp_path / "source").read_bytes()


def test_a_part_of_other_content_is_noticed_and_removed(
    board: SshTransport, tmp_path: Path
) -> None:
    content = os.urandom(1000)
    (tmp_path / "source").write_bytes(content)
    part = Path(part_of(f"{tmp_path}/f", hashlib.sha256(content).hexdigest()))
    part.write_bytes(b"other" * 10)
    with pytest.raises(TransferError, match="did not arrive whole"):
        board.push(tmp_path / "source", f"{tmp_path}/f", deadline=soon())
    assert names_in(tmp_path) == ["source"]
    board.push(tmp_path / "source", f"{tmp_path}/f", deadline=soon())
    assert (tmp_path / "f").read_bytes() == content


def test_a_part_longer_than_the_file_is_started_over(board: SshTransport, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"short")
    part = Path(part_of(f"{tmp_path}/f", hashlib.sha256(b"short").hexdigest()))
    part.write_bytes(b"much longer")
    board.push(tmp_path / "source", f"{tmp_path}/f", deadline=soon())
    assert (tmp_path / "f").read_bytes() == b"short"


def test_a_full_disk_is_no_space_and_leaves_the_old_file(
    board: SshTransport, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "edgebench", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("a small disk can be mounted by root only")
    try:
        (disk / "f").write_bytes(b"old")
        (tmp_path / "source").write_bytes(bytes(3 * MEGABYTE))
        with pytest.raises(NoSpace, match="No space left on device"):
            board.push(tmp_path / "source", f"{disk}/f", deadline=soon())
        assert names_in(disk) == ["f"]
        assert (disk / "f").read_bytes() == b"old"
        # The other way round: the disk of this machine is full.
        with pytest.raises(NoSpace):
            board.pull(f"{tmp_path}/source", disk / "back", deadline=soon())
        assert names_in(disk) == ["f"]
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_directories_and_pipes_are_no_files(board: SshTransport, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "source").write_bytes(b"x")
    (tmp_path / "d").mkdir()
    for path in (tmp_path / "d", tmp_path / "fifo"):
        with pytest.raises(PathMissing):
            board.pull(str(path), tmp_path / "back", deadline=soon())
        with pytest.raises(PathMissing, match="not a file"):
            board.push(path, f"{tmp_path}/f", deadline=soon())
    for target in (tmp_path / "d", tmp_path / "source/f"):
        with pytest.raises(PathMissing):
            board.push(tmp_path / "source", str(target), deadline=soon())
    assert names_in(tmp_path / "d") == []


def test_what_the_board_refuses_is_permission_denied(board: SshTransport, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"x")
    with pytest.raises(PermissionDenied):
        board.push(tmp_path / "source", "/sys/edgebench/f", deadline=soon())


@pytest.mark.slow
def test_a_slow_link_is_no_silent_one(
    far_board: SshTransport, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh_link, "KEEPALIVE_S", 0.5)
    monkeypatch.setattr(ssh_link, "SILENCE_S", 5.0)
    (tmp_path / "source").write_bytes(os.urandom(2 * MEGABYTE))
    far_board.connect(deadline=soon())
    proxy.bytes_per_s = 150_000
    far_board.push(tmp_path / "source", f"{tmp_path}/f", deadline=Deadline(120))
    assert (tmp_path / "f").read_bytes() == (tmp_path / "source").read_bytes()


# --- ways there ---------------------------------------------------------------------


def test_through_a_proxy_command(sshd: Sshd, tmp_path: Path) -> None:
    script = tmp_path / "through.py"
    script.write_text(
        "import os, socket, sys, threading\n"
        "link = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n"
        "def up():\n"
        "    while data := os.read(0, 65536): link.sendall(data)\n"
        "threading.Thread(target=up, daemon=True).start()\n"
        "while data := link.recv(65536): os.write(1, data)\n"
    )
    command = f"{sys.executable} {script} {sshd.port}"
    transport = sshd.transport(replace(sshd.address, proxy_command=command))
    content = bytes(MEGABYTE)
    assert transport.run(["cat"], deadline=soon(), stdin=content).stdout == content
    transport.close()


def test_a_proxy_command_that_fails_is_offline(sshd: Sshd) -> None:
    with pytest.raises(DeviceOffline):
        sshd.transport(replace(sshd.address, proxy_command="exit 1")).run(["true"], deadline=soon())
