"""A diagnosis on a terminal: what was lost and where, why, what brings it back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from bench.diagnose.outcome import Diagnosis
from bench.format import to_ascii
from reports.diagnosis.tables import LayerRow, TreatmentRow
from reports.diagnosis.view import DiagnosisView, view
from reports.render.cell import Tone

_STYLES = {
    Tone.PLAIN: "",
    Tone.GOOD: "green",
    Tone.WARN: "yellow",
    Tone.BAD: "bold red",
    Tone.QUIET: "dim",
}
# A longer model is on the page in full.
_MAX_LAYERS = 40
_EVIDENCE = 6


def terminal(diagnosis: Diagnosis) -> RenderableType:
    """Fits 80 columns; lines, not widths, are what grows."""
    return _Screen(view(diagnosis))


@dataclass(frozen=True, slots=True)
class _Screen:
    shown: DiagnosisView

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        parts = Group(*_parts(self.shown))
        if not options.ascii_only:
            yield parts
            return
        for text, style, control in console.render(parts, options):
            yield Segment(to_ascii(text), style, control)


def _parts(shown: DiagnosisView) -> Iterator[RenderableType]:
    yield Text(shown.title, style="bold")
    yield Text(shown.subject, style="dim")
    yield Text()
    yield Text(shown.loss, style="" if shown.loss_shown else "green")
    if shown.loss_shown and shown.fall:
        yield Text(shown.fall)
    yield Text()
    yield from _layers(shown.layers)
    if shown.loss_shown:
        yield from _findings(shown)
    if shown.tried:
        yield Text()
        yield _treatments(shown)
        for row in shown.treatments:
            yield _hanging(_how(row))
        if shown.latency_how:
            yield Text(f"p50: {shown.latency_how}", style="dim")
    yield Text()
    yield Text(shown.advice_headline, style="bold")
    for line in shown.advice:
        yield Text(line)
    if shown.plan_line:
        yield Text("Put into the plan, below [[model]]:")
        # To be copied: never broken.
        yield Text(f"  {shown.plan_line}", no_wrap=True, overflow="ignore")
    yield Text()
    for line in shown.remarks:
        yield Text(line, style="dim")


def _layers(layers: Sequence[LayerRow]) -> Iterator[RenderableType]:
    listed = layers
    if len(layers) > _MAX_LAYERS:
        listed = [
            row
            for row in layers
            if row.culprit or row.first_fall or row is layers[0] or row is layers[-1]
        ][:_MAX_LAYERS]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("op")
    table.add_column("layer")
    for head in ("SNR\ndB", "median\nchannel", "bits\nleft", "widest\n/ median", "cut\noff"):
        table.add_column(head, justify="right", no_wrap=True)
    for row in listed:
        style = "bold red" if row.first_fall else ("yellow" if row.culprit else "")
        table.add_row(
            Text(f"{'>' if row.first_fall else ''}{row.position}"),
            # The names give way, the numbers never do.
            Text(row.op, no_wrap=True, overflow="ellipsis"),
            Text(row.name, no_wrap=True, overflow="ellipsis"),
            *(
                Text(cell)
                for cell in (
                    row.snr,
                    row.channel_snr,
                    row.bits,
                    row.spread,
                    row.clipped,
                )
            ),
            style=style,
        )
    yield table
    if len(listed) < len(layers):
        left = len(layers) - len(listed)
        yield Text(f"{left} layers where nothing stands out are on the page.", style="dim")


def _findings(shown: DiagnosisView) -> Iterator[RenderableType]:
    for finding in shown.findings:
        yield Text()
        yield Text.assemble((finding.heading, "bold"), f": {finding.summary}")
        for line in finding.evidence[:_EVIDENCE]:
            yield _hanging(line)
        if len(finding.evidence) > _EVIDENCE:
            yield _hanging(f"and {len(finding.evidence) - _EVIDENCE} more, on the page")
        if finding.support:
            yield Text(finding.support)


def _treatments(shown: DiagnosisView) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0)
    table.add_column("remedy\nverdict", overflow="fold", min_width=18)
    heads = (f"{shown.accuracy_title}\n[95 %]", "vs fp32\n[95 %]", "size", "p50\n[95 %]")
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    for row in shown.treatments:
        mark = "★ " if row.recommended else ""
        title = Text(f"{mark}{row.title}", style="bold" if row.recommended else "")
        if row.verdict:
            title.append(f"\n  {row.verdict}", style=_STYLES[row.tone] or "not bold")
        table.add_row(
            title,
            _stack(row.accuracy, row.accuracy_interval),
            _stack(row.change, row.change_interval),
            _stack(row.size),
            _stack(row.p50, row.p50_interval, row.p50_remark),
        )
    return table


def _how(row: TreatmentRow) -> str:
    """What made it and of what; or why it was not made."""
    if row.reason:
        return f"{row.title}: {row.reason}"
    return f"{row.title}: by {row.tool}" + (f"; needs {row.needs}" if row.needs else "")


def _stack(first: str, *under: str) -> Text:
    return Text.assemble(first, *((f"\n{line}", "dim") for line in under if line))


def _hanging(line: str) -> RenderableType:
    item = Table.grid(padding=0)
    item.add_row(Text("  - ", no_wrap=True), Text(line))
    return item
