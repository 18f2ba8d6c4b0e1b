"""One file, with whatever order and mixture of runs and streams -> one piece per run.

Both streams of a run may be in it, one after the other in either order or line by line.
Which line is whose is not written anywhere:

- A run begins at `STARTING!`, at the parameters of the next run of one process, or with the
  log or the results of the wheel's Python tool.
- What stands before the first run of a file belongs to it; where that is log, what follows
  the last line that a run printed to stdout belongs to the next run. Lines that a tool prints
  within a run are the end of one whose beginning is missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from bench.errors import UserError
from bench.parse.join import with_python_halves
from bench.parse.lines import (
    LEVELLED,
    PARAMETERS,
    PROFILE,
    PYTHON_LOG,
    PYTHON_RESULTS,
    START,
    body,
    is_compiled_help,
    is_known,
    is_log,
    is_own,
    is_stderr,
    is_stdout,
    of_the_process,
)
from bench.parse.piece import Part, Piece
from bench.parsers.logcat import entries, logcat_text
from bench.parsers.op_profile import parse_profile_text

_SHOWN = 120
# The second repeats figures of the text, where that has them.
_FIGURES = re.compile(r"(?:^|: )(count=|(?:Average i|I)nference timings in us: )")
# logcat -v color
_COLOUR = re.compile(r"\x1b\[[\d;]*m")
# Of the summary that the performance-options tool ends with.
_OPTION = re.compile(r"(?:INFO: )? *(?!INFO)(\w[^:=]*): (count=.*)")
# What logcat puts a level in front of, although it goes on from the line before.
_CONTINUED = re.compile(
    r"(?:INFO|ERROR): (?=\t|={10,}|node type, |Number of nodes exec|Timings \(|Memory \(bytes\)"
    r"|\d+ nodes observed|(?:Primary graph|Subgraph) \(|.*?, .*%, |$"
    r"|(?:\d+|No) operations will run on the GPU)"
)
_GPU_LIST = re.compile(r"[A-Z]+: (?:Following|Next) operations are not supported by GPU delegate")
_GPU_OP = re.compile(r"ERROR: (?=[A-Z0-9_]+(?: [^:]+)?: )")
_ENDS_IN_A_NUMBER = re.compile(
    r"(?:INFO: )?(?:Memory footprint|Peak memory|Overall peak memory|[-+] (?:Vm|Rss)|Inference \("
    r"|Warmup \(|\[benchmark_litert_model)"
)


def split(name: str, text: str) -> list[Piece]:
    """The pieces of one file, at least one.

    Raises: UserError where not a line of it is known, UnreadableOutput where it is a file
    with an op profile that cannot be read.
    """
    text = _COLOUR.sub("", text)
    lines = text.split("\n")
    whole = any(line.endswith(START) for line in lines)
    last = _FIGURES.search(lines[-1])
    if last is not None and not (whole and last[1] != "count="):
        raise UserError(
            f"{name}:{len(lines)}: the text ends within a line of figures, or its last line has "
            "lost its end; give the whole of what the tool printed"
        )
    if _ENDS_IN_A_NUMBER.match(lines[-1]):
        # Nobody can tell whether it has lost digits.
        lines[-1] = ""
    if logcat := list(entries(text)):
        pids = dict.fromkeys(entry.pid for entry in logcat if entry.is_ours)
        if not pids:
            raise unplaced(name, lines)
        return [piece for pid in pids for piece in _process(name, logcat_text(text, pid))]
    if not any(is_known(line) or LEVELLED.match(line) for line in lines) and text.strip():
        raise unplaced(name, lines)
    return _runs(name, lines)


def unplaced(name: str, lines: Sequence[str]) -> UserError:
    """What to say of a text that has no place, with its first line."""
    number, line = next(((k, line) for k, line in enumerate(lines, 1) if line.strip()), (1, ""))
    return UserError(
        f"{name}:{number}: no line of benchmark_model, of a LiteRT benchmark or of a logcat "
        f"with their tags: {line[:_SHOWN]!r}; give what such a tool printed"
    )


def _process(name: str, text: str) -> list[Piece]:
    """The runs of one process of a logcat."""
    pieces = _runs(name, list(_unlevelled(text.split("\n"))))
    for piece in pieces:
        piece.android = True
    return pieces


def _unlevelled(lines: Sequence[str]) -> Iterator[str]:
    """Lines of a message that has several, as they would be on a terminal."""
    listing = False
    for line in lines:
        continued = _CONTINUED.match(line) or (listing and _GPU_OP.match(line))
        listing = _GPU_LIST.match(line) is not None or (listing and bool(continued))
        yield line.partition(": ")[2] if continued else line


def _runs(name: str, lines: Sequence[str]) -> list[Piece]:
    """One piece per run; one that is LOOSE where none begins."""
    starts = list(_starts(lines))
    if not starts:
        text = "\n".join(lines)
        if PROFILE.match(text.lstrip()):
            return [Piece({Part.LOOSE}, [], [name], profile=parse_profile_text(text))]
        part = Part.TAIL if any(map(is_own, lines)) else Part.LOOSE
        return [Piece({part}, list(lines), [name])]
    pieces = []
    for (start, part, several), end in zip(
        starts, [start for start, _, _ in starts[1:]] + [len(lines)], strict=True
    ):
        pieces.append(Piece({part}, list(lines[start:end]), [name], several=several))
    before = list(lines[: starts[0][0]])
    if any(map(is_own, before)):
        # The end of a run whose beginning is missing.
        pieces.insert(0, Piece({Part.TAIL}, before, [name]))
    else:
        _move_logs(before, pieces)
        pieces[0].lines[:0] = before
    pieces = with_python_halves(pieces)
    options = tuple(
        (match[1], match[2]) for line in lines if (match := _OPTION.fullmatch(line.rstrip()))
    )
    for piece in pieces:
        piece.options = options if piece.several else ()
    if pieces[-1].several:
        last = pieces[-1]
        log = len(last.lines) - len(_trailing_log(last.lines))
        last.lines = last.lines[:log] + [x for x in last.lines[log:] if of_the_process(x)]
    return pieces


def _starts(lines: Sequence[str]) -> Iterator[tuple[int, Part, bool]]:
    """(line, what begins, whether it is one of several runs of a process)."""
    found: list[tuple[int, Part]] = []
    first_parameter = ""
    process = 0  # number of runs since STARTING!
    several: set[int] = set()
    for k, line in enumerate(lines):
        text = body(line)
        if text == START or is_compiled_help(line):
            found.append((k, Part.START))
            first_parameter, process = "", 0
        elif (match := PYTHON_LOG.match(line)) is not None:
            if match[2].startswith(("Model: ", "Model file not found")):
                found.append((k, Part.PYTHON_LOG))
        elif line.strip() == PYTHON_RESULTS:
            found.append((k, Part.PYTHON_RESULTS))
        elif PARAMETERS.fullmatch(text):
            label = text.partition(":")[0]
            first_parameter = first_parameter or label
            if label != first_parameter:
                continue
            process += 1
            if process > 1:
                several |= {len(found) - 1, len(found)}
                found.append((k, Part.START))
    for k, (start, part) in enumerate(found):
        yield start, part, k in several


def _move_logs(before: Sequence[str], pieces: Sequence[Piece]) -> None:
    """Give each run the log that stands before it, where the logs come first."""
    ahead = sum(is_stderr(line) for line in before)
    last_has_log = any(map(is_log, pieces[-1].lines))
    for piece, following in pairwise(pieces):
        if piece.parts != {Part.START} or following.parts != {Part.START} or piece.several:
            continue
        log = _trailing_log(piece.lines)
        if ahead:
            # Line by line as many lines are ahead of each run; else its whole log is.
            moved = len(log) if not last_has_log else min(ahead, len(log))
        else:
            failed = any("Benchmarking failed." in line for line in log)
            counts = sum(body(line).startswith("count=") for line in piece.lines)
            moved = len(log) if failed and counts == 2 and not last_has_log else 0
        if moved:
            following.lines[:0] = piece.lines[-moved:]
            del piece.lines[-moved:]


def _trailing_log(lines: list[str]) -> list[str]:
    """The lines from the first of the log on that follows the last of stdout."""
    last = max((k for k, line in enumerate(lines) if is_stdout(line)), default=-1)
    start = next((k for k in range(last + 1, len(lines)) if is_stderr(lines[k])), len(lines))
    return lines[start:]
