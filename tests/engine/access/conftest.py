"""Keys on the command line and in files of a test's own."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from server import main

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def flags(tmp_path: Path) -> list[str]:
    """Settings that put keys and state into a folder of the test."""
    folder = tmp_path / "keys"
    files = ["--keys.file", str(folder / "k.json"), "--keys.state_file", str(folder / "s.sqlite")]
    (tmp_path / "empty.yaml").touch()
    return ["--config", str(tmp_path / "empty.yaml"), *files]


@pytest.fixture
def keys(flags: list[str], capsys: pytest.CaptureFixture[str]) -> Command:
    """`keys("add", "web")` is `python server.py keys add web`: status, output, errors."""

    def run(*words: str) -> tuple[int, str, str]:
        status = main(["keys", *words, *flags])
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return run


def key_in(output: str) -> str:
    """The key that `keys add` showed."""
    found = re.search(r"^bb_\S+$", output, re.MULTILINE)
    assert found, output
    return found[0]
