"""The tests for many cells: error rates and power on synthetic matrices of known truth."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats as scipy_stats

from bench.matrix import benjamini_hochberg, moderated_paired_t

Draw = Callable[[np.random.Generator, int, int], NDArray[np.float64]]


def homogeneous(rng: np.random.Generator, m: int, n: int) -> NDArray[np.float64]:
    return rng.normal(0, 0.03, (m, n))


def heterogeneous(rng: np.random.Generator, m: int, n: int) -> NDArray[np.float64]:
    spread = np.exp(rng.uniform(np.log(0.005), np.log(0.08), m))
    return np.asarray(rng.normal(0, 1, (m, n)) * spread[:, None])


def found(p: NDArray[np.float64]) -> NDArray[np.bool_]:
    return benjamini_hochberg(p) <= 0.05


# The limits are those of the reference simulation: 100 cells, 10 of them truly +10 %.
@pytest.mark.parametrize(("draw", "power"), [(homogeneous, 0.95), (heterogeneous, 0.75)])
def test_true_differences_are_found_and_false_ones_stay_rare(draw: Draw, power: float) -> None:
    rng = np.random.default_rng(5)
    hits, false, plain = [], [], []
    for _ in range(80):
        cells = draw(rng, 100, 6)
        cells[:10] += 0.10
        decided = found(moderated_paired_t(cells.tolist()))
        hits.append(decided[:10].mean())
        false.append(decided[10:].sum() / max(1, decided.sum()))
        plain.append(found(scipy_stats.ttest_1samp(cells, 0, axis=1).pvalue)[:10].mean())
    assert np.mean(hits) >= power
    assert np.mean(hits) >= np.mean(plain)
    assert np.mean(false) <= 0.075


@pytest.mark.parametrize("draw", [homogeneous, heterogeneous])
@pytest.mark.parametrize("rounds", [4, 5, 6, 12])
def test_nothing_is_found_where_nothing_is(draw: Draw, rounds: int) -> None:
    rng = np.random.default_rng(6)
    alarms = [
        found(moderated_paired_t(draw(rng, 40, rounds).tolist())).any() for _ in range(200)
    ]  # fmt: skip
    assert np.mean(alarms) <= 0.09


def test_one_cell_is_the_plain_paired_t() -> None:
    cell = [0.03, 0.01, 0.02, 0.04, -0.01, 0.02]
    expected = scipy_stats.ttest_1samp(cell, 0).pvalue
    assert moderated_paired_t([cell]) == pytest.approx([expected])


def test_cells_may_have_different_numbers_of_rounds() -> None:
    rng = np.random.default_rng(7)
    cells = [(0.05 * (i == 0) + rng.normal(0, 0.01, 4 + i % 5)).tolist() for i in range(30)]
    p = moderated_paired_t(cells)
    assert p.shape == (30,)
    assert p.argmin() == 0
    assert p[0] < 0.001


def test_constant_cells_give_p_values_and_no_nan() -> None:
    cells = [[0.0] * 6] * 5 + [[0.05] * 6] * 5
    p = moderated_paired_t(cells)
    assert np.isfinite(p).all()
    assert (p[:5] == 1).all()
    assert (p[5:] < 1e-6).all()


def test_a_steady_cell_among_noisy_ones_keeps_its_own_verdict() -> None:
    rng = np.random.default_rng(8)
    noisy = rng.normal(0, 0.05, (19, 6)).tolist()
    steady = [0.05 + v for v in (0.001, -0.001, 0.0, 0.002, -0.002, 0.0)]
    assert found(moderated_paired_t([steady, *noisy]))[0]


@pytest.mark.parametrize("cells", [[[0.1]], [[0.1, float("nan")]], [[0.1, 0.2], []]])
def test_cells_that_cannot_be_tested_are_refused(cells: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="at least 2 finite"):
        moderated_paired_t(cells)


def test_nothing_in_nothing_out() -> None:
    assert moderated_paired_t([]).size == 0
    assert benjamini_hochberg([]).size == 0
    for wrong in (-0.01, 1.01, float("nan")):
        with pytest.raises(ValueError, match="between 0 and 1"):
            benjamini_hochberg([0.5, wrong])


def test_benjamini_hochberg_by_hand() -> None:
    assert benjamini_hochberg([0.01, 0.04, 0.03, 0.2]) == pytest.approx(
        [0.04, 0.16 / 3, 0.16 / 3, 0.2]
    )


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_adjusted_values_keep_the_order_and_never_shrink(p: list[float]) -> None:
    adjusted = benjamini_hochberg(p)
    assert (adjusted >= np.array(p) - 1e-12).all()
    assert (adjusted <= 1).all()
    assert adjusted == pytest.approx(scipy_stats.false_discovery_control(p, method="bh"))
    order = np.argsort(p)
    assert (np.diff(adjusted[order]) >= -1e-12).all()
