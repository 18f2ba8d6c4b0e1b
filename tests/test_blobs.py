"""devices.blobs: pushed once, verified on the device."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest

from devices.blobs import BlobStore
from devices.deadline import Deadline
from devices.emulated.fake import Answer, FakeTransport, Fault, FaultyTransport
from devices.errors import CommandNotFound, DeviceOffline, NoSpace, PathMissing, TransferError
from devices.local import LocalTransport

CONTENT = b"weights" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def soon() -> Deadline:
    return Deadline(60)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "modèl $'.tflite"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    return tmp_path / "work dir"


def store(workdir: Path, **faults: Fault) -> tuple[BlobStore, FaultyTransport]:
    """A store whose n-th call suffers the fault call_n."""
    numbered = {int(name.removeprefix("call_")): fault for name, fault in faults.items()}
    transport = FaultyTransport(LocalTransport(), numbered)
    return BlobStore(transport, str(workdir)), transport


def test_a_file_is_pushed_once_under_its_hash_and_read_only(model: Path, workdir: Path) -> None:
    blobs, transport = store(workdir)
    assert blobs.ensure(model, deadline=soon()) == SHA256
    blob = workdir / "blobs" / SHA256
    assert str(blob) == blobs.path(SHA256)
    assert blob.read_bytes() == CONTENT
    assert blob.stat().st_mode & 0o777 == 0o444
    calls = transport.calls
    assert blobs.ensure(model, SHA256, deadline=soon()) == SHA256
    assert transport.calls == calls


def test_a_good_blob_of_an_earlier_session_is_verified_and_not_pushed(
    model: Path, workdir: Path
) -> None:
    store(workdir)[0].ensure(model, deadline=soon())
    blobs, transport = store(workdir)
    blobs.ensure(model, deadline=soon())
    assert transport.calls == 1


def test_a_damaged_blob_of_an_earlier_session_is_replaced(model: Path, workdir: Path) -> None:
    damaged = workdir / "blobs" / SHA256
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(CONTENT[:-1])
    store(workdir)[0].ensure(model, deadline=soon())
    assert damaged.read_bytes() == CONTENT


def test_a_silently_truncated_push_is_repeated(model: Path, workdir: Path) -> None:
    blobs, _ = store(workdir, call_2=Fault.TRUNCATE)
    blobs.ensure(model, deadline=soon())
    assert (workdir / "blobs" / SHA256).read_bytes() == CONTENT


def test_a_second_truncated_push_is_an_error_and_is_not_believed(
    model: Path, workdir: Path
) -> None:
    blobs, _ = store(workdir, call_2=Fault.TRUNCATE, call_4=Fault.TRUNCATE)
    with pytest.raises(TransferError, match="arrived wrong 2 times"):
        blobs.ensure(model, deadline=soon())
    blobs.ensure(model, deadline=soon())
    assert (workdir / "blobs" / SHA256).read_bytes() == CONTENT


def test_a_cut_off_answer_is_not_taken_for_a_hash(model: Path, workdir: Path) -> None:
    store(workdir)[0].ensure(model, deadline=soon())
    with pytest.raises(TransferError, match="did not arrive whole"):
        store(workdir, call_1=Fault.TRUNCATE)[0].ensure(model, deadline=soon())


@pytest.mark.parametrize(
    ("fault", "error"), [(Fault.NO_SPACE, NoSpace), (Fault.DROP_AFTER, DeviceOffline)]
)
def test_a_failed_push_is_its_own_error_and_can_be_repeated(
    model: Path, workdir: Path, fault: Fault, error: type[Exception]
) -> None:
    blobs, _ = store(workdir, call_2=fault)
    with pytest.raises(error):
        blobs.ensure(model, deadline=soon())
    assert blobs.ensure(model, deadline=soon()) == SHA256


def test_executables_stay_executable(model: Path, workdir: Path) -> None:
    blobs, _ = store(workdir)
    blobs.ensure(model, deadline=soon())
    model.chmod(0o755)
    blobs.ensure(model, deadline=soon())
    blob = workdir / "blobs" / SHA256
    assert blob.stat().st_mode & 0o777 == 0o555
    model.chmod(0o644)
    blobs.ensure(model, deadline=soon())
    assert blob.stat().st_mode & 0o777 == 0o555


def test_changed_content_is_another_blob(model: Path, workdir: Path) -> None:
    blobs, _ = store(workdir)
    blobs.ensure(model, deadline=soon())
    model.write_bytes(b"other")
    assert blobs.ensure(model, deadline=soon()) == hashlib.sha256(b"other").hexdigest()


def test_content_other_than_asked_for_is_not_pushed(model: Path, workdir: Path) -> None:
    blobs, transport = store(workdir)
    with pytest.raises(TransferError, match="was expected"):
        blobs.ensure(model, "0" * 64, deadline=soon())
    assert transport.calls == 0


def test_no_such_file(workdir: Path) -> None:
    with pytest.raises(PathMissing, match="nowhere"):
        store(workdir)[0].ensure(workdir / "nowhere", deadline=soon())


def test_forget_verifies_again(model: Path, workdir: Path) -> None:
    blobs, _ = store(workdir)
    blobs.ensure(model, deadline=soon())
    (workdir / "blobs" / SHA256).unlink()
    blobs.forget()
    blobs.ensure(model, deadline=soon())
    assert (workdir / "blobs" / SHA256).read_bytes() == CONTENT


def test_a_device_without_sha256sum_says_so(model: Path) -> None:
    fake = FakeTransport(lambda argv, stdin: Answer(127, stderr=b"sh: sha256sum: not found"))
    with pytest.raises(CommandNotFound, match="sha256sum"):
        BlobStore(fake, "/w").ensure(model, deadline=soon())


# --- garbage -----------------------------------------------------------------


def test_the_blobs_asked_for_longest_ago_go_first_and_links_keep_theirs(tmp_path: Path) -> None:
    work = tmp_path / "work dir"
    store = BlobStore(LocalTransport(), str(work))
    hashes = []
    for number in range(4):
        (tmp_path / str(number)).write_bytes(bytes([number]) * 100_000)
        hashes.append(store.ensure(tmp_path / str(number), deadline=Deadline(60)))
        os.utime(work / "blobs" / hashes[-1], (1_000_000 + number, 1_000_000 + number))
    oldest, linked, old, newest = hashes
    (work / "runs/launch").mkdir(parents=True)
    os.link(work / "blobs" / linked, work / "runs/launch/model")
    (work / "blobs/not-ours").write_bytes(b"x" * 10**6)
    (work / "theirs").write_bytes(b"x")

    assert store.collect_garbage(210_000, deadline=Deadline(60)) == 1
    assert {p.name for p in (work / "blobs").iterdir()} == {linked, old, newest, "not-ours"}
    assert store.collect_garbage(0, deadline=Deadline(60)) == 2
    assert {p.name for p in (work / "blobs").iterdir()} == {linked, "not-ours"}
    assert (work / "theirs").exists()

    (tmp_path / "0").chmod(0o644)
    assert store.ensure(tmp_path / "3", deadline=Deadline(60)) == newest
    assert (work / "blobs" / newest).exists()
    assert oldest not in {p.name for p in (work / "blobs").iterdir()}


def test_what_was_asked_for_again_counts_as_new(tmp_path: Path) -> None:
    work = tmp_path / "work"
    store = BlobStore(LocalTransport(), str(work))
    (tmp_path / "m").write_bytes(b"m" * 1000)
    sha256 = store.ensure(tmp_path / "m", deadline=Deadline(60))
    os.utime(work / "blobs" / sha256, (1_000_000, 1_000_000))
    BlobStore(LocalTransport(), str(work)).ensure(tmp_path / "m", deadline=Deadline(60))
    assert (work / "blobs" / sha256).stat().st_mtime > 1_000_000


def test_where_there_is_nothing_there_is_no_garbage(tmp_path: Path) -> None:
    store = BlobStore(LocalTransport(), str(tmp_path / "none"))
    assert store.collect_garbage(0, deadline=Deadline(60)) == 0


def test_launches_that_nobody_collected_for_a_month_go(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    long_ago = time.time() - 40 * 86400
    os.utime(tmp_path / "runs/old", (long_ago, long_ago))
    BlobStore(LocalTransport(), str(tmp_path)).collect_garbage(0, deadline=Deadline(60))
    assert [p.name for p in (tmp_path / "runs").iterdir()] == ["new"]
