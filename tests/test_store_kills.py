"""SIGKILL at random moments: nothing that was acknowledged is lost, nothing is there half."""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from store_contents import contents
from store_victims import LAUNCHES, go_on

from bench.records import Purpose, RunStatus
from bench.store import Store, StorePlace, open_store
from bench.store.engine import writing_engine
from bench.store.merge import copy_runs
from bench.store.migrate import MIGRATIONS
from tests.postgres import Server

pytest_plugins = ["tests.postgres_fixtures"]

HERE = Path(__file__).parent
Kill = Callable[..., "Victim"]


@dataclass(frozen=True)
class Victim:
    """What a killed process had acknowledged; `code` where it ended before."""

    lines: list[str]
    code: int | None


@pytest.fixture
def kill() -> Iterator[Kill]:
    """Starts a writer and kills it: kill(what, place, wait for so many lines, then seconds)."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parent)}
    with subprocess.Popen(
        [sys.executable, str(HERE / "store_victims.py")],
        env=environment,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout

        def once(do: str, place: str, wait_for: int, delay_s: float) -> Victim:
            stdin.write(json.dumps([do, place, wait_for, delay_s]) + "\n")
            stdin.flush()
            victim = Victim(**json.loads(stdout.readline()))
            assert victim.code in (None, 0)
            return victim

        yield once
        stdin.close()


def assert_sound(store: Store) -> None:
    """What the database itself can say of it, and no launch without its samples."""
    if store.place.path is not None:
        with closing(sqlite3.connect(store.place.path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    halves = (
        "SELECT count(*) FROM launch WHERE launch_id NOT IN (SELECT launch_id FROM launch_samples)",
        "SELECT count(*) FROM check_launch WHERE purpose = 'trace' AND launch_id NOT IN"
        " (SELECT launch_id FROM artifact)",
        "SELECT count(*) FROM run WHERE run_id NOT IN (SELECT run_id FROM planned_case)",
    )
    with store._snapshot() as snapshot:
        for query in halves:
            assert snapshot.execute(sa.text(query)).scalar_one() == 0


class Ledger:
    """All that victims acknowledged of one store, held against what is there."""

    def __init__(self) -> None:
        self.said: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))

    def add(self, victim: Victim) -> None:
        for line in victim.lines:
            kind, *names = line.split()
            if names:
                self.said[names[0]][kind] += names[1:]

    def check(self, store: Store) -> None:
        runs = {run.run_id: run for run in store.runs()}
        # At most the one that was under way is there without a word.
        assert set(self.said) <= set(runs)
        assert len(runs) <= len(self.said) + 1
        for run_id, said in self.said.items():
            data = store.load(run_id, samples=True)
            launches = {record.launch_id for record in data.launches}
            checks = {record.launch_id for record in data.checks}
            assert launches >= set(said["launch"])
            assert checks >= set(said["check"])
            assert len(launches) <= LAUNCHES
            for check in data.checks:
                if check.purpose is Purpose.TRACE:
                    assert len(store.load_artifact(check.launch_id, "trace")) == 100_000
            if "end" in said or "points" in said:
                assert data.run.status is RunStatus.FINISHED
                assert len(launches) == LAUNCHES
            if "points" in said:
                assert len(store.points(run_id=run_id)) == 1

    def finish(self, store: Store) -> None:
        """What was left can be gone on with to its end."""
        for run in store.runs():
            if run.status is RunStatus.RUNNING:
                go_on(store, run.run_id, lambda line: None)
            assert len(store.load(run.run_id).launches) == LAUNCHES


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of the first revision."""
    path = tmp_path_factory.mktemp("older") / "store.db"
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    engine = writing_engine(path, foreign_keys=False)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    engine.dispose()
    return path


# One in four while a store is made or brought up to date, the others while they write.
@pytest.mark.parametrize("kills", [10, pytest.param(200, marks=pytest.mark.slow)])
def test_writers_of_a_file(tmp_path: Path, older: Path, kill: Kill, kills: int) -> None:
    draw = random.Random(f"file {kills}")
    ledger, place = Ledger(), tmp_path / "one.db"
    wrote = 0
    for number in range(kills):
        if number % 4:
            victim = kill("write", str(place), 2, draw.uniform(0, 0.15))
            assert victim.code is None
            wrote += len(victim.lines)
            ledger.add(victim)
            with open_store(place, write=True) as store:
                ledger.check(store)
                assert_sound(store)
            continue
        made = tmp_path / f"{number}.db"
        if number % 8:
            shutil.copyfile(older, made)
        victim = kill("write", str(made), 0, draw.uniform(0, 0.4))
        fresh = Ledger()
        fresh.add(victim)
        with open_store(made, write=True) as store:
            fresh.check(store)
            assert_sound(store)
            fresh.finish(store)
        made.unlink()
    assert wrote > 5 * kills
    with open_store(place, write=True) as store:
        ledger.finish(store)
        assert_sound(store)


@pytest.mark.parametrize("kills", [6, pytest.param(60, marks=pytest.mark.slow)])
def test_writers_of_a_server(postgres_url: str, kill: Kill, kills: int) -> None:
    draw = random.Random(f"server {kills}")
    ledger = Ledger()
    for _ in range(kills):
        ledger.add(kill("write", postgres_url, 2, draw.uniform(0, 0.2)))
        with open_store(postgres_url, write=True) as store:
            ledger.check(store)
            assert_sound(store)
    with open_store(postgres_url, write=True) as store:
        ledger.finish(store)


# --- copies and prunes ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of some finished runs, and one that goes on."""
    from test_store_merge import add_run, finish

    path = tmp_path_factory.mktemp("filled") / "store.db"
    with open_store(path, write=True) as store:
        for launches in (150, 1, 250, 30, 220, 8):
            finish(store, add_run(store, launches=launches))
        add_run(store, launches=40)
    return path


@pytest.mark.parametrize("kills", [5, pytest.param(60, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["file", "server"])
def test_copies_go_on_where_they_were(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    filled: Path,
    kill: Kill,
    kind: str,
    kills: int,
) -> None:
    draw = random.Random(f"{kind} {kills}")
    with open_store(filled, write=False) as source:
        whole = contents(source)
        left = kills
        while left > 0:
            place, drop = fresh_place(request, tmp_path, kind)
            while left > 0:
                # Sometimes before its first word.
                wait_for = draw.choice([0, 1, 2, 4])
                victim = kill("copy", f"{filled} {place}", wait_for, draw.uniform(0, 0.1))
                left -= victim.code is None
                with open_store(place, write=True) as target:
                    assert_subset(contents(target), whole)
                    assert_sound(target)
                if victim.code == 0:
                    break
            with open_store(place, write=True) as target:
                copy_runs(source, target)
                assert contents(target) == whole
                assert copy_runs(source, target).launches == 0
            drop()


def fresh_place(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> tuple[str, Callable[[], None]]:
    """An empty store, and how to take it away."""
    if kind == "file":
        path = tmp_path / "target.db"
        return str(path), lambda: [file.unlink() for file in tmp_path.glob("target.db*")] and None
    server: Server = request.getfixturevalue("postgres")
    name = server.make_database(like=request.getfixturevalue("postgres_template"))
    return server.url(name), lambda: server.drop_database(name)


def assert_subset(part: dict[str, list[Any]], whole: dict[str, list[Any]]) -> None:
    """Nothing but rows of the whole, each once; of a run under way only its end may differ."""
    for name, rows in part.items():
        assert len(set(rows)) == len(rows)
        if name == "run":
            ids = {row[0] for row in whole[name]}
            assert {row[0] for row in rows} <= ids
            for row in set(rows) - set(whole[name]):
                assert "running" in row
        else:
            assert set(rows) <= set(whole[name])


@pytest.mark.parametrize("kills", [4, pytest.param(40, marks=pytest.mark.slow)])
def test_a_run_is_whole_or_pruned(tmp_path: Path, filled: Path, kill: Kill, kills: int) -> None:
    draw = random.Random(f"prune {kills}")
    with open_store(filled, write=False) as source:
        launches = {run.run_id: len(source.load(run.run_id).launches) for run in source.runs()}
    path = tmp_path / "store.db"
    for _ in range(kills):
        if not path.exists():
            shutil.copyfile(filled, path)
        victim = kill("prune", str(path), draw.choice([1, 2, 4, 7]), draw.uniform(0, 0.05))
        pruned = {line.split()[1] for line in victim.lines if line.startswith("pruned ")}
        with open_store(StorePlace(path=path), write=True) as store:
            assert_sound(store)
            for run in store.runs():
                if run.pruned_utc is None:
                    assert run.run_id not in pruned
                    assert len(store.load(run.run_id).launches) == launches[run.run_id]
                else:
                    assert store.launches_done(run.run_id) == set()
                    assert len(store.points(run_id=run.run_id)) == 1
        if "end" in victim.lines:
            path.unlink()
