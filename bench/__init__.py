"""Decide what to measure and what it means."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.frames import Frames

__version__ = "0.1.0"


def load(
    store: str | Path,
    *,
    run: str | Sequence[str] | None = None,
    project: str | None = None,
    since: str | datetime | None = None,
) -> Frames:
    """What a store holds, as pandas frames: `.runs`, `.cases`, `.launches`, `.samples`, `.ops`,
    `.accuracy`, `.points`; bench.frames.Frames says what their columns are.

    Args:
        store: a SQLite file, or the URL of a PostgreSQL database.
        run: only this run or these; the beginning of an id is enough.
        project: only its runs.
        since: only runs that began then or later, such as "2026-01-31" (UTC).

    Raises:
        UserError: `since` is no time, or `store` no place of a store.
    """
    # Here, since every command imports this module and pandas takes half a second.
    from bench.frames import Frames

    return Frames(store, run=run, project=project, since=since)
