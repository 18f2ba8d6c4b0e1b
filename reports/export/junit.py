"""Gates as JUnit XML, which every CI service shows: a suite per model, a test per gate."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reports.model import Comparison, GateResult, GateStatus, Row
from reports.render.notes import place_text

# Not allowed in XML 1.0, not even escaped.
_INVALID = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Judgement:
    """The gates of one case of a model, or why there is nothing to judge.

    Attributes:
        case: names the case within the model, "int8 · xnnpack · 1 thread on local".
        missing: why a case that should be there is not, or None.
    """

    model: str
    case: str
    gates: tuple[GateResult, ...]
    missing: str | None = None


def judgements(comparison: Comparison) -> tuple[Judgement, ...]:
    """Every case of a run that can exist, with its runner where the run has several."""
    runners = {row.case.runner for row in comparison.rows}

    def name(row: Row) -> str:
        runner = f" by {row.case.runner}" if len(runners) > 1 else ""
        return f"{row.case.label} on {place_text(row)}{runner}"

    return tuple(
        Judgement(row.case.model, name(row), row.gates, row.failure)
        for row in comparison.rows
        if row.not_applicable is None
    )


def junit(cases: Sequence[Judgement], name: str) -> bytes:
    """A JUnit document: a failure for FAIL, skipped with its reason for UNSURE and UNKNOWN.

    A case that is missing is an error of its own. Characters that XML cannot hold are
    left out.

    Args:
        name: of the whole, e.g. the project.
    """
    suites = ET.Element("testsuites", name=_clean(name))
    for model in dict.fromkeys(case.model for case in cases):
        suite = ET.SubElement(suites, "testsuite", name=_clean(model))
        for case in cases:
            if case.model == model:
                _add_case(suite, case)
        _count(suite, [suite])
    _count(suites, suites)
    ET.indent(suites)
    text: bytes = ET.tostring(suites, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _add_case(suite: ET.Element, case: Judgement) -> None:
    classname = _clean(f"{case.model}.{case.case}")
    if case.missing is not None:
        test = ET.SubElement(suite, "testcase", classname=classname, name="measured")
        ET.SubElement(test, "error", message=_clean(case.missing))
    for gate in case.gates:
        test = ET.SubElement(suite, "testcase", classname=classname, name=_clean(gate.name))
        if gate.status is GateStatus.FAIL:
            ET.SubElement(test, "failure", message=_clean(gate.reason))
        elif gate.status is not GateStatus.PASS:
            ET.SubElement(test, "skipped", message=_clean(f"{gate.status}: {gate.reason}"))


def _count(element: ET.Element, suites: Iterable[ET.Element]) -> None:
    suites = list(suites)
    for key, tag in (
        ("tests", "testcase"),
        ("failures", "testcase/failure"),
        ("errors", "testcase/error"),
        ("skipped", "testcase/skipped"),
    ):
        element.set(key, str(sum(len(suite.findall(tag)) for suite in suites)))


def _clean(text: str) -> str:
    return _INVALID.sub("", text)
