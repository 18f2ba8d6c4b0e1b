"""JUnit that any XML reader takes, with a verdict for every gate."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import comparisons
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.export.junit import Judgement, judgements, junit
from reports.model import GateResult, GateStatus


def gate(status: GateStatus, reason: str = "because", name: str = "p50_us_max") -> GateResult:
    return GateResult(name, status, 1.0, None, reason)


def parse(cases: list[Judgement], name: str = "p") -> ET.Element:
    return ET.fromstring(junit(cases, name))


def test_a_suite_per_model_and_a_test_per_gate() -> None:
    cases = [
        Judgement("a", "fp32", (gate(GateStatus.PASS), gate(GateStatus.UNKNOWN, name="size"))),
        Judgement("b", "int8", (gate(GateStatus.FAIL), gate(GateStatus.UNSURE, name="size"))),
        Judgement("b", "fp16", (), "crashed"),
    ]
    root = parse(cases)
    assert [suite.get("name") for suite in root] == ["a", "b"]
    assert (root.get("tests"), root.get("failures")) == ("5", "1")
    assert (root.get("errors"), root.get("skipped")) == ("1", "2")
    passed, unknown = root[0]
    assert (passed.get("classname"), passed.get("name"), list(passed)) == (
        "a.fp32",
        "p50_us_max",
        [],
    )
    assert unknown[0].tag == "skipped"
    assert unknown[0].get("message") == "UNKNOWN: because"
    assert [test[0].tag for test in root[1]] == ["failure", "skipped", "error"]
    assert root[1][2][0].get("message") == "crashed"


@given(st.text(st.characters()), st.text(st.characters()))
def test_no_name_breaks_the_document(name: str, reason: str) -> None:
    root = parse([Judgement(name, name, (gate(GateStatus.FAIL, reason),))], name)
    (suite,) = root
    (failure,) = suite[0]
    assert failure.tag == "failure"
    message = failure.get("message") or ""
    # Every character that XML can hold is kept.
    assert [c for c in message if c.isalnum()] == [c for c in reason if c.isalnum()]


@pytest.mark.parametrize("situation", comparisons.SITUATIONS)
def test_every_case_that_can_exist_is_in_it(situation: str) -> None:
    comparison = comparisons.SITUATIONS[situation]()
    cases = judgements(comparison)
    possible = [row for row in comparison.rows if row.not_applicable is None]
    assert len(cases) == len(possible)
    root = ET.fromstring(junit(cases, comparison.project))
    failed = sum(gate.status is GateStatus.FAIL for row in possible for gate in row.gates)
    assert root.get("failures") == str(failed)
    assert root.get("errors") == str(sum(row.failure is not None for row in possible))
