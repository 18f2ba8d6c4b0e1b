"""The append-only store of every record; importing it is what imports SQLAlchemy."""

from __future__ import annotations

from bench.store.store import Store, open_store

__all__ = ["Store", "open_store"]
