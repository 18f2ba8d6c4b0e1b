"""Progress as a person sees it: the screen that the bars leave, and the lines of a pipe."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable

import pytest
from rich.cells import cell_len
from rich.console import Console

from bench.cli.progress import PLAIN_INTERVAL_S, duration, progress
from bench.events import Event, Note, StageAdvanced, StageFinished, StageStarted

LONG = "Making the variants of a model with rather a long name"
MEASURE = StageStarted("measure", "Measuring on local", 36, 7229.0)
HOUR = 3629.0  # half a minute from where it would be rounded to another minute


class Clock:
    """Stands still unless it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Stream(io.StringIO):
    """A file that says whether it is a terminal."""

    def __init__(self, tty: bool, encoding: str = "utf-8") -> None:
        super().__init__()
        self._tty, self._encoding = tty, encoding

    @property
    def encoding(self) -> str:
        return self._encoding

    def isatty(self) -> bool:
        return self._tty

    def write(self, text: str) -> int:
        text.encode(self._encoding)  # as a real stream would
        return super().write(text)


class Terminal:
    """What a terminal of this width shows: enough of one for what rich sends."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.lines = [""]
        self.row = 0
        self.cursor_shown = True

    def feed(self, text: str) -> Terminal:
        for part in re.findall(r"\x1b\[[?\d;]*[A-Za-z]|[\r\n]|[^\x1b\r\n]+", text):
            if part == "\n":
                self.row += 1
                self.lines += [""] * (self.row + 1 - len(self.lines))
            elif part == "\x1b[2K":
                self.lines[self.row] = ""
            elif match := re.fullmatch(r"\x1b\[(\d*)A", part):
                self.row = max(0, self.row - int(match[1] or 1))
            elif part in ("\x1b[?25l", "\x1b[?25h"):
                self.cursor_shown = part.endswith("h")
            elif part != "\r" and not part.endswith("m"):
                assert not part.startswith("\x1b"), f"an escape this terminal lacks: {part!r}"
                self.lines[self.row] += part
        return self

    def shown(self) -> list[str]:
        for line in self.lines:
            assert cell_len(line) <= self.width, f"wraps at {self.width}: {line!r}"
        return [line.rstrip() for line in self.lines]


@pytest.fixture(autouse=True)
def _no_hints(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the terminal in which the tests run."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def bars(
    events: Iterable[Event], width: int = 80, encoding: str = "utf-8", height: int = 25
) -> list[str]:
    """What stands on a terminal after these events, while the stages still last."""
    stream = Stream(tty=True, encoding=encoding)
    with progress(Console(file=stream, width=width, height=height), clock=Clock()) as emit:
        for event in events:
            emit(event)
    terminal = Terminal(width).feed(stream.getvalue())
    assert terminal.cursor_shown
    return terminal.shown()


def lines(events: Iterable[Event], clock: Clock | None = None) -> list[str]:
    """What a pipe gets."""
    stream = Stream(tty=False)
    with progress(Console(file=stream, width=80), clock=clock or Clock()) as emit:
        for event in events:
            emit(event)
    return stream.getvalue().splitlines()


def find(shown: list[str], text: str) -> str:
    found = [line for line in shown if text in line]
    assert len(found) == 1, shown
    return found[0]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (245, "4 min 05 s"), (7800, "2 h 10 min")],
)
def test_durations_are_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize("width", [80, 120, 200])
def test_a_bar_says_what_how_far_and_how_long(width: int) -> None:
    shown = bars([MEASURE, StageAdvanced("measure", 7, "round 1: fp32 · none", HOUR)], width)
    bar = find(shown, "Measuring on local")
    assert " 7/36 1 h 00 min left" in bar
    assert bar.count("━") + bar.count("╸") + bar.count("╺") == 28
    assert "  round 1: fp32 · none" in shown


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120])
@pytest.mark.parametrize("title", [LONG, "数字" * 30, "short"], ids=["long", "wide", "short"])
def test_at_every_width_a_stage_takes_two_lines_and_none_wraps(width: int, title: str) -> None:
    label = "round 30: a-model · int8-qat · xnnpack · 2 threads (repeated: tainted) " * 3
    shown = bars([StageStarted("s", title, 1200), StageAdvanced("s", 1100, label, 3599.0)], width)
    assert [line for line in shown if line] == shown[:2]
    assert "1100/1200 59 min 59 s left" in shown[0]
    assert shown[1].startswith("  round 30: a-model")
    assert shown[1].endswith("…")


def test_nothing_moves_sideways_while_the_numbers_change() -> None:
    places = {
        find(
            bars([MEASURE, StageAdvanced("measure", done, label, left)]), "Measuring on local"
        ).index("/36")
        for done, label, left in [
            (0, "", 7229.0),
            (9, "a", 3599.0),
            (10, "a longer label " * 9, 59.0),
            (36, "b", 0.0),
        ]
    }
    assert len(places) == 1


def test_a_stage_that_is_over_leaves_one_line() -> None:
    shown = bars([MEASURE, StageAdvanced("measure", 36, "x"), StageFinished("measure", "40 made")])
    assert [line for line in shown if line] == ["✓ Measuring on local (0 s): 40 made"]


def test_several_models_may_use_one_name_of_a_stage() -> None:
    shown = bars(
        [
            StageStarted("convert", "Making the variants of a", 2),
            StageAdvanced("convert", 2, "int8"),
            StageFinished("convert", "2 of 2 variants"),
            StageStarted("convert", "Making the variants of b", 5),
            StageAdvanced("convert", 1, "fp16"),
        ]
    )
    assert shown[0] == "✓ Making the variants of a (0 s): 2 of 2 variants"
    assert " 1/5" in find(shown, "Making the variants of b")
    assert find(shown, "fp16")


def devices(count: int) -> list[Event]:
    """So many devices at work, each a step further than the one before it."""
    events: list[Event] = []
    for number in range(1, count + 1):
        events.append(StageStarted(f"m{number}", f"Measuring on phone-{number}", 60, 900.0))
        events.append(
            StageAdvanced(f"m{number}", number, "31 °C, round 1: fp32 · none · 1 thread", 3599.0)
        )
    return events


def test_a_few_devices_have_a_bar_and_a_line_each() -> None:
    shown = [line for line in bars(devices(4)) if line]
    assert len(shown) == 8
    assert all("━" in line for line in shown[::2])


@pytest.mark.parametrize("width", [60, 80, 120])
def test_more_devices_have_a_line_each_with_what_they_do(width: int) -> None:
    shown = [line for line in bars(devices(20), width) if line]
    assert len(shown) == 20
    for number, line in enumerate(shown, start=1):
        assert re.search(rf"Measuring on phone-{number} +{number}/60 59 min 59 s left +31 °C", line)
    assert len({line.index("/60") for line in shown}) == 1


def test_when_there_are_more_devices_than_lines_those_behind_are_shown() -> None:
    shown = [line for line in bars(devices(50), height=12) if line]
    assert len(shown) == 11
    assert [int(line.split("phone-")[1].split()[0]) for line in shown[:10]] == list(range(1, 11))
    # 11 to 50 of 60 each.
    assert shown[10] == "  and 40 more, 51 % done"


def test_a_device_that_is_away_says_so() -> None:
    away = StageAdvanced("m2", 2, "away for 12 s: the phone is offline")
    for count in (3, 20):
        shown = bars([*devices(count), away])
        assert find(shown, "away for 12 s")
        assert " 2/60" in find(shown, "phone-2 ")


def test_notes_stand_above_the_bar_in_order() -> None:
    shown = bars(
        [
            MEASURE,
            Note("first"),
            StageAdvanced("measure", 1, "label"),
            Note("int8 crashed", "warning"),
        ]
    )
    assert shown[:2] == ["first", "int8 crashed"]
    assert " 1/36" in find(shown[2:], "Measuring on local")


def test_steps_beyond_the_plan_are_counted_apart() -> None:
    shown = bars([MEASURE, StageAdvanced("measure", 40, "round 7", 0.0)])
    bar = find(shown, "Measuring on local")
    assert " 36+4" in bar
    assert "40/36" not in bar
    assert "left" not in bar


def test_when_the_time_is_up_the_bar_does_not_say_zero() -> None:
    bar = find(bars([MEASURE, StageAdvanced("measure", 36, "repeats", 0.0)]), "Measuring")
    assert "a little longer" in bar
    assert "0 s left" not in bar


def test_without_an_estimate_the_time_left_is_by_proportion() -> None:
    clock = Clock()
    stream = Stream(tty=True)
    with progress(Console(file=stream, width=80), clock=clock) as emit:
        emit(StageStarted("s", "Evaluating", 4))
        clock.now += 100
        emit(StageAdvanced("s", 1, "fp32"))
    assert "5 min 00 s left" in find(Terminal(80).feed(stream.getvalue()).shown(), "Evaluating")


def test_the_time_left_counts_down_between_the_steps() -> None:
    clock = Clock()
    stream = Stream(tty=True)
    with progress(Console(file=stream, width=80), clock=clock) as emit:
        emit(StageStarted("s", "Training", 10, 90.0))
        clock.now += 60
        emit(Note("x"))
    assert "30 s left" in find(Terminal(80).feed(stream.getvalue()).shown(), "Training")


def test_an_interruption_leaves_the_bar_and_the_cursor() -> None:
    stream = Stream(tty=True)

    def work() -> None:
        with progress(Console(file=stream, width=80), clock=Clock()) as emit:
            emit(MEASURE)
            emit(StageAdvanced("measure", 4, "round 1"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    terminal = Terminal(80).feed(stream.getvalue() + "next")
    assert terminal.cursor_shown
    assert " 4/36" in find(terminal.shown(), "Measuring on local")
    assert terminal.shown()[-1] == "next"


def test_names_cannot_move_the_cursor() -> None:
    evil = "\x1b[2J\x1b[1A\rgone\n"
    shown = bars(
        [StageStarted("s", evil, 2), StageAdvanced("s", 1, evil), Note(evil), Note("[red]no[/red]")]
    )
    assert len([line for line in shown if r"\x1b[2J\x1b[1A\x0dgone\x0a" in line]) == 3
    assert find(shown, "[red]no[/red]")


def test_a_terminal_without_unicode_gets_none() -> None:
    shown = bars(
        [
            StageStarted("a", "Training", 1),
            StageFinished("a", "größe · done"),
            MEASURE,
            StageAdvanced("measure", 1, "round 1: fp32 · none"),
        ],
        encoding="ascii",
    )
    assert shown[0] == "+ Training (0 s): gr??e ? done"
    assert "\n".join(shown).isascii()
    assert " 1/36" in find(shown, "Measuring on local")


def test_no_color_means_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Stream(tty=True)
    with progress(Console(file=stream, width=80), clock=Clock()) as emit:
        emit(MEASURE)
        emit(Note("careful", "warning"))
    assert not re.search(r"\x1b\[[\d;]*3\d", stream.getvalue())


@pytest.mark.parametrize(
    ("tty", "variables"),
    [
        (False, {}),
        (False, {"FORCE_COLOR": "1"}),
        (True, {"TERM": "dumb"}),
        (True, {"TTY_INTERACTIVE": "0"}),
    ],
)
def test_what_is_not_a_live_terminal_gets_lines(
    tty: bool, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    stream = Stream(tty)
    with progress(Console(file=stream, width=80), clock=Clock()) as emit:
        emit(MEASURE)
    assert re.sub(r"\x1b\[[\d;]*m", "", stream.getvalue()) == (
        "Measuring on local: 36 steps, about 2 h 00 min\n"
    )


def test_lines_say_the_start_the_end_and_what_lies_far_enough_between() -> None:
    clock = Clock()

    def events() -> Iterable[Event]:
        yield MEASURE
        clock.now += PLAIN_INTERVAL_S / 2
        yield StageAdvanced("measure", 1, "too soon", 700.0)
        clock.now += PLAIN_INTERVAL_S / 2
        yield StageAdvanced("measure", 9, "round 2: int8", 65.0)
        yield StageAdvanced("measure", 10, "too soon", 700.0)
        clock.now += PLAIN_INTERVAL_S
        yield StageAdvanced("measure", 40, "round 7: int8", 0.0)
        yield Note("fp16 crashed", "warning")
        yield StageFinished("measure", "41 launches")

    assert lines(events(), clock) == [
        "Measuring on local: 36 steps, about 2 h 00 min",
        "Measuring on local: 9 of 36, 1 min 05 s left (round 2: int8)",
        "Measuring on local: 36 + 4 (round 7: int8)",
        "warning: fp16 crashed",
        "Measuring on local: done in 20 s: 41 launches",
    ]


def test_lines_neither_wrap_nor_move_a_cursor() -> None:
    message = "a long warning " * 20 + "\x1b[2J"
    assert lines([Note(message)]) == ["a long warning " * 20 + r"\x1b[2J"]
    assert lines([StageStarted("s", "Training", 1)]) == ["Training: 1 step"]
