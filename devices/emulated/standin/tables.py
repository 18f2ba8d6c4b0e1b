"""The flags of both programs: names, types, defaults and log labels are the real ones."""

from __future__ import annotations

from devices.emulated.standin.flags import Flag

_NUM_THREADS = Flag("num_threads", "int32", -1, "#threads used for CPU inference", "CPU threads")

_SHARED = (
    Flag("num_runs", "int32", 50, "Min num runs", "fewest measured runs"),
    Flag("min_secs", "float", 1.0, "Min runs duration (seconds)", "shortest measurement"),
    Flag("max_secs", "float", 150.0, "Max runs duration (seconds)", "longest measurement"),
    Flag("run_delay", "float", -1.0, "Inter-run delay (seconds)", "pause between runs"),
    Flag("run_frequency", "float", -1.0, "Number of prorated runs per second", "runs per second"),
    Flag("num_threads", "int32", -1, "Num threads", "threads"),
    Flag("use_caching", "bool", False, "Use caching", "cache prepacked weights"),
    Flag("benchmark_name", "string", "", "Benchmark name", "name"),
    Flag("output_prefix", "string", "", "Output prefix", "prefix"),
    Flag("warmup_runs", "int32", 1, "Min warmup runs", "fewest runs before the measured ones"),
    Flag("warmup_min_secs", "float", 0.5, "Min warmup runs duration (seconds)", "shortest warm-up"),
    Flag("verbose", "bool", False, "", "log every parameter"),
    Flag("dry_run", "bool", False, "Run w/o invoking kernels", "load and run nothing"),
    Flag(
        "report_peak_memory_footprint",
        "bool",
        False,
        "Report the peak memory footprint",
        "watch the memory",
    ),
    Flag(
        "memory_footprint_check_interval_ms",
        "int32",
        50,
        "Memory footprint check interval (ms)",
        "how often",
    ),
)

_CLASSIC = (
    Flag("graph", "string", "", "Graph", "the model"),
    Flag("signature_to_run_for", "string", "", "Signature to run", "the signature"),
    Flag("input_layer", "string", "", "Input layers", "names of inputs"),
    Flag("input_layer_shape", "string", "", "Input shapes", "their shapes"),
    Flag("input_layer_value_range", "string", "", "Input value ranges", "ranges of integers"),
    Flag("input_layer_value_files", "string", "", "Input value files", "files of values"),
    Flag("allow_fp16", "bool", False, "Allow fp16", "a hint"),
    Flag("require_full_delegation", "bool", False, "Require full delegation", "all or nothing"),
    Flag("enable_op_profiling", "bool", False, "Enable op profiling", "profile of the ops"),
    Flag(
        "op_profiling_output_mode",
        "string",
        "stdout",
        "Op profiling output mode.",
        "stdout, csv or proto",
    ),
    Flag("op_profiling_output_file", "string", "", "Op profiling output file.", "its file"),
    Flag(
        "max_profiling_buffer_entries",
        "int32",
        1024,
        "Max initial profiling buffer entries",
        "room for events",
    ),
    Flag(
        "allow_dynamic_profiling_buffer_increase",
        "bool",
        False,
        "Allow dynamic increase on profiling buffer entries",
        "more room where it is needed",
    ),
    Flag("export_model_runtime_info", "bool", False, "Enable Model Runtime Info Export", "export"),
    Flag(
        "model_runtime_info_output_file",
        "string",
        "",
        "Proto File to export model runtime info to",
        "where",
    ),
    Flag("output_filepath", "string", "", "File path to export outputs layer to", "outputs"),
    Flag(
        "result_file_path",
        "string",
        "",
        "File path to save the benchmark result in binary proto format",
        "result",
    ),
    Flag("help", "bool", False, "print out all supported flags", "this text"),
    _NUM_THREADS,
    Flag("max_delegated_partitions", "int32", 0, "Max number of delegated partitions", "most"),
    Flag("min_nodes_per_partition", "int32", 0, "Min nodes per partition", "fewest nodes"),
    Flag("delegate_serialize_dir", "string", "", "Directory for delegate serialization", "cache"),
    Flag(
        "delegate_serialize_token",
        "string",
        "",
        "Model-specific token/key for delegate serialization.",
        "its key",
    ),
)

_GPU = (
    Flag("use_gpu", "bool", False, "Use gpu", "GPU"),
    Flag("gpu_precision_loss_allowed", "bool", True, "Allow lower precision in gpu", "fp16 on it"),
    Flag(
        "gpu_experimental_enable_quant",
        "bool",
        True,
        "Enable running quant models in gpu",
        "quantized models on it",
    ),
    Flag(
        "gpu_inference_for_sustained_speed",
        "bool",
        False,
        "Prefer maximizing the throughput in gpu",
        "throughput",
    ),
    Flag("gpu_backend", "string", "", "GPU backend", "cl or gl"),
)

_NNAPI = (
    Flag("use_nnapi", "bool", False, "Use NNAPI", "NNAPI"),
    Flag("nnapi_execution_preference", "string", "", "NNAPI execution preference", "preference"),
    Flag("nnapi_execution_priority", "string", "", "Model execution priority in nnapi", "priority"),
    Flag("nnapi_accelerator_name", "string", "", "NNAPI accelerator name", "accelerator"),
    Flag("disable_nnapi_cpu", "bool", True, "Disable NNAPI cpu", "leave its CPU out"),
    Flag("nnapi_allow_fp16", "bool", False, "Allow fp16 in NNAPI", "fp16"),
    Flag("nnapi_use_burst_mode", "bool", False, "Use burst mode in NNAPI", "bursts"),
)

_XNNPACK = (
    Flag("use_xnnpack", "bool", False, "Use xnnpack", "XNNPACK"),
    Flag("xnnpack_force_fp16", "bool", False, "xnnpack_force_fp16", "fp16"),
    Flag("xnnpack_weight_cache_file_path", "string", "", "xnnpack_weight_cache_file_path", "cache"),
    Flag("external_delegate_path", "string", "", "External delegate path", "a library"),
    Flag("external_delegate_options", "string", "", "External delegate options", "its options"),
)

LITERT = (
    *_SHARED,
    Flag("graph", "string", "", "", "the model"),
    Flag("signature_to_run_for", "string", "", "", "the signature"),
    Flag("use_cpu", "bool", True, "", "CPU"),
    Flag("use_gpu", "bool", False, "", "GPU"),
    Flag("use_npu", "bool", False, "", "NPU"),
    Flag("gpu_backend", "string", "", "", "webgpu, opengl or gl"),
    Flag("gpu-precision", "string", "auto", "", "auto, fp16 or fp32"),
    Flag("require_full_delegation", "bool", False, "", "all or nothing"),
    Flag("use_profiler", "bool", False, "", "profile of the ops"),
    Flag("result_file_path", "string", "", "", "result"),
    Flag("model_runtime_info_output_file", "string", "", "", "where each op ran"),
)


def classic(*, gpu: bool, nnapi: bool) -> tuple[Flag, ...]:
    """Of benchmark_model, with or without the flags that only some builds have."""
    return (*_SHARED, *_CLASSIC, *(_GPU if gpu else ()), *(_NNAPI if nnapi else ()), *_XNNPACK)
