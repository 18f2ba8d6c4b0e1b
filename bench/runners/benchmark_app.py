"""The runner kind benchmark_app: the TFLite benchmark APK, driven on the phone by a script."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.errors import UserError
from bench.parsers.benchmark_model import decode
from bench.parsers.logcat import logcat_text
from bench.records import Failure, Measurement, Outcome, Purpose
from bench.runners.base import Answers, LaunchFiles, LaunchSpec, Profiled, RawOutput
from bench.runners.benchmark_model import BenchmarkModelRunner
from bench.tools.cache import ToolBinary, sha256_of_file

SCRIPT = Path(__file__).with_suffix(".sh")
_APK = "app.apk"
# The app may read the run directory and may not write there.
_FILES_WRITTEN = (
    "--result_file_path=",
    "--export_model_runtime_info=",
    "--model_runtime_info_output_file=",
)
_FILES_READ = ("--graph=", "--input_layer_value_files=")
_HEADER = re.compile(rb"edgebench-app (\d+)\r?\n")
# Exit codes of the script, where no tool has spoken.
_SCRIPT_FAILURES = {
    61: (Outcome.LOAD_FAILED, "install"),
    62: (Outcome.LOAD_FAILED, "install"),
    63: (Outcome.DEVICE_FAILED, "screen"),
    64: (Outcome.DEVICE_FAILED, "screen"),
    65: (Outcome.LOAD_FAILED, "app"),
    66: (Outcome.LOAD_FAILED, "workdir"),
    67: (Outcome.CRASHED, "crash"),
}
_LOG_BYTES = 4000


class BenchmarkAppRunner:
    """Measures with the benchmark app, whose native part is the classic benchmark_model.

    The app is installed where the one on the phone is not this very file, and stays.

    Args:
        apk: for the phone's ABI.
        scratch: directory of the controller for raw input files.
    """

    def __init__(self, apk: ToolBinary, *, scratch: Path) -> None:
        self._apk = apk
        self._tool = BenchmarkModelRunner(apk, None, system="android", scratch=scratch)

    @property
    def kind(self) -> str:
        return self._tool.kind

    @property
    def environment(self) -> Mapping[str, Any]:
        """As of benchmark_model, of the APK; sha256 of the script that drives it."""
        return {**self._tool.environment, "runner_script_sha256": _script_sha256()}

    def cannot(self, spec: LaunchSpec) -> str | None:
        """What it has to write: its files are out of reach, and its log cuts what is long."""
        if spec.purpose in (Purpose.PROFILE, Purpose.NUMERICS):
            what = "profile" if spec.purpose is Purpose.PROFILE else "outputs"
            return f"the benchmark app cannot hand over its {what}; benchmark_model can"
        return None

    def read_profile(
        self, spec: LaunchSpec, output: RawOutput
    ) -> tuple[Outcome, Profiled | None, Failure | None]:
        """Never called: see `cannot`."""
        return Outcome.UNREADABLE, None, Failure("purpose", str(self.cannot(spec)))

    def read_answers(
        self, spec: LaunchSpec, output: RawOutput
    ) -> tuple[Outcome, Answers | None, Failure | None]:
        """Never called: see `cannot`."""
        return Outcome.UNREADABLE, None, Failure("purpose", str(self.cannot(spec)))

    def prepare(self, spec: LaunchSpec) -> LaunchFiles:
        """Lay out the app, the script, the model and its inputs.

        Raises: UserError where a flag cannot be given to the app, and what
        BenchmarkModelRunner.prepare raises.
        """
        laid = self._tool.prepare(spec)
        files = {name: path for name, path in laid.files.items() if path != self._apk.path}
        flags = [
            _placed(flag, files) for flag in laid.argv[1:] if not flag.startswith(_FILES_WRITTEN)
        ]
        for flag in flags:
            if re.search(r"\s", flag):
                raise UserError(
                    f"{spec.model}: the benchmark app splits its flags at blanks, so that it "
                    f"cannot be given {flag!r}; measure it with benchmark_model"
                )
        return LaunchFiles(
            argv=("sh", SCRIPT.name, self._apk.sha256, " ".join(flags)),
            files={**files, _APK: self._apk.path, SCRIPT.name: SCRIPT},
            texts={},
            env={},
        )

    def read(
        self, spec: LaunchSpec, output: RawOutput
    ) -> tuple[Outcome, Measurement | None, Failure | None]:
        """Judge what came out; the failure's log is the end of the app's part of logcat."""
        if output.exit_code in _SCRIPT_FAILURES:
            outcome, kind = _SCRIPT_FAILURES[output.exit_code]
            said = decode(output.stderr).strip()
            message = " ".join(said.split()) or f"the script ended with {output.exit_code}"
            return outcome, None, Failure(kind, message, decode(output.stdout)[-_LOG_BYTES:])
        header = _HEADER.match(output.stdout)
        if header is None:
            message = f"the script that drives the app ended with exit code {output.exit_code}"
            log = decode(output.stderr)[-_LOG_BYTES:]
            return Outcome.UNREADABLE, None, Failure("unreadable", message, log)
        text = logcat_text(decode(output.stdout[header.end() :]), int(header[1]))
        # Both streams are one in the log, as in old versions of the tool on stderr.
        return self._tool.read(spec, RawOutput(output.exit_code, b"", text.encode()))


def _placed(flag: str, files: Mapping[str, Path]) -> str:
    """The flag with whole paths in the place of names: the app starts elsewhere."""
    if not flag.startswith(_FILES_READ):
        return flag
    name, _, value = flag.partition("=")
    items = []
    for item in value.split(","):
        before, colon, file = item.rpartition(":")
        items.append(f"{before}{colon}@DIR@/{file}" if file in files else item)
    return f"{name}={','.join(items)}"


@functools.cache
def _script_sha256() -> str:
    return sha256_of_file(SCRIPT)
