"""Finds and runs the user's own "module:function"; for worker processes, never the controller."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.errors import UserError
from bench.format import first_line
from bench.variants.child import log_traceback

_HERE = Path(__file__).parent
_LIBRARIES = {"site-packages", "dist-packages", Path(traceback.__file__).parent.name}


class CodeFailed(UserError):
    """The user's code raised; the log has the traceback."""


def load_function(spec: str, root: Path, where: str) -> Callable[..., Any]:
    """Import "module:function", with `root` first on the path.

    Args:
        where: begins every message.

    Raises: UserError in one line if it is not there or its module raises.
    """
    sys.path.insert(0, str(root))
    name, _, attribute = spec.partition(":")
    try:
        with users_code(where):
            module = importlib.import_module(name)
    except CodeFailed as error:
        cause = error.__cause__
        if isinstance(cause, ModuleNotFoundError) and f"{name}.".startswith(f"{cause.name}."):
            raise UserError(
                f"{where}: there is no module {cause.name!r} in {root}, the plan's directory, "
                "nor installed; correct the name"
            ) from cause
        raise
    function = getattr(module, attribute, None)
    if not callable(function):
        raise UserError(f"{where}: module {name!r} has no function {attribute!r}")
    found: Callable[..., Any] = function
    return found


@contextmanager
def users_code(where: str) -> Iterator[None]:
    """Turn whatever the user's code raises into one line, its traceback into the log."""
    try:
        yield
    except (Exception, SystemExit) as error:
        log_traceback()
        # The type alone where it has nothing to say.
        said = first_line(error)
        name = type(error).__name__
        what = name if said == name else f"{name}: {said}"
        raise CodeFailed(f"{where}: raised {what}{_place(error)}") from error


def _place(error: BaseException) -> str:
    """File and line of the user's that it came from, where that can be told."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        ours = _HERE in path.parents
        if path.is_file() and not _LIBRARIES & set(path.parts) and not ours:
            return f" ({path.name}, line {frame.lineno})"
    return ""
