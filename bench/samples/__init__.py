"""Samples that calibrate, train and judge: turned into .npz files and compared."""

from __future__ import annotations

from bench.samples.files import materialise

__all__ = ["materialise"]
