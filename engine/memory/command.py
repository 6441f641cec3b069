"""`python server.py memory ...`: the translation memory from the command line."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from engine.config import ConfigError, read_command_line
from engine.errors import BabelbrookError
from engine.memory import places, tmx
from engine.memory.store import Store
from engine.models import sizes

USAGE = """\
usage: python server.py memory stats
       python server.py memory export FILE.tmx
       python server.py memory import FILE.tmx
       python server.py memory clear

Tells how much the translation memory holds, writes it into a TMX file, takes one in, or forgets
everything. Settings go behind, as for the server: --memory FILE, or --memory redis with redis.url.
A server that runs meanwhile sees what changes.
"""


class MemoryFailed(BabelbrookError):
    """The place of the memory, or the other file, cannot be used."""

    code = "memory_failed"


def run(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Do what the words behind `memory` say; returns the exit status.

    Raises ConfigError for a wrong command line, and BabelbrookError for what cannot be done.
    """
    words = list(argv)
    flags = next((n for n, word in enumerate(words) if word.startswith("-")), len(words))
    words, rest = words[:flags], words[flags:]
    if not words or {"--help", "-h"} & set(rest):
        print(USAGE, end="")
        return 0 if rest else 2
    if words[0] not in _ACTIONS or len(words) != _ACTIONS[words[0]][1] + 1:
        raise ConfigError([f"memory {' '.join(words)}: unknown; python server.py memory tells all"])
    settings = read_command_line(rest, environ).settings
    place = places.of_command(settings)
    if place is None:
        raise MemoryFailed(f"memory.path is {settings.memory.path}: there is nothing to look at.")
    try:
        store = place.open()
        try:
            _ACTIONS[words[0]][0](store, *map(Path, words[1:]))
        finally:
            store.close()
    except (sqlite3.Error, OSError) as error:
        raise MemoryFailed(f"{place.name}: {error}.") from None
    return 0


def _stats(store: Store) -> None:
    count, size = store.stats()
    print(f"{count:,} segments, {sizes.size(size)}")


def _export(store: Store, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        count = tmx.write(store.entries(), file)
    print(f"{count:,} segments are in {path}.")


def _import(store: Store, path: Path) -> None:
    before, _ = store.stats()
    for entry in tmx.read(path):
        store.put(entry)
    print(f"{store.stats()[0] - before:,} segments are new.")


def _clear(store: Store) -> None:
    store.clear()
    print("The translation memory is empty.")


_ACTIONS: dict[str, tuple[Callable[..., None], int]] = {
    "stats": (_stats, 0),
    "export": (_export, 1),
    "import": (_import, 1),
    "clear": (_clear, 0),
}
"""What there is to do, and how many files it takes."""
