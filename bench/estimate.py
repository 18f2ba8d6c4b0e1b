"""How long a plan will take, told before it begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.checks import purposes_of
from bench.identity import Case
from bench.plan import Plan, expand, kernels_of
from bench.records import Purpose
from bench.runners.base import LaunchLimits
from bench.variants.recipe import RECIPES
from bench.variants.tflite_source import is_tflite
from devices.inventory import DeviceEntry

# What one step takes on two cores of a small x86-64 machine, in seconds: only for
# the estimate before anything of this run has been timed.
LAUNCH_OVERHEAD_S = 0.4
LOAD_TENSORFLOW_S = 8.0
MAKE_VARIANT_S = 1.0
CALIBRATE_S = 1.0
TRAIN_S = 19.0
EVALUATE_S = 1.5
# Beside a launch: perfetto begins and ends, and its trace is brought back.
TRACE_S = 3.0


def launch_estimate_s(limits: LaunchLimits) -> float:
    """Seconds that one launch takes before any has been timed."""
    return LAUNCH_OVERHEAD_S + limits.warmup_min_s + 1.5 * limits.measure_min_s


def check_estimate_s(purpose: Purpose, limits: LaunchLimits) -> float:
    """The same of a launch beside the timed ones; one for numerics only answers some inputs."""
    if purpose is Purpose.NUMERICS:
        return 2 * LAUNCH_OVERHEAD_S
    return launch_estimate_s(limits) + TRACE_S * (purpose is Purpose.TRACE)


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds that a plan will take, by part, and how many launches.

    Attributes:
        checks: launches beside the timed ones; check_s: of them.
    """

    make_s: float
    evaluate_s: float
    measure_s: float
    check_s: float
    launches: int
    checks: int

    @property
    def total_s(self) -> float:
        return self.make_s + self.evaluate_s + self.measure_s + self.check_s


def _of_devices_s(plan: Plan, cases: Sequence[Case], per_case_s: float) -> float:
    """The slowest device's own time, and then that of those that take up this machine."""
    alone_s, slowest_s = 0.0, 0.0
    for device in plan.devices:
        own_s = per_case_s * sum(case.device == device.name for case in cases)
        if takes_controller(device):
            alone_s += own_s
        else:
            slowest_s = max(slowest_s, own_s)
    return alone_s + slowest_s


def takes_controller(device: DeviceEntry) -> bool:
    """Whether measuring on it takes up the processor of this machine."""
    return device.kind == "local" or device.shares_controller


def _make_s(variant: str) -> float:
    recipe = RECIPES[variant]
    extra = CALIBRATE_S * recipe.needs_calibration + TRAIN_S * recipe.needs_training
    return MAKE_VARIANT_S + extra


def estimate(plan: Plan, *, trace: bool = False) -> Estimate:
    """How long a plan will take on a small machine, told before it starts.

    Args:
        trace: whether a system trace is taken of each case.
    """
    cases = expand(plan)
    purposes = purposes_of(plan.config.measure, trace=trace)
    timing_s = plan.config.measure.rounds * launch_estimate_s(plan.limits)
    checking_s = sum(check_estimate_s(purpose, plan.limits) for purpose in purposes)
    launches = len(cases) * plan.config.measure.rounds
    make_s = 0.0
    for model in plan.config.model:
        made = [v for v in plan.variants[model.name] if v not in model.files]
        converted = bool(made) and model.source is not None and not is_tflite(model.source)
        make_s += sum(_make_s(v) for v in made) + LOAD_TENSORFLOW_S * converted
    evaluated = sum(
        len(plan.variants[model.name]) * len(kernels_of(plan.config))
        for model in plan.config.model
        if model.holdout is not None
    )
    return Estimate(
        make_s=make_s,
        evaluate_s=EVALUATE_S * evaluated / 2,
        measure_s=_of_devices_s(plan, cases, timing_s),
        check_s=_of_devices_s(plan, cases, checking_s),
        launches=launches,
        checks=len(cases) * len(purposes),
    )
