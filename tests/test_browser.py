"""The HTML report in a real browser: what it loads, runs, sorts, shows and prints."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import comparisons
import pytest

from reports.render.html import html

HEIGHT = 900
# One worker gets them all: a browser is dear to start.
pytestmark = pytest.mark.xdist_group("browser")

CELLS = """table => {
  const heads = [...table.tHead.rows[0].cells], rows = [...table.tBodies[0].rows];
  return {
    heads: heads.map(head => head.ariaSort),
    numeric: heads.map(h => h.classList.contains("num") || h.dataset.numeric === "yes"),
    keys: rows.map(row => [...row.cells].map(
      cell => cell.dataset.sort === undefined ? null : Number(cell.dataset.sort))),
    texts: rows.map(row => [...row.cells].map(cell => cell.textContent.trim())),
  };
}"""
# Every element that holds text of its own: its colour over whatever lies behind it, as
# WCAG 2 counts contrast. Opacity and translucent colours are blended in.
CONTRASTS = """() => {
  const context = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgba = colour => {
    context.clearRect(0, 0, 1, 1); context.fillStyle = colour; context.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = context.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, under) =>
    [0, 1, 2].map(i => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
  const luminance = colour => {
    const [r, g, b] = colour.slice(0, 3).map(c => c / 255)
      .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = element => {
    const chain = [];
    for (let e = element; e; e = e.parentElement) chain.unshift(e);
    return chain.reduce((under, e) => over(rgba(getComputedStyle(e).backgroundColor), under),
      [255, 255, 255, 1]);
  };
  const found = new Map();
  const judge = (element, pseudo, text) => {
    const style = getComputedStyle(element, pseudo);
    const drawn = element.closest("svg") ? style.fill : style.color;
    const [r, g, b, a] = rgba(drawn);
    let opacity = pseudo ? Number(style.opacity) : 1;
    for (let e = element; e; e = e.parentElement) opacity *= Number(getComputedStyle(e).opacity);
    const ground = behind(element);
    const [light, dark] = [luminance(over([r, g, b, a * opacity], ground)), luminance(ground)]
      .sort((x, y) => y - x);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const ratio = (light + 0.05) / (dark + 0.05);
    found.set(`${element.localName}.${element.className} ${drawn} ${ground} ${opacity} ${large}`,
      {text: text.trim().slice(0, 40), ratio, needed: large ? 3 : 4.5});
  };
  for (const element of document.body.querySelectorAll("*")) {
    if (["SCRIPT", "STYLE"].includes(element.tagName) || !element.checkVisibility()) continue;
    const own = [...element.childNodes].filter(n => n.nodeType === 3 && n.data.trim());
    if (own.length) judge(element, null, own[0].data);
    const mark = getComputedStyle(element, "::after").content;
    if (mark && !["none", "normal"].includes(mark)) judge(element, "::after", mark);
  }
  return [...found.values()];
}"""
# What lies beyond the page's edge although no box around it scrolls it there.
STICKS_OUT = """() => [...document.body.querySelectorAll("*")].filter(element => {
  if (element.getBoundingClientRect().right <= innerWidth + 1) return false;
  for (let e = element.parentElement; e; e = e.parentElement)
    if (getComputedStyle(e).overflowX === "auto") return false;
  return element.checkVisibility();
}).map(element => element.outerHTML.slice(0, 80))"""


@dataclass
class Seen:
    """Everything that a quiet page does not do."""

    requests: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)


@dataclass
class Opened:
    page: Any
    seen: Seen
    address: str


def _unavailable(reason: str) -> None:
    if os.environ.get("EDGEBENCH_REQUIRE_BROWSER") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        _unavailable("no chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Containers give its sandbox no namespaces; it opens only pages made here.
        browser = playwright.chromium.launch(executable_path=program, chromium_sandbox=False)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every situation as a file on disk."""
    folder = tmp_path_factory.mktemp("reports")
    made = {}
    for name, make in comparisons.SITUATIONS.items():
        made[name] = folder / f"{name}.html"
        made[name].write_text(html(make()), encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def open_report(browser: Any, files: dict[str, Path]) -> Iterator[Any]:
    """Open a report from disk, in a new page and without a network."""
    context = browser.new_context(offline=True)
    context.set_default_timeout(60_000)
    context.add_init_script(
        "addEventListener('securitypolicyviolation',"
        " event => console.error('policy', event.violatedDirective, event.blockedURI))"
    )

    def open_it(situation: str) -> Opened:
        for old in context.pages:
            old.close()
        page, seen = context.new_page(), Seen()
        page.set_viewport_size({"width": 1400, "height": HEIGHT})
        page.on("request", lambda request: seen.requests.append(request.url))
        page.on("console", lambda message: seen.messages.append(f"{message.type} {message.text}"))
        page.on("pageerror", lambda error: seen.messages.append(str(error)))
        page.on("dialog", lambda dialog: (seen.dialogs.append(dialog.message), dialog.dismiss()))
        address = files[situation].as_uri()
        page.goto(address)
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        return Opened(page, seen, address)

    yield open_it
    context.close()


def table_of(opened: Opened) -> Any:
    return opened.page.locator("table.sortable").first


def press(opened: Opened, button: Any, by: str) -> None:
    if by == "mouse":
        button.click()
    else:
        button.focus()
        opened.page.keyboard.press(by)


@pytest.mark.parametrize("situation", comparisons.SITUATIONS)
def test_the_report_loads_nothing_and_says_nothing(open_report: Any, situation: str) -> None:
    opened = open_report(situation)
    opened.page.emulate_media(color_scheme="dark")
    table_of(opened).locator("thead button").last.click()
    opened.page.emulate_media(media="print")
    assert opened.page.pdf(prefer_css_page_size=True).startswith(b"%PDF-")
    # An A4 page on its side, less the margins, in CSS pixels: nothing is cut off.
    opened.page.set_viewport_size({"width": 1032, "height": 700})
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= 1032
    assert [r for r in opened.seen.requests if not r.startswith("data:")] == [opened.address]
    assert opened.seen.messages == []
    assert opened.seen.dialogs == []


def test_a_load_or_a_script_from_elsewhere_is_refused_and_seen(open_report: Any) -> None:
    opened = open_report("simulated")
    with opened.page.expect_console_message(lambda message: "img-src" in message.text):
        opened.page.evaluate(
            "document.body.append(Object.assign(new Image(), {src: 'https://example.org/x.png'}))"
        )
    with opened.page.expect_console_message(lambda message: "script-src" in message.text):
        opened.page.evaluate(
            "document.body.append(Object.assign(document.createElement('script'),"
            " {textContent: 'window.ran = true'}))"
        )
    assert opened.page.evaluate("window.ran === undefined")


@pytest.mark.parametrize("by", ["mouse", "Enter", "Space"])
def test_every_column_sorts(open_report: Any, by: str) -> None:
    opened = open_report("failures")
    table = table_of(opened)
    before = table.evaluate(CELLS)
    for index, button in enumerate(table.locator("thead th button").all()):
        for state in ("ascending", "descending"):
            press(opened, button, by)
            now = table.evaluate(CELLS)
            others = ["none"] * len(now["heads"])
            others[index] = state
            assert now["heads"] == others
            # The texts of the failures are plain: Python sorts them as the browser does.
            which = "keys" if now["numeric"][index] else "texts"
            keys = [row[index] for row in now[which]]
            known = [key for key in keys if key is not None]
            assert known == sorted(known, reverse=state == "descending"), (index, state)
            assert keys[len(known) :] == [None] * (len(keys) - len(known)), "unknown goes last"
            assert sorted(now["texts"]) == sorted(before["texts"])


def test_numbers_sort_as_numbers_and_not_as_text(open_report: Any) -> None:
    table = table_of(open_report("good"))
    titles = table.locator("thead th").all_inner_texts()
    p50 = next(i for i, title in enumerate(titles) if title.startswith("p50"))
    table.locator("thead th button").nth(p50).click()
    now = table.evaluate(CELLS)
    fastest = sorted(row.p50_us for row in comparisons.good().rows if row.p50_us is not None)
    assert [row[p50] for row in now["keys"]] == pytest.approx(fastest)
    texts = [row[p50] for row in now["texts"]]
    assert texts != sorted(texts), "these texts would not show the difference"


def test_the_keyboard_reaches_the_heads(open_report: Any) -> None:
    opened = open_report("simulated")
    table_of(opened).locator("thead button").first.focus()
    opened.page.keyboard.press("Tab")
    opened.page.keyboard.press("Enter")
    assert table_of(opened).evaluate(CELLS)["heads"][:2] == ["none", "ascending"]


def test_a_footnote_leads_to_its_note(open_report: Any) -> None:
    opened = open_report("failures")
    links = opened.page.locator("sup a")
    assert links.count() > 10
    # Each number once is enough: a note may have many marks.
    seen = set()
    for link in links.all():
        number = link.inner_text()
        if number in seen:
            continue
        seen.add(number)
        link.click()
        target = opened.page.locator("li:target")
        assert target.get_attribute("id") == f"note-{number}"
        box = target.bounding_box()
        assert box is not None
        assert 0 <= box["y"] < HEIGHT, "the note is not on the screen"
        assert target.evaluate("li => [...li.parentElement.children].indexOf(li) + 1") == int(
            number
        )


def test_a_cell_of_the_matrix_leads_to_its_evidence(open_report: Any) -> None:
    page = open_report("delegates").page
    cell = page.locator("table.coverage a.verdict-wrong").first
    cell.click()
    target = page.locator("tr:target")
    assert f"#{target.get_attribute('id')}" == cell.get_attribute("href")
    assert "gpu" in target.inner_text()
    assert "WRONG" in target.inner_text()
    box = target.bounding_box()
    assert box is not None
    assert 0 <= box["y"] < HEIGHT, "the evidence is not on the screen"


def test_hostile_names_are_text(open_report: Any) -> None:
    opened = open_report("hostile")
    assert opened.seen.dialogs == []
    assert opened.page.locator("script").count() == 1
    assert opened.page.locator("img, iframe, object, embed, form, base, red").count() == 0
    # The same elements as any other report, and none that a name has made.
    kinds = "() => [...new Set([...document.querySelectorAll('*')].map(e => e.localName))].sort()"
    strange = opened.page.evaluate(kinds)
    assert set(strange) <= set(open_report("failures").page.evaluate(kinds))
    shown = open_report("hostile").page.locator("main").inner_text()
    for name in ("<script>alert(1)</script>", "</style><img src=x onerror=alert(1)>]]>&amp;"):
        assert name in shown


@pytest.mark.parametrize(
    "situation", ["good", "failures", "hostile", "multi", "phones", "delegates"]
)
def test_nothing_sticks_out_sideways(open_report: Any, situation: str) -> None:
    page = open_report(situation).page
    for width in (1400, 800, 400):
        page.set_viewport_size({"width": width, "height": HEIGHT})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(STICKS_OUT) == []
    for box in (".scroll", ".drawing"):
        moved = page.locator(box).first.evaluate("b => { b.scrollLeft = 60; return b.scrollLeft }")
        assert moved > 0, "what does not fit at 400 pixels must scroll in its box"


@pytest.mark.parametrize("situation", ["good", "failures", "simulated", "phones", "delegates"])
def test_text_can_be_read_in_light_and_dark(open_report: Any, situation: str) -> None:
    page = open_report(situation).page
    grounds = set()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        measured = page.evaluate(CONTRASTS)
        assert len(measured) > 10
        assert [text for text in measured if text["ratio"] < text["needed"]] == []
        grounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(grounds) == 2, "dark is not dark"
