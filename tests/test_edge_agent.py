"""The agent as a program: measurements, configuration, faults of models, and a clean end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from models import conv_model, float_model, write_model

from bench.agent import EXAMPLE, REQUIREMENTS, SCRIPTS, edge_agent, edge_child
from bench.agent.edge_config import QUANTIZATIONS, Config, ConfigError, Target, load
from bench.agent.edge_measure import percentiles_ms, verdict
from bench.agent.edge_sensors import Machine
from bench.agent.edge_spool import Spool, only_agent
from bench.cli.agent import command
from bench.config import VARIANTS
from bench.delegation.judge import judge

ENTRY = {"name": "m", "version": "1", "path": "m.tflite", "quantization_type": "fp32"}


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files as `edgebench agent script` writes them."""
    folder = tmp_path_factory.mktemp("a device") / "edge agent"
    done = CliRunner().invoke(command, ["script", str(folder)], catch_exceptions=False)
    assert done.exit_code == 0
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "m.tflite", conv_model(size=16, classes=10))


def configured(folder: Path, *entries: Mapping[str, Any], **settings: Any) -> Path:
    path = folder / "agent.json"
    models = [{**ENTRY, "path": str(folder / "m.tflite"), **entry} for entry in entries or ({},)]
    spool = str(folder / "spool" / "spool.db")
    path.write_text(json.dumps({"device_id": "gw", "spool": spool, "models": models, **settings}))
    return path


def call(
    scripts: Path, config: Path, *arguments: str, **env: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(scripts / "edge_agent.py"), "--config", str(config), *arguments],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=200,
        cwd=config.parent,
    )


def rows(folder: Path) -> list[dict[str, Any]]:
    with Spool(folder / "spool" / "spool.db") as spool:
        return [row for _, row in spool.batch(1000)]


# Measuring


def test_once_measures_every_model_and_says_how_it_is_kept(
    scripts: Path, tmp_path: Path, model: Path
) -> None:
    config = configured(tmp_path, {}, {"delegate": "none", "version": "2"}, simulated=True)
    done = call(scripts, config, "--once")
    assert done.returncode == 0, done.stderr
    fast, plain = rows(tmp_path)
    for row in (fast, plain):
        assert row["failure"] is None
        assert row["sample_count"] >= 100
        assert 0 < row["inference_latency_ms_p50"] <= row["inference_latency_ms_p90"]
        assert row["runtime_version"].startswith("ai_edge_litert 2")
        assert row["simulated"] is True
        assert len(row["model_sha256"]) == 64
    assert (fast["delegate"], fast["delegate_verdict"]) == ("xnnpack", "FULL")
    assert (plain["delegate"], plain["delegate_verdict"]) == ("none", "NONE")
    assert fast["sample_id"] != plain["sample_id"]
    status = json.loads(call(scripts, config, "--status").stdout)
    assert status["queued"] == 2
    assert status["last_sample"]["model_version"] == "2"


@given(st.lists(st.integers(1, 10**12), min_size=1, max_size=200))
def test_percentiles_are_numpys_and_p90_needs_64_samples(samples: list[int]) -> None:
    p50, p90 = percentiles_ms(samples)
    assert p50 == pytest.approx(np.percentile(samples, 50) / 1e6)
    if len(samples) < 64:
        assert p90 is None
    else:
        assert p90 == pytest.approx(np.percentile(samples, 90) / 1e6)


@pytest.mark.parametrize(("delegated", "total", "partitions"), [(0, 3, 0), (3, 3, 1), (2, 3, 1)])
def test_the_verdict_is_edgebenchs_own(delegated: int, total: int, partitions: int) -> None:
    ours = verdict({"delegated": delegated, "total": total, "partitions": partitions})
    rest = {"CUSTOM": total - delegated} if total > delegated else {}
    theirs = judge(
        "xnnpack",
        total_nodes=total,
        delegated_nodes=delegated,
        partitions=partitions,
        fallback_ops=rest,
    )
    assert ours == theirs.verdict.value
    assert verdict(None) == "UNKNOWN"


def test_models_that_cannot_be_measured_are_samples_too(
    scripts: Path, tmp_path: Path, model: Path
) -> None:
    (tmp_path / "no model.tflite").write_bytes(b"\x00\x00\x00\x00TFL3 but nothing more")
    config = configured(
        tmp_path, {"path": "/nowhere/m.tflite"}, {"path": str(tmp_path / "no model.tflite")}, {}
    )
    done = call(scripts, config, "--once")
    assert done.returncode == 3
    gone, broken, good = rows(tmp_path)
    assert gone["failure"] == "model: /nowhere/m.tflite: No such file or directory"
    assert broken["failure"]
    for row in (gone, broken):
        assert row["sample_count"] == 0
        assert "inference_latency_ms_p50" not in row
        assert row["model_sha256"] == ""
    assert good["failure"] is None


def measured(path: Path, stop: threading.Event | None = None) -> dict[str, Any]:
    target = Target("gw", "m", "1", path, "fp32", "xnnpack", 1)
    return edge_child.in_child(target, stop or threading.Event(), lambda: None, 0.05)


def test_a_file_that_is_replaced_while_it_is_measured_counts_for_neither(
    tmp_path: Path, model: Path
) -> None:
    # Big enough to be measured for a second after it was read.
    other = write_model(tmp_path / "other.tflite", float_model())
    looked = 0

    def replace() -> None:
        nonlocal looked
        looked += 1
        shutil.copy(other, tmp_path / "new")
        (tmp_path / "new").replace(model)
        write_model(tmp_path / "o", conv_model(size=16, classes=2 + looked)).replace(other)

    target = Target("gw", "m", "1", model, "fp32", "xnnpack", 1)
    with pytest.raises(edge_child.Failed, match="replaced while it was measured"):
        edge_child.in_child(target, threading.Event(), replace, 0.01)
    assert looked


def test_a_runtime_that_aborts_is_a_sample_and_not_the_agents_end(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash = tmp_path / "sitecustomize.py"
    crash.write_text(
        "import os, sys\nsys.stderr.write('F0000 no kernel\\n')\nsys.stderr.flush()\nos.abort()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    config = load(str(configured(tmp_path)))
    row = edge_agent.Agent(config, threading.Event(), Machine(tmp_path)).sample(config.targets[0])
    assert row["failure"] == ("crashed: the measuring process ended by SIGABRT: F0000 no kernel")


def test_a_child_that_hangs_is_given_up(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import time\ntime.sleep(100)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(edge_child, "_LONGEST_S", 0.5)
    with pytest.raises(edge_child.Failed, match="timeout: no figure within"):
        measured(model)


def test_told_to_stop_it_gives_a_measurement_up(model: Path) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(edge_child.Stopped):
        measured(model, stop)


def test_power_and_battery_of_the_machine_are_in_the_sample(tmp_path: Path, model: Path) -> None:
    tree = tmp_path / "tree"
    files = {
        "sys/class/hwmon/hwmon0/name": "ina219",
        "sys/class/hwmon/hwmon0/power1_input": "2000000",
        "sys/class/power_supply/b/type": "Battery",
        "sys/class/power_supply/b/status": "Discharging",
        "sys/class/power_supply/b/capacity": "80",
        "sys/class/thermal/thermal_zone0/type": "cpu",
        "sys/class/thermal/thermal_zone0/temp": "50000",
    }
    for name, content in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(content)
    config = load(str(configured(tmp_path)))
    agent = edge_agent.Agent(config, threading.Event(), Machine(tree))
    first = agent.sample(config.targets[0])
    (tree / "sys/class/power_supply/b/capacity").write_text("78")
    second = agent.sample(config.targets[0])
    assert first["battery_drain_pct"] is None
    assert second["battery_drain_pct"] == 2
    for row in (first, second):
        assert row["failure"] is None
        assert row["temperature_c"] == 50
        assert row["throttled"] is None
        # 2 W of back-to-back invokes: about 2 mJ per ms.
        ratio = row["energy_mj_per_invoke"] / row["inference_latency_ms_p50"]
        assert 1.5 < ratio < 20


# Modes


def test_check_loads_and_allocates(scripts: Path, tmp_path: Path, model: Path) -> None:
    config = configured(tmp_path)
    done = call(scripts, config, "--check")
    assert (done.returncode, done.stderr) == (0, "")
    model.write_bytes(model.read_bytes()[:1000])
    done = call(scripts, config, "--check")
    assert done.returncode == 1
    assert done.stderr.startswith(f"edge_agent: {model}: ")
    model.unlink()
    done = call(scripts, config, "--check")
    assert done.returncode == 1
    assert "No such file" in done.stderr
    assert not (tmp_path / "spool").exists()


def test_status_without_a_spool(scripts: Path, tmp_path: Path) -> None:
    done = call(scripts, configured(tmp_path), "--status")
    assert done.returncode == 3
    assert "the agent has not run yet" in done.stderr


def test_a_second_agent_is_refused(scripts: Path, tmp_path: Path, model: Path) -> None:
    config = configured(tmp_path)
    with only_agent(tmp_path / "spool" / "spool.db"):
        done = call(scripts, config, "--once")
    assert done.returncode == 3
    assert done.stderr.endswith("another agent uses this spool; give each its own\n")


def test_it_goes_on_until_sigterm_with_what_it_measured(
    scripts: Path, tmp_path: Path, model: Path
) -> None:
    config = configured(tmp_path, interval_s=10)
    child = subprocess.Popen(
        [sys.executable, str(scripts / "edge_agent.py"), "--config", str(config)],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        for _ in range(600):
            if (tmp_path / "spool" / "spool.db").exists() and rows(tmp_path):
                break
            time.sleep(0.1)
        child.send_signal(signal.SIGTERM)
        _, said = child.communicate(timeout=60)
    finally:
        child.kill()
        child.wait()
    assert child.returncode == 0, said
    assert "Traceback" not in said
    assert "no database is set: samples wait in" in said
    assert rows(tmp_path)[0]["failure"] is None


# Configuration


def refused(folder: Path, **settings: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load(str(configured(folder, **settings)), {})
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"interval_s": 1}, "interval_s is 1; it can be 10 to 604800"),
        ({"interval_s": True}, "interval_s is no number"),
        ({"interval_s": float("nan")}, "interval_s is nan"),
        ({"spool_limit_mb": 0}, "spool_limit_mb is 0"),
        ({"intervall": 1}, "intervall is no setting; known: database_url"),
        ({"models": []}, "names no model"),
        ({"models": "m"}, "models is no list of tables"),
        ({"models": [{}]}, "models[0] lacks name"),
        ({"models": [{**ENTRY, "delegate": "gpu"}]}, "models[0].delegate is 'gpu'; it can be none"),
        ({"models": [ENTRY, {**ENTRY, "threads": 0}]}, "models[1].threads is no whole number"),
        ({"models": [{**ENTRY, "quantization_type": "INT8"}]}, "quantization_type is 'INT8'"),
        ({"models": [{**ENTRY, "name": "a\nb"}]}, "name is no text of 1 to 200 visible"),
        ({"models": [{**ENTRY, "x": 1}]}, "models[0].x is no setting"),
        ({"phones": [ENTRY]}, "phones[0] lacks serial"),
        ({"phones": [{**ENTRY, "serial": "-e", "benchmark_model": "b"}]}, "begins with a dash"),
        ({"database_url": "mysql://x"}, "database_url does not begin with postgresql://"),
        ({"simulated": "yes"}, "simulated is neither true nor false"),
        ({"device_id": None}, "device_id is missing"),
        ({"device_id": 7}, "device_id is no text"),
        ({"spool": 7}, "spool is no path"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    tmp_path: Path, settings: dict[str, Any], said: str
) -> None:
    assert said in refused(tmp_path, **settings)


def test_a_wrong_configuration_ends_with_2(scripts: Path, tmp_path: Path) -> None:
    for content in ("{", "[]", '{"a": \xff}'):
        (tmp_path / "agent.json").write_bytes(content.encode("latin-1"))
        done = call(scripts, tmp_path / "agent.json", "--once")
        assert done.returncode == 2
        assert done.stderr.startswith(f"edge_agent: {tmp_path / 'agent.json'}: ")
        assert done.stderr.count("\n") == 1
    done = call(scripts, tmp_path / "none.toml")
    assert done.returncode == 2
    assert "`edgebench agent config` prints one" in done.stderr


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text() | st.integers(),
        lambda c: (
            st.lists(c, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "device_id",
                        "models",
                        "phones",
                        "interval_s",
                        "spool",
                        "name",
                        "path",
                        "version",
                        "quantization_type",
                        "serial",
                        "benchmark_model",
                        "threads",
                        "delegate",
                        "database_url",
                    ]
                ),
                c,
                max_size=8,
            )
        ),
    )
)
def test_any_content_is_a_configuration_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, content: Any
) -> None:
    path = tmp_path_factory.mktemp("config") / "agent.json"
    path.write_text(json.dumps(content))
    said = ""
    try:
        assert isinstance(load(str(path), {}), Config)
    except ConfigError as error:
        said = str(error)
    assert len(said.splitlines()) <= 1


def test_the_environment_goes_first(tmp_path: Path) -> None:
    path = configured(tmp_path)
    found = load(
        None,
        {
            "EDGE_CONFIG": str(path),
            "EDGE_DEVICE_ID": "gw-2",
            "EDGE_INTERVAL_S": "60",
            "EDGE_SPOOL": "/x/s.db",
            "EDGE_DATABASE_URL": "postgresql://u@h/d",
        },
    )
    assert found.targets[0].device_id == "gw-2"
    assert (found.interval_s, found.spool) == (60, Path("/x/s.db"))
    assert found.database_url == "postgresql://u@h/d"
    with pytest.raises(ConfigError, match="EDGE_INTERVAL_S is no number"):
        load(str(path), {"EDGE_INTERVAL_S": "soon"})


def test_the_example_is_a_configuration(tmp_path: Path) -> None:
    printed = CliRunner().invoke(command, ["config"]).stdout
    assert printed == EXAMPLE.read_text("utf-8")
    # Every line that is commented out is one, too.
    whole = "\n".join(
        line.removeprefix("# ")
        if line.startswith(("# [[", "# database_url")) or " = " in line
        else line
        for line in printed.splitlines()
    )
    (tmp_path / "agent.toml").write_text(whole)
    config = load(str(tmp_path / "agent.toml"), {})
    assert [target.device_id for target in config.targets] == ["gateway-001", "phone-017"]
    assert config.simulated
    assert config.targets[1].delegate == "nnapi"


def test_quantization_types_are_edgebenchs_variants() -> None:
    assert QUANTIZATIONS == VARIANTS


def test_the_command_writes_what_a_device_needs(scripts: Path) -> None:
    assert {file.name for file in scripts.iterdir()} == {
        file.name for file in (*SCRIPTS, REQUIREMENTS)
    }
    imported = {
        line.split()[1].split(".")[0]
        for file in SCRIPTS
        for line in file.read_text().splitlines()
        if line.startswith(("import edge_", "    import edge_", "    from edge_"))
    }
    assert {f"{name}.py" for name in imported} <= {file.name for file in SCRIPTS}
