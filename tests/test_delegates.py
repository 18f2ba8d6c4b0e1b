"""From a delegate in a plan to the tool's flags; what no tool can measure."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.config import DELEGATES
from bench.identity import Case, DelegateSpec
from bench.runners.delegates import (
    _CLASSIC,
    _COMPILED,
    _RUNTIME,
    LOOP,
    delegate_flags,
    delegates_of,
    not_applicable,
    option_problem,
)

GOLDEN = Path(__file__).parent / "golden" / "benchmark_model"
CLASSIC, COMPILED = "benchmark_model", "benchmark_litert"


def case(name: str, kind: str = CLASSIC, **options: str) -> Case:
    spec = DelegateSpec(name, tuple(sorted(options.items())))
    return Case("p", "m", "fp32", spec, 2, kind, "phone")


def flags(name: str, kind: str = CLASSIC, system: str = "android", **options: str) -> list[str]:
    spec = DelegateSpec(name, tuple(sorted(options.items())))
    return list(delegate_flags(spec, kind=kind, system=system, threads=2))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("none", ["--use_xnnpack=false"]),
        ("xnnpack", ["--use_xnnpack=true"]),
        ("gpu", ["--use_gpu=true", "--use_xnnpack=true"]),
        ("nnapi", ["--use_nnapi=true", "--use_xnnpack=true"]),
        ("hexagon", ["--use_hexagon=true", "--use_xnnpack=true"]),
        (
            "edgetpu",
            [
                "--use_nnapi=true",
                "--nnapi_accelerator_name=google-edgetpu",
                "--use_xnnpack=true",
            ],
        ),
    ],
)
def test_the_classic_tool_is_always_told_whether_xnnpack(name: str, expected: list[str]) -> None:
    assert flags(name) == ["--num_threads=2", *expected]


def test_an_accelerator_without_xnnpack_for_the_rest() -> None:
    assert flags("gpu", rest="none", gpu_backend="cl") == [
        "--num_threads=2",
        "--use_gpu=true",
        "--use_xnnpack=false",
        "--gpu_backend=cl",
    ]


def test_a_delegate_from_a_library() -> None:
    assert flags("external", path="/lib/x.so", options="a:1;b:2")[1:] == [
        "--external_delegate_path=/lib/x.so",
        "--external_delegate_options=a:1;b:2",
        "--use_xnnpack=true",
    ]
    assert flags("edgetpu", system="linux")[1] == "--external_delegate_path=libedgetpu.so.1"


@pytest.mark.parametrize(
    ("name", "gpu", "npu"),
    [("xnnpack", "false", "false"), ("gpu", "true", "false"), ("npu", "false", "true")],
)
def test_the_compiled_model_tool_is_told_each_accelerator(name: str, gpu: str, npu: str) -> None:
    assert flags(name, COMPILED) == [
        "--num_threads=2",
        "--use_cpu=true",
        f"--use_gpu={gpu}",
        f"--use_npu={npu}",
    ]


@pytest.mark.parametrize(
    ("of", "reason"),
    [
        (case("none", COMPILED), "no plain kernels"),
        (case("nnapi", COMPILED), "no nnapi delegate"),
        (case("npu"), "no npu delegate"),
        (case("nnapi"), "Android only"),
        (case("hexagon"), "Android only"),
        (case("xnnpack", "benchmark_app"), "app for Android"),
    ],
)
def test_what_cannot_be_measured_on_a_linux_board(of: Case, reason: str) -> None:
    assert reason in (not_applicable(of, system="linux", abi="aarch64") or "")


def test_what_can() -> None:
    for name in ("none", "xnnpack", "gpu", "edgetpu"):
        assert not_applicable(case(name), system="linux", abi="aarch64") is None
    for name in ("none", "xnnpack", "gpu", "nnapi", "hexagon", "edgetpu"):
        assert not_applicable(case(name), system="android", abi="arm64-v8a") is None
    for name in ("xnnpack", "gpu", "npu"):
        assert not_applicable(case(name, COMPILED), system="android", abi="arm64-v8a") is None
    assert "ARM phones" in (not_applicable(case("hexagon"), system="android", abi="x86_64") or "")


def test_inputs_that_are_resized_are_beyond_the_compiled_model_tool() -> None:
    resized = Case(
        "p", "m", "fp32", DelegateSpec("xnnpack"), 1, COMPILED, "phone", (("x", (4, 8)),)
    )
    assert "resize" in (not_applicable(resized, system="android", abi="arm64-v8a") or "")


@pytest.mark.parametrize("kind", [CLASSIC, COMPILED])
@pytest.mark.parametrize("name", DELEGATES)
def test_what_is_applicable_has_flags_and_what_has_none_is_not(name: str, kind: str) -> None:
    of = case(name, kind, **({"path": "/lib/x.so"} if name == "external" else {}))
    if not_applicable(of, system="android", abi="arm64-v8a") is None:
        assert delegate_flags(of.delegate, kind=kind, system="android", threads=1)
    else:
        with pytest.raises(ValueError, match=name):
            delegate_flags(of.delegate, kind=kind, system="android", threads=1)


@pytest.mark.parametrize(
    ("of", "problem"),
    [
        (case("gpu", gpu_backend="opencl"), "'opencl' is no value"),
        (case("gpu", gpu_precision="fp16"), "no option 'gpu_precision'"),
        (case("gpu", COMPILED, gpu_precision_loss_allowed="true"), "no option"),
        (case("gpu", rest="cpu"), "'cpu' is no value"),
        (case("nnapi", nnapi_accelerator_name="nnapi-reference"), "no value"),
        (case("nnapi", nnapi_use_burst_mode="yes"), "'yes' is no value"),
        (case("none", allow_fp16="true"), "no option"),
        (case("xnnpack", rest="none"), "no option 'rest'"),
        (case("external", path="a\nb"), "no value"),
        (case("external", path="lib/relative.so"), "no value"),
        (case("external"), "needs the option path"),
        (case("external", path="/x.so", options="device:usb:0"), "no value"),
        (case("edgetpu", options="no-colon"), "no value"),
        (case("external", path="/x.so", external_delegate_options="a:1"), "no option"),
    ],
)
def test_an_option_that_the_tool_would_ignore_is_named_before(of: Case, problem: str) -> None:
    assert problem in (option_problem(of.delegate, of.runner) or "")
    with pytest.raises(ValueError, match=r"option|value"):
        delegate_flags(of.delegate, kind=of.runner, system="android", threads=1)


@pytest.mark.parametrize(
    ("of", "problem"),
    [
        (case("none", LOOP), None),
        (case("xnnpack", LOOP), None),
        (case("xnnpack", LOOP, xnnpack_force_fp16="true"), "no option"),
        (case("external", LOOP), "needs the option path"),
        (case("external", LOOP, path="/lib/x.so", options="device:usb:0;a:b"), None),
        (case("external", LOOP, path="libx.so", rest="none"), None),
        (case("external", LOOP, path="../x.so"), "no value"),
        (case("external", LOOP, path="/x.so", options=":v"), "no value"),
        (case("edgetpu", LOOP), None),
        (case("edgetpu", LOOP, rest="gpu"), "no value"),
    ],
)
def test_options_of_the_loop(of: Case, problem: str | None) -> None:
    found = option_problem(of.delegate, LOOP)
    assert found is None if problem is None else problem in (found or "")


def test_options_that_the_tool_would_lose_on_the_way_through_nnapi_are_refused() -> None:
    lost = case("edgetpu", options="a:b")
    assert "NNAPI" in (not_applicable(lost, system="android", abi="arm64-v8a") or "")
    assert not_applicable(lost, system="linux", abi="aarch64") is None
    named = case("edgetpu", options="a:b", path="/x.so")
    assert not_applicable(named, system="android", abi="arm64-v8a") is None
    assert flags("edgetpu", options="a:b", path="/x.so")[1:3] == [
        "--external_delegate_path=/x.so",
        "--external_delegate_options=a:b",
    ]


def test_every_delegate_of_a_runner_is_one_of_the_plans() -> None:
    for kind in (LOOP, CLASSIC, COMPILED, "benchmark_app"):
        assert delegates_of(kind) <= set(DELEGATES)
    assert delegates_of(LOOP) == {"none", "xnnpack", "external", "edgetpu"}
    assert delegates_of("benchmark_app") == delegates_of(CLASSIC)


def test_the_hyphen_of_gpu_precision_is_real() -> None:
    spec = DelegateSpec("gpu", (("gpu-precision", "fp32"),))
    assert "--gpu-precision=fp32" in delegate_flags(
        spec, kind=COMPILED, system="android", threads=1
    )


def test_the_classic_flags_are_those_that_the_tool_lists() -> None:
    usage = (GOLDEN / "13c_help_allproviders" / "stderr").read_text()
    for name in ("xnnpack", "nnapi", "external"):
        for option in {**_CLASSIC[name], **_RUNTIME}:
            flag = {"path": "external_delegate_path", "options": "external_delegate_options"}
            assert f"\t--{flag.get(option, option)}=" in usage, option


def test_every_delegate_of_a_plan_is_known_to_a_dialect() -> None:
    assert set(DELEGATES) == set(_CLASSIC) | set(_COMPILED)
