"""`python server.py keys ...`: keys from the command line."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import NoReturn

from engine.access import keyfile
from engine.access.keys import AccessError, Key, Role, generate
from engine.access.rates import Rate
from engine.access.shared import SharedAccounts
from engine.access.state import State
from engine.config import ConfigError, read_command_line
from engine.settings import Settings
from engine.shared_redis import SharedRedis

USAGE = """\
usage: python server.py keys add NAME [--role ROLE ...] [--rate 60/min] [--tokens-per-day N]
                                      [--print]
       python server.py keys list
       python server.py keys remove NAME

Makes, lists and removes keys. ROLE is translate (the default), observe (dashboard, /events,
/metrics) or admin (models, glossaries, and all of that); a key may have several. A key is shown
once and kept as a hash, in keys.file; with --print the entry for keys.entries is shown instead of
kept. A running server reads its keys again on SIGHUP. Settings go behind, as for the server:
--keys.file FILE.
"""


_PATIENCE = 10.0  # seconds for an answer of a Redis: nobody else waits
_FLAGS = ("--role", "--rate", "--tokens-per-day", "--print")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError([f"keys: {message}; python server.py keys --help tells all"])


def _rate(text: str) -> Rate:
    try:
        return Rate.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError("a number of tokens is written in digits")
    return int(text)


def _is_own(word: str) -> bool:
    """Whether a word comes before the settings."""
    return not word.startswith("--") or word.partition("=")[0] in _FLAGS


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="server.py keys", add_help=False, allow_abbrev=False)
    actions = parser.add_subparsers(dest="action", required=True, parser_class=_Parser)
    add = actions.add_parser("add", add_help=False, allow_abbrev=False)
    add.add_argument("name")
    add.add_argument("--role", action="append", choices=[role.value for role in Role])
    add.add_argument("--rate", type=_rate)
    add.add_argument("--tokens-per-day", type=_count)
    add.add_argument("--print", action="store_true", dest="shown")
    actions.add_parser("list", add_help=False, allow_abbrev=False)
    remove = actions.add_parser("remove", add_help=False, allow_abbrev=False)
    remove.add_argument("name")
    return parser


def run(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Do what the words behind `keys` say; returns the exit status.

    Raises ConfigError for a wrong command line, and AccessError for what cannot be done.
    """
    if not argv or {"--help", "-h"} & set(argv):
        print(USAGE, end="")
        return 0 if argv else 2
    own = list(takewhile(_is_own, argv))
    options = _parser().parse_args(own)
    settings = read_command_line(argv[len(own) :], environ).settings
    match options.action:
        case "add":
            _add(settings, options)
        case "remove":
            _remove(settings, options.name)
        case _:
            _list(settings)
    return 0


def _add(settings: Settings, options: argparse.Namespace) -> None:
    if any(key.name == options.name for key in keyfile.ring(settings)):
        raise AccessError(f"There is a key '{options.name}' already. Remove it first.")
    roles = frozenset(Role(role) for role in options.role or ["translate"])
    text, key = generate(options.name, roles, options.rate, options.tokens_per_day)
    if options.shown:
        print(json.dumps(key.entry(), ensure_ascii=False))
    else:
        file = keyfile.path(settings)
        keyfile.write(file, [*keyfile.read(file), key])
    print(f"The key of {key.name}, which nobody can show again:\n{text}")


def _remove(settings: Settings, name: str) -> None:
    file = keyfile.path(settings)
    keys = keyfile.read(file)
    kept = [key for key in keys if key.name != name]
    if len(kept) == len(keys):
        raise AccessError(f"There is no key '{name}' in {file}.")
    keyfile.write(file, kept)
    print(f"Removed {name}. A running server forgets it on SIGHUP.")


def _list(settings: Settings) -> None:
    rows: list[tuple[str, ...]] = [("NAME", "ID", "ROLES", "RATE", "TOKENS TODAY", "PER DAY")]
    rows += [_row(key, used) for key, used in asyncio.run(_used(settings))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(map(str.ljust, row, widths)).rstrip())


async def _used(settings: Settings) -> list[tuple[Key, int]]:
    """All keys with the tokens that they have used today."""
    file = keyfile.state_path(settings)
    state, url = State(file), settings.redis.url
    if file.exists():
        state.open()
    keys = keyfile.ring(settings)
    if url == "none":
        return [(key, await state.used(key.id)) for key in keys]
    redis = SharedRedis(settings.redis.model_copy(update={"timeout": _PATIENCE}))
    await redis.start()
    shared = SharedAccounts(redis, state)
    used = [(key, await shared.used(key.id)) for key in keys]
    await redis.close()
    return used


def _row(key: Key, used: int) -> tuple[str, ...]:
    quota = "-" if key.tokens_per_day is None else f"{key.tokens_per_day:,}"
    rate = "-" if key.rate is None else str(key.rate)
    return key.name, key.id, ",".join(sorted(key.roles)), rate, f"{used:,}", quota
