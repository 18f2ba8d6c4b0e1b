"""A store as a directory of files, one per table, and back.

An export is whole where its manifest.json is: that is written last. An import looks through
everything first, brings it into a store of its own in a temporary folder, and then copies that
as bench.store.merge does: exactly once, and nothing half.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from bench import __version__
from bench.errors import StoreError, UserError
from bench.store.merge import Copied, Tell, copy_runs
from bench.store.migrate import REVISIONS
from bench.store.opening import open_store
from bench.store.raw import TABLES, RawRow, chunks, column_of, insert_raw
from bench.store.reader import StoreReader
from bench.store.snapshots import in_parts
from bench.store.store import Store
from bench.store.tables_as_files import Format, read_rows, write_rows

MANIFEST = "manifest.json"
FORMAT_NAME = "edgebench-export"
FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote: rows by table, in the order of the files."""

    folder: Path
    rows: Mapping[str, int]


def export_store(
    source: StoreReader,
    folder: Path,
    form: Format,
    run_ids: Sequence[str] | None = None,
    *,
    tell: Callable[[str], None] | None = None,
) -> Exported:
    """Write everything, or some runs with all that belongs to them, into an empty directory.

    Args:
        folder: made where it is not there.
        run_ids: whole ids; None is everything, samples of agents included.
        tell: called with the name of each table before it is written.

    Raises:
        UserError: the directory holds something, or Parquet without pyarrow.
        StoreError: the store cannot be read.
        OSError: a file cannot be written; what was written is taken away again.
    """
    _have_empty(folder)
    written: list[Path] = []
    tables: dict[str, dict[str, object]] = {}
    try:
        with source._snapshot() as reading:
            for name, table in TABLES.items():
                if tell is not None:
                    tell(name)
                path = folder / f"{name}.{form}"
                written.append(path)
                rows = write_rows(form, path, table, rows_of_runs(reading, table, run_ids))
                tables[name] = {"rows": rows, "sha256": _sha256(path)}
        manifest = {
            "schema": f"{FORMAT_NAME}/{FORMAT_VERSION}",
            "edgebench_version": __version__,
            "revision": REVISIONS[-1],
            "format": form.value,
            "exported_utc": datetime.now(UTC).isoformat(timespec="seconds"),
            "tables": tables,
        }
        written.append(folder / MANIFEST)
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    except BaseException:
        for path in written:
            with suppress(OSError):
                path.unlink(missing_ok=True)
        raise
    return Exported(folder, {name: int(str(entry["rows"])) for name, entry in tables.items()})


def _have_empty(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: a file; give a directory")
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise UserError(f"{folder}: not empty; give a new directory")


def rows_of_runs(
    reading: sa.Connection, table: sa.Table, run_ids: Sequence[str] | None
) -> Iterator[list[RawRow]]:
    """The rows of a table that belong to these runs, each once; None is all rows."""
    if run_ids is None:
        yield from chunks(reading, table)
        return
    seen: set[object] = set()
    shared = table.name in ("case", "environment")
    for part in in_parts(run_ids):
        which = _of_runs(table, part)
        if which is None:
            return
        for rows in chunks(reading, table, which):
            if not shared:
                yield rows
                continue
            ids = column_of(table, rows, f"{table.name}_id")
            fresh = [row for row, key in zip(rows, ids, strict=True) if key not in seen]
            seen.update(ids)
            yield fresh


def _of_runs(table: sa.Table, run_ids: Sequence[str]) -> sa.ColumnElement[bool] | None:
    """Which rows belong to these runs; None where a table has none of any run."""

    def of(name: str, column: str) -> sa.Select[Any]:
        child = TABLES[name].c
        return sa.select(child[column]).where(child.run_id.in_(run_ids))

    if "run_id" in table.c:
        return table.c.run_id.in_(run_ids)
    if table.name == "case":
        return table.c.case_id.in_(of("planned_case", "case_id"))
    if table.name == "environment":
        users = [of(name, "environment_id") for name in ("launch", "check_launch", "point")]
        return table.c.environment_id.in_(sa.union(*users))
    if table.name == "launch_samples":
        return table.c.launch_id.in_(of("launch", "launch_id"))
    if table.name == "artifact":
        return table.c.launch_id.in_(of("check_launch", "launch_id"))
    return None


def import_store(folder: Path, target: Store, *, tell: Tell | None = None) -> Copied:
    """Copy an export into a store, exactly once; nothing is written before all was looked at.

    Raises:
        UserError: no export, a newer one, or a file is missing, damaged or cut short.
        StoreError: the store cannot be written, or holds something else under the same name.
    """
    form, tables = _checked_manifest(folder)
    with tempfile.TemporaryDirectory(prefix="edgebench-import-") as scratch:
        path = Path(scratch) / "staging.db"
        with open_store(path, write=True) as staging:
            for name, rows in tables.items():
                _fill(staging, form, folder / f"{name}.{form}", TABLES[name], rows)
            return copy_runs(staging, target, tell=tell)


def _fill(staging: Store, form: Format, path: Path, table: sa.Table, expected: int) -> None:
    count = 0
    try:
        with staging._transaction() as writing:
            for rows in read_rows(form, path, table):
                insert_raw(writing, table, rows)
                count += len(rows)
    except StoreError as error:
        cause = error.__cause__
        if isinstance(cause, sa.exc.IntegrityError | ValueError | TypeError | OverflowError):
            said = " ".join(str(getattr(cause, "orig", cause)).split())
            raise UserError(f"{path}: its rows contradict the other files ({said})") from error
        raise
    if count != expected:
        raise UserError(f"{path}: {count} rows, and {MANIFEST} says {expected}; export it again")


def _checked_manifest(folder: Path) -> tuple[Format, dict[str, int]]:
    """The format and the rows by table of an export whose files are as they were written.

    Raises: UserError for anything else.
    """
    where = folder / MANIFEST
    try:
        manifest = json.loads(where.read_text(encoding="utf-8"))
        name, _, version = str(manifest["schema"]).partition("/")
        if name != FORMAT_NAME:
            raise ValueError(f"the schema is {manifest['schema']!r}")
        newer = int(version) > FORMAT_VERSION or manifest["revision"] not in REVISIONS
        if newer:
            raise UserError(
                f"{where}: written by edgebench {manifest['edgebench_version']}, which is newer: "
                "upgrade edgebench to import it"
            )
        form = Format(manifest["format"])
        tables = {table: manifest["tables"][table] for table in TABLES}
        rows = {table: int(entry["rows"]) for table, entry in tables.items()}
        hashes = {table: str(entry["sha256"]) for table, entry in tables.items()}
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(
            f"{folder}: holds no {MANIFEST}: no export, or one that was not finished"
        ) from None
    except OSError as error:
        raise UserError(f"{where}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{where}: not the manifest of an export ({error!r})") from error
    for table, sha256 in hashes.items():
        path = folder / f"{table}.{form}"
        try:
            found = _sha256(path)
        except OSError as error:
            raise UserError(f"{path}: cannot be read: {error.strerror}; export it again") from error
        if found != sha256:
            raise UserError(f"{path}: not as it was written (sha256 differs); export it again")
    return form, rows


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
