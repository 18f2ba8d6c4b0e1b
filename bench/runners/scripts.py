"""What launches of our own scripts have in common: their spec, their endings, their padding."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import signal
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from bench.errors import UnreadableOutput
from bench.identity import canonical_json
from bench.records import Failure, Outcome, Purpose
from bench.runners.base import LaunchFiles, LaunchSpec, RawOutput
from bench.runners.invoke_answers import RESULT

INVOKE_LOOP = Path(__file__).with_name("invoke_loop.py")
ANSWERS = Path(__file__).with_name("invoke_answers.py")
LITERT_LOOP = Path(__file__).with_name("litert_loop.py")
LITERT_CAPI = Path(__file__).with_name("litert_capi.py")
LITERT_ABI = Path(__file__).with_name("litert_abi.py")

_EXIT_FAILURE = 3
_LOG_BYTES = 4000
_PAD_BYTES = 4096

T = TypeVar("T")


class _FailureText(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    kind: str
    message: str


class _FailureDocument(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    failure: _FailureText


def laid_out(
    spec: LaunchSpec, script: Path, *, beside: Iterable[Path], purpose: Mapping[str, str]
) -> LaunchFiles:
    """The files and the argv of a launch of a script.

    Args:
        beside: what the script imports.
        purpose: what the script is told of it, where it has several.

    Raises: ValueError for a NUMERICS launch without samples.
    """
    delegate = spec.case.delegate
    document: dict[str, Any] = {
        "model": "model.tflite",
        "delegate": delegate.name,
        "delegate_options": dict(delegate.options),
        "threads": spec.case.threads,
        "input_shapes": {name: list(shape) for name, shape in spec.case.input_shapes},
        **purpose,
    }
    files = {path.name: path for path in (script, *beside)} | {"model.tflite": spec.model}
    results: tuple[str, ...] = ()
    if spec.purpose is Purpose.NUMERICS:
        if spec.samples is None:
            raise ValueError("a numerics launch needs samples")
        files |= {ANSWERS.name: ANSWERS, "samples.npz": spec.samples}
        document |= {"samples": "samples.npz"}
        results = (RESULT,)
    else:
        limits = dataclasses.asdict(spec.limits)
        del limits["timeout_s"]  # the launch's deadline, kept by whoever started it
        inputs = None if spec.inputs is None else "inputs.npz"
        if spec.inputs is not None:
            files["inputs.npz"] = spec.inputs
        document |= {"inputs": inputs, "seed": spec.seed, "limits": limits}
    return LaunchFiles(
        # Neither -P (Python 3.11) nor -I (hides what `pip install --user` put on a board):
        # the first entry of sys.path is the script's own directory, and only files of ours
        # lie in it.
        argv=("{python}", script.name, "spec.json"),
        files=files,
        texts={"spec.json": canonical_json(document)},
        env={"EDGEBENCH_PAD": _padding(spec.launch_key)},
        results=results,
    )


@functools.cache
def scripts_sha256(*paths: Path) -> str:
    """Hex sha256 of the scripts, one after the other."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


def judged(
    output: RawOutput, parse: Callable[[str], T]
) -> tuple[Outcome, T | None, Failure | None]:
    """Judge a launch of a script; a failure's log is the end of stderr.

    Args:
        parse: from the whole of stderr to what the launch gave, where it ended well; raises
            UnreadableOutput.
    """
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
            message = "the script failed without saying why"
            return _failed(Outcome.UNREADABLE, "unreadable", _with(message, last), tail)
        return _failed(Outcome.LOAD_FAILED, failure.kind, failure.message, tail)
    if output.exit_code != 0:
        message = f"the script ended with exit code {output.exit_code}"
        return _failed(Outcome.UNREADABLE, "unreadable", _with(message, last), tail)
    if not output.stdout.strip():
        # A library that ends the process by itself looks like success.
        message = "the process ended as if all were well, and left no result"
        return _failed(Outcome.UNREADABLE, "unreadable", _with(message, last), tail)
    try:
        return Outcome.OK, parse(log), None
    except UnreadableOutput as error:
        return _failed(Outcome.UNREADABLE, "unreadable", str(error), tail)


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
