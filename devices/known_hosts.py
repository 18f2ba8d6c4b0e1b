"""Which host keys this machine knows: OpenSSH's known_hosts files, read and added to.

Format: sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT". Lines of @cert-authority are not used, so
a host that is known by its certificate alone counts as unknown.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path


@dataclass(frozen=True, slots=True)
class HostKey:
    """The public key of a host.

    Attributes:
        type: as OpenSSH names it ("ssh-ed25519").
        blob: the key in the format of the wire.
    """

    type: str
    blob: bytes

    @property
    def fingerprint(self) -> str:
        """As `ssh-keygen -l` prints it: SHA256 in base64 without padding."""
        digest = base64.b64encode(hashlib.sha256(self.blob).digest()).decode()
        return f"SHA256:{digest.rstrip('=')}"


class Verdict(StrEnum):
    """What the files say of a key that a host has shown."""

    KNOWN = "known"
    UNKNOWN = "unknown"  # no line is about this host
    CHANGED = "changed"  # the host has other keys
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class _Line:
    marker: str
    hosts: str
    key: HostKey


def name_of(host: str, port: int) -> str:
    """How a host stands in a known_hosts file."""
    return host.lower() if port == 22 else f"[{host.lower()}]:{port}"


def keys_of(name: str, files: Sequence[Path]) -> tuple[HostKey, ...]:
    """The keys that a host may show, in the order of the files.

    Raises: OSError where a file is there and cannot be read.
    """
    return tuple(
        line.key for line in _lines(files) if not line.marker and _is_about(line.hosts, name)
    )


def verdict(name: str, key: HostKey, files: Sequence[Path]) -> Verdict:
    """Whether a host may show this key. Raises as `keys_of`."""
    for line in _lines(files):
        if line.marker == "@revoked" and line.key == key and _is_about(line.hosts, name):
            return Verdict.REVOKED
    known = keys_of(name, files)
    if key in known:
        return Verdict.KNOWN
    return Verdict.CHANGED if known else Verdict.UNKNOWN


def append(file: Path, name: str, key: HostKey) -> None:
    """Add a line to a known_hosts file, which is replaced whole and keeps its mode.

    Raises: OSError.
    """
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = file.resolve()  # a link to a file elsewhere stays one
    try:
        content, mode = file.read_bytes(), file.stat().st_mode & 0o777
    except FileNotFoundError:
        content, mode = b"", 0o600
    if content and not content.endswith(b"\n"):
        content += b"\n"
    blob = base64.b64encode(key.blob).decode()
    handle, temporary = tempfile.mkstemp(prefix=".known_hosts-", dir=file.parent)
    try:
        with os.fdopen(handle, "wb") as write:
            write.write(content + f"{name} {key.type} {blob}\n".encode())
        Path(temporary).chmod(mode)
        Path(temporary).replace(file)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _lines(files: Sequence[Path]) -> Iterator[_Line]:
    """The lines that hold a key; OpenSSH too passes over what it cannot read."""
    for file in files:
        try:
            text = file.read_text("utf-8", "replace")
        except FileNotFoundError:
            continue
        for line in text.splitlines():
            words = line.split()
            marker = words.pop(0) if words and words[0].startswith("@") else ""
            if len(words) < 3 or words[0].startswith("#"):
                continue
            try:
                blob = base64.b64decode(words[2], validate=True)
            except ValueError:  # neither base64 nor ASCII
                continue
            yield _Line(marker, words[0], HostKey(words[1], blob))


def _is_about(hosts: str, name: str) -> bool:
    """Whether the first field of a line names a host: hashed, or patterns with commas."""
    if hosts.startswith("|1|"):
        return _is_hash_of(hosts, name)
    found = False
    for pattern in hosts.lower().split(","):
        wanted = not pattern.startswith("!")
        # Only * and ? are special there, and [ begins a host with a port.
        plain = re.sub(r"\[", "[[]", pattern.removeprefix("!"))
        if fnmatchcase(name, plain):
            if not wanted:
                return False
            found = True
    return found


def _is_hash_of(hashed: str, name: str) -> bool:
    try:
        salt, digest = (base64.b64decode(part, validate=True) for part in hashed[3:].split("|"))
    except ValueError:
        return False
    # SHA-1 is what the format has (`HashKnownHosts yes`).
    return hmac.compare_digest(hmac.new(salt, name.encode(), "sha1").digest(), digest)
