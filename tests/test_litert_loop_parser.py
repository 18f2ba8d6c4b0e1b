"""The documents of the litert loop: read whole, or refused."""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.delegation.model import Coverage
from bench.errors import UnreadableOutput
from bench.ops.model import OpKind
from bench.parsers.litert_loop import parse, parse_answered, parse_profile
from bench.records import Measurement
from bench.runners.base import Answers, Profiled
from tests.test_invoke_loop_parser import JSON_VALUES, VALID, paths

HEADER: dict[str, Any] = {
    **{key: VALID[key] for key in ("delegate", "threads", "model_sha256", "runtime")},
    "format": "edgebench-litert-loop/1",
    "told": {"nodes": 2, "fully": False, "without_cpu": False, "messages": ""},
}


def row(kind: str, tag: str, index: int, us: float, subgraph: int = 0) -> dict[str, Any]:
    times = {f"{name}_us": us for name in ("mean", "first", "min", "max")}
    place = {"kind": kind, "tag": tag, "index": index, "subgraph": subgraph}
    return {**place, "calls": 1.0, **times, "std_us": 0.0}


PROFILE: dict[str, Any] = {
    "runs": 50,
    "invoke_us": 1000.0,
    "in_order": True,
    "rows": [
        row("delegate-op", "Fully Connected (NC, QS8, QC8W) GEMM", 0, 400.0),
        row("op", "SOFTMAX", 1, 590.0),
    ],
}
TIMING: dict[str, Any] = {
    **{key: value for key, value in VALID.items() if not key.startswith("nodes")},
    **HEADER,
    "purpose": "timing",
    "sync": None,
    "profile": PROFILE,
    "profile_problem": "",
}
PROFILING: dict[str, Any] = {
    **HEADER,
    "purpose": "profile",
    "inputs": VALID["inputs"],
    "profile": PROFILE,
}
ANSWERED: dict[str, Any] = {
    **HEADER,
    "purpose": "numerics",
    "samples": 3,
    "inputs_sha256": "ef" * 32,
    "outputs": [{"name": "output", "quantization": [0.5, -3]}],
}


def archive(*arrays: Any) -> bytes:
    held = io.BytesIO()
    np.savez(held, *arrays)
    return held.getvalue()


ANSWERS = archive(np.zeros((3, 1, 4), np.int8))


def raw(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode()


def changed(document: dict[str, Any], *path: str | int, to: Any) -> bytes:
    document = copy.deepcopy(document)
    place: Any = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = to
    return raw(document)


def timing(stdout: bytes) -> Measurement:
    return parse(stdout, delegate="xnnpack", threads=2)


def profiling(stdout: bytes) -> Profiled:
    return parse_profile(stdout, delegate="xnnpack", threads=2)


def answered(stdout: bytes) -> Answers:
    return parse_answered(stdout, ANSWERS, delegate="xnnpack", threads=2)


READERS: list[tuple[dict[str, Any], Callable[[bytes], object]]] = [
    (TIMING, timing),
    (PROFILING, profiling),
    (ANSWERED, answered),
]


def test_the_figures_of_a_timed_launch() -> None:
    m = timing(raw(TIMING))
    assert (m.count, m.p50_us, m.p90_us) == pytest.approx((100, 1.0495, 1.0891))
    assert (m.load_us, m.allocate_us, m.first_inference_us) == (1503.2, 784.4, 3.0)
    assert m.cpu_us_per_invoke == pytest.approx(2.0)
    assert m.delegation.verdict is Coverage.PARTIAL
    assert (m.delegation.delegated_nodes, m.delegation.total_nodes) == (1, 2)
    assert m.delegation.fallback_ops == {"SOFTMAX": 1}
    assert m.delegation.outside_time is None
    assert m.inputs["sha256"] == "cd" * 32


def test_the_figures_of_a_profile() -> None:
    profiled = profiling(raw(PROFILING))
    profile = profiled.profile
    step, op = profile.regular[0].rows
    assert (step.kind, step.avg_us, step.node, step.order) == (OpKind.DELEGATE_OP, 400.0, None, 0)
    assert (op.kind, op.type, op.avg_us, op.node) == (OpKind.OP, "SOFTMAX", 590.0, 1)
    assert (profile.runs, profile.invoke_us, profile.threads) == (50, 1000.0, 2)
    assert not any("come to" in note for note in profile.notes)
    assert profiled.delegation is not None
    assert profiled.delegation.outside_time == pytest.approx(590 / 990)


def test_ops_that_do_not_explain_the_time_are_told() -> None:
    notes = profiling(changed(PROFILING, "profile", "invoke_us", to=1237.5)).profile.notes
    assert any("come to 80 % of its time" in note for note in notes)


def test_other_subgraphs_are_tables_of_their_own_and_in_no_order() -> None:
    rows = [row("op", "WHILE", 0, 900.0), row("op", "ADD", 0, 300.0, subgraph=1)]
    document = {**PROFILE, "rows": rows, "in_order": False}
    profile = profiling(changed(PROFILING, "profile", to=document)).profile
    assert [table.subgraph for table in profile.regular] == [0, 1]
    assert {item.order for table in profile.regular for item in table.rows} == {None}
    assert any("merged" in note for note in profile.notes)


def test_the_answers_and_their_quantisation() -> None:
    answers = answered(raw(ANSWERED))
    assert answers.outputs[0].shape == (3, 1, 4)
    assert (answers.names, answers.quantization) == (("output",), ((0.5, -3),))


@pytest.mark.parametrize(
    ("held", "message"),
    [
        (None, "left no answers"),
        (b"PK", "no archive"),
        (archive(np.zeros((2, 4), np.int8)), "for 3 samples"),
        (archive(np.zeros((3, 4), np.float32)), "cannot be"),
        (archive(), "does not hold"),
    ],
    ids=["none", "broken", "samples", "floats", "empty"],
)
def test_answers_that_do_not_fit_their_document_are_refused(
    held: bytes | None, message: str
) -> None:
    with pytest.raises(UnreadableOutput, match=message):
        parse_answered(raw(ANSWERED), held, delegate="xnnpack", threads=2)


SYNC = {"run_us": 5000.0, "read_us": 50.0, "reread_us": 30.0}


def test_a_gpus_number_comes_with_the_proof_that_it_was_waited_for() -> None:
    gpu = {**TIMING, "delegate": "gpu", "profile": None, "sync": SYNC}
    m = parse(raw(gpu), delegate="gpu", threads=2)
    assert m.runtime["gpu_sync"] == {"how": "benchmark-mode", **SYNC}
    with pytest.raises(UnreadableOutput, match="sync"):
        parse(raw({**gpu, "sync": None}), delegate="gpu", threads=2)
    with pytest.raises(UnreadableOutput, match="sync"):
        timing(raw({**TIMING, "sync": SYNC}))


def test_why_no_node_was_seen_is_kept() -> None:
    m = timing(raw({**TIMING, "profile": None, "profile_problem": "no profiler"}))
    assert m.runtime["nodes_problem"] == "no profiler"
    assert m.delegation.verdict is Coverage.UNKNOWN


@pytest.mark.parametrize(("document", "read"), READERS, ids=["timing", "profile", "answers"])
def test_a_document_of_another_launch_or_purpose_is_refused(
    document: dict[str, Any], read: Callable[[bytes], object]
) -> None:
    for key, value in (("delegate", "none"), ("threads", 1)):
        with pytest.raises(UnreadableOutput, match="the launch was of"):
            read(raw({**document, key: value}))
    for other, _ in READERS:
        if other is not document:
            with pytest.raises(UnreadableOutput):
                read(raw(other))


@pytest.mark.parametrize(("document", "read"), READERS, ids=["timing", "profile", "answers"])
def test_every_field_is_required_and_no_other_allowed(
    document: dict[str, Any], read: Callable[[bytes], object]
) -> None:
    for key in document:
        with pytest.raises(UnreadableOutput, match=key):
            read(raw({k: v for k, v in document.items() if k != key}))
    with pytest.raises(UnreadableOutput, match="surprise"):
        read(raw({**document, "surprise": 1}))


@pytest.mark.parametrize(
    ("stdout", "where"),
    [
        (b"", "JSON"),
        (b"Segmentation fault", "JSON"),
        (b"INFO: hello\n" + raw(PROFILING), "JSON"),
        (changed(PROFILING, "profile", "rows", to=[]), "told no op"),
        (changed(PROFILING, "profile", "rows", 0, "kind", to="phase"), "rows.0.kind"),
        (changed(PROFILING, "profile", "rows", 0, "max_us", to=1.0), "rows.0"),
        (changed(PROFILING, "profile", "rows", 0, "mean_us", to=-1.0), "rows.0.mean_us"),
        (changed(PROFILING, "profile", "rows", 0, "calls", to=0.0), "rows.0.calls"),
        (changed(PROFILING, "profile", "runs", to=0), "profile.runs"),
        (changed(PROFILING, "told", "nodes", to=0), "told.nodes"),
    ],
)
def test_what_cannot_be_placed_is_named(stdout: bytes, where: str) -> None:
    with pytest.raises(UnreadableOutput, match=where):
        profiling(stdout)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_mutated_document_is_read_or_refused_and_nothing_else(data: st.DataObject) -> None:
    document, read = data.draw(st.sampled_from(READERS))
    path = data.draw(st.sampled_from(paths(document)))
    try:
        found = read(changed(document, *path, to=data.draw(JSON_VALUES)))
    except UnreadableOutput:
        return
    if isinstance(found, Profiled):
        for item in (item for table in found.profile.regular for item in table.rows):
            assert item.avg_us is not None
            assert 0 <= (item.min_us or 0) <= item.avg_us <= (item.max_us or 0)
            assert (item.node is None) == (item.kind is not OpKind.OP)
    if isinstance(found, Measurement):
        assert found.p50_us is not None
        assert found.min_us <= found.p50_us <= found.max_us


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_mutated_bytes_are_read_or_refused_and_nothing_else(data: st.DataObject) -> None:
    document, read = data.draw(st.sampled_from(READERS))
    text = bytearray(raw(document))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        read(bytes(text))
    except UnreadableOutput:
        return
