"""Writes a week in every format, each file whole or not there at all."""

from __future__ import annotations

from pathlib import Path

from reports.render.atomic import write_atomically
from reports.weekly.html import html
from reports.weekly.json import weekly_to_text
from reports.weekly.markdown import markdown
from reports.weekly.model import Weekly
from reports.weekly.text import text


def write_weekly(week: Weekly, directory: Path) -> tuple[Path, ...]:
    """Writes weekly.html, .md, .txt and .json; makes the directory if it is missing.

    All four are made before the first is written, so a week that cannot be shown leaves an
    older report as it was.

    Raises:
        ValueError: a number in the week cannot be shown.
        OSError: the directory cannot be made or written.
    """
    texts = {
        "html": html(week),
        "md": markdown(week),
        "txt": text(week),
        "json": weekly_to_text(week),
    }
    return tuple(
        write_atomically(directory / f"weekly.{ending}", content.encode("utf-8"))
        for ending, content in texts.items()
    )
