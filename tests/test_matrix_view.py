"""Device by delegate in every medium: words, numbers, and the way to the evidence."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import comparisons
import pytest
from rich.console import Console

from bench.delegation.model import Coverage
from bench.identity import DelegateSpec
from reports.delegate_model import AgainstCpu
from reports.model import Comparison, Row
from reports.render.evidence import evidence
from reports.render.html import html
from reports.render.markdown import markdown
from reports.render.matrix import MatrixEntry, matrices
from reports.render.terminal import terminal
from reports.render.terminal_delegates import EvidenceScreen


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    return comparisons.delegates()


def entries(comparison: Comparison, variant: str, device: str, delegate: str) -> list[MatrixEntry]:
    (matrix,) = matrices(comparison)
    (line,) = (x for x in matrix.lines if x.variant == variant and x.device.startswith(device))
    return list(line.cells[matrix.delegates.index(delegate)])


def entry(comparison: Comparison, variant: str, device: str, delegate: str) -> MatrixEntry:
    (found,) = entries(comparison, variant, device, delegate)
    return found


def printed(renderable: object, width: int = 160) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(renderable)
    return out.getvalue()


@pytest.mark.parametrize(
    ("variant", "device", "delegate", "text", "shade"),
    [
        ("fp32", "phone-a", "xnnpack", "1.89 ms FULL", "full"),
        ("fp32", "phone-a", "none", "0.238× plain kernels", "plain"),
        ("fp32", "phone-a", "gpu", "3.21× FULL", "full"),
        ("int8", "phone-a", "gpu", "1.40× PARTIAL", "partial"),
        ("fp32", "phone-b", "gpu", "3.21× FULL, WRONG answers", "wrong"),
        ("fp32", "phone-a", "npu", "1.00× FULL, SUSPECT", "unknown"),
        ("fp32", "phone-b", "npu", "UNKNOWN", "unknown"),
        ("fp32", "phone-a", "nnapi", "NONE, no number", "none"),
        ("fp32", "pi4", "gpu", "N/A", "absent"),
    ],
)
def test_every_verdict_has_its_word_and_its_shade(
    comparison: Comparison, variant: str, device: str, delegate: str, text: str, shade: str
) -> None:
    found = entry(comparison, variant, device, delegate)
    assert (found.text, found.shade) == (text, shade)


def test_the_interval_stands_with_the_number(comparison: Comparison) -> None:
    assert entry(comparison, "fp32", "phone-a", "gpu").detail == "[3.16, 3.25]"
    assert entry(comparison, "fp32", "phone-a", "npu").detail == "[0.989, 1.02] same"
    assert entry(comparison, "fp32", "phone-a", "nnapi").detail == ""


def test_simulated_devices_are_marked_in_their_line(comparison: Comparison) -> None:
    (matrix,) = matrices(comparison)
    marked = {line.device for line in matrix.lines if "simulated" in line.device}
    assert marked == {"emu-1, simulated"}
    assert "SIMULATED" not in matrix.title
    all_of_them = tuple(replace(row, simulated=True) for row in comparison.rows)
    (matrix,) = matrices(replace(comparison, rows=all_of_them))
    assert matrix.title.startswith("SIMULATED: ")
    assert not any("simulated" in line.device for line in matrix.lines)


def test_cases_that_share_a_cell_say_what_tells_them_apart() -> None:
    found = entries(comparisons.good(), "fp32", "local", "none")
    assert [one.label for one in found] == ["1 thread", "2 threads"]
    assert found[0].text == "1 thread: 0.238× plain kernels"


def test_a_delegate_with_options_is_a_column_of_its_own(comparison: Comparison) -> None:
    gpu = next(row for row in comparison.rows if row.case.delegate.name == "gpu")
    spec = DelegateSpec("gpu", (("precision", "fp32"),))
    case = replace(gpu.case, delegate=spec)
    (matrix,) = matrices(
        replace(comparison, rows=(*comparison.rows, replace(gpu, case=case, case_id=case.case_id)))
    )
    assert matrix.delegates == ("none", "xnnpack", "gpu", "nnapi", "npu", "gpu precision=fp32")


def test_one_delegate_alone_makes_no_matrix() -> None:
    assert matrices(comparisons.simulated()) == ()


def test_a_number_that_is_not_known_to_be_the_delegates_is_not_shown() -> None:
    base = comparisons.row("fp32", device="phone")
    unknown = comparisons.on("gpu", base, None)
    assert unknown.p50_us is not None
    assert unknown.delegation is not None
    unknown = replace(unknown, delegation=replace(unknown.delegation, verdict=Coverage.UNKNOWN))
    found = entry(comparisons.comparison((base, unknown)), "fp32", "phone", "gpu")
    assert found.text == "UNKNOWN"


def test_every_cell_of_the_page_leads_to_its_evidence(comparison: Comparison) -> None:
    page = html(comparison)
    table = page.split('<table class="coverage">')[1].split("</table>")[0]
    links = re.findall(r'href="#(evidence-\d+)"', table)
    assert sorted(links) == sorted(one.anchor for one in evidence(comparison))
    number = next(
        n
        for n, row in enumerate(comparison.rows, start=1)
        if (row.case.variant, row.case.delegate.name) == ("int8", "gpu")
    )
    lines = page.split(f'<tr id="evidence-{number}">')[1].split("</tr>")[0]
    for words in (
        "gpu PARTIAL: 27 of 30 nodes in 2 partitions",
        "The tool says: completely executed. (says FULL)",
        "CAST (2 nodes): not supported",
        "TOPK_V2: no reason is told",
        "2 CAST, 1 TOPK_V2",
        "34.0 % of the time of all ops",
        "a graphics adapter",
        "1.40× [1.38, 1.42] xnnpack, changed",
        "not checked: the tool aborted (signal 6)",
    ):
        assert words in lines, words


def test_every_piece_of_evidence_is_a_line(comparison: Comparison) -> None:
    for row, seen in zip(comparison.rows, evidence(comparison), strict=True):
        texts = [text for _, text in seen.lines]
        for item in () if row.delegation is None else row.delegation.evidence:
            assert any(text.startswith(item.text) for text in texts)


def test_wrong_answers_are_called_so_in_every_medium(comparison: Comparison) -> None:
    wrong = sum(row.is_wrong for row in comparison.rows)
    assert wrong == 2
    for width in (60, 120, 200):
        # Beside the delegate, the p50 and the matrix, at the very least.
        assert printed(terminal(comparison), width).count("WRONG") >= 3 * wrong
    text = markdown(comparison)
    lines = [
        line for line in text.splitlines() if line.startswith(("| fp32 | gpu", "| fp16 | gpu"))
    ]
    # Beside the delegate and the p50, and of fp16 beside the speed-up too.
    assert sorted(line.count("WRONG answers") for line in lines) == [0] * 6 + [2, 3]
    assert "**3.21× FULL, WRONG answers \\[3.16, 3.25\\]**" in text
    assert "<s>3.21×</s>" in html(comparison)


def test_answers_are_a_table_with_figures_and_reasons(comparison: Comparison) -> None:
    text = markdown(comparison)
    answers = text.split("## Answers")[1].split("## ")[0]
    checked = sum(row.answers is not None for row in comparison.rows)
    assert len([line for line in answers.splitlines() if line.startswith("| digits")]) == checked
    assert "accuracy 96.00 % 100 of 719 samples reference 97.00 %" in answers
    assert "the tool aborted (signal 6)" in answers
    assert "plain kernels, a runtime 1.2.3, x86\\_64" in answers


def test_answers_of_one_case_by_two_runners_are_told_apart(comparison: Comparison) -> None:
    gpu = next(row for row in comparison.rows if row.answers is not None)
    case = replace(gpu.case, runner="benchmark_model")
    twin = replace(gpu, case=case, case_id=case.case_id)
    for text in (
        markdown(replace(comparison, rows=(gpu, twin))),
        printed(terminal(replace(comparison, rows=(gpu, twin))), 80),
    ):
        answers = text.split("Answers")[1].replace("\\_", "_")
        assert f"by {gpu.case.runner}" in answers
        assert "by benchmark_model" in answers


def test_a_run_without_checks_has_no_column_and_no_table_of_answers() -> None:
    text = markdown(comparisons.good())
    assert "| answers |" not in text
    assert "## Answers" not in text


def test_evidence_can_be_picked(comparison: Comparison) -> None:
    def of_nnapi(row: Row) -> bool:
        return row.case.delegate.name == "nnapi" and row.case.device == "phone-b"

    text = printed(EvidenceScreen(comparison, of_nnapi))
    assert text.count("NNAPI has no accelerator but nnapi-reference.") == 3
    assert "gpu" not in text


def test_a_reference_without_a_number_shows_none() -> None:
    base = comparisons.without_numbers(
        comparisons.row("fp32"), failure="crash", against_cpu=AgainstCpu(None, None, None)
    )
    plain = comparisons.row("fp32", "none")
    found = entry(comparisons.comparison((base, plain)), "fp32", "local", "xnnpack")
    assert found.text == "FAILED"
