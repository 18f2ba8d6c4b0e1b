# shellcheck shell=sh
# Sourced by the scripts: find a Python, make .venv, install a lock into it.
# Every prerequisite that is missing is named with the command that mends it.

say() { printf '%s\n' "$*"; }
fail() {
    printf 'edgebench: %s\n' "$1" >&2
    shift
    for line in "$@"; do printf '    %s\n' "$line" >&2; done
    exit 2
}

# A name on PATH is not enough: a version manager's stub may lie there for a
# Python that is not installed, so each candidate is run.
find_python() {
    for candidate in ${EDGEBENCH_PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
            >/dev/null 2>&1; then
            command -v "$candidate"
            return 0
        fi
    done
    return 1
}

# need_disk MEGABYTES WHAT_FOR
need_disk() {
    free_mb=$(df -Pm . | awk 'NR == 2 { print $4 }')
    if [ "$free_mb" -lt "$1" ]; then
        fail "$2 needs $1 MB of disk, $(pwd) has $free_mb MB free." \
            "Free some space, or move this folder to a larger disk."
    fi
}

# install LOCK MEGABYTES: .venv holds what requirements/LOCK.txt says, and the project.
install() {
    lock=requirements/$1.txt
    # What decides whether .venv is up to date: the locks and the package's metadata.
    want=$(cat "$lock" pyproject.toml | sha256sum | cut -d' ' -f1)
    for stamp in .venv/edgebench-lock-"$1" .venv/edgebench-lock-dev; do
        full=$(cat requirements/dev.txt pyproject.toml | sha256sum | cut -d' ' -f1)
        if [ -f "$stamp" ]; then
            have=$(cat "$stamp")
            if [ "$have" = "$want" ] || [ "$have" = "$full" ]; then return 0; fi
        fi
    done

    need_disk "$2" "Installing TensorFlow and the rest"
    if [ ! -x .venv/bin/python ]; then
        python=$(find_python) || fail \
            "needs Python 3.11, 3.12 or 3.13; found ${EDGEBENCH_PYTHON:-none of them on PATH}." \
            "Debian 12 or Ubuntu 24.04:  sudo apt-get install python3 python3-venv" \
            "or point at one:            EDGEBENCH_PYTHON=/path/to/python3.12 $0"
        say "Making .venv with $("$python" --version)"
        if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
            version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
            fail "$python has no venv module; Debian and Ubuntu package it apart." \
                "sudo apt-get install python$version-venv"
        fi
        rm -rf .venv
        "$python" -m venv .venv || fail "could not make .venv with $python"
    fi
    say "Installing $(grep -c '^[a-z].*==' "$lock") pinned packages from $lock (once)"
    rm -f .venv/edgebench-lock-*
    # No resolver and no build isolation: what is installed is what the lock says.
    if command -v uv >/dev/null 2>&1; then
        VIRTUAL_ENV=$PWD/.venv uv pip install --quiet --no-deps --require-hashes -r "$lock" &&
            VIRTUAL_ENV=$PWD/.venv uv pip install --quiet --no-deps --no-build-isolation -e .
    else
        .venv/bin/python -m pip install --quiet --disable-pip-version-check \
            --no-deps --require-hashes -r "$lock" &&
            .venv/bin/python -m pip install --quiet --disable-pip-version-check \
                --no-deps --no-build-isolation -e .
    fi || fail "the installation did not finish; the lines above say why." \
        "Is a package index reachable from here?  Run the same command again to go on."
    printf '%s\n' "$want" >".venv/edgebench-lock-$1"
}
