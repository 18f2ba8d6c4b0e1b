"""Devices that are not there: for tests, examples and demos, never for numbers."""
