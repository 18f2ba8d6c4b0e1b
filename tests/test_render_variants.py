"""Variants in reports: colours, provenance in words, and what must be said of each everywhere."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
from dataclasses import replace

import comparisons
import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from bench.config import VARIANTS
from bench.records import Failure, VariantRecord
from reports.export.csv import comparison_to_csv
from reports.export.json import comparison_to_json
from reports.model import Comparison, VariantSummary
from reports.provenance import tf_ops_of, warnings_of
from reports.render import looks
from reports.render.cells import TF_OPS
from reports.render.charts import charts
from reports.render.html import html
from reports.render.markdown import markdown
from reports.render.terminal import terminal
from reports.render.variants import variant_view

OP = "FlexMatrixDeterminant"
WHY = f"needs {OP}: kept, not measured"
FEW = "20 calibration samples: 100 to 500 are advised"

# Machado et al. 2009, severity 1: linear RGB -> as eyes without one kind of cone see it.
EYES = {
    "all cones": np.eye(3),
    "protanopia": np.array(
        [[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]]
    ),
    "deuteranopia": np.array(
        [[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]]
    ),
    "tritanopia": np.array(
        [[1.2555, -0.0767, -0.1788], [-0.0784, 0.9308, 0.1476], [0.0047, 0.6914, 0.3039]]
    ),
}


def linear(colour: str) -> NDArray[np.float64]:
    values = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    x, y, z = np.cbrt(to_xyz @ np.clip(rgb, 0, 1) / np.array([0.9505, 1, 1.089]))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("eyes", EYES)
def test_every_variant_has_a_colour_of_its_own_to_every_eye(eyes: str) -> None:
    seen = {name: lab(EYES[eyes] @ linear(looks.colour(name))) for name in VARIANTS}
    for one, other in itertools.combinations(VARIANTS, 2):
        assert np.linalg.norm(seen[one] - seen[other]) >= 15, (one, other)


def test_no_colour_is_lost_in_a_page() -> None:
    for name in VARIANTS:
        light = float(linear(looks.colour(name)) @ [0.2126, 0.7152, 0.0722])
        for ground in ("#ffffff", "#15181c"):
            other = float(linear(ground) @ [0.2126, 0.7152, 0.0722])
            brighter, darker = max(light, other), min(light, other)
            assert (brighter + 0.05) / (darker + 0.05) >= 1.7, name


def made(**provenance: object) -> VariantSummary:
    return VariantSummary("m", "int8-qat", 1000, 0.5, "ab" * 32, None, provenance)


def test_what_a_person_asks_of_a_trained_variant_is_said_in_sentences() -> None:
    view = variant_view(
        made(
            recipe="int8 throughout",
            how="trained",
            source={"name": "a.keras", "sha256": "c" * 64},
            train={"name": "train.npz", "samples": 900, "of": 1000, "sha256": "d" * 64},
            qat={"epochs": 10, "learning_rate": 0.001},
            seed=3,
            facts={"rebuild_max_difference": 1.4e-6},
            inspect={
                "inputs": [{"dtype": "INT8"}],
                "outputs": [{"dtype": "FLOAT32"}],
                "integer_ops": {"CONV_2D": 5, "MEAN": 1},
                "float_ops": {"ATAN2": 1},
            },
            tools={"tensorflow": "2.21.0", "keras": "3.15.1"},
            converter_warnings=[f"warning {number}" for number in range(9)],
        )
    )
    assert view.made == (
        "int8 throughout",
        "trained from a.keras (sha256 cccccccccccc) on train.npz (sha256 dddddddddddd), "
        "900 of 1000 samples: epochs 10, learning rate 0.001, seed 3",
        "rebuilt layer by layer before training; answers differ by 1.4e-06 at most",
        "takes int8, gives float32, 6 ops in integers, 1 op in float",
        "tools: tensorflow 2.21.0, keras 3.15.1",
    )
    assert view.warnings[0] == "the converter says: warning 0"
    assert view.warnings[-1] == "the converter says 4 things more"
    assert ("qat.epochs", "10") in view.facts


@pytest.mark.parametrize(
    "strange",
    [{}, {"source": "a.keras", "qat": 3, "inspect": [], "tools": None, "calibration": "x"}],
)
def test_a_provenance_of_another_version_is_no_trouble(strange: dict[str, object]) -> None:
    assert variant_view(made(**strange)).made == ()


def record(**provenance: object) -> VariantRecord:
    return VariantRecord("run", "m", "int8", None, None, None, provenance, Failure("flex", WHY))


def test_what_is_odd_is_found_in_the_provenance() -> None:
    assert tf_ops_of(record(inspect={"flex_ops": [OP]})) == (OP,)
    found = record(calibration={"warnings": [FEW]}, warnings=["is no int8", FEW])
    assert warnings_of(found) == (FEW, "is no int8")
    assert tf_ops_of(record()) == warnings_of(record(calibration=None)) == ()


@pytest.mark.parametrize(
    ("given", "taken", "said"),
    [
        ([8, 16], [8, 4], ("one invoke answers 8 samples",)),
        ([1, 16], [1, 4], ()),
        ([8, 16], [1, 4], ()),
        ([16000], [1, 521], ()),
        ([], [1, 4], ()),
    ],
)
def test_a_latency_of_several_samples_says_so(
    given: list[int], taken: list[int], said: tuple[str, ...]
) -> None:
    facts = {"inputs": [{"shape": given}], "outputs": [{"shape": taken}]}
    assert warnings_of(record(inspect=facts)) == said


@pytest.fixture(scope="module")
def flagged() -> Comparison:
    """One variant that runs, one that was calibrated with too little, one of TensorFlow ops."""
    named = comparisons.row("int8-qat")
    case = replace(named.case, variant="select-tf-ops")
    flex = comparisons.without_numbers(
        replace(named, case=case, case_id=case.case_id),
        failure=f"cannot run: {WHY}",
        launches_made=0,
        accuracy=None,
        accuracy_reason="select-tf-ops was not evaluated with the kernels of xnnpack",
        tf_ops=(OP,),
    )
    few = replace(comparisons.row("int8"), warnings=(FEW,))
    summaries = (
        comparisons.summary("fp32"),
        replace(comparisons.summary("int8"), warnings=(FEW,)),
        VariantSummary(
            "digits", "select-tf-ops", 2440, 0.03, "ab" * 32, WHY, {}, 1322, tf_ops=(OP,)
        ),
    )
    return comparisons.comparison((comparisons.row("fp32"), few, flex), variants=summaries)


def on_terminal(comparison: Comparison, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(terminal(comparison))
    assert isinstance(console.file, io.StringIO)
    return " ".join(console.file.getvalue().split())


def test_tensorflow_ops_are_flagged_wherever_the_variant_appears(flagged: Comparison) -> None:
    page = " ".join(re.sub(r"<[^>]*>", " ", html(flagged)).split())
    assert page.count(f"select-tf-ops {TF_OPS}") == 2, "in the cases and in the variants"
    assert f"NOT RUN: {WHY}" in page
    text = markdown(flagged)
    assert f"| select-tf-ops {TF_OPS} |" in text
    assert f"| select-tf-ops ({TF_OPS}) |" in text
    size = next(chart for chart in charts(flagged) if chart.kind == "size")
    assert f"({TF_OPS})" in size.svg
    assert "TensorFlow ops" in size.caption
    for width in (40, 80, 100, 200):
        assert TF_OPS in on_terminal(flagged, width)
    document = json.loads(json.dumps(comparison_to_json(flagged), allow_nan=False))
    assert [case["tf_ops"] for case in document["cases"]] == [[], [], [OP]]
    assert [variant["tf_ops"] for variant in document["variants"]] == [[], [], [OP]]
    lines = list(csv.DictReader(io.StringIO(comparison_to_csv(flagged))))
    assert [line["tf_ops"] for line in lines] == ["", "", OP]


def test_a_poor_calibration_is_said_where_the_variant_stands(flagged: Comparison) -> None:
    assert html(flagged).count(FEW) == 2, "below the cases and in the variants"
    assert markdown(flagged).count(FEW) == 2
    assert FEW in on_terminal(flagged, 200)
    assert comparison_to_json(flagged)["cases"][1]["warnings"] == [FEW]


def test_a_case_that_never_ran_explains_itself_once(flagged: Comparison) -> None:
    text = markdown(flagged)
    assert text.count("FAILED: cannot run") == 1
    assert "was not evaluated" not in text
