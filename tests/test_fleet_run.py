"""examples/fleet as a user runs it: many devices in one go, while they are unplugged and frozen."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from bench.records import LaunchRecord, Outcome, RunData
from bench.store import open_store
from devices.connect import ANDROID_WORKDIR, connect
from devices.deadline import Deadline
from devices.inventory import DeviceEntry, Inventory, read_inventory

EXAMPLE = Path(__file__).parent.parent / "examples" / "fleet"
VARIANTS = ("fp32", "fp16", "dynamic", "weight-int8", "int8")
PI = "emulated-pi"
READY_S = 400.0


def environment(folder: Path) -> dict[str, str]:
    """Nothing of the user's but the cache of boards."""
    cache = os.environ.get("EDGEBENCH_BOARD_CACHE", str(Path("~/.cache/edgebench/boards")))
    return {
        **os.environ,
        "HOME": str(folder / "home"),
        "EDGEBENCH_STORE": str(folder / "store.db"),
        "EDGEBENCH_BOARD_CACHE": str(Path(cache).expanduser()),
    }


def edgebench(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-c", "from bench.cli.main import entry; entry()", *arguments],
        cwd=folder,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=1200,
    )


@contextmanager
def lab(folder: Path, *arguments: str) -> Iterator[Inventory]:
    """lab.py at work in a folder of the test's own; skips where this machine makes no phones."""
    said = folder / "lab.log"
    with said.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-u", "lab.py", *arguments],
            cwd=folder,
            env=environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        deadline = Deadline(READY_S)
        while "Ctrl-C ends them" not in said.read_text():
            if process.poll() is not None and "namespaces" in said.read_text():
                pytest.skip("this machine makes no namespaces, which emulated phones need")
            assert process.poll() is None, said.read_text()
            assert not deadline.expired(), said.read_text()
            time.sleep(0.1)
        yield read_inventory(folder / "devices.toml")
        assert process.poll() is None, said.read_text()
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(120)
    assert "Traceback" not in said.read_text()
    assert not (folder / "devices.toml").exists()


def left_on(entry: DeviceEntry) -> list[str]:
    """What a run has left on a device beside the files that it will need again."""
    device = connect(entry)
    listed = device.transport.run(
        ["sh", "-c", 'ls "$1/runs" 2> /dev/null; exit 0', "sh", device.workdir],
        deadline=Deadline(120),
    )
    return listed.check().text.split()


def side_by_side(data: RunData) -> None:
    """Remote devices are measured at the same time, this machine when they are done."""
    device_of = {planned.case.case_id: planned.case.device for planned in data.cases}
    spans = {}
    for name in {*device_of.values()}:
        own = [record for record in data.launches if device_of[record.case_id] == name]
        ends = [r.started_utc + timedelta(seconds=r.duration_s) for r in own]
        spans[name] = (min(r.started_utc for r in own), max(ends))
    own_s = {name: (end - start).total_seconds() for name, (start, end) in spans.items()}
    wall_s = max(e for _, e in spans.values()) - min(s for s, _ in spans.values())
    whole = f"wall {wall_s.total_seconds():.0f} s of {sum(own_s.values()):.0f} s in all"
    sys.stdout.write(f"{whole}: {own_s}\n")
    began, _ = spans.pop("local")
    assert max(start for start, _ in spans.values()) < min(end for _, end in spans.values())
    assert max(end for _, end in spans.values()) <= began


def _too_fast(record: LaunchRecord) -> bool:
    return record.failure is not None and record.failure.kind == "no-measurement"


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "with_pi",
    [
        pytest.param(False, id="phones"),
        pytest.param(
            True, id="phones-and-pi", marks=[pytest.mark.board, pytest.mark.xdist_group("board")]
        ),
    ],
)
def test_one_run_measures_all_devices_while_they_come_and_go(
    tmp_path: Path, with_pi: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What the commands below trust, this process trusts when it looks at what they left.
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    for path in EXAMPLE.glob("*"):
        if path.is_file() and path.name != "devices.toml":
            shutil.copy(path, tmp_path)
    subprocess.run([sys.executable, "make.py"], cwd=tmp_path, check=True, timeout=300)
    plan = tmp_path / "edgebench.toml"
    plan.write_text(re.sub(r"^rounds = .*$", "rounds = 1", plan.read_text(), flags=re.MULTILINE))
    arguments = ["--trouble"] if with_pi else ["--trouble", "--no-pi"]
    with lab(tmp_path, *arguments) as inventory:
        if with_pi:
            if PI not in inventory.entries:
                pytest.skip((tmp_path / "lab.log").read_text().splitlines()[0])
            trusted = edgebench(tmp_path, "devices", "trust", PI, "--yes")
            assert trusted.returncode == 0, trusted.stderr
        done = edgebench(tmp_path, "run", "edgebench.toml")
        # 3: with other load on this machine there may be no clean launch of its own.
        assert done.returncode in (0, 1, 3), done.stderr
        assert "not finished" not in done.stderr
        remote = [entry for entry in inventory.entries.values() if entry.kind != "local"]
        assert {entry.name: left_on(entry) for entry in remote} == {e.name: [] for e in remote}
    strikes = (tmp_path / "lab.log").read_text()
    assert "unplugged" in strikes, "nothing went wrong while it was measured"

    with open_store(tmp_path / "store.db", write=False) as store:
        data = store.load(store.runs()[0].run_id, samples=True)
    planned = {p.case.case_id: p for p in data.cases}
    launched = {record.case_id for record in data.launches}
    assert launched == {i for i, p in planned.items() if p.reason is None}
    keys = [(r.case_id, r.index, r.attempt) for r in data.launches]
    assert len(keys) == len(set(keys))
    # What a fault has spoilt was launched again, and then it was well. That the model is too
    # small for the tool's clock on a good day is no fault.
    well = {r.case_id for r in data.launches if r.outcome is Outcome.OK or _too_fast(r)}
    assert well == launched
    side_by_side(data)

    shown = json.loads(edgebench(tmp_path, "show", "--json").stdout)
    cells = {(c["device"], c["variant"], c["delegate"]): c for c in shown["cases"]}
    for entry in inventory.entries.values():
        for variant in VARIANTS:
            for delegate in ("none", "xnnpack", "gpu"):
                cell = cells[entry.name, variant, delegate]
                assert cell["simulated"] == (entry.kind != "local")
    report = (tmp_path / "edgebench-out" / "report" / "report.html").read_text()
    assert all(name in report for name in inventory.entries)


def test_the_entries_of_the_lab_are_an_inventory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLE))
    import lab as example

    text = example.entry('a "phone"', kind="android", serial="127.0.0.1:5", labels=["lab"])
    path = tmp_path / "devices.toml"
    path.write_text(text)
    entry = read_inventory(path).entries['a "phone"']
    assert (entry.labels, entry.workdir or ANDROID_WORKDIR) == (("lab",), ANDROID_WORKDIR)
