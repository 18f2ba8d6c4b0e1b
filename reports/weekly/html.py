"""The week as one HTML page that needs nothing else: no network, no script, no second file."""

from __future__ import annotations

from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from reports.history.model import SeriesHistory
from reports.render.series_charts import series_chart
from reports.render.sparklines import sparkline
from reports.weekly.model import Weekly
from reports.weekly.view import RUN_HEADS, first, view

# What a person reads in one page; weekly.json holds all.
MAX_FINDINGS = 60
MAX_ROWS = 200
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'"
)


def html(week: Weekly) -> str:
    """The page; every name in it is escaped, and nothing in it is loaded or run.

    Raises:
        ValueError: a number in the week cannot be shown.
    """
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_asset("weekly.html.j2")).render(
        week=view(week),
        first=first,
        max_findings=MAX_FINDINGS,
        max_rows=MAX_ROWS,
        run_heads=RUN_HEADS,
        spark=_spark,
        chart=_chart,
        policy=_POLICY,
        css=Markup(_asset("weekly.css")),  # noqa: S704
    )


# Markup only for what is ours: SVG whose texts its maker has escaped.
def _spark(series: SeriesHistory) -> Markup:
    return Markup(sparkline(series))  # noqa: S704


def _chart(series: SeriesHistory) -> Markup:
    return Markup(series_chart(series))  # noqa: S704


def _asset(name: str) -> str:
    return (files("reports.weekly") / "templates" / name).read_text(encoding="utf-8")
