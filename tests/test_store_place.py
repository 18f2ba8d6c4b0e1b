"""A store's place is read from what people give, and no message shows a password."""

from __future__ import annotations

import string
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import UserError
from bench.store import StorePlace, initialise, open_store


@pytest.mark.parametrize("text", ["store.db", "/a b/ü%41.db", "a:b", "postgresql", "x@y:z"])
def test_whatever_is_no_url_is_a_file(text: str) -> None:
    for given_as in (text, Path(text)):
        assert StorePlace.parse(given_as) == StorePlace(path=Path(text))
    assert StorePlace.parse(text).label == text


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg", "PostgreSQL"])
def test_a_servers_url_is_one_whatever_it_is_called(scheme: str) -> None:
    place = StorePlace.parse(f"{scheme}://me@host:5433/results?sslmode=require")
    assert place == StorePlace(url="postgresql://me@host:5433/results?sslmode=require")
    assert place.shared
    assert StorePlace.parse(place) is place


@pytest.mark.parametrize(
    ("given_as", "message"),
    [
        ("mysql://host/x", "mysql:// is no store"),
        ("sqlite:///a.db", "sqlite:// is no store"),
        ("://x", "is no store"),
        ("", "has no name"),
        ("postgresql://me@[::1/x", "cannot be read"),
        (Path("postgresql://me@host/x"), "as text, and not as a Path"),
    ],
)
def test_other_places_are_refused(given_as: str | Path, message: str) -> None:
    with pytest.raises(UserError, match=message):
        StorePlace.parse(given_as)


SECRET = "Xq7Zk9"
passwords = st.text(string.printable.strip() + "üß", max_size=8)


@given(
    before=passwords, after=passwords, rest=st.sampled_from(["", "/db", ":1/db?sslmode=require"])
)
def test_no_label_shows_a_password(before: str, after: str, rest: str) -> None:
    raw = before + SECRET + after
    for word in (quote(raw, safe=""), raw):
        for text in (
            f"postgresql://me:{word}@host{rest}",
            f"postgres://:{word}@host{rest}",
            f"postgresql://me@company:a{word}@host{rest}",
            f"postgresql://host/db?user=me&password={quote(word)}",
        ):
            assert SECRET not in shown(text)


def shown(text: str) -> str:
    """All that a message could show of a place."""
    try:
        place = StorePlace.parse(text)
    except UserError as error:
        return str(error)
    return f"{place.label} {place!r} {place}"


def test_a_label_says_everything_but_the_password() -> None:
    for text, label in [
        ("postgresql://me:a%40b@host:5433/db?sslmode=require", None),
        ("postgresql://me:a@b/c@host:5433/db?sslmode=require", None),
        ("postgresql://me@host:5433/db?sslmode=require&password=x", None),
        ("postgresql:///db?host=/run/postgresql", "postgresql:///db?host=/run/postgresql"),
        ("postgresql://me@one:1,two:2/db", "postgresql://me@one:1,two:2/db"),
        ("postgresql://me@h:1/d?host=a@b", "postgresql://me@h:1/d?host=a%40b"),
        ("postgresql://me@[::1]:1/d?host=a@b", "postgresql://me@[::1]:1/d?host=a%40b"),
        ("postgresql://me@here:pw@h:1/d", "postgresql://me@here@h:1/d"),
        ("postgresql://", "postgresql://"),
    ]:
        expected = label or "postgresql://me@host:5433/db?sslmode=require"
        assert StorePlace.parse(text).label == expected


def test_a_url_that_postgresql_cannot_read_is_refused_without_its_password() -> None:
    for url in (
        f"postgresql://me:{SECRET}@host/db?colour=red",
        f"postgresql://me:1/{SECRET}@host/db?colour=red",
        f"postgresql://me:x{SECRET}/y@host/db",
    ):
        with pytest.raises(UserError, match="no URL that PostgreSQL reads") as caught:
            open_store(url, write=False)
        assert SECRET not in str(caught.value)


def test_without_psycopg_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    for opening in (
        lambda: open_store("postgresql://h/d", write=True),
        lambda: initialise("postgresql://h/d"),
    ):
        with pytest.raises(UserError, match=r"pip install 'edgebench\[postgres\]'"):
            opening()
