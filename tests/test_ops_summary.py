"""What one profile says: sums, shares, orders, and what must be said beside them."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ops_profiles import in_order, plain, profile, step, summary

from bench.ops.model import OpKind, OpProfile, OpRow, OpTable, ProfileSource


def test_sums_and_shares() -> None:
    rows = (plain(0, "ADD", 10.0), step("Add (ND)", 30.0), step("Add (ND)", 60.0))
    found = summary(profile(*rows, invoke_us=200.0))
    assert (found.total_us, found.plain_us, found.delegate_us) == (100.0, 10.0, 90.0)
    assert found.covered == 0.5
    assert [row.row.avg_us for row in found.top] == [60.0, 30.0, 10.0]
    totals = [(t.type, t.rows, t.calls, t.us, t.share) for t in found.types]
    assert totals == [("Add (ND)", 2, 2, 90.0, 0.9), ("ADD", 1, 1, 10.0, 0.1)]


def test_time_inside_of_something_is_counted_once() -> None:
    main = OpTable((plain(0, "WHILE", 100.0),))
    body = OpTable((plain(0, "ADD", 80.0),), subgraph=1)
    inside = OpTable((step("Add (ND)", 50.0),), inside_delegate=True)
    found = summary(OpProfile(ProfileSource.STDOUT, (main, body, inside)))
    assert found.total_us == 100.0
    assert [row.row.type for row in found.rows] == ["WHILE"]
    assert "called subgraphs" in found.notes[-1]


def test_a_profile_of_another_signature_has_its_own_main_subgraph() -> None:
    tables = (OpTable((plain(0, "ADD", 5.0),), subgraph=2), OpTable((plain(0, "MUL", 1.0),), 3))
    assert summary(OpProfile(ProfileSource.STDOUT, tables)).total_us == 5.0


def test_preparation_is_no_op() -> None:
    phase = step("AllocateTensors", 999.0, kind=OpKind.PHASE)
    assert summary(profile(plain(0, "ADD", 1.0), phase)).total_us == 1.0


def test_what_is_not_known_is_said_and_not_zero() -> None:
    rows = (plain(0, "ADD", None), step("Add (ND)", 2.0, times_called=3), plain(1, "MUL", 0.0))
    found = summary(profile(*rows))
    assert found.total_us == 2.0
    assert found.covered is None
    assert len(found.top) == 2
    assert "1 row of several calls" in found.notes[0]
    assert "1 row without a time" in found.notes[1]


@pytest.mark.parametrize("rows", [(), (plain(0, "ADD", 0.0),), (plain(0, "ADD", None),)])
def test_without_times_there_are_no_shares(rows: tuple[OpRow, ...]) -> None:
    found = summary(profile(*rows))
    assert found.total_us == 0
    assert found.share(1.0) is None
    assert all(total.share is None for total in found.types)


def test_layers_only_where_the_order_is_told() -> None:
    rows = (plain(0, "ADD", 1.0), plain(1, "MUL", 2.0))
    assert summary(profile(*rows, ordered=False)).layers is None
    backwards = OpTable(tuple(reversed(in_order(rows))))
    layers = summary(OpProfile(ProfileSource.STDOUT, (backwards,))).layers
    assert layers is not None
    assert [row.row.type for row in layers] == ["ADD", "MUL"]


def test_a_clock_of_whole_microseconds_is_named() -> None:
    given_ = profile(plain(0, "ADD", 0.0))
    assert summary(given_).resolution_us == 0.0
    coarse = dataclasses.replace(given_, source=ProfileSource.C_API)
    assert summary(coarse).resolution_us == 1.0


def test_shares_of_what_a_clock_cut_off_mean_nothing() -> None:
    """Three ops below the tick of the clock, and one at it, are no 100 % of anything."""
    rows = (plain(0, "ATAN2", 1.0), *(step("Add (ND)", 0.0) for _ in range(3)))
    found = summary(profile(*rows, source=ProfileSource.C_API))
    assert (found.cut_off_us, found.too_coarse) == (4.0, True)
    assert found.share(1.0) is None
    slow = summary(profile(plain(0, "ADD", 500.0), source=ProfileSource.C_API))
    assert (slow.cut_off_us, slow.too_coarse) == (1.0, False)
    assert slow.share(500.0) == 1.0


ROWS = st.builds(
    lambda is_plain, op, us: plain(0, op, us) if is_plain else step(op, us),
    st.booleans(),
    st.sampled_from(["ADD", "CONV_2D", "Add (ND)", "x"]),
    st.none() | st.floats(0, 1e9),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(ROWS, max_size=20))
def test_the_parts_are_the_whole(rows: list[OpRow]) -> None:
    found = summary(profile(*rows))
    assert sum(total.us or 0 for total in found.types) == pytest.approx(found.total_us)
    assert found.plain_us + found.delegate_us == pytest.approx(found.total_us)
    assert sum(total.rows for total in found.types) == len(rows)
    shares = [found.share(row.row.avg_us) or 0.0 for row in found.rows]
    assert sum(shares) == pytest.approx(1.0 if found.total_us > 0 else 0.0)


def test_a_type_without_any_time_has_none() -> None:
    found = summary(profile(plain(0, "ADD", 1.0), plain(1, "MUL", None)))
    assert [(total.type, total.us, total.share) for total in found.types] == [
        ("ADD", 1.0, 1.0),
        ("MUL", None, None),
    ]
