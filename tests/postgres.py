"""A real PostgreSQL server on loopback, in a folder and under a user of its own.

Without a server's programs its tests are skipped, unless EDGEBENCH_REQUIRE_POSTGRES=1 says
that this is an error.
"""

from __future__ import annotations

import itertools
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

_OLDEST = 15
_START_S = 60
_USER = "tester"
# Whoever runs the server where the tests are root's, which initdb refuses.
_UNPRIVILEGED = ("postgres", "nobody")
_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "32MB",
    "max_connections": "50",
    "lc_messages": "C",
    "log_min_messages": "fatal",
}


class Server:
    """One server with a folder of its own; `stop` and `start` keep what is in it.

    Attributes:
        port: on 127.0.0.1, the same after a restart.
    """

    def __init__(self, folder: Path, programs: Path) -> None:
        self._folder = folder
        self._programs = programs
        self.password = secrets.token_urlsafe(12)
        self._names = itertools.count()
        self._running: subprocess.Popen[bytes] | None = None
        self._as_user: dict[str, object] = {}
        if os.getuid() == 0:
            user = _unprivileged()
            os.chown(folder, user.pw_uid, user.pw_gid)
            self._as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        word = folder / "password"
        word.write_text(self.password)
        options = ["--auth=scram-sha-256", f"--pwfile={word}", "--encoding=UTF8", "--no-sync"]
        done = self._call("initdb", "-D", folder / "data", "-U", _USER, "--locale=C", *options)
        assert done.returncode == 0, done.stderr.decode()
        self.port = _free_port()
        self.start()

    def start(self) -> None:
        """Start it and wait until it answers."""
        settings = [f"--{name}={value}" for name, value in _SETTINGS.items()]
        data = ["-D", str(self._folder / "data"), "-p", str(self.port)]
        with (self._folder.parent / f"{self._folder.name}.log").open("ab") as log:
            self._running = subprocess.Popen(
                [str(self._programs / "postgres"), *data, *settings],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
                **self._as_user,  # type: ignore[call-overload]
            )
        end = time.monotonic() + _START_S
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=5).close()
                return
            except psycopg.OperationalError as error:
                if self._running.poll() is not None or time.monotonic() > end:
                    self.stop()
                    raise AssertionError(f"the server does not start: {error}") from None
                time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Cut every connection and end it; SIGQUIT lets no session end its transaction."""
        if self._running is None:
            return
        self._running.send_signal(how)
        try:
            self._running.wait(_START_S)
        except subprocess.TimeoutExpired:
            self._running.kill()
            self._running.wait()
        self._running = None

    def url(self, database: str, *, user: str = _USER, password: str | None = None) -> str:
        word = self.password if password is None else password
        return f"postgresql://{user}:{word}@127.0.0.1:{self.port}/{database}"

    def make_database(self, *, like: str | None = None, encoding: str = "UTF8") -> str:
        """The name of a new one: empty, or a copy of another."""
        name = f"t{next(self._names)}"
        template = sql.Identifier(like or "template0")
        # From template0 a database of 8 MB is a copy of files: two writes less than by WAL.
        self.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} ENCODING {} STRATEGY FILE_COPY").format(
                sql.Identifier(name), template, sql.Literal(encoding)
            )
        )
        return name

    def drop_database(self, name: str) -> None:
        self.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def execute(self, statement: sql.Composed | sql.SQL, database: str = "postgres") -> None:
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(statement)

    def _call(self, program: str, *arguments: object) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [str(self._programs / program), *map(str, arguments)],
            capture_output=True,
            cwd="/",
            check=False,
            **self._as_user,  # type: ignore[call-overload]
        )


@contextmanager
def running_server() -> Iterator[Server]:
    """A server of one's own; skips the test where there are no programs of one."""
    programs = _programs()
    if programs is None:
        reason = f"needs PostgreSQL {_OLDEST} or newer (Debian: postgresql)"
        if os.environ.get("EDGEBENCH_REQUIRE_POSTGRES") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    # Not under tmp_path, which only its owner may enter.
    base = Path(tempfile.mkdtemp(prefix="edgebench-postgres-"))
    base.chmod(0o755)
    folder = base / "server"
    folder.mkdir()
    server = None
    try:
        server = Server(folder, programs)
        yield server
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(base, ignore_errors=True)


def _programs() -> Path | None:
    """Where the newest server's programs are: Debian keeps them off the PATH."""
    found = [
        (int(folder.parent.name), folder)
        for folder in Path("/usr/lib/postgresql").glob("*/bin")
        if folder.parent.name.isdigit() and (folder / "initdb").exists()
    ]
    on_path = shutil.which("initdb")
    if on_path is not None:
        said = subprocess.run([on_path, "--version"], capture_output=True, text=True, check=True)
        version = said.stdout.split()[2].split(".")[0]
        found.append((int(version), Path(on_path).resolve().parent))
    newest = max(found, default=None)
    return newest[1] if newest is not None and newest[0] >= _OLDEST else None


def _unprivileged() -> pwd.struct_passwd:
    for name in _UNPRIVILEGED:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    pytest.fail(f"initdb refuses root, and there is none of {', '.join(_UNPRIVILEGED)}")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
