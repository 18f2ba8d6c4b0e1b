"""The page of the week in a real browser: what it loads, what it shows, what sticks out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import weeks
from test_browser import CONTRASTS, HEIGHT, STICKS_OUT, browser  # noqa: F401

from reports.weekly.html import html

pytestmark = pytest.mark.xdist_group("browser")

# As if somebody had scrolled over all of it: what is far away is not drawn.
DRAW_ALL = """() => {
  document.querySelectorAll("details").forEach(d => d.open = true);
  document.querySelectorAll("figure").forEach(f => f.style.contentVisibility = "visible");
}"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("weeks")
    made = {}
    for name in ("eventful", "quiet", "silent", "several", "hostile"):
        made[name] = folder / f"{name}.html"
        made[name].write_text(html(weeks.SITUATIONS[name]()), encoding="utf-8")
    return made


@pytest.fixture
def open_week(browser: Any, pages: dict[str, Path]) -> Iterator[Any]:  # noqa: F811
    context = browser.new_context(offline=True, viewport={"width": 1280, "height": HEIGHT})
    context.set_default_timeout(60_000)
    context.add_init_script(
        "addEventListener('securitypolicyviolation',"
        " event => console.error('policy', event.violatedDirective, event.blockedURI))"
    )

    def open_it(name: str) -> Any:
        page = context.new_page()
        page.seen = []
        page.on("request", lambda request: page.seen.append(request.url))
        page.on("console", lambda message: page.seen.append(message.text))
        page.on("pageerror", lambda error: page.seen.append(str(error)))
        page.goto(pages[name].as_uri())
        return page

    yield open_it
    context.close()


@pytest.mark.parametrize("name", ["eventful", "quiet", "silent", "several", "hostile"])
def test_it_loads_nothing_runs_nothing_and_nothing_sticks_out(
    open_week: Any, pages: dict[str, Path], name: str
) -> None:
    page = open_week(name)
    page.evaluate(DRAW_ALL)
    for width in (1280, 400):
        page.set_viewport_size({"width": width, "height": HEIGHT})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(STICKS_OUT) == []
    assert page.locator("script, img, iframe, object, embed, form, base").count() == 0
    assert page.seen == [pages[name].as_uri()]


def test_the_first_screen_tells_the_story(open_week: Any) -> None:
    page = open_week("eventful")
    seen = page.evaluate(
        """height => [...document.querySelectorAll("h1, .coverage p, .finding h3")]
        .filter(e => e.getBoundingClientRect().bottom <= height).map(e => e.innerText)""",
        HEIGHT,
    )
    told = " ".join(seen)
    for words in ("regression confirmed", "37 of 44", "WRONG", "FELL BACK", "SLOWER", "suspected"):
        assert words in told


@pytest.mark.parametrize("name", ["eventful", "silent"])
def test_text_can_be_read_in_light_and_dark(open_week: Any, name: str) -> None:
    page = open_week(name)
    page.evaluate(DRAW_ALL)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        measured = page.evaluate(CONTRASTS)
        assert [text for text in measured if text["ratio"] < text["needed"]] == []


def test_it_prints(open_week: Any) -> None:
    page = open_week("eventful")
    page.emulate_media(media="print")
    assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF-")
    # An A4 page less the margins, in CSS pixels: nothing is cut off.
    page.set_viewport_size({"width": 700, "height": 1000})
    assert page.evaluate("document.documentElement.scrollWidth") <= 700
