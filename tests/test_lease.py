"""devices.lease: one owner at a time, whatever happens; on real processes and shells."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from devices.deadline import Deadline
from devices.emulated.fake import Fault, FaultyTransport
from devices.errors import (
    DeviceError,
    LeaseHeld,
    LeaseLost,
    PermissionDenied,
    TransferError,
    TransientDeviceError,
)
from devices.journal import Change, Entry, Journal
from devices.lease import Lease, Owner, look, unlock
from devices.local import LocalTransport
from devices.transport import CommandResult, Transport

SHELLS = [
    pytest.param(name, marks=pytest.mark.skipif(not shutil.which(name), reason=f"no {name} here"))
    for name in ("dash", "mksh", "bash", "busybox")
]
CHANGE = Change("governor", "policy0", "ondemand", "performance")


class Shell:
    """This machine, with one particular shell as sh."""

    def __init__(self, name: str) -> None:
        self._inner = LocalTransport()
        self._command = [name, "sh"] if name == "busybox" else [name]
        self.device = "local"

    def run(
        self, argv: Sequence[str], *, deadline: Deadline, stdin: bytes | None = None
    ) -> CommandResult:
        assert argv[0] == "sh"
        return self._inner.run([*self._command, *argv[1:]], deadline=deadline, stdin=stdin)

    push = pull = stream = None  # type: ignore[assignment]


def soon() -> Deadline:
    return Deadline(60)


def nothing(journal: Journal) -> None:
    journal.pending(deadline=soon())


def someone(name: str = "ann", purpose: str = "run 1") -> Owner:
    return Owner(name, "lab1", 42, purpose)


def take(
    place: Path,
    owner: Owner | None = None,
    *,
    transport: Transport | None = None,
    replay: Callable[[Journal], None] = nothing,
    force: bool = False,
    ttl_s: float = 120,
) -> Lease:
    return Lease.acquire(
        transport or LocalTransport(),
        str(place),
        owner or someone(),
        deadline=soon(),
        replay=replay,
        force=force,
        ttl_s=ttl_s,
    )


def numbers(place: Path) -> list[int]:
    return sorted(int(path.suffix[1:]) for path in place.glob("lease.*"))


def owner_file(place: Path) -> Path:
    return place / f"lease.{numbers(place)[-1]}" / "owner"


def expire(place: Path) -> None:
    """As if the owner had not renewed for long."""
    first, *rest = owner_file(place).read_text().split("\n")
    nonce, boot, since, _ = first.split()
    owner_file(place).write_text("\n".join([f"{nonce} {boot} {since} 1", *rest]))


def restart(place: Path) -> None:
    """As if the device had restarted since: another boot id stands there."""
    first, *rest = owner_file(place).read_text().split("\n")
    nonce, _, since, until = first.split()
    owner_file(place).write_text("\n".join([f"{nonce} 0-0 {since} {until}", *rest]))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "a place" / ".edgebench"


# --- one owner ----------------------------------------------------------------


@pytest.mark.parametrize("shell", SHELLS)
def test_a_lease_from_beginning_to_end(place: Path, shell: str) -> None:
    transport = Shell(shell)
    lease = take(place, transport=transport)
    with pytest.raises(LeaseHeld):
        take(place, someone("bob"), transport=transport)
    lease.renew(deadline=soon(), ttl_s=300)
    state = look(transport, str(place), deadline=soon())
    assert state is not None
    assert (state.live, state.pending) == (True, ())
    assert 295 <= state.left_s <= 302
    (entry,) = lease.journal.record([CHANGE], deadline=soon())
    expire(place)
    bob = take(place, someone("bob"), transport=transport)
    assert bob.journal.pending(deadline=soon()) == (entry,)
    with pytest.raises(LeaseLost):
        lease.renew(deadline=soon())
    with pytest.raises(LeaseLost):
        lease.journal.settle([entry], deadline=soon())
    bob.journal.settle([entry], deadline=soon())
    bob.release(deadline=soon())
    assert look(transport, str(place), deadline=soon()) is None


def test_the_place_is_for_every_user_and_what_lies_there_can_be_read(place: Path) -> None:
    take(place).journal.record([CHANGE], deadline=soon())
    assert place.stat().st_mode & 0o7777 == 0o1777
    for path in place.rglob("*"):
        assert path.stat().st_mode & 0o044 == 0o044


def test_a_live_lease_names_its_owner_and_its_end(place: Path) -> None:
    take(place, someone("ann", "run 7"))
    with pytest.raises(LeaseHeld) as raised:
        take(place, someone("bob"))
    assert "ann@lab1 (process 42, run 7)" in raised.value.message
    assert f"devices unlock {raised.value.device}`" in raised.value.message
    state = look(LocalTransport(), str(place), deadline=soon())
    assert state is not None
    assert state.live
    assert str(state.owner) == "ann@lab1 (process 42, run 7)"
    assert state.held_s <= 5
    assert 100 < state.left_s <= 121


def test_nothing_is_there_before_the_first_lease_and_look_makes_nothing(place: Path) -> None:
    assert look(LocalTransport(), str(place), deadline=soon()) is None
    assert not place.exists()


def test_names_are_data(place: Path) -> None:
    wild = Owner("a\"b'$(touch x);`id`\n\\", "höst\x1b[31m", 1, "%s\n%d \0")
    lease = take(place, wild)
    state = look(LocalTransport(), str(place), deadline=soon())
    assert state is not None
    assert state.owner == wild
    lease.release(deadline=soon())
    assert look(LocalTransport(), str(place), deadline=soon()) is None


def test_what_is_left_after_release_is_one_small_directory(place: Path) -> None:
    for _ in range(3):
        take(place).release(deadline=soon())
    assert numbers(place) == [3]


def test_a_released_lease_is_free_at_once_and_releasing_again_hurts_nobody(place: Path) -> None:
    first = take(place)
    first.release(deadline=soon())
    second = take(place, someone("bob"))
    first.release(deadline=soon())
    second.renew(deadline=soon())
    with pytest.raises(LeaseLost, match="taken over by bob"):
        first.renew(deadline=soon())


def test_a_time_that_the_device_cannot_count_is_refused(place: Path) -> None:
    for ttl_s in (0.0, -1.0, 1e7, float("nan")):
        with pytest.raises(ValueError, match="a lease is for"):
            take(place, ttl_s=ttl_s)


# --- expiry, restart, take-over -----------------------------------------------


@pytest.mark.parametrize("how", [expire, restart])
def test_a_stale_lease_is_taken_over_and_its_journal_comes_first(
    place: Path, how: Callable[[Path], None]
) -> None:
    ann = take(place)
    entries = ann.journal.record([CHANGE, CHANGE], deadline=soon())
    ann.journal.settle(entries[:1], deadline=soon())
    how(place)
    state = look(LocalTransport(), str(place), deadline=soon())
    assert state is not None
    assert (state.live, state.pending) == (False, entries[1:])
    found: list[tuple[Entry, ...]] = []
    bob = take(place, someone("bob"), replay=lambda j: found.append(j.pending(deadline=soon())))
    assert found == [entries[1:]]
    for act in (
        lambda: ann.renew(deadline=soon()),
        lambda: ann.journal.record([CHANGE], deadline=soon()),
        lambda: ann.journal.pending(deadline=soon()),
    ):
        with pytest.raises(LeaseLost):
            act()
    ann.release(deadline=soon())
    bob.renew(deadline=soon())


def test_an_owner_whose_lease_expired_takes_it_anew_with_its_journal(place: Path) -> None:
    lease = take(place)
    (entry,) = lease.journal.record([CHANGE], deadline=soon())
    expire(place)
    lease.renew(deadline=soon())
    assert numbers(place) == [2]
    assert lease.journal.pending(deadline=soon()) == (entry,)
    with pytest.raises(LeaseHeld):
        take(place, someone("bob"))


@pytest.mark.parametrize("fault", [Fault.DROP, Fault.DROP_AFTER, Fault.TRUNCATE])
@pytest.mark.parametrize("call", [1, 2])
def test_a_link_that_drops_while_a_lease_is_taken_anew_loses_no_journal(
    place: Path, fault: Fault, call: int
) -> None:
    faults: dict[int, Fault] = {}
    transport = FaultyTransport(LocalTransport(), faults)
    lease = take(place, transport=transport)
    entries = lease.journal.record([CHANGE], deadline=soon())
    expire(place)
    faults[transport.calls + call] = fault
    with pytest.raises(TransientDeviceError):
        lease.renew(deadline=soon())
    with suppress(LeaseLost):  # the journal of a lease that was not begun takes nothing
        entries += lease.journal.record([CHANGE], deadline=soon())
    lease.renew(deadline=soon())
    assert lease.journal.pending(deadline=soon()) == entries


def test_after_a_restart_an_owner_learns_of_it(place: Path) -> None:
    owner = someone()
    lease = take(place, owner)
    restart(place)
    with pytest.raises(LeaseLost, match="the device restarted"):
        lease.renew(deadline=soon())
    take(place, owner).renew(deadline=soon())


def test_a_place_that_was_wiped_is_noticed(place: Path) -> None:
    lease = take(place)
    shutil.rmtree(place)
    with pytest.raises(LeaseLost, match="was removed"):
        lease.renew(deadline=soon())


def test_a_taker_who_died_before_it_said_who_it_is_blocks_nobody_for_long(place: Path) -> None:
    take(place).release(deadline=soon())
    (place / "lease.2").mkdir()
    take(place, someone("bob"))
    assert numbers(place) == [3]


@pytest.mark.parametrize(
    "text", ["", "x", "a b 1", "a b 08 99999999\n{}\n", "a b 1 9999999999\n\n", "a b -1 99999\n"]
)
def test_an_owner_file_that_makes_no_sense_is_no_owner(place: Path, text: str) -> None:
    take(place)
    owner_file(place).write_text(text)
    assert look(LocalTransport(), str(place), deadline=soon()) is None


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("mksh"), reason="no mksh here, whose numbers run commands")
def test_a_command_in_place_of_a_number_is_not_run(tmp_path: Path) -> None:
    place = tmp_path / "place"
    take(place)
    boot = owner_file(place).read_text().split()[1]
    owner_file(place).write_text(f"ab {boot} 1 a[$(touch${{IFS}}{tmp_path}/evil)]\n{{}}\n")
    take(place, someone("bob"), transport=Shell("mksh"))
    assert not (tmp_path / "evil").exists()


def test_what_a_stranger_put_there_is_passed_over(place: Path) -> None:
    place.mkdir(parents=True)
    for name in ("lease.x", "lease.1x", "lease.007", "lease.99999999999999999999", "lease.-1"):
        (place / name).mkdir()
    (place / "lease.3").mkdir()
    (place / "lease.3/owner").write_text(f"a b 1 0\n{'[' * 100_000}\n")
    (place / "lease.3/journal").write_text(f"{'[' * 100_000}\n[]\n1\n{{}}\n")
    state = look(LocalTransport(), str(place), deadline=soon())
    assert state is None
    take(place)
    assert (place / "lease.4").exists()


def test_a_symbolic_link_in_place_of_the_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "place").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PermissionDenied, match="symbolic link"):
        take(tmp_path / "place")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_journal_that_is_a_link_is_not_read(place: Path, tmp_path: Path) -> None:
    take(place).journal.record([CHANGE], deadline=soon())
    journal = owner_file(place).parent / "journal"
    journal.rename(tmp_path / "secret")
    journal.symlink_to(tmp_path / "secret")
    expire(place)
    assert take(place, someone("bob")).journal.pending(deadline=soon()) == ()


# --- force --------------------------------------------------------------------


def test_unlock_ends_a_live_lease_and_puts_back_what_it_left(place: Path) -> None:
    ann = take(place)
    entries = ann.journal.record([CHANGE], deadline=soon())

    def settle(journal: Journal) -> None:
        journal.settle(journal.pending(deadline=soon()), deadline=soon())

    state = unlock(LocalTransport(), str(place), someone("bob"), deadline=soon(), replay=settle)
    assert state is not None
    assert (state.live, state.pending) == (True, entries)
    assert look(LocalTransport(), str(place), deadline=soon()) is None
    with pytest.raises(LeaseLost):
        ann.renew(deadline=soon())


def test_unlock_of_a_free_device_does_nothing(place: Path) -> None:
    def never(journal: Journal) -> None:
        raise AssertionError

    assert unlock(LocalTransport(), str(place), someone(), deadline=soon(), replay=never) is None
    assert not place.exists()


# --- several users ------------------------------------------------------------

needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv"
)


class OtherUser:
    """This machine as user 65534."""

    device = "local"

    def run(
        self, argv: Sequence[str], *, deadline: Deadline, stdin: bytes | None = None
    ) -> CommandResult:
        become = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        return LocalTransport().run([*become, *argv], deadline=deadline, stdin=stdin)

    push = pull = stream = None  # type: ignore[assignment]


@pytest.fixture
def public() -> Iterable[Path]:
    """A place that another user can reach: no directory above it may be root's alone."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield Path(directory, ".edgebench")


@needs_root
def test_a_stale_lease_of_root_goes_to_another_user_and_back(public: Path) -> None:
    root = take(public)
    (entry,) = root.journal.record([CHANGE], deadline=soon())
    with pytest.raises(LeaseHeld):
        take(public, someone("nobody"), transport=OtherUser())
    expire(public)
    other = take(public, someone("nobody"), transport=OtherUser())
    assert numbers(public) == [1, 2]  # a sticky directory: root's may not be removed
    assert other.journal.pending(deadline=soon()) == (entry,)
    other.journal.settle([entry], deadline=soon())
    other.release(deadline=soon())
    # What was settled does not come back from the directory that could not be removed.
    again = take(public, someone("nobody"), transport=OtherUser())
    assert again.journal.pending(deadline=soon()) == ()
    again.release(deadline=soon())
    assert take(public).journal.pending(deadline=soon()) == ()
    assert numbers(public) == [4]


@needs_root
def test_a_place_that_may_not_be_written_says_what_to_do(public: Path) -> None:
    public.mkdir(mode=0o755)
    with pytest.raises(PermissionDenied, match="chmod 1777"):
        take(public, transport=OtherUser())


# --- faults -------------------------------------------------------------------


def test_an_answer_cut_off_anywhere_is_never_taken_for_an_answer(place: Path) -> None:
    ann = take(place)
    ann.journal.record([CHANGE, CHANGE], deadline=soon())
    raw: list[bytes] = []

    class Cut(Shell):
        def run(
            self, argv: Sequence[str], *, deadline: Deadline, stdin: bytes | None = None
        ) -> CommandResult:
            result = super().run(argv, deadline=deadline, stdin=stdin)
            raw.append(result.stdout)
            return CommandResult("local", result.argv, 0, result.stdout[: self.keep], b"", 0.0)

        keep = 10**6

    transport = Cut("sh")
    look(transport, str(place), deadline=soon())
    whole = len(raw[0])
    for keep in range(0, whole, 7):
        transport.keep = keep
        with pytest.raises(TransferError):
            look(transport, str(place), deadline=soon())


@pytest.mark.parametrize("fault", list(Fault))
def test_a_fault_at_any_call_leaves_a_lease_that_the_same_owner_gets_again(
    tmp_path: Path, fault: Fault
) -> None:
    def life(transport: Transport, place: Path, owner: Owner) -> None:
        lease = take(place, owner, transport=transport)
        entries = lease.journal.record([CHANGE], deadline=soon())
        expire(place)
        lease.renew(deadline=soon())
        lease.journal.settle(entries, deadline=soon())
        lease.release(deadline=soon())

    calls = FaultyTransport(LocalTransport(), {})
    life(calls, tmp_path / "whole", someone())
    assert calls.calls >= 7
    for number in range(1, calls.calls + 1):
        place, owner = tmp_path / str(number), someone()
        transport = FaultyTransport(LocalTransport(), {number: fault})
        with pytest.raises(DeviceError):
            life(transport, place, owner)
        try:
            lease = take(place, owner)
        except DeviceError as error:  # pragma: no cover
            pytest.fail(f"call {number}: {error}")
        pending = lease.journal.pending(deadline=soon())
        lease.journal.settle(pending, deadline=soon())
        lease.release(deadline=soon())
        assert look(LocalTransport(), str(place), deadline=soon()) is None
        assert len(numbers(place)) == 1


def test_a_take_over_that_breaks_before_its_journal_is_safe_loses_nothing(place: Path) -> None:
    (entry,) = take(place).journal.record([CHANGE], deadline=soon())
    for name in ("bob", "cid", "dan"):
        expire(place)
        # Call 1 takes the lease, call 2 opens its journal, call 3 tries to give it back.
        broken = FaultyTransport(LocalTransport(), {2: Fault.DROP, 3: Fault.DROP})
        with pytest.raises(TransientDeviceError):
            take(place, someone(name), transport=broken)
    expire(place)
    assert take(place, someone("eve")).journal.pending(deadline=soon()) == (entry,)
    assert len(numbers(place)) == 1


def test_what_goes_wrong_in_the_replay_gives_the_lease_back(place: Path) -> None:
    def broken(journal: Journal) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        take(place, replay=broken)
    take(place, someone("bob"))


# --- races --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shell", "state"),
    [
        ("sh", "none"),
        ("sh", "released"),
        ("sh", "restarted"),
        *(pytest.param(name.values[0], "expired", marks=name.marks) for name in SHELLS),
    ],
)
def test_of_all_who_race_for_a_lease_one_gets_it(place: Path, shell: str, state: str) -> None:
    transport = Shell(shell)
    for _ in range(4):
        shutil.rmtree(place, ignore_errors=True)
        if state != "none":
            old = take(place, transport=transport)
            {
                "released": lambda _, old=old: old.release(deadline=soon()),
                "expired": expire,
                "restarted": restart,
            }[state](place)
        gate = threading.Barrier(4)

        def try_it(name: str, gate: threading.Barrier = gate) -> Lease | None:
            gate.wait()
            try:
                return take(place, someone(name), transport=transport)
            except LeaseHeld:
                return None

        with ThreadPoolExecutor(4) as pool:
            leases = [lease for lease in pool.map(try_it, "abcd") if lease]
        assert len(leases) == 1
        leases[0].renew(deadline=soon())


def test_an_owner_that_comes_back_late_and_a_taker_are_never_both_right(place: Path) -> None:
    won = {"owner": 0, "taker": 0}
    for round_ in range(25):
        shutil.rmtree(place, ignore_errors=True)
        ann = take(place)
        expire(place)
        gate = threading.Barrier(2)

        def renew(ann: Lease = ann, gate: threading.Barrier = gate) -> bool:
            gate.wait()
            try:
                ann.renew(deadline=soon())
            except LeaseLost:
                return False
            return True

        def steal(gate: threading.Barrier = gate) -> bool:
            gate.wait()
            try:
                take(place, someone("bob"))
            except LeaseHeld:
                return False
            return True

        with ThreadPoolExecutor(2) as pool:
            jobs = [("owner", renew), ("taker", steal)]
            random.Random(round_).shuffle(jobs)
            results = {name: pool.submit(job) for name, job in jobs}
            right = [name for name, job in results.items() if job.result()]
        assert len(right) == 1
        won[right[0]] += 1


_CONTENDER = """
import sys, time
from pathlib import Path
from devices.deadline import Deadline
from devices.errors import LeaseHeld
from devices.lease import Lease, Owner
from devices.local import LocalTransport

place, name, goal = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
inside = place.parent / "inside"
had = 0
while had < goal:
    try:
        lease = Lease.acquire(
            LocalTransport(), str(place), Owner(name, "h", 1, "p"),
            deadline=Deadline(60), replay=lambda journal: None,
        )
    except LeaseHeld:
        continue
    inside.mkdir()  # fails where another is inside
    inside.rmdir()
    had += 1
    lease.release(deadline=Deadline(60))
"""


def test_processes_that_take_turns_are_never_inside_together(place: Path) -> None:
    place.parent.mkdir()
    command = [sys.executable, "-P", "-c", _CONTENDER, str(place)]
    root = Path(__file__).parent.parent
    env = {**os.environ, "PYTHONPATH": str(root)}
    contenders = [
        subprocess.Popen([*command, name, "8"], env=env, stderr=subprocess.PIPE) for name in "abc"
    ]
    for contender in contenders:
        _, stderr = contender.communicate(timeout=120)
        assert contender.returncode == 0, stderr.decode()
    assert numbers(place) == [24]


# What happens between two commands of a script, made certain: a program of the script is
# replaced by one that does it, once, beside its own work.

OTHER = """
    mkdir {place}/lease.{number}
    read -r uptime rest < /proc/uptime
    read -r boot < /proc/sys/kernel/random/boot_id
    echo "abc $boot 1 $((${{uptime%%.*}} + 99))" > {place}/lease.{number}/owner
    echo '{{"user": "bob", "host": "h", "pid": 1, "purpose": "p"}}' >> {place}/lease.{number}/owner
"""


@pytest.fixture
def meddle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    directory = tmp_path / "bin"
    directory.mkdir()
    path = os.environ["PATH"]

    def add(program: str, *, before: str = "", after: str = "") -> None:
        (directory / program).write_text(
            f"#!/bin/sh\nPATH='{path}'\nrm {directory}/{program}\n"
            f'{before}\n{program} "$@" || exit\n{after}\n'
        )
        (directory / program).chmod(0o755)
        monkeypatch.setenv("PATH", f"{directory}:{path}")

    return add


def test_a_taker_who_was_overtaken_by_several_gives_way(
    tmp_path: Path, meddle: Callable[..., None]
) -> None:
    place = tmp_path / "place"
    take(place).release(deadline=soon())
    meddle("mkdir", before=f"rm -r {place}/lease.1\n" + OTHER.format(place=place, number=5))
    with pytest.raises(LeaseHeld, match="bob@h"):
        take(place)
    assert numbers(place) == [5]


@pytest.mark.slow
def test_a_taker_who_was_too_slow_to_say_who_it_is_begins_again(
    tmp_path: Path, meddle: Callable[..., None]
) -> None:
    place = tmp_path / "place"
    take(place).release(deadline=soon())
    meddle("mkdir", after="sleep 3.1")
    lease = take(place)
    assert numbers(place) == [3]
    lease.renew(deadline=soon())


@pytest.mark.slow
@pytest.mark.parametrize("overtaken", [True, False])
def test_a_renewal_that_ends_after_the_lease_did_takes_it_anew(
    tmp_path: Path, meddle: Callable[..., None], overtaken: bool
) -> None:
    place = tmp_path / "place"
    lease = take(place, ttl_s=3)
    other = OTHER.format(place=place, number=2) if overtaken else ""
    meddle("mv", before=f"sleep 4.1\n{other}")
    if overtaken:
        with pytest.raises(LeaseLost, match="taken over by bob@h"):
            lease.renew(deadline=soon())
    else:
        lease.renew(deadline=soon(), ttl_s=99)
        assert numbers(place) == [2]
        lease.renew(deadline=soon())


# --- owner --------------------------------------------------------------------


def test_an_owner_is_this_process_and_its_nonce_is_its_own() -> None:
    one, two = Owner.here("run 1"), Owner.here("run 1")
    assert one.pid == os.getpid()
    assert one.nonce != two.nonce
    assert one.nonce not in repr(one)
    assert json.dumps([one.user, one.host])


# --- owners that are no more ---------------------------------------------------


def test_a_process_of_this_machine_that_is_no_more_is_outlived() -> None:
    here = Owner.here("run")
    gone = subprocess.Popen(["true"])
    gone.wait()
    dead = dataclasses.replace(here, pid=gone.pid)
    assert here.outlived(dead)
    assert not here.outlived(here)
    # A clone of this machine, or another container, has the same names and other processes.
    assert not here.outlived(dataclasses.replace(dead, processes="another boot"))
    nobody_knows = dataclasses.replace(dead, processes="")
    assert not dataclasses.replace(here, processes="").outlived(nobody_knows)
    assert not here.outlived(dataclasses.replace(dead, pid=10**30))
    assert not here.outlived(dataclasses.replace(dead, pid=-1))
