"""What a plan names as samples becomes an .npz, or one line that says why not."""

from __future__ import annotations

import itertools
import json
import os
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from models import GraphBuilder, cast_model, write_model
from PIL import Image

from bench.config import ImagesConfig, ModelConfig
from bench.errors import UserError
from bench.events import Event, Note, StageAdvanced
from bench.planfile import parse_plan
from bench.samples import materialise
from bench.samples.collect import collect
from bench.samples.images import list_images, read_images, scale
from bench.samples.input_size import input_shape
from bench.samples.spool import Spool, write_npz

Array = np.ndarray[Any, Any]

DATA = """
import os, sys
import numpy as np
X = np.arange(24, dtype=np.float32).reshape(3, 2, 4)
Y = np.array([2, 0, 1])
print("said while imported")
def plain(): return X
def pair(): return X, Y
def listed(): return [list(map(list, x)) for x in X.astype("float32")]
def rows(): return list(X)
def generated():
    for x, y in zip(X, Y): yield x, int(y)
def reads_a_file(): return np.load("beside.npy")
def wrapped():
    class Tensor:
        def __array__(self, dtype=None, copy=None): return X
    return Tensor()
def raises(): raise KeyError("wh\\x1b[31mat")
def raises_late():
    yield X[0]
    raise ValueError("at the second\\nand more")
def leaves(): sys.exit(3)
def dies(): os.abort()
def takes(one): return X
constant = 7
"""


class Heard(list[Event]):
    def __call__(self, event: Event) -> None:
        self.append(event)

    @property
    def notes(self) -> list[str]:
        return [event.message for event in self if isinstance(event, Note)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "data.py").write_text(DATA)
    np.save(tmp_path / "beside.npy", np.ones((2, 2), np.float32))
    return tmp_path


def make(root: Path, role: str, named: str, heard: Heard | None = None, **more: Any) -> Path:
    model = ModelConfig(name="m", **{"source": "m.keras", role: named, **more})
    found = materialise(
        model, root=root, out=root / "out", roles=[role], emit=Heard() if heard is None else heard
    )
    assert found.model_copy(update={role: named}) == model
    return Path(getattr(found, role))


def read(path: Path) -> dict[str, Array]:
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


X = np.arange(24, dtype=np.float32).reshape(3, 2, 4)


def test_an_npz_stays_where_it_is(root: Path) -> None:
    assert make(root, "calibration", "sub/../c.npz") == root / "c.npz"
    assert make(root, "train", str(root / "t.npz")) == root / "t.npz"
    assert not (root / "out").exists()


def test_only_what_was_asked_for_and_is_there(root: Path) -> None:
    model = ModelConfig(name="m", source="m.keras", calibration="data:dies", holdout="h.npz")
    found = materialise(
        model, root=root, out=root / "out", roles=["holdout", "train"], emit=Heard()
    )
    assert (found.calibration, found.train) == ("data:dies", None)
    assert found.holdout == str(root / "h.npz")


@pytest.mark.parametrize("name", ["plain", "pair", "listed", "wrapped", "generated"])
def test_forms_of_inputs(root: Path, name: str) -> None:
    path = make(root, "calibration", f"data:{name}")
    arrays = read(path)
    assert list(arrays) == ["x"]
    np.testing.assert_array_equal(arrays["x"], X)
    assert arrays["x"].dtype == np.float32
    # The same content under the same name, whatever form it came in.
    assert path.name == "calibration-" + path.stem[-12:] + ".npz"
    assert path == make(root, "calibration", "data:plain")


@pytest.mark.parametrize("name", ["pair", "generated"])
def test_forms_with_labels(root: Path, name: str) -> None:
    arrays = read(make(root, "holdout", f"data:{name}"))
    np.testing.assert_array_equal(arrays["x"], X)
    np.testing.assert_array_equal(arrays["y"], [2, 0, 1])


def test_user_code_runs_where_the_plan_lies_and_its_words_go_to_the_log(root: Path) -> None:
    assert read(make(root, "calibration", "data:reads_a_file"))["x"].shape == (2, 2)
    assert (root / "out/samples/calibration.log").read_text() == "said while imported\n"
    left = sorted(path.suffix for path in (root / "out/samples").iterdir())
    assert left == [".log", ".npz"]


def test_other_content_is_another_file_and_the_same_content_the_same_bytes(root: Path) -> None:
    first = make(root, "calibration", "data:plain")
    content = first.read_bytes()
    first.write_bytes(b"damaged")
    assert make(root, "calibration", "data:plain") == first
    assert first.read_bytes() == content
    assert make(root, "calibration", "data:reads_a_file") != first


@pytest.mark.parametrize(
    ("returned", "says"),
    [
        (iter(()), "returned no sample at all"),
        (np.zeros((0, 4), np.float32), "returned no sample at all"),
        (None, "returned None"),
        ([X[0], None], "`x` is None"),
        (X.astype(np.float64), "`x` is float64, models take float32; return x.astype('float32')"),
        ([[1.0, 2.0]], "`x` is float64"),
        ([X[0], X[1][:1]], "`x` of sample 1 has shape (1, 4), the first has (2, 4)"),
        (([X[0], X[1][:1]], [0, 1]), "`x` has samples of different shapes"),
        ([X[0], X[1].astype(np.int32)], "`x` of sample 1 is int32, the first is float32"),
        ("x.npz", "returned an object of type str"),
        (np.array(["a", "b"]), "`x` is an array of dtype <U1"),
        (np.array([object()]), "`x` is an array of Python objects"),
        ((X, [0], [0]), "returned a tuple of 3"),
        ([(X[0], 1, 2)], "yields tuples of 3"),
        (np.float32(3), "`x` is a single number"),
        ({"x": X}, "of type dict"),
        (7, "of type int"),
        ((X, np.arange(2)), "returned 3 samples and 2 labels"),
        ([(X[0], 1), X[1]], "returned 2 samples and 1 labels"),
    ],
)
def test_what_is_no_set_of_samples(tmp_path: Path, returned: Any, says: str) -> None:
    x, y = (Spool(tmp_path / name, name, "train d:f") for name in "xy")
    with pytest.raises(UserError) as caught:
        collect(returned, "train d:f", x, y)
    assert str(caught.value).startswith("train d:f: ")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("data:raises", "raised KeyError: 'wh\\x1b[31mat'"),
        ("data:raises_late", "raised ValueError: at the second"),
        ("data:leaves", "raised SystemExit: 3"),
        ("data:dies", "was ended by SIGABRT"),
        ("data:takes", "missing 1 required positional argument"),
        ("data:constant", "module 'data' has no function 'constant'"),
        ("data:absent", "module 'data' has no function 'absent'"),
        ("nowhere.at:all", "there is no module 'nowhere'"),
        ("needs:it", "raised ModuleNotFoundError: No module named 'absent_package'"),
        ("broken:it", "raised SyntaxError"),
    ],
)
def test_one_line_for_whatever_user_code_does_wrong(root: Path, spec: str, says: str) -> None:
    (root / "needs.py").write_text("import absent_package")
    (root / "broken.py").write_text("def it(:")
    with pytest.raises(UserError) as caught:
        make(root, "calibration", spec)
    message = str(caught.value)
    assert message.startswith(f"calibration {spec}: ")
    assert says in message
    assert "\n" not in message
    assert not list((root / "out").rglob("*.npz"))
    if "raised" in says:
        log = root / "out/samples/calibration.log"
        assert f"{log} has the traceback" in message
        assert "Traceback" in log.read_text()


def test_labels_are_asked_for_where_they_are_needed(root: Path) -> None:
    for role in ("holdout", "train"):
        with pytest.raises(UserError, match="returned no labels"):
            make(root, role, "data:plain")
    assert list(read(make(root, "holdout", "data:plain", metric={"name": "cosine"}))) == ["x"]


def test_a_module_of_ours_does_not_take_the_place_of_the_users(root: Path) -> None:
    (root / "reports.py").write_text("import numpy as np\ndef f(): return np.ones((1, 2), 'f4')")
    assert read(make(root, "calibration", "reports:f"))["x"].shape == (1, 2)


def test_a_generator_without_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.samples.spool.MAX_SAMPLES", 10)
    x, y = (Spool(tmp_path / name, name, "calibration d:f") for name in "xy")
    endless = itertools.repeat(np.zeros(2, np.float32))
    with pytest.raises(UserError, match=r"`x` has more than 10 samples.*let a generator end"):
        collect(endless, "calibration d:f", x, y)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=6).filter(lambda sizes: sum(sizes) > 0),
    st.sampled_from(["<f4", ">f4", "<i8", "|u1", "|b1", "<f2"]),
    st.lists(st.integers(0, 4), max_size=3),
)
def test_a_spool_gives_back_what_was_appended(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], dtype: str, item: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    rng = np.random.default_rng(0)
    parts = [rng.integers(0, 2, (size, *item)).astype(dtype) for size in sizes]
    spool = Spool(folder / "raw", "x", "here")
    for part in parts:
        spool.append(part)
    digest = write_npz(folder / "a.npz", {"x": spool}, "images")
    found = read(folder / "a.npz")["x"]
    np.testing.assert_array_equal(found, np.concatenate(parts))
    assert found.dtype == np.dtype(dtype)
    assert write_npz(folder / "b.npz", {"x": spool}, "images") == digest
    assert (folder / "a.npz").read_bytes() == (folder / "b.npz").read_bytes()


# Directories of images

RGB = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
HALF = {"mean": 127.5, "std": 127.5}


def image_model(root: Path, channels: int = 3) -> str:
    g = GraphBuilder()
    x = g.tensor((1, 8, 8, channels), name="input")
    write_model(root / "m.tflite", g.build((x,), (g.conv(x, 8, channels, 4),)))
    return "m.tflite"


def images(root: Path, heard: Heard | None = None, order: str = "rgb") -> Array:
    """The inputs made of the directory "photos", scaled to -1..1."""
    source = image_model(root, 1 if order == "gray" else 3)
    config = {**HALF, "channels": order}
    return read(make(root, "calibration", "photos", heard, source=source, images=config))["x"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    return folder


def test_pixels_are_scaled_and_channels_ordered(tmp_path: Path, photos: Path) -> None:
    Image.fromarray(RGB).save(photos / "a.png")
    expected = (RGB.astype(np.float32) - 127.5) / 127.5
    np.testing.assert_allclose(images(tmp_path), expected[None], atol=1e-6)
    np.testing.assert_allclose(images(tmp_path, order="bgr"), expected[None, ..., ::-1], atol=1e-6)
    mean, std = (10.0, 20.0, 30.0), (1.0, 2.0, 4.0)
    bgr = ImagesConfig(mean=mean, std=std, channels="bgr")
    np.testing.assert_allclose(
        scale(RGB[..., ::-1], bgr), (RGB[..., ::-1].astype(np.float32) - mean) / std, rtol=1e-6
    )


def test_every_kind_of_image(tmp_path: Path, photos: Path) -> None:
    white = Image.fromarray(np.full((16, 16, 3), 255, np.uint8))
    kinds = "RGB.png RGBA.png L.png LA.png P.gif 1.bmp RGB.tiff CMYK.tiff RGB.ppm RGB.JPG RGB.webp"
    for kind in kinds.split():
        white.convert(kind.partition(".")[0]).save(photos / kind)
    x = images(tmp_path)
    assert x.shape == (11, 8, 8, 3)
    np.testing.assert_allclose(x, 1.0, atol=0.02)


def test_16_bits_are_scaled_not_clipped(tmp_path: Path, photos: Path) -> None:
    values = np.full((8, 8), 0x4040, np.uint16)
    for suffix in (".png", ".tiff", ".pgm"):
        Image.fromarray(values).save(photos / f"a{suffix}")
    x = images(tmp_path)
    assert len(x) == 3
    np.testing.assert_allclose(x, (0x40 - 127.5) / 127.5, atol=1e-5)


def test_rotation_of_the_camera_is_applied(tmp_path: Path, photos: Path) -> None:
    dark_left = np.zeros((8, 8, 3), np.uint8)
    dark_left[:, 4:] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise: left becomes top
    Image.fromarray(dark_left).save(photos / "a.png", exif=exif)
    (x,) = images(tmp_path)
    assert x[0].max() == -1
    assert x[7].min() == 1


def test_shrinking_averages(tmp_path: Path, photos: Path) -> None:
    checkered = np.indices((64, 64)).sum(axis=0) % 2 * 255
    Image.fromarray(checkered.astype(np.uint8)).save(photos / "a.png")
    np.testing.assert_allclose(images(tmp_path), 0, atol=0.02)


def test_gray_model(tmp_path: Path, photos: Path) -> None:
    Image.fromarray(RGB).save(photos / "a.png")
    assert images(tmp_path, order="gray").shape == (1, 8, 8, 1)


def test_order_below_folders_and_other_files(tmp_path: Path, photos: Path) -> None:
    for index, name in enumerate(("b/2.png", "a/9.png", "c.png")):
        (photos / name).parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((8, 8), index * 100, np.uint8)).save(photos / name)
    (photos / "labels.csv").write_text("a,b")
    heard = Heard()
    levels = np.round(images(tmp_path, heard)[:, 0, 0, 0] * 127.5 + 127.5)
    assert levels.tolist() == [100, 0, 200]
    assert heard.notes == ["calibration photos: 1 other file ignored"]
    assert max(e.done for e in heard if isinstance(e, StageAdvanced)) == 3


def test_more_images_than_needed_are_chosen_by_seed(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.samples.files.MAX_CALIBRATION_SAMPLES", 4)
    for index in range(12):
        Image.fromarray(np.full((8, 8), index, np.uint8)).save(photos / f"{index:02}.png")
    heard = Heard()
    chosen = images(tmp_path, heard)
    assert len(chosen) == 4
    assert heard.notes == ["calibration photos: 4 of 12 images chosen by seed"]
    np.testing.assert_array_equal(chosen, images(tmp_path))


def png(width: int, height: int, data: bytes) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            chunk(b"IDAT", zlib.compress(data)),
            chunk(b"IEND", b""),
        ]
    )


def decoded(photos: Path) -> list[Array]:
    """As the worker does it, in this process."""
    where = f"calibration {photos.name}"
    names = list_images(photos, where, at_most=9, seed=0).names
    return list(read_images(photos, names, ImagesConfig(mean=0.0, std=1.0), (8, 8), where))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("bomb.png", png(100_000, 100_000, b"\0" * 9), "bomb.png claims more than 100 million"),
        ("big.png", png(12_000, 12_000, b"\0" * 9), "big.png claims 12000 x 12000 pixels"),
        ("cut.png", png(64, 64, b"\0" * 9), "cut.png cannot be read"),
        ("text.jpg", b"no image", "text.jpg is no image of a known format"),
        ("empty.jpg", b"", "empty.jpg is no image of a known format"),
        ("page.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "known format"),
        ("notes.txt", b"", "no image in it (other files: 1)"),
    ],
    ids=["bomb", "big", "cut", "text", "empty", "postscript", "none"],
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_files_that_are_no_images(photos: Path, name: str, content: bytes, says: str) -> None:
    (photos / name).write_bytes(content)
    with pytest.raises(UserError) as caught:
        decoded(photos)
    assert says in str(caught.value)
    assert str(caught.value).startswith("calibration photos: ")
    assert "\n" not in str(caught.value)


def test_a_pipe_named_like_an_image_does_not_hang(photos: Path) -> None:
    os.mkfifo(photos / "a.png")
    with pytest.raises(UserError, match=r"a\.png is no regular file"):
        decoded(photos)


def test_an_empty_directory(photos: Path) -> None:
    with pytest.raises(UserError, match="no image in it"):
        decoded(photos)


def test_what_a_directory_needs_beside_it(tmp_path: Path, photos: Path) -> None:
    source = image_model(tmp_path)
    with pytest.raises(UserError, match=r"images = \{ mean = 127.5, std = 127.5 \}.*no default"):
        make(tmp_path, "calibration", "photos", source=source)
    with pytest.raises(UserError, match="a directory has no labels"):
        make(tmp_path, "holdout", "photos", source=source, images=HALF)
    with pytest.raises(UserError, match=r'input is \(1, 8, 8, 3\).*write channels = "rgb"'):
        make(tmp_path, "calibration", "photos", source=source, images={**HALF, "channels": "gray"})
    write_model(tmp_path / "flat.tflite", cast_model(np.float32))
    with pytest.raises(UserError, match=r"input is \(1, 16\).*give an .npz"):
        make(tmp_path, "calibration", "photos", source="flat.tflite", images=HALF)


def test_a_size_is_asked_for_where_the_file_does_not_tell(tmp_path: Path, photos: Path) -> None:
    Image.fromarray(RGB).save(photos / "a.png")
    (tmp_path / "saved").mkdir()
    with pytest.raises(UserError, match=r"does not tell the height and width.*size = \[224, 224\]"):
        make(tmp_path, "calibration", "photos", source="saved", images=HALF)
    path = make(tmp_path, "calibration", "photos", source="saved", images={**HALF, "size": (4, 6)})
    assert read(path)["x"].shape == (1, 4, 6, 3)


@pytest.mark.parametrize(
    ("settings_", "says"),
    [
        ({"mean": [0, 0], "std": 1}, "mean has 2 values"),
        ({"mean": 0, "std": [1, 0, 1]}, "std divides"),
        ({"mean": [0, 0, 0], "std": 1, "channels": "gray"}, "mean has 3 values"),
        ({"mean": 0, "std": 1, "size": [0, 5]}, "size"),
    ],
)
def test_image_settings_are_checked_in_the_plan(settings_: dict[str, Any], says: str) -> None:
    model = {"name": "m", "source": "m.keras", "calibration": "photos", "images": settings_}
    with pytest.raises(UserError, match=says):
        parse_plan({"project": "p", "model": [model]}, where="plan")


# The shape of the input, without TensorFlow


def keras_file(path: Path, config: Any) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
    return path


@pytest.mark.parametrize(
    ("config", "shape"),
    [
        (
            {"config": {"layers": [{"config": {"batch_shape": [None, 8, 9, 1]}}]}},
            (-1, 8, 9, 1),
        ),
        (
            {"config": {"layers": [{"config": {"batch_input_shape": [None, None, 9, 3]}}]}},
            (-1, -1, 9, 3),
        ),
        (
            {
                "config": {
                    "layers": [
                        {"config": {"layers": [{"config": {"batch_shape": [1, 4, 4, 3]}}]}},
                        {"config": {"batch_shape": [1, 5, 5, 3]}},
                    ]
                }
            },
            (1, 4, 4, 3),
        ),
        (
            {"config": {"layers": []}, "build_config": {"input_shape": [None, 7, 7, 1]}},
            (-1, 7, 7, 1),
        ),
        ({"config": {"layers": [{"config": {"batch_shape": "no"}}]}}, None),
        ([], None),
        (None, None),
    ],
)
def test_the_shape_in_a_keras_file(
    tmp_path: Path, config: Any, shape: tuple[int, ...] | None
) -> None:
    keras_file(tmp_path / "m.keras", config)
    model = ModelConfig(name="m", source="m.keras")
    assert input_shape(model, tmp_path) == shape


@pytest.mark.parametrize("name", ["m.keras", "m.h5", "m.tflite", "saved"])
def test_no_shape_in_what_is_no_model(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"[" * 100_000)
    assert input_shape(ModelConfig(name="m", source=name), tmp_path) is None
    assert input_shape(ModelConfig(name="m", source=f"absent-{name}"), tmp_path) is None


def test_a_hostile_keras_file(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        archive.writestr("config.json", "[" * 1_000_000)
    assert input_shape(ModelConfig(name="m", source="m.keras"), tmp_path) is None
