"""The process that runs the user's code and image decoders:
`python -P -m bench.samples.worker JOB.json`.

The job is a JSON object: `role`, `named` (what the plan calls them), `where` (begins every
message), `file` (the .npz to write) and `task`:

- "function": `spec` ("module:function"), `root` (the plan's directory);
- "images": `source` (the directory), `images` (the settings), `size`, `at_most`, `seed`.

Reports `total` and `progress` (images), then `made` ({sha256, count, shape, labelled,
of, ignored}) or `user_error` (with
`in_log` where the traceback is there). All that user code prints goes to stderr, which is the log.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.config import ImagesConfig
from bench.errors import UserError
from bench.format import first_line
from bench.samples.collect import call, collect
from bench.samples.spool import Spool, write_npz
from bench.users_code import CodeFailed
from bench.variants.child import Reporter, log_traceback


def main(argv: list[str]) -> int:
    """Do one job; 0 whenever all there is to say was reported."""
    reporter = Reporter()
    job = json.loads(Path(argv[1]).read_text(encoding="utf-8"))
    try:
        _do(job, reporter)
    except CodeFailed as error:
        reporter.send(user_error=str(error), in_log=True)
    except UserError as error:
        reporter.send(user_error=str(error))
    except (OSError, MemoryError) as error:
        log_traceback()
        why = getattr(error, "strerror", None) or first_line(error)
        reporter.send(user_error=f"{job['where']}: could not be written as .npz: {why}")
    return 0


def _do(job: Mapping[str, Any], reporter: Reporter) -> None:
    file, where = Path(job["file"]), job["where"]
    x = Spool(file.with_suffix(".x"), "x", where)
    y = Spool(file.with_suffix(".y"), "y", where)
    counted = {}
    if job["task"] == "function":
        root = Path(job["root"])
        # Paths in the user's code start where those of the plan do.
        os.chdir(root)
        collect(call(job["spec"], root, where), where, x, y)
    else:
        counted = _images(job, x, reporter)
    # Labels play no part in calibration, and must not make another file of the same inputs.
    labelled = y.count > 0 and job["role"] != "calibration"
    digest = write_npz(file, {"x": x, "y": y} if labelled else {"x": x}, job["named"])
    made = {"sha256": digest, "count": x.count, "shape": x.item, "labelled": labelled}
    reporter.send(made={**made, **counted})


def _images(job: Mapping[str, Any], x: Spool, reporter: Reporter) -> dict[str, int]:
    # Only here: the other task has no need of Pillow.
    from bench.samples.images import list_images, read_images

    folder, where = Path(job["source"]), job["where"]
    listing = list_images(folder, where, at_most=job["at_most"], seed=job["seed"])
    reporter.send(total=len(listing.names))
    images = ImagesConfig.model_validate_json(json.dumps(job["images"]))
    height, width = job["size"]
    for sample in read_images(folder, listing.names, images, (height, width), where):
        x.append(sample)
        reporter.send(progress=x.count)
    return {"of": listing.of, "ignored": listing.ignored}


if __name__ == "__main__":
    sys.exit(main(sys.argv))
