"""A server that stops, refuses, fills up or is shared: one clear line and nothing half there."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
import store_records as make
from psycopg import sql
from store_points import point

from bench.errors import StoreError, StoreUnreachable
from bench.records import PlannedCase, RunRecord, RunStatus, VariantRecord
from bench.store import Store, StorePlace, initialise, open_store, postgres
from tests import postgres as server_of_tests
from tests.postgres import Server, running_server

pytest_plugins = ["tests.postgres_fixtures"]

# Another fixture has the plain name.
MODULE = postgres
HERE = Path(__file__).parent


def begun(store: Store) -> tuple[RunRecord, PlannedCase]:
    run = make.run_record()
    case = make.planned(run)
    store.begin_run(run, [case])
    return run, case


def when_written(store: Store, table: str, act: Callable[[], None]) -> None:
    """Do something once, after a row went into a table and before its transaction ends."""
    left = [act]

    @sa.event.listens_for(store._writing, "after_cursor_execute")
    def watch(*statement: Any) -> None:
        if f"INSERT INTO {table} " in statement[2] and left:
            left.pop()()


# --- a server that goes away -------------------------------------------------------------


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
def test_a_server_that_stops_mid_write_leaves_no_half_launch(
    postgres: Server, postgres_url: str, how: signal.Signals
) -> None:
    with open_store(postgres_url, write=True) as store:
        run, case = begun(store)
        store.add_launch(make.launch_record(case))
        when_written(store, "launch", lambda: postgres.stop(how))
        try:
            with pytest.raises(StoreUnreachable, match="the server cannot be reached"):
                store.add_launch(make.launch_record(case, 1))
            with pytest.raises(StoreUnreachable, match="the server cannot be reached"):
                store.runs()
        finally:
            postgres.start()
        # The same store goes on when the server is back.
        assert store.launches_done(run.run_id) == {(case.case.case_id, 0, 0)}
        with store._snapshot() as connection:
            assert connection.execute(sa.text("SELECT count(*) FROM launch_samples")).scalar() == 1
        store.add_launch(make.launch_record(case, 1))
        assert len(store.load(run.run_id, samples=True).launches) == 2


def test_a_restart_between_two_writes_is_not_noticed(postgres: Server, postgres_url: str) -> None:
    with open_store(postgres_url, write=True) as store:
        run, case = begun(store)
        store.runs()
        postgres.stop()
        postgres.start()
        store.add_launch(make.launch_record(case))
        assert len(store.load(run.run_id).launches) == 1


def test_a_connection_that_is_cut_mid_write_leaves_no_half_launch(
    postgres: Server, postgres_url: str
) -> None:
    name = psycopg.conninfo.conninfo_to_dict(postgres_url)["dbname"]
    cut = sql.SQL(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {}"
    ).format(sql.Literal(name))
    with open_store(postgres_url, write=True) as store:
        run, case = begun(store)
        when_written(store, "launch", lambda: postgres.execute(cut))
        with pytest.raises(StoreUnreachable):
            store.add_launch(make.launch_record(case))
        assert store.load(run.run_id).launches == ()
        store.add_launch(make.launch_record(case))
        assert len(store.load(run.run_id).launches) == 1


WRITER = """
import os, sys
import store_records as make
from bench.store import open_store
run = make.run_record()
case = make.planned(run)
with open_store(sys.argv[1], write=True) as store:
    store.begin_run(run, [case])
    os.write(1, f"{run.run_id}\\n".encode())
    for index in range(10**9):
        record = make.launch_record(case, index)
        store.add_launch(record)
        os.write(1, f"{record.launch_id}\\n".encode())
"""


def start(program: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, "PYTHONPATH": f"{HERE}:{HERE.parent}"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_a_killed_writer_loses_nothing_that_was_acknowledged(postgres_url: str) -> None:
    with start(WRITER, postgres_url) as child:
        assert child.stdout is not None
        run_id = child.stdout.readline().strip()
        acknowledged = {child.stdout.readline().strip() for _ in range(20)}
        child.kill()
        acknowledged |= set(child.stdout.read().split())
    with open_store(postgres_url, write=True) as store:
        stored = {r.launch_id for r in store.load(run_id, samples=True).launches}
        store.reopen_run(run_id)
    assert stored >= acknowledged
    assert len(stored) <= len(acknowledged) + 1


# --- what a server refuses -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ("53100", "the server's disk is full"),
        ("25006", "it is read-only there"),
        ("42501", "this user may not do that"),
        ("40P01", "another writer was in the way"),
        ("40001", "another writer was in the way"),
        ("55P03", "keeps it locked"),
        ("53200", "out of memory"),
        ("XX001", "it is damaged"),
        ("P0001", "said by the server"),
    ],
)
def test_what_the_server_says_comes_with_advice(
    postgres: Server, postgres_url: str, state: str, message: str
) -> None:
    name = psycopg.conninfo.conninfo_to_dict(postgres_url)["dbname"]
    assert isinstance(name, str)
    refuse = sql.SQL(
        "CREATE FUNCTION refuse() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION USING"
        " ERRCODE = {}, MESSAGE = 'said by the server', DETAIL = 'on two lines'; END $$"
        " LANGUAGE plpgsql;"
        "CREATE TRIGGER refuse BEFORE INSERT ON launch_samples EXECUTE FUNCTION refuse()"
    )
    with open_store(postgres_url, write=True) as store:
        run, case = begun(store)
        postgres.execute(refuse.format(sql.Literal(state)), name)
        with pytest.raises(StoreError) as caught:
            store.add_launch(make.launch_record(case))
        assert not isinstance(caught.value, StoreUnreachable)
        assert message in str(caught.value)
        assert "said by the server" in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1
        assert store.load(run.run_id).launches == ()


def test_wrong_passwords_and_names_are_not_unreachable(postgres: Server, empty_url: str) -> None:
    for url, message in [
        (postgres.url("postgres", password="Xq7wrong"), "the password was refused"),
        (postgres.url("postgres", password=""), "the password was refused"),
        (postgres.url("postgres", user="nobody-there"), "the password was refused"),
        (postgres.url("no-such-db"), "there is no such database: make it with createdb"),
        (empty_url, "is empty: run `edgebench db init postgresql://"),
        (f"{empty_url}?sslmode=require", "SSL"),
    ]:
        for write in (False, True):
            with pytest.raises(StoreError, match=message) as caught:
                open_store(url, write=write)
            assert not isinstance(caught.value, StoreUnreachable)
            assert len(str(caught.value).splitlines()) == 1
            for word in ("Xq7wrong", postgres.password):
                assert word not in str(caught.value)


def test_the_rights_that_the_manual_gives_are_enough_and_all(
    postgres: Server, postgres_url: str
) -> None:
    name = str(psycopg.conninfo.conninfo_to_dict(postgres_url)["dbname"])
    try:
        for statement in (HERE.parent / "docs" / "store.md").read_text().split("```sql")[1:]:
            for line in statement.partition("```")[0].splitlines():
                if not line.startswith("CREATE DATABASE"):
                    postgres.execute(sql.SQL(line), name)
        url = postgres.url(name, user="writer", password="...")
        with open_store(url, write=True) as store:
            run, case = begun(store)
            store.add_launch(make.launch_record(case))
            store.finish_run(run.run_id, RunStatus.FINISHED, make.START)
            store.add_points(run.run_id, [point(case)])
        url = postgres.url(name, user="reader", password="...")
        with open_store(url, write=False) as store:
            assert store.runs()[0].run_id == run.run_id
            assert len(store.points()) == 1
        with (
            open_store(url, write=True) as store,
            pytest.raises(StoreError, match="this user may not do that"),
        ):
            begun(store)
    finally:
        postgres.execute(sql.SQL("DROP OWNED BY reader, writer, edgebench"), name)
        postgres.execute(sql.SQL("DROP ROLE reader, writer, edgebench"))


def test_unreachable_is_a_thing_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MODULE, "CONNECT_S", 2)
    with socket.socket() as silent, socket.socket() as closed:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        closed.bind(("127.0.0.1", 0))
        for at in (
            f"127.0.0.1:{closed.getsockname()[1]}",
            f"127.0.0.1:{silent.getsockname()[1]}",
            "no-such-host.invalid",
        ):
            url = f"postgresql://me:Xq7pw@{at}/db"
            for attempt in (
                lambda url=url: open_store(url, write=False),
                lambda url=url: initialise(url),
            ):
                with pytest.raises(StoreUnreachable, match="server cannot be reached") as caught:
                    attempt()
                assert "Xq7pw" not in str(caught.value)
                assert len(str(caught.value).splitlines()) == 1


def test_readers_see_whole_snapshots_while_another_process_writes(postgres_url: str) -> None:
    seen = [0]
    with start(WRITER, postgres_url) as child:
        assert child.stdout is not None
        run_id = child.stdout.readline().strip()
        with open_store(postgres_url, write=False) as store:
            while seen[-1] < 40:
                launches = store.load(run_id, samples=True).launches
                assert [r.index for r in launches] == list(range(len(launches)))
                assert all(r.measurement and r.measurement.count == 100 for r in launches)
                seen.append(len(launches))
        child.kill()
        child.stdout.read()
    assert seen == sorted(seen)


def test_reading_connections_refuse_to_write(postgres_url: str) -> None:
    with (
        open_store(postgres_url, write=False) as store,
        pytest.raises(StoreError, match="read-only"),
        store._snapshot() as connection,
    ):
        connection.execute(sa.text("DELETE FROM run"))


def test_a_schema_of_its_own_beside_other_programs(postgres: Server, empty_url: str) -> None:
    name = str(psycopg.conninfo.conninfo_to_dict(empty_url)["dbname"])
    for statement in ("CREATE TABLE theirs (a integer)", "CREATE SCHEMA ours"):
        postgres.execute(sql.SQL(statement), name)
    with pytest.raises(StoreError, match="is not an edgebench store: it holds other tables"):
        initialise(empty_url)
    url = f"{empty_url}?options=-csearch_path%3Dours"
    initialise(url)
    with open_store(url, write=True) as store:
        run, _ = begun(store)
        assert store.runs() == (run,)


# --- several writers -----------------------------------------------------------------------


def at_once(*acts: Callable[[], None]) -> list[BaseException]:
    """Do them side by side, and give what they raised."""
    raised: list[BaseException] = []
    together = threading.Barrier(len(acts))

    def do(act: Callable[[], None]) -> None:
        try:
            together.wait()
            act()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=do, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def test_two_writers_add_to_one_run_and_nothing_is_lost_or_doubled(postgres_url: str) -> None:
    with open_store(postgres_url, write=True) as one, open_store(postgres_url, write=True) as two:
        run, case = begun(one)

        def add(store: Store, names: range) -> None:
            for name in names:
                store.add_variant(VariantRecord(run.run_id, "m", f"v{name}", "a", "1", 1, {}))
                facts = {"shared by both": name % 10}
                store.add_launch(make.launch_record(case, name, environment=facts))

        assert at_once(lambda: add(one, range(20)), lambda: add(two, range(20, 40))) == []
        data = one.load(run.run_id)
        assert sorted(r.index for r in data.launches) == list(range(40))
        assert len(data.variants) == 40
        with one._snapshot() as connection:
            positions = connection.execute(sa.text("SELECT position FROM variant")).scalars()
            assert sorted(positions) == list(range(40))


def test_of_two_writers_of_one_launch_one_is_refused(postgres_url: str) -> None:
    with open_store(postgres_url, write=True) as one, open_store(postgres_url, write=True) as two:
        run, case = begun(one)
        record = make.launch_record(case)
        raised = at_once(lambda: one.add_launch(record), lambda: two.add_launch(record))
        (refused,) = raised
        assert isinstance(refused, StoreError)
        assert "in the store already" in str(refused)
        assert len(one.load(run.run_id).launches) == 1


def test_runs_that_share_their_cases_in_another_order_begin_side_by_side(
    postgres_url: str,
) -> None:
    with open_store(postgres_url, write=True) as one, open_store(postgres_url, write=True) as two:

        def begin(store: Store, step: int) -> None:
            for batch in range(5):
                run = make.run_record()
                names = [f"{batch} {n}" for n in range(60)][::step]
                store.begin_run(run, [make.planned(run, name) for name in names])

        assert at_once(lambda: begin(one, 1), lambda: begin(two, -1)) == []
        assert len(one.runs()) == 10
        assert len(one.cases()) == 300


INITIALISE = "import sys\nfrom bench.store import initialise\ninitialise(sys.argv[1])"


def test_processes_that_initialise_at_once_make_one_store(empty_url: str) -> None:
    children = [start(INITIALISE, empty_url) for _ in range(3)]
    for child in children:
        _, said = child.communicate()
        assert child.returncode == 0, said
    with open_store(empty_url, write=True) as store:
        begun(store)
    initialise(StorePlace(url=empty_url))


# --- the tests' own server -------------------------------------------------------------------


def test_without_a_server_tests_are_skipped_but_not_where_one_is_required(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server_of_tests, "_programs", lambda: None)
    monkeypatch.delenv("EDGEBENCH_REQUIRE_POSTGRES", raising=False)
    with pytest.raises(pytest.skip.Exception, match="needs PostgreSQL 15"), running_server():
        pass
    monkeypatch.setenv("EDGEBENCH_REQUIRE_POSTGRES", "1")
    with pytest.raises(pytest.fail.Exception, match="needs PostgreSQL 15"), running_server():
        pass
