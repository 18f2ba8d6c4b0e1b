"""What the TFLite / LiteRT runtime wrote to its log -> facts about delegates and errors.

A log is free text in which lines may be missing: what is not found is absent, never zero.
Wordings: LiteRT tflite/core/subgraph.cc, tflite/delegates/**, litert/runtime/**, and their
older forms back to TensorFlow 1.15.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

# A delegate that fails writes one line per run; nobody reads more of them than this.
_MAX_ERRORS = 20
_LINE_LENGTH = 400
_MAX_REASONS = 50

# LiteRT 2.0 writes some of it through Abseil: "I0000 00:00:17.42   7 environment.cc:532] ".
_LEVEL = (
    r"(?:(?:VERBOSE|INFO|WARNING|WARN|ERROR|FATAL): )?(?:\[[\w./]+:\d+\] "
    r"|[IWEF]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ [\w./-]+:\d+\] )?"
)
# More digits are no number of nodes, and Python refuses to read thousands of them.
_N = r"(\d{1,9})"
_REPLACED = re.compile(
    _LEVEL + rf"Replacing {_N}(?: out of {_N})? node\(s\) with delegate \((.*?)\) node, "
    rf"yielding {_N} partitions(?: for subgraph {_N}(?: \(.*\))?| for the whole graph)?\.?"
)
_SIMPLE = re.compile(
    _LEVEL + rf"(\S+) delegate: {_N} nodes delegated out of {_N} nodes"
    rf"(?:,? with {_N} partitions)?\.?"
)
_CREATED = re.compile(
    _LEVEL
    + r"Created TensorFlow Lite (?:XNNPACK )?delegate for (\w+|select TF ops)(?: \(async\))?\."
)
_GPU_LIST = re.compile(_LEVEL + r"(?:Following|Next) operations are not supported by GPU delegate:")
# Names of ops are in capitals. Where the log is Android's, every line has the level again.
_GPU_OP = re.compile(
    r"(?:ERROR: )?(?!(?:VERBOSE|INFO|WARN|WARNING|ERROR|FATAL): )"
    r"(CUSTOM [^:]+|[A-Z][A-Z0-9_]*):(?: (.*))?"
)
_GPU_SHARE = re.compile(
    _LEVEL + rf"(?:First )?{_N} operations will run on the GPU, and the remaining {_N}"
    r"(?: operations will run)? on the CPU\."
)
_GPU_NONE = re.compile(
    _LEVEL + rf"No operations will run on the GPU, and all {_N} operations will run on the CPU\."
)
_NNAPI_OP = re.compile(_LEVEL + r"Operator (.+?) \(v\d+\) refused by NNAPI delegate: (.*)")
_NNAPI_MISSING = re.compile(
    _LEVEL + r"(?:Could not find the specified NNAPI accelerator: .*"
    r"|NNAPI delegate requested but no accelerators available\.?)"
)
_RESTORED = re.compile(
    _LEVEL + r"Restored original execution plan after delegate application failure\.?"
)
# The profiler's buffer was full; what came after in that run has no row.
_DROPPED = re.compile(_LEVEL + r"Warning: Dropping ProfileBuffer event\.")
_NOT_APPLIED = re.compile(_LEVEL + r"Failed to apply (\S+) delegate\.?")
_REGISTERED = re.compile(_LEVEL + r"RegisterAccelerator: ptr=\S+, name=(.+)")
_NOT_LOADED = re.compile(
    _LEVEL + r"(GPU|NPU) accelerator (?:could not be loaded and registered|registration disabled).*"
)
_ADAPTER = re.compile(r".*Selected adapter: (.+)")
# Rasterisers that compute on the processor under a GPU's name.
_SOFTWARE = re.compile(
    r"llvmpipe|swiftshader|softpipe|lavapipe|adapterType=CPU|arch=software", re.I
)
_ERROR = re.compile(r"(?:ERROR|FATAL): .*")


@dataclass(frozen=True, slots=True)
class Replaced:
    """A delegate took nodes of a subgraph.

    Attributes:
        delegate: name that the delegate gives itself.
        nodes: how many it took; of: nodes of the plan then, None in older wordings.
        partitions: delegate nodes only; None where the log counts others with them.
        subgraph: 0 is the main one.
        parts: what the log counts, others included; None where it counts nothing.
    """

    delegate: str
    nodes: int
    of: int | None
    partitions: int | None
    subgraph: int
    parts: int | None = None


@dataclass(frozen=True, slots=True)
class RuntimeLog:
    """Facts of one log.

    Attributes:
        replaced: in the order of the log.
        created: words of "Created TensorFlow Lite ... for X": "CPU" is XNNPACK's. The
            line comes when a delegate object is made and proves no node.
        gpu_refused: op -> reasons, each once, whatever the number of its nodes; "" where
            none is told.
        gpu_nodes: (on the GPU, on the CPU), as its delegate said.
        accelerators: names that LiteRT registered.
        not_loaded: "GPU", "NPU" where LiteRT said that it could not load it.
        adapter: the graphics adapter that was chosen, "" if none was named.
        errors: the first lines at ERROR or FATAL, each once.
        nnapi_refused: op -> reasons, likewise; only where NNAPI was told to say it.
        nnapi_missing: lines that say that NNAPI had no accelerator, or not the one asked for.
        not_applied: delegates that the tool failed to apply, by its own names.
        restored: whether a delegate's failure gave all nodes back to the processor.
        dropped_rows: whether the profiler lost ops for lack of room.
    """

    replaced: tuple[Replaced, ...] = ()
    created: tuple[str, ...] = ()
    gpu_refused: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    gpu_nodes: tuple[int, int] | None = None
    accelerators: tuple[str, ...] = ()
    not_loaded: tuple[str, ...] = ()
    adapter: str = ""
    errors: tuple[str, ...] = ()
    nnapi_refused: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    nnapi_missing: tuple[str, ...] = ()
    not_applied: tuple[str, ...] = ()
    restored: bool = False
    dropped_rows: bool = False

    @property
    def adapter_is_software(self) -> bool:
        """Whether what was chosen as GPU computes on the processor."""
        return bool(_SOFTWARE.search(self.adapter))


def parse_log(text: str) -> RuntimeLog:
    """Read a log; never raises, since nothing in it is bound to be there."""
    replaced: list[Replaced] = []
    created: dict[str, None] = {}
    gpu_refused: dict[str, tuple[str, ...]] = {}
    nnapi_refused: dict[str, tuple[str, ...]] = {}
    gpu_nodes: tuple[int, int] | None = None
    accelerators: dict[str, None] = {}
    not_loaded: dict[str, None] = {}
    adapter = ""
    errors: dict[str, None] = {}
    nnapi_missing: dict[str, None] = {}
    not_applied: dict[str, None] = {}
    restored = dropped_rows = listing = False
    for raw in text.splitlines():
        line = raw.strip()
        if (share := _GPU_SHARE.fullmatch(line)) is not None:
            gpu_nodes, listing = (int(share[1]), int(share[2])), False
        elif (none := _GPU_NONE.fullmatch(line)) is not None:
            gpu_nodes, listing = (0, int(none[1])), False
        elif _GPU_LIST.fullmatch(line):
            listing = True
        elif listing and (op := _GPU_OP.fullmatch(line)) is not None:
            _refuse(gpu_refused, op[1], op[2] or "")
        elif (match := _REPLACED.fullmatch(line)) is not None:
            replaced.append(_replaced(match))
        elif (match := _SIMPLE.fullmatch(line)) is not None:
            partitions = None if match[4] is None else int(match[4])
            taken = Replaced(match[1], int(match[2]), int(match[3]), partitions, 0, partitions)
            replaced.append(taken)
        elif (match := _CREATED.fullmatch(line)) is not None:
            created[match[1]] = None
        elif (match := _REGISTERED.fullmatch(line)) is not None:
            accelerators[match[1]] = None
        elif (match := _NOT_LOADED.fullmatch(line)) is not None:
            not_loaded[match[1]] = None
        elif (match := _ADAPTER.fullmatch(line)) is not None:
            adapter = match[1][:_LINE_LENGTH]
        elif (match := _NNAPI_OP.fullmatch(line)) is not None:
            _refuse(nnapi_refused, match[1], match[2] or "")
        elif _NNAPI_MISSING.fullmatch(line):
            nnapi_missing[line[:_LINE_LENGTH]] = None
        elif (match := _NOT_APPLIED.fullmatch(line)) is not None:
            not_applied[match[1]] = None
        elif _RESTORED.fullmatch(line):
            restored = True
        elif _DROPPED.fullmatch(line):
            dropped_rows = True
        if _ERROR.fullmatch(line):
            # An error that is no op ends a list that was cut off.
            listing = listing and (_GPU_LIST.fullmatch(line) or _GPU_OP.fullmatch(line)) is not None
            if len(errors) < _MAX_ERRORS:
                errors[line[:_LINE_LENGTH]] = None
    return RuntimeLog(
        tuple(replaced),
        tuple(created),
        gpu_refused,
        gpu_nodes,
        tuple(accelerators),
        tuple(not_loaded),
        adapter,
        tuple(errors),
        nnapi_refused,
        tuple(nnapi_missing),
        tuple(not_applied),
        restored,
        dropped_rows,
    )


def _refuse(refused: dict[str, tuple[str, ...]], op: str, reason: str) -> None:
    said = refused.get(op, ())
    if len(said) < _MAX_REASONS:
        refused[op] = tuple(dict.fromkeys((*said, reason[:_LINE_LENGTH])))


def _replaced(match: re.Match[str]) -> Replaced:
    nodes, of, cut = int(match[1]), None if match[2] is None else int(match[2]), int(match[4])
    # The line counts delegate and other partitions alike: where every node was taken, or
    # the graph is one partition, they are all the delegate's.
    partitions = cut if nodes and (nodes == of or cut == 1) else None
    return Replaced(match[3], nodes, of, partitions, int(match[5] or 0), cut)
