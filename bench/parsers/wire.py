"""The protobuf wire format: a message's bytes -> its fields, or UnreadableOutput.

Format: protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections.abc import Iterator

from bench.errors import UnreadableOutput

# A model of 100,000 nodes fills some 10 MB.
_MAX_BYTES = 64 << 20


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(field number, value) of a message: an int for a varint, else the bytes.

    Raises: UnreadableOutput where it is damaged, cut off or larger than any model makes it.
    """
    if len(data) > _MAX_BYTES:
        raise UnreadableOutput("a file of the tool is larger than any model makes it")
    position = 0
    while position < len(data):
        key, position = varint(data, position)
        kind = key & 7
        if kind == 0:
            value, position = varint(data, position)
            yield key >> 3, value
            continue
        if kind == 2:
            size, position = varint(data, position)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise UnreadableOutput("a binary file of the tool is damaged")
        if position + size > len(data):
            raise UnreadableOutput("a binary file of the tool is cut off")
        yield key >> 3, data[position : position + size]
        position += size


def varint(data: bytes, position: int) -> tuple[int, int]:
    """The number that begins at a position, and where it ends. Raises: UnreadableOutput."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            raise UnreadableOutput("a binary file of the tool is cut off")
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
    raise UnreadableOutput("a binary file of the tool is damaged")
