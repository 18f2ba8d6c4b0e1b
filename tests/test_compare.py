"""Records of a run to a comparison: no row lost, no number under a wrong name."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from analysis import answers, around, matrix, measured, plan, rounds, run_data, variant_record
from records import case, launch

from bench.config import PlanConfig
from bench.delegation.model import Coverage, Delegation
from bench.records import Failure, Outcome, RunData, RunStatus
from bench.stability import StabilityWord
from bench.stats import Change
from reports.compare import compare
from reports.model import Comparison, Row

FP32, INT8 = case("fp32"), case("int8")


def row(comparison: Comparison, variant: str, delegate: str = "xnnpack") -> Row:
    (found,) = (
        r for r in comparison.rows if (r.case.variant, r.case.delegate.name) == (variant, delegate)
    )
    return found


def test_the_headline_is_the_median_over_launches_with_its_interval() -> None:
    p50s = [1000.0, 1010.0, 1020.0, 1030.0, 1040.0, 1050.0]
    found = row(compare(run_data({FP32: rounds(FP32, p50s)})), "fp32")
    assert found.p50_us == 1025
    assert found.p50_interval_us is not None
    assert found.p50_interval_us.low == pytest.approx(1000 + 10 * 0.5 / 1.4)
    assert found.p90_us == pytest.approx(1025 * 1.1)
    assert (found.launches_made, found.launches_used, found.samples) == (6, 6, 600)
    assert found.peak_rss_kib == 50_000
    assert found.min_us == 1000
    assert found.speedup is None
    assert found.speedup_reason is None


def test_the_plan_is_read_from_the_record_as_stored() -> None:
    data = run_data({FP32: rounds(FP32, around(1000))}, of=plan(rounds=6, threads=(1,)))
    stored = json.loads(json.dumps(data.run.plan))
    read = replace(data, run=replace(data.run, plan=stored))
    assert compare(read).delta == PlanConfig.model_validate_json(json.dumps(stored)).analysis.delta
    assert compare(read).rounds == 6


def test_every_planned_case_is_a_row_in_the_order_of_the_plan() -> None:
    crashed, lost, impossible = case("int8"), case("fp16"), case("dynamic")
    unmade = case("int8-qat")
    data = run_data(
        {
            impossible: [],
            FP32: rounds(FP32, around(1000)),
            crashed: [launch(crashed, index=i, outcome=Outcome.CRASHED) for i in range(6)],
            lost: [],
            unmade: [],
        },
        made=[
            *map(variant_record, ("fp32", "int8", "fp16", "dynamic")),
            variant_record(
                "int8-qat",
                path=None,
                size_bytes=None,
                sha256=None,
                failure=Failure("qat", "no train data"),
            ),
        ],
        not_applicable={impossible: "plain kernels only"},
        status=RunStatus.INTERRUPTED,
    )
    comparison = compare(data)
    assert [r.case.variant for r in comparison.rows] == [
        "dynamic", "fp32", "int8", "fp16", "int8-qat",
    ]  # fmt: skip
    by_variant = {r.case.variant: r for r in comparison.rows}
    assert by_variant["dynamic"].not_applicable == "plain kernels only"
    assert by_variant["dynamic"].failure is None
    assert by_variant["dynamic"].gates == ()
    assert by_variant["int8"].failure == (
        "crashed in 6 of 6 launches: the runtime aborted (SIGABRT)"
    )
    assert (by_variant["int8"].launches_made, by_variant["int8"].launches_used) == (6, 0)
    assert by_variant["int8"].p50_us is None
    assert by_variant["fp16"].failure == "not measured: the run is interrupted"
    assert by_variant["int8-qat"].failure == "not made: no train data"
    assert by_variant["int8-qat"].speedup_reason == "not made: no train data"
    assert any("interrupted" in note for note in comparison.notes)


def test_a_repeat_replaces_a_tainted_launch_and_both_are_counted() -> None:
    clean = rounds(FP32, around(1000))
    bad = replace(measured(FP32, 5, 5000.0), taints=("other load: 0.50 of a core, limit 0.10",))
    found = row(compare(run_data({FP32: [*clean[:5], bad, replace(clean[5], attempt=1)]})), "fp32")
    assert (found.launches_made, found.launches_used) == (7, 6)
    assert found.p50_us == pytest.approx(1000, rel=0.001)


def test_only_tainted_launches_give_no_number() -> None:
    taint = ("steal time: 5 % taken by the hypervisor, limit 1 %",)
    bad = [replace(item, taints=taint) for item in rounds(FP32, around(1000))]
    found = row(compare(run_data({FP32: bad})), "fp32")
    assert found.p50_us is None
    assert found.failure == f"no clean launch in 6; {taint[0]}"
    assert found.stability.word is StabilityWord.INVALID


def test_a_p90_that_some_launches_lack_is_not_stated() -> None:
    launches = rounds(FP32, around(1000))
    launches[2] = measured(FP32, 2, 1000.0, p90_us=None, p95_us=None, p90_reason="50 samples")
    found = row(compare(run_data({FP32: launches})), "fp32")
    assert found.p90_us is None
    assert found.p95_us is None
    assert found.p90_reason == "missing in 1 of 6 launches: 50 samples"


def test_the_speedup_is_per_round_and_at_equal_delegate() -> None:
    data = run_data(
        {
            FP32: rounds(FP32, [1000, 1100, 1300, 1600, 1900, 2300]),
            INT8: rounds(INT8, [500, 551, 649, 801, 950, 1151]),
            **matrix({"fp32": 8000, "int8": 4000}, ["none"]),
        }
    )
    comparison = compare(data)
    found = row(comparison, "int8").speedup
    assert found is not None
    assert found.ratio == pytest.approx(2, rel=0.01)
    assert found.change is Change.CHANGED
    assert found.p_value is None
    plain = row(comparison, "int8", "none").speedup
    assert plain is not None
    assert plain.ratio == pytest.approx(2, rel=0.01)


def test_ten_cells_are_tested_as_a_matrix() -> None:
    p50s = {"fp32": 1000, "fp16": 990, "dynamic": 1400, "int8": 500, "int8-qat": 500}
    cases = {}
    for threads in (1, 2, 4):
        for seed, (variant, p50) in enumerate(p50s.items()):
            which = case(variant, threads=threads)
            cases[which] = rounds(which, around(p50, seed=seed + 7 * threads))
    comparison = compare(run_data(cases))
    verdicts = [r.speedup for r in comparison.rows if r.speedup is not None]
    assert len(verdicts) == 12
    assert all(v.p_value is not None for v in verdicts)
    by_variant = {r.case.variant: r.speedup for r in comparison.rows}
    assert by_variant["int8"].change is Change.CHANGED
    assert by_variant["fp16"].change is Change.SAME


def refused(data: RunData, variant: str = "int8") -> str:
    found = row(compare(data), variant)
    assert found.speedup is None
    assert found.speedup_reason is not None
    return found.speedup_reason


def test_no_speedup_without_fp32_in_the_plan() -> None:
    assert "fp32 is not in the plan" in refused(run_data({INT8: rounds(INT8, around(500))}))


def test_no_speedup_where_the_delegate_took_nothing() -> None:
    nothing = Delegation("xnnpack", Coverage.NONE, 0, 10, 0)
    slow = rounds(INT8, around(8000), delegation=nothing)
    quick = rounds(FP32, around(1000))
    data = run_data({FP32: quick, INT8: slow})
    assert refused(data) == "xnnpack took no node"
    row = next(row for row in compare(data).rows if row.case.variant == "int8")
    assert row.failure == "xnnpack took no node: what was measured is not xnnpack"
    assert (row.p50_us, row.p90_us, row.first_inference_us, row.samples) == (None, None, None, 0)
    assert row.launches_used == 6
    data = run_data(
        {FP32: rounds(FP32, around(8000), delegation=nothing), INT8: rounds(INT8, around(500))}
    )
    assert refused(data) == "fp32: xnnpack took no node"


def test_launches_that_disagree_about_the_delegate_are_unknown() -> None:
    launches = rounds(INT8, around(500))
    launches[3] = measured(INT8, 3, 4000.0, delegation=Delegation("xnnpack", Coverage.NONE))
    data = run_data({FP32: rounds(FP32, around(1000)), INT8: launches})
    assert refused(data) == "it is unknown what xnnpack took"
    delegation = row(compare(data), "int8").delegation
    assert delegation is not None
    assert delegation.verdict is Coverage.UNKNOWN
    assert [e.text for e in delegation.evidence] == ["launches: FULL in 5, NONE in 1"]


def test_batched_is_never_compared_with_unbatched() -> None:
    data = run_data(
        {
            FP32: rounds(FP32, around(50)),
            INT8: rounds(INT8, around(5), invokes_per_sample=8, p90_us=None, p90_reason="batched"),
        }
    )
    assert "a median of batches, that of fp32 a median of single invokes" in refused(data)


def test_an_invalid_number_has_no_speedup() -> None:
    launches = rounds(INT8, around(500))
    launches = [replace(x, taints=("throttled",)) if x.index < 2 else x for x in launches]
    data = run_data({FP32: rounds(FP32, around(1000)), INT8: launches})
    assert refused(data).startswith("INVALID: 2 of 6 launches tainted")


def test_without_common_rounds_there_is_no_ratio() -> None:
    data = run_data(
        {
            FP32: rounds(FP32, around(1000))[:3],
            INT8: [measured(INT8, i, 500.0) for i in range(3, 6)],
        }
    )
    assert refused(data) == "no common round with fp32"


def test_launches_of_another_file_are_left_out() -> None:
    launches = rounds(FP32, around(1000))
    launches[0] = replace(launches[0], environment={"model_sha256": "other"})
    comparison = compare(run_data({FP32: launches}))
    assert row(comparison, "fp32").launches_made == 5
    assert any("another file" in note for note in comparison.notes)
    foreign = [replace(item, environment={"model_sha256": "other"}) for item in launches]
    found = row(compare(run_data({FP32: foreign})), "fp32")
    assert found.p50_us is None
    assert found.failure == "all 6 launches measured another file than the variant's"


def test_accuracy_is_by_the_kernels_of_the_row_and_paired_with_fp32() -> None:
    data = run_data(
        matrix({"fp32": 1000, "int8": 500}, ["none", "xnnpack"]),
        correct={"fp32": answers(680), "int8": answers(673)},
    )
    swapped = tuple(
        replace(e, statistics=answers(690).astype(float)[:, None], value=690 / 700)
        if (e.variant, e.kernels) == ("int8", "none")
        else e
        for e in data.evaluations
    )
    comparison = compare(replace(data, evaluations=swapped))
    xnnpack, plain = row(comparison, "int8").accuracy, row(comparison, "int8", "none").accuracy
    assert xnnpack is not None
    assert plain is not None
    assert xnnpack.change_points == pytest.approx(-1.0)
    assert plain.change_points == pytest.approx(10 / 7)
    assert (xnnpack.kernels, plain.kernels) == ("xnnpack", "none")
    assert xnnpack.images == 700
    assert xnnpack.interval.low < xnnpack.value < xnnpack.interval.high
    assert xnnpack.p_value == pytest.approx(2 / 2**7)
    reference = row(comparison, "fp32").accuracy
    assert reference is not None
    assert reference.change_points is None
    assert reference.p_value is None


def test_agreement_verdict_and_classes_come_with_the_answers() -> None:
    data = run_data(
        matrix({"fp32": 1000, "int8": 500}),
        correct={"fp32": answers(680), "int8": answers(673)},
    )
    labels = np.arange(700, dtype=np.int32) % 10
    right = {"fp32": answers(680), "int8": answers(673)}
    data = replace(
        data,
        evaluations=tuple(
            replace(
                e,
                labels=labels,
                predictions=np.where(right[e.variant], labels, (labels + 1) % 10).astype(np.int32),
            )
            for e in data.evaluations
        ),
    )
    comparison = compare(data)
    found = row(comparison, "int8").accuracy
    assert found is not None
    assert found.agreeing == 693
    assert found.verdict is not None
    assert found.verdict.text == "worse by 0.2 to 1.8 points"
    # Both sets of kernels were evaluated; one is shown, that of the recommendation.
    assert [(c.variant, c.kernels) for c in comparison.classes] == [
        ("fp32", "xnnpack"), ("int8", "xnnpack"),
    ]  # fmt: skip
    assert sum(map(sum, comparison.classes[1].matrix)) == 700


def test_a_change_needs_fp32_on_the_same_holdout() -> None:
    data = run_data(
        matrix({"fp32": 1000, "int8": 500}), correct={"fp32": answers(680), "int8": answers(673)}
    )
    other = tuple(
        replace(e, holdout_sha256="g") if e.variant == "fp32" else e for e in data.evaluations
    )
    found = row(compare(replace(data, evaluations=other)), "int8")
    assert found.accuracy is not None
    assert found.accuracy.change_points is None
    assert found.accuracy_reason == "no change: fp32 was evaluated on another holdout"
    alone = tuple(e for e in data.evaluations if e.variant == "int8")
    found = row(compare(replace(data, evaluations=alone)), "int8")
    assert found.accuracy_reason is not None
    assert "fp32 was not evaluated" in found.accuracy_reason


def test_why_there_is_no_accuracy() -> None:
    without = row(compare(run_data(matrix({"fp32": 1000}))), "fp32")
    assert without.accuracy is None
    assert without.accuracy_reason == "no holdout in the plan"
    data = run_data(matrix({"fp32": 1000}), correct={"fp32": answers(680)})
    missed = row(compare(replace(data, evaluations=())), "fp32")
    assert missed.accuracy_reason is not None
    assert missed.accuracy_reason.startswith("fp32 was not evaluated with the kernels of xnnpack;")
    failed = tuple(
        replace(e, value=None, statistics=None, failure=Failure("load", "does not load"))
        for e in data.evaluations
    )
    missed = row(compare(replace(data, evaluations=failed)), "fp32")
    assert missed.accuracy_reason == "evaluation failed: does not load"


def test_the_front_holds_what_nothing_beats_in_all_three() -> None:
    data = run_data(
        matrix({"fp32": 1000, "fp16": 1100, "int8": 500, "dynamic": 1200}),
        correct={
            "fp32": answers(680),
            "fp16": answers(680),
            "int8": answers(670),
            "dynamic": answers(660),
        },
    )
    front = {r.case.variant for r in compare(data).rows if r.pareto}
    # fp16 is slower than fp32 but smaller; int8 beats dynamic in all three.
    assert front == {"fp32", "fp16", "int8"}


def test_an_invalid_or_misfiled_number_is_not_on_the_front() -> None:
    data = run_data(
        {
            FP32: rounds(FP32, around(1000)),
            INT8: rounds(INT8, around(500), delegation=Delegation("xnnpack", Coverage.NONE)),
        },
        correct={"fp32": answers(680), "int8": answers(690)},
    )
    assert [r.case.variant for r in compare(data).rows if r.pareto] == ["fp32"]


def test_variants_are_summarised_with_their_size_against_fp32() -> None:
    fp32, int8 = compare(run_data(matrix({"fp32": 1000, "int8": 500}))).variants
    assert (fp32.size_ratio, int8.size_ratio) == (1.0, pytest.approx(1 / 3))


def test_notes_say_what_must_be_read_with_the_numbers() -> None:
    comparison = compare(run_data(matrix({"fp32": 1000}), simulated=True))
    assert comparison.simulated
    text = " ".join(comparison.notes)
    for words in ("Simulated", "Speaks for this unit only (local)", "warm caches"):
        assert words in text


def test_the_environment_is_what_all_launches_share() -> None:
    environment = compare(run_data(matrix({"fp32": 1000, "int8": 500}))).environment
    assert environment["runner"] == "invoke_loop"
    assert "model_sha256" not in environment
    assert environment["runtime"]["name"] == "ai_edge_litert"
    assert environment["host"] == {"cores": 2}


def test_samples_come_along_where_the_launches_carry_them() -> None:
    assert row(compare(run_data(matrix({"fp32": 1000}))), "fp32").launch_samples_us == ()
    raw = np.arange(900_000, 1_100_000, 2000, dtype=np.int64)
    found = row(compare(run_data({FP32: rounds(FP32, around(1000), samples_ns=raw)})), "fp32")
    assert len(found.launch_samples_us) == 6
    assert found.launch_samples_us[0][0] == 900.0


def test_with_a_precision_asked_for_the_interval_is_the_wider_one() -> None:
    launches = rounds(FP32, around(1000, 12))
    plain = row(compare(run_data({FP32: launches})), "fp32").p50_interval_us
    adaptive = row(compare(run_data({FP32: launches}, of=plan(precision=0.02))), "fp32")
    assert plain is not None
    assert adaptive.p50_interval_us is not None
    assert adaptive.p50_interval_us.low < plain.low
    assert adaptive.p50_interval_us.confidence == 0.95


def test_tainted_launches_still_tell_what_the_delegate_took() -> None:
    spoilt = [replace(item, taints=("other load",)) for item in rounds(INT8, around(500))]
    row = next(r for r in compare(run_data({INT8: spoilt})).rows if r.case.variant == "int8")
    assert row.p50_us is None
    assert row.delegation is not None
    assert row.delegation.as_requested
