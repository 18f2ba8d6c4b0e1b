"""A comparison as one HTML file that needs nothing else: no network, no second file."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass

from markupsafe import Markup

from bench import format as fmt
from bench.variants.cache import ZIPPED
from reports.model import Comparison
from reports.render.chart_tables import chart_tables
from reports.render.charts import charts, conditions_key, heatmap_key
from reports.render.choice import chosen
from reports.render.classes import CLASS_HEADS, CONFUSION_HEADS, classes_view
from reports.render.conditions import ACROSS_HEADS, CONTROL_HEADS, SPOILT_HEADS, TOOL_HEADS
from reports.render.forecasts import TITLE as FORECAST_TITLE
from reports.render.matrix import LEGEND as MATRIX_LEGEND
from reports.render.numerics import FIRST_NUMBER
from reports.render.numerics import HEADS as ANSWER_HEADS
from reports.render.numerics import LEGEND as ANSWER_LEGEND
from reports.render.page import asset, page
from reports.render.variants import variant_view
from reports.render.view import ReportView, view


@dataclass(frozen=True, slots=True)
class _Column:
    """A column: RowView's field, its head, and whether it sorts by number.

    An optional one stands there only if any case has a value in it.
    """

    key: str
    title: str
    numeric: bool = True
    ranked: bool = False
    optional: bool = False


_COLUMNS = (
    _Column("variant", "variant", numeric=False),
    _Column("delegate", "delegate", numeric=False),
    _Column("threads", "threads"),
    _Column("size", "size"),
    _Column("accuracy", "accuracy"),
    _Column("change", "points"),
    _Column("p50", "p50"),
    _Column("p90", "p90"),
    _Column("source", "from", numeric=False, ranked=True),
    _Column("speedup", "vs fp32"),
    _Column("delegation", "delegated", numeric=False, ranked=True),
    _Column("numerics", "answers", numeric=False, ranked=True, optional=True),
    _Column("gates", "gates", numeric=False, ranked=True),
    _Column("stability", "stability", numeric=False, ranked=True),
    _Column("launches", "launches"),
    _Column("p95", "p95"),
    _Column("first_inference", "first inference"),
    _Column("peak_rss", "peak memory"),
    _Column("energy", "energy", optional=True),
)


# Kinds of charts with a panel for each of many cases: there for who asks for them.
_FOLDED = {"ecdf": "Distribution of samples, launch by launch", "launches": "Samples over time"}
_ELSEWHERE = ("conditions", "heatmap")
# A browser lays out a table in one piece; of more rows it gets several.
_ROWS_AT_ONCE = 100


def html(comparison: Comparison) -> str:
    """The whole report as one document; every name in it is escaped.

    Its content security policy forbids every load and every script but its own.

    Raises:
        ValueError: a number in the comparison cannot be shown.
    """
    css = asset("report.css")
    script = asset("report.js")
    report, made = view(comparison), charts(comparison)
    # Markup only for what is ours: the assets, and SVG that matplotlib has escaped.
    drawn = {
        chart.key: {"key": chart.key, "caption": chart.caption, "svg": Markup(chart.svg)}  # noqa: S704
        for chart in made
    }
    inline = [chart for chart in made if chart.kind not in _ELSEWHERE]
    return page(
        asset("report.html.j2"),
        report=report,
        simulated=comparison.simulated,
        columns=[c for c in _COLUMNS if not c.optional or _any(report, c)],
        charts=[drawn[chart.key] for chart in inline if chart.kind not in _FOLDED],
        folded=[
            (title, found)
            for kind, title in _FOLDED.items()
            if (found := [drawn[chart.key] for chart in inline if chart.kind == kind])
        ],
        chart_rule=chosen(comparison).rule,
        chart_tables=chart_tables(comparison),
        maps=[drawn.get(heatmap_key(n)) for n in range(1, len(report.matrices) + 1)],
        rows_at_once=_ROWS_AT_ONCE,
        # A device without a reading has no chart of them.
        devices=[
            (device, drawn.get(conditions_key(number)))
            for number, device in enumerate(report.devices, start=1)
        ],
        control_heads=CONTROL_HEADS,
        tool_heads=TOOL_HEADS,
        spoilt_heads=SPOILT_HEADS,
        across_heads=ACROSS_HEADS,
        matrix_legend=MATRIX_LEGEND,
        forecast_title=FORECAST_TITLE,
        answer_heads=ANSWER_HEADS,
        first_answer_number=FIRST_NUMBER,
        answer_legend=ANSWER_LEGEND,
        classes=tuple(
            classes_view(found, several_models=len({c.model for c in comparison.classes}) > 1)
            for found in comparison.classes
        ),
        class_heads=CLASS_HEADS,
        confusion_heads=CONFUSION_HEADS,
        variants=tuple(map(variant_view, comparison.variants)),
        zipped=ZIPPED,
        policy=_policy(script),
        css=Markup(css),  # noqa: S704
        script=Markup(script),  # noqa: S704
    )


def _any(report: ReportView, column: _Column) -> bool:
    cells = (getattr(row, column.key) for table in report.tables for row in table.rows)
    return any(cell.text != fmt.ABSENT for cell in cells)


def _policy(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
