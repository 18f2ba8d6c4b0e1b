"""A hundred faults at random moments of runs through the real command line."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from devices.errors import Unsupported
from tests.reliability import Ran
from tests.reliability_links import PhoneRig

POINTS = 100
SEED = 0
ROUNDS = 40
PLAN = f"""
project = "random"
[[model]]
name = "m"
files = {{ fp32 = "m.tflite" }}
[measure]
devices = ["a", "b"]
runners = ["benchmark_model"]
delegates = ["none"]
threads = [1]
rounds = {ROUNDS}
profile = "off"
numerics = "off"
timeout_s = 30
"""
ENTRY = """
[[device]]
name = "{name}"
kind = "android"
serial = "{serial}"
adb_host = "127.0.0.1"
adb_port = {port}
tool = "{tool}"
simulated = true
"""
# What the command line may end with: all measured, a gate, a device in trouble.
_ENDS = (0, 1, 3)


@pytest.fixture
def phones(tmp_path: Path) -> Iterator[list[PhoneRig]]:
    made: list[PhoneRig] = []
    try:
        for name in ("a", "b"):
            folder = tmp_path / f"phone-{name}"
            folder.mkdir()
            made.append(PhoneRig(folder))
    except Unsupported as error:
        pytest.skip(str(error))
    yield made
    for rig in made:
        rig.settle()
        rig.stop()


@dataclass(slots=True)
class Controller:
    """`edgebench run` in a folder, begun, resumed, and killed."""

    folder: Path
    process: subprocess.Popen[bytes] | None = None

    def alive(self) -> bool:
        """Whether it is at work. Raises: AssertionError where it ended as it may not."""
        if self.process is None or self.process.poll() is None:
            return self.process is not None
        assert self.process.returncode in _ENDS, (self.folder / "said").read_text()[-3000:]
        return False

    def start(self) -> None:
        program = "from bench.cli.main import entry; entry()"
        resume = ["--resume"] * self.unfinished()
        with (self.folder / "said").open("wb") as said:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-P", "-c", program),
                    *("run", "edgebench.toml", *resume, "--devices", "devices.toml"),
                ],
                cwd=self.folder,
                env={
                    **os.environ,
                    "HOME": str(self.folder / "home"),
                    "EDGEBENCH_STORE": str(self.folder / "store.db"),
                },
                stdout=said,
                stderr=said,
                start_new_session=True,
            )

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def unfinished(self) -> bool:
        return bool(self.rows("SELECT 1 FROM run WHERE status != 'finished'"))

    def rows(self, query: str) -> list[tuple[str, ...]]:
        try:
            with sqlite3.connect(f"file:{self.folder / 'store.db'}?mode=ro", uri=True) as store:
                return store.execute(query).fetchall()
        except sqlite3.OperationalError:
            return []  # not made yet


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_hundred_faults_lose_and_double_nothing(
    tmp_path: Path, phones: list[PhoneRig], capsys: pytest.CaptureFixture[str]
) -> None:
    rng = random.Random(SEED)
    phones[0].lab(tmp_path)
    entries = [
        ENTRY.format(
            name=name,
            serial=rig.way.entry.serial,
            port=rig.way.entry.adb_port,
            tool=tmp_path / "tool",
        )
        for name, rig in zip(("a", "b"), phones, strict=True)
    ]
    (tmp_path / "devices.toml").write_text("".join(entries))
    (tmp_path / "edgebench.toml").write_text(PLAN)
    controller = Controller(tmp_path)
    counts: Counter[str] = Counter()
    try:
        while counts.total() < POINTS:
            if not controller.alive():
                controller.start()
            time.sleep(rng.uniform(0.2, 3.0))
            kind = rng.choice(("unplugged", "link frozen", "phone frozen", "controller killed"))
            if kind == "controller killed" and not controller.alive():
                continue
            counts[kind] += 1
            strike(kind, rng.choice(phones), rng.uniform(0.1, 2.0), controller)
        for _ in range(10):
            for rig in phones:
                rig.settle()
            if not controller.alive():
                if not controller.unfinished():
                    break
                controller.start()
            assert controller.process is not None
            controller.process.wait(600)
    finally:
        controller.kill()
    assert not controller.unfinished(), (tmp_path / "said").read_text()[-3000:]
    launches = judge(controller, [rig.ran() for rig in phones])
    for rig in phones:
        assert rig.dirt() == []
    with capsys.disabled():
        sys.stdout.write(f"\n{dict(counts)}; {launches} launches, none lost, none doubled\n")


def strike(kind: str, rig: PhoneRig, seconds: float, controller: Controller) -> None:
    match kind:
        case "unplugged":
            rig.for_a_while(seconds, unplugged=True)
        case "link frozen":
            rig.for_a_while(seconds, frozen=True)
        case "phone frozen":
            rig.phone.freeze()
            time.sleep(seconds)
            rig.phone.thaw()
        case _:
            controller.kill()


def judge(controller: Controller, ran: list[Ran]) -> int:
    """Hold the store against what the phones wrote down; how many launches they began."""
    stored = controller.rows(
        "SELECT launch_id, outcome, run_id, device, model, round_index, attempt"
        ' FROM launch JOIN "case" USING (case_id)'
    )
    measured = [row[0] for row in stored if row[1] == "ok"]
    begun = [identifier for one in ran for identifier in one.begun]
    ended = {identifier for one in ran for identifier in one.ended}
    assert len(set(begun)) == len(begun), "a launch ran twice"
    assert len({row[0] for row in stored}) == len(stored)
    assert set(measured) == ended, "what ended on a phone is what is stored as measured"
    assert {row[1] for row in stored} <= {"ok", "device-failed"}
    for (run_id,) in controller.rows("SELECT run_id FROM run"):
        for device in ("a", "b"):
            # What was tainted is launched again under another id.
            rounds = {row[5] for row in stored if row[1:5] == ("ok", run_id, device, "m")}
            assert rounds == set(range(ROUNDS)), (run_id, device, rounds)
    return len(begun)
