"""Judge a window of telemetry: groups of like devices, and everything that is wrong."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

from bench.telemetry import Loss, Telemetry
from reports.fleet.health import drained, failing, silent, throttled
from reports.fleet.latency import fallen_back, judged, kind_of, over_time
from reports.fleet.model import Finding, Fleet, Kind, Trouble


def fleet(
    telemetry: Sequence[Telemetry],
    heard: Mapping[str, datetime],
    losses: Sequence[Loss],
    *,
    since: datetime,
    until: datetime,
    simulated: bool,
) -> Fleet:
    """Judge a window; arguments as bench.store.telemetry gives them."""
    by_kind: dict[Kind, list[Telemetry]] = defaultdict(list)
    for one in telemetry:
        by_kind[kind_of(one)].append(one)
    groups, findings = [], []
    for kind, members in by_kind.items():
        group, found = judged(kind, members)
        groups.append(group)
        findings += [*found, *fallen_back(kind, members), *failing(kind, members)]
    findings += over_time(by_kind)
    by_device: dict[str, list[Telemetry]] = defaultdict(list)
    for one in telemetry:
        by_device[one.deployment.device_id].append(one)
    findings += silent(by_device, heard, until)
    findings += throttled(by_device)
    findings += drained(by_device)
    findings += [
        Finding(Trouble.LOST_SAMPLES, (loss.device_id,), None, f"Its agent says: {loss.text}.")
        for loss in losses
    ]
    order = list(Trouble)
    return Fleet(
        since=since,
        until=until,
        simulated=simulated,
        devices=len(by_device),
        samples=sum(one.samples for one in telemetry),
        unsynchronised=tuple(
            device for device, many in by_device.items() if any(t.unsynchronised for t in many)
        ),
        groups=tuple(groups),
        findings=tuple(
            sorted(findings, key=lambda f: (order.index(f.trouble), -abs(math.log(f.ratio or 1))))
        ),
    )
