"""Run one model through LiteRT's CompiledModel in this process and print one JSON document.

A program of its own like invoke_loop.py and built on it: that and litert_capi.py lie beside
it on the device, invoke_answers.py too where it answers samples. `python litert_loop.py
spec.json` times, profiles or answers, by the spec's `purpose`. Exit status 0: stdout is a
document that bench.parsers.litert_loop reads. 3: {"failure": ...} as from invoke_loop.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING or __package__:
    from bench.runners import invoke_loop as loop
    from bench.runners import litert_abi as abi
    from bench.runners import litert_capi
else:
    import invoke_loop as loop
    import litert_abi as abi
    import litert_capi

FORMAT = "edgebench-litert-loop/1"
LEAST_PROFILED, MOST_PROFILED = 20, 200
SYNC_RUNS = 10
SYNC_S = 2.0
_ACCELERATORS = {
    "none": litert_capi.CPU,
    "xnnpack": litert_capi.CPU,
    "gpu": litert_capi.GPU | litert_capi.CPU,
    "npu": litert_capi.NPU | litert_capi.CPU,
}
# LiteRtDelegatePrecision of litert/c/options/litert_gpu_options.h.
_PRECISIONS = {"fp16": 1, "fp32": 2}
_KINDS = {
    litert_capi.OP: "op",
    litert_capi.DELEGATE: "delegate",
    litert_capi.DELEGATE_OP: "delegate-op",
}


# --- Profiles: pure functions --------------------------------------------------------------


def profile_of(runs: Sequence[Sequence[litert_capi.Event]]) -> dict[str, Any]:
    """The document's section on profiled runs: a row for each event.

    Means are over the calmer half of the runs, whole ones: so that the ops of a run and its
    invoke are disturbed by the same, and add up. Where the runs differ in what happens, or
    other subgraphs run (loops, branches), events of one kind, name and index are one row and
    its time is the sum over a run.

    Raises: Failed where a run tells no time of its own.
    """
    invokes = []
    for run in runs:
        whole = [e.us for e in run if (e.kind, e.tag) == (litert_capi.RUNTIME, "Invoke")]
        if not whole:
            raise loop.Failed("profile", "the profiler does not tell the time of an invoke")
        invokes.append(whole[0])  # the outermost starts first; others are of subgraphs
    rows = [[e for e in run if e.kind in _KINDS] for run in runs]
    calm = np.array(invokes) <= np.median(invokes)
    keys = [[(e.kind, e.tag, e.place, e.subgraph) for e in run] for run in rows]
    in_order = all(key == keys[0] for key in keys) and all(key[3] == 0 for key in keys[0])
    if in_order:
        times = [[run[at].us for run in rows] for at in range(len(keys[0]))]
        calls: list[float] = [1.0] * len(times)
        named = keys[0]
    else:
        named = list(dict.fromkeys(key for run in keys for key in run))
        sums = [Counter[Any]() for _ in rows]
        for run, run_keys, found in zip(rows, keys, sums):  # noqa: B905
            for event, key in zip(run, run_keys):  # noqa: B905
                found[key] += event.us
        counts = Counter(key for run_keys in keys for key in run_keys)
        times = [[found[key] for found in sums] for key in named]
        calls = [counts[key] / len(runs) for key in named]
    return {
        "runs": len(runs),
        "invoke_us": float(np.mean(np.array(invokes)[calm])),
        "in_order": in_order,
        "rows": [
            {
                "kind": _KINDS[key[0]],
                "tag": key[1],
                "index": int(key[2]),
                "subgraph": int(key[3]),
                "calls": count,
                "mean_us": float(np.mean(np.array(us)[calm])),
                "first_us": float(us[0]),
                "min_us": float(min(us)),
                "max_us": float(max(us)),
                "std_us": float(np.std(us)),
            }
            for key, us, count in zip(named, times, calls)  # noqa: B905
        ],
    }


def is_asynchronous(run_ns: float, read_ns: float, reread_ns: float) -> bool:
    """Whether a run was told as over before it was.

    Reading outputs waits for what is still under way, reading them again does not. What a
    finished run leaves to the first read, fetching them from the accelerator, is one more
    submission to it, and a whole run is at least that.
    """
    return read_ns - reread_ns > run_ns


# --- One launch ----------------------------------------------------------------------------


def options_of(spec: dict[str, Any], *, profiling: bool) -> dict[str, str]:
    """Identifier -> TOML, as litert/c/options/*.cc reads it: what it does not know, it ignores."""
    # xnnpack `flags` would replace its defaults, which make integer models fast.
    processor = f"num_threads = {spec['threads']}\n"
    if spec["delegate"] == "none":
        processor += 'kernel_mode = "builtin"\n'
    runtime = "error_reporter_mode = 2\n" + ("enable_profiling = true\n" if profiling else "")
    options = {"xnnpack": processor, "runtime_options_string": runtime}
    if spec["delegate"] == "gpu":
        # Without it a run is told as over once it is submitted.
        options["gpu_options"] = "benchmark_mode = true\n"
        precision = spec["delegate_options"].get("precision")
        if precision is not None:
            options["gpu_options"] += f"precision = {_PRECISIONS[precision]}\n"
    return options


def opened(spec: dict[str, Any]) -> litert_capi.Session:
    """The model's file loaded, and the accelerator that was asked for at hand, or Failed."""
    name, options = spec["delegate"], spec["delegate_options"]
    with loop.stage("no-runtime"):
        abi.load()
    with loop.stage("load"):
        # Native code maps the file and may end by a signal where it is no model.
        with open(spec["model"], "rb") as file:  # noqa: PTH123
            if file.read(8)[4:] != b"TFL3":
                raise loop.Failed("load", "the file is no .tflite model")
        session = litert_capi.Session(
            spec["model"],
            plugin_dir=options.get("compiler_plugin_library_path", ""),
            dispatch_dir=options.get("dispatch_library_path", ""),
        )
    if name in ("gpu", "npu"):
        names = session.accelerators()
        if not any(name in found.lower() for found in names):
            session.close()
            have = ", ".join(names) or "none"
            raise loop.Failed("delegate", f"this LiteRT has no {name} accelerator (has: {have})")
    return session


def compile_model(session: litert_capi.Session, spec: dict[str, Any], *, profiling: bool) -> int:
    """Make a session ready to invoke; return ns, without resizing."""
    name = spec["delegate"]
    if name not in _ACCELERATORS:
        raise loop.Failed("load", f"this runner cannot do delegate {name}")
    clock = time.perf_counter_ns
    with loop.stage("allocate" if name in ("none", "xnnpack") else "delegate"):
        before = clock()
        session.compile(_ACCELERATORS[name], options_of(spec, profiling=profiling))
        spent = clock() - before
    with loop.stage("inputs"):
        loop.resize(session, spec["input_shapes"])
    with loop.stage("allocate"):
        before = clock()
        try:
            session.allocate_tensors()
        except abi.LiteRtError as error:
            # The reporter that keeps messages keeps them off stderr.
            raise loop.Failed("allocate", f"{session.messages()} {error}".strip()) from error
        return spent + clock() - before


def told(session: litert_capi.Session) -> dict[str, Any]:
    """What the runtime answers about who computes."""
    fully, without_cpu = session.accelerated()
    return {
        "nodes": session.node_count(),
        "fully": fully,
        "without_cpu": without_cpu,
        "messages": session.messages(),
    }


def synchrony(session: litert_capi.Session) -> tuple[float, dict[str, float]]:
    """The first run in us, and medians in us of a run, of reading its outputs and of reading
    them again; Failed where a run was not over when it was told as over."""
    indices = [detail["index"] for detail in session.get_output_details()]
    clock = time.perf_counter_ns
    stop = clock() + int(SYNC_S * 1e9)
    times: list[list[int]] = []
    while len(times) < SYNC_RUNS and (not times or clock() < stop):
        marks = [clock()]
        session.invoke()
        marks.append(clock())
        for _ in range(2):
            for index in indices:
                session.get_tensor(index)
            marks.append(clock())
        times.append([after - before for before, after in zip(marks, marks[1:])])  # noqa: B905, RUF007
    run, read, reread = (float(x) for x in np.median(np.array(times), axis=0))
    if is_asynchronous(run, read, reread):
        raise loop.Failed(
            "asynchronous",
            f"a run ends after {run / 1e3:.0f} us and reading its output waits for another "
            f"{(read - reread) / 1e3:.0f} us: its time is not the model's",
        )
    medians = {"run_us": run / 1e3, "read_us": read / 1e3, "reread_us": reread / 1e3}
    return times[0][0] / 1e3, medians


def node_profile(spec: dict[str, Any]) -> tuple[Any, str]:
    """Return (profile of one run, ""), or (None, why not), of the same model compiled anew."""
    try:
        with opened(spec) as session:
            compile_model(session, spec, profiling=True)
            loop.set_inputs(spec, session)
            return profile_of([session.profiled_run()]), ""
    except (loop.Failed, abi.LiteRtError) as error:
        return None, str(error)


def measure(spec: dict[str, Any]) -> dict[str, Any]:
    """The document of a timing launch, or Failed."""
    accelerator = spec["delegate"] in ("gpu", "npu")
    baseline_kib = loop.memory_peak_kib()
    before = time.perf_counter_ns()
    with opened(spec) as session:
        load_ns = time.perf_counter_ns() - before
        allocate_ns = compile_model(session, spec, profiling=False)
        inputs, outputs = session.get_input_details(), session.get_output_details()
        with loop.stage("inputs"):
            arrays, inputs_told = loop.set_inputs(spec, session)
        with loop.stage("invoke"):
            # Before anything is timed: where runs only pile up, thousands of them hang a driver.
            first_us, sync = synchrony(session) if accelerator else (None, None)
            timing = loop.run_loop(session, spec["limits"])
            output_copy_us = loop.median_us(lambda: loop.copy_out(session, outputs))
            input_copy_us = loop.median_us(lambda: loop.copy_in(session, arrays, inputs))
        told_of = told(session)
    # After every sample is taken, and in a session of its own: it cannot disturb them.
    nodes, problem = (None, "") if accelerator else node_profile(spec)
    return {
        **header(spec),
        "inputs": inputs_told,
        "load_us": load_ns / 1e3,
        "allocate_us": allocate_ns / 1e3,
        "input_copy_us": input_copy_us,
        "output_copy_us": output_copy_us,
        "baseline_rss_kib": baseline_kib,
        "told": told_of,
        "sync": sync,
        "profile": nodes,
        "profile_problem": problem,
        **timing,
        **({} if first_us is None else {"first_inference_us": first_us}),
    }


def profile(spec: dict[str, Any]) -> dict[str, Any]:
    """The document of a profiling launch, or Failed."""
    if spec["delegate"] in ("gpu", "npu"):
        raise loop.Failed("unsupported", "LiteRT's profiler sees nothing of accelerators")
    clock, limits = time.perf_counter_ns, spec["limits"]
    with opened(spec) as session:
        compile_model(session, spec, profiling=True)
        with loop.stage("inputs"):
            _, inputs = loop.set_inputs(spec, session)
        with loop.stage("invoke"):
            warm: list[int] = []
            start = clock()
            loop.record(session.invoke, warm, 1, 0, start + 10**18)
            loop.warm_up(session.invoke, limits, warm, start)
            runs = [session.profiled_run()]
            now = clock()
            until = now + int(limits["measure_min_s"] * 1e9)
            stop = now + int(limits["measure_max_s"] * 1e9)
            while len(runs) < MOST_PROFILED and clock() < stop:
                if len(runs) >= LEAST_PROFILED and clock() >= until:
                    break
                runs.append(session.profiled_run())
            rows = profile_of(runs)
        return {**header(spec), "inputs": inputs, "told": told(session), "profile": rows}


def answer(spec: dict[str, Any]) -> dict[str, Any]:
    """The document of a numerics launch, whose answers go to a file; or Failed."""
    # Laid out for such a launch only: a change of it changes no timing.
    if TYPE_CHECKING or __package__:
        from bench.runners import invoke_answers
    else:
        import invoke_answers
    with opened(spec) as session:
        compile_model(session, spec, profiling=False)
        inputs, outputs = session.get_input_details(), session.get_output_details()

        def feed(tensors: list[Any]) -> list[Any]:
            for tensor, detail in zip(tensors, inputs):  # noqa: B905
                session.set_tensor(detail["index"], tensor)
            session.invoke()
            return [session.get_tensor(detail["index"]) for detail in outputs]

        with loop.stage("inputs"):
            items = invoke_answers.load_items(spec["samples"], inputs)
        arrays, sha256 = invoke_answers.answer_items(items, inputs, feed)
        again, _ = invoke_answers.answer_items([values[:1] for values in items], inputs, feed)
        if any(y[:1].tobytes() != once.tobytes() for y, once in zip(arrays, again)):  # noqa: B905
            raise loop.Failed(
                "state",
                "the first sample gets another answer when it is asked again: the model keeps "
                "something between invokes, which CompiledModel cannot put back",
            )
        with loop.stage("outputs"):
            np.savez(invoke_answers.RESULT, *arrays)
        return {
            **header(spec),
            "samples": len(items[0]),
            "inputs_sha256": sha256,
            "outputs": invoke_answers.describe(outputs),
            "told": told(session),
        }


def header(spec: dict[str, Any]) -> dict[str, Any]:
    version = loop.version_of("ai-edge-litert")
    return {
        "format": FORMAT,
        "purpose": spec["purpose"],
        **loop.provenance(spec, "ai_edge_litert", version),
    }


WORK = {"timing": measure, "profile": profile, "numerics": answer}


def work(spec: dict[str, Any]) -> dict[str, Any]:
    """Whatever the library says against it is a Failed, too."""
    try:
        return WORK[spec["purpose"]](spec)
    except abi.LiteRtError as error:
        raise loop.Failed("litert", str(error)) from error


if __name__ == "__main__":
    sys.exit(loop.main(sys.argv[1], work))
