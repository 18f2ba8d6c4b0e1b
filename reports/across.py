"""Speed-ups over several devices: the geometric mean, with n (METHOD section 4)."""

from __future__ import annotations

from collections.abc import Sequence

from bench.stats import geometric_mean
from reports.device_model import AcrossDevices
from reports.model import Row
from reports.standing import why_not_under_its_name

MIN_DEVICES = 2


def across_devices(rows: Sequence[Row]) -> tuple[AcrossDevices, ...]:
    """One mean per configuration that has a speed-up on 2 or more devices.

    Only by the same runner kind; simulated devices have means of their own.
    """
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        case = row.case
        if row.not_applicable is None:
            key = (
                case.model,
                case.variant,
                case.delegate,
                case.threads,
                case.runner,
                case.input_shapes,
                row.simulated,
            )
            groups.setdefault(key, []).append(row)
    found = []
    for group in groups.values():
        with_ratio = {
            r.case.device: r.speedup.ratio
            for r in group
            if r.speedup is not None and why_not_under_its_name(r) is None
        }
        if len(with_ratio) < MIN_DEVICES:
            continue
        case = group[0].case
        found.append(
            AcrossDevices(
                model=case.model,
                variant=case.variant,
                delegate=case.delegate,
                threads=case.threads,
                runner=case.runner,
                ratio=geometric_mean(with_ratio.values()),
                devices=with_ratio,
                without={
                    # What never ran has no delegation to speak of.
                    r.case.device: r.failure
                    or why_not_under_its_name(r)
                    or r.speedup_reason
                    or "no speed-up"
                    for r in group
                    if r.case.device not in with_ratio
                },
                simulated=group[0].simulated,
            )
        )
    return tuple(found)
