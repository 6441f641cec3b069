"""Where translations on the command line go: the terminal, a file, or one JSON object."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.errors import BadRequest
from engine.translation.files import Document

_PLACES = 5  # that a person is told


class Output:
    """Takes the pieces of one translation; `progress` is told how many characters are done."""

    def __init__(
        self, document: Document, file: Path | None, as_json: bool, progress: Callable[[int], None]
    ) -> None:
        self._document, self._file, self._as_json = document, file, as_json
        self._progress = progress
        self._kept: list[str] = []  # what is written at the end alone

    def write(self, text: str, done: int) -> None:
        """The next piece; `done` characters of the source are in it and those before."""
        if self._as_json or self._file:
            self._kept.append(text)
        elif text:
            _print(text)
        self._progress(done)

    def finish(self, about: Mapping[str, Any]) -> None:
        """All was written; `about` goes into the JSON object. Raises BadRequest.

        Notes on what did not become a translation go to standard error.
        """
        text = "".join(self._kept)
        data, _ = self._document.encoded(text)
        if self._as_json:
            line = json.dumps({"translation": text, **about}, ensure_ascii=False) + "\n"
            data, text = line.encode(), line
        if self._file:
            _replace(self._file, data)
        else:
            # What was typed has no line end of its own, but a terminal wants one.
            _print(text if self._as_json or self._document.name else "\n")
        if not self._as_json:
            _warn(about)


def _print(text: str) -> None:
    """Characters as they are, in UTF-8 whatever the locale, at once."""
    sys.stdout.buffer.write(text.encode())
    sys.stdout.buffer.flush()


def _warn(about: Mapping[str, Any]) -> None:
    """On standard error: how much was left as it was, and where the first of it is."""
    places = about.get("untranslated", ())
    for note in about.get("notes", ()):
        if note["code"] == "untranslated":
            print(f"server.py: {note['message']}", file=sys.stderr)
    for place in places[:_PLACES]:
        where = f"characters {place['start']} to {place['end']}"
        print(f"server.py: {where}: {place['code']}", file=sys.stderr)
    if len(places) > _PLACES:
        print("server.py: ... --json names all of them", file=sys.stderr)


def _replace(file: Path, data: bytes) -> None:
    """Write a file so that nobody ever sees half of it. Raises BadRequest."""
    try:
        number, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
        try:
            with os.fdopen(number, "wb") as whole:
                whole.write(data)
            mask = os.umask(0)
            os.umask(mask)
            os.chmod(temporary, 0o666 & ~mask)
            os.replace(temporary, file)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise BadRequest(f"{file} cannot be written: {error.strerror}.") from None


@contextmanager
def bar(name: str, total: int, wanted: bool) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, of characters; nothing elsewhere."""
    if not wanted or not sys.stderr.isatty():
        yield lambda _: None
        return
    from tqdm import tqdm

    with tqdm(desc=name, total=total, unit="char", unit_scale=True, leave=False) as shown:
        yield lambda done: shown.update(max(0, min(done, total) - shown.n))
