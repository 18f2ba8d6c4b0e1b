"""Every bad array gets one line that names the file, the fault and the remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import UserError
from bench.metrics import Labels
from bench.variants.arrays import check_fits, choose, classes_of, load_samples

SHAPE = (-1, 8, 8, 1)


def images(n: int = 4) -> np.ndarray[Any, Any]:
    return np.linspace(0, 1, n * 64, dtype=np.float32).reshape(n, 8, 8, 1)


def saved(tmp_path: Path, **arrays: Any) -> Path:
    path = tmp_path / "data.npz"
    np.savez(path, **arrays)
    return path


def refusal(path: Path, role: str = "calibration", classes: int | None = None) -> str:
    with pytest.raises(UserError) as caught:
        check_fits(load_samples(path, role), SHAPE, "float32", classes)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{role} {path.name}: ")
    return message


def broken(x: np.ndarray[Any, Any], value: float) -> np.ndarray[Any, Any]:
    x = x.copy()
    x[1, 2, 3, 0] = value
    return x


@pytest.mark.parametrize(
    ("x", "fault", "remedy"),
    [
        (images()[:0], "`x` is empty", "at least one sample"),
        (np.float32(1), "`x` is empty", "at least one sample"),
        (broken(images(), np.nan), "NaN or infinity in 1 of 4", "remove or mend"),
        (broken(images(), np.inf), "NaN or infinity in 1 of 4", "remove or mend"),
        (images().astype(np.float64), "`x` is float64", "astype('float32')"),
        (images().astype(np.uint8), "is uint8", "astype('float32')"),
        (images().astype(np.complex64), "dtype complex64", "plain numbers"),
        (np.array(["a", "b"]), "dtype <U1", "plain numbers"),
        (np.array([1, "a"], dtype=object), "Python objects", "plain array"),
        (images()[0], "shape (8, 8, 1)", "batch dimension is missing"),
        (images()[..., 0], "shape (4, 8, 8)", "channel dimension is missing"),
        (images().transpose(0, 3, 1, 2), "shape (4, 1, 8, 8)", "another order"),
        (images()[:, :7], "shape (4, 7, 8, 1)", "(N, 8, 8, 1)"),
    ],
)
def test_bad_calibration(tmp_path: Path, x: Any, fault: str, remedy: str) -> None:
    message = refusal(saved(tmp_path, x=x))
    assert fault in message
    assert remedy in message


@pytest.mark.parametrize(
    ("y", "fault", "remedy"),
    [
        (np.zeros(3, np.int64), "4 samples and `y` 3 labels", "one label per sample"),
        (np.zeros(4, np.float32), "dtype float32", "astype('int64')"),
        (np.zeros((4, 3), np.int64), "shape (4, 3)", "argmax"),
        (np.zeros((4, 1), np.int64), "shape (4, 1)", "ravel"),
        (np.array([0, 1, 2, -1]), "label -1", "start at 0"),
        (np.array([0, 1, 2, 3]), "label 3, the model has 3 outputs", "0 to 2"),
        (np.array([0, 1, 2, 2**40]), "class indices", "label"),
    ],
)
def test_bad_labels(tmp_path: Path, y: Any, fault: str, remedy: str) -> None:
    message = refusal(saved(tmp_path, x=images(), y=y), "holdout", classes=3)
    assert fault in message
    assert remedy in message


@pytest.mark.parametrize(
    ("labels", "y", "fault"),
    [
        ("maps", np.zeros(4, np.int64), "class maps have shape (N, height, width)"),
        ("maps", np.zeros((4, 8, 8), np.float32), "labels are whole numbers"),
        ("maps", np.zeros((3, 8, 8), np.uint8), "4 samples and `y` 3 labels"),
        ("maps", np.full((4, 8, 8), -1), "label -1"),
        ("maps", np.full((4, 8, 8), 5000), "class 5000; class maps hold 0 to 4095"),
        ("values", np.full(4, np.nan), "`y` has NaN"),
        ("values", np.zeros((5, 2)), "4 samples and `y` 5 labels"),
        ("values", np.array(["a"] * 4), "save plain numbers"),
        ("values", np.float32(1), "`y` 0 labels"),
        ("any", np.zeros(3), "4 samples and `y` 3 labels"),
        ("any", np.array([0, "a", None, 1], dtype=object), "Python objects"),
    ],
)
def test_labels_of_other_metrics_are_checked(
    tmp_path: Path, labels: Labels, y: Any, fault: str
) -> None:
    with pytest.raises(UserError) as caught:
        load_samples(saved(tmp_path, x=images(), y=y), "holdout", labels)
    assert fault in str(caught.value)
    assert "\n" not in str(caught.value)


def test_labels_that_other_metrics_take(tmp_path: Path) -> None:
    kinds: list[tuple[Labels, Any, tuple[int, ...] | None]] = [
        ("maps", np.full((4, 8, 8, 1), 255, np.uint8), (4, 8, 8)),
        ("values", np.zeros((4, 2, 3), np.float64), (4, 2, 3)),
        ("any", np.array(["a", "b", "c", "d"]), (4,)),
        ("none", np.zeros(99), None),
    ]
    for labels, y, shape in kinds:
        samples = load_samples(saved(tmp_path, x=images(), y=y), "holdout", labels)
        assert (None if samples.y is None else samples.y.shape) == shape
    without = saved(tmp_path, x=images())
    assert load_samples(without, "holdout", "any").y is None
    assert load_samples(without, "holdout", "none").y is None


def test_files_that_are_no_npz(tmp_path: Path) -> None:
    missing = tmp_path / "none.npz"
    assert "no such file" in refusal(missing)
    text = tmp_path / "text.npz"
    text.write_text("x = [1, 2, 3]")
    assert "not a readable .npz (no such archive)" in refusal(text)
    (tmp_path / "folder.npz").mkdir()
    assert "not a readable .npz (Is a directory)" in refusal(tmp_path / "folder.npz")
    empty = tmp_path / "empty.npz"
    empty.write_bytes(b"")
    assert "not a readable .npz" in refusal(empty)
    cut = saved(tmp_path, x=images())
    cut.write_bytes(cut.read_bytes()[:-30])
    assert "not a readable .npz" in refusal(cut)
    npy = tmp_path / "one.npz"
    with npy.open("wb") as file:
        np.save(file, images())
    assert "a .npy" in refusal(npy)


def test_damage_inside_the_npz_is_found(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez_compressed(path, x=images())
    data = bytearray(path.read_bytes())
    data[100:140] = bytes(40)
    path.write_bytes(data)
    assert "cannot be read" in refusal(path)


def test_missing_array_names_what_is_there(tmp_path: Path) -> None:
    assert "no array `x` (it holds `images`)" in refusal(saved(tmp_path, images=images()))
    assert "no array `y`" in refusal(saved(tmp_path, x=images()), "holdout")


def test_an_object_array_is_never_unpickled(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    refusal(saved(tmp_path, x=np.array([Trap()], dtype=object)))
    assert not (tmp_path / "sprung").exists()


def test_hash_is_of_the_data_and_not_of_the_file(tmp_path: Path) -> None:
    y = np.arange(4)
    first = load_samples(saved(tmp_path, x=images(), y=y), "holdout")
    other = tmp_path / "other.npz"
    np.savez_compressed(other, y=y, x=images())
    assert load_samples(other, "holdout").sha256 == first.sha256
    np.savez(other, x=images(), y=y[::-1].copy())
    assert load_samples(other, "holdout").sha256 != first.sha256
    np.savez(other, x=images().reshape(4, 64), y=y)
    assert load_samples(other, "holdout").sha256 != first.sha256


def test_good_arrays_pass(tmp_path: Path) -> None:
    samples = load_samples(saved(tmp_path, x=images(), y=np.array([0, 1, 2, 2])), "holdout")
    check_fits(samples, SHAPE, "float32", 3)
    check_fits(samples, (1, -1, -1, 1), "float32", 3)
    assert samples.y is not None
    assert samples.y.dtype == np.int64


@given(st.integers(1, 2000), st.integers(1, 600), st.integers(0, 2**63 - 1))
def test_choice_is_seeded_distinct_and_bounded(count: int, at_most: int, seed: int) -> None:
    chosen = choose(count, at_most, seed)
    assert len(chosen) == min(count, at_most)
    assert len(set(chosen.tolist())) == len(chosen)
    assert chosen.min() >= 0
    assert chosen.max() < count
    assert np.array_equal(chosen, choose(count, at_most, seed))


def test_choice_depends_on_the_seed() -> None:
    assert not np.array_equal(choose(2000, 500, 0), choose(2000, 500, 1))


@pytest.mark.parametrize(
    ("shape", "classes"),
    [((1, 10), 10), ((-1, 10), 10), ((1, 1, 1, 10), 10), ((1, 1), None), ((10,), None)],
)
def test_classes_of_an_output(shape: tuple[int, ...], classes: int | None) -> None:
    assert classes_of(shape) == classes
