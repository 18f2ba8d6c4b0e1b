"""Launches, their samples and environments to rows and back, without I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bench.delegation.model import Coverage, Delegation, Evidence, EvidenceSource, Refusal
from bench.digest import SampleDigest
from bench.errors import StoreError
from bench.identity import sha256_of
from bench.records import HostLoad, LaunchRecord, Measurement, Outcome, Source
from bench.store import schema
from bench.store.checks import checked, failure_columns, failure_of
from bench.store.codec import json_text, pack_array, unpack_array
from bench.store.rows import Row

_NS = "<i8"

# Fields of a Measurement that are a column of the same name.
_SCALARS = (
    "stats_version",
    "invokes_per_sample",
    "p50_us",
    "p90_us",
    "p95_us",
    "p90_reason",
    "mean_us",
    "min_us",
    "max_us",
    "first_inference_us",
    "load_us",
    "allocate_us",
    "input_copy_us",
    "output_copy_us",
    "cpu_us_per_invoke",
    "timer_cost_ns",
    "steady",
    "warmup_s",
    "warmup_cut",
    "peak_rss_kib",
    "runtime",
    "inputs",
    "resolution_us",
    "init_us",
    "energy_mj_per_invoke",
    "energy_reason",
)
# Columns of a measurement that may be NULL beside it.
_MAY_BE_MISSING = frozenset(
    {
        "p50_us",
        "p90_us",
        "p95_us",
        "p90_reason",
        "p90_low_us",
        "p90_high_us",
        "first_inference_us",
        "load_us",
        "allocate_us",
        "init_us",
        "input_copy_us",
        "output_copy_us",
        "cpu_us_per_invoke",
        "timer_cost_ns",
        "steady",
        "warmup_cut",
        "peak_rss_kib",
        "host_wall_ns",
        "host_process_cpu_ns",
        "host_busy_ns",
        "host_steal_ns",
        "delegated_nodes",
        "total_nodes",
        "partitions",
        "digest",
        "energy_mj_per_invoke",
        "energy_reason",
    }
)


def environment_row(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The row of table environment; its id is the sha256 of the canonical JSON."""
    plain = json.loads(json_text(facts, "launch.environment"))
    values = {"environment_id": sha256_of(plain), "facts": plain}
    return checked(schema.environment, values)


def launch_row(record: LaunchRecord, environment_id: str) -> dict[str, Any]:
    """The row of table launch.

    Raises:
        StoreError: OK without a measurement, anything else without a failure or with
            a measurement, or a measurement that contradicts its own samples.
    """
    if (record.outcome is Outcome.OK) != (record.measurement is not None):
        raise StoreError(f"launch {record.launch_id}: a measurement goes with OK and only with it")
    if (record.outcome is Outcome.OK) == (record.failure is not None):
        raise StoreError(f"launch {record.launch_id}: a failure goes with everything but OK")
    names = (
        "launch_id",
        "run_id",
        "case_id",
        "position",
        "attempt",
        "started_utc",
        "duration_s",
        "outcome",
        "taints",
        "conditions",
        "argv",
        "stderr_tail",
    )
    values = {name: getattr(record, name) for name in names}
    values |= {"round_index": record.index, "environment_id": environment_id}
    values |= failure_columns(record.failure)
    if record.measurement is not None:
        columns = _measurement_columns(record.measurement)
        missing = [n for n, v in columns.items() if v is None and n not in _MAY_BE_MISSING]
        if missing:
            raise StoreError(f"launch.{missing[0]} is missing")
        _check_sources(record.launch_id, record.measurement)
        _check_delegation(record.launch_id, record.measurement.delegation)
        values |= columns
    return checked(schema.launch, values)


def _check_sources(launch_id: str, measurement: Measurement) -> None:
    """Refuse figures that contradict where they are said to come from."""
    unavailable = measurement.p50_source is Source.UNAVAILABLE
    if unavailable != (measurement.p50_us is None):
        raise StoreError(
            f"launch {launch_id}: p50_us is {measurement.p50_us} and its source "
            f"{measurement.p50_source}"
        )
    bounds = measurement.p90_bounds_us
    if measurement.p90_us is not None and measurement.p90_source is Source.UNAVAILABLE:
        raise StoreError(f"launch {launch_id} has a p90_us whose source is unavailable")
    if measurement.p90_source is Source.INTERPOLATED and bounds is None:
        raise StoreError(f"launch {launch_id} has an interpolated p90 without bounds")
    if bounds is not None and bounds[0] > bounds[1]:
        raise StoreError(f"launch {launch_id}: p90 bounds {bounds[0]} and {bounds[1]} are reversed")


def _check_delegation(launch_id: str, delegation: Delegation) -> None:
    """Refuse what would be lost: it is drawn from several launches, and no launch has it."""
    if delegation.outside_time is not None or delegation.suspicion:
        raise StoreError(f"launch {launch_id} has evidence that is of other launches too")


def _measurement_columns(measurement: Measurement) -> dict[str, Any]:
    load, delegation = measurement.load, measurement.delegation
    bounds = measurement.p90_bounds_us
    return {name: getattr(measurement, name) for name in _SCALARS} | {
        "sample_count": measurement.count,
        "p50_source": measurement.p50_source,
        "p90_source": measurement.p90_source,
        "p90_low_us": None if bounds is None else bounds[0],
        "p90_high_us": None if bounds is None else bounds[1],
        "host_wall_ns": None if load is None else load.wall_ns,
        "host_process_cpu_ns": None if load is None else load.process_cpu_ns,
        "host_busy_ns": None if load is None else load.busy_ns,
        "host_steal_ns": None if load is None else load.steal_ns,
        "delegation_requested": delegation.requested,
        "delegation_verdict": delegation.verdict,
        "delegated_nodes": delegation.delegated_nodes,
        "total_nodes": delegation.total_nodes,
        "partitions": delegation.partitions,
        "fallback_ops": delegation.fallback_ops,
        "evidence": [[e.source, e.text, e.says] for e in delegation.evidence],
        "unsupported": [[r.op, r.reason, r.nodes] for r in delegation.unsupported],
        "accelerators": delegation.accelerators,
        "digest": None if measurement.digest is None else measurement.digest.to_json(),
    }


def samples_row(launch_id: str, measurement: Measurement) -> dict[str, Any] | None:
    """The row of table launch_samples; None where the runner gives no samples.

    Raises:
        StoreError: samples or warm-up are missing though p50 is said to come from samples,
            one is there without the other, or not as many as `count` says.
    """
    samples, warmup = measurement.samples_ns, measurement.warmup_ns
    if samples is None and warmup is None and measurement.p50_source is not Source.SAMPLES:
        return None
    if samples is None or warmup is None:
        raise StoreError(f"launch {launch_id} comes without its samples")
    if len(samples) != measurement.count:
        raise StoreError(
            f"launch {launch_id} says {measurement.count} samples and holds {len(samples)}"
        )
    return {
        "launch_id": launch_id,
        "samples_ns": pack_array(samples, _NS),
        "warmup_ns": pack_array(warmup, _NS),
    }


def launch_of(row: Row) -> LaunchRecord:
    """The record of a row of launch joined with environment.facts.

    With samples_ns and warmup_ns in the row they are unpacked, else they are None.

    Raises:
        StoreError: damaged, or written by a newer edgebench.
    """
    return LaunchRecord(
        launch_id=row["launch_id"],
        run_id=row["run_id"],
        case_id=row["case_id"],
        index=row["round_index"],
        position=row["position"],
        attempt=row["attempt"],
        started_utc=row["started_utc"],
        duration_s=row["duration_s"],
        outcome=Outcome(row["outcome"]),
        measurement=None if row["sample_count"] is None else _measurement_of(row),
        failure=failure_of(row),
        taints=tuple(row["taints"]),
        conditions=row["conditions"],
        environment=row["facts"],
        argv=tuple(row["argv"]),
        stderr_tail=row["stderr_tail"],
    )


def _measurement_of(row: Row) -> Measurement:
    samples, warmup = row.get("samples_ns"), row.get("warmup_ns")
    samples_ns = None if samples is None else unpack_array(samples, _NS)
    p50_source = Source(row["p50_source"])
    expected = samples is not None or p50_source is Source.SAMPLES
    found = 0 if samples_ns is None else len(samples_ns)
    if "samples_ns" in row and expected and found != row["sample_count"]:
        raise StoreError(f"launch {row['launch_id']} is damaged: samples are missing")
    bounds = row["p90_low_us"], row["p90_high_us"]
    return Measurement(
        samples_ns=samples_ns,
        warmup_ns=None if warmup is None else unpack_array(warmup, _NS),
        count=row["sample_count"],
        load=_load_of(row),
        delegation=Delegation(
            requested=row["delegation_requested"],
            verdict=Coverage(row["delegation_verdict"]),
            delegated_nodes=row["delegated_nodes"],
            total_nodes=row["total_nodes"],
            partitions=row["partitions"],
            fallback_ops=row["fallback_ops"],
            evidence=tuple(map(_evidence_of, row["evidence"])),
            # Before revision 0004 nobody kept them.
            unsupported=tuple(Refusal(*refusal) for refusal in row["unsupported"] or ()),
            accelerators=tuple(row["accelerators"] or ()),
        ),
        digest=None if row["digest"] is None else SampleDigest.from_json(row["digest"]),
        p50_source=p50_source,
        p90_source=Source(row["p90_source"]),
        p90_bounds_us=None if None in bounds else bounds,
        **{name: row[name] for name in _SCALARS},
    )


def _evidence_of(stored: Any) -> Evidence:
    if isinstance(stored, str):
        # Before revision 0004 only the text was kept.
        return Evidence(EvidenceSource.RECORD, stored)
    source, text, says = stored
    return Evidence(EvidenceSource(source), text, None if says is None else Coverage(says))


def _load_of(row: Row) -> HostLoad | None:
    if row["host_wall_ns"] is None or row["host_process_cpu_ns"] is None:
        return None
    return HostLoad(
        row["host_wall_ns"],
        row["host_process_cpu_ns"],
        row["host_busy_ns"],
        row["host_steal_ns"],
    )
