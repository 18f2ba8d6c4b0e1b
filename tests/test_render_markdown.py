"""The comparison as Markdown, against golden files, one per situation.

EDGEBENCH_UPDATE_GOLDEN=1 writes them anew; look at the difference before it is kept.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import comparisons
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.render.markdown import escape, markdown

GOLDEN = Path(__file__).parent / "golden" / "render"


@pytest.mark.parametrize("situation", comparisons.SITUATIONS)
def test_the_report_is_as_it_was_when_somebody_last_looked(situation: str) -> None:
    text = markdown(comparisons.SITUATIONS[situation]())
    golden = GOLDEN / f"{situation}.md"
    if os.environ.get("EDGEBENCH_UPDATE_GOLDEN"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("situation", comparisons.SITUATIONS)
def test_every_line_of_a_table_has_as_many_cells_as_its_head(situation: str) -> None:
    columns = 0
    for line in markdown(comparisons.SITUATIONS[situation]()).splitlines():
        cells = len(re.findall(r"(?<!\\)\|", line))
        if line.startswith("|"):
            columns = columns or cells
            assert cells == columns
        else:
            columns = 0


@pytest.mark.parametrize("situation", comparisons.SITUATIONS)
def test_a_table_has_one_line_per_case(situation: str) -> None:
    comparison = comparisons.SITUATIONS[situation]()
    text = markdown(comparison).split("## Notes")[0].split("## Across")[0].split("## Conditions")[0]
    text = text.split("## Variants")[0].split(": devices by delegates")[0]
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    heads = [line for line in lines if line.startswith("| variant | delegate")]
    assert len(lines) - len(heads) == len(comparison.rows)


def test_no_name_becomes_html_or_a_link() -> None:
    text = markdown(comparisons.hostile())
    assert re.findall(r"<(?!sup>|/sup>)", text) == []
    assert "\x1b" not in text


@given(st.text(alphabet=st.characters(categories=("L", "N", "P", "S", "Zs"))))
def test_escaped_text_has_no_bare_markup(text: str) -> None:
    escaped = escape(text)
    bare = re.sub(r"\\[\\`*_\[\]#|~$]|&(lt|gt|amp|#64|#58|#46);", "", escaped)
    assert not re.search(r"[\\`*_\[\]<>|~$@]", bare)
    assert "://" not in bare or re.search(r"\W://|^://", text)


def test_a_plain_name_stays_readable() -> None:
    assert escape("int8-qat · 2 threads (81.4 kB)") == "int8-qat · 2 threads (81.4 kB)"
