"""The options of an op, read from whichever of the schema's many tables it has."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from bench.tflite.values import names_of

_OPTIONS = names_of(schema.BuiltinOptions)


def options_of(op: Any) -> dict[str, int | float | bool]:
    """The numeric fields of whichever options table the op has."""
    table = op.BuiltinOptions()
    kind = getattr(schema, _OPTIONS.get(op.BuiltinOptionsType(), ""), None)
    if table is None or kind is None:
        return {}
    options = kind()
    options.Init(table.Bytes, table.Pos)
    return {name: getattr(options, name)() for name in _fields(kind)}


def variable_of(op: Any, text: Callable[[bytes | None], str]) -> str:
    """Container and name of a VAR_HANDLE, which tell its variable from the file's others.

    text: makes text of what the file holds.
    """
    table, options = op.BuiltinOptions(), schema.VarHandleOptions()
    if table is None or op.BuiltinOptionsType() != schema.BuiltinOptions.VarHandleOptions:
        return ""
    options.Init(table.Bytes, table.Pos)
    container, name = text(options.Container()), text(options.SharedName())
    return f"{container}/{name}" if container else name


_FIELDS: dict[type, tuple[str, ...]] = {}

# A table without any field: a vtable of 4 bytes, and a table that points back at it.
_EMPTY_TABLE = struct.pack("<HHi", 4, 4, 4)


def _fields(kind: Any) -> tuple[str, ...]:
    """Names of a generated table's numeric fields: those that have a number as default.

    Vectors are left out by the `...Length` beside them, strings and tables by their
    default of None.
    """
    if kind not in _FIELDS:
        methods = [n for n, v in vars(kind).items() if n[0].isupper() and callable(v)]
        vectors = {n.removesuffix("Length") for n in methods if n.endswith("Length")}
        empty = kind()
        empty.Init(_EMPTY_TABLE, 4)
        _FIELDS[kind] = tuple(
            name
            for name in methods
            if name != "Init"
            and name not in vectors
            and not name.endswith(("Length", "AsNumpy", "IsNone"))
            and isinstance(getattr(empty, name)(), int | float)
        )
    return _FIELDS[kind]
