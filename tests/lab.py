"""A place of its own for a test of `edgebench devices`: nothing of the user's, no adb but ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.cli.main import main


@dataclass
class Said:
    """What one command line came to."""

    code: int
    out: str
    err: str


class Lab:
    """Runs command lines in a directory that is empty at first."""

    def __init__(
        self,
        directory: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        adb_port: int,
    ) -> None:
        self.directory = directory
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        monkeypatch.chdir(directory)
        self.set(
            {
                "ANDROID_ADB_SERVER_PORT": str(adb_port),
                "EDGEBENCH_LOCAL_LEASE": str(directory / "lease"),
                "HOME": str(directory / "home"),
                "XDG_CONFIG_HOME": str(directory / "config"),
                "XDG_DATA_HOME": str(directory / "data"),
                "XDG_CACHE_HOME": str(directory / "cache"),
                "COLUMNS": "120",
            }
        )
        # What answers is to be seen even where this machine has much else to do.
        monkeypatch.setattr("bench.cli.devices_list._EACH_S", 60.0)
        monkeypatch.delenv("EDGEBENCH_DEVICES", raising=False)
        monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)

    def set(self, variables: Mapping[str, str]) -> None:
        for name, value in variables.items():
            self._monkeypatch.setenv(name, value)

    def inventory(self, text: str) -> None:
        (self.directory / "devices.toml").write_text(text, encoding="utf-8")

    def run(self, *arguments: str) -> Said:
        self._capsys.readouterr()
        code = main(["devices", *arguments])
        said = self._capsys.readouterr()
        return Said(code, said.out, said.err)
