"""Text for a console: names are data, in the alphabet that the console has."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from bench.format import to_ascii, visible


def text_for(console: Console, content: str, style: str = "") -> Text:
    """The content as it is, never as markup; what could steer a terminal is spelt out."""
    shown = visible(content)
    return Text(to_ascii(shown) if console.options.ascii_only else shown, style)
