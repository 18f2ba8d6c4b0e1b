"""The command `edgebench`: finds the verb, turns errors into one line and an exit code.

Nothing but click is imported before a verb is chosen: `--help` has to answer at once.

Exit codes: 0 success, 1 a gate failed, 2 the user's error, 3 a device or the store
failed or a part of the plan could not be measured, 130 interrupted.
"""

from __future__ import annotations

import difflib
import errno
import gc
import importlib
import io
import os
import signal
import sys
from types import FrameType

import click

from bench.cli.text import printable

# verb -> (module of bench.cli, help); kept here so that --help imports none of them.
VERBS = {
    "quickstart": ("quickstart", "Train, convert, measure and report on this machine."),
    "convert": ("convert", "Make the variants of a model, with provenance."),
    "inspect": ("inspect", "Show what is in a .tflite: inputs, ops, weights, what stayed float."),
    "evaluate": ("evaluate", "Judge variants or .tflite files on the full holdout."),
    "init": ("init", "Write a commented edgebench.toml and devices.toml to start from."),
    "devices": ("devices", "List phones and boards, examine them, free them."),
    "run": ("run", "Measure what a plan says, and report it."),
    "diagnose": ("diagnose", "Say why int8 lost accuracy, and try what brings it back."),
    "profile": ("profile", "Show which ops take the time, and why a variant is slower."),
    "parse": ("parse", "Turn what a benchmark or logcat printed into facts."),
    "show": ("show", "Print the table of a stored run."),
    "report": ("report", "Write the report of a stored run: HTML, Markdown, CSV, JSON."),
    "compare": ("compare", "Hold two runs, variants, delegates or devices against each other."),
    "history": ("history", "Show each series over time: steps, since when, what changed then."),
    "baseline": ("baseline", "Pin the run that everything later is held against."),
    "weekly": ("weekly", "Write the report of a week: what regressed, where, since when."),
    "db": ("db", "Make, copy, export, import and prune stores."),
    "agent": ("agent", "Set up the telemetry of gateways and boards in the field."),
    "fleet": ("fleet", "Find the devices of a fleet that differ from their like."),
    "snippet": ("snippet", "Print the code that feeds and reads a .tflite."),
    "tools": ("tools", "Show and get the benchmark_model builds that devices are measured with."),
}


# What may go wrong wherever a file is written, and is no fault of this program.
_OF_THE_MACHINE = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EROFS: "choose another place",
    errno.EACCES: "choose a place of yours",
    errno.EIO: "look after the disk",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
}

GC_THRESHOLD = 100_000


class Verbs(click.Group):
    """A group whose commands are imported only when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"bench.cli.{VERBS[cmd_name][0]}")
        command = module.command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(verb, text) for verb, (_, text) in VERBS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            close = difflib.get_close_matches(args[0], VERBS, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(VERBS)}"
            raise click.UsageError(f"unknown command {args[0]!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)


def _print_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        from bench import __version__

        click.echo(f"edgebench {__version__}")
        ctx.exit()


@click.group(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version and exit.",
)
def cli() -> None:
    """Measure every variant of a TensorFlow Lite / LiteRT model on every device, with
    and without every delegate, and say what is true.

    Start with `edgebench quickstart` (no model, no device needed) or `edgebench init`.
    """


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _complain(message: str) -> None:
    """One line on stderr; control characters made visible, since names are data."""
    line = " ".join(message.split())
    click.echo(f"edgebench: {printable(line)}", err=True)


def entry() -> None:
    """The console script."""
    # Nearly all that a command makes lives until its end: a fifth of the time of `show` went
    # into looking through it for garbage.
    gc.set_threshold(GC_THRESHOLD)
    # SIGTERM leaves the same consistent store as Ctrl-C does.
    signal.signal(signal.SIGTERM, _interrupt)
    # A name that the terminal's encoding lacks is escaped, as it is on stderr already.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(main(sys.argv[1:]))


def main(arguments: list[str]) -> int:
    """Run one command line; return the exit code."""
    try:
        result = cli.main(args=arguments, prog_name="edgebench", standalone_mode=False)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        _complain(f"{error.format_message().rstrip('.')}; see `edgebench --help`")
        return 2
    except (KeyboardInterrupt, click.Abort):
        _complain("interrupted")
        return 130
    except BrokenPipeError:
        # Whoever read our output (`| head`) has enough. Python flushes stdout once
        # more at exit, which must not complain either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except SystemExit:
        # What rich makes of the same; its code 1 would read as a gate that failed.
        return 141
    except Exception as error:
        return _judge(error)
    return result if isinstance(result, int) else 0


def _judge(error: Exception) -> int:
    from bench.errors import EdgebenchError, UserError
    from devices.errors import DeviceError

    if isinstance(error, UserError):
        _complain(str(error))
        return 2
    if isinstance(error, EdgebenchError | DeviceError):
        _complain(str(error))
        return 3
    if isinstance(error, OSError) and error.errno in _OF_THE_MACHINE:
        where = f" ({error.filename})" if error.filename else ""
        _complain(f"{error.strerror}{where}; {_OF_THE_MACHINE[error.errno]} and start again")
        return 3
    raise error
