"""A store's reading connections: one snapshot per question."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from bench.errors import StoreError
from bench.store.faults import store_errors
from bench.store.place import StorePlace

# Values of one IN (...); far below what either database takes.
_AT_ONCE = 500


class Snapshots:
    """Answers come from what was committed before the question, whoever writes meanwhile."""

    def __init__(self, place: StorePlace, engine: sa.Engine) -> None:
        self.place = place
        self._reading = engine
        self._closed = False

    def close(self) -> None:
        """Close every connection; twice does no harm."""
        self._closed = True
        self._reading.dispose()

    @contextmanager
    def _snapshot(self) -> Iterator[sa.Connection]:
        if self._closed:
            raise StoreError(f"{self.place} is closed")
        with store_errors(self.place), self._reading.begin() as connection:
            yield connection


def in_parts(values: Iterable[str]) -> Iterator[list[str]]:
    """The distinct values in order, in parts that fit into one IN (...)."""
    ordered = sorted(set(values))
    for start in range(0, len(ordered), _AT_ONCE):
        yield ordered[start : start + _AT_ONCE]
