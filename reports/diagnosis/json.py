"""A diagnosis as plain JSON, for machines."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from bench.diagnose.outcome import Diagnosis

SCHEMA = "edgebench-diagnosis"
VERSION = 1


def diagnosis_to_json(diagnosis: Diagnosis) -> dict[str, Any]:
    """Every number of a diagnosis; keys are added in later versions, never renamed."""
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "loss_shown": diagnosis.loss_shown,
        **asdict(diagnosis),
    }
