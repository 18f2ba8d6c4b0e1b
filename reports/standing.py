"""Whether a row's speed may stand under its delegate's name."""

from __future__ import annotations

from reports.delegations import why_not_as_requested
from reports.model import Row


def why_not_under_its_name(row: Row) -> str | None:
    """Why its speed counts for nothing under its delegate's name, or None if it counts.

    A wrong answer has no speed, and what is as fast as the processor may be the processor.
    """
    if row.is_wrong:
        return f"its answers are WRONG: {numerics_reasons(row)}"
    if row.delegation is not None and row.is_suspect:
        return f"{row.delegation.requested} is SUSPECT: {row.delegation.suspicion}"
    return why_not_as_requested(row.delegation)


def numerics_reasons(row: Row) -> str:
    """On what the verdict on its answers rests, one line."""
    reasons = () if row.numerics is None else row.numerics.reasons
    return "; ".join(reasons) or "no reason was recorded"
