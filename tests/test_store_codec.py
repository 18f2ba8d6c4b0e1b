"""Arrays, JSON and text go in and come back the same, or are refused."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_records import integers, json_values, texts

from bench.errors import StoreError
from bench.store.codec import escape_text, json_text, pack_array, unescape_text, unpack_array


@given(st.lists(integers, max_size=200))
def test_samples_come_back_whole(values: list[int]) -> None:
    array = np.array(values, dtype=np.int64)
    back = unpack_array(pack_array(array, "<i8"), "<i8")
    assert back.dtype == np.int64
    assert back.tolist() == values


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (np.array([3, -1, 2**31 - 1], dtype=np.int32), "<i4"),
        (np.array([True, False, True]), "|b1"),
        (np.arange(10, dtype=">i8"), "<i8"),
        (np.arange(20, dtype=np.int64)[::-2], "<i8"),
        (np.array([7], dtype=np.uint8), "<i8"),
    ],
)
def test_other_types_and_layouts_come_back(values: np.ndarray[Any, Any], dtype: str) -> None:
    back = unpack_array(pack_array(values, dtype), dtype)
    assert back.tolist() == values.tolist()
    assert back.dtype == np.dtype(dtype).newbyteorder("=")


def test_realistic_samples_are_small() -> None:
    rng = np.random.default_rng(0)
    samples = (1.4e6 * np.exp(np.abs(rng.normal(0, 0.02, 2000)))).astype(np.int64)
    assert len(pack_array(samples, "<i8")) < 3 * len(samples)


@pytest.mark.parametrize(
    "values", [np.array([1.5]), np.zeros((2, 2), dtype=np.int64), np.array([2**63], dtype="u8")]
)
def test_what_would_be_bent_is_refused(values: np.ndarray[Any, Any]) -> None:
    with pytest.raises(StoreError, match="cannot store an array"):
        pack_array(values, "<i8")


@given(st.lists(integers, min_size=1, max_size=50), st.data())
def test_damage_is_seen(values: list[int], data: st.DataObject) -> None:
    blob = pack_array(np.array(values, dtype=np.int64), "<i8")
    cut = data.draw(st.integers(0, len(blob) - 1))
    with pytest.raises(StoreError, match="stored array"):
        unpack_array(blob[:cut], "<i8")


@given(st.data())
def test_a_changed_byte_never_gives_other_numbers(data: st.DataObject) -> None:
    values = np.arange(100, dtype=np.int64) * 1_000_003
    blob = bytearray(pack_array(values, "<i8"))
    place = data.draw(st.integers(0, len(blob) - 1))
    blob[place] ^= data.draw(st.integers(1, 255))
    try:
        back = unpack_array(bytes(blob), "<i8")
    except StoreError:
        return
    assert back.tolist() == values.tolist()


def test_another_type_or_a_newer_encoding_is_refused() -> None:
    blob = pack_array(np.array([1, 2], dtype=np.int32), "<i4")
    with pytest.raises(StoreError, match="newer edgebench"):
        unpack_array(blob, "<i8")
    with pytest.raises(StoreError, match="newer edgebench"):
        unpack_array(b"\x02" + blob[1:], "<i4")


@given(texts)
def test_text_comes_back_and_is_storable_anywhere(text: str) -> None:
    stored = escape_text(text)
    assert unescape_text(stored) == text
    assert "\x00" not in stored
    stored.encode("utf-8")


@given(texts, texts)
def test_different_texts_stay_different(one: str, other: str) -> None:
    assert (escape_text(one) == escape_text(other)) == (one == other)


@given(json_values)
def test_json_comes_back(value: object) -> None:
    text = json_text(value, "x")
    assert text.isascii()
    assert "\x00" not in text
    assert json.loads(text) == value


def test_json_takes_tuples_mappings_and_numpy_numbers() -> None:
    value = MappingProxyType({"a": (np.int64(1), np.float32(0.5)), "b": np.bool_(True)})
    assert json_text(value, "x") == '{"a":[1,0.5],"b":true}'


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"a": [0, {"b": math.nan}]}, "x.a[1].b is nan"),
        ({"a": -math.inf}, "x.a is -inf"),
        ({"a": np.float32("nan")}, "x.a is nan"),
        ({1: 2}, "x has the key 1"),
        ({"a": b""}, "x.a is of type bytes"),
        ({"a": {1}}, "x.a is of type set"),
        ({"a": np.zeros(2)}, "x.a is of type ndarray"),
    ],
)
def test_what_json_would_bend_is_refused_by_place(value: Mapping[Any, Any], place: str) -> None:
    with pytest.raises(StoreError) as caught:
        json_text(value, "x")
    assert str(caught.value).startswith(place)
