"""What every runner is: files and an argv to launch, and a reader of what came out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from bench.delegation.model import Delegation
from bench.identity import Case
from bench.ops.model import OpProfile
from bench.records import Failure, Measurement, Outcome, Purpose


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
        purpose: what the launch is for; TIMING also where a system trace is taken around it.
        samples: of NUMERICS: .npz on the controller with one array per model input (arr_0,
            arr_1, ...) of shape (samples, *item), real or as the input's own type, each
            item to be answered by itself; None of every other purpose.
        launch_key: text that differs between the launches of a case (its launch_id); what
            is varied from launch to launch on purpose is derived from it.
    """

    case: Case
    model: Path
    inputs: Path | None
    seed: int
    limits: LaunchLimits
    launch_key: str = ""
    purpose: Purpose = Purpose.TIMING
    samples: Path | None = None


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


@dataclass(frozen=True, slots=True)
class Profiled:
    """What a PROFILE launch gave; delegation is None where it says nothing of it."""

    profile: OpProfile
    delegation: Delegation | None


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What a NUMERICS launch gave.

    Attributes:
        outputs: one array per output of the model, (samples, *item), as the runtime gives
            it, not dequantised; names, quantization: of each, the latter (scale, zero
            point) or None for what is not quantised.
        delegation: as in Profiled.
    """

    outputs: tuple[NDArray[Any], ...]
    names: tuple[str, ...]
    quantization: tuple[tuple[float, int] | None, ...]
    delegation: Delegation | None


class Runner(Protocol):
    """A pure description: files and argv out, bytes in, no I/O of its own."""

    @property
    def kind(self) -> str: ...

    @property
    def environment(self) -> Mapping[str, Any]:
        """What it measures with, for every record: version and sha256 of a binary."""
        ...

    def cannot(self, spec: LaunchSpec) -> str | None:
        """Why this runner has no launch of the spec's purpose, one line, or None if it has.

        Asked of PROFILE and NUMERICS; a plan has asked about TIMING already.
        """
        ...

    def prepare(self, spec: LaunchSpec) -> LaunchFiles:
        """Say what a launch of this case and purpose needs."""
        ...

    def read(
        self, spec: LaunchSpec, output: RawOutput
    ) -> tuple[Outcome, Measurement | None, Failure | None]:
        """Judge a TIMING launch: OK with a measurement, anything else with a failure."""
        ...

    def read_profile(
        self, spec: LaunchSpec, output: RawOutput
    ) -> tuple[Outcome, Profiled | None, Failure | None]:
        """Judge a PROFILE launch, likewise."""
        ...

    def read_answers(
        self, spec: LaunchSpec, output: RawOutput
    ) -> tuple[Outcome, Answers | None, Failure | None]:
        """Judge a NUMERICS launch, likewise."""
        ...
