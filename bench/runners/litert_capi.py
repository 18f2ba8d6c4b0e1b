"""LiteRT's CompiledModel through the C API of the ai-edge-litert wheel, by ctypes.

Copied to the device and imported there beside litert_abi.py: standard library and numpy
only, Python 3.9. A Session has the methods of the interpreter that invoke_loop calls, so
that its functions work on both.
"""

from __future__ import annotations

import contextlib
import ctypes as c
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING or __package__:
    from bench.runners import litert_abi as abi
else:
    import litert_abi as abi

CPU, GPU, NPU = 1, 2, 4
# Kinds of profiler events (tflite/core/api/profiler.h). Only a RUNTIME event called
# "Invoke" is a run of a subgraph.
RUNTIME, OP, DELEGATE, DELEGATE_OP = 1, 2, 4, 8


Array = Any


class Event(NamedTuple):
    """One profiler event: `place` is a node of `subgraph`, or a step within a delegate; us."""

    kind: int
    tag: str
    us: int
    place: int
    subgraph: int


class Session:
    """One model, compiled: `compile`, `resize_tensor_input`, `allocate_tensors`, `invoke`.

    Leaving it as a context frees everything. Every method raises LiteRtError.
    """

    def __init__(self, model: str, *, plugin_dir: str = "", dispatch_dir: str = "") -> None:
        self._library, folder = abi.load()
        self._stack = contextlib.ExitStack()
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        try:
            self._environment = self._made_environment(folder, plugin_dir, dispatch_dir)
            self._model = self._make(
                "LiteRtCreateModelFromFile", self._environment, model.encode(), free="Model"
            )
            self._signature, self._graph = self._main_graph()
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free everything; the session is of no use afterwards."""
        self._stack.close()

    # --- Calls -------------------------------------------------------------------------

    def _call(self, name: str, *arguments: Any) -> None:
        function = getattr(self._library, name, None)
        if function is None:
            raise abi.LiteRtError(f"this ai-edge-litert's library has no {name}")
        status = function(*arguments)
        if status:
            raise abi.LiteRtError(f"{name}: {abi.problem(status)}")

    def _get(self, kind: Any, name: str, *arguments: Any) -> Any:
        """The value that a call leaves behind its last pointer."""
        value = kind()
        self._call(name, *arguments, c.byref(value))
        return value if kind is abi.Handle or issubclass(kind, c.Structure) else value.value

    def _make(self, name: str, *arguments: Any, free: str) -> Any:
        handle = self._get(abi.Handle, name, *arguments)
        self._stack.callback(getattr(self._library, f"LiteRtDestroy{free}"), handle)
        return handle

    # --- Building ----------------------------------------------------------------------

    def _made_environment(self, folder: Path, plugin_dir: str, dispatch_dir: str) -> Any:
        texts = {
            abi.RUNTIME_DIR: str(folder),
            abi.PLUGIN_DIR: plugin_dir,
            abi.DISPATCH_DIR: dispatch_dir,
        }
        options = [
            abi.EnvironmentOption(tag, abi.AnyValue(abi.ANY_TEXT, abi.Value(text=text.encode())))
            for tag, text in texts.items()
            if text
        ]
        options.append(
            abi.EnvironmentOption(
                abi.LOG_SEVERITY, abi.AnyValue(abi.ANY_INT, abi.Value(number=abi.LOG_INFO))
            )
        )
        array = (abi.EnvironmentOption * len(options))(*options)
        return self._make("LiteRtCreateEnvironment", len(options), array, free="Environment")

    def _main_graph(self) -> tuple[Any, Any]:
        """The signature that runs the main subgraph, as its index, and that subgraph."""
        main = self._get(c.c_size_t, "LiteRtGetMainModelSubgraphIndex", self._model)
        graph = self._get(abi.Handle, "LiteRtGetModelSubgraph", self._model, c.c_size_t(main))
        for index in range(self._get(c.c_size_t, "LiteRtGetNumModelSignatures", self._model)):
            signature = self._get(
                abi.Handle, "LiteRtGetModelSignature", self._model, c.c_size_t(index)
            )
            runs = self._get(abi.Handle, "LiteRtGetSignatureSubgraph", signature)
            if runs.value == graph.value:
                return c.c_size_t(index), graph
        raise abi.LiteRtError("none of the model's signatures runs its main subgraph")

    def accelerators(self) -> list[str]:
        """Names of those that the library has loaded on this machine."""
        count = self._get(c.c_size_t, "LiteRtGetNumAccelerators", self._environment)
        names = []
        for index in range(count):
            item = self._get(
                abi.Handle, "LiteRtGetAccelerator", self._environment, c.c_size_t(index)
            )
            names.append(_text(self._get(c.c_char_p, "LiteRtGetAcceleratorName", item)))
        return names

    def compile(self, accelerators: int, options: Mapping[str, str]) -> None:
        """Compile for a sum of CPU, GPU and NPU; `options`: identifier -> its TOML text."""
        made = self._make("LiteRtCreateOptions", free="Options")
        self._call("LiteRtSetOptionsHardwareAccelerators", made, accelerators)
        libc = c.CDLL(None)
        libc.strdup.restype = abi.Handle
        for identifier, toml in options.items():
            opaque = abi.Handle()
            self._call(
                "LiteRtCreateOpaqueOptions",
                identifier.encode(),
                abi.Handle(libc.strdup(toml.encode())),
                c.cast(libc.free, abi.Handle),
                c.byref(opaque),
            )
            self._call("LiteRtAddOpaqueOptions", made, opaque)
        self._compiled = self._make(
            "LiteRtCreateCompiledModel", self._environment, self._model, made, free="CompiledModel"
        )

    def resize_tensor_input(self, index: int, shape: Sequence[int]) -> None:
        """Give an input another shape, before `allocate_tensors`."""
        dimensions = (c.c_int * len(shape))(*shape)
        self._call(
            "LiteRtCompiledModelResizeInputTensorNonStrict",
            *(self._compiled, self._signature, c.c_size_t(index)),
            *(dimensions, c.c_size_t(len(shape))),
        )

    def allocate_tensors(self) -> None:
        """Make the buffers of all inputs and outputs, and `invoke`."""
        for side, buffers in (("Input", self._inputs), ("Output", self._outputs)):
            for index, (element, layout) in enumerate(self._layouts(side)):
                buffers.append(self._buffer(side, index, element, layout))
        run = self._library.LiteRtRunCompiledModel
        inputs = (abi.Handle * len(self._inputs))(*self._inputs)
        outputs = (abi.Handle * len(self._outputs))(*self._outputs)
        arguments = (
            *(self._compiled, self._signature),
            *(c.c_size_t(len(inputs)), inputs, c.c_size_t(len(outputs)), outputs),
        )

        def invoke() -> None:
            status = run(*arguments)
            if status:
                raise abi.LiteRtError(f"LiteRtRunCompiledModel: {abi.problem(status)}")

        # A closure, not a method: what it costs stands in every sample.
        self.invoke = invoke
        self._details = self.get_input_details() + self.get_output_details()

    def _buffer(self, side: str, index: int, element: int, layout: abi.Layout) -> Any:
        wanted = self._get(
            abi.Handle,
            f"LiteRtGetCompiledModel{side}BufferRequirements",
            *(self._compiled, self._signature, c.c_size_t(index)),
        )
        kind = abi.TensorType(element, layout)
        buffer = self._make(
            "LiteRtCreateManagedTensorBufferFromRequirements",
            *(self._environment, c.byref(kind), wanted),
            free="TensorBuffer",
        )
        packed = self._get(c.c_size_t, "LiteRtGetTensorBufferPackedSize", buffer)
        expected = abi.numpy_type(element).itemsize * int(
            np.prod(abi.shape_of(layout), dtype=np.int64)
        )
        if packed != expected:
            raise abi.LiteRtError(
                f"{side} {index} takes {expected} bytes, the library says {packed}"
            )
        return buffer

    # --- Tensors -----------------------------------------------------------------------

    def _tensors(self, side: str) -> Iterator[Any]:
        for index in range(self._get(c.c_size_t, f"LiteRtGetNumSubgraph{side}s", self._graph)):
            yield self._get(abi.Handle, f"LiteRtGetSubgraph{side}", self._graph, c.c_size_t(index))

    def _layouts(self, side: str) -> list[tuple[int, abi.Layout]]:
        """(element type, layout) of each tensor as compiled: an open dimension is 1 by now."""
        tensors = list(self._tensors(side))
        layouts = (abi.Layout * len(tensors))()
        place = (self._compiled, self._signature)
        if side == "Output":
            count = c.c_size_t(len(tensors))
            self._call("LiteRtGetCompiledModelOutputTensorLayouts", *place, count, layouts, True)
        else:
            name = "LiteRtGetCompiledModelInputTensorLayout"
            for index in range(len(tensors)):
                self._call(name, *place, c.c_size_t(index), c.byref(layouts[index]))
        kinds = [self._get(abi.TensorType, "LiteRtGetRankedTensorType", t) for t in tensors]
        return [(kind.element, layout) for kind, layout in zip(kinds, layouts)]  # noqa: B905

    def get_input_details(self) -> list[dict[str, Any]]:
        """name, index, shape, dtype and quantization (scale, zero point) of each input."""
        return self._described("Input", 0)

    def get_output_details(self) -> list[dict[str, Any]]:
        """The same of each output; indices go on after those of the inputs."""
        return self._described("Output", len(self._inputs))

    def _described(self, side: str, first: int) -> list[dict[str, Any]]:
        found = []
        pairs = zip(self._tensors(side), self._layouts(side))  # noqa: B905
        for index, (tensor, (element, layout)) in enumerate(pairs):
            scale, zero_point = 0.0, 0
            if self._get(c.c_int, "LiteRtGetQuantizationTypeId", tensor) == abi.PER_TENSOR:
                quantized = self._get(abi.PerTensor, "LiteRtGetPerTensorQuantization", tensor)
                scale, zero_point = quantized.scale, quantized.zero_point
            found.append(
                {
                    "name": _text(self._get(c.c_char_p, "LiteRtGetTensorName", tensor)),
                    "index": first + index,
                    "shape": abi.shape_of(layout),
                    "dtype": abi.numpy_type(element),
                    "quantization": (scale, zero_point),
                }
            )
        return found

    @contextlib.contextmanager
    def _locked(self, buffer: Any, mode: int) -> Iterator[Any]:
        address = abi.Handle()
        self._call("LiteRtLockTensorBuffer", buffer, c.byref(address), mode)
        try:
            yield address
        finally:
            self._call("LiteRtUnlockTensorBuffer", buffer)

    def set_tensor(self, index: int, values: Array) -> None:
        """Copy an array of the input's own type and shape in."""
        detail = self._details[index]
        if values.dtype != detail["dtype"] or list(values.shape) != detail["shape"]:
            raise abi.LiteRtError(f"{values.dtype} {values.shape} does not fit {detail['name']}")
        whole = np.ascontiguousarray(values)
        with self._locked(self._inputs[index], abi.LOCK_WRITE) as address:
            c.memmove(address, whole.ctypes.data, whole.nbytes)

    def get_tensor(self, index: int) -> Array:
        """A copy of an input or output; it waits for a run that is under way."""
        detail = self._details[index]
        values = np.empty(detail["shape"], detail["dtype"])
        with self._locked((*self._inputs, *self._outputs)[index], abi.LOCK_READ) as address:
            c.memmove(values.ctypes.data, address, values.nbytes)
        return values

    # --- What the library says ---------------------------------------------------------

    def node_count(self) -> int:
        """Nodes of the main subgraph, as they stand in the file."""
        return int(self._get(c.c_size_t, "LiteRtGetNumSubgraphOps", self._graph))

    def accelerated(self) -> tuple[bool, bool]:
        """Whether delegates took every node: any, XNNPACK among them; and without XNNPACK."""
        name = "LiteRtCompiledModelIs{}FullyAccelerated"
        anything = self._get(c.c_bool, name.format(""), self._compiled)
        return bool(anything), bool(self._get(c.c_bool, name.format("NonCpu"), self._compiled))

    def messages(self) -> str:
        """Its errors and refusals so far, where `error_reporter_mode` is 2."""
        address = self._get(abi.Handle, "LiteRtCompiledModelGetErrorMessages", self._compiled)
        if not address.value:
            return ""
        try:
            return _text(c.string_at(address.value))
        finally:
            c.CDLL(None).free(address)

    def profiled_run(self) -> list[Event]:
        """Run once and return the events; the model was compiled with `enable_profiling`."""
        profiler = self._get(abi.Handle, "LiteRtCompiledModelGetProfiler", self._compiled)
        self._call("LiteRtStartProfiler", profiler)
        try:
            self.invoke()
        finally:
            self._call("LiteRtStopProfiler", profiler)
        count = self._get(c.c_int, "LiteRtGetNumProfilerEvents", profiler)
        events = (abi.RawEvent * count)()
        if count:
            self._call("LiteRtGetProfilerEvents", profiler, count, events)
        read = [Event(e.kind, _text(e.tag), e.us, e.index, e.subgraph) for e in events]
        self._call("LiteRtResetProfiler", profiler)
        return read


def _text(raw: bytes | None) -> str:
    return (raw or b"").decode("utf-8", "replace")
