"""The charts of profiles as files: where the time went, and where two differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.ops.model import OpProfile
from reports.op_times import op_differences, profile_seen
from reports.ops.view import cut
from reports.render.figures import head, save_figure, style
from reports.render.op_charts import (
    ComparedCase,
    ProfiledCase,
    plot_op_differences,
    plot_op_shares,
)

# Beside bars; a longer one would leave them no room.
_NAME_LENGTH = 44


def save_op_charts(
    profiles: Sequence[tuple[str, OpProfile]], directory: Path, *, compared: bool
) -> tuple[Path, ...]:
    """Writes ops.svg and ops.png, of two that are compared op-differences too.

    Args:
        profiles: (name, profile); profiles that shares cannot be made of are left out.
        compared: whether the first of two is held against the second.

    Returns: what was written; () where no profile tells enough.

    Raises:
        OSError: the directory cannot be made or written.
    """
    seen = [(name, profile_seen(profile)) for name, profile in profiles]
    cases = [
        ProfiledCase(cut(name, _NAME_LENGTH), one.ops) for name, one in seen if one is not None
    ]
    written = _written(
        lambda figure: plot_op_shares(figure, cases), "Time by kind of op", directory, "ops"
    )
    if compared:
        (ours, one), (theirs, other) = profiles
        found = op_differences(one, other)
        pair = [ComparedCase(cut(ours), found)] if found else []
        written += _written(
            lambda figure: plot_op_differences(figure, pair),
            f"Kinds of op against {cut(theirs)}",
            directory,
            "op-differences",
        )
    return written


def _written(
    plot: Callable[[Figure], Axes | None], title: str, directory: Path, key: str
) -> tuple[Path, ...]:
    with style():
        figure = Figure(layout="constrained")
        if plot(figure) is None:
            return ()
        head(figure, title)
    return save_figure(figure, directory, key)
