"""Which program wrote a line, and to which stream: what a mixed text is taken apart by.

Wordings: LiteRT tflite/tools/benchmark/*.cc, tflite/profiling/*.cc,
litert/tools/benchmark_litert_model.{h,cc} and the tool of the ai-edge-litert wheel, with
their older forms back to TensorFlow 1.15.
"""

from __future__ import annotations

import re

LEVELLED = re.compile(r"(?:VERBOSE|INFO|WARNING|WARN|ERROR|FATAL): ")
START = "STARTING!"
# A run of the performance-options tool begins here; the process says STARTING! only once.
PARAMETERS = re.compile(r"(?:Log parameter values verbosely|Min num runs): \[.*\]")

PYTHON_LOG = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:,\d+)? ([A-Z]+) benchmark_litert_model: (.*)"
)
PYTHON_RESULTS = "BENCHMARK RESULTS"
# Where the interpreter's state begins.
_STATE = re.compile(r"Interpreter has \d+ subgraphs\.")
INITIALIZED = re.compile(r"Model initialization: +(\d+\.\d\d) ms")
COMPILED_LINE = re.compile(r"(?:[A-Z]+: )?\[benchmark_litert_model\.(?:h|cc):\d+\]")

# What the classic tool and its loop print to stdout, without the level.
_STDOUT = re.compile(
    r"STARTING!$"
    r"|(?:Log parameter values verbosely|Min num runs|Min runs duration|Graph|Num threads"
    r"|Signature to run|Input layers|Use \w+|External delegate \w+|Enable op profiling): ?\["
    r"|[\w#/ ().,-]+ ?: \[.*\]$"
    r"|Loaded model |resolved reporter|Using signature: |Unconsumed cmdline flags: "
    r"|(?:XNNPACK|YNNPACK|GPU|NNAPI|Hexagon|COREML|EXTERNAL|STABLE_DELEGATE) delegate created\."
    r"|Going to apply \d+ delegates|(?:Explicitly a|A)pplied \S+ delegate|Though \S+ delegate is"
    r"|The input model file size |Initialized session in |Running benchmark for |count="
    r"|Inference timings in us: |Average inference timings in us: |Note: as the benchmark tool"
    r"|Memory footprint delta |Peak memory footprint |Overall peak memory footprint "
    r"|Memory status at the end of |[-+] (?:VmRSS|RssAnnon|RssFile) |Sav(?:ing|ed) benchmark result"
    r"|Profiling Info for |Operator-wise Profiling Info|The Model contains \d+ signature"
    r"|They are listed below|-> Signature Key: |The list of TFLite runtime options"
    r"|={5,}Summary of All Runs|Inference \(|Warmup \(|Model initialization: "
    # The interpreter's state.
    r"|={4}Printing out TfLite interpreter |Interpreter has \d+ subgraphs\.$|-{5,}"
    r"|\d+ (?:In|Out)puts: |Tensor +(?:ID|\d+) |kTfLite\w+ Info: |This memory arena is "
    r"|One possible set of tensors |Node +\d+ Operator | +\d+ \w+ Tensors:"
    r"|Execution plan as the list of |Among these nodes in | *Node \d+ is a "
    r"|(?:- )?Total (?:\w+ )*memory usage: |Subgraph#\d"
)
_TAB_ROW = re.compile(r"\t(?!--)")
# Tables of a profile: the classic tool's stand on stdout, the CompiledModel tool's on stderr.
_TABLE = re.compile(
    r"={10,}|node type, |Number of nodes executed: |Summary by node type|Timings \(microsec"
    r"|Memory \(bytes\): |\d+ nodes observed|(?:Primary graph|Subgraph) \("
    r"|[^%]+, (?:-?nan|[\d.e+-]+)%, | {2,}|\}|\w+_profile \{"
)
# No row of a table is longer; looking for one in what is would take long.
MOST_OF_A_ROW = 2000
# What only the log has.
_LOG = re.compile(
    r"(?:ERROR|FATAL|VERBOSE|WARNING): "
    r"|INFO: (?:Created TensorFlow Lite |\[[\w/.]+\.(?:cc|h):\d+\])"
)
# Words by which a text that is no output of a tool can still be known as its runtime's.
_RUNTIME = re.compile(
    r"(?:VERBOSE|INFO|WARNING|WARN|ERROR|FATAL): "
    r"(?:\[[\w/.]+\.(?:cc|h):\d+\] .*"
    r"|.*(?:TensorFlow Lite|TfLite|TFLite|LiteRT|delegate|XNNPack|NNAPI|OpenCL|GPU accelerator"
    r"|Benchmarking failed|[Ff]latbuffer|The model allocation|Could not open '|model identifier"
    r"|Failed to (?:load model|allocate tensors|parse flag|apply)|failed to (?:invoke|prepare)"
    r"|operations are not supported by GPU|usage: ).*)"
)
# The classic tool's, and the loop's that all share; where none begins, its run has lost its head.
_OWN = re.compile(
    r"Graph: \[|Initialized session in |Running benchmark for "
    r"|(?:Average i|I)nference timings in us: "
)
PROFILE = re.compile(
    r"(?:INFO: )?(?:Profiling Info for Benchmark Initialization:"
    r"|Operator-wise Profiling Info for Regular Benchmark Runs:|init_profile \{)"
    r"|=+ Run Order =+"
)


def body(line: str) -> str:
    """The line without its level."""
    level = LEVELLED.match(line)
    return line if level is None else line[level.end() :]


def is_stdout(line: str) -> bool:
    """Whether the classic tool, or the loop that all C++ tools share, printed it."""
    if line.startswith(("WARN: ", "\t")):
        return line.startswith("WARN: ") or _TAB_ROW.match(line) is not None
    return _STDOUT.match(body(line)) is not None


def is_stderr(line: str) -> bool:
    """Whether it is in neither stdout nor a table, and so the log's, or a continuation there."""
    return (
        bool(line.strip())
        and not is_stdout(line)
        and _TABLE.match(body(line)[:MOST_OF_A_ROW]) is None
    )


def is_own(line: str) -> bool:
    """Whether the tool printed it within a run, and nothing else does."""
    return _OWN.match(body(line)) is not None


def is_compiled_help(line: str) -> bool:
    """Whether the CompiledModel tool was asked for help, which its flags' library eats."""
    return line.startswith("benchmark_litert_model: Warning: SetProgramUsageMessage()")


def is_log(line: str) -> bool:
    """Whether it is certainly in the log (stderr); others of the log say it only by place."""
    return _LOG.match(line) is not None


def is_known(line: str) -> bool:
    """Whether it is certainly of one of the tools or of their runtime."""
    return (
        body(line) == START
        or is_compiled_help(line)
        or _RUNTIME.match(line) is not None
        or PYTHON_LOG.match(line) is not None
        or line.strip() == PYTHON_RESULTS
        or PROFILE.match(line) is not None
        or COMPILED_LINE.match(line) is not None
        or _STATE.fullmatch(line) is not None
        or (LEVELLED.match(line) is not None and is_stdout(line))
        or is_own(line)
        or body(line).startswith("count=")
    )


def of_the_process(line: str) -> bool:
    """Of the log of a process with several runs: that it failed; no delegate of any run."""
    return line.startswith(("ERROR: ", "FATAL: ")) and "delegate" not in line
