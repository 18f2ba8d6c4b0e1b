"""Variants from finished files, what is refused, and what is missing; no TensorFlow."""

from __future__ import annotations

import errno
import importlib.util
import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from models import GraphBuilder, flex_model, float_model, fp16_model, int8_model, write_model

from bench.config import MetricConfig, ModelConfig
from bench.errors import UserError
from bench.events import Event, Note, StageAdvanced, StageFinished, StageStarted, silent
from bench.records import VariantRecord
from bench.variants import conversion
from bench.variants.make import UnsupportedOps, make_variants
from bench.variants.scratch import scratch_in


def made(
    tmp_path: Path, variants: list[str], events: list[Event] | None = None, **model: Any
) -> tuple[VariantRecord, ...]:
    return make_variants(
        ModelConfig(name="m", **model),
        variants,
        root=tmp_path,
        out=tmp_path / "out",
        seed=0,
        run_id="run",
        emit=silent if events is None else events.append,
    )


def test_finished_files_are_imported_as_they_are(tmp_path: Path) -> None:
    content = {"fp32": float_model(features=64, classes=10), "int8": int8_model()}
    for name, data in content.items():
        write_model(tmp_path / f"{name}.tflite", data)
    events: list[Event] = []
    files = {name: f"{name}.tflite" for name in content}
    records = made(tmp_path, ["fp32", "int8"], events, files=files)
    for record in records:
        assert record.failure is None
        assert record.path is not None
        path = tmp_path / "out" / record.path
        assert path.read_bytes() == content[record.variant]
        assert record.size_bytes == len(content[record.variant])
        assert record.provenance["how"] == "imported"
        assert record.provenance["warnings"] == []
        assert record.provenance["cached"] is False
        assert json.loads(path.with_suffix(".json").read_text())["sha256"] == record.sha256
    assert isinstance(events[0], StageStarted)
    assert isinstance(events[-1], StageFinished)
    assert any(isinstance(event, StageAdvanced) for event in events)

    again = made(tmp_path, ["fp32", "int8"], files=files)
    assert [record.provenance["cached"] for record in again] == [True, True]
    assert [record.path for record in again] == [record.path for record in records]
    assert not [p for p in (tmp_path / "out/variants/m").iterdir() if p.name.startswith(".")]


def test_a_damaged_cache_is_not_believed(tmp_path: Path) -> None:
    write_model(tmp_path / "f.tflite", float_model())
    (record,) = made(tmp_path, ["fp32"], files={"fp32": "f.tflite"})
    kept = tmp_path / "out" / str(record.path)
    kept.write_bytes(kept.read_bytes()[:-4])
    (again,) = made(tmp_path, ["fp32"], files={"fp32": "f.tflite"})
    assert again.provenance["cached"] is False
    assert kept.read_bytes() == float_model()


def test_a_file_under_the_wrong_name_is_warned_of(tmp_path: Path) -> None:
    write_model(tmp_path / "f.tflite", fp16_model())
    events: list[Event] = []
    (record,) = made(tmp_path, ["int8"], events, files={"int8": "f.tflite"})
    assert any("came out float" in line for line in record.provenance["warnings"])
    assert any(isinstance(e, Note) and "came out float" in e.message for e in events)


def test_a_model_that_does_not_run_is_a_failure_and_stops_no_other(tmp_path: Path) -> None:
    write_model(tmp_path / "flex.tflite", flex_model())
    write_model(tmp_path / "f.tflite", float_model())
    bad, good = made(tmp_path, ["fp16", "fp32"], files={"fp16": "flex.tflite", "fp32": "f.tflite"})
    assert bad.failure is not None
    assert bad.failure.kind == "verify"
    assert "FlexErf" in bad.failure.message
    assert bad.path is None
    assert good.failure is None


def test_a_whole_model_that_does_not_load_says_so(tmp_path: Path) -> None:
    g = GraphBuilder()
    x, y = g.tensor((1, 4), name="input"), g.tensor((1, 4), name="output")
    g.op(schema.BuiltinOperator.CUSTOM, (x,), (y,), custom="Mystery")
    data = g.build((x,), (y,))
    write_model(tmp_path / "f.tflite", data)
    (record,) = made(tmp_path, ["fp32"], files={"fp32": "f.tflite"})
    assert record.failure is not None
    assert record.failure.kind == "verify"
    assert f"a whole model ({len(data):,} bytes) but does not run" in record.failure.message
    assert "Mystery" in record.failure.message


def test_tensorflow_ops_are_kept_and_flagged_and_are_no_use_here(tmp_path: Path) -> None:
    write_model(tmp_path / "flex.tflite", flex_model())
    for cached in (False, True):
        (record,) = made(tmp_path, ["select-tf-ops"], files={"select-tf-ops": "flex.tflite"})
        assert record.failure is not None
        assert record.failure.kind == "flex"
        assert "FlexErf, which no runtime here executes" in record.failure.message
        assert not record.usable
        assert record.size_bytes == len(flex_model())
        assert (tmp_path / "out" / str(record.path)).read_bytes() == flex_model()
        assert record.provenance["cached"] is cached


def test_every_variant_says_what_it_takes_in_an_app_package(tmp_path: Path) -> None:
    data = float_model(features=64, classes=10)
    write_model(tmp_path / "f.tflite", data)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("m", data)
    for _ in range(2):
        (record,) = made(tmp_path, ["fp32"], files={"fp32": "f.tflite"})
        assert record.zip_bytes == archive.infolist()[0].compress_size


@pytest.mark.parametrize("content", [b"nonsense", float_model()[:200], b""])
def test_a_file_that_is_no_model_is_the_users_error(tmp_path: Path, content: bytes) -> None:
    write_model(tmp_path / "f.tflite", content)
    with pytest.raises(UserError, match=r"files\.fp32: f\.tflite is .*\.tflite"):
        made(tmp_path, ["fp32"], files={"fp32": "f.tflite"})


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("none.keras", None, "no such file"),
        ("m.keras", b"not a zip", "not a .keras file"),
        ("m.h5", b"not hdf5", "not an HDF5 file"),
        ("m.tflite", b"", "not a .tflite"),
        ("m.tflite", int8_model(), "quantised already .* give the fp32 .tflite"),
        ("m.onnx", b"", "not a model"),
    ],
)
def test_a_source_that_is_no_model(
    tmp_path: Path, name: str, content: bytes | None, words: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=words):
        made(tmp_path, ["fp32"], source=name)


def test_a_directory_that_is_no_saved_model(tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()
    with pytest.raises(UserError, match=r"without saved_model\.pb"):
        made(tmp_path, ["fp32"], source="dir")


def saved_model_like(tmp_path: Path) -> str:
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir" / "saved_model.pb").write_bytes(b"\xff" * 20)
    return "dir"


def test_bad_arrays_are_refused_before_anything_is_converted(tmp_path: Path) -> None:
    np.savez(tmp_path / "c.npz", x=np.zeros((0, 8), np.float32))
    with pytest.raises(UserError, match=r"calibration c\.npz: `x` is empty"):
        made(tmp_path, ["int8"], source=saved_model_like(tmp_path), calibration="c.npz")


def test_missing_tensorflow_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversion, "missing_packages", lambda variants, of_tflite: ("tensorflow",))
    write_model(tmp_path / "f.tflite", float_model())
    source = saved_model_like(tmp_path)
    fp32, fp16 = made(tmp_path, ["fp32", "fp16"], source=source, files={"fp32": "f.tflite"})
    assert fp32.failure is None
    assert fp16.failure is not None
    assert fp16.failure.kind == "prerequisite"
    assert "pip install 'edgebench[convert]'" in fp16.failure.message


def test_missing_samples_and_sources_are_prerequisites(tmp_path: Path) -> None:
    source = saved_model_like(tmp_path)
    records = made(tmp_path, ["int8", "int8-qat"], source=source)
    for record, role in zip(records, ("calibration", "train"), strict=True):
        assert record.failure is not None
        assert record.failure.kind == "prerequisite"
        assert f"`{role}`" in record.failure.message
    write_model(tmp_path / "f.tflite", float_model())
    (record,) = made(tmp_path, ["fp16"], files={"fp32": "f.tflite"})
    assert record.failure is not None
    assert "no `source`" in record.failure.message


# From here on: a float .tflite as source, and workers that go wrong.

QUANTIZER = pytest.mark.skipif(
    importlib.util.find_spec("ai_edge_quantizer") is None,
    reason="needs the extra edgebench[quantize]",
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_model(tmp_path / "m.tflite", float_model(features=64, classes=32))
    x = np.random.default_rng(0).random((120, 64), dtype=np.float32)
    np.savez(tmp_path / "c.npz", x=x)
    np.savez(tmp_path / "h.npz", x=x, y=np.arange(120) % 32)
    return tmp_path


def of_tflite(root: Path, *variants: str, **change: Any) -> tuple[VariantRecord, ...]:
    config: dict[str, Any] = {"source": "m.tflite", "calibration": "c.npz", **change}
    return made(root, list(variants or ("fp32", "weight-int8", "int8")), **config)


def left_over(root: Path) -> list[str]:
    return [p.name for p in (root / "out/variants/m").iterdir() if p.name.startswith(".")]


@QUANTIZER
def test_a_tflite_source_is_quantised_without_tensorflow(root: Path) -> None:
    fp32, weight, int8 = of_tflite(root)
    assert [r.failure for r in (fp32, weight, int8)] == [None] * 3
    assert fp32.provenance["how"] == "imported"
    assert weight.provenance["how"] == int8.provenance["how"] == "quantised"
    assert weight.provenance["tools"].keys() == {"ai-edge-quantizer", "ai-edge-litert", "numpy"}
    assert int8.provenance["calibration"]["samples"] == 120
    assert int8.provenance["converter_warnings"] == []
    assert "seed" not in int8.provenance
    again = of_tflite(root)
    assert [r.sha256 for r in again] == [r.sha256 for r in (fp32, weight, int8)]
    assert all(r.provenance["cached"] for r in again)


@QUANTIZER
def test_a_second_run_says_that_nothing_was_made(root: Path) -> None:
    events: list[Event] = []
    of_tflite(root)
    made(root, ["fp32", "int8"], events, source="m.tflite", calibration="c.npz")
    (finished,) = [e for e in events if isinstance(e, StageFinished)]
    assert finished.summary == "all 2 variants unchanged since last time; nothing was made"


def test_what_a_tflite_cannot_give_is_a_prerequisite(root: Path) -> None:
    np.savez(root / "t.npz", x=np.zeros((4, 64), np.float32), y=np.zeros(4, np.int64))
    for record in of_tflite(root, "int8-uint8-io", "int8-qat", "select-tf-ops", train="t.npz"):
        assert record.failure is not None
        assert record.failure.kind == "prerequisite"
        assert "as `source`" in record.failure.message


@QUANTIZER
def test_calibration_at_another_scale_is_told_before_and_after(root: Path) -> None:
    with np.load(root / "c.npz") as arrays:
        np.savez(root / "dark.npz", x=arrays["x"] / 16)
    for cached in (False, True):
        events: list[Event] = []
        (record,) = made(
            root, ["int8"], events, source="m.tflite", calibration="dark.npz", holdout="h.npz"
        )
        assert record.provenance["cached"] is cached
        notes = [e.message for e in events if isinstance(e, Note) and e.level == "warning"]
        before, after = notes
        assert "as if scaled twice" in before
        assert "of its values are clipped" in after
        first = next(i for i, e in enumerate(events) if isinstance(e, Note))
        assert isinstance(events[first + 1], StageStarted)
        warned = record.provenance["calibration"]["warnings"]
        assert [any(w in note for note in notes) for w in warned] == [True, True]


def test_few_calibration_samples_are_told(root: Path) -> None:
    np.savez(root / "few.npz", x=np.random.default_rng(0).random((9, 64), dtype=np.float32))
    events: list[Event] = []
    made(root, ["int8"], events, source="m.tflite", calibration="few.npz")
    assert any(isinstance(e, Note) and "100 to 500 are advised" in e.message for e in events)


def test_a_finished_file_calibrated_otherwise_is_told(tmp_path: Path) -> None:
    write_model(tmp_path / "f.tflite", int8_model())
    x = np.random.default_rng(0).normal(size=(50, 64)).astype(np.float32) * 100
    np.savez(tmp_path / "h.npz", x=x, y=np.zeros(50, np.int64))
    (record,) = made(tmp_path, ["int8"], files={"int8": "f.tflite"}, holdout="h.npz")
    (line,) = record.provenance["calibration"]["warnings"]
    assert "clipped" in line


def test_a_holdout_of_real_values_hinders_no_conversion(root: Path) -> None:
    with np.load(root / "h.npz") as arrays:
        np.savez(root / "real.npz", x=arrays["x"], y=np.full((120, 32), 0.5, np.float32))
    metric = MetricConfig(name="mae")
    (record,) = of_tflite(root, "fp32", holdout="real.npz", metric=metric)
    assert record.failure is None


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Replaces the quantizer's process by one that runs these lines; `job` and `send` are there."""
    home = tmp_path / "workers"
    home.mkdir()

    def replace(lines: str) -> None:
        (home / "odd_worker.py").write_text(
            "import json, os, pathlib, signal, sys\n"
            "job = json.loads(pathlib.Path(sys.argv[1]).read_text())\n"
            "folder = pathlib.Path(job['folder'])\n"
            "def send(**message): print(json.dumps(message), flush=True)\n"
            "def make(name):\n"
            "    (folder / name).write_bytes(pathlib.Path(job['source']).read_bytes())\n"
            "    send(made=name, file=name, seconds=0, warnings=[], facts={})\n" + lines
        )
        monkeypatch.setenv("PYTHONPATH", str(home))
        monkeypatch.setattr(conversion, "_QUANTIZER", "odd_worker")
        monkeypatch.setattr(conversion, "missing_packages", lambda variants, of_tflite: ())

    return replace


def test_a_crash_fails_the_variant_at_work_and_no_other(
    root: Path, worker: Callable[[str], None]
) -> None:
    worker(
        "names = [step['name'] for step in job['jobs']]\n"
        "for name in names:\n"
        "    send(progress=name, variant=name)\n"
        "    if name == 'weight-int8': os.kill(os.getpid(), signal.SIGKILL)\n"
        "    make(name)\n"
    )
    fp32, weight, int8 = of_tflite(root)
    assert fp32.failure is None
    assert weight.failure is not None
    assert weight.failure.kind == "crash"
    # It was made after the crash, by another process: a float model, and found out as one.
    assert int8.failure is not None
    assert "not int8" in int8.failure.message
    assert left_over(root) == []


def test_a_worker_that_is_killed_fails_what_it_had_not_made(
    root: Path, worker: Callable[[str], None]
) -> None:
    worker("make('weight-int8')\nos.kill(os.getpid(), signal.SIGKILL)\n")
    fp32, weight, int8 = of_tflite(root)
    assert fp32.failure is None
    # What it wrote is a float model, and is not taken for what it says.
    assert weight.failure is not None
    assert "not weight-int8" in weight.failure.message
    assert int8.failure is not None
    assert int8.failure.kind == "crash"
    assert "was ended by SIGKILL (out of memory?)" in int8.failure.message
    assert "quantize.log" in int8.failure.message
    assert left_over(root) == []


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("raise OSError(28, 'No space left on device')\n", "ended with exit code 1"),
        ("print('no json')\nsys.exit(0)\n", "ended with exit code 0"),
        ("send(failed='int8', kind='convert', message='odd op')\nsend(nonsense=1)\n", "odd op"),
        ("(folder / 'x').write_bytes(b'')\nsend(made='int8', file='x', seconds=0,"
         "warnings=[], facts={})\n", "the converter wrote not a .tflite file"),
        ("send(missing='ai_edge_quantizer')\n", "edgebench[quantize]"),
    ],
)  # fmt: skip
def test_whatever_a_worker_does_is_a_failure_of_its_variants_alone(
    root: Path, worker: Callable[[str], None], lines: str, said: str
) -> None:
    worker(lines)
    fp32, int8 = of_tflite(root, "fp32", "int8")
    assert fp32.failure is None
    assert int8.failure is not None
    assert said in int8.failure.message
    assert "\n" not in int8.failure.message
    assert left_over(root) == []


def test_what_the_user_gave_wrong_ends_it_all(root: Path, worker: Callable[[str], None]) -> None:
    worker("send(user_error='calibration c.npz: odd')\n")
    with pytest.raises(UserError, match=r"^calibration c\.npz: odd$"):
        of_tflite(root)
    assert left_over(root) == []


def test_a_source_that_changes_meanwhile_is_not_kept_under_its_old_name(
    root: Path, worker: Callable[[str], None]
) -> None:
    worker("with open(job['source'], 'ab') as f: f.write(b' ')\nmake('weight-int8')\n")
    with pytest.raises(UserError, match="changed meanwhile; start again"):
        of_tflite(root, "weight-int8")
    assert list((root / "out/variants/m").glob("*.tflite")) == []


def test_an_op_without_a_kernel_is_one_error_where_nothing_could_be_made(
    root: Path, worker: Callable[[str], None]
) -> None:
    said = "op Erf of layer act has no kernel; replace the layer"
    worker("".join(f"send(failed={v!r}, kind='unsupported', message={said!r})\n"
                   for v in ("weight-int8", "int8")))  # fmt: skip
    with pytest.raises(UnsupportedOps, match=f"^model m: {said}; full text in ") as caught:
        of_tflite(root, "weight-int8", "int8")
    assert "\n" not in str(caught.value)
    fp32, weight, int8 = of_tflite(root)
    assert fp32.failure is None
    assert [r.failure.kind for r in (weight, int8) if r.failure] == ["unsupported"] * 2


@QUANTIZER
def test_a_full_disk_leaves_nothing_half_made(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fsync
    calls = 0

    def full(handle: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    monkeypatch.setattr("bench.variants.cache.os.fsync", full)
    with pytest.raises(UserError, match="cannot be written: No space left on device"):
        of_tflite(root)
    assert left_over(root) == []
    # What was whole by then is used again, the rest is made.
    cached = [record.provenance["cached"] for record in of_tflite(root)]
    assert cached == [True, False, False]


@QUANTIZER
def test_a_damaged_variant_is_made_again_alone(root: Path) -> None:
    records = of_tflite(root)
    kept = root / "out" / str(records[2].path)
    data = bytearray(kept.read_bytes())
    data[len(data) // 2] ^= 1
    kept.write_bytes(data)
    again = of_tflite(root)
    assert [r.provenance["cached"] for r in again] == [True, True, False]
    assert again[2].sha256 == records[2].sha256


def test_two_at_once_in_one_folder(root: Path) -> None:
    with (
        scratch_in(root / "out/variants/m"),
        pytest.raises(UserError, match="another edgebench is making files there"),
    ):
        of_tflite(root, "fp32")


@QUANTIZER
def test_the_fp32_that_others_are_made_of_is_kept_and_not_recorded(
    root: Path, monkeypatch: pytest.MonkeyPatch, worker: Callable[[str], None]
) -> None:
    """The converter is replaced by one that copies m.tflite; the quantizer is the real one."""
    quantizer = conversion._QUANTIZER
    source = saved_model_like(root)
    worker(f"job['source'] = {str(root / 'm.tflite')!r}\n[make(v) for v in job['variants']]\n")
    monkeypatch.setattr(conversion, "_WORKER", "odd_worker")
    monkeypatch.setattr(conversion, "_QUANTIZER", quantizer)
    (record,) = of_tflite(root, "weight-int8", source=source)
    assert record.failure is None
    assert record.provenance["tools"].keys() > {"tensorflow", "ai-edge-quantizer"}
    (fp32,) = (root / "out/variants/m").glob("fp32-*.tflite")
    assert fp32.read_bytes() == (root / "m.tflite").read_bytes()
    # It serves the next one too: the converter is not asked again.
    worker("sys.exit(9)\n")
    monkeypatch.setattr(conversion, "_QUANTIZER", quantizer)
    (record,) = of_tflite(root, "dynamic-int4", source=source)
    assert record.failure is None


@QUANTIZER
def test_without_fp32_what_is_made_of_it_fails_with_its_reason(
    root: Path, monkeypatch: pytest.MonkeyPatch, worker: Callable[[str], None]
) -> None:
    source = saved_model_like(root)
    worker("os.kill(os.getpid(), signal.SIGKILL)\n")
    monkeypatch.setattr(conversion, "_WORKER", "odd_worker")
    (record,) = of_tflite(root, "weight-int8", source=source)
    assert record.failure is not None
    assert record.failure.kind == "crash"
    assert record.failure.message.startswith("needs fp32, which was not made: the conversion")
    assert "convert.log" in record.failure.message
