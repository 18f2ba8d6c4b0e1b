"""Host keys: what known_hosts files say, what is asked of a person, what is remembered."""

from __future__ import annotations

import base64
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices import host_keys, known_hosts
from devices.deadline import Deadline
from devices.errors import DeviceOffline, Unauthorized
from devices.known_hosts import HostKey, Verdict
from tests.sshd import Sshd, free_port, make_key

pytest_plugins = ("tests.ssh_fixtures",)

ONE = HostKey("ssh-ed25519", b"one")
TWO = HostKey("ssh-ed25519", b"two")


def soon() -> Deadline:
    return Deadline(60)


def line(hosts: str, key: HostKey) -> str:
    return f"{hosts} {key.type} {base64.b64encode(key.blob).decode()} comment"


def verdict(tmp_path: Path, name: str, key: HostKey, *lines: str) -> Verdict:
    file = tmp_path / "known"
    file.write_text("\n".join(lines))
    return known_hosts.verdict(name, key, (file, tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("hosts", "name", "about"),
    [
        ("pi4", "pi4", True),
        ("pi4,10.0.0.4", "10.0.0.4", True),
        ("PI4", "pi4", True),
        ("pi4", "pi40", False),
        ("[pi4]:2222", "[pi4]:2222", True),
        ("[pi4]:2222", "pi4", False),
        ("pi4", "[pi4]:2222", False),
        ("[pi4]:2222", "p:2222", False),
        ("pi?,!pi5", "pi4", True),
        ("pi*,!pi5", "pi5", False),
        ("*.lab", "pi4.lab", True),
    ],
)
def test_which_lines_are_about_a_host(tmp_path: Path, hosts: str, name: str, about: bool) -> None:
    expected = Verdict.KNOWN if about else Verdict.UNKNOWN
    assert verdict(tmp_path, name, ONE, line(hosts, ONE)) is expected


def test_verdicts(tmp_path: Path) -> None:
    assert verdict(tmp_path, "h", ONE) is Verdict.UNKNOWN
    assert verdict(tmp_path, "h", ONE, line("h", TWO)) is Verdict.CHANGED
    assert verdict(tmp_path, "h", ONE, line("h", TWO), line("h", ONE)) is Verdict.KNOWN
    revoked = f"@revoked {line('*', ONE)}"
    assert verdict(tmp_path, "h", ONE, line("h", ONE), revoked) is Verdict.REVOKED
    authority = f"@cert-authority {line('*', ONE)}"
    assert verdict(tmp_path, "h", ONE, authority) is Verdict.UNKNOWN
    odd = ["# comment", "", "h ssh-ed25519", "h ssh-ed25519 !!!", "|1|x h ssh-ed25519 aaaa"]
    assert verdict(tmp_path, "h", ONE, *odd, line("h", ONE)) is Verdict.KNOWN


def test_hashed_names_as_ssh_keygen_writes_them(tmp_path: Path) -> None:
    make_key(tmp_path / "key")
    kind, blob = (tmp_path / "key.pub").read_text().split()[:2]
    key = HostKey(kind, base64.b64decode(blob))
    file = tmp_path / "known"
    file.write_text(f"pi4 {kind} {blob}\n[pi4]:2222 {kind} {blob}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(file)], check=True, capture_output=True)
    assert "pi4" not in file.read_text()
    for name in ("pi4", "[pi4]:2222"):
        assert known_hosts.verdict(name, key, (file,)) is Verdict.KNOWN
    assert known_hosts.verdict("pi5", key, (file,)) is Verdict.UNKNOWN
    shown = subprocess.run(
        ["ssh-keygen", "-l", "-f", str(tmp_path / "key.pub")], check=True, capture_output=True
    )
    assert key.fingerprint in shown.stdout.decode()


@given(st.binary(max_size=300))
def test_any_file_can_be_read(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any"
    file.write_bytes(content)
    assert known_hosts.verdict("h", ONE, (file,)) in (Verdict.UNKNOWN, Verdict.CHANGED)


# --- with a server --------------------------------------------------------------


def test_an_unknown_host_is_not_logged_in_to(sshd: Sshd, tmp_path: Path) -> None:
    address = replace(sshd.address, known_hosts=(tmp_path / "known",))
    with pytest.raises(Unauthorized, match="edgebench devices trust board") as caught:
        sshd.transport(address).run(["true"], deadline=soon())
    fingerprint = host_keys.fetch(address, soon()).fingerprint
    assert fingerprint in caught.value.message
    assert not (tmp_path / "known").exists()


def test_trust_is_asked_once_and_works(sshd: Sshd, tmp_path: Path) -> None:
    address = replace(sshd.address, known_hosts=(tmp_path / "ssh/known",))
    key = host_keys.fetch(address, soon())
    assert host_keys.trust(address, key) is True
    content = (tmp_path / "ssh/known").read_bytes()
    assert host_keys.trust(address, key) is False
    assert (tmp_path / "ssh/known").read_bytes() == content
    assert (tmp_path / "ssh/known").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "ssh").stat().st_mode & 0o777 == 0o700
    transport = sshd.transport(address)
    assert transport.run(["true"], deadline=soon()).exit_code == 0
    transport.close()


def test_trust_keeps_the_rest_of_the_file(sshd: Sshd, tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"# mine\xff\nother ssh-rsa AAAA")
    (tmp_path / "real").chmod(0o640)
    (tmp_path / "known").symlink_to(tmp_path / "real")
    address = replace(sshd.address, known_hosts=(tmp_path / "known",))
    host_keys.trust(address, host_keys.fetch(address, soon()))
    assert (tmp_path / "known").is_symlink()
    lines = (tmp_path / "real").read_bytes().splitlines()
    assert lines[:2] == [b"# mine\xff", b"other ssh-rsa AAAA"]
    assert len(lines) == 3
    assert (tmp_path / "real").stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["known", "real"]


def test_a_changed_key_is_refused_with_both_fingerprints(sshd: Sshd, tmp_path: Path) -> None:
    make_key(tmp_path / "other")
    kind, blob = (tmp_path / "other.pub").read_text().split()[:2]
    (tmp_path / "known").write_text(f"[127.0.0.1]:{sshd.port} {kind} {blob}\n")
    address = replace(sshd.address, known_hosts=(tmp_path / "known",))
    now = host_keys.fetch(address, soon())
    before = HostKey(kind, base64.b64decode(blob))
    with pytest.raises(Unauthorized) as caught:
        sshd.transport(address).run(["true"], deadline=soon())
    for word in (now.fingerprint, before.fingerprint, "in between", "installed anew", "-R"):
        assert word in caught.value.message
    with pytest.raises(Unauthorized, match="another key than before"):
        host_keys.trust(address, now)


def test_another_kind_of_key_of_a_known_host_is_a_changed_key(sshd: Sshd, tmp_path: Path) -> None:
    make_key(tmp_path / "other", kind="ecdsa")
    kind, blob = (tmp_path / "other.pub").read_text().split()[:2]
    (tmp_path / "known").write_text(f"[127.0.0.1]:{sshd.port} {kind} {blob}\n")
    address = replace(sshd.address, known_hosts=(tmp_path / "known",))
    with pytest.raises(Unauthorized, match="another key than before"):
        sshd.transport(address).run(["true"], deadline=soon())


def test_an_alias_stands_for_host_and_port(sshd: Sshd, tmp_path: Path) -> None:
    kind, blob = (sshd.directory / "host.pub").read_text().split()[:2]
    (tmp_path / "known").write_text(f"my-board {kind} {blob}\n")
    address = replace(sshd.address, known_hosts=(tmp_path / "known",), host_key_alias="my-board")
    transport = sshd.transport(address)
    assert transport.run(["true"], deadline=soon()).exit_code == 0
    transport.close()


def test_no_server_to_ask(sshd: Sshd) -> None:
    with pytest.raises(DeviceOffline):
        host_keys.fetch(replace(sshd.address, port=free_port()), soon())
