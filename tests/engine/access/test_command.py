"""`python server.py keys ...`."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from engine.access import keyfile
from engine.access.keys import Role
from engine.config import load
from tests.engine.access.conftest import Command, key_in


def test_a_key_is_shown_once_and_kept_as_a_hash(keys: Command, flags: list[str]) -> None:
    status, output, _ = keys("add", "web", "--rate", "60/min", "--tokens-per-day", "1000")
    assert status == 0
    text = key_in(output)
    settings = load(flags, {})
    file = keyfile.path(settings)
    assert text not in file.read_text()
    assert text.rpartition("_")[2] not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    key = keyfile.ring(settings).find(text)
    assert key is not None
    assert (key.name, key.roles) == ("web", {Role.TRANSLATE})
    assert (str(key.rate), key.tokens_per_day) == ("60/min", 1000)


def test_a_key_may_have_several_roles(keys: Command, flags: list[str]) -> None:
    _, output, _ = keys("add", "wall", "--role", "translate", "--role", "observe")
    key = keyfile.ring(load(flags, {})).find(key_in(output))
    assert key is not None
    assert key.roles == {Role.TRANSLATE, Role.OBSERVE}


def test_keys_are_listed_without_their_secrets(keys: Command) -> None:
    text = key_in(keys("add", "web", "--rate", "5/s")[1])
    keys("add", "boss", "--role", "admin")
    _, output, _ = keys("list")
    assert [line.split()[0] for line in output.splitlines()] == ["NAME", "web", "boss"]
    assert "5/s" in output
    assert text not in output


def test_a_removed_key_is_gone_and_the_others_stay(keys: Command, flags: list[str]) -> None:
    web, boss = (key_in(keys("add", name)[1]) for name in ("web", "boss"))
    assert keys("remove", "web")[0] == 0
    ring = keyfile.ring(load(flags, {}))
    assert ring.find(web) is None
    assert ring.find(boss) is not None


def test_print_shows_an_entry_for_the_environment(keys: Command, flags: list[str]) -> None:
    _, output, _ = keys("add", "web", "--print")
    entry = json.loads(output.splitlines()[0])
    settings = load(flags, {"BABELBROOK_KEYS__ENTRIES": json.dumps([entry])})
    assert not keyfile.path(settings).exists()
    assert keyfile.ring(settings).find(key_in(output)) is not None


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["add", "web"], "There is a key 'web' already"),
        (["remove", "nobody"], "There is no key 'nobody'"),
    ],
)
def test_what_cannot_be_done_is_status_1_and_a_sentence(
    keys: Command, words: list[str], sentence: str
) -> None:
    keys("add", "web")
    status, _, errors = keys(*words)
    assert status == 1
    assert sentence in errors


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["give"], "invalid choice: 'give'"),
        (["add"], "required: name"),
        (["add", "web", "--rate", "60"], "a rate is written as"),
        (["add", "web", "--rate", "0/s"], "a rate is written as"),
        (["add", "web", "--tokens-per-day", "-5"], "digits"),
        (["add", "web", "--role", "king"], "invalid choice: 'king'"),
        (["add", "web", "--keys.fil", "x"], "did you mean --keys.file?"),
    ],
)
def test_a_wrong_command_line_is_status_2_and_a_sentence(
    keys: Command, words: list[str], sentence: str
) -> None:
    status, _, errors = keys(*words)
    assert status == 2
    assert sentence in errors


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[]", "must be JSON"),
        ("{", "must be JSON"),
        ('{"keys": 5}', "must be a list"),
        ('{"keys": [{"id": "x"}]}', "key 1: id: "),
        ('{"keys": [5]}', "key 1: "),
    ],
)
def test_a_damaged_file_is_a_sentence(
    keys: Command, flags: list[str], text: str, sentence: str
) -> None:
    file = keyfile.path(load(flags, {}))
    file.parent.mkdir()
    file.write_text(text)
    for words in (["list"], ["add", "web"]):
        status, _, errors = keys(*words)
        assert status == 1
        assert sentence in errors
    assert file.read_text() == text


def test_one_key_in_two_places_is_refused(keys: Command, flags: list[str], tmp_path: Path) -> None:
    keys("add", "web")
    [entry] = json.loads(keyfile.path(load(flags, {})).read_text())["keys"]
    status, _, errors = keys("list", "--keys.entries", json.dumps([entry]))
    assert status == 1
    assert "two keys" in errors
