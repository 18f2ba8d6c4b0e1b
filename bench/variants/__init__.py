"""Variants of a model: made, proven to be what they claim, and judged on the full holdout."""
