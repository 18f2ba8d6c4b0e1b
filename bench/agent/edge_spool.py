"""Samples that wait for the database: a SQLite file that survives power cuts.

A sample counts once `add` has returned: its transaction is on the disk (WAL,
synchronous=FULL). Order is that of `seq`; the clock of a device may jump.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any

VERSION = 1
DEFAULT_LIMIT_BYTES = 200_000_000
# Model name of the row by which the agent tells of its own losses.
AGENT_ITSELF = "(agent)"
_BUSY_S = 30.0
_LOG = logging.getLogger("edge_agent")

_SCHEMA = """
CREATE TABLE sample (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    sample_id TEXT NOT NULL UNIQUE,
    row TEXT NOT NULL,
    refused TEXT
);
CREATE TABLE lost (
    device_id TEXT PRIMARY KEY,
    row TEXT NOT NULL,
    samples INTEGER NOT NULL,
    first_utc TEXT NOT NULL,
    last_utc TEXT NOT NULL
);
CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class SpoolError(Exception):
    """The spool cannot be used; one line that says why and what to do."""


def utc_now() -> str:
    """The time by this device's clock, ISO 8601 with its zone, UTC."""
    return datetime.now(timezone.utc).isoformat()  # noqa: UP017  (Python 3.9 on the device)


class Spool:
    """One connection to the spool, which several processes may have open; for one thread.

    Args:
        path: made where it is missing.
        limit_bytes: of pages in use. Beyond it the oldest samples give way and are counted.
        repair: look whether the file is damaged; one that is gets another name, is never
            removed, and a new one is begun. For the agent alone: who sets aside what another
            has just begun would take samples with it.

    Raises: SpoolError, from the constructor only. Methods raise sqlite3.Error, with
    nothing changed.
    """

    def __init__(
        self, path: Path, limit_bytes: int = DEFAULT_LIMIT_BYTES, *, repair: bool = False
    ) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._db = _opened(path, check=repair)
            except sqlite3.DatabaseError as error:
                if not (repair and is_damage(error)):
                    raise
                set_aside(path, error)
                self._db = _opened(path, check=False)
        except (OSError, sqlite3.Error) as error:
            raise SpoolError(f"{path}: {error}; is its directory writable and not full?") from error
        page_bytes = int(self._db.execute("PRAGMA page_size").fetchone()[0])
        self._limit_pages = max(limit_bytes // page_bytes, 16)

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; twice does no harm."""
        self._db.close()

    def add(self, rows: Sequence[dict[str, Any]]) -> None:
        """Keep samples, all or none; they are on the disk when this returns.

        A sample that is there already is left as it is. Each row has "sample_id",
        "device_id", "timestamp", "agent_version" and "simulated".
        """
        with self._transaction():
            self._make_room()
            for row in rows:
                self._insert(row)
            if rows:
                self._set("last_sample", rows[-1])

    def batch(self, most: int) -> list[tuple[int, dict[str, Any]]]:
        """The oldest samples that the database has not refused, with their numbers."""
        found = self._db.execute(
            "SELECT seq, row FROM sample WHERE refused IS NULL ORDER BY seq LIMIT ?", (most,)
        )
        return [(seq, json.loads(row)) for seq, row in found]

    def done(self, numbers: Sequence[int]) -> None:
        """Forget samples that the database has committed."""
        with self._transaction():
            gone = sum(
                self._db.execute("DELETE FROM sample WHERE seq = ?", (seq,)).rowcount
                for seq in numbers
            )
            self._set("uploaded", int(self._get("uploaded") or 0) + gone)
            self._set("last_upload_utc", utc_now())
            self._set("last_error", None)

    def refuse(self, number: int, why: str) -> None:
        """Keep a sample back that the database refuses for what is in it."""
        with self._transaction():
            self._db.execute("UPDATE sample SET refused = ? WHERE seq = ?", (why, number))

    def retry_refused(self) -> None:
        """Offer once more what was refused."""
        with self._transaction():
            self._db.execute("UPDATE sample SET refused = NULL WHERE refused IS NOT NULL")

    def note_error(self, text: str) -> None:
        """Remember the last error for `status`."""
        with self._transaction():
            self._set("last_error", {"text": text, "timestamp": utc_now()})

    def tell_losses(self) -> None:
        """Turn what was lost since the last time into one sample per device, once."""
        with self._transaction():
            lost = self._db.execute("SELECT row, samples, first_utc, last_utc FROM lost").fetchall()
            for row, samples, first, last in lost:
                about = json.loads(row)
                failure = f"the spool was full: {samples} samples lost, of {first} to {last}"
                self._insert(
                    {
                        "sample_id": str(uuid.uuid4()),
                        "device_id": about["device_id"],
                        "model_name": AGENT_ITSELF,
                        "model_version": "",
                        "model_sha256": "",
                        "quantization_type": "",
                        "delegate": "none",
                        "agent_version": about["agent_version"],
                        "threads": 0,
                        "sample_count": 0,
                        "failure": failure,
                        "simulated": about["simulated"],
                        "timestamp": utc_now(),
                        "lost": samples,
                    }
                )
            self._db.execute("DELETE FROM lost")

    def status(self) -> dict[str, Any]:
        """Counts of samples, and what happened last."""
        queued, refused = self._db.execute("SELECT count(*), count(refused) FROM sample").fetchone()
        return {
            "queued": queued,
            "refused": refused,
            "uploaded": int(self._get("uploaded") or 0),
            "lost": int(self._get("lost") or 0),
            "last_sample": self._get("last_sample"),
            "last_upload_utc": self._get("last_upload_utc"),
            "last_error": self._get("last_error"),
        }

    def _insert(self, row: dict[str, Any]) -> None:
        self._db.execute(
            "INSERT OR IGNORE INTO sample (sample_id, row) VALUES (?, ?)",
            (row["sample_id"], json.dumps(row, allow_nan=False)),
        )

    def _make_room(self) -> None:
        dropped = 0
        while self._pages() >= self._limit_pages:
            oldest = self._db.execute("SELECT seq, row FROM sample ORDER BY seq LIMIT 50")
            found = oldest.fetchall()
            if not found:
                break
            for seq, text in found:
                row = json.loads(text)
                # One that tells of losses stands for them, which were counted before.
                dropped += 0 if "lost" in row else 1
                self._lose(row, text)
                self._db.execute("DELETE FROM sample WHERE seq = ?", (seq,))
        if dropped:
            self._set("lost", int(self._get("lost") or 0) + dropped)
            _LOG.error("%s is full: the oldest %d samples are lost", self.path, dropped)

    def _lose(self, row: dict[str, Any], text: str) -> None:
        self._db.execute(
            "INSERT INTO lost VALUES (?, ?, ?, ?, ?) ON CONFLICT (device_id) DO UPDATE"
            " SET samples = samples + excluded.samples, last_utc = excluded.last_utc",
            (row["device_id"], text, row.get("lost", 1), row["timestamp"], row["timestamp"]),
        )

    def _pages(self) -> int:
        whole, free = (
            int(self._db.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_count", "freelist_count")
        )
        return whole - free

    def _get(self, name: str) -> Any:
        found = self._db.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
        return None if found is None else json.loads(found[0])

    def _set(self, name: str, value: Any) -> None:
        self._db.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (name, json.dumps(value)))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # SQLite itself may have rolled back already
                self._db.execute("ROLLBACK")
            raise


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file is at fault, and not its disk or another program."""
    # The driver raises the subclasses for everything but a damaged or foreign file.
    return type(error) is sqlite3.DatabaseError


def set_aside(path: Path, why: object) -> None:
    """Give a damaged spool another name, with its log; it may be repaired by hand."""
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S")  # noqa: UP017
    name = f"{path.name}.damaged-{stamp}-{uuid.uuid4().hex[:8]}"
    for suffix in ("-wal", "-shm", ""):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(path.with_name(name + suffix))
    _LOG.error("%s is damaged (%s): kept as %s, and a new one is begun", path, why, name)


@contextmanager
def only_agent(path: Path) -> Iterator[None]:
    """Hold the spool as its one agent.

    Raises: SpoolError where another agent holds it, or it cannot be locked.
    """
    lock = path.with_name(path.name + ".lock")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise SpoolError(f"{lock}: {error.strerror}; choose a directory of yours") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SpoolError(f"{path}: another agent uses this spool; give each its own") from None
        yield
    finally:
        os.close(handle)


@contextmanager
def measuring(path: Path) -> Iterator[None]:
    """Wait until nothing else is measured beside this spool, and be what is measured."""
    try:
        handle = os.open(path.with_name(path.name + ".measuring"), os.O_RDWR | os.O_CREAT, 0o644)
    except OSError:
        # Where no agent could have a spool, none is measuring either.
        yield
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _opened(path: Path, *, check: bool) -> sqlite3.Connection:
    db = sqlite3.connect(str(path), timeout=_BUSY_S, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        version = int(db.execute("PRAGMA user_version").fetchone()[0])
        if version > VERSION:
            raise SpoolError(f"{path}: made by a newer agent; use that one, or another spool")
        if version == 0:
            # Two that open it first: the second finds the tables when it may write.
            db.execute("BEGIN IMMEDIATE")
            if not int(db.execute("PRAGMA user_version").fetchone()[0]):
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version={VERSION}")
            db.execute("COMMIT")
        elif check and (found := db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            raise sqlite3.DatabaseError(found)
    except BaseException:
        db.close()
        raise
    return db
