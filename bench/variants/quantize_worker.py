"""The process that may import ai-edge-quantizer: `python -P -m bench.variants.quantize_worker`.

Its one argument is the job's file, a JSON object: `task` "quantize", `source` (a float
.tflite), `folder` and `jobs`, each with `name`, `recipe` (a variant or "int8-selective"),
`calibration` (.npz or null), `ranges` (.json of tensor name -> [min, max], used instead
of calibrating, or null), `float_ops` (output tensor names of ops that stay float) and
`seed`. It reports `progress`, `made` (name, file, seconds, warnings, facts), `failed`
(name, kind, message), `user_error` and `missing`; see bench.variants.worker.

Ranges are the exact minimum and maximum over all calibration samples, as the TensorFlow
Lite converter takes them. The quantizer's own calibration is a moving average, whose
result depends on the order of the samples.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import UserError
from bench.format import first_line, first_line_of
from bench.tflite.graph import TfliteModel, parse_model
from bench.variants.arrays import check_fits, choose, load_samples
from bench.variants.child import Reporter, log_traceback, serve
from bench.variants.quantize_recipes import (
    CALIBRATED,
    CannotQuantise,
    keep_float,
    recipe_of,
)
from bench.variants.recipe import MAX_CALIBRATION_SAMPLES
from bench.variants.tflite_source import CANNOT_MAKE, input_of, parse_float

# The runtime's word about a debugging option, which is meant here and costs only memory.
_PRESERVES = ".*experimental_preserve_all_tensors"

Ranges = Mapping[str, tuple[float, float]]


def quantise(
    fp32: bytes, variant: str, *, ranges: Ranges | None, float_ops: Sequence[str] = ()
) -> bytes:
    """Make one variant of a float .tflite by ai-edge-quantizer.

    Args:
        variant: fp16, dynamic, dynamic-int4, weight-int8, int8, int8-float-io, int16x8, or
            "int8-selective": int8 where `float_ops` are left in float.
        ranges: of every computed float tensor, see `tensor_ranges`; None where the recipe
            needs none.
        float_ops: for each op that is to stay float, the name of one of its outputs.

    Raises: CannotQuantise.
    """
    from ai_edge_quantizer import quantizer

    recipe = recipe_of(variant)
    model = parse_model(fp32)
    for name in float_ops:
        recipe += keep_float(model, name)
    calibration = None
    if variant in CALIBRATED:
        if not ranges:
            raise CannotQuantise(f"{variant} needs the ranges of its tensors")
        calibration = _calibration(model, ranges)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=_PRESERVES)
            given = fp32 if model.signatures else _with_signature_list(fp32)
            made = quantizer.Quantizer(given, recipe).quantize(
                calibration, enable_progress_bar=False, enable_progress_report=False
            )
    except Exception as error:
        raise CannotQuantise(f"ai-edge-quantizer: {first_line(error)}") from error
    if made.quantized_model is None:
        raise CannotQuantise("ai-edge-quantizer gave no model")
    return bytes(made.quantized_model)


def tensor_ranges(fp32: bytes, x: NDArray[Any]) -> dict[str, tuple[float, float]]:
    """Exact minimum and maximum of every computed float tensor, inputs included.

    Args:
        x: (N, ...) samples that fit the model's one input.

    Plain kernels, one group of the model's batch size at a time; a last group that is not
    full is filled with its last sample, which changes no range.

    Raises: CannotQuantise if the model does not run, or a tensor is not finite.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    model = parse_model(fp32)
    wanted = [
        (t.index, t.name)
        for t in model.graphs[0].tensors
        if t.dtype == "FLOAT32" and not t.is_constant
    ]
    found: dict[str, tuple[float, float]] = {}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=_PRESERVES)
        try:
            interpreter = Interpreter(
                model_content=fp32,
                num_threads=1,
                experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
                experimental_preserve_all_tensors=True,
            )
            interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise CannotQuantise(f"the float model does not load: {first_line(error)}") from error
    entry = interpreter.get_input_details()[0]
    batch = int(entry["shape"][0]) if len(entry["shape"]) else 1
    for start in range(0, len(x), batch):
        group = x[start : start + batch]
        if len(group) < batch:
            group = np.concatenate([group, np.repeat(group[-1:], batch - len(group), axis=0)])
        try:
            # State that one sample leaves behind is none of the next one's.
            interpreter.reset_all_variables()
            interpreter.set_tensor(entry["index"], np.ascontiguousarray(group))
            interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise CannotQuantise(f"the float model does not run: {first_line(error)}") from error
        for index, name in wanted:
            try:
                values = interpreter.get_tensor(index)
            except ValueError:
                # No data: a scratch tensor, or one that no op fills.
                continue
            if values.size == 0:
                continue
            low, high = found.get(name, (np.inf, -np.inf))
            found[name] = (min(low, float(values.min())), max(high, float(values.max())))
    for name, limits in found.items():
        if not np.isfinite(limits).all():
            raise CannotQuantise(
                f"tensor {name!r} of the float model is not finite on the calibration samples"
            )
    return found


def _with_signature_list(fp32: bytes) -> bytes:
    """The same model with a list of signatures, an empty one.

    Where it adds ops at the borders the quantizer mends the signatures, and a model
    without a list of them, as older converters wrote it, makes it fail.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(fp32, 0)
    model.signatureDefs = []
    builder = flatbuffers.Builder(len(fp32))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _calibration(model: TfliteModel, ranges: Ranges) -> dict[str, dict[str, NDArray[np.float32]]]:
    """Ranges as ai-edge-quantizer keeps them: arrays of the tensor's rank, one element."""
    ranks = {t.name: len(t.shape) for t in model.graphs[0].tensors}
    return {
        name: {
            key: np.full((1,) * ranks[name], value, np.float32)
            for key, value in zip(("min", "max"), limits, strict=True)
        }
        for name, limits in ranges.items()
        if name in ranks
    }


def _quantize(job: Mapping[str, Any], reporter: Reporter) -> None:
    path = Path(job["source"])
    try:
        fp32 = path.read_bytes()
    except OSError as error:
        raise UserError(f"source {path.name}: cannot be read: {error.strerror}") from error
    model = parse_float(fp32, path.name)
    calibrated: dict[tuple[str, int], Ranges] = {}
    for task in job["jobs"]:
        started = time.monotonic()
        reporter.send(progress=f"{task['name']}, quantising", variant=task["name"])
        try:
            ranges = None
            if task["recipe"] in CALIBRATED and task.get("ranges") is not None:
                ranges = _read_ranges(Path(task["ranges"]))
            elif task["recipe"] in CALIBRATED:
                if task.get("calibration") is None:
                    raise CannotQuantise(f"{task['recipe']} without calibration samples")
                key = (task["calibration"], task["seed"])
                if key not in calibrated:
                    reporter.send(progress=f"{task['name']}, calibrating")
                    calibrated[key] = _calibrate(fp32, model, path.name, *key)
                ranges = calibrated[key]
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                data = quantise(
                    fp32, task["recipe"], ranges=ranges, float_ops=task.get("float_ops", ())
                )
        except CannotQuantise as error:
            log_traceback()
            kind = "prerequisite" if task["recipe"] in CANNOT_MAKE else "convert"
            reporter.send(failed=task["name"], kind=kind, message=str(error))
            continue
        file = f"{task['name']}.tflite"
        (Path(job["folder"]) / file).write_bytes(data)
        reporter.send(
            made=task["name"],
            file=file,
            seconds=round(time.monotonic() - started, 3),
            warnings=list(dict.fromkeys(_text(warning.message) for warning in caught)),
            facts={},
        )


def _text(said: object) -> str:
    return first_line_of(str(said), otherwise=type(said).__name__)


def _read_ranges(path: Path) -> Ranges:
    given = json.loads(path.read_text(encoding="utf-8"))
    return {tensor: (float(low), float(high)) for tensor, (low, high) in given.items()}


def _calibrate(fp32: bytes, model: TfliteModel, name: str, path: str, seed: int) -> Ranges:
    samples = load_samples(Path(path), "calibration")
    entry = input_of(model, name)
    # The quantizer takes samples of a wrong shape without a word.
    check_fits(samples, entry.signature, entry.dtype.lower())
    return tensor_ranges(fp32, samples.x[choose(len(samples.x), MAX_CALIBRATION_SAMPLES, seed)])


if __name__ == "__main__":
    sys.exit(serve(sys.argv, {"quantize": _quantize}))
