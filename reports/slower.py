"""Quantised cases that are slower than fp32, with what the profiles say of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bench.ops.explain import Side, explain
from bench.ops.mapping import unmapped
from bench.ops.summary import summarise
from bench.stats import Change
from reports.delegate_model import SlowerThanFp32
from reports.measured import MeasuredCase
from reports.model import Row
from reports.speedups import REFERENCE


def slower_than_fp32(
    cases: Sequence[MeasuredCase], rows: Sequence[Row]
) -> tuple[SlowerThanFp32, ...]:
    """Every profiled case that the run itself says is slower than fp32, all else being equal.

    Args:
        cases: the same cases as `rows`, in the same order.
    """
    by_id = {item.case.case_id: item for item in cases}
    found = []
    for item, row in zip(cases, rows, strict=True):
        verdict = row.speedup
        if verdict is None or verdict.change is not Change.CHANGED or verdict.ratio >= 1:
            continue
        why = _why(by_id[replace(item.case, variant=REFERENCE).case_id], item)
        if why:
            found.append(SlowerThanFp32(row.case, verdict.ratio, why, row.simulated))
    return tuple(found)


def _why(reference: MeasuredCase, item: MeasuredCase) -> tuple[str, ...]:
    one, other = _side(item), _side(reference)
    return () if one is None or other is None else explain(one, other).lines


def _side(item: MeasuredCase) -> Side | None:
    """What is known of where a case's time goes; None without a profile."""
    profile, found = item.checked.profile, item.headline
    if profile is None:
        return None
    return Side(
        label=item.case.variant,
        profile=profile,
        # The file of the variant is not at hand wherever a store is read.
        summary=summarise(profile, unmapped(profile)),
        delegation=item.delegation,
        p50_us=None if found is None else float(np.median(found.values_us)),
    )
