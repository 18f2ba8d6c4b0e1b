"""Synthetic comparisons for the tests of reports: consistent with themselves, never real."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from bench.delegation.model import Coverage, Delegation, Evidence, EvidenceSource, Refusal
from bench.identity import Case, DelegateSpec
from bench.metrics import Metric
from bench.numerics.model import (
    DeviceAccuracy,
    Numerics,
    NumericsVerdict,
    NumericsWord,
    OutputNumbers,
)
from bench.records import Source
from bench.stability import Mode, Stability, StabilityWord
from bench.stats import Change, Interval, RatioVerdict
from reports.delegate_model import (
    AgainstCpu,
    OpDifference,
    OpShare,
    ProfileSeen,
    SlowerThanFp32,
)
from reports.device_model import (
    AcrossDevices,
    Battery,
    ControlSeen,
    DeviceConditions,
    LaunchTrace,
    SpoiltLaunch,
    ThermalGate,
    ToolSeen,
)
from reports.model import (
    Accuracy,
    ClassReport,
    ClassRow,
    Comparison,
    Confusion,
    GateResult,
    GateStatus,
    Recommendation,
    Row,
    VariantSummary,
)

VARIANTS = ("fp32", "fp16", "dynamic", "int8", "int8-qat")
SIZES = {"fp32": 81_388, "fp16": 48_912, "dynamic": 37_864, "int8": 40_520, "int8-qat": 39_416}
SHARES = {"fp32": 0.9694, "fp16": 0.9694, "dynamic": 0.9680, "int8": 0.9666, "int8-qat": 0.9764}
BASE_US = {"fp32": 1910.0, "fp16": 1925.0, "dynamic": 2650.0, "int8": 812.0, "int8-qat": 806.0}
PLAIN_FACTOR = {"fp32": 4.2, "fp16": 4.3, "dynamic": 2.6, "int8": 6.1, "int8-qat": 6.0}
HOSTILE = (
    "<script>alert(1)</script>",
    '"; rm -rf /',
    "\x1b[2J\x1b[31mred",
    "[red]markup[/red] $x_1$ |pipe| `tick` *star* _under_",
    "=1+1",
    "two\nlines\r\tand a tab",
    "x" * 180,
    "größe 数字 \u202egnp.exe 🙂",
    "</style><img src=x onerror=alert(1)>]]>&amp;",
)
RULE = (
    "Among the variants whose intervals lie wholly inside every gate on every device: "
    "the set not significantly slower than the fastest, of that the most accurate, "
    "then the smallest."
)


def samples(seed: int, p50_us: float, launches: int = 6, n: int = 200) -> list[NDArray[np.float64]]:
    """Launches of right-skewed samples in us, each launch a little apart."""
    rng = np.random.default_rng(seed)
    return [
        p50_us * rng.normal(1.0, 0.012) * (1 + rng.lognormal(-4.0, 0.9, n) - 0.018)
        for _ in range(launches)
    ]


def _percentile(launches: list[NDArray[np.float64]], q: float) -> tuple[float, Interval]:
    values = sorted(float(np.percentile(launch, q)) for launch in launches)
    confidence = {6: 0.95, 5: 0.9375, 4: 0.875}.get(len(values), 0.95)
    kind = "order-statistic" if len(values) >= 6 else "range"
    return float(np.median(values)), Interval(values[0], values[-1], confidence, kind)


def row(
    variant: str,
    delegate: str = "xnnpack",
    threads: int = 1,
    *,
    model: str = "digits",
    device: str = "local",
    seed: int | None = None,
    scale: float = 1.0,
    launches: int = 6,
) -> Row:
    """A healthy case whose numbers follow from its samples."""
    case = Case(
        "quickstart", model, variant, DelegateSpec(delegate), threads, "invoke_loop", device
    )
    factor = 1.0 if delegate == "xnnpack" else PLAIN_FACTOR[variant]
    p50 = BASE_US[variant] * factor * scale / (1.0 if threads == 1 else 1.7)
    own_seed = seed if seed is not None else sum(map(ord, variant + delegate)) + threads
    drawn = samples(own_seed, p50, launches)
    p50_us, p50_interval = _percentile(drawn, 50)
    p90_us, p90_interval = _percentile(drawn, 90)
    p95_us, p95_interval = _percentile(drawn, 95)
    share = SHARES[variant]
    first = variant == "fp32"
    change = None if first else share - SHARES["fp32"]
    base = BASE_US["fp32"] * (1.0 if delegate == "xnnpack" else PLAIN_FACTOR["fp32"])
    speedup = base * scale / (p50 * (1.0 if threads == 1 else 1.7))
    verdict = Change.SAME if abs(speedup - 1) < 0.02 else Change.CHANGED
    asked = delegate != "none"
    on_plain = RatioVerdict(
        1 / PLAIN_FACTOR[variant],
        Interval(0.99 / PLAIN_FACTOR[variant], 1.01 / PLAIN_FACTOR[variant], 0.95, "paired"),
        launches,
        Change.CHANGED,
        True,
        0.0001,
        "",
    )
    return Row(
        case=case,
        case_id=case.case_id,
        not_applicable=None,
        failure=None,
        launches_made=launches,
        launches_used=launches,
        samples=200 * launches,
        p50_us=p50_us,
        p50_interval_us=p50_interval,
        p90_us=p90_us,
        p90_interval_us=p90_interval,
        p90_reason=None,
        p95_us=p95_us,
        p95_interval_us=p95_interval,
        first_inference_us=p50_us * 2.4,
        load_us=5200.0,
        min_us=float(min(launch.min() for launch in drawn)),
        cpu_us_per_invoke=p50_us * threads * 0.98,
        peak_rss_kib=58_368 if variant.startswith("int8") else 62_976,
        size_bytes=SIZES[variant],
        model_sha256=f"{own_seed:064x}",
        accuracy=Accuracy(
            metric=Metric(),
            value=share,
            interval=Interval(share - 0.0149, share + 0.0103, 0.95, "wilson"),
            images=719,
            kernels=delegate,
            change=change,
            change_interval=(
                None if change is None else Interval(change - 0.009, change + 0.009, 0.95, "paired")
            ),
            p_value=None if first else 0.73,
        ),
        accuracy_reason=None,
        speedup=(
            None
            if first
            else RatioVerdict(
                speedup,
                Interval(speedup * 0.985, speedup * 1.012, 0.95, "order-statistic"),
                launches,
                verdict,
                verdict is Change.CHANGED,
                0.0004 if verdict is Change.CHANGED else 0.61,
                "",
            )
        ),
        speedup_reason=None,
        stability=Stability(StabilityWord.STABLE),
        delegation=Delegation(
            requested=delegate,
            verdict=Coverage.FULL if asked else Coverage.NONE,
            delegated_nodes=30 if asked else 0,
            total_nodes=30,
            partitions=1 if asked else 0,
        ),
        gates=(
            GateResult(
                "accuracy_drop_max_points",
                GateStatus.PASS,
                3.0,
                -100 * (change or 0.0),
                "at most 1.18 points below fp32, limit 3.00",
            ),
        ),
        pareto=variant in ("int8", "int8-qat", "dynamic") and asked and threads == 2,
        launch_samples_us=tuple(drawn),
        against_cpu=AgainstCpu(None, None, None)
        if asked
        else AgainstCpu(DelegateSpec("xnnpack"), on_plain, None),
    )


def summary(variant: str, model: str = "digits") -> VariantSummary:
    """A made variant with provenance."""
    return VariantSummary(
        model=model,
        variant=variant,
        size_bytes=SIZES[variant],
        size_ratio=SIZES[variant] / SIZES["fp32"],
        sha256=f"{SIZES[variant]:064x}",
        failure=None,
        provenance={
            "recipe": f"what {variant} is",
            "how": "converted",
            "source": {"name": "digits.keras", "sha256": "5f" * 32},
            "calibration": {"name": "some.npz", "sha256": "a1" * 32, "samples": 200, "of": 300}
            if "int8" in variant
            else None,
            "tools": {"tensorflow": "2.21.0"},
        },
    )


def comparison(rows: tuple[Row, ...], **changes: object) -> Comparison:
    """A finished run around rows."""
    base = Comparison(
        run_id="019a9f00-0000-7000-8000-000000000001",
        project="quickstart",
        status="finished",
        started_utc=datetime(2026, 11, 20, 9, 0, tzinfo=UTC),
        finished_utc=datetime(2026, 11, 20, 9, 4, 10, tzinfo=UTC),
        edgebench_version="0.1.0",
        environment={
            "runtime": {"name": "ai-edge-litert", "version": "2.3.0"},
            "device": {"cpu": "a model name", "cores": 2, "os": "Debian GNU/Linux 12"},
            "controls": None,
        },
        rounds=6,
        seed=0,
        delta=0.02,
        rows=rows,
        variants=tuple(summary(variant) for variant in VARIANTS),
        recommendations=(
            Recommendation(
                model="digits",
                variant="int8-qat",
                configuration={"local": ("xnnpack", 2)},
                equally_fast=("int8-qat", "int8"),
                rule=RULE,
                reason="int8-qat and int8 are equally fast; int8-qat is the more accurate.",
            ),
        ),
        notes=("This run speaks for this unit only.", "Back to back, warm caches."),
        simulated=False,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def _grid(**kwargs: object) -> tuple[Row, ...]:
    return tuple(
        row(variant, delegate, threads, **kwargs)  # type: ignore[arg-type]
        for delegate in ("none", "xnnpack")
        for threads in (1, 2)
        for variant in VARIANTS
    )


def classes(variant: str, count: int = 4, *, left_out: int = 0) -> ClassReport:
    """A classifier that mistakes each class for the next one now and then."""
    first = variant == "fp32"
    matrix = tuple(
        tuple(
            60 + label if answer == label else int(answer == (label + 1) % count) * (3 + label)
            for answer in range(count)
        )
        for label in range(count)
    )
    return ClassReport(
        model="digits",
        variant=variant,
        kernels="xnnpack",
        classes=count,
        rows=tuple(
            ClassRow(
                label,
                sum(line),
                line[label] / sum(line),
                line[label] / sum(other[label] for other in matrix),
                None if first else -0.01 * label,
            )
            for label, line in enumerate(matrix)
        ),
        left_out=left_out,
        matrix=matrix,
        confusions=tuple(
            Confusion(label, (label + 1) % count, 3 + label, None if first else label)
            for label in range(count)
        ),
        images=sum(map(sum, matrix)),
        agreeing=None if first else sum(map(sum, matrix)) - 3,
        verdict="" if first else "no loss shown, at most 0.9 points",
    )


def good() -> Comparison:
    """Five variants, two delegates, two threads: nothing went wrong."""
    many = replace(classes("int8", 30, left_out=10), matrix=())
    return comparison(_grid(), classes=(classes("fp32"), classes("int8-qat"), many))


def without_numbers(base: Row, **changes: object) -> Row:
    """The row of a case that has no number at all."""
    empty = replace(
        base,
        launches_used=0,
        samples=0,
        p50_us=None,
        p50_interval_us=None,
        p90_us=None,
        p90_interval_us=None,
        p95_us=None,
        p95_interval_us=None,
        first_inference_us=None,
        load_us=None,
        min_us=None,
        cpu_us_per_invoke=None,
        peak_rss_kib=None,
        speedup=None,
        stability=Stability(StabilityWord.INVALID, ("no usable launch",)),
        delegation=None,
        pareto=False,
        launch_samples_us=(),
        against_cpu=AgainstCpu(DelegateSpec("xnnpack"), None, "not measured"),
        numerics=None,
        answers=None,
        numerics_reason="not made",
        profile=None,
        profile_reason="not made",
    )
    return replace(empty, **changes)  # type: ignore[arg-type]


def failures() -> Comparison:
    """Every way a case can be less than good, in one run that was interrupted."""
    noisy = row("int8", "none", 1)
    assert noisy.p50_us is not None
    straddles = GateResult(
        "p50_us_max", GateStatus.UNSURE, 2000.0, 1985.0, "p50 1.91 to 2.04 ms, limit 2.00 ms"
    )
    fails = GateResult(
        "accuracy_drop_max_points", GateStatus.FAIL, 3.0, 16.1, "16.1 points below, limit 3.00"
    )
    unknown = GateResult("peak_rss_kib_max", GateStatus.UNKNOWN, 60_000.0, None, "not measured")
    unclear = RatioVerdict(
        1.03,
        Interval(0.97, 1.09, 0.9375, "range"),
        5,
        Change.UNCLEAR,
        False,
        0.21,
        "5 rounds, paired spread 3 %: can show 6 %; 2 % needs about 60 rounds",
    )
    rows = (
        row("fp32", "none", 1),
        replace(row("fp32", "xnnpack", 1), gates=(straddles,)),
        without_numbers(
            row("fp16", "none", 1),
            launches_made=6,
            failure="crash: the runtime aborted (signal 6) in all 6 launches",
        ),
        replace(
            row("fp16", "xnnpack", 1, launches=5),
            launches_made=8,
            speedup=unclear,
            stability=Stability(StabilityWord.TAINTED, ("3 of 8 launches: other load 22 %",)),
        ),
        without_numbers(
            row("dynamic", "none", 1),
            launches_made=0,
            not_applicable="NNAPI does not exist on Linux",
            accuracy=None,
            accuracy_reason="no case to run it",
            gates=(),
        ),
        replace(
            row("dynamic", "xnnpack", 1),
            delegation=Delegation(
                "xnnpack", Coverage.PARTIAL, 28, 30, 3, {"DEPTHWISE_CONV_2D": 1, "SOFTMAX": 1}
            ),
            p90_us=None,
            p90_interval_us=None,
            p90_reason="41 samples in a launch, 64 are needed",
            p95_us=None,
            p95_interval_us=None,
        ),
        replace(
            noisy,
            stability=Stability(
                StabilityWord.NOISY,
                ("bimodal", "between-launch spread 7.3 %"),
                (Mode(noisy.p50_us * 0.93, 0.62), Mode(noisy.p50_us * 1.3, 0.38)),
            ),
        ),
        replace(
            row("int8", "xnnpack", 1),
            delegation=Delegation(
                "xnnpack",
                Coverage.NONE,
                0,
                30,
                0,
                {},
                (Evidence(EvidenceSource.NODES, "no DELEGATE node in the plan"),),
            ),
            gates=(unknown,),
        ),
        replace(
            row("int8-qat", "none", 1, launches=3),
            launches_made=6,
            p50_interval_us=None,
            p90_interval_us=None,
            p95_interval_us=None,
            speedup=None,
            speedup_reason="fp32 has only 3 rounds in common, 4 are needed",
            stability=Stability(StabilityWord.INVALID, ("3 of 6 launches tainted",)),
        ),
        replace(
            row("int8-qat", "xnnpack", 1),
            gates=(fails, straddles),
            stability=Stability(StabilityWord.NOT_STEADY, ("warm-up found no end within 10 s",)),
        ),
    )
    return comparison(
        rows,
        status="interrupted",
        finished_utc=None,
        variants=(
            *(summary(v) for v in VARIANTS[:4]),
            VariantSummary(
                "digits", "int8-qat", None, None, None, "convert: the converter ran out", {}
            ),
        ),
        recommendations=(
            Recommendation(
                "digits", None, {}, (), RULE, "int8-qat fails accuracy_drop_max_points on local."
            ),
        ),
    )


def _attacked(base: Row, name: str) -> Row:
    """The row with a name in everything that is said of its delegate and its answers."""
    return replace(
        base,
        delegation=Delegation(
            name,
            Coverage.PARTIAL,
            3,
            5,
            1,
            {name: 2},
            (Evidence(EvidenceSource.LOG, name, Coverage.FULL),),
            (Refusal(name, name, 1),),
            (name,),
            0.4,
            name,
        ),
        numerics=NumericsVerdict(NumericsWord.DIFFERS, (name,)),
        answers=replace(numerics(), inputs=name, reference=name),
        profile=ProfileSeen(name, 0.5),
        against_cpu=AgainstCpu(None, None, name),
    )


def hostile() -> Comparison:
    """Names and messages that attack whatever shows them."""
    rows: list[Row] = []
    for number, name in enumerate(HOSTILE):
        base = row("fp32", "xnnpack", 1, seed=number)
        case = replace(
            base.case,
            project=name,
            model=HOSTILE[0],
            variant=name,
            delegate=DelegateSpec(name, (("option", name),)),
            device=name if number % 3 == 0 else "local",
        )
        rows.append(
            replace(
                base,
                case=case,
                case_id=case.case_id,
                accuracy_reason=name,
                failure=name if number == 4 else None,
                stability=Stability(StabilityWord.NOISY, (name,)),
                gates=(GateResult(name, GateStatus.FAIL, 1.0, 2.0, name),),
            )
        )
        rows[-1] = _attacked(rows[-1], name)
    environment: Mapping[str, object] = {name: {name: name} for name in HOSTILE}
    return comparison(
        tuple(rows),
        project=HOSTILE[0],
        run_id=HOSTILE[1],
        status=HOSTILE[2],
        edgebench_version=HOSTILE[3],
        environment=environment,
        variants=tuple(
            VariantSummary(HOSTILE[0], name, 1234, 0.5, name, name, {name: [name]})
            for name in HOSTILE
        ),
        recommendations=tuple(
            Recommendation(name, name, {name: (name, 1)}, (name,), name, name) for name in HOSTILE
        ),
        notes=HOSTILE,
    )


def simulated() -> Comparison:
    """A small run on an emulated board."""
    rows = tuple(
        replace(row(v, "xnnpack", t, device="board-1"), simulated=True)
        for v in VARIANTS[:3]
        for t in (1, 2)
    )
    base = comparison(rows, simulated=True, variants=tuple(summary(v) for v in VARIANTS[:3]))
    advice = tuple(replace(found, simulated=True) for found in base.recommendations)
    return replace(base, recommendations=advice)


def by_tool(base: Row, **changes: object) -> Row:
    """The row as a tool that prints no samples gives it: medians in whole us, p90 estimated."""
    assert base.p50_us is not None
    assert base.p90_us is not None
    assert base.p95_us is not None
    fields: dict[str, object] = {
        "p50_source": Source.TOOL,
        "p90_source": Source.INTERPOLATED,
        "p90_interval_us": None,
        "p90_bounds_us": (base.p50_us, base.p95_us),
        "resolution_us": 1.0,
        "launch_samples_us": (),
        "init_us": 8123.0,
        "load_us": None,
        **changes,
    }
    return replace(base, **fields)  # type: ignore[arg-type]


def conditions(device: str, *, simulated: bool = False) -> DeviceConditions:
    """A device that grew hot while it was measured."""
    heat = tuple((20.0 * n, 38.0 + 3.0 * n**0.7) for n in range(30))
    clock = tuple((20.0 * n, 1_800_000.0 if n < 22 else 1_400_000.0) for n in range(30))
    return DeviceConditions(
        device=device,
        simulated=simulated,
        launches=26,
        tools=(
            ToolSeen("benchmark_model", {"sha256": "ab" * 32, "dialect": "classic"}, 24),
            ToolSeen("invoke_loop", {"sha256": "cd" * 32}, 2),
        ),
        controls=(
            ControlSeen("governor", "performance", "schedutil", "performance", "applied", "", 26),
            ControlSeen("airplane", "on", None, None, "refused", "it would cut the link", 26),
        ),
        thermal=ThermalGate(26, 2, 1, 84.0, 31.5, ("still 61 degrees after 300 s",)),
        temperature_c=heat,
        khz={"policy0": clock, "policy4": tuple((s, v * 1.3) for s, v in clock)},
        battery=Battery(81.0, 77.0, 610.0, charged=False),
        spoilt=(
            SpoiltLaunch(
                "digits · int8 · xnnpack · 1 thread (benchmark_model)",
                4,
                1,
                "tainted",
                ("frequency limit of policy0: lowered from 1800 to 1400 MHz",),
            ),
            SpoiltLaunch(
                "digits · fp16 · none · 1 thread (benchmark_model)",
                1,
                1,
                "crashed",
                ("the tool aborted (signal 6)",),
            ),
        ),
        absent=("energy: the current sensor reads zero (24 of 24 launches)",),
        facts={"device": {"model": "a phone", "abi": "arm64-v8a"}, "runtime": {"name": "tool"}},
    )


def phones() -> Comparison:
    """Two phones by a tool that prints no samples, a board by the loop, an emulator."""
    rows: list[Row] = []
    for device, scale in (("phone-a", 1.0), ("phone-b", 1.6), ("emu-1", 3.0)):
        for variant in ("fp32", "dynamic", "int8"):
            base = row(variant, "xnnpack", 1, device=device, scale=scale)
            case = replace(base.case, runner="benchmark_model")
            changes: dict[str, object] = {"case": case, "case_id": case.case_id}
            if device == "phone-a" and variant == "int8":
                changes |= {
                    "p90_us": None,
                    "p90_source": Source.UNAVAILABLE,
                    "p90_reason": "p95 is 1.31 times the median: no estimate, bounds only",
                    "energy_mj_per_invoke": 2.41,
                }
            rows.append(by_tool(replace(base, simulated=device == "emu-1"), **changes))
    tiny = row("int8", "xnnpack", 1, device="phone-b", model="tiny", scale=0.05)
    rows.append(
        by_tool(
            tiny,
            p50_source=Source.TOOL_MEAN,
            p90_us=None,
            p90_bounds_us=None,
            p90_source=Source.UNAVAILABLE,
            p90_reason="the tool's p95 in whole us is too coarse",
            speedup=None,
            speedup_reason="its p50 is a tool's mean, that of fp32 a median of single invokes",
        )
    )
    old = row("fp32", "xnnpack", 1, device="phone-b", model="tiny", scale=0.05)
    rows.append(
        by_tool(
            old,
            p50_us=None,
            p50_interval_us=None,
            p90_us=None,
            p90_bounds_us=None,
            p95_us=None,
            p95_interval_us=None,
            p50_source=Source.UNAVAILABLE,
            p90_source=Source.UNAVAILABLE,
            p90_reason="the tool prints its mean only",
            mean_us=old.p50_us,
            mean_interval_us=old.p50_interval_us,
        )
    )
    rows += [row(variant, "xnnpack", 1, device="pi4", scale=4.0) for variant in ("fp32", "int8")]
    recommendation = Recommendation(
        "digits",
        "int8",
        {"phone-a": ("xnnpack", 1), "phone-b": ("xnnpack", 1), "pi4": ("xnnpack", 1)},
        ("int8",),
        RULE,
        "int8 is the fastest everywhere. Simulated and not considered: emu-1.",
    )
    return comparison(
        tuple(rows),
        simulated=True,
        recommendations=(recommendation,),
        devices=(
            conditions("phone-a"),
            replace(
                conditions("phone-b"),
                temperature_c=(),
                khz={},
                battery=None,
                thermal=None,
                controls=(),
                spoilt=(),
                absent=("temperature: the device tells none", "battery: the device tells no level"),
            ),
            conditions("emu-1", simulated=True),
        ),
        across=(
            AcrossDevices(
                "digits",
                "int8",
                DelegateSpec("xnnpack"),
                1,
                "benchmark_model",
                2.35,
                {"phone-a": 2.3, "phone-b": 2.4},
                {"phone-c": "device-failed in 6 of 6 launches: it stayed away"},
                simulated=False,
            ),
        ),
    )


def no_accuracy() -> Comparison:
    """The user gave no holdout."""
    rows = tuple(
        replace(r, accuracy=None, accuracy_reason="the plan names no holdout", gates=())
        for r in _grid()
    )
    recommendation = Recommendation(
        "digits", None, {}, (), RULE, "No accuracy: the plan names no holdout."
    )
    return comparison(rows, recommendations=(recommendation,))


def multi() -> Comparison:
    """Two models on two devices."""
    rows = tuple(
        row(variant, delegate, 1, model=model, device=device, scale=scale * factor)
        for model, factor in (("digits", 1.0), ("mobilenet-v2", 9.0))
        for device, scale in (("bench-a", 1.0), ("bench-b", 2.3))
        for delegate in ("none", "xnnpack")
        for variant in ("fp32", "fp16", "int8")
    )
    return comparison(
        rows,
        variants=tuple(
            summary(v, m) for m in ("digits", "mobilenet-v2") for v in ("fp32", "fp16", "int8")
        ),
        recommendations=tuple(
            Recommendation(
                model,
                "int8",
                {"bench-a": ("xnnpack", 1), "bench-b": ("xnnpack", 1)},
                ("int8",),
                RULE,
                "int8 is the fastest on both devices.",
            )
            for model in ("digits", "mobilenet-v2")
        ),
    )


def numerics(max_abs: float = 2e-6, *, samples: int = 8, nan: int = 0) -> Numerics:
    """What a look at the answers of a classifier with ten classes finds."""
    rms = max_abs / 3
    out = OutputNumbers(
        name="out",
        dtype="float32",
        elements=10,
        scale=None,
        reference_range=1.0,
        reference_max_abs=1.0,
        reference_rms=0.3,
        max_abs=max_abs,
        rms=rms,
        max_rel=max_abs * 4,
        cosine=1 - max_abs**2,
        snr_db=20 * math.log10(0.3 / rms),
        top1_agreement=1.0 if max_abs < 0.1 else 0.25,
        nan=nan,
        inf=0,
        reference_nonfinite=0,
    )
    return Numerics((out,), samples, "holdout", "ab" * 32, "plain kernels, a runtime 1.2.3, x86_64")


OK = NumericsVerdict(NumericsWord.OK, ("max abs 2e-06, limit 1e-04",))
WRONG = NumericsVerdict(
    NumericsWord.WRONG, ("top-1 agrees on 2 of 8 samples", "SNR 1.2 dB, limit 20 dB")
)


def on(delegate: str, base: Row, speed: float | None, **changes: object) -> Row:
    """The xnnpack row as another delegate gives it, `speed` times as fast as the processor."""
    case = replace(base.case, delegate=DelegateSpec(delegate))
    cpu = AgainstCpu(DelegateSpec("xnnpack"), None, "it is unknown what it took")
    fields: dict[str, object] = {"case": case, "case_id": case.case_id, "pareto": False}
    if speed is not None:
        assert base.p50_us is not None
        change = Change.SAME if abs(speed - 1) < 0.02 else Change.CHANGED
        around = Interval(speed * 0.985, speed * 1.014, 0.95, "order-statistic")
        cpu = AgainstCpu(
            DelegateSpec("xnnpack"),
            RatioVerdict(speed, around, 6, change, change is Change.CHANGED, 0.001, ""),
            None,
        )
        for name in ("p50", "p90", "p95"):
            value, interval = getattr(base, f"{name}_us"), getattr(base, f"{name}_interval_us")
            fields[f"{name}_us"] = value / speed
            fields[f"{name}_interval_us"] = replace(
                interval, low=interval.low / speed, high=interval.high / speed
            )
        fields["launch_samples_us"] = tuple(one / speed for one in base.launch_samples_us)
    fields["against_cpu"] = cpu
    fields["delegation"] = Delegation(
        delegate,
        Coverage.FULL,
        30,
        30,
        1,
        evidence=(
            Evidence(EvidenceSource.NODES, "A delegate took 30 of 30 nodes.", Coverage.FULL),
        ),
        accelerators=("an accelerator",),
        outside_time=0.0,
    )
    return replace(base, **{**fields, **changes})  # type: ignore[arg-type]


def _of_delegates(variant: str, device: str, scale: float) -> Iterator[Row]:
    cpu = replace(
        row(variant, "xnnpack", 1, device=device, scale=scale),
        simulated=device == "emu-1",
        numerics=OK,
        answers=numerics(),
        profile=ProfileSeen("CONV_2D", 0.62),
    )
    plain = row(variant, "none", 1, device=device, scale=scale)
    yield replace(plain, simulated=device == "emu-1", numerics_reason="not made")
    yield cpu
    partial = Delegation(
        "gpu",
        Coverage.PARTIAL,
        27,
        30,
        2,
        {"CAST": 2, "TOPK_V2": 1},
        (
            Evidence(
                EvidenceSource.MESSAGES, "27 operations will run on the GPU.", Coverage.PARTIAL
            ),
            Evidence(EvidenceSource.TOOL, "The tool says: completely executed.", Coverage.FULL),
        ),
        (Refusal("CAST", "not supported", 2), Refusal("TOPK_V2", "")),
        ("a graphics adapter",),
        0.34,
    )
    if device == "pi4":
        reason = "there is no GPU delegate for this board"
        yield without_numbers(
            on("gpu", cpu, None), launches_made=0, not_applicable=reason, gates=()
        )
    elif variant == "int8":
        yield on("gpu", cpu, 1.4, delegation=partial, numerics_reason="the tool aborted (signal 6)",
                 numerics=None, answers=None)  # fmt: skip
    else:
        fails = GateResult(
            "numerics", GateStatus.FAIL, None, None, f"answers WRONG: {'; '.join(WRONG.reasons)}"
        )
        bad = device == "phone-b"
        yield on(
            "gpu",
            cpu,
            3.21,
            numerics=WRONG if bad else OK,
            answers=numerics(0.9, nan=3) if bad else replace(
                numerics(),
                accuracy=DeviceAccuracy("top1", None, 0.96, 100, 719, (), 0.97),
            ),
            gates=(fails, *cpu.gates) if bad else cpu.gates,
        )  # fmt: skip
    none = Delegation(
        "nnapi", Coverage.NONE, 0, 30, 0, {},
        (Evidence(EvidenceSource.DEVICE, "NNAPI has no accelerator but nnapi-reference.",
                  Coverage.NONE),),
        accelerators=("nnapi-reference",),
    )  # fmt: skip
    yield without_numbers(
        on("nnapi", cpu, None),
        launches_made=6,
        delegation=none,
        failure="nnapi took no node: what was measured is not nnapi",
    )
    if device == "phone-a":
        told = "As fast as on the processor of the same device (ratio 1.004 over 6 common rounds)"
        seen = on("npu", cpu, 1.004)
        assert seen.delegation is not None
        yield replace(seen, delegation=replace(seen.delegation, suspicion=told))
    else:
        unknown = Delegation(
            "npu", Coverage.UNKNOWN,
            evidence=(Evidence(EvidenceSource.ABSENCE, "Nothing says what the delegate took."),),
        )  # fmt: skip
        yield on("npu", cpu, None, delegation=unknown)


def delegates() -> Comparison:
    """Four devices by five delegates by three variants, with every verdict that there is."""
    devices = {"phone-a": 1.0, "phone-b": 1.4, "pi4": 3.0, "emu-1": 2.0}
    rows = tuple(
        made
        for device, scale in devices.items()
        for variant in ("fp32", "fp16", "int8")
        for made in _of_delegates(variant, device, scale)
    )
    slow = next(r for r in rows if r.case.variant == "fp16" and r.case.delegate.name == "none")
    return comparison(
        tuple(replace(r, simulated=r.case.device == "emu-1") for r in rows),
        variants=tuple(summary(v) for v in ("fp32", "fp16", "int8")),
        slower=(
            SlowerThanFp32(
                slow.case,
                0.56,
                (
                    "fp16 is slower than fp32 here (1.80×: 14.4 ms against 8.00 ms).",
                    "15 DEPTHWISE_CONV_2D stayed on plain kernels: 82 % of its time.",
                ),
            ),
        ),
    )


def trace(base: Row, *, taints: tuple[str, ...] = (), samples: int = 1500) -> LaunchTrace:
    """A launch that grew hot and slow, with one spike."""
    assert base.p50_us is not None
    rng = np.random.default_rng(len(base.case.variant) + samples)
    drift = np.linspace(1.0, 1.04, samples)
    values = base.p50_us * drift * rng.lognormal(0.0, 0.01, samples)
    values[samples // 3] = 4 * base.p50_us
    span = float(values.sum()) / 1e6
    return LaunchTrace(
        round=3,
        attempt=1,
        why="tainted" if taints else "the median of 6",
        samples_us=values,
        invokes_per_sample=1,
        temperature_c=tuple((-2.0 + (span + 2.5) * n / 6, 36.0 + 0.7 * n) for n in range(7)),
        placed_within_s=0.2,
        taints=taints,
    )


def profile(scale: float, *, delegated: bool) -> ProfileSeen:
    """Ten kinds of op."""
    us = [620.0, 330.0, 210.0, 90.0, 60.0, 40.0, 31.0, 22.0, 17.0, 9.0]
    names = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD", "SOFTMAX", "MEAN", "PAD",
             "RESHAPE", "QUANTIZE", "DEQUANTIZE")  # fmt: skip
    ops = tuple(
        OpShare(name, delegated and n < 3, value * scale, value / sum(us))
        for n, (name, value) in enumerate(zip(names, us, strict=True))
    )
    return ProfileSeen(ops[0].op, ops[0].share, ops)


def detailed() -> Comparison:
    """Cases with profiles and with launches sample by sample, one of them tainted."""
    rows = []
    for variant in ("fp32", "int8", "int8-qat"):
        for delegate in ("none", "xnnpack"):
            base = row(variant, delegate)
            seen = profile(1.0 if variant == "fp32" else 0.6, delegated=delegate == "xnnpack")
            if variant != "fp32":
                differences = (
                    OpDifference("CONV_2D", 372.0, 620.0),
                    OpDifference("QUANTIZE", 190.0, 0.0),
                    OpDifference("<b>ADD</b>/MUL", 54.0, 90.0),
                )
                seen = replace(seen, against_fp32=differences)
            traces = [trace(base)]
            if variant == "int8":
                traces.append(trace(base, taints=("other load: 1.80 of a core",), samples=120))
            rows.append(replace(base, profile=seen, traces=tuple(traces)))
    return comparison(tuple(rows), variants=tuple(summary(v) for v in ("fp32", "int8", "int8-qat")))


SITUATIONS: dict[str, Callable[[], Comparison]] = {
    "good": good,
    "failures": failures,
    "hostile": hostile,
    "simulated": simulated,
    "no_accuracy": no_accuracy,
    "multi": multi,
    "phones": phones,
    "delegates": delegates,
    "detailed": detailed,
}
