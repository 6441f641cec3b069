"""Which GGUF files hold a language model, by their first kilobytes.

Projectors for images, adapters, bare vocabularies and importance matrices have the same ending.
Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import functools
import struct
from pathlib import Path
from typing import BinaryIO

from engine.models import split

_STRING, _ARRAY = 8, 9
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # bytes, by type
_LONG = 1000  # an array of so many is a vocabulary: what is looked for comes before it
_MOST = 1 << 16  # bytes of a text


def is_model(file: Path) -> bool:
    """Whether a file may hold a language model; one that cannot be read may, as loading tells."""
    try:
        status = file.stat()
        return _is_model(file, status.st_mtime_ns, status.st_size)
    except (OSError, struct.error, ValueError):
        return True


@functools.lru_cache(maxsize=1024)
def _is_model(file: Path, changed: int, size: int) -> bool:
    """`changed` and `size` are there for the cache alone."""
    with file.open("rb") as data:
        tensors, general = _read(data)
    if general.get("general.type", "model") != "model":
        return False
    if general.get("general.architecture") == "clip":  # projectors that do not tell their type
        return False
    return tensors > 0 or split.number(file.name) is not None  # a first part may hold none


def _read(data: BinaryIO) -> tuple[int, dict[str, str]]:
    """The number of tensors, and the texts among the metadata before the vocabulary.

    Raises ValueError and struct.error for what is not GGUF.
    """
    if data.read(4) != b"GGUF":
        raise ValueError("no GGUF")
    _, tensors, count = _unpack(data, "<IQQ")
    texts: dict[str, str] = {}
    for _ in range(count):
        key = _text(data)
        (kind,) = _unpack(data, "<I")
        if kind == _STRING:
            texts[key] = _text(data)
        elif kind != _ARRAY:
            data.seek(_size(kind), 1)
        elif not _skip_array(data):
            break
    return tensors, texts


def _skip_array(data: BinaryIO) -> bool:
    """False where it is too long to be skipped text by text."""
    kind, count = _unpack(data, "<IQ")
    if count >= _LONG:
        return False
    for _ in range(count):
        if kind == _STRING:
            _text(data)
        else:
            data.seek(_size(kind), 1)
    return True


def _text(data: BinaryIO) -> str:
    (length,) = _unpack(data, "<Q")
    if length > _MOST:  # a chat template at most
        raise ValueError("a text that is too long")
    return data.read(length).decode("utf-8", "replace")


def _size(kind: int) -> int:
    if kind not in _SIZES:
        raise ValueError("an unknown type")
    return _SIZES[kind]


def _unpack(data: BinaryIO, form: str) -> tuple[int, ...]:
    return struct.unpack(form, data.read(struct.calcsize(form)))
