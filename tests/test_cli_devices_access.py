"""`edgebench devices trust, unlock, emulate`, and the devices.toml of `init`."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.cli.init import DEVICES
from bench.cli.main import main
from devices.connect import connect
from devices.controls import CONTROLS, apply_controls, check_controls
from devices.deadline import Deadline
from devices.device import LEASE_PLACES
from devices.emulated.phone import EmulatedPhone
from devices.emulated.server import PrivateAdbServer
from devices.errors import Unsupported
from devices.host_keys import fetch
from devices.inventory import DeviceEntry, parse_inventory, read_inventory
from devices.journal import Change
from devices.lease import Lease, Owner, look
from devices.local import LocalTransport
from tests.lab import Lab
from tests.sshd import Sshd

pytest_plugins = ("tests.ssh_fixtures",)

OWNER = Owner("anna", "lab-pc", 4242, "run 01J", "ab" * 16)


class Terminal(io.StringIO):
    """Somebody who types at a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Lab:
    # Nothing here asks adb: the port is one that nobody has.
    return Lab(tmp_path, monkeypatch, capsys, 1)


def typed(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(text))
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)


# trust


@pytest.fixture
def known(lab: Lab) -> Path:
    """The user's known_hosts, by the user's own configuration."""
    home = lab.directory / "home" / ".ssh"
    home.mkdir(parents=True)
    return home / "known_hosts"


@pytest.fixture
def host(sshd: Sshd, lab: Lab, known: Path) -> str:
    lab.inventory(
        f'[[device]]\nname = "pi4"\nkind = "linux"\nhost = "127.0.0.1"\nport = {sshd.port}\n'
    )
    return f"127.0.0.1:{sshd.port}"


def test_trust_shows_the_fingerprint_and_adds_the_key(
    lab: Lab, sshd: Sshd, host: str, known: Path
) -> None:
    fingerprint = fetch(sshd.address, Deadline(60)).fingerprint
    said = lab.run("trust", "pi4", "--yes")
    assert said.code == 0, said.err
    assert f"ssh-ed25519 {fingerprint}" in said.out
    assert "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub" in said.out
    assert known.read_text().startswith(f"[127.0.0.1]:{sshd.port} ssh-ed25519 ")
    before = known.read_bytes()
    again = lab.run("trust", host)
    assert again.code == 0
    assert "is known by" in again.out
    assert known.read_bytes() == before


def test_nothing_is_trusted_unasked(lab: Lab, host: str, known: Path) -> None:
    said = lab.run("trust", host)
    assert said.code == 2
    assert "--yes" in said.err
    assert not known.exists()


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 2), ("\n", 2)])
def test_a_person_decides(
    lab: Lab, host: str, known: Path, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    typed(monkeypatch, answer)
    assert lab.run("trust", host).code == code
    assert known.exists() == (code == 0)


def test_a_changed_key_is_never_replaced(lab: Lab, sshd: Sshd, host: str, known: Path) -> None:
    other = (sshd.directory / "id_ed25519.pub").read_text().split()
    known.write_text(f"[127.0.0.1]:{sshd.port} {other[0]} {other[1]}\n")
    before = known.read_bytes()
    said = lab.run("trust", host, "--yes")
    assert said.code == 3
    assert "shows another key than before" in said.err
    assert "ssh-keygen -R" in said.err
    assert known.read_bytes() == before


def test_the_list_says_what_to_do_about_a_board_that_is_not_trusted(
    lab: Lab, host: str, known: Path
) -> None:
    # No adb server is needed, so none is asked for long.
    lab.set({"ADBUTILS_ADB_PATH": "/nowhere/adb"})
    told = json.loads(lab.run("--json").out)
    (_, board) = told["devices"]
    assert board["state"] == "unauthorized"
    assert "edgebench devices trust" in board["problem"]
    assert len(told["problems"]) == 1
    assert "no adb program" in told["problems"][0]


def test_a_host_that_is_not_there(lab: Lab, known: Path) -> None:
    said = lab.run("trust", "127.0.0.1:1")
    assert said.code == 3
    assert said.err.count("\n") == 1


# unlock


@pytest.fixture
def held(lab: Lab) -> Lease:
    """This machine, in use by somebody of another machine."""
    place = str(lab.directory / "lease")
    transport = LocalTransport("local")
    return Lease.acquire(transport, place, OWNER, deadline=Deadline(60), replay=lambda _: None)


def state(lab: Lab) -> object:
    return look(LocalTransport("local"), str(lab.directory / "lease"), deadline=Deadline(60))


def test_unlock_of_a_free_device(lab: Lab) -> None:
    said = lab.run("unlock", "local")
    assert said.code == 0
    assert "is free" in said.out


def test_a_live_lease_is_not_ended_unasked(lab: Lab, held: Lease) -> None:
    said = lab.run("unlock", "local")
    assert said.code == 2
    assert "in use by anna@lab-pc (process 4242, run 01J)" in said.out
    assert "--yes" in said.err
    held.renew(deadline=Deadline(60))


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 2)])
def test_a_person_may_end_it(
    lab: Lab, held: Lease, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    typed(monkeypatch, answer)
    assert lab.run("unlock", "local").code == code
    assert (state(lab) is None) == (code == 0)


def test_what_cannot_be_put_back_is_told_and_stays(lab: Lab, held: Lease) -> None:
    change = Change("hyperspace", "deck 5", "off", "on")
    held.journal.record([change], deadline=Deadline(60))
    said = lab.run("unlock", "local", "--yes")
    assert said.code == 3
    assert "hyperspace of deck 5: not put back" in said.out
    told = lab.run("unlock", "local")  # nobody has it any more, so nobody is asked
    assert told.code == 3
    assert "1 things" not in told.out
    assert "1 change not put back" in told.out


@pytest.fixture
def phone() -> Iterator[EmulatedPhone]:
    made = EmulatedPhone("android-13", "left-changed")
    try:
        made.start()
    except Unsupported as error:
        made.stop()
        pytest.skip(str(error))
    yield made
    made.stop()


def test_unlock_puts_a_phone_back_as_it_was(lab: Lab, phone: EmulatedPhone) -> None:
    with PrivateAdbServer() as private:
        private.connect(phone.address, Deadline(20))
        lab.inventory(
            f'[[device]]\nname = "phone"\nkind = "android"\nserial = "{phone.address}"\n'
            f'adb_host = "127.0.0.1"\nadb_port = {private.port}\nsimulated = true\n'
        )
        lab.set({"ANDROID_ADB_SERVER_PORT": str(private.port)})
        entry = read_inventory(lab.directory / "devices.toml").entries["phone"]
        device = connect(entry)
        lease = Lease.acquire(
            device.transport,
            device.lease_place,
            OWNER,
            deadline=Deadline(60),
            replay=lambda _: None,
        )
        found = phone.state.setting("global", "window_animation_scale")
        apply_controls(
            device.transport,
            "android",
            True,
            {"animations": "off"},
            lease.journal,
            deadline=Deadline(60),
        )
        assert phone.state.setting("global", "window_animation_scale") != found
        (told,) = (d for d in json.loads(lab.run("--json").out)["devices"] if d["name"] == "phone")
        assert told["state"] == "in use"
        assert told["lease"]["pending"]
        said = lab.run("unlock", "phone", "--yes")
        assert said.code == 0, said.out + said.err
        assert "put back" in said.out
        assert phone.state.setting("global", "window_animation_scale") == found
        assert "is free" in lab.run("unlock", "phone").out


# provision


@pytest.fixture
def board(lab: Lab, sshd: Sshd, known: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The work directory of an SSH board, which is this machine with a lease of its own."""
    monkeypatch.setitem(LEASE_PLACES, "linux", str(lab.directory / "board lease"))
    known.write_text((sshd.directory / "known_hosts").read_text())
    workdir = lab.directory / "work"
    lab.inventory(
        f'[[device]]\nname = "pi4"\nkind = "linux"\nhost = "127.0.0.1"\nport = {sshd.port}\n'
        f'key = "{sshd.key}"\nworkdir = "{workdir}"\n'
    )
    return workdir


def test_there_may_be_nothing_to_take_away(lab: Lab, board: Path) -> None:
    said = lab.run("provision", "pi4", "--remove")
    assert said.code == 0, said.err
    assert "nothing was there" in said.out


def test_wheels_that_cannot_be_had_are_one_line(lab: Lab, board: Path) -> None:
    empty = lab.directory / "empty"
    empty.mkdir()
    said = lab.run("provision", "pi4", "--wheels", str(empty))
    assert said.code == 3
    assert "edgebench: " in said.err
    assert "Traceback" not in said.err
    assert not (board / "venv").exists()
    place = str(lab.directory / "board lease")
    assert look(LocalTransport("pi4"), place, deadline=Deadline(60)) is None


def test_a_board_in_use_is_not_provisioned(lab: Lab, board: Path) -> None:
    place = str(lab.directory / "board lease")
    transport = LocalTransport("pi4")
    Lease.acquire(transport, place, OWNER, deadline=Deadline(60), replay=lambda _: None)
    said = lab.run("provision", "pi4")
    assert said.code == 3
    assert "in use by anna@lab-pc" in said.err


def test_only_boards_are_provisioned(lab: Lab) -> None:
    said = lab.run("provision", "local")
    assert said.code == 2
    assert "provision is for boards" in said.err


def test_the_doctor_and_the_list_of_a_board(lab: Lab, board: Path) -> None:
    said = lab.run("doctor", "pi4")
    # The interpreter that provision would make is not there.
    assert said.code == 3
    assert "FAILURE  runtime" in said.out
    assert "devices provision" in said.out
    assert not board.exists()
    facts = json.loads(lab.run("facts", "--json", "pi4").out)
    assert facts["devices"]["pi4"]["kind"] == "linux"


# emulate


# Whoever runs the tests in the background has Ctrl-C ignored, and children inherit that.
EMULATE = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from bench.cli.main import entry
entry()
"""


@pytest.fixture
def emulation(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [
            *(sys.executable, "-P", "-c", EMULATE),
            *("devices", "emulate", "--phones", "2", "--profile", "android-12"),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    yield process
    process.kill()
    process.wait()
    for stream in (process.stdout, process.stderr):
        if stream:
            stream.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_emulated_phones_until_ctrl_c(
    lab: Lab, emulation: subprocess.Popen[str], tmp_path: Path, number: int
) -> None:
    assert emulation.stdout is not None
    assert emulation.stderr is not None
    printed = ""
    while "Ctrl-C" not in printed:
        line = emulation.stdout.readline()
        if not line:
            error = emulation.stderr.read()
            if "namespaces" in error or "needs" in error:
                pytest.skip(error)
            raise AssertionError(error)
        printed += line
    entries = tomllib.loads(printed)["device"]
    assert [entry["name"] for entry in entries] == ["android-12-1", "android-12-2"]
    assert all(entry["simulated"] for entry in entries)
    lab.set({"ANDROID_ADB_SERVER_PORT": str(entries[0]["adb_port"])})
    lab.inventory(printed)
    told = json.loads(lab.run("--json").out)["devices"]
    assert {d["name"]: d["state"] for d in told} == {
        "local": "free",
        "android-12-1": "free",
        "android-12-2": "free",
    }
    homes = re.findall(r"to change: (.+)", printed)
    assert len(homes) == 2
    assert all(Path(home, "state").is_dir() for home in homes)
    emulation.send_signal(number)
    assert emulation.wait(30) == 0
    assert not any(Path(home).exists() for home in homes)
    assert not list(tmp_path.glob("edgebench-*"))


# init


def test_init_writes_an_inventory_beside_the_plan(lab: Lab) -> None:
    (lab.directory / "sub").mkdir()
    assert main(["init", "sub/edgebench.toml"]) == 0
    written = lab.directory / "sub" / "devices.toml"
    assert written.read_text() == DEVICES
    assert list(parse_inventory(tomllib.loads(DEVICES)).entries) == ["local"]


def test_init_leaves_an_inventory_that_is_there(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    lab.inventory("# mine\n")
    assert main(["init"]) == 0
    assert "devices.toml" not in capsys.readouterr().out
    assert (lab.directory / "devices.toml").read_text() == "# mine\n"


def test_what_the_inventory_shows_is_true() -> None:
    """Its examples are read once the comment signs are gone."""
    lines = [line.removeprefix("# ") for line in DEVICES.splitlines()]
    text = "\n".join(line for line in lines if re.match(r"\[\[|[a-z_]+ = ", line))
    known = parse_inventory(tomllib.loads(text))
    assert list(known.entries) == ["local", "pixel", "far-phone", "pi4"]
    for entry in known.entries.values():
        check_controls(entry.controls)


def test_the_page_knows_every_key_and_control() -> None:
    page = (Path(__file__).parents[1] / "docs" / "devices.md").read_text()
    missing = [name for name in (*DeviceEntry.model_fields, *CONTROLS) if f"`{name}`" not in page]
    assert missing == []
