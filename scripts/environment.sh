# shellcheck shell=sh
# Sourced by the scripts, from the project's folder: find a Python, make .venv, install
# a lock into it. Every prerequisite that is missing is named with the command that
# mends it, exit code 2.

# What a shell exports for another Python would lead this one astray.
unset PYTHONHOME PYTHONPATH

say() { printf '%s\n' "$*"; }
fail() {
    printf 'edgebench: %s\n' "$1" >&2
    shift
    for line in "$@"; do printf '    %s\n' "$line" >&2; done
    exit 2
}

# As root, in a container say, there may be no sudo.
as_root() { [ "$(id -u)" = 0 ] || printf 'sudo '; }

# version_of PYTHON: "3.12", or nothing where it does not run.
version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || :; }

# suits PYTHON [IMPORTS]: a Python there are packages for, where IMPORTS work.
suits() {
    "$1" -c "import struct, sys
sys.exit(not ((3, 11) <= sys.version_info[:2] <= (3, 13) and struct.calcsize('P') == 8))
" >/dev/null 2>&1 && { [ -z "${2:-}" ] || "$1" -c "$2" >/dev/null 2>&1; }
}

# find_python: sets $python. A name on PATH is not enough: a version manager's stub may
# lie there for a Python that is not installed, so each candidate is run.
find_python() {
    if [ -n "${EDGEBENCH_PYTHON:-}" ]; then
        set -- "$EDGEBENCH_PYTHON"
    else
        set -- python3 python3.13 python3.12 python3.11
    fi
    for python in "$@"; do
        # `version`, because an empty folder that a removed package left imports well.
        if suits "$python" 'from ensurepip import version; import venv'; then return 0; fi
    done
    another="or use another Python:  EDGEBENCH_PYTHON=/path/to/python3.12 $0"
    for python in "$@"; do
        if suits "$python"; then
            fail "$python has no venv module; Debian and Ubuntu package it apart." \
                "$(as_root)apt-get install python$(version_of "$python")-venv" "$another"
        fi
    done
    found=$(version_of "$1")
    fail "needs a 64-bit Python 3.11, 3.12 or 3.13; $1 is ${found:-none that runs}." \
        "Debian 12 and 13, Ubuntu 24.04:  $(as_root)apt-get install python3 python3-venv" "$another"
}

# need_disk FOLDER MEGABYTES: where df says nothing, nothing is known and nothing refused.
need_disk() {
    free_mb=$(df -Pm "$1" 2>/dev/null |
        awk 'NR == 2 { for (i = 3; i <= NF; i++) if ($i ~ /^[0-9]+%$/) { print $(i - 1); exit } }')
    if [ -n "$free_mb" ] && [ "$free_mb" -lt "$2" ]; then
        fail "installing TensorFlow and the rest needs $2 MB of disk; $1 has $free_mb MB free." "$3"
    fi
}

# What an environment was made of: it is used again only where all of this still holds.
# Virtual environments hold absolute paths, so a folder that was moved needs a new one.
identity() {
    printf '%s %s %s\n' "$(version_of .venv/bin/python)" "$(pwd -P)" \
        "$(cat requirements/*.txt | sha256sum)"
}

# holds LOCK...: .venv holds everything of one of these locks, and holds nothing older.
holds() {
    if [ -n "${EDGEBENCH_PYTHON:-}" ] &&
        [ "$(version_of "$EDGEBENCH_PYTHON")" != "$(version_of .venv/bin/python)" ]; then
        return 1
    fi
    for name in "$@"; do
        if [ "$(cat ".venv/edgebench-lock-$name" 2>/dev/null)" = "$(identity)" ]; then return 0; fi
    done
    return 1
}

make_venv() {
    find_python
    if [ -e .venv ]; then
        say "Remaking .venv: its folder, Python or lock changed, or it was never finished"
    else
        say "Making .venv with Python $(version_of "$python")"
    fi
    rm -rf .venv || fail "$(pwd)/.venv cannot be removed; the line above says why."
    "$python" -m venv .venv || {
        rm -rf .venv
        fail "$python could not make $(pwd)/.venv; the lines above say why."
    }
}

# pip_install ARGUMENTS: no resolver and no build isolation, so that what is installed is
# what the lock says. Where uv is set up for another index than pip, pip may still do.
pip_install() {
    [ -t 1 ] || set -- --quiet "$@"
    if command -v uv >/dev/null 2>&1 &&
        uv pip install --python .venv/bin/python --no-deps "$@"; then
        return 0
    fi
    .venv/bin/python -m pip install --disable-pip-version-check --no-deps "$@"
}

# add_lock LOCK MEGABYTES
add_lock() {
    case $(pwd -P) in
    *[\"\$\`\\:]*)
        # venv refuses the colon; pip writes the rest unescaped into its commands.
        fail "$(pwd -P) has one of \" \$ \` \\ : in its name; what pip installs does not run there." \
            "Rename or move the folder, and run the same command again."
        ;;
    esac
    [ -w . ] || fail "$(pwd) cannot be written, and .venv is made in it." \
        "Copy it to a folder of yours:  cp -r \"$(pwd)\" ~/edgebench"
    need_disk "$(pwd)" "$2" "Free some space, or move this folder to a larger disk."
    need_disk "${TMPDIR:-/tmp}" 1000 "Free some space, or name another folder:  TMPDIR=/path $0"
    # Packages are added to an environment of the same locks, whose versions agree, never
    # to an older one, where what the lock no longer names would stay behind; nor to one
    # where pip was interrupted, which takes a package half unpacked for an installed one.
    if [ -e .venv/edgebench-unfinished ] || ! holds quickstart dev; then make_venv; fi
    : >.venv/edgebench-unfinished
    say "Installing $(grep -c '^[a-z].*==' "requirements/$1.txt") pinned packages from requirements/$1.txt (once)"
    pip_install --require-hashes -r "requirements/$1.txt" || {
        holds quickstart dev || rm -rf .venv
        fail "the installation did not finish; the lines above say why." \
            "Is a package index reachable from here?  Behind a proxy:  export https_proxy=http://HOST:PORT" \
            "Then run the same command again:  $0"
    }
    identity >".venv/edgebench-lock-$1"
    rm .venv/edgebench-unfinished
}

# install LOCK MEGABYTES: .venv holds what requirements/LOCK.txt says, and the project.
install() {
    holds "$1" dev || add_lock "$1" "$2"
    project=$(sha256sum <pyproject.toml)
    if [ "$(cat .venv/edgebench-project 2>/dev/null)" != "$project" ]; then
        pip_install --no-build-isolation -e . ||
            fail "edgebench itself could not be installed; the lines above say why."
        printf '%s\n' "$project" >.venv/edgebench-project
    fi
}
