"""A store is brought up to date whole or not at all, and a newer one is refused."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
import store_records as make
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import bench.store.migrate
import bench.store.opening
from bench.delegation.model import Evidence, EvidenceSource
from bench.errors import StoreError
from bench.records import Failure, Outcome, Source
from bench.store import StorePlace, initialise, open_store, postgres
from bench.store.codec import pack_array
from bench.store.launch_rows import environment_row, launch_row, samples_row
from bench.store.migrate import MIGRATIONS, REVISIONS, upgrade
from bench.store.rows import case_row, planned_case_row, run_row
from bench.store.schema import metadata
from tests.postgres import Server

pytest_plugins = ["tests.postgres_fixtures"]

# One more than is shipped: rebuilds a table as batch mode does on SQLite, adds a table and
# a row, then does `end`.
NEXT = """
import sqlalchemy as sa
from alembic import op

revision = "9000"
down_revision = "{last}"


def upgrade():
    with op.batch_alter_table("run") as batch:
        batch.add_column(sa.Column("colour", sa.Text(), nullable=True))
        batch.alter_column("seed", nullable=True)
    op.create_table("extra", sa.Column("id", sa.Integer(), primary_key=True))
    op.execute("INSERT INTO extra VALUES (1)")
    {end}
"""


@contextmanager
def connected(place: StorePlace) -> Iterator[sa.Connection]:
    """A connection that may do anything, as another program's; commits at its end."""
    if place.path is None:
        engine = postgres.writing_engine(place)
    else:
        engine = sa.create_engine(f"sqlite:///{place.path}")
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def contents(place: StorePlace) -> list[str]:
    """Everything in a database, schema and rows."""
    with connected(place) as connection:
        there = sa.MetaData()
        there.reflect(connection)
        return [
            str(line)
            for table in there.sorted_tables
            for line in (
                sa.schema.CreateTable(table).compile(connection),
                sorted(index.name or "" for index in table.indexes),
                sorted(map(str, connection.execute(sa.select(table)))),
            )
        ]


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> StorePlace:
    """Where no store is yet."""
    if request.param == "sqlite":
        return StorePlace(path=tmp_path / "store.sqlite")
    return StorePlace(url=request.getfixturevalue("empty_url"))


@pytest.fixture
def place(empty: StorePlace) -> StorePlace:
    """A store with a run and a launch in it."""
    run = make.run_record()
    case = make.planned(run)
    initialise(empty)
    with open_store(empty, write=True) as store:
        store.begin_run(run, [case])
        store.add_launch(make.launch_record(case))
    return empty


def migrations(tmp_path: Path, end: str) -> Path:
    """The shipped migrations and one more."""
    made = tmp_path / "100% migrations"
    shutil.copytree(MIGRATIONS, made, ignore=shutil.ignore_patterns("__pycache__"))
    (made / "versions" / "9000_next.py").write_text(NEXT.format(end=end, last=REVISIONS[-1]))
    return made


def test_the_revisions_known_are_those_shipped() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    shipped = ScriptDirectory.from_config(config).walk_revisions()
    assert tuple(reversed([script.revision for script in shipped])) == REVISIONS


def test_migrations_make_the_schema_that_the_code_reads(place: StorePlace) -> None:
    with connected(place) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_a_file_is_in_wal_mode_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    initialise(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def test_a_finished_launch_is_synced_to_disk(tmp_path: Path) -> None:
    with open_store(tmp_path / "store.sqlite", write=True) as store:
        assert store._writing is not None
        with store._writing.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
            assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


def test_a_migration_rebuilds_tables_and_keeps_what_refers_to_them(
    place: StorePlace, tmp_path: Path
) -> None:
    upgrade(place, migrations=migrations(tmp_path, "pass"))
    with connected(place) as connection:
        for question, answer in [
            ("SELECT colour FROM run", None),
            ("SELECT count(*) FROM launch", 1),
            ("SELECT version_num FROM alembic_version", "9000"),
        ]:
            assert connection.execute(sa.text(question)).all() == [(answer,)]


@pytest.mark.parametrize(
    ("end", "message"),
    [
        ("op.execute('INSERT INTO nowhere VALUES (1)')", "no such table: nowhere|not those of"),
        ("raise ValueError('half way')", "half way"),
        ("op.execute('DELETE FROM \"case\"')", "rows without parent|contradicts what is stored"),
    ],
)
def test_a_migration_that_fails_leaves_the_store_as_it_was(
    place: StorePlace, tmp_path: Path, end: str, message: str
) -> None:
    before = contents(place)
    with pytest.raises(StoreError, match=message):
        upgrade(place, migrations=migrations(tmp_path, end))
    assert contents(place) == before
    with open_store(place, write=True) as store:
        assert len(store.runs()) == 1


def test_a_first_migration_that_fails_leaves_an_empty_place_to_try_again_with(
    empty: StorePlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = migrations(tmp_path, "raise ValueError('half way')")
    with monkeypatch.context() as patch:
        patch.setattr(
            bench.store.opening, "upgrade", lambda where: upgrade(where, migrations=broken)
        )
        with pytest.raises(StoreError, match="half way"):
            initialise(empty)
    with pytest.raises(StoreError, match="is empty"):
        open_store(empty, write=False)
    initialise(empty)
    with open_store(empty, write=True) as store:
        assert store.runs() == ()


@pytest.fixture
def newer_edgebench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if one more revision were shipped."""
    newer = migrations(tmp_path, "pass")
    monkeypatch.setattr(bench.store.migrate, "REVISIONS", (*REVISIONS, "9000"))
    monkeypatch.setattr(bench.store.opening, "REVISIONS", (*REVISIONS, "9000"))
    monkeypatch.setattr(
        bench.store.opening, "upgrade", lambda where: upgrade(where, migrations=newer)
    )


@pytest.mark.usefixtures("newer_edgebench")
def test_an_older_file_is_brought_up_to_date_by_its_writer_only(tmp_path: Path) -> None:
    place = StorePlace(path=tmp_path / "store.sqlite")
    upgrade(place)
    with pytest.raises(StoreError, match=f"of an older revision, {REVISIONS[-1]}"):
        open_store(place, write=False)
    open_store(place, write=True).close()
    open_store(place, write=False).close()
    assert any("CREATE TABLE extra" in line for line in contents(place))


@pytest.mark.usefixtures("newer_edgebench")
def test_an_older_servers_store_is_brought_up_to_date_by_db_init_only(empty_url: str) -> None:
    place = StorePlace(url=empty_url)
    upgrade(place)
    for write in (False, True):
        with pytest.raises(StoreError, match=r"of an older revision, .*: run `edgebench db init p"):
            open_store(place, write=write)
    initialise(place)
    for write in (False, True):
        open_store(place, write=write).close()
    before = contents(place)
    assert any("CREATE TABLE extra" in line for line in before)
    initialise(place)
    assert contents(place) == before


def migrations_up_to(revision: str, tmp_path: Path) -> Path:
    """The shipped migrations without those that came after a revision."""
    made = tmp_path / f"up to {revision}"
    shutil.copytree(MIGRATIONS, made, ignore=shutil.ignore_patterns("__pycache__"))
    for script in (made / "versions").iterdir():
        if script.name[:4] > revision:
            script.unlink()
    return made


def insert(connection: sa.Connection, table: str, row: Mapping[str, Any]) -> None:
    """Add a row as an older version did, which had only the columns that are there."""
    there = sa.Table(table, sa.MetaData(), autoload_with=connection)
    known = {name: value for name, value in row.items() if name in there.c}
    connection.execute(sa.insert(there), known)


def test_launches_of_the_second_revision_are_of_samples_in_ns(
    empty: StorePlace, tmp_path: Path
) -> None:
    upgrade(empty, migrations=migrations_up_to("0002", tmp_path))
    run = make.run_record()
    case = make.planned(run)
    good = make.launch_record(case)
    crashed = make.launch_record(
        case, 1, outcome=Outcome.CRASHED, measurement=None, failure=Failure("crash", "SIGSEGV")
    )
    with connected(empty) as connection:
        insert(connection, "run", run_row(run))
        insert(connection, "case", case_row(case.case))
        insert(connection, "planned_case", planned_case_row(case, 0))
        environment = environment_row(good.environment)
        insert(connection, "environment", environment)
        for record in (good, crashed):
            insert(connection, "launch", launch_row(record, environment["environment_id"]))
        assert good.measurement is not None
        samples = samples_row(good.launch_id, good.measurement)
        assert samples is not None
        insert(connection, "launch_samples", samples)
    with pytest.raises(StoreError, match="of an older revision, 0002"):
        open_store(empty, write=False)
    initialise(empty)
    with open_store(empty, write=True) as store:
        measured, failed = store.load(run.run_id, samples=True).launches
    assert measured.measurement is not None
    assert measured.measurement.p50_source is Source.SAMPLES
    assert measured.measurement.p90_source is Source.SAMPLES
    assert measured.measurement.resolution_us == 0.001
    assert measured.measurement.p90_bounds_us is None
    assert measured.measurement.energy_mj_per_invoke is None
    assert measured.measurement.samples_ns is not None
    assert measured.measurement.samples_ns.tolist() == good.measurement.samples_ns.tolist()
    assert measured.measurement.load == good.measurement.load
    assert failed.measurement is None
    assert failed.failure == Failure("crash", "SIGSEGV")


def test_evaluations_of_the_first_revision_are_read_as_before(
    empty: StorePlace, tmp_path: Path
) -> None:
    upgrade(empty, migrations=migrations_up_to("0001", tmp_path))
    run = make.run_record()
    right = np.array([True, False, True])
    with connected(empty) as connection:
        insert(connection, "run", run_row(run))
        insert(
            connection,
            "evaluation",
            {
                "run_id": run.run_id,
                "model": "m",
                "variant": "int8",
                "kernels": "none",
                "metric": "top1",
                "position": 0,
                "value": 2 / 3,
                "predictions": pack_array(np.array([4, 5, 6], np.int32), "<i4"),
                "correct": pack_array(right, "|b1"),
                "holdout_sha256": "h",
                "runtime": "{}",
            },
        )
    with pytest.raises(StoreError, match="of an older revision, 0001"):
        open_store(empty, write=False)
    initialise(empty)
    with open_store(empty, write=True) as store:
        (found,) = store.load(run.run_id).evaluations
    assert (found.metric, found.k, found.higher_is_better) == ("top1", None, True)
    assert found.value == 2 / 3
    assert found.statistics is not None
    assert found.statistics.tolist() == [[1.0], [0.0], [1.0]]
    assert found.correct is not None
    assert found.correct.tolist() == right.tolist()
    assert found.predictions is not None
    assert found.predictions.tolist() == [4, 5, 6]
    assert found.labels is None


def test_launches_of_the_third_revision_kept_the_text_of_evidence_alone(
    empty: StorePlace, tmp_path: Path
) -> None:
    upgrade(empty, migrations=migrations_up_to("0003", tmp_path))
    run = make.run_record()
    case = make.planned(run)
    good = make.launch_record(case)
    with connected(empty) as connection:
        insert(connection, "run", run_row(run))
        insert(connection, "case", case_row(case.case))
        insert(connection, "planned_case", planned_case_row(case, 0))
        environment = environment_row(good.environment)
        insert(connection, "environment", environment)
        row = launch_row(good, environment["environment_id"])
        insert(connection, "launch", {**row, "evidence": '["a line of a log"]'})
        assert good.measurement is not None
        samples = samples_row(good.launch_id, good.measurement)
        assert samples is not None
        insert(connection, "launch_samples", samples)
    initialise(empty)
    with open_store(empty, write=True) as store:
        data = store.load(run.run_id)
    (found,) = data.launches
    assert found.measurement is not None
    delegation = found.measurement.delegation
    assert delegation.evidence == (Evidence(EvidenceSource.RECORD, "a line of a log"),)
    assert (delegation.unsupported, delegation.accelerators) == ((), ())
    assert data.checks == ()


@pytest.mark.parametrize("write", [True, False])
def test_a_store_of_a_newer_version_is_refused_and_untouched(
    place: StorePlace, write: bool
) -> None:
    with connected(place) as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0999'"))
    before = contents(place)
    opening: list[Callable[[], object]] = [
        lambda: open_store(place, write=write),
        lambda: initialise(place),
    ]
    for attempt in opening:
        with pytest.raises(StoreError, match=r"has revision 0999.*knows up to .*: upgrade edgeb"):
            attempt()
    assert contents(place) == before


@pytest.mark.parametrize("write", [True, False])
def test_another_programs_database_is_refused_and_untouched(
    empty: StorePlace, write: bool, tmp_path: Path
) -> None:
    with connected(empty) as connection:
        connection.execute(sa.text("CREATE TABLE theirs (a integer)"))
    before = contents(empty)
    for attempt in (lambda: open_store(empty, write=write), lambda: initialise(empty)):
        with pytest.raises(StoreError, match="is not an edgebench store"):
            attempt()
    assert contents(empty) == before
    if not empty.shared:
        assert sorted(p.name for p in tmp_path.iterdir()) == ["store.sqlite"]


def test_a_database_that_cannot_hold_every_text_is_refused(postgres: Server) -> None:
    name = postgres.make_database(encoding="LATIN1")
    with pytest.raises(StoreError, match="has the encoding LATIN1: make the database with"):
        initialise(postgres.url(name))
    postgres.drop_database(name)
