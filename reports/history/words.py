"""Names of series, runs and changes as text."""

from __future__ import annotations

from bench.format import counted
from bench.identity import Case
from bench.stats import Interval
from reports.history.model import SeriesHistory

# As much of a run's id as tells it from all others that were ever started.
RUN_DIGITS = 13
CASE_DIGITS = 12


def title(case: Case) -> str:
    """ "mobilenet · int8 · xnnpack · 1 thread on pixel"; with the shapes where a plan fixes
    them."""
    shapes = "".join(f" · {name} {'x'.join(map(str, shape))}" for name, shape in case.input_shapes)
    return f"{case.model} · {case.label}{shapes} on {case.device} ({case.runner})"


def short(run_id: str) -> str:
    """The beginning of a run's id."""
    return run_id[:RUN_DIGITS]


def counted_runs(number: int) -> str:
    return counted(number, "run")


def share(value: float, *, signed: bool = False) -> str:
    """ "8.2 %", "0.31 %", "+8.2 %"; of a share such as 0.082."""
    size = abs(100 * value)
    text = f"{size:.0f}" if size >= 99.95 else f"{size:.1f}" if size >= 0.95 else f"{size:.2f}"
    sign = ("−" if value < 0 else "+") if signed and float(text) else ""
    return f"{sign}{text} %"


def change(ratio: float) -> str:
    """A ratio of times in words: "8.2 % slower", "7.6 % faster"; a time of 0.5 is 50 % less."""
    return f"{share(ratio - 1)} {'slower' if ratio > 1 else 'faster'}"


def change_interval(interval: Interval | None) -> str:
    """ "[+6.9 %, +9.5 %]", or "" without one."""
    if interval is None:
        return ""
    return f"[{share(interval.low - 1, signed=True)}, {share(interval.high - 1, signed=True)}]"


def said(series: SeriesHistory, sentence: str) -> str:
    """A sentence of a series, complete in itself; of a simulated one it says so first."""
    simulated = "Simulated: " if is_simulated(series) else ""
    return f"{simulated}{title(series.case)}: {sentence}"


def is_simulated(series: SeriesHistory) -> bool:
    """Whether what is said of a series rests on simulated numbers."""
    rests_on = series.judged or series.points
    return bool(rests_on) and rests_on[-1].simulated
