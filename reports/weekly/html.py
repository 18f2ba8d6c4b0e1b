"""The week as one HTML page that needs nothing else: no network, no script, no second file."""

from __future__ import annotations

from markupsafe import Markup

from reports.history.model import SeriesHistory
from reports.render.page import POLICY, asset, page
from reports.render.series_charts import series_chart
from reports.render.sparklines import sparkline
from reports.weekly.model import Weekly
from reports.weekly.view import RUN_HEADS, first, view

# What a person reads in one page; weekly.json holds all.
MAX_FINDINGS = 60
MAX_ROWS = 200


def html(week: Weekly) -> str:
    """The page; every name in it is escaped, and nothing in it is loaded or run.

    Raises:
        ValueError: a number in the week cannot be shown.
    """
    return page(
        asset("weekly.html.j2", "reports.weekly"),
        week=view(week),
        first=first,
        max_findings=MAX_FINDINGS,
        max_rows=MAX_ROWS,
        run_heads=RUN_HEADS,
        spark=_spark,
        chart=_chart,
        policy=POLICY,
        css=Markup(asset("weekly.css", "reports.weekly")),  # noqa: S704
    )


# Markup only for what is ours: SVG whose texts its maker has escaped.
def _spark(series: SeriesHistory) -> Markup:
    return Markup(sparkline(series))  # noqa: S704


def _chart(series: SeriesHistory) -> Markup:
    return Markup(series_chart(series))  # noqa: S704
