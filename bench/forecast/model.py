"""A forecast of what a delegate takes, and what a measurement says of it, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass

from bench.delegation.model import Coverage


@dataclass(frozen=True, slots=True)
class Expected:
    """Nodes of one op that share a reason.

    Attributes:
        nodes: how many of them, in the main subgraph.
        reason: why they are refused, or why the list cannot say.
    """

    op: str
    nodes: int
    reason: str


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a list of rules says of one model; never a measurement.

    Attributes:
        delegate: name in a plan ("gpu").
        title: what the list is of, where a delegate has several ("GPU accelerator of LiteRT").
        runners: kinds of runner whose delegate it is; () for every one.
        verdict: FULL, PARTIAL or NONE by what the list knows; UNKNOWN where what it does not
            know decides.
        nodes: of the main subgraph.
        taken: those that the list expects on the delegate.
        refused, unknown: the others, most nodes first.
        taken_from: software and version that the list was taken from.
        documents: URLs of what was read.
        rules_version: of the lists.
    """

    delegate: str
    title: str
    runners: tuple[str, ...]
    verdict: Coverage
    nodes: int
    taken: int
    refused: tuple[Expected, ...]
    unknown: tuple[Expected, ...]
    taken_from: str
    documents: tuple[str, ...]
    rules_version: int


@dataclass(frozen=True, slots=True)
class Checked:
    """A forecast held against a measured delegation.

    Attributes:
        disagreements: one sentence each; () where nothing contradicts the forecast.
        why_not: why they cannot be compared; None if they were.
    """

    disagreements: tuple[str, ...] = ()
    why_not: str | None = None
