"""Evidence of an op profile: which rows are the delegate's, and how much time the others take."""

from __future__ import annotations

import re
from collections import Counter

from bench.delegation.finding import Counts, Finding, lines
from bench.delegation.model import Coverage, EvidenceSource
from bench.delegation.names import is_own, is_xnnpack
from bench.delegation.nodes import EDGETPU_OP
from bench.format import counted
from bench.ops.model import OpKind, OpProfile, OpRow, OpTable, ProfileSource

# Share of a profile's time that its resolution may hide, where shares of it are told.
_MOST_CUT_OFF = 0.1
# Its operators name their layout, as in "Convolution (NHWC, F32) IGEMM" (XNNPACK,
# src/subgraph and xnn_operator_type_to_string). No other delegate's rows look so.
_XNNPACK_OPERATOR = re.compile(r"\(N[A-Z]{0,4}[,)]")


def from_profile(requested: str, profile: OpProfile, total_nodes: int | None) -> Finding | None:
    """Judge the rows of the measured runs; None where there are none.

    Args:
        total_nodes: of the main subgraph; with it, and where the rows name their nodes, the
            profile counts nodes. None if unknown.
    """
    tables = [table for table in profile.regular if not table.inside_delegate]
    rows = [row for table in tables for row in _ops(table)]
    if not rows:
        return None
    main = [row for table in tables if table.subgraph == 0 for row in _ops(table)]
    says, line = _said(requested, profile, rows, main)
    texts = [line]
    kept = [row for row in main if row.kind is OpKind.OP and not _is_mine(requested, row)]
    left = Counter(row.type for row in kept)
    if left and requested != "none":
        listed = ", ".join(f"{op} x{n}" for op, n in sorted(left.items()))
        texts.append(f"Ops in the profile that the runtime ran itself: {listed}.")
    share = counts = None
    if says is not None:
        share = _outside_time(requested, profile)
        counts = _counted(requested, profile, main, says, total_nodes)
    if share is not None:
        texts.append(f"Outside it: {share * 100:.1f} % of the time of all ops.")
    if counts is not None:
        total = counted(counts.total_nodes or 0, "node")
        texts.append(f"So a delegate took {counts.delegated_nodes} of {total}.")
    return Finding(lines(EvidenceSource.PROFILE, says, *texts), counts, outside_time=share)


def _ops(table: OpTable) -> list[OpRow]:
    return [row for row in table.rows if row.kind is not OpKind.PHASE]


def _said(
    requested: str, profile: OpProfile, rows: list[OpRow], main: list[OpRow]
) -> tuple[Coverage | None, str]:
    whose = [_is_mine(requested, row) for row in rows]
    name = "any" if requested == "none" else "the"
    if None in whose:
        return None, "The profile has rows of a delegate that it does not name."
    if any(whose) and not all(_is_mine(requested, row) for row in main):
        return Coverage.PARTIAL, f"The profile has rows of {name} delegate, and others."
    if not profile.complete:
        return None, "The tool dropped rows of the profile for lack of room."
    if any(whose):
        return Coverage.FULL, f"The profile has rows of {name} delegate only."
    return Coverage.NONE, f"The profile has no row of {name} delegate."


def _is_mine(requested: str, row: OpRow) -> bool | None:
    """Whether a row is the work of the delegate asked for; None where nobody can tell.

    For plain kernels every delegate counts.
    """
    if row.kind is OpKind.OP:
        # Without its delegate the runtime cannot run it.
        return requested == "edgetpu" and row.type == EDGETPU_OP
    if requested == "none":
        return True
    if row.kind is OpKind.DELEGATE:
        return is_own(requested, row.type)
    if _XNNPACK_OPERATOR.search(row.type) or is_xnnpack(row.type):
        return requested == "xnnpack"
    return None


def _outside_time(requested: str, profile: OpProfile) -> float | None:
    """Share of the time of all ops that was not the delegate's; None if times are missing.

    The rows of other subgraphs are a part of the row in the main one that calls them.
    """
    if requested == "none" or not profile.complete:
        return None
    mine = total = 0.0
    cut_off = 0
    for table in profile.regular:
        if table.inside_delegate:
            continue
        for row in _ops(table):
            if row.avg_us is None:
                return None
            total += row.avg_us if table.subgraph == 0 else 0.0
            cut_off += profile.source is ProfileSource.C_API
            mine += row.avg_us if _is_mine(requested, row) else 0.0
    # Its times are whole us: up to one of each row is missing, and small models are all that.
    if cut_off > _MOST_CUT_OFF * total:
        return None
    return max(0.0, 1 - mine / total) if mine > 0 and total > 0 else None


def _counted(
    requested: str, profile: OpProfile, main: list[OpRow], says: Coverage, total_nodes: int | None
) -> Counts | None:
    """Nodes outside, where every row outside names its own; the others were taken."""
    outside = [row for row in main if _is_mine(requested, row) is False]
    ops = [row for row in outside if row.kind is OpKind.OP]
    numbers = {row.node for row in ops}
    exact = (
        len(ops) == len(outside) and None not in numbers and len(numbers) == len(ops)
    ) or says is Coverage.FULL
    if not profile.complete or not exact or not total_nodes or len(ops) > total_nodes:
        return None
    delegated = total_nodes - len(ops)
    # Nodes that were folded away before the run leave no row either.
    if (delegated == 0) != (says is Coverage.NONE):
        return None
    left = {} if requested == "none" else dict(Counter(row.type for row in ops))
    return Counts(delegated, total_nodes, 0 if says is Coverage.NONE else None, left)
