"""The week as judgements for JUnit: a failure for everything that fails it, and nothing else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from reports.export.junit import Judgement
from reports.history.model import Finding
from reports.model import GateResult, GateStatus
from reports.weekly.model import ProjectWeek, Weekly

_NO_FINDING = "history"


def judgements(week: Weekly) -> tuple[Judgement, ...]:
    """Every case of a real device that is planned or has a finding; "suite" is its model.

    A case without a finding has one test that passes where it was measured and is skipped
    where it was not. A project of which nothing was measured is an error of its own.
    """
    several = len(week.projects) > 1
    return tuple(one for project in week.projects for one in _project(project, several))


def _project(project: ProjectWeek, several: bool) -> Iterator[Judgement]:
    prefix = f"{project.project}: " if several else ""
    if project.measured_nothing:
        yield Judgement(project.project, "the week", (), "nothing was measured")
    gates: dict[str, list[GateResult]] = defaultdict(list)
    models: dict[str, str] = {}
    for entry in (*project.worse, *project.older):
        found = entry.finding
        models[found.case_id] = found.case.model
        gates[found.case_id].append(_of_finding(found))
    for change in project.failing_gates:
        case_id = change.change.now.case_id
        models[case_id] = change.change.case.model
        reason = f"failed since run {change.change.first.run_id}, passed before"
        gates[case_id].append(GateResult(change.gate, GateStatus.FAIL, None, None, reason))
    for case in project.cases:
        models.setdefault(case.case_id, case.case.model)
        if case.case_id not in gates:
            status = GateStatus.UNKNOWN if case.reason else GateStatus.PASS
            gates[case.case_id].append(
                GateResult(_NO_FINDING, status, None, None, case.reason or "nothing was found")
            )
    for case_id, results in gates.items():
        yield Judgement(f"{prefix}{models[case_id]}", project.titles[case_id], tuple(results))


def _of_finding(found: Finding) -> GateResult:
    status = GateStatus.FAIL if found.is_bad else GateStatus.UNSURE
    name = str(found.word).lower().replace(" ", "-")
    return GateResult(name, status, None, found.ratio, found.sentence)
