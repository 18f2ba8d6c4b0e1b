"""Errors that say whose fault it is."""

from __future__ import annotations


class EdgebenchError(Exception):
    """Base of what the command line turns into one line and an exit code."""


class UserError(EdgebenchError):
    """The user's input is wrong: exit code 2.

    The message is one line that says what is wrong, where, and what to do.
    """


class StoreError(EdgebenchError):
    """The store cannot be read or written; the message says what to do."""


class StoreUnreachable(StoreError):
    """The store's server is not there now; it may be there later."""


class UnreadableOutput(EdgebenchError):
    """A parser recognised nothing in a program's output, or recognised only part of it."""
