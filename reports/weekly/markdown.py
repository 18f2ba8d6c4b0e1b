"""The week as GitHub Markdown: all of it, and a short summary for pull requests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench import format as fmt
from reports.render.markdown import escape
from reports.weekly.model import Weekly
from reports.weekly.tables import Table
from reports.weekly.view import (
    RUN_HEADS,
    DeviceView,
    FindingView,
    ProjectView,
    first,
    view,
)

_MAX_ROWS = 100
_MAX_SUMMARY_ROWS = 10
_FINDING_HEADS = ("what", "case", "before → after", "ratio", "since", "changed then", "to do")


def markdown(week: Weekly) -> str:
    """The whole week; names are escaped, so no name can make markup or a link.

    Raises:
        ValueError: a number in the week cannot be shown.
    """
    shown = view(week)
    blocks = [f"# {escape(shown.headline)}", escape(f"{shown.title}. Gate: {shown.gate}.")]
    for project in shown.projects:
        blocks += _project(project, several=shown.several)
    return "\n\n".join(blocks) + "\n"


def summary(week: Weekly) -> str:
    """A few lines and one table, for a pull request or the summary of a CI job."""
    shown = view(week)
    title = escape(f"{shown.title}. Gate: {shown.gate}.")
    blocks = [f"### edgebench: {escape(shown.headline)}", title]
    for project in shown.projects:
        if shown.several:
            blocks.append(f"**{escape(project.name)}**: {escape(project.headline)}")
        blocks.append(escape(project.coverage))
        blocks += [f"> **{escape(banner)}**" for banner in project.banners]
        blocks += _findings((*project.findings, *project.standing), _MAX_SUMMARY_ROWS)
        blocks += [_device(device) for device in project.devices[:_MAX_SUMMARY_ROWS]]
        blocks += [
            _table(table.heads, table.rows, _MAX_SUMMARY_ROWS)
            for table in project.tables
            if table.key == "gates"
        ]
    return "\n\n".join(blocks) + "\n"


def _project(project: ProjectView, *, several: bool) -> Iterator[str]:
    yield f"## {escape(project.name)}"
    if several:
        yield f"**{escape(project.headline)}**"
    yield escape(project.coverage)
    yield from (f"> **{escape(banner)}**" for banner in project.banners)
    if project.findings:
        yield "### What got worse"
        yield from _findings(project.findings, _MAX_ROWS)
        yield "\n".join(_sentences(project.findings))
    if project.standing:
        yield "### Older, and still standing"
        yield from _findings(project.standing, _MAX_ROWS)
    if project.devices:
        yield "### Devices that changed as a whole"
        yield "\n".join(map(_device, project.devices))
    if project.sight:
        yield escape(project.sight)
    yield from (block for t in project.tables if not t.folded for block in _titled(t))
    for title, findings in (
        ("What got better", project.better),
        ("Suspected before, and not settled", project.older),
        ("Explained by the device, or refuted", project.by_device),
        ("New cases", project.appeared),
    ):
        if findings:
            yield f"### {title}"
            yield from _findings(findings, _MAX_ROWS)
    yield from (block for t in project.tables if t.folded for block in _titled(t))
    if project.runs:
        yield "### Runs"
        yield _table(RUN_HEADS, project.runs, _MAX_ROWS)
    if project.simulated_findings or project.simulated_devices:
        yield "### SIMULATED"
        yield "These come from an emulator and speak for no device; no count has them in it."
        yield from map(_device, project.simulated_devices)
        yield from _findings(project.simulated_findings, _MAX_ROWS)


def _findings(findings: Sequence[FindingView], most: int) -> Iterator[str]:
    if not findings:
        return
    shown, left = first(findings, most)
    yield _table(_FINDING_HEADS, [_row(found) for found in shown], most)
    if left:
        yield f"And {left} more: weekly.json holds all."


def _row(found: FindingView) -> tuple[str, ...]:
    return (
        f"{found.word} ({found.standing})" if found.standing else found.word,
        found.title,
        found.level or fmt.ABSENT,
        found.ratio or fmt.ABSENT,
        f"{found.since} ({found.run})",
        "; ".join(found.changed) or fmt.ABSENT,
        found.todo or fmt.ABSENT,
    )


def _sentences(findings: Sequence[FindingView]) -> Iterator[str]:
    for found in findings[:_MAX_ROWS]:
        yield f"- {escape(found.sentence)}"


def _device(found: DeviceView) -> str:
    changed = f" Changed then: {'; '.join(found.changed)}." if found.changed else ""
    return "- " + escape(
        f"{found.device}: {found.ratio}, {found.cases}, since {found.since}. "
        f"{found.sentence}{changed}"
    )


def _titled(table: Table) -> Iterator[str]:
    yield f"### {table.title}"
    yield escape(table.lead)
    yield _table(table.heads, table.rows, _MAX_ROWS, table.numeric)


def _table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    most: int,
    numeric: Sequence[int] = (),
) -> str:
    ruler = "|".join("---:" if n in numeric else "---" for n in range(len(heads)))
    lines = [f"| {' | '.join(heads)} |", f"|{ruler}|"]
    lines += [f"| {' | '.join(map(escape, row))} |" for row in rows[:most]]
    if len(rows) > most:
        lines += ["", f"And {len(rows) - most} more: weekly.json holds all."]
    return "\n".join(lines)
