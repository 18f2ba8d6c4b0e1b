"""`edgebench snippet` at the command line: what it prints, refuses, and takes from the store."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from analysis import around, measured, run_data, samples, variant_record
from models import flex_model, float_model, write_model
from records import RUN_ID, case

from bench.cli.main import main
from bench.identity import Case
from bench.records import RunStatus
from bench.store import open_store

DATA = float_model()
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGEBENCH_STORE", str(tmp_path / "runs.db"))
    write_model(tmp_path / "m.tflite", DATA)
    return "m.tflite"


def stored(cases: dict[Case, float], sha256: str = SHA256, **run: Any) -> None:
    """A finished run of variant fp32, six quiet rounds of each case."""
    launches = {}
    for which, p50_us in cases.items():
        launches[which] = [
            replace(
                measured(
                    which, index, p50, samples_ns=samples(p50), warmup_ns=samples(p50), count=200
                ),
                environment={"model_sha256": sha256, "runner": "invoke_loop"},
            )
            for index, p50 in enumerate(around(p50_us))
        ]
    data = run_data(
        launches, made=[variant_record("fp32", sha256=sha256)], status=RunStatus.RUNNING, **run
    )
    with open_store(Path(os.environ["EDGEBENCH_STORE"]), write=True) as store:
        store.begin_run(data.run, data.cases)
        for variant in data.variants:
            store.add_variant(variant)
        for launch in data.launches:
            store.add_launch(launch)
        store.finish_run(RUN_ID, RunStatus.FINISHED, data.run.started_utc)


def how(
    capsys: pytest.CaptureFixture[str], model: str, *options: str, says: str = ""
) -> Sequence[str]:
    """The line about delegate and threads, and the two as the code has them."""
    assert main(["snippet", model, "--lang", "java", *options]) == 0
    out, err = capsys.readouterr()
    assert err == "" if not says else says in err
    lines = [line.strip() for line in out.splitlines()]
    return [
        next(line for line in lines if "thread" in line).removeprefix("// "),
        next(line for line in lines if "setNumThreads" in line),
        next(line for line in lines if "setUseXNNPACK" in line),
    ]


@pytest.mark.parametrize("language", ["kotlin", "java", "python", "cpp", "swift"])
def test_code_alone_is_printed(
    model: str, language: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["snippet", model, "--lang", language]) == 0
    out, err = capsys.readouterr()
    assert out[:3] in ("// ", "# m")
    assert SHA256 in out
    assert err == ""
    assert not Path("runs.db").exists()


def test_what_was_not_measured_says_so(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert how(capsys, model) == [
        "xnnpack, 1 thread: not measured",
        "options.setNumThreads(1);",
        "options.setUseXNNPACK(true);",
    ]
    line, *_ = how(capsys, model, "--delegate", "none", "--threads", "4")
    assert line == "none, 4 threads: delegate and threads as asked for; not measured"


def test_the_fastest_case_of_a_stored_run(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    stored(
        {
            case("fp32", "none", 1): 90.0,
            case("fp32", "none", 2): 50.0,
            case("fp32", "xnnpack", 1): 70.0,
            case("fp32", "xnnpack", 2): 80.0,
        }
    )
    line, threads, xnnpack = how(capsys, model)
    assert line.startswith("none, 2 threads: fastest measured on local, p50 50.0 us, run ")
    assert line.endswith(RUN_ID)
    assert (threads, xnnpack) == ("options.setNumThreads(2);", "options.setUseXNNPACK(false);")
    line, *_ = how(capsys, model, "--delegate", "xnnpack")
    assert line.startswith(
        "xnnpack, 1 thread: delegate as asked for; fastest measured on local, p50 7"
    )
    line, *_ = how(capsys, model, "--threads", "2", "--delegate", "xnnpack")
    assert "as asked for; measured on local, p50 80" in line
    line, *_ = how(capsys, model, "--threads", "3")
    assert line == "xnnpack, 3 threads: threads as asked for; not measured"


def test_another_file_or_a_simulated_run_is_no_evidence(
    model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    stored({case("fp32", "none", 1): 50.0}, sha256="1" * 64)
    assert how(capsys, model)[0] == "xnnpack, 1 thread: not measured"
    Path("runs.db").unlink()
    stored({case("fp32", "none", 1): 50.0}, simulated=True)
    assert how(capsys, model)[0] == "xnnpack, 1 thread: not measured"


def test_a_store_that_cannot_be_read_is_no_obstacle(
    model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("runs.db").write_bytes(b"no store")
    line, *_ = how(capsys, model, says="measured runs are left out")
    assert line == "xnnpack, 1 thread: not measured"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("flex.tflite", flex_model(), "needs TensorFlow ops (FlexErf)"),
        ("cut.tflite", DATA[:200], "fetch or convert it again"),
        ("text.tflite", b"no model", "the identifier TFL3 is missing"),
        ("absent.tflite", None, "no such file"),
    ],
)
def test_one_line_for_what_is_no_model(
    model: str, name: str, content: bytes | None, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        Path(name).write_bytes(content)
    assert main(["snippet", name, "--lang", "cpp"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err
    assert err.count("\n") == 1


def test_a_pipe_or_a_folder_does_not_hang(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo("pipe.tflite")
    assert main(["snippet", "pipe.tflite", "--lang", "cpp"]) == 2
    assert main(["snippet", ".", "--lang", "cpp"]) == 2
    assert main(["snippet", model, "--lang", "cobol"]) == 2
    assert main(["snippet", model]) == 2
    err = capsys.readouterr().err
    assert "no regular file" in err
    assert "a directory, no .tflite" in err
