"""p50 and p90 of a case whose launches tell them in different ways: never two quantities."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from records import measurement

from bench.headline import headline, tail
from bench.records import Measurement, Source

SAMPLES, TOOL, MEAN, NONE = Source.SAMPLES, Source.TOOL, Source.TOOL_MEAN, Source.UNAVAILABLE
GUESS = Source.INTERPOLATED


def one(source: Source, p50_us: float = 100.0, mean_us: float = 107.0) -> Measurement:
    resolution = 0.001 if source is SAMPLES else 1.0
    known = None if source is NONE else mean_us if source is MEAN else p50_us
    return replace(
        measurement(), p50_us=known, mean_us=mean_us, p50_source=source, resolution_us=resolution
    )


@pytest.mark.parametrize(
    ("sources", "found", "values"),
    [
        ([SAMPLES, SAMPLES], SAMPLES, (100.0, 100.0)),
        ([SAMPLES, TOOL], TOOL, (100.0, 100.0)),
        ([TOOL, MEAN], MEAN, (107.0, 107.0)),
        ([SAMPLES, MEAN, TOOL], MEAN, (107.0, 107.0, 107.0)),
        ([NONE, TOOL], NONE, (107.0, 107.0)),
    ],
)
def test_the_coarsest_source_speaks_for_all(
    sources: list[Source], found: Source, values: tuple[float, ...]
) -> None:
    head = headline([one(source) for source in sources])
    assert (head.source, head.values_us) == (found, values)
    assert head.is_median == (found in (SAMPLES, TOOL))
    assert head.is_p50 == (found is not NONE)
    assert head.resolution_us == (1.0 if found is not SAMPLES else 0.001)


@given(st.lists(st.sampled_from([SAMPLES, TOOL, MEAN, NONE]), min_size=1, max_size=8))
def test_no_two_quantities_are_ever_in_one_row(sources: list[Source]) -> None:
    assert len(set(headline([one(source) for source in sources]).values_us)) == 1


def p90(
    value: float | None, source: Source, bounds: tuple[float, float] | None = None
) -> Measurement:
    return measurement(
        p90_us=value,
        p90_source=source,
        p90_bounds_us=bounds,
        p90_reason=None if value is not None else "p95 is far away",
    )


def test_an_estimate_among_exact_values_makes_an_estimate_with_bounds() -> None:
    found = tail([p90(110.0, SAMPLES), p90(112.0, GUESS, (100.0, 115.0))])
    assert found.source is GUESS
    assert found.values_us == (110.0, 112.0)
    assert found.bounds_us == ((110.0, 110.0), (100.0, 115.0))


def test_exact_values_need_no_bounds() -> None:
    assert tail([p90(110.0, SAMPLES)] * 3).bounds_us == ()


def test_where_one_launch_has_bounds_only_the_case_has() -> None:
    found = tail([p90(112.0, GUESS, (100.0, 115.0)), p90(None, NONE, (100.0, 140.0))])
    assert (found.source, found.values_us) == (NONE, ())
    assert found.bounds_us == ((100.0, 115.0), (100.0, 140.0))
    assert found.reason == "missing in 1 of 2 launches: p95 is far away"


def test_where_one_launch_has_nothing_there_is_nothing() -> None:
    found = tail([p90(112.0, GUESS, (100.0, 115.0)), p90(None, NONE)])
    assert (found.values_us, found.bounds_us) == ((), ())
