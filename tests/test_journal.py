"""devices.journal: what is read back from whatever a crash left there."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.deadline import Deadline
from devices.errors import CommandFailed
from devices.journal import Change, Entry, parse_journal
from devices.lease import Lease, Owner
from devices.local import LocalTransport

texts = st.text(max_size=20)
entries = st.builds(Entry, texts, texts, texts, texts, texts, texts)
several = st.lists(entries, max_size=6, unique_by=lambda entry: entry.id)


def settled(*found: Entry) -> str:
    return json.dumps({"settled": [entry.id for entry in found]})


def written(lines: list[str]) -> bytes:
    return "".join(f"\n{line}\n" for line in lines).encode()


@given(several, st.data())
def test_pending_is_what_was_written_and_not_settled(
    found: list[Entry], data: st.DataObject
) -> None:
    done = data.draw(st.sets(st.sampled_from(found))) if found else set()
    content = written([*(entry.line for entry in found), settled(*done)])
    assert parse_journal(content) == tuple(entry for entry in found if entry not in done)


@given(several, st.data())
def test_a_line_that_was_cut_off_spoils_no_other(found: list[Entry], data: st.DataObject) -> None:
    content = written([entry.line for entry in found])
    keep = data.draw(st.integers(0, len(content)))
    cut = parse_journal(content[:keep])
    assert cut == tuple(found[: len(cut)])
    assert len(cut) >= content[:keep].count(b"}\n")
    late = Entry("late id" * 9, "c", "t", "p", "w", "b")
    assert parse_journal(content[:keep] + written([late.line])) == (*cut, late)


@given(st.binary(max_size=200))
def test_any_bytes_can_be_read(content: bytes) -> None:
    parse_journal(content)


def test_an_entry_with_more_or_less_than_its_fields_is_none() -> None:
    whole = json.loads(Entry("i", "c", "t", "p", "w", "b").line)
    less = {key: value for key, value in whole.items() if key != "previous"}
    for value in (less, {**whole, "command": "rm"}, {**whole, "previous": 1}, [whole], None):
        assert parse_journal(json.dumps(value).encode()) == ()


# --- on a device --------------------------------------------------------------


@pytest.fixture
def lease(tmp_path: Path) -> Lease:
    return Lease.acquire(
        LocalTransport(),
        str(tmp_path / "place"),
        Owner("ann", "lab1", 1, "run"),
        deadline=Deadline(60),
        replay=lambda journal: None,
    )


def test_values_come_back_exactly(lease: Lease) -> None:
    wild = ["", " ", "a b", "'\"$(x)`\\", "%s %d\\n", "null", "höhe\u2028\x1b", "x" * 3000, "\0"]
    changes = [Change("control", f"target {i}", value, value) for i, value in enumerate(wild)]
    found = lease.journal.record(changes, deadline=Deadline(60))
    assert [entry.previous for entry in found] == wild
    assert lease.journal.pending(deadline=Deadline(60)) == found
    lease.journal.settle(found[:-1], deadline=Deadline(60))
    lease.journal.settle([], deadline=Deadline(60))
    assert lease.journal.pending(deadline=Deadline(60)) == found[-1:]


def test_a_crash_in_the_middle_of_a_line_spoils_no_later_one(lease: Lease, tmp_path: Path) -> None:
    file = tmp_path / "place/lease.1/journal"
    (first,) = lease.journal.record([Change("c", "t", "p", "w")], deadline=Deadline(60))
    with file.open("a") as journal:
        journal.write('\n{"id": "cut o')
    (second,) = lease.journal.record([Change("c", "u", "p", "w")], deadline=Deadline(60))
    assert lease.journal.pending(deadline=Deadline(60)) == (first, second)


def test_a_journal_that_a_disk_did_not_keep_stops_the_change(
    lease: Lease, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    sync = tmp_path / "bin/sync"
    sync.write_text('#!/bin/sh\nfor file; do [ -d "$file" ] || echo zeros > "$file"; done\n')
    sync.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    with pytest.raises(CommandFailed, match="journal was not written"):
        lease.journal.record([Change("c", "t", "p", "w")], deadline=Deadline(60))


def test_a_journal_that_cannot_be_written_stops_the_change(lease: Lease, tmp_path: Path) -> None:
    file = tmp_path / "place/lease.1/journal"
    file.unlink()
    file.symlink_to("/dev/full")
    with pytest.raises(CommandFailed):
        lease.journal.record([Change("c", "t", "p", "w")], deadline=Deadline(60))
