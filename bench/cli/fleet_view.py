"""A fleet on the terminal: what is wrong first, then the groups that it was judged by."""

from __future__ import annotations

from collections.abc import Iterable

from rich import box
from rich.console import Console
from rich.table import Table

from bench import format as fmt
from bench.cli.console import text_for
from reports.fleet import Finding, Fleet, Group, Kind

_NAMED = 3


def show(console: Console, fleet: Fleet) -> None:
    """Print it."""

    def say(line: str, style: str = "") -> None:
        console.print(text_for(console, line, style), soft_wrap=True)

    if fleet.simulated:
        say("SIMULATED: every sample is of an emulated device.", "bold yellow")
    say(
        f"{fleet.devices} devices, {fleet.samples} samples,"
        f" {fleet.since:%Y-%m-%d %H:%M} to {fleet.until:%Y-%m-%d %H:%M} UTC"
    )
    console.print()
    if fleet.findings:
        console.print(_findings(console, fleet.findings))
    else:
        say("No device stands out.", "green")
    console.print()
    if fleet.groups:
        console.print(_groups(console, fleet.groups))
    if any(group.limit is None for group in fleet.groups):
        say("too few: it takes 5 devices with 3 samples each to say which one stands out.", "dim")
    if fleet.unsynchronised:
        say(
            f"{_names(fleet.unsynchronised)}: their clocks were not synchronised, so that samples"
            " may be filed under wrong times.",
            "dim",
        )


def _findings(console: Console, findings: Iterable[Finding]) -> Table:
    table = _table(console, "", "device", "what", "evidence")
    for finding in findings:
        style = "bold red" if finding.trouble.fails_gate else "yellow"
        what = finding.text if finding.kind is None else f"{_kind(finding.kind)}: {finding.text}"
        table.add_row(
            text_for(console, finding.trouble.value, style),
            text_for(console, _names(finding.devices)),
            text_for(console, what),
            text_for(console, "; ".join(finding.evidence)),
        )
    return table


def _groups(console: Console, groups: Iterable[Group]) -> Table:
    table = _table(console, "model", "make of device", "devices", "p50", "from … to", "stands out")
    for column in (2, 3, 4, 5):
        table.columns[column].justify = "right"
    for group in groups:
        low, high = (
            fmt.duration(None if ms is None else ms * 1000) for ms in (group.low_ms, group.high_ms)
        )
        cells = (
            _kind(group.kind),
            group.kind.device_model or "not known",
            str(group.devices)
            if group.devices == group.judged
            else f"{group.judged} of {group.devices}",
            fmt.duration(None if group.p50_ms is None else group.p50_ms * 1000),
            fmt.ABSENT if group.low_ms is None else f"{low} … {high}",
            "too few" if group.limit is None else f"from {group.limit:.2f}×",
        )
        table.add_row(*(text_for(console, cell) for cell in cells))
    return table


def _table(console: Console, *titles: str) -> Table:
    frame = box.ASCII if console.options.ascii_only else box.SIMPLE_HEAD
    table = Table(box=frame, pad_edge=False, show_edge=False, header_style="dim")
    for title in titles:
        table.add_column(text_for(console, title), overflow="fold")
    return table


def _kind(kind: Kind) -> str:
    threads = "" if kind.threads == 1 else f" {kind.threads} threads"
    return (
        f"{kind.model_name} {kind.model_version} {kind.quantization_type} {kind.delegate}{threads}"
    )


def _names(devices: tuple[str, ...]) -> str:
    named = ", ".join(devices[:_NAMED])
    return named if len(devices) <= _NAMED else f"{named} and {len(devices) - _NAMED} more"
