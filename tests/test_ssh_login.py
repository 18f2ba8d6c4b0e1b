"""Who we are to an SSH server: keys, agent, passphrases, passwords, jump hosts."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import paramiko
import pytest

from devices.deadline import Deadline
from devices.errors import DeviceOffline, DeviceTimeout, Unauthorized
from devices.ssh import SshTransport
from devices.ssh_config import SshAddress
from devices.ssh_link import connect
from devices.ssh_login import Secrets, variable_of
from tests.sshd import NOBODY, Sshd, make_key, start_sshd

pytest_plugins = ("tests.ssh_fixtures",)

SECRET = "correct horse ;$(staple)"


def soon() -> Deadline:
    return Deadline(60)


def log_in(address: SshAddress, secrets: Secrets = NOBODY) -> None:
    connect(address, device="pi-4", secrets=secrets, deadline=soon()).close()


def with_locked_key(sshd: Sshd) -> SshAddress:
    key = make_key(sshd.directory / "locked", SECRET)
    public = key.with_name("locked.pub").read_text()
    authorized = sshd.directory / "authorized_keys"
    if public not in authorized.read_text():
        authorized.write_text(f"{authorized.read_text()}\n{public}")
    return replace(sshd.address, keys=(key,))


@pytest.fixture(autouse=True)
def no_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


# --- keys ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
def test_other_kinds_of_keys(sshd: Sshd, kind: str) -> None:
    key = make_key(sshd.directory / kind, kind=kind)
    with (sshd.directory / "authorized_keys").open("a") as file:
        file.write("\n" + key.with_name(f"{kind}.pub").read_text())
    log_in(replace(sshd.address, keys=(key,)))


def test_a_refused_key_is_named(sshd: Sshd, tmp_path: Path) -> None:
    key = make_key(tmp_path / "stranger")
    (tmp_path / "broken").write_text("no key")
    address = replace(sshd.address, keys=(key, tmp_path / "broken", tmp_path / "nowhere"))
    with pytest.raises(Unauthorized) as caught:
        log_in(address)
    message = caught.value.message
    assert f"key {key}: refused" in message
    assert "broken: not readable" in message
    assert "it accepts publickey" in message
    assert "EDGEBENCH_SSH_PASSWORD_PI_4" in message


def test_no_key_at_all(sshd: Sshd) -> None:
    with pytest.raises(Unauthorized, match="nothing, there is no key"):
        log_in(replace(sshd.address, keys=()))


def test_too_many_refused_keys_are_no_lost_link(sshd: Sshd, tmp_path: Path) -> None:
    keys = tuple(make_key(tmp_path / f"k{number}") for number in range(8))
    with pytest.raises(Unauthorized, match="refused"):
        log_in(replace(sshd.address, keys=keys))


@pytest.mark.parametrize("variable", ["EDGEBENCH_SSH_PASSWORD", "EDGEBENCH_SSH_PASSWORD_PI_4"])
def test_a_passphrase_from_the_environment(sshd: Sshd, variable: str) -> None:
    log_in(with_locked_key(sshd), Secrets(environ={variable: SECRET}))


def test_a_passphrase_that_is_wrong_or_not_known(sshd: Sshd) -> None:
    address = with_locked_key(sshd)
    with pytest.raises(Unauthorized, match=r"passphrase of .*: not known"):
        log_in(address)
    with pytest.raises(Unauthorized, match=r"passphrase of .*: wrong passphrase") as caught:
        log_in(address, Secrets(environ={"EDGEBENCH_SSH_PASSWORD": "wrong one"}))
    assert "wrong one" not in str(caught.value) + repr(caught.value.__dict__)


def test_a_person_is_asked_once_and_again_after_a_mistake(sshd: Sshd) -> None:
    prompts: list[str] = []
    answers = ["mistake", SECRET]

    def ask(prompt: str) -> str:
        prompts.append(prompt)
        return answers.pop(0)

    secrets = Secrets(ask, environ={})
    with pytest.raises(Unauthorized):
        log_in(with_locked_key(sshd), secrets)
    log_in(with_locked_key(sshd), secrets)
    log_in(with_locked_key(sshd), secrets)
    assert prompts == [f"passphrase of {sshd.directory / 'locked'}: "] * 2


def test_nobody_is_asked_where_a_key_opens(sshd: Sshd) -> None:
    def ask(prompt: str) -> str:
        raise AssertionError(prompt)

    keys = (with_locked_key(sshd).keys[0], sshd.key)
    log_in(replace(sshd.address, keys=keys), Secrets(ask, environ={}))


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    if shutil.which("ssh-agent") is None:
        pytest.skip("there is no ssh-agent (Debian: openssh-client)")
    path = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL)
    while not path.exists():
        time.sleep(0.01)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
    yield path
    process.terminate()
    process.wait()


def test_keys_of_the_agent(sshd: Sshd, agent: Path, tmp_path: Path) -> None:
    subprocess.run(["ssh-add", "-q", str(sshd.key)], check=True, capture_output=True)
    log_in(replace(sshd.address, keys=(), identities_only=False))
    with pytest.raises(Unauthorized):
        log_in(replace(sshd.address, keys=(), identities_only=True))
    # IdentitiesOnly lets the agent's key through where its public half is named.
    shutil.copy(sshd.key.with_name("id_ed25519.pub"), tmp_path / "named.pub")
    log_in(replace(sshd.address, keys=(tmp_path / "named",), identities_only=True))


def test_an_agent_that_is_not_there(sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", "/nowhere/agent")
    log_in(replace(sshd.address, identities_only=False))


# --- passwords, with a server that only logs in -----------------------------------


class PasswordServer(paramiko.ServerInterface):
    """Accepts one password, by the methods it is told to offer."""

    def __init__(self, methods: str) -> None:
        self._methods = methods

    def get_allowed_auths(self, username: str) -> str:
        return self._methods

    def check_auth_password(self, username: str, password: str) -> int:
        good = "password" in self._methods and password == SECRET
        return paramiko.AUTH_SUCCESSFUL if good else paramiko.AUTH_FAILED

    def check_auth_interactive(
        self, username: str, submethods: str
    ) -> int | paramiko.server.InteractiveQuery:
        return paramiko.server.InteractiveQuery("", "", ("Password: ", False))

    def check_auth_interactive_response(self, responses: list[str]) -> int:
        good = list(responses) == [SECRET]
        return paramiko.AUTH_SUCCESSFUL if good else paramiko.AUTH_FAILED


@pytest.fixture
def password_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SshAddress]:
    host_key = paramiko.ECDSAKey.generate()
    listener = socket.create_server(("127.0.0.1", 0))
    servers: list[paramiko.Transport] = []

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = paramiko.Transport(client)
            server.daemon = True
            server.add_server_key(host_key)
            servers.append(server)
            server.start_server(threading.Event(), PasswordServer(request.param))

    threading.Thread(target=serve, daemon=True).start()
    port = listener.getsockname()[1]
    (tmp_path / "known").write_text(
        f"[127.0.0.1]:{port} {host_key.get_name()} {host_key.get_base64()}\n"
    )
    yield SshAddress(
        name="pi-4", host="127.0.0.1", user="pi", port=port, known_hosts=(tmp_path / "known",)
    )
    listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
    listener.close()
    for server in servers:
        server.close()


METHODS = pytest.mark.parametrize(
    "password_server", ["password", "keyboard-interactive"], indirect=True
)


@METHODS
def test_a_password_from_the_environment(password_server: SshAddress) -> None:
    log_in(password_server, Secrets(environ={variable_of("pi-4"): SECRET}))


@METHODS
def test_a_wrong_password_is_refused_and_never_shown(password_server: SshAddress) -> None:
    with pytest.raises(Unauthorized, match=r"password of pi@127\.0\.0\.1:.*: refused") as caught:
        log_in(password_server, Secrets(environ={"EDGEBENCH_SSH_PASSWORD": "guess-77"}))
    assert "guess-77" not in str(caught.value) + repr(caught.value.__dict__)


@METHODS
def test_a_password_that_a_person_types(password_server: SshAddress) -> None:
    prompts: list[str] = []
    log_in(password_server, Secrets(lambda prompt: prompts.append(prompt) or SECRET, environ={}))
    assert prompts == [f"password of {password_server}: "]


# --- jump hosts -------------------------------------------------------------------


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    server = start_sshd(tmp_path_factory.mktemp("gate"))
    yield server
    server.stop()


def through(sshd: Sshd, gate: Sshd, *more: SshAddress) -> SshAddress:
    jump = replace(gate.address, name="gate", jump=more[0] if more else None)
    return replace(sshd.address, jump=jump)


def test_through_jump_hosts(sshd: Sshd, gate: Sshd) -> None:
    for address in (through(sshd, gate), through(sshd, gate, sshd.address)):
        transport = SshTransport(address, "pi-4", secrets=NOBODY)
        content = os.urandom(1_000_000)
        assert transport.run(["cat"], deadline=soon(), stdin=content).stdout == content
        transport.close()


def test_a_jump_host_is_verified_too(sshd: Sshd, gate: Sshd, tmp_path: Path) -> None:
    address = through(sshd, gate)
    assert address.jump is not None
    address = replace(address, jump=replace(address.jump, known_hosts=(tmp_path / "none",)))
    with pytest.raises(Unauthorized, match="edgebench devices trust gate") as caught:
        SshTransport(address, "pi-4", secrets=NOBODY).run(["true"], deadline=soon())
    assert caught.value.device == "pi-4"


def test_a_board_that_is_off_behind_its_jump_host(gate: Sshd) -> None:
    address = replace(gate.address, port=1, jump=gate.address)
    with pytest.raises(DeviceOffline, match="cannot be reached"):
        SshTransport(address, "pi-4", secrets=NOBODY).run(["true"], deadline=soon())


@pytest.mark.parametrize("password_server", ["password"], indirect=True)
def test_a_password_for_the_board_is_not_offered_to_its_jump_host(
    sshd: Sshd, password_server: SshAddress
) -> None:
    asked: list[str] = []
    address = replace(sshd.address, jump=replace(password_server, name="gate"))
    secrets = Secrets(lambda prompt: asked.append(prompt) or "", {variable_of("pi-4"): SECRET})
    with pytest.raises(Unauthorized):
        SshTransport(address, "pi-4", secrets=secrets).run(["true"], deadline=soon())
    assert asked == [f"password of {password_server}: "]


# --- names --------------------------------------------------------------------------


def test_a_name_that_does_not_resolve_is_offline() -> None:
    address = SshAddress(name="x", host="edgebench.invalid", user="pi")
    with pytest.raises((DeviceOffline, DeviceTimeout)):
        SshTransport(address, "pi-4", secrets=NOBODY).run(["true"], deadline=Deadline(10))
