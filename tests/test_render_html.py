"""The HTML report: self-contained, escaped, complete."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from html.parser import HTMLParser

import comparisons
import pytest

from reports.render.html import html

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """The elements, their attributes and texts of a page, and that they close."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.scripts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif data.strip():
            self.texts.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.texts).split())


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return {name: html(make()) for name, make in comparisons.SITUATIONS.items()}


@pytest.mark.parametrize("situation", comparisons.SITUATIONS)
def test_the_page_is_well_formed_and_loads_nothing(pages: dict[str, str], situation: str) -> None:
    page = Page(pages[situation])
    assert page.open == []
    for tag, attributes in page.elements:
        assert tag not in {"iframe", "object", "embed", "base", "form", "img", "image", "audio"}
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "srcset", "href", "xlink:href", "data", "poster", "action"):
            assert (attributes.get(name) or "#").startswith(("#", "data:,")), (tag, attributes)
    assert not re.search(r"@import|url\((?!#)|https?://", pages[situation])


@pytest.mark.parametrize("situation", comparisons.SITUATIONS)
def test_only_our_own_script_may_run(pages: dict[str, str], situation: str) -> None:
    page = Page(pages[situation])
    policy = next(
        attributes["content"] or ""
        for tag, attributes in page.elements
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert len(page.scripts) == 1
    digest = base64.b64encode(hashlib.sha256(page.scripts[0].encode()).digest()).decode()
    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{digest}';" in policy


@pytest.mark.parametrize("situation", comparisons.SITUATIONS)
def test_ids_are_unique_and_links_lead_somewhere(pages: dict[str, str], situation: str) -> None:
    page = Page(pages[situation])
    ids = Counter(attributes["id"] for _, attributes in page.elements if "id" in attributes)
    assert [name for name, count in ids.items() if count > 1] == []
    for tag, attributes in page.elements:
        if tag == "a":
            assert (attributes["href"] or "").removeprefix("#") in ids


def test_hostile_names_are_text(pages: dict[str, str]) -> None:
    page = Page(pages["hostile"])
    for name in comparisons.HOSTILE:
        shown = name.replace("\n", r"\n").replace("\r", r"\r").replace("\t", r"\t")
        shown = shown.replace("\x1b", r"\x1b").replace("\u202e", r"\u202e")
        assert " ".join(shown.split()) in page.words
    assert "\x1b" not in pages["hostile"]


def test_every_case_is_a_line_and_numbers_carry_a_key_to_sort_by(pages: dict[str, str]) -> None:
    body = pages["good"].split('<table class="sortable">')[1].split("</tbody>")[0]
    assert body.split("<tbody>")[1].count("<tr>") == 20
    keys = [float(key) for key in re.findall(r'data-sort="([^"]+)"', body)]
    p50s = [row.p50_us for row in comparisons.good().rows]
    assert all(p50 in keys for p50 in p50s)


def test_heads_are_buttons_that_say_how_they_sort(pages: dict[str, str]) -> None:
    head = pages["good"].split('<table class="sortable">')[1].split("</thead>")[0]
    assert head.count("<th ") == head.count('aria-sort="none"') == head.count("<button") == 17


def test_the_advice_comes_before_the_table(pages: dict[str, str]) -> None:
    words = Page(pages["good"]).words
    advice = words.index("digits: use int8-qat")
    assert advice < words.index("All cases") < words.index("Charts")
    assert "no variant can be recommended" in Page(pages["failures"]).words


def test_what_is_doubtful_is_said(pages: dict[str, str]) -> None:
    words = Page(pages["failures"]).words
    for text in (
        "the runtime aborted (signal 6) in all 6 launches",
        "NNAPI does not exist on Linux",
        "not as asked",
        "62 %: 4.63 ms",
        "94 %: min–max",
        "FAILED: convert: the converter ran out",
        "The run is interrupted",
    ):
        assert text in words


def test_simulated_is_in_the_title_the_banner_and_the_table(pages: dict[str, str]) -> None:
    assert "<title>SIMULATED" in pages["simulated"]
    words = Page(pages["simulated"]).words
    assert "SIMULATED: these numbers" in words
    assert "SIMULATED: digits on board-1" in words
    assert "SIMULATED" not in pages["good"]


def test_provenance_and_every_launch_stand_in_the_page(pages: dict[str, str]) -> None:
    words = Page(pages["good"]).words
    assert "calibration.samples 200" in words
    assert f"{comparisons.SIZES['int8']:064x}" in words
    # Beside the charts of samples, not the first of what is folded away.
    details = pages["good"].split("percentiles</summary>")[1].split("</details>")[0]
    assert details.count("<tr>") == 1 + 20 * 6
