"""Model files and runner binaries of earlier runs by their sha256, so that old can be measured
beside new: `<root>/<sha256>`, bounded in size, verified whenever one is read."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from bench.records import LaunchRecord, Outcome, RunData
from bench.run_names import current
from bench.tools.cache import ToolCache, sha256_of_file

if TYPE_CHECKING:
    from bench.store.reader import StoreReader

# Runner kinds that measure with a binary; the others do with scripts of our own.
WITH_BINARY = frozenset({"benchmark_model", "benchmark_litert", "benchmark_app"})
MAX_BYTES = 5_000_000_000
_SHA256_LENGTH = 64
# Of a name beside its place while a file is written; what is older was left by a kill.
_INCOMING, _INCOMING_MAX_S = ".incoming-", 3600.0


class KeptFiles:
    """The files under one directory; any number of processes at once.

    Args:
        root: None for EDGEBENCH_KEPT, or a directory in the user's data.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or default_root()

    def keep(self, path: Path, sha256: str, *, link: bool) -> bool:
        """Keep a file.

        Args:
            link: by a hard link where the file system has them, which costs no space while
                the original is there: for files that nobody writes to in place.

        Returns: False where the file is gone or is no more what it was.
        Raises: OSError where nothing can be written.
        """
        place = self._place(sha256)
        if self.find(sha256) is not None:
            return True
        try:
            if sha256_of_file(path) != sha256:
                return False
        except OSError:
            return False
        self.root.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self.root, prefix=_INCOMING)
        os.close(handle)
        incoming = Path(name)
        try:
            if not (link and _linked(path, incoming)):
                shutil.copy(path, incoming)
            # It may have changed between the first look and the copy.
            if sha256_of_file(incoming) != sha256:
                return False
            incoming.replace(place)
            # Where both are one file already, the rename does nothing and leaves the name.
        finally:
            incoming.unlink(missing_ok=True)
        _used_now(place)
        return True

    def find(self, sha256: str) -> Path | None:
        """The file of this content, marked as used; None where there is none.

        One that is no more what its name says is removed.
        """
        place = self._place(sha256)
        try:
            if sha256_of_file(place) == sha256:
                _used_now(place)
                return place
            place.unlink()
        except OSError:
            pass
        return None

    def prune(
        self, protected: Callable[[], Collection[str]], *, max_bytes: int = MAX_BYTES
    ) -> tuple[str, ...]:
        """Remove what was least recently used until the rest fits.

        Args:
            protected: gives sha256 of what stays in any case, the files of baselines; asked
                only where something has to go.

        Returns: sha256 of what was removed, in that order.
        """
        found = sorted(self._listed())
        total = sum(size for _, size, _ in found)
        removed: list[str] = []
        if total <= max_bytes:
            return ()
        stays = protected()
        for _, size, place in found:
            if total <= max_bytes:
                break
            if place.name in stays:
                continue
            with suppress(OSError):
                place.unlink()
                total -= size
                removed.append(place.name)
        return tuple(removed)

    def _listed(self) -> Iterator[tuple[float, int, Path]]:
        """(last used, bytes, place) of each file; what a kill left of others is removed."""
        try:
            entries = list(os.scandir(self.root))
        except OSError:
            return
        for entry in entries:
            with suppress(OSError):
                facts = entry.stat(follow_symlinks=False)
                if len(entry.name) == _SHA256_LENGTH and entry.is_file(follow_symlinks=False):
                    yield facts.st_atime, facts.st_size, Path(entry.path)
                elif entry.name.startswith(_INCOMING) and _is_old(facts):
                    Path(entry.path).unlink()

    def _place(self, sha256: str) -> Path:
        if len(sha256) != _SHA256_LENGTH or not set(sha256) <= set("0123456789abcdef"):
            raise ValueError(f"{sha256!r} is no sha256")
        return self.root / sha256


def default_root() -> Path:
    """EDGEBENCH_KEPT, or a directory in the user's data: what was measured is no cache."""
    if place := os.environ.get("EDGEBENCH_KEPT"):
        return Path(place)
    return platformdirs.user_data_path("edgebench") / "kept"


def keep_run(kept: KeptFiles, data: RunData, *, out: Path, tools: Iterable[Path]) -> list[str]:
    """Keep what a run has measured: its variants' files and the binaries that measured them.

    Args:
        out: directory that the paths of variants are relative to.
        tools: binaries of the user's own.

    Returns: names of what is gone or is no more what was measured.
    Raises: OSError where nothing can be written.
    """
    case_of = {planned.case.case_id: planned.case for planned in data.cases}
    measured = {
        (case_of[launch.case_id].model, case_of[launch.case_id].variant)
        for launch in data.launches
        if launch.outcome is Outcome.OK
    }
    missed = []
    for variant in data.variants:
        if (variant.model, variant.variant) not in measured:
            continue
        if variant.path is None or variant.sha256 is None:
            continue
        # Files in `out` are ours: they are replaced and never written to in place.
        if not kept.keep(out / variant.path, variant.sha256, link=True):
            missed.append(f"{variant.model} {variant.variant} ({variant.path})")
    tools = tuple(tools)
    for sha256, source in runner_binaries(data.launches).items():
        places = (ToolCache().root / sha256, Path(source), *tools)
        if not any(kept.keep(place, sha256, link=False) for place in places):
            missed.append(f"runner {source or sha256[:12]}")
    return missed


def runner_binaries(launches: Iterable[LaunchRecord]) -> dict[str, str]:
    """sha256 of each binary that launches were made with -> where it was taken from."""
    found: dict[str, str] = {}
    for launch in launches:
        facts = launch.environment
        if facts.get("runner") in WITH_BINARY and isinstance(facts.get("runner_sha256"), str):
            found[facts["runner_sha256"]] = str(facts.get("runner_source") or "")
    return found


def files_of_baselines(store: StoreReader) -> frozenset[str]:
    """sha256 of the files of every run that is a baseline now, of any project."""
    found: set[str] = set()
    for project in {run.project for run in store.runs()}:
        for run_id in current(store.baselines(project)).values():
            points = store.points(run_id=run_id)
            found |= {point.model_sha256 for point in points if point.model_sha256}
            ids = {point.environment_id for point in points if point.environment_id}
            found |= {
                str(facts["runner_sha256"])
                for facts in store.environments(ids).values()
                if facts.get("runner") in WITH_BINARY and facts.get("runner_sha256")
            }
    return frozenset(found)


def _linked(path: Path, incoming: Path) -> bool:
    incoming.unlink()
    try:
        os.link(path, incoming)
    except OSError:
        return False
    return True


def _used_now(place: Path) -> None:
    """By the time of access, which is set and not left to how a disk is mounted. The time of
    change stays: it is the original's too, where the file is a link."""
    with suppress(OSError):
        os.utime(place, ns=(time.time_ns(), place.stat().st_mtime_ns))


def _is_old(facts: os.stat_result) -> bool:
    return time.time() - facts.st_ctime > _INCOMING_MAX_S
