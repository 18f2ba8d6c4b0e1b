"""Lines for remote shells: what any text becomes in any shell, and what an answer proves."""

from __future__ import annotations

import os
import select
import shlex
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devices import remote
from devices.remote import Answer

SHELLS = ["dash", "bash", "mksh", "busybox ash"]
LOGIN_SHELLS = [*SHELLS, "tcsh", "fish"]
MARK = "edgebench-0123456789abcdef01234567"

texts = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=30)


def words_of(shell: str) -> list[str]:
    words = shlex.split(shell)
    if shutil.which(words[0]) is None:
        pytest.skip(f"there is no {words[0]}")
    return words


def ask(shell: str, line: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*words_of(shell), "-c", line], input=stdin, capture_output=True, timeout=60
    )


def answer(shell: str, *argv: str, stdin: bytes | None = None) -> Answer | None:
    line = remote.line_of(argv, MARK, has_stdin=stdin is not None)
    done = ask(shell, line, stdin or b"unwanted")
    return remote.read_answer(done.stdout, done.stderr, MARK)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_command_in_every_shell_of_a_board(shell: str) -> None:
    script = "cat; echo err >&2; exit 7"
    assert answer(shell, "sh", "-c", script, stdin=b"in") == Answer(7, "", b"in", b"err\n")
    assert answer(shell, "cat") == Answer(0, "", b"", b"")
    killed = answer(shell, "sh", "-c", "kill -SEGV $$")
    assert killed is not None
    assert killed.exit_code == -signal.SIGSEGV


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("program", "problem"),
    [
        ("edgebench-no-such", "missing"),
        ("/no/such", "missing"),
        ("/etc/passwd", "denied"),
        ("/etc", "denied"),
        ("edgebench-no-program", "denied or missing"),
        ("A=1", "missing"),
        ("$(echo true)", "missing"),
    ],
)
def test_what_is_no_program(
    shell: str, program: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A file without the bit for it on the PATH: some shells pass over it, some stop there.
    (tmp_path / "edgebench-no-program").write_text("")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    found = answer(shell, program)
    assert found is not None
    assert found.exit_code is None
    assert found.problem in problem


@pytest.mark.parametrize("argv", [[], [""], ["-c"], ["sh", "a\0"]])
def test_what_cannot_be_a_command(argv: list[str]) -> None:
    with pytest.raises(ValueError, match=r"not a command|NUL"):
        remote.line_of(argv, MARK, has_stdin=False)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(texts, min_size=1, max_size=20))
def test_arguments_of_any_text_arrive(arguments: list[str]) -> None:
    found = answer("dash", "printf", "%s\\n--\\n", *arguments)
    assert found is not None
    assert found.stdout.decode() == "".join(f"{a}\n--\n" for a in arguments)


@pytest.mark.parametrize("shell", LOGIN_SHELLS)
def test_every_byte_passes_every_login_shell(shell: str) -> None:
    text = (
        os.fsdecode(bytes(range(1, 256)))
        + "\n!x !! $HOME `id` \\n \\\\ '\"'\\'' %s \\0101\n\t~ * é"
    )
    line = remote.for_any_shell(f"printf %s {remote.quote(text)}")
    done = ask(shell, line)
    assert (done.returncode, done.stdout, done.stderr) == (0, os.fsencode(text), b"")


@pytest.mark.parametrize("shell", LOGIN_SHELLS)
def test_a_marked_line_passes_every_login_shell(shell: str) -> None:
    line = remote.line_of(["sh", "-c", "cat; pwd; exit 3"], MARK, has_stdin=True)
    done = ask(shell, remote.for_any_shell(remote.with_begin(line, MARK)), b"in ")
    own = remote.after_noise(b"noise of a start-up file\n" + done.stdout, MARK)
    assert own is not None
    assert remote.read_answer(own, done.stderr, MARK) == Answer(3, "", b"in /\n", b"")


def test_noise_is_cut_at_the_first_mark_only() -> None:
    assert remote.after_noise(b"no mark yet", MARK) is None
    assert remote.after_noise(f"x{MARK}\na{MARK}\nb".encode(), MARK) == f"a{MARK}\nb".encode()


@given(st.binary(max_size=60), st.binary(max_size=60), st.integers(0, 128))
def test_an_answer_is_whole_or_none(out: bytes, err: bytes, code: int) -> None:
    stdout = out + f"\n{MARK} {code}\n".encode()
    stderr = f"{MARK} 42\n".encode() + err + f"\n{MARK}\n".encode()
    assert remote.read_answer(stdout, stderr, MARK) == Answer(code, "", out, err)
    for cut in range(len(stdout)):
        assert remote.read_answer(stdout[:cut], stderr, MARK) is None
    for cut in range(len(stderr)):
        assert remote.read_answer(stdout, stderr[:cut], MARK) is None


def test_what_comes_behind_the_marks_is_output_too() -> None:
    stdout = f"a\n{MARK} 0\nlate\n".encode()
    stderr = f"{MARK} 42\nb\n{MARK}\nlater\n".encode()
    assert remote.read_answer(stdout, stderr, MARK) == Answer(0, "", b"alate\n", b"blater\n")


@given(st.binary(max_size=80))
def test_no_bytes_are_an_answer_by_chance(noise: bytes) -> None:
    assert remote.read_answer(noise, noise, MARK) is None
    assert remote.group_of(noise, MARK) is None


@pytest.mark.parametrize("shell", SHELLS)
def test_a_group_is_ended_even_where_it_ignores_sigterm(shell: str) -> None:
    script = 'trap "" TERM; (trap "" TERM; sleep 1000) & echo $!; wait; sleep 1000'
    group = subprocess.Popen(["sh", "-c", script], start_new_session=True, stdout=subprocess.PIPE)
    assert group.stdout is not None
    child = int(group.stdout.readline())
    assert ask(shell, remote.end_line(group.pid)).returncode == 0
    assert group.wait(10) == -signal.SIGKILL
    for _ in range(500):
        if not Path(f"/proc/{child}").exists() or " Z " in Path(f"/proc/{child}/stat").read_text():
            break
        time.sleep(0.01)
    else:
        raise AssertionError("the child lives")
    group.stdout.close()


@pytest.mark.parametrize("shell", SHELLS)
def test_a_group_is_ended_by_its_mark_only(shell: str) -> None:
    script = f": {MARK}; echo begun; sleep 1000; :"
    group = subprocess.Popen(["sh", "-c", script], start_new_session=True, stdout=subprocess.PIPE)
    try:
        # Until a program has begun its command line may be empty.
        assert group.stdout is not None
        assert group.stdout.readline() == b"begun\n"
        assert ask(shell, remote.end_marked_lines(["edgebench-another"])).returncode == 0
        assert group.poll() is None
        assert ask(shell, remote.end_marked_lines(["edgebench-another", MARK])).returncode == 0
        assert group.wait(10) == -signal.SIGTERM
    finally:
        if group.poll() is None:
            group.kill()
            group.wait()
        group.stdout.close()


@pytest.mark.parametrize("shell", SHELLS)
def test_who_ends_a_group_is_not_ended_by_who_ends_it_too(shell: str) -> None:
    script = f": {MARK}; (trap '' TERM; echo begun; exec sleep 1000) & wait; :"
    group = subprocess.Popen(["sh", "-c", script], start_new_session=True, stdout=subprocess.PIPE)
    assert group.stdout is not None
    group.stdout.readline()
    try:
        # Each is the leader of a group, as what sshd starts is.
        line = [*words_of(shell), "-c", remote.end_marked_lines([MARK])]
        first = subprocess.Popen(line, start_new_session=True)
        assert group.wait(30) == -signal.SIGTERM  # now its child has half a second
        second = subprocess.Popen(line, start_new_session=True)
        assert (first.wait(30), second.wait(30)) == (0, 0)
        # Closed once the child, which holds it, is gone.
        ready, _, _ = select.select([group.stdout], [], [], 10)
        assert ready
    finally:
        with suppress(ProcessLookupError):
            os.killpg(group.pid, signal.SIGKILL)
        group.wait()
        group.stdout.close()
