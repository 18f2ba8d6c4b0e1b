"""`edgebench devices list, facts, doctor` as a user meets them, with real adb servers."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bench.cli import devices_emulate
from bench.cli.devices_rows import Row, row_of
from bench.cli.devices_table import table
from devices.adb_states import AdbDevice
from devices.deadline import Deadline
from devices.emulated.adbd import AdbDaemon
from devices.emulated.phone import EmulatedPhone
from devices.errors import Unsupported
from devices.inventory import DeviceEntry, parse_inventory
from devices.journal import Entry
from devices.lease import Lease, LeaseState, Owner
from devices.local import LocalTransport
from devices.roll_call import Spotted, match
from devices.survey import Seen
from tests.adb_phones import PlainPhone, PrivateServer, free_port
from tests.lab import Lab

OWNER = Owner("anna", "lab-pc", 4242, "run 01J", "ab" * 16)
OTHER_SERVER = ("192.0.2.1", 5038)


@pytest.fixture(scope="module")
def own_adb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateServer]:
    server = PrivateServer(tmp_path_factory.mktemp("adb"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def lab(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    own_adb: PrivateServer,
) -> Lab:
    return Lab(tmp_path, monkeypatch, capsys, own_adb.port)


@pytest.fixture
def plain(own_adb: PrivateServer) -> Iterator[Callable[[], AdbDaemon]]:
    """Makes phones that the server is connected to."""
    from devices.adb_server import ask, connect_phone

    made: list[tuple[AdbDaemon, str]] = []

    def make() -> tuple[AdbDaemon, str]:
        daemon = AdbDaemon(PlainPhone())
        serial = f"127.0.0.1:{daemon.start(port=free_port())}"
        made.append((daemon, serial))
        connect_phone(own_adb.server, serial, "phone", Deadline(20))
        own_adb.wait_for(serial, "device")
        return made[-1]

    yield make  # type: ignore[misc]
    for daemon, serial in made:
        daemon.stop()
        ask(own_adb.server, "adb", f"host:disconnect:{serial}", Deadline(5))


@pytest.fixture(scope="module")
def phone() -> Iterator[EmulatedPhone]:
    made = EmulatedPhone("android-13", "emulated-13")
    try:
        made.start()
    except Unsupported as error:
        made.stop()
        pytest.skip(str(error))
    yield made
    made.stop()


def android(name: str, serial: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "kind": "android", "serial": serial, **more}


# Who is there


def spotted(*devices: dict[str, Any], lists: Any) -> dict[str, Spotted]:
    found = match(parse_inventory({"device": list(devices)}), lists)
    return {item.entry.name: item for item in found}


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> tuple[str, int]:
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", "5999")
    return ("127.0.0.1", 5999)


def test_the_inventory_meets_what_adb_lists(own: tuple[str, int]) -> None:
    found = spotted(
        android("pixel", "A1"),
        android("tab", "192.0.2.7:5555"),
        android("far", "B2", adb_host=OTHER_SERVER[0], adb_port=OTHER_SERVER[1]),
        android("lost", "C3"),
        {"name": "pi4", "kind": "linux", "host": "pi4"},
        lists={
            own: (
                AdbDevice("A1", "unauthorized"),
                AdbDevice("B2", "device", "shiba", "Pixel_8"),
                AdbDevice("emulator-5554", "device"),
            ),
            OTHER_SERVER: (AdbDevice("B2", "offline"),),
        },
    )
    assert list(found) == ["local", "pixel", "tab", "far", "lost", "pi4", "B2", "emulator-5554"]
    assert {name: item.state for name, item in found.items()} == {
        "local": None,
        "pixel": "unauthorized",
        "tab": None,  # connected to when it is asked
        "far": "offline",
        "lost": "away",
        "pi4": None,
        "B2": "device",
        "emulator-5554": "device",
    }
    assert all((item.advice is None) == item.usable for item in found.values())
    assert not found["B2"].recorded
    assert found["B2"].entry.adb_host is None
    assert [n for n, item in found.items() if item.entry.simulated] == ["emulator-5554"]


def test_a_server_that_was_not_asked_makes_no_phone_away(own: tuple[str, int]) -> None:
    assert spotted(android("pixel", "A1"), lists={own: None})["pixel"].usable


def test_phones_of_another_server_are_reached_through_it(own: tuple[str, int]) -> None:
    found = spotted(lists={own: (), OTHER_SERVER: (AdbDevice("B2", "device"),)})
    entry = found["B2"].entry
    assert (entry.adb_host, entry.adb_port) == OTHER_SERVER


def test_odd_serial_numbers_still_make_names(own: tuple[str, int]) -> None:
    phones = tuple(AdbDevice(s, "device") for s in ("a/b=c", "all", "pixel", "local"))
    found = spotted(android("pixel", "A1"), lists={own: phones})
    assert list(found) == [
        "local",
        "pixel",
        "a_b_c",
        "all (adb)",
        "pixel (adb)",
        "local (adb)",
    ]


# The table


def drawn(*rows: Row, problems: tuple[str, ...] = (), width: int = 120, **options: Any) -> str:
    console = Console(width=width, no_color=True, force_terminal=False, legacy_windows=False)
    with console.capture() as capture:
        console.print(table(rows, problems, width=width, **options))
    return capture.get()


def row(name: str = "pixel", seen: Seen | None = None, **changes: Any) -> Row:
    entry = DeviceEntry(name=name, kind="android", serial="S", labels=("lab",))
    return replace(row_of(Spotted(entry, recorded=True), seen, None), **changes)


def state_of(seen: Seen | None) -> str:
    return row(seen=seen).state


def test_states() -> None:
    live = LeaseState(OWNER, True, 60, 90, ())
    assert state_of(None) == "not asked"
    assert state_of(Seen(reached=False, problem="x")) == "no answer"
    assert state_of(Seen(reached=True, lease=live)) == "in use"
    assert state_of(Seen(reached=True, problem="the lease cannot be read")) == "unclear"


def test_who_has_it_and_what_was_left_changed_is_said_below() -> None:
    live = LeaseState(OWNER, True, 600, 90, ())
    text = drawn(row("pixel", Seen(reached=True, lease=live)))
    assert "in use" in text
    assert "pixel: in use by anna@lab-pc (process 4242, run 01J) for 10 min" in text
    left = LeaseState(OWNER, False, 0, 0, (Entry("1", "governor", "p", "a", "b", "c"),))
    assert "left changed: governor" in drawn(row("pi", lease=left))
    assert OWNER.nonce not in json.dumps(row(lease=live).to_json())


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_keeps_its_width_and_says_everything(width: int) -> None:
    rows = [
        row(
            f"device-{number}",
            model="Google Pixel 8 Pro",
            soc="Google Tensor G3",
            system="Android 14",
            address="192.0.2.7:5555",
            temperature_c=31.0,
            battery_percent=80,
            charging=True,
            simulated=number == 2,
        )
        for number in range(3)
    ]
    text = drawn(*rows, width=width)
    assert max(map(len, text.splitlines())) <= width
    flat = " ".join(text.split())
    for word in ("device-0", "Google Pixel 8 Pro", "Android 14", "31 °C", "80 % +", "lab"):
        assert word in flat
    assert text.count("simulated") == 1


def test_what_no_device_has_takes_no_column() -> None:
    assert "battery" not in drawn(row())
    assert "labels" not in drawn(row(labels=()))


def test_names_and_messages_are_data() -> None:
    evil = row("[red]\u202eevil", problem="\x1b[2J[bold]x", model="a\nb")
    text = drawn(evil, problems=("\x1b]0;x",))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "[red]" in text
    assert "[bold]x" in text


def test_an_ascii_terminal() -> None:
    text = drawn(row("küche", temperature_c=31.0), ascii_only=True)
    assert text.isascii()
    assert "31 C" in text
    assert "k\\xfcche" in text


# Whole commands


def test_list_of_a_lab_with_everything(
    lab: Lab, own_adb: PrivateServer, plain: Callable[[], tuple[AdbDaemon, str]]
) -> None:
    daemon, shut = plain()
    _, stranger = plain()
    daemon.faults.change({"unauthorized": True})
    own_adb.wait_for(shut, "unauthorized")
    lab.inventory(
        f'[[device]]\nname = "shut"\nkind = "android"\nserial = "{shut}"\nlabels = ["lab"]\n'
        '[[device]]\nname = "away"\nkind = "android"\nserial = "R58M"\n'
        '[[device]]\nname = "board"\nkind = "linux"\nhost = "127.0.0.1"\nport = 1\n'
    )
    said = lab.run()
    assert said.code == 0
    assert "unauthorized" in said.out
    assert "unlock the phone" in said.out
    assert "Not in devices.toml:" in said.out
    told = json.loads(lab.run("list", "--json").out)
    assert told["schema"] == "edgebench-devices/1"
    states = {device["name"]: device["state"] for device in told["devices"]}
    assert states == {
        "local": "free",
        "shut": "unauthorized",
        "away": "away",
        "board": "no answer",
        stranger: "free",
    }
    quick = json.loads(lab.run("--json", "--no-probe").out)
    assert {d["state"] for d in quick["devices"]} == {"not asked", "unauthorized", "away"}
    daemon.faults.change({"unauthorized": False})


def test_a_device_in_use_is_asked_nothing_more(lab: Lab) -> None:
    transport = LocalTransport("local")
    place = str(lab.directory / "lease")
    held = Lease.acquire(transport, place, OWNER, deadline=Deadline(60), replay=lambda _: None)
    (device,) = json.loads(lab.run("--json").out)["devices"]
    assert device["state"] == "in use"
    assert device["lease"]["owner"]["user"] == "anna"
    assert device["system"] is None
    assert OWNER.nonce not in json.dumps(device)
    said = lab.run("facts", "local")
    assert said.code == 3
    assert "in use by anna@lab-pc" in said.out
    assert lab.run("doctor", "local").code == 0
    held.release(deadline=Deadline(60))
    assert json.loads(lab.run("--json").out)["devices"][0]["state"] == "free"


def test_facts_are_stored_and_shown_while_a_device_is_away(
    lab: Lab, own_adb: PrivateServer, phone: EmulatedPhone
) -> None:
    lab.inventory(
        f'[[device]]\nname = "mine"\nkind = "android"\nserial = "{phone.address}"\n'
        "simulated = true\nshares_controller = true\n"
    )
    assert lab.run("facts", "soc=sim1300").code == 2
    said = lab.run("facts", "mine")
    assert said.code == 0
    assert "edgebench (simulated) sim1300" in said.out
    assert "mine" in lab.run("facts", "soc=sim1300").out
    told = json.loads(lab.run("facts", "--json", "mine").out)
    assert told["devices"]["mine"]["android"]["sdk"] == 33
    phone.power_cut()
    try:
        (_, mine) = json.loads(lab.run("--json").out)["devices"]
        assert mine["soc"] == "edgebench (simulated) sim1300"
        assert mine["facts_stored"]
        assert mine["state"] != "free"
        assert mine["temperature_c"] is None
        failed = lab.run("facts", "mine")
        assert failed.code == 3
    finally:
        phone.boot()


def test_the_doctor_of_a_phone(lab: Lab, phone: EmulatedPhone) -> None:
    tool = lab.directory / "benchmark_model"
    tool.touch()
    entry = (
        f'[[device]]\nname = "mine"\nkind = "android"\nserial = "{phone.address}"\n'
        f'tool = "{tool}"\n'
    )
    lab.inventory(entry + "simulated = true\n")
    said = lab.run("doctor", "mine")
    assert said.code == 0, said.out
    assert "All can be measured on" in said.out
    found = json.loads(lab.run("doctor", "--json", "mine").out)["devices"]["mine"]
    assert {item["check"] for item in found} >= {"battery", "temperature", "link", "runtime"}

    phone.state.set_battery(percent=7)
    phone.state.set_thermal_status(3)
    warned = lab.run("doctor", "mine")
    assert warned.code == 0
    assert "7 %" in warned.out
    assert "severe" in warned.out
    phone.state.set_battery(percent=85)
    phone.state.set_thermal_status(0)

    lab.inventory(entry)  # nobody says that it is simulated
    lied = lab.run("doctor", "mine")
    assert lied.code == 3
    assert "not marked as one" in lied.out

    lab.inventory(entry + 'simulated = true\nworkdir = "/sdcard/edgebench"\n')
    closed = lab.run("doctor", "mine")
    assert closed.code == 3
    assert "/sdcard/edgebench cannot be used" in closed.out
    assert phone.container.alive()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("facts", "nobody"), "no device 'nobody'"),
        (("doctor", "color=red"), "is no selector"),
        (("--devices", "missing.toml"), "no such file"),
        (("lsit",), "did you mean 'list'"),
        (("list", "--what"), "--what"),
        (("unlock", "nobody"), "no device 'nobody'"),
        (("trust", "local"), "no host key"),
        (("trust", "a b;c"), "not the name of a host"),
        (("trust", "host:99999"), "not a port"),
        (("emulate", "--profile", "ios-17"), "there is no profile"),
    ],
)
def test_bad_input_is_one_line(lab: Lab, arguments: tuple[str, ...], message: str) -> None:
    said = lab.run(*arguments)
    assert said.code == 2
    assert message in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""


def test_an_emulated_phone_is_printed_with_a_tool_to_measure_with() -> None:
    text = devices_emulate._entry("android-13-1", "127.0.0.1:7777", 5099)
    entry = parse_inventory(tomllib.loads(text)).entries["android-13-1"]
    assert entry.simulated
    assert entry.tool is not None
    assert Path(entry.tool).is_file()


def test_a_variable_that_is_no_port(lab: Lab) -> None:
    lab.set({"ANDROID_ADB_SERVER_PORT": "a lot"})
    said = lab.run()
    assert said.code == 2
    assert "ANDROID_ADB_SERVER_PORT" in said.err


def test_a_board_by_its_name_needs_no_adb(lab: Lab) -> None:
    lab.set({"ANDROID_ADB_SERVER_PORT": "a lot"})
    assert lab.run("facts", "local").code == 0


def test_help_of_every_command(lab: Lab) -> None:
    overview = lab.run("--help").out
    for verb in ("list", "facts", "doctor", "trust", "unlock", "emulate"):
        assert verb in overview
        assert "Usage: edgebench devices " + verb in lab.run(verb, "--help").out
