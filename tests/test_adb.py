"""The adb transport against a real adb server and an emulated phone that misbehaves."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.adb import AdbTransport
from devices.adb_shell import EXIT, STDERR, STDOUT, Command, Merged
from devices.deadline import Deadline
from devices.emulated.adbd_faults import Faults, Trigger
from devices.emulated.adbd_link import VERSION, VERSION_CHECKSUMS
from devices.errors import (
    CommandFailed,
    DeviceError,
    DeviceOffline,
    DeviceTimeout,
    NoSpace,
    PathMissing,
    PermissionDenied,
    TransferError,
    Unauthorized,
)
from tests.adb_phones import PrivateServer, ServedPhone

pytest_plugins = ("tests.adb_fixtures",)

SHORT_S = 1.0
# Says its number and its child's, then writes a line now and then for ever.
BUSY = 'sleep 1000 & echo $$ $! > "$1"; while :; do echo line; sleep 0.05; done'
Make = Callable[..., ServedPhone]


def soon() -> Deadline:
    return Deadline(30)


def alive(pid: int) -> bool:
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


def pids_in(path: Path) -> list[int]:
    for _ in range(1000):
        if path.exists() and len(pids := path.read_text().split()) == 2:
            return [int(pid) for pid in pids]
        time.sleep(0.01)
    raise AssertionError("the command did not start")


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(os.urandom(300_000))
    return path


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """A directory of the phone with one old file."""
    directory = tmp_path / "there"
    directory.mkdir()
    (directory / "f").write_bytes(b"old")
    return directory


# --- links that are lost -----------------------------------------------------


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("after_bytes", [0, 45, 5000])
def test_output_cut_by_a_lost_link_is_never_a_result(
    phones: Make, old: bool, after_bytes: int
) -> None:
    phone = phones(faults=Faults(no_shell_v2=old))
    phone.transport.run(["true"], deadline=soon())
    service = "exec" if old else "shell"
    phone.faults(trigger=Trigger("drop", service, after_bytes=after_bytes))
    argv = ["sh", "-c", "echo why >&2; yes | head -c 6000; exec sleep 1"]
    with pytest.raises(DeviceOffline) as caught:
        phone.transport.run(argv, deadline=soon())
    assert caught.value.argv == tuple(argv)
    assert caught.value.device == phone.transport.device
    assert phone.transport.run(["echo", "again"], deadline=soon()).stdout == b"again\n"


@pytest.mark.slow
@pytest.mark.parametrize("old", [False, True])
def test_the_last_bytes_are_proved_too(phones: Make, old: bool) -> None:
    phone = phones(faults=Faults(no_shell_v2=old))
    whole = phone.transport.run(["echo", "x"], deadline=soon())
    cut = 0
    for after_bytes in range(0, 400, 7):
        service = "exec" if old else "shell"
        phone.faults(trigger=Trigger("drop", service, after_bytes=after_bytes))
        try:
            result = phone.transport.run(["echo", "x"], deadline=soon())
        except DeviceOffline:
            cut += 1
            continue
        assert (result.exit_code, result.stdout, result.stderr) == (0, whole.stdout, b"")
        if phone.daemon.faults.now.trigger is not None:
            break  # longer than the whole answer
    assert cut > 5


def test_a_lost_exit_packet_is_a_lost_link(phone: ServedPhone) -> None:
    phone.faults(lose_exit=True)
    with pytest.raises(DeviceOffline, match="before the command ended"):
        phone.transport.run(["true"], deadline=soon())


def test_a_lost_link_ends_the_command(phone: ServedPhone, tmp_path: Path) -> None:
    phone.transport.run(["true"], deadline=soon())
    phone.faults(trigger=Trigger("drop", "shell", after_bytes=200))
    with pytest.raises(DeviceOffline):
        phone.transport.run(["sh", "-c", BUSY, "sh", str(tmp_path / "pids")], deadline=soon())
    assert all(gone_soon(pid) for pid in pids_in(tmp_path / "pids"))


def test_a_stream_cut_by_a_lost_link_raises(phone: ServedPhone, tmp_path: Path) -> None:
    phone.transport.run(["true"], deadline=soon())
    phone.faults(trigger=Trigger("drop", "shell", after_bytes=200))
    lines = []
    argv = ["sh", "-c", BUSY, "sh", str(tmp_path / "pids")]
    with pytest.raises(DeviceOffline):
        lines.extend(phone.transport.stream(argv, deadline=soon()))
    assert set(lines) <= {b"line"}


# --- phones that freeze ------------------------------------------------------


@pytest.mark.parametrize(
    ("service", "moment"), [("shell", "open"), ("shell", "to_host"), ("sync", "to_device")]
)
def test_a_frozen_phone_hangs_nobody(
    phone: ServedPhone, source: Path, there: Path, moment: str, service: str
) -> None:
    phone.transport.run(["true"], deadline=soon())
    phone.faults(trigger=Trigger("freeze", service, moment))
    started = time.monotonic()
    with pytest.raises(DeviceTimeout) as caught:
        phone.transport.push(source, str(there / "f"), deadline=Deadline(SHORT_S))
    assert time.monotonic() - started < 20  # it would hang for ever
    assert caught.value.device == phone.transport.device
    assert (there / "f").read_bytes() == b"old"
    # The phone hangs still; even the next call does not.
    with pytest.raises(DeviceTimeout):
        phone.transport.run(["true"], deadline=Deadline(SHORT_S))
    phone.faults(frozen=False)
    phone.transport.push(source, str(there / "f"), deadline=soon())
    assert (there / "f").read_bytes() == source.read_bytes()
    assert names_in(there) == ["f"]


def test_a_frozen_phone_hangs_no_pull(phone: ServedPhone, there: Path, tmp_path: Path) -> None:
    phone.transport.run(["true"], deadline=soon())
    phone.faults(trigger=Trigger("freeze", "sync"))
    with pytest.raises(DeviceTimeout):
        phone.transport.pull(str(there / "f"), tmp_path / "back", deadline=Deadline(SHORT_S))
    assert not list(tmp_path.glob("*back*"))
    assert not list(tmp_path.glob(".edgebench-*"))


def test_a_line_now_and_then_does_not_extend_the_deadline(
    phone: ServedPhone, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    with pytest.raises(DeviceTimeout) as caught:
        phone.transport.run(["sh", "-c", BUSY, "sh", str(pids)], deadline=Deadline(SHORT_S))
    assert caught.value.argv[0] == "sh"
    assert all(gone_soon(pid) for pid in pids_in(pids))


@pytest.mark.parametrize("old", [False, True])
def test_a_timeout_ends_what_ignores_the_hang_up(phones: Make, tmp_path: Path, old: bool) -> None:
    phone = phones(faults=Faults(no_shell_v2=old))
    script = 'trap "" HUP TERM; echo why >&2; sleep 1000 & echo $$ $! > "$1"; wait; sleep 1000'
    with pytest.raises(DeviceTimeout) as caught:
        phone.transport.run(
            ["sh", "-c", script, "sh", str(tmp_path / "pids")], deadline=Deadline(SHORT_S)
        )
    assert "why" in caught.value.stderr_tail
    assert all(gone_soon(pid) for pid in pids_in(tmp_path / "pids"))
    assert names_in(phone.scratch) == []


@pytest.mark.parametrize("old", [False, True])
def test_closing_a_stream_ends_its_processes(phones: Make, tmp_path: Path, old: bool) -> None:
    phone = phones(faults=Faults(no_shell_v2=old))
    stream = phone.transport.stream(
        ["sh", "-c", BUSY, "sh", str(tmp_path / "pids")], deadline=soon()
    )
    assert next(stream) == b"line"
    stream.close()  # type: ignore[attr-defined]
    assert all(gone_soon(pid) for pid in pids_in(tmp_path / "pids"))
    assert names_in(phone.scratch) == []


def test_an_interrupt_ends_the_command(
    phone: ServedPhone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids = tmp_path / "pids"
    received = Command.stdout

    def until_started(command: Command):  # type: ignore[no-untyped-def]
        for chunk in received(command):
            yield chunk
            if command.argv[-1] == str(pids) and pids.exists():
                raise KeyboardInterrupt

    monkeypatch.setattr(Command, "stdout", until_started)
    with pytest.raises(KeyboardInterrupt):
        phone.transport.run(["sh", "-c", BUSY, "sh", str(pids)], deadline=soon())
    assert all(gone_soon(pid) for pid in pids_in(pids))


class Scripted:
    """A connection that brings pieces, then nothing for as long as it has."""

    device = "phone"

    def __init__(self, pieces: list[bytes]) -> None:
        self.deadline = soon()
        self._pieces = pieces

    def wait(self, **_: bool) -> tuple[bool, bool]:
        return True, False

    def some(self) -> bytes:
        if not self._pieces:
            raise DeviceTimeout("no answer", device=self.device)
        return self._pieces.pop(0)


def packet(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + len(body).to_bytes(4, "little") + body


@pytest.mark.parametrize("cut", [8, 20, 1000])
def test_the_group_is_known_also_where_the_output_overtook_it(cut: int) -> None:
    sent = packet(STDOUT, b"out") + packet(STDERR, b"mark 1234\n")
    wire = Scripted([sent[:cut], sent[cut:]])
    command = Command(wire, ["x"], "mark", None, b"")  # type: ignore[arg-type]
    assert next(command.stdout()) == b"out"
    assert command.group is None
    assert command.wait_for_group(1) == 1234


def test_a_command_that_never_told_its_group_has_none() -> None:
    wire = Scripted([])
    command = Command(wire, ["x"], "mark", None, b"")  # type: ignore[arg-type]
    assert command.wait_for_group(1) is None


def test_a_shell_killed_within_its_first_mark_may_be_asked_again() -> None:
    wire = Scripted([packet(STDERR, b"ma"), packet(EXIT, bytes([137]))])
    command = Command(wire, ["x"], "mark", None, b"")  # type: ignore[arg-type]
    with pytest.raises(TransferError, match="killed"):
        command.answer(b"".join(command.stdout()))


# --- commands that end in unusual ways ---------------------------------------


@pytest.mark.parametrize("old", [False, True])
def test_the_low_memory_killer_is_minus_nine(phones: Make, old: bool) -> None:
    phone = phones(faults=Faults(no_shell_v2=old))
    killed = phone.transport.run(["sh", "-c", "echo out; kill -9 $$"], deadline=soon())
    assert (killed.exit_code, killed.stdout) == (-9, b"out\n")


def test_a_shell_that_is_killed_too_is_minus_nine(phone: ServedPhone) -> None:
    phone.transport.run(["true"], deadline=soon())
    phone.faults(trigger=Trigger("kill", "shell", after_bytes=60))
    argv = ["sh", "-c", "echo why >&2; echo out; sleep 1000"]
    killed = phone.transport.run(argv, deadline=soon())
    assert killed.exit_code == -9
    assert b"edgebench-" not in killed.stderr


def test_a_killed_shell_of_an_old_phone_is_no_result(phones: Make) -> None:
    phone = phones(faults=Faults(no_shell_v2=True))
    phone.transport.run(["true"], deadline=soon())
    phone.faults(trigger=Trigger("kill", "exec", after_bytes=20))
    with pytest.raises(DeviceOffline, match="killed"):
        phone.transport.run(["sh", "-c", "echo out; sleep 1000"], deadline=soon())


def test_a_command_need_not_read_its_stdin(phone: ServedPhone) -> None:
    content = bytes(5_000_000)
    assert phone.transport.run(["echo", "x"], deadline=soon(), stdin=content).stdout == b"x\n"


def test_a_command_too_long_for_adb_cannot_be_started(phone: ServedPhone) -> None:
    with pytest.raises(CommandFailed, match="cannot be started"):
        phone.transport.run(["true", "x" * 100_000], deadline=soon())
    for argv in ([], ["-c"], ["sh", "a\0b"]):
        with pytest.raises(CommandFailed, match="cannot be started"):
            phone.transport.run(argv, deadline=soon())


def test_a_terminals_line_ends_are_turned_back(phones: Make) -> None:
    phone = phones(faults=Faults(no_shell_v2=True, crlf=True, noise_after="not a mark\n"))
    argv = ["sh", "-c", r"printf 'a\r\nb\n\r'; printf '\r\n' >&2"]
    result = phone.transport.run(argv, deadline=soon())
    assert (result.stdout, result.stderr) == (b"a\r\nb\n\r", b"\r\n")


@given(st.data(), st.binary(max_size=80), st.binary(max_size=80), st.booleans())
def test_one_stream_is_taken_apart_wherever_it_is_cut(
    data: st.DataObject, stdout: bytes, stderr: bytes, crlf: bool
) -> None:
    merged = Merged("inner", "/tmp", has_stdin=False)
    word = merged.errors.rpartition("/.")[2].removesuffix(".err").encode()
    sent = b"%s 12\n%s\n%s errors\ninner 12\n%s\n%s end\n" % (word, stdout, word, stderr, word)
    if crlf:
        sent = sent.replace(b"\n", b"\r\n")
    sent = b"noise\r\n" + sent + b"\nmore noise\n"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=6)))
    got = {STDOUT: b"", STDERR: b""}
    for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True):
        for kind, piece in merged.feed(sent[start:end]):
            got[kind] += piece
    assert merged.whole
    assert got == {STDOUT: stdout, STDERR: b"inner 12\n" + stderr}


@given(st.integers(0, 200))
def test_one_stream_that_ends_early_is_never_whole(length: int) -> None:
    merged = Merged("inner", "/tmp", has_stdin=False)
    word = merged.errors.rpartition("/.")[2].removesuffix(".err").encode()
    sent = b"%s 12\nout\n%s errors\ninner 12\nerr\n%s end\n" % (word, word, word)
    list(merged.feed(sent[: min(length, len(sent) - 1)]))
    assert not merged.whole


def test_line_ends_changed_here_and_there_are_no_result() -> None:
    merged = Merged("inner", "/tmp", has_stdin=False)
    word = merged.errors.rpartition("/.")[2].removesuffix(".err").encode()
    sent = b"%s 12\r\na\nb\r\n\r\n%s errors\r\n" % (word, word)
    with pytest.raises(ValueError, match="line ends"):
        list(merged.feed(sent))


def test_a_full_disk_of_an_old_phone_is_no_space(phones: Make, source: Path) -> None:
    phone = phones(faults=Faults(no_shell_v2=True))
    transport = AdbTransport(
        "old", phone.serial, server=phone.private.server, scratch="/proc/edgebench"
    )
    with pytest.raises(NoSpace, match="cannot write"):
        transport.run(["true"], deadline=soon())


def test_both_versions_of_the_protocol_carry_the_same(phones: Make, source: Path) -> None:
    for version in (VERSION, VERSION_CHECKSUMS):
        phone = phones(version=version)
        result = phone.transport.run(["cat"], deadline=soon(), stdin=source.read_bytes())
        assert result.stdout == source.read_bytes()


# --- files -------------------------------------------------------------------


@pytest.mark.parametrize("mute", [False, True])
def test_a_full_disk_is_told_and_leaves_the_old_file(
    phone: ServedPhone, source: Path, there: Path, mute: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if mute:  # adbd keeps the reason to itself, and the phone is asked for it
        monkeypatch.setattr("devices.adb._TRY", "echo 'head: No space left on device' >&2; exit 1")
    phone.faults(full_after_bytes=100_000, mute_failures=mute)
    with pytest.raises(NoSpace, match="space"):
        phone.transport.push(source, str(there / "f"), deadline=soon())
    assert names_in(there) == ["f"]
    assert (there / "f").read_bytes() == b"old"


def test_a_failed_push_without_any_reason_is_a_transfer_error(
    phone: ServedPhone, source: Path, there: Path
) -> None:
    phone.faults(full_after_bytes=0, mute_failures=True)
    with pytest.raises(TransferError, match="no reason"):
        phone.transport.push(source, str(there / "f"), deadline=soon())
    assert names_in(there) == ["f"]


@pytest.mark.parametrize("fault", ["corrupt_push", "short_push"])
def test_bytes_that_change_in_a_push_are_found(
    phone: ServedPhone, source: Path, there: Path, fault: str
) -> None:
    phone.faults(**{fault: True})
    with pytest.raises(TransferError, match="did not arrive whole: sent 300000 bytes"):
        phone.transport.push(source, str(there / "f"), deadline=soon())
    assert names_in(there) == ["f"]
    assert (there / "f").read_bytes() == b"old"


def test_bytes_that_change_in_a_pull_are_found(
    phone: ServedPhone, there: Path, tmp_path: Path
) -> None:
    phone.faults(corrupt_pull=True)
    with pytest.raises(TransferError, match="did not arrive whole"):
        phone.transport.pull(str(there / "f"), tmp_path / "back" / "f", deadline=soon())
    assert names_in(tmp_path / "back") == []


@pytest.mark.parametrize("direction", ["to_device", "to_host"])
def test_a_link_lost_in_a_push_leaves_nothing(
    phone: ServedPhone, source: Path, there: Path, direction: str
) -> None:
    after_bytes = 100_000 if direction == "to_device" else 0
    phone.faults(trigger=Trigger("drop", "sync", direction, after_bytes))
    with pytest.raises(DeviceOffline):
        phone.transport.push(source, str(there / "f"), deadline=soon())
    assert (there / "f").read_bytes() == b"old"
    phone.transport.push(source, str(there / "f"), deadline=soon())
    assert (there / "f").read_bytes() == source.read_bytes()
    assert names_in(there) == ["f"]


def test_a_link_lost_in_a_pull_leaves_nothing(
    phone: ServedPhone, source: Path, tmp_path: Path
) -> None:
    phone.faults(trigger=Trigger("drop", "sync", after_bytes=100_000))
    with pytest.raises(DeviceOffline):
        phone.transport.pull(str(source), tmp_path / "back" / "f", deadline=soon())
    assert names_in(tmp_path / "back") == []


def test_what_a_phone_refuses_is_told(phone: ServedPhone, source: Path, tmp_path: Path) -> None:
    with pytest.raises((PermissionDenied, PathMissing)):
        phone.transport.push(source, "/proc/edgebench/f", deadline=soon())
    with pytest.raises(PathMissing, match="directory"):
        phone.transport.push(source, str(tmp_path), deadline=soon())
    with pytest.raises(PathMissing, match="not a file"):
        phone.transport.pull(str(tmp_path), tmp_path / "back", deadline=soon())
    assert not (tmp_path / "back").exists()
    with pytest.raises(CommandFailed, match="too long"):
        phone.transport.push(source, f"{tmp_path}/" + "d/" * 600 + "f", deadline=soon())


def test_push_sets_the_mode_and_tells_its_progress(
    phone: ServedPhone, source: Path, tmp_path: Path
) -> None:
    told: list[tuple[int, int]] = []
    phone.transport.push(
        source,
        str(tmp_path / "new" / "f"),
        deadline=soon(),
        mode=0o500,
        on_progress=lambda sent, total: told.append((sent, total)),
    )
    assert (tmp_path / "new" / "f").stat().st_mode & 0o777 == 0o500
    assert told[-1] == (300_000, 300_000)
    assert told == sorted(told)


def test_a_slow_link_is_a_timeout_and_leaves_nothing(
    phone: ServedPhone, source: Path, there: Path
) -> None:
    phone.transport.run(["true"], deadline=soon())
    phone.faults(bytes_per_s=100_000)
    with pytest.raises(DeviceTimeout):
        phone.transport.push(source, str(there / "f"), deadline=Deadline(SHORT_S))
    phone.faults(bytes_per_s=None)
    phone.transport.push(source, str(there / "f"), deadline=soon())
    assert names_in(there) == ["f"]


# --- phones that are not ready, servers that are gone -------------------------


def test_an_unauthorized_phone_says_what_to_do(phone: ServedPhone) -> None:
    phone.faults(unauthorized=True)
    with pytest.raises(Unauthorized, match="unlock the phone") as caught:
        phone.transport.run(["true"], deadline=soon())
    assert caught.value.argv == ("true",)
    with pytest.raises(Unauthorized, match="unlock the phone"):  # now the server lists it
        phone.transport.run(["true"], deadline=soon())
    phone.faults(unauthorized=False)  # somebody touched "allow"
    phone.private.wait_for(phone.serial, "device")
    phone.transport.run(["true"], deadline=soon())


def test_a_phone_that_never_greets_is_no_device(phone: ServedPhone) -> None:
    phone.transport.run(["true"], deadline=soon())
    phone.faults(offline=True)
    phone.private.wait_for(phone.serial, "offline", "connecting", None)
    with pytest.raises((DeviceOffline, DeviceTimeout)):
        phone.transport.run(["true"], deadline=Deadline(2 * SHORT_S))
    phone.faults(offline=False)
    phone.transport.run(["true"], deadline=soon())


def test_an_unplugged_phone_is_offline_and_comes_back(phone: ServedPhone) -> None:
    phone.transport.run(["true"], deadline=soon())
    phone.faults(unplugged=True)
    with pytest.raises(DeviceError) as caught:
        phone.transport.run(["true"], deadline=Deadline(2 * SHORT_S))
    assert isinstance(caught.value, (DeviceOffline, DeviceTimeout))
    phone.faults(unplugged=False)
    assert phone.transport.run(["echo", "x"], deadline=soon()).stdout == b"x\n"


def test_a_serial_that_is_not_there_is_told_with_what_is(phone: ServedPhone) -> None:
    phone.transport.run(["true"], deadline=soon())
    nobody = AdbTransport("mine", "R58M $(id) '\n", server=phone.private.server)
    with pytest.raises(DeviceOffline) as caught:
        nobody.run(["true"], deadline=soon())
    assert f"{phone.serial} (device)" in caught.value.message


def test_a_server_that_is_killed_costs_one_call(
    make_server: Callable[[], PrivateServer], tmp_path: Path
) -> None:
    private = make_server()
    phone = ServedPhone(private, tmp_path / "phone")
    try:
        stream = phone.transport.stream(
            ["sh", "-c", BUSY, "sh", str(tmp_path / "pids")], deadline=soon()
        )
        assert next(stream) == b"line"
        private.kill()
        with pytest.raises(DeviceOffline):
            list(stream)
        with pytest.raises(DeviceOffline, match="start-server"):
            phone.transport.run(["true"], deadline=soon())
        private.start()
        assert phone.transport.run(["echo", "x"], deadline=soon()).stdout == b"x\n"
        assert gone_soon(pids_in(tmp_path / "pids")[0])
    finally:
        phone.stop()


def test_phones_of_one_server_work_side_by_side(phones: Make, tmp_path: Path) -> None:
    made = [phones(faults=Faults(no_shell_v2=number == 1)) for number in range(3)]
    barrier = threading.Barrier(len(made))

    def work(number: int) -> list[bytes]:
        transport = made[number].transport
        content = bytes([number]) * 200_000
        (tmp_path / f"source-{number}").write_bytes(content)
        barrier.wait(timeout=30)
        said = []
        for turn in range(5):
            target = tmp_path / f"phone-{number}" / f"f{turn}"
            transport.push(tmp_path / f"source-{number}", str(target), deadline=soon())
            said.append(transport.run(["head", "-c", "1", str(target)], deadline=soon()).stdout)
        return said

    with ThreadPoolExecutor(len(made)) as pool:
        results = list(pool.map(work, range(len(made))))
    assert results == [[bytes([number])] * 5 for number in range(len(made))]


def test_one_phone_serves_several_threads(phone: ServedPhone) -> None:
    script = "import sys; sys.stdout.write(sys.argv[1] * 100000)"
    with ThreadPoolExecutor(4) as pool:
        results = list(
            pool.map(
                lambda letter: (
                    phone.transport.run(
                        [sys.executable, "-c", script, letter], deadline=soon()
                    ).stdout
                ),
                "abcd",
            )
        )
    assert results == [letter.encode() * 100_000 for letter in "abcd"]
