"""`edgebench profile`: of files, of stored runs, and of a model on this machine."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import models
import pytest
from ops_profiles import STEPS, mobilenet_ops, plain, profile, step
from store_records import START, launch_record, measurement, run_record

from bench.cli.main import main
from bench.delegation.model import Coverage, Delegation
from bench.identity import Case, DelegateSpec, check_id
from bench.ops.model import OpProfile
from bench.records import (
    Artifact,
    CheckRecord,
    Failure,
    Outcome,
    PlannedCase,
    Purpose,
    VariantRecord,
)
from bench.sentinel import MODEL as SENTINEL
from bench.store import open_store

GOLDEN = Path(__file__).parent / "golden" / "benchmark_model"
FP32 = GOLDEN / "04_fp32_opprof_stdout" / "stdout"
INT8 = GOLDEN / "06b_int8_opprof" / "stdout"


@pytest.fixture(autouse=True)
def _width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")


def shown(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    assert main(["profile", *map(str, words)]) == 0, capsys.readouterr().err
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    assert main(["profile", *map(str, words)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err


# --- Files ---------------------------------------------------------------------------------


def test_a_file_that_a_tool_wrote(capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(capsys, FP32, "--top", "3")
    assert "Sum of ops 3.14 ms; 100.0 % by a delegate" in out
    assert "Slowest 3 ops" in out
    assert "63 rows more" in out
    assert "Fully Connected (NC, F32) GEMM" in out


@pytest.mark.parametrize(
    "case",
    ["05a_opprof_csv_file/out_profile.csv", "05d_opprof_proto_file/out_profile.pb"],
)
def test_files_of_every_kind(capsys: pytest.CaptureFixture[str], case: str) -> None:
    if not (GOLDEN / case).exists():
        pytest.skip(f"no golden file {case}")
    assert "Convolution (NHWC, F32) DWConv" in shown(capsys, GOLDEN / case, "--by", "type")


def test_two_files(capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(capsys, INT8, "--against", FP32, "--explain")
    assert f"{FP32} is slower than {INT8}" in " ".join(out.split())
    assert "by the same kind of kernels (XNNPACK)" in " ".join(out.split())
    document = json.loads(shown(capsys, INT8, "--against", FP32, "--json"))
    assert document["explanation"]["slower"] == str(FP32)
    assert len(document["profiles"]) == 2
    assert document["comparison"]["groups"]


def test_charts_of_files(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = shown(capsys, FP32, "--charts", tmp_path / "one")
    assert {path.name for path in (tmp_path / "one").iterdir()} == {"ops.svg", "ops.png"}
    assert "ops.svg" in out
    shown(capsys, INT8, "--against", FP32, "--charts", tmp_path / "two")
    svg = (tmp_path / "two" / "op-differences.svg").read_text()
    assert (tmp_path / "two" / "op-differences.png").read_bytes().startswith(b"\x89PNG")
    assert ": together " in svg
    assert "−" in svg


def test_charts_leave_json_alone(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["profile", str(FP32), "--json", "--charts", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["profiles"]
    assert "ops.png" in err


def test_charts_that_cannot_be_written(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert main(["profile", str(FP32), "--charts", str(tmp_path / "file" / "below")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_another_model_behind_a_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    wrong = models.write_model(tmp_path / "m.tflite", models.float_model())
    err = refused(capsys, INT8, "--model", wrong)
    assert "not the model that was profiled" in err


def test_exports(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    trace, table = tmp_path / "t.json", tmp_path / "t.csv"
    assert shown(capsys, FP32, "--export", "trace", "-o", trace) == f"Wrote {trace}\n"
    assert len(json.loads(trace.read_text())["traceEvents"]) == 4 + 1 + 66
    shown(capsys, FP32, "--export", "csv", "-o", table)
    assert len(table.read_text().splitlines()) == 67
    assert "--model" in refused(capsys, FP32, "--export", "model-explorer", "-o", trace)
    assert "--trace" in refused(capsys, FP32, "--export", "system-trace", "-o", trace)
    assert "cannot be written" in refused(
        capsys, FP32, "--export", "csv", "-o", table / "below" / "a.csv"
    )


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["missing.csv"], "no such file"),
        (["."], "no regular file"),
        ([str(FP32), "--variant", "int8"], "choose from a run"),
        ([str(FP32), "--threads", "2"], "choose from a run"),
        ([str(FP32), "--explain"], "needs two profiles"),
        ([str(FP32), "--export", "csv"], "give both"),
        ([str(FP32), "--json", "--export", "csv", "-o", "x"], "leave"),
        (["m.tflite", "--model", "x"], "is its own"),
        (["m.tflite"], "no such file"),
        ([str(GOLDEN / "01_fp32_default" / "stdout")], "no op profile in it"),
    ],
)
def test_what_cannot_be_asked(
    capsys: pytest.CaptureFixture[str], words: list[str], reason: str
) -> None:
    assert reason in refused(capsys, *words)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00garbage", b"\x00" * 100, b"no profile\n"])
def test_what_is_no_profile(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "p.bin"
    path.write_bytes(content)
    refused(capsys, path)


def test_a_cut_off_profile_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    text = FP32.read_text()
    path = tmp_path / "cut.txt"
    path.write_text(text[: text.index("Number of nodes executed: 66")])
    refused(capsys, path)


# --- A model, here and now -----------------------------------------------------------------


def test_a_model_on_this_machine(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    document = json.loads(shown(capsys, SENTINEL, "--delegate", "none", "--json"))
    (found,) = document["profiles"]
    assert found["source"] == "litert-c-api"
    assert found["total_us"] > 0
    assert {row["match"] for row in found["rows"]} == {"exact"}
    assert {row["kind"] for row in found["rows"]} == {"op"}
    assert found["nodes_without_rows"] == []


def test_two_delegates_on_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(shown(capsys, SENTINEL, "--against", "none", "--json"))
    ours, theirs = document["profiles"]
    assert {row["kind"] for row in ours["rows"]} == {"delegate-op"}
    assert ours["delegation"]["verdict"] == "FULL"
    assert theirs["delegation"]["requested"] == "none"
    assert document["explanation"]["slower"] == "none"
    assert document["explanation"]["figures"][0]["cause"] == "fallback"


@pytest.mark.parametrize("delegate", ["gpu", "nnapi", "nonsense"])
def test_a_delegate_that_cannot_be_profiled(
    capsys: pytest.CaptureFixture[str], delegate: str
) -> None:
    assert main(["profile", str(SENTINEL), "--delegate", delegate]) == 2
    assert delegate in capsys.readouterr().err


def test_a_model_that_does_not_load(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = models.write_model(tmp_path / "m.tflite", models.flex_model())
    assert main(["profile", str(path)]) in (2, 3)
    assert "m.tflite" in capsys.readouterr().err


# --- Stored runs ---------------------------------------------------------------------------


def case_of(variant: str, delegate: str = "xnnpack") -> Case:
    return Case("digits", "cnn", variant, DelegateSpec(delegate), 1, "litert", "local")


def check_of(run_id: str, case: Case, **changes: Any) -> CheckRecord:
    purpose = changes.get("purpose", Purpose.PROFILE)
    fields: dict[str, Any] = {
        "launch_id": check_id(run_id, case.case_id, purpose.value, changes.get("attempt", 0)),
        "run_id": run_id,
        "case_id": case.case_id,
        "purpose": purpose,
        "attempt": 0,
        "started_utc": START,
        "duration_s": 1.0,
        "outcome": Outcome.OK,
        "failure": None,
        "conditions": {},
        "environment": {"model_sha256": hashlib.sha256(models.conv_model()).hexdigest()},
        "argv": ("python",),
    }
    return CheckRecord(**{**fields, **changes})


def fp32() -> OpProfile:
    return profile(*(step(STEPS[op], 10.0) for op in mobilenet_ops()), invoke_us=700.0)


def int8() -> OpProfile:
    rows = [
        plain(node, op, 90.0) if op == "DEPTHWISE_CONV_2D" else step(STEPS[op], 5.0)
        for node, op in enumerate(mobilenet_ops())
    ]
    return profile(*rows, invoke_us=1900.0)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "s.db"
    (tmp_path / "out").mkdir()
    run = run_record(root=str(tmp_path), plan={"project": "digits", "out": "out"})
    cases = [case_of("fp32"), case_of("int8"), case_of("fp32", "none"), case_of("fp16")]
    planned = [PlannedCase(run.run_id, case) for case in cases]
    with open_store(path, write=True) as opened:
        opened.begin_run(run, planned)
        for variant in ("fp32", "int8"):
            record = VariantRecord(
                run.run_id, "cnn", variant, f"{variant}.tflite", "1" * 64, 1, {}, None
            )
            opened.add_variant(record)
        for case, made in zip(cases[:3], (fp32(), int8(), fp32()), strict=True):
            found = Delegation(case.delegate.name, Coverage.PARTIAL)
            opened.add_check(check_of(run.run_id, case, profile=made, delegation=found))
        opened.add_check(
            check_of(
                run.run_id,
                cases[3],
                outcome=Outcome.CRASHED,
                failure=Failure("crash", "the runtime aborted (SIGABRT)"),
            )
        )
        opened.add_check(
            check_of(
                run.run_id,
                cases[0],
                purpose=Purpose.TRACE,
                artifacts=(Artifact("trace.perfetto", b"\x00system trace"),),
            )
        )
        for at, us in ((0, 800.0), (1, 2000.0)):
            opened.add_launch(launch_record(planned[at], measurement=measurement(p50_us=us)))
    return path


def test_all_profiles_of_a_run(capsys: pytest.CaptureFixture[str], store: Path) -> None:
    out = shown(capsys, "--store", store)
    assert "3 profiles" in out
    assert "cnn · int8 · xnnpack · 1 thread on local" in out
    document = json.loads(shown(capsys, "--store", store, "--json"))
    assert [p["case"]["variant"] for p in document["profiles"]] == ["fp32", "int8", "fp32"]


def test_one_case_of_a_run(capsys: pytest.CaptureFixture[str], store: Path) -> None:
    out = shown(capsys, "--store", store, "--variant", "int8")
    assert "cnn · int8 · xnnpack · 1 thread on local" in out
    assert "DEPTHWISE_CONV_2D" in out
    assert "Rows have no nodes" in out


def test_why_a_variant_is_slower(capsys: pytest.CaptureFixture[str], store: Path) -> None:
    words = ("--store", store, "--variant", "int8")
    expected = [
        "int8 is slower than fp32 here (2.50×: 2.00 ms against 800 µs).",
        "17 DEPTHWISE_CONV_2D stayed on plain kernels: 86 % of its time; in fp32 XNNPACK took"
        " them (26 %).",
    ]
    assert shown(capsys, *words, "--explain").splitlines() == expected
    out = shown(capsys, *words, "--against", "fp32")
    assert expected[0] in out
    assert "By kind of op" in out


def test_two_delegates_of_a_run(capsys: pytest.CaptureFixture[str], store: Path) -> None:
    words = ("--store", store, "--variant", "fp32", "--delegate", "xnnpack", "--against", "none")
    document = json.loads(shown(capsys, *words, "--json"))
    assert [p["case"]["delegate"]["name"] for p in document["profiles"]] == ["xnnpack", "none"]


def test_cases_by_their_ids(capsys: pytest.CaptureFixture[str], store: Path) -> None:
    one, other = case_of("int8").case_id, case_of("fp32", "none").case_id
    out = shown(capsys, "--store", store, "--case", one[:8], "--against", other[:8], "--json")
    found = json.loads(out)["profiles"]
    assert [profile["case_id"] for profile in found] == [one, other]


def test_the_options_of_a_delegate_tell_cases_apart(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path, run = tmp_path / "s.db", run_record(root=str(tmp_path))
    options = [(), (("precision", "fp16"),), (("precision", "fp32"),)]
    cases = [
        Case("digits", "cnn", "fp32", DelegateSpec(name, chosen), 1, "litert", "local")
        for name, chosen in zip(("none", "gpu", "gpu"), options, strict=True)
    ]
    with open_store(path, write=True) as opened:
        opened.begin_run(run, [PlannedCase(run.run_id, case) for case in cases])
        for case in cases:
            opened.add_check(check_of(run.run_id, case, profile=fp32()))
    err = refused(capsys, "--store", path, "--delegate", "none", "--against", "gpu")
    assert "(precision=fp16)" in err
    assert cases[1].case_id[:12] in err


def test_the_file_of_the_variant_gives_the_nodes(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    content = models.float_model()
    (tmp_path / "fp32.tflite").write_bytes(content)
    run = run_record(root=str(tmp_path), plan={"project": "digits", "out": "."})
    path, case = tmp_path / "s.db", case_of("fp32", "none")
    made = profile(plain(0, "FULLY_CONNECTED", 3.0), plain(1, "SOFTMAX", 1.0))
    with open_store(path, write=True) as opened:
        opened.begin_run(run, [PlannedCase(run.run_id, case)])
        opened.add_variant(VariantRecord(run.run_id, "cnn", "fp32", "fp32.tflite", None, 1, {}))
        facts = {"model_sha256": hashlib.sha256(content).hexdigest()}
        opened.add_check(check_of(run.run_id, case, profile=made, environment=facts))
    out = tmp_path / "overlay.json"
    shown(capsys, "--store", path, "--export", "model-explorer", "-o", out)
    assert [item["value"] for item in json.loads(out.read_text())["results"].values()] == [3.0, 1.0]
    who = json.loads((tmp_path / "overlay.delegate.json").read_text())
    assert {item["value"] for item in who["results"].values()} == {"plain kernels"}
    # Another file under the same name is not taken for it.
    (tmp_path / "fp32.tflite").write_bytes(models.float_model(seed=1))
    assert "not the file any more" in " ".join(shown(capsys, "--store", path).split())


def test_a_system_trace_is_written_as_it_was(
    capsys: pytest.CaptureFixture[str], store: Path, tmp_path: Path
) -> None:
    out = tmp_path / "t.perfetto"
    words = ("--store", store, "--export", "system-trace", "-o", out)
    shown(capsys, *words)
    assert out.read_bytes() == b"\x00system trace"
    assert "measured with --trace" in refused(capsys, *words, "--variant", "int8")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--variant", "int4"], "no case of run"),
        (["--variant", "fp16"], "the runtime aborted (SIGABRT)"),
        (["--variant", "fp32", "--against", "int8"], "2 cases are meant"),
        (["--variant", "int8", "--against", "gpu"], "differs from"),
        (["--variant", "int8", "--against", "none"], "differs from"),
        (["--variant", "fp32", "--delegate", "none", "--explain"], "say --against"),
        (["0000"], "no run begins with"),
        (["--variant", "fp32", "--export", "csv", "-o", "x.csv"], "2 cases are meant"),
    ],
)
def test_what_a_run_cannot_tell(
    capsys: pytest.CaptureFixture[str], store: Path, words: list[str], reason: str
) -> None:
    assert reason in refused(capsys, "--store", store, *words)


def test_there_is_no_store(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "no such store" in refused(capsys, "--store", tmp_path / "none.db")
