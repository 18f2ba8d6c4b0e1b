"""What edgetpu_compiler says of a model: its version, and which ops it mapped.

Source of the format: https://coral.ai/docs/edgetpu/compiler and outputs of the versions 2.1
to 16 that users posted in the issues of google-coral/edgetpu.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bench.errors import UnreadableOutput

_VERSION = re.compile(r"^Edge TPU Compiler version (\d[\w.]*)\s*$", re.MULTILINE)
_COUNTS = {
    "subgraphs": re.compile(r"^Number of Edge TPU subgraphs:\s*(\d+)\s*$", re.MULTILINE),
    "operations": re.compile(r"^Total number of operations:\s*(\d+)\s*$", re.MULTILINE),
}
_HEAD = re.compile(r"^Operator\s+Count\s+Status\s*$", re.MULTILINE)
_LINE = re.compile(r"^([\w-]+)[ \t]+(\d{1,9})[ \t]+(\S.*?)[ \t]*$")
MAPPED = "Mapped to Edge TPU"


@dataclass(frozen=True, slots=True)
class CompiledOp:
    """Nodes of one op with one fate. status: the compiler's own words."""

    op: str
    count: int
    status: str

    @property
    def mapped(self) -> bool:
        """Whether they run on the Edge TPU."""
        return self.status == MAPPED


@dataclass(frozen=True, slots=True)
class CompilerLog:
    """One compilation.

    Attributes:
        subgraphs: number of parts for the Edge TPU. operations: nodes before it was compiled.
            None where the log does not say.
    """

    version: str
    subgraphs: int | None
    operations: int | None
    ops: tuple[CompiledOp, ...]


def parse_version(text: str) -> str:
    """The version that any output of the compiler names.

    Raises: UnreadableOutput where it names none.
    """
    found = _VERSION.search(text)
    if found is None:
        raise UnreadableOutput("no output of edgetpu_compiler: no line names its version")
    return found[1]


def parse_log(text: str) -> CompilerLog:
    """The output of `edgetpu_compiler -s`.

    Raises: UnreadableOutput without a version or without the table of operators.
    """
    version = parse_version(text)
    head = _HEAD.search(text)
    ops = () if head is None else tuple(_table(text[head.end() :]))
    if not ops:
        raise UnreadableOutput("edgetpu_compiler printed no table of operators")
    counts = {
        name: None if (found := pattern.search(text)) is None else int(found[1])
        for name, pattern in _COUNTS.items()
    }
    return CompilerLog(version, counts["subgraphs"], counts["operations"], ops)


def _table(text: str) -> list[CompiledOp]:
    """The lines of the table; the first that is none of them ends it."""
    ops = []
    for line in text.strip().splitlines():
        found = _LINE.match(line)
        if found is None:
            break
        ops.append(CompiledOp(found[1], int(found[2]), found[3]))
    return ops
