"""Launches beside the timed ones and their artifacts to rows and back, without I/O."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import TypeAdapter

from bench.delegation.model import Delegation
from bench.errors import StoreError
from bench.numerics.model import Numerics
from bench.ops.model import OpProfile
from bench.records import Artifact, CheckRecord, Outcome, Purpose
from bench.store import schema
from bench.store.checks import checked, failure_columns, failure_of
from bench.store.codec import json_text
from bench.store.rows import Row

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")

_PROFILE = TypeAdapter(OpProfile)
_NUMERICS = TypeAdapter(Numerics)
_DELEGATION = TypeAdapter(Delegation)

_PLAIN = (
    "launch_id",
    "run_id",
    "case_id",
    "attempt",
    "started_utc",
    "duration_s",
    "conditions",
    "stderr_tail",
)


def check_row(record: CheckRecord, environment_id: str) -> dict[str, Any]:
    """The row of table check_launch.

    Raises:
        StoreError: OK without what the purpose asks for, anything else without a failure, or
            what belongs to another purpose.
    """
    _refuse_contradictions(record)
    values = {name: getattr(record, name) for name in _PLAIN}
    values |= {
        "purpose": record.purpose,
        "outcome": record.outcome,
        "environment_id": environment_id,
        "argv": record.argv,
        "delegation": None if record.delegation is None else asdict(record.delegation),
        "profile": _packed(record.profile, "check_launch.profile"),
        "numerics": _packed(record.numerics, "check_launch.numerics"),
    }
    return checked(schema.check_launch, values | failure_columns(record.failure))


def artifact_rows(record: CheckRecord) -> list[dict[str, Any]]:
    """The rows of table artifact."""
    return [
        checked(
            schema.artifact,
            {
                "launch_id": record.launch_id,
                "name": artifact.name,
                "position": position,
                "content": zlib.compress(artifact.content),
            },
        )
        for position, artifact in enumerate(record.artifacts)
    ]


def check_of(row: Row, artifacts: Iterable[str]) -> CheckRecord:
    """The record of a row of check_launch joined with environment.facts.

    Args:
        artifacts: names of them, in order; their content stays where it is.

    Raises:
        StoreError: damaged, or written by a newer edgebench.
    """
    return CheckRecord(
        **{name: row[name] for name in _PLAIN},
        purpose=Purpose(row["purpose"]),
        outcome=Outcome(row["outcome"]),
        failure=failure_of(row),
        environment=row["facts"],
        argv=tuple(row["argv"]),
        profile=_unpacked(_PROFILE, row["profile"], row),
        numerics=_unpacked(_NUMERICS, row["numerics"], row),
        artifacts=tuple(Artifact(name, b"") for name in artifacts),
        delegation=(
            None if row["delegation"] is None else _DELEGATION.validate_python(row["delegation"])
        ),
    )


def artifact_content(packed: bytes, where: str) -> bytes:
    """Raises: StoreError where it is damaged."""
    try:
        return zlib.decompress(packed)
    except zlib.error as error:
        raise StoreError(f"{where} is damaged: {error}") from error


def _refuse_contradictions(record: CheckRecord) -> None:
    named = f"check {record.launch_id}"
    if record.purpose is Purpose.TIMING:
        raise StoreError(f"{named}: a timed launch is no check")
    ok = record.outcome is Outcome.OK
    if ok == (record.failure is not None):
        raise StoreError(f"{named}: a failure goes with everything but OK")
    for purpose, found in (
        (Purpose.PROFILE, record.profile),
        (Purpose.NUMERICS, record.numerics),
    ):
        if (found is not None) != (ok and record.purpose is purpose):
            raise StoreError(f"{named}: {purpose} goes with OK launches for it, and only with them")
    if record.artifacts and record.purpose is not Purpose.TRACE:
        raise StoreError(f"{named}: a launch for {record.purpose} leaves no artifacts")
    if ok and record.purpose is Purpose.TRACE and not record.artifacts:
        raise StoreError(f"{named} comes without its trace")


def _packed(value: DataclassInstance | None, where: str) -> bytes | None:
    return None if value is None else zlib.compress(json_text(asdict(value), where).encode())


def _unpacked(adapter: TypeAdapter[T], packed: bytes | None, row: Row) -> T | None:
    if packed is None:
        return None
    try:
        return adapter.validate_python(json.loads(zlib.decompress(packed)))
    except zlib.error as error:
        raise StoreError(f"check {row['launch_id']} is damaged: {error}") from error
