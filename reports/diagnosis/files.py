"""Writes the page of a diagnosis, whole or not at all."""

from __future__ import annotations

from pathlib import Path

from bench.diagnose.outcome import Diagnosis
from reports.diagnosis.html import html
from reports.render.atomic import write_atomically


def write_page(diagnosis: Diagnosis, path: Path) -> Path:
    """Raises: OSError if it cannot be written; ValueError if a number cannot be shown."""
    return write_atomically(path, html(diagnosis).encode("utf-8"))
