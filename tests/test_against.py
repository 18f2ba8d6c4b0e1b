"""Old beside new in one run: which files and tools the old side is, and how it is measured."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from analysis import rounds, run_data, variant_record
from records import case, measurement
from test_session import Lab, ScriptRunner

from bench.against import old_of_files, old_of_run, with_old
from bench.cli.against import check_old_python
from bench.config import PlanConfig
from bench.errors import UserError
from bench.identity import Case, named_before
from bench.kept_files import KeptFiles
from bench.plan import Plan, all_cells, resolve, round_order
from bench.planfile import parse_plan
from bench.records import Failure, RunData
from bench.runners.base import LaunchFiles, LaunchSpec
from bench.slots import Slot
from devices.inventory import DeviceEntry

RUN = "0198a2b3-1234-7000-8000-000000000000"
OLD = "m @ 0198a2b3-1234"


def plan_of(folder: Path, *variants: str, models: tuple[str, ...] = ("m",), **measure: Any) -> Plan:
    """A plan on finished files of those variants."""
    for variant in variants:
        (folder / f"new-{variant}.tflite").write_bytes(f"new {variant}".encode())
    files = {variant: f"new-{variant}.tflite" for variant in variants}
    document = {
        "project": "p",
        "model": [{"name": name, "files": files} for name in models],
        "measure": {"threads": [1], **measure},
    }
    return resolve(parse_plan(document, where="plan"), folder)


def written(path: Path, content: bytes) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def run_of(folder: Path, *variants: str, **run: Any) -> RunData:
    """A run that measured `variants` from files in `<folder>/out`."""
    made = [
        variant_record(
            v, path=f"{v}.tflite", sha256=written(folder / "out" / f"{v}.tflite", v.encode())
        )
        for v in variants
    ]
    plan = PlanConfig(project="p", out="out", model=plan_of(folder, *variants).config.model)
    launches = {case(v): rounds(case(v), [1000.0] * 6) for v in variants}
    return run_data(launches, made=made, of=plan, run_id=RUN, root=str(folder), **run)


@pytest.fixture
def kept(tmp_path: Path) -> KeptFiles:
    return KeptFiles(tmp_path / "kept")


# --- Which files ---------------------------------------------------------------------------


def test_the_old_models_are_cases_of_the_same_rounds(tmp_path: Path, kept: KeptFiles) -> None:
    plan = plan_of(tmp_path, "fp32", "int8")
    old = old_of_run(plan, run_of(tmp_path, "fp32", "int8"), kept)
    both = with_old(plan, old)
    assert [model.name for model in both.config.model] == ["m", OLD]
    cells = [one for one, _ in all_cells(both)]
    assert {c.model for c in cells} == {"m", OLD}
    for one in cells:
        twin = OLD if one.model == "m" else "m"
        assert replace(one, model=twin) in cells
    first = [c.model for c in round_order(cells, lambda c: c.case_id, seed=0, index=0)]
    assert first != sorted(first)
    # What was recorded of it can be read again, and is the plan of no file.
    assert parse_plan(both.config.model_dump(mode="json"), where="record") == both.config
    with pytest.raises(UserError, match="run --against"):
        resolve(both.config, tmp_path)


def test_kept_files_come_first_and_their_last_place_after(tmp_path: Path, kept: KeptFiles) -> None:
    plan, data = plan_of(tmp_path, "fp32"), run_of(tmp_path, "fp32")
    place = tmp_path / "out/fp32.tflite"
    digest = str(data.variants[0].sha256)
    # From its last place, and kept from then on: a resumed run finds the same.
    assert old_of_run(plan, data, kept).files == {("m", "fp32"): kept.root / digest}
    place.unlink()
    assert old_of_run(plan, data, kept).files == {("m", "fp32"): kept.root / digest}


def test_a_file_that_is_nowhere_is_named_with_where_it_was(tmp_path: Path, kept: KeptFiles) -> None:
    plan, data = plan_of(tmp_path, "fp32"), run_of(tmp_path, "fp32")
    (tmp_path / "out/fp32.tflite").write_bytes(b"made again since")
    with pytest.raises(UserError) as error:
        old_of_run(plan, data, kept)
    message = str(error.value)
    assert str(data.variants[0].sha256)[:12] in message
    assert str(tmp_path / "out/fp32.tflite") in message
    assert "\n" not in message


def test_what_the_run_did_not_measure_is_measured_alone(tmp_path: Path, kept: KeptFiles) -> None:
    plan, data = plan_of(tmp_path, "fp32", "fp16", "int8"), run_of(tmp_path, "fp32", "int8")
    broken = replace(data.variants[1], failure=Failure("verify", "it is not"))
    old = old_of_run(plan, replace(data, variants=(data.variants[0], broken)), kept)
    assert set(old.files) == {("m", "fp32")}
    assert len(old.notes) == 2
    assert with_old(plan, old).variants == {"m": ("fp32", "fp16", "int8"), OLD: ("fp32",)}
    with pytest.raises(UserError, match="it has m fp32"):
        old_of_run(plan_of(tmp_path, "dynamic"), run_of(tmp_path, "fp32"), kept)


def test_a_file_stands_for_the_one_variant_or_the_one_in_its_name(tmp_path: Path) -> None:
    digest = written(tmp_path / "mine.tflite", b"old")
    old = old_of_files(plan_of(tmp_path, "int8"), tmp_path / "mine.tflite")
    assert old.files == {("m", "int8"): tmp_path / "mine.tflite"}
    assert named_before("m", old.run_id) == f"m @ {digest[:8]}-{digest[8:12]}"
    two = plan_of(tmp_path, "int8", "fp32")
    with pytest.raises(UserError, match=r"one of fp32, int8\), such as fp32\.tflite"):
        old_of_files(two, tmp_path / "mine.tflite")
    written(tmp_path / "int8.tflite", b"old")
    assert set(old_of_files(two, tmp_path / "int8.tflite").files) == {("m", "int8")}


def test_a_directory_has_one_for_each_variant(tmp_path: Path) -> None:
    folder = tmp_path / "old"
    for name in ("fp32.tflite", "int8-0123456789ab.tflite", "int8-qat.tflite", "readme.tflite"):
        written(folder / name, name.encode())
    plan = plan_of(tmp_path, "fp32", "int8", "fp16")
    old = old_of_files(plan, folder)
    assert {key: path.name for key, path in old.files.items()} == {
        ("m", "fp32"): "fp32.tflite",
        ("m", "int8"): "int8-0123456789ab.tflite",
    }
    assert len(old.notes) == 1
    assert "fp16" in old.notes[0]
    # Another content is another side.
    written(folder / "fp32.tflite", b"changed")
    assert old_of_files(plan, folder).run_id != old.run_id
    written(folder / "int8.tflite", b"twice")
    with pytest.raises(UserError, match="are both int8"):
        old_of_files(plan, folder)


def test_a_directory_of_several_models(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "fp32", models=("m", "n"))
    written(tmp_path / "old/m/fp32.tflite", b"m")
    written(tmp_path / "old/n/fp32.tflite", b"n")
    old = old_of_files(plan, tmp_path / "old")
    assert [model.name for model in with_old(plan, old).config.model][::2] == ["m", "n"]
    with pytest.raises(UserError, match="several models"):
        old_of_files(plan, tmp_path / "new-fp32.tflite")


@pytest.mark.parametrize("name", ["nothing.tflite", "plan.toml", "empty"])
def test_what_is_no_old_side(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError) as error:
        old_of_files(plan_of(tmp_path, "fp32"), tmp_path / name)
    assert "\n" not in str(error.value)


def test_a_name_that_is_too_long_is_refused(tmp_path: Path, kept: KeptFiles) -> None:
    name = "m" * 90
    plan = plan_of(tmp_path, "fp32", models=(name,))
    written(tmp_path / "old.tflite", b"old")
    with pytest.raises(UserError, match="too long"):
        with_old(plan, old_of_files(plan, tmp_path / "old.tflite"))


@pytest.mark.parametrize("name", [OLD, "a @ b @ 00000000-0000"])
def test_no_plan_may_use_such_a_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="run --against"):
        plan_of(tmp_path, "fp32", models=(name,))


# --- Which tools ---------------------------------------------------------------------------


def with_tool(data: RunData, kind: str, sha256: str) -> RunData:
    of = replace(data.cases[0].case, runner=kind)
    launches = [
        replace(x, case_id=of.case_id, environment={"runner_sha256": sha256, "runner": kind})
        for x in data.launches
    ]
    return replace(
        data,
        cases=(replace(data.cases[0], case=of),),
        launches=tuple(launches),
    )


def test_the_binary_of_then_is_taken_where_it_is_kept(tmp_path: Path, kept: KeptFiles) -> None:
    plan, data = plan_of(tmp_path, "fp32"), run_of(tmp_path, "fp32")
    digest = written(tmp_path / "tool", b"tool")
    lacking = old_of_run(plan, with_tool(data, "benchmark_model", digest), kept)
    assert lacking.tools == {}
    assert digest[:12] in lacking.notes[0]
    kept.keep(tmp_path / "tool", digest, link=False)
    found = old_of_run(plan, with_tool(data, "benchmark_model", digest), kept)
    assert found.tools == {("local", "benchmark_model"): kept.root / digest}
    assert found.notes == ()
    app = old_of_run(plan, with_tool(data, "benchmark_app", digest), kept)
    assert (app.tools, len(app.notes)) == ({}, 1)
    # A script is no binary: today's measures both sides.
    assert old_of_run(plan, with_tool(data, "invoke_loop", digest), kept).tools == {}


class Python(ScriptRunner):
    def prepare(self, spec: LaunchSpec) -> LaunchFiles:
        return LaunchFiles(("{python}", "-c", "print('measured')"), {}, {}, {})


def test_the_old_side_has_its_own_runner_and_interpreter(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    old = ScriptRunner("echo measured", measurement(2000.0))
    old.environment = {"runner_sha256": "o" * 64}
    lab.session.old_runners = {"invoke_loop": old}
    today, before = case(), replace(case(), model=OLD)

    def launched(of: Case) -> Any:
        return lab.session.launch(of, lab.files, index=0, position=0, attempt=0)

    assert launched(today).environment["runner_sha256"] == "r" * 64
    record = launched(before)
    assert record.environment["runner_sha256"] == "o" * 64
    assert record.measurement.p50_us == 2000.0

    link = tmp_path / "python-of-then"
    link.symlink_to(sys.executable)
    lab.session.old_runners = {}
    lab.session.runners = {"invoke_loop": Python("", measurement())}
    lab.session.old_python = str(link)
    slot = Slot(today, 1, 0, 0)
    assert lab.session.launch(today, lab.files, index=1, position=0, attempt=0).argv[0] == "python3"
    assert slot.index == 1
    record = lab.session.launch(before, lab.files, index=1, position=0, attempt=0)
    assert record.argv[0] == str(link)


def test_an_interpreter_of_this_machine_measures_no_other(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "fp32")
    link = tmp_path / "python"
    link.symlink_to(sys.executable)
    # One of a virtual environment is a link, and is another program where it is followed.
    assert check_old_python(plan, link) == link
    with pytest.raises(UserError, match="no program"):
        check_old_python(plan, tmp_path / "nothing")
    phone = DeviceEntry(name="pixel", kind="android", serial="x")
    with pytest.raises(UserError, match="pixel"):
        check_old_python(replace(plan, devices=(phone,)), link)
