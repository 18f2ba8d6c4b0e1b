"""Lists, refusals, and servers that are there, not there, or to be started."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from adbutils import adb_path
from hypothesis import given
from hypothesis import strategies as st

from devices.adb import AdbTransport
from devices.adb_server import AdbServer, is_address, list_devices
from devices.adb_states import parse_devices, refusal
from devices.deadline import Deadline
from devices.emulated.adbd_faults import FaultPort, Faults, Trigger, change_faults
from devices.errors import (
    CommandFailed,
    CommandNotFound,
    DeviceOffline,
    DeviceTimeout,
    PermissionDenied,
    TransferError,
    Unauthorized,
)
from tests.adb_phones import PrivateServer, ServedPhone, free_port

pytest_plugins = ("tests.adb_fixtures",)

LISTED = """\
R58M123ABC             device usb:1-4 product:beyond1ltexx model:SM_G973F device:beyond1 transport_id:3
192.168.1.20:5555      offline transport_id:7
ce0117              unauthorized usb:1-2 transport_id:4
0123456789ABCDEF       no permissions (missing udev rules? user is in the plugdev group); see \
[http://developer.android.com/tools/device.html] usb:1-1 transport_id:5
adb-R5-x._adb-tls-connect._tcp connecting transport_id:9
"""  # noqa: E501


def soon() -> Deadline:
    return Deadline(20)


def test_every_phone_of_a_list_is_told_with_what_to_do() -> None:
    phones = parse_devices(LISTED)
    assert [phone.serial for phone in phones] == [
        "R58M123ABC",
        "192.168.1.20:5555",
        "ce0117",
        "0123456789ABCDEF",
        "adb-R5-x._adb-tls-connect._tcp",
    ]
    assert (phones[0].model, phones[0].product, phones[0].device) == (
        "SM_G973F",
        "beyond1ltexx",
        "beyond1",
    )
    assert phones[0].usable
    assert phones[0].advice is None
    assert phones[1].model is None
    advice = [phone.advice or "" for phone in phones[1:]]
    assert "adb connect" in advice[0]
    assert "allow this computer" in advice[1]
    assert "udev" in advice[2]
    assert "wait" in advice[3]
    assert parse_devices("") == ()


@pytest.mark.parametrize("text", ["R58M", "R58M flying", "error: protocol fault", "\x00\x00"])
def test_a_list_that_is_none_is_an_error(text: str) -> None:
    with pytest.raises(TransferError, match="list of devices"):
        parse_devices(text)


@given(st.text(max_size=60))
def test_no_text_makes_the_list_parser_fail_otherwise(text: str) -> None:
    try:
        phones = parse_devices(text)
    except TransferError:
        return
    assert all(phone.serial.strip() for phone in phones)


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("device unauthorized.\nThis adb server's $ADB_VENDOR_KEYS is not set", Unauthorized),
        ("insufficient permissions for device: see udev rules", PermissionDenied),
        ("device still authorizing", DeviceOffline),
        ("device offline", DeviceOffline),
        ("closed", DeviceOffline),
        ("", DeviceOffline),
    ],
)
def test_a_refusal_is_a_typed_error(said: str, error: type[Exception]) -> None:
    found = refusal(said, "phone")
    assert type(found) is error
    assert "\n" not in found.message


@pytest.mark.parametrize(
    ("serial", "is_one"),
    [
        ("10.0.0.5:5555", True),
        ("phone.lan:37001", True),
        ("[fe80::1%eth0]:5555", True),
        ("R58M123ABC", False),
        ("usb:1-4", False),
        ("10.0.0.5:99999", False),
        ("10.0.0.5", False),
        ("adb-R5-x._adb-tls-connect._tcp", False),
        ("a b:5555", False),
    ],
)
def test_addresses_are_told_from_serials(serial: str, is_one: bool) -> None:
    assert is_address(serial) is is_one


def test_a_real_server_lists_phones_that_cannot_be_used_too(
    adb: PrivateServer, phones: Callable[..., ServedPhone]
) -> None:
    good, locked = phones(), phones(faults=Faults(unauthorized=True))
    good.transport.run(["true"], deadline=soon())
    with pytest.raises(Unauthorized):
        locked.transport.run(["true"], deadline=soon())
    found = {phone.serial: phone for phone in list_devices(adb.server, soon())}
    assert found[good.serial].model == "edgebench_emulated_phone"
    assert found[good.serial].usable
    assert found[locked.serial].state == "unauthorized"
    assert "allow this computer" in (found[locked.serial].advice or "")


# --- servers -----------------------------------------------------------------


def test_a_named_server_that_is_not_there_is_never_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def started(*_: object, **__: object) -> None:
        raise AssertionError("a server was started")

    monkeypatch.setattr(subprocess, "run", started)
    server = AdbServer(port=free_port())
    with pytest.raises(DeviceOffline, match="start-server"):
        list_devices(server, soon())
    with pytest.raises(DeviceOffline, match="start-server"):
        AdbTransport("phone", "serial", server=server).run(["true"], deadline=soon())


@pytest.fixture
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PrivateServer:
    """One that is not started, and that this process takes for the user's own."""
    server = PrivateServer(tmp_path / "home")
    for name, value in server.env.items():
        monkeypatch.setenv(name, value)
    return server


def test_the_users_own_server_is_started_when_it_is_needed(private: PrivateServer) -> None:
    try:
        assert list_devices(AdbServer(), soon()) == ()
        assert AdbServer().address == ("127.0.0.1", private.port)
    finally:
        subprocess.run([adb_path(), "kill-server"], check=False, capture_output=True, timeout=20)


@pytest.mark.parametrize("program", ["/nowhere/adb", ""])
def test_no_adb_program_is_told(
    private: PrivateServer, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    monkeypatch.setenv("ADBUTILS_ADB_PATH", program or os.devnull)
    with pytest.raises(CommandNotFound, match="ADBUTILS_ADB_PATH"):
        list_devices(AdbServer(), soon())


def test_a_server_that_does_not_start_is_told(
    private: PrivateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADBUTILS_ADB_PATH", "/bin/false")
    with pytest.raises(DeviceOffline, match="cannot be started"):
        list_devices(AdbServer(), soon())


def test_a_port_that_is_none_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", "adb")
    with pytest.raises(CommandFailed, match="no port"):
        list_devices(AdbServer(), soon())


def test_something_else_at_the_port_is_no_server(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve(answer: bytes) -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(100)
                connection.sendall(answer)
                if not answer:
                    connection.recv(1)

        server = AdbServer("127.0.0.1", listening.getsockname()[1])
        for answer, error in (
            (b"HTTP/1.1 400 Bad Request", TransferError),
            (b"OKAYzzzz", TransferError),
            (b"OKAY00ff", DeviceOffline),
        ):
            thread = threading.Thread(target=serve, args=(answer,), daemon=True)
            thread.start()
            with pytest.raises(error):
                list_devices(server, soon())
            thread.join(timeout=10)
        thread = threading.Thread(target=serve, args=(b"",), daemon=True)
        thread.start()
        with pytest.raises(DeviceTimeout):
            list_devices(server, Deadline(0.3))


# --- the emulator against the tool that everybody uses ------------------------


def test_the_adb_program_itself_gets_along_with_the_emulator(
    phone: ServedPhone, adb: PrivateServer, tmp_path: Path
) -> None:
    phone.transport.run(["true"], deadline=soon())

    def tool(*arguments: str) -> str:
        done = subprocess.run(
            [adb_path(), "-s", phone.serial, *arguments],
            env=adb.env,
            capture_output=True,
            timeout=30,
            check=False,
        )
        return f"{done.returncode} {done.stdout.decode()}{done.stderr.decode()}"

    assert tool("shell", "echo out; echo err >&2; exit 7") == "7 out\nerr\n"
    assert tool("exec-out", "printf x") == "0 x"
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    (tmp_path / "tree" / "a").write_bytes(os.urandom(200_000))
    (tmp_path / "tree" / "sub" / "b").write_text("b")
    (tmp_path / "tree" / "a").chmod(0o755)
    assert tool("push", str(tmp_path / "tree"), str(tmp_path / "there")).startswith("0 ")
    assert (tmp_path / "there" / "a").read_bytes() == (tmp_path / "tree" / "a").read_bytes()
    assert (tmp_path / "there" / "a").stat().st_mode & 0o777 == 0o777  # as adbd spreads it
    assert tool("pull", str(tmp_path / "there"), str(tmp_path / "back")).startswith("0 ")
    assert (tmp_path / "back" / "sub" / "b").read_text() == "b"
    assert "there" in tool("ls", str(tmp_path))
    assert tool("pull", str(tmp_path / "nothing"), str(tmp_path / "x")).startswith("1 ")
    phone.faults(full_after_bytes=1000)
    assert "No space left" in tool("push", str(tmp_path / "tree" / "a"), str(tmp_path / "c"))
    assert not (tmp_path / "c").exists()
    assert tool("get-state") == "0 device\n"
    assert tool("jdwp").startswith("1 ")  # a service that the emulator does not have


def test_faults_can_be_changed_from_another_process(phone: ServedPhone) -> None:
    phone.transport.run(["true"], deadline=soon())
    port = phone.daemon.start_fault_port()
    now = change_faults(port, trigger=Trigger("drop", "shell"), crlf=True)
    assert now["crlf"]
    assert now["trigger"]["action"] == "drop"
    with pytest.raises(DeviceOffline):
        phone.transport.run(["true"], deadline=soon())
    assert change_faults(port)["trigger"] is None
    for wrong in ({"wings": True}, {"trigger": {"action": "explode"}}, {"trigger": {"a": 1}}):
        with pytest.raises(ValueError, match="fault"):
            change_faults(port, **wrong)


def test_a_fault_port_answers_nonsense_with_an_error(phone: ServedPhone) -> None:
    port = FaultPort(phone.daemon.faults)
    number = port.start()
    try:
        with (
            socket.create_connection(("127.0.0.1", number), timeout=10) as connection,
            connection.makefile("rwb") as lines,
        ):
            for line in (b"nonsense\n", b"[]\n", b'{"crlf": true}\n'):
                lines.write(line)
            lines.flush()
            said = [lines.readline() for _ in range(3)]
        assert [b"error" in line for line in said] == [True, True, False]
    finally:
        port.stop()
