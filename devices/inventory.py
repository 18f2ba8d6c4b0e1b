"""Which devices there are: devices.toml, and selectors that pick from it.

An inventory is what a person wrote down; what adb sees beside it is added by whoever asks
(`edgebench devices`). Passwords and keys never stand in it.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

LOCAL = "local"
SELECTORS = ("name", "serial", "label", "soc", "kind")

_Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f/\\=]+$")]
_Text = Annotated[str, Field(min_length=1, max_length=1000, pattern=r"^[^\x00-\x1f\x7f]+$")]
_Port = Annotated[int, Field(ge=1, le=65535)]
# Of the device, so always with "/"; absolute, since a launch changes its directory.
_Path = Annotated[str, Field(max_length=500, pattern=r"^/[^\x00-\x1f\x7f]+$")]


class InventoryError(ValueError):
    """devices.toml cannot be read or says what no inventory may say; one line."""


class DeviceEntry(BaseModel):
    """One device as the inventory has it.

    Attributes:
        name: as plans and tables have it.
        kind: "android" (adb), "linux" (SSH), or "local", which is this machine.
        serial: of an Android device as `adb devices` prints it, or host:port of one that
            is reached by TCP.
        adb_host, adb_port: of the adb server that it is plugged into, where that is not
            this machine's own.
        host, port, user, key, jump: of an SSH board, over what ~/.ssh/config says.
        labels: words to select it by.
        workdir: on the device; the one directory that edgebench owns.
        python: interpreter with numpy and a TFLite runtime, where not provisioned.
        controls: what is set while it is measured (docs/devices.md).
        tool: path on this machine of the benchmark_model to use on it.
        simulated: an emulator, whose numbers never count as real.
        shares_controller: measuring on it takes up this machine's processor.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: _Name
    kind: Literal["android", "linux", "local"]
    serial: _Text | None = None
    adb_host: _Text | None = None
    adb_port: _Port | None = None
    host: _Text | None = None
    port: _Port | None = None
    user: _Text | None = None
    key: _Text | None = None
    jump: _Text | None = None
    labels: tuple[_Text, ...] = ()
    workdir: _Path | None = None
    python: _Path | None = None
    controls: dict[str, str] = Field(default_factory=dict)
    tool: _Text | None = None
    simulated: bool = False
    shares_controller: bool = False

    @model_validator(mode="after")
    def _can_be_reached(self) -> Self:
        of_adb = ("serial", "adb_host", "adb_port")
        of_ssh = ("host", "port", "user", "key", "jump", "python")
        needed = {"android": "serial", "linux": "host", "local": None}[self.kind]
        if needed is not None and getattr(self, needed) is None:
            raise ValueError(f"kind = {self.kind!r} needs `{needed}`")
        wrong = {"android": of_ssh, "linux": of_adb, "local": of_adb + of_ssh[:-1]}[self.kind]
        for field in wrong:
            if getattr(self, field) is not None:
                raise ValueError(f"`{field}` means nothing with kind = {self.kind!r}")
        if self.name in (LOCAL, "all") and self.kind != "local":
            raise ValueError(f"{self.name!r} is a name of edgebench's own; choose another")
        return self

    @property
    def address(self) -> str:
        """Where it is reached, for tables."""
        if self.kind == "local":
            return "this machine"
        if self.kind == "android":
            server = f" at {self.adb_host}" if self.adb_host else ""
            return f"{self.serial}{server}"
        user = f"{self.user}@" if self.user else ""
        return f"{user}{self.host}" + (f":{self.port}" if self.port else "")

    @property
    def by_network(self) -> bool:
        """Whether a control that cuts the network cuts us off."""
        return self.kind == "linux" or (self.kind == "android" and ":" in (self.serial or ""))


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    device: tuple[DeviceEntry, ...] = ()


class Inventory:
    """The devices of a file, in its order, with this machine first unless it is named there.

    Attributes:
        path: of the file; None where there is none.
        entries: by name.
    """

    def __init__(self, entries: Sequence[DeviceEntry], path: Path | None = None) -> None:
        known = list(entries)
        if not any(entry.kind == "local" for entry in known):
            known.insert(0, DeviceEntry(name=LOCAL, kind="local"))
        self.path = path
        self.entries: Mapping[str, DeviceEntry] = {entry.name: entry for entry in known}

    def select(
        self, selectors: Sequence[str], *, socs: Mapping[str, str] | None = None
    ) -> tuple[DeviceEntry, ...]:
        """The devices that any selector picks, in the order of the selectors, none twice.

        Args:
            selectors: a name, "all" or "key=value" with a key of SELECTORS.
            socs: name -> SoC as stored facts have it.

        Raises: InventoryError for a selector that picks nothing, with what there is.
        """
        found: dict[str, DeviceEntry] = {}
        for selector in selectors:
            picked = [e for e in self.entries.values() if _picks(selector, e, socs or {})]
            if not picked:
                raise InventoryError(self._nothing(selector))
            found |= {entry.name: entry for entry in picked}
        return tuple(found.values())

    def _nothing(self, selector: str) -> str:
        key, equals, _ = selector.partition("=")
        if equals and key not in SELECTORS:
            return f"{key!r} is no selector (known: {', '.join(SELECTORS)}, a name, or all)"
        where = f"{self.path} has" if self.path else "there is no devices.toml; known is"
        hint = "; its facts are read by `edgebench devices facts`" if key == "soc" else ""
        return f"no device {selector!r} ({where} {', '.join(self.entries)}){hint}"


def _picks(selector: str, entry: DeviceEntry, socs: Mapping[str, str]) -> bool:
    key, equals, value = selector.partition("=")
    if not equals:
        return selector in ("all", entry.name)
    match key:
        case "name":
            return entry.name == value
        case "serial":
            return entry.serial == value
        case "kind":
            return entry.kind == value
        case "label":
            return value in entry.labels
        case "soc":
            return value.casefold() in socs.get(entry.name, "").casefold()
    return False


def read_inventory(path: Path) -> Inventory:
    """Read a devices.toml.

    Raises: InventoryError, one line, for a file that is not there, is not UTF-8 TOML, or
    says what no inventory may say.
    """
    try:
        document = tomllib.loads(path.read_bytes().decode("utf-8"))
    except FileNotFoundError:
        raise InventoryError(f"{path}: no such file") from None
    except OSError as error:
        raise InventoryError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InventoryError(f"{path}: is not UTF-8 text (byte {error.start})") from None
    except tomllib.TOMLDecodeError as error:
        raise InventoryError(f"{path}: is not TOML: {error}") from None
    return parse_inventory(document, path)


def parse_inventory(document: Mapping[str, Any], path: Path | None = None) -> Inventory:
    """Check an inventory given as plain values. Raises: InventoryError."""
    where = f"{path}: " if path else ""
    try:
        # Through JSON, because strict pydantic takes a list for a tuple only there.
        entries = _File.model_validate_json(json.dumps(document, default=str)).device
    except ValidationError as error:
        raise InventoryError(f"{where}{_explain(error)}") from None
    names = [entry.name for entry in entries]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InventoryError(f"{where}two devices are called {twice[0]!r}")
    if sum(entry.kind == "local" for entry in entries) > 1:
        raise InventoryError(f"{where}two devices are this machine; keep one")
    return Inventory(entries, path)


def _explain(error: ValidationError) -> str:
    detail = error.errors(include_url=False, include_context=False)[0]
    place = "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}" for part in detail["loc"]
    ).removeprefix(".")
    if detail["type"] == "extra_forbidden":
        known = DeviceEntry.model_fields if place.startswith("device[") else _File.model_fields
        return f"{place}: unknown key (known: {', '.join(known)})"
    message = detail["msg"].removeprefix("Value error, ")
    return f"{place}: {message[:1].lower()}{message[1:]}"
