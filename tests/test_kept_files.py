"""Files of earlier runs: kept once, verified when read, and the oldest go first."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest
from analysis import rounds, run_data, variant_record
from pairs_runs import RUN_A, stored
from records import NOW, case

from bench.kept_files import KeptFiles, files_of_baselines, keep_run
from bench.points import Baseline, BaselineKind
from bench.records import Outcome
from bench.store import open_store


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def kept(tmp_path: Path) -> KeptFiles:
    return KeptFiles(tmp_path / "kept")


def written(folder: Path, content: bytes, name: str = "m.tflite") -> tuple[Path, str]:
    path = folder / name
    path.write_bytes(content)
    return path, sha256(content)


@pytest.mark.parametrize("link", [True, False])
def test_what_is_kept_is_found_when_the_original_is_gone(
    tmp_path: Path, kept: KeptFiles, *, link: bool
) -> None:
    path, digest = written(tmp_path, b"weights")
    assert kept.find(digest) is None
    assert kept.keep(path, digest, link=link)
    assert (path.stat().st_nlink == 2) is link
    path.unlink()
    found = kept.find(digest)
    assert found is not None
    assert found.read_bytes() == b"weights"
    # Again, with nothing to keep it from.
    assert kept.keep(path, digest, link=link)


def test_another_content_is_never_kept_under_a_name(tmp_path: Path, kept: KeptFiles) -> None:
    path, digest = written(tmp_path, b"weights")
    path.write_bytes(b"other")
    assert not kept.keep(path, digest, link=True)
    assert not kept.keep(tmp_path / "gone", digest, link=False)
    assert kept.find(digest) is None


def test_a_file_that_changed_since_is_found_out(tmp_path: Path, kept: KeptFiles) -> None:
    path, digest = written(tmp_path, b"weights")
    kept.keep(path, digest, link=True)
    path.write_bytes(b"written in place")
    assert kept.find(digest) is None
    assert list(kept.root.iterdir()) == []


def test_a_program_stays_executable(tmp_path: Path, kept: KeptFiles) -> None:
    path, digest = written(tmp_path, b"#!/bin/sh\n", "tool")
    path.chmod(0o755)
    kept.keep(path, digest, link=False)
    found = kept.find(digest)
    assert found is not None
    assert os.access(found, os.X_OK)


def test_the_least_recently_used_goes_first_and_never_a_baseline(
    tmp_path: Path, kept: KeptFiles
) -> None:
    digests = []
    for number in range(4):
        path, digest = written(tmp_path, bytes([number]) * 100)
        kept.keep(path, digest, link=False)
        os.utime(kept.root / digest, (1000 + number, 1000 + number))
        digests.append(digest)
    assert kept.prune(lambda: set(), max_bytes=400) == ()
    # Read now: used.
    kept.find(digests[0])
    assert kept.prune(lambda: {digests[1]}, max_bytes=250) == (digests[2], digests[3])
    assert [kept.find(d) is not None for d in digests] == [True, True, False, False]


def test_a_read_does_not_change_when_the_original_was_changed(
    tmp_path: Path, kept: KeptFiles
) -> None:
    path, digest = written(tmp_path, b"weights")
    os.utime(path, (5000, 5000))
    kept.keep(path, digest, link=True)
    kept.find(digest)
    assert path.stat().st_mtime == 5000


def test_what_a_kill_left_goes_when_it_is_old(kept: KeptFiles, tmp_path: Path) -> None:
    path, digest = written(tmp_path, b"weights")
    kept.keep(path, digest, link=False)
    (kept.root / ".incoming-x").write_bytes(b"part")
    kept.prune(lambda: set())
    assert (kept.root / ".incoming-x").exists()


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "A" * 64, "g" * 64, "0" * 63])
def test_only_a_sha256_names_a_file(kept: KeptFiles, name: str) -> None:
    with pytest.raises(ValueError, match="no sha256"):
        kept.find(name)


def test_a_run_keeps_what_it_measured(tmp_path: Path, kept: KeptFiles) -> None:
    _, fp32 = written(tmp_path, b"fp32", "fp32.tflite")
    _, int8 = written(tmp_path, b"int8", "int8.tflite")
    tool, binary = written(tmp_path, b"tool", "benchmark_model")
    ran, failed = case("fp32"), case("int8")
    launches = [
        replace(one, environment={"runner": "benchmark_model", "runner_sha256": binary})
        for one in rounds(ran, [1000.0])
    ]
    crashed = [
        replace(one, outcome=Outcome.CRASHED, measurement=None) for one in rounds(failed, [1000.0])
    ]
    made = [variant_record("fp32", sha256=fp32), variant_record("int8", sha256=int8)]
    data = run_data({ran: launches, failed: crashed}, made=made)
    assert keep_run(kept, data, out=tmp_path, tools=[tool]) == []
    assert {path.name for path in kept.root.iterdir()} == {fp32, binary}
    (tmp_path / "fp32.tflite").unlink()
    other = KeptFiles(tmp_path / "other")
    missed = keep_run(other, data, out=tmp_path, tools=[])
    assert [line.split(" ")[0] for line in missed] == ["m", "runner"]


def test_the_files_of_baselines_are_known(tmp_path: Path) -> None:
    data = run_data({case("fp32"): rounds(case("fp32"), [1000.0] * 6)}, run_id=RUN_A)
    stored(tmp_path / "s.db", data)
    with open_store(tmp_path / "s.db", write=True) as store:
        assert files_of_baselines(store) == frozenset()
        store.add_baseline(Baseline("p", BaselineKind.RELEASE, "1", RUN_A, NOW))
        assert files_of_baselines(store) == {"0" * 64}
