"""What a variant's provenance warns of, whatever version of edgebench wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.records import VariantRecord
from bench.tflite.facts import batch_of


def tf_ops_of(record: VariantRecord) -> tuple[str, ...]:
    """TensorFlow ops in its file, which no TFLite runtime executes."""
    return texts(mapping(record.provenance, "inspect"), "flex_ops")


def warnings_of(record: VariantRecord) -> tuple[str, ...]:
    """What was odd about its calibration, contradicts its name, or changes what a latency
    means, each once."""
    batch = _batch(mapping(record.provenance, "inspect"))
    found = (
        *((f"one invoke answers {batch} samples",) if batch > 1 else ()),
        *texts(mapping(record.provenance, "calibration"), "warnings"),
        *texts(record.provenance, "warnings"),
    )
    return tuple(dict.fromkeys(found))


def _batch(inspected: Mapping[str, Any]) -> int:
    """How many samples one invoke answers."""
    inputs, outputs = (
        [tensor["shape"] for tensor in inspected.get(key, ())] for key in ("inputs", "outputs")
    )
    return batch_of(inputs, outputs)


def mapping(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The mapping under a key, an empty one where there is none."""
    found = values.get(key)
    return found if isinstance(found, Mapping) else {}


def texts(values: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """The strings under a key, () where there are none."""
    found = values.get(key)
    return tuple(map(str, found)) if isinstance(found, list | tuple) else ()
