"""Where a store is: a SQLite file, or a database of a PostgreSQL server."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from bench.errors import UserError

_SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")
_SECRET = frozenset({"password", "sslpassword"})
# A Path made of a URL has lost one of its slashes.
_BENT_URL = re.compile(rf"(?:{'|'.join(map(re.escape, _SCHEMES))}):/")
# From the colon after the user to the last @ of all: a password may hold any character. Where
# the user has an @ too, what follows the colon may be the port of a host instead.
_PASSWORD = re.compile(r"//(?P<user>[^:/@?]*|[^:/?\[]*@[^:/?\[]*(?=:(?!\d*(?:[,/?]|$)))):.*@")


@dataclass(frozen=True, slots=True)
class StorePlace:
    """Exactly one of the two is given; str() and repr() show no password.

    Attributes:
        path: of the SQLite file.
        url: "postgresql://..." as libpq reads it, with whatever password it holds.
    """

    path: Path | None = None
    url: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, value: str | Path | StorePlace) -> StorePlace:
        """A place from what a person gave.

        Raises:
            UserError: a URL of anything but PostgreSQL.
        """
        if isinstance(value, StorePlace):
            return value
        if isinstance(value, Path):
            if _BENT_URL.match(str(value)):
                raise UserError("a store on a server is given as text, and not as a Path")
            return cls(path=value)
        scheme, found, rest = value.partition("://")
        if not found:
            if not value:
                raise UserError("the store has no name: give a file or postgresql://...")
            return cls(path=Path(value))
        if scheme.lower() not in _SCHEMES:
            raise UserError(
                f"{scheme}:// is no store: give a SQLite file or postgresql://USER@HOST/DATABASE"
            )
        place = cls(url=f"postgresql://{rest}")
        try:
            _ = place.label
        except ValueError as error:
            raise UserError(f"the store's URL cannot be read: {error}") from None
        return place

    @property
    def shared(self) -> bool:
        """Whether it is a server's, which others write too."""
        return self.url is not None

    @property
    def label(self) -> str:
        """What every message calls it; never with a password."""
        return str(self.path) if self.url is None else _without_password(self.url)

    def __str__(self) -> str:
        return self.label


def _without_password(url: str) -> str:
    parts = urlsplit(_PASSWORD.sub(r"//\g<user>@", url, count=1))
    query = [pair for pair in parse_qsl(parts.query) if pair[0].lower() not in _SECRET]
    # An empty host is that of a local socket: urlunsplit would drop its slashes.
    bare = urlunsplit(("", "", parts.path, urlencode(query, safe="/"), parts.fragment))
    return f"postgresql://{parts.netloc}{bare}"
