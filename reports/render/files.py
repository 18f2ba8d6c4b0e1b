"""Writes a comparison in every format, each file whole or not there at all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reports.export.csv import comparison_to_csv
from reports.export.json import comparison_to_text
from reports.model import Comparison
from reports.render.atomic import write_atomically
from reports.render.html import html
from reports.render.markdown import markdown


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """Where the report lies."""

    html: Path
    markdown: Path
    csv: Path
    json: Path


def write_report(comparison: Comparison, directory: Path) -> ReportFiles:
    """Writes report.html, .md, .csv and .json; makes the directory if it is missing.

    All four are made before the first is written, so a comparison that cannot be
    shown leaves an older report as it was.

    Raises:
        ValueError: a number in the comparison cannot be shown.
        OSError: the directory cannot be made or written.
    """
    texts = {
        "html": html(comparison),
        "md": markdown(comparison),
        "csv": comparison_to_csv(comparison),
        "json": comparison_to_text(comparison),
    }
    paths = {
        ending: write_atomically(directory / f"report.{ending}", text.encode("utf-8"))
        for ending, text in texts.items()
    }
    return ReportFiles(
        html=paths["html"], markdown=paths["md"], csv=paths["csv"], json=paths["json"]
    )
