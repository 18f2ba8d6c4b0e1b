"""What a launch's samples say: drift, modes, clock; and how rarely they cry wolf."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bench.digest import SampleDigest, digest

Array = NDArray[np.float64]


def ns(logs: Array, p50_us: float = 1000.0) -> NDArray[np.int64]:
    return np.asarray(p50_us * 1000 * np.exp(logs), dtype=np.int64)


def correlated(rng: np.random.Generator, n: int, r: float, sd: float) -> Array:
    noise = rng.normal(0, sd * np.sqrt(1 - r * r), n)
    walk = [rng.normal(0, sd)]
    for step in noise[1:]:
        walk.append(r * walk[-1] + step)
    return np.array(walk)


UNIMODAL: dict[str, Callable[[np.random.Generator, int], Array]] = {
    "lognormal 2 %": lambda rng, n: rng.normal(0, 0.02, n),
    "lognormal 30 %": lambda rng, n: rng.normal(0, 0.3, n),
    "gamma tail": lambda rng, n: np.log1p(rng.gamma(2, 0.05, n)),
    "heavy gamma tail": lambda rng, n: np.log1p(rng.gamma(1, 0.3, n)),
    "student": lambda rng, n: 0.03 * rng.standard_t(3, n),
    "rare long ones": lambda rng, n: (
        rng.normal(0, 0.02, n) + (rng.random(n) < 0.05) * rng.exponential(0.3, n)
    ),
    "lag 1 of 0.5": lambda rng, n: correlated(rng, n, 0.5, 0.03),
    "lag 1 of 0.95": lambda rng, n: correlated(rng, n, 0.95, 0.05),
}


@pytest.mark.parametrize("kind", UNIMODAL)
@pytest.mark.parametrize("n", [100, 1000])
def test_one_mode_is_rarely_taken_for_two(kind: str, n: int) -> None:
    rng = np.random.default_rng(3)
    alarms = [bool(digest(ns(UNIMODAL[kind](rng, n))).mode_shares) for _ in range(300)]
    assert np.mean(alarms) < 0.02


@pytest.mark.parametrize("n", [100, 1000])
def test_two_modes_15_percent_apart_are_found_with_their_shares(n: int) -> None:
    rng = np.random.default_rng(4)
    found = []
    for _ in range(100):
        upper = rng.permutation(np.arange(n) < n // 5)
        found.append(digest(ns(rng.normal(0, 0.02, n) + np.log(1.15) * upper)))
    with_modes = [d for d in found if d.mode_shares]
    assert len(with_modes) >= 97
    for d in with_modes:
        assert d.mode_p50s_us == pytest.approx((1000, 1150), rel=0.02)
        assert d.mode_shares == pytest.approx((0.8, 0.2), abs=0.03)


def test_modes_that_differ_too_little_to_matter_are_one() -> None:
    rng = np.random.default_rng(5)
    logs = rng.normal(0, 0.001, 1000) + 0.02 * (rng.random(1000) < 0.5)
    assert digest(ns(logs)).mode_shares == ()


def test_a_few_outliers_do_not_hide_two_modes() -> None:
    rng = np.random.default_rng(6)
    logs = rng.normal(0, 0.02, 1000) + np.log(1.15) * (rng.random(1000) < 0.3)
    logs[::100] += 1.5
    assert digest(ns(logs)).mode_p50s_us == pytest.approx((1000, 1150), rel=0.02)


def test_drift_is_seen_with_its_error() -> None:
    rng = np.random.default_rng(7)
    d = digest(ns(rng.normal(0, 0.01, 1000) + np.linspace(0, 0.1, 1000)))
    assert d.drift == pytest.approx(0.05, abs=0.005)
    assert d.drift_se is not None
    assert d.drift_se < 0.02
    assert d.first_half_p50_us is not None
    assert d.second_half_p50_us is not None
    assert d.second_half_p50_us / d.first_half_p50_us == pytest.approx(np.exp(0.05), abs=0.01)


@pytest.mark.parametrize("r", [0.0, 0.5, 0.8])
def test_the_error_of_drift_allows_for_correlation(r: float) -> None:
    rng = np.random.default_rng(8)
    beyond = 0
    for _ in range(200):
        d = digest(ns(correlated(rng, 200, r, 0.05)))
        assert d.drift is not None
        assert d.drift_se is not None
        beyond += abs(d.drift) > 2 * d.drift_se
    assert beyond / 200 <= 0.10


def test_a_clock_that_stands_or_goes_back_is_counted() -> None:
    d = digest(np.array([1000] * 20 + [0, -5], dtype=np.int64))
    assert d.bad_samples == 2
    assert d.drift is None


def test_the_step_of_a_coarse_clock_is_seen() -> None:
    rng = np.random.default_rng(9)
    coarse = (rng.normal(5000, 2000, 300) // 1000 * 1000).astype(np.int64)
    assert digest(coarse).step_us == 1.0
    assert digest(np.full(50, 1000, dtype=np.int64)).step_us is None


def test_nothing_has_no_digest() -> None:
    with pytest.raises(ValueError, match="at least one"):
        digest(np.array([], dtype=np.int64))


@given(st.lists(st.integers(-10, 10**12), min_size=1, max_size=200))
def test_any_samples_have_a_digest_that_survives_json(values: list[int]) -> None:
    d = digest(np.array(values, dtype=np.int64))
    assert SampleDigest.from_json(json.loads(json.dumps(d.to_json(), allow_nan=False))) == d
    assert d.count == len(values)
    assert len(d.mode_shares) == len(d.mode_p50s_us)
    assert not d.mode_shares or sum(d.mode_shares) == pytest.approx(1)
