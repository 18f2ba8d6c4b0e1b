"""The inputs of a launch as the raw bytes that benchmark_model reads, in files per tensor.

The tool takes the bytes of exactly each tensor's size, by the tensor's name
(--input_layer_value_files; LiteRT, tflite/tools/benchmark/benchmark_tflite_model.cc).
"""

from __future__ import annotations

import hashlib
import uuid
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import UnreadableOutput, UserError
from bench.records import Json
from bench.runners.base import LaunchSpec
from bench.runners.invoke_loop import Failed, check_array, input_arrays, to_tensor
from bench.tflite.facts import ModelFacts, TensorFacts, read_model
from bench.tflite.values import NUMPY_DTYPES

# The tool is started once for each.
_MOST_SAMPLES = 1000


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


@dataclass(frozen=True, slots=True)
class RawSamples:
    """What to give a tool that answers one sample after another.

    Attributes:
        count: of samples; item_bytes: of one, per tensor.
        flags: that name input_0.bin ..., one sample's tensors.
        files: samples_0.bin ..., all samples of a tensor -> file on the controller.
        outputs: of the model, every one of an element type that is a number's.
    """

    count: int
    item_bytes: tuple[int, ...]
    flags: tuple[str, ...]
    files: Mapping[str, Path]
    outputs: tuple[TensorFacts, ...]


class _CannotGive(Exception):
    """The tool's flags cannot say this input."""


def raw_inputs(spec: LaunchSpec, scratch: Path) -> RawInputs:
    """Write the tensors of a launch into `scratch`, by content, where they are not there.

    Raises: UserError where the model cannot be read or the holdout does not fit it.
    """
    inputs = _facts(spec.model).inputs
    try:
        details = _details(spec, inputs)
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
    record = {
        "source": "seeded-draw" if spec.inputs is None else "holdout",
        "seed": spec.seed,
        "sha256": whole.hexdigest(),
        "tensors": [
            {"name": name, "shape": list(tensor.shape), "dtype": str(tensor.dtype)}
            for name, tensor in zip(names, tensors, strict=True)
        ],
    }
    return RawInputs(_flags(names, [tensor.shape for tensor in tensors]), files, record)


def raw_samples(spec: LaunchSpec, scratch: Path) -> RawSamples:
    """Write the samples of a launch into `scratch`, by content, where they are not there.

    Raises: UserError where the model cannot be read, the samples do not fit it, or the tool
    cannot be given its inputs or give its outputs.
    """
    if spec.samples is None:
        raise ValueError("a launch for numerics needs samples")
    facts = _facts(spec.model)
    strange = [tensor.dtype for tensor in facts.outputs if tensor.dtype not in NUMPY_DTYPES]
    if strange:
        raise UserError(f"{spec.model}: benchmark_model does not tell an output of {strange[0]}")
    try:
        details = _details(spec, facts.inputs)
        tensors = _sample_tensors(spec.samples, details)
    except _CannotGive as error:
        raise UserError(f"{spec.model}: benchmark_model cannot be given {error}") from error
    except (Failed, OSError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"{spec.samples}: {error}") from error
    files = {
        f"samples_{number}.bin": _written(tensor.tobytes(), scratch)
        for number, tensor in enumerate(tensors)
    }
    return RawSamples(
        count=len(tensors[0]),
        item_bytes=tuple(tensor[0].nbytes for tensor in tensors),
        flags=_flags([tensor.name for tensor in facts.inputs], [t.shape[1:] for t in tensors]),
        files=files,
        outputs=facts.outputs,
    )


def _sample_tensors(path: Path, details: list[dict[str, Any]]) -> list[NDArray[Any]]:
    """One array per input, (samples, *its shape), of its type. Raises: Failed, ValueError."""
    with np.load(path, allow_pickle=False) as archive:
        names = [f"arr_{number}" for number in range(len(details))]
        if not names or sorted(archive.files) != sorted(names):
            raise Failed("inputs", f"the file has {', '.join(archive.files) or 'nothing'}")
        arrays = [archive[name] for name in names]
    counts = {len(values) if values.ndim else 0 for values in arrays}
    if len(counts) != 1 or not 0 < min(counts) <= _MOST_SAMPLES:
        raise Failed(
            "inputs", f"{sorted(counts)} samples, of 1 to {_MOST_SAMPLES} that can be answered"
        )
    tensors = []
    for values, detail in zip(arrays, details, strict=True):
        whole = {**detail, "shape": (len(values), *detail["shape"])}
        # An item is one input, with or without a batch dimension of 1.
        if values.size == np.prod(whole["shape"], dtype=np.int64):
            values = values.reshape(whole["shape"])
        check_array(values, whole)
        tensors.append(np.ascontiguousarray(to_tensor(values, whole)))
    return tensors


def tool_random(why: str) -> RawInputs:
    """The input that the tool draws itself, from a seed that it does not tell."""
    record = {"source": "tool-random", "seed": None, "sha256": None, "reason": why}
    return RawInputs((), {}, record)


def _facts(model: Path) -> ModelFacts:
    try:
        return read_model(model.read_bytes())
    except (OSError, UnreadableOutput) as error:
        raise UserError(f"{model}: {error}") from error


def _details(spec: LaunchSpec, inputs: tuple[TensorFacts, ...]) -> list[dict[str, Any]]:
    shapes = dict(spec.case.input_shapes)
    return [_detail(tensor, shapes.get(tensor.name)) for tensor in inputs]


def _flags(names: Sequence[str], shapes: Sequence[tuple[int, ...]]) -> tuple[str, ...]:
    given = ",".join(f"{_escaped(name)}:input_{k}.bin" for k, name in enumerate(names))
    sizes = ":".join(",".join(map(str, shape)) for shape in shapes)
    return (
        f"--input_layer={','.join(names)}",
        f"--input_layer_shape={sizes}",
        f"--input_layer_value_files={given}",
    )


def _detail(tensor: TensorFacts, shape: tuple[int, ...] | None) -> dict[str, Any]:
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
