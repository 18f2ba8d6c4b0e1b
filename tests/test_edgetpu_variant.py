"""int8-edgetpu: compiled by the user's own compiler or imported, and never silently int8."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgetpu_compiler import LOG, VERSION, compiled_model, install
from hypothesis import given
from hypothesis import strategies as st
from models import float_model, int8_model, write_model

from bench.config import MAIN_VARIANTS, MeasureConfig, ModelConfig, PlanConfig, Variant
from bench.errors import UnreadableOutput, UserError
from bench.events import silent
from bench.numerics.reference import prepare_numerics
from bench.parsers.edgetpu_compiler import MAPPED, parse_log, parse_version
from bench.plan import all_cells, resolve, variants_of
from bench.records import Failure, VariantRecord
from bench.variants.evaluate import evaluate_variants
from bench.variants.make import make_variants
from bench.variants.packages import missing_packages

TEXT = LOG.format(version=VERSION, source="m.tflite", made="m_edgetpu.tflite", log="m.log")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_model(tmp_path / "int8.tflite", int8_model())
    write_model(tmp_path / "compiled.tflite", compiled_model())
    return tmp_path


def made(
    root: Path, *variants: str, files: dict[Variant, str] | None = None
) -> tuple[VariantRecord, ...]:
    files = {"int8": "int8.tflite"} if files is None else files
    return make_variants(
        ModelConfig(name="m", files=files),
        variants or ("int8-edgetpu",),
        root=root,
        out=root / "out",
        seed=0,
        run_id="run",
        emit=silent,
    )


def test_the_compiler_makes_it_and_what_it_said_is_kept(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(root / "bin", monkeypatch)
    (record,) = made(root)
    assert record.failure is None
    assert record.path is not None
    assert (root / "out" / record.path).read_bytes() == compiled_model()
    known = record.provenance
    assert known["how"] == "compiled"
    assert known["compiler"]["version"] == VERSION
    facts = known["facts"]
    assert (facts["subgraphs"], facts["operations"]) == (1, 2)
    assert [(op["op"], op["mapped"]) for op in facts["ops"]] == [
        ("FULLY_CONNECTED", True),
        ("SOFTMAX", False),
    ]
    assert VERSION in facts["log"]
    assert any("SOFTMAX" in text for text in known["converter_warnings"])
    assert known["not_verified"] == "only an Edge TPU runs it"
    assert "verified" not in known
    (again,) = made(root)
    assert again.provenance["cached"] is True
    # Another compiler makes another file.
    with (root / "bin" / "edgetpu_compiler").open("a") as file:
        file.write("# newer\n")
    (newer,) = made(root)
    assert newer.provenance["cached"] is False


def test_beside_its_int8_and_in_the_order_that_was_asked_for(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(root / "bin", monkeypatch)
    records = made(root, "int8-edgetpu", "int8")
    assert [(r.variant, r.failure) for r in records] == [("int8-edgetpu", None), ("int8", None)]
    assert records[0].sha256 != records[1].sha256


def test_without_a_compiler_it_says_where_to_get_one(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(root / "nothing"))
    edge, int8 = made(root, "int8-edgetpu", "int8")
    assert edge.path is None
    assert edge.failure is not None
    assert edge.failure.kind == "prerequisite"
    assert "https://coral.ai/docs/edgetpu/compiler" in edge.failure.message
    assert "\n" not in edge.failure.message
    assert int8.failure is None


@pytest.mark.slow
@pytest.mark.skipif(
    bool(missing_packages(["int8"], of_tflite=True)), reason="needs the extra edgebench[quantize]"
)
def test_its_int8_is_made_for_it_where_nobody_asked_for_one(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(root / "bin", monkeypatch)
    write_model(root / "m.tflite", float_model(features=64, classes=10))
    x = np.random.default_rng(0).normal(size=(120, 64)).astype(np.float32)
    np.savez(root / "c.npz", x=x)
    records = make_variants(
        ModelConfig(name="m", source="m.tflite", calibration="c.npz"),
        ["int8-edgetpu"],
        root=root,
        out=root / "out",
        seed=0,
        run_id="run",
        emit=silent,
    )
    assert [(r.variant, r.failure) for r in records] == [("int8-edgetpu", None)]


@pytest.mark.parametrize(
    ("how", "kind", "words"),
    [
        ("refuses", "convert", "ended with exit code 1 and wrote no model; full text in"),
        ("maps nothing", "verify", "holds no edgetpu-custom-op"),
    ],
)
def test_a_compilation_that_went_wrong_is_no_int8(
    root: Path, monkeypatch: pytest.MonkeyPatch, how: str, kind: str, words: str
) -> None:
    install(root / "bin", monkeypatch, how)
    (record,) = made(root)
    assert record.path is None
    assert record.failure is not None
    assert record.failure.kind == kind
    assert words in record.failure.message


def test_a_program_of_that_name_that_is_another_is_told(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = install(root / "bin", monkeypatch)
    program.write_text("#!/bin/sh\necho hello\n")
    (record,) = made(root)
    assert record.failure is not None
    assert record.failure.kind == "prerequisite"
    assert "is no edgetpu_compiler that works" in record.failure.message


def test_an_int8_that_is_none_is_not_compiled(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(root / "bin", monkeypatch)
    write_model(root / "int8.tflite", float_model())
    (record,) = made(root)
    assert record.failure is not None
    assert "its file is not: came out float" in record.failure.message or (
        "its file is not: input is FLOAT32" in record.failure.message
    )


def test_an_int8_that_is_no_model_is_the_users_to_mend(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(root / "bin", monkeypatch)
    (root / "int8.tflite").write_bytes(b"TFL3 no model")
    with pytest.raises(UserError, match=r"files\.int8: int8\.tflite is .*; give a whole \.tflite"):
        made(root)


def test_a_compiled_file_is_imported(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(root / "nothing"))
    (record,) = made(root, files={"int8-edgetpu": "compiled.tflite"})
    assert record.failure is None
    assert record.provenance["warnings"] == []
    (wrong,) = made(root, files={"int8-edgetpu": "int8.tflite"})
    assert wrong.path is None
    assert wrong.failure is not None
    assert "holds no edgetpu-custom-op" in wrong.failure.message
    (other,) = made(root, "int8", files={"int8": "compiled.tflite"})
    assert other.failure is not None
    assert "is compiled for the Edge TPU, and runs nowhere else" in other.provenance["warnings"]


def test_only_edgetpu_measures_it_and_nobody_who_did_not_name_it(root: Path) -> None:
    assert "int8-edgetpu" not in MAIN_VARIANTS
    model = ModelConfig(name="m", files={"int8-edgetpu": "compiled.tflite", "int8": "int8.tflite"})
    # Who says how long it takes: delegates on this machine.
    measure = MeasureConfig(delegates=("none", "xnnpack", "edgetpu"), threads=(1,))
    plan = resolve(PlanConfig(project="p", model=(model,), measure=measure), root)
    why = {(c.variant, c.delegate.name): text for c, text in all_cells(plan)}
    for delegate in ("none", "xnnpack"):
        text = why["int8-edgetpu", delegate]
        assert text == "int8-edgetpu is compiled for the Edge TPU, which only edgetpu runs"
        assert why["int8", delegate] is None
    assert why["int8-edgetpu", "edgetpu"] is None


def test_what_it_is_made_of_is_asked_for_beforehand() -> None:
    with pytest.raises(UserError, match=r"needs files\.int8 "):
        variants_of(ModelConfig(name="m", files={"fp32": "a.tflite"}), ["int8-edgetpu"])
    given = ModelConfig(name="m", files={"int8": "a.tflite"})
    assert variants_of(given, ["int8-edgetpu"]) == ("int8-edgetpu",)
    assert variants_of(given, None) == ("int8",)


def test_nothing_here_answers_for_it(root: Path) -> None:
    records = made(
        root,
        "int8",
        "int8-edgetpu",
        files={"int8": "int8.tflite", "int8-edgetpu": "compiled.tflite"},
    )
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 64)).astype(np.float32)
    np.savez(root / "h.npz", x=x, y=rng.integers(0, 10, 20))
    found: dict[str, Any] = {
        e.variant: e
        for e in evaluate_variants(
            records, root / "h.npz", ["none"], out=root / "out", run_id="run", emit=silent
        )
    }
    assert found["int8"].failure is None
    assert found["int8-edgetpu"].value is None
    assert "no kernels but those of an Edge TPU" in found["int8-edgetpu"].failure.message
    model = ModelConfig(name="m", files={"int8": "int8.tflite"})
    numerics = prepare_numerics(
        model, records, root=root, out=root / "out", measure=MeasureConfig(), emit=silent
    )
    assert isinstance(numerics["int8-edgetpu"], Failure)
    assert "plain kernels cannot answer for it" in numerics["int8-edgetpu"].message
    assert not isinstance(numerics["int8"], Failure)


def test_the_table_is_read_line_by_line() -> None:
    found = parse_log(TEXT)
    assert found.version == VERSION
    assert (found.subgraphs, found.operations) == (1, 2)
    assert [(op.op, op.count, op.mapped) for op in found.ops] == [
        ("FULLY_CONNECTED", 1, True),
        ("SOFTMAX", 1, False),
    ]
    assert parse_version(f"Edge TPU Compiler version {VERSION}\n") == VERSION


@pytest.mark.parametrize(
    "text",
    ["", "hello", TEXT.replace("Edge TPU Compiler version", "Version"), TEXT.split("Operator")[0]],
)
def test_what_is_no_output_of_the_compiler_is_refused(text: str) -> None:
    with pytest.raises(UnreadableOutput):
        parse_log(text)


_OPS = st.lists(
    st.tuples(
        st.from_regex(r"[A-Z][A-Z0-9_]{0,20}", fullmatch=True),
        st.integers(1, 99_999),
        st.sampled_from(
            [MAPPED, "More than one subgraph is not supported", "Operation not supported"]
        ),
    ),
    min_size=1,
    max_size=9,
)


@given(_OPS)
def test_every_line_of_a_table_is_kept(ops: list[tuple[str, int, str]]) -> None:
    head = TEXT.split("FULLY_CONNECTED")[0]
    table = "\n".join(f"{op:<31}{count:<11}{status}" for op, count, status in ops)
    found = parse_log(head + table + "\nCompilation child process completed\n")
    assert [(op.op, op.count, op.status) for op in found.ops] == ops
    assert found.version == VERSION
