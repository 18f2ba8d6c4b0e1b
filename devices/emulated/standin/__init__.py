"""A stand-in for Google's benchmark programs: a TEST DOUBLE, whose numbers are simulated.

It really runs the model, with the TFLite runtime of a Python on the same machine, times
each run as the real program does and prints the real program's formats. Everything about
a GPU or an NPU is made up. `benchmark_model` and `benchmark_litert_model` beside this
file are what is pushed to a device in the place of the real programs.

Source of the formats: the LiteRT repository, tflite/tools/benchmark and litert/tools.
"""

from __future__ import annotations

from pathlib import Path

CLASSIC = Path(__file__).with_name("benchmark_model")
LITERT = Path(__file__).with_name("benchmark_litert_model")

# Said on stdout of every run, right after the first line.
NOTICE = "edgebench stand-in, simulated"
