"""Bring spooled samples into PostgreSQL, each exactly once; needs psycopg or pg8000.

A sample leaves the spool after the database has committed it, and its UUID is the table's
key: whatever is sent twice in between is there once. Also a program of its own:
`python edge_upload.py --config FILE [--once]`.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import random
import re
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

if TYPE_CHECKING or __package__:
    from bench.agent import edge_config
    from bench.agent.edge_spool import Spool, SpoolError
else:
    import edge_config
    from edge_spool import Spool, SpoolError

BATCH = 500
_CONNECT_S, _STATEMENT_S = 10, 60
_FIRST_WAIT_S, _LONGEST_WAIT_S = 5.0, 900.0
_UNSTORABLE = re.compile(r"[\x00\\\ud800-\udfff]")
_LOG = logging.getLogger("edge_agent")
# Columns of the table edge_metrics.
COLUMNS = (
    "sample_id",
    "device_id",
    "device_model",
    "model_name",
    "model_version",
    "model_sha256",
    "quantization_type",
    "delegate",
    "delegate_verdict",
    "runtime_version",
    "agent_version",
    "threads",
    "sample_count",
    "inference_latency_ms_p50",
    "inference_latency_ms_p90",
    "battery_drain_pct",
    "energy_mj_per_invoke",
    "temperature_c",
    "throttled",
    "failure",
    "simulated",
    "timestamp",
    "clock_synchronised",
)
_NAMES = ", ".join(f'"{column}"' for column in COLUMNS)
_INSERT = (
    f"INSERT INTO edge_metrics ({_NAMES}) VALUES ({', '.join(['%s'] * len(COLUMNS))})"  # noqa: S608
    " ON CONFLICT (sample_id) DO NOTHING"
)


class UploadError(Exception):
    """The database could not be reached, or refused; one line without any password."""


def connector(url: str) -> Callable[[], Any]:
    """What opens a connection to a database, by the driver that is installed.

    Raises: UploadError where there is no driver.
    """
    try:
        import psycopg
    except ImportError:
        pass
    else:
        return lambda: psycopg.connect(
            url,
            connect_timeout=_CONNECT_S,
            tcp_user_timeout=_STATEMENT_S * 1000,
            prepare_threshold=None,  # poolers between here and the server lose what is prepared
        )
    try:
        pg8000: Any = importlib.import_module("pg8000.dbapi")
    except ImportError:
        message = "no driver for PostgreSQL; install psycopg or pg8000 for this Python"
        raise UploadError(message) from None
    return lambda: pg8000.connect(**_parts(url))


def upload(spool: Spool, connect: Callable[[], Any]) -> int:
    """Send everything that waits; return how many samples left the spool.

    Raises: UploadError; what was committed until then has left the spool.
    """
    connection = _told(connect)
    sent = 0
    try:
        # Not before: while the database is away, losses add up.
        spool.tell_losses()
        while batch := spool.batch(BATCH):
            sent += _send(spool, connection, batch)
    finally:
        with suppress(Exception):
            connection.close()
    return sent


def storable(text: str) -> str:
    """The text as the table keeps any text: no NUL, and readable where it was."""
    return _UNSTORABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def without_secrets(text: str, url: str) -> str:
    """One line in which neither the address of a database nor its password stands."""
    with suppress(ValueError):
        password = urlsplit(url).password
        for secret in filter(None, (url, password, unquote(password or ""))):
            text = text.replace(secret, "***")
    return " ".join(text.split())[:500]


def keep_uploading(
    open_spool: Callable[[], Spool],
    url: str,
    wake: threading.Event,
    stop: threading.Event,
    *,
    wait_s: float,
) -> None:
    """Upload whenever `wake` is set, and at the latest every `wait_s`, until `stop` is set.

    After a failure it waits longer each time, up to 15 minutes, and by chance, so that a
    fleet does not come back in one moment. A failure is said once until it changes.
    """
    said = ""
    failures = 0
    begun = False
    while not stop.is_set():
        wake.clear()
        try:
            with open_spool() as spool:
                if not begun:
                    # The table may have been put right since.
                    spool.retry_refused()
                    begun = True
                try:
                    if sent := upload(spool, connector(url)):
                        _LOG.info("uploaded %d samples", sent)
                    failures, said = 0, ""
                except UploadError as error:
                    failures += 1
                    text = without_secrets(str(error), url)
                    spool.note_error(text)
                    if text != said:
                        said = text
                        _LOG.warning("not uploaded, and kept: %s", text)
        except (SpoolError, sqlite3.Error) as error:
            failures += 1
            _LOG.error("the spool cannot be read for uploading: %s", error)
        if failures:
            stop.wait(pause_s(failures, random.random()))  # noqa: S311
        else:
            wake.wait(wait_s)


def pause_s(failures: int, chance: float) -> float:
    """How long to wait after so many failures in a row; `chance` from 0 to 1."""
    longest = min(_FIRST_WAIT_S * 2.0 ** min(failures - 1, 20), _LONGEST_WAIT_S)
    return float(longest * (0.5 + chance / 2))


def _send(spool: Spool, connection: Any, batch: Sequence[tuple[int, dict[str, Any]]]) -> int:
    try:
        _insert(connection, [row for _, row in batch])
    except Exception as error:
        _rolled_back(connection)
        if not _of_the_row(error):
            raise UploadError(_line(error)) from error
        return _send_singly(spool, connection, batch)
    spool.done([seq for seq, _ in batch])
    return len(batch)


def _send_singly(spool: Spool, connection: Any, batch: Sequence[tuple[int, dict[str, Any]]]) -> int:
    """One of a batch is refused for what is in it: it must not hold up the others."""
    sent = 0
    for seq, row in batch:
        try:
            _insert(connection, [row])
        except Exception as error:
            _rolled_back(connection)
            if not _of_the_row(error):
                raise UploadError(_line(error)) from error
            _LOG.error("the database refuses sample %s: %s", row["sample_id"], _line(error))
            spool.refuse(seq, _line(error))
        else:
            spool.done([seq])
            sent += 1
    return sent


def _insert(connection: Any, rows: Sequence[dict[str, Any]]) -> None:
    cursor = connection.cursor()
    cursor.execute(f"SET LOCAL statement_timeout = '{_STATEMENT_S}s'")
    cursor.executemany(_INSERT, [tuple(_value(row, column) for column in COLUMNS) for row in rows])
    connection.commit()


def _value(row: dict[str, Any], column: str) -> Any:
    value = row.get(column)
    if column == "timestamp":
        return datetime.fromisoformat(str(value))
    return storable(value) if isinstance(value, str) else value


def _told(connect: Callable[[], Any]) -> Any:
    try:
        return connect()
    except Exception as error:  # every driver has its own
        raise UploadError(_line(error)) from error


def _rolled_back(connection: Any) -> None:
    with suppress(Exception):
        connection.rollback()


def _of_the_row(error: Exception) -> bool:
    """Whether the data is at fault: SQLSTATE class 22 or 23."""
    state = getattr(error, "sqlstate", None)
    if state is None and error.args and isinstance(error.args[0], dict):  # pg8000
        state = error.args[0].get("C")
    return str(state)[:2] in ("22", "23")


def _line(error: Exception) -> str:
    said = error.args[0] if error.args else ""
    text = said.get("M", "") if isinstance(said, dict) else str(error)
    return " ".join(str(text).split()) or type(error).__name__


def _parts(url: str) -> dict[str, Any]:
    """Arguments for pg8000 from an address; TLS unless sslmode says otherwise."""
    import ssl

    split = urlsplit(url)
    mode = dict(parse_qsl(split.query)).get("sslmode", "prefer")
    context: Any = None
    if mode.startswith("verify-"):
        context = ssl.create_default_context()
        context.check_hostname = mode == "verify-full"
    elif mode == "require":
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return {
        "user": unquote(split.username or ""),
        "password": unquote(split.password or "") or None,
        "host": split.hostname or "localhost",
        "port": split.port or 5432,
        "database": unquote(split.path.lstrip("/")) or None,
        "timeout": _STATEMENT_S,
        "ssl_context": context,
    }


def main(arguments: Sequence[str]) -> int:
    """Upload until SIGTERM, or once; 0, 2 (configuration) or 3 (spool or database)."""
    parser = argparse.ArgumentParser(prog="edge_upload.py", description=__doc__)
    parser.add_argument("--config", help="TOML or JSON, as of edge_agent.py")
    parser.add_argument("--once", action="store_true", help="upload what waits, and end")
    options = parser.parse_args(arguments)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    url = ""
    try:
        config = edge_config.load(options.config)
        if config.database_url is None:
            raise edge_config.ConfigError("no database: set EDGE_DATABASE_URL or database_url")
        url = config.database_url
        connect = connector(url)
        if options.once:
            with Spool(config.spool) as spool:
                spool.retry_refused()
                _LOG.info("uploaded %d samples", upload(spool, connect))
            return 0
        stop, wake = threading.Event(), threading.Event()

        def end(*_: object) -> None:
            stop.set()
            wake.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)
        wait_s = config.interval_s
        keep_uploading(lambda: Spool(config.spool), url, wake, stop, wait_s=wait_s)
    except edge_config.ConfigError as error:
        sys.stderr.write(f"edge_upload: {error}\n")
        return 2
    except (SpoolError, UploadError, sqlite3.Error) as error:
        sys.stderr.write(f"edge_upload: {without_secrets(str(error), url)}\n")
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
