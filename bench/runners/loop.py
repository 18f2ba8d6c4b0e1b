"""The runner kind invoke_loop: what to lay out, what to start, and how to judge the rest."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from bench.errors import UnreadableOutput
from bench.identity import canonical_json
from bench.parsers.invoke_loop import parse
from bench.records import Failure, Measurement, Outcome
from bench.runners.base import LaunchFiles, LaunchSpec, RawOutput

SCRIPT = Path(__file__).with_name("invoke_loop.py")
DELEGATES = frozenset({"none", "xnnpack"})
_EXIT_FAILURE = 3
_LOG_BYTES = 4000
_PAD_BYTES = 4096


class _FailureText(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    kind: str
    message: str


class _FailureDocument(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    failure: _FailureText


class InvokeLoopRunner:
    """Measures through the Python interpreter of whichever TFLite runtime the device has."""

    @property
    def kind(self) -> str:
        return "invoke_loop"

    @property
    def environment(self) -> Mapping[str, Any]:
        """The script's own sha256: its sum is what a change of method shows in."""
        return {"runner_sha256": _script_sha256()}

    def prepare(self, spec: LaunchSpec) -> LaunchFiles:
        """Lay out the script, the model, the inputs and the spec.

        Raises: ValueError for a delegate, or options of one, that this runner does not have;
        a plan must not have planned it.
        """
        delegate = spec.case.delegate
        if delegate.name not in DELEGATES or delegate.options:
            raise ValueError(f"invoke_loop has no delegate {delegate.to_json()}")
        files = {"invoke_loop.py": SCRIPT, "model.tflite": spec.model}
        if spec.inputs is not None:
            files["inputs.npz"] = spec.inputs
        limits = dataclasses.asdict(spec.limits)
        del limits["timeout_s"]  # the launch's deadline, kept by whoever started it
        document = {
            "model": "model.tflite",
            "inputs": None if spec.inputs is None else "inputs.npz",
            "delegate": delegate.name,
            "threads": spec.case.threads,
            "seed": spec.seed,
            "input_shapes": {name: list(shape) for name, shape in spec.case.input_shapes},
            "limits": limits,
        }
        return LaunchFiles(
            # Neither -P (Python 3.11) nor -I (hides what `pip install --user` put on a
            # board): the first entry of sys.path is the script's own directory, and only
            # files of ours lie in it.
            argv=("{python}", "invoke_loop.py", "spec.json"),
            files=files,
            texts={"spec.json": canonical_json(document)},
            env={"EDGEBENCH_PAD": _padding(spec.launch_key)},
        )

    def read(
        self, spec: LaunchSpec, output: RawOutput
    ) -> tuple[Outcome, Measurement | None, Failure | None]:
        """Judge what came out; the failure's log is the end of stderr."""
        log = output.stderr.decode("utf-8", "replace")
        tail = log[-_LOG_BYTES:]
        last = next((line.strip() for line in reversed(log.splitlines()) if line.strip()), "")
        if output.exit_code < 0:
            message = f"the runtime aborted ({_signal_name(-output.exit_code)})"
            return _failed(Outcome.CRASHED, "crash", _with(message, last), tail)
        if output.exit_code == _EXIT_FAILURE:
            try:
                failure = _FailureDocument.model_validate_json(output.stdout).failure
            except ValidationError:
                message = "invoke_loop failed without saying why"
                return _failed(Outcome.UNREADABLE, "unreadable", _with(message, last), tail)
            return _failed(Outcome.LOAD_FAILED, failure.kind, failure.message, tail)
        if output.exit_code != 0:
            message = f"invoke_loop ended with exit code {output.exit_code}"
            return _failed(Outcome.UNREADABLE, "unreadable", _with(message, last), tail)
        try:
            measurement = parse(
                output.stdout,
                delegate=spec.case.delegate.name,
                threads=spec.case.threads,
                log=log,
            )
        except UnreadableOutput as error:
            return _failed(Outcome.UNREADABLE, "unreadable", str(error), tail)
        return Outcome.OK, measurement, None


@functools.cache
def _script_sha256() -> str:
    return hashlib.sha256(SCRIPT.read_bytes()).hexdigest()


def _padding(launch_key: str) -> str:
    """0 to 4095 characters: moves the stack, so that its layout varies over the launches.

    Mytkowicz et al. 2009: the size of the environment alone can change a time by percents.
    """
    digest = hashlib.sha256(launch_key.encode()).digest()
    return "x" * (int.from_bytes(digest[:4], "big") % _PAD_BYTES)


def _signal_name(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
    if number == signal.SIGKILL:
        return f"{name}: killed from outside, often for want of memory"
    return name


def _with(message: str, detail: str) -> str:
    return f"{message}: {detail}" if detail else message


def _failed(outcome: Outcome, kind: str, message: str, log: str) -> tuple[Outcome, None, Failure]:
    return outcome, None, Failure(kind, message, log)
