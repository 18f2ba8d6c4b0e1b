"""Connections to a PostgreSQL server: snapshots to read, short transactions to write.

libpq reads the URL, the PG* environment variables and ~/.pgpass as it does for psql.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import sqlalchemy as sa

from bench.errors import StoreError, UserError
from bench.store.place import StorePlace

CONNECT_S = 10
# A server that has gone without a word is noticed after a minute and not after hours.
_ALIVE = {
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}
_FORCED = {"client_encoding": "UTF8"}


def reading_engine(place: StorePlace) -> sa.Engine:
    """Connections that refuse to write; each transaction is one snapshot.

    Raises:
        UserError: psycopg is not installed, or libpq cannot read the URL.
    """
    return _engine(
        place,
        pool_size=5,
        isolation_level="REPEATABLE READ",
        execution_options={"postgresql_readonly": True},
    )


def writing_engine(place: StorePlace) -> sa.Engine:
    """One connection that may write; a finished transaction survives a crash of the server.

    Raises:
        UserError: as reading_engine.
    """
    engine = _engine(place, pool_size=1, isolation_level="READ COMMITTED")
    _on_connect(
        engine,
        "SELECT set_config('synchronous_commit', 'on', false)"
        " WHERE current_setting('synchronous_commit') = 'off'",
    )
    return engine


def check_encoding(connection: sa.Connection, place: StorePlace) -> None:
    """Raises: StoreError for a database that cannot hold every text."""
    encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
    if encoding != "UTF8":
        raise StoreError(
            f"{place} has the encoding {encoding}: make the database with ENCODING 'UTF8'"
        )


def _engine(place: StorePlace, **options: Any) -> sa.Engine:
    # A connection that a restarted server has cut is replaced before it is used.
    engine = sa.create_engine(
        "postgresql+psycopg://",
        connect_args=_parameters(place),
        poolclass=sa.QueuePool,
        max_overflow=0,
        pool_pre_ping=True,
        **options,
    )

    # Times near the ends of the calendar have no counterpart in other zones.
    _on_connect(engine, "SET TIME ZONE 'UTC'")
    return engine


def _on_connect(engine: sa.Engine, statement: str) -> None:
    @sa.event.listens_for(engine, "connect")
    def execute(connection: Any, record: object) -> None:
        connection.execute(statement)
        connection.commit()


def _parameters(place: StorePlace) -> dict[str, Any]:
    try:
        import psycopg
        from psycopg.conninfo import conninfo_to_dict
    except ImportError:
        raise UserError(
            f"{place}: a store on a server needs psycopg: pip install 'edgebench[postgres]'"
        ) from None
    assert place.url is not None
    given: dict[str, Any] | None = None
    with suppress(psycopg.Error):
        given = dict(conninfo_to_dict(place.url))
    # What is no number there is the beginning of a password with a slash in it.
    if given is None or not str(given.get("port", "0")).replace(",", "").isdigit():
        # libpq's own message would show a password that stands in the wrong place.
        raise UserError(
            f"{place}: no URL that PostgreSQL reads: write postgresql://USER@HOST:PORT/DATABASE, "
            "special characters as %XX"
        )
    return {"connect_timeout": CONNECT_S, **_ALIVE, **given, **_FORCED}
