"""Stand-in of `benchmark_litert_model` (CompiledModel): TEST DOUBLE, its numbers are simulated."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from devices.emulated.standin import NOTICE, tables
from devices.emulated.standin.build import Build
from devices.emulated.standin.figures import average, deviation, number
from devices.emulated.standin.flags import BadFlag, Flags, usage
from devices.emulated.standin.log import Log
from devices.emulated.standin.loop import now_us
from devices.emulated.standin.measure import (
    Failed,
    Figures,
    measure,
    peak_rss_kib,
    throughput_mib_s,
)

_CPU = "name=CpuAccelerator"


def main(arguments: Sequence[str]) -> int:
    """Run the program; its name and arguments in, its exit status out."""
    name, *rest = arguments
    build = Build.of_environment()
    log = Log(build.logcat)
    if "--help" in rest:
        os.write(1, b"No flags matched.\n")
        return 1
    log.info("STARTING!")
    try:
        flags = Flags(tables.LITERT, rest)
    except BadFlag as error:
        log.error(str(error))
        log.error(usage(name, tables.LITERT))
        log.error("Benchmarking failed.")
        return 1
    log.info(NOTICE)
    if flags.unconsumed:
        log.warn(f"Unconsumed cmdline flags: {' '.join(flags.unconsumed)}")
    log.info(f"Log parameter values verbosely: [{int(flags.on('verbose'))}]")
    for _, line in flags.logged():
        log.info(line)
    _say_environment(log, flags, build)
    try:
        _run(log, flags, build)
        code = 0
    except Failed:
        log.error("Benchmarking failed.")
        code = 1
    log.runtime(f"[accelerator_registry.cc:42] DestroyAccelerator: ptr=0x5eb0, {_CPU}")
    return code


def _say_environment(log: Log, flags: Flags, build: Build) -> None:
    log.runtime("[environment.cc:36] Creating LiteRT environment with options")
    if flags.on("use_gpu") and build.gpu_unsupported is not None:
        library = "libLiteRtGpuAccelerator.so"
        log.runtime(f"[gpu_registry.cc:122] Attempting to load GPU accelerator({library}).")
        log.runtime(
            f"[gpu_registry.cc:129] Dynamically loaded GPU accelerator({library}) registered."
        )
    log.runtime(f"[accelerator_registry.cc:53] RegisterAccelerator: ptr=0x5eb0, {_CPU}")
    log.runtime("[cpu_registry.cc:75] XNNPACK CPU accelerator registered.")


def _run(log: Log, flags: Flags, build: Build) -> None:
    graph = flags.text("graph")
    log.runtime(f"[benchmark_litert_model.cc:305] Loading model from: {graph}")
    if flags.on("require_full_delegation") and flags.on("use_cpu"):
        log.runtime(
            "[benchmark_litert_model.cc:110] Requesting full delegation and CPU"
            " acceleration are incompatible.",
            "ERROR",
        )
        os.abort()
    if build.sleep_s is not None:
        _summary(log, measure(log, flags, build, lambda: True), 1000, (0, 0), 0.0)
        return
    # Late: a stand-in that sleeps shall not take the time that this needs.
    from devices.emulated.standin import delegates, results
    from devices.emulated.standin.runtime import (
        Model,
        NotLoaded,
        NotPrepared,
        input_bytes,
    )

    before_kib = peak_rss_kib()
    started = now_us()
    try:
        model = Model(graph, threads=flags.integer("num_threads"), xnnpack=True, shapes={})
    except (NotLoaded, NotPrepared) as error:
        for line in str(error).split("\n"):
            log.error(line)
        raise Failed from error
    plan = delegates.first_plan(model.nodes)
    gpu = flags.on("use_gpu") and build.gpu_unsupported is not None
    if gpu:
        plan = delegates.gpu(model, plan, dict(build.gpu_unsupported or {})).plan
    full = len(plan) == 1 and plan[0].delegate is not None
    if flags.on("require_full_delegation") and not full:
        raise Failed
    plan = delegates.xnnpack(model, plan).plan
    init_us = now_us() - started
    init_kib = peak_rss_kib() - before_kib
    log.info(f"The input model file size (MB): {number(model.size_bytes / 1e6)}")
    log.info(f"Initialized session in {number(init_us / 1000)}ms.")
    model.feed({})
    failing = build.failing_delegate == "GPU" and gpu

    def invoke() -> bool:
        if failing:
            log.runtime("[benchmark_litert_model.h:346] Run failed: simulated", "ERROR")
            return False
        if gpu and flags.on("use_profiler"):
            log.error("UNIMPLEMENTED: Profile is not implemented.")
            return False
        model.invoke()
        return True

    figures = measure(log, flags, build, invoke)
    if not figures.well:
        raise Failed
    footprint = (init_kib, peak_rss_kib() - before_kib)
    if path := flags.text("model_runtime_info_output_file"):
        with suppress(OSError):
            results.write_runtime_info(path, model, plan)
            log.runtime(f"[benchmark_litert_model.h:217] Generated model runtime info: {path}")
    total = sum(input_bytes(shape, dtype) for _, shape, dtype in model.inputs())
    rate = throughput_mib_s(total, figures.samples_us)
    _summary(log, figures, init_us, footprint, rate)
    if flags.on("use_profiler"):
        from devices.emulated.standin import profile, profile_output

        runs_us = (*figures.warmup_us, *figures.samples_us)
        profile_output.write_compiled(log, profile.regular(model, plan, runs_us))
    if path := flags.text("result_file_path"):
        results.write_result(
            path,
            init_us=init_us,
            warmup_us=figures.warmup_us,
            samples_us=figures.samples_us,
            footprint_kib=footprint,
            peak_mib=0.0,
            model_bytes=model.size_bytes,
            throughput_mib_s=rate,
        )


def _summary(
    log: Log, figures: Figures, init_us: int, footprint_kib: tuple[int, int], rate: float
) -> None:
    def say(line: int, text: str) -> None:
        log.runtime(f"[benchmark_litert_model.h:{line}] {text}")

    warmup, samples = figures.warmup_us, figures.samples_us
    say(89, "\n========== BENCHMARK RESULTS ==========")
    say(91, "Signature name:       serving_default")
    say(94, f"Model initialization: {_ms(init_us)}")
    if warmup:
        say(95, f"Warmup (first):       {_ms(warmup[0])}")
        say(97, f"Warmup (avg):         {_ms(average(warmup))} ({len(warmup)} runs)")
    if samples:
        say(99, f"Inference (avg):      {_ms(average(samples))} ({len(samples)} runs)")
        say(103, f"Inference (min):      {_ms(min(samples))}")
        say(105, f"Inference (max):      {_ms(max(samples))}")
        say(107, f"Inference (std):      {deviation(samples) / 1000:.2f}")
    else:
        say(110, "No inference runs were performed.")
    if rate > 0:
        say(115, f"Throughput:           {rate:.2f} MB/s")
    else:
        say(118, "No throughput data available (throughput <= 0).")
    say(124, "\nMemory Usage:")
    say(125, f"Init footprint:       {footprint_kib[0] / 1024:.2f} MB")
    say(127, f"Overall footprint:    {footprint_kib[1] / 1024:.2f} MB")
    say(134, "Peak memory usage not available. (peak_mem_mb <= 0)")
    say(138, "======================================\n")


def _ms(microseconds: float) -> str:
    return f"{microseconds / 1000:.2f} ms"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
