"""What a run's exit code says: 3 wherever a case that can exist has no number to show."""

from __future__ import annotations

from dataclasses import replace

import pytest
from analysis import (
    answers,
    around,
    check,
    matrix,
    measured,
    plan,
    rounds,
    run_data,
    variant_record,
)
from comparisons import numerics
from records import case, launch

from bench.cli.common import print_comparison
from bench.config import GatesConfig
from bench.delegation.model import Coverage, Delegation
from bench.records import Failure, LaunchRecord, Outcome, Purpose, RunData

FP32, INT8 = case("fp32"), case("int8")
LOAD = "other load: 1.50 of a core, limit 0.20"


def with_int8(launches: list[LaunchRecord]) -> RunData:
    """A run whose fp32 went well."""
    return run_data({FP32: rounds(FP32, around(1000)), INT8: launches})


def tainted(count: int, of: int = 6) -> list[LaunchRecord]:
    made = rounds(INT8, around(800, of))
    return [replace(m, taints=(LOAD,)) if k < count else m for k, m in enumerate(made)]


def misfiled() -> list[LaunchRecord]:
    took = Delegation("xnnpack", Coverage.NONE, 0, 10, 0)
    return [measured(INT8, k, 800, delegation=took) for k in range(6)]


@pytest.mark.parametrize(
    ("launches", "code"),
    [
        (rounds(INT8, around(800)), 0),
        (tainted(5), 0),
        (tainted(6), 3),
        ([], 3),
        ([launch(INT8, index=k, outcome=Outcome.CRASHED) for k in range(6)], 3),
        ([launch(INT8, outcome=Outcome.CRASHED), *tainted(3, 3)], 3),
        ([launch(INT8, index=6, outcome=Outcome.CRASHED), *rounds(INT8, around(800))], 0),
        (misfiled(), 3),
    ],
    ids=[
        "all well",
        "one clean launch",
        "no clean launch",
        "never launched",
        "crashed",
        "crashed or tainted",
        "crashed once",
        "another delegate's number",
    ],
)
def test_a_case_without_a_number_is_told(
    launches: list[LaunchRecord], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert print_comparison(with_int8(launches), report_to=None) == code
    assert ("FAILED" in capsys.readouterr().out) == (code == 3)


def test_what_cannot_exist_is_no_failure() -> None:
    data = run_data(
        {FP32: rounds(FP32, around(1000)), INT8: []}, not_applicable={INT8: "no such kernels"}
    )
    assert print_comparison(data, report_to=None) == 0


def test_a_variant_that_was_not_made_is_told() -> None:
    unmade = variant_record("int8", path=None, failure=Failure("convert", "no kernel"))
    data = run_data(matrix({"fp32": 1000}), made=[variant_record("fp32"), unmade])
    assert print_comparison(data, report_to=None) == 3


def test_a_failed_gate_comes_first() -> None:
    gates = GatesConfig(accuracy_ratio_min=0.99)
    data = run_data(
        {FP32: rounds(FP32, around(1000)), INT8: tainted(6)},
        correct={"fp32": answers(690), "int8": answers(500)},
        of=plan(gates=gates),
    )
    assert print_comparison(data, report_to=None) == 1


def test_wrong_answers_are_a_failed_gate_whatever_the_plan_says() -> None:
    data = run_data({FP32: rounds(FP32, around(1000))})
    for found, code in ((numerics(), 0), (numerics(0.9, nan=3), 1)):
        seen = check(FP32, Purpose.NUMERICS, numerics=found)
        assert print_comparison(replace(data, checks=(seen,)), report_to=None) == code
