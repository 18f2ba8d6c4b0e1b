"""One authenticated SSH connection, through jump hosts and proxies, that notices its own end."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import paramiko
from paramiko.ssh_exception import IncompatiblePeer, SSHException

from devices import known_hosts
from devices.deadline import Deadline
from devices.errors import (
    DeviceError,
    DeviceOffline,
    DeviceTimeout,
    Unauthorized,
    Unsupported,
)
from devices.known_hosts import HostKey, Verdict
from devices.ssh_config import SshAddress
from devices.ssh_dial import by_tcp, through_command
from devices.ssh_login import Secrets, login

KEEPALIVE_S = 2.0
SILENCE_S = 15.0  # a board under full load may need seconds to answer
_LOOK_S = 0.1  # how often the time is looked at

# Everything that paramiko raises for a link that is lost or was never there.
LINK_ERRORS = (SSHException, EOFError, OSError)

# What goes wrong is in the errors; without this, paramiko's tracebacks go to the terminal.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


class _Heard:
    """A socket that remembers when something last came."""

    def __init__(self, inner: socket.socket | paramiko.Channel) -> None:
        self._inner = inner
        self.at = time.monotonic()

    def recv(self, size: int) -> bytes:
        data = self._inner.recv(size)
        if data:
            self.at = time.monotonic()
        return data

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)


@dataclass(slots=True)
class Link:
    """A connection; close it when done.

    Attributes:
        transport: paramiko's side of it.
        parts: closed after it, in this order: the socket's process, the jump's link.
    """

    transport: paramiko.Transport
    heard: _Heard
    parts: list[Callable[[], None]] = field(default_factory=list)
    _ends: dict[object, float] = field(default_factory=dict)  # of the blocks of closed_at
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def alive(self) -> bool:
        return self.transport.is_active()

    def close(self) -> None:
        self.transport.close()
        while self.parts:
            self.parts.pop(0)()

    def watch(self) -> None:
        """Ask for a sign of life every 2 s; close the link after 15 s without any, or as
        `closed_at` says.

        A frozen board says nothing and breaks nothing: without this, a call would wait for
        its whole deadline.
        """
        for work in (self._knock, self._listen):
            threading.Thread(target=work, name="edgebench-ssh", daemon=True).start()

    def _knock(self) -> None:
        with suppress(*LINK_ERRORS):
            while self.alive:
                # OpenSSH and dropbear both answer, that they do not know this request.
                self.transport.global_request("keepalive@openssh.com", wait=True)
                time.sleep(KEEPALIVE_S)

    def _listen(self) -> None:
        while self.alive:
            time.sleep(min(_LOOK_S, KEEPALIVE_S / 4))
            with self._lock:
                end = min([*self._ends.values(), self.heard.at + SILENCE_S])
            if time.monotonic() > end:
                self.transport.close()

    @contextmanager
    def closed_at(self, deadline: Deadline, late_s: float = 0.0) -> Iterator[None]:
        """Close the link if the block still runs so many seconds after the deadline.

        Some of paramiko's calls take no timeout; they all end with their connection.
        """
        # Not a timer: this is around every piece of a transfer, and a thread for each of
        # them takes long where the machine is busy.
        block = object()
        with self._lock:
            self._ends[block] = time.monotonic() + deadline.remaining() + late_s
        try:
            yield
        finally:
            with self._lock:
                del self._ends[block]


def connect(address: SshAddress, *, device: str, secrets: Secrets, deadline: Deadline) -> Link:
    """Connect, verify the host's key, log in.

    Args:
        device: name for errors, and for the environment variable of the password.

    Raises: DeviceOffline, DeviceTimeout, Unauthorized (unknown or changed host key, or
    the login was refused), Unsupported (no common algorithm, or no way to get there).
    """
    link = _shake_hands(address, device=device, secrets=secrets, deadline=deadline)
    try:
        _verify(address, key_of(link), device)
        login(link.transport, address, name=device, secrets=secrets, deadline=deadline)
    except BaseException as error:
        link.close()
        if isinstance(error, LINK_ERRORS):
            raise _typed(error, address, device, deadline) from error
        raise
    link.watch()
    return link


def shown_key(address: SshAddress, *, device: str, secrets: Secrets, deadline: Deadline) -> HostKey:
    """The key that a host shows, not verified; nothing is sent to it. Raises as `connect`."""
    link = _shake_hands(address, device=device, secrets=secrets, deadline=deadline)
    try:
        return key_of(link)
    finally:
        link.close()


def key_of(link: Link) -> HostKey:
    key = link.transport.get_remote_server_key()
    return HostKey(key.get_name(), key.asbytes())


def known_name(address: SshAddress) -> str:
    """The name under which known_hosts has a host."""
    return address.host_key_alias or known_hosts.name_of(address.host, address.port)


def _shake_hands(address: SshAddress, *, device: str, secrets: Secrets, deadline: Deadline) -> Link:
    """A connection whose host has shown its key, not verified, not logged in."""
    budget = deadline.at_most(address.connect_timeout_s)
    parts: list[Callable[[], None]] = []
    try:
        heard = _Heard(_dial(address, parts, device, secrets, budget))
        parts.insert(0, heard._inner.close)
        transport = paramiko.Transport(heard)  # type: ignore[arg-type]
        parts.insert(0, transport.close)
        transport.daemon = True
        transport.banner_timeout = transport.handshake_timeout = budget.remaining() + 0.1
        _prefer(transport, address)
        transport.start_client(timeout=budget.remaining() + 0.1)
        transport.get_remote_server_key()  # raises where the time was over before
        return Link(transport, heard, parts[1:])
    except BaseException as error:
        for close in parts:
            close()
        if isinstance(error, LINK_ERRORS):
            raise _typed(error, address, device, deadline, budget) from error
        raise


def _dial(
    address: SshAddress,
    parts: list[Callable[[], None]],
    device: str,
    secrets: Secrets,
    budget: Deadline,
) -> socket.socket | paramiko.Channel:
    """Something like a socket to the server; what must be closed behind it goes to `parts`."""
    if address.jump is not None:
        # Named by itself, so that a board's own password never goes to its jump host.
        hop = address.jump
        link = connect(hop, device=hop.name, secrets=secrets, deadline=budget)
        parts.append(link.close)
        return link.transport.open_channel(
            "direct-tcpip",
            (address.host, address.port),
            ("127.0.0.1", 0),
            timeout=budget.remaining() + 0.1,
        )
    if address.proxy_command:
        ours, end = through_command(address.proxy_command)
        parts.append(end)
        return ours
    return by_tcp(address.host, address.port, budget)


def _prefer(transport: paramiko.Transport, address: SshAddress) -> None:
    """Ask first for the kind of key by which the host is known."""
    options = transport.get_security_options()
    kinds: list[str] = []
    for key in known_hosts.keys_of(known_name(address), address.known_hosts):
        rsa = ("rsa-sha2-512", "rsa-sha2-256") if key.type == "ssh-rsa" else (key.type,)
        kinds += [kind for kind in rsa if kind in options.key_types and kind not in kinds]
    options.key_types = [*kinds, *(kind for kind in options.key_types if kind not in kinds)]


def _verify(address: SshAddress, key: HostKey, device: str) -> None:
    """Raises: Unauthorized where the key is not known for the host, OSError."""
    name = known_name(address)
    verdict = known_hosts.verdict(name, key, address.known_hosts)
    if verdict is Verdict.KNOWN:
        return
    if verdict is Verdict.UNKNOWN:
        message = (
            f"the key of {name} is not known here ({key.type} {key.fingerprint}); if it is the"
            f" board's own, run: edgebench devices trust {address.name}"
        )
    elif verdict is Verdict.REVOKED:
        message = f"the key of {name} ({key.fingerprint}) is marked as revoked"
    else:
        message = changed(name, key, address)
    raise Unauthorized(message, device=device)


def changed(name: str, key: HostKey, address: SshAddress) -> str:
    """What to say of a host that shows another key than it had."""
    known = known_hosts.keys_of(name, address.known_hosts)
    before = ", ".join(f"{old.type} {old.fingerprint}" for old in known)
    return (
        f"{name} shows another key than before: {key.type} {key.fingerprint} instead of"
        f" {before}. Somebody may be in between, or the board was installed anew; only in"
        f" that case run: ssh-keygen -R '{name}', then: edgebench devices trust {address.name}"
    )


def _typed(
    error: BaseException,
    address: SshAddress,
    device: str,
    deadline: Deadline,
    budget: Deadline | None = None,
) -> DeviceError:
    """The typed error for what paramiko or the system said about a connection."""
    if deadline.expired():
        return DeviceTimeout(
            f"no connection to {address} within {deadline.seconds:g} s", device=device
        )
    if isinstance(error, IncompatiblePeer):
        return Unsupported(
            f"{address} and this machine have no common algorithm: {error}", device=device
        )
    if budget is not None and budget.expired():
        reason = f"no answer within {budget.seconds:g} s"
    else:
        reason = str(error) or "the connection was closed"
    return DeviceOffline(
        f"{address} cannot be reached: {reason}; is it on, and does sshd run there?",
        device=device,
    )
