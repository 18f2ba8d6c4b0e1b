"""The comparison on a terminal."""

from __future__ import annotations

import io
import re

import comparisons
import pytest
from rich.console import Console

from reports.model import Comparison
from reports.render.terminal import terminal


def shown(comparison: Comparison, width: int = 120, encoding: str = "utf-8", **how: object) -> str:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    console = Console(file=stream, width=width, legacy_windows=False, **how)  # type: ignore[arg-type]
    console.print(terminal(comparison))
    stream.flush()
    return raw.getvalue().decode(encoding)


@pytest.mark.parametrize("situation", comparisons.SITUATIONS)
@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_no_line_is_wider_than_the_terminal(situation: str, width: int) -> None:
    text = shown(comparisons.SITUATIONS[situation](), width)
    # A character of two columns counts as one here, so this bound is the looser one.
    assert max(map(len, text.splitlines())) <= width


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_every_case_stands_there_with_its_numbers_unbroken_at_every_width(width: int) -> None:
    text = shown(comparisons.good(), width)
    for number in (
        "8.08 ms",
        "[7.96, 8.10]",
        "473 µs",
        "2.37×",
        "[2.33, 2.40]",
        "97.64 %",
        "+0.70",
    ):
        assert number in text
    assert text.count("STABLE") == 20


def test_a_failed_a_not_applicable_and_a_doubtful_case_say_so_with_the_reason() -> None:
    text = shown(comparisons.failures(), 160)
    for words in (
        "FAILED",
        "the runtime aborted (signal 6) in all 6 launches",
        "NNAPI does not exist on Linux",
        "5 of 8",
        "94 %: min–max",
        "62 %: 4.63 ms",
        "38 %: 6.47 ms",
        "not as asked",
        "this number must not be read as xnnpack's",
        "1 DEPTHWISE_CONV_2D, 1 SOFTMAX",
        "41 samples in a launch, 64 are needed",
        "p50 1.91 to 2.04 ms, limit 2.00 ms",
        "fp32 has only 3 rounds in common",
        "can show 6 %",
        "no variant can be recommended",
        "The run is interrupted",
    ):
        assert words in text, words


def test_a_footnote_mark_leads_to_its_footnote() -> None:
    text = shown(comparisons.failures(), 160, encoding="ascii")
    mark = re.search(r"FAILED \((\d+)\)", text)
    assert mark
    assert re.search(rf"\({mark[1]}\) FAILED: crash", text)


def test_an_ascii_terminal_gets_ascii() -> None:
    text = shown(comparisons.failures(), 160, encoding="ascii")
    assert "813 us" in text
    assert "2.35x" in text
    assert "-0.28" in text


def test_names_reach_the_terminal_neither_as_escapes_nor_as_markup() -> None:
    text = shown(comparisons.hostile(), 200, force_terminal=True, color_system="truecolor")
    assert "\x1b[2J" not in text
    assert r"\x1b[2J" in text
    assert "[red]markup[/red]" in text
    assert "\u202e" not in text


def test_no_color_means_no_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    coloured = shown(comparisons.failures(), force_terminal=True, color_system="standard")
    assert re.search(r"\x1b\[[0-9;]*3[0-7]m", coloured)
    monkeypatch.setenv("NO_COLOR", "1")
    plain = shown(comparisons.failures(), force_terminal=True, color_system="standard")
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", plain)


def test_a_simulated_comparison_says_so_at_every_table_and_advice() -> None:
    text = shown(comparisons.simulated())
    assert "SIMULATED: these numbers" in text
    assert "SIMULATED: digits on board-1" in text
    assert "SIMULATED: digits: use int8-qat" in text
    assert "SIMULATED" not in shown(comparisons.good())


def test_each_model_and_device_has_its_own_table() -> None:
    text = shown(comparisons.multi())
    for model in ("digits", "mobilenet-v2"):
        for device in ("bench-a", "bench-b"):
            assert f"{model} on {device} (invoke_loop)" in text
