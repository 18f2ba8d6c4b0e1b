"""`devices trust HOST`: ask a host for its key, and remember it once a person has agreed."""

from __future__ import annotations

from pathlib import Path

from devices import known_hosts
from devices.deadline import Deadline
from devices.errors import Unauthorized
from devices.known_hosts import HostKey, Verdict
from devices.ssh_config import SshAddress
from devices.ssh_link import changed, known_name, shown_key
from devices.ssh_login import Secrets

__all__ = ["HostKey", "fetch", "trust"]


def fetch(address: SshAddress, deadline: Deadline, *, secrets: Secrets | None = None) -> HostKey:
    """The key that a host shows now; compare its fingerprint with the one of the board.

    Args:
        secrets: for jump hosts, which must be trusted and logged in to.

    Raises: DeviceOffline, DeviceTimeout, Unauthorized (a jump host), Unsupported.
    """
    return shown_key(address, device=address.name, secrets=secrets or Secrets(), deadline=deadline)


def trust(address: SshAddress, key: HostKey, known_hosts_path: Path | None = None) -> bool:
    """Remember a host's key; False where it was known already.

    Args:
        known_hosts_path: where to add it; by default the address's own file.

    Raises: Unauthorized (another key is known for the host, or this one is revoked: a
    person has to remove that line), OSError (the file cannot be read or written).
    """
    file = known_hosts_path or address.known_hosts[0]
    name = known_name(address)
    match known_hosts.verdict(name, key, (file, *address.known_hosts)):
        case Verdict.KNOWN:
            return False
        case Verdict.CHANGED:
            raise Unauthorized(changed(name, key, address), device=address.name)
        case Verdict.REVOKED:
            raise Unauthorized(
                f"the key of {name} ({key.fingerprint}) is marked as revoked", device=address.name
            )
        case Verdict.UNKNOWN:
            known_hosts.append(file, name, key)
            return True
