"""The inputs of a launch as the raw bytes that benchmark_model reads, one file per tensor.

The tool takes the bytes of exactly each tensor's size, by the tensor's name
(--input_layer_value_files; LiteRT, tflite/tools/benchmark/benchmark_tflite_model.cc).
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.errors import UnreadableOutput, UserError
from bench.records import Json
from bench.runners.base import LaunchSpec
from bench.runners.invoke_loop import Failed, input_arrays, to_tensor
from bench.tflite.facts import TensorFacts, read_model
from bench.tflite.values import NUMPY_DTYPES


@dataclass(frozen=True, slots=True)
class RawInputs:
    """What to give the tool.

    Attributes:
        flags: that name the files; () where the tool draws its own input.
        files: name in the run directory -> file on the controller.
        record: for Measurement.inputs: source "holdout", "seeded-draw" or "tool-random",
            seed, sha256 of all tensors' bytes (None of the tool's), tensors, and why the
            tool draws, where it does.
    """

    flags: tuple[str, ...]
    files: Mapping[str, Path]
    record: Json


class _CannotGive(Exception):
    """The tool's flags cannot say this input."""


def raw_inputs(spec: LaunchSpec, scratch: Path) -> RawInputs:
    """Write the tensors of a launch into `scratch`, by content, where they are not there.

    Raises: UserError where the model cannot be read or the holdout does not fit it.
    """
    try:
        inputs = read_model(spec.model.read_bytes()).inputs
    except (OSError, UnreadableOutput) as error:
        raise UserError(f"{spec.model}: {error}") from error
    shapes = dict(spec.case.input_shapes)
    try:
        details = [_detail(tensor, shapes.get(tensor.name)) for tensor in inputs]
        asked = {"inputs": spec.inputs, "seed": spec.seed}
        arrays = input_arrays(asked, details)
        tensors = [to_tensor(a, d) for a, d in zip(arrays, details, strict=True)]
    except _CannotGive as error:
        if spec.inputs is not None:
            raise UserError(f"{spec.model}: benchmark_model cannot be given {error}") from error
        return tool_random(str(error))
    except Failed as error:
        if spec.inputs is not None:
            raise UserError(f"{spec.inputs}: {error.message}") from error
        return tool_random(error.message)
    whole = hashlib.sha256()
    files: dict[str, Path] = {}
    for number, tensor in enumerate(tensors):
        content = tensor.tobytes()
        whole.update(content)
        files[f"input_{number}.bin"] = _written(content, scratch)
    names = [tensor.name for tensor in inputs]
    given = ",".join(f"{_escaped(n)}:{f}" for n, f in zip(names, files, strict=True))
    sizes = ":".join(",".join(map(str, tensor.shape)) for tensor in tensors)
    record = {
        "source": "seeded-draw" if spec.inputs is None else "holdout",
        "seed": spec.seed,
        "sha256": whole.hexdigest(),
        "tensors": [
            {"name": name, "shape": list(tensor.shape), "dtype": str(tensor.dtype)}
            for name, tensor in zip(names, tensors, strict=True)
        ],
    }
    flags = (
        f"--input_layer={','.join(names)}",
        f"--input_layer_shape={sizes}",
        f"--input_layer_value_files={given}",
    )
    return RawInputs(flags, files, record)


def tool_random(why: str) -> RawInputs:
    """The input that the tool draws itself, from a seed that it does not tell."""
    record = {"source": "tool-random", "seed": None, "sha256": None, "reason": why}
    return RawInputs((), {}, record)


def _detail(tensor: TensorFacts, shape: tuple[int, ...] | None) -> dict[str, object]:
    """An input as the invoke loop describes it, for the same values in the same order."""
    dtype = NUMPY_DTYPES.get(tensor.dtype)
    if dtype is None:
        raise _CannotGive(f"an input of {tensor.dtype}")
    if "," in tensor.name or not tensor.name.isprintable() or not tensor.name:
        raise _CannotGive("an input whose name has a comma, a control character or no letter")
    wanted = tuple(max(1, size) for size in shape or tensor.shape)
    if not wanted:
        raise _CannotGive("a scalar input")
    return {
        "name": tensor.name,
        "dtype": np.dtype(dtype),
        "shape": wanted,
        "quantization": (tensor.scale or 0.0, tensor.zero_point or 0),
    }


def _escaped(name: str) -> str:
    """A colon is doubled; what the tool's help says of a backslash does not work."""
    return name.replace(":", "::")


def _written(content: bytes, scratch: Path) -> Path:
    path = scratch / f"{hashlib.sha256(content).hexdigest()}.bin"
    if not path.exists():
        scratch.mkdir(parents=True, exist_ok=True)
        # Threads of other devices write the same content at the same time.
        fresh = path.with_suffix(f".{uuid.uuid4().hex}")
        fresh.write_bytes(content)
        fresh.replace(path)
    return path
