"""Pairs as one HTML file that needs nothing else: no network, no script, light and dark."""

from __future__ import annotations

from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from reports.pairs.model import Pairs
from reports.pairs.view import HEADS, view

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none';"
    " form-action 'none'"
)


def html(pairs: Pairs) -> str:
    """The whole comparison as one document; every name in it is escaped.

    Raises: ValueError for a number that cannot be shown.
    """
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_asset("pairs.html.j2")).render(
        shown=view(pairs),
        heads=HEADS,
        policy=_POLICY,
        # Markup only for what is ours.
        css=Markup(_asset("report.css")),  # noqa: S704
    )


def _asset(name: str) -> str:
    return (files("reports.render") / "templates" / name).read_text(encoding="utf-8")
