"""Op profiles: the recorded ones, every layout printed and read back, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pytest
from ai_edge_litert import profiling_info_pb2
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from bench.errors import UnreadableOutput
from bench.ops.model import OpKind, OpProfile, OpRow, ProfileSource
from bench.parsers.op_profile import parse_profile_text
from bench.parsers.op_proto import parse_profile_proto
from devices.emulated.standin.profile import Event, Section

GOLDEN = Path(__file__).parent / "golden" / "benchmark_model"


def read(case: str, name: str = "stdout") -> OpProfile:
    content = (GOLDEN / case / name).read_bytes()
    found = parse_profile_proto(content) if name.endswith(".pb") else parse_text(content.decode())
    assert found is not None
    return found


def parse_text(text: str) -> OpProfile:
    found = parse_profile_text(text)
    assert found is not None
    return found


def total(profile: OpProfile) -> float:
    return sum(row.avg_us or 0 for table in profile.regular for row in table.rows)


class TestRecorded:
    """Figures checked by eye against the recorded files."""

    # Runs, rows, the sum of all rows in us as the tool's own line of timings has it.
    @pytest.mark.parametrize(
        ("case", "name", "source", "runs", "rows", "mean_us"),
        [
            ("04_fp32_opprof_stdout", "stdout", "stdout", 308, 66, 3137.07),
            ("04b_fp32_opprof_stdout_no_xnnpack", "stdout", "stdout", 30, 65, 33871.6),
            ("04c_small_opprof_stdout", "stdout", "stdout", 22506, 7, 16.2212),
            ("05a_opprof_csv_file", "out_profile.csv", "csv", 235, 66, 4088.17),
            ("05b_opprof_csv_nofile", "stdout", "csv", 16936, 7, 20.8224),
            ("05d_opprof_proto_file", "out_profile.pb", "proto", 241, 66, 4005.99),
            ("05e_opprof_proto_nofile", "stdout", "proto", 19899, 7, 18.2277),
            ("05j_opprof_csv_no_xnnpack", "out_profile.csv", "csv", 3301, 6, 272.27),
            ("05f_opprof_stdoutmode_file", "out_profile.txt", "stdout", 18116, 7, 21.0666),
            ("06b_int8_opprof", "stdout", "stdout", 623, 66, 1523.6),
            ("06e_dynamic_opprof_no_xnnpack", "stdout", "stdout", 20, 65, 56276.7),
            ("15f_small_profiling_buffer", "stdout", "stdout", 30, 65, 34047.2),
            ("15g_xnnpack_profiling_buffer_overflow", "stdout", "stdout", 26342, 6, 0.659289),
            ("15j_profiling_buffer_drop", "stdout", "stdout", 10, 3, 0.2),
            ("19b_litert_cpp_profiler", "stderr", "litert-summary", 479, 66, 1400256 / 479),
        ],
    )
    def test_the_rows_add_up_to_the_tools_own_mean(
        self, case: str, name: str, source: str, runs: int, rows: int, mean_us: float
    ) -> None:
        profile = read(case, name)
        assert (profile.source, profile.runs) == (ProfileSource(source), runs)
        assert len(profile.regular[0].rows) == rows
        assert total(profile) == pytest.approx(mean_us, rel=2e-4, abs=1e-3)

    def test_an_xnnpack_operator_and_an_op_of_the_runtime(self) -> None:
        rows = read("06b_int8_opprof").regular[0].rows
        assert rows[2].kind is OpKind.DELEGATE_OP
        assert rows[2].type == "Fully Connected (NC, QS8, QC8W) GEMM"
        assert rows[2].node is None
        assert rows[-1] == OpRow(
            OpKind.OP,
            "SOFTMAX",
            "[StatefulPartitionedCall:0]:64",
            avg_us=rows[-1].avg_us,
            first_us=4.0,
            times_called=1.0,
            node=64,
            order=65,
        )
        assert rows[-1].avg_us == pytest.approx(3.4, abs=0.1)

    def test_every_node_of_plain_kernels_is_there_in_order(self) -> None:
        rows = read("04b_fp32_opprof_stdout_no_xnnpack").regular[0].rows
        assert [row.node for row in rows] == [row.order for row in rows] == list(range(65))
        assert {row.kind for row in rows} == {OpKind.OP}

    def test_times_of_a_csv_file_are_those_that_it_says(self) -> None:
        profile = read("05j_opprof_csv_no_xnnpack", "out_profile.csv")
        rows = profile.regular[0].rows
        assert [row.avg_us for row in rows] == pytest.approx(
            [178.477, 81.787, 9.65889, 0.0481672, 2.13238, 0.166919], rel=1e-3
        )
        assert rows[0].first_us == 190.0

    def test_commas_of_types_and_names_stay(self) -> None:
        row = read("05b_opprof_csv_nofile").regular[0].rows[0]
        assert row.type == "Convolution (NHWC, F32) IGEMM"
        assert row.name == "Delegate/Convolution (NHWC, F32) IGEMM:0"

    def test_a_message_tells_the_extremes_and_its_text_the_same(self) -> None:
        row = read("05d_opprof_proto_file", "out_profile.pb").regular[0].rows[3]
        assert (row.first_us, row.min_us, row.max_us, row.std_us) == (153.0, 150.0, 1014.0, 145.0)
        assert read("05e_opprof_proto_nofile").regular[0].rows[5].max_us == 3285.0

    def test_preparation_has_phases_with_memory(self) -> None:
        for case, name, us, kib in [
            ("05d_opprof_proto_file", "out_profile.pb", 7774.0, 22688.0),
            ("05a_opprof_csv_file", "out_profile.csv", 10394.0, 22704.0),
        ]:
            first, second = read(case, name).init[0].rows
            assert first == OpRow(
                OpKind.PHASE,
                "ModifyGraphWithDelegate",
                "ModifyGraphWithDelegate/0",
                us,
                us,
                first.min_us,
                first.max_us,
                first.std_us,
                times_called=1.0,
                mem_kib=kib,
                order=0,
            )
            assert second.type == "AllocateTensors"

    def test_rows_of_several_partitions_are_sums_and_out_of_order(self) -> None:
        profile = read("15g_xnnpack_profiling_buffer_overflow")
        rows = profile.regular[0].rows
        assert rows[0].type == "Softmax (NC, F32)"  # the last to run
        assert {row.order for row in rows} == {None}
        # 23.228 % of 0.659289 us, of both calls; a single call's time is 0.000 ms.
        assert rows[1].avg_us == pytest.approx(0.15314, rel=1e-3)
        assert rows[1].times_called == 2.0
        assert rows[1].first_us is None
        assert any("order" in note for note in profile.notes)
        assert any("2 rows are each the sum" in note for note in profile.notes)

    def test_the_compiled_models_times_are_per_run(self) -> None:
        profile = read("19b_litert_cpp_profiler", "stderr")
        row = profile.regular[0].rows[0]
        assert row.type == "Convolution (NHWC, F32) IGEMM"
        assert row.avg_us == pytest.approx(46608 / 479, rel=1e-3)  # by its delegate statistics
        assert row.times_called == 1.0
        assert any("warm-up" in note for note in profile.notes)

    @pytest.mark.parametrize("case", ["01_fp32_default", "05h_opprof_mode_json_profiling_disabled"])
    def test_none_where_there_is_no_profile(self, case: str) -> None:
        assert parse_profile_text((GOLDEN / case / "stdout").read_text()) is None

    def test_dropped_events_are_told_where_the_log_stands_beside(self) -> None:
        case = GOLDEN / "15j_profiling_buffer_drop"
        text = (case / "stdout").read_text()
        assert parse_text(text).complete
        found = parse_text((case / "stderr").read_text() + text)
        assert not found.complete
        assert "ops are missing: the tool's profiler ran out of room" in found.notes

    def test_a_store_keeps_it(self) -> None:
        adapter = TypeAdapter(OpProfile)
        profile = read("06b_int8_opprof")
        assert adapter.validate_json(adapter.dump_json(profile)) == profile


# --- Layouts printed here ------------------------------------------------------------------

OLD = ("[node type]", "[start]", "[first]", "[avg ms]", "[%]", "[cdf%]", "[mem KB]")
BANNER = "=" * 30


def old_table(rows: Sequence[tuple[str, int, str]], *, csv: bool = False) -> str:
    """As TensorFlow 1.x printed it: type, us of the only run, name; with a column [start]."""
    whole = sum(us for _, us, _ in rows)
    lines = [f"{BANNER} Run Order {BANNER}"]
    if csv:
        lines.append("node type, start, first, avg_ms, %, cdf%, mem KB, times called, name")
    else:
        lines.append("".join(f"\t{word:>17}" for word in (*OLD, "[times called]")) + "\t[Name]")
    start = 0
    for kind, us, name in rows:
        share = f"{us * 100 / whole:.6g}%" if whole else "-nan%"
        cells = [f"{start / 1000:.3f}", f"{us / 1000:.3f}", f"{us / 1000:.3f}", share, share]
        cells += ["0.000", "1"]
        if csv:
            lines.append(", ".join((kind, *cells, name)))
        else:
            lines.append("".join(f"\t{word:>17}" for word in (kind, *cells)) + f"\t{name}")
        start += us
    lines += ["", f"Number of nodes executed: {len(rows)}"]
    lines += [f"Timings (microseconds): count=1 curr={whole}", "Memory (bytes): count=0"]
    return "\n".join((*lines, f"{len(rows)} nodes observed", ""))


@pytest.mark.parametrize("csv", [False, True])
def test_tensorflow_1_has_a_start_and_no_index(csv: bool) -> None:
    rows = [("CONV_2D", 700, "[conv/Relu, other]"), ("SOFTMAX", 3, "[Softmax]")]
    profile = parse_text(f"STARTING!\n{old_table(rows, csv=csv)}\n")
    assert profile.init == ()
    assert [(r.kind, r.type, r.avg_us, r.name, r.node) for r in profile.regular[0].rows] == [
        (OpKind.OP, "CONV_2D", 700.0, "[conv/Relu, other]", None),
        (OpKind.OP, "SOFTMAX", 3.0, "[Softmax]", None),
    ]
    assert profile.runs == 1


def test_subgraphs_and_the_inside_of_a_delegate() -> None:
    main = old_table([("WHILE", 90, "[out]:0"), ("TfLiteGpuDelegateV2", 10, "[a]:9")])
    body = old_table([("ADD", 40, "[sum]:0")]).replace(
        "Timings", "Subgraph (index: 2, name: while (body)) Timings"
    )
    inner = old_table([("DelegateOpInvoke", 8, "Delegate/conv, fused:3")])
    text = (
        "INFO: Operator-wise Profiling Info for Regular Benchmark Runs:\n"
        f"Primary graph (name: main) profile:\n{main}\n"
        f"Subgraph (index: 2, name: while (body)) profile:\n{body}\n"
        f"Delegate internal: \n{inner}\n"
    )
    tables = parse_text(text).regular
    assert [(t.subgraph, t.name, t.inside_delegate) for t in tables] == [
        (0, "main", False),
        (2, "while (body)", False),
        (0, "", True),
    ]
    assert [row.kind for row in tables[0].rows] == [OpKind.OP, OpKind.DELEGATE]
    assert [row.node for row in tables[0].rows] == [0, None]
    row = tables[2].rows[0]
    assert (row.kind, row.type, row.avg_us) == (OpKind.DELEGATE_OP, "conv, fused", 8.0)
    # The tool counts the calls of all subgraphs as one.
    assert row.order is None


def test_line_ends_of_an_adb_shell_change_nothing() -> None:
    text = (GOLDEN / "06b_int8_opprof" / "stdout").read_text()
    assert parse_text(text.replace("\n", "\r\n")) == parse_text(text)


# --- Printed by the stand-in, which knows the truth -----------------------------------------

# Any text that a model may give a tensor, but a line's end.
NAMES = st.text(
    st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\u2028\u2029\x85"),
    min_size=1,
    max_size=12,
)
OPS = st.sampled_from(["CONV_2D", "SOFTMAX", "ADD", "Flex, 1 (x)"])
INNER = st.sampled_from(["Add (ND)", "Convolution (NHWC, F32) IGEMM", "Max Pooling (NHWC, F32)"])


@st.composite
def events(draw: st.DrawFn) -> tuple[list[Event], int]:
    runs = draw(st.integers(1, 6))
    times = st.lists(st.one_of(st.just(0), st.integers(0, 2_000_000)), min_size=runs, max_size=runs)
    found = []
    for index in range(draw(st.integers(1, 8))):
        if draw(st.booleans()):
            found.append(Event(draw(OPS), f"[{draw(NAMES)}]:{index}", draw(times)))
        else:
            kind = draw(INNER)
            place = draw(st.integers(0, 2))
            found.append(Event(kind, f"Delegate/{kind}:{place}", draw(times)))
    return found, runs


def truth(found: Sequence[Event], runs: int) -> dict[str, float]:
    sums: dict[str, float] = {}
    for event in found:
        sums[event.name] = sums.get(event.name, 0.0) + sum(event.times_us) / runs
    return sums


def headed(section: Section, *, csv: bool) -> str:
    return (
        f"INFO: Operator-wise Profiling Info for Regular Benchmark Runs:\n{section.text(csv=csv)}"
    )


@given(events(), st.booleans())
@settings(max_examples=150, deadline=None)
def test_what_is_printed_is_read_back(printed: tuple[list[Event], int], csv: bool) -> None:
    found, runs = printed
    profile = parse_text(headed(Section(found, runs), csv=csv))
    assert profile.runs == runs
    rows = {row.name: row for row in profile.regular[0].rows}
    wanted = truth(found, runs)
    assert set(rows) == set(wanted)
    whole = sum(wanted.values())
    for name, us in wanted.items():
        assert rows[name].avg_us == pytest.approx(us, rel=3e-5, abs=1e-5 * whole + 1e-3)
        calls = sum(event.name == name for event in found)
        assert rows[name].times_called in (calls, None)
    for row in rows.values():
        assert (row.node is None) == (row.kind is not OpKind.OP)
    order = [row.order for row in profile.regular[0].rows]
    if None not in order:
        assert [row.name for row in profile.regular[0].rows] == [event.name for event in found]
        assert order == sorted(order)
    assert not any("differ in" in note or "speaks" in note for note in profile.notes)


@given(events())
@settings(max_examples=100, deadline=None)
def test_what_is_written_is_read_back_exactly(written: tuple[list[Event], int]) -> None:
    found, runs = written
    message = profiling_info_pb2.BenchmarkProfilingData()
    Section(found, runs).fill(message.runtime_profile)
    profile = parse_profile_proto(message.SerializeToString())
    assert profile.runs == runs
    rows = {row.name: row for row in profile.regular[0].rows}
    assert {n: row.avg_us for n, row in rows.items()} == pytest.approx(truth(found, runs), abs=1e-4)
    first = {name: k for k, name in reversed(list(enumerate(event.name for event in found)))}
    assert {name: row.order for name, row in rows.items()} == first
    assert parse_profile_text(f"STARTING!\nINFO: {message}\nINFO: more\n") == profile


@given(events(), st.data())
@settings(max_examples=100, deadline=None)
def test_nothing_that_is_cut_off_is_read(
    printed: tuple[list[Event], int], data: st.DataObject
) -> None:
    section = Section(*printed)
    text = headed(section, csv=data.draw(st.booleans()))
    start = text.index(BANNER) + 2 * len(BANNER) + len(" Run Order \n")
    cut = text[: data.draw(st.integers(start, text.rindex(" nodes observed") - 1))]
    with pytest.raises(UnreadableOutput):
        parse_profile_text(cut)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_profile_or_unreadable(data: bytes) -> None:
    with pytest.raises(UnreadableOutput):
        parse_profile_proto(data)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_damage_is_never_another_error(data: st.DataObject) -> None:
    whole = (GOLDEN / "05d_opprof_proto_file" / "out_profile.pb").read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    bad = whole[:at] + data.draw(st.binary(max_size=3)) + whole[at + data.draw(st.integers(0, 3)) :]
    try:
        profile = parse_profile_proto(bad)
    except UnreadableOutput:
        return
    assert all(math.isfinite(row.avg_us or 0) for row in profile.regular[0].rows)


LAYOUTS = [
    ("06b_int8_opprof", "stdout"),
    ("05j_opprof_csv_no_xnnpack", "out_profile.csv"),
    ("05e_opprof_proto_nofile", "stdout"),
    ("19b_litert_cpp_profiler", "stderr"),
]


@given(st.sampled_from(LAYOUTS), st.data())
@settings(max_examples=200, deadline=None)
def test_damage_of_a_text_is_never_another_error(
    layout: tuple[str, str], data: st.DataObject
) -> None:
    whole = (GOLDEN / layout[0] / layout[1]).read_text()
    at = data.draw(st.integers(0, len(whole) - 1))
    put = data.draw(
        st.sampled_from(["9" * 30, "e999", "\n", "\t", "-nan", "0", ", ", " ", "{", "}"])
    )
    bad = whole[:at] + put + whole[at + data.draw(st.integers(0, 9)) :]
    try:
        profile = parse_profile_text(bad)
    except UnreadableOutput:
        return
    for table in profile.regular if profile else ():
        for row in table.rows:
            for value in (row.avg_us, row.first_us, row.mem_kib, row.times_called):
                assert value is None or 0 <= value < math.inf


def test_a_long_line_is_refused_at_once() -> None:
    text = (GOLDEN / "06b_int8_opprof" / "stdout").read_text()
    at = text.index("\t                 ModifyGraph")
    for filling in (" " * 100_000, "1 " * 50_000, "\t " * 50_000):
        with pytest.raises(UnreadableOutput):
            parse_profile_text(f"{text[:at]}\t{filling}x\n{text[at:]}")


class TestRefused:
    def test_a_line_of_a_table_that_cannot_be_read(self) -> None:
        text = (GOLDEN / "06b_int8_opprof" / "stdout").read_text()
        broken = text.replace("\t    0.004", "\t    0,004", 1)
        assert broken != text
        with pytest.raises(UnreadableOutput, match="a line of a profile cannot be read"):
            parse_profile_text(broken)

    def test_a_column_that_nobody_knows(self) -> None:
        text = (GOLDEN / "06b_int8_opprof" / "stdout").read_text().replace("[mem KB]", "[joule]")
        with pytest.raises(UnreadableOutput, match="header"):
            parse_profile_text(text)

    def test_two_profiles_at_once(self) -> None:
        text = (GOLDEN / "06b_int8_opprof" / "stdout").read_text()
        with pytest.raises(UnreadableOutput, match="more than one profile"):
            parse_profile_text(text * 2)

    def test_a_profile_of_preparation_only(self) -> None:
        text = (GOLDEN / "06b_int8_opprof" / "stdout").read_text()
        half = text[: text.index("INFO: Operator-wise")]
        with pytest.raises(UnreadableOutput, match="no ops of measured runs"):
            parse_profile_text(half)

    def test_an_op_of_a_message_whose_figures_contradict_each_other(self) -> None:
        message = profiling_info_pb2.BenchmarkProfilingData()
        Section([Event("ADD", "[a]:0", [5, 7])], 2).fill(message.runtime_profile)
        row = message.runtime_profile.subgraph_profiles[0].per_op_profiles[0]
        row.inference_microseconds.sum = 100
        with pytest.raises(UnreadableOutput, match="contradicts itself"):
            parse_profile_proto(message.SerializeToString())


class TestContradictions:
    """What tables say against each other is told, and no table is dropped."""

    def test_a_row_that_is_not_there(self) -> None:
        text = (GOLDEN / "04c_small_opprof_stdout" / "stdout").read_text()
        at = text.index("INFO: Operator-wise")
        lines = text[at:].split("\n")
        del lines[3]
        notes = parse_text(text[:at] + "\n".join(lines)).notes
        assert "runs: the tool speaks of 7 nodes and lists 6 rows" in notes
        assert any("tables by order and by time differ in Convolution" in note for note in notes)
        assert any("the summary by type counts other rows" in note for note in notes)

    def test_an_op_that_is_not_in_every_run(self) -> None:
        rare = Section([Event("IF", "[a]:0", [5, 7, 9]), Event("ADD", "[b]:1", [3, 3, 3])], 3)
        rare.by_order()[1].calls_us.pop()
        rare.totals_us[-1] -= 3
        profile = parse_text(headed(rare, csv=True))
        row = profile.regular[0].rows[1]
        assert (row.avg_us, row.times_called) == (pytest.approx(2.0, rel=1e-4), None)
        assert any("not called equally often" in note for note in profile.notes)
