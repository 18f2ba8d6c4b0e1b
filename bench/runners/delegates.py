"""A delegate as a plan names it: the options it has by runner kind, and benchmark_model's flags.

Flags and their values: LiteRT, tflite/tools/delegates/*_provider.cc (classic) and
litert/tools/benchmark_litert_model.h (CompiledModel). The tool only warns of a flag that it
does not know and ignores some values that it does not know, so that both are checked here.
docs/delegates.md lists all of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from bench.identity import Case, DelegateSpec
from bench.runners.invoke_loop import LIBRARIES

LOOP = "invoke_loop"
LITERT = "litert"
CLASSIC = "benchmark_model"
COMPILED = "benchmark_litert"
APP = "benchmark_app"


@dataclass(frozen=True, slots=True)
class _Check:
    """What an option takes, in words, and whether a value is that."""

    takes: str
    accepts: Callable[[str], bool]


# Our own options. What takes the nodes that an accelerator leaves, "xnnpack" or "none"; the
# library that brings a delegate; and what that library is told, "key:value;key:value".
REST = "rest"
PATH = "path"
OPTIONS = "options"


def _one_of(*values: str) -> _Check:
    return _Check(" or ".join(values), lambda value: value in values)


def _is_text(value: str) -> bool:
    return value != "" and value.isprintable()


def _is_library(value: str) -> bool:
    # A relative path would be sought in a launch's own directory, which is ours.
    return _is_text(value) and ("/" not in value or value.startswith("/"))


def _is_pairs(value: str) -> bool:
    return _is_text(value) and all(key and colon for key, colon, _ in _split(value))


def _is_tool_pairs(value: str) -> bool:
    # The tool drops, and does not say so, whatever has more than one colon.
    return _is_pairs(value) and not any(":" in rest for _, _, rest in _split(value))


def _split(value: str) -> Iterator[tuple[str, str, str]]:
    return (part.partition(":") for part in value.split(";"))


_flag = _one_of("true", "false")
_text = _Check("a text of visible characters", _is_text)
_whole = _Check("a whole number", lambda value: re.fullmatch(r"-?\d{1,9}", value) is not None)
_library = _Check("a whole path, or a bare name that the loader finds", _is_library)
_absolute = _Check("a whole path", lambda value: _is_text(value) and value.startswith("/"))
_pairs = _Check("key:value;key:value", _is_pairs)
_tool_pairs = _Check("key:value;key:value, with one colon each", _is_tool_pairs)
# NNAPI's reference is the processor, and no accelerator.
_accelerator = _Check(
    "the name of an accelerator", lambda value: _is_text(value) and value != "nnapi-reference"
)

_REST: Mapping[str, _Check] = {REST: _one_of("xnnpack", "none")}
_LOOP: Mapping[str, Mapping[str, _Check]] = {
    "none": {},
    "xnnpack": {},
    "external": {PATH: _library, OPTIONS: _pairs, **_REST},
    "edgetpu": {PATH: _library, OPTIONS: _pairs, **_REST},
}
_SHARED: Mapping[str, _Check] = {"max_delegated_partitions": _whole}
_RUNTIME: Mapping[str, _Check] = {
    "min_nodes_per_partition": _whole,
    "require_full_delegation": _flag,
    "disable_delegate_clustering": _flag,
    "allow_fp16": _flag,
}
_CLASSIC: Mapping[str, Mapping[str, _Check]] = {
    "none": {},
    "xnnpack": {"xnnpack_force_fp16": _flag, "xnnpack_runtime_flags": _whole},
    "gpu": {
        "gpu_precision_loss_allowed": _flag,
        "gpu_experimental_enable_quant": _flag,
        "gpu_inference_for_sustained_speed": _flag,
        "gpu_backend": _one_of("cl", "gl"),
        **_SHARED,
    },
    "nnapi": {
        "nnapi_execution_preference": _one_of(
            "fast_single_answer", "sustained_speed", "low_power", "undefined"
        ),
        "nnapi_execution_priority": _one_of("default", "low", "medium", "high"),
        "nnapi_accelerator_name": _accelerator,
        "nnapi_allow_fp16": _flag,
        "nnapi_allow_dynamic_dimensions": _flag,
        "nnapi_use_burst_mode": _flag,
        "nnapi_support_library_path": _text,
        **_SHARED,
    },
    "hexagon": {"hexagon_lib_path": _text, **_SHARED},
    "external": {PATH: _library, OPTIONS: _tool_pairs},
    "edgetpu": {PATH: _library, OPTIONS: _tool_pairs},
}
_COMPILED: Mapping[str, Mapping[str, _Check]] = {
    "xnnpack": {},
    "gpu": {
        "gpu_backend": _one_of("webgpu", "opengl", "gl"),
        "gpu-precision": _one_of("auto", "fp16", "fp32"),
        "gpu_low_priority": _flag,
        "gpu_prefer_texture_weights": _flag,
    },
    "npu": {
        "dispatch_library_path": _text,
        "compiler_plugin_library_path": _text,
        "compiler_cache_path": _text,
    },
}
# CompiledModel by its C API (bench.runners.litert_loop).
_LITERT: Mapping[str, Mapping[str, _Check]] = {
    "none": {},
    "xnnpack": {},
    "gpu": {"precision": _one_of("fp16", "fp32")},
    "npu": {"dispatch_library_path": _absolute, "compiler_plugin_library_path": _absolute},
}
_TABLES = {LOOP: _LOOP, LITERT: _LITERT, COMPILED: _COMPILED}
_ACCELERATORS = frozenset({"gpu", "nnapi", "hexagon", "external", "edgetpu"})
_EDGETPU_ANDROID = "google-edgetpu"


def not_applicable(case: Case, *, system: str, abi: str) -> str | None:
    """Why a runner of benchmark_model's kinds can never measure a case there, or None.

    Args:
        system: of the device, "linux" or "android"; abi: as the device names it.

    What depends on the build of a tool (GPU in one for Linux) shows only when it runs.
    """
    name, kind = case.delegate.name, case.runner
    if kind == APP and system != "android":
        return "benchmark_app is an app for Android"
    if kind == COMPILED:
        if name == "none":
            return "the CompiledModel API has no plain kernels: XNNPACK is always on"
        if name not in _COMPILED:
            return f"the CompiledModel API has no {name} delegate"
        if case.input_shapes:
            return "benchmark_litert_model cannot resize inputs"
        return None
    if name not in _CLASSIC:
        return f"benchmark_model has no {name} delegate; benchmark_litert_model may have"
    if system != "android" and name in ("nnapi", "hexagon"):
        return f"{name} exists on Android only"
    options = dict(case.delegate.options)
    if name == "edgetpu" and system == "android" and OPTIONS in options and PATH not in options:
        return "edgetpu of Android goes through NNAPI, which takes no options; name its path"
    if name == "hexagon" and abi not in ("arm64-v8a", "armeabi-v7a"):
        return f"hexagon is a part of ARM phones, and this is {abi}"
    return None


def delegates_of(kind: str) -> frozenset[str]:
    """Names of the delegates that a runner kind has anywhere."""
    return frozenset(_TABLES.get(kind, _CLASSIC))


def option_problem(delegate: DelegateSpec, kind: str) -> str | None:
    """What is wrong with the options of a delegate for a runner kind, one line, or None.

    The kind has such a delegate; whether it has, `delegates_of` says.
    """
    known = dict(_options(delegate.name, kind))
    for name, value in delegate.options:
        if name not in known:
            names = ", ".join(known) or "none"
            return f"{delegate.name} of {kind} has no option {name!r} (known: {names})"
        if not known[name].accepts(value):
            takes = known[name].takes
            return f"{delegate.name} of {kind}: {value!r} is no value for {name}: it takes {takes}"
    if delegate.name == "external" and PATH not in dict(delegate.options):
        return "external needs the option path: the library that brings the delegate"
    return None


def delegate_flags(
    delegate: DelegateSpec, *, kind: str, system: str, threads: int
) -> tuple[str, ...]:
    """The flags that ask for a delegate and for nothing else, with every default said.

    An accelerator is followed by XNNPACK, which takes the rest, unless rest = "none".
    Delegates are applied in the order of their flags.

    Raises: ValueError for what `not_applicable` or `option_problem` would have named; a
    plan must not have planned it.
    """
    if problem := option_problem(delegate, kind):
        raise ValueError(problem)
    if delegate.name not in delegates_of(kind):
        raise ValueError(f"{kind} has no delegate {delegate.name!r}")
    options = dict(delegate.options)
    rest = options.pop(REST, "xnnpack")
    flags = [f"--num_threads={threads}"]
    if kind == COMPILED:
        flags.append("--use_cpu=true")
        flags += [f"--use_{name}={_word(delegate.name == name)}" for name in ("gpu", "npu")]
    else:
        flags += _classic(delegate.name, options, system, rest)
    flags += [f"--{name}={value}" for name, value in sorted(options.items())]
    return tuple(flags)


def _options(name: str, kind: str) -> Iterator[tuple[str, _Check]]:
    if kind in _TABLES:
        yield from _TABLES[kind].get(name, {}).items()
        return
    yield from _CLASSIC.get(name, {}).items()
    if name != "none":
        yield from _RUNTIME.items()
    if name in _ACCELERATORS:
        yield from _REST.items()


def _classic(name: str, options: dict[str, str], system: str, rest: str) -> Iterator[str]:
    library, told = options.pop(PATH, None), options.pop(OPTIONS, None)
    if name == "edgetpu" and system == "android" and library is None:
        yield "--use_nnapi=true"
        yield f"--nnapi_accelerator_name={_EDGETPU_ANDROID}"
    elif name in LIBRARIES:
        yield f"--external_delegate_path={library or LIBRARIES[name]}"
        if told is not None:
            yield f"--external_delegate_options={told}"
    elif name in _ACCELERATORS:
        yield f"--use_{name}=true"
    takes_rest = name in _ACCELERATORS and rest == "xnnpack"
    yield f"--use_xnnpack={_word(name == 'xnnpack' or takes_rest)}"


def _word(value: bool) -> str:
    return "true" if value else "false"
