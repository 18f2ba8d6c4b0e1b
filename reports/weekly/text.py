"""The week as plain text for e-mail and chat: at most 40 lines, the worst first."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from bench import format as fmt
from reports.weekly.model import Weekly
from reports.weekly.view import FindingView, ProjectView, view

MAX_LINES = 40
_WIDTH = 110
# A name may be as long as its maker likes; a line of a message may not.
_MAX_NAME = 80
# Less than this of a project is not worth to be begun.
_MIN_LINES = 3


def text(week: Weekly, *, more: str = "weekly.html") -> str:
    """The message, with a newline at its end.

    Args:
        more: where all of it stands.

    Raises:
        ValueError: a number in the week cannot be shown.
    """
    shown = view(week)
    head = [
        *_wrapped(f"edgebench: {shown.headline}"),
        f"{shown.title}. Gate: {shown.gate}.",
    ]
    room = MAX_LINES - len(head) - 1
    told = shown.projects[: max(1, (room - 1) // _MIN_LINES)]
    left = len(shown.projects) - len(told)
    parts = [list(_project(project, several=shown.several)) for project in told]
    shares = _shares([len(part) for part in parts], room - (left > 0))
    body = [line for part, share in zip(parts, shares, strict=True) for line in _cut(part, share)]
    if left:
        body.append(f"... and {fmt.counted(left, 'more project')}")
    return "".join(f"{line}\n" for line in (*head, *body, f"All of it: {more}"))


def _shares(wanted: Sequence[int], room: int) -> list[int]:
    """Lines for each: as many as it wants, or as all the others that want more get."""
    shares = list(wanted)
    for done, place in enumerate(sorted(range(len(wanted)), key=wanted.__getitem__)):
        shares[place] = min(wanted[place], room // (len(wanted) - done))
        room -= shares[place]
    return shares


def _project(project: ProjectView, *, several: bool) -> Iterator[str]:
    yield ""
    for line in _lines(project, several=several):
        yield from _wrapped(line)


def _lines(project: ProjectView, *, several: bool) -> Iterator[str]:
    if several:
        yield f"== {_short(project.name)}: {project.headline}"
    yield project.coverage
    yield from project.banners
    for found in project.findings:
        yield from _finding(found)
    for found in project.standing:
        yield f"* STILL STANDS: {_what(found)}, since {found.since}"
    for device in project.devices:
        figures = f"{device.ratio}, {device.cases}, since {device.since}"
        yield f"* DEVICE {_short(device.device)}: {figures}"
        yield f"    {device.sentence}"
        if device.changed:
            yield f"    changed then: {'; '.join(device.changed)}"
    for table in project.tables:
        if table.key == "gates":
            for case, gate, what, before, now, since, _ in table.rows:
                yield f"* GATE {gate} {what}: {_short(case)}, {before} → {now}, since {since}"
        if table.key == "unreliable":
            for device_name, cases, launches, why in table.rows:
                yield (
                    f"* UNRELIABLE {_short(device_name)}: {cases} cases without a number, "
                    f"{launches} launches lost: {why}"
                )
    for found in project.better:
        yield f"* {_what(found)}"
    if project.sight:
        yield project.sight


def _finding(found: FindingView) -> Iterator[str]:
    yield f"* {_what(found)}, since {found.since}"
    if not found.ratio and not found.level:
        yield f"    {found.sentence}"
    if found.changed:
        yield f"    changed then: {'; '.join(found.changed)}"
    if found.todo:
        yield f"    to do: {found.todo}"


def _what(found: FindingView) -> str:
    standing = f" ({found.standing})" if found.standing else ""
    figures = ", ".join(part for part in (found.ratio, found.level) if part)
    return f"{found.word}{standing} {_short(found.title)}{f': {figures}' if figures else ''}"


def _cut(lines: list[str], most: int) -> list[str]:
    if len(lines) <= most:
        return lines
    kept = lines[: most - 1]
    return [*kept, f"... and {fmt.counted(len(lines) - len(kept), 'more line')}"]


def _wrapped(line: str) -> list[str]:
    """In lines of a message; what cannot be broken stays whole."""
    indent = line[: len(line) - len(line.lstrip())]
    return textwrap.wrap(
        line,
        _WIDTH,
        subsequent_indent=f"{indent}  " if indent else "    ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _short(name: str) -> str:
    return name if len(name) <= _MAX_NAME else f"{name[: _MAX_NAME - 1]}…"
