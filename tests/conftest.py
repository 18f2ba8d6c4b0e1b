"""Options and fixtures that every test may use."""

from __future__ import annotations

import random

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("sample")
    group.addoption(
        "--sample", type=int, default=None, help="run only this many tests, drawn at random"
    )
    group.addoption("--sample-seed", default="0", help="draws the sample; same seed, same tests")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep a seeded sample of what the other options selected."""
    size = config.getoption("--sample")
    if size is None or size >= len(items):
        return
    by_name = sorted(items, key=lambda item: item.nodeid)
    drawn = set(random.Random(config.getoption("--sample-seed")).sample(by_name, size))
    config.hook.pytest_deselected(items=[item for item in items if item not in drawn])
    items[:] = [item for item in items if item in drawn]
