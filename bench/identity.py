"""What is measured: delegate, case, and the ids that name them for ever."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import uuid_utils

# Reserved: a plan may not use them.
SENTINEL_PROJECT = "edgebench"
SENTINEL_MODEL = "edgebench sentinel"
# What `run --against` calls the old one of two: "mobilenet @ 0198a2b3".
_BEFORE = re.compile(r"(?P<name>.+) @ (?P<run>[0-9a-f]{8}-[0-9a-f]{4})", re.DOTALL)


def canonical_json(value: object) -> str:
    """One text for one value: sorted keys, no spaces, no NaN; what every id is made of."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )


def sha256_of(value: object) -> str:
    """Hex sha256 of the canonical JSON of a value."""
    return hashlib.sha256(canonical_json(value).encode("ascii")).hexdigest()


def new_run_id() -> str:
    """A UUIDv7 (RFC 9562): sorts by time of creation."""
    return str(uuid_utils.uuid7())


@dataclass(frozen=True, slots=True)
class DelegateSpec:
    """A delegate as it was asked for, with its options in canonical order."""

    name: str
    options: tuple[tuple[str, str], ...] = ()

    @property
    def label(self) -> str:
        """Short text for people: "gpu", "gpu (precision=fp32)"."""
        if not self.options:
            return self.name
        return f"{self.name} ({', '.join(f'{key}={value}' for key, value in self.options)})"

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "options": dict(self.options)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> DelegateSpec:
        return cls(value["name"], tuple(sorted(value["options"].items())))


@dataclass(frozen=True, slots=True)
class Case:
    """One cell of the matrix: what is measured, without the content of any file.

    Attributes:
        project: name of the plan's project.
        model: name of the model in the plan.
        variant: fp32, fp16, dynamic, int8, int8-qat, ...
        delegate: none, xnnpack, ... with options.
        threads: of the runtime, >= 1.
        runner: runner kind, "invoke_loop", ...
        device: name of the device unit.
        input_shapes: (input name, shape) pairs where the plan fixes them, else ().
    """

    project: str
    model: str
    variant: str
    delegate: DelegateSpec
    threads: int
    runner: str
    device: str
    input_shapes: tuple[tuple[str, tuple[int, ...]], ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "project": self.project,
            "model": self.model,
            "variant": self.variant,
            "delegate": self.delegate.to_json(),
            "threads": self.threads,
            "runner": self.runner,
            "device": self.device,
            "input_shapes": [[name, list(shape)] for name, shape in self.input_shapes],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Case:
        return cls(
            project=value["project"],
            model=value["model"],
            variant=value["variant"],
            delegate=DelegateSpec.from_json(value["delegate"]),
            threads=value["threads"],
            runner=value["runner"],
            device=value["device"],
            input_shapes=tuple((n, tuple(s)) for n, s in value["input_shapes"]),
        )

    @property
    def is_sentinel(self) -> bool:
        """Whether it is the fixed case by which bench.sentinel judges a machine."""
        return (self.project, self.model) == (SENTINEL_PROJECT, SENTINEL_MODEL)

    @property
    def is_before(self) -> bool:
        """Whether it is the old side of a paired A/B: no series of its own."""
        return before(self.model) is not None

    @property
    def case_id(self) -> str:
        return _case_id(self)

    @property
    def label(self) -> str:
        """Short text for people: "int8 · xnnpack · 2 threads"; a delegate with its options."""
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return f"{self.variant} · {self.delegate.label} · {threads}"


@lru_cache(maxsize=1 << 16)
def _case_id(case: Case) -> str:
    # Asked for again and again of every case of a run.
    return sha256_of(case.to_json())


def named_before(model: str, run_id: str) -> str:
    """What the model of an earlier run is called where it is measured beside today's."""
    return f"{model} @ {run_id[:13]}"


def before(model: str) -> tuple[str, str] | None:
    """Name and beginning of the run id of such a model; None for any other. No plan may use
    such a name."""
    found = _BEFORE.fullmatch(model)
    return None if found is None else (found["name"], found["run"])


def check_id(run_id: str, case_id: str, purpose: str, attempt: int) -> str:
    """Name of a launch beside the timed ones (bench.records.CheckRecord)."""
    return sha256_of([run_id, case_id, purpose, attempt])


def launch_id(run_id: str, case_id: str, index: int, attempt: int) -> str:
    """Name of one launch: unique in every store it is ever copied to."""
    return sha256_of([run_id, case_id, index, attempt])
