"""Proof that an interpreter on a device measures: one short launch of the sentinel model."""

from __future__ import annotations

from contextlib import suppress

from bench.records import Outcome
from bench.runners.base import LaunchLimits, LaunchSpec, RawOutput
from bench.runners.loop import InvokeLoopRunner
from bench.sentinel import sentinel_case, sentinel_files
from devices.blobs import BlobStore
from devices.deadline import Deadline
from devices.device import Device
from devices.errors import DeviceError, StableDeviceError
from devices.launch import Launcher

_LAUNCH = "provision-proof"
_LIMITS = LaunchLimits(
    warmup_min_s=0.1,
    warmup_min_invokes=1,
    measure_min_s=0.1,
    measure_max_s=1.0,
    min_samples=10,
    timeout_s=120.0,
)
_CLEAN_UP_S = 30.0


def prove_python(device: Device, python: str) -> None:
    """Have that interpreter of the device make a few inferences; nothing stays of it.

    Raises: StableDeviceError with the reason where it cannot, and what Launcher.run raises.
    """
    runner = InvokeLoopRunner()
    files = sentinel_files()
    case = sentinel_case(device.name, runner.kind)
    spec = LaunchSpec(case, files.model, files.inputs, 0, _LIMITS, _LAUNCH)
    laid = runner.prepare(spec)
    launcher = Launcher(
        device.transport, device.workdir, BlobStore(device.transport, device.workdir)
    )
    try:
        left = launcher.run(
            _LAUNCH,
            [python if word == "{python}" else word for word in laid.argv],
            files=laid.files,
            texts=laid.texts,
            env=laid.env,
            deadline=Deadline(_LIMITS.timeout_s),
            results=laid.results,
        )
    finally:
        with suppress(DeviceError):
            launcher.remove(_LAUNCH, deadline=Deadline(_CLEAN_UP_S))
    raw = RawOutput(left.exit_code, left.stdout, left.stderr, left.files)
    outcome, _, failure = runner.read(spec, raw)
    if outcome is not Outcome.OK:
        why = failure.message if failure else outcome.value
        raise StableDeviceError(f"{python} does not measure: {why}", device=device.name)
