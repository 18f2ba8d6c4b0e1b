"""The tools of this machine: one pinned file per name, with where it came from.

`<root>/<name>.json` says what is pinned; `<root>/<sha256>` is the file. Whatever was
measured with a tool carries that sha256, so that it never changes unasked.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.errors import EdgebenchError, UnreadableOutput, UserError
from bench.tools.apk import apk_misfit
from bench.tools.catalogue import KnownTool, known_tools
from bench.tools.download import DownloadFailed, Progress, download
from bench.tools.elf import read_program

# Program headers and the notes they point to stand at the start; no tool is larger.
_MAX_BYTES = 1 << 30
APP = "benchmark_app"


class ToolError(EdgebenchError):
    """A tool cannot be had; the message says why and what to do by hand."""


@dataclass(frozen=True, slots=True)
class ToolBinary:
    """A program that measures, ready to be put on a device.

    Attributes:
        kind: runner kind: "benchmark_model" (classic), "benchmark_litert", or
            "benchmark_app" for an APK.
        system, abi: of the devices that it runs on; "" for a script, which runs on any.
        path: on the controller, executable.
        source: URL or path that it was taken from.
        version: what is known of its age or release, "" if nothing; the tool has no
            version of its own.
    """

    kind: str
    system: str
    abi: str
    path: Path
    sha256: str
    source: str = ""
    version: str = ""


class _Pin(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    name: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    source: str
    version: str
    pinned_utc: str


class ToolCache:
    """The pinned tools under one directory."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or default_root()

    def find(self, kind: str, system: str, abi: str) -> ToolBinary | None:
        """The pinned tool for a device, or None. Raises: ToolError as `get`."""
        for tool in known_tools():
            if (tool.kind, tool.system, tool.abi) == (kind, system, abi):
                return self.get(tool)
        return None

    def get(self, tool: KnownTool) -> ToolBinary | None:
        """The pinned file of an entry, None where there is none.

        Raises: ToolError where the file is gone or is no more what was pinned.
        """
        pin = self._pin(tool)
        if pin is None:
            return None
        path = self.root / pin.sha256
        if not path.is_file() or sha256_of_file(path) != pin.sha256:
            raise ToolError(
                f"{tool.name}: the file that was pinned is gone or changed ({path}); "
                f"remove {self._pin_path(tool)} and fetch or add it again"
            )
        return ToolBinary(
            tool.kind, tool.system, tool.abi, path, pin.sha256, pin.source, pin.version
        )

    def add(self, tool: KnownTool, path: Path, *, accept: bool = False) -> ToolBinary:
        """Pin a file of the user's.

        Args:
            accept: that it may be another file than the one pinned before.

        Raises: UserError where it is no program for that system and ABI, or another one
        than pinned.
        """
        if not path.is_file():
            raise UserError(f"{path}: no such file")
        with self._incoming() as incoming:
            shutil.copyfile(path, incoming)
            return self._keep(tool, incoming, str(path.absolute()), "", accept)

    def fetch(
        self,
        tool: KnownTool,
        *,
        url: str | None = None,
        accept: bool = False,
        context: ssl.SSLContext | None = None,
        progress: Progress | None = None,
    ) -> ToolBinary:
        """Download and pin a tool.

        Args:
            url: in place of the one that is known.
            accept: that it may be another file than the one pinned before.

        Raises: UserError as `add`, and where no URL is known to work; ToolError where it
        cannot be downloaded.
        """
        if url is None and not tool.verified:
            raise UserError(_unverified(tool))
        address = tool.url if url is None else url
        with self._incoming() as incoming:
            try:
                fetched = download(address, incoming, context=context, progress=progress)
            except DownloadFailed as error:
                raise ToolError(
                    f"{tool.name}: {address}: {error}; by hand: {tool.by_hand}"
                ) from error
            return self._keep(tool, incoming, fetched.url, fetched.published, accept)

    def _keep(
        self, tool: KnownTool, incoming: Path, source: str, version: str, accept: bool
    ) -> ToolBinary:
        """Check a file, move it to its place and pin it."""
        check_tool(incoming, tool.kind, tool.system, tool.abi, name=source)
        sha256 = sha256_of_file(incoming)
        pin = self._pin(tool)
        if pin is not None and pin.sha256 != sha256 and not accept:
            raise UserError(
                f"{tool.name}: {source} is another file (sha256 {sha256[:12]}...) than the one "
                f"pinned ({pin.sha256[:12]}..., {pin.source}); series measured with both show a "
                "change of tool. Add --accept to take it"
            )
        if pin is None or pin.sha256 != sha256:
            incoming.chmod(0o755)
            incoming.replace(self.root / sha256)
            now = datetime.now(UTC).isoformat(timespec="seconds")
            pin = _Pin(
                name=tool.name, sha256=sha256, source=source, version=version, pinned_utc=now
            )
            with self._incoming() as text:
                text.write_text(pin.model_dump_json(indent=2), "utf-8")
                text.replace(self._pin_path(tool))
        kept = self.get(tool)
        assert kept is not None
        return kept

    def _pin_path(self, tool: KnownTool) -> Path:
        return self.root / f"{tool.name}.json"

    def _pin(self, tool: KnownTool) -> _Pin | None:
        path = self._pin_path(tool)
        try:
            return _Pin.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except (ValidationError, OSError) as error:
            raise ToolError(
                f"{path}: cannot be read; remove it and fetch or add {tool.name} again"
            ) from error

    @contextmanager
    def _incoming(self) -> Iterator[Path]:
        """A file in the cache's directory that goes unless it was moved away."""
        self.root.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self.root, prefix=".incoming-")
        os.close(handle)
        path = Path(name)
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)


def default_root() -> Path:
    """EDGEBENCH_TOOLS, or a directory in the user's data: a pin is no cache to be cleared."""
    if place := os.environ.get("EDGEBENCH_TOOLS"):
        return Path(place)
    return platformdirs.user_data_path("edgebench") / "tools"


def tool_from_path(path: Path, *, kind: str, system: str, abi: str) -> ToolBinary:
    """A tool that the user names, as it lies there; a script passes as one for any ABI.

    Raises: UserError where it is not there, cannot be executed or is for other devices.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    script = False
    if kind != APP:
        if not os.access(path, os.X_OK):
            raise UserError(f"{path}: not executable; chmod +x it")
        with path.open("rb") as file:
            script = file.read(2) == b"#!"
    if not script:
        check_tool(path, kind, system, abi, name=str(path))
    of = ("", "") if script else (system, abi)
    return ToolBinary(kind, *of, path.absolute(), sha256_of_file(path), str(path.absolute()))


def check_tool(path: Path, kind: str, system: str, abi: str, *, name: str) -> None:
    """Raises: UserError, under `name`, where a file is no tool for that system and ABI."""
    if path.stat().st_size > _MAX_BYTES:
        raise UserError(f"{name}: larger than {_MAX_BYTES >> 20} MiB; this is no tool")
    try:
        if kind == APP:
            misfit = apk_misfit(path, abi)
        else:
            misfit = read_program(path.read_bytes()).misfit(system, abi)
    except UnreadableOutput as error:
        raise UserError(f"{name}: {error}") from error
    if misfit is not None:
        raise UserError(f"{name}: {misfit}")


def sha256_of_file(path: Path) -> str:
    """Hex sha256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unverified(tool: KnownTool) -> str:
    if not tool.url:
        return f"{tool.name}: no place is known where it is published; {tool.by_hand}"
    return (
        f"{tool.name}: nobody of this project has seen the published build work yet. {tool.page} "
        f"names it; to take it: edgebench tools fetch {tool.name} --url {tool.url}"
    )
