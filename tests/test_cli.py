"""The command line as a user meets it: help at once, one line per mistake, exit codes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.cli.main import VERBS, main
from tests.models import float_model

HEAVY = (
    "adbutils",
    "alembic",
    "matplotlib",
    "numpy",
    "pandas",
    "paramiko",
    "pydantic",
    "rich",
    "scipy",
    "sqlalchemy",
    "tensorflow",
)


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from bench.cli.main import main\n"
        "assert main(['--help']) == 0\n"
        f"heavy = [m for m in {HEAVY!r} if m in sys.modules]\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "quickstart" in done.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == 0
    assert "Usage: edgebench " + verb in capsys.readouterr().out


def test_no_verb_pulls_tensorflow_or_the_store_into_its_help() -> None:
    code = (
        "import sys\n"
        "from bench.cli.main import main, VERBS\n"
        "for verb in VERBS: main([verb, '--help'])\n"
        "heavy = [m for m in ('tensorflow', 'sqlalchemy', 'matplotlib') if m in sys.modules]\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["rnu"], "did you mean 'run'"),
        (["--verbose"], "--verbose"),
        (["run"], "PLAN"),
        (["run", "nothing.toml"], "nothing.toml: no such file"),
        (["show", "--store", "nothing.db"], "no such store"),
        (["report", "--store", "nothing.db"], "no such store"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    arguments: list[str],
    part: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("edgebench: ")
    assert part in captured.err
    assert list(tmp_path.iterdir()) == []


def test_names_never_reach_the_terminal_raw(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", "\x1b[2Jevil\nname.toml"]) == 2
    captured = capsys.readouterr().err
    assert "\x1b" not in captured
    assert captured.count("\n") == 1


def test_init_writes_a_plan_and_never_over_one(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init"]) == 0
    before = (tmp_path / "edgebench.toml").read_bytes()
    assert main(["init"]) == 2
    assert "exists already" in capsys.readouterr().err
    assert (tmp_path / "edgebench.toml").read_bytes() == before


def test_dry_run_prints_every_case_and_touches_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGEBENCH_STORE", str(tmp_path / "store.db"))
    (tmp_path / "m.keras").touch()
    (tmp_path / "edgebench.toml").write_text(
        'project = "p"\n[[model]]\nname = "m"\nsource = "m.keras"\n'
        "[measure]\nthreads = [1]\nrounds = 3\n"
    )
    assert main(["run", "edgebench.toml", "--dry-run"]) == 0
    out = capsys.readouterr().out
    for variant in ("fp32", "fp16", "dynamic"):
        assert out.count(variant) == 2
    said = " ".join(out.split())
    assert "6 cases x 3 rounds = 18 launches, and 12 more for profiles and answers; about" in said
    assert sorted(p.name for p in tmp_path.iterdir()) == ["edgebench.toml", "m.keras"]


def test_a_plan_of_which_nothing_can_be_measured_is_no_success(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.keras").touch()
    (tmp_path / "edgebench.toml").write_text(
        'project = "p"\n[[model]]\nname = "m"\nsource = "m.keras"\n'
        '[measure]\nrunners = ["litert"]\ndelegates = ["edgetpu"]\n'
    )
    assert main(["run", "edgebench.toml", "--store", "s.db"]) == 2
    said = capsys.readouterr().err
    assert "nothing of it can be measured" in said
    assert said.count("no edgetpu delegate") == 1
    assert not (tmp_path / "s.db").exists()


def test_dry_run_tells_cases_apart_that_differ_by_options_only(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    (tmp_path / "m.keras").touch()
    (tmp_path / "edgebench.toml").write_text(
        'project = "p"\n[[model]]\nname = "m"\nsource = "m.keras"\n'
        '[measure]\nvariants = ["fp32"]\nthreads = [1]\nrunners = ["litert"]\n'
        'delegates = ["gpu", { name = "gpu", options = { precision = "fp32" } }]\n'
    )
    assert main(["run", "edgebench.toml", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert out.count("gpu") == 2
    assert out.count("(precision=fp32)") == 1


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--variant", "int9"], "unknown variant 'int9'"),
        (["--device", "pixel"], "no device 'pixel'"),
        (["--precision", "2"], "--precision"),
    ],
)
def test_choices_of_the_command_line_are_checked(
    arguments: list[str],
    part: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    (tmp_path / "m.keras").touch()
    plan = tmp_path / "edgebench.toml"
    plan.write_text('project = "p"\n[[model]]\nname = "m"\nsource = "m.keras"\n')
    assert main(["run", str(plan), *arguments]) == 2
    assert part in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    from bench import __version__

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"edgebench {__version__}\n"


def test_a_reader_that_goes_away_is_no_failed_gate(tmp_path: Path) -> None:
    """rich ends a program with code 1 then, which is ours for a gate that failed."""
    path = tmp_path / "m.tflite"
    path.write_bytes(float_model())
    process = subprocess.Popen(
        [sys.executable, "-c", "from bench.cli.main import entry; entry()", "inspect", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.close()
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == 141
    assert complaint == b""
