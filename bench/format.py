"""Numbers and names as text: three significant digits, a fitting unit, nothing invented.

Every function takes values in the unit that its parameter's name ends with. A value
that is None becomes ABSENT; one that is not finite raises ValueError, because a report
that prints "nan" has lost the reason why.
"""

from __future__ import annotations

import math
import unicodedata

from bench.stats import Change, Interval, RatioVerdict

ABSENT = "–"

# A confidence that rounds to this is the one every column header announces.
USUAL_CONFIDENCE_PERCENT = 95

_TIME_UNITS = ((1e-3, "ns"), (1.0, "µs"), (1e3, "ms"), (1e6, "s"))
_ENERGY_UNITS = ((1e-3, "µJ"), (1.0, "mJ"), (1e3, "J"))
_SIZE_UNITS = ((1.0, "B"), (1e3, "kB"), (1e6, "MB"), (1e9, "GB"))

_ASCII = str.maketrans(
    {
        "–": "-",
        "—": "-",
        "−": "-",
        "×": "x",
        "µ": "u",
        "μ": "u",
        "·": "/",
        "±": "+/-",
        "…": "...",
        "≥": ">=",
        "≤": "<=",
        "★": "*",
        "→": "->",
        "’": "'",
        "“": '"',
        "”": '"',
    }
)


def duration(us: float | None) -> str:
    """A time of `us` microseconds, "1.23 ms"; whole seconds from 1000 s on.

    Raises:
        ValueError: negative or not finite.
    """
    if us is None:
        return ABSENT
    scale, unit = _unit_for(us, _TIME_UNITS)
    return f"{_three_digits(us / scale)} {unit}"


def duration_with_interval(us: float | None, interval: Interval | None) -> str:
    """Point and interval in the point's unit: "1.91 [1.88, 2.04] ms".

    A confidence other than 95 % follows: "1.91 [1.88, 2.04] ms (94 %: min–max)".

    Raises:
        ValueError: negative or not finite.
    """
    if us is None or interval is None:
        return duration(us)
    scale, unit = _unit_for(us, _TIME_UNITS)
    text = f"{_three_digits(us / scale)} {_bounds(interval, scale)} {unit}"
    remark = confidence_remark(interval)
    return f"{text} ({remark})" if remark else text


def duration_interval(us: float, interval: Interval) -> str:
    """Only the interval, in the unit that `duration(us)` uses: "[1.88, 2.04]"."""
    scale, _ = _unit_for(us, _TIME_UNITS)
    return _bounds(interval, scale)


def confidence_remark(interval: Interval) -> str:
    """What to say of an interval that is not a 95 % one: "94 %: min–max"; else ""."""
    percent_value = round(interval.confidence * 100)
    if percent_value == USUAL_CONFIDENCE_PERCENT:
        return ""
    return f"{percent_value} %: min–max" if interval.kind == "range" else f"{percent_value} %"


def size(size_bytes: int | None) -> str:
    """A size in decimal units (1 kB = 1000 B): "40.5 kB", "512 B".

    Raises:
        ValueError: negative.
    """
    if size_bytes is None:
        return ABSENT
    if size_bytes < 1000:
        _unit_for(size_bytes, _SIZE_UNITS)
        return f"{size_bytes} B"
    scale, unit = _unit_for(size_bytes, _SIZE_UNITS)
    return f"{_three_digits(size_bytes / scale)} {unit}"


def memory(size_kib: int | None) -> str:
    """A memory size of `size_kib` KiB in the same decimal units as `size`."""
    return size(None if size_kib is None else size_kib * 1024)


def energy(mj: float | None) -> str:
    """An energy of `mj` millijoules, "1.23 mJ".

    Raises:
        ValueError: negative or not finite.
    """
    if mj is None:
        return ABSENT
    scale, unit = _unit_for(mj, _ENERGY_UNITS)
    return f"{_three_digits(mj / scale)} {unit}"


def percent(share: float | None, decimals: int = 2) -> str:
    """A share in 0..1 as "97.22 %"."""
    return ABSENT if share is None else f"{_finite(share) * 100:.{decimals}f} %"


def points(value: float | None) -> str:
    """A difference in percentage points with its sign: "+0.14", "−1.20", "0.00"."""
    if value is None:
        return ABSENT
    text = f"{abs(_finite(value)):.2f}"
    if float(text) == 0:
        return text
    return f"{'−' if value < 0 else '+'}{text}"


def score(value: float | None, *, share: bool) -> str:
    """The value of a metric: a share as "97.22 %", else with four digits, "0.0312"."""
    if value is None or share:
        return percent(value)
    return f"{'−' if _finite(value) < 0 else ''}{_significant(abs(value), 4)}"


def score_interval(interval: Interval, *, share: bool) -> str:
    """The interval of a metric: "[96.1, 98.4]" in percent, or "[0.0290, 0.0341]"."""
    if share:
        return f"[{interval.low * 100:.1f}, {interval.high * 100:.1f}]"
    return f"[{score(interval.low, share=False)}, {score(interval.high, share=False)}]"


def score_change(value: float | None, *, share: bool) -> str:
    """A change of a metric with its sign: of a share in percentage points."""
    if value is None or share:
        return points(None if value is None else 100 * value)
    if _finite(value) == 0:
        return "0"
    return f"{'−' if value < 0 else '+'}{_significant(abs(value), 3)}"


def score_change_interval(interval: Interval, *, share: bool) -> str:
    """The interval of a change: "[−1.20, +0.31]"."""
    low, high = (score_change(end, share=share) for end in (interval.low, interval.high))
    return f"[{low}, {high}]"


def ratio(value: float | None) -> str:
    """A ratio as "2.13×".

    Raises:
        ValueError: negative or not finite.
    """
    return ABSENT if value is None else f"{_three_digits(_not_negative(value))}×"


def ratio_details(verdict: RatioVerdict) -> tuple[str, ...]:
    """What stands beside a ratio: its interval, and that it is the same or unclear."""
    details = []
    if verdict.interval is not None:
        details.append(bounds(verdict.interval))
        if remark := confidence_remark(verdict.interval):
            details.append(remark)
    if verdict.change is not Change.CHANGED:
        details.append(verdict.change.lower())
    return tuple(details)


def bounds(interval: Interval) -> str:
    """An interval without unit: "[2.01, 2.20]"."""
    return _bounds(interval, 1.0)


def threads(count: int) -> str:
    """ "1 thread", "2 threads"."""
    return counted(count, "thread")


def counted(number: int, noun: str) -> str:
    """So many of what a regular noun names: "1 sample", "2 samples", "3 launches"."""
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun}{'es' if noun.endswith(('s', 'x', 'ch', 'sh')) else 's'}"


def visible(text: str) -> str:
    """The text with everything that could steer a terminal or reorder a line spelt out.

    Control characters, format characters (bidirectional overrides, zero-width ones),
    line separators and lone surrogates become escapes such as \\x1b; all else stays.
    """
    if text.isprintable():
        return text
    return "".join(
        ch.encode("unicode_escape").decode("ascii")
        if unicodedata.category(ch) in {"Cc", "Cf", "Cs", "Zl", "Zp"}
        else ch
        for ch in text
    )


def first_line(error: BaseException) -> str:
    """What an exception says in one line of at most 300 characters; its type if nothing."""
    return first_line_of(str(error), otherwise=type(error).__name__)


def first_line_of(text: str, *, otherwise: str) -> str:
    """The first line of a text, at most 300 characters; `otherwise` if it is blank."""
    return (text.strip().splitlines() or [otherwise])[0][:300]


def to_ascii(text: str) -> str:
    """The text for a terminal that knows ASCII only: µs as us, × as x, the rest escaped."""
    return text.translate(_ASCII).encode("ascii", "backslashreplace").decode("ascii")


def _bounds(interval: Interval, scale: float) -> str:
    low = _signed_three_digits(interval.low / scale)
    high = _signed_three_digits(interval.high / scale)
    return f"[{low}, {high}]"


def _unit_for(value: float, units: tuple[tuple[float, str], ...]) -> tuple[float, str]:
    """The largest unit in which the rounded value is at least 1, else the smallest."""
    _not_negative(value)
    chosen = units[0]
    for scale, unit in units:
        if float(_three_digits(value / scale)) >= 1:
            chosen = (scale, unit)
    return chosen


def _three_digits(value: float) -> str:
    """Three significant digits, never in exponent form; whole from 1000 on; 0 is "0"."""
    if value == 0:
        return "0"
    if value >= 1000:
        return f"{value:.0f}"
    rounded = float(f"{value:.2e}")
    decimals = max(0, 2 - math.floor(math.log10(rounded)))
    return f"{rounded:.{decimals}f}"


def _significant(value: float, digits: int) -> str:
    """Significant digits with the zeros that are known; whole from 10**digits on."""
    if value == 0:
        return "0"
    return f"{value:.0f}" if value >= 10**digits else f"{value:#.{digits}g}".rstrip(".")


def _signed_three_digits(value: float) -> str:
    return f"−{_three_digits(-value)}" if _finite(value) < 0 else _three_digits(value)


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(f"{value} cannot be shown: a value that was not measured is None")
    return value


def _not_negative(value: float) -> float:
    if _finite(value) < 0:
        raise ValueError(f"{value} cannot be shown: it is negative")
    return value
