"""A stand-in for edgetpu_compiler on PATH, and a model as the real one writes it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from ai_edge_litert import schema_py_generated as schema
from models import GraphBuilder

VERSION = "16.0.384591198"
_OP = "edgetpu-custom-op"

# As version 2.1 to 16 print it; the models named are those of the compiler's own messages.
LOG = """Edge TPU Compiler version {version}
Started a compilation timeout timer of 180 seconds.

Model compiled successfully in 12 ms.

Input model: {source}
Input size: 2.42KiB
Output model: {made}
Output size: 8.12KiB
On-chip memory used for caching model parameters: 1.25KiB
On-chip memory remaining for caching model parameters: 7.90MiB
Off-chip memory used for streaming uncached model parameters: 0.00B
Number of Edge TPU subgraphs: 1
Total number of operations: 2
Operation log: {log}

Model successfully compiled but not all operations are supported by the Edge TPU.
Number of operations that will run on Edge TPU: 1
Number of operations that will run on CPU: 1

Operator                       Count      Status

FULLY_CONNECTED                1          Mapped to Edge TPU
SOFTMAX                        1          Operation is otherwise supported, but not mapped
"""

_SCRIPT = """#!{python}
import os, sys
sys.path[:0] = {path!r}
from pathlib import Path
from edgetpu_compiler import LOG, VERSION, compiled_model
if sys.argv[1:] == ["--version"]:
    sys.exit(print("Edge TPU Compiler version " + VERSION))
flag, out, folder, source = sys.argv[1:]
assert (flag, out) == ("-s", "-o") and Path(source).is_file()
how = os.environ.get("STAND_IN_COMPILER", "")
if how == "refuses":
    sys.exit("Edge TPU Compiler version " + VERSION + "\\nInvalid model: not quantized")
made = Path(folder) / (Path(source).stem + "_edgetpu.tflite")
made.write_bytes(Path(source).read_bytes() if how == "maps nothing" else compiled_model())
print(LOG.format(version=VERSION, source=source, made=made, log=made.with_suffix(".log")))
"""


def compiled_model(features: int = 64, classes: int = 10) -> bytes:
    """int8 in and out: one op of the Edge TPU, and the SOFTMAX that its compiler left."""
    g = GraphBuilder()
    x = g.tensor((1, features), "int8", name="input", scale=1 / 16, zero_point=-3)
    y = g.tensor((1, classes), "int8", scale=0.5)
    g.op(schema.BuiltinOperator.CUSTOM, (x,), (y,), custom=_OP)
    out = g.tensor((1, classes), "int8", name="output", scale=1 / 256, zero_point=-128)
    options = schema.SoftmaxOptionsT()
    options.beta = 1.0
    g.op(schema.BuiltinOperator.SOFTMAX, (y,), (out,), options, version=2)
    return g.build((x,), (out,))


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, how: str = "") -> Path:
    """Put a stand-in into a folder that is all of PATH; returns the program.

    how: "" compiles, "refuses" fails, "maps nothing" gives its input back.
    """
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "edgetpu_compiler"
    path = [str(Path(__file__).parent)]
    program.write_text(_SCRIPT.format(python=sys.executable, path=path), encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("STAND_IN_COMPILER", how)
    return program
