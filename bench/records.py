"""A run's file: one JSON object per line, written at once, so that a run can go on after a stop."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Record = dict[str, Any]


class Records:
    """The records of a run, in memory and in a file.

    Every record has a `kind`; those of kind `cell` have `model`, `load`, `contestant`, `round`.
    """

    def __init__(self, path: Path) -> None:
        """Read what is there; a last line that a kill cut short is dropped."""
        self.path = path
        self.all: list[Record] = list(_read(path)) if path.exists() else []

    def add(self, kind: str, **fields: Any) -> Record:
        """Append a record to the file."""
        record = {"kind": kind, **fields}
        self.all.append(record)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        return record

    def find(self, kind: str, **fields: Any) -> Iterator[Record]:
        """The records of a kind with these values."""
        wanted = {"kind": kind, **fields}
        return (
            record
            for record in self.all
            if all(record.get(name) == value for name, value in wanted.items())
        )

    def last(self, kind: str, **fields: Any) -> Record | None:
        """The newest of them."""
        return next(iter(reversed(list(self.find(kind, **fields)))), None)

    def cells(self, model: str, load: str, contestant: str) -> dict[int, Record]:
        """The cells of a contestant by round."""
        found = self.find("cell", model=model, load=load, contestant=contestant)
        return {record["round"]: record for record in found}


def _read(path: Path) -> Iterator[Record]:
    whole = path.read_bytes()
    kept = whole[: whole.rfind(b"\n") + 1]
    if len(kept) < len(whole):
        path.write_bytes(kept)
    for line in kept.decode().splitlines():
        yield json.loads(line)
