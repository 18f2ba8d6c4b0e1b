"""What may enter a column: every value of its column's own type, or a refusal."""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Mapping
from typing import Any

import numpy as np
import sqlalchemy as sa

from bench.errors import StoreError
from bench.records import Failure
from bench.store import schema
from bench.store.codec import json_text


def checked(table: sa.Table, row: Mapping[str, Any]) -> dict[str, Any]:
    """Bring every value to its column's own type, or refuse the row.

    SQLite would store NaN as NULL, a numpy integer as bytes and a fraction in an
    integer column as it is: each of them a wrong number that nobody sees.

    Raises:
        StoreError: names table, column and value.
    """
    return {name: _checked(table.c[name], value) for name, value in row.items()}


def _checked(column: sa.Column[Any], value: object) -> object:
    where = f"{column.table.name}.{column.name}"
    if value is None:
        if not column.nullable:
            raise StoreError(f"{where} is missing")
        return None
    kind = column.type
    wrong = StoreError(f"{where} is {value!r} of type {type(value).__name__}")
    if isinstance(kind, schema.JsonText):
        return json_text(value, where)
    if isinstance(kind, sa.Boolean):
        if not isinstance(value, bool | np.bool_):
            raise wrong
        return bool(value)
    if isinstance(kind, sa.BigInteger):
        if isinstance(value, bool) or not isinstance(value, numbers.Integral):
            raise wrong
        if not -(2**63) <= operator.index(value) < 2**63:
            raise StoreError(f"{where} is {value}, which does not fit into 64 bits")
        return operator.index(value)
    if isinstance(kind, sa.Double):
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise wrong
        if not math.isfinite(value):
            raise StoreError(f"{where} is {value}: a number that was not measured is None")
        return float(value)
    if isinstance(kind, schema.AnyText):
        if not isinstance(value, str):
            raise wrong
        return str(value)
    return value


def failure_columns(failure: Failure | None) -> dict[str, str | None]:
    """The three columns that a failure takes in any table."""
    return {
        "failure_kind": failure.kind if failure else None,
        "failure_message": failure.message if failure else None,
        "failure_log": failure.log if failure else None,
    }


def failure_of(row: Mapping[Any, Any]) -> Failure | None:
    """The failure of a row of any table, or None."""
    if row["failure_kind"] is None:
        return None
    return Failure(row["failure_kind"], row["failure_message"], row["failure_log"])
