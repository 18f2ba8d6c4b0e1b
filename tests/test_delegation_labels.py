"""A labelled set of runs: what was asked for, what the text shows, and the verdict drawn.

Labels of recordings were decided by reading their text and their command line. Live runs
are of small models whose nodes are known. The table of label against verdict is printed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import models
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from bench.delegation.compiled import judge_compiled_model
from bench.delegation.judge import judge, judge_tool
from bench.delegation.model import Coverage, Delegation
from bench.identity import Case, DelegateSpec
from bench.parsers.benchmark_litert import parse_compiled
from bench.parsers.benchmark_model import parse_classic
from bench.parsers.benchmark_proto import parse_runtime_info
from bench.parsers.op_profile import parse_profile_text
from bench.parsers.runtime_log import parse_log
from bench.runners.base import LaunchLimits, LaunchSpec, RawOutput
from bench.runners.invoke_loop import node_evidence
from bench.runners.litert import LitertRunner

FULL, PARTIAL, NONE, UNKNOWN = Coverage
GOLDEN = Path(__file__).parent / "golden" / "benchmark_model"


@dataclass(frozen=True)
class Labelled:
    """One run.

    why: what kind of case it is; right: the verdict that a reader of its text draws.
    silent: whether the tool ends with success and the processor's numbers.
    """

    why: str
    requested: str
    right: Coverage
    run: Callable[[Path], Delegation]
    silent: bool = False


def recorded(name: str, requested: str) -> Callable[[Path], Delegation]:
    """The verdict on a recording, by all that it left."""

    def found(_: Path) -> Delegation:
        folder, compiled = GOLDEN / name, name[:2] in ("19", "20")
        out, err = ((folder / stream).read_bytes() for stream in ("stdout", "stderr"))
        output = (parse_compiled if compiled else parse_classic)(out, err)
        nodes = folder / "out_runtime_info.pb"
        graph = parse_runtime_info(nodes.read_bytes()) if nodes.exists() else None
        profile = None
        for text in (out.decode(), err.decode()):
            profile = profile or parse_profile_text(text)
        return judge_tool(requested, output, graph, compiled=compiled, profile=profile)

    return found


def text(requested: str, lines: str, log: str = "") -> Callable[[Path], Delegation]:
    """The verdict on a text of the tool in the wordings of its sources."""
    whole = (
        f"INFO: STARTING!\n{lines}INFO: The input model file size (MB): 0.1\n"
        "INFO: Initialized session in 1.5ms.\n"
    )
    return lambda _: judge_tool(
        requested, parse_classic(whole.encode(), log.encode()), None, compiled=False
    )


def wheel(name: str, requested: str) -> Callable[[Path], Delegation]:
    """The verdict on the wheel's own tool, which says "Fully accelerated" and waits for nobody."""

    def found(_: Path) -> Delegation:
        log = (GOLDEN / name / "stderr").read_text()
        fully = "Fully accelerated:     True" in (GOLDEN / name / "stdout").read_text()
        return judge_compiled_model(requested, fully_accelerated=fully, log=log)

    return found


def live(content: bytes, requested: str) -> Callable[[Path], Delegation]:
    """The verdict on an interpreter of this machine, by its own list of nodes."""

    def found(folder: Path) -> Delegation:
        kinds = {
            "none": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            "xnnpack": OpResolverType.BUILTIN,
        }
        interpreter = Interpreter(
            model_content=content, experimental_op_resolver_type=kinds[requested]
        )
        interpreter.allocate_tensors()
        interpreter.invoke()
        nodes = node_evidence(interpreter)
        return judge(
            requested,
            total_nodes=nodes["total"],
            delegated_nodes=nodes["delegated"],
            partitions=nodes["partitions"],
            fallback_ops=nodes["outside"],
        )

    return found


def compiled(content: bytes, requested: str) -> Callable[[Path], Delegation]:
    """The verdict on a launch of a compiled model on this machine."""

    def found(folder: Path) -> Delegation:
        runner, limits = LitertRunner(), LaunchLimits(0.02, 0.2, 20, 0.02, 0.2, 64)
        case = Case("p", "m", "fp32", DelegateSpec(requested), 1, "litert", "local", ())
        spec = LaunchSpec(case, models.write_model(folder / "m", content), None, 0, limits, "key")
        prepared = runner.prepare(spec)
        for name, source in prepared.files.items():
            shutil.copyfile(source, folder / name)
        for name, script in prepared.texts.items():
            (folder / name).write_text(script)
        argv = [sys.executable if word == "{python}" else word for word in prepared.argv]
        env = {"PATH": "/usr/bin:/bin", **prepared.env}
        done = subprocess.run(argv, cwd=folder, capture_output=True, env=env, check=False)
        files = {n: (folder / n).read_bytes() for n in prepared.results if (folder / n).exists()}
        _, measurement, failure = runner.read(
            spec, RawOutput(done.returncode, done.stdout, done.stderr, files)
        )
        assert measurement is not None, failure
        return measurement.delegation

    return found


_ASK_FOR_NPU = """
import sys
from ai_edge_litert.compiled_model import CompiledModel
from ai_edge_litert.hardware_accelerator import HardwareAccelerator as H
from ai_edge_litert.options import Options
model = CompiledModel.from_file(sys.argv[1], options=Options(hardware_accelerators=H.NPU | H.CPU))
print(model.is_fully_accelerated())
"""


def asked_for_npu(content: bytes) -> Callable[[Path], Delegation]:
    """The verdict on a compiled model of this machine's wheel, asked to use an NPU."""

    def found(folder: Path) -> Delegation:
        model = models.write_model(folder / "m", content)
        done = subprocess.run(
            [sys.executable, "-c", _ASK_FOR_NPU, str(model)], capture_output=True, check=True
        )
        # This is the lie: there is no NPU here.
        assert done.stdout.split()[-1] == b"True"
        return judge_compiled_model("npu", fully_accelerated=True, log=done.stderr.decode())

    return found


UNSUPPORTED = "WARN: {} acceleration is unsupported on this platform.\n"
IMPLICIT = "INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n"

LABELLED = {
    # The whole model, by each source that can say so.
    "tool says completely": Labelled(
        "full", "xnnpack", FULL, recorded("02b_fp32_explicit_xnnpack", "xnnpack")
    ),
    "full delegation required": Labelled(
        "full", "xnnpack", FULL, recorded("07o_require_full_delegation_ok", "xnnpack")
    ),
    "log says 65 of 65": Labelled(
        "full", "xnnpack", FULL, recorded("07v1_verboselog_default", "xnnpack")
    ),
    "profile of the classic tool": Labelled(
        "full", "xnnpack", FULL, recorded("04_fp32_opprof_stdout", "xnnpack")
    ),
    "profile of the CompiledModel tool": Labelled(
        "full", "xnnpack", FULL, recorded("19b_litert_cpp_profiler", "xnnpack")
    ),
    "wheel, processor": Labelled(
        "full", "xnnpack", FULL, wheel("17a_py_litert_wheel_cpu", "xnnpack")
    ),
    "old words, one partition": Labelled(
        "full",
        "nnapi",
        FULL,
        text(
            "nnapi",
            "Applied NNAPI delegate, and the model graph will be completely executed w/ the "
            "delegate.\nINFO: NNAPI accelerators available: [google-edgetpu,nnapi-reference]\n",
            "INFO: Replacing 31 node(s) with delegate (TfLiteNnapiDelegate) node, "
            "yielding 1 partitions.\n",
        ),
    ),
    "live conv": Labelled("full", "xnnpack", FULL, live(models.conv_model(), "xnnpack")),
    "live fp16": Labelled("full", "xnnpack", FULL, live(models.fp16_model(), "xnnpack")),
    "live compiled": Labelled("full", "xnnpack", FULL, compiled(models.conv_model(), "xnnpack")),
    # A part of it.
    "live int8, softmax left": Labelled(
        "one island", "xnnpack", PARTIAL, live(models.int8_model(), "xnnpack")
    ),
    "profile of int8": Labelled(
        "one island", "xnnpack", PARTIAL, recorded("06b_int8_opprof", "xnnpack")
    ),
    "external takes one": Labelled(
        "one island", "external", PARTIAL, recorded("07p_external_dummy_delegate", "external")
    ),
    "external, log at VERBOSE": Labelled(
        "one island", "external", PARTIAL, recorded("07v4_verboselog_external_dummy", "external")
    ),
    "node list, three islands": Labelled(
        "islands", "xnnpack", PARTIAL, recorded("14b_model_runtime_info", "xnnpack")
    ),
    "node list of CompiledModel": Labelled(
        "islands", "xnnpack", PARTIAL, recorded("19l_litert_cpp_runtime_info", "xnnpack")
    ),
    "log says 4 of 6": Labelled(
        "islands", "xnnpack", PARTIAL, recorded("07v2_verboselog_mixed", "xnnpack")
    ),
    "no clustering": Labelled(
        "islands", "xnnpack", PARTIAL, recorded("15i_disable_delegate_clustering", "xnnpack")
    ),
    "live two partitions": Labelled(
        "islands", "xnnpack", PARTIAL, live(models.partial_model(), "xnnpack")
    ),
    "live between two int8": Labelled(
        "islands", "xnnpack", PARTIAL, live(models.island_model(), "xnnpack")
    ),
    "live compiled, two partitions": Labelled(
        "islands", "xnnpack", PARTIAL, compiled(models.partial_model(), "xnnpack")
    ),
    "GPU and the rest": Labelled(
        "refused",
        "gpu",
        PARTIAL,
        text(
            "gpu",
            "INFO: Use gpu: [1]\nINFO: GPU delegate created.\n"
            "INFO: Explicitly applied GPU delegate, and the model graph will be partially executed "
            "by the delegate w/ 1 delegate kernels.\n",
            "INFO: Created TensorFlow Lite delegate for GPU.\n"
            "ERROR: Following operations are not supported by GPU delegate:\n"
            "CAST: Not supported Cast case.\nTOPK_V2: Operation is not supported.\n"
            "49 operations will run on the GPU, and the remaining 3 operations will run on the "
            "CPU.\n"
            "INFO: Initialized OpenCL-based API.\nINFO: Created 1 GPU delegate kernels.\n"
            + IMPLICIT,
        ),
    ),
    # Nothing of it, said aloud.
    "GPU refuses everything": Labelled(
        "refused",
        "gpu",
        NONE,
        text(
            "gpu",
            "INFO: Though GPU delegate is explicitly applied, the model graph will not be executed "
            "by the delegate.\n",
            "ERROR: Following operations are not supported by GPU delegate:\n"
            "RFFT2D: Operation is not supported.\n"
            "No operations will run on the GPU, and all 52 operations will run on the CPU.\n",
        ),
    ),
    "wrong separator of options": Labelled(
        "refused",
        "external",
        NONE,
        recorded("07u_external_options_comma_separated_as_help_says", "external"),
        silent=True,
    ),
    "failed to apply": Labelled(
        "refused", "external", NONE, recorded("07t_external_dummy_delegate_failinit", "external")
    ),
    "live one op that it lacks": Labelled(
        "refused", "xnnpack", NONE, live(models.unsupported_model(), "xnnpack")
    ),
    # Plain kernels, asked for.
    "switched off": Labelled("plain", "none", NONE, recorded("02_fp32_no_xnnpack", "none")),
    "switched off, profiled": Labelled(
        "plain", "none", NONE, recorded("04b_fp32_opprof_stdout_no_xnnpack", "none")
    ),
    "live plain": Labelled("plain", "none", NONE, live(models.conv_model(), "none")),
    "live compiled plain": Labelled("plain", "none", NONE, compiled(models.conv_model(), "none")),
    # Processor numbers under another name, exit code 0.
    "GPU flag unread": Labelled(
        "flag unread", "gpu", NONE, recorded("07a_use_gpu_cmakebuild", "gpu"), silent=True
    ),
    "NNAPI flag unread": Labelled(
        "flag unread", "nnapi", NONE, recorded("07b_use_nnapi_cmakebuild", "nnapi"), silent=True
    ),
    "Hexagon flag unread": Labelled(
        "flag unread",
        "hexagon",
        NONE,
        recorded("07g_use_hexagon_allproviders", "hexagon"),
        silent=True,
    ),
    "Core ML flag unread": Labelled(
        "flag unread",
        "coreml",
        NONE,
        recorded("07h_use_coreml_allproviders", "coreml"),
        silent=True,
    ),
    "NPU asked of the classic tool": Labelled(
        "flag unread",
        "npu",
        NONE,
        text("npu", "WARN: Unconsumed cmdline flags: --use_npu=true\n", IMPLICIT),
        silent=True,
    ),
    "flag without a value": Labelled(
        "flag unread",
        "gpu",
        NONE,
        text("gpu", "WARN: Unconsumed cmdline flags: --num_runs 5 --use_gpu\n", IMPLICIT),
        silent=True,
    ),
    "GPU unsupported": Labelled(
        "unsupported", "gpu", NONE, recorded("07c_use_gpu_allproviders", "gpu"), silent=True
    ),
    "GPU unsupported, other flags unread": Labelled(
        "unsupported",
        "gpu",
        NONE,
        recorded("07i_gpu_precision_flag_allproviders", "gpu"),
        silent=True,
    ),
    "NNAPI unsupported": Labelled(
        "unsupported",
        "nnapi",
        NONE,
        text("nnapi", "INFO: Use NNAPI: [1]\n" + UNSUPPORTED.format("NNAPI"), IMPLICIT),
        silent=True,
    ),
    "Core ML unsupported": Labelled(
        "unsupported",
        "coreml",
        NONE,
        text("coreml", UNSUPPORTED.format("CoreML"), IMPLICIT),
        silent=True,
    ),
    "Hexagon library missing": Labelled(
        "unsupported",
        "hexagon",
        NONE,
        text(
            "hexagon",
            "WARN: Could not create Hexagon delegate: platform may not support delegate or "
            "required libraries are missing\n",
            IMPLICIT,
        ),
        silent=True,
    ),
    "accelerator named without NNAPI": Labelled(
        "unsupported",
        "nnapi",
        NONE,
        recorded("07f_nnapi_accel_without_use_nnapi", "nnapi"),
        silent=True,
    ),
    "external library missing": Labelled(
        "library missing",
        "external",
        NONE,
        recorded("07k_external_delegate_missing_so", "external"),
        silent=True,
    ),
    "Edge TPU's library missing": Labelled(
        "library missing",
        "edgetpu",
        NONE,
        recorded("07k_external_delegate_missing_so", "edgetpu"),
        silent=True,
    ),
    "GPU accelerator missing": Labelled(
        "library missing",
        "gpu",
        NONE,
        recorded("20b_litert_cpp_gpubuild_use_gpu_no_lib", "gpu"),
        silent=True,
    ),
    "no NPU": Labelled(
        "NPU absent", "npu", NONE, recorded("19g_litert_cpp_npu_none", "npu"), silent=True
    ),
    "no NPU, wheel": Labelled(
        "NPU absent", "npu", NONE, wheel("17a_py_litert_wheel_cpu", "npu"), silent=True
    ),
    "live compiled, no NPU": Labelled(
        "NPU absent", "npu", NONE, asked_for_npu(models.conv_model()), silent=True
    ),
    "llvmpipe": Labelled(
        "rasteriser",
        "gpu",
        NONE,
        recorded("20d_litert_cpp_gpubuild_wheel_webgpu", "gpu"),
        silent=True,
    ),
    "llvmpipe, in part": Labelled(
        "rasteriser",
        "gpu",
        NONE,
        recorded("20e_litert_cpp_gpubuild_wheel_webgpu_mixed", "gpu"),
        silent=True,
    ),
    "llvmpipe, wheel": Labelled(
        "rasteriser", "gpu", NONE, wheel("17b_py_litert_wheel_gpu_nogpu", "gpu"), silent=True
    ),
    "nnapi-reference": Labelled(
        "rasteriser",
        "nnapi",
        NONE,
        text(
            "nnapi",
            "INFO: NNAPI accelerators available: [nnapi-reference]\nINFO: Explicitly applied NNAPI "
            "delegate, and the model graph will be completely executed by the delegate.\n",
        ),
        silent=True,
    ),
    # What nobody can know.
    "implicit XNNPACK": Labelled(
        "not told", "xnnpack", UNKNOWN, recorded("01_fp32_default", "xnnpack")
    ),
    "not switched off": Labelled("not told", "none", UNKNOWN, recorded("01_fp32_default", "none")),
    "CompiledModel without a list": Labelled(
        "not told", "xnnpack", UNKNOWN, recorded("19a_litert_cpp_cpu", "xnnpack")
    ),
    "wheel, in part": Labelled(
        "not told", "xnnpack", UNKNOWN, wheel("17g_py_litert_wheel_mixed", "xnnpack")
    ),
    "NNAPI before Android 10": Labelled(
        "not told",
        "nnapi",
        UNKNOWN,
        text(
            "nnapi",
            "INFO: Explicitly applied NNAPI delegate, and the model graph will be completely "
            "executed by the delegate.\n",
        ),
        silent=True,
    ),
    "killed before it was applied": Labelled(
        "not told",
        "gpu",
        UNKNOWN,
        lambda _: judge_tool(
            "gpu",
            parse_classic(b"INFO: STARTING!\nINFO: Use gpu: [1]\n", b""),
            None,
            compiled=False,
        ),
    ),
}


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Delegation]:
    return {name: case.run(tmp_path_factory.mktemp("case")) for name, case in LABELLED.items()}


def table(verdicts: dict[str, Delegation]) -> str:
    """Label against verdict, and below which kinds of case make up each label."""
    seen = Counter((LABELLED[n].right, found.verdict) for n, found in verdicts.items())
    words = list(Coverage)
    rows = [f"{'label':>8} " + "".join(f"{word:>9}" for word in words)]
    for label in words:
        rows.append(f"{label:>8} " + "".join(f"{seen[label, word]:9}" for word in words))
    kinds = Counter((case.right, case.why) for case in LABELLED.values())
    rows += [f"{label:>8}  {why}: {n}" for (label, why), n in sorted(kinds.items())]
    return "\n".join(rows)


def test_every_verdict_is_the_labelled_one(verdicts: dict[str, Delegation]) -> None:
    sys.stdout.write(f"\n{table(verdicts)}\n")
    wrong = {
        name: (found.verdict, [item.text for item in found.evidence])
        for name, found in verdicts.items()
        if found.verdict is not LABELLED[name].right
    }
    assert not wrong, f"{table(verdicts)}\n{wrong}"


def test_every_verdict_is_of_what_was_asked_and_shows_why(verdicts: dict[str, Delegation]) -> None:
    for name, found in verdicts.items():
        assert found.requested == LABELLED[name].requested, name
        assert found.evidence, name


def test_no_silent_fallback_stands_under_the_accelerators_name(
    verdicts: dict[str, Delegation],
) -> None:
    silent = {name: verdicts[name] for name, case in LABELLED.items() if case.silent}
    assert len(silent) >= 20
    assert {name for name, found in silent.items() if found.as_requested} == set()
    assert {found.verdict for found in silent.values()} <= {NONE, UNKNOWN}


def test_the_set_holds_every_kind_of_case() -> None:
    kinds = {case.why for case in LABELLED.values()}
    assert kinds == {
        "full",
        "one island",
        "islands",
        "refused",
        "plain",
        "flag unread",
        "unsupported",
        "library missing",
        "NPU absent",
        "rasteriser",
        "not told",
    }


def test_a_rasterisers_name_is_kept(verdicts: dict[str, Delegation]) -> None:
    log = (GOLDEN / "20d_litert_cpp_gpubuild_wheel_webgpu" / "stderr").read_text()
    assert verdicts["llvmpipe"].accelerators == (parse_log(log).adapter,)
