"""Where a board is and how to get there: what was asked for over what ~/.ssh/config says."""

from __future__ import annotations

import getpass
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from paramiko.config import SSHConfig, SSHConfigDict
from paramiko.ssh_exception import CouldNotCanonicalize, SSHException

CONNECT_TIMEOUT_S = 20
USER_KNOWN_HOSTS = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")
SYSTEM_KNOWN_HOSTS = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")
DEFAULT_KEYS = ("~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa")

_MAX_DEPTH = 8  # of ProxyJump and of Include
# A host or user may end up in the command line of ProxyCommand.
_HOST = re.compile(r"[A-Za-z0-9_.:%][A-Za-z0-9_.:%-]*")
_USER = re.compile(r"[^\s\x00-\x1f'\"`$\\;&<>|(){}-][^\s\x00-\x1f'\"`$\\;&<>|(){}]*")
_HOP = re.compile(r"(?:ssh://)?(?:(?P<user>.+)@)?(?P<host>\[[^]]+\]|[^:]+)(?::(?P<port>\d+))?/?")


@dataclass(frozen=True, slots=True)
class SshAddress:
    """One SSH server and the way to it.

    Attributes:
        name: as the user calls it; a name of ~/.ssh/config, perhaps.
        host: name or address to connect to.
        user, port: as there.
        keys: files of private keys to offer.
        identities_only: offer no other key of the agent.
        jump: the server to go through.
        proxy_command: a shell line of the user's whose stdin and stdout lead there; "" if
            none, and not used where there is a jump.
        known_hosts: files of host keys; trust is added to the first.
        host_key_alias: the name to look for in them; "" for host and port.
        connect_timeout_s: at most this long until the server has answered.
    """

    name: str
    host: str
    user: str
    port: int = 22
    keys: tuple[Path, ...] = ()
    identities_only: bool = False
    jump: SshAddress | None = None
    proxy_command: str = ""
    known_hosts: tuple[Path, ...] = ()
    host_key_alias: str = ""
    connect_timeout_s: int = CONNECT_TIMEOUT_S

    def __str__(self) -> str:
        return f"{self.user}@{self.host}" + (f":{self.port}" if self.port != 22 else "")


def resolve(
    host: str,
    *,
    user: str | None = None,
    port: int | None = None,
    key: Path | None = None,
    jump: str | None = None,
    config: Path | None = None,
) -> SshAddress:
    """The address of a host: the values given, then those of ssh's configuration.

    Args:
        jump: as ProxyJump has it: "user@host:port", several with commas, or "none".
        config: by default ~/.ssh/config, which need not be there.

    Raises: ValueError: a value that no server can have, or a configuration that cannot
    be read; the message says which.
    """
    file = config or Path("~/.ssh/config").expanduser()
    try:
        lines = list(_config_lines(file, file.parent, 0))
        return _resolve(lines, host, user, port, key, jump, 0)
    except (OSError, SSHException, CouldNotCanonicalize, ImportError, KeyError) as error:
        raise ValueError(f"{file} cannot be used: {error}") from error


def _resolve(
    lines: list[str],
    name: str,
    user: str | None,
    port: int | None,
    key: Path | None,
    jump: str | None,
    depth: int,
) -> SshAddress:
    if depth > _MAX_DEPTH:
        raise ValueError(f"the jump hosts of {name} go in a circle")
    _check(_HOST, name, "name of a host")
    # The first value wins, so what was asked for stands first; %r and %p become it too.
    given = {"User": user, "Port": port}
    asked = [f"{option} {value}" for option, value in given.items() if value is not None]
    if user is not None:
        _check(_USER, user, "name of a user")
    found = SSHConfig.from_text("\n".join([*asked, *lines])).lookup(name)
    host = _check(_HOST, found["hostname"], "name of a host")
    hops = found.get("proxyjump", "none") if jump is None else jump
    identities = found.get("identityfile", DEFAULT_KEYS) if key is None else (str(key),)
    return SshAddress(
        name=name,
        host=host,
        user=_check(_USER, found.get("user") or getpass.getuser(), "name of a user"),
        port=_number(found, "port", 22, 65535),
        keys=tuple(Path(identity).expanduser() for identity in identities),
        identities_only=found.get("identitiesonly", "no").lower() == "yes",
        jump=_jump(lines, hops.strip(), depth),
        proxy_command=(found.get("proxycommand") or "") if jump is None else "",
        known_hosts=(
            *_files(found.get("userknownhostsfile"), USER_KNOWN_HOSTS),
            *_files(found.get("globalknownhostsfile"), SYSTEM_KNOWN_HOSTS),
        ),
        host_key_alias=found.get("hostkeyalias", ""),
        connect_timeout_s=_number(found, "connecttimeout", CONNECT_TIMEOUT_S, 3600),
    )


def _jump(lines: list[str], hops: str, depth: int) -> SshAddress | None:
    """The last of several jump hosts; each goes through the one before it."""
    if hops.lower() in ("none", ""):
        return None
    *before, last = hops.split(",")
    match = _HOP.fullmatch(last.strip())
    if match is None:
        raise ValueError(f"not a jump host: {last!r}")
    return _resolve(
        lines,
        match["host"].strip("[]"),
        match["user"],
        int(match["port"]) if match["port"] else None,
        None,
        ",".join(before) or None,
        depth + 1,
    )


def _config_lines(file: Path, base: Path, depth: int) -> Iterator[str]:
    """The lines of a configuration, those of its Includes in their place."""
    if depth > _MAX_DEPTH:
        raise ValueError(f"the Includes of {file} go in a circle")
    if not file.exists():
        return
    for line in file.read_text("utf-8", "surrogateescape").splitlines():
        words = line.replace("=", " ", 1).split()
        if not words or words[0].lower() != "include":
            yield line
            continue
        for pattern in words[1:]:
            path = base / Path(pattern.strip('"')).expanduser()
            for name in sorted(Path("/").glob(str(path.absolute().relative_to("/")))):
                yield from _config_lines(name, base, depth + 1)


def _files(value: str | None, default: tuple[str, ...]) -> list[Path]:
    names = value.split() if value else list(default)
    return [Path(name).expanduser() for name in names if name.lower() != "none"]


def _check(pattern: re.Pattern[str], text: str, what: str) -> str:
    if not pattern.fullmatch(text):
        raise ValueError(f"not the {what}: {text!r}")
    return text


def _number(found: SSHConfigDict, key: str, default: int, largest: int) -> int:
    text = found.get(key, str(default))
    if not text.isdigit() or not 0 < int(text) <= largest:
        raise ValueError(f"not a {key}: {text!r}")
    return int(text)
