"""The device's side of copying files over SSH: three shell scripts and what their ends mean.

Files go through `cat` and not through SFTP: the shell says why a copy failed ("No space
left on device"), where SFTP says "Failure"; a copy ends like any command; and boards whose
sshd has no SFTP server work too.
"""

from __future__ import annotations

import posixpath

from devices.errors import DeviceError, NoSpace, PathMissing, PermissionDenied, TransferError

SHORT = 65  # exit code of SEND: bytes are missing, the part stays
WRONG = 66  # exit code of SEND: the content is not what was sent, the part is gone

# Arguments: directory, target, part. Prints how many bytes of the part are there to go on
# from: none where nothing could prove them later.
PREPARE = """
LC_ALL=C; export LC_ALL
mkdir -p "$1" || exit
if [ -d "$2" ]; then echo "$2: Is a directory" >&2; exit 1; fi
if [ ! -f "$3" ]; then echo 0
elif sha256sum < /dev/null > /dev/null 2>&1; then wc -c < "$3"
else rm -f "$3" && echo 0
fi
"""

# Arguments: part, target, mode, sha256, size, bytes that are there already. At a lost link
# the stdin ends as well, which is why a part that is too short stays.
SEND = f"""
LC_ALL=C; export LC_ALL
umask 077
give_up() {{ rm -f "$part"; exit "$1"; }}
part=$1
if [ "$6" = 0 ]; then rm -f "$part" || exit; fi
cat >> "$part" || give_up 1
size=$(wc -c < "$part") || give_up 1
[ "$size" -ge "$5" ] || exit {SHORT}
[ "$size" -eq "$5" ] || give_up {WRONG}
if sha256sum < /dev/null > /dev/null 2>&1; then
    sum=$(sha256sum < "$part") || give_up 1
    [ "${{sum%%[ *]*}}" = "$4" ] || give_up {WRONG}
fi
chmod "$3" "$part" && mv -f "$part" "$2" || give_up 1
"""

# Argument: the file.
FETCH = """
LC_ALL=C; export LC_ALL
if [ ! -e "$1" ]; then ls -d "$1" > /dev/null; exit 1; fi
if [ ! -f "$1" ]; then echo "$1: Is a directory or no regular file" >&2; exit 1; fi
cat < "$1"
"""

# What strerror says in the C locale (glibc, musl, bionic), and the shells' own words.
_MEANINGS: tuple[tuple[type[DeviceError], tuple[bytes, ...]], ...] = (
    (NoSpace, (b"No space left on device", b"Disk quota exceeded", b"Quota exceeded")),
    (
        PermissionDenied,
        (b"Permission denied", b"Operation not permitted", b"Read-only file system"),
    ),
    (
        PathMissing,
        (
            b"No such file or directory",
            b"nonexistent directory",
            b"Directory nonexistent",
            b"Is a directory",
            b"Not a directory",
            b"File exists",
        ),
    ),
)


def part_of(target: str, sha256: str) -> str:
    """Where a target's content lies until it is whole: beside it, named by its content."""
    return posixpath.join(posixpath.dirname(target), f".edgebench-{sha256}.part")


def meaning_of(stderr: bytes) -> type[DeviceError]:
    """The type of error of a script that failed, by what its tools said."""
    for kind, words in _MEANINGS:
        if any(word in stderr for word in words):
            return kind
    return TransferError
