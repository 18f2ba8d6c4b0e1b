"""Options of the verbs that work on one model or on the models of a plan."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from bench.config import ModelConfig, PlanConfig
from bench.errors import UserError
from bench.plan import refuse_contradictions
from bench.planfile import parse_plan, read_plan

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Target:
    """The models that a command line names.

    Attributes:
        config: the plan, or one made of the options; gates and seed come from it.
        root: absolute directory that its relative paths start from.
        models: those of the plan that were chosen.
    """

    config: PlanConfig
    root: Path
    models: tuple[ModelConfig, ...]

    @property
    def out(self) -> Path:
        return self.root / self.config.out

    @property
    def seed(self) -> int:
        return self.config.measure.seed


def model_options(function: F) -> F:
    """The options, handed to the command as keywords for `find_target`."""
    for option in reversed(
        (
            click.option("--model", "name", help="Only this model of the plan."),
            click.option("--signature", help="Of a SavedModel that has several."),
            click.option(
                "--calibration", help="Samples for int8: .npz with x, or module:function."
            ),
            click.option("--train", help="Samples for int8-qat: .npz with x and y, or the like."),
            click.option("--holdout", help="Samples for accuracy: .npz with x and y, or the like."),
            click.option("--metric", help="top1, top5, mean_iou, mae, ... [default: top1]"),
            click.option("--out", help="Where files go. [default: edgebench-out]"),
            click.option("--seed", type=click.IntRange(min=0), help="[default: 0]"),
        )
    ):
        function = option(function)
    return function


def find_target(
    path: Path,
    *,
    name: str | None,
    signature: str | None,
    calibration: str | None,
    train: str | None,
    holdout: str | None,
    metric: str | None,
    out: str | None,
    seed: int | None,
) -> Target:
    """The models of a plan (.toml), or the one model that the options describe.

    Raises: UserError for what a plan may not say, or for options beside a plan.
    """
    given = {
        key: value
        for key, value in {
            "signature": signature,
            "calibration": calibration,
            "train": train,
            "holdout": holdout,
        }.items()
        if value is not None
    }
    if path.suffix != ".toml":
        if name is not None:
            raise UserError(f"--model chooses among the models of a plan; {path} is no .toml")
        return _from_options(path, given, metric, out, seed)
    beside = [
        *given,
        *(k for k, v in (("metric", metric), ("out", out), ("seed", seed)) if v is not None),
    ]
    if beside:
        raise UserError(f"--{beside[0]} beside a plan: write it into {path}")
    config = read_plan(path)
    refuse_contradictions(config)
    models = tuple(m for m in config.model if name is None or m.name == name)
    if not models:
        known = ", ".join(m.name for m in config.model)
        raise UserError(f"the plan has no model {name!r} (it has: {known})")
    return Target(config, path.parent.resolve(), models)


def metric_setting(text: str) -> dict[str, Any]:
    """`metric` of a plan as an option says it, where "top5" holds k too."""
    top = re.fullmatch(r"top([1-9]\d{0,4})", text)
    return {"name": "topk", "k": int(top[1])} if top and text != "top1" else {"name": text}


def _name_of(path: Path) -> str:
    """What a model is called after its file: a name that a plan may say."""
    stem = Path(os.path.abspath(path)).stem  # noqa: PTH100 - resolve() would follow links
    return re.sub(r"[\x00-\x1f\x7f\\]", "_", stem)[:100] or "model"


def _from_options(
    path: Path,
    given: Mapping[str, str],
    metric: str | None,
    out: str | None,
    seed: int | None,
) -> Target:
    name = _name_of(path)
    model: dict[str, Any] = {"name": name, "source": str(path), **given}
    if metric is not None:
        model["metric"] = metric_setting(metric)
    document: dict[str, Any] = {"project": name, "model": [model]}
    if out is not None:
        document["out"] = out
    if seed is not None:
        document["measure"] = {"seed": seed}
    config = parse_plan(document, where=str(path))
    return Target(config, Path.cwd(), config.model)
