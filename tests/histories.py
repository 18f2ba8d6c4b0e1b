"""A synthetic year of a lab whose every event is known: points, runs, and their History.

Weekly runs for a year and daily ones in its last week, which holds the events:
the runtime's upgrade makes int8 slower on pixel-8; an OS update takes NNAPI away from
galaxy-a54; moto-g runs hot; detector int8 answers wrongly on a GPU; detector fp32 grows; a
case of pi-5 goes missing; flaky-pi loses launches; emulated-phone is simulated.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from bench.delegation.model import Coverage
from bench.identity import Case, DelegateSpec
from bench.numerics.model import NumericsWord
from bench.points import Point, PointState
from bench.records import Outcome, RunRecord, RunStatus
from bench.stability import StabilityWord
from bench.stats import Interval
from bench.store.outcomes import LaunchOutcomes
from reports.history.model import (
    DeviceFinding,
    Finding,
    History,
    ProvenanceChange,
    SeriesHistory,
    Standing,
    Step,
    Word,
)

PROJECT = "vision"
UNTIL = datetime(2026, 11, 23, tzinfo=UTC)
SINCE = UNTIL - timedelta(days=7)
WEEKS_BEFORE = 51
DAYS = 7
RUNTIME = ProvenanceChange("runtime", "2.1.0", "2.2.0")
OS_BUILD = ProvenanceChange("OS build", "AP2A.240805", "AP3A.241105")
MODEL = ProvenanceChange("model", "sha256 5d1c9e02", "sha256 a81f77b3")

# Device -> delegates, and how long a mobilenet fp32 takes on its CPU, in us.
DEVICES: dict[str, tuple[tuple[str, ...], float]] = {
    "pixel-8": (("xnnpack", "gpu", "nnapi"), 4000.0),
    "galaxy-a54": (("xnnpack", "gpu", "nnapi"), 7000.0),
    "moto-g": (("none", "xnnpack"), 21000.0),
    "pi-5": (("none", "xnnpack"), 16000.0),
    "flaky-pi": (("xnnpack",), 16000.0),
    "emulated-phone": (("xnnpack",), 9000.0),
}
MODELS = {"mobilenet": 1.0, "detector": 6.3}
VARIANTS = {"fp32": 1.0, "int8": 0.52}
DELEGATES = {"none": 1.6, "xnnpack": 1.0, "gpu": 0.6, "nnapi": 0.7}
NODES = 65


@dataclass(frozen=True)
class Year:
    """Everything that a store would hold of it."""

    runs: tuple[RunRecord, ...]
    cases: tuple[Case, ...]
    points: tuple[Point, ...]
    history: History
    outcomes: tuple[LaunchOutcomes, ...]


def run_id(started: datetime) -> str:
    """Of a UUIDv7 that was made at that moment."""
    digits = f"{int(started.timestamp() * 1000):012x}"
    return f"{digits[:8]}-{digits[8:]}-7000-8000-000000000000"


def starts(weeks: int = WEEKS_BEFORE) -> tuple[datetime, ...]:
    """When the runs began."""
    nightly = UNTIL + timedelta(hours=2)
    before = [nightly - timedelta(days=7 * week) for week in range(weeks + 1, 1, -1)]
    return (*before, *(nightly - timedelta(days=day) for day in range(DAYS, 0, -1)))


def run_record(started: datetime, *, project: str = PROJECT, simulated: bool = False) -> RunRecord:
    return RunRecord(
        run_id=run_id(started),
        project=project,
        status=RunStatus.FINISHED,
        started_utc=started,
        finished_utc=started + timedelta(hours=1),
        plan={},
        plan_sha256="0" * 64,
        root="/lab",
        seed=1,
        edgebench_version="0.1.0",
        host={},
        simulated=simulated,
    )


def case(device: str, model: str, variant: str, delegate: str, *, project: str = PROJECT) -> Case:
    return Case(project, model, variant, DelegateSpec(delegate), 4, "benchmark_model", device)


def cases() -> tuple[Case, ...]:
    return tuple(
        case(device, model, variant, delegate)
        for device, (delegates, _) in DEVICES.items()
        for model in MODELS
        for variant in VARIANTS
        for delegate in delegates
    )


def point(one: Case, started: datetime, p50_us: float) -> Point:
    """A measured one with nothing to remark."""
    quantised = one.variant == "int8"
    asked = one.delegate.name != "none"
    return Point(
        run_id=run_id(started),
        case_id=one.case_id,
        started_utc=started,
        state=PointState.MEASURED,
        reason="",
        quantity="p50",
        p50_us=p50_us,
        p50_low_us=p50_us * 0.99,
        p50_high_us=p50_us * 1.01,
        p90_us=p50_us * 1.06,
        mean_us=p50_us * 1.02,
        p50_by_round_us=tuple((n, p50_us) for n in range(6)),
        launches_made=6,
        launches_used=6,
        stability=StabilityWord.STABLE,
        coverage=Coverage.FULL if asked else Coverage.NONE,
        delegated_nodes=NODES if asked else 0,
        total_nodes=NODES,
        numerics=NumericsWord.OK,
        accuracy=0.705 if quantised else 0.712,
        accuracy_low=0.695,
        accuracy_high=0.72,
        metric="accuracy",
        higher_is_better=True,
        gates_failed=(),
        size_bytes=3_400_000 if quantised else 13_900_000,
        model_sha256="5d1c9e02" * 8,
        peak_rss_kib=48_000,
        energy_mj_per_invoke=None,
        start_c=31.0,
        environment_id=None,
        simulated=one.device == "emulated-phone",
    )


def level_us(one: Case) -> float:
    _, base = DEVICES[one.device]
    return base * MODELS[one.model] * VARIANTS[one.variant] * DELEGATES[one.delegate.name]


def befall(one: Case, day: int, made: Point) -> Point | None:
    """What the last week did to a point; day 0 is its first; None where it is missing."""
    where = (one.device, one.model, one.variant, one.delegate.name)
    if where[0] == "pixel-8" and where[2:] == ("int8", "xnnpack") and day >= 2:
        slower = 1.083 if one.model == "mobilenet" else 1.041
        made = _scaled(made, slower)
        if one.model == "mobilenet":
            made = replace(made, gates_failed=("p50_us_max",))
    if where[0] == "galaxy-a54" and where[3] == "nnapi" and day >= 3:
        made = replace(
            made,
            state=PointState.FELL_BACK,
            reason="asked for nnapi, computed by the CPU",
            p50_us=None,
            p50_low_us=None,
            p50_high_us=None,
            p90_us=None,
            p50_by_round_us=(),
            coverage=Coverage.NONE,
            delegated_nodes=0,
        )
    if where == ("galaxy-a54", "mobilenet", "fp32", "gpu") and day >= 3:
        made = _scaled(made, 0.86)
    if where[0] == "moto-g" and day >= 4:
        made = replace(_scaled(made, 1.12), start_c=43.5)
    if where == ("pixel-8", "detector", "int8", "gpu") and day >= 5:
        made = replace(made, numerics=NumericsWord.WRONG, gates_failed=("numerics",))
    if where[1:3] == ("detector", "fp32") and day >= 2:
        made = replace(made, size_bytes=15_800_000, model_sha256="a81f77b3" * 8)
    if where == ("pi-5", "detector", "int8", "none") and day >= 4:
        return None
    if where[0] == "flaky-pi":
        made = replace(made, launches_made=10, launches_used=6)
        if one.model == "detector":
            made = replace(
                made,
                state=PointState.INVALID,
                reason="2 clean launches of 10",
                launches_used=2,
                stability=StabilityWord.INVALID,
            )
    return made


def year(*, weeks: int = WEEKS_BEFORE, seed: int = 6) -> Year:
    """The whole of it, with what a history should find in it."""
    noise = np.random.default_rng(seed)
    moments = starts(weeks)
    points: dict[str, list[Point]] = {}
    for one in cases():
        for number, started in enumerate(moments):
            day = number - (len(moments) - DAYS)
            p50 = level_us(one) * float(np.exp(noise.normal(0, 0.008)))
            made: Point | None = point(one, started, p50)
            if day >= 0 and made is not None:
                made = befall(one, day, made)
            if made is not None:
                points.setdefault(one.case_id, []).append(made)
    series = tuple(history_of(one, points[one.case_id], moments) for one in cases())
    return Year(
        runs=tuple(run_record(started) for started in moments),
        cases=cases(),
        points=tuple(p for found in points.values() for p in found),
        history=History(PROJECT, series, tuple(_findings(series, moments)), _devices(moments)),
        outcomes=_outcomes(),
    )


def history_of(one: Case, points: Sequence[Point], moments: Sequence[datetime]) -> SeriesHistory:
    """With the step that its device's or its own event makes, if any."""
    judged = tuple(p for p in points if p.judged and p.numerics is not NumericsWord.WRONG)
    day = {
        ("pixel-8", "int8", "xnnpack"): 2,
        ("moto-g", one.variant, one.delegate.name): 4,
    }.get((one.device, one.variant, one.delegate.name))
    if (one.device, one.model, one.variant, one.delegate.name) == (
        "galaxy-a54",
        "mobilenet",
        "fp32",
        "gpu",
    ):
        day = 3
    steps = () if day is None else (_step(judged, moments[len(moments) - DAYS + day]),)
    return SeriesHistory(
        case=one,
        case_id=one.case_id,
        points=tuple(points),
        judged=judged,
        steps=steps,
        spikes=(),
        against=None,
        smallest_step=0.021 if one.device != "flaky-pi" else 0.043,
        changes=(),
    )


def _step(judged: Sequence[Point], since: datetime) -> Step:
    at = next(n for n, p in enumerate(judged) if p.started_utc >= since)
    before, after = (
        statistics.median(p.p50_us for p in part if p.p50_us is not None)
        for part in (judged[:at], judged[at:])
    )
    ratio = after / before
    return Step(
        position=at,
        last_good_run_id=judged[at - 1].run_id,
        first_bad_run_id=judged[at].run_id,
        since_utc=judged[at].started_utc,
        before_us=before,
        after_us=after,
        ratio=ratio,
        interval=Interval(ratio * 0.99, ratio * 1.01, 0.95, "unpaired"),
        p_value=1e-6,
        provenance=(RUNTIME,),
    )


def finding(
    series: SeriesHistory,
    word: Word,
    standing: Standing,
    since: datetime,
    *,
    before: str = "",
    after: str = "",
    step: Step | None = None,
    provenance: tuple[ProvenanceChange, ...] = (),
    sentence: str = "",
    todo: str = "",
) -> Finding:
    """One that names the last run before `since` as the last good one."""
    good = [p for p in series.points if p.started_utc < since]
    if step is not None:
        before, after = (f"{us / 1000:.2f} ms" for us in (step.before_us, step.after_us))
    return Finding(
        word=word,
        standing=standing,
        case=series.case,
        case_id=series.case_id,
        run_id=run_id(since),
        since_utc=since,
        last_good_run_id=good[-1].run_id if good else None,
        before=before,
        after=after,
        ratio=None if step is None else step.ratio,
        interval=None if step is None else step.interval,
        provenance=provenance,
        sentence=sentence or f"{series.case.model} {series.case.label} is {word}.",
        todo=todo,
    )


def _findings(series: Iterable[SeriesHistory], moments: Sequence[datetime]) -> Iterable[Finding]:
    week = moments[-DAYS:]
    for one in series:
        c = one.case
        where = (c.device, c.model, c.variant, c.delegate.name)
        confirm = f"edgebench history --confirm {one.case_id[:12]}"
        if c.device == "pixel-8" and where[2:] == ("int8", "xnnpack"):
            sure = c.model == "mobilenet"
            yield finding(
                one,
                Word.SLOWER,
                Standing.CONFIRMED if sure else Standing.SUSPECTED,
                week[2],
                step=one.steps[0],
                provenance=(RUNTIME, OS_BUILD) if sure else (RUNTIME,),
                sentence=(
                    "Old and new side by side in run 019ae000: the new one is slower."
                    if sure
                    else "The level stepped up with the new runtime; not measured side by side yet."
                ),
                todo="" if sure else confirm,
            )
        if c.device == "galaxy-a54" and c.delegate.name == "nnapi":
            yield finding(
                one,
                Word.FELL_BACK,
                Standing.CERTAIN,
                week[3],
                before=f"FULL {NODES}/{NODES}",
                after=f"NONE 0/{NODES}",
                provenance=(OS_BUILD,),
                sentence="NNAPI takes no node any more: what runs is the CPU.",
                todo="Look at `edgebench show --evidence --device galaxy-a54`.",
            )
        if where == ("pixel-8", "detector", "int8", "gpu"):
            yield finding(
                one,
                Word.WRONG,
                Standing.CERTAIN,
                week[5],
                before="OK",
                after="WRONG",
                sentence="The answers differ from the reference's beyond what rounding explains.",
                todo="Do not ship it; `edgebench show --evidence` says how far they are off.",
            )
        if where[1:3] == ("detector", "fp32"):
            standing = Standing.CERTAIN
            yield finding(
                one,
                Word.BIGGER,
                standing,
                week[2],
                before="13.9 MB",
                after="15.8 MB",
                provenance=(MODEL,),
            )
        if where == ("pi-5", "detector", "int8", "none"):
            yield finding(
                one,
                Word.MISSING,
                Standing.CERTAIN,
                week[4],
                sentence="It was planned until 2026-11-19 and is in no plan since.",
                todo="Put it back into the plan, or pin a new baseline.",
            )
        if where == ("galaxy-a54", "mobilenet", "fp32", "gpu"):
            yield finding(
                one,
                Word.FASTER,
                Standing.SUSPECTED,
                week[3],
                step=one.steps[0],
                provenance=(OS_BUILD,),
            )
        if c.device == "moto-g":
            yield finding(one, Word.SLOWER, Standing.DEVICE, week[4], step=one.steps[0])
        if where == ("emulated-phone", "mobilenet", "int8", "xnnpack"):
            yield finding(
                one, Word.SLOWER, Standing.CONFIRMED, week[2], before="1 ms", after="9 ms"
            )


def _devices(moments: Sequence[datetime]) -> tuple[DeviceFinding, ...]:
    return (
        DeviceFinding(
            "moto-g",
            moments[-DAYS:][4],
            1.12,
            8,
            8,
            (ProvenanceChange("start temperature", "31.0 °C", "43.5 °C"),),
            "All 8 cases moved at once, and launches start 12 degrees hotter than before.",
        ),
    )


def _outcomes() -> tuple[LaunchOutcomes, ...]:
    flaky = [one for one in cases() if one.device == "flaky-pi"]
    return tuple(
        found
        for one in flaky
        for found in (
            LaunchOutcomes(one.case_id, Outcome.CRASHED, (), 36 if one.model == "detector" else 18),
            LaunchOutcomes(
                one.case_id,
                Outcome.OK,
                ("throttling: under-voltage (get_throttled 0x5)",),
                20 if one.model == "detector" else 10,
            ),
        )
    )


def _scaled(made: Point, factor: float) -> Point:
    assert made.p50_us is not None
    assert made.p50_low_us is not None
    assert made.p50_high_us is not None
    assert made.p90_us is not None
    return replace(
        made,
        p50_us=made.p50_us * factor,
        p50_low_us=made.p50_low_us * factor,
        p50_high_us=made.p50_high_us * factor,
        p90_us=made.p90_us * factor,
        p50_by_round_us=tuple((n, us * factor) for n, us in made.p50_by_round_us),
    )
