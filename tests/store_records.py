"""Records for tests of the store: plain ones, and hypothesis strategies for awkward ones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
from hypothesis import strategies as st

from bench.delegation.model import Coverage, Delegation, Evidence, EvidenceSource, Refusal
from bench.digest import SampleDigest
from bench.identity import Case, DelegateSpec, check_id, launch_id, new_run_id
from bench.numerics.model import DeviceAccuracy, Numerics, OutputNumbers
from bench.ops.model import OpKind, OpProfile, OpRow, OpTable, ProfileSource
from bench.records import (
    Artifact,
    CheckRecord,
    EvaluationRecord,
    Failure,
    HostLoad,
    LaunchRecord,
    Measurement,
    Outcome,
    PlannedCase,
    Purpose,
    RunRecord,
    RunStatus,
    Source,
    VariantRecord,
)

START = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)

# Any code point, and the lone surrogates that undecodable bytes become (PEP 383).
texts = st.text(
    st.one_of(st.characters(), st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF)),
    max_size=20,
) | st.sampled_from(
    ["", "\x00", "'; DROP TABLE run; --", '"\n\r\t', "\\u0000", "\\", "%_", "\udcff"]
)
floats = st.floats(allow_nan=False, allow_infinity=False)
integers = st.integers(-(2**63), 2**63 - 1)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | floats | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
json_objects = st.dictionaries(texts, json_values, max_size=3)
zones = st.sampled_from([UTC, timezone(timedelta(hours=-9, minutes=-30)), timezone.max])
times = st.datetimes(datetime(1970, 1, 3), datetime(9999, 12, 29), timezones=zones)
failures = st.builds(Failure, texts, texts, texts)
delegates = st.dictionaries(texts, texts, max_size=2).map(
    lambda options: DelegateSpec("xnnpack", tuple(sorted(options.items())))
)
cases = st.builds(
    Case,
    texts,
    texts,
    texts,
    delegates,
    st.integers(1, 256),
    texts,
    texts,
    st.lists(st.tuples(texts, st.lists(st.integers(1, 999)).map(tuple)), max_size=2).map(tuple),
)
runs = st.builds(
    RunRecord,
    run_id=st.builds(new_run_id),
    project=texts,
    status=st.sampled_from(RunStatus),
    started_utc=times,
    finished_utc=st.none() | times,
    plan=json_objects,
    plan_sha256=texts,
    root=texts,
    seed=integers,
    edgebench_version=texts,
    host=json_objects,
    simulated=st.booleans(),
)
digests = st.builds(
    SampleDigest,
    *[integers] * 2,
    *[st.none() | floats] * 6,
    st.lists(floats, max_size=2).map(tuple),
    st.lists(floats, max_size=2).map(tuple),
)
evidence = st.builds(
    Evidence, st.sampled_from(EvidenceSource), texts, st.none() | st.sampled_from(Coverage)
)
refusals = st.builds(Refusal, texts, texts, st.none() | integers)


def few(items: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(items, max_size=3).map(tuple)


sample_arrays = st.lists(integers, max_size=30).map(lambda v: np.array(v, dtype=np.int64))


@st.composite
def measurements(draw: st.DrawFn) -> Measurement:
    """With and without samples; a percentile and its source always agree."""
    maybe, maybe_int = st.none() | floats, st.none() | integers
    source = draw(st.sampled_from([s for s in Source if s is not Source.INTERPOLATED]))
    whole = source is Source.SAMPLES or draw(st.booleans())
    samples = draw(sample_arrays) if whole else None
    p90_source = draw(st.sampled_from(Source))
    bounds = draw(st.none() | st.tuples(floats, floats).map(lambda pair: tuple(sorted(pair))))
    if p90_source is Source.INTERPOLATED and bounds is None:
        bounds = (1.0, 2.0)
    loads = st.builds(HostLoad, integers, integers, maybe_int, maybe_int)
    return Measurement(
        samples_ns=samples,
        warmup_ns=draw(sample_arrays) if whole else None,
        count=draw(st.integers(1, 10**6)) if samples is None else len(samples),
        stats_version=draw(integers),
        invokes_per_sample=draw(integers),
        p50_us=None if source is Source.UNAVAILABLE else draw(floats),
        p90_us=None if p90_source is Source.UNAVAILABLE else draw(maybe),
        p95_us=draw(maybe),
        p90_reason=draw(st.none() | texts),
        mean_us=draw(floats),
        min_us=draw(floats),
        max_us=draw(floats),
        first_inference_us=draw(maybe),
        load_us=draw(maybe),
        allocate_us=draw(maybe),
        input_copy_us=draw(maybe),
        output_copy_us=draw(maybe),
        cpu_us_per_invoke=draw(maybe),
        timer_cost_ns=draw(maybe),
        steady=draw(st.none() | st.booleans()),
        warmup_s=draw(floats),
        warmup_cut=draw(maybe_int),
        peak_rss_kib=draw(maybe_int),
        load=draw(st.none() | loads),
        delegation=Delegation(
            draw(texts),
            draw(st.sampled_from(Coverage)),
            draw(maybe_int),
            draw(maybe_int),
            draw(maybe_int),
            draw(st.dictionaries(texts, integers, max_size=3)),
            draw(few(evidence)),
            draw(few(refusals)),
            draw(few(texts)),
        ),
        runtime=draw(json_objects),
        inputs=draw(json_objects),
        digest=draw(st.none() | digests),
        p50_source=source,
        p90_source=p90_source,
        p90_bounds_us=bounds,
        resolution_us=draw(floats),
        init_us=draw(maybe),
        energy_mj_per_invoke=draw(maybe),
        energy_reason=draw(st.none() | texts),
    )


@st.composite
def launches(draw: st.DrawFn, run_id: str, case_id: str) -> LaunchRecord:
    outcome = draw(st.sampled_from([o for o in Outcome if o is not Outcome.NOT_MADE]))
    ok = outcome is Outcome.OK
    index, attempt = draw(st.integers(0, 3)), draw(st.integers(0, 2))
    return LaunchRecord(
        launch_id=launch_id(run_id, case_id, index, attempt),
        run_id=run_id,
        case_id=case_id,
        index=index,
        position=draw(integers),
        attempt=attempt,
        started_utc=draw(times),
        duration_s=draw(floats),
        outcome=outcome,
        measurement=draw(measurements()) if ok else None,
        failure=None if ok else draw(failures),
        taints=tuple(draw(st.lists(texts, max_size=2))),
        conditions=draw(json_objects),
        environment=draw(json_objects),
        argv=tuple(draw(st.lists(texts, max_size=3))),
        stderr_tail=draw(texts),
    )


op_rows = st.builds(
    OpRow,
    st.sampled_from(OpKind),
    texts,
    texts,
    *[st.none() | floats] * 6,
    st.none() | integers,
    st.none() | floats,
    st.none() | integers,
)
op_tables = st.builds(OpTable, few(op_rows), integers, texts, st.booleans())
profiles = st.builds(
    OpProfile,
    st.sampled_from(ProfileSource),
    few(op_tables),
    few(op_tables),
    st.none() | integers,
    st.none() | floats,
    st.none() | integers,
    few(texts),
)
output_numbers = st.builds(
    OutputNumbers, texts, texts, integers, *[st.none() | floats] * 10, integers, integers, integers
)
accuracies = st.builds(
    DeviceAccuracy,
    texts,
    st.none() | integers,
    floats,
    integers,
    integers,
    few(few(floats)),
    st.none() | floats,
)
all_numerics = st.builds(
    Numerics, few(output_numbers), integers, texts, texts, texts, st.none() | accuracies
)
delegations = st.builds(
    Delegation,
    texts,
    st.sampled_from(Coverage),
    *[st.none() | integers] * 3,
    st.dictionaries(texts, integers, max_size=3),
    few(evidence),
    few(refusals),
    few(texts),
    st.none() | floats,
    texts,
)
artifacts = st.lists(
    st.builds(Artifact, texts, st.binary(max_size=50)), max_size=2, unique_by=lambda a: a.name
)


@st.composite
def checks(draw: st.DrawFn, run_id: str, case_id: str) -> CheckRecord:
    purpose = draw(st.sampled_from([p for p in Purpose if p is not Purpose.TIMING]))
    outcome = draw(st.sampled_from(Outcome))
    attempt = draw(st.integers(0, 2))
    left = tuple(draw(artifacts)) if purpose is Purpose.TRACE else ()
    if purpose is Purpose.TRACE and not left:
        outcome = Outcome.CRASHED
    ok = outcome is Outcome.OK
    return CheckRecord(
        launch_id=check_id(run_id, case_id, purpose, attempt),
        run_id=run_id,
        case_id=case_id,
        purpose=purpose,
        attempt=attempt,
        started_utc=draw(times),
        duration_s=draw(floats),
        outcome=outcome,
        failure=None if ok else draw(failures),
        conditions=draw(json_objects),
        environment=draw(json_objects),
        argv=draw(few(texts)),
        stderr_tail=draw(texts),
        profile=draw(profiles) if ok and purpose is Purpose.PROFILE else None,
        numerics=draw(all_numerics) if ok and purpose is Purpose.NUMERICS else None,
        artifacts=left,
        delegation=draw(st.none() | delegations),
    )


@st.composite
def variants(draw: st.DrawFn, run_id: str) -> VariantRecord:
    maybe = st.none() | texts
    return VariantRecord(
        run_id,
        draw(texts),
        draw(texts),
        draw(maybe),
        draw(maybe),
        draw(st.none() | integers),
        draw(json_objects),
        draw(st.none() | failures),
    )


@st.composite
def evaluations(draw: st.DrawFn, run_id: str) -> EvaluationRecord:
    classes = st.lists(st.integers(-(2**31), 2**31 - 1), max_size=20)
    labels = st.lists(st.integers(0, 2**31 - 1), max_size=20)
    width = draw(st.integers(1, 4))
    rows = st.lists(st.tuples(*[floats] * width), max_size=10).map(
        lambda v: np.array(v, dtype=np.float64).reshape(-1, width)
    )
    return EvaluationRecord(
        run_id=run_id,
        model=draw(texts),
        variant=draw(texts),
        kernels=draw(texts),
        metric=draw(texts),
        value=draw(st.none() | floats),
        predictions=draw(st.none() | classes.map(lambda v: np.array(v, dtype=np.int32))),
        statistics=draw(st.none() | rows),
        holdout_sha256=draw(texts),
        runtime=draw(json_objects),
        failure=draw(st.none() | failures),
        labels=draw(st.none() | labels.map(lambda v: np.array(v, dtype=np.int32))),
        k=draw(st.none() | integers),
        higher_is_better=draw(st.booleans()),
    )


def run_record(**changes: Any) -> RunRecord:
    """A run that has just begun."""
    fields: dict[str, Any] = {
        "run_id": new_run_id(),
        "project": "digits",
        "status": RunStatus.RUNNING,
        "started_utc": START,
        "finished_utc": None,
        "plan": {"project": "digits"},
        "plan_sha256": "0" * 64,
        "root": "/somewhere",
        "seed": 0,
        "edgebench_version": "0.1.0",
        "host": {"cpu": "some"},
    }
    return RunRecord(**{**fields, **changes})


def planned(run: RunRecord, variant: str = "fp32") -> PlannedCase:
    """One case of a run."""
    spec = DelegateSpec("xnnpack")
    return PlannedCase(
        run.run_id, Case(run.project, "cnn", variant, spec, 1, "invoke_loop", "local")
    )


def measurement(**changes: Any) -> Measurement:
    """What a good launch measured: 100 samples of about 1 ms."""
    samples = 1_000_000 + np.arange(100, dtype=np.int64)
    fields: dict[str, Any] = {
        "samples_ns": samples,
        "warmup_ns": samples[:20],
        "count": 100,
        "stats_version": 1,
        "invokes_per_sample": 1,
        "p50_us": 1000.0,
        "p90_us": 1000.1,
        "p95_us": 1000.1,
        "p90_reason": None,
        "mean_us": 1000.0,
        "min_us": 1000.0,
        "max_us": 1000.1,
        "first_inference_us": 2000.0,
        "load_us": 100.0,
        "allocate_us": 200.0,
        "input_copy_us": 1.0,
        "output_copy_us": None,
        "cpu_us_per_invoke": 990.0,
        "timer_cost_ns": 100.0,
        "steady": True,
        "warmup_s": 1.0,
        "warmup_cut": 2,
        "peak_rss_kib": None,
        "load": HostLoad(10**9, 10**9, None, 0),
        "delegation": Delegation("xnnpack", Coverage.FULL, 10, 10, 1),
        "runtime": {"name": "ai_edge_litert"},
        "inputs": {"source": "holdout"},
    }
    return Measurement(**{**fields, **changes})


def launch_record(of: PlannedCase, index: int = 0, **changes: Any) -> LaunchRecord:
    """A good launch of a planned case."""
    attempt = changes.get("attempt", 0)
    fields: dict[str, Any] = {
        "launch_id": launch_id(of.run_id, of.case.case_id, index, attempt),
        "run_id": of.run_id,
        "case_id": of.case.case_id,
        "index": index,
        "position": 0,
        "attempt": attempt,
        "started_utc": START + timedelta(seconds=index),
        "duration_s": 2.0,
        "outcome": Outcome.OK,
        "measurement": measurement(),
        "failure": None,
        "taints": (),
        "conditions": {"before": {"load": 0.1}},
        "environment": {"model_sha256": "1" * 64},
        "argv": ("python", "invoke_loop.py"),
    }
    return LaunchRecord(**{**fields, **changes})


def check_record(
    of: PlannedCase, purpose: Purpose = Purpose.PROFILE, **changes: Any
) -> CheckRecord:
    """A good launch beside the timed ones."""
    attempt = changes.get("attempt", 0)
    row = OpRow(OpKind.OP, "CONV_2D", "[out]:0", 12.5, node=0, order=0)
    answers = OutputNumbers(
        "out", "float32", 2, None, 1.0, 1.0, 0.5, 1e-6, 1e-7, 1e-6, 1.0, 120.0, 1.0, 0, 0, 0
    )
    fields: dict[str, Any] = {
        "launch_id": check_id(of.run_id, of.case.case_id, purpose, attempt),
        "run_id": of.run_id,
        "case_id": of.case.case_id,
        "purpose": purpose,
        "attempt": attempt,
        "started_utc": START + timedelta(minutes=1),
        "duration_s": 2.0,
        "outcome": Outcome.OK,
        "failure": None,
        "conditions": {"before": None, "after": None},
        "environment": {"model_sha256": "1" * 64},
        "argv": ("python", "invoke_loop.py"),
    }
    if purpose is Purpose.PROFILE:
        fields["profile"] = OpProfile(ProfileSource.C_API, (OpTable((row,)),), runs=50)
    elif purpose is Purpose.NUMERICS:
        fields["numerics"] = Numerics((answers,), 8, "holdout", "2" * 64, "plain kernels")
    else:
        fields["artifacts"] = (Artifact("system.perfetto-trace", b"trace"),)
    return CheckRecord(**{**fields, **changes})
