"""What is said of accuracies and of the user's files: no word beyond the evidence."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from analysis import answers, matrix, run_data
from hypothesis import given, settings
from hypothesis import strategies as st
from models import GraphBuilder, float_model, schema, write_model

from bench.accuracy import Loss, judge_loss, paired_change
from bench.cli.main import main
from bench.cli.model_options import metric_setting
from bench.config import GatesConfig, ModelConfig
from bench.errors import UserError
from bench.events import Event, Note
from bench.metrics import Metric
from bench.power import SIGNIFICANCE
from bench.records import Failure
from bench.resampling import randomisation_p
from bench.samples import materialise
from bench.tflite.facts import read_model
from bench.variants import inputs
from bench.variants.arrays import NAME_COMMENT, check_fits, load_samples
from reports.accuracies import allowed_loss
from reports.compare import compare
from reports.model import GateStatus

TOP1 = Metric()
RMSE = Metric("rmse", None, higher_is_better=False)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 2000))
def test_the_verdict_and_the_test_never_contradict_each_other(
    only_a: int, only_b: int, both: int
) -> None:
    right_a = np.array([1.0] * only_a + [0.0] * only_b + [1.0] * (both + 1))[:, None]
    right_b = np.array([0.0] * only_a + [1.0] * only_b + [1.0] * (both + 1))[:, None]
    change = paired_change(TOP1, right_a, right_b)
    verdict = judge_loss(TOP1, change, len(right_a), 0.03)
    if verdict.loss in (Loss.WORSE, Loss.BETTER):
        assert change.p_value <= SIGNIFICANCE
    # What is not zero does not look like it.
    assert " 0.0 " not in verdict.text


@pytest.mark.parametrize(
    ("only_a", "only_b", "samples", "says"),
    [
        # 0.3 points on 700 images.
        (0, 2, 700, "no loss shown, at most 0.8 points"),
        (3, 5, 700, "no loss shown, at most 1.2 points"),
        # The same on 50 and 10 excludes nothing.
        (0, 0, 50, "unclear: 50 samples can show 5.3 points"),
        (0, 0, 10, "unclear: 10 samples can show 23.1 points"),
        (0, 0, 1, "unclear: 1 sample can show 92.4 points"),
        # The interval leaves out zero by a hair, the exact test does not.
        (3, 11, 719, "no loss shown, at most 2.2 points"),
        (0, 6, 2000, "worse by 0.02 to 0.6 points"),
    ],
)
def test_what_few_and_many_samples_say(only_a: int, only_b: int, samples: int, says: str) -> None:
    same = [1.0] * (samples - only_a - only_b)
    right_a = np.array([1.0] * only_a + [0.0] * only_b + same)[:, None]
    right_b = np.array([0.0] * only_a + [1.0] * only_b + same)[:, None]
    change = paired_change(TOP1, right_a, right_b)
    assert judge_loss(TOP1, change, samples, 0.029).text == says


def test_where_the_reference_is_never_right_no_loss_is_excluded() -> None:
    assert allowed_loss(TOP1, 0.0, GatesConfig()) is None
    wrong = np.zeros((100, 1))
    verdict = judge_loss(TOP1, paired_change(TOP1, wrong, wrong), 100, None)
    assert verdict.loss is Loss.UNCLEAR


def test_swaps_that_leave_nothing_are_no_error_below_zero() -> None:
    for seed in (25, 28, 31):  # sums in another order differ in their last bit
        error = np.random.default_rng(seed).random((9, 1))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert 0 < randomisation_p(RMSE, error, np.zeros((9, 1))) < 0.05


def test_a_reference_that_was_not_judged_passes_no_gate() -> None:
    data = run_data(matrix({"fp32": 1000}), correct={"fp32": answers(680)})
    failed = tuple(
        replace(e, value=None, statistics=None, failure=Failure("evaluate", "is not finite"))
        for e in data.evaluations
    )
    (row,) = compare(replace(data, evaluations=failed)).rows
    assert {gate.status for gate in row.gates} == {GateStatus.UNKNOWN}
    assert {gate.reason for gate in row.gates} == {"evaluation failed: is not finite"}


def test_a_table_says_why_a_gate_is_unknown_and_counts_one_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    content = float_model()
    write_model(tmp_path / "a.tflite", content)
    write_model(tmp_path / "b.tflite", content + b"\0\0\0\0")
    x = np.random.default_rng(0).normal(size=(1, 16)).astype(np.float32)
    said = []
    for label in range(4):
        np.savez("h.npz", x=x, y=[label])
        assert main(["evaluate", "a.tflite", "b.tflite", "--holdout", "h.npz"]) == 0
        said.append(capsys.readouterr().out)
    assert all("1 sample, all of the holdout" in text for text in said)
    # Three of the four labels are wrong.
    assert sum("UNKNOWN accuracy_ratio_min: a is never right" in text for text in said) == 3


def test_a_function_is_named_and_not_the_file_that_was_made_of_it(tmp_path: Path) -> None:
    (tmp_path / "data.py").write_text(
        "import numpy as np\ndef dark():\n    return np.random.default_rng(0)"
        ".random((120, 4), dtype=np.float32) * np.float32(0.2)\n"
    )
    x = np.random.default_rng(1).random((200, 4), dtype=np.float32)
    np.savez(tmp_path / "h.npz", x=x, y=np.zeros(200, np.int64))
    notes: list[str] = []

    def emit(event: Event) -> None:
        if isinstance(event, Note):
            notes.append(event.message)

    plan = ModelConfig(name="m", source="m.keras", calibration="data:dark", holdout="h.npz")
    model = materialise(
        plan, root=tmp_path, out=tmp_path / "out", roles=["calibration", "holdout"], emit=emit
    )
    samples = inputs.load(model, ["int8"], tmp_path)
    assert samples["calibration"].name == "data:dark"
    (line,) = inputs.check(samples, emit)
    assert notes == [line]
    assert line.startswith("calibration data:dark spans ")
    assert line.count("calibration") == 1
    with pytest.raises(UserError, match=r"^calibration data:dark: `x` has shape \(120, 4\)"):
        check_fits(samples["calibration"], (1, 5), "float32")


@pytest.mark.parametrize("comment", [b"", b"mine", NAME_COMMENT, NAME_COMMENT + b"\xff" * 5000])
def test_the_comment_of_a_foreign_archive_is_no_name(tmp_path: Path, comment: bytes) -> None:
    import zipfile

    path = tmp_path / "c.npz"
    np.savez(path, x=np.zeros((2, 3), np.float32))
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = comment
    name = load_samples(path, "calibration").name
    assert name == "c.npz" if len(comment) < 100 else len(name) <= 1000


def test_facts_of_a_hostile_file_are_strict_json() -> None:
    g = GraphBuilder()
    x = g.tensor((1, 4), np.int8, name="x", scale=float("nan"))
    y = g.tensor((1, 4), np.int8, name="y", scale=0.1)
    g.op(schema.BuiltinOperator.RELU, (x,), (y,))
    facts = read_model(g.build((x,), (y,))).to_json()
    assert '"scale": null' in json.dumps(facts, allow_nan=False)


def test_a_seed_of_zero_beside_a_plan_is_not_dropped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = tmp_path / "p.toml"
    plan.write_text('project = "p"\n[[model]]\nname = "m"\nsource = "m.keras"\n')
    assert main(["convert", str(plan), "--seed", "0"]) == 2
    assert "--seed beside a plan" in capsys.readouterr().err


def test_convert_knows_the_metrics_of_evaluate() -> None:
    assert metric_setting("top1") == {"name": "top1"}
    assert metric_setting("top3") == {"name": "topk", "k": 3}
    assert metric_setting("my.code:score") == {"name": "my.code:score"}
