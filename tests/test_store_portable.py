"""Exports and imports: what comes back is what went out, and nothing damaged gets in."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
import store_records as make
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_contents import contents, of_run
from store_points import edge_row
from test_store_merge import add_everything, add_run, finish

from bench.errors import UserError
from bench.points import Baseline, BaselineKind
from bench.store import Store, open_store
from bench.store.portable import MANIFEST, export_store, import_store
from bench.store.raw import TABLES, insert_raw
from bench.store.tables_as_files import Format, Kind, kind_of, read_rows, write_rows


@pytest.fixture(scope="module")
def lasting() -> Iterator[tuple[Store, Store]]:
    """Two stores for many generated runs."""
    with (
        tempfile.TemporaryDirectory() as name,
        open_store(Path(name) / "a.db", write=True) as a,
        open_store(Path(name) / "b.db", write=True) as b,
    ):
        yield a, b


@pytest.fixture(scope="module")
def filled() -> Iterator[Store]:
    """A store with a bit of everything."""
    with (
        tempfile.TemporaryDirectory() as name,
        open_store(Path(name) / "a.db", write=True) as store,
    ):
        first = add_run(store)
        finish(store, first)
        add_run(store, project="other", launches=1)
        store.add_baseline(Baseline("digits", BaselineKind.PINNED, "", first.run_id, make.START))
        with store._transaction() as connection:
            insert_raw(connection, TABLES["edge_metrics"], [edge_row("s1")])
        yield store


def check_any_record_survives(a: Store, b: Store, form: Format, data: st.DataObject) -> None:
    run_id = add_everything(a, data)
    with tempfile.TemporaryDirectory() as name:
        export_store(a, Path(name) / "out", form, [run_id])
        assert import_store(Path(name) / "out", b).runs_new == 1
    assert of_run(b, run_id) == of_run(a, run_id)


_EXAMPLES = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
}


@settings(**_EXAMPLES, max_examples=8)
@given(st.sampled_from(Format), st.data())
def test_any_record_survives(
    lasting: tuple[Store, Store], form: Format, data: st.DataObject
) -> None:
    check_any_record_survives(*lasting, form, data)


@pytest.mark.slow
@settings(**_EXAMPLES, max_examples=100)
@given(st.sampled_from(Format), st.data())
def test_any_of_many_records_survives(
    lasting: tuple[Store, Store], form: Format, data: st.DataObject
) -> None:
    check_any_record_survives(*lasting, form, data)


_VALUES = {
    Kind.TEXT: st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\\"))
    | st.sampled_from(["", "NULL", "\\u005cN", '"', "a\r\nb", "\r", "\n", ",", "'", "=1+1", " x "]),
    Kind.INTEGER: make.integers,
    Kind.NUMBER: make.floats | st.sampled_from([-0.0, 5e-324, 1.7976931348623157e308, 0.1 + 0.2]),
    Kind.FLAG: st.booleans(),
    Kind.TIME: make.times.map(lambda t: t.astimezone(make.UTC).replace(fold=0)),
    Kind.BYTES: st.binary(),
}


@pytest.mark.parametrize("form", Format)
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_value_of_any_column_survives(form: Format, data: st.DataObject) -> None:
    """Also those that no record has, or that SQLite cannot tell apart, such as -0.0."""
    table = TABLES[data.draw(st.sampled_from(["evaluation", "run", "artifact"]))]
    row = st.tuples(*(st.none() | _VALUES[kind_of(column)] for column in table.c))
    rows = data.draw(st.lists(row, max_size=4))
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "table"
        assert write_rows(form, path, table, [rows[:1], [], rows[1:]]) == len(rows)
        back = [row for part in read_rows(form, path, table) for row in part]
    assert repr(back).replace(_other_utc, _utc) == repr(rows)


_utc, _other_utc = "datetime.timezone.utc", "zoneinfo.ZoneInfo(key='UTC')"


@pytest.mark.parametrize("form", Format)
def test_larger_tables_survive(tmp_path: Path, form: Format) -> None:
    """More than one chunk, more than one group of rows, and cells longer than csv allows."""
    table = TABLES["artifact"]
    rows = [(f"{n:05}", "name", n, bytes(n % 7)) for n in range(45_000)]
    rows.append(("large", "name", 0, b"x" * 1_000_000))
    path = tmp_path / "table"
    before = csv.field_size_limit()
    assert write_rows(form, path, table, [rows[:30_000], rows[30_000:]]) == len(rows)
    assert [row for part in read_rows(form, path, table) for row in part] == rows
    assert csv.field_size_limit() == before


@pytest.mark.parametrize("form", Format)
def test_everything_comes_back_once(tmp_path: Path, filled: Store, form: Format) -> None:
    told: list[str] = []
    done = export_store(filled, tmp_path / "out", form, tell=told.append)
    assert told == list(TABLES)
    assert done.rows["run"] == 2
    assert done.rows["launch"] == 4
    files = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert files == sorted([MANIFEST, *(f"{name}.{form}" for name in TABLES)])
    with open_store(tmp_path / "b.db", write=True) as back:
        assert import_store(tmp_path / "out", back).runs_new == 2
        assert import_store(tmp_path / "out", back).runs_there == 2
        assert contents(back) == contents(filled)


def test_of_some_runs_only_what_is_theirs_is_exported(tmp_path: Path, filled: Store) -> None:
    (run,) = filled.runs(project="other")
    done = export_store(filled, tmp_path / "out", Format.JSONL, [run.run_id])
    assert done.rows == {
        "run": 1,
        "case": 1,
        "planned_case": 1,
        "variant": 0,
        "evaluation": 0,
        "environment": 1,
        "launch": 1,
        "launch_samples": 1,
        "check_launch": 1,
        "artifact": 1,
        "point": 0,
        "baseline": 0,
        "edge_metrics": 0,
    }
    with open_store(tmp_path / "b.db", write=True) as back:
        import_store(tmp_path / "out", back)
        assert [r.run_id for r in back.runs()] == [run.run_id]


def test_shared_rows_of_many_runs_are_exported_once(tmp_path: Path) -> None:
    with open_store(tmp_path / "a.db", write=True) as store:
        for _ in range(3):
            add_run(store, launches=1)
        ids = [run.run_id for run in store.runs()]
        done = export_store(store, tmp_path / "out", Format.CSV, ids)
    assert (done.rows["run"], done.rows["case"], done.rows["environment"]) == (3, 1, 1)


def test_pandas_reads_the_csv_as_documented(tmp_path: Path, filled: Store) -> None:
    import pandas as pd

    export_store(filled, tmp_path / "out", Format.CSV)
    frame = pd.read_csv(tmp_path / "out" / "launch.csv", na_values=["\\N"], keep_default_na=False)
    assert frame["p50_us"].tolist() == [1000.0] * 4
    assert frame["output_copy_us"].isna().all()
    assert (frame["stderr_tail"] == "").all()


def test_a_directory_with_something_in_it_stays_as_it_is(tmp_path: Path, filled: Store) -> None:
    (tmp_path / "mine").write_text("dear")
    with pytest.raises(UserError, match="not empty; give a new directory"):
        export_store(filled, tmp_path, Format.CSV)
    with pytest.raises(UserError, match="a file; give a directory"):
        export_store(filled, tmp_path / "mine", Format.CSV)
    assert (tmp_path / "mine").read_text() == "dear"


def test_an_export_that_stops_leaves_nothing_that_looks_like_one(
    tmp_path: Path, filled: Store
) -> None:
    def stop(table: str) -> None:
        if table == "launch":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_store(filled, tmp_path / "out", Format.CSV, tell=stop)
    assert list((tmp_path / "out").iterdir()) == []


def test_without_pyarrow_parquet_says_what_to_install(
    tmp_path: Path, filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match=r"pip install 'edgebench\[parquet\]'"):
        export_store(filled, tmp_path / "out", Format.PARQUET)


# --- what is no export, or no whole one --------------------------------------------------


@pytest.fixture
def out(tmp_path: Path, filled: Store) -> Path:
    export_store(filled, tmp_path / "out", Format.JSONL)
    return tmp_path / "out"


def refused(folder: Path, tmp_path: Path) -> str:
    """The one line that an import says, having written nothing."""
    with open_store(tmp_path / "b.db", write=True) as store:
        before = contents(store)
        with pytest.raises(UserError) as said:
            import_store(folder, store)
        assert contents(store) == before
    assert len(str(said.value).splitlines()) == 1
    return str(said.value)


def test_every_damage_is_refused_before_anything_is_written(out: Path, tmp_path: Path) -> None:
    for name in TABLES:
        path = out / f"{name}.jsonl"
        good = path.read_bytes()
        damaged = [good + b"{}\n"]
        if good:
            damaged += [good[:-1], good[: len(good) // 2], good.replace(b"0", b"1", 1), b""]
        for bad in damaged:
            if bad != good:
                path.write_bytes(bad)
                assert f"{path}: not as it was written" in refused(out, tmp_path)
        path.unlink()
        assert f"{path}: cannot be read: No such file" in refused(out, tmp_path)
        path.write_bytes(good)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": "edgebench-export/2"}, "newer: upgrade edgebench to import it"),
        ({"revision": "9000"}, "newer: upgrade edgebench to import it"),
        ({"schema": "something/1"}, "not the manifest of an export"),
        ({"format": "xlsx"}, "not the manifest of an export"),
        ({"tables": {}}, "not the manifest of an export"),
    ],
)
def test_other_manifests_are_refused(
    out: Path, tmp_path: Path, change: dict[str, object], said: str
) -> None:
    manifest = json.loads((out / MANIFEST).read_text())
    (out / MANIFEST).write_text(json.dumps(manifest | change))
    assert said in refused(out, tmp_path)


def test_what_is_no_export_at_all_is_refused(out: Path, tmp_path: Path) -> None:
    assert "holds no manifest.json" in refused(tmp_path / "nowhere", tmp_path)
    assert "holds no manifest.json" in refused(out / "run.jsonl", tmp_path)
    (out / MANIFEST).write_bytes(b"\xff{")
    assert "not the manifest of an export" in refused(out, tmp_path)
    (out / MANIFEST).unlink()
    assert "or one that was not finished" in refused(out, tmp_path)


@pytest.mark.parametrize(
    ("table", "change", "said"),
    [
        ("run", lambda row: row | {"seed": "seven"}, "line 1: 'seven' is no integer"),
        ("run", lambda row: row | {"started_utc": "2026-01-01"}, "line 1: .* has no time zone"),
        ("run", lambda row: row | {"colour": "red"}, "line 1: the columns are not those"),
        ("run", lambda row: row | {"seed": 2**70}, "contradict the other files"),
        ("run", lambda row: row | {"plan": None}, "contradict the other files"),
        ("launch", lambda row: row | {"case_id": "none"}, "contradict the other files"),
        ("artifact", lambda row: row | {"content": "*"}, "line 1: "),
    ],
)
def test_rows_that_make_no_sense_are_refused_under_their_own_hash(
    out: Path, tmp_path: Path, table: str, change: object, said: str
) -> None:
    assert callable(change)
    path = out / f"{table}.jsonl"
    first, *others = path.read_text().splitlines(keepends=True)
    path.write_text("".join([json.dumps(change(json.loads(first))) + "\n", *others]))
    manifest = json.loads((out / MANIFEST).read_text())
    manifest["tables"][table]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (out / MANIFEST).write_text(json.dumps(manifest))
    assert re.search(said, refused(out, tmp_path))


def test_a_manifest_cannot_name_files_elsewhere(out: Path, tmp_path: Path) -> None:
    manifest = json.loads((out / MANIFEST).read_text())
    manifest["tables"]["../../etc/passwd"] = {"rows": 1, "sha256": "0"}
    manifest["tables"]["run"]["file"] = "/etc/passwd"
    (out / MANIFEST).write_text(json.dumps(manifest))
    with open_store(tmp_path / "b.db", write=True) as store:
        assert import_store(out, store).runs_new == 2


def test_the_files_of_an_export_may_be_moved(out: Path, tmp_path: Path) -> None:
    shutil.move(out, tmp_path / "elsewhere")
    with open_store(tmp_path / "b.db", write=True) as store:
        assert import_store(tmp_path / "elsewhere", store).runs_new == 2


def test_the_columns_of_every_table_have_a_kind() -> None:
    for table in TABLES.values():
        assert all(isinstance(kind_of(column), Kind) for column in table.c)
        assert not any(isinstance(column.type, sa.JSON) for column in table.c)
