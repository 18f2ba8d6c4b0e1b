"""Prove to an SSH server who we are: keys, the agent, a passphrase, a password."""

from __future__ import annotations

import os
import re
from base64 import b64decode
from collections.abc import Callable, Generator, Mapping, Set
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from paramiko.pkey import UnknownKeyType
from paramiko.ssh_exception import (
    AuthenticationException,
    BadAuthenticationType,
    SSHException,
)

from devices.deadline import Deadline
from devices.errors import Unauthorized
from devices.ssh_config import SshAddress

PASSWORD_VARIABLE = "EDGEBENCH_SSH_PASSWORD"  # noqa: S105

_MANY = 3  # so many refusals explain why a server hangs up


class Secrets:
    """Passwords and passphrases: from the environment, else asked for; held in memory only.

    `EDGEBENCH_SSH_PASSWORD_PI4` is for the device or host pi4, `EDGEBENCH_SSH_PASSWORD`
    for every one. What was asked for is asked once and forgotten when it was wrong.

    Args:
        ask: shows a prompt and returns what a person typed; None where nobody can be asked.
        environ: where to look; by default this process's environment.
    """

    def __init__(
        self,
        ask: Callable[[str], str] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._ask = ask
        self._environ = os.environ if environ is None else environ
        self._asked: dict[str, str] = {}

    def of(self, name: str, what: str) -> str | None:
        """The secret of a device; None where there is none. `what` is for the prompt."""
        for variable in (variable_of(name), PASSWORD_VARIABLE):
            if variable in self._environ:
                return self._environ[variable]
        if what not in self._asked and self._ask is not None:
            self._asked[what] = self._ask(f"{what}: ")
        return self._asked.get(what)

    def was_wrong(self, what: str) -> None:
        self._asked.pop(what, None)


def variable_of(name: str) -> str:
    """The environment variable for the password of one device."""
    return f"{PASSWORD_VARIABLE}_{re.sub('[^A-Z0-9]', '_', name.upper())}"


def login(
    transport: paramiko.Transport,
    address: SshAddress,
    *,
    name: str,
    secrets: Secrets,
    deadline: Deadline,
) -> None:
    """Log in, by what the server accepts, asking a person last.

    Args:
        name: of the device, for its environment variable and for errors.

    Raises: Unauthorized (nothing was accepted), and what paramiko raises where the link
    is lost or the deadline expires.
    """
    transport.auth_timeout = max(deadline.remaining(), 0.1)
    try:
        transport.auth_none(address.user)
        accepted = ["publickey", "password"]
    except BadAuthenticationType as refusal:
        accepted = list(refusal.allowed_types)
    refused: list[str] = []
    with closing(_attempts(transport, address, name, secrets)) as attempts:
        for attempt in attempts:
            if transport.is_authenticated():
                return
            if not attempt.methods & set(accepted):
                continue
            transport.auth_timeout = max(deadline.remaining(), 0.1)
            try:
                # A server that wants two proofs answers the first with what is left to prove.
                accepted = attempt.make() or accepted
            except AuthenticationException as error:
                refused.append(f"{attempt.label}: {_reason(error)}")
                if not deadline.expired() and transport.is_active():
                    secrets.was_wrong(attempt.label)
                elif len(refused) < _MANY:
                    raise
                else:
                    break
    if not transport.is_authenticated():
        raise Unauthorized(_advice(address, name, accepted, refused), device=name)


@dataclass(frozen=True, slots=True)
class _Attempt:
    label: str
    methods: Set[str]
    make: Callable[[], list[str]]


_KEY = frozenset({"publickey"})
_TYPED = frozenset({"password", "keyboard-interactive"})


class _NothingToTry(AuthenticationException):
    """What was to be tried is not there; the server was not asked."""


def _attempts(
    transport: paramiko.Transport, address: SshAddress, name: str, secrets: Secrets
) -> Generator[_Attempt, None, None]:
    """What can be tried, one after the other; what needs a person comes last."""
    user = address.user
    locked: list[Path] = []
    for path in filter(Path.is_file, address.keys):
        try:
            key = _load(path, None)
        except _Locked:
            locked.append(path)
        except _NothingToTry as error:
            yield _Attempt(f"key {path}", _KEY, partial(_refuse, error))
        else:
            yield _Attempt(f"key {path}", _KEY, partial(transport.auth_publickey, user, key))
    own = {_public_blob(path) for path in address.keys}
    with closing(paramiko.Agent()) as agent:
        for held in agent.get_keys():
            if not address.identities_only or held.asbytes() in own:
                label = f"key {held.comment or held.get_name()} of the agent"
                yield _Attempt(label, _KEY, partial(transport.auth_publickey, user, held))
    for path in locked:
        label = f"passphrase of {path}"
        by_passphrase = partial(_by_locked_key, transport, user, path)
        yield _Attempt(label, _KEY, partial(_with, by_passphrase, secrets, name, label))
    label = f"password of {address}"
    by_password = partial(_by_password, transport, user)
    yield _Attempt(label, _TYPED, partial(_with, by_password, secrets, name, label))


def _with(make: Callable[[str], list[str]], secrets: Secrets, name: str, label: str) -> list[str]:
    """An attempt that needs a secret, which is looked for or asked for only now."""
    secret = secrets.of(name, label)
    if secret is None:
        raise _NothingToTry("not known")
    return make(secret)


def _by_locked_key(
    transport: paramiko.Transport, user: str, path: Path, passphrase: str
) -> list[str]:
    return transport.auth_publickey(user, _load(path, passphrase))


def _refuse(error: Exception) -> list[str]:
    raise error


def _by_password(transport: paramiko.Transport, user: str, password: str) -> list[str]:
    try:
        return transport.auth_password(user, password, fallback=False)
    except BadAuthenticationType as refusal:
        if "keyboard-interactive" not in refusal.allowed_types:
            raise
    # A server may ask for the same by questions, of which there may be none at the end.
    return transport.auth_interactive(user, lambda _title, _text, asked: [password] * len(asked))


def _reason(error: AuthenticationException) -> str:
    if isinstance(error, BadAuthenticationType):
        return "not accepted here"
    return str(error) if isinstance(error, _NothingToTry) else "refused"


class _Locked(Exception):
    """A private key is encrypted."""


def _load(path: Path, passphrase: str | None) -> paramiko.PKey:
    """A private key, with its certificate where there is one beside it.

    Raises: _Locked (it needs a passphrase), _NothingToTry (not a key that can be used, or
    the passphrase is wrong).
    """
    try:
        # Annotated as str, but the libraries below want bytes.
        return paramiko.PKey.from_path(path, passphrase and passphrase.encode())  # type: ignore[arg-type]
    except (TypeError, paramiko.PasswordRequiredException) as error:
        raise _Locked(str(path)) from error
    except (OSError, ValueError, SSHException, UnknownKeyType, UnsupportedAlgorithm) as error:
        raise _NothingToTry("wrong passphrase" if passphrase else "not readable") from error


def _public_blob(path: Path) -> bytes:
    """The public half of a key file, by the .pub beside it; b"" without one."""
    try:
        return b64decode(path.with_name(f"{path.name}.pub").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return b""


def _advice(address: SshAddress, name: str, accepted: list[str], refused: list[str]) -> str:
    tried = "; ".join(refused) or "nothing, there is no key"
    return (
        f"{address} lets nobody in with what was tried ({tried}); it accepts"
        f" {', '.join(accepted)}: give `key` in devices.toml or IdentityFile in ~/.ssh/config,"
        f" or set {variable_of(name)}"
    )
