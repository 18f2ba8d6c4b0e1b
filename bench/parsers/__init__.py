"""Bytes of a program in, typed facts or UnreadableOutput out: one module per format."""
