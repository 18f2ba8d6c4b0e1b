"""Every mistake in a plan is one line that names the place and the nearest right word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cli.init import TEMPLATE
from bench.errors import UserError
from bench.planfile import parse_plan, read_plan

MODEL: dict[str, Any] = {"name": "m", "source": "m.keras"}


def complaint(**changes: Any) -> str:
    document = {"project": "p", "model": [MODEL], **changes}
    with pytest.raises(UserError) as caught:
        parse_plan(document, where="plan.toml")
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("plan.toml: ")
    return message


def test_the_smallest_plan_gets_the_defaults() -> None:
    plan = parse_plan({"project": "p", "model": [MODEL]}, where="plan.toml")
    assert plan.measure.delegates == ("none", "xnnpack")
    assert plan.measure.threads == (1, 2)
    assert plan.measure.rounds == 6
    assert plan.gates.accuracy_ratio_min == 0.97
    assert plan.gates.accuracy_drop_max_points == 3.0
    assert plan.analysis.delta == 0.02


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"measure": {"thread": [1]}}, ["measure.thread", "unknown key", "'threads'"]),
        ({"modle": []}, ["modle", "unknown key", "'model'"]),
        ({"model": [{**MODEL, "calib": "c"}]}, ["model[0].calib", "'calibration'"]),
        (
            {"model": [{**MODEL, "qat": {"epoch": 3}}]},
            ["model[0].qat.epoch", "unknown key", "'epochs'"],
        ),
        ({"measure": {"variants": ["int9"]}}, ["measure.variants[0]", "'int9'", "'int8'"]),
        (
            {"measure": {"delegates": ["xnnpak"]}},
            ["measure.delegates[0]", "delegate", "'xnnpack'"],
        ),
        (
            {"measure": {"delegates": [{"name": "gpuu"}]}},
            ["measure.delegates[0].name: 'gpuu' is not a delegate", "'gpu'"],
        ),
        (
            {"measure": {"delegates": [{"name": "gpu", "option": {}}]}},
            ["measure.delegates[0].option: unknown key", "'options'"],
        ),
        (
            {"measure": {"delegates": [{"options": {}}]}},
            ["measure.delegates[0].name: is missing"],
        ),
        (
            {"measure": {"delegates": [{"name": "gpu", "options": {"a": 1}}]}},
            ["measure.delegates[0].options.a: ", "string, not 1"],
        ),
        ({"measure": {"delegates": [3]}}, ["measure.delegates[0]: '3' is none of 'none'"]),
        ({"measure": {"runners": ["litertt"]}}, ["'litertt' is not a runner", "'litert'"]),
        ({"measure": {"profile": "twice"}}, ["measure.profile: 'twice' is none of 'once'"]),
        (
            {"measure": {"device_accuracy": "al"}},
            ['measure.device_accuracy: takes a number of samples or "all", not "al"'],
        ),
        (
            {"measure": {"device_accuracy": -1}},
            ['measure.device_accuracy: takes a number of samples or "all", not -1'],
        ),
        ({"model": [{"name": "m", "files": {"fp23": "x"}}]}, ["'fp23'", "variant", "'fp32'"]),
        ({"model": [{"name": "m"}]}, ["model[0]", "source", "files"]),
        ({"model": [{"source": "m.keras"}]}, ["model[0].name", "missing"]),
        ({"model": [{**MODEL, "name": "a/b"}]}, ["model[0].name", "slash"]),
        ({"model": [{**MODEL, "name": "a\nb"}]}, ["model[0].name", "control character"]),
        ({"model": []}, ["model", "empty"]),
        ({"measure": {"threads": [0]}}, ["measure.threads[0]", "greater than or equal to 1"]),
        ({"measure": {"threads": [True]}}, ["measure.threads[0]"]),
        ({"measure": {"rounds": "6"}}, ["measure.rounds", "integer"]),
        ({"gates": {"accuracy_ratio_min": 1.5}}, ["gates.accuracy_ratio_min"]),
        (
            {"gates": {"device": [{"p50_us_max": float("nan")}]}},
            ["gates.device[0].p50_us_max", "finite"],
        ),
        (
            {"gates": {"device": [{"p50_ms_max": 2}]}},
            ["gates.device[0].p50_ms_max", "'p50_us_max'"],
        ),
        ({"analysis": {"delta": 0}}, ["analysis.delta"]),
        ({"measure": 3}, ["measure"]),
    ],
)
def test_a_mistake_is_named_with_its_place(changes: dict[str, Any], parts: list[str]) -> None:
    message = complaint(**changes)
    for part in parts:
        assert part in message


def test_the_template_of_init_is_a_plan(tmp_path: Path) -> None:
    path = tmp_path / "edgebench.toml"
    path.write_text(TEMPLATE)
    assert read_plan(path).project == "my-project"


def test_every_key_in_the_template_that_is_commented_out_exists(tmp_path: Path) -> None:
    lines = []
    for line in TEMPLATE.splitlines():
        text = line.removeprefix("# ")
        is_setting = (
            text != line and (" = " in text or text.startswith("[")) and "edgebench" not in text
        )
        lines.append(text if is_setting else line)
    path = tmp_path / "edgebench.toml"
    path.write_text("\n".join(lines))
    plan = read_plan(path)
    assert plan.measure.precision == 0.02
    assert plan.gates.device[0].size_bytes_max == 4_000_000
    assert plan.model[0].qat.learning_rate == 0.001


@pytest.mark.parametrize(
    ("content", "part"),
    [(b"\xff\xfe", "UTF-8"), (b"project = ", "not TOML"), (b"", "is missing")],
)
def test_a_file_that_is_no_plan(tmp_path: Path, content: bytes, part: str) -> None:
    path = tmp_path / "edgebench.toml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=part):
        read_plan(path)


def test_a_missing_file_and_a_directory(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="edgebench init"):
        read_plan(tmp_path / "nothing.toml")
    with pytest.raises(UserError, match="directory"):
        read_plan(tmp_path)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["project", "model", "name", "source", "measure", "threads", "gates", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["project", "model", "measure", "gates"]), json_values))
def test_any_document_is_a_plan_or_one_line(document: dict[str, Any]) -> None:
    message = ""
    try:
        parse_plan(document, where="plan.toml")
    except UserError as error:
        message = str(error)
    assert "\n" not in message


EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*/edgebench.toml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_every_example_is_a_plan(path: Path) -> None:
    assert read_plan(path).model


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 2
