"""What a source file says of itself, and what the converter's refusals become; no
TensorFlow: the errors are built in the form in which it raises them."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import UserError
from bench.variants.source import check_no_code, check_source, custom_classes, keras_major
from bench.variants.tf_errors import explain, loops, place

FLEX, CUSTOM = 1, 2


def keras_file(path: Path, config: Any, version: object = "3.15.1") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": version}))
        archive.writestr("config.json", json.dumps(config))
    return path


def layer(kind: str, name: str, module: str = "keras.layers") -> dict[str, Any]:
    return {"class_name": kind, "module": module, "config": {"name": name}}


class ConverterError(Exception):
    """As tf.lite raises it: a page of text, and the facts in `errors`."""

    def __init__(self, *entries: tuple[str, int, str], text: str = "loc(callsite(") -> None:
        super().__init__(f"Could not translate MLIR to FlatBuffer.\n{text}")
        self.errors = [
            SimpleNamespace(
                operator=SimpleNamespace(name=name),
                error_code=code,
                location=SimpleNamespace(call=[SimpleNamespace(name=node)] if node else []),
            )
            for name, code, node in entries
        ]


def test_who_wrote_a_keras_file(tmp_path: Path) -> None:
    assert keras_major(keras_file(tmp_path / "a.keras", {})) == 3
    assert keras_major(keras_file(tmp_path / "b.keras", {}, "2.21.0")) == 2
    with pytest.raises(UserError, match=r"c\.keras: says no Keras version"):
        keras_major(keras_file(tmp_path / "c.keras", {}, None))


def test_code_in_a_file_is_refused_wherever_it_hides(tmp_path: Path) -> None:
    inner = {"layers": [layer("Dense", "d"), {"config": {"layers": [layer("Lambda", "twice")]}}]}
    with pytest.raises(UserError, match="its Lambda layer twice is Python code"):
        check_no_code(keras_file(tmp_path / "a.keras", {"config": inner}))
    check_no_code(keras_file(tmp_path / "b.keras", {"config": {"layers": [layer("Dense", "d")]}}))


def test_classes_that_no_keras_has_are_named_once(tmp_path: Path) -> None:
    layers = [
        layer("Dense", "d"),
        layer("Mine", "m", "train"),
        layer("Mine", "n", "train"),
        layer("Functional", "f", "keras.src.models.functional"),
    ]
    assert custom_classes(keras_file(tmp_path / "a.keras", layers)) == ("Mine",)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.keras", b"\x89HDF\r\n\x1a\n", r"not a \.keras file but HDF5; rename it to a\.h5"),
        ("a.keras", b"PK\x03\x04", r"not a \.keras file, or cut short"),
        ("a.h5", b"PK\x03\x04", "not an HDF5 file, or cut short"),
        ("saved_model.pb", b"\x08\x01", "name the directory that holds it"),
        ("a.onnx", b"\x08\x01", "not a model; give"),
    ],
)
def test_what_is_no_source(tmp_path: Path, name: str, data: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=said) as raised:
        check_source(tmp_path / name)
    assert "\n" not in str(raised.value)


def test_a_directory_without_saved_model_and_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a directory without saved_model\.pb"):
        check_source(tmp_path)
    with pytest.raises(UserError, match="there is no such file"):
        check_source(tmp_path / "none.keras")


@pytest.mark.parametrize(
    ("node", "layers", "said"),
    [
        ("functional_1/erf_1/Erf@__inference_f_12", ["x", "erf"], "layer erf"),
        ("model/block_2/act/Erf@__inference_f_12", ["block_2"], "layer block_2"),
        ("model/outer/inner/Erf", ["outer", "inner"], "layer inner"),
        ("functional_1_1/mylstm_1/while", [], "scope mylstm_1"),
        ("encoder/attention/Erf@f", [], "scope encoder/attention"),
        ("functional_5_1/Erf@f", ["d"], ""),
        ("Erf@__inference_f_12", ["erf"], ""),
    ],
)
def test_where_a_node_comes_from(node: str, layers: list[str], said: str) -> None:
    assert place(node, layers) == said


def test_an_op_without_kernel_is_named_with_its_layers_and_the_way_out() -> None:
    error = ConverterError(
        ("tf.Erf", FLEX, "m/b/Erf@f"), ("tf.Erf", FLEX, "m/a/Erf@f"), ("tf.Tan", FLEX, "")
    )
    refusal = explain(error, "int8", ["a", "b"])
    assert refusal.kind == "unsupported"
    assert refusal.every_variant
    assert str(refusal).startswith("TFLite has no kernel for Erf (layer a, layer b), Tan; ")
    assert "replace the layer, or add the variant select-tf-ops" in str(refusal)


def test_select_tf_ops_is_no_way_out_for_an_op_that_it_has_not() -> None:
    error = ConverterError(("tf.Erf", FLEX, "m/a/Erf@f"), ("tf.Erfinv", CUSTOM, "m/b/Erfinv@f"))
    said = str(explain(error, "fp32", ["a", "b"]))
    assert "Erf (layer a)" in said
    assert "Erfinv (layer b)" in said
    assert "select-tf-ops" not in said
    assert said.endswith("replace the layer")


def test_an_op_that_only_lacks_an_integer_kernel_is_told_apart() -> None:
    error = RuntimeError("Quantization to 16x8-bit not yet supported for op: 'HARD_SWISH'.\n")
    refusal = explain(error, "int16x8", [])
    assert refusal.kind == "unsupported"
    assert not refusal.every_variant
    assert "HARD_SWISH has a float kernel, but the converter has no 16x8-bit one" in str(refusal)


def test_a_loop_over_an_open_length_and_a_loop_that_cannot_be_calibrated() -> None:
    open_length = ConverterError(
        ("tf.Const", 0, ""),
        ("tf.TensorListReserve", 0, "functional_1/lstm_1/TensorArrayV2_1@f"),
        text="'tf.TensorListReserve' op requires element_shape to be static",
    )
    refusal = explain(open_length, "fp32", ["lstm"])
    assert refusal.every_variant
    assert str(refusal).startswith("layer lstm runs in a loop over a sequence whose length")
    said = str(loops(["functional_1/lstm_1/while"], "int8", ["lstm"]))
    assert said.startswith("layer lstm runs in a loop (WHILE), which the converter cannot")
    assert "unroll=True" in said


def test_what_nobody_knows_is_still_one_line() -> None:
    refusal = explain(RuntimeError("first\nsecond"), "int8", [])
    assert (str(refusal), refusal.kind) == ("RuntimeError: first", "convert")


@given(
    st.lists(st.tuples(st.text(max_size=9), st.sampled_from([0, 1, 2, 9]), st.text(max_size=20))),
    st.lists(st.text(max_size=5), max_size=4),
)
def test_whatever_the_converter_lists_an_answer_comes(
    entries: list[tuple[str, int, str]], layers: list[str]
) -> None:
    assert str(explain(ConverterError(*entries), "fp32", layers))
