"""The scripts that install everything, with stub Pythons: no download, no real environment."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TOOLS = (
    "sh",
    "awk",
    "cat",
    "chmod",
    "cp",
    "df",
    "dirname",
    "grep",
    "id",
    "mkdir",
    "rm",
    "sha256sum",
)

# Answers what the scripts ask of a Python, and writes down what pip was called with. The
# file $FAULTS/pip holds what befalls pip: `fail`, or `kill`, of the script that called it.
PYTHON = """#!/bin/sh
case "$1 $2" in
    *"from ensurepip import"*) exit {no_venv} ;;
    *calcsize*) exit {unsuitable} ;;
    *"print("*) echo {version} ;;
    "-m venv")
        mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    "-m pip")
        shift 2
        echo "pip $*" >>"$FAULTS/log"
        case "$(cat "$FAULTS/pip" 2>/dev/null)" in
            fail) exit 1 ;;
            kill) kill -9 $PPID; exit 1 ;;
        esac
        for tool in edgebench ruff mypy lint-imports pytest; do
            printf '#!/bin/sh\\necho "%s in $PWD: $*"\\n' $tool >.venv/bin/$tool
            chmod +x .venv/bin/$tool
        done ;;
    *) echo "unexpected: $*" >&2; exit 99 ;;
esac
"""


def executable(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


class Machine:
    """A folder with the scripts, and a PATH with nothing but what a bare system has."""

    def __init__(self, folder: Path) -> None:
        self.clone = folder / "it's a clone"
        self.bin = folder / "bin"
        self.faults = folder / "faults"
        for path in (self.clone / "requirements", self.bin, self.faults):
            path.mkdir(parents=True)
        shutil.copytree(ROOT / "scripts", self.clone / "scripts")
        for name in ("quickstart", "dev"):
            (self.clone / f"requirements/{name}.txt").write_text(f"{name}-package==1.0\n")
        (self.clone / "pyproject.toml").write_text("[project]\n")
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found, tool
            (self.bin / tool).symlink_to(found)

    def python(
        self, name: str, version: str, *, no_venv: bool = False, unsuitable: bool = False
    ) -> Path:
        text = PYTHON.format(version=version, no_venv=int(no_venv), unsuitable=int(unsuitable))
        return executable(self.bin / name, text)

    def tool(self, name: str, body: str) -> None:
        (self.bin / name).unlink(missing_ok=True)
        executable(self.bin / name, f"#!/bin/sh\n{body}\n")

    def fault(self, what: str) -> None:
        (self.faults / "pip").write_text(what)

    def run(
        self,
        script: str = "quickstart",
        *arguments: str,
        cwd: Path | None = None,
        user: int | None = None,
        **more: str,
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.clone / "scripts" / script), *arguments],
            cwd=cwd or self.clone,
            env={"PATH": str(self.bin), "FAULTS": str(self.faults), **more},
            user=user,
            capture_output=True,
            text=True,
        )

    def log(self) -> list[str]:
        """What was installed since the last time this was asked."""
        path = self.faults / "log"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return [line.split("--no-deps ")[1].replace("--quiet ", "") for line in lines]

    def mark(self) -> Path:
        """A file in .venv, gone once that is remade."""
        path = self.clone / ".venv/left-by-the-old-one"
        path.touch()
        return path


LOCK = "--require-hashes -r requirements/{}.txt"
PROJECT = "--no-build-isolation -e ."


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def refused(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert "edgebench: " in done.stderr
    for part in parts:
        assert part in done.stderr


def test_installs_once_then_runs_the_command_where_it_was_called(
    machine: Machine, tmp_path: Path
) -> None:
    machine.python("python3", "3.11")
    elsewhere = tmp_path / "else where"
    elsewhere.mkdir()
    done = machine.run("quickstart", "--dir", "a b", cwd=elsewhere)
    assert done.returncode == 0, done.stderr
    assert f"edgebench in {elsewhere}: quickstart --dir a b" in done.stdout
    assert machine.log() == [LOCK.format("quickstart"), PROJECT]
    assert not (elsewhere / ".venv").exists()

    again = machine.run(cwd=elsewhere)
    assert again.stdout == f"edgebench in {elsewhere}: quickstart\n"
    assert machine.log() == []


def test_cdpath_does_not_lead_astray(machine: Machine, tmp_path: Path) -> None:
    machine.python("python3", "3.11")
    (tmp_path / "trap/scripts").mkdir(parents=True)
    done = subprocess.run(
        ["sh", "scripts/quickstart"],
        cwd=machine.clone,
        env={
            "PATH": str(machine.bin),
            "FAULTS": str(machine.faults),
            "CDPATH": str(tmp_path / "trap"),
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("character", list('"$`\\:'))
def test_a_folder_whose_name_breaks_what_pip_writes(machine: Machine, character: str) -> None:
    machine.python("python3", "3.11")
    machine.clone = machine.clone.rename(machine.clone.with_name(f"a {character} b"))
    refused(machine.run(), f"a {character} b has one of", "Rename")
    assert not (machine.clone / ".venv").exists()


def test_no_venv_module(machine: Machine) -> None:
    machine.python("python3", "3.12", no_venv=True)
    refused(machine.run(), "no venv module", "apt-get install python3.12-venv")
    assert not (machine.clone / ".venv").exists()


def test_a_python_with_venv_is_taken_before_one_without(machine: Machine) -> None:
    machine.python("python3", "3.11", no_venv=True)
    machine.python("python3.12", "3.12")
    done = machine.run()
    assert done.returncode == 0, done.stderr
    assert "Making .venv with Python 3.12" in done.stdout


def test_python_too_old(machine: Machine) -> None:
    machine.python("python3", "3.9", unsuitable=True)
    refused(machine.run(), "3.11, 3.12 or 3.13; python3 is 3.9", "apt-get install python3")
    assert not (machine.clone / ".venv").exists()


def test_no_python(machine: Machine) -> None:
    refused(machine.run(), "python3 is none that runs", "apt-get install python3 python3-venv")


def test_the_python_asked_for_is_used_or_refused(machine: Machine, tmp_path: Path) -> None:
    machine.python("python3", "3.11")
    refused(machine.run(EDGEBENCH_PYTHON="/no/such python"), "/no/such python")
    (machine.bin / "of mine").mkdir()
    mine = machine.python("of mine/python", "3.13")
    assert "with Python 3.13" in machine.run(EDGEBENCH_PYTHON=str(mine)).stdout
    mark = machine.mark()
    assert machine.run().returncode == 0
    assert mark.exists()
    assert machine.run(EDGEBENCH_PYTHON=str(machine.bin / "python3")).returncode == 0
    assert not mark.exists()


DF = """\
echo 'Filesystem     1048576-blocks  Used Available Capacity Mounted on'
echo '//server/my share  9000  8000  {free} 99% /some where'"""


def test_disk_too_full(machine: Machine) -> None:
    machine.python("python3", "3.11")
    machine.tool("df", DF.format(free=120))
    refused(machine.run(), "needs 3000 MB", "120 MB free", "larger disk")
    assert not (machine.clone / ".venv").exists()
    machine.tool("df", DF.format(free=5000))
    assert machine.run().returncode == 0


def test_disk_of_unknown_size_refuses_nothing(machine: Machine) -> None:
    machine.python("python3", "3.11")
    machine.tool("df", "echo 'df: no such luck' >&2; exit 1")
    assert machine.run().returncode == 0


def test_a_failed_installation_leaves_nothing_and_the_next_call_does_it(machine: Machine) -> None:
    machine.python("python3", "3.11")
    machine.fault("fail")
    refused(machine.run(), "did not finish", "package index", "https_proxy=")
    assert not (machine.clone / ".venv").exists()
    machine.fault("")
    assert machine.run().returncode == 0


def test_a_killed_installation_is_made_anew(machine: Machine) -> None:
    machine.python("python3", "3.11")
    machine.fault("kill")
    assert machine.run().returncode == -9
    mark = machine.mark()
    machine.log()
    machine.fault("")
    done = machine.run()
    assert done.returncode == 0, done.stderr
    assert not mark.exists()
    assert machine.log() == [LOCK.format("quickstart"), PROJECT]


def test_another_python_under_the_same_name(machine: Machine) -> None:
    old = machine.python("python3", "3.11")
    assert machine.run().returncode == 0
    mark = machine.mark()
    # The system was upgraded: .venv/bin/python is a link to its python3.
    shutil.copy(machine.python(old.name, "3.13"), machine.clone / ".venv/bin/python")
    done = machine.run()
    assert done.returncode == 0
    assert "Remaking .venv" in done.stdout
    assert not mark.exists()


def test_a_moved_folder(machine: Machine, tmp_path: Path) -> None:
    machine.python("python3", "3.11")
    assert machine.run().returncode == 0
    mark = machine.mark()
    machine.clone = machine.clone.rename(tmp_path / "moved")
    done = machine.run()
    assert done.returncode == 0, done.stderr
    assert "Remaking .venv" in done.stdout
    assert not (machine.clone / ".venv" / mark.name).exists()


def test_a_folder_reached_by_another_name_is_the_same(machine: Machine, tmp_path: Path) -> None:
    machine.python("python3", "3.11")
    assert machine.run().returncode == 0
    machine.log()
    (tmp_path / "link").symlink_to(machine.clone)
    machine.clone = tmp_path / "link"
    assert machine.run().returncode == 0
    assert machine.log() == []


def test_a_changed_lock_and_changed_metadata(machine: Machine) -> None:
    machine.python("python3", "3.11")
    assert machine.run().returncode == 0
    mark = machine.mark()
    machine.log()
    (machine.clone / "pyproject.toml").write_text("[project]\nversion = '2'\n")
    assert machine.run().returncode == 0
    assert machine.log() == [PROJECT]
    assert mark.exists()
    (machine.clone / "requirements/quickstart.txt").write_text("quickstart-package==2.0\n")
    assert machine.run().returncode == 0
    assert machine.log() == [LOCK.format("quickstart"), PROJECT]
    assert not mark.exists()


def test_tests_after_quickstart_add_to_the_same_environment(machine: Machine) -> None:
    machine.python("python3", "3.11")
    assert machine.run().returncode == 0
    mark = machine.mark()
    machine.log()
    machine.fault("fail")
    refused(machine.run("test"), "did not finish")
    assert machine.log() == [LOCK.format("dev")]
    machine.fault("")
    assert machine.run().returncode == 0  # what was there still works
    assert machine.log() == []
    assert mark.exists()

    # Half an addition is not trusted to be added to.
    assert machine.run("test").returncode == 0
    assert not mark.exists()
    mark = machine.mark()
    machine.log()
    done = machine.run("test", "-k", "a name")
    assert "pytest in" in done.stdout
    assert done.stdout.rstrip().endswith("-k a name")
    assert machine.run().returncode == 0  # the larger lock holds the smaller one
    assert machine.log() == []
    assert mark.exists()


def test_uv_where_there_is_one_and_pip_where_it_fails(machine: Machine) -> None:
    machine.python("python3", "3.11")
    # Stands in for uv: pip's stub does its work, under another name.
    machine.tool(
        "uv",
        'while [ "$1" != --no-deps ]; do shift; done\n.venv/bin/python -m pip --no-deps by-uv "$@"',
    )
    assert machine.run().returncode == 0
    assert all(line.startswith("by-uv") for line in machine.log())
    machine.tool("uv", "echo 'no route to the index' >&2; exit 1")
    (machine.clone / "requirements/quickstart.txt").write_text("quickstart-package==2.0\n")
    assert machine.run().returncode == 0
    assert machine.log() == [LOCK.format("quickstart"), PROJECT]


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """One that other users may enter, unlike tmp_path."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def test_a_folder_that_cannot_be_written(public_folder: Path) -> None:
    machine = Machine(public_folder)
    machine.python("python3", "3.11")
    machine.clone.chmod(0o555)
    # root may write anywhere, so the script is run by somebody else.
    done = machine.run(user=65534 if os.geteuid() == 0 else None)
    machine.clone.chmod(0o755)
    refused(done, "cannot be written", "cp -r")


def pins(name: str) -> dict[str, str]:
    """Name to marker of every pin of a lock."""
    text = (ROOT / f"requirements/{name}.txt").read_text()
    return dict(re.findall(r"^([a-z0-9-]+)==[^ ;]+(?: ; ([^\\\n]+?))? \\$", text, re.MULTILINE))


@pytest.mark.parametrize("name", ["base", "quickstart", "dev"])
def test_locks_are_hashed_and_name_no_index(name: str) -> None:
    text = (ROOT / f"requirements/{name}.txt").read_text()
    blocks = re.findall(r"^[a-z0-9][^\n]*\n(?:    [^\n]*\n)*", text, re.MULTILINE)
    assert len(blocks) > 20
    assert all("--hash=sha256:" in block for block in blocks)
    assert not re.search(r"://|^-|index", text, re.MULTILINE)


@pytest.mark.parametrize("name", ["quickstart", "dev"])
def test_one_build_of_tensorflow_per_platform(name: str) -> None:
    locked = pins(name)
    assert locked["tensorflow-cpu"] == "platform_machine == 'x86_64' and sys_platform == 'linux'"
    assert locked["tensorflow"] == "platform_machine != 'x86_64' or sys_platform != 'linux'"
    assert not [package for package in locked if package.startswith("nvidia")]


def test_the_base_lock_has_no_tensorflow_and_the_dev_lock_has_everything() -> None:
    heavy = ("tensorflow", "keras", "tf-keras", "scikit-learn", "nvidia", "tensorboard")
    assert not [package for package in pins("base") if package.startswith(heavy)]
    assert set(pins("base")) <= set(pins("quickstart")) <= set(pins("dev"))
