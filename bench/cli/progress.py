"""Progress for people: live bars with the time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
)
from rich.text import Text

from bench.events import Emit, Event, StageAdvanced, StageFinished, StageStarted

PLAIN_INTERVAL_S = 10.0


def duration(seconds: float) -> str:
    """Time for people: "8 s", "4 min 05 s", "2 h 10 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


@contextmanager
def progress(console: Console) -> Iterator[Emit]:
    """An Emit that renders on this console while the block lasts."""
    if console.is_terminal:
        bars = _Bars(console)
        with bars.progress:
            yield bars.emit
    else:
        yield _Lines(console).emit


class _TimeLeft(ProgressColumn):
    """What the sender says is left, counted down; else by proportion of steps."""

    def render(self, task: Task) -> Text:
        if task.finished:
            return Text(duration(task.finished_time or 0.0), style="dim")
        until = task.fields.get("until")
        left = max(0.0, until - time.monotonic()) if until is not None else task.time_remaining
        return Text("" if left is None else f"{duration(left)} left", style="cyan")


class _Bars:
    def __init__(self, console: Console) -> None:
        self.progress = Progress(
            SpinnerColumn(finished_text="✓" if _speaks_unicode(console) else "+"),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            _TimeLeft(),
            TextColumn("{task.fields[label]}", style="dim", markup=False),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}

    def emit(self, event: Event) -> None:
        if isinstance(event, StageStarted):
            until = None if event.expected_s is None else time.monotonic() + event.expected_s
            self._tasks[event.stage] = self.progress.add_task(
                _visible(event.title), total=event.total, label="", until=until
            )
        elif isinstance(event, StageAdvanced):
            task = self._tasks[event.stage]
            self.progress.update(task, completed=event.done, label=_visible(event.label))
            if event.left_s is not None:
                self.progress.update(task, until=time.monotonic() + event.left_s)
        elif isinstance(event, StageFinished):
            task = self._tasks.pop(event.stage)
            total = self.progress.tasks[task].total
            self.progress.update(task, completed=total, label=_visible(event.summary))
        else:
            style = "yellow" if event.level == "warning" else ""
            self.progress.console.print(Text(_visible(event.message), style=style))


class _Lines:
    """One line at the start, at the end, and every few seconds between."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._stages: dict[str, StageStarted] = {}
        self._began: dict[str, float] = {}
        self._last = 0.0

    def emit(self, event: Event) -> None:
        if isinstance(event, StageStarted):
            self._stages[event.stage] = event
            self._began[event.stage] = self._last = time.monotonic()
            about = "" if event.expected_s is None else f", about {duration(event.expected_s)}"
            self._say(f"{event.title}: {event.total} steps{about}")
        elif isinstance(event, StageAdvanced):
            if time.monotonic() - self._last < PLAIN_INTERVAL_S:
                return
            self._last = time.monotonic()
            stage = self._stages[event.stage]
            left = "" if event.left_s is None else f", {duration(event.left_s)} left"
            self._say(f"{stage.title}: {event.done} of {stage.total}{left} ({event.label})")
        elif isinstance(event, StageFinished):
            stage = self._stages.pop(event.stage)
            took = duration(time.monotonic() - self._began.pop(event.stage))
            summary = f": {event.summary}" if event.summary else ""
            self._say(f"{stage.title}: done in {took}{summary}")
        else:
            prefix = "warning: " if event.level == "warning" else ""
            self._say(prefix + event.message)

    def _say(self, line: str) -> None:
        self._console.print(Text(_visible(line)), soft_wrap=True)


def _visible(text: str) -> str:
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def _speaks_unicode(console: Console) -> bool:
    return (console.encoding or "").lower().startswith("utf")
