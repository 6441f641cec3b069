"""`python -m bench.quality` scores a running server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.quality import by_pair, read
from tests.conftest import ROOT, ServerProcess
from training.example import Example

ROWS = [
    "de\tWhere is the station?\tWo ist der Bahnhof?\n",
    "fr\tHello.\tBonjour.\n",
    "ja\tde\tはい。\tJa.\n",
]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench.quality", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=60)


def test_rows_are_read_in_both_directions_or_as_they_say() -> None:
    assert list(read(ROWS)) == [
        Example("en", "de", "Where is the station?", "Wo ist der Bahnhof?"),
        Example("de", "en", "Wo ist der Bahnhof?", "Where is the station?"),
        Example("en", "fr", "Hello.", "Bonjour."),
        Example("fr", "en", "Bonjour.", "Hello."),
        Example("ja", "de", "はい。", "Ja."),
    ]


def test_a_bad_row_is_named() -> None:
    with pytest.raises(ValueError, match="line 2 has 1 fields"):
        list(read([ROWS[0], "x"]))


def test_only_pairs_that_are_wanted_and_there_are_taken() -> None:
    assert [len(own) for own in by_pair(read(ROWS * 3), ["en-de", "ja-de"], 2)] == [2, 2]
    with pytest.raises(ValueError, match="no rows for en-xx"):
        by_pair(read(ROWS), ["en-xx"], 2)


def test_the_server_s_translations_are_scored(server: ServerProcess, tmp_path: Path) -> None:
    file = tmp_path / "rows.tsv"
    file.write_text("".join(ROWS), "utf-8")
    done = run(str(file), "--url", server.url, "--pair", "en-de", "--pair", "en-fr")
    assert "| en-de | 1 |" in done.stdout, done.stderr
    assert "| en-fr | 1 |" in done.stdout
    assert "chrF2" in done.stdout
    refused = run(str(file), "--url", server.url, "--pair", "ja-de")
    assert refused.returncode == 1
    assert "The server refuses" in refused.stderr
