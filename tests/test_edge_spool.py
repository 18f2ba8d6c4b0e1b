"""The agent's spool: nothing acknowledged is lost, whatever happens to power, disk and clock."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.agent.edge_spool import AGENT_ITSELF, Spool, SpoolError, only_agent
from bench.telemetry import AGENT_ITSELF as AS_READ


def row(number: int, device: str = "gw", **changes: Any) -> dict[str, Any]:
    return {
        "sample_id": f"{device}-{number}",
        "device_id": device,
        "agent_version": "1",
        "simulated": False,
        "timestamp": f"2026-01-01T00:00:{number % 60:02d}+00:00",
        **changes,
    }


def ids(spool: Spool) -> list[str]:
    return [waiting["sample_id"] for _, waiting in spool.batch(1_000_000)]


def test_the_agents_own_name_is_read_as_it_is_written() -> None:
    assert AGENT_ITSELF == AS_READ


def test_samples_wait_in_order_whatever_the_clock_says(tmp_path: Path) -> None:
    path = tmp_path / "a b" / "spool.db"
    with Spool(path) as spool:
        spool.add([row(1, timestamp="2026-05-05T00:00:00+00:00")])
        spool.add([row(2, timestamp="1970-01-01T00:00:00+00:00")])
        spool.add([row(1)])  # the same sample once more
    with Spool(path) as spool:
        assert ids(spool) == ["gw-1", "gw-2"]
        spool.done([seq for seq, _ in spool.batch(1)])
        assert ids(spool) == ["gw-2"]
        status = spool.status()
    assert (status["queued"], status["uploaded"], status["lost"]) == (1, 1, 0)
    assert status["last_sample"]["sample_id"] == "gw-1"


def test_every_commit_is_on_the_disk_before_it_counts(tmp_path: Path) -> None:
    """Held by SQLite itself: WAL and synchronous=FULL sync the log at every commit."""
    with Spool(tmp_path / "spool.db") as spool:
        assert spool._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert spool._db.execute("PRAGMA synchronous").fetchone() == (2,)


def test_the_oldest_give_way_when_it_is_full_and_are_told_of_once(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    limit = 1_000_000
    text = "x" * 3000
    with Spool(path, limit) as spool:
        for number in range(500):
            spool.add([row(number, device=f"gw-{number % 2}", failure=text)])
        waiting = ids(spool)
        lost = 500 - len(waiting)
        assert 100 < lost < 400
        assert waiting == [f"gw-{n % 2}-{n}" for n in range(lost, 500)]
        assert spool.status()["lost"] == lost
        assert path.stat().st_size < 1.2 * limit
        spool.tell_losses()
        told = [r for _, r in spool.batch(10_000) if r.get("model_name") == AGENT_ITSELF]
        assert sorted(r["device_id"] for r in told) == ["gw-0", "gw-1"]
        assert sum(r["lost"] for r in told) == lost
        assert told[0]["failure"].startswith(f"the spool was full: {lost // 2} samples lost, of ")
        spool.tell_losses()
        assert len(ids(spool)) == len(waiting) + 2
    with Spool(path, limit) as spool:
        for number in range(1000, 1500):
            spool.add([row(number, device="gw-0", failure=text)])
        lost = 1000 - len(ids(spool))
        assert spool.status()["lost"] == lost
        # What told of losses was lost itself: it stands for all of them.
        spool.tell_losses()
        told = [r for _, r in spool.batch(10_000) if r.get("model_name") == AGENT_ITSELF]
        assert sum(r["lost"] for r in told) == lost


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.integers(0, 30)),
            st.tuples(st.just("done"), st.integers(1, 5)),
            st.tuples(st.just("reopen"), st.just(0)),
            st.tuples(st.just("refuse"), st.just(0)),
        ),
        max_size=25,
    )
)
def test_it_is_a_queue_of_distinct_samples(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    path = tmp_path_factory.mktemp("spool") / "spool.db"
    spool = Spool(path)
    waiting: list[str] = []
    gone: set[str] = set()
    uploaded = refused = 0
    for what, number in steps:
        if what == "add":
            name = f"gw-{number}"
            spool.add([row(number)])
            if name not in waiting and name not in gone:
                waiting.append(name)
        elif what == "done":
            batch = spool.batch(number)
            spool.done([seq for seq, _ in batch])
            uploaded += len(batch)
            # Once uploaded, an equal one would be new: the database is who knows it.
            waiting = waiting[len(batch) :]
        elif what == "refuse" and waiting:
            ((seq, bad),) = spool.batch(1)
            spool.refuse(seq, "no")
            refused += 1
            gone.add(bad["sample_id"])
            waiting = waiting[1:]
        else:
            spool.close()
            spool = Spool(path, repair=True)
        assert ids(spool) == waiting
    status = spool.status()
    assert (status["uploaded"], status["refused"]) == (uploaded, refused)
    spool.retry_refused()
    assert len(ids(spool)) == len(waiting) + refused
    spool.close()


WRITER = textwrap.dedent(
    """
    import sys, uuid
    from pathlib import Path
    from bench.agent.edge_spool import Spool
    spool = Spool(Path(sys.argv[1]), repair=True)
    number = 0
    while True:
        row = {"sample_id": str(uuid.uuid4()), "device_id": "gw", "n": number}
        spool.add([row])
        sys.stdout.write(row["sample_id"] + "\\n")
        sys.stdout.flush()
        if number % 7 == 6:
            spool.done([seq for seq, _ in spool.batch(2)])
        number += 1
    """
)


def writer(path: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)


def acknowledged(child: subprocess.Popen[bytes], count: int) -> list[str]:
    assert child.stdout is not None
    return [child.stdout.readline().decode().strip() for _ in range(count)]


def test_killed_at_random_moments_it_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    rng = random.Random(7)
    everything: list[str] = []
    for _ in range(12):
        child = writer(path)
        everything += acknowledged(child, rng.randrange(1, 60))
        os.kill(child.pid, signal.SIGKILL)
        rest, _ = child.communicate()
        everything += [line for line in rest.decode().split("\n")[:-1] if line]
    with Spool(path, repair=True) as spool:
        waiting = ids(spool)
        done = spool.status()["uploaded"]
        # Only its oldest were uploaded; at most one per kill was kept and not acknowledged.
        assert set(everything[done + 12 :]) <= set(waiting)
        assert len(waiting) == len(set(waiting))
        assert 0 <= len(waiting) + done - len(everything) <= 12
    assert not list(tmp_path.glob("*.damaged*"))


def test_after_a_power_cut_its_files_open_with_all_that_was_acknowledged(tmp_path: Path) -> None:
    """The disk as it was at a moment, and a tail of the log that was never written whole."""
    path = tmp_path / "spool.db"
    rng = random.Random(11)
    child = writer(path)
    try:
        seen: list[str] = []
        for cut in range(10):
            seen += acknowledged(child, rng.randrange(5, 80))
            os.kill(child.pid, signal.SIGSTOP)
            os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
            after = tmp_path / f"cut-{cut}"
            after.mkdir()
            for suffix in ("", "-wal"):
                shutil.copy(path.with_name(path.name + suffix), after / f"spool.db{suffix}")
            os.kill(child.pid, signal.SIGCONT)
            with (after / "spool.db-wal").open("ab") as log:
                log.write(rng.randbytes(rng.randrange(1, 9000)))
            with Spool(after / "spool.db", repair=True) as spool:
                kept = ids(spool)
                done = spool.status()["uploaded"]
            assert set(seen[done:]) <= set(kept)
            assert not list(after.glob("*.damaged*"))
    finally:
        child.kill()
        child.communicate()


@pytest.mark.parametrize("damage", ["text", "middle", "cut"])
def test_a_damaged_spool_is_set_aside_and_a_new_one_begun(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "spool.db"
    with Spool(path) as spool:
        spool.add([row(number, failure="y" * 500) for number in range(400)])
    content = path.read_bytes()
    broken = {
        "text": b"no database at all, but long enough to be one" * 100,
        "middle": content[:4096] + b"\xff" * (len(content) - 4096),
        "cut": content[: len(content) // 2],
    }[damage]
    path.write_bytes(broken)
    with Spool(path, repair=True) as spool:
        assert ids(spool) == []
        spool.add([row(1)])
    (aside,) = [p for p in tmp_path.glob("spool.db.damaged-*") if "-wal" not in p.name]
    assert aside.read_bytes() == broken
    assert "is damaged" in caplog.text
    assert aside.name in caplog.text


def test_who_only_uploads_leaves_a_damaged_spool_to_the_agent(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    path.write_bytes(b"no database at all, but long enough to be one" * 100)
    with pytest.raises(SpoolError, match="not a database"):
        Spool(path)
    assert [p.name for p in tmp_path.iterdir()] == ["spool.db"]


def test_a_newer_agents_spool_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    Spool(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version=2")
    with pytest.raises(SpoolError, match="newer agent"):
        Spool(path, repair=True)


def test_a_second_agent_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    with (
        only_agent(path),
        pytest.raises(SpoolError, match="another agent uses this spool"),
        only_agent(path),
    ):
        pass
    with only_agent(path):
        pass


def test_a_directory_that_takes_no_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(SpoolError, match="is its directory writable"):
        Spool(tmp_path / "file" / "spool.db")
    with pytest.raises(SpoolError, match="choose a directory"), only_agent(tmp_path / "file" / "s"):
        pass


FULL_DISK = textwrap.dedent(
    """
    import resource, sys, signal
    from pathlib import Path
    from types import SimpleNamespace
    from bench.agent.edge_agent import Keeper
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    path = Path(sys.argv[1])
    config = SimpleNamespace(spool=path, spool_limit_bytes=10**8)
    keeper = Keeper(config)
    def row(n):
        return {"sample_id": str(n), "device_id": "gw", "failure": "x" * 3000}
    assert keeper.keep(row(0))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    kept = [keeper.keep(row(n)) for n in range(1, 200)]
    assert kept[0] and not kept[-1], kept
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert keeper.keep(row(200))
    keeper.close()
    """
)


def test_while_the_disk_is_full_samples_are_held_and_kept_later(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "samples are held in memory" in done.stderr
    with Spool(path, repair=True) as spool:
        assert ids(spool) == [str(n) for n in range(201)]
