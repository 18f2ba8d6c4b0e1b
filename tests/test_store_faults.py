"""Killed writers, full disks, damage and wrong places: one clear line and nothing lost."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
import store_records as make

from bench.errors import StoreError
from bench.store import open_store

HERE = Path(__file__).parent

# Prints its run, then every launch id after add_launch has returned.
WRITER = """
import os, sys
from pathlib import Path
import store_records as make
from bench.store import open_store

def write(path, out, launches=10**9):
    run = make.run_record()
    case = make.planned(run)
    with open_store(path, write=True) as store:
        store.begin_run(run, [case])
        os.write(out, f"{run.run_id}\\n".encode())
        for index in range(launches):
            record = make.launch_record(case, index)
            store.add_launch(record)
            os.write(out, f"{record.launch_id}\\n".encode())
"""

# Forks writers and kills each at a random moment: while it makes a fresh store, or
# while it appends to one that earlier victims wrote.
KILLER = """
import json, random, signal, time

def killed(path, wait_for, delay_s):
    read, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            write(path, write_end)
        finally:
            os._exit(1)
    os.close(write_end)
    with os.fdopen(read) as pipe:
        lines = [pipe.readline().strip() for _ in range(wait_for)]
        time.sleep(delay_s)
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        lines += pipe.read().split()
    return {"path": str(path), "lines": lines, "killed": os.WIFSIGNALED(status)}

folder, trials, seed = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
draw = random.Random(seed)
for trial in range(trials):
    if trial % 4 == 0:
        done = killed(folder / f"{trial}.sqlite", 0, draw.uniform(0, 0.3))
    else:
        done = killed(folder / "one.sqlite", 2, draw.uniform(0, 0.05))
    print(json.dumps(done), flush=True)
"""


def start(program: str, *arguments: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": f"{HERE}:{HERE.parent}"}
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def output_of(program: str, *arguments: object) -> str:
    with start(program, *arguments) as child:
        out, err = child.communicate()
    assert child.returncode == 0, err
    return out


def stored_launches(path: Path, run_id: str) -> set[str]:
    with open_store(path, write=False) as store:
        return {r.launch_id for r in store.load(run_id, samples=True).launches}


def assert_whole(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


# --- killed writers -----------------------------------------------------------------


@pytest.mark.parametrize("trials", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_a_killed_writer_loses_nothing_that_was_acknowledged(tmp_path: Path, trials: int) -> None:
    out = output_of(WRITER + KILLER, tmp_path, trials, "seed")
    victims = [json.loads(line) for line in out.splitlines()]
    assert len(victims) == trials
    assert all(victim["killed"] for victim in victims)
    assert sum(len(victim["lines"]) > 1 for victim in victims) >= trials // 2
    for victim in victims:
        path = Path(victim["path"])
        # The lock died with its holder, and what was half made is made again.
        open_store(path, write=True).close()
        if victim["lines"]:
            run_id, *acknowledged = victim["lines"]
            stored = stored_launches(path, run_id)
            assert stored >= set(acknowledged)
            assert len(stored) <= len(acknowledged) + 1
        assert_whole(path)


def test_what_a_killed_writer_left_is_read_without_writing(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    with start(WRITER + "write(Path(sys.argv[1]), 1)", path) as child:
        assert child.stdout is not None
        run_id = child.stdout.readline().strip()
        acknowledged = {child.stdout.readline().strip() for _ in range(3)}
        child.send_signal(signal.SIGKILL)
    assert stored_launches(path, run_id) >= acknowledged


# --- one writer, many readers ----------------------------------------------------------


def test_readers_see_whole_snapshots_while_another_process_writes(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    total, seen = 40, [0]
    with start(WRITER + f"write(Path(sys.argv[1]), 1, {total})", path) as child:
        assert child.stdout is not None
        run_id = child.stdout.readline().strip()
        with open_store(path, write=False) as store:
            while child.poll() is None:
                launches = store.load(run_id, samples=True).launches
                assert [r.index for r in launches] == list(range(len(launches)))
                assert all(r.measurement and r.measurement.count == 100 for r in launches)
                seen.append(len(launches))
            seen.append(len(store.load(run_id).launches))
    assert seen == sorted(seen)
    assert seen[-1] == total


def test_a_second_writer_is_refused_by_the_pid_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    opening = (
        "import sys\nfrom pathlib import Path\nfrom bench.store import open_store\n"
        "from bench.errors import StoreError\n"
        "try:\n    open_store(Path(sys.argv[1]), write=True).close()\n"
        "except StoreError as error:\n    print(error)\n"
    )
    link = tmp_path / "link.sqlite"
    link.symlink_to(path)
    with open_store(path, write=True):
        assert f"is being written by process {os.getpid()}:" in output_of(opening, path)
        assert f"is being written by process {os.getpid()}:" in output_of(opening, link)
        with pytest.raises(StoreError, match=f"written by process {os.getpid()}:"):
            open_store(path, write=True)
    assert output_of(opening, path) == ""


def test_a_writer_that_cannot_open_does_not_keep_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    path.write_bytes(b"no database at all, " * 100)
    for _ in range(2):
        with pytest.raises(StoreError, match="is not an edgebench store"):
            open_store(path, write=True)
    path.unlink()
    open_store(path, write=True).close()


# --- a full disk ---------------------------------------------------------------------------

FULL = """
import resource
from bench.errors import StoreError

path = Path(sys.argv[1])
run = make.run_record()
case = make.planned(run)
with open_store(path, write=True) as store:
    store.begin_run(run, [case])
    print(run.run_id)
    limit = path.with_name(path.name + "-wal").stat().st_size + 200_000
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    index = 0
    try:
        while True:
            store.add_launch(make.launch_record(case, index, stderr_tail="x" * 10_000))
            index += 1
    except StoreError as error:
        print(index)
        print(error)
    print(len(store.launches_done(run.run_id)))
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    store.add_launch(make.launch_record(case, index))
"""


def test_a_full_disk_is_said_and_costs_only_the_launch_that_did_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    run_id, count, message, readable = output_of(WRITER + FULL, path).splitlines()
    assert int(count) > 0
    assert message.startswith(f"{path}: ")
    assert "full" in message
    assert readable == count
    assert len(stored_launches(path, run_id)) == int(count) + 1
    assert_whole(path)


def test_no_space_for_a_new_store_is_said_and_mended_by_space(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    program = """
import resource, sys
from pathlib import Path
from bench.errors import StoreError
from bench.store import open_store
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    open_store(Path(sys.argv[1]), write=True)
except StoreError as error:
    print(error)
"""
    for limit in (100, 5_000, 20_000):
        assert output_of(program, path, limit).startswith(f"{path}: "), limit
    with open_store(path, write=True) as store:
        assert store.runs() == ()


# --- wrong places ------------------------------------------------------------------------------


@pytest.mark.parametrize("write", [True, False])
def test_wrong_places_get_one_line(tmp_path: Path, write: bool) -> None:
    (tmp_path / "text").write_text("some notes, not a database\n" * 50)
    (tmp_path / "short").write_text("hello")
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    for place, message in [
        (tmp_path, "is a directory"),
        (tmp_path / "text", "is not an edgebench store"),
        (tmp_path / "short", "is not an edgebench store"),
        (
            tmp_path / "text" / "store.sqlite",
            "cannot make the directory" if write else "no store at",
        ),
        (Path("/proc/store.sqlite"), "cannot write in /proc" if write else "no store at"),
    ]:
        with pytest.raises(StoreError) as caught:
            open_store(place, write=write)
        assert message in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_a_missing_store_is_not_made_unasked(tmp_path: Path) -> None:
    path = tmp_path / "a" / "store.sqlite"
    for options in ({"write": False}, {"write": True, "create": False}):
        with pytest.raises(StoreError, match=r"there is no store at .*: `edgebench run` makes one"):
            open_store(path, **options)
    assert list(tmp_path.iterdir()) == []


def test_names_that_a_uri_would_bend_are_names(tmp_path: Path) -> None:
    for name in ("a?mode=memory", "b#c", "%41", "file:x", "ü '\"", os.fsdecode(b"\xff.sqlite")):
        path = tmp_path / name / "s"
        open_store(path, write=True).close()
        assert path.is_file()
        open_store(path, write=False).close()


READ_AND_WRITE = """
import os, sys
from pathlib import Path
from bench.errors import StoreError
from bench.store import open_store
path = Path(sys.argv[1])
open_store(path, write=False).close()
if os.getuid() == 0:
    os.setuid(65534)  # root may write anywhere
with open_store(path, write=False) as store:
    print(len(store.runs()))
try:
    open_store(path, write=True)
except StoreError as error:
    print(error)
"""


def test_a_store_in_a_read_only_place_is_read_and_not_written() -> None:
    # Not under tmp_path, which only its owner may enter.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "store.sqlite"
        with open_store(path, write=True) as store:
            store.begin_run(make.run_record(), [])
        path.with_name("store.sqlite.lock").unlink()
        path.chmod(0o444)
        folder.chmod(0o555)
        before = path.read_bytes()
        runs, message = output_of(READ_AND_WRITE, path).splitlines()
        folder.chmod(0o755)
        assert runs == "1"
        assert message == f"cannot write in {folder}: Permission denied"
        assert path.read_bytes() == before


# --- damage --------------------------------------------------------------------------------------


@pytest.fixture
def written(tmp_path: Path) -> tuple[Path, str]:
    """A store with ten launches of one run."""
    path = tmp_path / "store.sqlite"
    run = make.run_record()
    case = make.planned(run)
    with open_store(path, write=True) as store:
        store.begin_run(run, [case])
        for index in range(10):
            store.add_launch(make.launch_record(case, index))
    return path, run.run_id


def test_damaged_files_are_refused_in_one_line_or_read(written: tuple[Path, str]) -> None:
    path, run_id = written
    good = path.read_bytes()
    draw = random.Random(0)
    refused: list[str] = []
    for _ in range(60):
        bad = bytearray(good)
        if draw.random() < 0.3:
            del bad[draw.randrange(100, len(bad)) :]
        else:
            at = draw.randrange(0, len(bad) - 400)
            bad[at : at + 400] = draw.randbytes(400)
        path.write_bytes(bad)
        try:
            with open_store(path, write=False) as store:
                store.load(run_id, samples=True)
                store.runs()
        except StoreError as error:
            refused.append(str(error))
    assert len(refused) > 10
    assert all(len(message.splitlines()) == 1 for message in refused)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE launch SET taints = '['",
        "UPDATE launch SET outcome = 'weird'",
        "UPDATE launch SET started_utc = 'yesterday'",
        "UPDATE launch SET sample_count = 99",
        "UPDATE launch SET delegation_verdict = NULL",
        "UPDATE launch_samples SET samples_ns = x'0108'",
        "DELETE FROM launch_samples",
        "UPDATE run SET record_version = 99",
        "UPDATE \"case\" SET spec = replace(spec, 'xnnpack', 'none')",
    ],
)
def test_rows_that_make_no_sense_are_refused(written: tuple[Path, str], change: str) -> None:
    path, run_id = written
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(change)
        connection.commit()
    with open_store(path, write=False) as store, pytest.raises(StoreError) as caught:
        store.load(run_id, samples=True)
    assert len(str(caught.value).splitlines()) == 1
