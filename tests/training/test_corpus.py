"""Reading and writing sentence pairs."""

from __future__ import annotations

import lzma
from pathlib import Path

import pytest

from training.corpus import CorpusError, Pair, read_pairs, write_pairs

PAIRS = [Pair("de", "Hello.", "Hallo."), Pair("ja", "Thanks.", "ありがとう。")]


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "pairs.tsv"
    write_pairs(path, PAIRS)
    assert list(read_pairs(path)) == PAIRS
    assert [file.name for file in tmp_path.iterdir()] == ["pairs.tsv"]


def test_xz_is_read_as_plain_text_is(tmp_path: Path) -> None:
    path = tmp_path / "pairs.tsv.xz"
    path.write_bytes(lzma.compress("de\tHello.\tHallo.\n\nja\tThanks.\tありがとう。\n".encode()))
    assert list(read_pairs(path)) == PAIRS


def test_a_folder_of_the_source_s_files_needs_no_conversion(tmp_path: Path) -> None:
    (tmp_path / "deu.txt").write_text("Hello.\tHallo.\tCC-BY 2.0 #1\n", encoding="utf-8")
    (tmp_path / "jpn.txt").write_text("Thanks.\tありがとう。\n", encoding="utf-8")
    assert sorted(read_pairs(tmp_path), key=lambda pair: pair.lang) == PAIRS


def test_an_empty_folder_is_an_error_that_names_the_files(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"deu\.txt"):
        list(read_pairs(tmp_path))


@pytest.mark.parametrize("line", ["de\tHello.", "de\ta\tb\tc", "xx\tHello.\tHallo."])
def test_a_bad_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "bad.tsv"
    path.write_text(f"de\tHello.\tHallo.\n{line}\n", encoding="utf-8")
    with pytest.raises(CorpusError, match=r"bad\.tsv:2"):
        list(read_pairs(path))
