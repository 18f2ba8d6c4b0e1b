"""Damaged outputs never crash a parser, hang it, or become a field of a wrong type."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.parser_fuzz import feed, feed_one, problems_of


@settings(deadline=None, max_examples=300)
@given(st.integers(0, 1 << 40))
def test_a_damaged_output_is_refused_or_read_whole(number: int) -> None:
    assert feed_one(1, number) == ""


@pytest.mark.fuzz
def test_twenty_thousand_damaged_outputs() -> None:
    tally = feed(20, range(20_000))
    assert tally.problems == ()
    # Damage must neither be hopeless nor harmless, or nothing is tested.
    assert tally.read > 5_000
    assert tally.refused > 2_000


def test_the_rules_see_what_they_are_for() -> None:
    @dataclasses.dataclass
    class Record:
        p50_us: float | None
        count: int

    assert list(problems_of(Record(1.0, 2))) == []
    assert list(problems_of(Record(None, 2))) == []
    for record in (Record(float("nan"), 1), Record(-1.0, 1), Record(1.0, 1.5), Record("1", 1)):  # type: ignore[arg-type]
        assert list(problems_of(record))
