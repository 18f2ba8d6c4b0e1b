"""One profiling launch of a .tflite on this machine, without a plan and without a record."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from bench.errors import UserError
from bench.identity import Case, DelegateSpec, new_run_id
from bench.records import Outcome, Purpose
from bench.runners.base import LaunchLimits, LaunchSpec, Profiled, RawOutput
from bench.runners.delegates import delegates_of
from bench.runners.litert import LitertRunner
from devices.blobs import BlobStore
from devices.deadline import Deadline
from devices.device import Device
from devices.errors import DeviceError, StableDeviceError
from devices.launch import Launcher

_SEED = 0
_CLEAN_UP_S = 30.0


def profile_file(model: Path, delegate: str, threads: int, device: Device) -> Profiled:
    """Profile a model through LiteRT's C API with a seeded draw as input.

    Args:
        device: with a Python that has the ai-edge-litert wheel, this machine say.

    Raises: UserError for a delegate that cannot be profiled, or a model that does not load;
    StableDeviceError where the launch failed otherwise, and what Launcher.run raises.
    """
    runner = LitertRunner()
    known = delegates_of(runner.kind)
    if delegate not in known:
        raise UserError(
            f"{delegate!r} is no delegate that can be profiled here (none and xnnpack can)"
        )
    launch = f"profile-{new_run_id()}"
    case = Case(
        "profile", model.name, "file", DelegateSpec(delegate), threads, runner.kind, device.name
    )
    limits = LaunchLimits()
    spec = LaunchSpec(case, model, None, _SEED, limits, launch, Purpose.PROFILE)
    if (reason := runner.cannot(spec)) is not None:
        raise UserError(f"{model.name} with delegate {delegate} cannot be profiled: {reason}")
    outcome, profiled, failure = runner.read_profile(spec, _launched(runner, spec, device))
    if outcome is Outcome.OK and profiled is not None:
        return profiled
    why = failure.message if failure is not None else outcome.value
    if outcome is Outcome.LOAD_FAILED:
        raise UserError(f"{model}: {why}")
    raise StableDeviceError(f"{model.name} could not be profiled: {why}", device=device.name)


def _launched(runner: LitertRunner, spec: LaunchSpec, device: Device) -> RawOutput:
    laid = runner.prepare(spec)
    transport = device.transport
    launcher = Launcher(transport, device.workdir, BlobStore(transport, device.workdir))
    try:
        left = launcher.run(
            spec.launch_key,
            [device.python or "python3" if word == "{python}" else word for word in laid.argv],
            files=laid.files,
            texts=laid.texts,
            env=laid.env,
            deadline=Deadline(spec.limits.timeout_s),
            results=laid.results,
        )
    finally:
        with suppress(DeviceError):
            launcher.remove(spec.launch_key, deadline=Deadline(_CLEAN_UP_S))
    return RawOutput(left.exit_code, left.stdout, left.stderr, left.files)
