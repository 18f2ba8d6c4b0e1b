"""The op profile that benchmark_model writes as a protobuf -> OpProfile.

Fields: LiteRT, tflite/profiling/proto/profiling_info.proto (BenchmarkProfilingData). Without
a file to write to the tool prints the message as text, which is read too.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from bench.errors import UnreadableOutput
from bench.ops.model import OpKind, OpProfile, OpRow, OpTable, ProfileSource
from bench.parsers.op_names import classic_subject
from bench.parsers.wire import fields

# Field name -> its values, each a number, a text or a message.
_Message: TypeAlias = dict[str, list[Any]]
_Schema: TypeAlias = Mapping[int, tuple[str, Any]]

_STAT: _Schema = {
    **{k: (name, int) for k, name in enumerate(("first", "last", "avg"), 1)},
    4: ("stddev", float),
    5: ("variance", float),
    **{k: (name, int) for k, name in enumerate(("min", "max", "sum", "count"), 6)},
}
_OP: _Schema = {
    1: ("node_type", str),
    2: ("inference_microseconds", _STAT),
    3: ("mem_kb", _STAT),
    4: ("times_called", int),
    5: ("name", str),
    6: ("run_order", int),
}
_SUBGRAPH: _Schema = {
    1: ("subgraph_name", str),
    2: ("subgraph_index", int),
    3: ("per_op_profiles", _OP),
}
_DELEGATE: _Schema = {1: ("delegate_name", str), 2: ("per_op_profiles", _OP)}
_MODEL: _Schema = {1: ("subgraph_profiles", _SUBGRAPH), 2: ("delegate_profiles", _DELEGATE)}
_FILE: _Schema = {
    1: ("model_name", str),
    2: ("init_profile", _MODEL),
    3: ("runtime_profile", _MODEL),
}

_BEGINS = re.compile(r"(?:INFO: )?((?:init|runtime)_profile \{|model_name: .*)")
_OPENS = re.compile(r" *(\w+) \{")
_SAYS = re.compile(r" *(\w+): (.*)")
_ESCAPE = re.compile(rb"\\([0-7]{1,3}|.)", re.DOTALL)
_LETTERS = {b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_DEEPEST = 8


def parse_profile_proto(data: bytes) -> OpProfile:
    """Read a file of --op_profiling_output_mode=proto.

    Times are per run of the model, all calls in it together. `invoke_us` and `threads`
    stay None.

    Raises: UnreadableOutput where it is damaged, or has no ops of measured runs.
    """
    return _profile(_decoded(data, _FILE))


def parse_debug_text(text: str) -> OpProfile | None:
    """The same where the tool printed it as text; None where there is none in `text`.

    Raises: UnreadableOutput as parse_profile_proto.
    """
    lines = text.replace("\r\n", "\n").split("\n")
    for number, line in enumerate(lines):
        if (begin := _BEGINS.fullmatch(line.rstrip())) is not None:
            rest = iter([begin[1], *lines[number + 1 :]])
            message = _read_text(rest, _named(_FILE), depth=0)
            return _profile(message)
    return None


# --- Messages ------------------------------------------------------------------------------


def _decoded(data: bytes, schema: _Schema) -> _Message:
    found: _Message = {}
    for number, value in fields(data):
        if number not in schema:
            continue
        name, kind = schema[number]
        found.setdefault(name, []).append(_value(value, kind))
    return found


def _value(value: int | bytes, kind: Any) -> Any:
    if kind is int and isinstance(value, int):
        return value - (1 << 64) if value >= 1 << 63 else value
    if isinstance(value, bytes):
        if kind is str:
            return value.decode("utf-8", "replace")
        if kind is float and len(value) == 4:
            return float(struct.unpack("<f", value)[0])
        if isinstance(kind, dict):
            return _decoded(value, kind)
    raise UnreadableOutput("the tool's profile holds a field of another type: it is damaged")


def _named(schema: _Schema) -> dict[str, Any]:
    return dict(schema.values())


def _read_text(lines: Iterator[str], schema: dict[str, Any], depth: int) -> _Message:
    """Up to the brace that closes a message; the outermost ends with what is none of it."""
    found: _Message = {}
    for line in lines:
        if depth and line.strip() == "}":
            return found
        opened, said = _OPENS.fullmatch(line.rstrip()), _SAYS.fullmatch(line)
        name = opened[1] if opened else said[1] if said else ""
        kind = schema.get(name)
        if opened and isinstance(kind, dict) and depth < _DEEPEST:
            found.setdefault(name, []).append(_read_text(lines, _named(kind), depth + 1))
        elif said and kind in (int, float, str):
            found.setdefault(name, []).append(_scalar(said[2].strip(), kind))
        elif depth:
            raise UnreadableOutput(f"a line of a profile cannot be read: {line[:200]!r}")
        elif line.strip():
            break
    if depth:
        raise UnreadableOutput("a profile is cut off")
    return found


def _scalar(word: str, kind: Any) -> Any:
    try:
        if kind is not str:
            return kind(word)
    except ValueError:
        raise UnreadableOutput(f"a profile's number cannot be read: {word[:200]!r}") from None
    if len(word) < 2 or word[0] != '"' or word[-1] != '"':
        raise UnreadableOutput(f"a profile's text cannot be read: {word[:200]!r}")
    return _ESCAPE.sub(_unescaped, word[1:-1].encode()).decode("utf-8", "replace")


def _unescaped(found: re.Match[bytes]) -> bytes:
    word = found[1]
    return bytes([int(word, 8) & 255]) if word.isdigit() else _LETTERS.get(word, word)


# --- Profile -------------------------------------------------------------------------------


def _profile(message: _Message) -> OpProfile:
    notes: list[str] = []
    init, _ = _tables(_only(message, "init_profile"), notes, "preparation")
    regular, runs = _tables(_only(message, "runtime_profile"), notes, "runs")
    if not regular:
        raise UnreadableOutput("the tool's profile has no ops of measured runs")
    return OpProfile(ProfileSource.PROTO, regular=regular, init=init, runs=runs, notes=tuple(notes))


def _only(message: _Message, name: str) -> _Message:
    values = message.get(name, [{}])
    if len(values) != 1:
        raise UnreadableOutput(f"the tool's profile has {len(values)} values of {name}")
    only: _Message = values[0]
    return only


def _tables(
    model: _Message, notes: list[str], stage: str
) -> tuple[tuple[OpTable, ...], int | None]:
    """The tables of a part of the benchmark, and the number of runs by the main subgraph."""
    tables: list[OpTable] = []
    main_runs = None
    for inside, part in [
        *((False, part) for part in model.get("subgraph_profiles", [])),
        *((True, part) for part in model.get("delegate_profiles", [])),
    ]:
        ops = part.get("per_op_profiles", [])
        if not ops:
            continue
        subgraph = int(_first(part, "subgraph_index", 0))
        if subgraph < 0:
            raise UnreadableOutput("the tool's profile names a subgraph that cannot be")
        name = str(_first(part, "delegate_name" if inside else "subgraph_name", ""))
        runs = _runs(ops)
        if not inside and subgraph == 0:
            main_runs = runs
        table = tuple(_row(op, runs) for op in ops)
        where = f"{stage}, inside the delegate" if inside else f"{stage}, subgraph {subgraph}"
        if runs is None:
            notes.append(f"{where}: no op was called equally often in every run")
        merged = [r for r in table if r.kind is OpKind.DELEGATE_OP and (r.times_called or 0) > 1]
        if merged and subgraph == 0:
            notes.append(
                f"{where}: rows that were called more than once in a run are the sum of several "
                "ops of one name, of different partitions of the delegate"
            )
        tables.append(OpTable(table, subgraph, name, inside))
    places = [(table.inside_delegate, table.subgraph) for table in tables]
    if len(set(places)) != len(places):
        raise UnreadableOutput("the tool's profile has a subgraph twice")
    return tuple(tables), main_runs


def _first(message: _Message, name: str, default: Any) -> Any:
    return message.get(name, [default])[0]


def _runs(ops: list[_Message]) -> int | None:
    """How many runs a table is of, where one of its ops was called equally often in each.

    The tool tells the calls of all runs together, and per run, cut to a whole number.
    """
    pairs = [(_stat(op, "count"), int(_first(op, "times_called", 0))) for op in ops]
    if any(calls <= 0 or each < 0 for calls, each in pairs):
        raise UnreadableOutput("the tool's profile has an op without calls")
    counted = [(calls, each) for calls, each in pairs if each]
    if not counted:
        return None
    calls, each = min(counted, key=lambda pair: pair[0] / pair[1])
    runs = calls // each
    fits = calls % each == 0 and all(count // runs == told for count, told in pairs)
    return runs if fits else None


def _stat(op: _Message, name: str) -> int:
    times: _Message = _first(op, "inference_microseconds", {})
    return int(_first(times, name, 0))


def _row(op: _Message, runs: int | None) -> OpRow:
    subject = classic_subject(str(_first(op, "node_type", "")), str(_first(op, "name", "")))
    times: _Message = _first(op, "inference_microseconds", {})
    calls, total = _stat(op, "count"), _stat(op, "sum")
    lowest, highest, deviation = _stat(op, "min"), _stat(op, "max"), _first(times, "stddev", 0.0)
    order = int(_first(op, "run_order", 0))
    possible = (
        order >= 0
        and _stat(op, "first") >= 0
        and 0 <= lowest <= highest
        and lowest * calls <= total <= highest * calls
    )
    if not possible or not math.isfinite(deviation) or deviation < 0:
        raise UnreadableOutput(f"the tool's profile contradicts itself: {subject.type}")
    once = calls == runs
    memory: _Message = _first(op, "mem_kb", {})
    return OpRow(
        subject.kind,
        subject.type,
        str(_first(op, "name", "")),
        None if runs is None else round(total / runs, 4),
        # These are of single calls.
        first_us=float(_stat(op, "first")) if once else None,
        min_us=float(lowest) if once else None,
        max_us=float(highest) if once else None,
        std_us=float(deviation) if once else None,
        times_called=None if runs is None else calls / runs,
        node=subject.node,
        # Of ops the tool does not measure it, and writes a zero.
        mem_kib=float(_first(memory, "last", 0)) if subject.kind is OpKind.PHASE else None,
        order=order,
    )
