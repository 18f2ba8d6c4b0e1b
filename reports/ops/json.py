"""Profiles, comparisons and explanations as JSON for machines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from bench.delegation.model import Delegation
from bench.ops.compare import OpTime, ProfileComparison
from bench.ops.explain import Explanation
from bench.ops.mapping import MappedRow
from bench.ops.mapping import Mapping as NodeMapping
from bench.ops.model import OpProfile
from bench.ops.summary import Summary

SCHEMA = "edgebench-profile/1"


def profile_to_json(
    profile: OpProfile,
    mapping: NodeMapping,
    summary: Summary,
    delegation: Delegation | None,
    about: Mapping[str, Any],
) -> dict[str, Any]:
    """One profile: all rows, those of preparation too; what is not known is null.

    A row's share is null where its time is part of another row's.

    about: plain JSON of what was profiled: case, file.
    """
    counting = {row.table for row in summary.rows}
    return {
        **about,
        "source": profile.source.value,
        "runs": profile.runs,
        "threads": profile.threads,
        "invoke_us": profile.invoke_us,
        "total_us": summary.total_us,
        "delegate_us": summary.delegate_us,
        "plain_us": summary.plain_us,
        "covered": summary.covered,
        "resolution_us": summary.resolution_us or None,
        "cut_off_us": summary.cut_off_us or None,
        "delegation": None if delegation is None else asdict(delegation),
        "rows": [
            {
                **_row(row),
                "subgraph": profile.regular[row.table].subgraph,
                "inside_delegate": profile.regular[row.table].inside_delegate,
                "share": summary.share(row.row.avg_us) if row.table in counting else None,
            }
            for row in mapping.rows
        ],
        "init": [asdict(row) for table in profile.init for row in table.rows],
        "types": [asdict(total) for total in summary.types],
        "nodes_without_rows": [asdict(node) for node in mapping.unseen],
        "notes": list(summary.notes),
    }


def comparison_to_json(compared: ProfileComparison) -> dict[str, Any]:
    """What two profiles show side by side, without the profiles themselves."""
    return {
        "paired_by": compared.paired_by,
        "ops": [
            {
                "op": op.op,
                "output": op.output,
                "difference_us": op.difference_us,
                "ours": _side(op.ours),
                "theirs": _side(op.theirs),
            }
            for op in compared.ops
        ],
        "groups": [
            {
                "ops": list(group.ops),
                "difference_us": group.difference_us,
                "ours": asdict(group.ours),
                "theirs": asdict(group.theirs),
            }
            for group in compared.groups
        ],
    }


def explanation_to_json(explanation: Explanation) -> dict[str, Any]:
    """The sentences, and the numbers behind them."""
    return asdict(explanation)


def _row(row: MappedRow) -> dict[str, Any]:
    node = None if row.node is None else asdict(row.node)
    return {**asdict(row.row), "match": row.match.value, "node": node}


def _side(side: OpTime | None) -> dict[str, Any] | None:
    return None if side is None else asdict(side)
