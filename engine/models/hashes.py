"""Hashes of downloaded files, each in a file beside its own that `sha256sum --check` reads."""

from __future__ import annotations

import re
from pathlib import Path


def place(file: Path) -> Path:
    """Where the hash of `file` is written down."""
    return file.with_name(f"{file.name}.sha256")


def note(file: Path, sha256: str) -> None:
    """Write down the hash that `file` had when it was complete. Raises OSError."""
    place(file).write_text(f"{sha256}  {file.name}\n", encoding="utf-8")


def noted(file: Path) -> str | None:
    """The hash that was written down, in lower case; None where there is none to be read."""
    try:
        first = place(file).read_text(encoding="utf-8").split(maxsplit=1)
    except (OSError, UnicodeDecodeError):
        return None
    return first[0].lower() if first and re.fullmatch("[0-9a-fA-F]{64}", first[0]) else None
