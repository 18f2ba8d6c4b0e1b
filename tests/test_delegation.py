"""The verdict on a delegate, for every kind of evidence."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.delegation import judge
from bench.records import Coverage, Delegation


def nodes(requested: str, total: int, delegated: int, partitions: int, **ops: int) -> Delegation:
    return judge(
        requested,
        total_nodes=total,
        delegated_nodes=delegated,
        partitions=partitions,
        fallback_ops=ops,
    )


def test_all_nodes_in_partitions_is_full() -> None:
    verdict = nodes("xnnpack", 65, 65, 1)
    assert verdict.verdict is Coverage.FULL
    assert verdict.as_requested
    assert verdict.evidence == ("A delegate took 65 of 65 nodes in 1 partition.",)


def test_some_nodes_left_is_partial_and_names_them() -> None:
    verdict = nodes("xnnpack", 65, 50, 16, DEPTHWISE_CONV_2D=13, SOFTMAX=2)
    assert verdict.verdict is Coverage.PARTIAL
    assert verdict.as_requested
    assert verdict.fallback_ops == {"DEPTHWISE_CONV_2D": 13, "SOFTMAX": 2}
    assert verdict.evidence == (
        "A delegate took 50 of 65 nodes in 16 partitions.",
        "Outside it: DEPTHWISE_CONV_2D x13, SOFTMAX x2.",
    )


def test_a_delegate_that_took_nothing_is_not_as_requested() -> None:
    verdict = nodes("xnnpack", 1, 0, 0, ATAN2=1)
    assert verdict.verdict is Coverage.NONE
    assert not verdict.as_requested
    assert verdict.evidence[0] == "No delegate replaced any of the 1 node."


def test_plain_kernels_without_partitions_are_as_requested_and_nothing_fell_back() -> None:
    verdict = nodes("none", 6, 0, 0, CONV_2D=6)
    assert verdict.verdict is Coverage.NONE
    assert verdict.as_requested
    assert verdict.fallback_ops == {}


@pytest.mark.parametrize(("delegated", "word"), [(6, Coverage.FULL), (5, Coverage.PARTIAL)])
def test_plain_kernels_with_partitions_are_not_as_requested(delegated: int, word: Coverage) -> None:
    outside = {"SOFTMAX": 6 - delegated} if delegated < 6 else {}
    verdict = nodes("none", 6, delegated, 1, **outside)
    assert verdict.verdict is word
    assert not verdict.as_requested
    assert "Plain kernels were asked for, but a delegate is at work." in verdict.evidence


@pytest.mark.parametrize("requested", ["none", "xnnpack", "gpu"])
def test_no_evidence_is_unknown_and_says_why(requested: str) -> None:
    verdict = judge(
        requested,
        total_nodes=None,
        delegated_nodes=None,
        partitions=None,
        fallback_ops={},
        problem="this runtime is too old",
        log="INFO: Created TensorFlow Lite XNNPACK delegate for CPU.",
    )
    assert verdict.verdict is Coverage.UNKNOWN
    assert not verdict.as_requested
    assert verdict.evidence == ("No node list: this runtime is too old.",)


@pytest.mark.parametrize(
    ("total", "delegated", "partitions", "outside"),
    [
        (0, 0, 0, {}),
        (5, 6, 1, {}),
        (5, 5, 0, {}),
        (5, 0, 1, {"ADD": 5}),
        (5, 2, 3, {"ADD": 3}),
        (5, 4, 1, {}),
        (5, 5, 1, {"ADD": 1}),
        (5, -1, 0, {"ADD": 6}),
    ],
)
def test_a_list_that_contradicts_itself_is_unknown(
    total: int, delegated: int, partitions: int, outside: dict[str, int]
) -> None:
    verdict = nodes("xnnpack", total, delegated, partitions, **outside)
    assert verdict.verdict is Coverage.UNKNOWN
    assert "contradicts itself" in verdict.evidence[-1]


def test_the_log_confirms_the_name_and_only_where_nodes_were_taken() -> None:
    log = "INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n"
    taken = judge(
        "xnnpack", total_nodes=2, delegated_nodes=2, partitions=1, fallback_ops={}, log=log
    )
    assert taken.evidence[-1] == "The runtime's log names the XNNPACK delegate."
    empty = judge(
        "xnnpack", total_nodes=1, delegated_nodes=0, partitions=0, fallback_ops={"A": 1}, log=log
    )
    assert empty.verdict is Coverage.NONE
    assert not any("log" in line for line in empty.evidence)


@settings(deadline=None)
@given(
    st.sampled_from(["none", "xnnpack"]),
    st.integers(-1, 8),
    st.integers(-1, 8),
    st.integers(-1, 8),
    st.dictionaries(st.sampled_from(["A", "B"]), st.integers(-1, 8)),
)
def test_full_needs_every_node(
    requested: str, total: int, delegated: int, partitions: int, outside: dict[str, int]
) -> None:
    verdict = nodes(requested, total, delegated, partitions, **outside)
    assert verdict.evidence
    if verdict.verdict is Coverage.FULL:
        assert delegated == total > 0
        assert partitions >= 1
    if verdict.verdict is Coverage.PARTIAL:
        assert 0 < delegated < total
