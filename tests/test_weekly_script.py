"""scripts/weekly with stubs, and the files for systemd and CI as their readers see them."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.cli.main import main

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples" / "ci"
STUB = """#!/bin/sh
echo "$*" >>"$STUBS/calls"
while [ $# -gt 0 ]; do [ "$1" = --out ] && out=$2; shift; done
[ -e "$STUBS/silent" ] || { mkdir -p "$out" && cp "$STUBS/text" "$out/weekly.txt"; }
[ ! -e "$STUBS/slow" ] || sleep 30
exit "$(cat "$STUBS/code")"
"""
MAILER = """#!/bin/sh
echo "$*" >"$STUBS/mail.arguments"
cat >"$STUBS/mail"
[ ! -e "$STUBS/no-mail" ]
"""


@pytest.fixture
def stubs(tmp_path: Path) -> Path:
    for name, content in (("edgebench", STUB), ("sendmail", MAILER)):
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "code").write_text("0")
    (tmp_path / "text").write_text("edgebench: Quiet week: nothing regressed.\nrest µ\n")
    return tmp_path


def environment(stubs: Path, **more: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "STUBS": str(stubs),
        "EDGEBENCH": str(stubs / "edgebench"),
        "SENDMAIL": str(stubs / "sendmail"),
        "EDGEBENCH_WEEKLY": str(stubs / "weeks"),
        **more,
    }


def run(stubs: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "scripts" / "weekly", *arguments],
        env=environment(stubs, **more),
        cwd=stubs,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("code", [0, 1, 2, 3])
def test_the_exit_code_is_passed_on(stubs: Path, code: int) -> None:
    (stubs / "code").write_text(str(code))
    done = run(stubs, "--project", "two words")
    assert done.returncode == code
    assert "--project two words" in (stubs / "calls").read_text()
    assert done.stdout == ("" if code == 2 else (stubs / "text").read_text())
    assert not (stubs / "weeks" / ".lock").exists()
    assert not (stubs / "mail").exists(), "nobody asked for mail"


def test_the_folder_has_the_name_of_its_day(stubs: Path) -> None:
    run(stubs)
    (folder,) = (stubs / "weeks").iterdir()
    assert time.strptime(folder.name, "%Y-%m-%d")
    assert (folder / "weekly.txt").exists()


@pytest.mark.parametrize("code", [0, 1, 3])
def test_mail_goes_to_whom_it_is_for(stubs: Path, code: int) -> None:
    (stubs / "code").write_text(str(code))
    assert run(stubs, MAILTO="team@example.org").returncode == code
    assert (stubs / "mail.arguments").read_text().split() == ["-i", "-t"]
    mail = message_from_bytes((stubs / "mail").read_bytes(), policy=default)
    assert mail["To"] == "team@example.org"
    assert mail["Subject"] == "edgebench: Quiet week: nothing regressed."
    assert mail.get_content() == (stubs / "text").read_text()


def test_a_name_adds_no_header(stubs: Path) -> None:
    (stubs / "text").write_text("edgebench: a\rBcc: x@example.org größe\nBcc: y@example.org\n")
    run(stubs, MAILTO="team@example.org\nBcc: z@example.org")
    mail = message_from_bytes((stubs / "mail").read_bytes(), policy=default)
    assert mail["Bcc"] is None
    assert mail["Subject"].startswith("edgebench: aBcc:")


def test_mail_that_cannot_be_sent_is_3_and_says_where_the_report_is(stubs: Path) -> None:
    (stubs / "no-mail").touch()
    done = run(stubs, MAILTO="team@example.org")
    assert done.returncode == 3
    assert "could not be sent; the report is in" in done.stderr
    (stubs / "code").write_text("1")
    assert run(stubs, MAILTO="team@example.org").returncode == 1, "the gate is the worse news"


def test_no_report_is_no_success(stubs: Path) -> None:
    (stubs / "silent").touch()
    assert run(stubs).returncode == 3


def test_two_at_once_are_one_too_many(stubs: Path) -> None:
    (stubs / "slow").touch()
    first = subprocess.Popen(
        [ROOT / "scripts" / "weekly"],
        env=environment(stubs),
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        for _ in range(500):
            if (stubs / "calls").exists():
                break
            time.sleep(0.02)
        second = run(stubs)
        assert second.returncode == 3
        assert f"process {first.pid}" in second.stderr
    finally:
        os.killpg(first.pid, 9)
        first.wait()
    # What the killed one left keeps nobody out.
    (stubs / "slow").unlink()
    assert (stubs / "weeks" / ".lock").exists()
    assert run(stubs).returncode == 0


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="no shellcheck")
def test_the_script_is_clean() -> None:
    subprocess.run(["shellcheck", ROOT / "scripts" / "weekly"], check=True)


@pytest.mark.parametrize("shell", ["dash", "mksh", "bash"])
def test_the_script_is_for_any_shell(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell}")
    subprocess.run([shell, "-n", ROOT / "scripts" / "weekly"], check=True)


def sections(unit: str) -> dict[str, list[tuple[str, str]]]:
    """A unit file as systemd reads it: lines of key=value below heads."""
    found: dict[str, list[tuple[str, str]]] = {}
    for line in (EXAMPLES / unit).read_text().splitlines():
        if line.startswith("["):
            current = found.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            key, sign, value = line.partition("=")
            assert sign == "=", line
            assert value, line
            current.append((key, value))
    return found


def test_the_units_fit_each_other() -> None:
    service = sections("edgebench-weekly.service")
    timer = sections("edgebench-weekly.timer")
    assert set(service) == {"Unit", "Service"}
    assert set(timer) == {"Unit", "Timer", "Install"}
    command = dict(service["Service"])["ExecStart"]
    assert command.endswith("/scripts/weekly --since 7d")
    assert ("WantedBy", "timers.target") in timer["Install"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    for name in ("edgebench-weekly.service", "edgebench-weekly.timer"):
        text = (EXAMPLES / name).read_text()
        (tmp_path / name).write_text(text.replace("/opt/edgebench", str(ROOT)))
    units = [str(tmp_path / f"edgebench-weekly.{kind}") for kind in ("service", "timer")]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def commands(value: Any) -> list[str]:
    """Every shell line below `run`, `script` and `after_script`."""
    if isinstance(value, list):
        return [line for one in value for line in commands(one)]
    if not isinstance(value, dict):
        return []
    found = []
    for key, inner in value.items():
        if key in ("run", "script", "after_script"):
            lines = inner if isinstance(inner, list) else inner.splitlines()
            found += [line.strip() for line in lines]
        else:
            found += commands(inner)
    return found


@pytest.mark.parametrize("name", ["github-actions.yml", "gitlab-ci.yml"])
def test_ci_files_are_yaml_whose_commands_exist(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = commands(yaml.safe_load((EXAMPLES / name).read_text()))
    verbs = [line.split() for line in found if line.startswith("edgebench ")]
    assert {words[1] for words in verbs} == {"run", "report", "weekly"}
    for words in verbs:
        assert main([words[1], "--help"]) == 0
        known = capsys.readouterr().out
        for option in (word for word in words if word.startswith("--")):
            assert option in known, f"{words[1]} has no {option}"


def test_actions_are_ones_that_are_known() -> None:
    document = yaml.safe_load((EXAMPLES / "github-actions.yml").read_text())
    used = {
        step["uses"] for job in document["jobs"].values() for step in job["steps"] if "uses" in step
    }
    known = {"actions/checkout@v4", "actions/setup-python@v5", "actions/upload-artifact@v4"}
    assert used == known
