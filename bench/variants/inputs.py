"""The user's files that variants are made of: which are needed, what is odd about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.config import ModelConfig
from bench.events import Emit, Note
from bench.metrics import Labels, metric_named
from bench.samples.ranges import advise_count, compare_samples
from bench.variants.arrays import Samples, load_samples
from bench.variants.recipe import RECIPES, training_labels


def roles(model: ModelConfig, variants: Sequence[str]) -> list[str]:
    """The samples that making these variants needs, or compares with what it needs."""
    made = [RECIPES[v] for v in variants if v not in model.files]
    calibrated = any(recipe.needs_calibration for recipe in made)
    trained = any(recipe.needs_training for recipe in made)
    wanted = {"calibration": calibrated, "train": calibrated or trained, "holdout": True}
    return [role for role in wanted if wanted[role] and getattr(model, role) is not None]


def load(model: ModelConfig, variants: Sequence[str], root: Path) -> dict[str, Samples]:
    """Read those samples, each an .npz by now.

    Raises: UserError naming the file, what is wrong and what to do.
    """
    trained = any(RECIPES[v].needs_training for v in variants if v not in model.files)
    labels: Mapping[str, Labels] = {
        "calibration": "none",
        "train": training_labels(model.qat.loss) if trained else "none",
        "holdout": metric_named(model.metric.name).labels,
    }
    return {
        role: load_samples(root / getattr(model, role), role, labels[role])
        for role in roles(model, variants)
    }


def stamps(model: ModelConfig, root: Path) -> list[tuple[str, int, int]]:
    """What changes when somebody writes to the files that variants are made of."""
    named = (model.source, model.calibration, model.train)
    files: list[Path] = []
    for path in (root / name for name in named if name is not None):
        files += sorted(path.rglob("*")) if path.is_dir() else [path]
    return [(str(f), f.stat().st_mtime_ns, f.stat().st_size) for f in files if f.exists()]


def check(samples: Mapping[str, Samples], emit: Emit) -> tuple[str, ...]:
    """Say, before anything is converted, what is odd about the calibration samples."""
    calibration = samples.get("calibration")
    if calibration is None:
        return ()
    found = compare_samples(calibration, samples.get("holdout"), samples.get("train"))
    if advice := advise_count(len(calibration.x)):
        found = (*found, advice)
    for line in found:
        emit(Note(line, "warning"))
    return found
