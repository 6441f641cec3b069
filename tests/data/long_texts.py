"""Texts that are too long to be kept in a file."""

from __future__ import annotations

from itertools import cycle, islice
from pathlib import Path

_SENTENCES = (Path(__file__).parent / "sentences.txt").read_text("utf-8").splitlines()


def one_line(size: int) -> str:
    """Sentences in a single line of about `size` characters."""
    return " ".join(islice(cycle(_SENTENCES), size // 35))


def without_punctuation(size: int) -> str:
    """Words in a single line, with nothing that would end a sentence."""
    words = "".join(letter for letter in one_line(size) if letter.isalpha() or letter == " ")
    return words.lower()


def book(pages: int) -> str:
    """Paragraphs of sentences, about 1,800 characters a page, with CR LF."""
    page = "\r\n\r\n".join(" ".join(_SENTENCES[at : at + 10]) for at in range(0, 50, 10))
    return f"{page}\r\n\r\n\f" * pages
