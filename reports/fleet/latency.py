"""Devices whose latency or delegate differs from their like, or from their own past."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from statistics import median

from bench import format as fmt
from bench.telemetry import Telemetry
from reports.fleet.model import Finding, Group, Kind, Trouble
from reports.fleet.outliers import evidence_of, outlier_limit, usual

MIN_DEVICES = 5
MIN_SAMPLES = 3
MIN_DAYS = 5


def judged(kind: Kind, members: Sequence[Telemetry]) -> tuple[Group, list[Finding]]:
    measured = [
        (math.log(one.p50_ms), one)
        for one in members
        if one.p50_ms and one.samples - one.failures >= MIN_SAMPLES
    ]
    logs = [log for log, _ in measured]
    middle = median(logs) if logs else None
    limit = outlier_limit(logs) if len(logs) >= MIN_DEVICES else None
    group = Group(
        kind=kind,
        devices=len(members),
        judged=len(logs),
        samples=sum(one.samples for one in members),
        p50_ms=None if middle is None else math.exp(middle),
        low_ms=math.exp(min(logs)) if logs else None,
        high_ms=math.exp(max(logs)) if logs else None,
        limit=None if limit is None else math.exp(limit),
    )
    if limit is None or middle is None:
        return group, []
    found = []
    for log, one in measured:
        if abs(log - middle) >= limit:
            ratio = math.exp(log - middle)
            text = (
                f"{_ms(math.exp(log))} where {len(logs) - 1} others have {_ms(math.exp(middle))}"
                f" ({ratio:.2f}×; {math.exp(limit):.2f}× would stand out)."
            )
            trouble = Trouble.SLOWER if log > middle else Trouble.FASTER
            names = (one.deployment.device_id,)
            found.append(Finding(trouble, names, kind, text, evidence_of(one, members), ratio))
    return group, found


def fallen_back(kind: Kind, members: Sequence[Telemetry]) -> list[Finding]:
    if kind.delegate == "none":
        return []
    most = usual(members, "delegate_verdict")
    found = []
    for one in members:
        verdict = one.latest.get("delegate_verdict")
        less = verdict == "NONE" or (verdict == "PARTIAL" and most == "FULL")
        if less:
            others = f"; of the others most say {most}" if most and most != verdict else ""
            text = f"{kind.delegate} took {_share(verdict)} of the model{others}."
            names = (one.deployment.device_id,)
            found.append(
                Finding(
                    Trouble.FELL_BACK, names, kind, text, evidence_of(one, members, verdict=False)
                )
            )
    return found


def over_time(by_kind: Mapping[Kind, Sequence[Telemetry]]) -> list[Finding]:
    """The last day of each device against its own earlier ones."""
    changed: dict[tuple[Kind, Trouble, date], list[Finding]] = defaultdict(list)
    for kind, this in ((kind, one) for kind, many in by_kind.items() for one in many):
        days = [(day, p50) for day, p50 in this.daily_ms if p50 > 0]
        if len(days) <= MIN_DAYS:
            continue
        logs = [math.log(p50) for _, p50 in days]
        earlier, (last_day, last) = logs[:-1], (days[-1][0], logs[-1])
        middle = median(earlier)
        if abs(last - middle) < outlier_limit(earlier):
            continue
        ratio = math.exp(last - middle)
        text = (
            f"{_ms(math.exp(last))} on {last_day}, {_ms(math.exp(middle))} in the"
            f" {len(earlier)} days before ({ratio:.2f}×)."
        )
        trouble = Trouble.BECAME_SLOWER if ratio > 1 else Trouble.BECAME_FASTER
        evidence = evidence_of(this, by_kind[kind])
        finding = Finding(trouble, (this.deployment.device_id,), kind, text, evidence, ratio)
        changed[kind, trouble, last_day].append(finding)
    found = []
    for (kind, trouble, day), alike in changed.items():
        of = len(by_kind[kind])
        if of < MIN_DEVICES or 2 * len(alike) <= of:
            found += alike
            continue
        # What most of a kind do at once is no fault of one of them.
        ratio = median(finding.ratio or 1 for finding in alike)
        found.append(
            Finding(
                trouble,
                tuple(finding.devices[0] for finding in alike),
                kind,
                f"{len(alike)} of {of} devices at once on {day} ({ratio:.2f}×): look for what"
                " they have in common, such as an update.",
                (),
                ratio,
            )
        )
    return found


def kind_of(one: Telemetry) -> Kind:
    deployment = one.deployment
    return Kind(
        deployment.model_name,
        deployment.model_version,
        deployment.quantization_type,
        deployment.delegate,
        deployment.threads,
        one.device_model,
    )


def _share(verdict: object) -> str:
    return "only a part" if verdict == "PARTIAL" else "nothing"


def _ms(ms: float) -> str:
    return fmt.duration(ms * 1000)
