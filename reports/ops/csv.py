"""The rows of a profile as CSV, one line each, units in the names of the columns."""

from __future__ import annotations

import csv
import io

from bench.ops.mapping import MappedRow, NodeFacts
from bench.ops.model import OpProfile
from bench.ops.summary import Summary
from reports.export.csv import Value, csv_cell

COLUMNS = (
    "subgraph",
    "order",
    "kind",
    "type",
    "name",
    "avg_us",
    "resolution_us",
    "share",
    "first_us",
    "min_us",
    "max_us",
    "std_us",
    "times_called",
    "mem_kib",
    "match",
    "node",
    "op",
    "output",
    "output_dtype",
    "output_shape",
    "inputs",
)


def profile_to_csv(profile: OpProfile, summary: Summary) -> str:
    """The rows that add up to a run; empty where something is not known.

    Where it has a resolution_us, a time may be too small by that much: 0 is "less than it".

    Raises: ValueError where a number is not finite.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in summary.rows:
        line = _line(profile, summary, row)
        writer.writerow([csv_cell(line[name]) for name in COLUMNS])
    return out.getvalue()


def _line(profile: OpProfile, summary: Summary, row: MappedRow) -> dict[str, Value]:
    given, node = row.row, row.node
    first = node.outputs[0] if node is not None and node.outputs else None
    return {
        "subgraph": profile.regular[row.table].subgraph,
        "order": given.order,
        "kind": given.kind.value,
        "type": given.type,
        "name": given.name,
        "avg_us": given.avg_us,
        "resolution_us": summary.resolution_us or None,
        "share": summary.share(given.avg_us),
        "first_us": given.first_us,
        "min_us": given.min_us,
        "max_us": given.max_us,
        "std_us": given.std_us,
        "times_called": given.times_called,
        "mem_kib": given.mem_kib,
        "match": row.match.value,
        "node": None if node is None else node.index,
        "op": None if node is None else node.op,
        "output": None if first is None else first.name,
        "output_dtype": None if first is None else first.dtype,
        "output_shape": None if first is None else _shape(first.shape),
        "inputs": None if node is None else _inputs(node),
    }


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _inputs(node: NodeFacts) -> str:
    return "; ".join(f"{tensor.dtype} {_shape(tensor.shape)}" for tensor in node.inputs)
