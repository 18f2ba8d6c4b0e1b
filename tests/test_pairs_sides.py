"""What people call a side and a run, and which cases are partners."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from analysis import around, rounds, run_data
from hypothesis import given
from hypothesis import strategies as st
from pairs_runs import RUN_A, RUN_B, pairs, stored
from records import NOW, case

from bench.errors import UserError
from bench.identity import Case, DelegateSpec
from bench.points import Baseline, BaselineKind
from bench.records import RunData, RunStatus
from bench.run_names import current, run_named
from bench.store import open_store
from reports.pairs.compare import side_cases
from reports.pairs.model import PairWord
from reports.pairs.sides import FILTERS, chosen, differing, narrowed, parse_side


def data_of(*cases: Case, **run: Any) -> RunData:
    return run_data({one: rounds(one, around(1000.0)) for one in cases}, **run)


# --- Names of sides ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "run", "filters"),
    [
        ("0198a2", "0198a2", {}),
        ("latest~1", "latest~1", {}),
        ("release=1.4", "release=1.4", {}),
        ("release=rc:2", "release=rc:2", {}),
        ("variant=int8", None, {"variant": "int8"}),
        ("threads=2,variant=int8", None, {"variant": "int8", "threads": "2"}),
        ("0198a2:variant=int8", "0198a2", {"variant": "int8"}),
        ("release=1:4:device=usb:1-2", "release=1:4", {"device": "usb:1-2"}),
        (
            "baseline:delegate=gpu (a=1, b=2),device=a,b",
            "baseline",
            {"delegate": "gpu (a=1, b=2)", "device": "a,b"},
        ),
    ],
)
def test_a_side_is_read(text: str, run: str | None, filters: dict[str, str]) -> None:
    found = parse_side(text)
    assert (found.run, dict(found.filters)) == (run, filters)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        ("variant=", "variant= is empty"),
        ("variant=a,variant=b", "names variant twice"),
        ("varant=int8", "unknown filter"),
        ("latest:varant=int8", "unknown filter"),
    ],
)
def test_what_no_side_is(text: str, why: str) -> None:
    with pytest.raises(UserError, match=why):
        parse_side(text)


@given(st.text(max_size=30))
def test_any_text_is_a_side_or_one_line(text: str) -> None:
    try:
        found = parse_side(text)
    except UserError:
        return
    assert found.run or found.filters
    assert list(found.filters) == [key for key in FILTERS if key in found.filters]


def test_a_filter_of_one_side_narrows_both() -> None:
    a, b = narrowed(parse_side("0198:variant=int8"), parse_side("threads=2"))
    assert (a.run, b.run) == ("0198", "0198")
    assert dict(a.filters) == dict(b.filters) == {"variant": "int8", "threads": "2"}
    assert differing(a, b) == ()
    a, b = narrowed(parse_side("variant=int8,device=pi"), parse_side("variant=fp32"))
    assert differing(a, b) == ("variant",)
    assert b.filters["device"] == "pi"


# --- Partners ------------------------------------------------------------------------------


def test_cases_are_paired_by_everything_that_is_not_asked_to_differ() -> None:
    cases = [case(v, d, t) for v in ("fp32", "int8") for d in ("none", "xnnpack") for t in (1, 2)]
    data = data_of(*cases)
    found = pairs(
        data,
        data,
        of_a=lambda c: c.variant == "fp32",
        of_b=lambda c: c.variant == "int8",
        differing=["variant"],
    )
    assert len(found.pairs) == 4
    for pair in found.pairs:
        assert pair.a is not None
        assert pair.b is not None
        assert replace(pair.a.case, variant="int8") == pair.b.case


def test_two_runners_of_one_case_are_paired_with_their_like() -> None:
    loop = case("fp32")
    tool = replace(loop, runner="benchmark_model")
    found = pairs(data_of(loop, tool), data_of(tool, loop, run_id=RUN_B))
    assert all(p.a and p.b and p.a.case.runner == p.b.case.runner for p in found.pairs)
    assert PairWord.NOT_COMPARABLE not in [pair.word for pair in found.pairs]


def test_several_against_one_are_several_pairs_and_several_against_several_are_asked() -> None:
    gpu = replace(case("fp32"), delegate=DelegateSpec("gpu"))
    half = replace(gpu, delegate=DelegateSpec("gpu", (("precision", "fp16"),)))
    cpu = case("fp32", "xnnpack")
    data = data_of(cpu, gpu, half)

    def on(name: str) -> object:
        return lambda c: c.delegate.name == name

    found = pairs(data, data, of_a=on("xnnpack"), of_b=on("gpu"), differing=["delegate"])  # type: ignore[arg-type]
    assert len(found.pairs) == 2
    both = data_of(cpu, replace(cpu, delegate=DelegateSpec("xnnpack", (("x", "1"),))), gpu, half)
    with pytest.raises(UserError, match=r"gpu \(precision=fp16\)"):
        pairs(both, both, of_a=on("xnnpack"), of_b=on("gpu"), differing=["delegate"])  # type: ignore[arg-type]


def test_filters_choose_by_name_label_and_runtime() -> None:
    half = replace(case("int8"), delegate=DelegateSpec("gpu", (("precision", "fp16"),)))
    cases = side_cases(data_of(case("fp32"), case("int8"), half))

    def names(**filters: str) -> list[str]:
        return [c.measured.case.label for c in chosen(cases, filters)]

    assert names(variant="fp32") == ["fp32 · xnnpack · 1 thread"]
    assert names(delegate="gpu") == names(delegate="gpu (precision=fp16)") == [half.label]
    assert len(names(runtime="2.3.0")) == len(names(runtime="ai_edge_litert 2.3.0")) == 3
    with pytest.raises(UserError, match=r"no case with variant=fp16; it has variant: fp32, int8"):
        chosen(cases, {"variant": "fp16"})


# --- Names of runs -------------------------------------------------------------------------


def test_runs_are_named(tmp_path: Path) -> None:
    stopped = data_of(case("fp32"), run_id=RUN_B, status=RunStatus.INTERRUPTED)
    stored(tmp_path / "s.db", data_of(case("fp32"), run_id=RUN_A), stopped)
    with open_store(tmp_path / "s.db", write=True) as store:
        assert run_named(store, "latest", None).run_id == RUN_B
        assert run_named(store, "latest~1", "p").run_id == RUN_A
        assert run_named(store, "latest", "p", finished=True).run_id == RUN_A
        assert run_named(store, RUN_B[:9], None).run_id == RUN_B
        with pytest.raises(UserError, match="has 2 runs"):
            run_named(store, "latest~2", None)
        with pytest.raises(UserError, match="edgebench baseline"):
            run_named(store, "baseline", None)
        store.add_baseline(Baseline("p", BaselineKind.PINNED, "", RUN_A, NOW))
        store.add_baseline(Baseline("p", BaselineKind.RELEASE, "1.4", RUN_B, NOW))
        assert run_named(store, "baseline", None).run_id == RUN_A
        assert run_named(store, "release=1.4", "p").run_id == RUN_B
        with pytest.raises(UserError, match=r"releases are 1\.4"):
            run_named(store, "release=1.5", "p")


def test_what_was_unpinned_is_no_baseline() -> None:
    def made(run_id: str | None, hours: int) -> Baseline:
        return Baseline("p", BaselineKind.PINNED, "", run_id, NOW + timedelta(hours=hours))

    assert current([made(None, 2), made(RUN_A, 1)]) == {}
    assert current([made(RUN_B, 2), made(RUN_A, 1)]) == {(BaselineKind.PINNED, ""): RUN_B}
