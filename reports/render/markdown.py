"""A comparison as GitHub Markdown: the table, its footnotes, the advice, the environment."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from bench import format as fmt
from bench.variants.cache import ZIPPED
from reports.model import Comparison, VariantSummary
from reports.render.cell import Cell, Tone
from reports.render.conditions import (
    ACROSS_HEADS,
    CONTROL_HEADS,
    SPOILT_HEADS,
    TOOL_HEADS,
    DeviceView,
)
from reports.render.forecasts import TITLE as FORECAST_TITLE
from reports.render.matrix import LEGEND as MATRIX_LEGEND
from reports.render.matrix import MatrixEntry
from reports.render.numerics import HEADS as ANSWER_HEADS
from reports.render.numerics import LEGEND as ANSWER_LEGEND
from reports.render.variants import variant_view
from reports.render.view import RecommendationView, ReportView, TableView, view

# What GitHub Markdown, or the HTML in it, could read as more than text, inside a line ...
_SPECIAL = re.compile(r"[\\`*_\[\]<>#|~$&@]|(?<=\w):(?=/)|(?<=www)\.", re.IGNORECASE)
_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;", "@": "&#64;", ":": "&#58;", ".": "&#46;"}
# ... and at the start of one, where it could begin a list.
_BLOCK_START = re.compile(r"^(\s*\d*)([-+.)])")
_HEADER = (
    "variant",
    "delegate",
    "threads",
    "size",
    "accuracy",
    "points",
    "p50 [95 %]",
    "p90 [95 %]",
    "from",
    "vs fp32 [95 %]",
    "delegated",
    "answers",
    "gates",
    "stability",
    "launches",
)
# Of launches that count for nothing; report.html and report.json hold all.
_MOST_SPOILT = 20
_METRIC = {"accuracy", "points"}
_ALIGNED_LEFT = {"variant", "delegate", "from", "delegated", "answers", "gates", "stability"}


def markdown(comparison: Comparison) -> str:
    """The whole comparison; names are escaped, so no name can make markup or a link.

    Raises:
        ValueError: a number in the comparison cannot be shown.
    """
    report = view(comparison)
    blocks = [
        f"# {escape(report.title)}: comparison",
        *(f"> **{escape(banner)}**" for banner in report.banners),
        *(block for advice in report.recommendations for block in _advice(advice)),
        *(block for table in report.tables for block in _table(table, answers=report.any_answers)),
        _LEGEND,
        *_notes(report),
        *_section("To be read with the numbers", map(_item, report.remarks)),
        *_section("Slower than fp32, and why", map(_item, report.slower)),
        *_matrices(report),
        *_answers(report),
        *_section(FORECAST_TITLE, map(_item, report.forecasts)),
        *_section("Across devices", _across(report)),
        *(block for device in report.devices for block in _device(device)),
        *_section("Variants", _variants(comparison.variants)),
        *_section("Run", _pairs(report.facts)),
        *_section("Environment", _pairs(report.environment)),
    ]
    return "\n\n".join(blocks) + "\n"


_LEGEND = (
    "p50 and p90 are the median over launches of each launch's own percentile, with its "
    "95 % interval. *vs fp32* is the median of the per-round ratios to fp32 at the same "
    "delegate, threads and runner; above 1 is faster. *from* says where p50 and p90 come from: "
    "samples (computed from every one), tool (printed by it, in whole µs), tool-mean (its mean "
    "instead of a median), ~interpolated (estimated between its median and p95). *points* is "
    "the change of accuracy against fp32 in percentage points. Sizes are decimal: 1 kB = 1000 B."
)


def escape(text: str) -> str:
    """The text with every character that Markdown or HTML could read as markup escaped."""
    return _SPECIAL.sub(lambda found: _ENTITIES.get(found[0], f"\\{found[0]}"), text)


def _item(text: str) -> str:
    """The text as a list item: its start must not begin another list."""
    return "- " + _BLOCK_START.sub(r"\1\\\2", escape(text))


def _advice(advice: RecommendationView) -> Iterator[str]:
    yield f"**{escape(advice.headline)}**"
    yield "\n".join(map(_item, (advice.reason, f"Rule: {advice.rule}")))


def _table(table: TableView, *, answers: bool) -> Iterator[str]:
    """answers: whether their verdicts have a column."""
    yield f"## {escape(table.title)}"
    heads = [name for name in _HEADER if answers or name != "answers"]
    lines = [
        f"| {' | '.join(escape(table.head(n)) if n in _METRIC else n for n in heads)} |",
        f"|{'|'.join('---' if name in _ALIGNED_LEFT else '---:' for name in heads)}|",
    ]
    for row in table.rows:
        cells = (
            row.variant,
            row.delegate,
            row.threads,
            row.size,
            Cell(row.accuracy.text, (), row.accuracy.notes),
            Cell(row.change.text, (), row.change.notes),
            row.p50,
            row.p90,
            row.source,
            row.speedup,
            row.delegation,
            *((row.numerics,) if answers else ()),
            row.gates,
            row.stability,
            row.launches,
        )
        lines.append(f"| {' | '.join(map(_cell, cells))} |")
    yield "\n".join(lines)


def _cell(cell: Cell) -> str:
    text = " ".join(escape(part) for part in (cell.text, *cell.details))
    if cell.notes:
        text += f" <sup>{','.join(str(n) for n in dict.fromkeys(cell.notes))}</sup>"
    return text


def _notes(report: ReportView) -> Iterator[str]:
    return _section(
        "Notes", (f"{n.number}. {escape(n.text)} ({escape(n.where)})" for n in report.notes)
    )


def _matrices(report: ReportView) -> Iterator[str]:
    for matrix in report.matrices:
        yield f"## {escape(matrix.title)}"
        lines = [
            f"| variant | device | {' | '.join(map(escape, matrix.delegates))} |",
            "|" + "---|" * (2 + len(matrix.delegates)),
        ]
        for line in matrix.lines:
            cells = [line.variant, line.device, *("; ".join(map(_entry, c)) for c in line.cells)]
            lines.append(f"| {' | '.join([*map(escape, cells[:2]), *cells[2:]])} |")
        yield "\n".join(lines)
    if report.matrices:
        yield f"{escape(MATRIX_LEGEND)} The evidence: `edgebench show RUN --evidence`."


def _entry(entry: MatrixEntry) -> str:
    text = f"{entry.text} {entry.detail}" if entry.detail else entry.text
    return f"**{escape(text)}**" if entry.shade == "wrong" else escape(text)


def _answers(report: ReportView) -> Iterator[str]:
    found = report.numerics
    if found is None:
        return
    yield "## Answers"
    if found.rows:
        lines = [f"| {' | '.join(ANSWER_HEADS)} |", "|" + "---|" * len(ANSWER_HEADS)]
        lines += [f"| {' | '.join(map(_strong, row))} |" for row in found.rows]
        yield "\n".join(lines)
        yield escape(ANSWER_LEGEND)
    yield "\n".join(map(_item, (*found.inputs, *found.missing)))


def _strong(cell: Cell) -> str:
    return f"**{_cell(cell)}**" if cell.tone is Tone.BAD else _cell(cell)


def _across(report: ReportView) -> Iterator[str]:
    if not report.across:
        return
    yield from _plain(ACROSS_HEADS, (line.cells for line in report.across))
    yield ""
    yield "*vs fp32* is here the geometric mean over the devices, with their number n."
    for line in report.across:
        if line.without:
            yield _item(line.without)


def _device(device: DeviceView) -> Iterator[str]:
    yield f"## Conditions on {escape(device.title)}"
    yield "\n".join([*_pairs(device.summary), *_pairs(("not known", x) for x in device.absent)])
    for heads, rows in ((CONTROL_HEADS, device.controls), (TOOL_HEADS, device.tools)):
        if rows:
            yield "\n".join(_plain(heads, rows))
    if device.spoilt:
        shown = device.spoilt[:_MOST_SPOILT]
        lines = [*_plain(SPOILT_HEADS, shown)]
        if more := len(device.spoilt) - len(shown):
            lines += ["", f"and {more} launches more that count for nothing"]
        yield "\n".join(lines)


def _plain(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(map(escape, row))} |"


def _variants(variants: tuple[VariantSummary, ...]) -> Iterator[str]:
    if not variants:
        return
    yield "| model | variant | size | of fp32 | zipped | sha256 | how it was made |"
    yield "|---|---|---:|---:|---:|---|---|"
    for made in variants:
        one = variant_view(made)
        lines = [one.failure, *(f"BEWARE: {text}" for text in one.warnings), *one.made]
        cells = (
            one.model,
            f"{one.variant} ({one.flag})" if one.flag else one.variant,
            one.size,
            one.share,
            one.zipped,
            one.sha256 or fmt.ABSENT,
            "; ".join(filter(None, lines)) or fmt.ABSENT,
        )
        yield f"| {' | '.join(map(escape, cells))} |"
    yield ""
    yield escape(ZIPPED)


def _pairs(pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    return (_item(f"{name}: {value}") for name, value in pairs)


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    body = "\n".join(lines)
    if body:
        yield f"## {title}"
        yield body
