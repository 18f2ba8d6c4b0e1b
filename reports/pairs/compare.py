"""Two sides -> every pair of cases with its verdict (METHOD section 4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from bench.config import GatesConfig
from bench.delegation.model import Coverage
from bench.matrix import judge_pairs
from bench.planfile import parse_plan
from bench.points import Point
from bench.records import RunData
from bench.stats import Change, RatioVerdict
from reports.accuracies import judge_all
from reports.compare import rows_of
from reports.delegations import misfiled
from reports.measured import measured_cases
from reports.pairs.accuracy import PairedAccuracies
from reports.pairs.model import Pair, Pairs, PairWord, Side, Spread
from reports.pairs.ops import ModelOf, ops_moved
from reports.pairs.provenance import changes, other_controls
from reports.pairs.sides import SideCase, matched
from reports.pairs.unpaired import TwoRuns, judge_unpaired
from reports.speedups import why_not_compared
from reports.standing import numerics_reasons

_CHANGED = (PairWord.FASTER, PairWord.SLOWER, PairWord.CHANGED)
_PairOf = tuple[SideCase, SideCase]

# Points of series, by their case_id, and the facts of environments, by their id.
PointsOf = Callable[[Sequence[str]], Sequence[Point]]
EnvironmentsOf = Callable[[Sequence[str]], Mapping[str, Mapping[str, object]]]


@dataclass(frozen=True, slots=True)
class Series:
    """What the store knows of earlier and later runs.

    Attributes:
        points: case ids -> their points.
        environments: ids of environments -> their facts.
    """

    points: PointsOf
    environments: EnvironmentsOf


def side_cases(data: RunData) -> tuple[SideCase, ...]:
    """Every case of a run that is no sentinel.

    Raises: UserError if the recorded plan cannot be read by this version.
    """
    plan = parse_plan(dict(data.run.plan), where=f"plan of run {data.run.run_id}")
    cases = measured_cases(data, plan)
    rows = rows_of(data, plan, cases, judge_all(data.evaluations, plan.gates, classes=False))
    return tuple(SideCase(data, plan, item, row) for item, row in zip(cases, rows, strict=True))


def compare_sides(
    a: tuple[Side, Sequence[SideCase]],
    b: tuple[Side, Sequence[SideCase]],
    *,
    differing: Sequence[str],
    delta: float,
    gates: GatesConfig,
    series: Series,
    model_of: ModelOf,
    notes: Sequence[str] = (),
) -> Pairs:
    """Hold every case of B against its partner in A.

    Args:
        differing: dimensions that the two were asked to differ in; cases are paired by all
            others.
        delta, gates: of the plan of B.
        model_of: files of models, for where the time went.
        notes: what else must be read with the numbers.

    Raises: UserError where cases cannot be told apart.
    """
    found = matched(a[1], b[1], differing)
    settled: dict[int, tuple[PairWord, str]] = {}
    paired: dict[int, _PairOf] = {}
    unpaired: dict[int, _PairOf] = {}
    for number, (one, other) in enumerate(found):
        if one is None or other is None:
            settled[number] = (PairWord.MISSING if other is None else PairWord.NEW, "")
        elif (without := _without_ratio(one, other)) is not None:
            settled[number] = without
        elif _common_rounds(one, other):
            paired[number] = (one, other)
        else:
            unpaired[number] = (one, other)
    ratios = _paired_ratios(paired, delta)
    between = _unpaired_ratios(unpaired, delta, series)
    accuracies = PairedAccuracies(gates)
    pairs = []
    for number, (one, other) in enumerate(found):
        speedup, spread = ratios.get(number), None
        if number in unpaired:
            speedup, spread = between[number]
        word, reason = settled.get(number) or _word(speedup, paired=number in paired)
        pair = Pair(
            a=None if one is None else one.row,
            b=None if other is None else other.row,
            word=word,
            reason=reason,
            paired=number in paired,
            speedup=speedup,
            spread=spread,
            accuracy=None,
            accuracy_reason=None,
            provenance=(),
            ops=None,
        )
        if one is not None and other is not None:
            accuracy, why = accuracies.of_pair(one, other)
            pair = replace(
                pair,
                accuracy=accuracy,
                accuracy_reason=why,
                provenance=changes(one, other, differing),
                ops=ops_moved(one, other, model_of) if word in _CHANGED else None,
            )
        pairs.append(pair)
    return Pairs(a[0], b[0], delta, tuple(differing), tuple(pairs), tuple(notes))


def _without_ratio(a: SideCase, b: SideCase) -> tuple[PairWord, str] | None:
    """The word of a pair whose times may not be divided, and why; None where they may."""
    ours, theirs = a.measured, b.measured
    for name, side in (("A", ours), ("B", theirs)):
        if side.planned.reason is not None:
            return PairWord.NOT_MEASURED, f"{name}: not applicable: {side.planned.reason}"
    if ours.case.runner != theirs.case.runner:
        return (
            PairWord.NOT_COMPARABLE,
            f"another runner kind: {ours.case.runner} in A, {theirs.case.runner} in B",
        )
    if ours.simulated != theirs.simulated:
        which = "A" if ours.simulated else "B"
        return PairWord.NOT_COMPARABLE, f"{which} is simulated, and its numbers are not real"
    if b.row.is_wrong:
        return PairWord.WRONG, f"B: {numerics_reasons(b.row)}"
    if ours.failure is not None:
        return PairWord.NOT_MEASURED, f"A: {ours.failure}"
    if theirs.failure is not None:
        return _failed(b), f"B: {theirs.failure}"
    if (different := other_controls(a, b)) is not None:
        return PairWord.NOT_COMPARABLE, f"other controls: {different}"
    p50 = all(s.headline is not None and s.headline.is_p50 for s in (ours, theirs))
    if p50 and ours.quantity != theirs.quantity:
        return (
            PairWord.NOT_COMPARABLE,
            f"another quantity: p50 is {ours.quantity} in A, {theirs.quantity} in B",
        )
    for name, row in (("A", a.row), ("B", b.row)):
        if row.is_suspect and row.delegation is not None:
            return (
                PairWord.UNCLEAR,
                f"{name}: {row.delegation.requested} is SUSPECT: {row.delegation.suspicion}",
            )
    doubt = why_not_compared(theirs, ours, "A")
    return None if doubt is None else (PairWord.UNCLEAR, doubt)


def _failed(b: SideCase) -> PairWord:
    found = b.measured.delegation
    if misfiled(found):
        assert found is not None
        fell = found.requested != "none" and found.verdict is Coverage.NONE
        return PairWord.FELL_BACK if fell else PairWord.UNCLEAR
    if not b.measured.launches and b.measured.failure is not None:
        # A run that has not come to it says nothing of the case.
        waiting = b.measured.failure.startswith("not measured")
        return PairWord.NOT_MEASURED if waiting else PairWord.FAILED
    # Load on the machine spoils launches, and breaks no model.
    ran = any(launch.measurement is not None for launch in b.measured.launches)
    return PairWord.UNCLEAR if ran else PairWord.FAILED


def _common_rounds(a: SideCase, b: SideCase) -> bool:
    """Whether their rounds are the same ones: of one run, and of one device, since devices
    are measured side by side and not in turns."""
    same = (a.data.run.run_id, a.measured.case.device) == (
        b.data.run.run_id,
        b.measured.case.device,
    )
    return same and bool(a.measured.p50_by_round.keys() & b.measured.p50_by_round.keys())


def _paired_ratios(pairs: Mapping[int, _PairOf], delta: float) -> dict[int, RatioVerdict]:
    verdicts: dict[int, RatioVerdict] = {}
    # The cells of a matrix lend each other their spread: an emulator's is no phone's.
    for simulated in (False, True):
        own = {n: (a.measured, b.measured) for n, (a, b) in pairs.items()}
        own = {n: pair for n, pair in own.items() if pair[1].simulated is simulated}
        verdicts |= judge_pairs(
            {n: (a.p50_by_round, b.p50_by_round) for n, (a, b) in own.items()},
            delta=delta,
            resolutions={n: a.resolution + b.resolution for n, (a, b) in own.items()},
        )
    return verdicts


def _unpaired_ratios(
    pairs: Mapping[int, _PairOf], delta: float, series: Series
) -> dict[int, tuple[RatioVerdict, Spread | None]]:
    ids = dict.fromkeys(side.row.case_id for pair in pairs.values() for side in pair)
    points: dict[str, list[Point]] = {case_id: [] for case_id in ids}
    for point in series.points(tuple(ids)) if ids else ():
        points[point.case_id].append(point)
    wanted = {p.environment_id for own in points.values() for p in own if p.environment_id}
    environments = series.environments(tuple(wanted)) if wanted else {}
    found = {}
    for number, (a, b) in pairs.items():
        alike_a = _alike(a, points[a.row.case_id], environments)
        alike_b = _alike(b, points[b.row.case_id], environments)
        # Where both are runs of one thing, each is among those of the other.
        one_kind = b.data.run.run_id in alike_a and a.data.run.run_id in alike_b
        assert a.row.p50_us is not None
        assert b.row.p50_us is not None
        found[number] = TwoRuns(
            a.row.p50_us, b.row.p50_us, [*alike_a.values()], [*alike_b.values()], one_kind
        )
    return judge_unpaired(found, delta=delta)


def _alike(
    side: SideCase, points: Sequence[Point], environments: Mapping[str, Mapping[str, object]]
) -> dict[str, float]:
    """Run id -> p50 in us of the runs that measured the same thing, this one included."""
    assert side.row.p50_us is not None
    own = next((point for point in points if point.run_id == side.data.run.run_id), None)
    found = {
        point.run_id: point.p50_us
        for point in (points if own is not None else ())
        if point.judged
        and point.p50_us is not None
        and _kind_of(point, environments) == _kind_of(own, environments)
    }
    return {**found, side.data.run.run_id: side.row.p50_us}


def _kind_of(
    point: Point | None, environments: Mapping[str, Mapping[str, object]]
) -> tuple[object, ...]:
    """What makes two runs of a case runs of the same thing: equal files, programs and system."""
    if point is None:
        return ()
    environment = environments.get(point.environment_id or "", {})
    device = environment.get("device")
    return (
        point.case_id,
        point.quantity,
        point.simulated,
        point.model_sha256,
        point.runtime,
        environment.get("runner_sha256"),
        device.get("os") if isinstance(device, Mapping) else None,
    )


def _word(speedup: RatioVerdict | None, *, paired: bool) -> tuple[PairWord, str]:
    assert speedup is not None
    if speedup.change is Change.CHANGED:
        if not paired:
            return PairWord.CHANGED, "unpaired: the day may have changed and not the case"
        return (PairWord.FASTER if speedup.ratio > 1 else PairWord.SLOWER), ""
    word = PairWord.SAME if speedup.change is Change.SAME else PairWord.UNCLEAR
    return word, speedup.missing
