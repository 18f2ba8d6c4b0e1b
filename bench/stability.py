"""How far a case's number can be trusted, and why not further."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from bench.digest import SampleDigest, digest
from bench.format import counted, duration
from bench.headline import Headline, headline
from bench.power import percent
from bench.records import LaunchRecord, Measurement, Outcome
from bench.stats import (
    MIN_LAUNCHES_FOR_INTERVAL,
    adaptive_interval,
    launch_interval,
    precision_reached,
    serial_correlation,
)

MAX_TAINTED_SHARE = 0.20
MAX_HALF_WIDTH = 0.05
MAX_DRIFT = 0.02
# A clock that steps by more than this part of the median cannot show small differences.
MAX_STEP = 0.01
# The timer's own cost must not exceed this part of a sample.
MAX_TIMER_SHARE = 0.03


class StabilityWord(StrEnum):
    """METHOD's words, from best to worst."""

    STABLE = "STABLE"
    NOISY = "NOISY"
    NOT_STEADY = "NOT STEADY"
    TAINTED = "TAINTED"
    INVALID = "INVALID"


@dataclass(frozen=True, slots=True)
class Mode:
    """One mode of a bimodal distribution: its median in us and its share in 0..1."""

    p50_us: float
    share: float


@dataclass(frozen=True, slots=True)
class Stability:
    """The verdict on one case.

    Attributes:
        word: the verdict.
        reasons: one line each; () only for STABLE with nothing to say.
        modes: both modes where the samples are bimodal, else ().
    """

    word: StabilityWord
    reasons: tuple[str, ...] = ()
    modes: tuple[Mode, ...] = ()


def used_launches(launches: Sequence[LaunchRecord]) -> tuple[LaunchRecord, ...]:
    """The launch that counts for each round: its last usable attempt, in order of rounds."""
    last: dict[int, LaunchRecord] = {}
    for launch in sorted(launches, key=lambda item: (item.index, item.attempt)):
        if launch.usable and launch.measurement is not None:
            last[launch.index] = launch
    return tuple(last[index] for index in sorted(last))


def judge_stability(
    launches: Sequence[LaunchRecord], *, planned_rounds: int, precision: float | None = None
) -> Stability:
    """The verdict on one case from all its launches, failed and tainted ones included.

    Args:
        launches: of one case of one run, in any order.
        planned_rounds: rounds that every case was to have.
        precision: the half width that rounds were added for, a share of the median; the
            interval is then `adaptive_interval`. None where the rounds were fixed.

    The word is the worst that any finding deserves; its reasons come first.
    """
    used = used_launches(launches)
    findings = _of_conditions(launches, used, planned_rounds)
    modes: tuple[Mode, ...] = ()
    if used:
        measured = [item.measurement for item in used if item.measurement is not None]
        findings += _between_launches(headline(measured), precision)
        findings += _of_clock(measured)
        digests = [d for d in map(_digest_of, measured) if d is not None]
        findings += _of_warm_up(measured)
        findings += _inside_launches(digests, len(measured))
        modes, found = _bimodal(digests)
        findings += found
    order = list(StabilityWord)
    findings.sort(key=lambda finding: -order.index(finding[0]))
    word = findings[0][0] if findings else StabilityWord.STABLE
    return Stability(word, tuple(reason for _, reason in findings), modes)


# A finding is the word that it alone would deserve, and its reason.
_Finding = tuple[StabilityWord, str]


def _of_conditions(
    launches: Sequence[LaunchRecord], used: Sequence[LaunchRecord], planned_rounds: int
) -> list[_Finding]:
    made = len(launches)
    tainted = [item for item in launches if item.taints]
    failed = [item for item in launches if item.outcome is not Outcome.OK and not item.taints]
    found: list[_Finding] = []
    if not launches:
        return [(StabilityWord.INVALID, "no launch was made")]
    if not used:
        found.append((StabilityWord.INVALID, f"none of {_launches(made)} is usable"))
    if failed:
        kinds = Counter(item.outcome.value for item in failed)
        text = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
        found.append((StabilityWord.STABLE, f"of {_launches(made)} {text}"))
    if tainted:
        found.append(_of_taint(tainted, made, used))
    absent = set(range(planned_rounds)) - {item.index for item in launches}
    if absent:
        text = f"{len(absent)} of {planned_rounds} rounds were not run"
        found.append((StabilityWord.STABLE, text))
    if 0 < len(used) < MIN_LAUNCHES_FOR_INTERVAL:
        text = (
            f"too few launches: {len(used)} usable, an interval needs {MIN_LAUNCHES_FOR_INTERVAL}"
        )
        found.append((StabilityWord.NOISY, text))
    return found


def _of_taint(tainted: Sequence[LaunchRecord], made: int, used: Sequence[LaunchRecord]) -> _Finding:
    # A reason's figures differ from launch to launch; what stands before them does not.
    causes = Counter(taint.split(":")[0] for item in tainted for taint in item.taints)
    example = {taint.split(":")[0]: taint for item in tainted for taint in item.taints}
    cause = "; ".join(
        example[name] if count == 1 else f"{example[name]} ({_launches(count)})"
        for name, count in causes.most_common()
    )
    text = f"{len(tainted)} of {_launches(made)} tainted: {cause}"
    if len(tainted) > MAX_TAINTED_SHARE * made:
        limit = f"above {percent(MAX_TAINTED_SHARE)}"
        return StabilityWord.INVALID, f"{text}; {limit}"
    lost = {item.index for item in tainted} - {item.index for item in used}
    if lost:
        have = "has" if len(lost) == 1 else "have"
        rounds = counted(len(lost), "round")
        return StabilityWord.TAINTED, f"{text}; {rounds} {have} no clean launch"
    return StabilityWord.STABLE, f"{text}; repeated"


def _between_launches(of: Headline, precision: float | None) -> list[_Finding]:
    found: list[_Finding] = []
    p50s_us, resolution = of.values_us, of.resolution_us
    if precision is None:
        interval = launch_interval(p50s_us, resolution=resolution)
    else:
        interval = adaptive_interval(p50s_us, resolution=resolution)
        check = precision_reached(p50s_us, precision, resolution=resolution)
        if not check.reached:
            found.append((StabilityWord.STABLE, f"precision {check.reason}"))
    median = statistics.median(p50s_us)
    if interval is not None and median > 0:
        half_width = (interval.high - interval.low) / 2 / median
        if half_width > MAX_HALF_WIDTH:
            name = "p50" if of.is_p50 else "mean"
            text = (
                f"launches differ: half width of the {name} interval {percent(half_width)},"
                f" limit {percent(MAX_HALF_WIDTH)}"
            )
            found.append((StabilityWord.NOISY, text))
    lag1 = serial_correlation(p50s_us)
    if lag1 is not None:
        text = f"launches follow each other: lag-1 correlation {lag1:.2f} over {len(p50s_us)}"
        found.append((StabilityWord.NOISY, text))
    return found


def _of_clock(measured: Sequence[Measurement]) -> list[_Finding]:
    found: list[_Finding] = []
    digests = [d for d in map(_digest_of, measured) if d is not None]
    if any(m.min_us <= 0 for m in measured) or any(d.bad_samples for d in digests):
        text = "clock problem: a sample lasted no time or less, the clock stood still or went back"
        found.append((StabilityWord.INVALID, text))
    elif any(d.step_us is None and d.count > 1 for d in digests):
        text = "clock problem: all samples of a launch are equal"
        found.append((StabilityWord.INVALID, text))
    coarse = [
        step for m in measured if (step := _step_us(m)) is not None and step > MAX_STEP * _us(m)
    ]
    if coarse:
        text = (
            f"coarse clock: it steps by {duration(max(coarse))}, above {percent(MAX_STEP)} of p50"
        )
        found.append((StabilityWord.NOISY, text))
    batches = {m.invokes_per_sample for m in measured}
    if len(batches) > 1:
        text = "launches differ in invokes per sample: " + ", ".join(map(str, sorted(batches)))
        found.append((StabilityWord.NOISY, text))
    elif batches != {1}:
        text = f"below the timer's resolution: {batches.pop()} invokes per sample"
        found.append((StabilityWord.STABLE, text))
    shares = [
        m.timer_cost_ns / 1e3 / (_us(m) * m.invokes_per_sample)
        for m in measured
        if m.timer_cost_ns is not None and _us(m) > 0
    ]
    cost = max(shares, default=0.0)
    if cost > MAX_TIMER_SHARE:
        text = f"the timer costs {percent(cost)} of a sample, limit {percent(MAX_TIMER_SHARE)}"
        found.append((StabilityWord.NOISY, text))
    unknown = sum(m.load is None or m.load.busy_ns is None for m in measured)
    if unknown:
        text = f"other load and steal time are unknown in {unknown} of {_launches(len(measured))}"
        found.append((StabilityWord.STABLE, text))
    return found


def _step_us(m: Measurement) -> float | None:
    """The step of a launch's clock, as its samples or its tool show it; None if neither does."""
    known = _digest_of(m)
    if known is None:
        return m.resolution_us
    # With few samples the least difference is large by chance.
    return known.step_us if known.count >= 100 else None


def _us(m: Measurement) -> float:
    return m.mean_us if m.p50_us is None else m.p50_us


def _of_warm_up(measured: Sequence[Measurement]) -> list[_Finding]:
    found: list[_Finding] = []
    cold = sum(m.steady is False for m in measured)
    if cold:
        word = StabilityWord.NOT_STEADY if 2 * cold > len(measured) else StabilityWord.STABLE
        text = f"warm-up never became steady in {cold} of {_launches(len(measured))}"
        found.append((word, text))
    unknown = sum(m.steady is None for m in measured)
    if unknown:
        text = f"whether it was steady is unknown in {unknown} of {_launches(len(measured))}"
        found.append((StabilityWord.STABLE, text))
    return found


def _inside_launches(digests: Sequence[SampleDigest], launches: int) -> list[_Finding]:
    found: list[_Finding] = []
    if len(digests) < launches:
        unknown = launches - len(digests)
        text = f"drift and modes are not judged in {unknown} of {_launches(launches)}"
        found.append((StabilityWord.STABLE, text))
    drifts = [
        d.drift
        for d in digests
        if d.drift is not None
        and d.drift_se is not None
        and abs(np.expm1(d.drift)) > MAX_DRIFT
        and abs(d.drift) > 2 * d.drift_se
    ]
    if drifts:
        word = StabilityWord.NOT_STEADY if 2 * len(drifts) > launches else StabilityWord.STABLE
        worst = float(np.expm1(max(drifts, key=abs)))
        most = "" if len(drifts) == 1 else "up to "
        text = (
            f"drift inside {len(drifts)} of {_launches(launches)}: second half "
            f"{most}{percent(abs(worst))} {'slower' if worst > 0 else 'faster'}"
        )
        found.append((word, text))
    return found


def _bimodal(digests: Sequence[SampleDigest]) -> tuple[tuple[Mode, ...], list[_Finding]]:
    both = [d for d in digests if len(d.mode_p50s_us) == 2]
    if not both:
        return (), []
    if 2 * len(both) < len(digests):
        text = f"two modes inside {len(both)} of {_launches(len(digests))}"
        return (), [(StabilityWord.STABLE, text)]
    p50s_us = np.median(np.array([d.mode_p50s_us for d in both]), axis=0)
    lower_share = float(np.median([d.mode_shares[0] for d in both]))
    modes = (Mode(float(p50s_us[0]), lower_share), Mode(float(p50s_us[1]), 1 - lower_share))
    shown = " and ".join(f"{duration(m.p50_us)} ({percent(m.share)})" for m in modes)
    return modes, [(StabilityWord.NOISY, f"two modes: {shown}")]


def _digest_of(measurement: Measurement) -> SampleDigest | None:
    if measurement.digest is None and measurement.samples_ns is not None:
        return digest(measurement.samples_ns)
    return measurement.digest


def _launches(number: int) -> str:
    return counted(number, "launch")
