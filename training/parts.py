"""A large file in small parts, for ways that only small files can go."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

PART_BYTES = 15 * 2**20

_NAME = re.compile(r"(?P<name>.+)\.(?P<digest>[0-9a-f]{16})\.(?P<number>\d+)-of-(?P<count>\d+)")


class PartsError(ValueError):
    """Parts that do not make a whole file; the message says what is missing or wrong."""


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def split(path: Path, folder: Path, size: int = PART_BYTES) -> list[Path]:
    """Write `path` into `folder` in parts of at most `size` bytes.

    Each part's name holds the whole file's digest, its number and the count.
    """
    data = path.read_bytes()
    count = max(1, -(-len(data) // size))
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for number in range(count):
        part = folder / f"{path.name}.{_digest(data)}.{number + 1}-of-{count}"
        part.write_bytes(data[number * size : (number + 1) * size])
        parts.append(part)
    return parts


def join(parts: Sequence[Path], folder: Path) -> Path:
    """Join the parts of one file, in any order, and return the file's path in `folder`.

    Raises `PartsError` for a strange name, a missing part or damaged bytes.
    """
    found = {}
    for part in parts:
        match = _NAME.fullmatch(part.name)
        if not match:
            raise PartsError(f"{part.name}: not the name of a part")
        found[int(match["number"])] = part
        whole = match.group("name", "digest", "count")
    if not found:
        raise PartsError("no parts given")
    name, digest, count = whole
    if sorted(found) != list(range(1, int(count) + 1)):
        raise PartsError(f"{name}: has parts {sorted(found)} of {count}")
    data = b"".join(found[number].read_bytes() for number in sorted(found))
    if _digest(data) != digest:
        raise PartsError(f"{name}: the parts are damaged or of different files")
    target = folder / name
    target.write_bytes(data)
    return target
