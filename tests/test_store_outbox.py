"""A run never waits for a server, loses nothing to it, and brings it what it has missed."""

from __future__ import annotations

import hashlib
import shlex
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import store_records as make
from models import float_model
from psycopg import sql

from bench.cli.main import main
from bench.errors import StoreError, UserError
from bench.kept_files import KeptFiles
from bench.points import Baseline, BaselineKind
from bench.records import RunStatus, VariantRecord
from bench.run import Interrupted
from bench.store import Store, StorePlace, open_store
from bench.store.outbox import outbox_path, results_store
from tests.postgres import Server

pytest_plugins = ["tests.postgres_fixtures"]

PLAN = """
project = "p"
[[model]]
name = "m"
files = { fp32 = "m.tflite" }
[measure]
delegates = ["none"]
threads = [1]
rounds = 1
"""


@pytest.fixture
def closed_url() -> Iterator[str]:
    """Where no server is: a port that is taken and does not listen."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"postgresql://me:Xq7pw@127.0.0.1:{taken.getsockname()[1]}/db"


def measured(store: Store, launches: int = 2) -> str:
    """A whole run; its id."""
    run = make.run_record()
    case = make.planned(run)
    store.begin_run(run, [case])
    for index in range(launches):
        store.add_launch(make.launch_record(case, index))
    store.finish_run(run.run_id, RunStatus.FINISHED, make.START)
    return run.run_id


def stored(place: str | Path) -> dict[str, int]:
    """How many launches a store holds, by run."""
    with open_store(place, write=False) as store:
        return {run.run_id: len(store.load(run.run_id).launches) for run in store.runs()}


# --- the store that a run writes into ------------------------------------------------------


def test_a_file_is_written_itself_and_nothing_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    path = tmp_path / "s.db"
    with results_store(str(path), tmp_path / "data", said.append) as store:
        run_id = measured(store)
    assert stored(path) == {run_id: 2}
    assert said == []
    assert not (tmp_path / "data").exists()


def test_results_are_merged_at_the_end_and_only_once(postgres_url: str, tmp_path: Path) -> None:
    said: list[str] = []
    label = StorePlace.parse(postgres_url).label
    with results_store(postgres_url, tmp_path, said.append) as store:
        first = measured(store)
        assert stored(postgres_url) == {}
    assert said == [f"merged into {label}: 1 run, 2 launches"]
    with results_store(postgres_url, tmp_path, said.append) as store:
        second = measured(store, 3)
    assert said[1:] == [f"merged into {label}: 1 run, 3 launches"]
    assert stored(postgres_url) == {first: 2, second: 3}
    # Where there is nothing new there is nothing to say.
    with results_store(postgres_url, tmp_path, said.append):
        pass
    assert len(said) == 2


def test_what_a_server_missed_is_merged_by_the_next_run(
    postgres: Server, postgres_url: str, tmp_path: Path
) -> None:
    said: list[str] = []
    postgres.stop()
    try:
        with results_store(postgres_url, tmp_path, said.append) as store:
            first = measured(store)
    finally:
        postgres.start()
    path = outbox_path(StorePlace.parse(postgres_url), tmp_path)
    (line,) = said
    assert "the server cannot be reached" in line
    assert f"everything is kept in {path}; the next `edgebench run` merges it" in line
    assert postgres.password not in line
    assert stored(path) == {first: 2}
    with results_store(postgres_url, tmp_path, said.append) as store:
        second = measured(store)
    assert stored(postgres_url) == {first: 2, second: 2}
    assert "2 runs, 4 launches" in said[1]


def test_a_server_that_goes_while_measuring_costs_nothing(
    postgres: Server, postgres_url: str, tmp_path: Path
) -> None:
    said: list[str] = []
    try:
        with results_store(postgres_url, tmp_path, said.append) as store:
            postgres.stop()
            run_id = measured(store)
    finally:
        postgres.start()
    assert "the server cannot be reached" in said[0]
    assert stored(postgres_url) == {}
    command = shlex.split(said[0].partition("now: ")[2])[1:]
    command[-1] = postgres_url
    assert main(command) == 0
    assert stored(postgres_url) == {run_id: 2}


def test_what_was_measured_before_an_error_is_merged(postgres_url: str, tmp_path: Path) -> None:
    said: list[str] = []
    made: list[str] = []

    def fails() -> None:
        with results_store(postgres_url, tmp_path, said.append) as store:
            made.append(measured(store))
            raise UserError("the plan is wrong")

    with pytest.raises(UserError, match="the plan is wrong"):
        fails()
    assert stored(postgres_url) == {made[0]: 2}


def test_each_server_has_an_outbox_of_its_own_whatever_the_password() -> None:
    def path(url: str) -> Path:
        return outbox_path(StorePlace.parse(url), Path("d"))

    one = path("postgresql://me:one@host/db")
    assert one == path("postgresql://me:two@host/db") == path("postgres://me@host/db")
    assert one != path("postgresql://me@host/other")
    assert one.parent == Path("d")


def test_two_runs_of_one_machine_for_one_server_are_told(postgres_url: str, tmp_path: Path) -> None:
    def second() -> None:
        with results_store(postgres_url, tmp_path, print):
            pass

    with (
        results_store(postgres_url, tmp_path, print),
        pytest.raises(StoreError, match="is being written by process"),
    ):
        second()


# --- `edgebench run` ---------------------------------------------------------------------------


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A plan of one model; what a run keeps of its own goes under tmp_path."""
    for name in ("DATA", "CACHE", "STATE", "CONFIG"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    monkeypatch.delenv("EDGEBENCH_STORE", raising=False)
    (tmp_path / "m.tflite").write_bytes(float_model())
    path = tmp_path / "edgebench.toml"
    path.write_text(PLAN)
    return path


Measure = Callable[[Store, str], None]


def measuring(monkeypatch: pytest.MonkeyPatch, act: Measure) -> list[str]:
    """What stands for the measurement itself; the runs that it was called for."""
    called: list[str] = []

    def carry_out(plan: Any, store: Store, run_id: str, *_: Any, **__: Any) -> tuple[()]:
        called.append(run_id)
        act(store, run_id)
        return ()

    monkeypatch.setattr("bench.run.carry_out", carry_out)
    monkeypatch.setattr("bench.cli.run.print_comparison", lambda *_, **__: 0)
    return called


def all_of_it(store: Store, run_id: str) -> None:
    data = store.load(run_id)
    of = next(planned for planned in data.cases if not planned.case.is_sentinel)
    there = len(data.launches)
    store.add_launch(make.launch_record(of, there))
    store.finish_run(run_id, RunStatus.FINISHED, make.START)


def half_of_it(store: Store, run_id: str) -> None:
    of = next(planned for planned in store.load(run_id).cases if not planned.case.is_sentinel)
    store.add_launch(make.launch_record(of))
    store.finish_run(run_id, RunStatus.INTERRUPTED, make.START)
    raise Interrupted(run_id, 1)


def test_a_run_into_a_server_is_there_at_its_end_and_is_shown_from_there(
    plan: Path,
    postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    called = measuring(monkeypatch, all_of_it)
    monkeypatch.setenv("EDGEBENCH_STORE", postgres_url)
    assert main(["run", str(plan)]) == 0
    assert "merged into postgresql://" in capsys.readouterr().err
    assert stored(postgres_url) == {called[0]: 1}
    with open_store(postgres_url, write=False) as store:
        assert len(store.points(run_id=called[0])) > 0
    assert main(["show", "--store", postgres_url, "--json"]) in (0, 3)
    assert called[0] in capsys.readouterr().out


def test_an_interrupted_run_is_merged_and_resumed_from_the_outbox(
    plan: Path,
    postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    measuring(monkeypatch, half_of_it)
    assert main(["run", str(plan), "--store", postgres_url]) == 130
    said = capsys.readouterr().err
    assert f"--resume --store {StorePlace.parse(postgres_url).label}" in " ".join(said.split())
    with open_store(postgres_url, write=False) as store:
        (interrupted,) = store.runs()
        assert interrupted.status is RunStatus.INTERRUPTED
    again = measuring(monkeypatch, all_of_it)
    assert main(["run", str(plan), "--resume", "--store", postgres_url]) == 0
    assert again == [interrupted.run_id]
    with open_store(postgres_url, write=False) as store:
        (finished,) = store.runs()
        assert finished.status is RunStatus.FINISHED
        assert len(store.load(finished.run_id).launches) == 2


def test_points_of_an_interrupted_run_come_with_the_next_one(
    plan: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are made after it was merged; without them every reader would make them again."""
    measuring(monkeypatch, half_of_it)
    assert main(["run", str(plan), "--store", postgres_url]) == 130
    with open_store(postgres_url, write=False) as store:
        (interrupted,) = store.runs_without_points()
    measuring(monkeypatch, all_of_it)
    assert main(["run", str(plan), "--store", postgres_url]) == 0
    with open_store(postgres_url, write=False) as store:
        assert store.runs_without_points() == ()
        assert len(store.points(run_id=interrupted.run_id)) > 0
    said: list[str] = []
    with results_store(postgres_url, plan.parent / "data" / "edgebench", said.append):
        pass
    assert said == []


def test_files_of_what_a_team_has_pinned_are_kept_and_without_its_server_all_are(
    plan: Path, postgres: Server, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = KeptFiles(plan.parent / "kept")
    monkeypatch.setenv("EDGEBENCH_KEPT", str(kept.root))
    prune = KeptFiles.prune
    # As if there were room for nothing but what is protected.
    monkeypatch.setattr(KeptFiles, "prune", lambda of, protected: prune(of, protected, max_bytes=0))
    model = plan.with_name("m.tflite")
    content = model.read_bytes()
    pinned = hashlib.sha256(content).hexdigest()

    def with_its_file(store: Store, run_id: str) -> None:
        file = VariantRecord(run_id, "m", "fp32", str(model), pinned, len(content), {})
        store.add_variant(file)
        all_of_it(store, run_id)

    called = measuring(monkeypatch, with_its_file)
    run = ["run", str(plan), "--store", postgres_url]
    assert main(run) == 0
    assert not list(kept.root.iterdir())
    with open_store(postgres_url, write=True) as store:
        of = store.run(called[0])
        store.add_baseline(Baseline(of.project, BaselineKind.PINNED, "", of.run_id, make.START))
    old = hashlib.sha256(b"old").hexdigest()
    (kept.root / old).write_bytes(b"old")
    postgres.stop()
    try:
        assert main(run) == 0
    finally:
        postgres.start()
    assert {path.name for path in kept.root.iterdir()} == {pinned, old}
    assert main(run) == 0
    assert {path.name for path in kept.root.iterdir()} == {pinned}


def test_a_user_who_may_only_read_is_told_before_anything_is_measured(
    plan: Path,
    postgres: Server,
    postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    called = measuring(monkeypatch, all_of_it)
    name = postgres_url.rpartition("/")[2]
    postgres.execute(
        sql.SQL(
            "CREATE ROLE looker LOGIN PASSWORD 'Xq7pw';"
            "GRANT SELECT ON ALL TABLES IN SCHEMA public TO looker"
        ),
        name,
    )
    try:
        url = postgres.url(name, user="looker", password="Xq7pw")
        assert main(["run", str(plan), "--store", url]) == 2
    finally:
        postgres.execute(sql.SQL("DROP OWNED BY looker; DROP ROLE looker"), name)
    said = capsys.readouterr().err
    assert "this user may not do that" in said
    assert "Xq7pw" not in said
    assert called == []


def test_an_unreachable_server_is_said_once_and_costs_no_exit_code(
    plan: Path,
    closed_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    called = measuring(monkeypatch, all_of_it)
    assert main(["run", str(plan), "--store", closed_url]) == 0
    said = capsys.readouterr().err
    assert said.count("cannot be reached") == 1
    assert "Xq7pw" not in said
    (outbox,) = (plan.parent / "data" / "edgebench").glob("outbox-*.db")
    assert stored(outbox) == {called[0]: 1}
    assert main(["show", "--store", closed_url]) == 3


def test_a_server_that_takes_nothing_is_told_before_anything_is_measured(
    plan: Path,
    postgres: Server,
    empty_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    called = measuring(monkeypatch, all_of_it)
    for url, message in [
        (postgres.url("no-such"), "there is no such database"),
        (postgres.url("postgres", password="Xq7pw"), "the password was refused"),
        (empty_url, "is empty: run `edgebench db init postgresql://"),
        ("mysql://host/db", "mysql:// is no store"),
        ("", "the store has no name"),
    ]:
        assert main(["run", str(plan), "--store", url]) == 2, url
        said = capsys.readouterr().err
        assert message in said
        assert "Xq7pw" not in said
    assert called == []
