"""A real OpenSSH server on a loopback port, and a link to it that can be spoilt."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from devices.ssh import SshTransport
from devices.ssh_config import SshAddress
from devices.ssh_login import Secrets

NOBODY = Secrets(environ={})


class Sshd:
    """An OpenSSH server of the tests, as the user that runs them.

    Attributes:
        port, pid: of the server; a connection's own process is its child.
        key: the private key that it lets in.
        address: the way to it, its host key known.
    """

    def __init__(self, directory: Path, program: str) -> None:
        self.directory = directory
        directory.mkdir(mode=0o700, exist_ok=True)
        self.key = make_key(directory / "id_ed25519")
        make_key(directory / "host")
        (directory / "authorized_keys").write_text((directory / "id_ed25519.pub").read_text())
        self.port = free_port()
        (directory / "config").write_text(
            f"ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {directory}/host\n"
            f"PidFile none\nAuthorizedKeysFile {directory}/authorized_keys\n"
            "AuthenticationMethods publickey\nPermitRootLogin prohibit-password\n"
            "UsePAM no\nUseDNS no\nStrictModes no\nPrintMotd no\nMaxStartups 100\n"
            "MaxSessions 100\nLogLevel ERROR\n"
            # A login shell reads what its user has in there, which may take its time.
            f"SetEnv HOME={directory}\n"
        )
        self._log = (directory / "log").open("wb")
        self._program = program
        self.start()
        self.trust(self.port)

    def start(self) -> None:
        """Serve, also again after `kill`, on the same port."""
        self._process = subprocess.Popen(
            [self._program, "-D", "-e", "-f", str(self.directory / "config")],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )
        self.pid = self._process.pid
        self._wait_for_banner()

    @property
    def address(self) -> SshAddress:
        return SshAddress(
            name="board",
            host="127.0.0.1",
            user=getpass.getuser(),
            port=self.port,
            keys=(self.key,),
            identities_only=True,
            known_hosts=(self.directory / "known_hosts",),
        )

    def at(self, port: int) -> SshAddress:
        """The same server behind another port of this machine."""
        self.trust(port)
        return replace(self.address, port=port)

    def transport(self, address: SshAddress | None = None) -> SshTransport:
        return SshTransport(address or self.address, "board", secrets=NOBODY)

    def trust(self, port: int) -> None:
        kind, blob = (self.directory / "host.pub").read_text().split()[:2]
        with (self.directory / "known_hosts").open("a") as file:
            file.write(f"[127.0.0.1]:{port} {kind} {blob}\n")

    def children(self) -> list[int]:
        """The processes that serve the connections."""
        text = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(word) for word in text.split()]

    def kill(self) -> None:
        """End it and every connection at once."""
        for pid in [self.pid, *self.children()]:
            os.kill(pid, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGCONT)
        self._process.terminate()
        self._process.wait()
        self._log.close()

    def _wait_for_banner(self) -> None:
        for _ in range(600):
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as probe:
                if probe.recv(4) == b"SSH-":
                    return
            assert self._process.poll() is None, (self.directory / "log").read_text()
            time.sleep(0.05)
        raise AssertionError("sshd did not answer")


class Proxy:
    """A TCP proxy whose link can be dropped, frozen or slowed, also at a byte count.

    Attributes:
        port: of this machine, to connect to.
        seen: bytes that went to the server and came from it.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self._open = threading.Event()
        self._open.set()
        self.seen = {"up": 0, "down": 0}
        self._at: dict[str, tuple[int, str]] = {}
        self.bytes_per_s: float | None = None
        threading.Thread(target=self._serve, daemon=True).start()

    def freeze(self) -> None:
        """Nothing goes through any more, and nothing is closed."""
        self._open.clear()

    def thaw(self) -> None:
        self._at.clear()
        self._open.set()

    def drop(self) -> None:
        """Every connection is cut; new ones are let through."""
        self._at.clear()
        while self._sockets:
            _cut(self._sockets.pop())

    def after(self, size: int, way: str, what: str) -> None:
        """Do "drop" or "freeze" once so many more bytes went "up" or "down"."""
        self._at[way] = (self.seen[way] + size, what)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listener.close()
        self.drop()
        self._open.set()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._open.wait()
                try:
                    server = socket.create_connection(("127.0.0.1", self._target))
                except ConnectionRefusedError:
                    _cut(client)
                    continue
                self._sockets += [client, server]
                for way, a, b in (("up", client, server), ("down", server, client)):
                    threading.Thread(target=self._pump, args=(way, a, b), daemon=True).start()

    def _pump(self, way: str, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(16384):
                while data:
                    limit, what = self._at.get(way, (1 << 62, ""))
                    now = data[: max(0, limit - self.seen[way])]
                    if not now:
                        self._at.pop(way, None)
                        if what == "drop":
                            self.drop()
                            return
                        self.freeze()
                    self._open.wait()
                    sink.sendall(now)
                    self.seen[way] += len(now)
                    data = data[len(now) :]
                    if self.bytes_per_s:
                        time.sleep(len(now) / self.bytes_per_s)
        for end in (source, sink):
            _cut(end)


def _cut(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def make_key(path: Path, passphrase: str = "", kind: str = "ed25519") -> Path:
    if not path.exists():
        subprocess.run(
            ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-f", str(path)],
            check=True,
            stdin=subprocess.DEVNULL,
        )
    return path


def start_sshd(directory: Path) -> Sshd:
    program = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("there is no OpenSSH server (Debian: openssh-server)")
    if os.geteuid() == 0:
        # Where sshd locks itself in; the package's service would have made it.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    return Sshd(directory, program)
