"""The week: what is counted, what it says, and that all its outputs say the same.

EDGEBENCH_UPDATE_GOLDEN=1 writes the golden files anew; look at the difference.
"""

from __future__ import annotations

import json
import os
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import histories
import numpy as np
import pytest
import stored_past as past
import weeks

from bench.points import PointState
from bench.records import RunRecord, RunStatus
from reports.export.junit import junit
from reports.history.gather import gather
from reports.history.model import History, Standing, Step, Word
from reports.weekly.build import build, weekly
from reports.weekly.html import html
from reports.weekly.json import weekly_to_json, weekly_to_text
from reports.weekly.junit import judgements
from reports.weekly.markdown import markdown, summary
from reports.weekly.model import Weekly
from reports.weekly.text import MAX_LINES, text
from reports.weekly.words import headline

GOLDEN = Path(__file__).parent / "golden" / "weekly"


@pytest.fixture(scope="module")
def made() -> dict[str, Weekly]:
    return {name: make() for name, make in weeks.SITUATIONS.items()}


@pytest.mark.parametrize("situation", weeks.SITUATIONS)
@pytest.mark.parametrize(("ending", "write"), [("md", markdown), ("txt", text)])
def test_it_is_as_it_was_when_somebody_last_looked(
    made: dict[str, Weekly], situation: str, ending: str, write: Any
) -> None:
    found = write(made[situation])
    golden = GOLDEN / f"{situation}.{ending}"
    if os.environ.get("EDGEBENCH_UPDATE_GOLDEN"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(found, encoding="utf-8")
    assert found == golden.read_text(encoding="utf-8")


def test_the_headline_counts_every_event_of_the_year_once(made: dict[str, Weekly]) -> None:
    assert headline(made["eventful"]) == (
        "1 case answers WRONG, 1 regression confirmed, 1 suspected, 1 device fell back (4 cases), "
        "1 file grew, 1 case is missing, 1 gate newly fails, 1 device slower as a whole."
    )


@pytest.mark.parametrize(
    ("situation", "words", "failed", "nothing"),
    [
        ("quiet", "Quiet week: nothing regressed.", False, False),
        ("silent", "Nothing was measured.", False, True),
        ("emulated", "Nothing was measured on a real device.", False, True),
        ("older", "Nothing new regressed, 1 older finding still stands.", True, False),
    ],
)
def test_a_week_without_news_says_why(
    made: dict[str, Weekly], situation: str, words: str, failed: bool, nothing: bool
) -> None:
    week = made[situation]
    assert headline(week) == words
    assert (week.gate_failed, week.measured_nothing) == (failed, nothing)
    gate = "FAILED" if failed else "nothing to judge by" if nothing else "passed"
    for write in (text, markdown, summary):
        assert f"Gate: {gate}." in write(week), "what was not measured has not passed"
    if situation == "older":
        for write in (text, markdown, summary, html):
            assert "WRONG" in write(week), "what fails a week is named"


def test_a_quiet_week_says_what_it_could_have_seen(made: dict[str, Weekly]) -> None:
    for write in (text, markdown, html):
        assert "2.1 %" in write(made["quiet"]), write
    week = made["quiet"].projects[0]
    blind = replace(week, sight=replace(week.sight, median=None, tenth=None, too_short=7, series=7))
    assert "means nothing" in text(weekly([blind], weeks.SINCE, weeks.UNTIL)).replace("\n   ", "")


def test_what_an_emulator_gave_is_counted_nowhere(made: dict[str, Weekly]) -> None:
    project = made["eventful"].projects[0]
    real = {"pixel-8", "galaxy-a54", "moto-g", "pi-5", "flaky-pi"}
    listed = [e.finding.case.device for e in (*project.worse, *project.better, *project.older)]
    assert set(listed) <= real
    assert {c.device for c in project.coverage} == real
    assert {c.case.device for c in project.cases} == real
    assert project.simulated.entries, "it would show nothing"
    for write in (markdown, html):
        assert "SIMULATED" in write(made["eventful"])


def test_every_planned_case_is_counted_once(made: dict[str, Weekly]) -> None:
    for week in made.values():
        for project in week.projects:
            total = project.total
            assert total.planned == len(project.cases)
            assert total.measured == sum(not case.reason for case in project.cases)
    total = made["eventful"].projects[0].total
    assert (total.measured, total.invalid, total.fell_back, total.missing) == (37, 2, 4, 1)


def test_all_outputs_tell_the_same_numbers(made: dict[str, Weekly]) -> None:
    for name, week in made.items():
        document = json.loads(weekly_to_text(week))
        flat = " ".join(text(week).split())
        assert document["headline"] in flat
        assert document["gate_failed"] == week.gate_failed == ("Gate: FAILED" in flat), name
        page, page_md, short = html(week), markdown(week), summary(week)
        for project in document["projects"]:
            coverage = project["coverage"]
            if name == "hostile" or not coverage["planned"]:
                continue
            told = f"{coverage['measured']} of {coverage['planned']} planned case"
            assert told in page, name
            assert told in page_md, name
            assert told in short, name
            assert told in flat, name
        for entry in document["projects"][0]["worse"][:3]:
            if name != "hostile" and entry["ratio"] is not None:
                ratio = f"{entry['ratio']:.2f}×"
                for output in (page, page_md, short, flat):
                    assert ratio in output


def test_junit_fails_exactly_where_the_week_does(made: dict[str, Weekly]) -> None:
    for name, week in made.items():
        root = ET.fromstring(junit(judgements(week), "weekly"))
        assert (int(root.attrib["failures"]) > 0) == week.gate_failed, name
        assert (int(root.attrib["errors"]) > 0) == any(p.measured_nothing for p in week.projects)
    root = ET.fromstring(junit(judgements(made["eventful"]), "weekly"))
    failed = {
        test.get("name") for test in root.iter("testcase") if test.find("failure") is not None
    }
    assert failed == {"wrong", "fell-back", "slower", "bigger", "missing", "p50_us_max"}
    skipped = [t for t in root.iter("testcase") if t.find("skipped") is not None]
    assert "slower" in {test.get("name") for test in skipped}, "what is suspected fails nothing"
    # A test per case, or one per finding and failing gate of it.
    assert len({t.get("classname") for t in root.iter("testcase")}) == 44


@pytest.mark.parametrize("situation", weeks.SITUATIONS)
def test_the_message_is_short(made: dict[str, Weekly], situation: str) -> None:
    lines = text(made[situation]).splitlines()
    assert len(lines) <= MAX_LINES
    assert all(ord(ch) >= 32 for line in lines for ch in line)
    if situation != "hostile":
        assert all(len(line) <= 130 for line in lines)
    assert lines[-1] == "All of it: weekly.html"


def test_a_message_of_many_projects_is_short_too(made: dict[str, Weekly]) -> None:
    one = made["eventful"].projects[0]
    projects = [replace(one, project=f"p{n:02d}") for n in range(30)]
    lines = text(weekly(projects, weeks.SINCE, weeks.UNTIL)).splitlines()
    assert len(lines) <= MAX_LINES
    assert any(re.search(r"and \d+ more projects", line) for line in lines)


def test_what_is_left_out_is_said(made: dict[str, Weekly]) -> None:
    page, project = html(made["many"]), made["many"].projects[0]
    assert project.trends_left_out == 300 - sum(len(t.series) for t in project.trends) > 0
    assert f"{project.trends_left_out} more charts left out" in page
    # 300 findings, of which the page shows 60.
    assert "And 240 more" in page
    assert len(page) < 3_000_000
    assert len(weekly_to_json(made["many"])["projects"][0]["worse"]) == 300


def test_findings_that_began_alike_are_told_as_one(made: dict[str, Weekly]) -> None:
    page = markdown(made["eventful"])
    assert "nnapi on galaxy-a54: 4 cases" in page
    assert "all 4, which began alike" in html(made["eventful"])


@pytest.mark.parametrize("situation", weeks.SITUATIONS)
def test_every_line_of_a_table_has_as_many_cells_as_its_head(
    made: dict[str, Weekly], situation: str
) -> None:
    for write in (markdown, summary):
        columns = 0
        for line in write(made[situation]).splitlines():
            cells = len(re.findall(r"(?<!\\)\|", line))
            if line.startswith("|"):
                columns = columns or cells
                assert cells == columns
            else:
                columns = 0


def test_no_name_becomes_markup(made: dict[str, Weekly]) -> None:
    page = html(made["hostile"])
    assert "<script" not in page.lower()
    assert "<img" not in page.lower()
    assert page.count("</style>") == page.count("<style")
    for write in (markdown, summary):
        found = write(made["hostile"])
        assert "<script>" not in found
        assert "<img" not in found
    assert "\x1b" not in text(made["hostile"])
    assert "\u202e" not in text(made["hostile"]) + page
    ET.fromstring(junit(judgements(made["hostile"]), "weekly"))


def test_the_order_of_series_runs_and_findings_does_not_matter() -> None:
    year = histories.year()
    h = year.history
    turned = History(h.project, h.series[::-1], h.findings[::-1], h.devices[::-1])
    one = weeks.of(weeks.project(h, year))
    other = weeks.of(
        build(
            turned,
            weeks.told(year.history),
            year.runs[::-1],
            year.outcomes[::-1],
            since_utc=weeks.SINCE,
            until_utc=weeks.UNTIL,
        )
    )
    assert weekly_to_json(one) == weekly_to_json(other)


def test_what_is_found_late_or_settled_now_is_told_once() -> None:
    year = histories.year()
    series = next(s for s in year.history.series if s.case.device == "pi-5")
    # The last run before the window, and those beside it.
    near, began, next_one = (year.runs[-DAYS - n] for n in (2, 1, 0))
    assert began.started_utc < weeks.SINCE <= next_one.started_utc

    def history(word: Word, standing: Standing, run: RunRecord | None) -> History:
        if run is None:
            return History(histories.PROJECT, (series,), (), ())
        found = histories.finding(series, word, standing, run.started_utc, before="a", after="b")
        return History(histories.PROJECT, (series,), (found,), ())

    def place(now: History, before: History) -> str:
        found = weeks.project(now, year, before)
        assert found.gate_failed is any(f.is_bad for f in now.findings), "it stands either way"
        return {(1, 0): "worse", (0, 1): "older"}[len(found.worse), len(found.older)]

    slower = history(Word.SLOWER, Standing.SUSPECTED, began)
    nothing = history(Word.SLOWER, Standing.SUSPECTED, None)
    assert place(slower, nothing) == "worse", "it began earlier, and nobody knew"
    assert place(slower, slower) == "older"
    # Dated one run earlier or later than last week: the same step.
    for other in (near, next_one):
        assert place(history(Word.SLOWER, Standing.SUSPECTED, other), slower) == "older"
    far = history(Word.SLOWER, Standing.SUSPECTED, year.runs[-DAYS - 6])
    assert place(slower, far) == "worse"
    sure = history(Word.SLOWER, Standing.CONFIRMED, began)
    assert place(sure, slower) == "worse", "settled this week"
    assert place(sure, sure) == "older"
    # What fails, is well and fails again is another failure.
    failed = history(Word.FAILED, Standing.CERTAIN, began)
    assert place(history(Word.FAILED, Standing.CERTAIN, next_one), failed) == "worse"
    assert place(failed, failed) == "older"


def test_a_change_of_a_device_is_told_once() -> None:
    year = histories.year()
    (found,) = year.history.devices
    before = replace(year.history, findings=(), devices=(replace(found, since_utc=weeks.SINCE),))
    assert weeks.project(year.history, year, replace(before, devices=())).devices == (found,)
    assert weeks.project(year.history, year, replace(before, devices=(found,))).devices == ()
    # Another one, the other way or long before.
    faster = replace(found, ratio=0.8)
    assert weeks.project(year.history, year, replace(before, devices=(faster,))).devices
    assert weeks.project(year.history, year, before).devices


def test_what_a_resumable_run_did_not_come_to_is_not_missing() -> None:
    year = histories.year()
    series = next(s for s in year.history.series if s.case.device == "pi-5")
    cut = replace(series.points[-1], state=PointState.UNFINISHED, reason="interrupted", p50_us=None)
    for points, measured in (
        ((*series.points[:-1], cut), 1),
        ((*series.points[:-DAYS], cut), 0),
    ):
        one = replace(series, points=points)
        finding = histories.finding(one, Word.MISSING, Standing.SUSPECTED, cut.started_utc)
        found = weeks.project(History("p", (one,), (finding,), ()), year)
        assert (found.total.measured, found.total.missing) == (measured, 0)
        assert found.total.unfinished == 1 - measured
        assert not found.gate_failed
        assert "missing" not in headline(weeks.of(found))


def test_an_interrupted_run_takes_no_number_away() -> None:
    year = histories.year()
    series = next(s for s in year.history.series if s.case.device == "pi-5")
    cut = replace(series.points[-1], state=PointState.UNFINISHED, reason="interrupted", p50_us=None)
    one = replace(series, points=(*series.points[:-1], cut))
    assert weeks.project(History("p", (one,), (), ()), year).total.measured == 1
    alone = replace(series, points=(*series.points[:-DAYS], cut))
    found = weeks.project(History("p", (alone,), (), ()), year)
    assert found.total.unfinished == 1
    assert found.cases[0].reason == "interrupted"


def test_a_case_that_no_run_came_to_is_missing_and_one_of_long_ago_is_not() -> None:
    year = histories.year()
    series = next(s for s in year.history.series if s.case.device == "pi-5")
    gone = replace(series, points=series.points[:-DAYS])
    assert weeks.project(History("p", (gone,), (), ()), year).total.missing == 1
    ancient = replace(series, points=series.points[:-20])
    assert weeks.project(History("p", (ancient,), (), ()), year).total.planned == 0
    never = replace(gone, points=(replace(gone.points[-1], state=PointState.NOT_APPLICABLE),))
    assert weeks.project(History("p", (never,), (), ()), year).total.planned == 0


def test_a_gate_that_passes_again_fails_nothing() -> None:
    year = histories.year()
    series = next(s for s in year.history.series if s.case.device == "pi-5")
    before = [replace(p, gates_failed=("p50_us_max",)) for p in series.points[:-3]]
    one = replace(series, points=(*before, *series.points[-3:]))
    found = weeks.project(History("p", (one,), (), ()), year)
    assert [(g.gate, g.fails) for g in found.gates] == [("p50_us_max", False)]
    assert not found.gate_failed
    assert found.gates[0].change.first.run_id == series.points[-3].run_id


def test_a_run_that_has_not_ended_is_said() -> None:
    year = histories.year()
    open_run = replace(year.runs[-1], status=RunStatus.RUNNING)
    project = build(
        year.history, year.history, [open_run], (), since_utc=weeks.SINCE, until_utc=weeks.UNTIL
    )
    assert "1 run of the week has not ended yet" in text(weeks.of(project))


def test_a_quiet_week_of_many_says_how_many_false_alarms_it_has() -> None:
    moments = histories.starts(20)
    noise = np.random.default_rng(3)
    series = []
    for number in range(200):
        one = histories.case(f"phone-{number}", "mobilenet", "int8", "gpu")
        values = 1000 * np.exp(noise.normal(0, 0.01, len(moments)))
        points = [
            histories.point(one, at, float(us)) for at, us in zip(moments, values, strict=True)
        ]
        series.append(histories.history_of(one, points, moments))
    # One step that is none, and one of 30 %.
    p_values = {series[0].case_id: 0.0015, series[1].case_id: 1e-9}
    findings = []
    for place in (0, 1):
        found_in = series[place]
        at = len(moments) - 3
        step = Step(
            position=at,
            last_good_run_id=found_in.judged[at - 1].run_id,
            first_bad_run_id=found_in.judged[at].run_id,
            since_utc=found_in.judged[at].started_utc,
            before_us=1000.0,
            after_us=1050.0,
            ratio=1.05 if place else 1.3,
            interval=None,
            p_value=p_values[found_in.case_id],
            provenance=(),
        )
        series[place] = replace(found_in, steps=(step,))
        findings.append(
            histories.finding(
                series[place], Word.SLOWER, Standing.SUSPECTED, step.since_utc, step=step
            )
        )
    found = weeks.project(History("p", tuple(series), tuple(findings), ()))
    assert found.chance.looks == 200 * DAYS
    assert found.chance.low == pytest.approx(1400 * 5 / 10_000)
    assert found.chance.high == pytest.approx(1400 * 44 / 10_000)
    assert found.chance.outstanding == {series[1].case_id}
    # The larger ratio is more likely to be chance, and stands behind.
    assert [e.finding.case_id for e in found.worse] == [series[1].case_id, series[0].case_id]
    said = " ".join(text(weeks.of(found)).split())
    assert "would show 1 to 6 steps to slower by chance (1400 new numbers of 200 series)" in said
    assert "1 of 2 suspected stands out of it" in said


def test_of_every_week_each_step_is_told_by_one_report() -> None:
    """A year of reports: what is found late, dated anew or suspected for weeks is told once."""
    told: list[str] = []
    gpu, cpu = past.case(), past.case(delegate="xnnpack")
    points = [
        *past.stepped(gpu, before=12, after=10, factor=1.05, seed=1),
        # So small that the detector needs runs to see it.
        *past.series(cpu, past.quiet(12, 4000.0, sd=0.01, seed=0)),
        *past.series(cpu, past.quiet(10, 4160.0, sd=0.01, seed=100), 12),
    ]
    reader = past.store(points, (gpu, cpu))
    late = 0
    for number in range(6, 22):
        begin, end = past.week(number - 0.5), past.week(number + 0.5)
        now = gather(reader, past.PROJECT, since=begin, until=end)
        before = gather(reader, past.PROJECT, until=begin, ended_by=begin)
        found = build(now, before, reader.runs(past.PROJECT), (), since_utc=begin, until_utc=end)
        told += [e.finding.case_id for e in found.worse]
        late += sum(e.finding.since_utc < begin for e in found.worse)
    assert sorted(told) == sorted((gpu.case_id, cpu.case_id))
    assert late, "nothing was found late: it tests nothing"


def test_cases_of_one_name_are_told_apart() -> None:
    moments = histories.starts(4)
    one = histories.case("pi-5", "mobilenet", "int8", "xnnpack")
    others = [one, replace(one, runner="invoke_loop"), replace(one, input_shapes=(("x", (1, 96)),))]
    series = tuple(
        histories.history_of(c, [histories.point(c, at, 1000.0) for at in moments], moments)
        for c in others
    )
    titles = weeks.project(History("p", series, (), ())).titles
    assert len(set(titles.values())) == 3
    assert any("x 1x96" in title for title in titles.values())


DAYS = histories.DAYS
