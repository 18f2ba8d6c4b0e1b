"""Ask many devices the same thing at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

_MOST = 64


def side_by_side(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """Results in the order of the items, one thread each; `work` keeps a deadline of its own.

    Raises: what `work` raises, after all others have ended.
    """
    with ThreadPoolExecutor(max(1, min(len(items), _MOST)), "edgebench-ask") as pool:
        return list(pool.map(work, items))
