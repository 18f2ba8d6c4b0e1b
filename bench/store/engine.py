"""Connections to the embedded SQLite file: WAL, and an explicit BEGIN.

The driver's own transaction handling is switched off, since it would commit before
DDL; every BEGIN is sent here instead, as SQLAlchemy's documentation of the pysqlite
dialect advises. A finished transaction survives a power cut (synchronous=FULL): one
fsync per launch costs milliseconds beside seconds of measurement.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa

from bench.errors import StoreError

BUSY_S = 30.0


def writing_engine(path: Path, *, foreign_keys: bool = True) -> sa.Engine:
    """One connection that may write and creates the file; transactions BEGIN IMMEDIATE.

    Args:
        foreign_keys: False only for migrations, which rebuild tables.

    Raises:
        StoreError: on first use, where the file system cannot hold a WAL.
    """

    def connect() -> sqlite3.Connection:
        connection = _connect(path, "mode=rwc")
        mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        if mode != "wal":
            connection.close()
            raise StoreError(f"{path}: this file system has no shared memory for a WAL: move it")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(f"PRAGMA foreign_keys={'ON' if foreign_keys else 'OFF'}")
        return connection

    return _engine(connect, "BEGIN IMMEDIATE", size=1)


def reading_engine(path: Path) -> sa.Engine:
    """Connections that refuse to write and never wait for the writer; a BEGIN, a snapshot."""
    # Not "ro": such a connection makes SQLite's -wal and -shm and cannot remove them.
    parameters = "mode=rw"
    # SQLite cannot lay its shared memory beside a store on a read-only medium; without
    # a log beside it nobody can be writing there and none is needed.
    log = path.with_name(path.name + "-wal")
    if not os.access(path.parent, os.W_OK) and not (log.exists() and log.stat().st_size):
        parameters = "mode=ro&immutable=1"

    def connect() -> sqlite3.Connection:
        connection = _connect(path, parameters)
        connection.execute("PRAGMA query_only=ON")
        return connection

    return _engine(connect, "BEGIN", size=5)


def _connect(path: Path, parameters: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.as_uri()}?{parameters}",
        uri=True,
        timeout=BUSY_S,
        isolation_level=None,
        check_same_thread=False,
    )


def _engine(connect: Callable[[], sqlite3.Connection], begin: str, *, size: int) -> sa.Engine:
    engine = sa.create_engine(
        "sqlite://", creator=connect, poolclass=sa.QueuePool, pool_size=size, max_overflow=0
    )

    @sa.event.listens_for(engine, "begin")
    def send_begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine
