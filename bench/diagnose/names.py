"""Layers as people know them, from the names that converters give to tensors."""

from __future__ import annotations

# What TensorFlow calls the op that holds the weights of a fused layer.
_WEIGHT_OPS = ("Conv2D", "convolution", "depthwise", "MatMul", "conv2d_transpose")


def short_name(name: str) -> str:
    """The layer that a tensor comes from: converters join the names of what they fused.

    "model/b1_pwr/Relu;model/b1_pwbn/FusedBatchNormV3;model/b1_pw/Conv2D1" is "b1_pw", the
    layer that holds the weights; without any, the last two parts of the last name.
    """
    fused = [part for part in name.split(";") if part] or [name]
    for part in fused:
        above, _, last = part.rpartition("/")
        if above and last.rstrip("0123456789_").startswith(_WEIGHT_OPS):
            return above.rpartition("/")[2]
    return "/".join(fused[-1].split("/")[-2:])
