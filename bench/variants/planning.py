"""Decides, before anything runs, where each variant comes from: kept, imported, to be made."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.config import ModelConfig
from bench.errors import UserError
from bench.records import Failure
from bench.variants.arrays import Samples, check_fits
from bench.variants.cache import content_sha256, file_sha256, tool_versions
from bench.variants.edgetpu import compiled
from bench.variants.recipe import (
    EDGETPU_OF,
    MAX_CALIBRATION_SAMPLES,
    RECIPE_VERSION,
    RECIPES,
    Recipe,
)
from bench.variants.source import check_source
from bench.variants.tflite_source import input_of, is_tflite, parse_float
from bench.variants.wanted import Maker, Wanted, key_of, look_up_kept

_HOW: Mapping[Maker, str] = {
    "converter": "converted",
    "training": "trained",
    "quantizer": "quantised",
}


@dataclass(frozen=True, slots=True)
class _Source:
    """What variants are made of; `tflite` if it is a finished float model."""

    path: Path
    sha256: str
    tflite: bool

    @property
    def facts(self) -> dict[str, str]:
        return {"name": self.path.name, "sha256": self.sha256}


def plan_variants(
    model: ModelConfig,
    variants: Sequence[str],
    samples: Mapping[str, Samples],
    *,
    root: Path,
    folder: Path,
    seed: int,
) -> tuple[Wanted, ...]:
    """Check the sources and look up every variant in the cache.

    Args:
        samples: role -> the model's samples, of those that are there.
        root: directory that the paths in `model` are relative to.
        folder: where variants of this model are kept.
        seed: of whatever is drawn while variants are made.

    Returns: one for each variant, in that order; int8 and fp32 may follow, which nobody asked
    for and others are made of.

    Raises: UserError where a file of the user's is missing, unreadable or wrong.
    """
    source = _find_source(model, variants, root, samples)
    floats = _float_file(model, variants, root)

    def plan(variant: str) -> Wanted:
        if variant in model.files:
            return _imported(f"files.{variant}", variant, root / model.files[variant], folder)
        return _planned(model, variant, source, floats, samples, seed, folder)

    planned = [plan(v) for v in variants if not _is_compiled(model, v)]
    if any(_is_compiled(model, v) for v in variants):
        planned = _with_compiled(planned, variants, plan, folder)
    lacks_fp32 = any(w.to_make and w.maker == "quantizer" and w.base is None for w in planned)
    if lacks_fp32 and not any(w.variant == "fp32" for w in planned):
        fp32 = _planned(model, "fp32", source, None, samples, seed, folder)
        planned.append(replace(fp32, recorded=False))
    return tuple(planned)


def _is_compiled(model: ModelConfig, variant: str) -> bool:
    return RECIPES[variant].compiled and variant not in model.files


def _with_compiled(
    planned: Sequence[Wanted],
    variants: Sequence[str],
    plan: Callable[[str], Wanted],
    folder: Path,
) -> list[Wanted]:
    """The planned ones and int8-edgetpu, in the order of `variants`; its int8 may follow."""
    known = {wanted.variant: wanted for wanted in planned}
    int8 = known.get(EDGETPU_OF)
    extra = []
    if int8 is None:
        int8 = replace(plan(EDGETPU_OF), recorded=False)
        extra = [int8]
    made = compiled(int8, folder)
    if made.failure is not None:
        # Nobody has asked for its int8 otherwise.
        extra = []
    return [*(known.get(variant, made) for variant in variants), *extra]


def _find_source(
    model: ModelConfig, variants: Sequence[str], root: Path, samples: Mapping[str, Samples]
) -> _Source | None:
    if model.source is None or all(v in model.files for v in variants):
        return None
    path = root / model.source
    if not is_tflite(path):
        check_source(path)
        try:
            return _Source(path, content_sha256(path), False)
        except OSError as error:
            raise UserError(
                f"source {path.name}: cannot be read: {error.strerror} ({error.filename})"
            ) from error
    if model.signature is not None:
        raise UserError(
            f"source {path.name}: `signature` chooses what of a SavedModel is converted, and a "
            f".tflite is converted already; leave `{model.signature}` out"
        )
    source, data = _read_float("source", path)
    if given := [samples[role] for role in ("calibration", "holdout") if role in samples]:
        entry = input_of(parse_float(data, path.name), path.name)
        for one in given:
            check_fits(one, entry.signature, entry.dtype.lower())
    return source


def _float_file(model: ModelConfig, variants: Sequence[str], root: Path) -> _Source | None:
    """The finished fp32 of the user's, which what ai-edge-quantizer makes starts from."""
    wanted = any(RECIPES[v].by_quantizer and v not in model.files for v in variants)
    if not wanted or "fp32" not in model.files:
        return None
    return _read_float("files.fp32", root / model.files["fp32"])[0]


def _read_float(key: str, path: Path) -> tuple[_Source, bytes]:
    _check_file(key, path)
    data = path.read_bytes()
    parse_float(data, path.name)
    return _Source(path, file_sha256(path), True), data


def _planned(
    model: ModelConfig,
    variant: str,
    source: _Source | None,
    floats: _Source | None,
    samples: Mapping[str, Samples],
    seed: int,
    folder: Path,
) -> Wanted:
    """A variant that is not given as a file; `floats` is the user's fp32, if any."""
    recipe = RECIPES[variant]
    if floats is not None and recipe.by_quantizer:
        source = floats
    if source is None:
        why = f"no `source` to make it of and no `files.{variant}`"
        return Wanted(variant, None, {}, failure=Failure("prerequisite", why))
    of_tflite = source.tflite
    if of_tflite and variant == "fp32":
        return _imported("source", "fp32", source.path, folder)
    maker: Maker = "converter"
    if of_tflite or recipe.by_quantizer:
        maker = "quantizer"
    elif recipe.needs_training:
        maker = "training"
    made_of: dict[str, Any] = {
        "how": _HOW[maker],
        "recipe": recipe.summary,
        "recipe_version": RECIPE_VERSION,
        "variant": variant,
        "source": source.facts,
        "tools": tool_versions(
            converter=not of_tflite,
            training=maker == "training",
            quantizer=maker == "quantizer",
        ),
        "machine": platform.machine(),
        "python": platform.python_version(),
    }
    if model.signature is not None:
        made_of["signature"] = model.signature
    failure = _add_samples(made_of, model, recipe, samples, seed)
    if failure is not None:
        return Wanted(variant, None, made_of, failure=failure)
    if maker == "training":
        made_of["qat"] = model.qat.model_dump(mode="json")
    key = key_of(made_of)
    return Wanted(
        variant,
        key,
        made_of,
        kept=look_up_kept(folder, variant, key, made_of),
        maker=maker,
        base=source.path if of_tflite else None,
    )


def _add_samples(
    made_of: dict[str, Any],
    model: ModelConfig,
    recipe: Recipe,
    samples: Mapping[str, Samples],
    seed: int,
) -> Failure | None:
    """Say what it is calibrated and trained with; returns what is lacking."""
    for role, needed in (
        ("calibration", recipe.needs_calibration),
        ("train", recipe.needs_training),
    ):
        if not needed:
            continue
        if role not in samples:
            why = f"{recipe.variant} needs samples: name an .npz as `{role}` of model {model.name}"
            return Failure("prerequisite", why)
        count = len(samples[role].x)
        used = min(count, MAX_CALIBRATION_SAMPLES) if role == "calibration" else count
        made_of[role] = {
            "name": samples[role].name,
            "sha256": samples[role].sha256,
            "samples": used,
            "of": count,
        }
        # A seed that draws nothing is no reason to make anything again.
        if recipe.needs_training or used < count:
            made_of["seed"] = seed
    return None


def _imported(key_name: str, variant: str, path: Path, folder: Path) -> Wanted:
    _check_file(key_name, path)
    try:
        digest = file_sha256(path)
    except OSError as error:
        raise UserError(f"{key_name}: {path} cannot be read: {error.strerror}") from error
    provenance = {
        "how": "imported",
        "variant": variant,
        "source": {"name": path.name, "sha256": digest},
    }
    key = key_of(provenance)
    return Wanted(variant, key, provenance, look_up_kept(folder, variant, key, provenance), path)


def _check_file(key: str, path: Path) -> None:
    if not path.is_file():
        what = "is no file" if path.exists() else "there is no such file"
        raise UserError(f"{key}: {what} ({path}); give the path of a .tflite")
    try:
        path.open("rb").close()
    except OSError as error:
        raise UserError(f"{key}: {path} cannot be read: {error.strerror}") from error
