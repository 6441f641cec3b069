"""`python server.py models ...`: model files from the command line."""

from __future__ import annotations

import hashlib
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from engine.config import ConfigError, models_folder, read_command_line
from engine.errors import ModelError
from engine.models import hashes, sizes
from engine.models.catalogue import Catalogue, ModelEntry, Source
from engine.models.download import Report, fetch, unfinished

USAGE = """\
usage: python server.py models list
       python server.py models download NAME
       python server.py models remove NAME
       python server.py models verify [NAME]

Lists the models that are known, gets one from Hugging Face's hub, removes its file, or compares
files with the hashes that are known of them. Settings go behind, as for the server:
--models.folder FOLDER. HF_TOKEN, HF_ENDPOINT, HF_HOME and the proxy variables are honoured.
"""

_CHUNK = 1 << 20  # bytes read at a time


def run(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Do what the words behind `models` say; returns the exit status.

    Raises ConfigError for a wrong command line, and BabelbrookError for what cannot be done.
    """
    words = [*_leading_words(argv)]
    flags = argv[len(words) :]
    if not words or {"--help", "-h"} & set(flags):
        print(USAGE, end="")
        return 0 if flags else 2
    action, names = words[0], words[1:]
    if action not in _ACTIONS or len(names) not in _ACTIONS[action][1]:
        raise ConfigError([f"models {' '.join(words)}: unknown; python server.py models tells all"])
    models = read_command_line(flags, environ)
    catalogue = Catalogue(models_folder(models.settings), models.settings.models.entries)
    entries = [_named(catalogue, name) for name in names]
    return _ACTIONS[action][0](catalogue, entries, models.settings.models.hosts)


def _leading_words(argv: Sequence[str]) -> Iterator[str]:
    for word in argv:
        if word.startswith("-"):
            return
        yield word


def _named(catalogue: Catalogue, name: str) -> ModelEntry:
    entry = catalogue.named(name)
    if entry is None:
        known = ", ".join(entry.name for entry in catalogue)
        raise ModelError(f"There is no model '{name}'. Known are {known}.")
    return entry


def _list(catalogue: Catalogue, entries: list[ModelEntry], hosts: Sequence[str]) -> int:
    rows = [("NAME", "PARAMETERS", "SIZE", "HERE", "LICENCE")]
    for entry in catalogue:
        licence = entry.licence or "unknown"
        if entry.commercial_use is False:
            licence += ", no commercial use"
        here = "yes" if entry.downloaded else "no"
        row = (
            entry.name,
            sizes.parameters(entry.parameters),
            sizes.size(entry.size),
            here,
            licence,
        )
        rows.append(row)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(map(str.ljust, row, widths)).rstrip())
    loose = [each.name for each in catalogue if each.source and not each.source.pinned]
    if loose:
        print(f"\nNot pinned, so taken as the hub has it on the day: {', '.join(loose)}.")
    return 0


def _download(catalogue: Catalogue, entries: list[ModelEntry], hosts: Sequence[str]) -> int:
    [entry] = entries
    if entry.downloaded:
        print(f"{entry.name} is there already: {entry.file}")
        return 0
    source = entry.require_source()
    if entry.commercial_use is False:
        print(f"The licence of {entry.name}, {entry.licence}, forbids commercial use.")
    with _progress(entry.file.name) as report:
        fetch(source, entry.file, report, threading.Event(), hosts)
    print(f"{entry.name} is there: {entry.file}")
    return 0


def _remove(catalogue: Catalogue, entries: list[ModelEntry], hosts: Sequence[str]) -> int:
    [entry] = entries
    entry.require_source()  # what cannot be had again is not thrown away
    files = [each for file in entry.files for each in (file, hashes.place(file), *unfinished(file))]
    there = [file for file in files if file.exists()]
    for file in there:
        file.unlink()
        print(f"Removed {file}")
    if not there:
        print(f"{entry.name} is not there; nothing to remove.")
    return 0


def _verify(catalogue: Catalogue, entries: list[ModelEntry], hosts: Sequence[str]) -> int:
    """Status 1 where a file is not what it should be."""
    damaged = False
    for entry in entries or [entry for entry in catalogue if entry.downloaded]:
        verdict, sound = _verdict(entry)
        print(f"{entry.name}: {verdict}")
        damaged = damaged or not sound
    return 1 if damaged else 0


def _verdict(entry: ModelEntry) -> tuple[str, bool]:
    """What is to be said of an entry's files, and whether they are sound as far as one can see."""
    if not entry.downloaded:
        return "not there", False
    source = entry.source
    size = source.size if source else None
    if size not in (None, entry.size):
        return f"damaged: {entry.size:,} bytes instead of {size:,}", False
    known = {file: _known_hash(source, file) for file in entry.files}
    for file, expected in known.items():
        if expected is None:
            continue
        with _progress(file.name) as report:
            sha256 = _hash(file, report)
        if sha256 != expected:
            return f"damaged: {_is(entry, file)} {sha256}. Remove and download it again", False
    unknown = [file.name for file, expected in known.items() if expected is None]
    if not unknown:
        return "sound", True
    which = "" if len(unknown) == len(known) else f" for {', '.join(unknown)}"
    return f"no hash is known to compare with{which}", True


def _known_hash(source: Source | None, file: Path) -> str | None:
    """The entry's, else what the file had when it was downloaded."""
    return (source.sha256 if source else None) or hashes.noted(file)


def _is(entry: ModelEntry, file: Path) -> str:
    return "its sha256 is" if len(entry.files) == 1 else f"the sha256 of {file.name} is"


def _hash(file: Path, report: Report) -> str:
    digest, done, total = hashlib.sha256(), 0, file.stat().st_size
    with file.open("rb") as data:
        while chunk := data.read(_CHUNK):
            digest.update(chunk)
            done += len(chunk)
            report(done, total)
    return digest.hexdigest()


_Action = Callable[[Catalogue, list[ModelEntry], Sequence[str]], int]
_ACTIONS: dict[str, tuple[_Action, tuple[int, ...]]] = {
    "list": (_list, (0,)),
    "download": (_download, (1,)),
    "remove": (_remove, (1,)),
    "verify": (_verify, (0, 1)),
}
"""What each does, and how many names it takes."""


@contextmanager
def _progress(name: str) -> Iterator[Report]:
    """A bar on a terminal, else a line for each tenth."""
    if not sys.stderr.isatty():
        yield _Lines(name)
        return
    from tqdm import tqdm

    with tqdm(desc=name, unit="B", unit_scale=True, leave=False) as bar:

        def report(done: int, total: int) -> None:
            if bar.total != total:  # the first: what came earlier is no speed
                bar.total = total
                bar.initial = done
            bar.update(done - bar.n)

        yield report


class _Lines:
    """Writes "model.gguf: 30 %" once for each tenth."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._tenth = -1

    def __call__(self, done: int, total: int) -> None:
        tenth = 10 * done // total if total else 10
        if tenth != self._tenth:
            self._tenth = tenth
            print(f"{self._name}: {10 * tenth} %", file=sys.stderr, flush=True)
