"""A temporary folder: gone afterwards, for one process at a time, over what others left."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.errors import UserError
from bench.variants.scratch import scratch_in


def test_it_lies_in_the_folder_and_goes(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    with scratch_in(folder) as scratch:
        assert scratch.parent == folder
        (scratch / "half").write_text("made")
    assert list(folder.iterdir()) == []


def test_it_goes_after_an_error_and_the_folder_is_free_again(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), scratch_in(tmp_path):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    with scratch_in(tmp_path):
        pass


def test_what_killed_processes_left_goes_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / ".tmp-abc" / "saved_model").mkdir(parents=True)
    (tmp_path / ".tmp-fp32.tflite").write_text("half")
    (tmp_path / "fp32.tflite").write_text("whole")
    with scratch_in(tmp_path) as scratch:
        assert {p.name for p in tmp_path.iterdir()} == {"fp32.tflite", scratch.name}


def test_a_second_process_is_told_to_wait(tmp_path: Path) -> None:
    with scratch_in(tmp_path) as scratch:
        with pytest.raises(UserError, match="another edgebench"), scratch_in(tmp_path):
            pass
        assert scratch.is_dir()


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_place_that_cannot_be_written_is_the_users_error(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"), scratch_in(tmp_path / place):
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_the_users_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="Permission denied"), scratch_in(tmp_path):
        pass
