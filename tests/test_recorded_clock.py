"""Recordings of known launches: exactly the samples, or a reason, whatever was done to them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bench.parsers.count_line import CountLine
from bench.parsers.recorded_clock import MIN_RUNS, Rebuilt, rebuild
from tests.clock_recordings import TOOL, Launch, Read, launch, recording

# From 2 us on, so that a run is longer than the gaps between reads.
durations = st.integers(2_000, 60_000_000)
parts = st.tuples(
    st.lists(durations, min_size=0, max_size=20),
    st.lists(durations, min_size=MIN_RUNS, max_size=40),
)
gaps = st.lists(st.integers(0, 900), min_size=1, max_size=7)


@st.composite
def launches(draw: st.DrawFn, reads_per_run: int = 3) -> Launch:
    warmup, samples = draw(parts)
    made = launch(
        warmup,
        samples,
        gaps_ns=draw(gaps),
        base_ns=draw(st.integers(0, 10**14)),
        reads_per_run=reads_per_run,
    )
    assume(made.measured.avg is not None)
    return made


def rebuilt(made: Launch, content: bytes) -> Rebuilt:
    found = rebuild(content, made.warmup, made.measured)
    assert isinstance(found, Rebuilt), found
    return found


def is_exact(made: Launch, found: Rebuilt) -> bool:
    samples: list[int] = found.samples_ns.tolist()
    warmup: list[int] = found.warmup_ns.tolist()
    return (samples, warmup) == (made.samples_ns, made.warmup_ns)


def never_wrong(made: Launch, content: bytes) -> None:
    """Either refused, or no figure off by what whole us could have shown."""
    found = rebuild(content, made.warmup, made.measured)
    if isinstance(found, str):
        return
    for truth, samples in ((made.samples_ns, found.samples_ns), (made.warmup_ns, found.warmup_ns)):
        assert len(truth) == len(samples)
        error = np.abs(np.sort(samples) - np.sort(np.array(truth, dtype=np.int64)))
        assert (error < 2_000).all()


@given(launches())
def test_the_tools_own_reads_give_every_sample(made: Launch) -> None:
    found = rebuilt(made, recording(made.reads))
    assert is_exact(made, found)
    assert found.samples_ns.dtype == np.int64
    assert found.call_site == TOOL[1]
    assert found.reads == len(made.stamps_ns)


@given(launches(reads_per_run=4))
def test_a_paced_tool_reads_four_times_per_run(made: Launch) -> None:
    assert is_exact(made, rebuilt(made, recording(made.reads)))


@given(launches(), st.data())
def test_reads_of_others_do_not_matter(made: Launch, data: st.DataObject) -> None:
    reads: list[Read] = []
    other = st.sampled_from([(0x7000, 0x500), (0x8000, 0x500), (0x8000, TOOL[1]), (0x9000, 0x600)])
    for read in made.reads:
        reads.append(read)
        for who in data.draw(st.lists(other, max_size=3)):
            reads.append((*who, read[2] + 10))
    assert is_exact(made, rebuilt(made, recording(reads)))


@given(launches())
def test_a_tool_that_reads_from_several_places_is_found_by_its_thread(made: Launch) -> None:
    reads = [(TOOL[0], 0x400 + i % 3, ns) for i, ns in enumerate(made.stamps_ns)]
    found = rebuilt(made, recording(reads))
    assert is_exact(made, found)
    assert found.call_site is None


@given(launches())
def test_an_older_tool_without_percentiles_proves_itself_too(made: Launch) -> None:
    lines = [
        dataclasses.replace(line, p5=None, median=None, p95=None)
        for line in (made.warmup, made.measured)
    ]
    found = rebuild(recording(made.reads), *lines)
    assert isinstance(found, Rebuilt)
    assert is_exact(made, found)


@pytest.mark.parametrize("days", [1, 99, 102, 150, 203, 210, 400, 3000])
def test_long_uptimes_round_as_the_tool_rounds(days: int) -> None:
    rng = np.random.default_rng(days)
    samples = rng.integers(20_000, 40_000, 3000).tolist()
    made = launch(samples[:500], samples, gaps_ns=(131, 977, 66), base_ns=days * 86_400 * 10**9)
    assert is_exact(made, rebuilt(made, recording(made.reads)))


def one_launch() -> Launch:
    rng = np.random.default_rng(1)
    samples = (20_000 + rng.exponential(3_000, 200)).astype(np.int64).tolist()
    return launch(samples[:50], samples)


MADE = one_launch()
CONTENT = recording(MADE.reads)


def test_what_never_loses_a_read_may_step_back_before_the_recording_began() -> None:
    content = recording(MADE.reads, base_ns=MADE.stamps_ns[0] + 10**9)
    assert is_exact(MADE, rebuilt(MADE, content))


@given(st.integers(0, len(CONTENT) * 8 - 1))
def test_a_bit_that_fell_over_is_seen(bit: int) -> None:
    content = bytearray(CONTENT)
    content[bit // 8] ^= 1 << bit % 8
    assert isinstance(rebuild(bytes(content), MADE.warmup, MADE.measured), str)


@given(st.integers(0, len(CONTENT) - 1))
def test_a_recording_cut_anywhere_is_refused(length: int) -> None:
    assert isinstance(rebuild(CONTENT[:length], MADE.warmup, MADE.measured), str)


@given(st.binary(max_size=300))
def test_anything_else_is_refused(content: bytes) -> None:
    assert isinstance(rebuild(content, MADE.warmup, MADE.measured), str)
    assert isinstance(rebuild(CONTENT[:32] + content, MADE.warmup, MADE.measured), str)


def test_words_that_changed_places_are_seen() -> None:
    content = CONTENT[:800] + CONTENT[808:816] + CONTENT[800:808] + CONTENT[816:]
    reason = rebuild(content, MADE.warmup, MADE.measured)
    assert reason == "the recording is damaged: its sums are wrong"


# From here on a library that lies: the sums of the file are right.


@settings(max_examples=200)
@given(launches(), st.data())
def test_lost_added_doubled_and_swapped_reads_never_give_a_wrong_sample(
    made: Launch, data: st.DataObject
) -> None:
    reads = made.reads
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(reads) - 2))
        what = data.draw(st.sampled_from(["lose", "double", "add", "swap", "elsewhere"]))
        if what == "lose":
            del reads[at]
        elif what == "double":
            reads.insert(at, reads[at])
        elif what == "add":
            ns = data.draw(st.integers(reads[at][2], max(reads[at][2], reads[at + 1][2])))
            reads.insert(at + 1, (*TOOL, ns))
        elif what == "swap":
            reads[at], reads[at + 1] = reads[at + 1], reads[at]
        else:
            reads[at] = (TOOL[0], 0x999, reads[at][2])
    never_wrong(made, recording(reads))


@given(launches(), st.floats(0.2, 5))
def test_another_rate_is_refused_where_whole_us_can_show_it(made: Launch, rate: float) -> None:
    first = made.stamps_ns[0]
    reads = [(*TOOL, first + round((ns - first) * rate)) for ns in made.stamps_ns]
    found = rebuild(recording(reads), made.warmup, made.measured)
    if isinstance(found, Rebuilt):
        mean = np.mean(made.samples_ns)
        assert abs(found.samples_ns.mean() - mean) <= 2_000 + 1e-5 * mean


@given(launches(), st.integers(1, 10**9), st.data())
def test_a_clock_that_goes_back_is_refused(made: Launch, by: int, data: st.DataObject) -> None:
    at = data.draw(st.integers(3, len(made.stamps_ns) - 1))
    assume(made.stamps_ns[at] - by < made.stamps_ns[at - 1])
    reads = [(*TOOL, ns - by * (i >= at)) for i, ns in enumerate(made.stamps_ns)]
    assert isinstance(rebuild(recording(reads), made.warmup, made.measured), str)


@given(launches(), launches())
def test_lines_of_another_launch_give_its_own_runs_or_nothing(made: Launch, other: Launch) -> None:
    found = rebuild(recording(made.reads), other.warmup, other.measured)
    if isinstance(found, Rebuilt):
        assert found.samples_ns.tolist() == made.samples_ns[-other.measured.count :]


def test_lines_of_another_launch_are_refused() -> None:
    other = launch(MADE.warmup_ns, [ns + 1_000 for ns in MADE.samples_ns])
    assert isinstance(rebuild(CONTENT, other.warmup, other.measured), str)
    assert isinstance(rebuild(CONTENT, MADE.measured, MADE.warmup), str)


@given(
    launches(),
    st.sampled_from([f.name for f in dataclasses.fields(CountLine)]),
    st.sampled_from(["warmup", "measured"]),
    st.integers(2, 50),
)
def test_one_figure_that_differs_is_enough(made: Launch, name: str, part: str, by: int) -> None:
    line = getattr(made, part)
    value = getattr(line, name)
    assume(value is not None)
    lines = {"warmup": made.warmup, "measured": made.measured}
    # The mean has six digits; a step of one in the sixth has to count.
    step = value * 2e-5 if name == "avg" else by
    lines[part] = dataclasses.replace(line, **{name: value + step})
    assert isinstance(rebuild(recording(made.reads), **lines), str)


def test_figures_that_two_readers_give_are_refused() -> None:
    """The same whole us, other nanoseconds."""
    samples = [20_000, 30_000] * 10
    one = launch(samples, samples, base_ns=10**12, gaps_ns=(1_000,))
    longer = [ns + 30 if i % 3 == 1 else ns for i, ns in enumerate(samples)]
    other = launch(longer, longer, base_ns=2 * 10**12, gaps_ns=(1_000,))
    assert (one.warmup, one.measured) == (other.warmup, other.measured)
    reads = one.reads + [(0x8000, 0x500, ns) for ns in other.stamps_ns]
    reason = rebuild(recording(reads), one.warmup, one.measured)
    assert reason == "more than one reader's reads give the printed figures"


def test_reads_after_the_measured_runs_are_refused() -> None:
    reads = [*MADE.reads, (*TOOL, MADE.stamps_ns[-1] + 500)]
    reason = rebuild(recording(reads), MADE.warmup, MADE.measured)
    assert reason == "no reads of the recording give the printed figures"


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        ([20_000, 30_000], "2 runs are too little proof; it takes 10"),
        ([20_000] * 50, "all runs took the same number of whole us, which proves too little"),
        ([300, 1_400] * 50, "runs under 2 us are too short to prove in whole us"),
    ],
)
def test_too_little_proof_is_named(samples: list[int], reason: str) -> None:
    # Gaps of whole us, so that equal samples are equal in whole us too.
    made = launch([20_000, 30_000], samples, gaps_ns=(1_000,), base_ns=10**12)
    assert rebuild(recording(made.reads), made.warmup, made.measured) == reason


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the recording is cut short"),
        (CONTENT[:-16], "the recording is not as long as it says"),
        (b"\x7fELF" + CONTENT[4:], "the recording is of an unknown format"),
        (recording(MADE.reads, dropped=7), "the recording was full: 7 reads are missing after 754"),
        (recording([]), "no reads of the recording give the printed figures"),
        (recording(MADE.reads[:-9]), "no reads of the recording give the printed figures"),
    ],
)
def test_what_is_wrong_with_a_recording_is_named(content: bytes, reason: str) -> None:
    assert rebuild(content, MADE.warmup, MADE.measured) == reason
