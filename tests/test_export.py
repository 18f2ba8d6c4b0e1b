"""CSV, JSON and the files of a report."""

from __future__ import annotations

import csv
import io
import json
import math
import stat
from dataclasses import replace
from pathlib import Path

import comparisons
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.stats import Interval
from reports.export.csv import comparison_to_csv
from reports.export.json import comparison_to_json, comparison_to_text
from reports.render.files import write_report


def lines(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize("situation", comparisons.SITUATIONS)
def test_csv_has_one_line_per_case_with_the_numbers_unrounded(situation: str) -> None:
    comparison = comparisons.SITUATIONS[situation]()
    found = lines(comparison_to_csv(comparison))
    assert [line["case_id"] for line in found] == [row.case_id for row in comparison.rows]
    for line, row in zip(found, comparison.rows, strict=True):
        assert (float(line["p50_us"]) if line["p50_us"] else None) == row.p50_us
        assert int(line["threads"]) == row.case.threads
        assert line["simulated"] == ("true" if row.simulated else "false")


def test_csv_leaves_absent_values_empty_with_the_reason_beside() -> None:
    found = lines(comparison_to_csv(comparisons.failures()))
    crashed = next(line for line in found if line["failure"])
    assert crashed["p50_us"] == crashed["p90_us"] == crashed["peak_rss_kib"] == ""
    assert "signal 6" in crashed["failure"]
    assert next(line for line in found if line["p90_reason"])["p90_us"] == ""
    asked = {line["delegation_as_requested"] for line in found}
    assert asked == {"true", "false", ""}


def test_csv_and_json_say_whose_work_it_was_and_whether_it_is_right() -> None:
    comparison = comparisons.delegates()
    cases = comparison_to_json(comparison)["cases"]
    for line, case, row in zip(
        lines(comparison_to_csv(comparison)), cases, comparison.rows, strict=True
    ):
        word = row.numerics.word.value if row.numerics else None
        assert (line["numerics"] or None) == case["verdicts"]["numerics"]["word"] == word
        assert (line["numerics_max_abs"] == "") == (case["answers"] is None)
        assert row.against_cpu is not None
        ratio = None if row.against_cpu.verdict is None else row.against_cpu.verdict.ratio
        assert (float(line["cpu_speedup_ratio"]) if line["cpu_speedup_ratio"] else None) == ratio
        told = case["against_cpu"]["speedup"]
        assert (told and told["ratio"]) == ratio
    partial = next(
        c["verdicts"]["delegation"]
        for c in cases
        if c["verdicts"]["delegation"] and c["verdicts"]["delegation"]["verdict"] == "PARTIAL"
    )
    assert partial["evidence"][1] == {
        "source": "tool",
        "says": "FULL",
        "text": "The tool says: completely executed.",
    }
    assert partial["unsupported"][0] == {"op": "CAST", "reason": "not supported", "nodes": 2}
    assert partial["accelerators"] == ["a graphics adapter"]
    assert (partial["outside_time"], partial["suspicion"]) == (0.34, "")


@given(
    st.one_of(
        st.text(),
        st.text().map(lambda text: f"={text}"),
        st.sampled_from("=+-@\t\r＝＋－＠").flatmap(
            lambda start: st.sampled_from(("", " ", "\u00a0")).map(lambda s: f"{s}{start}1+1")
        ),
    )
)
def test_no_text_of_csv_is_a_formula(text: str) -> None:
    row = replace(comparisons.row("fp32"), failure=text)
    comparison = comparisons.comparison((row,), project=text)
    (line,) = lines(comparison_to_csv(comparison))
    for value in (line["failure"], line["project"]):
        assert not value.lstrip().startswith(tuple("=+-@\t\r＝＋－＠"))
        assert "\n" not in value


@pytest.mark.parametrize("situation", comparisons.SITUATIONS)
def test_json_is_strict_and_survives_the_trip(situation: str) -> None:
    comparison = comparisons.SITUATIONS[situation]()
    document = comparison_to_json(comparison)

    def refuse(word: str) -> None:
        raise AssertionError(word)

    assert json.loads(comparison_to_text(comparison), parse_constant=refuse) == document
    assert document["schema"] == "edgebench-comparison/2"
    assert len(document["cases"]) == len(comparison.rows)
    assert [c["simulated"] for c in document["cases"]] == [r.simulated for r in comparison.rows]


def test_json_has_the_keys_that_others_read() -> None:
    document = comparison_to_json(comparisons.good())
    assert {"schema", "run", "cases", "variants", "recommendations", "notes"} <= set(document)
    expected = (
        "case_id model variant delegate threads device runner launches launches_made samples "
        "p50_us p50_interval_us p50_interval_confidence p90_us p90_interval_us p90_reason p95_us "
        "accuracy accuracy_interval accuracy_change_points size_bytes speedup peak_rss_kib "
        "first_inference_us verdicts failure not_applicable simulated"
    )
    for case in document["cases"]:
        assert set(expected.split()) <= set(case)
        assert set(case["verdicts"]) == {"stability", "delegation", "numerics", "gates"}
    last = document["cases"][-1]
    row = comparisons.good().rows[-1]
    assert last["p50_us"] == row.p50_us
    assert row.p50_interval_us is not None
    assert last["p50_interval_us"] == [row.p50_interval_us.low, row.p50_interval_us.high]
    assert row.speedup is not None
    assert last["speedup"]["ratio"] == row.speedup.ratio


def test_json_and_csv_refuse_a_number_that_is_none() -> None:
    row = replace(comparisons.row("fp32"), p50_us=math.nan)
    with pytest.raises(ValueError, match=r"cases\[0\]\.p50_us"):
        comparison_to_json(comparisons.comparison((row,)))
    with pytest.raises(ValueError, match="cannot be exported"):
        comparison_to_csv(comparisons.comparison((row,)))


def test_json_takes_facts_of_any_kind() -> None:
    facts = {"cores": np.int64(2), "path": Path("a"), "odd": math.inf, "pair": (1, None)}
    document = comparison_to_json(comparisons.comparison((), environment=facts))
    assert document["environment"] == {"cores": 2, "path": "a", "odd": "inf", "pair": [1, None]}


def test_a_report_is_four_files_and_nothing_else(tmp_path: Path) -> None:
    made = write_report(comparisons.simulated(), tmp_path / "a" / "b")
    paths = {made.html, made.markdown, made.csv, made.json}
    assert set((tmp_path / "a" / "b").iterdir()) == paths
    assert made.html.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert json.loads(made.json.read_text(encoding="utf-8"))["run"]["simulated"] is True
    # mkstemp's private mode would hide the report from whoever else may read the directory.
    reference = tmp_path / "reference"
    reference.write_text("")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (*paths, reference)}
    assert len(modes) == 1


def test_a_comparison_that_cannot_be_shown_leaves_the_old_report(tmp_path: Path) -> None:
    made = write_report(comparisons.simulated(), tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    wrong = replace(comparisons.row("fp32"), p50_interval_us=Interval(math.nan, 1.0, 0.95, "range"))
    with pytest.raises(ValueError, match="cannot be"):
        write_report(comparisons.comparison((wrong,)), tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert made.html in before


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = write_report(comparisons.simulated(), tmp_path)
    before = made.html.read_bytes()

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_report(comparisons.good(), tmp_path)
    assert made.html.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 4
