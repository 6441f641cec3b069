"""The file of keys: JSON, written whole or not at all, for its owner alone."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from engine.access.keys import AccessError, Key, KeyRing
from engine.config import data_folder
from engine.settings import Settings


def path(settings: Settings) -> Path:
    """`keys.file`, in `data.folder` where relative."""
    return data_folder(settings) / settings.keys.file


def state_path(settings: Settings) -> Path:
    """`keys.state_file`, in the same way."""
    return data_folder(settings) / settings.keys.state_file


def ring(settings: Settings) -> KeyRing:
    """All keys: those of the file and those of `keys.entries`. Raises AccessError."""
    return KeyRing([*read(path(settings)), *_keys(settings.keys.entries, "keys.entries")])


def read(file: Path) -> list[Key]:
    """The keys of a file; none where it is missing. Raises AccessError."""
    try:
        text = file.read_text("utf-8")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise AccessError(f"The keys in {file} cannot be read: {reason}.") from None
    try:
        entries = json.loads(text)["keys"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise AccessError(f'{file} must be JSON: {{"keys": [...]}}.') from None
    return _keys(entries, str(file))


def _keys(entries: Any, place: str) -> list[Key]:
    if not isinstance(entries, list):
        raise AccessError(f"{place}: the keys must be a list.")
    keys = []
    for number, entry in enumerate(entries, start=1):
        try:
            keys.append(Key.model_validate(entry))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            field = ".".join(str(part) for part in first["loc"]) or "it"
            raise AccessError(f"{place}, key {number}: {field}: {first['msg']}.") from None
    return keys


def write(file: Path, keys: Iterable[Key]) -> None:
    """Put these keys into the file, in the place of all others. Raises AccessError."""
    text = json.dumps({"keys": [key.entry() for key in keys]}, ensure_ascii=False, indent=2)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        owner = file.stat() if file.exists() else None
        descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=file.name)  # mode 0600
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as new:
                new.write(f"{text}\n")
                new.flush()
                os.fsync(descriptor)
                if owner is not None:  # root adds a key for a server that runs as another user
                    os.fchown(descriptor, owner.st_uid, owner.st_gid)
                    os.fchmod(descriptor, owner.st_mode & 0o660)
            os.replace(name, file)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise AccessError(f"The keys cannot be written to {file}: {error.strerror}.") from None
