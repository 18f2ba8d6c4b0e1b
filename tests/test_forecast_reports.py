"""A forecast beside its measurement in every kind of report, and `inspect --delegates`."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from analysis import around, rounds, run_data, variant_record
from models import float_model, partial_model, write_model
from records import case
from rich.console import Console

from bench.cli.main import main
from bench.delegation.model import Coverage, Delegation
from bench.forecast.forecast import forecasts
from bench.forecast.model import Expected
from bench.forecast.rules import load_rules
from bench.forecast.stored import KEY, to_json
from bench.records import VariantRecord
from bench.tflite.graph import parse_model
from reports.compare import compare
from reports.export.json import comparison_to_json
from reports.model import Comparison
from reports.render.evidence import evidence
from reports.render.html import html
from reports.render.markdown import markdown
from reports.render.terminal import terminal
from reports.render.view import view

OUTSIDE = Delegation("xnnpack", Coverage.PARTIAL, 3, 4, 2, {"ATAN2": 1})
ALL = Delegation("xnnpack", Coverage.FULL, 4, 4, 1)


def forecast_of(data: bytes) -> VariantRecord:
    found = to_json(forecasts(parse_model(data), load_rules()))
    return variant_record("fp32", provenance={KEY: found})


def compared(
    taken: Delegation, made: VariantRecord | None = None, *, delegate: str = "xnnpack"
) -> Comparison:
    of = case("fp32", delegate)
    launches = {of: rounds(of, around(1000.0), delegation=taken)}
    return compare(run_data(launches, made=[made or forecast_of(partial_model())]))


def shown(comparison: Comparison) -> str:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(terminal(comparison))
    return console.export_text()


def test_agreement_is_one_line_and_stands_with_the_evidence() -> None:
    comparison = compared(OUTSIDE)
    assert view(comparison).forecasts[0] == "1 of 1 forecast agree with the measurement"
    lines = dict(evidence(comparison)[0].lines)
    assert lines["forecast"].startswith("PARTIAL (3 of 4 nodes) by the list of XNNPACK")
    assert lines["forecast"].endswith("the measurement agrees")


def test_a_disagreement_stands_in_words_in_every_report() -> None:
    comparison = compared(ALL)
    words = "ATAN2: 1 were to stay outside, all of them ran on xnnpack"
    for text in (html(comparison), markdown(comparison).replace("\\", ""), shown(comparison)):
        assert words in " ".join(text.split())
        assert "0 of 1 forecast agree" in " ".join(text.split())
    (row,) = comparison_to_json(comparison)["cases"]
    assert row["forecast"]["disagreements"] == [words]
    assert row["forecast"]["verdict"] == "PARTIAL"
    assert row["forecast"]["refused"][0]["op"] == "ATAN2"
    assert row["forecast"]["documents"]


def test_what_was_not_measured_is_not_compared() -> None:
    comparison = compared(Delegation("xnnpack", Coverage.UNKNOWN))
    assert view(comparison).forecasts[0] == "1 forecast cannot be compared: see the evidence"
    (row,) = comparison_to_json(comparison)["cases"]
    assert row["forecast"]["not_compared"] == "it is not known what the delegate took"


@pytest.mark.parametrize(
    "made",
    [
        variant_record("fp32"),
        variant_record("fp32", provenance={KEY: "of another version"}),
    ],
)
def test_a_run_without_forecasts_says_nothing_of_them(made: VariantRecord) -> None:
    comparison = compared(OUTSIDE, made)
    assert view(comparison).forecasts == ()
    assert comparison_to_json(comparison)["cases"][0]["forecast"] is None
    assert "Forecast" not in markdown(comparison)
    assert "forecast" not in dict(evidence(comparison)[0].lines)


def test_plain_kernels_have_no_forecast() -> None:
    none = Delegation("none", Coverage.NONE, 0, 4, 0)
    assert compared(none, delegate="none").rows[0].forecast is None


def test_names_in_a_forecast_are_data() -> None:
    (row,) = compared(ALL).rows
    seen = row.forecast
    assert seen is not None
    bad = "<q>\x1b[31m`|x"
    hostile = replace(seen.forecast, refused=(Expected(bad, 1, bad),), title=bad)
    checked = replace(seen.checked, disagreements=(bad,))
    made = replace(row, forecast=replace(seen, forecast=hostile, checked=checked))
    comparison = replace(compared(ALL), rows=(made,))
    assert "<q>" not in html(comparison)
    assert "<q>" not in markdown(comparison)
    for text in (html(comparison), markdown(comparison), shown(comparison)):
        assert "\x1b[31m" not in text


def inspected(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert main(["inspect", *argv]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return " ".join(out.split())


def test_inspect_says_what_delegates_should_take(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    path = str(write_model(tmp_path / "m.tflite", partial_model()))
    text = inspected(capsys, path, "--delegates")
    assert "A forecast, not a measurement" in text
    assert "refused: 1 ATAN2 (not among the ops that it takes)" in text
    assert "LiteRT main f677904" in text
    assert "https://coral.ai/docs/edgetpu/models-intro/" in text
    document = json.loads(inspected(capsys, path, "--delegates", "--json"))
    (xnnpack,) = (f for f in document["forecasts"] if f["delegate"] == "xnnpack")
    assert (xnnpack["verdict"], xnnpack["taken"], xnnpack["nodes"]) == ("PARTIAL", 3, 4)
    assert document["ops"], "and the inspection itself"


def test_without_being_asked_inspect_forecasts_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(write_model(tmp_path / "m.tflite", float_model()))
    assert "forecasts" not in json.loads(inspected(capsys, path, "--json"))
    assert "forecast" not in inspected(capsys, path)
