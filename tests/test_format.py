"""Numbers and names as text."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import format as fmt
from bench.stats import Interval

UNITS_US = {"ns": 1e-3, "µs": 1.0, "ms": 1e3, "s": 1e6}


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (1234.5, "1.23 ms"),
        (456.2, "456 µs"),
        (12_345, "12.3 ms"),
        (3, "3.00 µs"),
        (999.4, "999 µs"),
        (999.6, "1.00 ms"),
        (0.9996, "1.00 µs"),
        (0.25, "250 ns"),
        (0.0005, "0.500 ns"),
        (59_990_000, "60.0 s"),
        (1_234_500_000, "1234 s"),
        (0, "0 ns"),
        (None, fmt.ABSENT),
    ],
)
def test_a_duration_has_three_digits_and_a_fitting_unit(us: float | None, text: str) -> None:
    assert fmt.duration(us) == text


@given(st.floats(min_value=1e-3, max_value=9.98e8))
def test_a_duration_says_the_value_to_half_a_unit_of_the_third_digit(us: float) -> None:
    number, unit = fmt.duration(us).split(" ")
    assert len(re.sub(r"\D", "", number)) == 3
    assert 1 <= float(number) < 1000
    assert float(number) * UNITS_US[unit] == pytest.approx(us, rel=0.00501)


@given(st.floats(min_value=1e-3, max_value=1e9), st.floats(min_value=1.0, max_value=3.0))
def test_a_longer_duration_never_reads_as_a_shorter_one(us: float, factor: float) -> None:
    def read(text: str) -> float:
        number, unit = text.split(" ")
        return float(number) * UNITS_US[unit]

    # The tolerance is that of the reading itself: 123 * 1e-3 is not 0.123 to the last bit.
    assert read(fmt.duration(us)) <= read(fmt.duration(us * factor)) * (1 + 1e-12)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1.0])
def test_what_is_no_duration_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="cannot be shown"):
        fmt.duration(value)


def test_an_interval_stands_in_the_unit_of_its_point() -> None:
    interval = Interval(988.0, 2040.0, 0.95, "order-statistic")
    assert fmt.duration_with_interval(1910.0, interval) == "1.91 [0.988, 2.04] ms"
    assert fmt.duration_with_interval(456.0, interval) == "456 [988, 2040] µs"
    assert fmt.duration_with_interval(456.0, None) == "456 µs"
    assert fmt.duration_with_interval(None, None) == fmt.ABSENT


@pytest.mark.parametrize(
    ("confidence", "kind", "remark"),
    [
        (0.95, "order-statistic", ""),
        (0.951, "order-statistic", ""),
        (0.9375, "range", "94 %: min–max"),
        (0.875, "range", "88 %: min–max"),
        (0.97, "order-statistic", "97 %"),
    ],
)
def test_an_unusual_confidence_is_said(confidence: float, kind: str, remark: str) -> None:
    interval = Interval(1880.0, 2040.0, confidence, kind)
    assert fmt.confidence_remark(interval) == remark
    shown = fmt.duration_with_interval(1910.0, interval)
    assert shown == "1.91 [1.88, 2.04] ms" + (f" ({remark})" if remark else "")


def test_sizes_are_decimal() -> None:
    assert fmt.size(999) == "999 B"
    assert fmt.size(0) == "0 B"
    assert fmt.size(81_388) == "81.4 kB"
    assert fmt.size(999_600) == "1.00 MB"
    assert fmt.size(13_920_000) == "13.9 MB"
    assert fmt.size(None) == fmt.ABSENT
    assert fmt.memory(1000) == "1.02 MB"
    with pytest.raises(ValueError, match="negative"):
        fmt.size(-1)


def test_shares_points_and_ratios() -> None:
    assert fmt.percent(0.97218) == "97.22 %"
    assert fmt.points(0.139) == "+0.14"
    assert fmt.points(-1.2) == "−1.20"
    assert fmt.points(-0.001) == "0.00"
    assert fmt.ratio(2.134) == "2.13×"
    assert fmt.ratio(0.7209) == "0.721×"
    assert fmt.ratio(None) == fmt.percent(None) == fmt.points(None) == fmt.ABSENT


@given(st.text())
def test_visible_text_cannot_steer_a_terminal_and_can_be_written(text: str) -> None:
    shown = fmt.visible(text)
    shown.encode("utf-8")
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029]", shown)
    assert fmt.visible(shown) == shown


@given(st.text())
def test_ascii_text_is_ascii(text: str) -> None:
    assert fmt.to_ascii(text).isascii()


def test_the_alphabet_of_tables_has_words_in_ascii() -> None:
    assert fmt.to_ascii("1.91 µs – 2.13× −0.14") == "1.91 us - 2.13x -0.14"


@pytest.mark.parametrize(
    ("value", "share", "text", "change"),
    [
        (0.9722, True, "97.22 %", "+97.22"),
        (0.031234, False, "0.03123", "+0.0312"),
        (1.0, False, "1.000", "+1.00"),
        (-0.5, False, "−0.5000", "−0.500"),
        (12345.6, False, "12346", "+12346"),
        (0.0, False, "0", "0"),
        (None, False, fmt.ABSENT, fmt.ABSENT),
    ],
)
def test_scores_say_what_is_known(value: float | None, share: bool, text: str, change: str) -> None:
    assert fmt.score(value, share=share) == text
    assert fmt.score_change(value, share=share) == change


def test_the_interval_of_a_score_is_in_its_unit() -> None:
    interval = Interval(-0.012, 0.0311, 0.95, "paired")
    assert fmt.score_interval(interval, share=True) == "[-1.2, 3.1]"
    assert fmt.score_interval(interval, share=False) == "[−0.01200, 0.03110]"
    assert fmt.score_change_interval(interval, share=True) == "[−1.20, +3.11]"
    with pytest.raises(ValueError, match="cannot be shown"):
        fmt.score(float("nan"), share=False)


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [
        (0, "sample", "0 samples"),
        (1, "sample", "1 sample"),
        (2, "calibration sample", "2 calibration samples"),
        (1, "launch", "1 launch"),
        (12, "launch", "12 launches"),
    ],
)
def test_a_count_agrees_with_its_noun(number: int, noun: str, text: str) -> None:
    assert fmt.counted(number, noun) == text
