"""`python server.py translate ...`: translations in the terminal."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

from engine import log
from engine.config import ConfigError, read_command_line
from engine.errors import BadRequest
from engine.generation import Sampling
from engine.interface import Engine
from engine.models.pool import Pool
from engine.settings import Settings
from engine.translation import client, files, formats, languages, origin
from engine.translation.files import Document
from engine.translation.origin import Origin
from engine.translation.output import Output, bar
from engine.translation.parts import Part
from engine.translation.request import TranslationRequest
from engine.translation.translator import Translation

USAGE = """\
usage: python server.py translate TEXT|FILE|- --to LANG [--from LANG] [--format FORMAT] [-o FILE]
                                  [--ignore-tags NAME,...] [--on-failure keep_source|error]
                                  [--json] [--server URL [--key-file FILE]]

Translates a text, a file or, with '-' or behind a pipe, what comes from stdin, and writes the
translation as it comes. A word that is the name of a file is one. --format is told by the name
of a file, else it is text. -o writes a file, which is there when it is whole; --json writes one
JSON object. What a model does not finish, or only repeats itself over, stays as it is in a file,
and at the end you are told; in a text that is given here it is an error. --on-failure has it
otherwise. --server asks a running server instead of loading a model here, with the key in
--key-file where it wants one. Settings go behind, as for the server: --model NAME.

Status: 0, 1 where the translation failed, 2 for a wrong command line, 130 after Ctrl-C.

python server.py translate "Where is the station?" --to ja
python server.py translate README.md --to de -o README.de.md
"""

_WITH_VALUE = (
    "--to",
    "--from",
    "--format",
    "--ignore-tags",
    "--on-failure",
    "--server",
    "--key-file",
    "-o",
)
_OWN = (*_WITH_VALUE, "--json")
_SAMPLED = 100  # parts of a document that tell its language
_BROKEN_PIPE = 141  # as a shell tells of a program that SIGPIPE has ended

MakeEngine = Callable[[Settings], Coroutine[Any, Any, Pool]]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError([f"translate: {message}; python server.py translate --help tells all"])


@dataclass(frozen=True, slots=True)
class _Wish:
    """What the command line asks for."""

    document: Document
    target: str | None
    source: str
    ignore: frozenset[str]
    on_failure: str

    def body(self) -> dict[str, Any]:
        """The same for a server."""
        fields = {"text": self.document.text, "format": self.document.format}
        languages = {"target_lang": self.target, "source_lang": self.source}
        given = {name: value for name, value in languages.items() if value is not None}
        return {
            **fields,
            **given,
            "ignore_tags": sorted(self.ignore),
            "on_failure": self.on_failure,
            "stream_options": {"usage": True},
        }


def run(argv: Sequence[str], environ: Mapping[str, str], make_engine: MakeEngine) -> int:
    """Do what the words behind `translate` say; returns the exit status.

    Raises ConfigError for a wrong command line, and BabelbrookError for what cannot be done.
    """
    if {"--help", "-h"} & set(argv) or (not argv and sys.stdin.isatty()):
        print(USAGE, end="")
        return 0 if argv else 2
    own, rest = _split(argv)
    options = _parser().parse_args(own)
    if options.server and rest:
        raise ConfigError([f"translate: {rest[0]} is a setting of a server here, not of --server"])
    document = _document(options.text, options.format)
    wish = _Wish(
        document,
        options.to,
        options.source,
        frozenset(filter(None, options.ignore_tags.split(","))),
        options.on_failure or ("keep_source" if document.name else "error"),
    )
    try:
        with bar(wish.document.name, len(wish.document.text), options.output is not None) as told:
            output = Output(wish.document, options.output, options.json, told)
            if options.server:
                _translate_there(options.server, options.key_file, wish, output)
            else:
                _translate_here(rest, environ, wish, make_engine, output)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing more to say there
        return _BROKEN_PIPE
    return 0


def _split(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words that are this command's own, and settings, each with its value."""
    own: list[str] = []
    settings: list[str] = []
    words = iter(argv)
    for word in words:
        flag, equals, _ = word.partition("=")
        if word == "--":
            own += [word, *words]
        elif not word.startswith("-") or word == "-" or flag in _OWN:
            own.append(word)
            if flag in _WITH_VALUE and not equals:
                own += [value for value in [next(words, None)] if value is not None]
        else:
            settings.append(word)
            if not equals:
                settings += [value for value in [next(words, None)] if value is not None]
    return own, settings


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="server.py translate", add_help=False, allow_abbrev=False)
    parser.add_argument("text", nargs="?", default="-")
    parser.add_argument("--to")
    parser.add_argument("--from", dest="source", default="auto")
    parser.add_argument("--format", choices=list(formats.FORMATS))
    parser.add_argument("--ignore-tags", default="")
    parser.add_argument("--on-failure", choices=("keep_source", "error"))
    parser.add_argument("-o", dest="output", type=Path)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--server")
    parser.add_argument("--key-file", type=Path)
    return parser


def _document(text: str, format_: str | None) -> Document:
    """What is to be translated. Raises BadRequest."""
    if text == "-":
        return files.read("stdin.txt", sys.stdin.buffer.read(), format_)
    path = Path(text)
    if _is_file(path):
        return files.read(path.name, _read(path), format_)
    if path.suffix.lower() in files.FORMAT_OF and not any(c.isspace() for c in text):
        raise BadRequest(f"There is no file {text}.")
    return Document("", format_ or "text", text, "utf-8")


def _is_file(path: Path) -> bool:
    """Whether it names a file; a long text names nothing that a system could look up."""
    try:
        return path.is_file()
    except OSError:
        return False


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadRequest(f"{path} cannot be read: {error.strerror}.") from None


def _translate_there(server: str, key_file: Path | None, wish: _Wish, output: Output) -> None:
    """Ask a running server. Raises ServerFailed."""
    key = _read(key_file).decode().strip() if key_file else None
    done = 0
    answer = client.Answer(server, wish.body(), key)
    for piece in answer:
        done += len(piece)  # as long as the source, about
        output.write(piece, done)
    output.finish({"target_lang": wish.target, **answer.told})


def _translate_here(
    flags: Sequence[str],
    environ: Mapping[str, str],
    wish: _Wish,
    make_engine: MakeEngine,
    output: Output,
) -> None:
    """Load a model in this process. Raises ConfigError and BabelbrookError."""
    settings = read_command_line(flags, environ).settings
    quiet = "warning" if settings.log.level == "info" else settings.log.level
    log.set_up(settings.log.model_copy(update={"level": quiet}))
    document = wish.document
    parts = list(formats.parts(document.format, document.text, wish.ignore))

    async def work() -> None:
        engine = await make_engine(settings)
        try:
            await engine.start()
            await _write(engine, settings, wish, parts, output)
        finally:
            engine.stop()
            while not engine.stopped:
                await asyncio.sleep(0.01)

    asyncio.run(work())


async def _write(
    engine: Engine, settings: Settings, wish: _Wish, parts: Sequence[Part], output: Output
) -> None:
    entry = engine.entry
    target = languages.choose(wish.target or settings.translation.target_lang, entry.target_langs)
    source = await _origin(engine, wish, parts, target)
    sampling = Sampling(**entry.sampling.model_dump())
    keep = wish.on_failure == "keep_source"
    request = TranslationRequest(parts, source, target, sampling=sampling, keep_source=keep)
    translation = Translation(engine, request, settings.engine.lookahead)
    async for texts in translation.pieces():
        output.write("".join(texts), translation.position)
    output.finish(
        {
            "source_lang": source.language,
            "target_lang": target,
            "notes": [asdict(note) for note in translation.notes],
            "untranslated": [asdict(each) for each in translation.untranslated],
        }
    )


async def _origin(engine: Engine, wish: _Wish, parts: Sequence[Part], target: str) -> Origin:
    entry = engine.entry
    if wish.source.lower() != "auto":
        source = languages.choose(wish.source, entry.source_langs)
        entry.require_pair(source, target)
        return origin.named(source, target)
    await origin.prepare(entry)
    texts = islice((part.text for part in parts if part.text), _SAMPLED)
    return origin.detected("\n".join(texts), entry, target)
