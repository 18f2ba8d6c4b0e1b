"""One model in the installed TFLite runtime: loaded, fed, run, and which op ran where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from devices.emulated.standin.delegates import Node


class NotLoaded(Exception):
    """The model cannot be loaded; the text is what the runtime says, by lines."""


class NotPrepared(Exception):
    """The model was loaded and cannot run; the text is what the runtime says, by lines."""


class Model:
    """A model, ready to run.

    Args:
        path: of a .tflite file.
        threads: of the CPU kernels; -1 is one.
        xnnpack: False for plain kernels.
        shapes: of inputs that get another one, by name.

    Attributes:
        nodes: of the graph as the file has it.
        kernels: the nodes of each partition that XNNPACK runs, by index.

    Raises: NotLoaded, NotPrepared.
    """

    def __init__(
        self, path: str, *, threads: int, xnnpack: bool, shapes: Mapping[str, tuple[int, ...]]
    ) -> None:
        self.size_bytes = _check_file(path)
        resolver = (
            OpResolverType.AUTO if xnnpack else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        )
        try:
            self._interpreter: Any = Interpreter(
                model_path=path,
                num_threads=max(1, threads),
                experimental_op_resolver_type=resolver,
            )
        except (ValueError, RuntimeError, OSError) as error:
            raise NotLoaded("The model is not a valid Flatbuffer buffer") from error
        details = self._interpreter._get_ops_details()
        self.nodes = tuple(
            Node(
                int(op["index"]),
                str(op["op_name"]),
                _tensors(op["inputs"]),
                _tensors(op["outputs"]),
            )
            for op in details
        )
        try:
            for tensor in self._interpreter.get_input_details():
                if (shape := shapes.get(tensor["name"])) is not None:
                    self._interpreter.resize_tensor_input(tensor["index"], list(shape))
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise NotPrepared(str(error).strip()) from error
        self.kernels = self._partitions(self._interpreter._get_ops_details()[len(details) :])
        self.invoke = self._interpreter.invoke

    def tensors(self) -> list[dict[str, Any]]:
        """Every tensor of the main graph, as the runtime tells."""
        found: list[dict[str, Any]] = self._interpreter.get_tensor_details()
        return found

    def inputs(self) -> list[tuple[str, tuple[int, ...], np.dtype[Any]]]:
        """Name, shape and type of each input."""
        return [
            (str(t["name"]), tuple(map(int, t["shape"])), np.dtype(t["dtype"]))
            for t in self._interpreter.get_input_details()
        ]

    def feed(self, values: Mapping[str, bytes], seed: int | None = None) -> None:
        """Set the inputs: bytes by name, random ones for the others."""
        random = np.random.default_rng(seed)
        for tensor in self._interpreter.get_input_details():
            shape, dtype = tuple(tensor["shape"]), np.dtype(tensor["dtype"])
            if (data := values.get(tensor["name"])) is not None:
                value = np.frombuffer(data, dtype).reshape(shape)
            elif dtype.kind == "f":
                value = (random.random(shape) - 0.5).astype(dtype)
            elif dtype.kind in "iu":
                limits = np.iinfo(dtype) if dtype.itemsize == 1 else np.iinfo(np.int8)
                low = max(0, limits.min) if dtype.itemsize > 1 else limits.min
                value = random.integers(low, limits.max, shape, dtype, endpoint=True)
            else:
                value = np.zeros(shape, dtype)
            self._interpreter.set_tensor(tensor["index"], value)

    def outputs(self) -> bytes:
        """The bytes of all outputs, in order."""
        return b"".join(
            self._interpreter.get_tensor(tensor["index"]).tobytes()
            for tensor in self._interpreter.get_output_details()
        )

    def _partitions(self, added: Sequence[Mapping[str, Any]]) -> tuple[tuple[int, ...], ...]:
        """Which nodes each delegate node replaces: back from its outputs to its inputs."""
        makers = {tensor: node for node in self.nodes for tensor in node.outputs}
        found = []
        for op in added:
            if op["op_name"] != "DELEGATE":
                continue
            stop, todo = set(_tensors(op["inputs"])), list(_tensors(op["outputs"]))
            nodes: set[int] = set()
            while todo:
                tensor = todo.pop()
                node = makers.get(tensor)
                if tensor in stop or node is None or node.index in nodes:
                    continue
                nodes.add(node.index)
                todo += node.inputs
            found.append(tuple(sorted(nodes)))
        return tuple(found)


def input_bytes(shape: Sequence[int], dtype: np.dtype[Any]) -> int:
    """Size of a tensor."""
    return int(np.prod(shape, dtype=np.int64)) * dtype.itemsize


def _check_file(path: str) -> int:
    """Its size. Raises: NotLoaded with the words of the runtime's file reader."""
    empty = "The model allocation is null/empty"
    try:
        if Path(path).is_dir():
            raise NotLoaded(f"Mmap of '3' at offset '0' failed with error '19'.\n{empty}")
        with Path(path).open("rb") as file:
            head = file.read(8)
    except OSError as error:
        raise NotLoaded(f"Could not open '{path}'.\n{empty}") from error
    if not head:
        raise NotLoaded(f"mmap of size 0 requested.\n{empty}")
    return Path(path).stat().st_size


def _tensors(indices: Sequence[int]) -> tuple[int, ...]:
    return tuple(int(index) for index in indices if index >= 0)
