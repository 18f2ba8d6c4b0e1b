"""Fixtures around tests.postgres; a test module asks for them by `pytest_plugins`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.store import StorePlace, initialise
from tests.postgres import Server, running_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """One server per worker; whoever stops it starts it again."""
    with running_server() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_template(postgres: Server) -> str:
    """The name of a database with an empty store in it, to be copied."""
    name = postgres.make_database()
    initialise(postgres.url(name))
    return name


@pytest.fixture
def postgres_url(postgres: Server, postgres_template: str) -> Iterator[str]:
    """An empty store on the server."""
    name = postgres.make_database(like=postgres_template)
    yield postgres.url(name)
    postgres.drop_database(name)


@pytest.fixture
def empty_url(postgres: Server) -> Iterator[str]:
    """A database without a store in it."""
    name = postgres.make_database()
    yield postgres.url(name)
    postgres.drop_database(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def store_place(request: pytest.FixtureRequest, tmp_path: Path) -> StorePlace:
    """Where a store may be: a file that is not there yet, or an empty store on the server."""
    if request.param == "sqlite":
        return StorePlace(path=tmp_path / "some where" / "store 100%.sqlite")
    return StorePlace(url=request.getfixturevalue("postgres_url"))
