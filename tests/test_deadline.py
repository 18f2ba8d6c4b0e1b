"""devices.deadline: one budget, shared."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.deadline import Deadline


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_counts_down_and_expires() -> None:
    clock = Clock()
    deadline = Deadline(5, clock=clock)
    assert deadline.remaining() == 5
    clock.now += 4
    assert deadline.remaining() == 1
    assert not deadline.expired()
    clock.now += 7
    assert deadline.remaining() == 0
    assert deadline.expired()


@pytest.mark.parametrize("seconds", [0, -1])
def test_refuses_a_budget_that_is_none(seconds: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        Deadline(seconds)


@given(outer=st.floats(0.01, 1e6), inner=st.floats(0.01, 1e6), spent=st.floats(0, 1e6))
def test_a_nested_budget_ends_no_later_than_the_outer(
    outer: float, inner: float, spent: float
) -> None:
    clock = Clock()
    whole = Deadline(outer, clock=clock)
    clock.now += spent
    part = whole.at_most(inner)
    assert part.remaining() <= max(whole.remaining(), 1e-3) + 1e-6
    assert part.remaining() <= inner + 1e-6
