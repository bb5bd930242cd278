"""Frames on a pipe.

A question is four bytes with the length of what follows, and JSON. An answer is twice four
bytes, with the lengths of JSON and of token ids, and both. Numbers are little-endian.
"""

from __future__ import annotations

import json
import struct
from array import array
from typing import Any, BinaryIO

_ONE = struct.Struct("<I")
_TWO = struct.Struct("<II")


def read(source: BinaryIO) -> Any | None:
    """Answer the next question, or None where there are no more."""
    head = source.read(_ONE.size)
    if len(head) < _ONE.size:
        return None
    (length,) = _ONE.unpack(head)
    body = source.read(length)
    if len(body) < length:
        return None
    return json.loads(body)


def write(out: BinaryIO, said: Any, ids: array[int] | None = None) -> None:
    """Write one answer."""
    head = json.dumps(said, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")
    body = b"" if ids is None else ids.tobytes()
    out.write(_TWO.pack(len(head), len(body)))
    out.write(head)
    out.write(body)
    out.flush()
