"""Which revision a store has, and bringing it up to date whole or not at all."""

from __future__ import annotations

import threading
from pathlib import Path

import sqlalchemy as sa

from bench.errors import StoreError
from bench.store import engine, postgres
from bench.store.faults import store_errors
from bench.store.place import StorePlace

# In order, oldest first; the last one is what this code reads and writes. Kept here
# so that opening a store that is up to date need not import Alembic.
REVISIONS = ("0001", "0002", "0003", "0004", "0005")
MIGRATIONS = Path(__file__).parent / "migrations"

# Alembic keeps its context in module globals.
_one_at_a_time = threading.Lock()
# Of pg_advisory_xact_lock: who makes or upgrades a schema holds it; "edgebnc" in ASCII.
_LOCK = 0x65646765626E63
_LOCK_WAIT = "30s"


def revision(reading: sa.Engine, place: StorePlace) -> str | None:
    """The revision of a store, None for an empty one.

    Raises:
        StoreError: not a store, or written by a newer edgebench.
    """
    with store_errors(place), reading.connect() as connection:
        return _revision(connection, place)


def _revision(connection: sa.Connection, place: StorePlace) -> str | None:
    tables = sa.inspect(connection).get_table_names()
    if not tables:
        return None
    if "alembic_version" not in tables:
        raise StoreError(f"{place} is not an edgebench store: it holds other tables")
    found = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalars()
    versions = list(found)
    if len(versions) != 1 or versions[0] not in REVISIONS:
        raise StoreError(
            f"{place} has revision {', '.join(versions) or 'none'}, and this edgebench knows "
            f"up to {REVISIONS[-1]}: upgrade edgebench to read it"
        )
    return str(versions[0])


def upgrade(place: StorePlace, *, migrations: Path = MIGRATIONS) -> None:
    """Run every missing migration in one transaction.

    For a SQLite file the caller holds the writer's lock; a server's is locked here, and
    whoever comes second finds it made.

    Args:
        migrations: Alembic's directory, with env.py and versions/.

    Raises:
        StoreError: a migration failed, and the store is as it was.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.util.exc import CommandError

    config = Config()
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    if place.path is None:
        writing = postgres.writing_engine(place)
    else:
        writing = engine.writing_engine(place.path, foreign_keys=False)
    try:
        with _one_at_a_time, store_errors(place), writing.begin() as connection:
            if place.shared:
                _lock_schema(connection, place)
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            if not place.shared:
                _check_parents(connection, place)
    except CommandError as error:
        raise StoreError(f"{place} cannot be brought up to date: {error}") from error
    finally:
        writing.dispose()


def _lock_schema(connection: sa.Connection, place: StorePlace) -> None:
    """Wait for whoever upgrades it now, and see that it is still ours to upgrade."""
    # A reader that never ends would make everybody wait behind us.
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_LOCK_WAIT}'")
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    postgres.check_encoding(connection, place)
    _revision(connection, place)


def _check_parents(connection: sa.Connection, place: StorePlace) -> None:
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
    if broken:
        raise StoreError(f"{place}: the migration left {len(broken)} rows without parent")
