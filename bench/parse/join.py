"""Pieces of several files, or of one -> the runs: each file beside a run finds its own.

A file in which no run begins (a stderr, an op profile, an empty file) belongs to the run of
the file before it, or where that has such a file already, to the run of the file after.
Alone it is a run of its own, of which nothing but its log is known; two such files are the
two streams of one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from bench.errors import UserError
from bench.parse.lines import INITIALIZED, of_the_process
from bench.parse.piece import Part, Piece

_MODEL_LOADED = re.compile(r"Model loaded \((\d+\.\d) ms\)")


def join(groups: Sequence[Sequence[Piece]]) -> list[Piece]:
    """The runs of all files, in order, with what belongs to them from the files beside.

    Raises: UserError where it cannot be told whose a file is.
    """
    pieces = []
    for number, group in enumerate(groups):
        for piece in group:
            piece.group = number
            pieces.append(piece)
    pieces = with_python_halves(pieces)
    own = [piece for piece in pieces if piece.parts != {Part.LOOSE}]
    if not own:
        pieces = [p for p in pieces if any(map(str.strip, p.lines)) or p.profile]
        if len(pieces) == 2 and not any(p.android or p.profile for p in pieces):
            # Both streams of a program that is none of the tools.
            pieces[0].lines += pieces[1].lines
            pieces[0].files += pieces[1].files
            del pieces[1]
        return pieces
    for k, piece in enumerate(pieces):
        if piece.parts != {Part.LOOSE}:
            continue
        _join_loose(piece, pieces[:k], pieces[k + 1 :])
    return own


def _join_loose(piece: Piece, before: Sequence[Piece], after: Sequence[Piece]) -> None:
    kind = _kind(piece)
    run = next((p for p in reversed(before) if p.parts != {Part.LOOSE}), None)
    if run is None or kind in run.joined:
        run = next((p for p in after if p.parts != {Part.LOOSE}), None)
    if run is None or kind in run.joined:
        raise UserError(
            f"{piece.files[0]}: no run begins in it, and the runs of the files beside it have "
            "such a file already; give stdout and stderr of one run side by side"
        )
    others = [p for p in (*before, *after) if p.group == run.group and p is not run]
    if kind == "log" and any(p.parts != {Part.LOOSE} for p in others) and not run.several:
        raise UserError(
            f"{piece.files[0]}: {run.files[0]} holds several runs, and nothing says which of "
            "them these lines are of; give one file per run, or both streams in one file"
        )
    run.joined.add(kind)
    run.files += piece.files
    run.graph = run.graph or piece.graph
    run.profile = run.profile or piece.profile
    run.lines += [line for line in piece.lines if not run.several or of_the_process(line)]


def _kind(piece: Piece) -> str:
    if piece.graph is not None:
        return "graph"
    return "log" if piece.profile is None else "profile"


def with_python_halves(pieces: Sequence[Piece]) -> list[Piece]:
    """The Python tool's log (stderr) and results (stdout) are one run where they agree."""
    joined: list[Piece] = []
    for piece in pieces:
        halves = {Part.PYTHON_LOG, Part.PYTHON_RESULTS}
        fits = joined and joined[-1].parts | piece.parts == halves
        if fits and not joined[-1].parts & piece.parts and _agree(joined[-1], piece):
            last = joined[-1]
            last.parts |= piece.parts
            last.lines += piece.lines
            last.files += [name for name in piece.files if name not in last.files]
            last.joined.add("log")
        else:
            joined.append(piece)
    return joined


def _agree(one: Piece, other: Piece) -> bool:
    """Whether a log and results name the same time for the loading of the model."""
    text = "\n".join(one.lines + other.lines)
    loaded, initialized = _MODEL_LOADED.search(text), INITIALIZED.search(text)
    if loaded is None or initialized is None:
        return False
    return abs(float(loaded[1]) - float(initialized[1])) <= 0.051
