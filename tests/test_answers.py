"""Numerics launches of the invoke loop with real inference, and delegates from a library."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import models
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given
from hypothesis import strategies as st

from bench.config import MeasureConfig, MetricConfig, ModelConfig
from bench.delegation.model import Coverage
from bench.errors import UnreadableOutput, UserError
from bench.events import silent
from bench.identity import Case, DelegateSpec
from bench.numerics.compare import numerics_of
from bench.numerics.model import NumericsWord
from bench.numerics.reference import NumericsFiles, prepare_numerics
from bench.numerics.verdict import judge_numerics
from bench.parsers.answers import parse_answers, read_arrays
from bench.records import Failure, Measurement, Outcome, Purpose, VariantRecord
from bench.runners.base import Answers, LaunchLimits, LaunchSpec, RawOutput
from bench.runners.loop import InvokeLoopRunner
from bench.variants.cache import file_sha256

RUNNER = InvokeLoopRunner()
QUICK = LaunchLimits(
    warmup_min_s=0.01, warmup_max_s=0.1, measure_min_s=0.01, measure_max_s=1.0, min_samples=20
)
SOFTMAX = schema.BuiltinOperator.SOFTMAX
DENSE = schema.BuiltinOperator.FULLY_CONNECTED


def spec_of(
    model: Path,
    samples: Path | None,
    delegate: str = "xnnpack",
    purpose: Purpose = Purpose.NUMERICS,
    **options: str,
) -> LaunchSpec:
    chosen = DelegateSpec(delegate, tuple(sorted(options.items())))
    case = Case("p", "m", "fp32", chosen, 1, RUNNER.kind, "local")
    return LaunchSpec(case, model, None, 0, QUICK, "launch", purpose, samples)


def launch(spec: LaunchSpec, folder: Path) -> RawOutput:
    """What a device does: copies in a run directory, the program, its results."""
    prepared = RUNNER.prepare(spec)
    folder.mkdir()
    for name, source in prepared.files.items():
        shutil.copyfile(source, folder / name)
    for name, text in prepared.texts.items():
        (folder / name).write_text(text)
    argv = [sys.executable if word == "{python}" else word for word in prepared.argv]
    done = subprocess.run(
        argv, cwd=folder, capture_output=True, env={"PATH": "/usr/bin:/bin"}, check=False
    )
    held = {n: (folder / n).read_bytes() for n in prepared.results if (folder / n).exists()}
    return RawOutput(done.returncode, done.stdout, done.stderr, held)


class Desk:
    """One plan's directory with models in it."""

    def __init__(self, root: Path) -> None:
        self.root, self.out, self._runs = root, root / "out", 0

    def variant(self, content: bytes, name: str = "fp32") -> VariantRecord:
        path = self.out / f"{name}.tflite"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        return VariantRecord("r", "m", name, path.name, file_sha256(path), len(content), {})

    def holdout(self, x: Any, y: Any = None) -> None:
        arrays = {"x": x} if y is None else {"x": x, "y": y}
        np.savez(self.root / "holdout.npz", **arrays)

    def prepare(
        self, *variants: VariantRecord, holdout: bool = False, metric: str = "top1", **measure: Any
    ) -> Mapping[str, NumericsFiles | Failure]:
        model = ModelConfig(
            name="m",
            files={"fp32": "x"},
            holdout="holdout.npz" if holdout else None,
            metric=MetricConfig(name=metric),
        )
        return prepare_numerics(
            model,
            variants,
            root=self.root,
            out=self.out,
            measure=MeasureConfig(**measure),
            emit=silent,
        )

    def files(self, content: bytes, name: str = "fp32", **options: Any) -> NumericsFiles:
        found = self.prepare(self.variant(content, name), **options)[name]
        assert isinstance(found, NumericsFiles), found
        return found

    def read(self, spec: LaunchSpec) -> tuple[Outcome, Answers | None, Failure | None]:
        self._runs += 1
        return RUNNER.read_answers(spec, launch(spec, self.root / f"run{self._runs}"))

    def time(self, spec: LaunchSpec) -> tuple[Outcome, Measurement | None, Failure | None]:
        self._runs += 1
        timed = dataclasses.replace(spec, purpose=Purpose.TIMING, samples=None)
        return RUNNER.read(timed, launch(timed, self.root / f"run{self._runs}"))

    def answers(self, spec: LaunchSpec) -> Answers:
        _, answers, failure = self.read(spec)
        assert answers is not None, failure
        return answers


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> str:
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc to compile a delegate (apt package gcc)")
    path = tmp_path_factory.mktemp("delegate") / "libtest.so"
    source = Path(__file__).with_name("external_delegate.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", path, source], check=True)
    return str(path)


# --- answers of the loop and of the reference ----------------------------------------------


@pytest.mark.parametrize("delegate", ["none", "xnnpack"])
def test_a_holdout_is_answered_sample_by_sample(desk: Desk, delegate: str) -> None:
    x = np.random.default_rng(0).random((20, 16), dtype=np.float32)
    desk.holdout(x, np.zeros(20, np.int64))
    files = desk.files(models.float_model(), holdout=True)
    answers = desk.answers(spec_of(desk.out / "fp32.tflite", files.samples, delegate))
    assert answers.outputs[0].shape == (8, 1, 4)
    assert answers.names == ("output",)
    assert answers.quantization == (None,)
    assert answers.delegation is not None
    wanted = Coverage.NONE if delegate == "none" else Coverage.FULL
    assert answers.delegation.verdict is wanted
    numerics = numerics_of(answers, files)
    assert (numerics.samples, numerics.inputs) == (8, "holdout")
    assert numerics.reference.startswith("plain kernels, ai-edge-litert ")
    (output,) = numerics.outputs
    assert output.elements == 4
    assert output.top1_agreement == 1
    if delegate == "none":
        assert (output.max_abs, output.differing, output.snr_db) == (0, 0, None)
    verdict = judge_numerics(numerics, variant="fp32", delegate=DelegateSpec(delegate))
    assert verdict.word is NumericsWord.OK


def test_inputs_are_drawn_where_there_is_no_holdout(desk: Desk) -> None:
    files = desk.files(models.two_input_model(), numerics_samples=3)
    with np.load(files.samples) as drawn:
        assert {name: drawn[name].shape for name in drawn.files} == {
            "arr_0": (3, 16),
            "arr_1": (3, 16),
        }
        assert len(np.unique(drawn["arr_0"])) > 40
    numerics = numerics_of(desk.answers(spec_of(desk.out / "fp32.tflite", files.samples)), files)
    assert (numerics.samples, numerics.inputs) == (3, "seeded-draw")
    assert numerics.outputs[0].differing is not None


def test_quantised_answers_are_compared_as_real_numbers(desk: Desk) -> None:
    files = desk.files(models.int8_model(), "int8")
    answers = desk.answers(spec_of(desk.out / "int8.tflite", files.samples))
    assert answers.outputs[0].dtype == np.int8
    assert answers.quantization == ((1 / 256, -128),)
    (output,) = numerics_of(answers, files).outputs
    assert (output.scale, output.dtype) == (1 / 256, "int8")
    assert output.reference_max_abs is not None
    assert output.reference_max_abs <= 1


def test_reference_answers_are_made_once_and_again_where_they_were_spoilt(desk: Desk) -> None:
    variant = desk.variant(models.float_model())
    stages: list[object] = []

    def prepare() -> NumericsFiles:
        model = ModelConfig(name="m", files={"fp32": "x"})
        found = prepare_numerics(
            model,
            [variant],
            root=desk.root,
            out=desk.out,
            measure=MeasureConfig(),
            emit=stages.append,
        )["fp32"]
        assert isinstance(found, NumericsFiles)
        return found

    first = prepare()
    made = len(stages)
    assert prepare() == first
    assert len(stages) == made
    content = first.reference.read_bytes()
    first.reference.write_bytes(content[:-20])
    assert prepare() == first
    assert len(stages) > made
    assert first.reference.read_bytes() == content
    assert not list((desk.out / "numerics").glob(".tmp-*"))


def test_a_model_that_plain_kernels_cannot_run_has_a_reason_and_the_others_answers(
    desk: Desk,
) -> None:
    good = desk.variant(models.float_model())
    bad = desk.variant(models.flex_model(), "select-tf-ops")
    found = desk.prepare(good, bad)
    assert isinstance(found["fp32"], NumericsFiles)
    failure = found["select-tf-ops"]
    assert isinstance(failure, Failure)
    assert "no reference answers" in failure.message
    assert "FlexErf" in failure.message or "TensorFlow op" in failure.message


def test_variants_without_a_file_are_left_out(desk: Desk) -> None:
    lost = VariantRecord("r", "m", "int8", None, None, None, {}, Failure("convert", "no"))
    assert dict(desk.prepare(lost)) == {}


def test_a_holdout_that_does_not_fit_is_the_users_error(desk: Desk) -> None:
    desk.holdout(np.zeros((4, 3), np.float32), np.zeros(4, np.int64))
    with pytest.raises(UserError, match="shape"):
        desk.files(models.float_model(), holdout=True)


def test_an_answer_to_other_samples_does_not_fit(desk: Desk) -> None:
    files = desk.files(models.float_model(), numerics_samples=3)
    answers = desk.answers(spec_of(desk.out / "fp32.tflite", files.samples))
    fewer = dataclasses.replace(answers, outputs=(answers.outputs[0][:2],))
    with pytest.raises(UnreadableOutput, match="2 samples of 3"):
        numerics_of(fewer, files)
    wider = dataclasses.replace(answers, outputs=(np.zeros((3, 5)),))
    with pytest.raises(UnreadableOutput, match="5 numbers per sample"):
        numerics_of(wider, files)
    more = dataclasses.replace(
        answers,
        outputs=answers.outputs * 2,
        names=answers.names * 2,
        quantization=answers.quantization * 2,
    )
    with pytest.raises(UnreadableOutput, match="2 outputs"):
        numerics_of(more, files)
    files.reference.unlink()
    with pytest.raises(UnreadableOutput, match="reference"):
        numerics_of(answers, files)


def test_answers_without_any_shape_are_placed_by_the_reference(desk: Desk) -> None:
    files = desk.files(models.float_model())
    answers = desk.answers(spec_of(desk.out / "fp32.tflite", files.samples, "none"))
    flat = dataclasses.replace(answers, outputs=(answers.outputs[0].reshape(8, -1),))
    assert numerics_of(flat, files) == numerics_of(answers, files)


# --- accuracy on the device ----------------------------------------------------------------


def accurate(desk: Desk, metric: str = "top1", device_accuracy: Any = "all") -> Any:
    rng = np.random.default_rng(1)
    x = rng.random((30, 16), dtype=np.float32)
    y: Any = rng.integers(0, 4, 30)
    if metric in ("mae", "rmse"):
        y = rng.random((30, 4), dtype=np.float32)
    desk.holdout(x, y)
    files = desk.files(
        models.float_model(), holdout=True, metric=metric, device_accuracy=device_accuracy
    )
    answers = desk.answers(spec_of(desk.out / "fp32.tflite", files.samples, "none"))
    numerics = numerics_of(answers, files)
    return numerics.accuracy, answers.outputs[0][:, 0], y, files, answers


def test_accuracy_is_the_metric_on_the_answers_of_the_device(desk: Desk) -> None:
    accuracy, outputs, y, _, _ = accurate(desk)
    assert accuracy.value == np.mean(outputs.argmax(axis=1) == y)
    assert (accuracy.metric, accuracy.samples, accuracy.of) == ("top1", 30, 30)
    assert accuracy.reference_value == accuracy.value
    assert len(accuracy.statistics) == 30


def test_a_part_of_the_holdout_says_how_large_it_is(desk: Desk) -> None:
    accuracy, outputs, y, _, _ = accurate(desk, device_accuracy=12)
    assert (accuracy.samples, accuracy.of) == (12, 30)
    assert accuracy.value == np.mean(outputs.argmax(axis=1) == y[:12])


@pytest.mark.parametrize("metric", ["mae", "rmse"])
def test_metrics_of_values(desk: Desk, metric: str) -> None:
    accuracy, outputs, y, _, _ = accurate(desk, metric)
    error = outputs.astype(np.float64) - y
    wanted = np.abs(error).mean() if metric == "mae" else np.sqrt(np.square(error).mean())
    assert accuracy.value == pytest.approx(wanted)


def test_cosine_compares_with_the_plain_answers_of_fp32(desk: Desk) -> None:
    desk.holdout(np.random.default_rng(1).random((9, 16), dtype=np.float32))
    fp32 = desk.variant(models.float_model())
    other = desk.variant(models.float_model(seed=1), "fp16")
    found = desk.prepare(fp32, other, holdout=True, metric="cosine", device_accuracy="all")
    values = {}
    for name, files in found.items():
        assert isinstance(files, NumericsFiles)
        answers = desk.answers(spec_of(desk.out / f"{name}.tflite", files.samples, "none"))
        values[name] = numerics_of(answers, files).accuracy
    assert values["fp32"] is not None
    assert values["fp32"].value == pytest.approx(1)
    assert values["fp16"] is not None
    assert values["fp16"].value < 0.999
    alone = desk.prepare(other, holdout=True, metric="cosine", device_accuracy="all")["fp16"]
    assert isinstance(alone, NumericsFiles)
    assert alone.judging is None


def test_the_users_function_is_asked_in_a_process_of_its_own(desk: Desk) -> None:
    code = (
        "import os\ndef score(outputs, y):\n    print(os.getpid())\n    return outputs[:, 0] + y\n"
    )
    (desk.root / "mine.py").write_text(code)
    accuracy, outputs, y, _, _ = accurate(desk, "mine:score")
    assert accuracy.value == pytest.approx(np.mean(outputs[:, 0].astype(np.float64) + y))


def test_a_function_that_fails_fails_the_launch_and_nothing_else(desk: Desk) -> None:
    (desk.root / "mine.py").write_text("def score(outputs, y):\n    raise KeyError('gone')\n")
    with pytest.raises(UnreadableOutput, match="raised KeyError"):
        accurate(desk, "mine:score")


def test_an_answer_of_nan_is_never_the_right_class(desk: Desk) -> None:
    _, _, _, files, answers = accurate(desk)
    nan = np.full_like(answers.outputs[0], np.nan)
    numerics = numerics_of(dataclasses.replace(answers, outputs=(nan,)), files)
    assert numerics.accuracy is not None
    assert numerics.accuracy.value == 0
    assert numerics.accuracy.reference_value is not None
    assert numerics.accuracy.reference_value > 0
    assert numerics.outputs[0].nan == nan.size
    verdict = judge_numerics(numerics, variant="fp32", delegate=DelegateSpec("none"))
    assert verdict.word is NumericsWord.WRONG


# --- what cannot be answered ---------------------------------------------------------------


def test_items_of_another_size_are_named(desk: Desk) -> None:
    desk.variant(models.float_model())
    np.savez(desk.root / "odd.npz", np.zeros((3, 7), np.float32))
    outcome, _, failure = desk.read(spec_of(desk.out / "fp32.tflite", desk.root / "odd.npz"))
    assert outcome is Outcome.LOAD_FAILED
    assert failure is not None
    assert (failure.kind, "(7,)" in failure.message) == ("inputs", True)


def test_more_answers_than_a_launch_brings_back_are_refused_before_they_are_made(
    desk: Desk,
) -> None:
    desk.variant(models.cast_model(np.int32, 1 << 20))
    np.savez_compressed(desk.root / "many.npz", np.zeros((20, 1 << 20), np.int32))
    _, _, failure = desk.read(spec_of(desk.out / "fp32.tflite", desk.root / "many.npz", "none"))
    assert failure is not None
    assert failure.kind == "too-large"
    assert "measure.device_accuracy" in failure.message


# --- the parser ----------------------------------------------------------------------------


def archive(*arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, *arrays)
    return buffer.getvalue()


DOCUMENT: dict[str, Any] = {
    "format": "edgebench-answers/1",
    "delegate": "xnnpack",
    "threads": 1,
    "model_sha256": "0" * 64,
    "runtime": {
        "name": "ai_edge_litert",
        "version": "1",
        "python": "3",
        "numpy": "2",
        "machine": "x",
    },
    "samples": 2,
    "inputs_sha256": "1" * 64,
    "outputs": [{"name": "y", "quantization": [0.5, 3]}],
    "nodes": {"total": 2, "delegated": 1, "partitions": 1, "outside": {"SOFTMAX": 1}},
    "nodes_problem": "",
}
GOOD = archive(np.zeros((2, 1, 4), np.int8))


def parsed(document: Any = DOCUMENT, held: bytes | None = GOOD) -> Answers:
    return parse_answers(json.dumps(document).encode(), held, delegate="xnnpack", threads=1)


def test_a_document_and_its_arrays() -> None:
    answers = parsed()
    assert answers.quantization == ((0.5, 3),)
    assert answers.delegation is not None
    assert answers.delegation.verdict is Coverage.PARTIAL


@pytest.mark.parametrize("key", list(DOCUMENT))
def test_a_field_that_is_missing_is_named(key: str) -> None:
    with pytest.raises(UnreadableOutput, match=key):
        parsed({k: v for k, v in DOCUMENT.items() if k != key})


@pytest.mark.parametrize(
    ("held", "problem"),
    [
        (None, r"left no answers.npz"),
        (b"", r"no archive"),
        (GOOD[:40], r"no archive"),
        (archive(np.zeros((3, 4), np.int8)), "2 samples"),
        (archive(np.zeros((2, 4), np.int8), np.zeros(2)), "1 outputs"),
        (archive(np.float32(1)), "2 samples"),
        (archive(np.zeros((2, 4), np.float32)), "which cannot be"),
        (archive(np.array([["a"], ["b"]])), "not numbers"),
        (archive(np.zeros((2, 4), np.complex64)), "not numbers"),
    ],
)
def test_arrays_that_do_not_go_with_the_document(held: bytes | None, problem: str) -> None:
    with pytest.raises(UnreadableOutput, match=problem):
        parsed(held=held)


def test_answers_of_another_launch_are_refused() -> None:
    with pytest.raises(UnreadableOutput, match="4 threads"):
        parsed({**DOCUMENT, "threads": 4})


@given(st.binary(max_size=200), st.integers(0, len(GOOD) - 1))
def test_bytes_that_are_no_archive_are_never_an_accident(data: bytes, at: int) -> None:
    for content in (data, GOOD[:at] + data + GOOD[at + len(data) :], GOOD[:at]):
        try:
            (array,) = read_arrays(content, 1, 2)
        except UnreadableOutput:
            continue
        assert len(array) == 2


# --- delegates from a library --------------------------------------------------------------


def external(
    desk: Desk, library: str, told: str, delegate: str = "external", **options: str
) -> LaunchSpec:
    files = desk.files(models.float_model(layers=3))
    chosen = {"path": library, "options": told, **options}
    return spec_of(desk.out / "fp32.tflite", files.samples, delegate, Purpose.NUMERICS, **chosen)


@pytest.mark.parametrize("rest", ["none", "xnnpack"])
def test_only_the_librarys_own_nodes_are_its(desk: Desk, library: str, rest: str) -> None:
    spec = external(desk, library, f"op:{SOFTMAX};answer:copy", rest=rest)
    _, m, failure = desk.time(spec)
    assert m is not None, failure
    found = m.delegation
    assert (found.requested, found.verdict) == ("external", Coverage.PARTIAL)
    assert (found.delegated_nodes, found.total_nodes, found.partitions) == (1, 4, 1)
    assert found.fallback_ops == {"FULLY_CONNECTED": 3}


def test_a_library_that_takes_nothing_is_none_and_not_xnnpacks_full(
    desk: Desk, library: str
) -> None:
    _, m, _ = desk.time(external(desk, library, "op:-1", delegate="edgetpu"))
    assert m is not None
    assert (m.delegation.requested, m.delegation.verdict) == ("edgetpu", Coverage.NONE)
    assert m.delegation.delegated_nodes == 0


def test_a_fast_and_wrong_library_is_called_wrong(desk: Desk, library: str) -> None:
    files = desk.files(models.float_model(layers=3))
    for told, word in (("answer:ones", NumericsWord.WRONG), ("answer:copy", NumericsWord.WRONG)):
        answers = desk.answers(external(desk, library, f"op:{SOFTMAX};{told}"))
        assert answers.delegation is not None
        assert answers.delegation.verdict is Coverage.PARTIAL
        verdict = judge_numerics(
            numerics_of(answers, files), variant="fp32", delegate=DelegateSpec("external")
        )
        assert verdict.word is word, verdict


@pytest.mark.parametrize(
    ("told", "problem"),
    [
        ("fail:create", "no device found"),
        ("what:ever", "unknown option"),
        ("fail:prepare", "cannot be applied"),
    ],
)
def test_a_library_that_refuses_fails_the_launch(
    desk: Desk, library: str, told: str, problem: str
) -> None:
    outcome, m, failure = desk.time(external(desk, library, told))
    assert (outcome, m) == (Outcome.LOAD_FAILED, None)
    assert failure is not None
    assert failure.kind == "delegate"
    assert problem in failure.message


@pytest.mark.parametrize("name", ["libthere-is-none.so.1", "libm.so.6", "/nowhere/x.so"])
def test_no_library_no_number(desk: Desk, name: str) -> None:
    for read in (desk.time, desk.read):
        outcome, found, failure = read(external(desk, name, "a:b"))
        assert (outcome, found) == (Outcome.LOAD_FAILED, None)
        assert failure is not None
        assert (failure.kind, name in failure.message) == ("delegate", True)


def test_a_model_that_cannot_be_read_is_not_the_librarys_fault(desk: Desk, library: str) -> None:
    (desk.root / "bad.tflite").write_bytes(b"no model at all, TFL3")
    spec = spec_of(desk.root / "bad.tflite", None, "external", path=library, options="op:-1")
    _, _, failure = desk.time(spec)
    assert failure is not None
    assert failure.kind == "load"
