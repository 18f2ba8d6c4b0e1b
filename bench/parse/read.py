"""Files of benchmark tools -> the runs in them; the whole of `edgebench parse` but its printing."""

from __future__ import annotations

import codecs
import dataclasses
import math
from collections.abc import Sequence

from bench.errors import UnreadableOutput, UserError
from bench.parse.facts import facts_of
from bench.parse.join import join
from bench.parse.model import ParsedRun
from bench.parse.piece import Part, Piece
from bench.parse.split import split
from bench.parsers.benchmark_model import decode
from bench.parsers.benchmark_proto import parse_runtime_info
from bench.parsers.op_proto import parse_profile_proto


def parse_files(files: Sequence[tuple[str, bytes]]) -> list[ParsedRun]:
    """Every run that is in these files, in their order.

    Args:
        files: (name, content); stdout and stderr of one run side by side, in either order,
            or in one file. See bench.parse.split and bench.parse.join for what belongs
            to what.

    Raises: UserError where a text cannot be placed, naming its first such line.
    """
    groups: list[list[Piece]] = []
    for name, content in files:
        groups.append(_pieces(name, content))
    pieces = join(groups)
    if not pieces:
        raise UserError(f"{files[0][0]}: empty; give what a benchmark tool printed")
    return [_facts(piece) for piece in pieces]


def _pieces(name: str, content: bytes) -> list[Piece]:
    try:
        if b"\0" not in content:
            return split(name, decode(content.removeprefix(codecs.BOM_UTF8)))
        return [_binary(name, content)]
    except UnreadableOutput as error:
        raise UserError(f"{name}: {error}") from error


def _binary(name: str, content: bytes) -> Piece:
    piece = Piece({Part.LOOSE}, [], [name])
    try:
        piece.profile = parse_profile_proto(content)
    except UnreadableOutput:
        try:
            piece.graph = parse_runtime_info(content)
        except UnreadableOutput:
            raise UserError(
                f"{name}:1: binary, and neither an op profile nor model runtime info; give what "
                "a benchmark tool printed or wrote"
            ) from None
    return piece


def _facts(piece: Piece) -> ParsedRun:
    try:
        run = facts_of(piece)
        if not _finite(dataclasses.asdict(run)):
            raise UnreadableOutput("a number in it is beyond all bounds")
        return run
    except UnreadableOutput as error:
        raise UserError(f"{' and '.join(piece.files)}: {error}") from error


def _finite(value: object) -> bool:
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_finite, value))
    return not isinstance(value, float) or math.isfinite(value)
