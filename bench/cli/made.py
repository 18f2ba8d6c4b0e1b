"""Makes the variants of a model and judges them, for verbs that store nothing."""

from __future__ import annotations

from collections.abc import Sequence

from bench.cli.model_options import Target
from bench.config import ModelConfig
from bench.events import Emit
from bench.records import EvaluationRecord, VariantRecord
from bench.samples import materialise
from bench.variants.evaluate import evaluate_variants
from bench.variants.make import make_variants

# The records want a run all the same.
RUN = "not stored"


def make(
    target: Target, model: ModelConfig, variants: Sequence[str], emit: Emit
) -> tuple[VariantRecord, ...]:
    """Make variants of one of the target's models, as bench.variants.make says."""
    return make_variants(
        model,
        variants,
        root=target.root,
        out=target.out,
        seed=target.seed,
        run_id=RUN,
        emit=emit,
    )


def make_and_judge(
    target: Target,
    named: ModelConfig,
    variants: Sequence[str],
    kernels: Sequence[str],
    emit: Emit,
) -> tuple[tuple[VariantRecord, ...], tuple[EvaluationRecord, ...]]:
    """The variants, and an evaluation of each that can run; none without a holdout.

    Raises: UserError where the user's files are wrong or lacking.
    """
    roles = [] if named.holdout is None else ["holdout"]
    model = materialise(
        named, root=target.root, out=target.out, roles=roles, emit=emit, seed=target.seed
    )
    records = make(target, model, variants, emit)
    if model.holdout is None or not any(record.usable for record in records):
        return records, ()
    evaluations = evaluate_variants(
        records,
        target.root / model.holdout,
        kernels,
        metric=model.metric,
        root=target.root,
        out=target.out,
        run_id=RUN,
        emit=emit,
    )
    return records, evaluations
