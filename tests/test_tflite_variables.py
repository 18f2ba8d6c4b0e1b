"""A variable that is read and never assigned is told before anybody believes an answer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import flatbuffers
import models
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from hypothesis import given, settings
from hypothesis import strategies as st
from models import variable_model, write_model

from bench.cli.main import main
from bench.config import ModelConfig
from bench.tflite.facts import read_model
from bench.tflite.graph import parse_model
from bench.tflite.variables import unassigned_text, unassigned_variables
from bench.variants.contradictions import contradictions
from bench.variants.make import make_variants

OP = schema.BuiltinOperator
NAMES = st.lists(st.sampled_from(["a", "b", "a/b", "", "größe", "x" * 500]), max_size=4)


def unassigned(content: bytes) -> tuple[str, ...]:
    return unassigned_variables(parse_model(content))


def answer(content: bytes, resolver: Any) -> list[float]:
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], np.ones((1, 4), np.float32))
    interpreter.invoke()
    values: list[float] = interpreter.get_tensor(
        interpreter.get_output_details()[0]["index"]
    ).tolist()[0]
    return values


@settings(max_examples=60, deadline=None)
@given(NAMES.filter(bool), NAMES)
def test_what_is_read_and_not_assigned(read: Sequence[str], assigned: Sequence[str]) -> None:
    found = unassigned(variable_model(read, assigned))
    assert found == tuple(sorted(set(read) - set(assigned)))
    assert len(found) == 0 or len(unassigned_text(found)) < 500


@pytest.mark.parametrize(
    ("read", "assigned"), [(["a"], []), (["a"], ["b"]), (["a", "b"], ["a"]), (["a"], ["a", "b"])]
)
def test_plain_kernels_stop_where_it_is_told(read: list[str], assigned: list[str]) -> None:
    content = variable_model(read, assigned)
    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    if unassigned(content):
        with pytest.raises(RuntimeError, match="READ_VARIABLE"):
            answer(content, plain)
        # This is why it has to be told: XNNPACK answers, with whatever its memory held.
        assert len(answer(content, OpResolverType.AUTO)) == 4
    else:
        assert answer(content, plain) == answer(content, OpResolverType.AUTO) == [2.0] * 4


def test_a_container_has_its_own_variables() -> None:
    assert unassigned(variable_model(["a"], ["a"], container="other")) == ("a",)


def change(content: bytes, how: Any) -> bytes:
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    how(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_another_graph_may_assign_it() -> None:
    def once(model: Any) -> None:
        """As converters do it: what assigns goes to a graph that is called once."""
        main = model.subgraphs[0]
        start = schema.SubGraphT()
        start.tensors, start.inputs, start.outputs = main.tensors, [], []
        start.operators, main.operators = main.operators[:2], main.operators[2:]
        code = schema.OperatorCodeT()
        code.builtinCode, code.version = OP.CALL_ONCE, 1
        model.operatorCodes.append(code)
        call = schema.OperatorT()
        call.opcodeIndex, call.inputs, call.outputs = len(model.operatorCodes) - 1, [], []
        call.builtinOptionsType = schema.BuiltinOptions.CallOnceOptions
        call.builtinOptions = schema.CallOnceOptionsT()
        call.builtinOptions.initSubgraphIndex = 1
        main.operators.insert(0, call)
        model.subgraphs.append(start)

    content = change(variable_model(["a"], ["a"]), once)
    assert unassigned(content) == ()
    assert answer(content, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES) == [2.0] * 4
    assert unassigned(change(variable_model(["a"], ["b"]), once)) == ("a",)


def test_where_a_handle_goes_elsewhere_nothing_is_claimed() -> None:
    def pass_on(model: Any) -> None:
        """Another op than READ_VARIABLE takes the handle too, and may assign it."""
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = OP.CUSTOM
        code.customCode, code.version = b"Assigner", 1
        model.operatorCodes.append(code)
        main = model.subgraphs[0]
        handle = main.operators[0].outputs[0]
        op = schema.OperatorT()
        op.opcodeIndex, op.inputs, op.outputs = len(model.operatorCodes) - 1, [handle], []
        main.operators.insert(1, op)

    assert unassigned(change(variable_model(["a"]), pass_on)) == ()

    def from_elsewhere(model: Any) -> None:
        """The handle that is assigned comes in as an input: it may be any variable's."""
        main = model.subgraphs[0]
        handle = main.operators.pop(0).outputs[0]
        main.inputs = [*main.inputs, handle]

    assert unassigned(change(variable_model(["a"], ["b"]), from_elsewhere)) == ()


def test_no_options_are_an_empty_name() -> None:
    def strip(model: Any) -> None:
        handle = model.subgraphs[0].operators[0]
        handle.builtinOptions, handle.builtinOptionsType = None, 0

    assert unassigned(change(variable_model(["a"]), strip)) == ("",)


def test_inspect_warns(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = str(write_model(tmp_path / "m.tflite", variable_model(["state\x1b[31m"])))
    assert main(["inspect", path]) == 0
    out = " ".join(capsys.readouterr().out.split("Inputs and outputs")[0].split())
    assert "Beware The model reads variable 'state\\x1b[31m', which nothing in the file" in out
    assert main(["inspect", path, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["unassigned_variables"] == ["state\x1b[31m"]
    path = str(write_model(tmp_path / "m.tflite", models.float_model()))
    assert main(["inspect", path, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["unassigned_variables"] == []


@pytest.mark.parametrize("kernels", ["xnnpack", "none"])
def test_it_is_not_evaluated(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kernels: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path / "broken.tflite", variable_model(["state"]))
    write_model(tmp_path / "whole.tflite", variable_model(["state"], ["state"]))
    np.savez("h.npz", x=np.eye(4, dtype=np.float32), y=np.arange(4))
    words = ["whole.tflite", "broken.tflite", "--holdout", "h.npz", "--kernels", kernels, "--json"]
    assert main(["evaluate", *words]) == 3
    (model,) = json.loads(capsys.readouterr().out)["models"]
    whole, broken = model["results"]
    assert (whole["accuracy"], whole["failure"]) == (1.0, None)
    assert broken["accuracy"] is None
    assert "'state', which nothing in the file assigns" in broken["failure"]


def test_it_is_no_variant_of_anything(tmp_path: Path) -> None:
    content = variable_model(["state"])
    (said,) = contradictions("fp32", read_model(content))
    assert "'state', which nothing in the file assigns" in said
    assert contradictions("fp32", read_model(variable_model(["state"], ["state"]))) == ()
    write_model(tmp_path / "m.tflite", content)
    model = ModelConfig(name="m", files={"fp32": "m.tflite"})
    notes: list[str] = []
    make_variants(
        model,
        ("fp32",),
        root=tmp_path,
        out=tmp_path / "out",
        seed=0,
        run_id="r",
        emit=lambda event: notes.append(str(event)),
    )
    assert any("nothing in the file assigns" in note for note in notes)
