"""What every runner is: files and an argv to launch, and a reader of what came out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from bench.identity import Case
from bench.records import Failure, Measurement, Outcome


@dataclass(frozen=True, slots=True)
class LaunchLimits:
    """How long one launch warms up and measures (METHOD sections 1 and 2).

    Seconds of wall time and numbers of invokes; the defaults are the method's.
    """

    warmup_min_s: float = 1.0
    warmup_max_s: float = 10.0
    warmup_min_invokes: int = 20
    measure_min_s: float = 0.3
    measure_max_s: float = 5.0
    min_samples: int = 100
    max_samples: int = 5000
    timeout_s: float = 120.0


@dataclass(frozen=True, slots=True)
class LaunchSpec:
    """Everything a runner needs to describe one launch.

    Attributes:
        case: what is measured.
        model: the variant's .tflite on the controller.
        inputs: .npz on the controller with one array per model input, in the order
            of the model's inputs (arr_0, arr_1, ...), float or integer, with batch
            dimension; None for a seeded draw.
        seed: of the seeded draw, and of nothing else.
        limits: warm-up and measurement.
        launch_key: text that differs between the launches of a case (its launch_id); what
            is varied from launch to launch on purpose is derived from it.
    """

    case: Case
    model: Path
    inputs: Path | None
    seed: int
    limits: LaunchLimits
    launch_key: str = ""


@dataclass(frozen=True, slots=True)
class LaunchFiles:
    """What to lay into a launch's run directory and what to start there.

    Attributes:
        argv: the command; "{python}" stands for the device's Python interpreter.
        files: name in the run directory -> file on the controller.
        texts: name in the run directory -> content, for small files made per launch.
        env: variables added to the environment.
        results: names of files that the program writes into the run directory, brought
            back with its output where they are there.
    """

    argv: tuple[str, ...]
    files: Mapping[str, Path]
    texts: Mapping[str, str]
    env: Mapping[str, str]
    results: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RawOutput:
    """What a launch left behind. exit_code is negative for minus the signal.

    files: name -> content of those of LaunchFiles.results that were there.
    """

    exit_code: int
    stdout: bytes
    stderr: bytes
    files: Mapping[str, bytes] = field(default_factory=dict)


class Runner(Protocol):
    """A pure description: files and argv out, bytes in, no I/O of its own."""

    @property
    def kind(self) -> str: ...

    @property
    def environment(self) -> Mapping[str, Any]:
        """What it measures with, for every record: version and sha256 of a binary."""
        ...

    def prepare(self, spec: LaunchSpec) -> LaunchFiles:
        """Say what a launch of this case needs."""
        ...

    def read(
        self, spec: LaunchSpec, output: RawOutput
    ) -> tuple[Outcome, Measurement | None, Failure | None]:
        """Judge what came out: OK with a measurement, anything else with a failure."""
        ...
