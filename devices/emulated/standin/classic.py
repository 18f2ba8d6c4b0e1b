"""Stand-in of `benchmark_model`: TEST DOUBLE, its numbers are simulated."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from devices.emulated.standin import NOTICE, applying, tables
from devices.emulated.standin.build import Build
from devices.emulated.standin.delegates import Node, Step
from devices.emulated.standin.figures import average, number
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

if TYPE_CHECKING:
    from devices.emulated.standin.runtime import Model

_NOTE = (
    "Note: as the benchmark tool itself affects memory footprint, the following is only"
    " APPROXIMATE to the actual memory footprint of the model at runtime. Take the"
    " information at your discretion."
)


class OneNode:
    """A graph of one node, which XNNPACK takes."""

    nodes: tuple[Node, ...] = (Node(0, "ADD"),)
    kernels: tuple[tuple[int, ...], ...] = ((0,),)


class Program:
    """One call of the program."""

    def __init__(self, name: str, flags: Flags, build: Build, log: Log) -> None:
        self._name = name
        self._flags = flags
        self._build = build
        self._log = log
        self._plan: tuple[Step, ...] = ()

    def run(self) -> None:
        """Raises: Failed."""
        flags, log = self._flags, self._log
        graph = flags.text("graph")
        shapes = self._shapes()
        if not graph:
            log.error("Please specify the name of your TF Lite input file with --graph")
            raise Failed
        log.info(f"Log parameter values verbosely: [{int(flags.on('verbose'))}]")
        for name, line in flags.logged(always=("graph", "signature_to_run_for")):
            log.info(line)
            if name == "use_nnapi" and flags.on(name):
                names = ",".join(self._build.nnapi_accelerators or ())
                log.info(f"NNAPI accelerators available: [{names}]")
        if self._build.sleep_s is not None:
            self._pretend(graph)
            return
        mode = flags.text("op_profiling_output_mode")
        if flags.on("enable_op_profiling") and mode not in ("stdout", "csv", "proto"):
            log.error(
                f"Output mode{mode} is not supported. Supported values are: 'stdout', 'csv' and"
                " 'proto'."
            )
            raise Failed
        # The runtime is imported late: a stand-in that sleeps shall not take its time.
        from devices.emulated.standin import runtime  # noqa: F401 - not part of the footprint

        before_kib = peak_rss_kib()
        started = now_us()
        model = self._load(graph, shapes)
        self._plan = applying.apply_all(log, flags, self._build, model)
        init_us = now_us() - started
        init_kib = peak_rss_kib() - before_kib
        log.info(f"The input model file size (MB): {number(model.size_bytes / 1e6)}")
        log.info(f"Initialized session in {number(init_us / 1000)}ms.")
        model.feed(self._values(model))
        figures = measure(log, flags, self._build, self._invoke(model))
        if not figures.well:
            raise Failed
        overall_kib = peak_rss_kib() - before_kib
        self._summary(figures, init_us, (init_kib, overall_kib))
        self._write_files(model, figures, init_us, (init_kib, overall_kib))

    def _pretend(self, graph: str) -> None:
        """Say everything and do nothing, for a stand-in that sleeps."""
        log = self._log
        log.info(f"Loaded model {graph}")
        self._plan = applying.apply_all(log, self._flags, self._build, OneNode())
        log.info("The input model file size (MB): 0.001")
        log.info("Initialized session in 1ms.")
        self._summary(measure(log, self._flags, self._build, lambda: True), 1000, (0, 0))

    def _load(self, graph: str, shapes: dict[str, tuple[int, ...]]) -> Model:
        from devices.emulated.standin.runtime import Model, NotLoaded, NotPrepared

        flags, log = self._flags, self._log
        plain = "use_xnnpack" in flags.given and not flags.on("use_xnnpack")
        try:
            model = Model(
                graph, threads=flags.integer("num_threads"), xnnpack=not plain, shapes=shapes
            )
        except NotLoaded as error:
            for line in str(error).split("\n"):
                log.error(line)
            log.error(f"Failed to load model {graph}")
            raise Failed from error
        except NotPrepared as error:
            log.info(f"Loaded model {graph}")
            for line in str(error).split("\n"):
                log.error(line)
            log.error("Failed to allocate tensors!")
            raise Failed from error
        log.info(f"Loaded model {graph}")
        return model

    def _invoke(self, model: Model) -> Callable[[], bool]:
        failing = applying.failing_node(self._build, self._plan)
        if failing is None:
            invoke = model.invoke

            def well() -> bool:
                invoke()
                return True

            return well
        node = len(model.nodes)

        def fail() -> bool:
            self._log.error(f"Node number {node} ({failing}) failed to invoke.")
            return False

        return fail

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        names = [name for name in self._flags.text("input_layer").split(",") if name]
        text = self._flags.text("input_layer_shape")
        shapes = [shape for shape in text.split(":") if shape]
        if len(names) != len(shapes):
            self._log.error(
                f"The number of items in --input_layer_shape ({text}, with {len(shapes)} items)"
                f" must match the number of items in --input_layer"
                f" ({','.join(names)}, with {len(names)} items). For example"
                " --input_layer=input1,input2 --input_layer_shape=1,224,224,4:1,20"
            )
            raise Failed
        return {
            name: tuple(int(side) for side in shape.split(","))
            for name, shape in zip(names, shapes, strict=True)
        }

    def _values(self, model: Model) -> dict[str, bytes]:
        """Bytes of the inputs that come from files; "::" stands for ":" in a name."""
        from devices.emulated.standin.runtime import input_bytes

        sizes = {name: input_bytes(shape, dtype) for name, shape, dtype in model.inputs()}
        values: dict[str, bytes] = {}
        for item in filter(None, self._flags.text("input_layer_value_files").split(",")):
            name, _, path = item.replace("::", "\0").partition(":")
            name, path = name.replace("\0", ":"), path.replace("\0", ":")
            try:
                with open(path, "rb") as file:  # noqa: PTH123 - raw name, maybe no UTF-8
                    values[name] = file.read()
            except OSError:
                self._log.fatal(f"Failed to read the input_layer_value_file:{path}")
            if name in sizes and len(values[name]) != sizes[name]:
                self._log.fatal(
                    f"The size of {path} is {len(values[name])} bytes."
                    f" It should be {sizes[name]} bytes."
                )
        return values

    def _summary(self, figures: Figures, init_us: int, footprint_kib: tuple[int, int]) -> None:
        warmup, samples = figures.warmup_us, figures.samples_us
        init, overall = (number(kib / 1024) for kib in footprint_kib)
        log = self._log
        log.info(
            f"Inference timings in us: Init: {init_us},"
            f" First inference: {warmup[0] if warmup else 0},"
            f" Warmup (avg): {number(average(warmup))},"
            f" Inference (avg): {number(average(samples))}"
        )
        log.info(_NOTE)
        log.info(
            f"Memory footprint delta from the start of the tool (MB): init={init} overall={overall}"
        )
        if self._flags.on("report_peak_memory_footprint"):
            peak = number(peak_rss_kib() / 1024)
            log.info(f"Overall peak memory footprint (MB) via periodic monitoring: {peak}")

    def _write_files(
        self, model: Model, figures: Figures, init_us: int, footprint_kib: tuple[int, int]
    ) -> None:
        from devices.emulated.standin import results
        from devices.emulated.standin.runtime import input_bytes

        flags, log = self._flags, self._log
        if path := flags.text("output_filepath"):
            with open(path, "wb") as file:  # noqa: PTH123
                file.write(model.outputs())
        if flags.on("export_model_runtime_info"):
            path = flags.text("model_runtime_info_output_file")
            results.write_runtime_info(path, model, self._plan)
        if path := flags.text("result_file_path"):
            total = sum(input_bytes(shape, dtype) for _, shape, dtype in model.inputs())
            try:
                results.write_result(
                    path,
                    init_us=init_us,
                    warmup_us=figures.warmup_us,
                    samples_us=figures.samples_us,
                    footprint_kib=footprint_kib,
                    peak_mib=peak_rss_kib() / 1024,
                    model_bytes=model.size_bytes,
                    throughput_mib_s=throughput_mib_s(total, figures.samples_us),
                )
                log.info(f"Saving benchmark result to: {path}")
                log.info(f"Saved benchmark result to: {path}")
            except OSError:
                log.error(f"Failed to save benchmark result to: {path}")
        if flags.on("enable_op_profiling") and figures.samples_us:
            from devices.emulated.standin import profile, profile_output

            init = profile.preparation(init_us, delegated=any(step.delegate for step in self._plan))
            runs = profile.regular(model, self._plan, figures.samples_us)
            profile_output.write_classic(log, flags, init, runs)


def main(arguments: Sequence[str]) -> int:
    """Run the program; its name and arguments in, its exit status out."""
    name, *rest = arguments
    build = Build.of_environment()
    log = Log(build.logcat)
    log.info("STARTING!")
    table = tables.classic(
        gpu=build.gpu_unsupported is not None, nnapi=build.nnapi_accelerators is not None
    )
    try:
        try:
            flags = Flags(table, rest)
        except BadFlag as error:
            log.error(str(error))
            raise Failed from error
        if flags.on("help") or "--help" in flags.unconsumed:
            raise Failed
    except Failed:
        log.error(usage(name, table))
        log.error("Benchmarking failed.")
        return 1
    log.info(NOTICE)
    if flags.unconsumed:
        log.warn(f"Unconsumed cmdline flags: {' '.join(flags.unconsumed)}")
    try:
        Program(name, flags, build, log).run()
    except Failed:
        log.error("Benchmarking failed.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
