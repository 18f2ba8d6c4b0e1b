"""Decide what to measure and what it means."""

__version__ = "0.1.0"
