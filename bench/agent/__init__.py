"""The agent for devices in the field: scripts that run without edgebench, and their list.

The scripts lie beside each other on a device and need only the standard library, numpy, a
TFLite runtime and Python 3.9; edge_upload.py alone needs a driver for PostgreSQL.
"""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent
EXAMPLE = _HERE / "example.toml"
REQUIREMENTS = _HERE / "requirements.txt"
SCRIPTS: tuple[Path, ...] = (
    *(
        _HERE / f"edge_{name}.py"
        for name in ("agent", "child", "config", "measure", "phone", "sensors", "spool", "upload")
    ),
    _HERE.parent / "runners" / "invoke_loop.py",
)
