"""Texts of cases of which there is no recording, made by hand from the tools' formats."""

from __future__ import annotations

HEAD = """\
INFO: STARTING!
INFO: Log parameter values verbosely: [0]
INFO: Graph: [m.tflite]
INFO: Signature to run: []
"""
LOADED = "INFO: Loaded model m.tflite\n"
SESSION = """\
INFO: The input model file size (MB): 0.168624
INFO: Initialized session in 1.154ms.
"""
WARMUP_LINE = (
    "INFO: Running benchmark for at least 1 iterations and at least 0.5 seconds but terminate if "
    "exceeding 150 seconds.\n"
)
MEASURED_LINE = (
    "INFO: Running benchmark for at least 50 iterations and at least 1 seconds but terminate if "
    "exceeding 150 seconds.\n"
)
WARMUP = (
    WARMUP_LINE
    + "INFO: count=159 first=3472 curr=3056 min=2986 max=3821 avg=3130.12 std=113 p5=3018 "
    "median=3123 p95=3356\n\n"
)
COUNT = (
    "count=318 first=3099 curr=3150 min=2991 max=7476 avg=3134.66 std=311 p5=3015 median=3087 "
    "p95=3354"
)
MEASURED = MEASURED_LINE + f"INFO: {COUNT}\n\n"
SUMMARY = (
    "INFO: Inference timings in us: Init: 1154, First inference: 3472, Warmup (avg): 3130.12, "
    "Inference (avg): 3134.66\n"
    "INFO: Note: as the benchmark tool itself affects memory footprint, the following is only "
    "APPROXIMATE to the actual memory footprint of the model at runtime. Take the information at "
    "your discretion.\n"
    "INFO: Memory footprint delta from the start of the tool (MB): init=37.2422 overall=38.8672\n"
)
RUNS = SESSION + WARMUP + MEASURED + SUMMARY
FAILED = "ERROR: Benchmarking failed.\n"
IMPLICIT = "INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n"

GPU_REFUSES = """\
INFO: Created TensorFlow Lite delegate for GPU.
ERROR: Following operations are not supported by GPU delegate:
CAST: Not supported cast case. Input type: INT32
CUSTOM MyOp: Operation is not supported.
TOPK_V2: Operation is not supported.
49 operations will run on the GPU, and the remaining 3 operations will run on the CPU.
INFO: Initialized OpenCL-based API.
INFO: Created 1 GPU delegate kernels.
"""
GPU_APPLIED = """\
INFO: GPU delegate created.
INFO: Explicitly applied GPU delegate, and the model graph will be partially executed by the \
delegate w/ 1 delegate kernels.
"""

COMPILED_HEAD = """\
INFO: STARTING!
INFO: Log parameter values verbosely: [0]
"""
COMPILED_LOG = """\
INFO: [environment.cc:36] Creating LiteRT environment with options
INFO: [accelerator_registry.cc:53] RegisterAccelerator: ptr=0x55, name=CpuAccelerator
INFO: [cpu_registry.cc:75] XNNPACK CPU accelerator registered.
INFO: [benchmark_litert_model.cc:305] Loading model from: m.tflite
"""
COMPILED_RESULTS = """\
INFO: [benchmark_litert_model.h:89] {}
========== BENCHMARK RESULTS ==========
INFO: [benchmark_litert_model.h:94] Model initialization: 1.15 ms
INFO: [benchmark_litert_model.h:95] Warmup (first):       3.47 ms
INFO: [benchmark_litert_model.h:97] Warmup (avg):         3.13 ms (159 runs)
INFO: [benchmark_litert_model.h:99] Inference (avg):      3.13 ms (318 runs)
INFO: [benchmark_litert_model.h:103] Inference (min):      2.99 ms
INFO: [benchmark_litert_model.h:105] Inference (max):      7.48 ms
INFO: [benchmark_litert_model.h:107] Inference (std):      0.31
INFO: [benchmark_litert_model.h:124] {}
Memory Usage:
INFO: [benchmark_litert_model.h:125] Init footprint:       37.96 MB
INFO: [benchmark_litert_model.h:127] Overall footprint:    39.09 MB
INFO: [benchmark_litert_model.h:131] Peak memory:          46.50 MB
INFO: [benchmark_litert_model.h:138] ======================================

""".replace("{}", "")

PROFILE_HEADER = (
    "\t                             [node type]\t  [first]\t [avg ms]\t     [%]\t  [cdf%]\t"
    "  [mem KB]\t[times called]\t[Name]\n"
)
PROFILE_BY_TYPE = (
    "============================== Summary by node type ==============================\n"
    "\t                             [Node type]\t  [count]\t  [avg ms]\t    [avg %]\t    [cdf %]\t"
    "  [mem KB]\t[times called]\n"
)


def profile_part(rows: list[tuple[str, str, int]], prefix: str = "") -> str:
    """Tables of one subgraph whose ops all take 2 ms: (type, name, times called)."""
    total = len(rows)
    lines = ""
    for n, (kind, name, called) in enumerate(rows, 1):
        lines += (
            f"\t{kind:>40}\t{2:9.3f}\t{2:9.3f}\t{100 / total:7.3f}%\t{100 * n / total:7.3f}%"
            f"\t{0:10.3f}\t{called:9d}\t{name}\n"
        )
    kinds = ""
    for kind in dict.fromkeys(kind for kind, _, _ in rows):
        same = [called for other, _, called in rows if other == kind]
        kinds += (
            f"\t{kind:>40}\t{len(same):9d}\t{2 * len(same):10.3f}\t   -nan%\t   -nan%"
            f"\t{0:10.3f}\t{sum(same):9d}\n"
        )
    us = 2000 * total
    banner = "=============================="
    return (
        f"{banner} Run Order {banner}\n{PROFILE_HEADER}{lines}\n"
        f"{banner} Top by Computation Time {banner}\n{PROFILE_HEADER}{lines}\n"
        f"Number of nodes executed: {total}\n{PROFILE_BY_TYPE}{kinds}\n"
        f"{prefix}Timings (microseconds): count=318 first={us} curr={us} min={us} max={us + 1} "
        f"avg={us} std=0\nMemory (bytes): count=0\n{total} nodes observed\n\n"
    )


def classic(flags: str = "", delegates: str = "", runs: str = RUNS) -> str:
    """stdout of a run of the classic tool."""
    return HEAD + flags + LOADED + delegates + runs


def compiled(flags: str = "", runs: str = SESSION + WARMUP + MEASURED) -> str:
    """stdout of a run of the CompiledModel tool."""
    return COMPILED_HEAD + flags + runs
