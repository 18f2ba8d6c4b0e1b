"""Which revision a store has, and bringing it up to date whole or not at all."""

from __future__ import annotations

import threading
from pathlib import Path

import sqlalchemy as sa

from bench.errors import StoreError
from bench.store.engine import store_errors, writing_engine

# In order, oldest first; the last one is what this code reads and writes. Kept here
# so that opening a store that is up to date need not import Alembic.
REVISIONS = ("0001", "0002", "0003", "0004")
MIGRATIONS = Path(__file__).parent / "migrations"

# Alembic keeps its context in module globals.
_one_at_a_time = threading.Lock()


def revision(engine: sa.Engine, path: Path) -> str | None:
    """The revision of a store, None for an empty file.

    Raises:
        StoreError: not a store, or written by a newer edgebench.
    """
    with store_errors(path), engine.connect() as connection:
        tables = sa.inspect(connection).get_table_names()
        if not tables:
            return None
        if "alembic_version" not in tables:
            raise StoreError(f"{path} is not an edgebench store: it holds other tables")
        found = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalars()
        versions = list(found)
    if len(versions) != 1 or versions[0] not in REVISIONS:
        raise StoreError(
            f"{path} has revision {', '.join(versions) or 'none'}, and this edgebench knows "
            f"up to {REVISIONS[-1]}: upgrade edgebench to read it"
        )
    return str(versions[0])


def upgrade(path: Path, *, migrations: Path = MIGRATIONS) -> None:
    """Run every missing migration in one transaction; the caller holds the writer's lock.

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
    engine = writing_engine(path, foreign_keys=False)
    try:
        with _one_at_a_time, store_errors(path), engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
            if broken:
                raise StoreError(f"{path}: the migration left {len(broken)} rows without parent")
    except CommandError as error:
        raise StoreError(f"{path} cannot be brought up to date: {error}") from error
    finally:
        engine.dispose()
