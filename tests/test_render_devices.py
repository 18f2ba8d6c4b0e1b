"""Sources, simulated devices and conditions in every medium, and none of them lost in one."""

from __future__ import annotations

import csv
import functools
import io
import re
from dataclasses import replace
from typing import Any

import comparisons
import pytest
from rich.console import Console

from bench.records import Source
from reports.export.csv import comparison_to_csv
from reports.export.json import comparison_to_json
from reports.model import Comparison
from reports.render.charts import charts
from reports.render.html import html
from reports.render.markdown import markdown
from reports.render.terminal import terminal


def on_terminal(comparison: Comparison, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False, legacy_windows=False)
    console.print(terminal(comparison))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def in_words(text: str) -> str:
    """Without markup, escapes and line ends."""
    plain = re.sub(r"<[^>]*>|\\", " ", text)
    return re.sub(r"\s+", " ", plain)


MEDIA: dict[str, Any] = {
    "wide terminal": lambda c: in_words(on_terminal(c, 220)),
    "terminal": lambda c: in_words(on_terminal(c, 110)),
    "narrow terminal": lambda c: in_words(on_terminal(c, 50)),
    "markdown": lambda c: in_words(markdown(c)),
    "html": lambda c: in_words(html(c).split("<main>")[1]),
}


@functools.cache
def phones_in(medium: str) -> str:
    """Drawn once: charts are dear."""
    text: str = MEDIA[medium](comparisons.phones())
    return text


@pytest.mark.parametrize("medium", MEDIA)
def test_every_source_stands_beside_its_number(medium: str) -> None:
    text = phones_in(medium)
    for words in ("~1.96 ms", "p90 ~interpolated", "tool-mean", "tool, mean only", "samples"):
        assert words in text, words
    assert "mean 94.7 µs" in text
    assert "813 µs to 861 µs" in text
    assert "emu-1, simulated" in text
    # Of the phone by a tool, p90 is nowhere stated as a measured one.
    assert re.search(r"(?<!~)\b1\.96 ms", text) is None


@pytest.mark.parametrize("medium", ["wide terminal", "terminal", "narrow terminal"])
def test_a_run_of_samples_says_so_once(medium: str) -> None:
    text = MEDIA[medium](comparisons.good())
    assert "Every percentile is computed from samples." in text
    assert "interpolated" not in text


@pytest.mark.parametrize("medium", MEDIA)
def test_the_conditions_of_each_device_stand_in_every_medium(medium: str) -> None:
    text = phones_in(medium)
    for words in ("38.0 to 69.7 °C", "81 % to 77 %", "2 of 26 launches started too hot", "2.35×"):
        assert words in text, words


@pytest.mark.parametrize("medium", ["markdown", "html"])
def test_reports_tell_controls_programs_spoilt_launches_and_what_is_not_known(medium: str) -> None:
    text = phones_in(medium)
    for words in (
        "refused: it would cut the link",
        f"sha256 {'ab' * 32}, dialect classic",
        "lowered from 1800 to 1400 MHz",
        "the tool aborted (signal 6)",
        "the current sensor reads zero",
        "is without phone-c",
    ):
        assert words in text, words


def test_only_simulated_tables_and_charts_are_marked_where_real_ones_stand_beside() -> None:
    comparison = comparisons.phones()
    titles = [line for line in markdown(comparison).splitlines() if line.startswith("## ")]
    assert [line for line in titles if "SIMULATED" in line] == [
        "## SIMULATED: digits on emu-1 (benchmark\\_model)"
    ]
    assert "**digits: use int8**" in markdown(comparison)
    for chart in charts(comparison):
        assert chart.title.startswith("SIMULATED") == ("emu-1" in chart.title), chart.title


def test_a_device_without_readings_has_no_chart_of_them() -> None:
    drawn = [chart for chart in charts(comparisons.phones()) if chart.kind == "conditions"]
    assert [chart.key for chart in drawn] == ["conditions-1", "conditions-3"]
    page = html(comparisons.phones())
    assert page.count('id="caption-conditions-') == 2


def test_an_estimated_p90_is_no_bar() -> None:
    base = comparisons.comparison((comparisons.row("fp32"),))
    guessed = replace(base, rows=(comparisons.by_tool(base.rows[0]),))
    exact, guess = (
        next(c for c in charts(which) if c.kind == "latency") for which in (base, guessed)
    )
    assert "Dotted" not in exact.caption
    assert "Dotted: p90 lies in there for certain" in guess.caption
    assert guess.svg.count('id="conditions') == 0
    # Hatched: the bar of p90, and what the legend says of it.
    assert exact.svg.count("fill: url(#latency-h") == 2
    assert guess.svg.count("fill: url(#latency-h") == 1


def test_exports_hold_sources_bounds_and_who_is_simulated() -> None:
    comparison = comparisons.phones()
    lines = list(csv.DictReader(io.StringIO(comparison_to_csv(comparison))))
    document = comparison_to_json(comparison)
    for line, entry, row in zip(lines, document["cases"], comparison.rows, strict=True):
        assert row.p50_source is not None
        assert line["p50_source"] == entry["p50_source"] == row.p50_source.value
        assert line["simulated"] == ("true" if row.case.device == "emu-1" else "false")
        assert entry["simulated"] is (row.case.device == "emu-1")
        bounds = entry["p90_bounds_us"]
        assert bounds == (None if row.p90_bounds_us is None else list(row.p90_bounds_us))
        assert line["p90_bound_low_us"] == ("" if bounds is None else str(bounds[0]))
        if row.p90_source is Source.INTERPOLATED:
            assert (line["p90_low_us"], entry["p90_interval_us"]) == ("", None)
    energies = [line["energy_mj_per_invoke"] for line in lines]
    assert [e for e in energies if e] == ["2.41"]
    assert [d["device"] for d in document["devices"]] == ["phone-a", "phone-b", "emu-1"]
    assert document["devices"][0]["battery"]["drain_percent"] == 4
    assert document["devices"][0]["temperature_c"] == [38.0, pytest.approx(69.7, abs=0.05)]
    assert document["devices"][1]["temperature_c"] is None
    (mean,) = document["across_devices"]
    assert (mean["n"], mean["speedup_geometric_mean"]) == (2, 2.35)


def test_hostile_words_in_conditions_are_text() -> None:
    evil = comparisons.HOSTILE[0]
    device = comparisons.conditions(evil)
    control = replace(device.controls[0], name=evil, wanted=evil, reason=evil, before="\x1b[2J")
    spoilt = replace(device.spoilt[0], case=evil, reasons=(evil, "\x1b[2J"))
    made = replace(
        comparisons.good(),
        devices=(
            replace(
                device,
                controls=(control,),
                spoilt=(spoilt,),
                absent=(evil,),
                facts={evil: evil},
                khz={"$x_1$ \x1b": device.khz["policy0"]},
            ),
        ),
        across=(replace(comparisons.phones().across[0], without={evil: "\x1b[2J"}),),
    )
    page, text = html(made), markdown(made)
    assert "<script>alert" not in page + text
    assert "\x1b" not in page + text + on_terminal(made, 120)


def test_the_energy_column_stands_there_only_where_something_was_measured() -> None:
    assert "energy</button>" in html(comparisons.phones())
    assert "energy</button>" not in html(comparisons.good())
