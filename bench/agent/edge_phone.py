"""Measure a model on a phone that is plugged in: adb, benchmark_model, dumpsys.

Names of phones and files are data: adb gets a list of arguments, the phone's shell gets
them quoted, and what it prints is only read.
"""

from __future__ import annotations

import hashlib
import re
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or __package__:
    from bench.agent.edge_config import Target
    from bench.agent.edge_sensors import Battery, drain_pct
else:
    from edge_config import Target
    from edge_sensors import Battery, drain_pct

_FOLDER = "/data/local/tmp/edge_agent"
_ASK_S, _PUSH_S, _MEASURE_S = 30.0, 300.0, 120.0
_STATUS = "edge_agent_status="
# Thermal status MODERATE of Android: from there on phones hold themselves back.
_MODERATE = 2
_BATTERY = {2: "Charging", 3: "Discharging", 4: "Not charging", 5: "Full"}
_INT, _REAL = r"-?\d{1,19}", r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?"
_COUNT = re.compile(
    rf"(?:INFO: )?count=(?P<count>\d{{1,19}})(?: first={_INT})? curr=(?P<curr>{_INT})"
    rf"(?P<same>\(all same\))?(?: min={_INT} max={_INT} avg={_REAL} std={_INT})?"
    rf"(?: p5={_INT} median=(?P<median>{_INT}) p95={_INT})?",
    re.ASCII,
)
_APPLIED = re.compile(
    r"(?:Explicitly a|A)pplied (\S+) delegate, and the model graph will be (completely|partially)"
    r" executed"
)
_NOT_EXECUTED = re.compile(
    r"Though (\S+) delegate is explicitly applied, the model graph will not be executed"
)
_EMULATOR = re.compile(r"sdk_gphone|ranchu|goldfish|cuttlefish|vbox|emulat|simulated", re.I)
_STAND_IN = "edgebench stand-in, simulated"


class PhoneError(Exception):
    """The phone, or the way to it, failed: one line."""


@dataclass(frozen=True)
class PhoneState:
    """What the phone's services say; None is what they do not say.

    Attributes:
        temperature_c: of the battery.
        thermal_status: Android's, 0 to 6.
        simulated: whether the phone is an emulator.
    """

    model: str | None
    system: str
    battery: Battery | None
    temperature_c: float | None
    thermal_status: int | None
    simulated: bool


class Adb:
    """One phone as adb sees it.

    Args:
        serial: as `adb devices` lists it.
        program: adb, found on PATH.
    """

    def __init__(self, serial: str, program: str = "adb") -> None:
        self._serial = serial
        self._program = program

    def shell(self, arguments: Sequence[str], limit_s: float) -> str:
        """What a command prints on the phone; it must end with success.

        Raises: PhoneError.
        """
        line = " ".join(map(shlex.quote, arguments))
        # Old phones do not keep the streams apart, where an error may stand within a line,
        # and do not pass on how a command ended.
        errors = f"{_FOLDER}/errors"
        begin, end = f"mkdir -p {_FOLDER}; ", f"; s=$?; tail -n 3 {errors}; echo {_STATUS}$s"
        output = self._adb(["shell", f"{begin}{line} 2> {errors}{end}"], limit_s)
        text, found, status = output.replace("\r\n", "\n").rpartition(_STATUS)
        if not found or not re.match(r"\d{1,3}\n", status):
            raise PhoneError("the answer was cut off: the link broke or the phone restarted")
        if int(status.split()[0]):
            name = arguments[0].rpartition("/")[2][:20]
            raise PhoneError(f"{name} ended with {status.split()[0]}: {_end(text)}")
        return text

    def push(self, file: Path, sha256: str) -> str:
        """Bring a file to the phone unless it is there whole; return where it is.

        Raises: PhoneError.
        """
        place = f"{_FOLDER}/{sha256}"
        if not self._is_there(place, sha256):
            self._adb(["push", str(file), place], _PUSH_S)
            if not self._is_there(place, sha256):
                raise PhoneError(f"{file.name} did not arrive whole; is the phone's memory full?")
            self.shell(["chmod", "755", place], _ASK_S)
        return place

    def state(self) -> PhoneState:
        """Raises: PhoneError."""
        names = ("ro.product.model", "ro.build.version.release", "ro.build.id", "ro.hardware")
        model, release, build, hardware = (
            # Before it, some phones print warnings of their linker.
            _visible(self.shell(["getprop", name], _ASK_S).rstrip().rpartition("\n")[2])
            for name in names
        )
        battery, celsius = read_battery(self._dumpsys("battery"))
        thermal = re.search(r"^Thermal Status: ([0-6])$", self._dumpsys("thermalservice"), re.M)
        return PhoneState(
            model=model or None,
            system=f"Android {release} {build}".rstrip(),
            battery=battery,
            temperature_c=celsius,
            thermal_status=int(thermal[1]) if thermal else None,
            simulated=bool(_EMULATOR.search(f"{model} {hardware} {self._serial}")),
        )

    def _dumpsys(self, service: str) -> str:
        try:
            return self.shell(["dumpsys", service], _ASK_S)
        except PhoneError:
            # Android 8 and 9 have no thermal service; the phone itself has just answered.
            return ""

    def _is_there(self, place: str, sha256: str) -> bool:
        try:
            return sha256 in self.shell(["sha256sum", place], _ASK_S).split()
        except PhoneError:
            return False

    def _adb(self, arguments: Sequence[str], limit_s: float) -> str:
        try:
            done = subprocess.run(
                [self._program, "-s", self._serial, *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=limit_s,
            )
        except FileNotFoundError:
            raise PhoneError("adb is not on PATH; install Android's platform tools") from None
        except subprocess.TimeoutExpired:
            raise PhoneError(f"adb {arguments[0]} took over {limit_s:g} s") from None
        output = done.stdout.decode("utf-8", "replace")
        if done.returncode and _STATUS not in output:
            said = done.stderr.decode("utf-8", "replace") or output
            raise PhoneError(f"adb {arguments[0]}: {_end(said)}")
        return output


def measure(target: Target, adb: Adb, earlier: Battery | None) -> tuple[dict[str, Any], Any]:
    """Measure once; return (columns of edge_metrics, the battery for the next time).

    benchmark_model prints p95 and no p90, so that there is no p90.

    Raises: PhoneError.
    """
    assert target.phone is not None
    sha256, tool_sha256 = _sha256(target.path), _sha256(target.phone.benchmark_model)
    before = adb.state()
    tool = adb.push(target.phone.benchmark_model, tool_sha256)
    model = adb.push(target.path, sha256)
    text = adb.shell([tool, *_flags(target, model)], _MEASURE_S)
    after = adb.state()
    p50_ms, count = read_count(text)
    statuses = [s.thermal_status for s in (before, after) if s.thermal_status is not None]
    columns = {
        "device_model": before.model,
        "model_sha256": sha256,
        "delegate_verdict": read_verdict(target.delegate, text),
        "runtime_version": f"benchmark_model {tool_sha256[:12]}, {before.system}",
        "sample_count": count,
        "inference_latency_ms_p50": p50_ms,
        "battery_drain_pct": drain_pct(earlier, after.battery),
        "temperature_c": after.temperature_c,
        "throttled": max(statuses) >= _MODERATE if statuses else None,
        "simulated": before.simulated or _STAND_IN in text,
    }
    return columns, after.battery


def read_count(text: str) -> tuple[float, int]:
    """(median in ms, number of runs) of the measured part, from the tool's last count line.

    Raises: PhoneError where there is none, or it has no median (tools before 2024).
    """
    found = [match for match in map(_COUNT.fullmatch, text.splitlines()) if match]
    # The first is of the warm-up.
    if len(found) < 2:
        raise PhoneError(f"benchmark_model printed no count= line of its runs: {_end(text)}")
    line, count = found[-1], int(found[-1]["count"])
    if line["median"] is not None:
        return int(line["median"]) / 1000, count
    if line["same"] or count == 1:
        return int(line["curr"]) / 1000, count
    raise PhoneError("this benchmark_model prints no median; use a newer one")


def read_verdict(delegate: str, text: str) -> str:
    """FULL, PARTIAL, NONE or UNKNOWN: how much the delegate took, by the tool's own words."""
    extents = {match[1].upper(): match[2] for match in _APPLIED.finditer(text)}
    idle = {match[1].upper() for match in _NOT_EXECUTED.finditer(text)}
    if delegate == "none":
        return "UNKNOWN" if extents else "NONE"
    if delegate.upper() in extents:
        return "FULL" if extents[delegate.upper()] == "completely" else "PARTIAL"
    # XNNPACK may be applied by the runtime, which says nothing; the others never are.
    return "NONE" if delegate != "xnnpack" or "XNNPACK" in idle else "UNKNOWN"


def read_battery(text: str) -> tuple[Battery | None, float | None]:
    """(charge, degrees Celsius) of `dumpsys battery`; None where it says none, or fakes it."""
    values: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.strip().partition(":")
        values.setdefault(key, value.strip())
    if "UPDATES STOPPED" in text or values.get("present") == "false":
        return None, None

    def whole(key: str) -> int | None:
        return int(values[key]) if re.fullmatch(r"-?\d{1,6}", values.get(key, "")) else None

    level, scale, tenths, status = map(whole, ("level", "scale", "temperature", "status"))
    degrees = None if tenths is None or not 10 <= tenths <= 1500 else tenths / 10
    if level is None or not scale or not 0 <= level <= scale:
        return None, degrees
    return Battery(100 * level / scale, _BATTERY.get(status or 0, "Unknown")), degrees


def _flags(target: Target, model: str) -> tuple[str, ...]:
    accelerated = target.delegate not in ("none", "xnnpack")
    return (
        f"--graph={model}",
        f"--num_threads={target.threads}",
        *((f"--use_{target.delegate}=true",) if accelerated else ()),
        # It takes the nodes that an accelerator leaves, as in edgebench's own runs.
        f"--use_xnnpack={'false' if target.delegate == 'none' else 'true'}",
        "--warmup_runs=10",
        "--warmup_min_secs=0.5",
        "--num_runs=100",
        "--min_secs=0.3",
        "--max_secs=2",
    )


def _sha256(file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise PhoneError(f"{file}: {error.strerror}") from error


def _visible(text: str) -> str:
    return "".join(c for c in text if c.isprintable())[:200].strip()


def _end(text: str) -> str:
    lines = [line for line in map(_visible, text.splitlines()) if line]
    return " | ".join(lines[-2:]) or "it said nothing"
