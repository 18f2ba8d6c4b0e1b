"""Real inference on the emulated board, by a clock that counts instructions.

The one place where latencies can be compared in a test: a time repeats to a few ticks of
its clock (16 ns), whatever else this machine does.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import models
import numpy as np
import pytest

from bench.delegation.model import Coverage
from bench.identity import Case, DelegateSpec
from bench.parsers.count_line import CountLine, parse_count_line
from bench.parsers.recorded_clock import Rebuilt, rebuild
from bench.records import LaunchRecord, Measurement, Outcome
from bench.runners.base import LaunchLimits
from bench.runners.clock import CLOCK_OUT, library_for
from bench.runners.loop import InvokeLoopRunner
from bench.session import Session
from bench.slots import CaseFiles
from devices import sampler, telemetry
from devices.blobs import BlobStore
from devices.deadline import Deadline
from devices.emulated.board import EmulatedBoard
from devices.emulated.board_image import PYTHON
from devices.facts import read_facts
from devices.launch import Launcher, Watch
from devices.launch_output import LaunchOutput
from devices.sampler import parse_samples
from tests.boards import device_of
from tests.test_recorded_clock_native import TOOL, needs

pytest_plugins = ("tests.board_fixture",)
# A busy machine of two cores emulates a Pi ten times slower than a quiet one.
pytestmark = [
    pytest.mark.board,
    pytest.mark.xdist_group("steady-board"),
    pytest.mark.timeout(1200),
]

WIDTH = 512
# The same layer of 512 x 512 weights, as each recipe has it.
MODELS: Mapping[str, bytes] = {
    "fp32": models.float_model(WIDTH, WIDTH),
    "dynamic": models.int8_weights_model(WIDTH, decoded=False),
    "int8": models.int8_model(WIDTH, WIDTH),
}
QUICK = LaunchLimits(
    warmup_min_s=0.05, warmup_max_s=0.2, measure_min_s=0.05, measure_max_s=1.0, timeout_s=250
)
# What two launches of one case may differ by.
REPEATS_TO = 0.002

COMPILER = "aarch64-linux-gnu-gcc"

ANSWER = """
import json, sys, numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType as R
resolvers = {"xnnpack": R.AUTO, "none": R.BUILTIN_WITHOUT_DEFAULT_DELEGATES}
runner = Interpreter(sys.argv[1], experimental_op_resolver_type=resolvers[sys.argv[2]])
runner.allocate_tensors()
(given,), (answer,) = runner.get_input_details(), runner.get_output_details()
runner.set_tensor(given["index"], np.load(sys.argv[3]))
runner.invoke()
print(json.dumps(runner.get_tensor(answer["index"]).ravel().tolist()))
"""


class Bench:
    """A session on the steady board, and its files here."""

    def __init__(self, board: EmulatedBoard, folder: Path, workdir: str) -> None:
        self.transport = board.transport()
        self.launcher = Launcher(self.transport, workdir, BlobStore(self.transport, workdir))
        self.models = {
            name: models.write_model(folder / f"{name}.tflite", content)
            for name, content in MODELS.items()
        }
        self.session = Session(
            device=device_of(self.transport, workdir),
            facts=read_facts(self.transport, Deadline(120)),
            runners={"invoke_loop": InvokeLoopRunner()},
            run_id="01939f3a-0000-7000-8000-000000000000",
            seed=0,
            limits=QUICK,
            launcher=self.launcher,
        )
        self._count = 0

    def launch(self, variant: str, delegate: str) -> LaunchRecord:
        spec = Case("p", "m", variant, DelegateSpec(delegate), 1, "invoke_loop", "steady-pi")
        self._count += 1
        record = self.session.launch(
            spec,
            CaseFiles(self.models[variant], _sha256(self.models[variant]), None),
            index=self._count,
            position=0,
            attempt=0,
        )
        self.session.forget(record.launch_id)
        assert (record.outcome, record.failure) == (Outcome.OK, None)
        assert record.environment["simulated"] is True
        return record


def _sha256(path: Path) -> str:
    done = subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True)
    return done.stdout.split()[0]


def measured(record: LaunchRecord) -> Measurement:
    assert record.measurement is not None
    return record.measurement


def p50(record: LaunchRecord) -> float:
    value = measured(record).p50_us
    assert value is not None
    return value


@pytest.fixture(scope="module")
def bench(steady_pi: EmulatedBoard, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    bench = Bench(steady_pi, tmp_path_factory.mktemp("models"), "/var/tmp/edgebench-steady")
    yield bench
    bench.transport.close()


@pytest.fixture(scope="module")
def launches(bench: Bench) -> Mapping[tuple[str, str], LaunchRecord]:
    """Every case once."""
    cases = [(variant, delegate) for delegate in ("none", "xnnpack") for variant in MODELS]
    return {case: bench.launch(*case) for case in cases}


@pytest.mark.parametrize("case", [("fp32", "xnnpack"), ("int8", "none"), ("int8", "xnnpack")])
def test_a_latency_repeats(
    bench: Bench, launches: Mapping[tuple[str, str], LaunchRecord], case: tuple[str, str]
) -> None:
    assert p50(bench.launch(*case)) == pytest.approx(p50(launches[case]), rel=REPEATS_TO)


def test_latencies_are_in_the_order_that_the_kernels_give(
    launches: Mapping[tuple[str, str], LaunchRecord],
) -> None:
    us = {case: p50(record) for case, record in launches.items()}
    for variant in MODELS:
        assert us[variant, "xnnpack"] < 0.7 * us[variant, "none"]
    assert us["int8", "xnnpack"] < us["dynamic", "xnnpack"] < us["fp32", "xnnpack"]
    assert us["dynamic", "none"] < us["int8", "none"] < us["fp32", "none"]


def test_who_ran_what_is_told_from_the_board(
    launches: Mapping[tuple[str, str], LaunchRecord],
) -> None:
    said = {case: measured(record).delegation for case, record in launches.items()}
    for variant in MODELS:
        assert said[variant, "none"].verdict is Coverage.NONE
    assert said["fp32", "xnnpack"].verdict is Coverage.FULL
    assert said["dynamic", "xnnpack"].verdict is Coverage.FULL
    assert said["int8", "xnnpack"].verdict is Coverage.PARTIAL
    assert said["int8", "xnnpack"].fallback_ops == {"SOFTMAX": 1}


def answers(bench: Bench, variant: str, delegate: str, given: Path) -> tuple[list[float], ...]:
    """Of the board and of this machine, to the same input."""
    words = ("model", delegate, "input.npy")
    identifier = f"answer-{variant}-{delegate}"
    there = bench.launcher.run(
        identifier,
        [PYTHON, "answer.py", *words],
        files={"model": bench.models[variant], "input.npy": given},
        texts={"answer.py": ANSWER},
        env={},
        deadline=Deadline(250),
    )
    bench.launcher.remove(identifier, deadline=Deadline(60))
    assert there.exit_code == 0, there.stderr
    here = subprocess.run(
        [sys.executable, "-c", ANSWER, bench.models[variant], delegate, given],
        capture_output=True,
        check=True,
    )
    return json.loads(there.stdout), json.loads(here.stdout)


@pytest.mark.parametrize("delegate", ["none", "xnnpack"])
def test_int8_answers_are_the_same_as_here(bench: Bench, tmp_path: Path, delegate: str) -> None:
    given = np.random.default_rng(1).integers(-128, 128, (1, WIDTH), dtype=np.int8)
    np.save(tmp_path / "input.npy", given)
    there, here = answers(bench, "int8", delegate, tmp_path / "input.npy")
    assert there == here
    assert len(set(here)) > 1


def test_float_answers_are_nearly_those_of_here(bench: Bench, tmp_path: Path) -> None:
    given = np.random.default_rng(1).random((1, WIDTH), dtype=np.float32)
    np.save(tmp_path / "input.npy", given)
    there, here = answers(bench, "fp32", "xnnpack", tmp_path / "input.npy")
    assert there == pytest.approx(here, rel=1e-4)


@pytest.fixture(scope="module")
def clock_tool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that times runs of steady work as benchmark_model does."""
    needs(COMPILER)
    tool = tmp_path_factory.mktemp("tool") / "tool"
    subprocess.run(
        [COMPILER, "-O2", "-o", tool, TOOL / "clock_tool.c", "-lm", "-pthread"], check=True
    )
    return tool


def timed(
    bench: Bench, name: str, tool: Path, *flags: str, **given: Any
) -> tuple[list[CountLine], LaunchOutput]:
    """The figures of warm-up and measurement that the tool prints, and all that came back."""
    files = {"tool": tool, **given.pop("files", {})}
    output = bench.launcher.run(
        name,
        ["./tool", *flags],
        files=files,
        texts={},
        env=given.pop("env", {}),
        deadline=Deadline(250),
        **given,
    )
    bench.launcher.remove(name, deadline=Deadline(60))
    assert output.exit_code == 0, output.stderr
    lines = [line for t in output.stdout.decode().splitlines() if (line := parse_count_line(t))]
    assert len(lines) == 2
    return lines, output


def test_watching_a_launch_costs_it_less_than_one_percent(bench: Bench, clock_tool: Path) -> None:
    """Of the mean of its runs, on the only CPU there is; the watch looks about once a second."""
    flags = ("--warmup_runs=600", "--num_runs=2000", "--test_work=300000")
    (_, alone), _ = timed(bench, "alone", clock_tool, *flags)
    watch = Watch(conditions=telemetry.SCRIPT, sampler=sampler.SCRIPT)
    (_, watched), output = timed(bench, "watched", clock_tool, *flags, watch=watch)
    assert len(parse_samples(output.samples)) >= 5
    assert alone.avg is not None
    assert watched.avg is not None
    assert 0.999 < watched.avg / alone.avg < 1.01


def test_the_recorded_clock_proves_itself_on_the_board(bench: Bench, clock_tool: Path) -> None:
    library = library_for(bench.session.facts.machine, bench.session.facts.word_bits or 0)
    assert library is not None
    flags = ("--warmup_runs=60", "--num_runs=300", "--test_threads=2")
    (_, plain), _ = timed(bench, "plain", clock_tool, *flags)
    lines, output = timed(
        bench,
        "recorded",
        clock_tool,
        *flags,
        files={library.name: library},
        env={"LD_PRELOAD": f"./{library.name}", CLOCK_OUT: "clock"},
        results=("clock",),
    )
    found = rebuild(output.files["clock"], *lines)
    assert isinstance(found, Rebuilt), found
    assert (len(found.warmup_ns), len(found.samples_ns)) == (60, 300)
    assert plain.median is not None
    # Of a clock that counts instructions, and medians, because a mean of 60 ms is ruled by
    # whatever else had the only CPU then: the difference is the recording's.
    assert lines[1].median == pytest.approx(plain.median, rel=0.05)
