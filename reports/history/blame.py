"""Steps that all cases of a device share: what changed is the device, and not each model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.format import counted
from bench.points import Point
from bench.stats import geometric_mean
from reports.history.levels import WINDOW, beyond
from reports.history.model import (
    DeviceFinding,
    Finding,
    ProvenanceChange,
    SeriesHistory,
    Standing,
    Word,
)
from reports.history.paired import NEVER_PAIRED, software_of
from reports.history.provenance import MODEL, SPOILT, START, common, in_words, warmer
from reports.history.words import change, is_simulated, share, short

# So many cases, and this share of all that were measured on both sides, make it the device.
MIN_CASES, MIN_SHARE = 3, 0.8
# The detector may place a step one run early or late.
_NEAR = 1
_SPOILT_MORE = 0.1
_SPEEDS = (Word.SLOWER, Word.FASTER)


@dataclass(frozen=True, slots=True)
class _Group:
    """Findings of one device in one direction around one run; `of` series could have moved."""

    run_id: str
    findings: tuple[Finding, ...]
    of: int


def blame(
    series: Sequence[SeriesHistory], findings: Sequence[Finding], delta: float
) -> tuple[tuple[DeviceFinding, ...], tuple[Finding, ...]]:
    """Devices that changed, and the findings with those that they explain as DEVICE.

    What a paired A/B has decided stays as it is. Where runtime or runner changed in that very
    run, or every model did and no sentinel says otherwise, it is the software that is under
    suspicion, as much as the device: then nothing is blamed.
    """
    devices: list[DeviceFinding] = []
    explained: dict[int, str] = {}
    by_device: dict[str, list[SeriesHistory]] = defaultdict(list)
    for one in series:
        by_device[one.case.device].append(one)
    moves: dict[tuple[str, bool, bool], list[Finding]] = defaultdict(list)
    by_id = {one.case_id: one for one in series}
    for finding in findings:
        if finding.word in _SPEEDS and not finding.case.is_sentinel and finding.ratio is not None:
            simulated = is_simulated(by_id[finding.case_id])
            moves[finding.case.device, finding.ratio > 1, simulated].append(finding)
    for (device, _, simulated), moved in sorted(moves.items()):
        group = _largest(moved, by_device[device], simulated=simulated)
        if group is None or not _is_the_device(group, by_device[device], delta):
            continue
        found = _device_finding(device, group, by_id, simulated=simulated)
        devices.append(found)
        why = (
            f"The device changed and not the model: {found.cases} of its"
            f" {counted(found.of, 'case')} became {change(found.ratio)} at once."
        )
        explained |= {id(finding): why for finding in group.findings}
    return tuple(devices), tuple(
        _explained(finding, explained[id(finding)])
        if id(finding) in explained and finding.standing is Standing.SUSPECTED
        else finding
        for finding in findings
    )


def _explained(finding: Finding, sentence: str) -> Finding:
    return replace(
        finding,
        standing=Standing.DEVICE,
        sentence=f"{finding.sentence.removesuffix(NEVER_PAIRED)}{sentence}",
        todo="",
    )


def _largest(
    moved: Sequence[Finding], series: Iterable[SeriesHistory], *, simulated: bool
) -> _Group | None:
    """The run around which most of them moved, if those are nearly all there are."""
    if len(moved) < MIN_CASES:
        return None
    places = _run_order(series)
    best: list[Finding] = []
    run_id = ""
    for at in sorted({places[f.run_id] for f in moved}):
        near = [f for f in moved if abs(places[f.run_id] - at) <= _NEAR]
        exact = sum(places[f.run_id] == at for f in near)
        if (len(near), exact) > (len(best), sum(f.run_id == run_id for f in best)):
            best = near
            run_id = next(f.run_id for f in near if places[f.run_id] == at)
    could = [
        one
        for one in series
        if not one.case.is_sentinel
        and is_simulated(one) is simulated
        and _sides(one, places, places[run_id]) is not None
    ]
    if len(best) < MIN_CASES or len(best) < MIN_SHARE * len(could):
        return None
    return _Group(run_id, tuple(best), max(len(could), len(best)))


def _run_order(series: Iterable[SeriesHistory]) -> Mapping[str, int]:
    runs = {(p.started_utc, p.run_id) for one in series for p in one.points}
    return {run_id: place for place, (_, run_id) in enumerate(sorted(runs))}


def _sides(
    series: SeriesHistory, places: Mapping[str, int], at: int
) -> tuple[Sequence[Point], Sequence[Point]] | None:
    """The judged points just before a run, and from it on; None without either."""
    before = [p for p in series.judged if places[p.run_id] < at][-WINDOW:]
    after = [p for p in series.judged if places[p.run_id] >= at][:WINDOW]
    return (before, after) if before and after else None


def _is_the_device(group: _Group, series: Sequence[SeriesHistory], delta: float) -> bool:
    software = [software_of(c.what for c in finding.provenance) for finding in group.findings]
    if any(found - {MODEL} for found in software):
        return False
    places = _run_order(series)
    witnesses = [
        sides
        for one in series
        if one.case.is_sentinel and (sides := _sides(one, places, places[group.run_id]))
    ]
    if not witnesses:
        return not all(MODEL in found for found in software)
    slower = (group.findings[0].ratio or 1.0) > 1
    for before, after in witnesses:
        ratio = _median_us(after) / _median_us(before)
        if not beyond(ratio, delta) or (ratio > 1) is not slower:
            return False
    return True


def _device_finding(
    device: str, group: _Group, series: Mapping[str, SeriesHistory], *, simulated: bool
) -> DeviceFinding:
    findings = group.findings
    ratio = geometric_mean(f.ratio for f in findings if f.ratio is not None)
    found = next(f for f in findings if f.run_id == group.run_id)
    # Of each case apart from how warm it was and what was spoilt: of those, the medians.
    shared = common([tuple(c for c in f.provenance if c.what != START) for f in findings])
    provenance = (*shared, *_heat(findings, series))
    simply = "Simulated: " if simulated else ""
    why = f"What changed: {in_words(provenance)}." if provenance else "Nothing recorded says why."
    return DeviceFinding(
        device=device,
        since_utc=found.since_utc,
        ratio=ratio,
        cases=len(findings),
        of=group.of,
        provenance=provenance,
        sentence=(
            f"{simply}{len(findings)} of {counted(group.of, 'case')} on {device} became"
            f" {change(ratio)} at once, in run {short(group.run_id)} of"
            f" {found.since_utc:%Y-%m-%d}. {why}"
        ),
    )


def _heat(
    findings: Iterable[Finding], series: Mapping[str, SeriesHistory]
) -> tuple[ProvenanceChange, ...]:
    """Hotter, or with more launches spoilt by throttling and the like, than before."""
    pairs = []
    for finding in findings:
        points = {p.run_id: p for p in series[finding.case_id].points}
        good, bad = points.get(finding.last_good_run_id or ""), points.get(finding.run_id)
        if good is not None and bad is not None:
            pairs.append((good, bad))
    told = [(g.start_c, b.start_c) for g, b in pairs if g.start_c and b.start_c]
    heat = warmer(*map(float, np.median(told, axis=0))) if told else ()
    before, after = (_spoilt(side) for side in zip(*pairs, strict=True)) if pairs else (0.0, 0.0)
    if after - before < _SPOILT_MORE:
        return heat
    return (*heat, ProvenanceChange(SPOILT, share(before), share(after)))


def _spoilt(points: Iterable[Point]) -> float:
    """Share of their launches that count for nothing."""
    made, used = np.sum([(p.launches_made, p.launches_used) for p in points], axis=0)
    return float(1 - used / made) if made else 0.0


def _median_us(points: Iterable[Point]) -> float:
    return float(np.median([p.p50_us for p in points if p.p50_us is not None]))
