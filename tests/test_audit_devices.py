"""What a run over several devices may never do or say."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from analysis import around, measured, rounds, run_data
from models import float_model, write_model
from records import case, launch

from bench.cli.run import execute
from bench.config import ModelConfig, PlanConfig
from bench.delegation.judge import judge_tool
from bench.delegation.model import Coverage, Delegation, Evidence, EvidenceSource, Refusal
from bench.errors import UserError
from bench.events import Event, Note
from bench.fleet import DeviceProblem
from bench.identity import Case, DelegateSpec
from bench.parsers.benchmark_model import Applied, ToolOutput, ToolText
from bench.parsers.runtime_log import Replaced, RuntimeLog
from bench.plan import resolve
from bench.records import LaunchRecord, Outcome, RunData, RunRecord, RunStatus
from bench.run import find_unfinished
from bench.runners.base import LaunchLimits, LaunchSpec
from bench.runners.raw_inputs import RawInputs, raw_inputs
from bench.scheduler import RunPolicy, measure
from bench.slots import CaseFiles
from devices.blobs import BlobStore
from devices.deadline import Deadline
from devices.errors import Unsupported
from devices.inventory import Inventory
from devices.local import LocalTransport
from reports.compare import compare
from reports.model import Row
from reports.render.markdown import markdown


def test_devices_side_by_side_may_write_the_same_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = write_model(tmp_path / "m.tflite", float_model())
    both_wrote = threading.Barrier(2, timeout=30)
    write = Path.write_bytes

    def write_together(path: Path, data: bytes) -> int:
        written = write(path, data)
        both_wrote.wait()
        return written

    def lay_out(device: str) -> RawInputs:
        of = Case("p", "m", "fp32", DelegateSpec("xnnpack"), 1, "benchmark_model", device, ())
        spec = LaunchSpec(of, model, None, 0, LaunchLimits(), "key")
        return raw_inputs(spec, tmp_path / "raw")

    monkeypatch.setattr(Path, "write_bytes", write_together)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lay_out, ("phone-a", "phone-b"))
    assert first == second
    assert list((tmp_path / "raw").iterdir()) == list(first.files.values())


def of_device(
    device: str, ratios: list[float], *, simulated: bool
) -> dict[Case, list[LaunchRecord]]:
    """fp32 and int8 by four numbers of threads; int8 takes these parts of the time of fp32."""
    made: dict[Case, list[LaunchRecord]] = {}
    for threads in (1, 2, 4, 8):
        for variant in ("fp32", "int8"):
            of = case(variant, threads=threads, device=device)
            parts = [1.0] * len(ratios) if variant == "fp32" else ratios
            made[of] = [
                replace(record, environment={**record.environment, "simulated": simulated})
                for index, part in enumerate(parts)
                for record in [measured(of, index, 1000 * part)]
            ]
    return made


def of_real(data: RunData) -> list[Row]:
    return [row for row in compare(data).rows if row.case.device == "phone"]


def test_simulated_numbers_change_nothing_that_is_said_of_real_ones() -> None:
    """Neither their spread nor their number: the cells of a matrix are tested together."""
    real = of_device("phone", [0.93, 0.99, 0.95, 1.0, 0.94, 0.98], simulated=False)
    quiet = of_device("emulator", [0.999, 1.0, 1.001, 1.0, 0.999, 1.001], simulated=True)
    alone, beside = of_real(run_data(real)), of_real(run_data({**real, **quiet}))
    assert [row.speedup for row in alone] == [row.speedup for row in beside]
    assert any(row.speedup is not None for row in alone)
    assert not any(row.simulated for row in beside)


def test_what_a_delegate_refused_is_told_with_its_reason() -> None:
    of = case("int8", "gpu", device="phone")
    partly = Delegation(
        "gpu",
        Coverage.PARTIAL,
        9,
        10,
        1,
        {"TOPK_V2": 1},
        (
            Evidence(EvidenceSource.NODES, "A delegate took 9 of 10 nodes.", Coverage.PARTIAL),
            Evidence(EvidenceSource.MESSAGES, "Refused by the GPU delegate: TOPK_V2: too <new>."),
        ),
        (Refusal("TOPK_V2", "too <new>."),),
    )
    text = markdown(compare(run_data({of: rounds(of, around(1000), delegation=partly)})))
    assert "TOPK" in text
    assert "too &lt;new&gt;" in text or "too \\<new" in text


def test_why_a_delegate_is_unknown_comes_before_what_it_seemed_to_take() -> None:
    text = ToolText((), (), (Applied("NNAPI", "completely", None),), (), (), None, None, None, None)
    log = RuntimeLog(replaced=(Replaced("TfLiteNnapiDelegate", 12, 12, 1, 0),))
    found = judge_tool("nnapi", ToolOutput(text, log), None, compiled=False)
    assert found.verdict is Coverage.UNKNOWN
    assert "names no accelerator" in found.evidence[0].text


class NoExec(LocalTransport):
    """A file system on which nothing stays executable, as /sdcard is one."""

    def push(self, source: Path, target: str, **options: Any) -> None:
        super().push(source, target, **{**options, "mode": 0o444})


def test_a_work_directory_that_executes_nothing_is_named_and_no_broken_transfer(
    tmp_path: Path,
) -> None:
    tool = tmp_path / "tool"
    tool.write_bytes(b"#!/bin/sh\n")
    tool.chmod(0o755)
    blobs = BlobStore(NoExec(), str(tmp_path / "work"))
    with pytest.raises(Unsupported, match="executed there; name another `workdir`"):
        blobs.ensure(tool, deadline=Deadline(30))


@dataclass
class Runs:
    """A store that knows these runs."""

    known: tuple[RunRecord, ...]

    def runs(self, *, project: str) -> tuple[RunRecord, ...]:
        return self.known


def test_a_finished_plan_beside_an_interrupted_other_one_has_not_changed(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(float_model())
    config = PlanConfig(project="p", model=(ModelConfig(name="m", files={"fp32": "m.tflite"}),))
    plan = resolve(config, tmp_path, Inventory(()))
    made = replace(run_data({}).run, root=str(plan.root))
    other = replace(made, status=RunStatus.INTERRUPTED)
    finished = replace(made, plan_sha256=plan.sha256)
    with pytest.raises(UserError, match="there is no unfinished run of this plan"):
        find_unfinished(plan, Runs((other, finished)))  # type: ignore[arg-type]
    with pytest.raises(UserError, match="the plan has changed"):
        find_unfinished(plan, Runs((other,)))  # type: ignore[arg-type]


@pytest.mark.parametrize(("judged", "code"), [(0, 3), (1, 1), (3, 3)])
def test_a_failed_gate_comes_first_where_a_device_failed_too(
    judged: int, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "m.tflite").write_bytes(float_model())
    config = PlanConfig(project="p", model=(ModelConfig(name="m", files={"fp32": "m.tflite"}),))
    plan = resolve(config, tmp_path, Inventory(()))
    problems = (DeviceProblem("phone", "phone: gone"),)
    monkeypatch.setattr("bench.run.carry_out", lambda *_, **__: problems)
    monkeypatch.setattr("bench.cli.run.print_comparison", lambda *_, **__: judged)
    assert execute(plan, tmp_path / "s.db", resume=False, resume_command="again") == code


def test_what_failed_is_said_with_the_device_that_it_failed_on() -> None:
    of = case("int8", device="phone-b")
    said: list[Event] = []

    class Crashes:
        def launch(
            self, case: Case, files: CaseFiles, *, index: int, position: int, attempt: int
        ) -> LaunchRecord:
            return launch(case, index=index, attempt=attempt, outcome=Outcome.CRASHED)

        def forget(self, identifier: str) -> None: ...

    measure(
        [of],
        {of.case_id: CaseFiles(Path("m.tflite"), "0" * 64, None)},
        Crashes(),
        RunPolicy(rounds=2, precision=None, max_rounds=2, seed=0, launch_s=1.0),
        done=(),
        keep=lambda record: None,
        emit=said.append,
    )
    notes = [event.message for event in said if isinstance(event, Note)]
    assert len(notes) == 3  # a crash in each round, and that it is given up
    assert all(note.startswith("phone-b: ") for note in notes)
