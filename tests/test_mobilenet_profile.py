"""The ops of a real architecture, profiled, come to the time of its invoke."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_litert_runner import LITERT, Bench
from test_mobilenet import mobilenet

from bench.config import Variant
from bench.delegation.model import Coverage
from bench.ops.model import OpKind
from bench.records import Purpose
from bench.runners.base import LaunchLimits
from bench.variants.packages import missing_packages

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("tf"),
    pytest.mark.skipif(
        bool(missing_packages(["fp32"])), reason="needs the extra edgebench[convert]"
    ),
]

VARIANTS: tuple[Variant, ...] = ("fp32", "dynamic", "int8")
LIMITS = LaunchLimits(warmup_max_s=3.0, measure_min_s=1.0, measure_max_s=5.0)


def test_the_ops_of_every_variant_come_to_its_invoke(tmp_path: Path) -> None:
    records = mobilenet(tmp_path, VARIANTS)
    bench = Bench(tmp_path)
    left = {}
    for record in records:
        assert record.path is not None
        content = (tmp_path / "out" / record.path).read_bytes()
        spec = bench.spec(content, purpose=Purpose.PROFILE, limits=LIMITS)
        output = bench.start(spec)
        _, profiled, failure = LITERT.read_profile(spec, output)
        assert failure is None
        assert profiled is not None
        (table,) = profiled.profile.regular
        total_us = sum(row.avg_us or 0 for row in table.rows)
        assert total_us == pytest.approx(profiled.profile.invoke_us, rel=0.05)
        assert profiled.delegation is not None
        left[record.variant] = profiled.delegation
        assert all(row.node is not None for row in table.rows if row.kind is OpKind.OP)
    assert left["fp32"].verdict is Coverage.FULL
    assert set(left["dynamic"].fallback_ops) >= {"DEPTHWISE_CONV_2D"}
    assert left["int8"].fallback_ops == {"SOFTMAX": 1}
