"""`edgebench init`: a commented edgebench.toml and devices.toml to start from."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.lab import FILE_NAME
from bench.errors import UserError

TEMPLATE = """\
# What edgebench measures. Every key is checked; a typo is an error, never ignored.
# Paths are relative to this file.
#
#   edgebench run edgebench.toml --dry-run    what would be done, and how long it takes
#   edgebench run edgebench.toml              do it, print the table, write the report

project = "my-project"      # results of one project can be compared over time
out = "edgebench-out"       # variants, logs and reports go here

[[model]]
name = "my-model"
source = "model.keras"      # .keras, .h5, a SavedModel directory or an fp32 .tflite
# signature = "serving_default"    # of a SavedModel that has several
calibration = "calibration.npz"  # x: float32 (N, ...), 100 to 500 samples; for int8
holdout = "holdout.npz"     # x: (N, ...), y: integer labels (N,); for accuracy and inputs
# train = "train.npz"       # x and y; for int8-qat (needs the Keras model, not a SavedModel)
# Each of the three may also be your own code, "package.module:function", which returns x or
# (x, y); calibration may be a directory of images, and then needs:
# images = { mean = 127.5, std = 127.5 }   # x = (pixel - mean) / std, as in training

# Variants that exist already take the place of made ones; without `source` they are all:
# [model.files]
# fp32 = "model_fp32.tflite"
# int8 = "model_int8.tflite"

# How answers are judged: top1, topk, mean_iou, mae, rmse, cosine (to fp32), or your own
# "package.module:function" with f(outputs, y) -> one score per sample:
# [model.metric]
# name = "topk"
# k = 5

# Quantization-aware training of int8-qat:
# [model.qat]
# epochs = 10
# batch_size = 64
# learning_rate = 0.001
# loss = "sparse_categorical_crossentropy"

[measure]
# variants = ["fp32", "fp16", "dynamic", "int8", "int8-qat"]  # default: those that can be made;
#   also dynamic-int4, weight-int8, int8-uint8-io, int8-float-io, int16x8, select-tf-ops,
#   int8-edgetpu (needs edgetpu_compiler)
delegates = ["none", "xnnpack"]  # none: the plain kernels; one with options, which may be there
#   several times, is a table: {name="external", options={path="/usr/lib/libvx_delegate.so"}}
threads = [1, 2]
devices = ["local"]
rounds = 6                  # a round is one launch of every case, in fresh random order
seed = 0                    # of that order, of conversions and of drawn inputs
# precision = 0.02          # add rounds until the p50 interval is within 2 %, ...
# max_rounds = 30           # ... at most this many
# timeout_s = 120.0         # of one launch
# profile = "once"          # one more launch per case that times each op; or "off"
# numerics = "once"         # one more that holds its answers against the plain kernels'
# numerics_samples = 8      # inputs of that one
# device_accuracy = 0       # samples of the holdout to judge on the device; or "all"

[gates]
# A variant is recommended only if the whole interval of its figure keeps every gate.
# Accuracy gates need a holdout; these two are the defaults.
# accuracy_ratio_min = 0.97         # accuracy divided by that of fp32
# accuracy_drop_max_points = 3.0    # percentage points below fp32

# [[gates.device]]
# device = "local"          # or "*" for all
# p50_us_max = 5000.0
# p90_us_max = 8000.0
# p95_us_max = 9000.0
# size_bytes_max = 4000000
# peak_rss_kib_max = 200000

[analysis]
# delta = 0.02              # a smaller change than this is not called a change
"""


DEVICES = """\
# The devices that edgebench measures on, besides those that adb lists by itself.
# Every key is checked. Passwords and keys never stand here (docs/devices.md).
#
#   edgebench devices               all of them: which answer, who has them
#   edgebench devices doctor        what ails them, and how to repair it

# A phone by USB; `adb devices` prints its serial number:
# [[device]]
# name = "pixel"
# kind = "android"
# serial = "0A1B2C3D4E5F"
# labels = ["lab"]                  # for --device label=lab
# controls = { stay_awake = "on" }  # set while it is measured, and put back

# A phone by network is host:port; one at another machine has that machine's adb server:
# [[device]]
# name = "far-phone"
# kind = "android"
# serial = "192.0.2.7:5555"
# adb_host = "lab-pc"

# A board by SSH; what ~/.ssh/config says of the host counts too. Once before the first use:
#   edgebench devices trust pi4 && edgebench devices provision pi4
# [[device]]
# name = "pi4"
# kind = "linux"
# host = "pi4.local"
# user = "pi"
# controls = { governor = "performance" }

# This machine is always there as "local".
"""


@click.command("init")
@click.argument(
    "path", type=click.Path(path_type=Path, dir_okay=False), default=Path("edgebench.toml")
)
def command(path: Path) -> None:
    """Write a commented edgebench.toml to PATH, and a devices.toml beside it.

    Never over an existing file.
    """
    if not _write(path, TEMPLATE):
        raise UserError(f"{path}: exists already and is left as it is")
    inventory = path.with_name(FILE_NAME)
    and_devices = f" and {inventory}" if _write(inventory, DEVICES) else ""
    click.echo(
        f"Wrote {path}{and_devices}. Name your model in it, then: edgebench run {path} --dry-run"
    )


def _write(path: Path, text: str) -> bool:
    """False where there is such a file already. Raises: UserError."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return False
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from None
    return True
