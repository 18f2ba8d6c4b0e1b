"""From the launches beside the timed ones to the comparison: answers, profile, the CPU."""

from __future__ import annotations

from dataclasses import replace

import pytest
from analysis import answers, around, check, plan, rounds, run_data
from comparisons import numerics
from records import case

from bench.config import DeviceGates, GatesConfig
from bench.delegation.model import Coverage, Delegation, EvidenceSource
from bench.identity import Case, DelegateSpec
from bench.numerics.model import DeviceAccuracy
from bench.ops.model import OpKind, OpProfile, OpRow, OpTable, ProfileSource
from bench.records import CheckRecord, Failure, LaunchRecord, Outcome, Purpose, RunData
from bench.stats import Change
from reports.compare import compare
from reports.export.junit import judgements
from reports.gates import gate_failed
from reports.model import Comparison, Recommendation, Row

VARIANTS = ("fp32", "int8")
CPU = {"fp32": 1000.0, "int8": 500.0}
GPU = {"fp32": 300.0, "int8": 200.0}
FULL = Delegation("gpu", Coverage.FULL, 10, 10, 1)
RIGHT, WRONG = numerics(), numerics(0.9, nan=3)


def gpu(variant: str = "int8") -> Case:
    return case(variant, "gpu")


def run(
    *checks: CheckRecord,
    gpu_us: dict[str, float] | None = None,
    taken: Delegation = FULL,
    holdout: bool = True,
) -> RunData:
    """Two variants by XNNPACK and by a GPU, with so many checks."""
    launches: dict[Case, list[LaunchRecord]] = {}
    for seed, variant in enumerate(VARIANTS):
        launches[case(variant)] = rounds(case(variant), around(CPU[variant], seed=seed))
        p50s = around((gpu_us or GPU)[variant], seed=seed + 7)
        launches[gpu(variant)] = rounds(gpu(variant), p50s, delegation=taken)
    right = {"fp32": answers(690), "int8": answers(689)} if holdout else None
    gates = GatesConfig(device=(GATE,))
    data = run_data(launches, correct=right, of=plan(gates=gates, holdout=holdout))
    return replace(data, checks=checks)


GATE = DeviceGates(p50_us_max=10_000.0)


def answered(of: Case, found: object = RIGHT, **changes: object) -> CheckRecord:
    return check(of, Purpose.NUMERICS, numerics=found, **changes)


def row(comparison: Comparison, variant: str = "int8", delegate: str = "gpu") -> Row:
    (found,) = (
        r for r in comparison.rows if (r.case.variant, r.case.delegate.name) == (variant, delegate)
    )
    return found


def of_rows(*rows: OpRow) -> OpProfile:
    return OpProfile(ProfileSource.STDOUT, (OpTable(rows),), runs=10)


def took(kind: OpKind, step: str, us: float, order: int = 0) -> OpRow:
    return OpRow(kind, step, "", us, times_called=1, order=order)


def test_right_answers_pass_the_gate_and_are_kept_with_their_figures() -> None:
    found = compare(run(answered(gpu())))
    gates = {gate.name: gate.status for gate in row(found).gates}
    assert gates["numerics"] == "PASS"
    assert row(found).answers == RIGHT
    assert row(found).numerics is not None
    assert not gate_failed(found)
    assert row(found, "fp32").numerics is None
    assert row(found, "fp32").numerics_reason == "not made"


def test_wrong_answers_fail_the_gate_and_no_limit_on_speed_passes() -> None:
    found = compare(run(answered(gpu(), WRONG), answered(gpu("fp32"))))
    wrong = row(found)
    assert wrong.is_wrong
    assert gate_failed(found)
    (gate,) = (gate for gate in wrong.gates if gate.name == "numerics")
    assert gate.status == "FAIL"
    assert "WRONG" in gate.reason
    (speed,) = (gate for gate in wrong.gates if gate.name == "p50_us_max")
    assert speed.status == "UNKNOWN"
    assert "WRONG" in speed.reason
    (judged,) = (j for j in judgements(found) if j.case.startswith("int8 · gpu"))
    assert any(gate.status == "FAIL" for gate in judged.gates)
    assert any("WRONG" in note and "int8 · gpu" in note for note in found.notes)


def test_wrong_answers_are_never_recommended() -> None:
    def advice(*checks: CheckRecord) -> Recommendation:
        (found,) = compare(run(*checks, holdout=False)).recommendations
        return found

    right = advice(answered(gpu()), answered(gpu("fp32")))
    assert (right.variant, right.configuration) == ("int8", {"local": ("gpu", 1)})
    slower = advice(answered(gpu(), WRONG), answered(gpu("fp32")))
    assert (slower.variant, slower.configuration) == ("fp32", {"local": ("gpu", 1)})
    none = advice(*(answered(of, WRONG) for v in VARIANTS for of in (case(v), gpu(v))))
    assert none.variant is None
    assert "WRONG" in none.reason


def test_wrong_answers_are_not_on_the_front() -> None:
    assert row(compare(run()), delegate="xnnpack").pareto
    found = compare(run(answered(case("int8"), WRONG)))
    assert not row(found, delegate="xnnpack").pareto
    assert row(found, "fp32", "xnnpack").pareto


def test_nothing_is_held_against_a_wrong_reference() -> None:
    found = compare(run(answered(gpu("fp32"), WRONG), answered(case("int8"), WRONG)))
    assert row(found).speedup is None
    assert row(found).speedup_reason == "fp32: its answers are WRONG"
    against = row(found).against_cpu
    assert against is not None
    assert against.reason == "xnnpack: its answers are WRONG"


def test_a_wrong_speed_is_in_no_mean_over_devices() -> None:
    launches = {}
    for device in ("a", "b", "c"):
        for seed, variant in enumerate(VARIANTS):
            of = case(variant, device=device)
            launches[of] = rounds(of, around(CPU[variant], seed=seed))
    data = run_data(launches)
    (mean,) = compare(data).across
    assert set(mean.devices) == {"a", "b", "c"}
    bad = answered(case("int8", device="b"), WRONG)
    (mean,) = compare(replace(data, checks=(bad,))).across
    assert set(mean.devices) == {"a", "c"}
    assert "WRONG" in mean.without["b"]


def test_a_check_that_failed_says_why_and_a_later_one_replaces_it() -> None:
    broken = answered(
        gpu(), None, outcome=Outcome.CRASHED, failure=Failure("crash", "the tool aborted")
    )
    found = row(compare(run(broken)))
    assert found.numerics is None
    assert found.numerics_reason == "the tool aborted"
    assert "numerics" not in {gate.name for gate in found.gates}
    again = answered(gpu(), RIGHT, attempt=1)
    assert row(compare(run(broken, again))).answers == RIGHT
    assert row(compare(run(again, broken))).answers == RIGHT


def test_a_check_of_another_file_is_nobodys() -> None:
    other = answered(gpu(), WRONG, environment={"model_sha256": "1" * 64})
    assert row(compare(run(other))).answers is None


def test_what_was_not_checked_is_said_once_for_the_run() -> None:
    def remarks(data: RunData) -> list[str]:
        return [note for note in compare(data).notes if note.startswith("Not ")]

    assert len(remarks(run())) == 2
    profile = check(gpu(), Purpose.PROFILE, profile=of_rows(took(OpKind.OP, "CONV_2D", 5.0)))
    assert remarks(run(answered(gpu()), profile)) == []


def test_a_profile_tells_the_time_outside_and_the_op_that_took_most() -> None:
    partial = Delegation("gpu", Coverage.PARTIAL, 9, 10, 1, {"CAST": 1})
    profile = of_rows(
        took(OpKind.DELEGATE, "TfLiteGpuDelegateV2", 75.0), took(OpKind.OP, "CAST", 25.0, 1)
    )
    data = run(check(gpu(), Purpose.PROFILE, profile=profile), taken=partial)
    found = row(compare(data))
    assert found.delegation is not None
    assert found.delegation.verdict is Coverage.PARTIAL
    assert found.delegation.outside_time == pytest.approx(0.25)
    assert found.profile is not None
    assert (found.profile.top_op, found.profile.top_share) == ("TfLiteGpuDelegateV2", 0.75)


def test_a_profile_of_other_nodes_than_were_timed_is_left_out_and_changes_no_verdict() -> None:
    rows = of_rows(took(OpKind.DELEGATE_OP, "Add (ND)", 9.0))
    of = case("int8")
    partial = Delegation("xnnpack", Coverage.PARTIAL, 3, 10, 1, {"VAR_HANDLE": 7})
    launches = {of: rounds(of, around(500.0), delegation=partial)}

    def seen(taken: Delegation) -> Row:
        profiled = check(of, Purpose.PROFILE, profile=rows, delegation=taken)
        data = replace(run_data(launches, of=plan(holdout=False)), checks=(profiled,))
        return row(compare(data), delegate="xnnpack")

    found = seen(Delegation("xnnpack", Coverage.FULL, 10, 10))
    assert found.delegation is not None
    assert found.delegation.verdict is Coverage.PARTIAL
    assert found.profile is None
    assert "10 of 10 nodes in CompiledModel" in (found.profile_reason or "")
    assert "3 of 10 in what was timed" in (found.profile_reason or "")
    assert seen(Delegation("xnnpack", Coverage.PARTIAL, 3, 10, 1)).profile is not None


def test_a_profile_without_a_row_of_the_delegate_takes_the_number_from_its_name() -> None:
    profile = of_rows(took(OpKind.OP, "CONV_2D", 90.0), took(OpKind.OP, "SOFTMAX", 10.0, 1))
    data = run(check(gpu(), Purpose.PROFILE, profile=profile), answered(gpu()))
    found = row(compare(data))
    assert found.delegation is not None
    assert not found.delegation.as_requested
    assert {e.source for e in found.delegation.evidence} >= {EvidenceSource.PROFILE}
    assert found.speedup is None


def test_a_check_that_saw_another_verdict_leaves_it_unknown() -> None:
    nothing = Delegation("gpu", Coverage.NONE, 0, 10, 0)
    found = row(compare(run(answered(gpu(), delegation=nothing))))
    assert found.delegation is not None
    assert found.delegation.verdict is Coverage.UNKNOWN
    assert found.delegation.evidence[0].text == (
        "the numerics launch says NONE, the timed ones FULL"
    )


def test_what_was_checked_of_a_delegate_that_took_nothing_is_not_its_own() -> None:
    nothing = Delegation("gpu", Coverage.NONE, 0, 10, 0)
    found = row(compare(run(answered(gpu()), taken=nothing)))
    assert found.failure is not None
    assert found.answers is None
    assert found.numerics is None
    assert found.numerics_reason == found.failure


def test_the_speed_up_against_the_processor_is_that_of_the_rounds() -> None:
    found = compare(run())
    against = row(found).against_cpu
    assert against is not None
    assert against.verdict is not None
    assert against.verdict.ratio == pytest.approx(2.5, rel=0.01)
    assert against.verdict.change is Change.CHANGED
    assert against.delegate == DelegateSpec("xnnpack")
    reference = row(found, delegate="xnnpack").against_cpu
    assert reference is not None
    assert reference.is_reference


def test_plain_kernels_stand_for_the_processor_where_xnnpack_has_no_number() -> None:
    plain, fast = case("int8", "none"), gpu()
    data = run_data({case("int8"): [], plain: rounds(plain, around(800.0)),
                     fast: rounds(fast, around(200.0), delegation=FULL)})  # fmt: skip
    found = row(compare(data)).against_cpu
    assert found is not None
    assert found.delegate == DelegateSpec("none")
    assert found.verdict is not None
    assert found.verdict.ratio == pytest.approx(4.0, rel=0.01)


def test_without_a_case_on_the_processor_there_is_no_speed_up() -> None:
    found = row(compare(run_data({gpu(): rounds(gpu(), around(200.0), delegation=FULL)})))
    assert found.against_cpu is not None
    assert found.against_cpu.verdict is None
    assert not found.against_cpu.is_reference
    assert found.against_cpu.reason == "the plan has no case on this device's processor like it"


def test_an_accelerator_as_fast_as_the_processor_is_suspect_and_not_recommended() -> None:
    same = compare(run(gpu_us=CPU, holdout=False))
    found = row(same)
    assert found.delegation is not None
    assert found.delegation.verdict is Coverage.FULL
    assert found.is_suspect
    assert found.delegation.evidence[-1].source is EvidenceSource.LATENCY
    assert same.recommendations[0].configuration == {"local": ("xnnpack", 1)}
    assert not row(compare(run())).is_suspect


def test_the_speed_of_an_unknown_delegate_is_evidence_and_no_speed_up() -> None:
    unknown = Delegation("gpu", Coverage.UNKNOWN)
    found = row(compare(run(gpu_us=CPU, taken=unknown)))
    assert found.is_suspect
    assert found.against_cpu is not None
    assert found.against_cpu.verdict is None
    assert found.against_cpu.reason == "it is unknown what gpu took"
    assert not row(compare(run(taken=unknown))).is_suspect


def test_why_a_quantised_variant_is_slower_comes_from_its_profile() -> None:
    partly = Delegation("xnnpack", Coverage.PARTIAL, 9, 10, 1, {"DEPTHWISE_CONV_2D": 1})
    fast, slow = case("fp32"), case("int8")
    data = run_data(
        {
            fast: rounds(fast, around(1000.0)),
            slow: rounds(slow, around(1800.0), delegation=partly),
        }
    )
    assert compare(data).slower == ()
    profiles = {
        "fp32": of_rows(took(OpKind.DELEGATE, "TfLiteXNNPackDelegate", 1000.0)),
        "int8": of_rows(
            took(OpKind.DELEGATE, "TfLiteXNNPackDelegate", 300.0),
            took(OpKind.OP, "DEPTHWISE_CONV_2D", 1500.0, 1),
        ),
    }
    checks = tuple(
        check(case(name), Purpose.PROFILE, profile=found) for name, found in profiles.items()
    )
    (found,) = compare(replace(data, checks=checks)).slower
    assert found.case == case("int8")
    assert found.ratio == pytest.approx(1 / 1.8, rel=0.01)
    assert "int8 is slower than fp32" in found.why[0]
    assert any("DEPTHWISE_CONV_2D" in line for line in found.why)
    faster = run_data(
        {
            fast: rounds(fast, around(1000.0)),
            slow: rounds(slow, around(500.0), delegation=partly),
        }
    )
    assert compare(replace(faster, checks=checks)).slower == ()


def device_accuracy(right: int, *, samples: int = 719) -> DeviceAccuracy:
    statistics = tuple((float(n < right),) for n in range(samples))
    return DeviceAccuracy("top1", None, right / samples, samples, 719, statistics)


def test_a_gpu_is_judged_by_the_answers_that_it_gave_itself() -> None:
    found = {"fp32": device_accuracy(690), "int8": device_accuracy(500)}
    checks = [answered(gpu(v), replace(RIGHT, accuracy=a)) for v, a in found.items()]
    comparison = compare(run(*checks))
    lost = row(comparison, "int8").accuracy
    assert lost is not None
    assert (lost.kernels, lost.images) == ("gpu on local", 719)
    assert lost.value == pytest.approx(500 / 719)
    assert lost.change == pytest.approx(-190 / 719)
    gates = {g.name: g.status.value for g in row(comparison, "int8").gates}
    assert gates["accuracy_drop_max_points"] == "FAIL"
    # Beside it, XNNPACK is judged by what was evaluated here.
    assert row(comparison, "int8", "xnnpack").accuracy.kernels == "xnnpack"


def test_a_part_of_the_holdout_does_not_outweigh_the_whole() -> None:
    part = replace(RIGHT, accuracy=device_accuracy(10, samples=20))
    whole = replace(RIGHT, accuracy=device_accuracy(600))
    for found, kernels in ((part, "xnnpack"), (whole, "xnnpack on local")):
        shown = row(compare(run(answered(case("fp32"), found))), "fp32", "xnnpack").accuracy
        assert shown is not None
        assert shown.kernels == kernels


def test_options_are_other_arithmetic_than_was_evaluated_here() -> None:
    half = replace(
        case("fp32"), delegate=DelegateSpec("xnnpack", (("xnnpack_force_fp16", "true"),))
    )
    data = run_data({half: rounds(half, around(900.0))}, correct={"fp32": answers(690)})
    (found,) = compare(data).rows
    assert found.accuracy is None
    assert found.accuracy_reason is not None
    assert "device_accuracy" in found.accuracy_reason
