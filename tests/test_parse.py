"""`edgebench parse` over every recorded output, in every order, and what must not be placed."""

from __future__ import annotations

import dataclasses
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import UserError
from bench.parse.read import parse_files

GOLDEN = Path(__file__).parent / "golden"
INPUTS = GOLDEN / "benchmark_model"
CASES = sorted(path.stem for path in (GOLDEN / "parse").glob("*.json"))
# Of some cases the tool also wrote a file that tells more.
BESIDE = {
    "05a_opprof_csv_file": "out_profile.csv",
    "05d_opprof_proto_file": "out_profile.pb",
    "05f_opprof_stdoutmode_file": "out_profile.txt",
    "05j_opprof_csv_no_xnnpack": "out_profile.csv",
    "14b_model_runtime_info": "out_runtime_info.pb",
    "19l_litert_cpp_runtime_info": "out_runtime_info.pb",
}
Files = list[tuple[str, bytes]]


def recorded(case: str) -> Files:
    """The files of a case as a user would give them."""
    suffix = case.rpartition(".")[2] if "." in case else ""
    case = case.partition(".")[0]
    names = ["stdout", "stderr"]
    if suffix in ("cpu", "gpu"):
        names = [f"{name}_{suffix}" for name in names]
    if suffix == "files":
        names.append(BESIDE[case])
    return [(name, (INPUTS / case / name).read_bytes()) for name in names]


def read(files: Files) -> list[dict[str, Any]]:
    """As `--json` prints it, without the names of the files."""
    runs = json.loads(json.dumps([dataclasses.asdict(run) for run in parse_files(files)]))
    for run in runs:
        del run["files"]
    return runs  # type: ignore[no-any-return]


def read_one(*texts: str) -> dict[str, Any]:
    runs = read([(f"file {k}", text.encode()) for k, text in enumerate(texts)])
    assert len(runs) == 1
    return runs[0]


def delegation(run: dict[str, Any], name: str) -> dict[str, Any]:
    return next(d for d in run["delegations"] if d["requested"] == name)


def in_turn(*contents: bytes) -> bytes:
    """Line by line, the first first."""
    streams = [content.splitlines(keepends=True) for content in contents]
    longest = max(map(len, streams))
    return b"".join(s[k] for k in range(longest) for s in streams if k < len(s))


def at_random(seed: int, *contents: bytes) -> bytes:
    """Each stream in its own order, one among the other by chance."""
    streams = [content.splitlines(keepends=True) for content in contents]
    order = [k for k, stream in enumerate(streams) for _ in stream]
    random.Random(seed).shuffle(order)
    return b"".join(streams[k].pop(0) for k in order)


def golden(case: str) -> list[dict[str, Any]]:
    return json.loads((GOLDEN / "parse" / f"{case}.json").read_text())  # type: ignore[no-any-return]


@pytest.mark.parametrize("case", CASES)
def test_a_recording_tells_what_was_checked_by_eye(case: str) -> None:
    assert read(recorded(case)) == golden(case)


def test_every_recording_has_a_golden_result() -> None:
    inputs = {path.parent.name for path in INPUTS.glob("*/stdout*")}
    assert inputs == {case.partition(".")[0] for case in CASES}


def test_the_figures_are_those_that_other_code_found_in_the_text() -> None:
    """expected.json was made by splitting words, with no code of the project."""
    expected = json.loads((INPUTS / "expected.json").read_text())
    compared = 0
    for case in set(expected) & set(CASES):
        (run,) = golden(case)
        counts = [count for count in expected[case]["counts"] if count["count"]]
        for figures, count in zip((run["warmup_us"], run["latency_us"]), counts, strict=False):
            if figures is None:
                assert run["failure"]["kind"] == "invoke"
                continue
            compared += 1
            for ours, theirs in (("p50", "median"), *((k, k) for k in ("p5", "p95", "count"))):
                assert figures[ours] == count[theirs], case
            for name in ("first", "min", "max", "avg", "std"):
                assert figures[name] == count.get(name, 0 if name == "std" else count["curr"])
        assert len(counts) == 2 or run["latency_us"] is None
        if expected[case]["init_ms"] is not None:
            assert run["init_us"] == pytest.approx(expected[case]["init_ms"] * 1e3)
        asked = " ".join(d["requested"] for d in run["delegations"] if d["explicit"])
        for delegate, _, kernels in expected[case]["applied"]:
            assert delegate.lower() in asked
            assert kernels in (None, *(d["kernels"] for d in run["delegations"]))
    assert compared > 150


@pytest.mark.parametrize("case", [case for case in CASES if "." not in case])
def test_the_order_and_mixture_of_the_streams_changes_nothing(case: str) -> None:
    (_, out), (_, err) = recorded(case)
    expected = golden(case)
    assert read([("a", err), ("b", out)]) == expected
    for text in (
        out + err,
        err + out,
        in_turn(out, err),
        in_turn(err, out),
        at_random(1, out, err),
    ):
        assert read([("both", text)]) == expected


# What tells apart whose log a line is of: one kind of tool, and each with a log of its own.
CLASSIC = [case for case in CASES if "." not in case and case[:2] not in ("17", "19", "20")]
WITH_LOG = [case for case in CLASSIC if (INPUTS / case / "stderr").stat().st_size]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(WITH_LOG), min_size=2, max_size=3), st.data())
def test_several_runs_in_one_file_are_told_apart(cases: list[str], data: st.DataObject) -> None:
    pairs = [(recorded(case)[0][1], recorded(case)[1][1]) for case in cases]
    expected = [run for case in cases for run in golden(case)]
    texts = {
        "out first": b"".join(out + err for out, err in pairs),
        "log first": b"".join(err + out for out, err in pairs),
        "in turn": b"".join(in_turn(out, err) for out, err in pairs),
    }
    how = data.draw(st.sampled_from(sorted(texts)))
    assert read([("all", texts[how])]) == expected


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.sampled_from([case for case in CASES if "." not in case]), max_size=4), st.data()
)
def test_several_files_hold_all_runs_in_order(cases: list[str], data: st.DataObject) -> None:
    files: Files = []
    for case in cases:
        (_, out), (_, err) = recorded(case)
        together = data.draw(st.booleans())
        files += [("x", out + err)] if together else [("o", out), ("e", err)]
    if cases:
        assert read(files) == [run for case in cases for run in golden(case)]


class TestWhatHasNoPlace:
    def test_a_text_of_no_tool_names_its_first_line(self) -> None:
        with pytest.raises(UserError, match=r"notes.txt:3: .*'hello there'"):
            parse_files([("notes.txt", b"\n\nhello there\nand more\n")])

    def test_an_empty_file(self) -> None:
        for files in ([("a", b"")], [("a", b""), ("b", b"\n \n")]):
            with pytest.raises(UserError, match="a: empty"):
                parse_files(files)

    def test_an_empty_file_is_the_other_stream_of_a_run(self) -> None:
        out = recorded("01_fp32_default")[0][1]
        log = recorded("07v1_verboselog_default")[1][1]
        one, two = read([("o", out), ("e", b""), ("o", out), ("e", log)])
        assert one["delegations"] == []
        assert two["delegations"][0]["verdict"] == "FULL"

    def test_a_line_that_begins_like_a_known_one_and_goes_on_otherwise(self) -> None:
        out = recorded("01_fp32_default")[0][1]
        for old, new in ((b"avg=5314.73", b"avg=5.3.14"), (b"24.845ms", b"24.845 ms")):
            with pytest.raises(UserError, match="cannot be read"):
                parse_files([("a", out.replace(old, new))])

    def test_figures_that_contradict_each_other(self) -> None:
        out = recorded("01_fp32_default")[0][1]
        with pytest.raises(UserError, match="contradict"):
            parse_files([("a", out.replace(b"max=131504", b"max=3000"))])

    def test_a_log_between_several_runs_of_one_file(self) -> None:
        (_, out), (_, err) = recorded("01_fp32_default")
        with pytest.raises(UserError, match="holds several runs"):
            parse_files([("a", out + out), ("log", err)])

    def test_two_logs_for_one_run(self) -> None:
        (_, out), (_, err) = recorded("01_fp32_default")
        with pytest.raises(UserError, match="no run begins in it"):
            parse_files([("a", out), ("log", err), ("other log", err)])

    def test_a_binary_that_is_none_of_the_tools(self) -> None:
        with pytest.raises(UserError, match="binary"):
            parse_files([("a.png", b"\x89PNG\0\0\0\1 and so on")])

    def test_damage_inside_a_text_never_becomes_another_number(self) -> None:
        out = recorded("01_fp32_default")[0][1]
        for end in range(0, len(out), 7):
            try:
                runs = read([("a", out[:end])])
            except UserError:
                continue
            latency = runs[0]["latency_us"]
            assert latency in (None, golden("01_fp32_default")[0]["latency_us"])
            assert latency is not None or runs[0]["failure"] is not None
            if end < out.index(b"Inference timings"):
                assert runs[0]["failure"] is not None


def test_no_silent_fallback_passes_as_the_delegate() -> None:
    fallbacks = [
        case
        for case in CASES
        if case[:3]
        in {
            "07a",
            "07b",
            "07c",
            "07f",
            "07g",
            "07h",
            "07i",
            "07j",
            "07k",
            "07u",
            "17b",
            "19g",
            "20b",
            "20d",
            "20e",
        }
    ]
    assert len(fallbacks) == 15
    for case in fallbacks:
        asked = golden(case)[0]["delegations"][0]
        assert asked["requested"] != "xnnpack", case
        assert asked["verdict"] in ("NONE", "UNKNOWN"), case


def test_profiled_times_are_marked_wherever_there_are_ops() -> None:
    profiled = [run for case in CASES for run in golden(case) if run["ops"] and run["latency_us"]]
    assert len(profiled) > 12
    assert {run["latency_us"]["source"] for run in profiled} == {"tool-profiled"}
