"""The document of the invoke loop: read whole, or refused."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.delegation.model import Coverage
from bench.errors import UnreadableOutput
from bench.parsers.invoke_loop import parse
from bench.records import HostLoad, Measurement
from bench.stats import STATS_VERSION

VALID: dict[str, Any] = {
    "format": "edgebench-invoke-loop/1",
    "delegate": "xnnpack",
    "threads": 2,
    "model_sha256": "ab" * 32,
    "runtime": {
        "name": "ai_edge_litert",
        "version": "2.3.0",
        "python": "3.11.7",
        "numpy": "2.4.6",
        "machine": "x86_64",
    },
    "inputs": {
        "source": "seeded-draw",
        "seed": 7,
        "sha256": "cd" * 32,
        "tensors": [{"name": "input", "shape": [1, 8, 8, 1], "dtype": "int8"}],
    },
    "load_us": 1503.2,
    "allocate_us": 784.4,
    "first_inference_us": 3.0,
    "input_copy_us": 1.2,
    "output_copy_us": 0.5,
    "baseline_rss_kib": 48196,
    "peak_rss_kib": 55900,
    "nodes": {"total": 3, "delegated": 2, "partitions": 1, "outside": {"SOFTMAX": 1}},
    "nodes_problem": "",
    "timer": {"cost_ns": 40.0, "resolution_ns": 30},
    "warmup": {
        "samples_ns": [3000, 1000, 1000],
        "invokes": 3,
        "wall_ns": 1_000_000_000,
        "cut": 1,
        "steady": True,
    },
    "measured": {
        "samples_ns": list(range(1000, 1100)),
        "made": 200,
        "invokes_per_sample": 1,
        "wall_ns": 300_000,
        "cpu_ns": 400_000,
    },
    "load": {"wall_ns": 10**9, "process_cpu_ns": 10**9, "busy_ns": 2 * 10**9, "steal_ns": 0},
    "clock": {"non_positive": 0, "went_back": False},
}


def changed(*path: str | int, to: Any) -> bytes:
    document = copy.deepcopy(VALID)
    place: Any = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = to
    return json.dumps(document).encode()


def read(stdout: bytes) -> Measurement:
    return parse(stdout, delegate="xnnpack", threads=2)


def test_every_figure_of_a_valid_document() -> None:
    m = read(json.dumps(VALID).encode())
    samples = np.arange(1000, 1100)
    assert m.samples_ns is not None
    assert m.warmup_ns is not None
    assert m.samples_ns.dtype == m.warmup_ns.dtype == np.int64
    assert m.samples_ns.tolist() == samples.tolist()
    assert m.warmup_ns.tolist() == [3000, 1000, 1000]
    assert (m.count, m.invokes_per_sample, m.stats_version) == (100, 1, STATS_VERSION)
    assert m.p50_us == pytest.approx(1.0495)
    assert m.p90_us == pytest.approx(1.0891)
    assert m.p95_us == pytest.approx(1.09405)
    assert m.p90_reason is None
    assert (m.mean_us, m.min_us, m.max_us) == (pytest.approx(1.0495), 1.0, 1.099)
    assert m.cpu_us_per_invoke == pytest.approx(2.0)  # over all 200 invokes, not the kept 100
    assert (m.load_us, m.allocate_us, m.first_inference_us) == (1503.2, 784.4, 3.0)
    assert (m.input_copy_us, m.output_copy_us, m.timer_cost_ns) == (1.2, 0.5, 40.0)
    assert (m.steady, m.warmup_s, m.warmup_cut, m.peak_rss_kib) == (True, 1.0, 1, 55900)
    assert m.load == HostLoad(10**9, 10**9, 2 * 10**9, 0)
    assert m.delegation.verdict is Coverage.PARTIAL
    assert m.delegation.fallback_ops == {"SOFTMAX": 1}
    assert m.runtime["name"] == "ai_edge_litert"
    assert m.runtime["model_sha256"] == "ab" * 32
    assert m.runtime["measured_invokes"] == 200
    assert m.inputs["sha256"] == "cd" * 32
    assert m.digest is not None
    assert m.digest.count == 100


def test_batched_samples_have_no_p90_and_say_why() -> None:
    m = read(changed("measured", "invokes_per_sample", to=4))
    assert m.p90_us is None
    assert m.p95_us is None
    assert m.p90_reason is not None
    assert m.p90_reason.startswith("batched: ")
    assert m.cpu_us_per_invoke == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("count", "reason"),
    [
        (1, "only 1 sample; p90 needs 64"),
        (63, "only 63 samples; p90 needs 64"),
        (64, None),
    ],
)
def test_p90_needs_64_samples(count: int, reason: str | None) -> None:
    m = read(changed("measured", "samples_ns", to=[1000] * count))
    assert m.p90_reason == reason
    assert (m.p90_us is None) == (m.p95_us is None) == (reason is not None)


def test_no_node_list_is_unknown_with_the_runtimes_reason() -> None:
    document = json.loads(changed("nodes", to=None))
    document["nodes_problem"] = "the method is gone"
    m = read(json.dumps(document).encode())
    assert m.delegation.verdict is Coverage.UNKNOWN
    assert "the method is gone" in m.delegation.evidence[0].text


@pytest.mark.parametrize("key", ["baseline_rss_kib", "peak_rss_kib"])
def test_what_the_system_does_not_have_is_absent_not_zero(key: str) -> None:
    read(changed(key, to=None))
    with pytest.raises(UnreadableOutput, match=key):
        read(changed(key, to=0))


@pytest.mark.parametrize(("delegate", "threads"), [("none", 2), ("xnnpack", 1)])
def test_a_document_of_another_launch_is_refused(delegate: str, threads: int) -> None:
    with pytest.raises(UnreadableOutput, match="the launch was of"):
        parse(json.dumps(VALID).encode(), delegate=delegate, threads=threads)


@pytest.mark.parametrize(
    ("stdout", "where"),
    [
        (b"", "JSON"),
        (b"Segmentation fault", "JSON"),
        (b"\xff\xfe", "JSON"),
        (b"[]", "document"),
        (b"[" * 100_000, "JSON"),
        (json.dumps(VALID).encode()[:-1], "JSON"),
        (json.dumps(VALID).encode() * 2, "JSON"),
        (b"INFO: hello\n" + json.dumps(VALID).encode(), "JSON"),
        (changed("format", to="edgebench-invoke-loop/2"), "format"),
        (changed("measured", "samples_ns", to=[]), "measured.samples_ns"),
        (changed("measured", "samples_ns", 3, to=0), "measured.samples_ns.3"),
        (changed("measured", "samples_ns", 3, to=-5), "measured.samples_ns.3"),
        (changed("measured", "samples_ns", 3, to=1.5), "measured.samples_ns.3"),
        (changed("measured", "samples_ns", 3, to=True), "measured.samples_ns.3"),
        (changed("measured", "samples_ns", 3, to="9"), "measured.samples_ns.3"),
        (changed("measured", "samples_ns", 3, to=2**63), "measured.samples_ns.3"),
        (changed("measured", "made", to=99), "measured"),
        (changed("measured", "invokes_per_sample", to=0), "measured.invokes_per_sample"),
        (changed("warmup", "cut", to=3), "warmup"),
        (changed("warmup", "invokes", to=2), "warmup"),
        (changed("warmup", "steady", to=1), "warmup.steady"),
        (changed("load_us", to=float("nan")), "load_us"),
        (changed("load_us", to=float("inf")), "load_us"),
        (changed("load_us", to=None), "load_us"),
        (changed("clock", "non_positive", to=1), "clock"),
        (changed("clock", "went_back", to=True), "clock"),
        (changed("inputs", "sha256", to="abc"), "inputs.sha256"),
        (changed("inputs", "source", to="zeros"), "inputs.source"),
        (changed("surprise", to=1), "surprise"),
    ],
)
def test_what_cannot_be_placed_is_named(stdout: bytes, where: str) -> None:
    with pytest.raises(UnreadableOutput, match=where):
        read(stdout)


@pytest.mark.parametrize("key", sorted(VALID))
def test_every_field_is_required(key: str) -> None:
    document = {k: v for k, v in VALID.items() if k != key}
    with pytest.raises(UnreadableOutput, match=key):
        read(json.dumps(document).encode())


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


def paths(value: Any, prefix: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    found = [prefix] if prefix else []
    if isinstance(value, dict):
        for key, inner in value.items():
            found += paths(inner, (*prefix, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value[:2]):
            found += paths(inner, (*prefix, index))
    return found


def read_or_refused(stdout: bytes) -> None:
    """Anything but right types or UnreadableOutput fails the test."""
    try:
        measurement = read(stdout)
    except UnreadableOutput:
        return
    assert_right_types(measurement)


def assert_right_types(m: Measurement) -> None:
    assert m.samples_ns is not None
    assert m.samples_ns.dtype == np.int64
    assert m.count == len(m.samples_ns) >= 1
    assert (m.samples_ns > 0).all()
    for value in (m.p50_us, m.mean_us, m.min_us, m.max_us, m.first_inference_us):
        assert isinstance(value, float)
        assert 0 < value < 1e16
    assert m.min_us <= m.p50_us <= m.max_us
    assert (m.p90_us is None) == (m.p90_reason is not None)
    assert isinstance(m.steady, bool)
    assert isinstance(m.load, HostLoad)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(paths(VALID)), JSON_VALUES)
def test_a_mutated_field_is_read_or_refused_and_nothing_else(
    path: tuple[str | int, ...], value: Any
) -> None:
    read_or_refused(changed(*path, to=value))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_mutated_bytes_are_read_or_refused_and_nothing_else(data: st.DataObject) -> None:
    text = bytearray(json.dumps(VALID).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    read_or_refused(bytes(text))
