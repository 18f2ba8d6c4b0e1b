"""Decides, before anything runs, where each variant comes from: kept, imported, to be made."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.config import ModelConfig
from bench.errors import UserError
from bench.identity import sha256_of
from bench.records import Failure, Json
from bench.variants.arrays import Samples, load_samples
from bench.variants.cache import Kept, content_sha256, file_sha256, look_up, tool_versions
from bench.variants.recipe import MAX_CALIBRATION_SAMPLES, RECIPE_VERSION, RECIPES
from bench.variants.source import check_source


@dataclass(frozen=True, slots=True)
class Wanted:
    """One variant that was asked for, and what is known of it before anything runs.

    Attributes:
        key: names what determines its bytes; None if it cannot be made.
        provenance: what it is made of.
        kept: the same in the cache, or None.
        imported: the user's finished file, or None.
        failure: why it cannot be made, or None.
    """

    variant: str
    key: str | None
    provenance: Json
    kept: Kept | None = None
    imported: Path | None = None
    failure: Failure | None = None


def plan_variants(
    model: ModelConfig, variants: Sequence[str], *, root: Path, folder: Path, seed: int
) -> tuple[Wanted, ...]:
    """Check all input and look up every variant in the cache.

    Args:
        root: directory that the paths in `model` are relative to.
        folder: where variants of this model are kept.
        seed: of whatever is drawn while variants are made.

    Raises: UserError where a file of the user's is missing, unreadable or wrong.
    """
    to_make = [v for v in variants if v not in model.files]
    source_sha = None
    if model.source is not None and to_make:
        source = root / model.source
        check_source(source)
        try:
            source_sha = content_sha256(source)
        except OSError as error:
            raise UserError(
                f"source {source.name}: cannot be read: {error.strerror} ({error.filename})"
            ) from error
    arrays = {
        role: load_samples(root / path, role)
        for role, path, wanted in (
            ("calibration", model.calibration, "int8" in to_make),
            ("train", model.train, "int8-qat" in to_make),
            ("holdout", model.holdout, True),
        )
        if path is not None and wanted
    }
    planned = []
    for variant in variants:
        if variant in model.files:
            planned.append(_imported(variant, root / model.files[variant], folder))
        elif source_sha is None:
            why = f"no `source` to make it of and no `files.{variant}`"
            planned.append(Wanted(variant, None, {}, failure=Failure("prerequisite", why)))
        else:
            planned.append(_to_make(model, variant, source_sha, arrays, seed, folder))
    return tuple(planned)


def _imported(variant: str, path: Path, folder: Path) -> Wanted:
    if not path.is_file():
        what = "is no file" if path.exists() else "there is no such file"
        raise UserError(f"files.{variant}: {what} ({path}); give the path of a .tflite")
    try:
        digest = file_sha256(path)
    except OSError as error:
        raise UserError(f"files.{variant}: {path} cannot be read: {error.strerror}") from error
    provenance = {
        "how": "imported",
        "variant": variant,
        "source": {"name": path.name, "sha256": digest},
    }
    key = _key(provenance)
    return Wanted(variant, key, provenance, look_up(folder, variant, key), path)


def _to_make(
    model: ModelConfig,
    variant: str,
    source_sha: str,
    arrays: Mapping[str, Samples],
    seed: int,
    folder: Path,
) -> Wanted:
    recipe = RECIPES[variant]
    provenance: dict[str, Any] = {
        "how": "trained" if recipe.needs_training else "converted",
        "recipe": recipe.summary,
        "recipe_version": RECIPE_VERSION,
        "variant": variant,
        "source": {"name": Path(str(model.source)).name, "sha256": source_sha},
        "batch": 1,
        "tools": tool_versions(),
        "machine": platform.machine(),
        "python": platform.python_version(),
    }
    for role, needed in (
        ("calibration", recipe.needs_calibration),
        ("train", recipe.needs_training),
    ):
        if not needed:
            continue
        samples = arrays.get(role)
        if samples is None:
            why = f"{variant} needs samples: name an .npz as `{role}` of model {model.name}"
            return Wanted(variant, None, provenance, failure=Failure("prerequisite", why))
        count = len(samples.x)
        provenance[role] = {
            "name": samples.name,
            "sha256": samples.sha256,
            "samples": min(count, MAX_CALIBRATION_SAMPLES) if role == "calibration" else count,
            "of": count,
        }
        provenance["seed"] = seed
    if recipe.needs_training:
        provenance["qat"] = model.qat.model_dump(mode="json")
    key = _key(provenance)
    return Wanted(variant, key, provenance, look_up(folder, variant, key))


def _key(provenance: Json) -> str:
    # File names say where something lay, not what it is.
    return sha256_of(
        {
            key: {k: v for k, v in value.items() if k != "name"}
            if key in ("source", "calibration", "train")
            else value
            for key, value in provenance.items()
        }
    )
