"""Makes every remedy, proves each to be what it claims, and judges it on the full holdout."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.config import ModelConfig
from bench.diagnose import remedies as known
from bench.diagnose.answers import Candidate, Judge
from bench.diagnose.layers import Analysis
from bench.diagnose.making import Made, QuantiserJob, Workshop
from bench.diagnose.outcome import Treatment, Verdict
from bench.diagnose.remedies import REMEDIES, Remedy
from bench.errors import UnreadableOutput, UserError
from bench.events import Emit, StageAdvanced, StageFinished, StageStarted
from bench.records import Failure, VariantRecord
from bench.tflite.facts import read_model
from bench.variants.contradictions import contradictions
from bench.variants.make import make_variants

_STAGE = "remedies"


@dataclass(frozen=True, slots=True)
class Patient:
    """What is treated.

    Attributes:
        model: with absolute paths of its samples. variant: that lost accuracy.
        root: directory that the paths in `model` start from; out: for files.
        healthy, sick: fp32 and the variant as it is.
        allowed: see bench.diagnose.judge.
    """

    model: ModelConfig
    variant: str
    root: Path
    out: Path
    seed: int
    healthy: Candidate
    sick: Candidate
    allowed: float


@dataclass(frozen=True, slots=True)
class Ward:
    """One patient's treatment.

    Attributes:
        workshop: makes the files.
        judge: tells what they are worth.
        analysis: where to apply what.
    """

    patient: Patient
    workshop: Workshop
    judge: Judge
    analysis: Analysis
    emit: Emit

    def treat(self) -> list[Treatment]:
        """One row per remedy, in the order of REMEDIES; one that is the same file as the
        variant as it is has none.

        Raises: UserError where samples are wrong; KeyboardInterrupt.
        """
        patient = self.patient
        reasons = {r.key: known.why_not(r, patient.model, patient.variant) for r in REMEDIES}
        tried = [r for r in REMEDIES if reasons[r.key] is None]
        made = self._make(tried)
        candidates = self._proved(tried, made)
        baseline = candidates.get(known.REQUANTISED.key, patient.sick)
        rows: list[Treatment] = []
        for remedy in REMEDIES:
            why, result = reasons[remedy.key], made.get(remedy.key)
            if why is not None:
                rows.append(_absent(remedy, Verdict.NOT_APPLICABLE, why))
            elif remedy is known.SELECTIVE:
                rows.append(self._select(baseline))
            elif remedy.key in candidates:
                rows.append(self._row(remedy, candidates[remedy.key], baseline))
            else:
                assert isinstance(result, Failure)
                cannot = result.kind in ("prerequisite", "unsupported")
                verdict = Verdict.NOT_APPLICABLE if cannot else Verdict.FAILED
                rows.append(_absent(remedy, verdict, result.message))
        return [
            row
            for row in rows
            if row.key != known.REQUANTISED.key or row.sha256 != patient.sick.record.sha256
        ]

    def _make(self, tried: Sequence[Remedy]) -> dict[str, Made | Failure]:
        """Every remedy but selective quantisation, which takes several attempts."""
        patient, made = self.patient, dict[str, Made | Failure]()
        if not tried:
            return made
        self.emit(StageStarted(_STAGE, "Making the remedies", len(tried)))
        workshop = replace(
            self.workshop, advance=lambda text: self.emit(StageAdvanced(_STAGE, len(made), text))
        )
        equalised: Made | Failure | None = None
        if known.EQUALISED in tried:
            equalised = workshop.equalise(self._fp32, self.judge.holdout)
            if isinstance(equalised, Failure):
                made[known.EQUALISED.key] = equalised
        source = equalised.path if isinstance(equalised, Made) else None
        jobs = known.quantiser_jobs(tried, patient.model, self._fp32, source)
        made |= workshop.quantise(jobs)
        result = made.get(known.EQUALISED.key)
        if isinstance(result, Made) and isinstance(equalised, Made):
            facts = {**result.facts, "equalisation": dict(equalised.facts)}
            made[known.EQUALISED.key] = replace(result, facts=facts)
        count = len(made)
        self.emit(StageFinished(_STAGE, f"{count} by {known.QUANTISER}" if count else ""))
        if known.QAT in tried:
            made[known.QAT.key] = self._train()
        return made

    @property
    def _fp32(self) -> Path:
        return self.patient.out / str(self.patient.healthy.record.path)

    def _train(self) -> Made | Failure:
        patient = self.patient
        try:
            (record,) = make_variants(
                patient.model,
                (known.QAT.variant,),
                root=patient.root,
                out=patient.out,
                seed=patient.seed,
                run_id=patient.sick.record.run_id,
                emit=self.emit,
            )
        except UserError as error:
            # Without layers or labels to train with the others still stand.
            return Failure("prerequisite", str(error))
        if record.failure is not None or record.path is None:
            return record.failure or Failure("convert", "no file came out")
        return Made(patient.out / record.path, {"provenance": dict(record.provenance)})

    def _select(self, baseline: Candidate) -> Treatment:
        """The smallest set of float layers that restores, else the best that was tried."""
        remedy, patient = known.SELECTIVE, self.patient
        sets = known.selective_sets(self.analysis)
        if not sets:
            why = "no layer stands out that could be left float together with its neighbours"
            return _absent(remedy, Verdict.NOT_APPLICABLE, why)
        rows: list[Treatment] = []
        assert patient.model.calibration is not None
        for names in sets:
            key = f"{remedy.key}-{len(names)}"
            samples = Path(patient.model.calibration)
            job = QuantiserJob(key, known.SELECTIVE_RECIPE, self._fp32, samples, names)
            result = self.workshop.quantise([job])[key]
            if isinstance(result, Failure):
                rows.append(_absent(remedy, Verdict.FAILED, result.message))
                break
            result = replace(result, facts={**result.facts, "float_ops": list(names)})
            candidate = self._proved([replace(remedy, key=key)], {key: result})[key]
            title = f"{len(names)} culprit op{'s' if len(names) > 1 else ''} float"
            rows.append(self._row(replace(remedy, title=title), candidate, baseline))
            if rows[-1].verdict in (Verdict.RESTORES, Verdict.FAILED):
                break
        if rows[-1].verdict is Verdict.RESTORES:
            return rows[-1]
        judged = [(row.accuracy, row) for row in rows if row.accuracy is not None]
        sign = 1 if self.judge.metric.higher_is_better else -1
        return max(judged, key=lambda pair: sign * pair[0])[1] if judged else rows[-1]

    def _proved(
        self, tried: Sequence[Remedy], made: Mapping[str, Made | Failure]
    ) -> dict[str, Candidate]:
        """Those that were made, each with its answers, or with why it does not count."""
        records: list[VariantRecord] = []
        found: dict[str, Candidate] = {}
        for remedy in tried:
            result = made.get(remedy.key)
            if not isinstance(result, Made):
                continue
            data = result.path.read_bytes()
            record = VariantRecord(
                run_id=self.patient.sick.record.run_id,
                model=self.patient.model.name,
                variant=remedy.key,
                path=result.path.relative_to(self.patient.out).as_posix(),
                sha256=hashlib.sha256(data).hexdigest(),
                size_bytes=len(data),
                provenance=result.facts,
            )
            if why := _contradiction(remedy, data):
                found[remedy.key] = Candidate(record, None, Failure("verify", why))
            else:
                records.append(record)
        if records:
            found |= {c.record.variant: c for c in self.judge.evaluate(records)}
        return found

    def _row(self, remedy: Remedy, candidate: Candidate, baseline: Candidate) -> Treatment:
        # A change of tool, and what another tool made, is held against the variant itself.
        other_tool = remedy.key in (known.REQUANTISED.key, known.QAT.key)
        untreated = self.patient.sick if other_tool or baseline.statistics is None else baseline
        record = candidate.record
        row = replace(
            _absent(remedy, Verdict.FAILED, ""),
            size_bytes=record.size_bytes,
            path=record.path,
            sha256=record.sha256,
            facts=record.provenance,
        )
        return self.judge.judged(
            row,
            candidate,
            healthy=self.patient.healthy,
            sick=self.patient.sick,
            baseline=untreated,
            allowed=self.patient.allowed,
        )


def _contradiction(remedy: Remedy, data: bytes) -> str | None:
    """Why a file is not what the remedy claims; None if it is."""
    try:
        facts = read_model(data)
    except UnreadableOutput as error:
        return f"the tool wrote {error}"
    if remedy.title == known.SELECTIVE.title:
        # Float ops are what it is for; that nothing was quantised would be wrong.
        if not facts.float_ops or "INT8" not in facts.activations:
            return "no mixture of float and int8 ops came out"
        return None
    return "; ".join(contradictions(remedy.variant, facts)) or None


def _absent(remedy: Remedy, verdict: Verdict, why: str) -> Treatment:
    tool = known.TRAINER if remedy.training else known.QUANTISER
    facts: dict[str, Any] = {}
    return Treatment(remedy.key, remedy.title, remedy.needs, tool, verdict, reason=why, facts=facts)
