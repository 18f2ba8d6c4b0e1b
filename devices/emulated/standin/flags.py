"""Flags in the syntax of the real tool: --name=value and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from devices.emulated.standin.figures import number

Value = bool | int | float | str


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag.

    Attributes:
        kind: "bool", "int32", "float" or "string".
        label: what the log calls it; "" where it is never logged.
        help: words of the usage text, which are ours.
    """

    name: str
    kind: str
    default: Value
    label: str = ""
    help: str = ""


class BadFlag(ValueError):
    """A value that its flag cannot have."""


class Flags:
    """The flags of one call.

    Attributes:
        unconsumed: arguments that belong to no flag.
        given: names that were set, in order.
    """

    def __init__(self, table: Iterable[Flag], arguments: Sequence[str]) -> None:
        """Raises: BadFlag."""
        self._table = tuple(table)
        self._values: dict[str, Value] = {flag.name: flag.default for flag in self._table}
        self.given: list[str] = []
        self.unconsumed: list[str] = []
        kinds = {flag.name: flag.kind for flag in self._table}
        for argument in arguments:
            name, equals, text = argument.removeprefix("--").partition("=")
            if not argument.startswith("--") or not equals or name not in kinds:
                self.unconsumed.append(argument)
                continue
            try:
                self._values[name] = _read(kinds[name], text)
            except ValueError:
                raise BadFlag(f"Failed to parse flag '{name}' against argv '{argument}'") from None
            self.given.append(name)

    def has(self, name: str) -> bool:
        """Whether the build knows the flag."""
        return name in self._values

    def on(self, name: str) -> bool:
        return bool(self._values.get(name, False))

    def integer(self, name: str) -> int:
        return int(self._values[name])

    def decimal(self, name: str) -> float:
        return float(self._values[name])

    def text(self, name: str) -> str:
        return str(self._values.get(name, ""))

    def logged(self, always: Iterable[str] = ()) -> list[tuple[str, str]]:
        """Name and line of each flag that the log mentions, in the table's order."""
        shown = {*always, *self.given}
        verbose = self.on("verbose")
        return [
            (flag.name, f"{flag.label}: [{_write(self._values[flag.name])}]")
            for flag in self._table
            if flag.label and (verbose or flag.name in shown)
        ]


def usage(program: str, table: Iterable[Flag]) -> str:
    """The usage text, laid out as the tool's."""
    lines = [f"usage: {program} <flags>", "Flags:"]
    for flag in table:
        head = f"--{flag.name}={_plain(flag.default)}"
        lines.append(f"\t{head:<47}\t{flag.kind}\toptional\t{flag.help}")
    return "\n".join(lines) + "\n"


def _read(kind: str, text: str) -> Value:
    if kind == "bool":
        if text not in ("true", "false", "1", "0"):
            raise ValueError(text)
        return text in ("true", "1")
    if kind == "int32":
        if not re.fullmatch(r"[+-]?\d+", text):
            raise ValueError(text)
        return int(text)
    if kind == "float":
        return float(text)
    return text


def _write(value: Value) -> str:
    if isinstance(value, bool):
        return str(int(value))
    return number(value) if isinstance(value, float) else str(value)


def _plain(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else _write(value)
