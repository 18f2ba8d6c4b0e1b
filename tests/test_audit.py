"""What must never be said, whatever a run holds: fabricated records, seen in every rendering."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from analysis import (
    SHA256,
    SIZES,
    answers,
    around,
    matrix,
    measured,
    plan,
    rounds,
    run_data,
    variant_record,
)
from records import case, launch
from rich.console import Console

from bench.config import DeviceGates, GatesConfig, ModelConfig
from bench.delegation.model import Coverage, Delegation
from bench.records import Outcome, RunData, RunStatus
from bench.stability import StabilityWord
from bench.stats import Change
from reports.compare import compare
from reports.export.csv import comparison_to_csv
from reports.export.json import comparison_to_json
from reports.model import Comparison, Row
from reports.render.html import html
from reports.render.markdown import markdown
from reports.render.terminal import terminal

FP32, INT8 = case("fp32"), case("int8")
RIGHT = {"fp32": answers(690), "int8": answers(690)}
SPREAD = 0.02


def row(comparison: Comparison, variant: str = "int8") -> Row:
    return next(r for r in comparison.rows if r.case.variant == variant)


def texts(comparison: Comparison) -> dict[str, str]:
    """What a person reads, by medium."""
    console = Console(width=200, file=io.StringIO(), color_system=None)
    with console.capture() as shown:
        console.print(terminal(comparison))
    return {
        "terminal": shown.get(),
        "markdown": markdown(comparison).replace("\\", ""),
        "html": html(comparison),
    }


def exported(
    comparison: Comparison, variant: str = "int8"
) -> tuple[dict[str, Any], dict[str, str]]:
    """The case of a variant as JSON and as a line of the CSV."""
    cases = json.loads(json.dumps(comparison_to_json(comparison)))["cases"]
    lines = csv.DictReader(io.StringIO(comparison_to_csv(comparison)))
    return (
        next(item for item in cases if item["variant"] == variant),
        next(line for line in lines if line["variant"] == variant),
    )


MISFILED = [
    [Delegation("xnnpack", Coverage.NONE, 0, 10, 0)],
    [Delegation("xnnpack", Coverage.UNKNOWN)],
    # Right for plain kernels, and so no evidence at all for XNNPACK.
    [Delegation("none", Coverage.NONE, 0, 10, 0)],
    # The same word for two different divisions of the work.
    [Delegation("xnnpack", Coverage.PARTIAL, taken, 10, 1) for taken in (9, 1)],
]


@pytest.mark.parametrize("found", MISFILED)
def test_a_number_that_the_delegate_did_not_make_is_marked_and_claims_nothing(
    found: list[Delegation],
) -> None:
    quick = [
        measured(INT8, index, p50, delegation=found[index % len(found)])
        for index, p50 in enumerate(around(100))
    ]
    gates = GatesConfig(device=(DeviceGates(device="*", p50_us_max=1e6),))
    data = {FP32: rounds(FP32, around(1000)), INT8: quick}
    comparison = compare(run_data(data, correct=RIGHT, of=plan(gates=gates)))
    it = row(comparison)
    assert it.speedup is None
    assert not it.pareto
    assert comparison.recommendations[0].variant == "fp32"
    assert {g.status for g in it.gates if g.name == "p50_us_max"} == {"UNKNOWN"}
    assert it.delegation is not None
    unknown = it.delegation.verdict is Coverage.UNKNOWN
    for medium, text in texts(comparison).items():
        assert ("delegation UNKNOWN" if unknown else "not as asked") in text, medium
    as_json, as_csv = exported(comparison)
    assert as_json["verdicts"]["delegation"]["as_requested"] is False
    assert as_csv["delegation_as_requested"] == "false"
    assert as_csv["speedup_ratio"] == ""


def test_launches_that_failed_or_were_tainted_count_and_never_speak() -> None:
    clean = compare(run_data({FP32: rounds(FP32, around(1000)), INT8: rounds(INT8, around(500))}))
    spoilt = [
        replace(measured(INT8, 0, 1.0), taints=("steal: 9 %",)),
        replace(measured(INT8, 6, 1.0), taints=("steal: 9 %",)),
        launch(INT8, index=7, outcome=Outcome.CRASHED),
        launch(INT8, index=8, outcome=Outcome.TIMED_OUT),
    ]
    spoilt[0] = replace(spoilt[0], launch_id="tainted")
    good = [replace(item, attempt=1) for item in rounds(INT8, around(500))]
    data = run_data({FP32: rounds(FP32, around(1000)), INT8: [*spoilt, *good]})
    comparison = compare(data)
    assert row(comparison).p50_us == row(clean).p50_us
    assert row(comparison).p50_interval_us == row(clean).p50_interval_us
    assert row(comparison).min_us == row(clean).min_us
    assert row(comparison).samples == row(clean).samples
    assert row(comparison).speedup == row(clean).speedup
    for medium, text in texts(comparison).items():
        assert "6 of 10" in text, medium


def test_batched_cases_have_no_p90_and_are_set_against_batched_ones_only() -> None:
    reason = "batched: a sample is the mean of 40 invokes"
    batched = {"invokes_per_sample": 40, "p90_us": None, "p95_us": None, "p90_reason": reason}
    data = {
        FP32: rounds(FP32, around(0.9)),
        INT8: rounds(INT8, around(0.4), **batched),
    }
    comparison = compare(run_data(data, correct=RIGHT))
    assert row(comparison).speedup is None
    assert row(comparison, "fp32").pareto, "nothing it may be compared with beats it"
    assert comparison.recommendations[0].variant is None
    as_json, as_csv = exported(comparison)
    assert (as_json["p90_us"], as_json["p95_us"], as_csv["p90_us"]) == (None, None, "")
    for medium, text in texts(comparison).items():
        assert reason in text, medium


@pytest.mark.parametrize(("n", "said"), [(3, None), (4, "88 %"), (5, "94 %"), (6, None)])
def test_few_rounds_say_everywhere_how_little_they_show(n: int, said: str | None) -> None:
    gates = GatesConfig(device=(DeviceGates(device="*", p50_us_max=600),))
    data = run_data(
        {FP32: rounds(FP32, around(1000, n)), INT8: rounds(INT8, around(500, n))},
        of=plan(holdout=False, gates=gates),
        status=RunStatus.INTERRUPTED if n < 6 else RunStatus.FINISHED,
    )
    comparison = compare(data)
    it = row(comparison)
    assert it.speedup is not None
    assert it.speedup.change is (Change.CHANGED if n == 6 else Change.UNCLEAR)
    intervals = (it.p50_interval_us, it.p90_interval_us, it.speedup.interval)
    assert all((interval is None) == (n == 3) for interval in intervals)
    if said is not None:
        assert all(i is not None and f"{100 * i.confidence:.0f} %" == said for i in intervals)
        assert said in it.gates[0].reason
    for medium, text in texts(comparison).items():
        assert ("no interval: it takes at least 4 launches" in text) == (n == 3), medium
        # p50, p90 and ratio of one case, p50 and p90 of the other.
        assert said is None or text.count(f"{said}: min–max") >= 5, medium


def shifted(p50_us: float, logs: list[float]) -> list[float]:
    return [float(p50_us * np.exp(step)) for step in logs]


def noise(seed: int) -> list[float]:
    return [float(step) for step in np.random.default_rng(seed).normal(0, SPREAD, 6)]


def test_nothing_is_called_changed_whose_shown_interval_holds_one() -> None:
    """The test of a table is on means, the ratio shown is a median."""
    cases = {}
    for threads in (1, 2, 4, 8):
        for place, variant in enumerate(("fp32", "fp16", "dynamic", "int8")):
            which = case(variant, threads=threads)
            logs = noise(10 * threads + place)
            cases[which] = rounds(which, shifted(1000, [0.0] * 6 if variant == "fp32" else logs))
    pulled = case("int8", threads=1)
    cases[pulled] = rounds(pulled, shifted(1000, [0.03, -0.05, -0.045, -0.05, -0.04, -0.05]))
    comparison = compare(run_data(cases))
    it = next(r.speedup for r in comparison.rows if r.case == pulled)
    assert it is not None
    assert it.significant
    assert it.interval is not None
    assert it.interval.low < 1 < it.interval.high
    assert it.change is Change.UNCLEAR


def test_a_small_table_raises_few_false_alarms() -> None:
    """Eight pairs without any difference: each by its own interval, one run in six would."""
    variants = ("fp32", "fp16", "dynamic", "int8", "int8-qat")
    alarms = 0
    for run in range(40):
        cases = {
            (which := case(variant, threads=threads)): rounds(
                which, shifted(1000, noise(100 * run + 10 * threads + place))
            )
            for threads in (1, 2)
            for place, variant in enumerate(variants)
        }
        rows = compare(run_data(cases)).rows
        alarms += any(r.speedup is not None and r.speedup.change is Change.CHANGED for r in rows)
    assert alarms <= 4


def test_launches_of_another_file_say_nothing() -> None:
    foreign = [
        replace(item, environment={"model_sha256": "f" * 64, "runner": "invoke_loop"})
        for item in rounds(INT8, around(1))
    ]
    comparison = compare(run_data({FP32: rounds(FP32, around(1000)), INT8: foreign}))
    assert row(comparison).p50_us is None
    assert row(comparison).samples == 0
    for medium, text in texts(comparison).items():
        assert "measured another file" in text, medium


def test_a_clock_that_stood_still_is_invalid_in_every_medium() -> None:
    data = {FP32: rounds(FP32, around(1000)), INT8: rounds(INT8, around(500), min_us=0.0)}
    comparison = compare(run_data(data, correct=RIGHT))
    assert row(comparison).stability.word is StabilityWord.INVALID
    assert row(comparison).speedup is None
    assert comparison.recommendations[0].variant == "fp32"
    for medium, text in texts(comparison).items():
        assert "clock problem" in text, medium


def test_simulated_numbers_are_marked_in_every_medium() -> None:
    comparison = compare(run_data(matrix({"fp32": 1000, "int8": 500}), simulated=True))
    for medium, text in texts(comparison).items():
        assert "SIMULATED" in text, medium
    as_json, as_csv = exported(comparison)
    assert as_json["simulated"] is True
    assert as_csv["simulated"] == "true"


def test_without_answers_nothing_is_claimed_about_accuracy() -> None:
    comparison = compare(run_data(matrix({"fp32": 1000, "int8": 500})))
    assert "accuracy was not checked" in comparison.recommendations[0].reason
    as_json, as_csv = exported(comparison)
    assert as_json["accuracy"] is None
    assert as_csv["accuracy"] == as_csv["accuracy_change_points"] == ""
    assert not any(gate.name.startswith("accuracy") for r in comparison.rows for gate in r.gates)
    for medium, text in texts(comparison).items():
        assert "% right" not in text, medium


def two_by_two() -> tuple[RunData, dict[tuple[str, str, str], float]]:
    """Two models on two devices, every case of its own order of magnitude."""
    places = [(model, device) for model in ("m", "n") for device in ("one", "two")]
    p50s = {
        (*place, variant): 10.0**power * (1 if variant == "fp32" else 1 / (power + 1))
        for power, place in enumerate(places, start=1)
        for variant in ("fp32", "int8")
    }
    cases = {
        (which := replace(case(variant, device=device), model=model)): rounds(which, around(p50))
        for (model, device, variant), p50 in p50s.items()
    }
    made = [
        variant_record(
            variant, model=model, size_bytes=SIZES[variant] + len(model) * (model == "n")
        )
        for model in ("m", "n")
        for variant in ("fp32", "int8")
    ]
    both = tuple(ModelConfig(name=name, source=f"{name}.keras") for name in ("m", "n"))
    return run_data(
        cases, made=made, of=plan(holdout=False).model_copy(update={"model": both})
    ), p50s


def test_models_and_devices_do_not_mix() -> None:
    data, p50s = two_by_two()
    comparison = compare(data)
    assert len(comparison.rows) == len(p50s)
    for it in comparison.rows:
        place = (it.case.model, it.case.device)
        assert it.p50_us == pytest.approx(p50s[(*place, it.case.variant)], rel=0.01)
        assert it.size_bytes == SIZES[it.case.variant] + (it.case.model == "n")
        assert it.model_sha256 == SHA256
        if it.case.variant == "int8":
            assert it.speedup is not None
            expected = p50s[(*place, "fp32")] / p50s[(*place, "int8")]
            assert it.speedup.ratio == pytest.approx(expected, rel=0.02)
    assert [found.model for found in comparison.recommendations] == ["m", "n"]
    assert all(set(f.configuration) == {"one", "two"} for f in comparison.recommendations)
