"""Java and C++ snippets are compiled and run against a stand-in for the runtime.

The stand-in returns its input bytes as output, so that what comes back has gone through
quantisation and dequantisation, and it tells what bytes it was fed.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from models import cast_model
from test_snippet import EDGES, border_model

from bench.snippet.generate import Settings, snippet
from bench.tflite.graph import parse_model
from bench.variants.feeding import dequantise, quantise

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Quantised:
    """A model with `count` inputs and as many outputs of one kind."""

    dtype: Any
    scale: float
    zero_point: int
    count: int = 1

    @property
    def data(self) -> bytes:
        return border_model(
            (1, len(self.x)),
            self.dtype,
            scale=self.scale,
            zero_point=self.zero_point,
            count=self.count,
        )

    @property
    def x(self) -> Array:
        """Every step of the type and its neighbours, halves, and what lies beyond."""
        low, high = np.iinfo(self.dtype).min, np.iinfo(self.dtype).max
        steps = np.linspace(low - 3, high + 3, 1543) - self.zero_point
        scale = np.float32(self.scale)
        x = np.concatenate([steps, np.round(steps) + 0.5, EDGES.astype(np.float64)])
        return (x * np.float64(scale)).astype(np.float32)

    def expected(self) -> tuple[Array, Array]:
        """Bytes as unsigned, and real values, by the rule of evaluation."""
        scale = float(np.float32(self.scale))
        detail = {"dtype": self.dtype, "quantization": (scale, self.zero_point)}
        q = quantise(self.x, detail)
        return q.view(np.uint8), dequantise(q, detail)


CASES = [
    Quantised(np.int8, 0.1, 3),
    Quantised(np.int8, 1 / 255, -128),
    Quantised(np.uint8, 1 / 255, 0),
    Quantised(np.uint8, 0.02, 128),
    Quantised(np.int16, 1 / 32768, 0),
    Quantised(np.int8, 0.3, -7, count=2),
]
# Values that are handed through; -1 leaves the size open.
RAW = [
    ("byte", "uint8_t", np.uint8, 16),
    ("boolean", "uint8_t", np.bool_, 16),
    ("int", "int32_t", np.int32, 16),
    ("long", "int64_t", np.int64, 16),
    ("short", "int16_t", np.int16, 16),
    ("float", "float", np.float32, 16),
    ("int", "int32_t", np.int32, -1),
]


def raw_model(dtype: Any, size: int) -> bytes:
    if size < 0:
        return cast_model(dtype, size)
    return border_model((1, size), dtype, scale=None)


def code(data: bytes, language: str) -> str:
    return snippet(
        parse_model(data),
        name="m.tflite",
        sha256="0" * 64,
        language=language,
        settings=Settings("xnnpack", 2, "not measured"),
    )


def check(lines: list[str]) -> None:
    """Per case: bytes fed and bits that came back, in hex; then one "true" per raw type."""
    assert len(lines) == 2 * len(CASES) + len(RAW)
    for index, case in enumerate(CASES):
        fed, real = case.expected()
        found = np.frombuffer(bytes.fromhex(lines[2 * index]), np.uint8)
        np.testing.assert_array_equal(found, np.tile(fed, case.count))
        bits = np.frombuffer(bytes.fromhex(lines[2 * index + 1]), ">f4")
        np.testing.assert_array_equal(bits, np.tile(real, case.count))
    assert lines[2 * len(CASES) :] == ["true"] * len(RAW)


JAVA_STUB = """
package org.tensorflow.lite;
import java.io.File;
import java.nio.*;
import java.util.*;
public final class Interpreter implements AutoCloseable {
    public static class Options {
        public Options setNumThreads(int n) { return this; }
        public Options setUseXNNPACK(boolean on) { return this; }
    }
    public static class Tensor {
        ByteBuffer held = ByteBuffer.allocateDirect(64).order(ByteOrder.nativeOrder());
        public int numBytes() { return held.capacity(); }
        public ByteBuffer asReadOnlyBuffer() { return held.asReadOnlyBuffer(); }
    }
    public static final java.io.ByteArrayOutputStream FED = new java.io.ByteArrayOutputStream();
    private final Tensor only = new Tensor();
    public Interpreter(File file, Options options) {}
    public void resizeInput(int index, int[] shape) {}
    public void allocateTensors() {}
    public Tensor getInputTensor(int index) { return only; }
    public Tensor getOutputTensor(int index) { return only; }
    public void runForMultipleInputsOutputs(Object[] inputs, Map<Integer, Object> outputs) {
        FED.reset();
        for (int i = 0; i < inputs.length; i++) {
            ByteBuffer in = (ByteBuffer) inputs[i];
            if (!in.isDirect() || in.order() != ByteOrder.nativeOrder()) throw new Error("buffer");
            byte[] all = new byte[in.capacity()];
            in.rewind();
            in.get(all);
            FED.write(all, 0, all.length);
            ByteBuffer out = (ByteBuffer) outputs.get(i);
            if (out == null) { only.held.rewind(); only.held.put(all); }
            else if (out.capacity() != all.length) throw new Error("size");
            else out.put(all);
        }
    }
    public void close() {}
}
"""


JAVA_MAIN = """
import java.io.*; import java.nio.*; import java.nio.file.*; import java.util.*;
import org.tensorflow.lite.Interpreter;
public final class Main {
    static float[] floats(Path p) throws IOException {
        FloatBuffer b = ByteBuffer.wrap(Files.readAllBytes(p)).asFloatBuffer();
        float[] x = new float[b.remaining()]; b.get(x); return x;
    }
    static String hex(byte[] all) {
        StringBuilder text = new StringBuilder();
        for (byte b : all) text.append(String.format("%02x", b));
        return text.toString();
    }
    static void print(float[]... all) {
        for (float[] x : all) {
            ByteBuffer b = ByteBuffer.allocate(4 * x.length); b.asFloatBuffer().put(x);
            System.out.print(hex(b.array()));
        }
        System.out.println();
    }
    public static void main(String[] args) throws Exception {
"""


@pytest.mark.skipif(shutil.which("javac") is None, reason="no javac")
def test_java(tmp_path: Path) -> None:
    (tmp_path / "Interpreter.java").write_text(JAVA_STUB)
    body = []
    sources = []
    for index, case in enumerate(CASES):
        sources.append((f"q{index}", code(case.data, "java")))
        arguments = ", ".join(["x"] * case.count)
        got = "r.output0, r.output1" if case.count == 2 else "r"
        body.append(
            f'try (q{index}.Model m = new q{index}.Model(new File("m"))) {{'
            f' var x = floats(Path.of("q{index}.bin")); var r = m.run({arguments});'
            f" System.out.println(hex(Interpreter.FED.toByteArray())); print({got}); }}"
        )
        (tmp_path / f"q{index}.bin").write_bytes(case.x.astype(">f4").tobytes())
    for index, (java, _, dtype, size) in enumerate(RAW):
        sources.append((f"r{index}", code(raw_model(dtype, size), "java")))
        value = "i % 2 == 0" if java == "boolean" else f"({java}) (i * 100 - 700)"
        same = "r.length == 16" if size < 0 else "Arrays.equals(x, r)"
        body.append(
            f'try (r{index}.Model m = new r{index}.Model(new File("m"))) {{ {java}[] x = new'
            f" {java}[16]; for (int i = 0; i < 16; i++) x[i] = {value};"
            f" var r = m.run(x); System.out.println({same}); }}"
        )
    for package, text in sources:
        (tmp_path / package).mkdir()
        (tmp_path / package / "Model.java").write_text(f"package {package};\n{text}")
    (tmp_path / "Main.java").write_text(JAVA_MAIN + "\n".join(body) + "\n    }\n}\n")
    files = [str(path) for path in tmp_path.rglob("*.java")]
    built = subprocess.run(
        ["javac", "-Xlint:all,-serial,-try,-cast", "-Werror", "-d", tmp_path / "out", *files],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    ran = subprocess.run(
        ["java", "-cp", tmp_path / "out", "Main"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    check(ran.stdout.splitlines())


CPP_STUB = """
#pragma once
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>
enum TfLiteStatus { kTfLiteOk, kTfLiteError };
struct TfLiteTensor { std::size_t bytes; };
namespace stub {
inline std::vector<std::size_t> sizes;
inline std::vector<std::vector<unsigned char>> fed;
}
namespace tflite {
struct FlatBufferModel {
  static std::unique_ptr<FlatBufferModel> BuildFromFile(const char*) {
    return std::make_unique<FlatBufferModel>();
  }
};
class Interpreter {
 public:
  Interpreter() : inputs_(stub::sizes.size()) {
    for (std::size_t size : stub::sizes) { tensors_.push_back({size}); data_.emplace_back(size); }
  }
  TfLiteStatus AllocateTensors() { return kTfLiteOk; }
  TfLiteStatus ResizeInputTensor(int, const std::vector<int>&) { return kTfLiteOk; }
  const std::vector<int>& inputs() const { return inputs_; }
  TfLiteTensor* input_tensor(std::size_t i) { return &tensors_[i]; }
  const TfLiteTensor* output_tensor(std::size_t i) const { return &tensors_[i]; }
  template <class T> T* typed_input_tensor(int i) { return reinterpret_cast<T*>(data_[i].data()); }
  template <class T> T* typed_output_tensor(int i) { return typed_input_tensor<T>(i); }
  TfLiteStatus Invoke() { stub::fed = data_; return kTfLiteOk; }
 private:
  std::vector<int> inputs_;
  std::vector<TfLiteTensor> tensors_;
  std::vector<std::vector<unsigned char>> data_;
};
namespace ops { namespace builtin {
struct BuiltinOpResolver {};
struct BuiltinOpResolverWithoutDefaultDelegates : BuiltinOpResolver {};
} }
class InterpreterBuilder {
 public:
  InterpreterBuilder(const FlatBufferModel&, const ops::builtin::BuiltinOpResolver&) {}
  TfLiteStatus SetNumThreads(int) { return kTfLiteOk; }
  TfLiteStatus operator()(std::unique_ptr<Interpreter>* made) {
    *made = std::make_unique<Interpreter>();
    return kTfLiteOk;
  }
};
}
"""


@pytest.mark.skipif(shutil.which("g++") is None, reason="no g++")
def test_cpp(tmp_path: Path) -> None:
    stub = tmp_path / "stub.h"
    stub.write_text(CPP_STUB)
    for name in ("interpreter", "interpreter_builder", "model_builder", "kernels/register"):
        header = tmp_path / "tensorflow" / "lite" / f"{name}.h"
        header.parent.mkdir(parents=True, exist_ok=True)
        header.write_text(f'#pragma once\n#include "{stub}"\n')
    body, sources = [], []
    for index, case in enumerate(CASES):
        sources.append((f"q{index}", code(case.data, "cpp")))
        size = case.x.size * np.dtype(case.dtype).itemsize
        sizes = ", ".join([str(size)] * case.count)
        arguments = ", ".join(["x"] * case.count)
        shown = "print(r.output0); print(r.output1);" if case.count == 2 else "print(r);"
        body.append(
            f'{{ stub::sizes = {{{sizes}}}; q{index}::Model m("m");'
            f' auto x = floats("q{index}.bin"); auto r = m.Run({arguments});'
            f' fed(); {shown} std::puts(""); }}'
        )
        (tmp_path / f"q{index}.bin").write_bytes(case.x.tobytes())
    for index, (_, cpp, dtype, size) in enumerate(RAW):
        sources.append((f"r{index}", code(raw_model(dtype, size), "cpp")))
        value = "i % 2" if dtype is np.bool_ else "i * 100 - 700"
        bytes_ = 16 * np.dtype(dtype).itemsize
        same = "r.size() == 16" if size < 0 else "r == x"
        body.append(
            f'{{ stub::sizes = {{{bytes_}}}; r{index}::Model m("m"); std::vector<{cpp}> x;'
            f" for (int i = 0; i < 16; ++i) x.push_back(static_cast<{cpp}>({value}));"
            f' auto r = m.Run(x); std::puts({same} ? "true" : "false"); }}'
        )
    includes = []
    for name, text in sources:
        lines = text.splitlines(keepends=True)
        includes += [line for line in lines if line.startswith("#include")]
        rest = "".join(line for line in lines if not line.startswith("#include"))
        (tmp_path / f"{name}.h").write_text(f"namespace {name} {{\n{rest}}}\n")
    (tmp_path / "main.cpp").write_text(
        "".join(dict.fromkeys(includes))
        + "#include <cstdio>\n#include <fstream>\n"
        + "".join(f'#include "{name}.h"\n' for name, _ in sources)
        + """
std::vector<float> floats(const char* path) {
  std::ifstream in(path, std::ios::binary);
  std::vector<float> x; float v;
  while (in.read(reinterpret_cast<char*>(&v), 4)) x.push_back(v);
  return x;
}
void fed() {
  for (auto& one : stub::fed) for (unsigned char byte : one) std::printf("%02x", byte);
  std::puts("");
}
void print(const std::vector<float>& x) {
  for (float v : x) { std::uint32_t bits; std::memcpy(&bits, &v, 4); std::printf("%08x", bits); }
}
int main() {
"""
        + "\n".join(body)
        + "\n}\n"
    )
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-I", str(tmp_path)]
    built = subprocess.run(
        ["g++", *flags, tmp_path / "main.cpp", "-o", tmp_path / "main"],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    ran = subprocess.run(
        [tmp_path / "main"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    check(ran.stdout.splitlines())
