"""Gates: PASS and FAIL only where the whole interval says so."""

from __future__ import annotations

import pytest
from analysis import answers, around, by_metric, errors, matrix, measured, plan, rounds, run_data
from records import case, launch

from bench.config import DeviceGates, GatesConfig
from bench.delegation.model import Coverage, Delegation
from bench.records import Outcome, RunData
from reports.compare import compare
from reports.gates import gate_failed
from reports.model import GateResult

FP32, INT8 = case("fp32"), case("int8")
P50S = [1000.0, 1010.0, 1020.0, 1030.0, 1040.0, 1050.0]  # interval about 1004 to 1046


def device(**limits: float) -> GatesConfig:
    return GatesConfig(device=(DeviceGates(**limits),))  # type: ignore[arg-type]


def gate(data: RunData, name: str, variant: str = "int8") -> GateResult:
    (found,) = (
        g
        for row in compare(data).rows
        if row.case.variant == variant
        for g in row.gates
        if g.name == name
    )
    return found


@pytest.mark.parametrize(
    ("limit", "status"), [(1046.5, "PASS"), (1030.0, "UNSURE"), (1003.0, "FAIL")]
)
def test_a_latency_gate_goes_by_the_whole_interval(limit: float, status: str) -> None:
    data = run_data({INT8: rounds(INT8, P50S)}, of=plan(gates=device(p50_us_max=limit)))
    found = gate(data, "p50_us_max")
    assert found.status == status
    assert (found.limit, found.value) == (limit, 1025)
    assert found.reason.startswith("p50 1.02 ms [1.00, 1.05], limit 1.0")
    assert gate_failed(compare(data)) is (status == "FAIL")


@pytest.mark.parametrize("name", ["p90_us_max", "p95_us_max"])
def test_an_absent_quantile_is_unknown_with_its_reason(name: str) -> None:
    launches = rounds(INT8, P50S, p90_us=None, p95_us=None, p90_reason="50 samples, 64 needed")
    found = gate(run_data({INT8: launches}, of=plan(gates=device(**{name: 1e6}))), name)
    assert found.status == "UNKNOWN"
    assert found.value is None
    assert found.reason == "50 samples, 64 needed"


def test_without_interval_a_value_passes_nothing() -> None:
    data = run_data({INT8: rounds(INT8, P50S[:3])}, of=plan(gates=device(p50_us_max=1e6)))
    found = gate(data, "p50_us_max")
    assert found.status == "UNKNOWN"
    assert "3 usable launches give no interval" in found.reason


def test_a_number_under_the_wrong_delegate_passes_and_fails_nothing() -> None:
    nothing = Delegation("xnnpack", Coverage.NONE)
    for limit in (1.0, 1e6):
        launches = rounds(INT8, P50S, delegation=nothing)
        found = gate(run_data({INT8: launches}, of=plan(gates=device(p50_us_max=limit))),
                     "p50_us_max")  # fmt: skip
        assert found.status == "UNKNOWN"
        assert "xnnpack took no node" in found.reason


def test_an_invalid_number_passes_nothing() -> None:
    tainted = [launch(INT8, index=i, taints=("throttled",)) for i in (6, 7, 8)]
    data = run_data({INT8: [*rounds(INT8, P50S), *tainted]}, of=plan(gates=device(p50_us_max=1e6)))
    found = gate(data, "p50_us_max")
    assert found.status == "UNKNOWN"
    assert "INVALID" in found.reason


def test_a_failed_case_is_unknown_with_its_failure() -> None:
    data = run_data(
        {INT8: [launch(INT8, index=i, outcome=Outcome.TIMED_OUT) for i in range(6)]},
        of=plan(gates=device(p50_us_max=1e6, peak_rss_kib_max=10**6)),
    )
    for name in ("p50_us_max", "peak_rss_kib_max"):
        assert gate(data, name).status == "UNKNOWN"
        assert "timed-out in 6 of 6 launches" in gate(data, name).reason


@pytest.mark.parametrize(("limit", "status"), [(30_000, "PASS"), (29_999, "FAIL")])
def test_size_is_plain(limit: int, status: str) -> None:
    data = run_data({INT8: rounds(INT8, P50S)}, of=plan(gates=device(size_bytes_max=limit)))
    assert gate(data, "size_bytes_max").status == status


@pytest.mark.parametrize(("limit", "status"), [(50_000, "PASS"), (49_999, "FAIL")])
def test_peak_memory_is_the_largest_of_all_launches(limit: int, status: str) -> None:
    launches = [*rounds(INT8, P50S[:5], peak_rss_kib=40_000), measured(INT8, 5, 1000.0)]
    data = run_data({INT8: launches}, of=plan(gates=device(peak_rss_kib_max=limit)))
    assert gate(data, "peak_rss_kib_max").status == status


def test_limits_apply_to_the_devices_that_they_name() -> None:
    for name, applies in (("*", True), ("local", True), ("pi", False)):
        gates = GatesConfig(device=(DeviceGates(device=name, p50_us_max=1e6),))
        data = run_data({INT8: rounds(INT8, P50S)}, of=plan(gates=gates))
        names = [g.name for g in compare(data).rows[0].gates]
        assert ("p50_us_max" in names) is applies


@pytest.mark.parametrize(
    ("right", "status"),
    # 3 points of 700 images are 21; the paired interval is about +-1.3 points wide.
    [(680, "PASS"), (660, "UNSURE"), (610, "FAIL")],
)
def test_accuracy_gates_go_by_the_paired_interval(right: int, status: str) -> None:
    data = run_data(
        matrix({"fp32": 1000, "int8": 500}),
        correct={"fp32": answers(680), "int8": answers(right)},
        of=plan(gates=GatesConfig()),
    )
    for name in ("accuracy_ratio_min", "accuracy_drop_max_points"):
        assert gate(data, name).status == status
    assert gate(data, "accuracy_drop_max_points").value == pytest.approx((680 - right) / 7)
    assert gate(data, "accuracy_ratio_min").value == pytest.approx(right / 680)
    assert gate(data, "accuracy_ratio_min", "fp32").status == "PASS"
    assert gate(data, "accuracy_drop_max_points", "fp32").status == "PASS"


def test_fp32_that_is_never_right_has_no_ratio() -> None:
    data = run_data(
        matrix({"fp32": 1000, "int8": 500}), correct={"fp32": answers(0), "int8": answers(5)}
    )
    assert gate(data, "accuracy_ratio_min").status == "UNKNOWN"
    assert gate(data, "accuracy_drop_max_points").status == "PASS"


def test_an_accuracy_that_should_be_there_and_is_not_is_unknown() -> None:
    data = run_data(matrix({"fp32": 1000, "int8": 500}), correct={"fp32": answers(680)})
    found = gate(data, "accuracy_ratio_min")
    assert found.status == "UNKNOWN"
    assert found.reason.startswith("int8 was not evaluated with the kernels of xnnpack;")


@pytest.mark.parametrize(
    ("mean", "status", "ratio"), [(1.0, "PASS", 1.0), (0.5, "PASS", 2.0), (2.0, "FAIL", 0.5)]
)
def test_where_less_is_better_the_ratio_is_turned_round(
    mean: float, status: str, ratio: float
) -> None:
    data = by_metric(
        run_data(matrix({"fp32": 1000, "int8": 500}), correct={}),
        "mae",
        {"fp32": errors(1.0), "int8": errors(mean)},
    )
    found = gate(data, "accuracy_ratio_min")
    assert found.status == status
    assert found.value == pytest.approx(ratio)
    assert "(less is better)" in found.reason
    names = {g.name for row in compare(data).rows for g in row.gates}
    assert names == {"accuracy_ratio_min"}
    assert any("accuracy_drop_max_points does not apply" in n for n in compare(data).notes)


def test_no_error_at_all_passes_without_a_ratio() -> None:
    data = by_metric(
        run_data(matrix({"fp32": 1000, "int8": 500}), correct={}),
        "mae",
        {"fp32": errors(1.0), "int8": errors(1.0) * 0},
    )
    found = gate(data, "accuracy_ratio_min")
    assert (found.status, found.value) == ("PASS", None)
    swapped = by_metric(data, "mae", {"fp32": errors(1.0) * 0, "int8": errors(1.0)})
    found = gate(swapped, "accuracy_ratio_min")
    assert found.status == "UNKNOWN"
    assert found.reason == "fp32 has 0: there is no ratio"


def test_too_few_samples_for_an_interval_are_unknown() -> None:
    data = by_metric(
        run_data(matrix({"fp32": 1000, "int8": 500}), correct={}),
        "mae",
        {"fp32": errors(1.0, 10), "int8": errors(1.1, 10)},
    )
    found = gate(data, "accuracy_ratio_min")
    assert (found.status, found.value) == ("UNKNOWN", None)
    assert found.reason == "10 samples are too few for an interval"


def test_without_holdout_no_accuracy_gate_applies() -> None:
    assert compare(run_data(matrix({"fp32": 1000, "int8": 500}))).rows[1].gates == ()


def test_fp32_alone_fails_nothing() -> None:
    data = run_data({FP32: rounds(FP32, around(1000))}, correct={"fp32": answers(100)})
    assert not gate_failed(compare(data))
