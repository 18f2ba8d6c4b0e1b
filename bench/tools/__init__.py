"""Binaries that measure on a device: which are known, where they lie, what they are."""
