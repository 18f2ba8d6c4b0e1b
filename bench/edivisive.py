"""Where the level of a series may step: E-divisive with a t test in place of permutations.

Source of the statistic: Matteson and James 2014 (Journal of the American Statistical
Association 109); of the t test, Fleming et al. 2023 ("Hunter", ICPE). It proposes;
bench.changepoints decides.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# A level takes two points: the first one that leaves it cannot be told from a lone point.
MIN_LEVEL = 2
# A series of whole microseconds can be constant; no median repeats better than this.
LEAST_SD = 0.002
# Proposals may be weaker than findings: a step that another one hides becomes significant
# once that other is known. What stays weak is merged in the end.
_WEAK = 0.01
# A passing level is sought among so many more that its proposal has to be stronger.
_PASSING = 0.0001
# Distances that differ by less than this are equal; the direction of time decides nothing.
_EQUAL = 1e-9

Array = NDArray[np.float64]
Positions = NDArray[np.int64]


def proposals(logs: Array) -> list[list[int]]:
    """Positions per series where a level may step, of logs of shape (series, points).

    Ascending; each is the first point of a new level, and no level is shorter than MIN_LEVEL.
    """
    found: list[list[int]] = [[] for _ in logs]
    work = [(row, 0, logs.shape[1]) for row in range(len(logs))]
    while work := [part for part in work if part[2] - part[1] >= 2 * MIN_LEVEL]:
        following: list[tuple[int, int, int]] = []
        for indices in alike([end - start for _, start, end in work]):
            parts = [work[index] for index in indices]
            splits = _splits(np.array([logs[row, start:end] for row, start, end in parts]))
            for (row, start, end), split in zip(parts, splits, strict=True):
                if split:
                    middle = start + split
                    found[row].append(middle)
                    following += [(row, start, middle), (row, middle, end)]
        work = following
    return [sorted(positions) for positions in found]


def alike(sizes: Sequence[int]) -> list[list[int]]:
    """Positions of equal sizes together."""
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for index, size in enumerate(sizes):
        groups[size].append(index)
    return list(groups.values())


def _splits(parts: Array) -> list[int]:
    """Where to split each part of shape (parts, points); 0 where nothing says so.

    First into two levels. A passing level that others hide is looked for where there are not
    two: as in the paper, what follows the split may end before the part does, and here what
    goes before it may begin later.
    """
    length = parts.shape[1]
    distances = _distances(parts)
    split = np.argmax(distances[:, :, -1], axis=1)
    zeros = np.zeros_like(split)
    _, p_values = level_test(parts, zeros, split, zeros + length)
    split[p_values >= _WEAK] = 0
    rest = np.flatnonzero(split == 0)
    ahead, ahead_end, ahead_q = _largest(distances[rest])
    back, back_end, back_q = _largest(_distances(parts[rest, ::-1]))
    mirrored = back_q > ahead_q + _EQUAL
    passing = np.where(mirrored, length - back, ahead)
    _, p_values = level_test(
        parts[rest],
        np.where(mirrored, length - back_end, 0),
        passing,
        np.where(mirrored, length, ahead_end),
    )
    split[rest] = np.where(p_values < _PASSING, passing, 0)
    return [int(at) for at in split]


def best_split(part: Array) -> int:
    """Where one part of shape (points,) of at least two levels' length splits best."""
    return int(np.argmax(_distances(part[None])[0, :, -1]))


def _distances(parts: Array) -> Array:
    """Scaled energy distance, equation (5) with alpha = 1, of shape (parts, split, end)."""
    count, length = parts.shape
    sums = np.zeros((count, length + 1, length + 1))
    sums[:, 1:, 1:] = np.abs(parts[:, :, None] - parts[:, None, :])
    np.cumsum(np.cumsum(sums, axis=1, out=sums), axis=2, out=sums)
    corner = np.einsum("kii->ki", sums)
    at = np.arange(length + 1)
    before = at[:, None].astype(np.float64)
    after = (at - at[:, None]).astype(np.float64)
    allowed = (before >= MIN_LEVEL) & (after >= MIN_LEVEL)
    before, after = np.where(allowed, before, 2), np.where(allowed, after, 2)
    left = corner[:, :, None]
    across = sums - left
    right = corner[:, None, :] - left - 2 * across
    distance = (
        2 * across / (before * after)
        - left / (before * (before - 1))
        - right / (after * (after - 1))
    )
    return np.where(allowed, distance * (before * after / (before + after)), -np.inf)


def _largest(distances: Array) -> tuple[Positions, Positions, Array]:
    """Split, end and value of the largest distance of each part."""
    count, length, _ = distances.shape
    flat = distances.reshape(count, length * length)
    best = np.argmax(flat, axis=1)
    return best // length, best % length, flat[np.arange(count), best]


def level_test(
    parts: Array, start: Positions, split: Positions, end: Positions
) -> tuple[Array, Array]:
    """How far the level of [start, split) lies below that of [split, end), and its p value.

    Means, and a two-sided t test with one pooled variance; all of shape (parts,).
    """
    from scipy.special import stdtr

    at = np.arange(parts.shape[1])
    is_left = (at >= start[:, None]) & (at < split[:, None])
    is_right = (at >= split[:, None]) & (at < end[:, None])
    before, after = is_left.sum(axis=1), is_right.sum(axis=1)
    left = np.where(is_left, parts, 0).sum(axis=1) / before
    right = np.where(is_right, parts, 0).sum(axis=1) / after
    off = np.where(is_left, parts - left[:, None], 0)
    off += np.where(is_right, parts - right[:, None], 0)
    df = before + after - 2
    variance = np.maximum((off**2).sum(axis=1) / df, LEAST_SD**2)
    t = (right - left) / np.sqrt(variance * (1 / before + 1 / after))
    return right - left, np.asarray(2 * stdtr(df, -np.abs(t)), dtype=np.float64)
