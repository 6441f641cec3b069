"""Models that come in several files: NAME-00001-of-00003.gguf, where the first stands for all.

llama.cpp is given the first one and finds the others beside it by their names
(https://github.com/ggml-org/llama.cpp/tree/master/tools/gguf-split).
"""

from __future__ import annotations

import re
from pathlib import Path

_PART = re.compile(r"(?P<name>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<end>\.gguf)", re.I)


def number(file: str) -> int | None:
    """Which part a file is by its name, from 1 on; None for a model in one file."""
    part = _PART.fullmatch(file)
    return int(part["number"]) if part else None


def name(file: str) -> str:
    """The model's name by that of a file of it: without the ending, and which part it is.

    >>> name("large-Q4_K_M-00001-of-00003.gguf"), name("small.gguf")
    ('large-Q4_K_M', 'small')
    """
    part = _PART.fullmatch(file)
    return part["name"] if part else Path(file).stem


def files(file: str) -> list[str]:
    """The names of all parts of a model by that of one, or of the one file that it is.

    >>> files("large-00001-of-00002.gguf"), files("small.gguf")
    (['large-00001-of-00002.gguf', 'large-00002-of-00002.gguf'], ['small.gguf'])
    """
    part = _PART.fullmatch(file)
    if part is None:
        return [file]
    count = part["count"]
    return [f"{part['name']}-{n:05}-of-{count}{part['end']}" for n in range(1, int(count) + 1)]


def paths(file: Path) -> list[Path]:
    """The same for a file in its folder."""
    return [file.with_name(each) for each in files(file.name)]
