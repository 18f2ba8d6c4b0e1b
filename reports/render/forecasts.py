"""Forecasts in sentences: disagreements in words, all that agree in one line."""

from __future__ import annotations

from collections.abc import Iterator

from bench import format as fmt
from bench.forecast.model import Forecast
from reports.delegate_model import ForecastSeen
from reports.model import Comparison, Row

TITLE = "Forecast against measurement"


def forecast_lines(comparison: Comparison) -> tuple[str, ...]:
    """One line for each case whose forecast was wrong, one for those that agree, one for those
    that cannot be compared; () where nothing was forecast."""
    return tuple(map(fmt.visible, _lines(comparison.rows)))


def _lines(rows: tuple[Row, ...]) -> Iterator[str]:
    seen = [(row, row.forecast) for row in rows if row.forecast is not None]
    for row, one in seen:
        if one.checked.disagreements:
            mark = "SIMULATED: " if row.simulated else ""
            yield (
                f"{mark}{row.case.model} · {row.case.label} on {row.case.device}: forecast"
                f" {_verdict(one.forecast)}, measured {_measured(row)}:"
                f" {'; '.join(one.checked.disagreements)}"
            )
    compared = [one for _, one in seen if one.checked.why_not is None]
    if compared:
        agree = sum(not one.checked.disagreements for one in compared)
        yield f"{agree} of {fmt.counted(len(compared), 'forecast')} agree with the measurement"
    if others := len(seen) - len(compared):
        yield f"{fmt.counted(others, 'forecast')} cannot be compared: see the evidence"
    for title, source in dict.fromkeys((o.forecast.title, o.forecast.taken_from) for _, o in seen):
        yield f"{title}: forecast by a list taken from {source}"


def forecast_text(seen: ForecastSeen) -> str:
    """The forecast of one case, and what became of it."""
    found, checked = seen.forecast, seen.checked
    text = f"{_verdict(found)} by the list of {found.title} ({found.taken_from})"
    if checked.why_not is not None:
        return f"{text}; not compared: {checked.why_not}"
    if not checked.disagreements:
        return f"{text}; the measurement agrees"
    return f"{text}; the measurement disagrees: {'; '.join(checked.disagreements)}"


def _verdict(found: Forecast) -> str:
    return f"{found.verdict} ({found.taken} of {fmt.counted(found.nodes, 'node')})"


def _measured(row: Row) -> str:
    found = row.delegation
    if found is None:
        return "nothing"
    if found.delegated_nodes is None or found.total_nodes is None:
        return found.verdict
    nodes = fmt.counted(found.total_nodes, "node")
    return f"{found.verdict} ({found.delegated_nodes} of {nodes})"
