"""Progress for people: live bars with the time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from bench.cli.text import printable
from bench.events import Emit, Event, StageAdvanced, StageFinished, StageStarted
from bench.format import counted, size

Clock = Callable[[], float]

PLAIN_INTERVAL_S = 10.0
BAR_WIDTH = 28
MIN_BAR_WIDTH = 8
# As wide as "59 min 59 s left": what stands beside it must not move with the seconds.
TIME_WIDTH = 16


def duration(seconds: float) -> str:
    """Time for people: "8 s", "4 min 05 s", "2 h 10 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


@contextmanager
def progress(console: Console, *, clock: Clock = time.monotonic) -> Iterator[Emit]:
    """An Emit that renders on this console while the block lasts."""
    # FORCE_COLOR makes rich call a pipe a terminal; moving bars still have no place there.
    if console.is_interactive and console.file.isatty():
        bars = _Bars(console, clock)
        with Live(bars, console=console, refresh_per_second=10):
            yield _one_at_a_time(bars.emit)
    else:
        yield _one_at_a_time(_Lines(console, clock).emit)


def _one_at_a_time(emit: Emit) -> Emit:
    """Devices tell what they do from threads of their own."""
    lock = threading.Lock()

    def locked(event: Event) -> None:
        with lock:
            emit(event)

    return locked


@dataclass(slots=True)
class _Stage:
    """A stage under way."""

    title: str
    total: int
    began: float
    until: float | None
    unit: str = ""
    done: int = 0
    label: str = ""

    def count(self) -> str:
        """ "7/36"; steps beyond what was foreseen stand apart, "36+4", never as "40/36"."""
        if self.unit == "B":
            return f"{size(self.done)} of {size(self.total)}"
        if self.done > self.total:
            return f"{self.total}+{self.done - self.total}"
        return f"{self.done:>{len(str(self.total))}}/{self.total}"

    def doing(self, now: float) -> str:
        """What is being done, and how fast where it is bytes."""
        if self.unit != "B" or not self.done or now <= self.began:
            return self.label
        return f"{self.label}, {size(round(self.done / (now - self.began)))}/s"

    def left(self, now: float) -> str:
        """What the sender says is left, counted down; else by proportion of steps."""
        if self.done > self.total:
            return ""  # nobody knows how many more there will be
        if self.until is not None:
            left_s = self.until - now
        elif self.done:
            left_s = (now - self.began) * (self.total - self.done) / self.done
        else:
            return ""
        return f"{duration(left_s)} left" if left_s >= 0.5 else "a little longer"


class _Bars:
    """A bar for every stage under way, lines above them for what is over.

    Every part has a width of its own, so that nothing wraps or moves sideways while the
    numbers change. What is being done stands below its bar; where the terminal is not high
    enough for that, beside it, and the bar goes.
    """

    def __init__(self, console: Console, clock: Clock) -> None:
        self._console = console
        self._clock = clock
        self._stages: dict[str, _Stage] = {}
        self._spinner = Spinner("dots" if _speaks_unicode(console) else "line")

    def emit(self, event: Event) -> None:
        now = self._clock()
        if isinstance(event, StageStarted):
            until = None if event.expected_s is None else now + event.expected_s
            self._stages[event.stage] = _Stage(
                self._text(event.title), event.total, now, until, event.unit
            )
        elif isinstance(event, StageAdvanced):
            stage = self._stages[event.stage]
            stage.done, stage.label = event.done, self._text(event.label)
            if event.left_s is not None:
                stage.until = now + event.left_s
        elif isinstance(event, StageFinished):
            stage = self._stages.pop(event.stage)
            ok, not_ok = ("✓", "✗") if _speaks_unicode(self._console) else ("+", "x")
            mark = (ok, "green") if event.ok else (not_ok, "red")
            summary = self._text(f": {event.summary}" if event.summary else "")
            took = (f" ({duration(now - stage.began)})", "dim")
            self._console.print(Text.assemble(mark, f" {stage.title}", took, summary))
        else:
            style = "yellow" if event.level == "warning" else ""
            self._console.print(Text(self._text(event.message), style=style))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        # A copy, because rich draws from a thread of its own.
        stages = tuple(self._stages.values())
        room = options.size.height - 1
        if 2 * len(stages) > room:
            yield from self._lines(stages, options.max_width, max(2, room))
            return
        for stage in stages:
            yield self._bar(stage, options.max_width)
            if doing := stage.doing(self._clock()):
                yield Text(f"  {doing}", style="dim", no_wrap=True, overflow="ellipsis")

    def _lines(self, stages: Sequence[_Stage], width: int, room: int) -> Iterator[RenderableType]:
        """A line for each stage; where they are too many, for those with the most to do."""
        shown = list(stages)
        if len(stages) > room:
            behind = sorted(stages, key=lambda stage: stage.done / max(1, stage.total))
            chosen = {id(stage) for stage in behind[: room - 1]}
            shown = [stage for stage in stages if id(stage) in chosen]
        now = self._clock()
        counts = max(len(stage.count()) for stage in shown)
        room_left = width - len("* ") - counts - 1 - TIME_WIDTH - 1
        titles = min(max(cell_len(stage.title) for stage in shown), max(1, room_left * 2 // 3))
        table = Table.grid(padding=(0, 1, 0, 0), pad_edge=False)
        for column in (1, titles, counts, TIME_WIDTH, max(1, room_left - titles - 1)):
            table.add_column(width=column, no_wrap=True, overflow="ellipsis")
        for stage in shown:
            table.add_row(
                self._spinner,
                Text(stage.title),
                Text(stage.count(), style="green", justify="right"),
                Text(stage.left(now), style="cyan"),
                Text(stage.doing(now), style="dim"),
            )
        yield table
        if more := [stage for stage in stages if stage not in shown]:
            done, total = sum(s.done for s in more), sum(s.total for s in more)
            share = round(100 * min(done / max(1, total), 1))
            yield Text(f"  and {len(more)} more, {share} % done", no_wrap=True, overflow="ellipsis")

    def _bar(self, stage: _Stage, width: int) -> RenderableType:
        count = stage.count()
        room = width - len("* ") - len(count) - 1 - TIME_WIDTH - 1
        # The bar gets what the title leaves.
        title_width = cell_len(stage.title)
        bar_width = min(BAR_WIDTH, room - title_width - 1)
        cells: list[tuple[RenderableType, int]] = [(self._spinner, 1)]
        if bar_width >= MIN_BAR_WIDTH:
            cells.append((Text(stage.title), title_width))
            cells.append((_progress_bar(stage, bar_width), bar_width))
        else:
            cells.append((Text(stage.title), max(1, room)))
        cells.append((Text(count, style="green"), len(count)))
        cells.append((Text(stage.left(self._clock()), style="cyan"), TIME_WIDTH))
        table = Table.grid(padding=(0, 1, 0, 0), pad_edge=False)
        for _, cell_width in cells:
            table.add_column(width=cell_width, no_wrap=True, overflow="ellipsis")
        table.add_row(*(cell for cell, _ in cells))
        return table

    def _text(self, text: str) -> str:
        return _visible(text, self._console)


def _progress_bar(stage: _Stage, width: int) -> ProgressBar:
    return ProgressBar(total=stage.total, completed=min(stage.done, stage.total), width=width)


class _Lines:
    """One line at the start, at the end, and every few seconds between."""

    def __init__(self, console: Console, clock: Clock) -> None:
        self._console = console
        self._clock = clock
        self._stages: dict[str, _Stage] = {}
        self._last = 0.0

    def emit(self, event: Event) -> None:
        now = self._clock()
        if isinstance(event, StageStarted):
            self._stages[event.stage] = _Stage(event.title, event.total, now, None, event.unit)
            self._last = now
            about = "" if event.expected_s is None else f", about {duration(event.expected_s)}"
            steps = size(event.total) if event.unit == "B" else counted(event.total, "step")
            self._say(f"{event.title}: {steps}{about}")
        elif isinstance(event, StageAdvanced):
            if now - self._last < PLAIN_INTERVAL_S:
                return
            self._last = now
            stage = self._stages[event.stage]
            stage.done = event.done
            stage.until = None if event.left_s is None else now + event.left_s
            left = stage.left(now) if event.left_s is not None else ""
            count = stage.count().strip().replace("/", " of ").replace("+", " + ")
            stage.label = event.label
            self._say(f"{stage.title}: {count}{left and ', ' + left} ({stage.doing(now)})")
        elif isinstance(event, StageFinished):
            stage = self._stages.pop(event.stage)
            summary = f": {event.summary}" if event.summary else ""
            how = "done in" if event.ok else "given up after"
            self._say(f"{stage.title}: {how} {duration(now - stage.began)}{summary}")
        else:
            prefix = "warning: " if event.level == "warning" else ""
            self._say(prefix + event.message)

    def _say(self, line: str) -> None:
        self._console.print(Text(_visible(line, self._console)), soft_wrap=True)


def _visible(text: str, console: Console) -> str:
    """Nothing that could move a cursor, and nothing that this console cannot encode."""
    return printable(text).encode(console.encoding, "replace").decode(console.encoding)


def _speaks_unicode(console: Console) -> bool:
    return (console.encoding or "").lower().startswith("utf")
