"""What a plan asks for is found, expanded and ordered; what it lacks is named."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.config import VARIANTS
from bench.errors import UserError
from bench.estimate import estimate
from bench.identity import Case, DelegateSpec
from bench.plan import Plan, all_cells, expand, resolve, round_order, variants_of
from bench.planfile import parse_plan
from devices.inventory import parse_inventory


def plan(root: Path, *, measure: dict[str, Any] | None = None, **model: Any) -> Plan:
    for name in ("m.keras", "c.npz", "h.npz", "t.npz", "a.tflite"):
        (root / name).touch()
    document = {
        "project": "p",
        "model": [{"name": "m", **(model or {"source": "m.keras"})}],
        "measure": measure or {},
    }
    return resolve(parse_plan(document, where="plan.toml"), root)


def test_default_variants_are_those_that_can_be_made(tmp_path: Path) -> None:
    assert plan(tmp_path).variants["m"] == ("fp32", "fp16", "dynamic")
    everything = plan(tmp_path, source="m.keras", calibration="c.npz", train="t.npz")
    assert everything.variants["m"] == ("fp32", "fp16", "dynamic", "int8", "int8-qat")
    assert plan(tmp_path, files={"int8": "a.tflite"}).variants["m"] == ("int8",)


@pytest.mark.parametrize(
    ("variant", "part"),
    [("int8", "calibration"), ("int8-qat", "train")],
)
def test_a_variant_without_what_it_is_made_from(tmp_path: Path, variant: str, part: str) -> None:
    with pytest.raises(UserError, match=part):
        plan(tmp_path, measure={"variants": [variant]})


def test_files_without_a_source_cannot_give_other_variants(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"files\.fp16"):
        plan(tmp_path, measure={"variants": ["fp16"]}, files={"int8": "a.tflite"})


@pytest.mark.parametrize(
    ("variant", "words"),
    [
        ("int8-uint8-io", "cannot be made of a .tflite: .*never uint8"),
        ("int8-qat", "cannot be made of a .tflite: .*give the .keras file"),
        ("select-tf-ops", "cannot be made of a .tflite"),
        ("int8-float-io", "needs `calibration`"),
        ("int16x8", "needs `calibration`"),
    ],
)
def test_a_variant_that_a_tflite_cannot_give(tmp_path: Path, variant: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        plan(tmp_path, measure={"variants": [variant]}, source="a.tflite")


def test_a_tflite_gives_what_needs_no_layers(tmp_path: Path) -> None:
    found = plan(tmp_path, source="a.tflite", calibration="c.npz", train="t.npz").variants["m"]
    assert found == ("fp32", "fp16", "dynamic", "int8")


def test_everything_that_can_be_made_is_no_more_than_was_named(tmp_path: Path) -> None:
    model = plan(tmp_path, source="m.keras", calibration="c.npz").config.model[0]
    assert set(VARIANTS) - set(variants_of(model, None, default=VARIANTS)) == {"int8-qat"}
    finished = plan(tmp_path, files={"fp32": "a.tflite"}).config.model[0]
    # The quantizer can start from a finished fp32; the converter cannot.
    assert variants_of(finished, None, default=VARIANTS) == ("fp32", "dynamic-int4", "weight-int8")


def test_select_tf_ops_is_measured_by_nobody_who_did_not_name_it(tmp_path: Path) -> None:
    assert "select-tf-ops" not in plan(tmp_path).variants["m"]
    named = plan(tmp_path, measure={"variants": ["fp32", "select-tf-ops"]})
    assert named.variants["m"] == ("fp32", "select-tf-ops")


def test_the_users_own_function_is_no_missing_file(tmp_path: Path) -> None:
    found = plan(tmp_path, source="m.keras", calibration="data.mine:load", holdout="data:test")
    assert "int8" in found.variants["m"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holdout: no such file: .*nothing\.npz"):
        plan(tmp_path, source="m.keras", holdout="nothing.npz")


@pytest.mark.parametrize("name", ["n" * 5000, "a\0b"])
def test_a_name_that_no_file_can_have_is_a_missing_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="no such file"):
        plan(tmp_path, source="m.keras", holdout=name)


def test_a_gate_on_accuracy_needs_a_holdout(tmp_path: Path) -> None:
    (tmp_path / "m.keras").touch()
    document = {
        "project": "p",
        "model": [{"name": "m", "source": "m.keras"}],
        "gates": {"accuracy_drop_max_points": 1.0},
    }
    with pytest.raises(UserError, match="holdout"):
        resolve(parse_plan(document, where="plan.toml"), tmp_path)


@pytest.mark.parametrize("field", ["threads", "delegates", "variants", "devices"])
def test_nothing_is_measured_twice_or_not_at_all(tmp_path: Path, field: str) -> None:
    value = {"threads": 2, "delegates": "none", "variants": "fp32", "devices": "local"}[field]
    with pytest.raises(UserError, match="twice"):
        plan(tmp_path, measure={field: [value, value]})
    with pytest.raises(UserError, match="empty"):
        plan(tmp_path, measure={field: []})


def test_one_delegate_with_several_options_is_several_cases(tmp_path: Path) -> None:
    library = {"name": "external", "options": {"path": "/lib/x.so"}}
    told = {"name": "external", "options": {"path": "/lib/x.so", "rest": "none"}}
    found = plan(tmp_path, measure={"delegates": ["none", library, told], "threads": [1]})
    labels = [case.label for case in expand(found) if case.variant == "fp32"]
    assert labels == [
        "fp32 · none · 1 thread",
        "fp32 · external (path=/lib/x.so) · 1 thread",
        "fp32 · external (path=/lib/x.so, rest=none) · 1 thread",
    ]
    assert len({case.case_id for case in expand(found)}) == len(expand(found))
    with pytest.raises(UserError, match=r"names 'external \(path=/lib/x.so\)' twice"):
        plan(tmp_path, measure={"delegates": [library, library]})
    with pytest.raises(UserError, match="names 'none' twice"):
        plan(tmp_path, measure={"delegates": ["none", {"name": "none"}]})


@pytest.mark.parametrize(
    ("delegate", "words"),
    [
        ({"name": "external"}, "needs the option path"),
        ({"name": "xnnpack", "options": {"force": "1"}}, "no option 'force'"),
        (
            {"name": "edgetpu", "options": {"rest": "cpu"}},
            "'cpu' is no value for rest: it takes xnnpack or none",
        ),
        (
            {"name": "external", "options": {"path": "sub/x.so"}},
            "'sub/x.so' is no value for path: it takes a whole path, or a bare name",
        ),
    ],
)
def test_options_that_no_runner_of_the_plan_has(
    tmp_path: Path, delegate: dict[str, Any], words: str
) -> None:
    with pytest.raises(UserError, match=f"measure.delegates: .*{words}") as caught:
        plan(tmp_path, measure={"delegates": [delegate]})
    assert "\n" not in str(caught.value)


def test_options_that_one_runner_lacks_cost_its_cell_only(tmp_path: Path) -> None:
    found = plan(
        tmp_path,
        measure={
            "delegates": [{"name": "xnnpack", "options": {"xnnpack_force_fp16": "true"}}],
            "runners": ["invoke_loop", "benchmark_model"],
            "variants": ["fp32"],
            "threads": [1],
        },
    )
    why = {case.runner: reason for case, reason in all_cells(found)}
    assert "no option" in (why["invoke_loop"] or "")
    assert why["benchmark_model"] is None


def test_accuracy_on_the_device_needs_answers_to_judge(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="device_accuracy needs answers"):
        plan(tmp_path, measure={"device_accuracy": 10})
    found = plan(tmp_path, measure={"device_accuracy": "all"}, source="m.keras", holdout="h.npz")
    assert found.config.measure.device_accuracy == "all"
    with pytest.raises(UserError, match="numerics"):
        plan(
            tmp_path,
            measure={"device_accuracy": 10, "numerics": "off"},
            source="m.keras",
            holdout="h.npz",
        )


def test_two_models_of_one_name(tmp_path: Path) -> None:
    (tmp_path / "m.keras").touch()
    model = {"name": "m", "source": "m.keras"}
    with pytest.raises(UserError, match="two models"):
        resolve(parse_plan({"project": "p", "model": [model, model]}, where="x"), tmp_path)


def test_the_matrix_is_whole_and_every_id_its_own(tmp_path: Path) -> None:
    cases = expand(plan(tmp_path, source="m.keras", calibration="c.npz", train="t.npz"))
    assert len(cases) == 5 * 2 * 2
    assert len({case.case_id for case in cases}) == len(cases)
    assert all(Case.from_json(case.to_json()) == case for case in cases)


def test_a_case_id_does_not_depend_on_content_or_on_the_run(tmp_path: Path) -> None:
    first = [case.case_id for case in expand(plan(tmp_path))]
    (tmp_path / "m.keras").write_bytes(b"another model")
    assert [case.case_id for case in expand(plan(tmp_path))] == first


def test_a_case_id_stays_what_it_was() -> None:
    """Series live for years: this id may only change together with a migration."""
    case = Case("p", "m", "int8", DelegateSpec("xnnpack"), 2, "invoke_loop", "local")
    assert case.case_id == "0f134b153a04fa2e35c162f09951d021e9f31e4e8d7d1ff0407a41ce375bd9d5"


@given(st.sets(st.text(min_size=1), max_size=20), st.integers(0, 2**63 - 1), st.integers(0, 99))
def test_a_round_holds_everything_once_in_an_order_of_its_own(
    names: set[str], seed: int, index: int
) -> None:
    order = round_order(sorted(names), lambda n: n, seed=seed, index=index)
    assert Counter(order) == Counter(names)
    assert order == round_order(sorted(names, reverse=True), lambda n: n, seed=seed, index=index)


def test_rounds_differ_in_order() -> None:
    names = [str(i) for i in range(20)]
    orders = {tuple(round_order(names, str, seed=0, index=i)) for i in range(30)}
    assert len(orders) == 30


def test_no_place_in_the_order_is_a_case_s_own() -> None:
    names = [str(i) for i in range(4)]
    firsts = Counter(round_order(names, str, seed=0, index=i)[0] for i in range(2000))
    assert all(400 < count < 600 for count in firsts.values())


def test_an_estimate_counts_every_launch(tmp_path: Path) -> None:
    time = estimate(plan(tmp_path, measure={"rounds": 3, "threads": [1]}))
    assert time.launches == 3 * 2 * 3
    assert time.total_s > time.launches * 1.3
    assert time.checks == 3 * 2 * 2
    off = {"rounds": 3, "threads": [1], "profile": "off", "numerics": "off"}
    without = estimate(plan(tmp_path, measure=off))
    assert (without.checks, without.check_s) == (0, 0)
    assert without.total_s == pytest.approx(time.total_s - time.check_s)
    traced = estimate(plan(tmp_path, measure=off), trace=True)
    assert traced.checks == 3 * 2
    assert traced.check_s > 0


# --- devices -----------------------------------------------------------------

LAB = parse_inventory(
    {
        "device": [
            {"name": "phone", "kind": "android", "serial": "S1", "labels": ["lab"]},
            {"name": "pi4", "kind": "linux", "host": "pi4.example", "labels": ["lab"]},
            {
                "name": "emulated",
                "kind": "android",
                "serial": "S2",
                "simulated": True,
                "shares_controller": True,
            },
        ]
    }
)


def fleet(root: Path, **measure: Any) -> Plan:
    (root / "a.tflite").touch()
    document = {
        "project": "p",
        "model": [{"name": "m", "files": {"fp32": "a.tflite"}}],
        "measure": {"threads": [1], **measure},
    }
    return resolve(parse_plan(document, where="plan.toml"), root, LAB)


def test_selectors_become_names_and_each_kind_its_runner(tmp_path: Path) -> None:
    plan = fleet(tmp_path, devices=["label=lab", "local"])
    assert plan.config.measure.devices == ("phone", "pi4", "local")
    assert {(c.device, c.runner) for c in expand(plan)} == {
        ("phone", "benchmark_model"),
        ("pi4", "invoke_loop"),
        ("local", "invoke_loop"),
    }


def test_the_hash_of_a_plan_is_that_of_its_devices_and_not_of_how_they_were_picked(
    tmp_path: Path,
) -> None:
    by_label = fleet(tmp_path, devices=["label=lab"])
    assert by_label.sha256 == fleet(tmp_path, devices=["phone", "pi4"]).sha256
    assert by_label.sha256 != fleet(tmp_path, devices=["phone"]).sha256


def test_cells_that_cannot_exist_say_why(tmp_path: Path) -> None:
    plan = fleet(
        tmp_path,
        devices=["phone", "pi4"],
        delegates=["none", "gpu"],
        runners=["invoke_loop", "benchmark_model", "benchmark_app"],
    )
    why = {(c.device, c.runner, c.delegate.name): reason for c, reason in all_cells(plan) if reason}
    assert set(why) == {
        ("phone", "invoke_loop", "none"),
        ("phone", "invoke_loop", "gpu"),
        ("pi4", "invoke_loop", "gpu"),
        ("pi4", "benchmark_app", "none"),
        ("pi4", "benchmark_app", "gpu"),
    }
    assert "no Python runtime" in why["phone", "invoke_loop", "none"]
    assert all((c.device, c.runner, c.delegate.name) not in why for c in expand(plan))


def test_time_is_that_of_the_slowest_device_and_then_of_those_that_take_this_machine(
    tmp_path: Path,
) -> None:
    def measure_s(*devices: str) -> float:
        return estimate(fleet(tmp_path, devices=list(devices))).measure_s

    one = measure_s("phone")
    assert measure_s("phone", "pi4") == one
    assert measure_s("phone", "pi4", "local", "emulated") == pytest.approx(3 * one)


@pytest.mark.parametrize(
    ("measure", "message"),
    [
        ({"devices": ["nobody"]}, "no device 'nobody'"),
        ({"controls": {"governer": "performance"}}, "did you mean governor"),
        (
            {
                "devices": ["phone"],
                "runners": ["benchmark_app"],
                "controls": {"cores": "big"},
            },
            "cores cannot be chosen for benchmark_app",
        ),
        ({"runners": []}, "measure.runners is empty"),
        ({"runners": ["benchmark_model", "benchmark_model"]}, "twice"),
    ],
)
def test_what_no_plan_over_devices_may_say(
    tmp_path: Path, measure: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        fleet(tmp_path, **measure)
