"""Which wheels a board takes, and what pip makes of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.errors import Unsupported
from devices.provision_wheels import (
    Interpreter,
    NoWheels,
    WheelPlan,
    digest_of,
    fetch_wheels,
    plan_wheels,
)
from tests.wheels import make_wheel

PI = Interpreter("/usr/bin/python3.11", "3.11.2", "cpython", 64, False, None, None)
PI_32 = replace(PI, bits=32, numpy="1.24.2")


def plan(
    python: Interpreter = PI, machine: str = "aarch64", libc: str | None = "glibc 2.36"
) -> WheelPlan:
    return plan_wheels(python, machine, libc, "pi")


class TestPlan:
    def test_a_64_bit_board_takes_litert_with_all_it_needs(self) -> None:
        asked = plan()
        assert asked.requirements == ("ai-edge-litert",)
        assert asked.with_dependencies
        assert not asked.system_packages
        assert (asked.python, asked.abi) == ("3.11", "cp311")
        assert asked.platforms[0] == "manylinux_2_36_aarch64"
        assert asked.platforms[-2:] == ("manylinux_2_17_aarch64", "manylinux2014_aarch64")

    @given(minor=st.integers(17, 60), machine=st.sampled_from(["aarch64", "x86_64"]))
    def test_no_tag_wants_a_newer_glibc_or_another_machine(self, minor: int, machine: str) -> None:
        tags = plan(machine=machine, libc=f"glibc 2.{minor}").platforms
        assert all(tag.endswith(f"_{machine}") for tag in tags)
        numbers = [int(tag.split("_")[2]) for tag in tags if tag.startswith("manylinux_2_")]
        assert numbers == list(range(minor, 16, -1))

    @pytest.mark.parametrize("minor", range(8, 15))
    def test_every_python_asks_for_its_own_abi(self, minor: int) -> None:
        asked = plan(replace(PI, version=f"3.{minor}.1"))
        assert (asked.python, asked.abi) == (f"3.{minor}", f"cp3{minor}")

    def test_a_free_threaded_python_has_another_abi(self) -> None:
        assert plan(replace(PI, version="3.13.1", free_threaded=True)).abi == "cp313t"

    def test_32_bits_take_numpy_from_the_system(self) -> None:
        asked = plan(PI_32, "armv7l")
        assert (asked.requirements, asked.with_dependencies) == (("tflite-runtime",), False)
        assert asked.system_packages
        assert asked.platforms[0] == "manylinux_2_36_armv7l"
        # The user land decides, not the kernel.
        assert plan(PI_32, "aarch64").platforms == asked.platforms

    def test_32_bits_with_a_runtime_of_the_system_need_no_wheel(self) -> None:
        asked = plan(replace(PI_32, tflite_runtime="2.14.0"), "armv6l")
        assert asked.requirements == ()
        assert asked.system_packages
        assert fetch_wheels(asked, Path("/nowhere"), given=None, device="pi") == ()

    @pytest.mark.parametrize(
        ("python", "machine", "libc", "said"),
        [
            (PI, "aarch64", None, "another C library"),
            (PI, "aarch64", "glibc 2.12", "too old"),
            (PI, "riscv64", "glibc 2.36", "riscv64"),
            (replace(PI, implementation="pypy"), "aarch64", "glibc 2.36", "pypy"),
            (replace(PI_32, numpy=None), "armv7l", "glibc 2.36", "python3-numpy"),
            (PI_32, "armv6l", "glibc 2.36", "armv6l"),
            (PI_32, "i686", "glibc 2.36", "i686"),
        ],
    )
    def test_what_nothing_exists_for_is_told_what_measures_there(
        self, python: Interpreter, machine: str, libc: str | None, said: str
    ) -> None:
        with pytest.raises(Unsupported, match=said) as caught:
            plan(python, machine, libc)
        assert "benchmark_model" in caught.value.message
        assert "\n" not in caught.value.message


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """Wheels as they are published: one per Python and machine, newer ones for newer glibc."""
    folder = tmp_path / "index"
    folder.mkdir()
    for python in ("cp39", "cp311", "cp313"):
        for machine in ("aarch64", "x86_64"):
            for version, glibc in (("1.0.1", "17"), ("2.3.0", "27")):
                tag = f"{python}-{python}-manylinux_2_{glibc}_{machine}"
                make_wheel(folder, "ai-edge-litert", version, tag=tag, needs=["numpy", "tqdm"])
            make_wheel(folder, "numpy", "2.0.0", tag=f"{python}-{python}-manylinux2014_{machine}")
    make_wheel(folder, "tqdm", "4.0")
    tag = "cp311-cp311-manylinux_2_34_armv7l"
    make_wheel(folder, "tflite-runtime", "2.14.0", tag=tag, needs=["numpy"])
    return folder


def fetched(asked: WheelPlan, index: Path, tmp_path: Path) -> list[str]:
    into = tmp_path / "into"
    into.mkdir()
    return [wheel.path.name for wheel in fetch_wheels(asked, into, given=index, device="pi")]


class TestFetch:
    def test_the_newest_that_fits_comes_with_what_it_needs(
        self, index: Path, tmp_path: Path
    ) -> None:
        assert fetched(plan(), index, tmp_path) == [
            "ai_edge_litert-2.3.0-cp311-cp311-manylinux_2_27_aarch64.whl",
            "numpy-2.0.0-cp311-cp311-manylinux2014_aarch64.whl",
            "tqdm-4.0-py3-none-any.whl",
        ]

    def test_an_old_glibc_gets_an_older_one(self, index: Path, tmp_path: Path) -> None:
        python = replace(PI, version="3.9.2")
        found = fetched(plan(python, "x86_64", "glibc 2.24"), index, tmp_path)
        assert found[0] == "ai_edge_litert-1.0.1-cp39-cp39-manylinux_2_17_x86_64.whl"

    def test_32_bits_get_the_runtime_alone(self, index: Path, tmp_path: Path) -> None:
        found = fetched(plan(PI_32, "armv7l"), index, tmp_path)
        assert found == ["tflite_runtime-2.14.0-cp311-cp311-manylinux_2_34_armv7l.whl"]

    @pytest.mark.parametrize("version", ["3.8.10", "3.14.0"])
    def test_a_python_without_wheels_is_named(
        self, version: str, index: Path, tmp_path: Path
    ) -> None:
        with pytest.raises(
            NoWheels, match=r"has no wheel of ai-edge-litert for Python 3\.\d+"
        ) as e:
            fetched(plan(replace(PI, version=version)), index, tmp_path)
        assert f"--python-version={version[: version.rindex('.')]}" in str(e.value)
        assert "\n" not in str(e.value)

    def test_without_a_network_the_manual_step_is_said(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
        monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
        for name in ("PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX", "PIP_FIND_LINKS"):
            monkeypatch.delenv(name, raising=False)
        with pytest.raises(NoWheels, match="no package index can be reached") as caught:
            fetch_wheels(plan(), tmp_path, given=None, device="pi")
        assert "pip download" in str(caught.value)
        assert "--platform=manylinux2014_aarch64" in str(caught.value)
        assert "--wheels" in str(caught.value)

    def test_an_index_without_a_wheel_for_the_board_is_the_boards_lack(
        self, index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_FIND_LINKS", str(index))
        with pytest.raises(Unsupported, match="no wheel of ai-edge-litert") as caught:
            fetch_wheels(
                plan(replace(PI, version="3.14.0")), tmp_path / "x", given=None, device="pi"
            )
        assert caught.value.device == "pi"

    def test_a_directory_that_is_none_is_said(self, tmp_path: Path) -> None:
        with pytest.raises(NoWheels, match="no such directory"):
            fetch_wheels(plan(), tmp_path, given=tmp_path / "gone", device="pi")


def test_the_digest_changes_with_everything_that_makes_another_environment(
    index: Path, tmp_path: Path
) -> None:
    wheels = fetch_wheels(plan(), tmp_path, given=index, device="pi")
    whole = digest_of(plan(), PI, wheels)
    assert whole == digest_of(plan(), PI, wheels)
    others = {
        digest_of(plan(), PI, wheels[:2]),
        digest_of(plan(), PI, (replace(wheels[0], sha256="0" * 64), *wheels[1:])),
        digest_of(plan(), replace(PI, version="3.11.3"), wheels),
        digest_of(plan(), replace(PI, executable="/opt/python3.11"), wheels),
        digest_of(replace(plan(), system_packages=True), PI, wheels),
    }
    assert len(others) == 5
    assert whole not in others
