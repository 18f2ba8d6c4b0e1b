"""Where the level of a short series steps, and which of its points stand alone.

As in "Hunter" [Fleming et al. 2023, ICPE]: E-divisive proposes positions, a t test decides,
and what is not significant is merged; no random numbers, the same answer for the same values.
Figures and the choice of the settings: docs/history.md, "The detector".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from bench.edivisive import LEAST_SD, MIN_LEVEL, Array, alike, best_split, level_test, proposals
from bench.matrix import benjamini_hochberg

MIN_POINTS = 5
SIGNIFICANCE = 0.002
LONE_POINT_SDS = 4.0
MIN_STEP = 0.02
# Others that say what a point should have been: four before and four after it, at an end
# of the series the nearest eight.
_NEIGHBOURS = 8
# Of them, those that tell the level at one side of it.
_SIDE = 3
# Logs are rounded to this, so that the unit of the values decides nothing.
_DECIMALS = 11
# Share of normal noise within one standard deviation.
_ONE_SD = 0.683
# What `smallest_step` promises: so many more runs, and the share of steps found by then.
_RUNS_TO_FIND = 3
_POWER = 0.8
# Of the steps worth a look, the share that may be false.
_FALSE_SHARE = 0.05
# As many numbers as a batch may hold at once, 16 MiB of them.
_BATCH = 2_000_000


@dataclass(frozen=True, slots=True)
class Settings:
    """What the detector goes by.

    Attributes:
        significance: p below which a step is one, two-sided t test between neighbouring levels.
        lone_point_sds: robust standard deviations beyond which a lone point is replaced.
        min_step: share; smaller steps do not count, e.g. 0.02 for 2 %.
    """

    significance: float = SIGNIFICANCE
    lone_point_sds: float = LONE_POINT_SDS
    min_step: float = MIN_STEP


@dataclass(frozen=True, slots=True)
class ChangePoint:
    """A step.

    Attributes:
        position: index of the first value of the new level.
        p_value: two-sided, of the t test between the levels at both sides. It does not know
            that the position was chosen; `worth_a_look` does.
    """

    position: int
    p_value: float


@dataclass(frozen=True, slots=True)
class Detection:
    """What a series shows.

    Attributes:
        steps: by position. spikes: indices of lone points, never of a step's new level.
        cleaned: the values, in their own unit, lone points replaced by the median around them.
    """

    steps: tuple[ChangePoint, ...]
    spikes: tuple[int, ...]
    cleaned: tuple[float, ...]


_DEFAULT = Settings()


def detect(values_us: Sequence[float], settings: Settings = _DEFAULT) -> Detection:
    """Steps and lone points of one series, oldest value first, one per run.

    Below 5 values nothing is found. The newest value alone is never a step: it is a lone
    point until the next run agrees with it.

    Raises: ValueError for a value that is not a positive finite number.
    """
    return detect_many([values_us], settings)[0]


def detect_many(
    series_us: Sequence[Sequence[float]], settings: Settings = _DEFAULT
) -> tuple[Detection, ...]:
    """`detect` of many series, in their order, several times as fast as one by one.

    Raises: ValueError for a value that is not a positive finite number.
    """
    centred = [_centred_logs(values) for values in series_us]
    found = [Detection((), (), tuple(map(float, values))) for values in series_us]
    for indices in alike([len(logs) for logs in centred]):
        length = len(centred[indices[0]])
        if length < MIN_POINTS:
            continue
        size = max(1, _BATCH // (length + 1) ** 2)
        for first in range(0, len(indices), size):
            batch = indices[first : first + size]
            logs = np.array([centred[index] for index in batch])
            usual = _usual(logs)
            alone = _alone(logs, usual, settings)
            cleaned = np.where(alone, usual, logs)
            for row, positions in enumerate(proposals(cleaned)):
                values = list(found[batch[row]].cleaned)
                spikes = tuple(np.flatnonzero(alone[row]).tolist())
                for at in spikes:
                    values[at] = math.exp(math.log(values[at]) + usual[row, at] - logs[row, at])
                steps = _decided(cleaned[row], positions, settings)
                found[batch[row]] = Detection(steps, spikes, tuple(values))
    return tuple(found)


def smallest_step(values_us: Sequence[float], settings: Settings = _DEFAULT) -> float | None:
    """The smallest lasting change that this series would show within 3 more runs, as a share.

    Of steps of this size three or four in five are found: what the t test asks of the newest
    level and three further points at the pooled standard deviation of all levels, lone points
    left out, plus the 80 % quantile of the same t. None below 5 values, which show no noise.

    Raises: ValueError for a value that is not a positive finite number.
    """
    return smallest_step_given(detect(values_us, settings), settings)


def smallest_step_given(detection: Detection, settings: Settings = _DEFAULT) -> float | None:
    """`smallest_step` of a series that was looked at already, with the same settings."""
    from scipy.special import stdtrit

    if len(detection.cleaned) < MIN_POINTS:
        return None
    logs = np.log(detection.cleaned)
    levels = np.split(logs, [step.position for step in detection.steps])
    squares = sum(float(((level - level.mean()) ** 2).sum()) for level in levels)
    sd = max(math.sqrt(squares / (len(logs) - len(levels))), LEAST_SD)
    known = len(levels[-1])
    df = known + _RUNS_TO_FIND - 2
    se = sd * math.sqrt(1 / known + 1 / _RUNS_TO_FIND)
    found = float(stdtrit(df, _POWER))
    tested = float(stdtrit(df, 1 - settings.significance / 2))
    return math.expm1(max(tested * se, math.log1p(settings.min_step)) + found * se)


def worth_a_look(p_values: Sequence[float | None], *, dates: int = 3) -> tuple[bool, ...]:
    """Which of many series' newest steps stand out of what so many series show by chance.

    Args:
        p_values: one per series that was looked at, of its newest step; None where the
            window shows no step. Leaving quiet series out would make this too generous.
        dates: how many positions in the window a step may have had: its runs but the newest.

    Benjamini-Hochberg over all series, at most 5 % false ones on noise without memory; the
    p value of each times `dates`, since its position was chosen among so many. A step that
    does not stand out is not refuted: two more runs settle most of them.

    Raises: ValueError for a p value outside 0..1, or fewer than one date.
    """
    if dates < 1:
        raise ValueError("a window has at least one date")
    if any(p is not None and not 0 <= p <= 1 for p in p_values):
        raise ValueError("a p value lies in 0..1")
    chosen = [1.0 if p is None else min(1.0, p * dates) for p in p_values]
    return tuple(bool(p <= _FALSE_SHARE) for p in benjamini_hochberg(chosen))


def _centred_logs(values_us: Sequence[float]) -> Array:
    values = np.asarray(values_us, dtype=np.float64)
    if values.ndim != 1 or not (np.isfinite(values).all() and (values > 0).all()):
        raise ValueError("a series needs positive finite numbers")
    logs = np.log(values)
    return np.round(logs - np.median(logs), _DECIMALS) if logs.size else logs


def _usual(logs: Array) -> Array:
    """What the nearest others say of each point: their median. Shape (series, points)."""
    length = logs.shape[1]
    width = min(length, _NEIGHBOURS + 1)
    point = np.arange(length)
    start = np.clip(point - width // 2, 0, length - width)
    others = start[:, None] + np.arange(width - 1)
    others += others >= point[:, None]
    return np.asarray(np.median(logs[:, others], axis=2), dtype=np.float64)


def _alone(logs: Array, usual: Array, settings: Settings) -> NDArray[np.bool_]:
    """Which points are far from what is around them, while none beside them goes along."""
    length = logs.shape[1]
    off = logs - usual
    sd = np.maximum(np.quantile(np.abs(off), _ONE_SD, axis=1), LEAST_SD)
    limit = np.maximum(settings.lone_point_sds * sd, math.log1p(settings.min_step))
    part, sign = np.abs(off) / 3, np.sign(off)
    alone: NDArray[np.bool_] = np.abs(off) > limit[:, None]
    point = np.arange(length)[:, None]
    back = np.arange(1, _SIDE + 1)
    for here, beside, side in (
        (slice(1, None), slice(None, -1), np.maximum(point - back, 0)),
        (slice(None, -1), slice(1, None), np.minimum(point + back, length - 1)),
    ):
        # Neither one of two that left together, nor the last one before a step.
        along = sign[:, here] * (logs[:, beside] - usual[:, here]) >= part[:, here]
        median = np.median(logs[:, side[here]], axis=2)
        stays = sign[:, here] * (logs[:, here] - median) <= part[:, here]
        alone[:, here] &= ~(along | stays)
    return alone


def _decided(logs: Array, positions: list[int], settings: Settings) -> tuple[ChangePoint, ...]:
    """The proposals that stand, each where the two levels beside it are told apart best.

    A position was proposed when not all of the others were known.
    """
    steps = _merged(logs, positions, settings)
    edges = [0, *(step.position for step in steps), len(logs)]
    moved = [
        start + best_split(logs[start:end]) for start, end in zip(edges, edges[2:], strict=False)
    ]
    if any(after - at < MIN_LEVEL for at, after in pairwise(moved)):
        return steps
    again = _merged(logs, moved, settings)
    return again if len(again) == len(steps) else steps


def _merged(logs: Array, positions: list[int], settings: Settings) -> tuple[ChangePoint, ...]:
    """The proposals that stand against the levels beside them, the weakest leaving first."""
    least = math.log1p(settings.min_step)
    while positions:
        edges = np.array([0, *positions, len(logs)])
        parts = np.broadcast_to(logs, (len(positions), len(logs)))
        sizes, p_values = level_test(parts, edges[:-2], edges[1:-1], edges[2:])
        fails = (p_values >= settings.significance) | (np.abs(sizes) < least)
        if not fails.any():
            return tuple(
                ChangePoint(at, float(p)) for at, p in zip(positions, p_values, strict=True)
            )
        weakest = int(np.argmax(np.where(fails, p_values, -1.0)))
        positions = positions[:weakest] + positions[weakest + 1 :]
    return ()
