"""The cells of a case's times: percentiles with interval and source, first inference, energy."""

from __future__ import annotations

from bench import format as fmt
from bench.records import Source
from bench.stability import StabilityWord
from bench.stats import Interval
from reports.model import Row
from reports.render.cell import Cell, Tone
from reports.render.notes import NoteBook

# Stands before the name of a source that is an estimate.
ESTIMATED = "~"


def p50_cell(row: Row, book: NoteBook) -> Cell:
    """p50 with its interval and modes; where the tool prints none, its mean under that name."""
    if row.p50_us is None:
        if row.p50_source is not Source.UNAVAILABLE or row.mean_us is None:
            # A row without any number explains itself once, in its verdict.
            return Cell(fmt.ABSENT, tone=Tone.QUIET)
        details, notes = _interval(row, row.mean_us, row.mean_interval_us, book)
        notes = book.add(row, "no p50: the tool prints its mean only") + notes
        return Cell(f"mean {fmt.duration(row.mean_us)}", details, notes, tone=Tone.QUIET)
    details, notes = _interval(row, row.p50_us, row.p50_interval_us, book)
    details += tuple(
        f"{fmt.percent(mode.share, 0)}: {fmt.duration(mode.p50_us)}" for mode in row.stability.modes
    )
    return Cell(fmt.duration(row.p50_us), details, notes, row.p50_us, _tone(row))


def p90_cell(row: Row, book: NoteBook) -> Cell:
    """p90 with its interval; an estimate with "~" and its bounds; or the bounds alone."""
    if row.p90_us is None:
        nothing = row.p50_us is None and row.p50_source is not Source.UNAVAILABLE
        explained = row.failure or row.not_applicable or nothing
        reason = f"p90: {row.p90_reason or 'no reason given'}"
        notes = () if explained else book.add(row, reason)
        if row.p90_bounds_us is None:
            return Cell(fmt.ABSENT, notes=notes, tone=Tone.QUIET)
        low, high = map(fmt.duration, row.p90_bounds_us)
        return Cell(f"{low} to {high}", notes=notes, tone=Tone.QUIET)
    if row.p90_source is not Source.INTERPOLATED:
        details, notes = _interval(row, row.p90_us, row.p90_interval_us, book)
        return Cell(fmt.duration(row.p90_us), details, notes, row.p90_us, _tone(row))
    between: tuple[str, ...] = ()
    if row.p90_bounds_us is not None:
        bounds = Interval(*row.p90_bounds_us, 1.0, "bounds")
        between = (f"in {fmt.duration_interval(row.p90_us, bounds)}",)
    return Cell(f"{ESTIMATED}{fmt.duration(row.p90_us)}", between, (), row.p90_us, Tone.QUIET)


def p95_cell(row: Row, book: NoteBook) -> Cell:
    """p95 with its interval."""
    if row.p95_us is None:
        return Cell(fmt.ABSENT, tone=Tone.QUIET)
    details, notes = _interval(row, row.p95_us, row.p95_interval_us, book)
    return Cell(fmt.duration(row.p95_us), details, notes, row.p95_us, _tone(row))


def source_cell(row: Row) -> Cell:
    """Where p50 comes from, and p90 where that is another source."""
    if row.p50_source is None:
        return Cell(fmt.ABSENT, tone=Tone.QUIET)
    of_p50 = "tool, mean only" if row.p50_source is Source.UNAVAILABLE else row.p50_source.value
    of_p90 = of_p50
    if row.p90_us is not None and row.p90_source is not None:
        estimated = row.p90_source is Source.INTERPOLATED
        of_p90 = f"{ESTIMATED if estimated else ''}{row.p90_source.value}"
    elif row.p90_bounds_us is not None:
        of_p90 = "bounds only"
    details = () if of_p90 == of_p50 else (f"p90 {of_p90}",)
    exact = row.p50_source in (Source.SAMPLES, Source.TOOL)
    rank = float(list(Source).index(row.p50_source))
    return Cell(of_p50, details, sort=rank, tone=Tone.PLAIN if exact else Tone.WARN)


def first_inference_cell(row: Row) -> Cell:
    """The first inference of a process."""
    return Cell(fmt.duration(row.first_inference_us), sort=row.first_inference_us)


def energy_cell(row: Row) -> Cell:
    """Energy of one inference."""
    return Cell(fmt.energy(row.energy_mj_per_invoke), sort=row.energy_mj_per_invoke)


def _interval(
    row: Row, value: float, interval: Interval | None, book: NoteBook
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    if interval is None:
        few = "it takes at least 4 launches" if row.launches_used < 4 else "none was computed"
        return (), book.add(row, f"no interval: {few}")
    remark = fmt.confidence_remark(interval)
    shown = fmt.duration_interval(value, interval)
    return ((shown, remark) if remark else (shown,)), ()


def _tone(row: Row) -> Tone:
    return Tone.QUIET if row.stability.word is StabilityWord.INVALID else Tone.PLAIN
