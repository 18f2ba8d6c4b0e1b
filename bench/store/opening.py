"""Opening, making and upgrading stores, wherever they are."""

from __future__ import annotations

from pathlib import Path

from bench.errors import StoreError
from bench.store import engine, postgres
from bench.store.faults import store_errors
from bench.store.lock import WriterLock
from bench.store.migrate import REVISIONS, revision, upgrade
from bench.store.place import StorePlace
from bench.store.store import Store


def open_store(place: str | Path | StorePlace, *, write: bool, create: bool = True) -> Store:
    """Open a store; the caller closes it.

    Args:
        place: a SQLite file, beside which `-wal`, `-shm` and `.lock` appear, or the URL of
            a PostgreSQL database.
        write: True brings an older file up to date and makes this its one writer until
            close; a server takes any number of writers, and only `initialise` upgrades it.
        create: with `write`, make the file and its directory where there is none.

    Raises:
        UserError: no place of a store.
        StoreError: no store there, another writer, a newer version's store, not a
            store, or the place cannot be read or written.
        StoreUnreachable: its server is not there now.
    """
    place = StorePlace.parse(place)
    if place.path is None:
        return _open_shared(place, write=write)
    path = place.path.absolute().resolve()
    place = StorePlace(path=path)
    with store_errors(place):
        if path.is_dir():
            raise StoreError(f"{place} is a directory, not a store")
        exists = path.exists()
    if not exists and not (write and create):
        raise StoreError(f"there is no store at {place}: `edgebench run` makes one")
    # Looked at before anything is written, so that a file that is no store stays as it is.
    found = _revision_of_file(place, path) if exists else None
    if write:
        return _open_file_for_writing(place, path)
    if found != REVISIONS[-1]:
        raise StoreError(
            f"{place} is {'empty' if found is None else f'of an older revision, {found}'}: "
            "the next `edgebench run` into it brings it up to date"
        )
    return Store(place, engine.reading_engine(path), None, None)


def initialise(place: str | Path | StorePlace) -> None:
    """Make a store, or bring it up to date; one that is, stays as it is.

    Raises: as open_store.
    """
    place = StorePlace.parse(place)
    if place.path is not None:
        open_store(place, write=True).close()
    elif _revision_of_server(place) != REVISIONS[-1]:
        upgrade(place)


def _open_shared(place: StorePlace, *, write: bool) -> Store:
    found = _revision_of_server(place)
    if found != REVISIONS[-1]:
        raise StoreError(
            f"{place} is {'empty' if found is None else f'of an older revision, {found}'}: "
            f"run `edgebench db init {place}`"
        )
    return Store(
        place,
        postgres.reading_engine(place),
        postgres.writing_engine(place) if write else None,
        None,
    )


def _open_file_for_writing(place: StorePlace, path: Path) -> Store:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot make the directory {path.parent}: {error.strerror}") from error
    lock = WriterLock(path)
    writing = engine.writing_engine(path)
    try:
        if revision(writing, place) != REVISIONS[-1]:
            writing.dispose()
            upgrade(place)
        return Store(place, engine.reading_engine(path), writing, lock)
    except BaseException:
        writing.dispose()
        lock.release()
        raise


def _revision_of_file(place: StorePlace, path: Path) -> str | None:
    reading = engine.reading_engine(path)
    try:
        return revision(reading, place)
    finally:
        reading.dispose()


def _revision_of_server(place: StorePlace) -> str | None:
    reading = postgres.reading_engine(place)
    try:
        return revision(reading, place)
    finally:
        reading.dispose()
