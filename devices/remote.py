"""How an argv becomes the line of a remote shell, and how its answer is proved whole.

A link that drops can end an output early and report success (adb), or report the same as
for a killed command (ssh). So the shell itself says where its command began, how it ended
and that nothing is missing, behind a mark that only this call knows. This is the one place
where anything is quoted for a shell.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

# $0 of a line is whatever adbd or sshd started; its process is the leader of a session
# and process group of its own, whose number is how the command is ended from outside.
# The program runs in a subshell, so that a builtin like `exit` cannot end the line itself.
_LINE = """\
printf '%s %s\\n' {mark} "$$" >&2
_p=$(command -v {program} 2> /dev/null)
if case "$_p" in '') false ;; */*) [ -f "$_p" ] && [ -x "$_p" ] ;; esac; then
( {command}{stdin} )
printf '\\n%s %d\\n' {mark} "$?"
elif {is_there}; then printf '\\n%s denied\\n' {mark}
else printf '\\n%s missing\\n' {mark}
fi
printf '\\n%s\\n' {mark} >&2
"""

# End a process group: SIGTERM, half a second, SIGKILL; $1 is its number.
END_GROUP = """
kill -TERM -"$1" 2> /dev/null || exit 0
for _ in 1 2 3 4 5; do
    kill -0 -"$1" 2> /dev/null || exit 0
    sleep 0.1 2> /dev/null || sleep 1
done
kill -KILL -"$1" 2> /dev/null
exit 0
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a marked command said, without the marks.

    Attributes:
        exit_code: negative is minus the signal; None where `problem` tells.
        problem: "" or "missing" (no such program) or "denied" (not executable).
    """

    exit_code: int | None
    problem: str
    stdout: bytes
    stderr: bytes


def new_mark() -> str:
    """A word that no output holds by chance and no earlier call has used."""
    return f"edgebench-{secrets.token_hex(12)}"


def quote(text: str) -> str:
    """One word of a POSIX shell; any text but NUL. Always quoted: `if` and `A=1` are words too.

    Raises: ValueError for a NUL character, which no argument can hold.
    """
    if "\0" in text:
        raise ValueError("a NUL character cannot be passed to a program")
    return "'" + text.replace("'", "'\\''") + "'"


def line_of(argv: Sequence[str], mark: str, *, has_stdin: bool) -> str:
    """The shell text that runs an argv between marks.

    Raises: ValueError for an empty argv, one that begins with "-", or a NUL character.
    """
    if not argv or not argv[0] or argv[0].startswith("-"):
        raise ValueError(f"not a command: {list(argv)!r}")
    return _LINE.format(
        mark=mark,
        program=quote(argv[0]),
        is_there=f"[ -e {quote(argv[0])} ]" if "/" in argv[0] else '[ -n "$_p" ]',
        command=" ".join(map(quote, argv)),
        stdin="" if has_stdin else " < /dev/null",
    )


def group_of(stderr: bytes, mark: str) -> int | None:
    """The process group of a command from what has come of its stderr; None before it is there."""
    head, newline, _ = stderr.partition(b"\n")
    words = head.split()
    if newline and len(words) == 2 and words[0] == mark.encode() and words[1].isdigit():
        return int(words[1])
    return None


def read_answer(stdout: bytes, stderr: bytes, mark: str) -> Answer | None:
    """The answer between the marks; None where a mark is missing: it did not arrive whole.

    A shell has no word for "killed by signal n" but 128 + n, which is taken for it.
    What a child in the background wrote after its parent had ended stands behind the
    marks, and is part of the output as on a local pipe.
    """
    if group_of(stderr, mark) is None:
        return None
    body, found, rest = stdout.rpartition(b"\n" + mark.encode() + b" ")
    errors, whole, late_errors = stderr.partition(b"\n")[2].rpartition(
        b"\n" + mark.encode() + b"\n"
    )
    status, ended, late = rest.partition(b"\n")
    if not found or not whole or not ended:
        return None
    word = status.decode("ascii", "replace")
    if word in ("missing", "denied"):
        return Answer(None, word, body, errors)
    if not word.isdigit():
        return None
    code = int(word)
    return Answer(128 - code if 128 < code < 193 else code, "", body + late, errors + late_errors)


def end_line(group: int) -> str:
    """The shell text that ends a process group."""
    return f"set -- {group}\n{END_GROUP}"


def end_marked_lines(marks: Sequence[str]) -> str:
    """The shell text that ends the process groups whose leaders carry one of these marks.

    For commands whose number never came, or may have been given to another since (the
    device restarted).
    """
    # Spelt so that it matches no script like this one, which may be at work on it already.
    # Whatever else carries a mark, like a subshell, leads no group.
    patterns = " ".join(f"-e {quote(f'[{mark[0]}]{mark[1:]}')}" for mark in marks)
    return f"""\
for _f in $(grep -l {patterns} /proc/[0-9]*/cmdline 2> /dev/null); do
    _f=${{_f#/proc/}}
    (set -- "${{_f%/cmdline}}"
{END_GROUP}) &
done
wait
"""


# What means the same between single quotes in every login shell: sh, csh and fish.
_PLAIN = re.compile(rb"[A-Za-z0-9 _.,:;=+@/$\"`(){}\[\]<>|&*?#~^-]")


def for_any_shell(script: str) -> str:
    """The line that has `sh` run a script, whatever login shell reads the line.

    csh ends a quotation at a newline and looks for "!" inside, fish gives "\\" a meaning
    there: such bytes travel as octal for printf.

    Raises: ValueError for a NUL character.
    """
    if "\0" in script:
        raise ValueError("a NUL character cannot be passed to a program")
    octets = (bytes([octet]) for octet in script.encode("utf-8", "surrogateescape"))
    text = b"".join(o if _PLAIN.match(o) else b"\\0%03o" % o[0] for o in octets)
    return f"""exec sh -c 'eval "$(printf %b "$0")"' '{text.decode("ascii")}'"""


def with_begin(line: str, mark: str) -> str:
    """A marked line that begins in / with a mark on stdout too; see `after_noise`.

    Where nobody listens any more it ends there: a login shell may read its start-up files
    for longer than the caller waits.
    """
    return f"cd /\nprintf '%s\\n' {mark} || exit\n{line}"


def after_noise(stdout: bytes, mark: str) -> bytes | None:
    """Stdout behind its first mark; None before that came.

    A login shell reads the user's start-up files, and those may print.
    """
    _, found, rest = stdout.partition(mark.encode() + b"\n")
    return rest if found else None
