"""`edgebench db`: what it says, what it does, and how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import store_records as make
from analysis import around, measured, run_data, samples
from records import RUN_ID, case
from store_contents import contents
from test_store_merge import add_run, finish

from bench.cli.main import main
from bench.points import Baseline, BaselineKind
from bench.records import RunStatus
from bench.store import open_store

pytest_plugins = ["tests.postgres_fixtures"]

Said = Callable[[], tuple[str, str]]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    """stdout and stderr since the last time."""

    def read() -> tuple[str, str]:
        found = capsys.readouterr()
        return found.out, found.err

    return read


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The default store, with a finished run of 2026-01-02 and one that goes on."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "runs.db"
    monkeypatch.setenv("EDGEBENCH_STORE", str(path))
    with open_store(path, write=True) as opened:
        finish(opened, add_run(opened))
        add_run(opened, project="other\x1b[31m", started_utc=make.START + timedelta(days=3))
    return path


@pytest.mark.usefixtures("store")
def test_copies_say_what_came(said: Said) -> None:
    assert main(["db", "copy", "runs.db", "to/new.db"]) == 0
    out, err = said()
    assert out == (
        "to/new.db: 2 runs (2 new, 0 grown, 0 there already); 6 launches, 2 checks added\n"
    )
    assert "copy runs" in err
    assert main(["db", "copy", "runs.db", "to/new.db"]) == 0
    assert "(0 new, 0 grown, 2 there already); 0 launches, 0 checks added" in said()[0]


def test_a_server_takes_a_copy_and_gives_it_back(store: Path, said: Said, empty_url: str) -> None:
    assert main(["db", "copy", str(store), empty_url]) == 3
    assert "is empty: run `edgebench db init postgresql://" in said()[1]
    for _ in range(2):
        assert main(["db", "init", empty_url]) == 0
    assert main(["db", "copy", str(store), empty_url]) == 0
    assert main(["db", "copy", empty_url, "back.db"]) == 0
    out, err = said()
    password = empty_url.split(":")[2].split("@")[0]
    assert password not in out + err
    with open_store(store, write=False) as a, open_store("back.db", write=False) as b:
        assert contents(a) == contents(b)
    assert main(["db", "info", "--json", "--store", empty_url]) == 0
    found = json.loads(said()[0])
    assert (found["runs"], found["launches"]) == (2, 6)
    assert found["size_bytes"] > 1_000_000
    assert password not in found["place"]


def test_info_counts(store: Path, said: Said) -> None:
    assert main(["db", "info", "--json"]) == 0
    found = json.loads(said()[0])
    assert found.pop("size_bytes") >= store.stat().st_size
    assert found == {
        "schema": "edgebench-store/1",
        "place": str(store),
        "revision": "0005",
        "runs": 2,
        "pruned": 0,
        "launches": 6,
        "edge_metrics": 0,
        "oldest_utc": "2026-01-02T03:04:05.678901+00:00",
        "newest_utc": "2026-01-05T03:04:05.678901+00:00",
    }
    assert main(["db", "info"]) == 0
    assert "runs          2\n" in said()[0]
    assert main(["db", "init", "empty.db"]) == 0
    assert main(["db", "info", "--store", "empty.db"]) == 0
    assert "oldest run    –\n" in said()[0]


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_an_export_is_imported(said: Said, form: str) -> None:
    assert main(["db", "export", "out", "--format", form]) == 0
    assert said()[0] == f"out: 2 runs, 6 launches, as {form}\n"
    assert main(["db", "import", "out", "--store", "new.db"]) == 0
    assert "new.db: 2 runs (2 new" in said()[0]
    with open_store("runs.db", write=False) as a, open_store("new.db", write=False) as b:
        assert contents(a) == contents(b)


@pytest.mark.usefixtures("store")
def test_runs_to_export_are_picked(said: Said) -> None:
    with open_store("runs.db", write=False) as opened:
        newest, oldest = (run.run_id for run in opened.runs())
    assert main(["db", "export", "a", "--project", "digits"]) == 0
    assert said()[0] == "a: 1 run, 3 launches, as parquet\n"
    assert main(["db", "export", "b", "--run", oldest, "--run", newest]) == 0
    assert said()[0] == "b: 2 runs, 6 launches, as parquet\n"
    assert main(["db", "export", "c", "--run", newest, "--project", "digits"]) == 2
    assert f"run {newest} is not of project 'digits'" in said()[1]
    assert main(["db", "export", "c", "--project", "nobody"]) == 2
    assert "holds no run of project 'nobody'" in said()[1]
    assert main(["db", "export", "c", "--run", "fff"]) == 2
    assert not Path("c").exists()


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["copy", "nowhere.db", "b.db"], 2, "nowhere.db: no such store"),
        (["copy", "runs.db", "runs.db"], 2, "both are the same store"),
        (["copy", "mysql://host/db", "b.db"], 2, "mysql:// is no store"),
        (["init", "mysql://host/db"], 2, "mysql:// is no store"),
        (["info", "--store", "nowhere.db"], 2, "nowhere.db: no such store"),
        (["export", ".", "--format", "csv"], 2, "not empty; give a new directory"),
        (["export", "x", "--format", "xlsx"], 2, "xlsx"),
        (["import", "nowhere"], 2, "holds no manifest.json"),
        (["prune", "--older-than", "1y"], 2, "not an age; write 365d"),
        (["prune", "--older-than", "0d"], 2, "not an age; write 365d"),
        (["prune"], 2, "--older-than"),
        (["copy", "runs.db", "/proc/b.db"], 3, "cannot write in /proc"),
    ],
)
def test_bad_input_gets_one_line(said: Said, arguments: list[str], code: int, message: str) -> None:
    assert main(["db", *arguments]) == code
    out, err = said()
    assert out == ""
    assert message in err
    assert len(err.splitlines()) == 1
    assert not Path("b.db").exists()


def samples_of(us: float) -> dict[str, Any]:
    drawn = samples(us)
    return {"samples_ns": drawn, "warmup_ns": drawn, "count": len(drawn)}


def test_copies_and_imports_have_points(store: Path) -> None:
    """Made once, where they came to, and not by every reader."""
    of = case("fp32")
    data = run_data({of: [measured(of, 0, 1000.0, **samples_of(1000.0))]}, status=RunStatus.RUNNING)
    with open_store(store, write=True) as opened:
        opened.begin_run(data.run, data.cases)
        opened.add_launch(data.launches[0])
        opened.finish_run(RUN_ID, RunStatus.FINISHED, data.run.started_utc)
        assert opened.points(run_id=RUN_ID) == []
    assert main(["db", "copy", str(store), "copied.db"]) == 0
    assert main(["db", "export", "files", "--format", "jsonl"]) == 0
    assert main(["db", "import", "files", "--store", "imported.db"]) == 0
    for path in ("copied.db", "imported.db"):
        with open_store(path, write=False) as opened:
            assert len(opened.points(run_id=RUN_ID)) == 1


def test_pruning_makes_summaries_keeps_baselines_and_frees(store: Path, said: Said) -> None:
    """What the run says before it is pruned is what history has of it afterwards."""
    of = case("fp32")
    data = run_data(
        {of: [measured(of, n, us, **samples_of(us)) for n, us in enumerate(around(1000.0))]},
        status=RunStatus.RUNNING,
    )
    with open_store(store, write=True) as opened:
        opened.begin_run(data.run, data.cases)
        for variant in data.variants:
            opened.add_variant(variant)
        for launch in data.launches:
            opened.add_launch(launch)
        opened.finish_run(RUN_ID, RunStatus.FINISHED, data.run.started_utc)
        ((first, *_),) = [[run.run_id for run in opened.runs("digits")]]
        made = datetime.now(UTC)
        opened.add_baseline(Baseline("digits", BaselineKind.PINNED, "", first, made))
    before = store.read_bytes()
    assert main(["db", "prune", "--older-than", "4w", "--dry-run"]) == 0
    out, err = said()
    assert out == f"run {RUN_ID} of {data.run.project}, 2026-01-02\nwould prune 1 run\n"
    assert f"run {first} of digits stays: it is the pinned baseline\n" in err
    assert r"of other\x1b[31m stays: it is running, not finished" in err
    assert store.read_bytes() == before
    assert main(["db", "prune", "--older-than", "4w", "--project", "nobody"]) == 0
    assert said()[0].startswith("pruned 0 runs: 0 launches")

    assert main(["db", "prune", "--older-than", "28d"]) == 0
    assert said()[0].startswith(f"pruned 1 run: {len(data.launches)} launches, 0 checks and 0 art")
    with open_store(store, write=False) as opened:
        (point,) = opened.points(run_id=RUN_ID)
        assert point.p50_us == pytest.approx(1000.0, rel=0.02)
        assert opened.run(RUN_ID).pruned_utc is not None
    for verb in ("show", "report"):
        assert main([verb, RUN_ID]) == 2
        assert "`edgebench history` has its summary" in said()[1]
    assert main(["db", "info"]) == 0
    assert "3, 1 of them pruned" in said()[0]
    assert main(["db", "prune", "--older-than", "28d"]) == 0
    assert said()[0].startswith("pruned 0 runs")


def test_help_is_fast() -> None:
    code = (
        "import sys; from bench.cli.main import main; main(['db', '--help']); "
        "print(*sorted(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stderr.split()}
    assert not loaded & {"sqlalchemy", "pandas", "pyarrow", "rich", "psycopg"}
    for name in ("init", "copy", "export", "import", "prune", "info"):
        assert f"\n  {name} " in done.stdout
