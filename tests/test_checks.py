"""Launches beside the timed ones: made once, after all timing, never lost and never made up."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from records import NOW, RUN_ID, case, launch
from test_session import FETCH, START, WAIT, ScriptRunner
from test_session import Lab as SessionLab

from bench import judging
from bench.checks import check_cases, purposes_of
from bench.conditions import Left
from bench.config import MeasureConfig
from bench.device_run import DeviceRun
from bench.errors import UnreadableOutput, UserError
from bench.events import Event, Note, StageAdvanced, StageFinished, StageStarted
from bench.identity import check_id
from bench.link import DeviceAway
from bench.numerics.model import Numerics
from bench.numerics.reference import NumericsFiles
from bench.ops.model import OpProfile, ProfileSource
from bench.records import CheckRecord, Failure, LaunchRecord, Outcome, Purpose
from bench.runners.base import Answers, LaunchFiles, LaunchLimits, LaunchSpec, Profiled, RawOutput
from bench.slots import CaseFiles, CheckSlot
from devices.deadline import Deadline
from devices.device import Device
from devices.emulated.fake import Fault, FaultyTransport
from devices.launch_output import LaunchOutput
from devices.lease import Owner, look
from devices.local import LocalTransport

CASES = tuple(case(variant) for variant in ("fp32", "fp16", "int8"))
PLAIN_FILES = {c.case_id: CaseFiles(Path("m.tflite"), "0" * 64, None) for c in CASES}
PROFILE = OpProfile(ProfileSource.C_API, ())
NUMERICS = Numerics((), 8, "holdout", "2" * 64, "plain kernels")
FAILURE = Failure("crash", "SIGSEGV")


def record(slot: CheckSlot, outcome: Outcome = Outcome.OK) -> CheckRecord:
    ok = outcome is Outcome.OK
    return CheckRecord(
        launch_id=slot.name(RUN_ID),
        run_id=RUN_ID,
        case_id=slot.case.case_id,
        purpose=slot.purpose,
        attempt=slot.attempt,
        started_utc=NOW,
        duration_s=1.0,
        outcome=outcome,
        failure=None if ok else FAILURE,
        conditions={"before": None, "after": None},
        environment={},
        argv=(),
        profile=PROFILE if ok else None,
    )


def numerics_files(samples: Path) -> NumericsFiles:
    reference = samples.with_name("reference.npz")
    return NumericsFiles(samples, reference, (), 8, 1, "holdout", "2" * 64, "plain kernels")


class FakeSession:
    """A device on which every launch does what `behave` says."""

    def __init__(self, behave: Callable[[CheckSlot], CheckRecord] = record) -> None:
        self.behave = behave
        self.made: list[CheckSlot] = []
        self.forgotten: list[str] = []

    def check(self, slot: CheckSlot, files: CaseFiles) -> CheckRecord:
        assert files is PLAIN_FILES[slot.case.case_id]
        self.made.append(slot)
        return self.behave(slot)

    def forget(self, identifier: str) -> None:
        self.forgotten.append(identifier)


def check(
    session: FakeSession, *, done: Sequence[CheckRecord] = (), seed: int = 0
) -> tuple[list[CheckRecord], list[Event]]:
    kept: list[CheckRecord] = []
    events: list[Event] = []
    check_cases(
        Purpose.PROFILE,
        CASES,
        PLAIN_FILES,
        session,
        device="board",
        seed=seed,
        launch_s=2.0,
        done=done,
        keep=kept.append,
        emit=events.append,
    )
    return kept, events


def test_every_case_once_and_told_beforehand() -> None:
    session = FakeSession()
    kept, events = check(session)
    assert Counter(r.case_id for r in kept) == {c.case_id: 1 for c in CASES}
    assert session.forgotten == [r.launch_id for r in kept]
    first, *advanced, last = events
    assert first == StageStarted("profile:board", "Profiling on board", 3, 6.0)
    assert all(isinstance(e, StageAdvanced) for e in advanced)
    assert [e.done for e in advanced if isinstance(e, StageAdvanced)] == [1, 2, 3]
    assert last == StageFinished("profile:board", "3 of 3")


def test_the_order_is_drawn_and_the_same_for_the_same_seed() -> None:
    def order(seed: int) -> list[str]:
        return [r.case_id for r in check(FakeSession(), seed=seed)[0]]

    assert order(1) == order(1)
    assert len({tuple(order(seed)) for seed in range(20)}) > 1


def test_what_is_stored_is_not_made_again() -> None:
    stored = [
        record(CheckSlot(CASES[0], Purpose.PROFILE, 0)),
        record(CheckSlot(CASES[1], Purpose.PROFILE, 0), Outcome.CRASHED),
        record(CheckSlot(CASES[2], Purpose.NUMERICS, 0)),
    ]
    kept, events = check(FakeSession(), done=stored)
    assert [r.case_id for r in kept] == [CASES[2].case_id]
    assert events[0] == StageStarted("profile:board", "Profiling on board", 3, 2.0)


def test_only_what_the_device_failed_is_repeated_and_at_most_twice() -> None:
    outcomes = {
        CASES[0].case_id: [Outcome.DEVICE_FAILED, Outcome.OK],
        CASES[1].case_id: [Outcome.DEVICE_FAILED] * 9,
        CASES[2].case_id: [Outcome.CRASHED, Outcome.OK],
    }
    kept, events = check(FakeSession(lambda s: record(s, outcomes[s.case.case_id][s.attempt])))
    made = {c.variant: [r.outcome for r in kept if r.case_id == c.case_id] for c in CASES}
    assert made == {
        "fp32": [Outcome.DEVICE_FAILED, Outcome.OK],
        "fp16": [Outcome.DEVICE_FAILED] * 3,
        "int8": [Outcome.CRASHED],
    }
    assert events[-1] == StageFinished("profile:board", "1 of 3")
    notes = [e for e in events if isinstance(e, Note)]
    assert [n.level for n in notes] == ["warning"] * 5
    assert all("no profile: SIGSEGV" in n.message for n in notes)


def test_an_interrupted_repeat_is_gone_on_with() -> None:
    stored = [record(CheckSlot(CASES[0], Purpose.PROFILE, 0), Outcome.DEVICE_FAILED)]
    session = FakeSession()
    check(session, done=stored)
    assert [s.attempt for s in session.made if s.case == CASES[0]] == [1]


def test_what_was_never_started_is_not_removed_and_no_warning() -> None:
    session = FakeSession(lambda slot: record(slot, Outcome.NOT_MADE))
    kept, events = check(session)
    assert len(kept) == 3
    assert session.forgotten == []
    assert {e.level for e in events if isinstance(e, Note)} == {"info"}


def test_a_plan_says_what_is_made_but_for_the_trace() -> None:
    off = MeasureConfig(profile="off", numerics="off")
    assert purposes_of(off, trace=False) == ()
    assert purposes_of(off, trace=True) == (Purpose.TRACE,)
    assert purposes_of(MeasureConfig(), trace=False) == (Purpose.PROFILE, Purpose.NUMERICS)
    assert purposes_of(MeasureConfig(profile="off"), trace=False) == (Purpose.NUMERICS,)


# On a device


class CheckingRunner(ScriptRunner):
    """A line of sh for each purpose; "fails" in place of what it should say is a failure."""

    def __init__(self, scripts: Mapping[Purpose, str] | None = None) -> None:
        result = launch().measurement
        assert result is not None
        super().__init__("echo measured", result)
        self.scripts = {
            Purpose.TIMING: "echo measured",
            Purpose.PROFILE: "echo profiled",
            Purpose.NUMERICS: "cat samples.npz > answers",
            **(scripts or {}),
        }
        self.why_not: dict[Purpose, str] = {}
        self.specs: list[LaunchSpec] = []

    def cannot(self, spec: LaunchSpec) -> str | None:
        return self.why_not.get(spec.purpose)

    def prepare(self, spec: LaunchSpec) -> LaunchFiles:
        self.specs.append(spec)
        line = f"echo {spec.purpose} >> ../../ran; {self.scripts[spec.purpose]}"
        files = {"model.tflite": spec.model}
        if spec.samples is not None:
            files["samples.npz"] = spec.samples
        return LaunchFiles(("sh", "-c", line), files, {}, {}, results=("answers",))

    def read_profile(
        self, spec: LaunchSpec, output: RawOutput
    ) -> tuple[Outcome, Profiled | None, Failure | None]:
        assert spec.purpose is Purpose.PROFILE
        if output.stdout != b"profiled\n":
            return Outcome.CRASHED, None, FAILURE
        return Outcome.OK, Profiled(PROFILE, self.result.delegation), None

    def read_answers(
        self, spec: LaunchSpec, output: RawOutput
    ) -> tuple[Outcome, Answers | None, Failure | None]:
        assert output.files["answers"] == b"samples"
        return Outcome.OK, Answers((), (), (), None), None


class Lab:
    """A device run with checks, over a transport with faults, and what came of it."""

    def __init__(
        self,
        folder: Path,
        runner: CheckingRunner | None = None,
        faults: Mapping[int, Fault] | None = None,
    ) -> None:
        self.folder = folder
        self.runner = runner or CheckingRunner()
        self.transport = FaultyTransport(LocalTransport(), {} if faults is None else faults)
        self.launches: list[LaunchRecord] = []
        self.checks: list[CheckRecord] = []
        self.events: list[Event] = []
        model, samples = folder / "model.tflite", folder / "samples.npz"
        model.write_bytes(b"weights")
        samples.write_bytes(b"samples")
        files = numerics_files(samples)
        self.files = {c.case_id: CaseFiles(model, "a" * 64, None, files) for c in CASES[:2]}

    def run(
        self,
        *,
        done: Sequence[LaunchRecord] = (),
        checks_done: Sequence[CheckRecord] = (),
        keep_check: Callable[[CheckRecord], None] | None = None,
        trace: bool = False,
    ) -> DeviceRun:
        return DeviceRun(
            device=Device(
                name="board",
                kind="linux",
                transport=self.transport,
                workdir=str(self.folder / "work dir"),
                python="python3",
                resources=frozenset(),
                simulated=True,
                lease_place=str(self.folder / "lease"),
            ),
            cases=CASES[:2],
            files=self.files,
            done=done,
            keep=self.launches.append,
            keep_check=keep_check or self.checks.append,
            emit=self.events.append,
            run_id=RUN_ID,
            config=MeasureConfig(rounds=1, away_s=2.0),
            limits=LaunchLimits(timeout_s=60.0),
            runner_for=lambda kind, device, facts: self.runner,
            owner=Owner.here(RUN_ID),
            checks_done=checks_done,
            trace=trace,
        )

    def ran(self) -> list[str]:
        return (self.folder / "work dir" / "ran").read_text().split()

    def made(self) -> list[tuple[str, Outcome]]:
        return [(r.purpose.value, r.outcome) for r in self.checks]

    def check_left(self) -> None:
        assert list((self.folder / "work dir" / "runs").iterdir()) == []
        state = look(LocalTransport(), str(self.folder / "lease"), deadline=Deadline(60))
        assert state is None or (not state.live and state.pending == ())


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers that always fit the reference."""
    monkeypatch.setattr(judging, "numerics_of", lambda answers, files: NUMERICS)


@pytest.mark.usefixtures("compared")
def test_checks_come_after_all_timing_and_are_whole(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.run().run()
    # The sentinel is the first and the last that is timed.
    assert lab.ran() == ["timing"] * 4 + ["profile"] * 2 + ["numerics"] * 2
    ok = Outcome.OK
    assert lab.made() == [("profile", ok), ("profile", ok), ("numerics", ok), ("numerics", ok)]
    first, *_, last = lab.checks
    assert first.launch_id == check_id(RUN_ID, first.case_id, "profile", 0)
    assert (first.profile, first.numerics, last.profile, last.numerics) == (
        PROFILE,
        None,
        None,
        NUMERICS,
    )
    assert first.delegation is not None
    assert first.environment["model_sha256"] == "a" * 64
    assert first.argv[0] == "sh"
    started = [e.stage for e in lab.events if isinstance(e, StageStarted)]
    assert started == ["push:board", "measure:board", "profile:board", "numerics:board"]
    assert {s.samples for s in lab.runner.specs if s.purpose is Purpose.PROFILE} == {None}
    lab.check_left()


@pytest.mark.usefixtures("compared")
def test_a_case_that_never_ran_is_not_checked(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    failed = launch(CASES[0], outcome=Outcome.CRASHED)
    lab.run(done=(failed,)).run()
    assert {r.case_id for r in lab.checks} == {CASES[1].case_id}


@pytest.mark.usefixtures("compared")
def test_what_cannot_be_is_recorded_with_its_reason_and_never_launched(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.runner.why_not = {Purpose.PROFILE: "this build has no profiler"}
    case_id = CASES[0].case_id
    lab.files[case_id] = dataclasses.replace(
        lab.files[case_id], numerics=Failure("reference", "the plain kernels cannot run it")
    )
    lab.run(trace=True).run()
    assert lab.ran() == ["timing"] * 4 + ["numerics"]
    reasons = {
        (r.purpose.value, r.failure.message)
        for r in lab.checks
        if r.outcome is Outcome.NOT_MADE and r.failure is not None
    }
    assert reasons == {
        ("profile", "this build has no profiler"),
        ("numerics", "the plain kernels cannot run it"),
        ("trace", "a system trace is taken of Android alone"),
    }
    for item in lab.checks:
        if item.outcome is Outcome.NOT_MADE:
            assert (item.argv, item.duration_s, item.profile) == ((), 0.0, None)
            assert item.failure is not None
            assert item.failure.kind == "unsupported"
    json.dumps([dict(item.environment) for item in lab.checks])


@pytest.mark.usefixtures("compared")
def test_inputs_that_cannot_be_given_cost_their_check_and_no_timing(tmp_path: Path) -> None:
    class Refusing(CheckingRunner):
        def prepare(self, spec: LaunchSpec) -> LaunchFiles:
            if spec.purpose is Purpose.NUMERICS:
                raise UserError("the samples do not fit the model")
            return super().prepare(spec)

    lab = Lab(tmp_path, Refusing())
    lab.run().run()
    assert len(lab.launches) == 4
    assert lab.made()[2:] == [("numerics", Outcome.NOT_MADE)] * 2


@pytest.mark.usefixtures("compared")
def test_a_check_that_failed_has_failed_and_the_others_go_on(tmp_path: Path) -> None:
    lab = Lab(tmp_path, CheckingRunner({Purpose.PROFILE: "echo Segmentation >&2; exit 139"}))
    lab.run().run()
    assert lab.made() == [
        ("profile", Outcome.CRASHED),
        ("profile", Outcome.CRASHED),
        ("numerics", Outcome.OK),
        ("numerics", Outcome.OK),
    ]
    assert lab.checks[0].failure == FAILURE
    assert lab.checks[0].stderr_tail == "Segmentation\n"
    assert len(lab.launches) == 4


def test_answers_that_do_not_fit_the_reference_are_unreadable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(answers: Answers, files: NumericsFiles) -> Numerics:
        raise UnreadableOutput("2 outputs where the reference has 1")

    monkeypatch.setattr(judging, "numerics_of", refuse)
    lab = Lab(tmp_path)
    lab.run().run()
    numerics = [r for r in lab.checks if r.purpose is Purpose.NUMERICS]
    assert [r.outcome for r in numerics] == [Outcome.UNREADABLE] * 2
    assert numerics[0].failure == Failure("numerics", "2 outputs where the reference has 1")
    assert numerics[0].numerics is None


@pytest.mark.usefixtures("compared")
def test_answers_that_are_too_long_to_be_brought_back_are_no_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devices.launch._MOST_KIB", 64)
    lab = Lab(
        tmp_path,
        CheckingRunner({Purpose.NUMERICS: "dd if=/dev/zero of=answers bs=1024 count=65"}),
    )
    lab.run().run()
    numerics = [r for r in lab.checks if r.purpose is Purpose.NUMERICS]
    assert [r.outcome for r in numerics] == [Outcome.UNREADABLE] * 2
    assert numerics[0].failure is not None
    assert numerics[0].failure.kind == "too-long"
    assert "answers has 66560 bytes" in numerics[0].failure.message


@pytest.mark.usefixtures("compared")
def test_a_controller_that_is_lost_repeats_no_check(tmp_path: Path) -> None:
    """It is killed after a check has ended, before it stores it; then by its store."""
    lab = Lab(tmp_path)

    def die(item: CheckRecord) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        lab.run(keep_check=die).run()
    assert len(list((tmp_path / "work dir/runs").iterdir())) == 1
    done = [r for r in lab.launches if r.case_id in lab.files]

    def die_third(item: CheckRecord) -> None:
        lab.checks.append(item)
        if len(lab.checks) == 3:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        lab.run(done=done, keep_check=die_third).run()
    stored = list(lab.checks)
    lab.run(done=done, checks_done=stored).run()
    counted = Counter(lab.ran())
    assert (counted["profile"], counted["numerics"]) == (2, 2)
    assert len({r.launch_id for r in lab.checks}) == len(lab.checks) == 4
    assert {r.outcome for r in lab.checks} == {Outcome.OK}
    assert any("collected 1 launches" in e.message for e in lab.events if isinstance(e, Note))
    lab.check_left()


@pytest.mark.usefixtures("compared")
@pytest.mark.parametrize("purpose", [Purpose.PROFILE, Purpose.NUMERICS])
@pytest.mark.parametrize(
    ("faults", "outcome"),
    [
        ({START: Fault.DROP}, Outcome.DEVICE_FAILED),
        ({START: Fault.DROP_AFTER}, Outcome.OK),
        ({WAIT: Fault.DROP}, Outcome.OK),
        ({FETCH: Fault.DROP_AFTER}, Outcome.OK),
        ({FETCH: Fault.TRUNCATE}, Outcome.OK),
    ],
)
def test_a_link_that_fails_costs_no_check_that_ran(
    tmp_path: Path, purpose: Purpose, faults: Mapping[int, Fault], outcome: Outcome
) -> None:
    # Its samples are pushed first.
    extra = 3 * (purpose is Purpose.NUMERICS)
    lab = SessionLab(tmp_path, {call + extra: fault for call, fault in faults.items()})
    lab.session.runners = {"invoke_loop": CheckingRunner()}
    samples = tmp_path / "samples.npz"
    samples.write_bytes(b"samples")
    files = dataclasses.replace(lab.files, numerics=numerics_files(samples))
    made = lab.session.check(CheckSlot(case(), purpose, 0), files)
    assert made.outcome is outcome
    ran = tmp_path / "work/ran"
    assert (ran.read_text().split() if ran.exists() else []) == [purpose] * (outcome is Outcome.OK)


@pytest.mark.usefixtures("compared")
def test_a_device_that_goes_away_for_good_keeps_what_it_finished(tmp_path: Path) -> None:
    faults: dict[int, Fault] = {}
    lab = Lab(tmp_path, faults=faults)

    def keep(item: CheckRecord) -> None:
        lab.checks.append(item)
        # The next launch is started, and nobody sees its end.
        faults.update(dict.fromkeys(range(lab.transport.calls + 5, 10_000), Fault.DROP))

    run = lab.run(keep_check=keep)
    run.config = run.config.model_copy(update={"away_s": 0.2})
    run.limits = LaunchLimits(timeout_s=1.5)
    with pytest.raises(DeviceAway):
        run.run()
    assert len(list((tmp_path / "work dir/runs").iterdir())) == 1
    done = [r for r in lab.launches if r.case_id in lab.files]
    shutil.rmtree(tmp_path / "lease")  # `edgebench devices unlock`
    again = Lab(tmp_path)
    again.run(done=done, checks_done=list(lab.checks)).run()
    together = [*lab.checks, *again.checks]
    assert len({r.launch_id for r in together}) == len(together) == 4
    assert Counter(again.ran())["profile"] == 2


def test_timed_launches_never_read_as_checks() -> None:
    with pytest.raises(ValueError, match="no check"):
        judging.check_record(
            CheckSlot(CASES[0], Purpose.TIMING, 0),
            judging.Over(
                run_id=RUN_ID,
                spec=LaunchSpec(CASES[0], Path("m"), None, 0, LaunchLimits()),
                files=PLAIN_FILES[CASES[0].case_id],
                left=Left(LaunchOutput(0, b"", b"", 1.0), None, {}),
                context={},
                environment={},
                duration_s=1.0,
            ),
            CheckingRunner(),
        )
