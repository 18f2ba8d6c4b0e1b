"""A store as pandas frames: read-only, tidy, units in the names.

    import bench

    results = bench.load("edgebench.db", project="digits-8x8", since="2026-01-01")
    results.cases.groupby(["device", "delegate"], observed=True)["p50_us"].min()

What was not measured is missing (NaN, NA), never zero. Names are categories: group by them
with `observed=True`. `simulated` says in every frame that a number comes from an emulator.
Sentinels (bench.sentinel) are in none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.errors import UserError
from bench.frame_columns import (
    ACCURACY,
    CASE,
    LAUNCH,
    OP,
    POINT,
    RUNS,
    SAMPLED,
    Columns,
    frame,
)
from bench.frame_rows import Rows
from bench.records import RunRecord
from bench.store import StorePlace, StoreReader, open_store

# About 3 GB of memory while they are read.
MOST_SAMPLES = 50_000_000


class Frames:
    """What some runs of a store measured.

    Each frame is read when it is first asked for, from one snapshot, and kept. The store is
    not held open.

    Raises (every frame):
        UserError: no run begins with one of the ids, or there is no such store.
        StoreError: the store cannot be read.
    """

    def __init__(
        self,
        place: str | Path | StorePlace,
        *,
        run: str | Sequence[str] | None = None,
        project: str | None = None,
        since: str | datetime | None = None,
    ) -> None:
        """
        Args:
            place: a SQLite file, or the URL of a PostgreSQL database.
            run: only this run or these; the beginning of an id is enough.
            project: only its runs.
            since: only runs that began then or later; "2026-01-31" is midnight in UTC, as is
                any time without a zone.

        Raises:
            UserError: `since` is no time, or `place` no place.
        """
        self._place = StorePlace.parse(place)
        self._run = (run,) if isinstance(run, str) else run
        self._project = project
        self._since = None if since is None else _moment(since)

    def __repr__(self) -> str:
        return f"<results in {self._place.label}>"

    @cached_property
    def runs(self) -> pd.DataFrame:
        """One row per run, oldest first.

        run_id, project, status (running, interrupted, finished), started_utc, finished_utc,
        edgebench_version, seed, plan_sha256, root; cases: planned; launches: made, missing
        where they were pruned; pruned_utc; simulated: whether any device of it was emulated.
        """
        return self._frame(RUNS, Rows.runs)

    @cached_property
    def cases(self) -> pd.DataFrame:
        """One row per run and planned case.

        run_id, case_id (the same in every run: the series), project, model, variant, delegate
        (with its options), threads, runner, device, simulated, started_utc (of the run).

        state: measured, invalid, fell-back, failed, unfinished or not-applicable, with
        `reason` for all but measured; missing where the run has no summary yet.
        p50_us, p90_us: median over launches of each launch's own, p50_low_us and p50_high_us
        its interval, mean_us where the tool prints no percentile; only where `state` is
        measured, and `quantity` says of what: different quantities are never compared.
        launches_made, launches_used; stability; coverage of the delegate with
        delegated_nodes of total_nodes; numerics: are the answers right.
        accuracy (shares in 0..1, else the metric's unit) with its 95 % interval accuracy_low
        and accuracy_high; metric, higher_is_better; gates_failed: names, comma between.
        size_bytes, model_sha256, peak_rss_kib, energy_mj_per_invoke, start_c (median
        temperature before launches), environment_id, runtime.
        """
        return self._frame(CASE | POINT, Rows.cases)

    @cached_property
    def points(self) -> pd.DataFrame:
        """The stored summaries: columns as `cases`, latencies also where they do not count."""
        return self._frame(CASE | POINT, Rows.points)

    @cached_property
    def launches(self) -> pd.DataFrame:
        """One row per timed launch, tainted and failed ones included.

        Names as in `cases`; launch_id, round, position in it, attempt, started_utc,
        duration_s, outcome; usable: it ended well and nothing spoilt it, else taints and
        failure_kind, failure_message.
        sample_count, each of invokes_per_sample; p50_us, p90_us, p95_us, mean_us, min_us,
        max_us with p50_source and p90_source (an interpolated p90 is an estimate) and
        resolution_us; first_inference_us, load_us, allocate_us, init_us, input_copy_us,
        output_copy_us, cpu_us_per_invoke, warmup_s, steady, peak_rss_kib,
        energy_mj_per_invoke.
        delegation_requested, delegation_verdict by this launch's own evidence,
        delegated_nodes, total_nodes, partitions, environment_id.
        """
        return self._frame(CASE | LAUNCH, Rows.launches)

    @cached_property
    def samples(self) -> pd.DataFrame:
        """One row per sample of launches that tell their samples, in order of time.

        Names as in `cases`; launch_id, round, attempt, usable and delegation_verdict as in
        `launches`; index: place within the launch, from 0; latency_us.

        Raises:
            UserError: more samples than fit into memory; pick runs.
        """
        with self._rows() as rows:
            found = rows.sample_count()
            if found > MOST_SAMPLES:
                raise UserError(
                    f"{self._place}: {found:,} samples are more than the {MOST_SAMPLES:,} that "
                    "fit into memory; pick some by run=, project= or since="
                )
            launches = list(rows.samples())
        columns = {name: (CASE | LAUNCH)[name] for name in (*CASE, *SAMPLED)}
        of_launch = frame(columns, (values for values, _ in launches))
        small = dict.fromkeys(("threads", "round", "attempt"), "int32")
        of_launch = of_launch.astype({"launch_id": "category", **small})
        lengths = [len(samples) for _, samples in launches]
        made = of_launch.take(np.repeat(np.arange(len(launches)), lengths))
        made = made.reset_index(drop=True)
        places = [np.arange(length, dtype=np.int32) for length in lengths]
        times = [samples / 1000.0 for _, samples in launches]
        made["index"] = np.concatenate([np.empty(0, dtype=np.int32), *places])
        made["latency_us"] = np.concatenate([np.empty(0, dtype=np.float64), *times])
        return made

    @cached_property
    def ops(self) -> pd.DataFrame:
        """One row per row of each per-op profile. Profiling slows a run down: no latencies.

        Names as in `cases`; launch_id; table (number within the profile), subgraph,
        table_name, inside_delegate: beside the rows of subgraphs, whose time is part of
        theirs; while_preparing: of preparation and not of running; kind (op, delegate,
        delegate-op, phase), type, name, avg_us per run of the model, first_us, min_us, max_us,
        std_us: below resolution_us a time is cut off to 0, which is "less than it";
        times_called, node (in its subgraph), mem_kib, order; profiled_runs and
        profiled_invoke_us of the whole profile, source, complete.
        """
        return self._frame(CASE | OP, Rows.ops)

    @cached_property
    def accuracy(self) -> pd.DataFrame:
        """One row per judged set of answers; `cases` has the intervals.

        On the machine that ran edgebench: run_id, project, model, variant, kernels (none or
        xnnpack). On the device itself: all names of `cases`, and no kernels.
        metric, k, higher_is_better, value (shares in 0..1, else the metric's unit), samples
        answered of holdout_samples, holdout_sha256, failure.
        """
        return self._frame(CASE | ACCURACY, Rows.accuracy)

    def _frame(
        self, columns: Columns, read: Callable[[Rows], Iterable[Sequence[Any]]]
    ) -> pd.DataFrame:
        with self._rows() as rows:
            return frame(columns, read(rows))

    @contextmanager
    def _rows(self) -> Iterator[Rows]:
        with open_store(self._place, write=False) as store:
            runs = self._chosen(store)
            with store._snapshot() as connection:
                yield Rows(connection, runs)

    def _chosen(self, store: StoreReader) -> list[RunRecord]:
        """Oldest first."""
        if self._run is None:
            runs = list(reversed(store.runs(project=self._project)))
        else:
            found = {store.find_run(prefix).run_id: None for prefix in self._run}
            runs = sorted((store.run(run_id) for run_id in found), key=lambda r: r.started_utc)
        return [
            run
            for run in runs
            if (self._project is None or run.project == self._project)
            and (self._since is None or run.started_utc >= self._since)
        ]


def _moment(value: str | datetime) -> datetime:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        raise UserError(f"since={value!r}: no time; write 2026-01-31") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
