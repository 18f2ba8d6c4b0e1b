"""The board's side of provisioning, for its own python3 (3.6 or later) without pip and venv."""

from __future__ import annotations

# Prints what is asked of the interpreter, as JSON. The real one is wanted, for a virtual
# environment's may go away.
PROBE = r"""
import json, os, struct, sys, sysconfig
def version(name):
    try:
        from importlib import metadata
        return metadata.version(name)
    except Exception:
        return None
base = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
print(json.dumps({
    "executable": base,
    "version": "%d.%d.%d" % sys.version_info[:3],
    "implementation": sys.implementation.name,
    "bits": struct.calcsize("P") * 8,
    "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    "numpy": version("numpy"),
    "tflite_runtime": version("tflite-runtime"),
}))
"""

# sys.argv: work directory, digest, executable, "3.11", whether it sees the system's
# packages, what to write beside it, then the wheels. pyvenv.cfg (PEP 405) and a link make
# a virtual environment; a wheel is an archive whose content goes into site-packages
# (PEP 427), but for what its .data says. Whole or not at all, also over a power cut.
INSTALL = r"""
import errno, os, shutil, sys, zipfile
workdir, digest, executable, minor, system, manifest = sys.argv[1:7]
final = os.path.join(workdir, "venvs", digest)
new = os.path.join(workdir, "venvs", ".new-" + digest)
try:
    shutil.rmtree(new, ignore_errors=True)
    site = os.path.join(new, "lib", "python" + minor, "site-packages")
    os.makedirs(site)
    os.makedirs(os.path.join(new, "bin"))
    os.symlink(executable, os.path.join(new, "bin", "python"))
    with open(os.path.join(new, "pyvenv.cfg"), "w") as file:
        file.write("home = %s\ninclude-system-site-packages = %s\nversion = %s\n"
                   % (os.path.dirname(executable), system, minor))
    for wheel in sys.argv[7:]:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)
    for name in os.listdir(site):
        if not name.endswith(".data"):
            continue
        data = os.path.join(site, name)
        for kind in ("purelib", "platlib"):
            for at, _, files in os.walk(os.path.join(data, kind)):
                to = os.path.join(site, os.path.relpath(at, os.path.join(data, kind)))
                os.makedirs(to, exist_ok=True)
                for one in files:
                    os.replace(os.path.join(at, one), os.path.join(to, one))
        shutil.rmtree(data)
    with open(os.path.join(new, "edgebench.json"), "w") as file:
        file.write(manifest)
    os.sync()
    shutil.rmtree(final, ignore_errors=True)
    os.rename(new, final)
except OSError as error:
    shutil.rmtree(new, ignore_errors=True)
    print(error, file=sys.stderr)
    sys.exit(71 if error.errno in (errno.ENOSPC, errno.EDQUOT) else 1)
"""
NO_SPACE = 71

# sys.argv: work directory, digest. Makes `venv` a link to it, at once.
SWITCH = r"""
import os, sys
workdir, digest = sys.argv[1:]
link = os.path.join(workdir, "venv")
if os.path.lexists(link) and not os.path.islink(link):
    sys.exit("%s is not ours" % link)
new = link + ".new"
if os.path.lexists(new):
    os.unlink(new)
os.symlink(os.path.join("venvs", digest), new)
os.replace(new, link)
"""

# Prints what an environment measures with, as JSON.
CHECK = r"""
import json, numpy
try:
    import ai_edge_litert.interpreter, ai_edge_litert as runtime
    name = "ai-edge-litert"
except ImportError as error:
    if error.name not in ("ai_edge_litert", "ai_edge_litert.interpreter"):
        raise
    import tflite_runtime.interpreter, tflite_runtime as runtime
    name = "tflite-runtime"
from importlib import metadata
print(json.dumps({"runtime": name, "version": metadata.version(name), "numpy": numpy.__version__}))
"""

# $1: work directory. Removes what provisioning made and nothing else; says what went.
REMOVE = r"""
cd "$1" 2> /dev/null || exit 0
if [ -h venv ]; then case $(readlink venv) in venvs/*) rm -f venv || exit ;; esac; fi
cd venvs 2> /dev/null || exit 0
for name in * .new-*; do
    digest=${name#.new-}
    case $digest in *[!0-9a-f]* | '') continue ;; esac
    [ "${#digest}" = 16 ] && [ -d "$name" ] && [ ! -h "$name" ] || continue
    rm -rf "./$name" || exit
    case $name in .*) ;; *) echo "$name" ;; esac
done
cd .. && rmdir venvs 2> /dev/null
exit 0
"""
