"""Measure one model in this process and print one JSON document: the invoke loop.

A program of its own: it is copied to the device and runs there, so it needs only the
standard library, numpy, any of ai_edge_litert, tflite_runtime or tensorflow, and Python
3.9. `python invoke_loop.py spec.json` reads the spec (bench.runners.loop writes it) in
the working directory. Exit status 0: stdout is the document that bench.parsers.invoke_loop
reads. 3: it is {"failure": {"kind", "message"}}. A runtime that aborts ends by its signal.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import importlib.metadata
import itertools
import json
import math
import os
import platform
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Callable  # noqa: UP035  (Python 3.9 on the device)

import numpy as np

FORMAT = "edgebench-invoke-loop/1"
EXIT_FAILURE = 3
SLOW_INVOKE_NS = 100_000_000
SLOW_WARMUP_INVOKES = 3
DRIFT_TOLERANCE = 0.02
BLOCKS = 30
LEAST_LEFT = 10
TIMER_SHARE = 0.03
# Warm-up may make a million invokes; what is worth keeping of it lies at its start.
WARMUP_KEPT = 10_000
REFILL_INVOKES = 3
COPY_REPEATS = 20
DRAWN_INDEX_BELOW = 100
RESOLVERS = {"none": "BUILTIN_WITHOUT_DEFAULT_DELEGATES", "xnnpack": "AUTO"}
# Delegates that a shared library brings, and the library where the plan names none.
LIBRARIES = {"external": "", "edgetpu": "libedgetpu.so.1"}

Array = Any  # numpy's own generic types cannot be subscripted by the oldest supported numpy


class Failed(Exception):
    """The launch ends without a number: kind is a stable word, message one line."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = " ".join(message.split())[:1000]


@contextlib.contextmanager
def stage(kind: str) -> Iterator[None]:
    """Whatever goes wrong inside is a failure of this kind."""
    try:
        yield
    except Failed:
        raise
    except Exception as error:
        raise Failed(kind, str(error) or type(error).__name__) from error


# --- Warm-up and timer: pure functions -----------------------------------------------------


def halves_agree(times: Sequence[int] | Array) -> bool:
    """Whether the medians of both halves are within 2 % or twice their standard error.

    The error is that of a median (1.25 sd), times 1.5 because neighbouring samples are
    correlated. The sd comes from the deviations within the halves (MAD, corrected for few
    samples): taken over both, a step between them would count as noise and excuse itself;
    at 20 samples a step of 30 % passed. Fewer than 4 times agree with nothing.
    """
    logs = np.log(np.maximum(np.asarray(times, dtype=np.float64), 1e-9))
    half = len(logs) // 2
    if half < 2:
        return False
    medians = [float(np.median(part)) for part in (logs[:half], logs[half:])]
    within = np.abs(np.concatenate([logs[:half] - medians[0], logs[half:] - medians[1]]))
    spread = 1.4826 * float(np.median(within)) * half / (half - 1)
    error = 1.25 * 1.5 * spread * math.sqrt(2 / half)
    return abs(medians[0] - medians[1]) <= max(DRIFT_TOLERANCE, 2 * error)


def mser_cut(times: Sequence[int] | Array) -> int:
    """How many leading times to cut: MSER on the medians of some 30 blocks of logs.

    The cut minimises the squared standard error of what remains (White 1997). Shorter
    blocks take a burst of other load for a change of level, and a handful of blocks at
    the end agree by chance: at least a third of them must remain.
    """
    logs = np.log(np.maximum(np.asarray(times, dtype=np.float64), 1e-9))
    size = max(1, len(logs) // BLOCKS)
    count = len(logs) // size
    blocks = np.median(logs[: count * size].reshape(count, size), axis=1)
    errors = [float(blocks[d:].var()) / (count - d) for d in range(max(count - LEAST_LEFT, 1))]
    return int(np.argmin(errors)) * size


def judge_warmup(times: Sequence[int] | Array) -> tuple[int, bool]:
    """Return (invokes to cut, whether the rest is steady) for a trace of at least one time.

    Any unit of time will do. Steady means that the cut lies in the first half and that
    the two halves of the rest agree.
    """
    cut = mser_cut(times)
    return cut, cut <= len(times) / 2 and halves_agree(times[cut:])


def timer_facts() -> tuple[float, int]:
    """Return (ns that an empty sample shows, smallest step of the clock in ns)."""
    clock = time.perf_counter_ns
    empty = []
    for _ in range(5000):
        before = clock()
        empty.append(clock() - before)
    steps = [step for step in empty if step > 0]
    return float(np.median(empty)), min(steps, default=10**9)


def batch_size(timer_ns: float, invoke_ns: float) -> int:
    """Smallest number of invokes of which the timer's cost is at most 3 %."""
    return max(1, math.ceil(timer_ns / (TIMER_SHARE * invoke_ns) - 1e-9))


def evenly(values: list[int], most: int) -> list[int]:
    """At most `most` of the values, evenly spaced, the first among them."""
    if len(values) <= most:
        return values
    return [values[i * len(values) // most] for i in range(most)]


# --- The loop ----------------------------------------------------------------------------


def record(
    invoke: Callable[[], None],
    samples: list[int],
    count: int,
    until_ns: int,
    stop_ns: int,
    batch: int = 1,
) -> None:
    """Append samples until there are `count` and it is `until_ns`, or until it is `stop_ns`.

    A batched sample is divided by its invokes and rounded to whole ns. That costs at most
    0.2 % even for the fastest model: the call into the runtime alone takes over 300 ns.
    """
    clock = time.perf_counter_ns
    append = samples.append
    now = clock()
    if batch == 1:
        while now < stop_ns and (now < until_ns or len(samples) < count):
            before = clock()
            invoke()
            now = clock()
            append(now - before)
        return
    while now < stop_ns and (now < until_ns or len(samples) < count):
        before = clock()
        for _ in itertools.repeat(None, batch):
            invoke()
        now = clock()
        append((now - before + batch // 2) // batch)


def warm_up(
    invoke: Callable[[], None], limits: dict[str, Any], samples: list[int], start_ns: int
) -> tuple[int, bool | None]:
    """Invoke until steady or out of time; return (cut, steady).

    `samples` holds the first inference, made at `start_ns`. steady is None where an
    invoke is so slow that only the measured part can tell.
    """
    most = float(limits["warmup_max_s"])
    length = min(float(limits["warmup_min_s"]), most)
    stop_ns = start_ns + int(most * 1e9)
    record(invoke, samples, SLOW_WARMUP_INVOKES, 0, stop_ns)
    if min(samples) > SLOW_INVOKE_NS:
        return 0, None
    while True:
        until_ns = start_ns + int(length * 1e9)
        record(invoke, samples, int(limits["warmup_min_invokes"]), until_ns, stop_ns)
        cut, steady = judge_warmup(samples)
        if steady or length >= most:
            return cut, steady
        length = min(max(length, 0.1) * 1.5, most)


# --- The runtime ---------------------------------------------------------------------------


def import_runtime() -> tuple[str, str, Any, Any]:
    """Return (name, version, Interpreter, OpResolverType) of the first runtime there is."""
    problems = []
    try:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        return "ai_edge_litert", version_of("ai-edge-litert"), Interpreter, OpResolverType
    except ImportError as error:
        problems.append(str(error))
    try:
        from tflite_runtime.interpreter import Interpreter, OpResolverType

        return "tflite_runtime", version_of("tflite-runtime"), Interpreter, OpResolverType
    except ImportError as error:
        problems.append(str(error))
    try:
        import tensorflow as tf

        resolver = tf.lite.experimental.OpResolverType
        return "tensorflow", str(tf.__version__), tf.lite.Interpreter, resolver
    except ImportError as error:
        problems.append(str(error))
    message = "no TFLite runtime; install ai-edge-litert on the device"
    raise Failed("no-runtime", f"{message} ({'; '.join(problems)})")


def version_of(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def borders(interpreter: Any) -> list[tuple[list[int], list[int]]]:
    """Inputs and outputs of each DELEGATE node that the runtime lists, in its order."""
    return [
        ([int(t) for t in node["inputs"]], [int(t) for t in node["outputs"]])
        for node in interpreter._get_ops_details()
        if node["op_name"] == "DELEGATE"
    ]


def node_evidence(interpreter: Any, own: list[Any] | None = None) -> dict[str, Any]:
    """Who runs which node of the main subgraph, from the runtime's own list of nodes.

    `own` are the borders of the DELEGATE nodes that count, where others may have been added
    since; None counts all. Where they are no longer the first, nobody can tell which is whose.

    The original nodes stay listed and a DELEGATE node is added per partition. Walking
    back from the outputs of a DELEGATE node to its inputs meets the nodes it replaced.
    Constants behind DEQUANTIZE nodes (float16 models) are nodes like any other; where
    one serves several partitions it is an output of the first. A node that feeds
    nothing cannot be met and counts as outside: no evidence is not good news.
    """
    nodes = interpreter._get_ops_details()
    delegates = [node for node in nodes if node["op_name"] == "DELEGATE"]
    if own is not None:
        if borders(interpreter)[: len(own)] != own:
            raise ValueError("the delegate was applied anew; which nodes are its is not told")
        delegates = delegates[: len(own)]
    originals = [node for node in nodes if node["op_name"] != "DELEGATE"]
    producer = {int(t): i for i, node in enumerate(originals) for t in node["outputs"]}
    taken: set[int] = set()
    for delegate in delegates:
        border = {int(t) for t in delegate["inputs"]}
        todo = [int(t) for t in delegate["outputs"]]
        seen: set[int] = set()
        while todo:
            tensor = todo.pop()
            node_index = producer.get(tensor)
            if tensor in border or node_index is None or node_index in seen:
                continue
            seen.add(node_index)
            todo.extend(int(t) for t in originals[node_index]["inputs"])
        taken |= seen
    outside = Counter(str(n["op_name"]) for i, n in enumerate(originals) if i not in taken)
    return {
        "total": len(originals),
        "delegated": len(taken),
        "partitions": len(delegates),
        "outside": dict(outside),
    }


# --- Inputs and outputs --------------------------------------------------------------------


def draw(rng: Any, detail: dict[str, Any]) -> Array:
    """A seeded draw for one input: never constant, zero throughout, or denormal.

    Quantised inputs get their whole range (returned as the real values it stands for),
    small integers their type's, floats (0, 1]. Wide integers are mostly indices: 0 to 99.
    """
    dtype, shape = np.dtype(detail["dtype"]), tuple(int(d) for d in detail["shape"])
    scale, zero_point = detail["quantization"]
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(bool)
    if dtype.kind == "f":
        return np.maximum(rng.random(shape), 1e-3).astype(dtype)
    if dtype.kind not in "iu":
        raise Failed("inputs", f"no draw for input {detail['name']} of {dtype}; give a holdout")
    if not scale and dtype.itemsize > 2:
        return rng.integers(0, DRAWN_INDEX_BELOW, shape, dtype=dtype)
    whole = np.iinfo(dtype)
    values = rng.integers(whole.min, whole.max, shape, dtype=dtype, endpoint=True)
    if not scale:
        return values
    return ((values.astype(np.float64) - zero_point) * scale).astype(np.float32)


def to_tensor(values: Array, detail: dict[str, Any]) -> Array:
    """Bring an array to the type of an input, quantising real values; Failed if it cannot be."""
    dtype = np.dtype(detail["dtype"])
    scale, zero_point = detail["quantization"]
    if values.dtype == dtype or dtype.kind == "b":
        return values.astype(dtype, copy=False)
    if dtype.kind in "iu":
        whole = np.iinfo(dtype)
        if values.dtype.kind == "f":
            if not scale:
                raise Failed("inputs", f"input {detail['name']} takes {dtype}, not real numbers")
            values = np.clip(np.round(values / scale) + zero_point, whole.min, whole.max)
        elif values.size and (values.min() < whole.min or values.max() > whole.max):
            raise Failed("inputs", f"values for input {detail['name']} do not fit into {dtype}")
    return values.astype(dtype)


def check_array(values: Array, detail: dict[str, Any]) -> None:
    wanted = tuple(int(d) for d in detail["shape"])
    name = detail["name"]
    if values.shape != wanted:
        raise Failed("inputs", f"input {name} takes shape {wanted}, the file has {values.shape}")
    if values.dtype.kind not in "biuf":
        raise Failed("inputs", f"the array for input {name} is {values.dtype}, not numbers")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise Failed("inputs", f"the array for input {name} holds NaN or infinity")


def input_arrays(spec: dict[str, Any], details: list[dict[str, Any]]) -> list[Array]:
    """One array per input, in the model's order, before quantisation."""
    if spec["inputs"] is None:
        rng = np.random.default_rng(spec["seed"])
        return [draw(rng, detail) for detail in details]
    with np.load(spec["inputs"], allow_pickle=False) as archive:
        names = [f"arr_{i}" for i in range(len(details))]
        if sorted(archive.files) != sorted(names):
            found = ", ".join(archive.files) or "nothing"
            raise Failed("inputs", f"the file has {found}; the model needs {', '.join(names)}")
        arrays = [archive[name] for name in names]
    for values, detail in zip(arrays, details):  # noqa: B905  (strict= needs Python 3.10)
        check_array(values, detail)
    return arrays


def resize(interpreter: Any, shapes: dict[str, list[int]]) -> None:
    """Give inputs the shapes of the plan, and every open dimension that is left a 1."""
    details = interpreter.get_input_details()
    unknown = set(shapes) - {detail["name"] for detail in details}
    if unknown:
        raise Failed("inputs", f"the model has no input {', '.join(sorted(unknown))}")
    for detail in details:
        shape = shapes.get(detail["name"]) or [int(d) for d in detail["shape"]]
        shape = [1 if d < 0 else d for d in shape]
        if shape != [int(d) for d in detail["shape"]]:
            interpreter.resize_tensor_input(detail["index"], shape)


def copy_in(interpreter: Any, arrays: list[Array], details: list[dict[str, Any]]) -> None:
    for values, detail in zip(arrays, details):  # noqa: B905
        interpreter.set_tensor(detail["index"], to_tensor(values, detail))


def copy_out(interpreter: Any, details: list[dict[str, Any]]) -> None:
    for detail in details:
        values = interpreter.get_tensor(detail["index"])
        scale, zero_point = detail["quantization"]
        if scale and values.dtype.kind in "iu":
            (values.astype(np.float32) - zero_point) * scale


def median_us(action: Callable[[], None]) -> float:
    samples: list[int] = []
    second = time.perf_counter_ns() + 1_000_000_000
    record(action, samples, COPY_REPEATS, 0, second)
    return float(np.median(samples)) / 1e3


# --- What the system says ------------------------------------------------------------------


def memory_peak_kib() -> int | None:
    """VmHWM: getrusage would carry the parent's peak over fork and exec."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/self/status").read_text("ascii", "replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return None


def processor_ns() -> tuple[int | None, int | None]:
    """Return (busy, stolen) CPU time of the whole system since boot, in ns (proc(5))."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        ticks = [int(word) for word in Path("/proc/stat").read_text("ascii").split()[1:9]]
        tick_ns = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
        user, nice, system, _idle, _iowait, irq, softirq, steal = ticks
        return (user + nice + system + irq + softirq) * tick_ns, steal * tick_ns
    return None, None


def difference(after: int | None, before: int | None) -> int | None:
    return None if after is None or before is None else after - before


# --- One launch ----------------------------------------------------------------------------


def from_library(spec: dict[str, Any], interpreter_type: Any) -> list[Any]:
    """The delegates that the interpreter is given; Failed where one cannot be had."""
    name, options = spec["delegate"], spec["delegate_options"]
    if name not in LIBRARIES:
        return []
    path = options.get("path") or LIBRARIES[name]
    pairs = [part.partition(":") for part in options.get("options", "").split(";") if part]
    # Whichever package the interpreter came from has the loader beside it.
    load_delegate = getattr(sys.modules.get(interpreter_type.__module__), "load_delegate", None)
    if load_delegate is None:
        raise Failed("delegate", "this runtime cannot load a delegate from a library")
    try:
        return [load_delegate(path, {key: value for key, _, value in pairs})]
    except AttributeError as error:
        raise Failed("delegate", f"{path} is no delegate: it lacks {error}") from error
    except (OSError, ValueError, RuntimeError) as error:
        raise Failed("delegate", f"the delegate {path} cannot be loaded: {error}") from error


def load(spec: dict[str, Any], interpreter_type: Any, resolvers: Any) -> Any:
    """An interpreter with the delegate that was asked for, or Failed."""
    name = spec["delegate"]
    kernels = spec["delegate_options"].get("rest", "xnnpack") if name in LIBRARIES else name
    if kernels not in RESOLVERS:
        raise Failed("load", f"this runner cannot do delegate {name}")

    def interpreter(delegates: list[Any]) -> Any:
        return interpreter_type(
            model_path=spec["model"],
            num_threads=spec["threads"],
            experimental_op_resolver_type=getattr(resolvers, RESOLVERS[kernels]),
            **({"experimental_delegates": delegates} if delegates else {}),
        )

    delegates = from_library(spec, interpreter_type)
    with stage("load"):
        try:
            return interpreter(delegates)
        except Exception as error:
            if not delegates:
                raise
            interpreter([])  # where the model itself cannot be read, this raises
            raise Failed("delegate", f"{name} cannot be applied: {error}") from error


def build(
    spec: dict[str, Any], interpreter_type: Any, resolvers: Any
) -> tuple[Any, float, float, dict[str, Any]]:
    """Return (interpreter, load us, allocate us, what is known of its nodes)."""
    clock = time.perf_counter_ns
    before = clock()
    interpreter = load(spec, interpreter_type, resolvers)
    load_ns = clock() - before
    own, problem, nodes = None, "", None
    if spec["delegate"] in LIBRARIES:
        # XNNPACK takes the rest while tensors are allocated: what is there now is not its.
        try:
            own = borders(interpreter)
        except Exception as error:  # a private method of the runtime: it may go or change
            problem = f"the runtime does not list its nodes: {error!r}"
    with stage("inputs"):
        resize(interpreter, spec["input_shapes"])
    with stage("allocate"):
        before = clock()
        interpreter.allocate_tensors()
        allocate_ns = clock() - before
    if not problem:
        try:
            nodes = node_evidence(interpreter, own)
        except Exception as error:
            problem = f"the runtime does not list its nodes: {error!r}"
    evidence = {"nodes": nodes, "nodes_problem": problem}
    return interpreter, load_ns / 1e3, allocate_ns / 1e3, evidence


def run_loop(interpreter: Any, limits: dict[str, Any]) -> dict[str, Any]:
    """First inference, warm-up and measured part; the sections of the document they fill."""
    clock = time.perf_counter_ns
    invoke = interpreter.invoke
    cost_ns, resolution_ns = timer_facts()
    gc.collect()
    gc.freeze()
    gc.disable()
    warm: list[int] = []
    busy, stolen = processor_ns()
    window_cpu, window = time.process_time_ns(), clock()
    record(invoke, warm, 1, 0, window + 10**18)
    # Read before millions of samples pile up: those are this script's, not the model's.
    peak_kib = memory_peak_kib()
    cut, steady = warm_up(invoke, limits, warm, window)
    batch = batch_size(max(cost_ns, resolution_ns), float(np.median(warm[cut:])))
    if steady is not None:
        # Judging took a moment, in which caches went cold: the next invoke may take twice as long.
        record(invoke, warm, len(warm) + REFILL_INVOKES, 0, clock() + 10**18)
    warm_ns = clock() - window
    samples: list[int] = []
    cpu, start = time.process_time_ns(), clock()
    until, stop = (start + int(limits[f"measure_{end}_s"] * 1e9) for end in ("min", "max"))
    record(invoke, samples, int(limits["min_samples"]), until, stop, batch)
    wall_ns, cpu_ns = clock() - start, time.process_time_ns() - cpu
    window_ns, window_cpu_ns = clock() - window, time.process_time_ns() - window_cpu
    busy_after, stolen_after = processor_ns()
    gc.enable()
    non_positive = sum(1 for ns in itertools.chain(warm, samples) if ns <= 0)
    return {
        "first_inference_us": warm[0] / 1e3,
        "peak_rss_kib": peak_kib,
        "timer": {"cost_ns": cost_ns, "resolution_ns": resolution_ns},
        "warmup": {
            "samples_ns": warm[:WARMUP_KEPT],
            "invokes": len(warm),
            "wall_ns": warm_ns,
            "cut": cut,
            "steady": halves_agree(samples) if steady is None else steady,
        },
        "measured": {
            "samples_ns": evenly(samples, int(limits["max_samples"])),
            "made": len(samples),
            "invokes_per_sample": batch,
            "wall_ns": wall_ns,
            "cpu_ns": cpu_ns,
        },
        "load": {
            "wall_ns": window_ns,
            "process_cpu_ns": window_cpu_ns,
            "busy_ns": difference(busy_after, busy),
            "steal_ns": difference(stolen_after, stolen),
        },
        "clock": {
            "non_positive": non_positive,
            # Rounding of batched samples may add up to half a ns per invoke.
            "went_back": sum(samples) * batch > wall_ns + len(samples) * batch,
        },
    }


def provenance(spec: dict[str, Any], name: str, version: str) -> dict[str, Any]:
    """Fields of every document: what was asked for, of which model, by which runtime."""
    return {
        "delegate": spec["delegate"],
        "threads": spec["threads"],
        "model_sha256": hashlib.sha256(Path(spec["model"]).read_bytes()).hexdigest(),
        "runtime": {
            "name": name,
            "version": version,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "machine": platform.machine(),
        },
    }


def set_inputs(spec: dict[str, Any], interpreter: Any) -> tuple[list[Array], dict[str, Any]]:
    """Give a model its inputs; return them unquantised, and the document's section on them."""
    details = interpreter.get_input_details()
    arrays = input_arrays(spec, details)
    copy_in(interpreter, arrays, details)
    digest = hashlib.sha256()
    for detail in details:
        digest.update(interpreter.get_tensor(detail["index"]).tobytes())
    return arrays, {
        "source": "seeded-draw" if spec["inputs"] is None else "holdout",
        "seed": spec["seed"],
        "sha256": digest.hexdigest(),
        "tensors": [
            {
                "name": str(detail["name"]),
                "shape": [int(d) for d in detail["shape"]],
                "dtype": np.dtype(detail["dtype"]).name,
            }
            for detail in details
        ],
    }


def launch(spec: dict[str, Any]) -> dict[str, Any]:
    """Measure what the spec describes; return the document, or raise Failed."""
    name, version, interpreter_type, resolvers = import_runtime()
    baseline_kib = memory_peak_kib()
    interpreter, load_us, allocate_us, evidence = build(spec, interpreter_type, resolvers)
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    with stage("inputs"):
        arrays, told = set_inputs(spec, interpreter)
    with stage("invoke"):
        loop = run_loop(interpreter, spec["limits"])
        output_copy_us = median_us(lambda: copy_out(interpreter, outputs))
        input_copy_us = median_us(lambda: copy_in(interpreter, arrays, inputs))
    return {
        "format": FORMAT,
        **provenance(spec, name, version),
        "inputs": told,
        "load_us": load_us,
        "allocate_us": allocate_us,
        "input_copy_us": input_copy_us,
        "output_copy_us": output_copy_us,
        "baseline_rss_kib": baseline_kib,
        **evidence,
        **loop,
    }


def main(spec_name: str, work: Callable[[dict[str, Any]], dict[str, Any]] = launch) -> int:
    """Do what a spec says and print the document of it, or of why there is none."""
    # Native code prints to fd 1 as it likes; the document must be alone there.
    result = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    spec = json.loads(Path(spec_name).read_text("ascii"))
    try:
        document, status = work(spec), 0
    except Failed as failure:
        document = {"failure": {"kind": failure.kind, "message": failure.message}}
        status = EXIT_FAILURE
    with result:
        json.dump(document, result, separators=(",", ":"))
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
