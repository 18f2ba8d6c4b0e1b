"""The lists of what each delegate takes, read from rules.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Annotated, Literal

from ai_edge_litert import schema_py_generated as schema
from pydantic import BaseModel, ConfigDict, Field

from bench.tflite.values import names_of

Bounds = tuple[float, float]
Types = tuple[str, ...]

# The schema's number of every builtin op, which tells what a version cannot know yet.
NUMBERS: Mapping[str, int] = {
    name: number for number, name in names_of(schema.BuiltinOperator).items()
}


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Rule(_Frozen):
    """Conditions that every op in `ops` must meet; an op may stand in several rules.

    Inputs are named by their index. Data are the inputs in `of`, or all that are no
    constants; types and scales are asked of them and of the outputs.

    Attributes:
        ops: names of builtin or custom ops.
        of: indices of the data inputs; "computed" for all that are no constants.
        types, out_types: element types of data inputs and outputs; out_types is types where
            it is not given.
        to: type of the first data input -> types that the outputs may have.
        same_type: data inputs and outputs have one type.
        same_scale: and one quantisation.
        inputs, outputs: least and most of them; an input that is left out does not count.
        constant: inputs that must be constants.
        bias: input that must be a constant of one dimension, where the op has it.
        weights: type of the first data input -> types that input 1, the weights, may have.
        channel: dimension that the scales of the weights may belong to; None for any.
        rank: input, or "out", -> least and most dimensions.
        activation: fused activations.
        options: option -> values that it may have.
        option_min: option -> its least value.
        values: input that is a constant -> least and greatest of its values.
        scale_ratio: least and greatest scale of a data input by that of the output.
        scale_product: the same of the product of both inputs' scales.
        pool_window: strides are no longer than the window, and 1 where that is 1x1.
        max_version: of the op.
        depends: what beside the model decides, so that the list cannot say.
        note: for whoever reads the list.
    """

    ops: tuple[str, ...] = Field(min_length=1)
    of: Literal["computed"] | tuple[int, ...] | None = None
    types: Types | None = None
    out_types: Types | None = None
    to: dict[str, Types] = Field(default_factory=dict)
    same_type: bool = False
    same_scale: bool = False
    inputs: tuple[int, int] | None = None
    outputs: tuple[int, int] | None = None
    constant: tuple[int, ...] = ()
    bias: int | None = None
    weights: dict[str, Types] = Field(default_factory=dict)
    channel: int | None = None
    rank: dict[str, tuple[int, int]] = Field(default_factory=dict)
    activation: tuple[str, ...] | None = None
    options: dict[str, tuple[float, ...]] = Field(default_factory=dict)
    option_min: dict[str, float] = Field(default_factory=dict)
    values: dict[str, Bounds] = Field(default_factory=dict)
    scale_ratio: Bounds | None = None
    scale_product: Bounds | None = None
    pool_window: bool = False
    max_version: int | None = None
    depends: str | None = None
    note: str = ""


class RuleList(_Frozen):
    """What one delegate takes.

    Attributes:
        delegate: name in a plan. title: what exactly the list is of.
        runners: kinds of runner whose delegate this is; () for all.
        taken_from: software and version. documents: URLs of what was read.
        last_builtin: the newest builtin op of that version. One up to it that no rule names
            is refused, since that version has no code for it; of a newer one the list knows
            nothing.
        of: for rules that do not say. max_rank: of any tensor; None for no limit.
        per_tensor: data that are quantised have a single scale.
        unpacks: types of constants that a DEQUANTIZE or DENSIFY before an op makes constants
            still.
        note: for people, what the list takes for granted.
    """

    delegate: str
    title: str
    runners: tuple[str, ...] = ()
    taken_from: str
    documents: Annotated[tuple[str, ...], Field(min_length=1)]
    last_builtin: str
    of: Literal["computed"] | tuple[int, ...] = (0,)
    max_rank: int | None = None
    per_tensor: bool = False
    unpacks: Types = ()
    note: str = ""
    rules: tuple[Rule, ...] = Field(min_length=1)

    def rules_of(self, op: str) -> tuple[Rule, ...]:
        """All that name an op; () if none does."""
        return tuple(rule for rule in self.rules if op in rule.ops)


class Rules(_Frozen):
    """All lists; `version` is raised whenever one says something else."""

    version: int
    list: tuple[RuleList, ...]


@cache
def load_rules() -> Rules:
    """The lists that edgebench brings."""
    text = resources.files("bench.forecast").joinpath("rules.toml").read_text("utf-8")
    return Rules.model_validate(tomllib.loads(text))
