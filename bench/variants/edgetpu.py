"""The user's own edgetpu_compiler: found, run, and what int8-edgetpu needs of it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import UnreadableOutput
from bench.parsers.edgetpu_compiler import parse_version
from bench.records import Failure
from bench.variants.cache import file_sha256
from bench.variants.recipe import EDGETPU, EDGETPU_OF, RECIPE_VERSION, RECIPES
from bench.variants.wanted import Wanted, key_of, look_up_kept

COMPILER = "edgetpu_compiler"
_MISSING = (
    f"{COMPILER} is not on PATH; it is a program for x86-64 Linux "
    "(https://coral.ai/docs/edgetpu/compiler); or compile int8 elsewhere and give the file as "
    f"files.{EDGETPU}"
)
_VERSION_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Compiler:
    """The program that was found."""

    path: Path
    version: str
    sha256: str

    @property
    def facts(self) -> Mapping[str, str]:
        """What tells it from another, for provenance."""
        return {"name": COMPILER, "version": self.version, "sha256": self.sha256}


def find_compiler() -> Compiler | Failure:
    """The compiler on PATH, or why there is none that works."""
    found = shutil.which(COMPILER)
    if found is None:
        return Failure("prerequisite", _MISSING)
    path = Path(found).resolve()
    try:
        end = run_compiler([str(path), "--version"], _VERSION_TIMEOUT_S)
        return Compiler(path, parse_version(end.stdout), file_sha256(path))
    except (OSError, subprocess.TimeoutExpired, UnreadableOutput) as error:
        return Failure("prerequisite", f"{path} is no {COMPILER} that works: {error}")


def compiled(int8: Wanted, folder: Path) -> Wanted:
    """int8-edgetpu of an int8 that is there or will be; what is lacking, where it cannot be."""
    made_of: dict[str, Any] = {
        "how": "compiled",
        "recipe": RECIPES[EDGETPU].summary,
        "recipe_version": RECIPE_VERSION,
        "variant": EDGETPU,
        "source": {"name": EDGETPU_OF, "key": int8.key},
    }
    if int8.failure is not None:
        why = f"needs {EDGETPU_OF}: {int8.failure.message}"
        return Wanted(EDGETPU, None, made_of, failure=Failure(int8.failure.kind, why))
    compiler = find_compiler()
    if isinstance(compiler, Failure):
        return Wanted(EDGETPU, None, made_of, failure=compiler)
    made_of["compiler"] = dict(compiler.facts)
    key = key_of(made_of)
    kept = look_up_kept(folder, EDGETPU, key, made_of)
    return Wanted(EDGETPU, key, made_of, kept=kept, maker="compiler")


def run_compiler(argv: list[str], timeout_s: float) -> subprocess.CompletedProcess[str]:
    """Both streams in one text.

    Raises: OSError, subprocess.TimeoutExpired.
    """
    return subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        timeout=timeout_s,
        check=False,
    )
