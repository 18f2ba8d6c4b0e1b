"""What the agent is told: one TOML or JSON file and the environment, checked at once."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

AGENT_VERSION = "1"
QUANTIZATIONS = (
    "fp32",
    "fp16",
    "dynamic",
    "dynamic-int4",
    "weight-int8",
    "int8",
    "int8-uint8-io",
    "int8-float-io",
    "int8-qat",
    "int16x8",
    "int8-edgetpu",
    "select-tf-ops",
)
LOCAL_DELEGATES = ("none", "xnnpack")
PHONE_DELEGATES = ("none", "xnnpack", "gpu", "nnapi")
DEFAULT_FILE = "/etc/edge-agent/agent.toml"
_KEYS = frozenset(
    (
        "device_id",
        "interval_s",
        "spool",
        "spool_limit_mb",
        "database_url",
        "simulated",
        "models",
        "phones",
    )
)
_MODEL_KEYS = frozenset(("name", "version", "path", "quantization_type", "delegate", "threads"))
_PHONE_KEYS = _MODEL_KEYS | {"serial", "device_id", "benchmark_model"}


class ConfigError(Exception):
    """The configuration is wrong: one line that says what, where, and what to do."""


@dataclass(frozen=True)
class Phone:
    """A phone that is plugged in: what adb calls it, and the benchmark_model for it."""

    serial: str
    benchmark_model: Path


@dataclass(frozen=True)
class Target:
    """One model that is measured, on this machine or on a phone.

    Attributes:
        device_id: under which it is filed.
        phone: None for this machine.
    """

    device_id: str
    name: str
    version: str
    path: Path
    quantization_type: str
    delegate: str
    threads: int
    phone: Phone | None = None


@dataclass(frozen=True)
class Config:
    """All that the agent is told.

    Attributes:
        interval_s: from one round of measurements to the next, on average.
        spool: SQLite file of samples that are not uploaded yet.
        spool_limit_bytes: of its pages in use; the oldest samples give way beyond.
        database_url: postgresql://..., None to leave uploading to others.
        simulated: this is no real device, and no figure of it may pass as one.
    """

    interval_s: float
    spool: Path
    spool_limit_bytes: int
    database_url: str | None
    simulated: bool
    targets: tuple[Target, ...]


def load(path: str | None, environment: Mapping[str, str] = os.environ) -> Config:
    """The configuration in `path`, else in EDGE_CONFIG, else in /etc/edge-agent/agent.toml.

    EDGE_DEVICE_ID, EDGE_INTERVAL_S, EDGE_SPOOL and EDGE_DATABASE_URL go before the file.

    Raises: ConfigError.
    """
    file = Path(path or environment.get("EDGE_CONFIG") or DEFAULT_FILE)
    try:
        return _config(_table(file), environment)
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from None


def _table(file: Path) -> dict[str, Any]:
    try:
        content = file.read_bytes()
    except OSError as error:
        reason = error.strerror or error
        raise ConfigError(f"{reason}; `edgebench agent config` prints one to start from") from None
    try:
        if file.suffix == ".json":
            found = json.loads(content)
        else:
            try:
                import tomllib
            except ImportError:
                raise ConfigError("TOML needs Python 3.11; write the same as JSON") from None
            found = tomllib.loads(content.decode())
    except ValueError as error:
        raise ConfigError(" ".join(str(error).split())) from None
    if not isinstance(found, dict):
        raise ConfigError("holds no table of settings")
    return found


def _config(table: dict[str, Any], environment: Mapping[str, str]) -> Config:
    _known(table, _KEYS, "")
    device_id = environment.get("EDGE_DEVICE_ID") or table.get("device_id")
    if device_id is None:
        # The name of a host changes with every container.
        raise ConfigError("device_id is missing; give this machine a name that stays")
    _text(device_id, "device_id")
    interval: Any = table.get("interval_s", 3600)
    if "EDGE_INTERVAL_S" in environment:
        try:
            interval = float(environment["EDGE_INTERVAL_S"])
        except ValueError:
            raise ConfigError("EDGE_INTERVAL_S is no number of seconds") from None
    spool = environment.get("EDGE_SPOOL") or table.get("spool", "/var/lib/edge-agent/spool.db")
    url = environment.get("EDGE_DATABASE_URL") or table.get("database_url")
    if url is not None and not re.match(r"postgres(ql)?://[^/]", str(url)):
        raise ConfigError("database_url does not begin with postgresql://HOST")
    simulated = table.get("simulated", False)
    if not isinstance(simulated, bool):
        raise ConfigError("simulated is neither true nor false")
    targets = []
    for key, allowed in (("models", _MODEL_KEYS), ("phones", _PHONE_KEYS)):
        entries = table.get(key, [])
        if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
            raise ConfigError(f"{key} is no list of tables; write [[{key}]]")
        for number, entry in enumerate(entries):
            where = f"{key}[{number}]"
            _known(entry, allowed, f"{where}.")
            targets.append(_target(entry, where, device_id, on_phone=key == "phones"))
    if not targets:
        raise ConfigError("names no model; add [[models]] with a path, or [[phones]]")
    return Config(
        interval_s=_number(interval, "interval_s", 10, 7 * 86400),
        spool=_path(spool, "spool"),
        spool_limit_bytes=int(
            _number(table.get("spool_limit_mb", 200), "spool_limit_mb", 1, 100_000) * 1e6
        ),
        database_url=url,
        simulated=simulated,
        targets=tuple(targets),
    )


def _target(entry: dict[str, Any], where: str, device_id: str, *, on_phone: bool) -> Target:
    needed = ("name", "version", "path", "quantization_type")
    for key in (*needed, *(("serial", "benchmark_model") if on_phone else ())):
        if key not in entry:
            raise ConfigError(f"{where} lacks {key}")
    threads = entry.get("threads", 1)
    if isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads <= 256:
        raise ConfigError(f"{where}.threads is no whole number from 1 to 256")
    phone = None
    if on_phone:
        serial = _text(entry["serial"], f"{where}.serial")
        if serial.startswith("-"):  # adb would take it for an option
            raise ConfigError(f"{where}.serial begins with a dash; `adb devices` lists them")
        tool = _path(entry["benchmark_model"], f"{where}.benchmark_model")
        phone = Phone(serial, tool)
        device_id = _text(entry.get("device_id", serial), f"{where}.device_id")
    return Target(
        device_id=device_id,
        name=_text(entry["name"], f"{where}.name"),
        version=_text(entry["version"], f"{where}.version"),
        path=_path(entry["path"], f"{where}.path"),
        quantization_type=_one_of(
            entry["quantization_type"], QUANTIZATIONS, f"{where}.quantization_type"
        ),
        delegate=_one_of(
            entry.get("delegate", "xnnpack"),
            PHONE_DELEGATES if on_phone else LOCAL_DELEGATES,
            f"{where}.delegate",
        ),
        threads=threads,
        phone=phone,
    )


def _known(table: dict[str, Any], known: frozenset[str], where: str) -> None:
    for key in table:
        if key not in known:
            raise ConfigError(f"{where}{key} is no setting; known: {', '.join(sorted(known))}")


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 200 or not value.isprintable():
        raise ConfigError(f"{where} is no text of 1 to 200 visible characters")
    return value


def _path(value: Any, where: str) -> Path:
    if not isinstance(value, str) or not value or "\0" in value:
        raise ConfigError(f"{where} is no path")
    return Path(value)


def _one_of(value: Any, known: tuple[str, ...], where: str) -> str:
    if value not in known:
        raise ConfigError(f"{where} is {value!r}; it can be {', '.join(known)}")
    return str(value)


def _number(value: Any, where: str, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConfigError(f"{where} is no number")
    if not (math.isfinite(value) and least <= value <= most):
        raise ConfigError(f"{where} is {value:g}; it can be {least:g} to {most:g}")
    return float(value)
