"""The old side that `run --against` names, and what is kept for the next one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from bench.errors import EdgebenchError, UserError
from bench.format import visible
from bench.plan import Plan

if TYPE_CHECKING:
    from bench.against import OldSide
    from bench.device_run import OldTools
    from bench.records import RunData
    from bench.runners.base import Runner
    from bench.store import Store
    from devices.device import Device
    from devices.facts import Facts

_RUNS = ("latest", "baseline", "release=")


def old_side(plan: Plan, against: str, store_path: str) -> OldSide:
    """What `--against` means: a run of the store, a .tflite, or a directory of them.

    Raises: UserError where it is neither, or has nothing of the plan; StoreError.
    """
    from bench.against import old_of_files, old_of_run
    from bench.kept_files import KeptFiles
    from bench.run_names import run_named
    from bench.store import open_store

    if not against.startswith(_RUNS) and _is_path(against):
        return old_of_files(plan, Path(against))
    with open_store(store_path, write=False) as store:
        # A run that is resumed is the latest one itself, and not what it is held against.
        run = run_named(store, against, plan.config.project, finished=True)
        if run.pruned_utc is not None:
            raise UserError(
                f"--against {against}: run {run.run_id[:13]} was pruned, and does not tell its"
                " files any more; give the files themselves: --against OLD.tflite"
            )
        return old_of_run(plan, store.load(run.run_id), KeptFiles())


def _is_path(text: str) -> bool:
    path = Path(text)
    return path.suffix.lower() == ".tflite" or len(path.parts) > 1 or path.exists()


def old_tools(old: OldSide, python: Path | None) -> OldTools:
    """What the old side is measured with: its own binaries where they are kept."""
    from bench.device_run import OldTools

    def runner(kind: str, device: Device, facts: Facts) -> Runner | None:
        from bench.runners.choose import runner_for

        tool = old.tools.get((device.name, kind))
        return None if tool is None else runner_for(kind, device, facts, tool=tool)

    return OldTools(runner, None if python is None else str(python))


def check_old_python(plan: Plan, python: Path) -> Path:
    """The interpreter as an absolute path, links in it as they are: one of a virtual
    environment is a link that may not be followed.

    Raises: UserError where it cannot be started, or the plan measures other devices too.
    """
    path = Path(os.path.abspath(python.expanduser()))  # noqa: PTH100 (resolves links)
    if not path.is_file() or not os.access(path, os.X_OK):
        raise UserError(f"--against-python {python}: no program; give a Python interpreter")
    others = [device.name for device in plan.devices if device.kind != "local"]
    if others:
        raise UserError(
            f"--against-python is an interpreter of this machine, and the plan measures"
            f" {', '.join(others)} too; --device local"
        )
    return path


def keep_files(
    store: Store, store_path: str | Path, data: RunData, plan: Plan, console: Console
) -> None:
    """Keep what a run measured, so that later ones can be measured beside it; what cannot be
    kept costs no run, and is said.

    Args:
        store: that the run wrote into: the outbox, where store_path is a server.
    """
    from bench.errors import StoreError
    from bench.kept_files import KeptFiles, files_of_baselines, keep_run
    from bench.store import StorePlace, open_store

    kept = KeptFiles()
    tools = [Path(device.tool).expanduser() for device in plan.devices if device.tool]

    def protected() -> frozenset[str]:
        found, place = files_of_baselines(store), StorePlace.parse(store_path)
        if place.shared:
            # What a team has pinned only its server knows.
            with open_store(place, write=False) as shared:
                found |= files_of_baselines(shared)
        return found

    try:
        missed = keep_run(kept, data, out=plan.out, tools=tools)
        # Without the server nothing is removed; the next run removes it.
        with suppress(StoreError):
            kept.prune(protected)
    except (OSError, EdgebenchError) as error:
        _warn(console, [f"the files of this run are not kept for --against: {error}"])
        return
    _warn(
        console, [f"not kept for --against, since it has changed or is gone: {m}" for m in missed]
    )


def say_old(old: OldSide, console: Console) -> None:
    """What of the old side is missing."""
    _warn(console, old.notes)


def _warn(console: Console, lines: Sequence[str]) -> None:
    for line in lines:
        console.print(Text(visible(line), style="yellow"))
