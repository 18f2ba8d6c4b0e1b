"""Where a board is: what was asked for over what ~/.ssh/config says."""

from __future__ import annotations

import getpass
from pathlib import Path

import pytest

from devices.ssh_config import SshAddress, resolve


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    return tmp_path


def write(home: Path, text: str) -> None:
    (home / ".ssh/config").write_text(text)


def test_without_a_configuration(home: Path) -> None:
    address = resolve("192.168.1.7")
    assert (address.host, address.user, address.port) == ("192.168.1.7", getpass.getuser(), 22)
    assert address.keys[0] == home / ".ssh/id_ed25519"
    assert address.known_hosts[0] == home / ".ssh/known_hosts"
    assert (address.jump, address.proxy_command) == (None, "")


def test_what_the_configuration_says(home: Path) -> None:
    write(
        home,
        "Host pi4\n HostName 10.0.0.4\n User pi\n Port 2222\n IdentityFile ~/.ssh/board\n"
        " IdentitiesOnly yes\n HostKeyAlias board-4\n ConnectTimeout 5\n"
        " UserKnownHostsFile ~/known\n GlobalKnownHostsFile none\n"
        "Host *\n User nobody\n",
    )
    assert resolve("pi4") == SshAddress(
        name="pi4",
        host="10.0.0.4",
        user="pi",
        port=2222,
        keys=(home / ".ssh/board",),
        identities_only=True,
        known_hosts=(home / "known",),
        host_key_alias="board-4",
        connect_timeout_s=5,
    )
    assert resolve("other").user == "nobody"


def test_what_is_asked_for_comes_first(home: Path) -> None:
    write(
        home,
        "Host pi4\n User pi\n Port 2222\n IdentityFile ~/.ssh/board\n"
        " ProxyCommand nc %h %p as %r\n",
    )
    address = resolve("pi4", user="me", port=24, key=Path("~/other"))
    assert (address.user, address.port, address.keys) == ("me", 24, (home / "other",))
    assert address.proxy_command == "nc pi4 24 as me"
    assert resolve("pi4", jump="none").proxy_command == ""


def test_jump_hosts_are_hosts_of_the_configuration(home: Path) -> None:
    write(
        home,
        "Host gate\n HostName gate.example\n User door\nHost pi4\n ProxyJump outer@first:24,gate\n",
    )
    last = resolve("pi4").jump
    assert last is not None
    assert (last.host, last.user, last.port) == ("gate.example", "door", 22)
    first = last.jump
    assert first is not None
    assert (first.host, first.user, first.port, first.jump) == ("first", "outer", 24, None)
    asked = resolve("pi4", jump="me@[::1]:25").jump
    assert asked is not None
    assert (asked.host, asked.user, asked.port) == ("::1", "me", 25)


def test_includes_stand_in_their_place(home: Path) -> None:
    (home / ".ssh/config.d").mkdir()
    (home / ".ssh/config.d/a").write_text("Host pi4\n User included\n")
    (home / ".ssh/config.d/b").write_text("Host pi5\n User five\n")
    write(home, "Include config.d/*\nInclude ~/.ssh/nowhere\nHost *\n User last\n")
    assert [resolve(name).user for name in ("pi4", "pi5", "pi6")] == ["included", "five", "last"]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Port many\n", "port"),
        ("Port 99999\n", "port"),
        ("HostName a;b\n", "host"),
        ("User $(id)\n", "user"),
        ("ProxyJump pi4\n", "circle"),
        ("Include config\n", "circle"),
        ("nonsense\n", "cannot be used"),
        ("ProxyJump a:b:c\n", "jump host"),
    ],
)
def test_what_no_server_can_have(home: Path, text: str, word: str) -> None:
    write(home, text)
    with pytest.raises(ValueError, match=word):
        resolve("pi4")


@pytest.mark.parametrize("name", ["", "-oProxyCommand=x", "a b", "a;b", "$(id)", "a\nb"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(ValueError, match="host"):
        resolve(name)
    with pytest.raises(ValueError, match=r"user|host"):
        resolve("pi4", user=name or "-x")
