"""What a delegate is called: in a plan, by benchmark_model, by its flags, and by itself.

Sources: LiteRT, tflite/tools/delegates/*_provider.cc (names, flags), and the delegates' own
`name` in tflite/delegates/** and litert/runtime/accelerators/**.
"""

from __future__ import annotations

import re

from bench.parsers.benchmark_model import Applied, ToolText

_XNNPACK = re.compile(r"xnnpack", re.IGNORECASE)
# What benchmark_model calls them in its own text.
_TOOL_NAMES = {
    "xnnpack": {"XNNPACK"},
    "ynnpack": {"YNNPACK"},
    "gpu": {"GPU"},
    "nnapi": {"NNAPI"},
    "hexagon": {"HEXAGON"},
    "coreml": {"COREML"},
    "stable": {"STABLE_DELEGATE"},
    "external": {"EXTERNAL"},
    "edgetpu": {"EXTERNAL", "NNAPI"},
}
# How delegates name themselves in the runtime's log and node list; "external" may be any
# but those that the runtime applies by itself.
_OWN_NAMES = {
    "xnnpack": _XNNPACK,
    "ynnpack": re.compile(r"ynnpack", re.IGNORECASE),
    # LiteRT's accelerators: LITERT_CL, LITERT_OPENGL, LITERT_METAL and so on.
    "gpu": re.compile(r"gpu|opencl|opengl|vulkan|metal|ml_?drift|litert_cl\b", re.IGNORECASE),
    "nnapi": re.compile(r"nnapi", re.IGNORECASE),
    "npu": re.compile(r"npu|dispatch", re.IGNORECASE),
    "hexagon": re.compile(r"hexagon", re.IGNORECASE),
    "coreml": re.compile(r"core ?ml", re.IGNORECASE),
    "flex": re.compile(r"flex", re.IGNORECASE),
}
# Words of "Created TensorFlow Lite delegate for X".
_CREATED_AS = {
    "CPU": "xnnpack",
    "GPU": "gpu",
    "Metal": "gpu",
    "NNAPI": "nnapi",
    "Hexagon": "hexagon",
    "select TF ops": "flex",
}
_FLAG = re.compile(
    r"--(?:use_(\w+?)(?:[= ](?:true|1))?|(external_delegate|stable_delegate)_\w+=.+)"
)
_BY_FLAG = {"external_delegate": "external", "stable_delegate": "stable"}


def known() -> tuple[str, ...]:
    """Names that a plan or an output may ask for, without "none"."""
    return (*_TOOL_NAMES, "npu")


def created_as(word: str) -> str | None:
    """Name of the delegate that the runtime's log says was created for X, or None."""
    return _CREATED_AS.get(word)


def is_applied_unasked(name: str) -> bool:
    """Whether the runtime applies a delegate that calls itself so without being told.

    XNNPACK, and Flex, which runs the ops of TensorFlow where a model has some.
    """
    return is_xnnpack(name) or is_own("flex", name)


def is_xnnpack(name: str) -> bool:
    """Whether a delegate that calls itself so is XNNPACK."""
    return bool(_XNNPACK.search(name))


def is_own(requested: str, name: str) -> bool:
    """Whether a delegate that calls itself so is the one that was asked for."""
    pattern = _OWN_NAMES.get(requested)
    return not is_applied_unasked(name) if pattern is None else bool(pattern.search(name))


def is_meant(requested: str, tool_name: str) -> bool:
    """Whether benchmark_model means the delegate that was asked for by this name."""
    return tool_name.upper() in _TOOL_NAMES.get(requested, set())


def is_named_in(requested: str, line: str) -> bool:
    """Whether a line of benchmark_model names the delegate that was asked for."""
    return any(name in line.upper() for name in _TOOL_NAMES.get(requested, set()))


def applied(requested: str, text: ToolText) -> Applied | None:
    """What the tool said of the delegate after it had applied it; None if it did not."""
    return next((item for item in text.applied if is_meant(requested, item.delegate)), None)


def asked_by_flag(flag: str) -> str | None:
    """Name of the delegate that a flag ("--use_gpu=true") asks for, or None."""
    match = _FLAG.fullmatch(flag)
    if match is None:
        return None
    name = match[1] or _BY_FLAG[match[2]]
    return name if name in known() else None
