"""Provisioning, over a real sshd, with the Python of this machine as the board's."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from devices.deadline import Deadline
from devices.device import Device
from devices.emulated.fake import FakeTransport
from devices.errors import DeviceError, NoSpace, StableDeviceError, Unsupported
from devices.facts import Facts, read_facts
from devices.provision import Provisioned, provision, remove
from devices.provision_py import INSTALL, NO_SPACE
from devices.provision_wheels import NoWheels, Wheel, WheelPlan
from devices.ssh import SshTransport
from tests.wheels import make_runtime, make_wheel, pack_installed

pytest_plugins = ("tests.ssh_fixtures",)

ROOT = Path(__file__).parents[1]


@pytest.fixture
def pi(board: SshTransport, tmp_path: Path) -> Device:
    """A board whose work directory has a name that no shell may see unquoted."""
    workdir = str(tmp_path / "it's $HOME; work")
    return Device("pi", "linux", board, workdir, f"{workdir}/venv/bin/python", frozenset(), True)


@pytest.fixture(scope="session")
def facts(board: SshTransport) -> Facts:
    found = read_facts(board, Deadline(30))
    # The fake wheels are for any system, the rules are those of a board.
    return replace(found, machine="x86_64", libc=found.libc or "glibc 2.36")


@pytest.fixture
def index(tmp_path: Path) -> Path:
    folder = tmp_path / "index"
    folder.mkdir()
    make_runtime(folder)
    return folder


@pytest.fixture
def done(
    pi: Device, facts: Facts, index: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Provisioned]:
    """Provisions the board from the index of the test; pip is left out, which takes a second."""

    def newest(plan: WheelPlan, into: Path, *, given: Path, device: str) -> tuple[Wheel, ...]:
        found = {path.name.split("-")[0]: path for path in sorted(given.iterdir())}
        return tuple(
            Wheel(path, hashlib.sha256(path.read_bytes()).hexdigest())
            for path in sorted(found.values())
        )

    monkeypatch.setattr("devices.provision.fetch_wheels", newest)
    return lambda **more: provision(pi, facts, wheels=index, **more)


def venvs(device: Device) -> set[str]:
    folder = Path(device.workdir, "venvs")
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def imported(python: str, what: str) -> str:
    argv = [python, "-c", f"import {what} as it; print(it.__file__)"]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


class TestInstalling:
    def test_a_bare_board_gets_a_private_python(
        self, pi: Device, done: Callable[..., Provisioned]
    ) -> None:
        lines: list[str] = []
        got = done(tell=lines.append)
        assert got.changed
        assert got.python == pi.python
        assert (got.runtime, got.numpy) == ("ai-edge-litert 2.0.0", "1.99.0")
        own = f"{pi.workdir}/venvs/{got.digest}"
        assert Path(f"{pi.workdir}/venv").readlink() == Path(f"venvs/{got.digest}")
        assert imported(got.python, "numpy").startswith(f"{pi.workdir}/venv/lib/python")
        assert any("copying ai-edge-litert 2.0.0" in line for line in lines)
        told = json.loads(Path(own, "edgebench.json").read_text())
        assert {(w["file"], w["sha256"]) for w in told["wheels"]} == set(got.wheels)
        assert [name for name, _ in got.wheels] == [
            "ai_edge_litert-2.0.0-py3-none-any.whl",
            "numpy-1.99.0-py3-none-any.whl",
        ]

    def test_it_sees_nothing_of_the_system(
        self, pi: Device, done: Callable[..., Provisioned]
    ) -> None:
        got = done()
        argv = [got.python, "-c", "import site, sys; print(site.ENABLE_USER_SITE, sys.path)"]
        said = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
        assert said.startswith("False")
        assert "dist-packages" not in said

    def test_a_second_time_does_nothing(self, pi: Device, done: Callable[..., Provisioned]) -> None:
        first = done()
        before = sorted((p, p.lstat().st_mtime_ns) for p in Path(pi.workdir).rglob("*"))
        lines: list[str] = []
        proofs: list[str] = []
        again = done(tell=lines.append, prove=proofs.append)
        assert again == replace(first, changed=False)
        assert proofs == []
        assert not any("copying" in line for line in lines)
        assert sorted((p, p.lstat().st_mtime_ns) for p in Path(pi.workdir).rglob("*")) == before

    def test_a_newer_runtime_is_put_in_use_and_the_older_one_kept(
        self, pi: Device, index: Path, done: Callable[..., Provisioned]
    ) -> None:
        first = done()
        make_runtime(index, "2.1.0")
        second = done()
        assert second.changed
        assert second.runtime == "ai-edge-litert 2.1.0"
        assert venvs(pi) == {first.digest, second.digest}
        assert Path(f"{pi.workdir}/venv").readlink().name == second.digest
        # And back, without making anything.
        (index / "ai_edge_litert-2.1.0-py3-none-any.whl").unlink()
        back = done()
        assert back == first
        assert Path(f"{pi.workdir}/venv").readlink().name == first.digest

    def test_what_a_wheel_has_for_the_library_goes_there(
        self, pi: Device, index: Path, done: Callable[..., Provisioned]
    ) -> None:
        data = "numpy-1.99.1.data"
        files = {
            "numpy/__init__.py": "from numpy.deep.part import VERSION as __version__\n",
            f"{data}/platlib/numpy/deep/__init__.py": "",
            f"{data}/purelib/numpy/deep/part.py": "VERSION = '1.99.1'\n",
            f"{data}/scripts/tool": "#!python\n",
        }
        make_wheel(index, "numpy", "1.99.1", files)
        got = done()
        assert got.numpy == "1.99.1"
        site = Path(imported(got.python, "numpy")).parents[1]
        assert not list(site.glob("*.data"))

    def test_a_damaged_one_is_made_anew(self, pi: Device, done: Callable[..., Provisioned]) -> None:
        got = done()
        numpy = Path(imported(got.python, "numpy"))
        numpy.write_text("raise RuntimeError('damaged')\n")
        assert done() == got
        assert "damaged" not in numpy.read_text()

    def test_what_a_cut_off_one_left_is_no_obstacle(
        self, pi: Device, done: Callable[..., Provisioned]
    ) -> None:
        got = done()
        for name in (got.digest, f".new-{got.digest}"):
            place = Path(pi.workdir, "venvs", name)
            shutil.rmtree(place, ignore_errors=True)
            (place / "bin").mkdir(parents=True)
        Path(pi.workdir, "venv.new").symlink_to("nowhere")
        Path(pi.workdir, "venv").unlink()
        assert done() == got
        assert venvs(pi) == {got.digest}
        assert not Path(pi.workdir, "venv.new").is_symlink()


class TestRefusing:
    def test_a_runtime_that_does_not_load_is_not_put_in_use(
        self, pi: Device, index: Path, done: Callable[..., Provisioned]
    ) -> None:
        first = done()
        make_runtime(index, "2.1.0", "raise ImportError('libcurious.so.1: cannot open')\n")
        with pytest.raises(StableDeviceError, match=r"libcurious\.so\.1: cannot open"):
            done()
        assert Path(f"{pi.workdir}/venv").readlink().name == first.digest

    def test_one_that_does_not_prove_itself_is_not_put_in_use(
        self, pi: Device, index: Path, done: Callable[..., Provisioned]
    ) -> None:
        tried: list[str] = []

        def refuse(python: str) -> None:
            tried.append(python)
            raise ArithmeticError

        with pytest.raises(ArithmeticError):
            done(prove=refuse)
        assert not Path(f"{pi.workdir}/venv").is_symlink()
        assert Path(tried[0]).exists()
        # It is proved again before it is used, though it is there already.
        with pytest.raises(ArithmeticError):
            done(prove=refuse)
        assert done(prove=tried.append).changed
        assert len(tried) == 3

    def test_a_directory_of_somebody_elses_stays(
        self, pi: Device, done: Callable[..., Provisioned]
    ) -> None:
        own = Path(pi.workdir, "venv", "precious")
        own.mkdir(parents=True)
        with pytest.raises(DeviceError, match="is not ours"):
            done()
        assert own.is_dir()

    def test_a_python_of_the_users_own_is_not_changed(self, pi: Device, facts: Facts) -> None:
        with pytest.raises(Unsupported, match=r"/usr/bin/python3, .*devices\.toml"):
            provision(replace(pi, python="/usr/bin/python3"), facts)

    def test_a_phone_is_told_what_its_runner_is(self, pi: Device, facts: Facts) -> None:
        with pytest.raises(Unsupported, match="benchmark_model"):
            provision(replace(pi, kind="android", lease_place=""), facts)

    def test_no_wheels_means_nothing_changes(self, pi: Device, facts: Facts, index: Path) -> None:
        (index / "numpy-1.99.0-py3-none-any.whl").unlink()
        with pytest.raises(NoWheels, match="has no wheel of numpy"):
            provision(pi, facts, wheels=index)
        assert not Path(pi.workdir).exists()

    def test_a_full_disk_is_said_so(self, pi: Device, facts: Facts, index: Path) -> None:
        class Full:
            """The board, but unpacking ends as it does on a full disk."""

            device = "pi"

            def __getattr__(self, name: str) -> object:
                return getattr(pi.transport, name)

            def run(self, argv: list[str], **more: object) -> object:
                if INSTALL in argv:
                    argv = ["sh", "-c", f"echo full >&2; exit {NO_SPACE}"]
                return pi.transport.run(argv, **more)  # type: ignore[arg-type]

        with pytest.raises(NoSpace, match="disk is full"):
            provision(replace(pi, transport=Full()), facts, wheels=index)  # type: ignore[arg-type]
        assert venvs(pi) == set()

    def test_without_a_python_there_is_a_way_said(self, facts: Facts) -> None:
        bare = FakeTransport(lambda argv, stdin: None)
        device = Device("pi", "linux", bare, "/w", "/w/venv/bin/python", frozenset(), True)
        with pytest.raises(Unsupported, match="no python3"):
            provision(device, facts)


class TestRemoving:
    def test_everything_of_ours_goes_and_nothing_else(
        self, pi: Device, index: Path, done: Callable[..., Provisioned]
    ) -> None:
        first = done()
        make_runtime(index, "2.1.0")
        second = done()
        work = Path(pi.workdir)
        (work / "venvs" / "my own").mkdir()
        (work / "venvs" / ".new-0123456789abcdef").mkdir()
        (work / "venvs" / "feedfeedfeedfeed").symlink_to(index)
        assert set(remove(pi, deadline=Deadline(30))) == {first.digest, second.digest}
        assert venvs(pi) == {"my own", "feedfeedfeedfeed"}
        assert not (work / "venv").is_symlink()
        assert len(list((work / "blobs").iterdir())) == 3
        assert list(index.iterdir())
        assert remove(pi, deadline=Deadline(30)) == ()

    def test_nothing_is_left_of_one_alone(
        self, pi: Device, done: Callable[..., Provisioned]
    ) -> None:
        got = done()
        assert remove(pi, deadline=Deadline(30)) == (got.digest,)
        assert {path.name for path in Path(pi.workdir).iterdir()} == {"blobs"}

    def test_a_link_of_somebody_elses_stays(self, pi: Device, tmp_path: Path) -> None:
        Path(pi.workdir).mkdir()
        Path(pi.workdir, "venv").symlink_to(tmp_path)
        assert remove(pi, deadline=Deadline(30)) == ()
        assert Path(pi.workdir, "venv").is_symlink()


def test_pip_brings_the_wheels(pi: Device, facts: Facts, index: Path) -> None:
    make_runtime(index, "2.1.0")
    got = provision(pi, facts, wheels=index)
    assert got.changed
    assert got.runtime == "ai-edge-litert 2.1.0"
    assert not provision(pi, facts, wheels=index).changed


@pytest.mark.slow
def test_the_real_runtime_answers_on_the_board(
    pi: Device, facts: Facts, board: SshTransport, tmp_path: Path
) -> None:
    minor = ".".join(map(str, sys.version_info[:2]))
    asked = board.run(["python3", "--version"], deadline=Deadline(30)).text.split()[-1]
    if not asked.startswith(f"{minor}."):
        pytest.skip(f"the python3 of an SSH session is {asked}, and the wheels here are {minor}'s")
    index = tmp_path / "real"
    index.mkdir()
    names = "numpy ai-edge-litert flatbuffers tqdm typing-extensions protobuf ml_dtypes"
    for name in (*names.split(), "backports.strenum"):
        pack_installed(index, name)
    runs: list[str] = []

    def infer(python: str) -> None:
        program = (
            "import sys; from ai_edge_litert.interpreter import Interpreter as I;"
            "i = I(sys.argv[1]); i.allocate_tensors(); i.invoke();"
            "print(i.get_tensor(i.get_output_details()[0]['index']).shape)"
        )
        model = str(ROOT / "bench" / "sentinel.tflite")
        argv = [python, "-c", program, model]
        runs.append(board.run(argv, deadline=Deadline(60)).check().text)

    got = provision(pi, facts, wheels=index, prove=infer)
    assert got.runtime.startswith("ai-edge-litert ")
    assert runs[0].startswith("(")
    assert not provision(pi, facts, wheels=index, prove=infer).changed
