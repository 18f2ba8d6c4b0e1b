"""The numbers of the charts of samples and of ops, as tables beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bench import format as fmt
from reports.device_model import DeviceConditions
from reports.model import Comparison, Row
from reports.render.cells import group_title
from reports.render.choice import chosen
from reports.render.delegates import delegate_text
from reports.render.op_charts import op_name, signed
from reports.render.plots import LAUNCH_PERCENTILES


@dataclass(frozen=True, slots=True)
class ChartTable:
    """A table of text.

    Attributes:
        title: what is in it.
        heads: of its columns; those from `first_number` on hold numbers.
    """

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    first_number: int = 1


def chart_tables(comparison: Comparison) -> tuple[ChartTable, ...]:
    """The tables that there are rows for, of the cases that are drawn.

    Raises:
        ValueError: a number in the comparison cannot be shown.
    """
    choice = chosen(comparison)
    rows = [row for group in choice.groups.values() for row in group]
    made = (
        ChartTable(
            "The numbers of the charts of samples: every launch's percentiles",
            ("case", "launch", "samples", *(f"p{q}" for q in LAUNCH_PERCENTILES)),
            tuple(_launches(rows)),
        ),
        ChartTable(
            "The numbers of the charts of samples over time",
            ("case", "launch", "why it counts for nothing", "samples", "least", "p50", "greatest",
             "coolest", "hottest"),
            tuple(_traces(rows)),
            first_number=3,
        ),
        ChartTable(
            "The numbers of the charts of ops: time per run in profiling launches",
            ("case", "kind of op", "time", "share"),
            tuple(_ops(rows)),
            first_number=2,
        ),
        ChartTable(
            "The numbers of the charts of ops against fp32",
            ("case", "kind of op", "time", "fp32's", "difference"),
            tuple(_differences(rows)),
            first_number=2,
        ),
        ChartTable(
            "The numbers of the charts of temperature and frequency",
            ("device", "what", "minutes since the run began", "reading"),
            tuple(_readings([d for d in comparison.devices if d.device in choice.devices])),
            first_number=2,
        ),
    )  # fmt: skip
    return tuple(table for table in made if table.rows)


def _name(row: Row) -> str:
    return (
        f"{'SIMULATED: ' if row.simulated else ''}{fmt.visible(row.case.variant)} · "
        f"{delegate_text(row)} · {fmt.threads(row.case.threads)} · {group_title(row)}"
    )


def _launches(rows: Sequence[Row]) -> Iterator[tuple[str, ...]]:
    for row in rows:
        for number, launch in enumerate(row.launch_samples_us, start=1):
            values = np.percentile(launch, LAUNCH_PERCENTILES)
            texts = (fmt.duration(float(value)) for value in values)
            yield (_name(row), str(number), str(len(launch)), *texts)


def _traces(rows: Sequence[Row]) -> Iterator[tuple[str, ...]]:
    for row in rows:
        for trace in row.traces:
            samples = trace.samples_us
            heat = [celsius for _, celsius in trace.temperature_c]
            around = (samples.min(), np.median(samples), samples.max())
            again = "" if trace.attempt == 1 else f", attempt {trace.attempt}"
            yield (
                _name(row),
                f"round {trace.round}{again}: {trace.why}",
                fmt.visible("; ".join(trace.taints)) or fmt.ABSENT,
                str(len(samples)),
                *(fmt.duration(float(value)) for value in around),
                *(f"{end(heat):.1f} °C" if heat else fmt.ABSENT for end in (min, max)),
            )


def _ops(rows: Sequence[Row]) -> Iterator[tuple[str, ...]]:
    for row in rows:
        for op in () if row.profile is None else row.profile.ops:
            yield _name(row), op_name(op), fmt.duration(op.us), fmt.percent(op.share, 1)


def _differences(rows: Sequence[Row]) -> Iterator[tuple[str, ...]]:
    for row in rows:
        for one in () if row.profile is None else row.profile.against_fp32:
            times = fmt.duration(one.us), fmt.duration(one.reference_us)
            yield _name(row), fmt.visible(one.ops), *times, signed(one.difference_us)


def _readings(devices: Sequence[DeviceConditions]) -> Iterator[tuple[str, ...]]:
    for found in devices:
        name = fmt.visible(f"{'SIMULATED: ' if found.simulated else ''}{found.device}")
        for at, celsius in found.temperature_c:
            yield name, "temperature", f"{at / 60:.2f}", f"{celsius:.1f} °C"
        for policy, points in found.khz.items():
            for at, khz in points:
                what = f"frequency of {fmt.visible(policy)}"
                yield name, what, f"{at / 60:.2f}", f"{khz / 1e3:.0f} MHz"
