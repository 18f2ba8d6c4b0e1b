"""Which devices of a fleet differ from their like, from themselves, or are not heard of."""

from __future__ import annotations

from reports.fleet.judge import fleet
from reports.fleet.model import Finding, Fleet, Group, Kind, Trouble

__all__ = ["Finding", "Fleet", "Group", "Kind", "Trouble", "fleet"]
