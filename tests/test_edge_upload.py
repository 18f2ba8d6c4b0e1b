"""Uploading to a real PostgreSQL: exactly once, whatever fails in between."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import sql

from bench.agent import edge_upload
from bench.agent.edge_spool import Spool
from bench.agent.edge_upload import (
    COLUMNS,
    UploadError,
    connector,
    keep_uploading,
    pause_s,
    storable,
    upload,
    without_secrets,
)
from bench.store.codec import escape_text
from bench.store.schema import edge_metrics
from tests.edge_rows import edge_row
from tests.postgres import Server, running_server

pytest_plugins = ("tests.postgres_fixtures",)


def spooled(number: int, **changes: Any) -> dict[str, Any]:
    row = edge_row(device_id="gw", sample_id=f"s-{number:05d}", **changes)
    return {**row, "timestamp": row["timestamp"].isoformat()}


def filled(path: Path, count: int, first: int = 0) -> Path:
    with Spool(path) as spool:
        for start in range(first, first + count, 100):
            rows = range(start, min(start + 100, first + count))
            spool.add([spooled(number) for number in rows])
    return path


def uploaded(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT sample_id FROM edge_metrics ORDER BY sample_id")
        return [row[0] for row in found]


def ids(count: int) -> list[str]:
    return [f"s-{number:05d}" for number in range(count)]


def until(true: Callable[[], bool]) -> None:
    for _ in range(1200):
        if true():
            return
        time.sleep(0.05)
    raise AssertionError("it never came true")


def test_the_columns_are_the_tables() -> None:
    assert set(COLUMNS) == {column.name for column in edge_metrics.columns}


def test_everything_arrives_as_it_was_and_the_spool_is_empty(
    postgres_url: str, tmp_path: Path
) -> None:
    path = filled(tmp_path / "spool.db", 1203)
    text = "back\\slash, NUL \0, \ud800 and é"
    with Spool(path) as spool:
        spool.add([spooled(1203, failure=text, throttled=None, temperature_c=None)])
        assert upload(spool, connector(postgres_url)) == 1204
        assert spool.batch(1) == []
        status = spool.status()
        assert (status["queued"], status["uploaded"], status["last_error"]) == (0, 1204, None)
    assert uploaded(postgres_url) == ids(1204)
    with psycopg.connect(postgres_url) as connection:
        (row,) = connection.execute(
            "SELECT inference_latency_ms_p50, threads, simulated, throttled, temperature_c,"
            ' failure, "timestamp" FROM edge_metrics WHERE sample_id = %s',
            ["s-01203"],
        )
    assert row[:5] == (10.0, 1, False, None, None)
    assert row[5] == escape_text(text)
    assert row[6] == edge_row()["timestamp"]


@given(st.text())
def test_text_is_kept_as_the_store_keeps_it(text: str) -> None:
    assert storable(text) == escape_text(text)


def test_what_was_sent_and_not_acknowledged_is_there_once(
    postgres_url: str, tmp_path: Path
) -> None:
    """The database commits, and the agent loses power before it knows."""
    path = filled(tmp_path / "spool.db", 30)
    with Spool(path) as spool, psycopg.connect(postgres_url) as connection:
        edge_upload._insert(connection, [row for _, row in spool.batch(10)])
    with Spool(path) as spool:
        upload(spool, connector(postgres_url))
    assert uploaded(postgres_url) == ids(30)


UPLOADER = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from bench.agent import edge_upload
    edge_upload.BATCH = 7
    with edge_upload.Spool(Path(sys.argv[1])) as spool:
        edge_upload.upload(spool, edge_upload.connector(sys.argv[2]))
    """
)


def test_killed_at_random_moments_nothing_is_lost_or_double(
    postgres_url: str, tmp_path: Path
) -> None:
    path = filled(tmp_path / "spool.db", 3000)
    rng = random.Random(3)
    interrupted = 0
    for _ in range(12):
        child = subprocess.Popen([sys.executable, "-c", UPLOADER, str(path), postgres_url])
        before = len(uploaded(postgres_url))
        until(lambda: child.poll() is not None or len(uploaded(postgres_url)) > before)  # noqa: B023
        time.sleep(rng.random() * 0.05)
        child.kill()
        interrupted += child.wait() == -signal.SIGKILL
        with Spool(path) as spool:
            waiting = {row["sample_id"] for _, row in spool.batch(3000)}
        assert set(ids(3000)) <= waiting | set(uploaded(postgres_url))
    assert interrupted > 6
    with Spool(path) as spool:
        upload(spool, connector(postgres_url))
        assert spool.batch(1) == []
    assert uploaded(postgres_url) == ids(3000)


def test_a_row_that_the_database_refuses_does_not_hold_up_the_others(
    postgres_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = filled(tmp_path / "spool.db", 3)
    with Spool(path) as spool:
        spool.add([spooled(3, threads=None), spooled(4)])
        assert upload(spool, connector(postgres_url)) == 4
        assert spool.status()["refused"] == 1
        assert spool.batch(9) == []
        assert "refuses sample s-00003" in caplog.text
        with psycopg.connect(postgres_url) as connection:
            connection.execute("ALTER TABLE edge_metrics ALTER threads DROP NOT NULL")
        spool.retry_refused()
        assert upload(spool, connector(postgres_url)) == 1
    assert uploaded(postgres_url) == ids(5)


def test_losses_are_told_as_a_sample(postgres_url: str, tmp_path: Path) -> None:
    with Spool(tmp_path / "spool.db", 1) as spool:
        for number in range(200):
            spool.add([spooled(number, failure="x" * 2000)])
        lost = 200 - len(spool.batch(1000))
        assert lost > 0
        upload(spool, connector(postgres_url))
    with psycopg.connect(postgres_url) as connection:
        (row,) = connection.execute(
            "SELECT device_id, failure FROM edge_metrics WHERE model_name = '(agent)'"
        )
    assert row[0] == "gw"
    assert row[1].startswith(f"the spool was full: {lost} samples lost")


@pytest.mark.parametrize("why", ["no table", "no right", "no database", "wrong password"])
def test_a_database_that_refuses_is_named_and_everything_is_kept(
    postgres: Server, postgres_url: str, empty_url: str, tmp_path: Path, why: str
) -> None:
    database = urlsplit(postgres_url).path.lstrip("/")
    url, said = {
        "no table": (empty_url, 'relation "edge_metrics" does not exist'),
        "no right": (postgres.url(database, user="reader", password="pw"), "permission denied"),
        "no database": (postgres.url("none"), 'database "none" does not exist'),
        "wrong password": (postgres.url(database, password="secret-7"), "password authentication"),
    }[why]
    if why == "no right":
        postgres.execute(sql.SQL("CREATE ROLE reader LOGIN PASSWORD 'pw'"))
    try:
        with Spool(filled(tmp_path / "spool.db", 5)) as spool:
            with pytest.raises(UploadError, match=said) as caught:
                upload(spool, connector(url))
            assert len(spool.batch(10)) == 5
            assert "\n" not in str(caught.value)
            assert "secret-7" not in str(caught.value)
    finally:
        if why == "no right":
            postgres.execute(sql.SQL("DROP ROLE reader"))


def test_an_uploader_needs_two_rights_and_no_more(
    postgres: Server, postgres_url: str, tmp_path: Path
) -> None:
    database = urlsplit(postgres_url).path.lstrip("/")
    postgres.execute(sql.SQL("CREATE ROLE sender LOGIN PASSWORD 'pw'"))
    try:
        grant = sql.SQL("GRANT INSERT, SELECT ON edge_metrics TO sender")
        postgres.execute(grant, database)
        with Spool(filled(tmp_path / "spool.db", 5)) as spool:
            upload(spool, connector(postgres.url(database, user="sender", password="pw")))
        assert uploaded(postgres_url) == ids(5)
    finally:
        postgres.execute(sql.SQL("DROP OWNED BY sender"), database)
        postgres.execute(sql.SQL("DROP ROLE sender"))


def test_database_away_and_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.store import initialise

    caplog.set_level("INFO")
    monkeypatch.setattr(edge_upload, "_FIRST_WAIT_S", 0.05)
    monkeypatch.setattr(edge_upload, "_LONGEST_WAIT_S", 0.2)
    path = filled(tmp_path / "spool.db", 40)
    stop, wake = threading.Event(), threading.Event()
    with running_server() as server:
        url = server.url(server.make_database())
        initialise(url)
        server.stop()
        thread = threading.Thread(
            target=keep_uploading,
            args=(lambda: Spool(path), url, wake, stop),
            kwargs={"wait_s": 60.0},
        )
        thread.start()
        try:
            until(lambda: "not uploaded, and kept" in caplog.text)
            time.sleep(1)
            # Said once, not at every attempt.
            assert caplog.text.count("not uploaded, and kept") == 1
            with Spool(path) as spool:
                assert "refused" in spool.status()["last_error"]["text"]
            server.start()
            until(lambda: len(uploaded(url)) == 40)
            until(lambda: "uploaded 40 samples" in caplog.text)
            filled(path, 5, first=40)
            wake.set()
            until(lambda: len(uploaded(url)) == 45)
        finally:
            stop.set()
            wake.set()
            thread.join()
        assert uploaded(url) == ids(45)
        with Spool(path) as spool:
            assert spool.status()["last_error"] is None


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_pauses_grow_to_a_quarter_of_an_hour_and_differ(failures: int, chance: float) -> None:
    pause = pause_s(failures, chance)
    assert 2.5 <= pause <= 900
    assert pause_s(failures + 1, chance) >= pause
    assert pause_s(failures, 0.0) < pause_s(failures, 1.0)


@given(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=4).filter(
        lambda t: t.strip() and t not in "postgresql://user:@host/db x"
    )
)
def test_no_line_shows_a_password(password: str) -> None:
    url = f"postgresql://user:{quote(password, safe='')}@host/db"
    line = without_secrets(f"x {url} x {quote(password, safe='')} x", url)
    assert quote(password, safe="") not in line


def test_without_a_driver_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.setitem(sys.modules, "pg8000", None)
    monkeypatch.setitem(sys.modules, "pg8000.dbapi", None)
    with pytest.raises(UploadError, match="install psycopg or pg8000"):
        connector("postgresql://host/db")


# The program


def program(
    tmp_path: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    config = tmp_path / "agent.json"
    model = {"name": "m", "version": "1", "path": "/m.tflite", "quantization_type": "int8"}
    config.write_text(
        json.dumps({"device_id": "gw", "spool": str(tmp_path / "spool.db"), "models": [model]})
    )
    return subprocess.run(
        [sys.executable, "-m", "bench.agent.edge_upload", "--config", str(config), *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_program_uploads_once(postgres_url: str, tmp_path: Path) -> None:
    filled(tmp_path / "spool.db", 12)
    done = program(tmp_path, "--once", EDGE_DATABASE_URL=postgres_url)
    assert done.returncode == 0, done.stderr
    assert "uploaded 12 samples" in done.stderr
    assert uploaded(postgres_url) == ids(12)


def test_the_program_says_what_is_wrong_in_one_line(tmp_path: Path, unused: int) -> None:
    done = program(tmp_path, "--once")
    assert done.returncode == 2
    assert "set EDGE_DATABASE_URL" in done.stderr
    filled(tmp_path / "spool.db", 2)
    url = f"postgresql://user:top-secret@127.0.0.1:{unused}/db"
    done = program(tmp_path, "--once", EDGE_DATABASE_URL=url)
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert "top-secret" not in done.stderr
    with Spool(tmp_path / "spool.db") as spool:
        assert len(spool.batch(9)) == 2


@pytest.fixture
def unused() -> int:
    """A port that nothing listens on."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
