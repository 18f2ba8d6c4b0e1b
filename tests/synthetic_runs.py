"""Runs of hundreds of phones as a lab would leave them, every number drawn, none measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import numpy as np

from bench.config import MeasureConfig, ModelConfig, PlanConfig
from bench.delegation.model import Coverage, Delegation, Evidence, EvidenceSource
from bench.digest import digest
from bench.identity import Case, DelegateSpec, check_id, launch_id, sha256_of
from bench.numerics.model import Numerics, OutputNumbers
from bench.records import (
    CheckRecord,
    EvaluationRecord,
    HostLoad,
    LaunchRecord,
    Measurement,
    Outcome,
    PlannedCase,
    Purpose,
    RunData,
    RunRecord,
    RunStatus,
    VariantRecord,
)
from bench.sentinel import sentinel_case
from devices.sampler import TelemetryPoint
from devices.state import CpuTimes, FrequencyPolicy, Snapshot

PROJECT, MODEL, RUNNER = "synthetic", "mobilenet", "benchmark_model"
VARIANTS = {"fp32": 1.0, "fp16": 0.98, "dynamic": 0.8, "int8": 0.5, "int8-qat": 0.5}
DELEGATES = {"none": 1.6, "xnnpack": 1.0, "gpu": 0.6, "nnapi": 0.7}
ROUNDS = 6
SENTINELS = 3
NODES = 65
BASE_US = 4000.0
IMAGES = 1000
# What one lab measures in a night; a week is as many such runs as it takes.
DEVICES_PER_RUN = 10
LAUNCHES_PER_DEVICE = len(VARIANTS) * len(DELEGATES) * ROUNDS

_NUMBERS = Numerics(
    outputs=(
        OutputNumbers(
            name="output",
            dtype="float32",
            elements=1000,
            scale=None,
            reference_range=20.0,
            reference_max_abs=14.0,
            reference_rms=2.0,
            max_abs=1e-5,
            rms=1e-6,
            max_rel=1e-5,
            cosine=1.0,
            snr_db=120.0,
            top1_agreement=1.0,
            nan=0,
            inf=0,
            reference_nonfinite=0,
            differing=0.9,
        ),
    ),
    samples=8,
    inputs="holdout",
    inputs_sha256="a" * 64,
    reference="plain kernels, ai-edge-litert 2.3.0, x86_64",
)


def device_name(number: int) -> str:
    return f"phone-{number:04d}"


def cases_of(
    device: str, variants: int = len(VARIANTS), delegates: int = len(DELEGATES)
) -> list[Case]:
    """A device's cases, its sentinel last."""
    cases = [
        Case(PROJECT, MODEL, variant, DelegateSpec(delegate), 4, RUNNER, device)
        for variant in list(VARIANTS)[:variants]
        for delegate in list(DELEGATES)[:delegates]
    ]
    return [*cases, sentinel_case(device, RUNNER)]


def level_us(case: Case) -> float:
    """The p50 that a case has by its kind; devices differ by up to a factor of four."""
    if case.is_sentinel:
        return 700.0
    speed = 1 + int(sha256_of(case.device)[:4], 16) / 0x5555
    return BASE_US * VARIANTS[case.variant] * DELEGATES[case.delegate.name] * speed


def run_id(started: datetime, number: int) -> str:
    """As a UUIDv7 of that moment."""
    digits = f"{int(started.timestamp() * 1000):012x}"
    return f"{digits[:8]}-{digits[8:]}-7000-8000-{number:012x}"


def plan(devices: Sequence[str], variants: int, delegates: int) -> PlanConfig:
    return PlanConfig(
        project=PROJECT,
        model=(ModelConfig(name=MODEL, source="m.keras", holdout="h.npz"),),
        measure=MeasureConfig(
            variants=tuple(list(VARIANTS)[:variants]),
            delegates=tuple(list(DELEGATES)[:delegates]),
            threads=(4,),
            devices=tuple(devices),
            rounds=ROUNDS,
        ),
    )


def run_record(started: datetime, number: int, config: PlanConfig) -> RunRecord:
    stored = config.model_dump(mode="json")
    return RunRecord(
        run_id=run_id(started, number),
        project=PROJECT,
        status=RunStatus.FINISHED,
        started_utc=started,
        finished_utc=started + timedelta(hours=1),
        plan=stored,
        plan_sha256=sha256_of(stored),
        root="/lab",
        seed=1,
        edgebench_version="0.1.0",
        host={"kind": "linux", "cpu_count": 8, "hostname": "lab"},
    )


def run_data(
    started: datetime,
    devices: Sequence[str],
    *,
    variants: int = len(VARIANTS),
    delegates: int = len(DELEGATES),
) -> RunData:
    """A whole run of these devices, without samples, as a store hands it out."""
    run = run_record(started, 0, plan(devices, variants, delegates))
    cases = [case for device in devices for case in cases_of(device, variants, delegates)]
    return RunData(
        run=run,
        cases=tuple(PlannedCase(run.run_id, case) for case in cases),
        variants=tuple(_variant(run.run_id, name) for name in list(VARIANTS)[:variants]),
        evaluations=tuple(_evaluations(run.run_id, list(VARIANTS)[:variants])),
        launches=tuple(
            launch(run, case, index)
            for case in cases
            for index in range(SENTINELS if case.is_sentinel else ROUNDS)
        ),
        checks=tuple(answers(run, case) for case in cases if not case.is_sentinel),
    )


def launch(run: RunRecord, case: Case, index: int) -> LaunchRecord:
    """A clean launch of a phone, 1 % around its case's level."""
    rng = np.random.default_rng(int(case.case_id[:8], 16) + index)
    p50_us = level_us(case) * float(np.exp(rng.normal(0, 0.01)))
    return LaunchRecord(
        launch_id=launch_id(run.run_id, case.case_id, index, 0),
        run_id=run.run_id,
        case_id=case.case_id,
        index=index,
        position=index,
        attempt=0,
        started_utc=run.started_utc + timedelta(seconds=60 * index),
        duration_s=6.5,
        outcome=Outcome.OK,
        measurement=_measurement(case, p50_us),
        failure=None,
        taints=(),
        conditions=_conditions(30.0 + float(rng.normal(0, 0.5))),
        environment=environment(case),
        argv=(
            "./benchmark_model",
            "--graph=model.tflite",
            "--num_threads=4",
            f"--use_xnnpack={str(case.delegate.name == 'xnnpack').lower()}",
            *(f"--{name}=100" for name in ("warmup_runs", "num_runs", "min_secs", "max_secs")),
            "--report_peak_memory_footprint=true",
            "--export_model_runtime_info=true",
            "--input_layer_value_files=input:input_0.bin",
        ),
        stderr_tail="INFO: Initialized TensorFlow Lite runtime.\n" * 4,
    )


@cache
def _samples(seed: int) -> Any:
    return np.random.default_rng(seed).lognormal(0, 0.02, 200)


def _measurement(case: Case, p50_us: float) -> Measurement:
    samples = (p50_us * 1000 * _samples(0)).astype(np.int64)
    name = case.delegate.name
    took = Delegation(
        name,
        Coverage.NONE if name == "none" else Coverage.FULL,
        0 if name == "none" else NODES,
        NODES,
        0 if name == "none" else 1,
        evidence=(
            Evidence(EvidenceSource.LOG, f"{name}: {NODES} of {NODES} nodes", None),
            Evidence(EvidenceSource.NODES, f"{NODES} nodes in one partition", None),
        ),
    )
    return Measurement(
        samples_ns=samples,
        warmup_ns=samples[:100],
        count=len(samples),
        stats_version=1,
        invokes_per_sample=1,
        p50_us=p50_us,
        p90_us=p50_us * 1.026,
        p95_us=p50_us * 1.033,
        p90_reason=None,
        mean_us=p50_us * 1.001,
        min_us=p50_us * 0.95,
        max_us=p50_us * 1.06,
        first_inference_us=p50_us * 2,
        load_us=900.0,
        allocate_us=1200.0,
        input_copy_us=None,
        output_copy_us=None,
        cpu_us_per_invoke=None,
        timer_cost_ns=30.0,
        steady=True,
        warmup_s=1.0,
        warmup_cut=12,
        peak_rss_kib=51_000,
        load=HostLoad(10**9, 9 * 10**8, 10**9, 0),
        delegation=took,
        runtime={"name": RUNNER, "runner_sha256": "b" * 64, "warmup_invokes": 100},
        inputs={
            "source": "holdout",
            "sha256": "a" * 64,
            "tensors": [{"name": "input", "shape": [1, 224, 224, 3], "dtype": "float32"}],
        },
        digest=digest(samples),
        init_us=2200.0,
        energy_reason="the phone is charging",
    )


@cache
def _state() -> Snapshot:
    return Snapshot(
        uptime_s=16045.3,
        boot_id="4af719df-4b86-4afc-aa1d-437f734b9bed",
        temperature_zone="cpu-0-0",
        cpus={cpu: CpuTimes(9684110000000 + cpu, 0) for cpu in range(8)},
        load_1m=1.1,
        policies={
            f"policy{cpu}": FrequencyPolicy(
                max_khz=2_400_000,
                governor="performance",
                time_in_state=dict.fromkeys(range(300000, 2400001, 300000), 1000),
                cur_khz=2_400_000,
            )
            for cpu in (0, 4, 6)
        },
        mem_available_kib=3_000_000,
        allowed_cpus=tuple(range(8)),
        battery_percent=80,
        charging=True,
        battery_c=28.0,
        thermal_status=0,
        battery_status="Charging",
        plugged=("USB",),
        screen_on=False,
    )


def _conditions(start_c: float) -> dict[str, Any]:
    before = replace(_state(), temperature_c=start_c)
    after = replace(_state(), temperature_c=start_c + 4, uptime_s=16051.8)
    return {
        "before": before.to_json(),
        "after": after.to_json(),
        "gate": {"reached": True, "waited_s": 2.0, "start_c": start_c, "end_c": start_c},
        "samples": [
            TelemetryPoint(uptime_s=16046.0 + second, temperature_c=start_c + second).to_json()
            for second in range(5)
        ],
    }


def environment(case: Case) -> dict[str, Any]:
    unit = sha256_of(case.device)
    return {
        "model_sha256": sha256_of(case.variant),
        "runner": RUNNER,
        "runner_sha256": "b" * 64,
        "runner_version": "2.19.0",
        "device": {
            "kind": "android",
            "machine": "aarch64",
            "kernel": "5.15.123-android13",
            "os": "Android 14",
            "cpu_model": "Tensor G3",
            "cpu_count": 8,
            "clusters": [[0, 3], [4, 5], [6, 7]],
            "ram_kib": 8_000_000,
            "android": {"build": "AP2A.240805.005", "sdk": 34, "gpu_driver": "Mali r44p0"},
            "unit": unit[:16],
            "fingerprint": unit,
        },
        "limits": {"warmup_min_s": 1.0, "measure_min_s": 0.3, "min_samples": 100},
        "simulated": False,
        "controls": [],
    }


def answers(run: RunRecord, case: Case) -> CheckRecord:
    """The look at the answers that every case gets once."""
    return CheckRecord(
        launch_id=check_id(run.run_id, case.case_id, Purpose.NUMERICS, 0),
        run_id=run.run_id,
        case_id=case.case_id,
        purpose=Purpose.NUMERICS,
        attempt=0,
        started_utc=run.finished_utc or run.started_utc,
        duration_s=3.0,
        outcome=Outcome.OK,
        failure=None,
        conditions=_conditions(31.0),
        environment=environment(case),
        argv=("./benchmark_model", "--graph=model.tflite"),
        numerics=_NUMBERS,
    )


def _variant(run: str, name: str) -> VariantRecord:
    return VariantRecord(
        run,
        MODEL,
        name,
        f"{name}.tflite",
        sha256_of(name),
        round(16_000_000 * VARIANTS[name]),
        {"recipe": name, "source_sha256": "c" * 64, "tools": {"tensorflow": "2.20.0"}},
    )


def _evaluations(run: str, variants: Sequence[str]) -> Iterator[EvaluationRecord]:
    for number, variant in enumerate(variants):
        right = np.ones(IMAGES, dtype=np.bool_)
        right[: 250 + number] = False
        for kernels in ("none", "xnnpack"):
            yield EvaluationRecord(
                run_id=run,
                model=MODEL,
                variant=variant,
                kernels=kernels,
                metric="top1",
                value=float(right.mean()),
                predictions=np.arange(IMAGES, dtype=np.int32),
                statistics=right.astype(np.float64)[:, None],
                holdout_sha256="d" * 64,
                runtime={"name": "ai_edge_litert", "version": "2.3.0"},
                labels=np.where(right, np.arange(IMAGES), 0).astype(np.int32),
            )
