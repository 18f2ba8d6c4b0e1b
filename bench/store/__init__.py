"""The append-only store of every record; importing it is what imports SQLAlchemy."""

from __future__ import annotations

from bench.store.opening import initialise, open_store
from bench.store.place import StorePlace
from bench.store.reader import StoreReader
from bench.store.store import Store

__all__ = ["Store", "StorePlace", "StoreReader", "initialise", "open_store"]
