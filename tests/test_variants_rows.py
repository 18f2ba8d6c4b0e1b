"""Reading some rows at a time gives what reading everything gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bench.variants.rows import count_rows, read_rows


@settings(max_examples=30, deadline=None)
@given(
    x=arrays.arrays(
        st.sampled_from([np.float32, np.uint8, np.int64, np.bool_]),
        arrays.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=5),
    ),
    at_once=st.integers(1, 7),
    compressed=st.booleans(),
    columns_first=st.booleans(),
)
def test_blocks_are_the_array(
    tmp_path_factory: pytest.TempPathFactory,
    x: np.ndarray[Any, Any],
    at_once: int,
    compressed: bool,
    columns_first: bool,
) -> None:
    path = tmp_path_factory.mktemp("rows") / "x.npz"
    given_x = np.asfortranarray(x) if columns_first else x
    (np.savez_compressed if compressed else np.savez)(path, y=np.arange(3), x=given_x)
    blocks = list(read_rows(path, "x", at_once))
    assert all(len(block) == at_once for block in blocks[:-1])
    found = np.concatenate(blocks)
    assert found.dtype == x.dtype
    np.testing.assert_array_equal(found, x)
    assert count_rows(path, "x") == len(x)


def test_what_is_not_there_has_no_rows(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.zeros(3))
    assert count_rows(tmp_path / "x.npz", "y") is None
