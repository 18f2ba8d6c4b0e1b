"""Keeps the remedies' files with their provenance, for the user to put into a plan."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from bench.diagnose.outcome import Treatment, Verdict
from bench.diagnose.remedies import REMEDIES
from bench.errors import UserError
from bench.variants.cache import TEMPORARY, folder_of


def folder_for(out: Path, model: str) -> Path:
    """Directory of one model's remedies; the name made safe for every file system."""
    return out / "diagnosis" / folder_of(out, model).name


def keep_all(
    rows: Sequence[Treatment], folder: Path, out: Path, origin: Mapping[str, Any]
) -> list[Treatment]:
    """Copy every remedy that was judged to `<folder>/<key>.tflite`, with a .json beside it.

    Each file appears whole or not at all; those of an earlier diagnosis go.

    Args:
        out: directory that the rows' paths are relative to.
        origin: provenance of what the remedies were made of.

    Returns: the rows with their new paths; one that is not kept has none.

    Raises: UserError if the folder cannot be written.
    """
    kept = []
    try:
        for remedy in REMEDIES:
            for ending in (".json", ".tflite"):
                (folder / f"{remedy.key}{ending}").unlink(missing_ok=True)
        for row in rows:
            if row.verdict is Verdict.REFERENCE or row.path is None:
                kept.append(row)
            elif row.accuracy is None:
                kept.append(replace(row, path=None, sha256=None))
            else:
                kept.append(_keep(row, folder, out, origin))
    except OSError as error:
        raise UserError(f"{folder}: cannot be written: {error.strerror}") from error
    return kept


def _keep(row: Treatment, folder: Path, out: Path, origin: Mapping[str, Any]) -> Treatment:
    path = folder / f"{row.key}.tflite"
    fresh = folder / f"{TEMPORARY}{path.name}"
    shutil.copyfile(out / str(row.path), fresh)
    fresh.replace(path)
    row = replace(row, path=path.relative_to(out).as_posix())
    document = {"remedy": asdict(row), "made_of": origin}
    fresh = folder / f"{TEMPORARY}{row.key}.json"
    text = json.dumps(document, indent=2, sort_keys=True, allow_nan=False) + "\n"
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path.with_suffix(".json"))
    return row
