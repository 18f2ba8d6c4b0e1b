"""The tools that are known: kind, system, ABI, and where they are published."""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources

from bench.errors import UserError

# Where the sources of each kind tell how to build it.
_TARGETS = {
    "benchmark_model": "tflite/tools/benchmark:benchmark_model",
    "benchmark_litert": "litert/tools:benchmark_litert_model",
    "benchmark_app": "tflite/tools/benchmark/android:benchmark_model",
}


@dataclass(frozen=True, slots=True)
class KnownTool:
    """One entry of catalogue.toml, which says what the fields mean."""

    kind: str
    system: str
    abi: str
    url: str
    page: str
    verified: bool

    @property
    def name(self) -> str:
        """How the command line calls it: "benchmark_model-android-arm64-v8a"."""
        return f"{self.kind}-{self.system}-{self.abi}"

    @property
    def by_hand(self) -> str:
        """What to do where it cannot be downloaded, one sentence."""
        return (
            f"build {_TARGETS[self.kind]} of LiteRT for {self.system} {self.abi}, or take a "
            f"build that you trust, and give it: edgebench tools add {self.name} FILE"
        )


@cache
def known_tools() -> tuple[KnownTool, ...]:
    """All entries, in the order of the file."""
    text = resources.files("bench.tools").joinpath("catalogue.toml").read_text("utf-8")
    return tuple(KnownTool(**entry) for entry in tomllib.loads(text)["tool"])


def known_tool(name: str) -> KnownTool:
    """The entry of that name. Raises: UserError, with the nearest name."""
    names = [tool.name for tool in known_tools()]
    for tool in known_tools():
        if tool.name == name:
            return tool
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}?" if close else "`edgebench tools` lists them"
    raise UserError(f"{name!r} is no known tool; {hint}")
