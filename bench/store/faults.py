"""Whatever a database, a disk or a network says: one line with advice."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from bench.errors import StoreError, StoreUnreachable
from bench.store.place import StorePlace

_OTHER_WRITER = "another writer was in the way: do it again"
_LOCKED = "another program keeps it locked"
_CONTRADICTION = "it contradicts what is stored already"

_SQLITE = {
    "SQLITE_FULL": "the disk is full: free some space, then resume",
    "SQLITE_IOERR": "the disk cannot be read or written (it may be full)",
    "SQLITE_NOTADB": "it is not an edgebench store",
    "SQLITE_CORRUPT": "it is damaged: restore a copy of it",
    "SQLITE_READONLY": "it is read-only",
    "SQLITE_CANTOPEN": "it cannot be opened: is its directory there and accessible?",
    "SQLITE_BUSY": _LOCKED,
    "SQLITE_LOCKED": _LOCKED,
    "SQLITE_PERM": "access is denied",
    "SQLITE_CONSTRAINT": _CONTRADICTION,
}
# By the beginning of SQLSTATE (PostgreSQL manual, appendix A); the longest one that fits.
_POSTGRES = {
    "22021": "a text does not fit its encoding: make the database with ENCODING 'UTF8'",
    "22P05": "a text does not fit its encoding: make the database with ENCODING 'UTF8'",
    "23": _CONTRADICTION,
    "25006": "it is read-only there: give the address of the primary server",
    "40": _OTHER_WRITER,
    "42501": "this user may not do that: ask for the right, or take another user",
    "42P01": "its tables are not those of this edgebench: run `edgebench db init` on it",
    "42703": "its tables are not those of this edgebench: run `edgebench db init` on it",
    "53100": "the server's disk is full: free some space there",
    "53200": "the server is out of memory",
    "55P03": _LOCKED,
    "57014": "the server gave the question up",
    "XX001": "it is damaged: restore a copy of it",
    "XX002": "it is damaged: restore a copy of it",
}
# A connection that is refused has no SQLSTATE: psycopg gives libpq's text alone.
_REFUSED = (
    (
        "password authentication failed|no password supplied|password retrieved from file",
        "the password was refused: put it into ~/.pgpass or PGPASSWORD",
    ),
    ("no pg_hba.conf entry|authentication failed", "the server does not let this user in"),
    (
        'database ".*" does not exist',
        "there is no such database: make it with createdb, then run `edgebench db init` on it",
    ),
    ('role ".*" does not exist', "the server knows no such user"),
    ("permission denied for database", "this user may not use the database"),
)
_UNREACHABLE = re.compile(
    "refused|timeout expired|timed out|could not translate host name|resolve host"
    "|Name or service not known|No route to host|Network is|Host is|No such file or directory"
    "|closed the connection|connection (?:is|was) (?:lost|closed)|Connection reset|Broken pipe"
    "|terminating connection|could not (?:receive|send) data|SYSCALL error"
    "|the database system is|too many c|remaining connection slots"
)
# Of psycopg and libpq, around what happened.
_IDLE_WORDS = re.compile(r"^connection (?:failed|is bad): |\s*Is the server running [^?]*\?")
# Connection exceptions, shutdowns, and no free connection.
_UNREACHABLE_STATES = ("08", "57P", "53300")


@contextmanager
def store_errors(place: Path | StorePlace) -> Iterator[None]:
    """Turn whatever the database, the disk or a damaged row raises into one StoreError.

    Raises:
        StoreUnreachable: the server is not there, or has gone.
    """
    try:
        yield
    except sa.exc.SQLAlchemyError as error:
        raise _of_database(place, error) from error
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"{place}: {_with_advice(_of_sqlite(error), error)}") from error
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise StoreError(f"{place}: {type(error).__name__}: {_one_line(error)}") from error


def _of_database(place: Path | StorePlace, error: sa.exc.SQLAlchemyError) -> StoreError:
    cause = (error.orig if isinstance(error, sa.exc.StatementError) else None) or error
    if not isinstance(place, StorePlace) or not place.shared:
        return StoreError(f"{place}: {_with_advice(_of_sqlite(cause), cause)}")
    state = getattr(cause, "sqlstate", None)
    text = _one_line(cause)
    if state is not None and not state.startswith(_UNREACHABLE_STATES):
        fits = (state[:length] for length in (5, 2))
        advice = next((_POSTGRES[part] for part in fits if part in _POSTGRES), None)
        return StoreError(f"{place}: {_with_advice(advice, cause)}")
    for pattern, advice in _REFUSED:
        if re.search(pattern, text):
            return StoreError(f"{place}: {_with_advice(advice, cause)}")
    lost = isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated
    if state is not None or lost or _UNREACHABLE.search(text):
        return StoreUnreachable(f"{place}: the server cannot be reached ({text})")
    return StoreError(f"{place}: {text}")


def _of_sqlite(cause: BaseException) -> str | None:
    name = getattr(cause, "sqlite_errorname", "")
    return next((advice for prefix, advice in _SQLITE.items() if name.startswith(prefix)), None)


def _with_advice(advice: str | None, cause: BaseException) -> str:
    return _one_line(cause) if advice is None else f"{advice} ({_one_line(cause)})"


def _one_line(error: BaseException) -> str:
    return " ".join(_IDLE_WORDS.sub("", str(error)).split()) or type(error).__name__
