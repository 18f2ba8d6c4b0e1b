"""What the doctor tries on a device that neither its facts nor its state tell."""

from __future__ import annotations

import re
from dataclasses import dataclass

# What a launch cannot do without (devices.launch, devices.blobs).
NEEDED = ("sha256sum", "setsid", "tar")

# $1: the work directory. $2: the interpreter, "" for none. $3: RUNTIME.
# Sections as of devices.facts. What it makes it removes, a directory that was not there too.
SCRIPT = rf"""
LC_ALL=C; export LC_ALL
work=$1
echo edgebench-doctor 1
echo '@@ clock'; date +%s
echo '@@ place'
there=; [ -d "$work" ] && there=1
if mkdir -p "$work" 2>&1; then
    trial=$work/.doctor.$$
    if {{ echo 'echo programs run here' > "$trial"; }} 2>&1; then
        chmod 700 "$trial" 2>&1
        {{ "$trial"; }} 2>&1 < /dev/null
        rm -f "$trial"
    fi
fi
echo '@@ space'; df -Pk "$work" 2> /dev/null
[ -n "$there" ] || rmdir "$work" 2> /dev/null
echo '@@ missing'
for tool in {" ".join(NEEDED)}; do
    command -v "$tool" > /dev/null 2>&1 || echo "$tool"
done
echo '@@ python'
[ -z "$2" ] || {{ "$2" -c "$3"; echo "exit code $?"; }} 2>&1 < /dev/null
echo '@@ end'
"""

# For any Python 3.8. Only a small runtime is really loaded: TensorFlow takes many seconds.
RUNTIME = """
import sys
from importlib import metadata, util
print("python", sys.version.split()[0])
import numpy
print("numpy", numpy.__version__)
for module, name in ("ai_edge_litert", "ai-edge-litert"), ("tflite_runtime", "tflite-runtime"):
    if util.find_spec(module):
        __import__(module + ".interpreter")
        print("runtime", name, metadata.version(name))
        sys.exit()
if util.find_spec("tensorflow"):
    print("runtime tensorflow", metadata.version("tensorflow"))
"""

_LINE = re.compile(r"(python|numpy|runtime) ([\w.+ -]{1,80})")
_DF = re.compile(r"\d+ +\d+ +(\d+) +\d+%")


class UnreadableProbe(ValueError):
    """The text is not what the script prints, or only part of it."""


@dataclass(frozen=True, slots=True)
class Probe:
    """None is "it could not be found out".

    Attributes:
        epoch_s: the device's clock, seconds since 1970.
        place_problem: why programs cannot be put into the work directory and run there;
            None where they can.
        free_kib: of the file system of the work directory.
        missing: of NEEDED.
        python, numpy, runtime: versions, the runtime's with its name.
        python_problem: why there is no runtime, the last thing that the interpreter said.
    """

    epoch_s: int | None
    place_problem: str | None
    free_kib: int | None
    missing: tuple[str, ...]
    python: str | None = None
    numpy: str | None = None
    runtime: str | None = None
    python_problem: str | None = None


def parse_probe(text: str) -> Probe:
    """Read what the script printed. Raises: UnreadableProbe."""
    head, *parts = re.split(r"^@@ ", text.replace("\r\n", "\n"), flags=re.MULTILINE)
    pairs = [part.partition("\n") for part in parts]
    names = [name for name, _, _ in pairs]
    if head != "edgebench-doctor 1\n" or names != [*_SECTIONS, "end"]:
        raise UnreadableProbe(f"not a whole text of the doctor: {text[:80]!r} ... {text[-80:]!r}")
    sections = {name: content.strip() for name, _, content in pairs}
    free = _DF.search(sections["space"])
    said = filter(None, map(_LINE.fullmatch, sections["python"].splitlines()))
    found = {match[1]: match[2] for match in said}
    return Probe(
        epoch_s=int(sections["clock"]) if re.fullmatch(r"[0-9]{1,12}", sections["clock"]) else None,
        place_problem=None
        if sections["place"] == "programs run here"
        else _last_line(sections["place"]) or "a program in it does not run",
        free_kib=int(free[1]) if free else None,
        missing=tuple(sections["missing"].split()),
        python=found.get("python"),
        numpy=found.get("numpy"),
        runtime=found.get("runtime"),
        python_problem=None if "runtime" in found else _why(sections["python"]),
    )


_SECTIONS = ("clock", "place", "space", "missing", "python")


def _why(said: str) -> str | None:
    """The last line before the exit code; the exit code where a signal left no other."""
    lines = [line for line in said.splitlines() if line.strip()]
    if not lines:
        return None
    *before, code = lines
    spoken = [line for line in before if not _LINE.fullmatch(line)]
    if spoken:
        return spoken[-1].strip()[:200]
    return None if code == "exit code 0" else code


def _last_line(text: str) -> str:
    return (text.splitlines() or [""])[-1].strip()[:200]
