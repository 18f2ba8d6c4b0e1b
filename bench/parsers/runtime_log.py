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

_LEVEL = r"(?:(?:VERBOSE|INFO|WARNING|WARN|ERROR|FATAL): )?(?:\[[\w.]+:\d+\] )?"
_REPLACED = re.compile(
    _LEVEL + r"Replacing (\d+)(?: out of (\d+))? node\(s\) with delegate \((.*?)\) node, "
    r"yielding (\d+) partitions(?: for subgraph (\d+)(?: \(.*\))?| for the whole graph)?\.?"
)
_SIMPLE = re.compile(
    _LEVEL + r"(\S+) delegate: (\d+) nodes delegated out of (\d+) nodes"
    r"(?: with|, with) (\d+) partitions\.?"
)
_CREATED = re.compile(_LEVEL + r"Created TensorFlow Lite (?:XNNPACK )?delegate for (\w+)\.")
_GPU_LIST = re.compile(_LEVEL + r"(?:Following|Next) operations are not supported by GPU delegate:")
_GPU_OP = re.compile(r"([A-Za-z0-9_]+(?: [^:]+)?):(?: (.*))?")
_GPU_SHARE = re.compile(
    r"(?:First )?(\d+) operations will run on the GPU, and the remaining (\d+)"
    r"(?: operations will run)? on the CPU\."
)
_GPU_NONE = re.compile(
    r"No operations will run on the GPU, and all (\d+) operations will run on the CPU\."
)
_REGISTERED = re.compile(_LEVEL + r"RegisterAccelerator: ptr=\S+, name=(.+)")
_NOT_LOADED = re.compile(_LEVEL + r"(GPU|NPU) accelerator could not be loaded and registered.*")
_ADAPTER = re.compile(r".*Selected adapter: (.+)")
# Rasterisers that compute on the processor under a GPU's name.
_SOFTWARE = re.compile(r"llvmpipe|swiftshader|softpipe|adapterType=CPU|arch=software", re.I)
_ERROR = re.compile(r"(?:ERROR|FATAL): .*")
_LEVELLED = re.compile(r"(?:VERBOSE|INFO|WARNING|WARN|ERROR|FATAL): ")


@dataclass(frozen=True, slots=True)
class Replaced:
    """A delegate took nodes of a subgraph.

    Attributes:
        delegate: name that the delegate gives itself.
        nodes: how many it took; of: nodes of the plan then, None in older wordings.
        partitions: delegate nodes only; None where the log counts others with them.
        subgraph: 0 is the main one.
    """

    delegate: str
    nodes: int
    of: int | None
    partitions: int | None
    subgraph: int


@dataclass(frozen=True, slots=True)
class RuntimeLog:
    """Facts of one log.

    Attributes:
        replaced: in the order of the log.
        created: words of "Created TensorFlow Lite ... for X": "CPU" is XNNPACK's. The
            line comes when a delegate object is made and proves no node.
        gpu_refused: op -> reason, one entry per distinct op, whatever its number of nodes.
        gpu_nodes: (on the GPU, on the CPU), as its delegate said.
        accelerators: names that LiteRT registered.
        not_loaded: "GPU", "NPU" where LiteRT said that it could not load it.
        adapter: the graphics adapter that was chosen, "" if none was named.
        errors: the first lines at ERROR or FATAL, each once.
    """

    replaced: tuple[Replaced, ...] = ()
    created: tuple[str, ...] = ()
    gpu_refused: Mapping[str, str] = field(default_factory=dict)
    gpu_nodes: tuple[int, int] | None = None
    accelerators: tuple[str, ...] = ()
    not_loaded: tuple[str, ...] = ()
    adapter: str = ""
    errors: tuple[str, ...] = ()

    @property
    def adapter_is_software(self) -> bool:
        """Whether what was chosen as GPU computes on the processor."""
        return bool(_SOFTWARE.search(self.adapter))


def parse_log(text: str) -> RuntimeLog:
    """Read a log; never raises, since nothing in it is bound to be there."""
    replaced: list[Replaced] = []
    created: dict[str, None] = {}
    refused: dict[str, str] = {}
    gpu_nodes: tuple[int, int] | None = None
    accelerators: dict[str, None] = {}
    not_loaded: dict[str, None] = {}
    adapter = ""
    errors: dict[str, None] = {}
    listing = False
    for raw in text.splitlines():
        line = raw.strip()
        listing = listing and not _LEVELLED.match(line)
        if (share := _GPU_SHARE.fullmatch(line)) is not None:
            gpu_nodes, listing = (int(share[1]), int(share[2])), False
        elif (none := _GPU_NONE.fullmatch(line)) is not None:
            gpu_nodes, listing = (0, int(none[1])), False
        elif _GPU_LIST.fullmatch(line):
            listing = True
        elif listing and (op := _GPU_OP.fullmatch(line)) is not None:
            refused[op[1]] = op[2] or "not said"
        elif (match := _REPLACED.fullmatch(line)) is not None:
            replaced.append(_replaced(match))
        elif (match := _SIMPLE.fullmatch(line)) is not None:
            replaced.append(Replaced(match[1], int(match[2]), int(match[3]), int(match[4]), 0))
        elif (match := _CREATED.fullmatch(line)) is not None:
            created[match[1]] = None
        elif (match := _REGISTERED.fullmatch(line)) is not None:
            accelerators[match[1]] = None
        elif (match := _NOT_LOADED.fullmatch(line)) is not None:
            not_loaded[match[1]] = None
        elif (match := _ADAPTER.fullmatch(line)) is not None:
            adapter = match[1][:_LINE_LENGTH]
        if _ERROR.fullmatch(line) and len(errors) < _MAX_ERRORS:
            errors[line[:_LINE_LENGTH]] = None
    return RuntimeLog(
        tuple(replaced),
        tuple(created),
        refused,
        gpu_nodes,
        tuple(accelerators),
        tuple(not_loaded),
        adapter,
        tuple(errors),
    )


def _replaced(match: re.Match[str]) -> Replaced:
    nodes, of = int(match[1]), None if match[2] is None else int(match[2])
    # The line counts delegate and other partitions alike; only a single one is certain.
    partitions = 1 if match[4] == "1" and nodes else None
    return Replaced(match[3], nodes, of, partitions, int(match[5] or 0))
