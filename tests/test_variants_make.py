"""Variants from finished files, what is refused, and what is missing; no TensorFlow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from models import flex_model, float_model, fp16_model, int8_model, write_model

from bench.config import ModelConfig
from bench.errors import UserError
from bench.events import Event, Note, StageAdvanced, StageFinished, StageStarted, silent
from bench.records import VariantRecord
from bench.variants import conversion
from bench.variants.make import make_variants


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
    assert bad.path is None
    assert good.failure is None


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
        ("m.tflite", b"", "name it under `files`"),
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
    monkeypatch.setattr(conversion, "missing_packages", lambda variants: ("tensorflow",))
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
