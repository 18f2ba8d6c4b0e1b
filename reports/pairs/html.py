"""Pairs as one HTML file that needs nothing else: no network, no script, light and dark."""

from __future__ import annotations

from markupsafe import Markup

from reports.pairs.model import Pairs
from reports.pairs.view import HEADS, view
from reports.render.page import POLICY, asset, page


def html(pairs: Pairs) -> str:
    """The whole comparison as one document; every name in it is escaped.

    Raises: ValueError for a number that cannot be shown.
    """
    return page(
        asset("pairs.html.j2"),
        shown=view(pairs),
        heads=HEADS,
        policy=POLICY,
        # Markup only for what is ours.
        css=Markup(asset("report.css")),  # noqa: S704
    )
