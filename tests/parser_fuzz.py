"""Mutated recordings for every parser, and the rules that what they read has to keep."""

from __future__ import annotations

import dataclasses
import functools
import math
import random
import re
import time
import traceback
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from bench.errors import UnreadableOutput, UserError
from bench.parse.read import parse_files
from bench.parsers.benchmark_litert import parse_compiled
from bench.parsers.benchmark_model import ToolOutput, check_count, parse_classic
from bench.parsers.benchmark_proto import parse_result, parse_runtime_info
from bench.parsers.count_line import CountLine, parse_count_line
from bench.parsers.interpreter_state import parse_states
from bench.parsers.logcat import logcat_text
from bench.parsers.op_profile import parse_profile_text
from bench.parsers.op_proto import parse_profile_proto
from bench.parsers.runtime_log import parse_log

RECORDINGS = Path(__file__).parent / "golden" / "benchmark_model"
# Bytes of each recorded text that are used: the rest is more rows of the same.
MOST_BYTES = 6000
MAX_SECONDS = 1.0
_MAY_BE_NEGATIVE = re.compile(r"(?:init|overall|peak)_mb|mem_kib|return")
_NUMBER = re.compile(rb"\d+(?:\.\d+)?")
_NUMBERS = (b"0", b"-1", b"nan", b"-nan", b"inf", b"1e400", b"9" * 25, b"1.04574e+06", b"0x7")
_PIECES = (
    b"INFO: STARTING!\n", b"count=", b"\0", b"\r", b"\x1b[2J", b"\xff", b" ", b"INFO: ", b"\t",
    b"ERROR: Benchmarking failed.\n", b"BENCHMARK RESULTS\n", b"\n\n", b"\xe2\x80\xa8", b": [1]",
    b"Replacing 4 out of 6 node(s) with delegate (TfLiteXNNPackDelegate) node, yielding 5 "
    b"partitions for subgraph 0 (main).\n",
    b"============================== Run Order ==============================\n",
    b"-----------Subgraph-0 has 12 tensors and 7 nodes------------\n",
    b"Execution plan as the list of 3 nodes invoked in-order: [0,2-3]\n",
    b"INFO: Inference timings in us: Init: 808, First inference: 36, Warmup (avg): 18.0773, "
    b"Inference (avg): 18.2342\n",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Tally:
    """What became of many inputs; problems: one line each, ten at most per process."""

    inputs: int = 0
    read: int = 0
    refused: int = 0
    slowest_s: float = 0.0
    problems: tuple[str, ...] = ()

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.inputs + other.inputs,
            self.read + other.read,
            self.refused + other.refused,
            max(self.slowest_s, other.slowest_s),
            self.problems + other.problems,
        )


def feed(seed: int, numbers: Iterable[int]) -> Tally:
    """Make the inputs of these numbers, and give each to a parser."""
    inputs = read = 0
    slowest = 0.0
    problems: list[str] = []
    for number in numbers:
        start = time.process_time()
        problem, was_read = _feed(seed, number)
        took = time.process_time() - start
        inputs += 1
        read += was_read
        slowest = max(slowest, took)
        if took > MAX_SECONDS:
            problem = f"took {took:.1f} s"
        if problem and len(problems) < 10:
            problems.append(f"--seed {seed} --only {number}: {problem}")
    return Tally(inputs, read, inputs - read, slowest, tuple(problems))


def feed_one(seed: int, number: int) -> str:
    """What is wrong with one input, or ""."""
    return _feed(seed, number)[0]


def _feed(seed: int, number: int) -> tuple[str, bool]:
    chance = random.Random(f"{seed} {number}")
    kind, parse, make = chance.choices(_TARGETS, weights=_WEIGHTS)[0]
    content = make(chance)
    try:
        found = parse(content)
    except (UnreadableOutput, UserError):
        return "", False
    except Exception:
        return f"{kind}: {traceback.format_exc(limit=-2)}", False
    return next((f"{kind}: {problem}" for problem in problems_of(found)), ""), found is not None


def problems_of(value: Any, where: str = "") -> Iterable[str]:
    """Fields of another type than their record says, numbers that are no figures."""
    if isinstance(value, float) and not math.isfinite(value):
        yield f"{where} is {value}"
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if value < 0 and not _MAY_BE_NEGATIVE.search(where):
            yield f"{where} is negative: {value}"
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from problems_of(item, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for item in value:
            yield from problems_of(item, where)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for name, hint in _hints(type(value)).items():
            item = getattr(value, name)
            if not _fits(item, hint):
                yield f"{where}.{name} is {item!r:.80}, not {hint}"
            yield from problems_of(item, f"{where}.{name}")


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a type, as deep as is cheap."""
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, part) for part in typing.get_args(hint))
    if origin is typing.Literal:
        return value in typing.get_args(hint)
    if origin is not None:
        return isinstance(value, origin)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return type(value) is hint
    return hint is Any or isinstance(value, hint)


# --- Inputs --------------------------------------------------------------------------------


@functools.cache
def _texts() -> tuple[tuple[bytes, bytes], ...]:
    found = []
    for out in sorted(RECORDINGS.glob("*/stdout*")):
        err = out.with_name(out.name.replace("stdout", "stderr"))
        found.append((out.read_bytes()[-MOST_BYTES:], err.read_bytes()[:MOST_BYTES]))
    return tuple(found)


@functools.cache
def _files(pattern: str) -> tuple[bytes, ...]:
    found = tuple(path.read_bytes() for path in sorted(RECORDINGS.glob(pattern)))
    assert found, pattern
    return found


def _pair(chance: random.Random) -> list[tuple[str, bytes]]:
    out, err = chance.choice(_texts())
    how = chance.randrange(8)
    if how == 0:
        other_out, other_err = chance.choice(_texts())
        texts = [_shuffled(chance, out, other_out), _shuffled(chance, err, other_err)]
    elif how == 1:
        texts = [_shuffled(chance, out, err)]
    elif how == 2:
        texts = [err + out] if chance.random() < 0.5 else [out + err]
    elif how == 3:
        texts = [_logcat(chance, _shuffled(chance, out, err))]
    elif how == 4:
        texts = [out, err, *chance.choice(_texts())]
    else:
        texts = [out, err]
    return [(f"file {k}", mutated(chance, text)) for k, text in enumerate(texts)]


def _text(chance: random.Random) -> bytes:
    return mutated(chance, chance.choice(chance.choice(_texts())))


def _profile(chance: random.Random) -> bytes:
    profiles = _files("0[456]*/stdout") + _files("15*/stdout") + _files("05*/out_profile.[ct]*")
    return mutated(chance, chance.choice(profiles)[-MOST_BYTES:])


def _count(chance: random.Random) -> bytes:
    lines = [line for line in chance.choice(_texts())[0].split(b"\n") if b"count=" in line]
    return mutated(chance, chance.choice(lines or [b"count=1 curr=2"]))


def _binary(pattern: str) -> Callable[[random.Random], bytes]:
    return lambda chance: mutated(chance, chance.choice(_files(pattern)))


_LOGCATS = (
    b"10-09 08:59:55.012  1234  4711 I tflite  : ",
    b"I/tflite  ( 1234): ",
    b"2026-10-09 08:59:55.012  1234-4711  tflite      org.some.app         I  ",
    b"\x1b[38;5;40m2026-10-09 08:59:55.012 1234-4711/org.some.app I/tflite: ",
)


def _logcat(chance: random.Random, text: bytes) -> bytes:
    prefix = chance.choice(_LOGCATS)
    lines = []
    for line in text.split(b"\n"):
        pid = chance.choice((b"1234", b"1234", b"1234", b"77"))
        lines.append(prefix.replace(b"1234", pid) + line.removeprefix(b"INFO: "))
    return b"\n".join([*lines, b""])


def _shuffled(chance: random.Random, *contents: bytes) -> bytes:
    streams = [content.splitlines(keepends=True)[::-1] for content in contents]
    order = [k for k, stream in enumerate(streams) for _ in stream]
    if chance.random() < 0.5:
        chance.shuffle(order)
    return b"".join(streams[k].pop() for k in order)


def mutated(chance: random.Random, content: bytes) -> bytes:
    """The content after none to four mutations."""
    for _ in range(chance.choice((0, 1, 1, 1, 2, 2, 3, 4))):
        content = chance.choice(_MUTATIONS)(chance, content)
    return content


def _drop_lines(chance: random.Random, content: bytes) -> bytes:
    lines = content.splitlines(keepends=True)
    first = chance.randrange(len(lines) + 1)
    del lines[first : first + chance.choice((1, 1, 2, 8))]
    return b"".join(lines)


def _swap_lines(chance: random.Random, content: bytes) -> bytes:
    lines = content.splitlines(keepends=True)
    if len(lines) < 2:
        return content
    one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    return b"".join(lines)


def _repeat_lines(chance: random.Random, content: bytes) -> bytes:
    lines = content.splitlines(keepends=True)
    at = chance.randrange(len(lines) + 1)
    again = lines[at : at + 3] * chance.choice((1, 1, 2, 30))
    return b"".join(lines[:at] + again + lines[at:])


def _flip_bit(chance: random.Random, content: bytes) -> bytes:
    if not content:
        return content
    at = chance.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << chance.randrange(8)]) + content[at + 1 :]


def _edit_number(chance: random.Random, content: bytes) -> bytes:
    at = chance.randrange(len(content) + 1)
    found = _NUMBER.search(content, at)
    if found is None:
        return content
    number = found[0]
    new = chance.choice(
        (*_NUMBERS, number * 2, number[1:], number[:-1], b"-" + number, number + b".5")
    )
    return content[: found.start()] + new + content[found.end() :]


def _cut(chance: random.Random, content: bytes) -> bytes:
    at = chance.randrange(len(content) + 1)
    return content[:at] if chance.random() < 0.7 else content[at:]


def _cut_out(chance: random.Random, content: bytes) -> bytes:
    at = chance.randrange(len(content) + 1)
    return content[:at] + content[at + chance.choice((1, 5, 40, 400)) :]


def _insert(chance: random.Random, content: bytes) -> bytes:
    at = chance.randrange(len(content) + 1)
    piece = chance.choice(_PIECES)
    if chance.random() < 0.02:
        piece *= 2000
    return content[:at] + piece + content[at:]


_MUTATIONS = (
    _drop_lines,
    _swap_lines,
    _repeat_lines,
    _flip_bit,
    _edit_number,
    _edit_number,
    _cut,
    _cut_out,
    _insert,
)
_Target = tuple[str, Callable[[Any], Any], Callable[[random.Random], Any]]


def _read_count(data: bytes) -> CountLine | None:
    line = parse_count_line(data.decode("utf-8", "replace"))
    if line is not None:
        check_count(line)
    return line


def _read_logcat(data: bytes) -> ToolOutput:
    return parse_classic(b"", logcat_text(data.decode("utf-8", "replace"), 1234).encode())


_TARGETS: tuple[_Target, ...] = (
    ("parse", parse_files, _pair),
    ("op profile", lambda data: parse_profile_text(data.decode("utf-8", "replace")), _profile),
    ("op profile proto", parse_profile_proto, _binary("05d*/out_profile.pb")),
    ("runtime info", parse_runtime_info, _binary("*/out_runtime_info.pb")),
    ("result", parse_result, _binary("*/out_result.pb")),
    ("log", lambda data: parse_log(data.decode("utf-8", "replace")), _text),
    ("classic", lambda data: parse_classic(data, b""), _text),
    ("compiled", lambda data: parse_compiled(data, data), _text),
    ("logcat", _read_logcat, lambda chance: _logcat(chance, _text(chance))),
    ("count line", _read_count, _count),
    (
        "state",
        lambda data: parse_states(data.decode("utf-8", "replace").split("\n")),
        _binary("14h*/stdout"),
    ),
)
_WEIGHTS = (12, 3, 1, 2, 2, 2, 1, 1, 1, 5, 1)
