"""Text that may stand on a terminal; imports nothing, since `--help` reaches it."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text with all that could steer a terminal spelt out, such as \\x1b."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
