"""Rows of one table to a file and back: CSV, JSON Lines, Parquet; every value exactly.

Text stands in them as the store keeps it: NUL, lone surrogates and the backslash itself are
written \\uXXXX (bench.store.codec). So no text is ever `\\N`, which is what CSV writes for NULL.
Numbers are written so that reading gives the same double (repr), times in UTC with
microseconds, bytes in base64 (in Parquet as they are).
"""

from __future__ import annotations

import base64
import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from bench.errors import UserError
from bench.store.raw import RawRow
from bench.store.schema import UtcDateTime

_NULL = "\\N"
# Rows of a Parquet row group, or as many as take so many bytes.
_GROUP_ROWS = 20_000
_GROUP_BYTES = 64 * 2**20
_READ_ROWS = 200


class Format(StrEnum):
    """Of the files of an export; the value is their ending."""

    PARQUET = "parquet"
    CSV = "csv"
    JSONL = "jsonl"


class Kind(StrEnum):
    """What a column holds."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    FLAG = "flag"
    TIME = "time"
    BYTES = "bytes"


_KINDS: tuple[tuple[type[Any], Kind], ...] = (
    (sa.Text, Kind.TEXT),
    (sa.BigInteger, Kind.INTEGER),
    (sa.Double, Kind.NUMBER),
    (sa.Boolean, Kind.FLAG),
    (UtcDateTime, Kind.TIME),
    (sa.LargeBinary, Kind.BYTES),
)


def kind_of(column: sa.Column[Any]) -> Kind:
    """What a column of bench.store.raw holds."""
    return next(kind for of, kind in _KINDS if isinstance(column.type, of))


def write_rows(
    form: Format, path: Path, table: sa.Table, chunks: Iterable[Sequence[RawRow]]
) -> int:
    """Write a table's rows; return how many.

    Raises:
        UserError: Parquet without pyarrow.
        OSError: the file cannot be written.
    """
    return _WRITERS[form](path, table, chunks)


def read_rows(form: Format, path: Path, table: sa.Table) -> Iterator[list[RawRow]]:
    """The rows of a file that write_rows wrote, some at a time.

    Raises:
        UserError: not such a file, or Parquet without pyarrow.
        OSError: the file cannot be read.
    """
    return _READERS[form](path, table)


# --- CSV ---------------------------------------------------------------------------------


def _write_csv(path: Path, table: sa.Table, chunks: Iterable[Sequence[RawRow]]) -> int:
    kinds = [kind_of(column) for column in table.c]
    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(table.c.keys())
        for rows in chunks:
            count += len(rows)
            writer.writerows(
                [
                    _NULL if value is None else _cell(kind, value)
                    for kind, value in zip(kinds, row, strict=True)
                ]
                for row in rows
            )
    return count


def _read_csv(path: Path, table: sa.Table) -> Iterator[list[RawRow]]:
    parsers = [_PARSERS[kind_of(column)] for column in table.c]
    with _long_cells(), path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file, strict=True)
        with _explained(path, "its first line"):
            if next(reader, None) != table.c.keys():
                raise ValueError(f"the columns are not those of table {table.name}")
        rows: list[RawRow] = []
        for count, cells in _counted(reader, path):
            with _explained(path, f"row {count}"):
                rows.append(
                    tuple(
                        None if cell == _NULL else parse(cell)
                        for parse, cell in zip(parsers, cells, strict=True)
                    )
                )
            if len(rows) == _READ_ROWS:
                yield rows
                rows = []
        yield rows


@contextmanager
def _long_cells() -> Iterator[None]:
    """The csv module's limit is a module global of 131,072 characters."""
    before = csv.field_size_limit(sys.maxsize)
    try:
        yield
    finally:
        csv.field_size_limit(before)


# --- JSON Lines ----------------------------------------------------------------------------


def _write_jsonl(path: Path, table: sa.Table, chunks: Iterable[Sequence[RawRow]]) -> int:
    names = table.c.keys()
    kinds = [kind_of(column) for column in table.c]
    count = 0
    with path.open("w", encoding="ascii", newline="\n") as file:
        for rows in chunks:
            count += len(rows)
            for row in rows:
                values = [
                    value if value is None or kind in _NATIVE else _cell(kind, value)
                    for kind, value in zip(kinds, row, strict=True)
                ]
                file.write(json.dumps(dict(zip(names, values, strict=True)), allow_nan=False))
                file.write("\n")
    return count


def _read_jsonl(path: Path, table: sa.Table) -> Iterator[list[RawRow]]:
    columns = [(column.name, kind_of(column)) for column in table.c]
    rows: list[RawRow] = []
    with path.open(encoding="ascii", newline="\n") as file:
        for count, line in _counted(file, path):
            with _explained(path, f"line {count}"):
                found = json.loads(line)
                if not isinstance(found, dict) or found.keys() != set(table.c.keys()):
                    raise ValueError(f"the columns are not those of table {table.name}")
                rows.append(tuple(_of_json(kind, found[name]) for name, kind in columns))
            if len(rows) == _READ_ROWS:
                yield rows
                rows = []
    yield rows


def _of_json(kind: Kind, value: object) -> object:
    if value is None:
        return None
    if kind in _NATIVE:
        if type(value) is not _NATIVE[kind]:
            raise ValueError(f"{value!r} is no {kind}")
        return value
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no {kind}")
    return _PARSERS[kind](value)


# --- Parquet -------------------------------------------------------------------------------


def _write_parquet(path: Path, table: sa.Table, chunks: Iterable[Sequence[RawRow]]) -> int:
    pa, parquet = _pyarrow()
    schema = _arrow_schema(pa, table)
    count = waiting = 0
    batches: list[Any] = []
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:

        def flush() -> None:
            if batches:
                writer.write_table(pa.Table.from_batches(batches, schema))
                batches.clear()

        for rows in chunks:
            columns = zip(*rows, strict=True) if rows else [()] * len(schema)
            arrays = [
                pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)
            ]
            batches.append(pa.RecordBatch.from_arrays(arrays, schema=schema))
            count, waiting = count + len(rows), waiting + len(rows)
            if waiting >= _GROUP_ROWS or sum(batch.nbytes for batch in batches) >= _GROUP_BYTES:
                flush()
                waiting = 0
        flush()
    return count


def _read_parquet(path: Path, table: sa.Table) -> Iterator[list[RawRow]]:
    pa, parquet = _pyarrow()
    try:
        with parquet.ParquetFile(path) as file:
            if file.schema_arrow.remove_metadata() != _arrow_schema(pa, table):
                raise UserError(f"{path}: the columns are not those of table {table.name}")
            for batch in file.iter_batches(batch_size=_READ_ROWS):
                columns = [column.to_pylist() for column in batch.columns]
                yield [_with_utc(row) for row in zip(*columns, strict=True)]
    except pa.ArrowException as error:
        raise UserError(f"{path}: damaged: {' '.join(str(error).split())}") from error


def _with_utc(row: RawRow) -> RawRow:
    return tuple(v.astimezone(UTC) if isinstance(v, datetime) else v for v in row)


def _arrow_schema(pa: Any, table: sa.Table) -> Any:
    types = {
        Kind.TEXT: pa.string(),
        Kind.INTEGER: pa.int64(),
        Kind.NUMBER: pa.float64(),
        Kind.FLAG: pa.bool_(),
        Kind.TIME: pa.timestamp("us", tz="UTC"),
        Kind.BYTES: pa.binary(),
    }
    return pa.schema([(column.name, types[kind_of(column)]) for column in table.c])


def _pyarrow() -> tuple[Any, Any]:
    try:
        # By name, since it brings no types with it.
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        raise UserError("Parquet needs pyarrow: pip install 'edgebench[parquet]'") from None


# --- values --------------------------------------------------------------------------------


# Of these JSON has a type.
_NATIVE: dict[Kind, type[Any]] = {
    Kind.TEXT: str,
    Kind.INTEGER: int,
    Kind.NUMBER: float,
    Kind.FLAG: bool,
}
_FLAGS = {"true": True, "false": False}


def _cell(kind: Kind, value: Any) -> str:
    if kind is Kind.TEXT:
        return str(value)
    if kind is Kind.NUMBER:
        return repr(value)
    if kind is Kind.TIME:
        return str(value.isoformat(timespec="microseconds"))
    if kind is Kind.BYTES:
        return base64.b64encode(value).decode("ascii")
    return str(value).lower()


def _flag(cell: str) -> bool:
    if cell not in _FLAGS:
        raise ValueError(f"{cell!r} is neither true nor false")
    return _FLAGS[cell]


def _time(cell: str) -> datetime:
    found = datetime.fromisoformat(cell)
    if found.tzinfo is None:
        raise ValueError(f"{cell!r} has no time zone")
    return found.astimezone(UTC)


_PARSERS: dict[Kind, Callable[[str], Any]] = {
    Kind.TEXT: str,
    Kind.INTEGER: int,
    Kind.NUMBER: float,
    Kind.FLAG: _flag,
    Kind.TIME: _time,
    Kind.BYTES: lambda cell: base64.b64decode(cell, validate=True),
}


def _counted(lines: Iterable[Any], path: Path) -> Iterator[tuple[int, Any]]:
    """The lines from 1 on; what cannot be split into lines is explained."""
    count, source = 0, iter(lines)
    while True:
        count += 1
        with _explained(path, f"row {count}"):
            line = next(source, None)
        if line is None:
            return
        yield count, line


@contextmanager
def _explained(path: Path, where: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, csv.Error) as error:
        raise UserError(f"{path}: {where}: {' '.join(str(error).split())}") from error


_WRITERS = {
    Format.PARQUET: _write_parquet,
    Format.CSV: _write_csv,
    Format.JSONL: _write_jsonl,
}
_READERS = {Format.PARQUET: _read_parquet, Format.CSV: _read_csv, Format.JSONL: _read_jsonl}
