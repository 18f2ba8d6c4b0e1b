"""From a plan file to what will be done: files found, cases expanded, order drawn, time told."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bench.config import (
    MAIN_VARIANTS,
    VARIANTS,
    Delegate,
    DelegateConfig,
    ModelConfig,
    PlanConfig,
    RunnerKind,
    Variant,
    is_function,
)
from bench.errors import UserError
from bench.identity import SENTINEL_MODEL, Case, DelegateSpec, before, sha256_of
from bench.metrics import metric_of
from bench.runners import litert
from bench.runners.base import LaunchLimits
from bench.runners.delegates import LITERT, delegates_of, not_applicable, option_problem
from bench.variants.recipe import EDGETPU, EDGETPU_OF, RECIPES
from bench.variants.tflite_source import CANNOT_MAKE, is_tflite
from devices.controls import check_controls
from devices.inventory import DeviceEntry, Inventory, InventoryError

LOCAL_KERNELS = ("none", "xnnpack")
SAMPLES = ("calibration", "holdout", "train")
RUNNER_KIND: RunnerKind = "invoke_loop"
ACCURACY_GATES = {"accuracy_ratio_min", "accuracy_drop_max_points"}

_USUAL_ABI = "arm64-v8a"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Plan:
    """A checked plan and where it lives.

    Attributes:
        config: as read, with defaults, and with the names of the devices that its
            selectors picked.
        root: absolute directory that its relative paths start from.
        variants: model name -> variants to make and measure, in table order.
        devices: to measure on, in table order.
    """

    config: PlanConfig
    root: Path
    variants: dict[str, tuple[Variant, ...]]
    devices: tuple[DeviceEntry, ...]

    @property
    def out(self) -> Path:
        return self.root / self.config.out

    @property
    def sha256(self) -> str:
        return sha256_of(self.config.model_dump(mode="json"))

    @property
    def limits(self) -> LaunchLimits:
        return LaunchLimits(timeout_s=self.config.measure.timeout_s)


def resolve(
    config: PlanConfig,
    root: Path,
    inventory: Inventory | None = None,
    *,
    socs: Mapping[str, str] | None = None,
) -> Plan:
    """Find out what a plan asks for and whether everything it needs is there.

    Args:
        inventory: of the devices there are; None knows this machine only.
        socs: see Inventory.select.

    Raises: UserError for a missing file, a variant without what it is made from, a
    gate on accuracy or an accuracy on the device without a holdout, options that no runner
    of the plan has for a delegate, and what `refuse_contradictions` finds.
    """
    refuse_contradictions(config)
    try:
        devices = (inventory or Inventory(())).select(config.measure.devices, socs=socs)
        check_controls(config.measure.controls)
        for entry in devices:
            check_controls(entry.controls)
    except InventoryError as error:
        raise UserError(str(error)) from None
    except ValueError as error:
        raise UserError(f"measure.controls: {error}") from None
    _refuse_cores(config, devices)
    names = tuple(entry.name for entry in devices)
    config = config.model_copy(
        update={"measure": config.measure.model_copy(update={"devices": names})}
    )
    explicit_gate = ACCURACY_GATES & config.gates.model_fields_set
    variants: dict[str, tuple[Variant, ...]] = {}
    for model in config.model:
        check_paths(model, root)
        variants[model.name] = variants_of(model, config.measure.variants)
        if explicit_gate and model.holdout is None:
            raise UserError(
                f"gates.{min(explicit_gate)} needs answers to judge: "
                f"give model {model.name!r} a `holdout` (.npz with x and y)"
            )
        if config.measure.device_accuracy and model.holdout is None:
            raise UserError(
                f"measure.device_accuracy needs answers to judge: give model {model.name!r} a "
                "`holdout` (.npz with x and y)"
            )
        refuse_points(config, model)
    plan = Plan(config, root.resolve(), variants, devices)
    _refuse_options(plan)
    return plan


def refuse_contradictions(config: PlanConfig) -> None:
    """Raise UserError for two models of one name, and a list that is empty or names
    something twice."""
    names = [model.name for model in config.model]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"two models are called {twice[0]!r}; give each its own name")
    if SENTINEL_MODEL in names:
        raise UserError(f"{SENTINEL_MODEL!r} is edgebench's own; give the model another name")
    if reserved := next((name for name in names if before(name) is not None), None):
        raise UserError(
            f"{reserved!r} is how `run --against` calls the old one of two; give the model"
            " another name"
        )
    if config.measure.device_accuracy and config.measure.numerics == "off":
        raise UserError(
            'measure.device_accuracy needs the launch that measure.numerics = "off" omits'
        )
    for field in ("variants", "threads", "devices", "runners"):
        _refuse_doubles(field, getattr(config.measure, field))
    delegates = [_spec(delegate).label for delegate in config.measure.delegate_configs]
    _refuse_doubles("delegates", delegates)
    if config.measure.precision is not None and config.measure.max_rounds < 7:
        raise UserError("measure.precision needs measure.max_rounds of at least 7")


def refuse_points(config: PlanConfig, model: ModelConfig) -> None:
    """Raise UserError where a plan limits points of a metric that has none."""
    key = "accuracy_drop_max_points"
    metric = metric_of(model.metric)
    if key in config.gates.model_fields_set and not metric.is_share:
        raise UserError(
            f"gates.{key}: {metric.title} of model {model.name!r} is no share and has no "
            "percentage points; limit it by gates.accuracy_ratio_min"
        )


def _refuse_options(plan: Plan) -> None:
    """Options that one runner has and another lacks cost a cell; those of none are a mistake."""
    kinds = {kind for device in plan.devices for kind in runner_kinds(plan, device)}
    for delegate in map(_spec, plan.config.measure.delegate_configs):
        able = sorted(kind for kind in kinds if delegate.name in delegates_of(kind))
        problems = [option_problem(delegate, kind) for kind in able]
        if problems and all(problems):
            raise UserError(f"measure.delegates: {problems[0]}")


def _spec(delegate: DelegateConfig) -> DelegateSpec:
    return DelegateSpec(delegate.name, tuple(sorted(delegate.options.items())))


def _refuse_cores(config: PlanConfig, devices: Sequence[DeviceEntry]) -> None:
    """An app is started by Android, on the cores that Android likes: a record would claim a
    pinning that never was."""
    if "benchmark_app" not in (config.measure.runners or ()):
        return
    for wanted in (config.measure.controls, *(entry.controls for entry in devices)):
        if "cores" in wanted:
            raise UserError("cores cannot be chosen for benchmark_app: Android starts the app")


def _refuse_doubles(field: str, values: Sequence[object] | None) -> None:
    if values is None:
        return
    if not values:
        raise UserError(f"measure.{field} is empty: there is nothing to measure")
    for value in values:
        if list(values).count(value) > 1:
            raise UserError(f"measure.{field} names {value!r} twice")


def check_paths(model: ModelConfig, root: Path) -> None:
    """Raise UserError for the first file of a model that is not there."""
    paths = {
        "source": model.source,
        "calibration": model.calibration,
        "holdout": model.holdout,
        "train": model.train,
        **{f"files.{variant}": path for variant, path in model.files.items()},
    }
    for key, value in paths.items():
        if value is None or (key in SAMPLES and is_function(value)):
            continue
        if not _exists(root / value):
            raise UserError(f"model {model.name!r}: {key}: no such file: {root / value}")


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        # A name that is too long, a folder that may not be searched, a NUL.
        return False


def variants_of(
    model: ModelConfig,
    asked: Sequence[Variant] | None,
    *,
    default: Sequence[Variant] = MAIN_VARIANTS,
) -> tuple[Variant, ...]:
    """The variants to make of a model, in table order.

    Args:
        asked: those wanted by name; None for what of `default` can be made, and `files`.

    Raises: UserError for one that lacks what it is made from.
    """
    lacking = {v: why for v in VARIANTS if (why := _lacks(model, v)) is not None}
    if asked is None:
        # A file that was given is wanted, whatever its recipe.
        wanted = {*default, *model.files}
        return tuple(v for v in VARIANTS if v in wanted and v not in lacking)
    for variant in asked:
        if variant in lacking:
            raise UserError(f"model {model.name!r}: variant {variant} {lacking[variant]}")
    return tuple(variant for variant in VARIANTS if variant in asked)


def _lacks(model: ModelConfig, variant: Variant) -> str | None:
    """Why a variant cannot be made from what was given; None if it can."""
    recipe = RECIPES[variant]
    source = model.source
    if variant in model.files:
        return None
    if recipe.compiled:
        return _lacks(model, EDGETPU_OF)
    if recipe.by_quantizer and "fp32" in model.files:
        return None
    if source is None:
        return f"needs files.{variant} (a .tflite), or `source` to make it from"
    if is_tflite(source) and variant in CANNOT_MAKE:
        return f"cannot be made of a .tflite: {CANNOT_MAKE[variant]}"
    if recipe.needs_calibration and model.calibration is None:
        return "needs `calibration` (.npz with x, a directory of images, or module:function)"
    if recipe.needs_training and model.train is None:
        return "needs `train` (.npz with x and y, or module:function)"
    return None


def runner_kinds(plan: Plan, device: DeviceEntry) -> tuple[RunnerKind, ...]:
    """What a plan measures a device with: what it names, else what suits its kind."""
    if plan.config.measure.runners is not None:
        return plan.config.measure.runners
    return ("benchmark_model",) if device.kind == "android" else (RUNNER_KIND,)


def all_cells(plan: Plan) -> tuple[tuple[Case, str | None], ...]:
    """Every cell of a plan in the order of its tables, with why it cannot exist, or None."""
    measure = plan.config.measure
    cells = (
        Case(
            project=plan.config.project,
            model=model.name,
            variant=variant,
            delegate=_spec(delegate),
            threads=threads,
            runner=runner,
            device=device.name,
        )
        for model in plan.config.model
        for device in plan.devices
        for runner in runner_kinds(plan, device)
        for variant in plan.variants[model.name]
        for delegate in measure.delegate_configs
        for threads in measure.threads
    )
    kinds = {device.name: device.kind for device in plan.devices}
    return tuple((case, _why_not(case, kinds[case.device])) for case in cells)


def expand(plan: Plan) -> tuple[Case, ...]:
    """Every case of a plan that can exist, in the order of its tables."""
    return tuple(case for case, why_not in all_cells(plan) if why_not is None)


def _why_not(case: Case, kind: str) -> str | None:
    if case.variant == EDGETPU and case.delegate.name != "edgetpu":
        return f"{case.variant} is compiled for the Edge TPU, which only edgetpu runs"
    if case.runner == RUNNER_KIND:
        if kind == "android":
            return "a phone has no Python runtime; benchmark_model measures there"
        if case.delegate.name not in delegates_of(RUNNER_KIND):
            return f"invoke_loop has no {case.delegate.name} delegate; benchmark_model may have"
        return option_problem(case.delegate, case.runner)
    if case.runner == LITERT:
        return litert.not_applicable(case, kind)
    # Nobody has asked the device yet: what its ABI lacks shows when it is measured on.
    system = "android" if kind == "android" else "linux"
    why_not = not_applicable(case, system=system, abi=_USUAL_ABI)
    return why_not or option_problem(case.delegate, case.runner)


def kernels_of(config: PlanConfig) -> tuple[Delegate, ...]:
    """The delegates whose arithmetic this machine has, so that it can judge their answers."""
    names = dict.fromkeys(delegate.name for delegate in config.measure.delegate_configs)
    return tuple(name for name in names if name in LOCAL_KERNELS)


def round_order(items: Sequence[T], key: Callable[[T], str], *, seed: int, index: int) -> list[T]:
    """The order of one round: fresh per round, the same for the same seed.

    The items are sorted by `key` first, so that the order depends on what is in the
    round and not on how the plan lists it.
    """
    order = sorted(items, key=key)
    random.Random(sha256_of([seed, index])).shuffle(order)  # noqa: S311 (not for secrets)
    return order
