"""Evidence of several sources, drawn together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.delegation.finding import Counts, Finding
from bench.delegation.fuse import as_finding, fuse
from bench.delegation.model import Coverage, Delegation, Evidence, EvidenceSource, Refusal

FULL, PARTIAL, NONE, UNKNOWN = Coverage
S = EvidenceSource


def found(source: EvidenceSource, says: Coverage | None, counts: Counts | None = None) -> Finding:
    return Finding((Evidence(source, f"{source} says {says}", says),), counts)


def verdict(*said: tuple[EvidenceSource, Coverage | None]) -> Coverage:
    return fuse("gpu", [found(*item) for item in said]).verdict


def test_no_evidence_is_unknown_and_says_so() -> None:
    nothing = fuse("gpu", [])
    assert nothing.verdict is UNKNOWN
    assert nothing.evidence


@pytest.mark.parametrize("source", [s for s in EvidenceSource if s is not S.LATENCY])
@pytest.mark.parametrize("word", list(Coverage))
def test_a_single_source_is_believed(source: EvidenceSource, word: Coverage) -> None:
    expected = word
    if source is S.DEVICE and word in (FULL, PARTIAL):
        expected = UNKNOWN
    assert verdict((source, word)) is expected


def test_times_alone_prove_nothing() -> None:
    assert verdict((S.LATENCY, NONE)) is UNKNOWN
    assert verdict((S.NODES, FULL), (S.LATENCY, NONE)) is FULL


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([(S.NODES, FULL), (S.TOOL, PARTIAL)], FULL),
        ([(S.NODES, PARTIAL), (S.TOOL, FULL)], UNKNOWN),
        ([(S.NODES, FULL), (S.LOG, PARTIAL)], UNKNOWN),
        ([(S.MESSAGES, PARTIAL), (S.RUNTIME, FULL)], UNKNOWN),
        ([(S.LOG, PARTIAL), (S.TOOL, PARTIAL)], PARTIAL),
        ([(S.NODES, NONE), (S.TOOL, FULL)], UNKNOWN),
        ([(S.NODES, FULL), (S.FLAG, NONE)], UNKNOWN),
        ([(S.MESSAGES, PARTIAL), (S.ABSENCE, NONE)], UNKNOWN),
        ([(S.NODES, FULL), (S.DEVICE, NONE)], NONE),
        ([(S.RUNTIME, UNKNOWN), (S.DEVICE, NONE)], NONE),
        ([(S.TOOL, FULL), (S.DEVICE, UNKNOWN)], UNKNOWN),
        ([(S.TOOL, NONE), (S.DEVICE, UNKNOWN)], NONE),
        ([(S.NODES, UNKNOWN), (S.LOG, FULL)], UNKNOWN),
        ([(S.FLAG, NONE), (S.ABSENCE, NONE)], NONE),
        ([(S.LOG, None), (S.TOOL, PARTIAL)], PARTIAL),
    ],
)
def test_what_several_sources_come_to(
    said: list[tuple[EvidenceSource, Coverage | None]], expected: Coverage
) -> None:
    assert verdict(*said) is expected
    assert verdict(*reversed(said)) is expected


def test_what_overrules_comes_first_and_what_says_nothing_last() -> None:
    order = fuse(
        "gpu",
        [found(S.LOG, None), found(S.TOOL, FULL), found(S.DEVICE, NONE), found(S.NODES, FULL)],
    )
    assert [item.source for item in order.evidence] == [S.DEVICE, S.NODES, S.TOOL, S.LOG]


def test_different_counts_of_the_same_nodes_are_a_contradiction() -> None:
    both = fuse(
        "gpu",
        [
            found(S.NODES, PARTIAL, Counts(4, 6, 3)),
            found(S.LOG, PARTIAL, Counts(5, 6)),
        ],
    )
    assert both.verdict is UNKNOWN
    assert any("4" in item.text and "5 of 6" in item.text for item in both.evidence)
    folded = fuse(
        "gpu",
        [found(S.NODES, PARTIAL, Counts(4, 6, 3)), found(S.LOG, PARTIAL, Counts(5, 7))],
    )
    assert (folded.verdict, folded.delegated_nodes, folded.total_nodes) == (PARTIAL, 4, 6)


def test_numbers_are_those_of_the_strongest_and_gaps_are_filled() -> None:
    made = fuse(
        "gpu",
        [
            found(S.TOOL, PARTIAL, Counts(partitions=2)),
            found(S.MESSAGES, PARTIAL, Counts(49, 52)),
            Finding((), unsupported=(Refusal("CAST", "why"),), accelerators=("Adreno",)),
        ],
    )
    assert (made.delegated_nodes, made.total_nodes, made.partitions) == (49, 52, 2)
    assert made.unsupported == (Refusal("CAST", "why"),)
    assert made.accelerators == ("Adreno",)


def test_nodes_on_a_rasteriser_are_no_nodes_of_the_gpu() -> None:
    made = fuse("gpu", [found(S.NODES, FULL, Counts(65, 65, 1)), found(S.DEVICE, NONE)])
    assert (made.verdict, made.delegated_nodes, made.total_nodes) == (NONE, None, None)
    assert len(made.evidence) == 2


SAID = st.tuples(st.sampled_from(EvidenceSource), st.none() | st.sampled_from(Coverage))


@given(st.lists(SAID, max_size=6), st.randoms())
def test_order_does_not_matter_and_nothing_is_lost(
    said: list[tuple[EvidenceSource, Coverage | None]], random: object
) -> None:
    findings = [found(*item) for item in said]
    shuffled = list(findings)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = fuse("gpu", findings), fuse("gpu", shuffled)
    assert one.verdict is other.verdict
    assert set(one.evidence) == set(other.evidence)
    assert {item for f in findings for item in f.evidence} <= set(one.evidence)


@given(st.lists(SAID, min_size=1, max_size=6))
def test_a_number_stands_only_where_nothing_says_that_nothing_ran(
    said: list[tuple[EvidenceSource, Coverage | None]],
) -> None:
    made = fuse("gpu", [found(*item) for item in said])
    if made.as_requested:
        assert not any(w in (NONE, UNKNOWN) for s, w in said if s is not S.LATENCY)
        assert any(w in (FULL, PARTIAL) for _, w in said)


@given(st.lists(SAID, max_size=6))
def test_a_verdict_fused_again_stays_as_it_is(
    said: list[tuple[EvidenceSource, Coverage | None]],
) -> None:
    made = fuse("gpu", [found(*item) for item in said])
    assert fuse("gpu", [as_finding(made)]) == made


def test_a_verdict_of_an_old_store_is_kept() -> None:
    old = Delegation("gpu", FULL, 5, 5, 1, evidence=(Evidence(S.RECORD, "as it was"),))
    again = fuse("gpu", [as_finding(old)])
    assert (again.verdict, again.delegated_nodes) == (FULL, 5)
    assert fuse("gpu", [as_finding(old), found(S.PROFILE, NONE)]).verdict is UNKNOWN
