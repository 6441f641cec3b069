"""The texts that other tests take from here are what they are said to be."""

from __future__ import annotations

import json
import re
from pathlib import Path

HERE = Path(__file__).parent


def test_sentences_are_short_english_and_different() -> None:
    sentences = (HERE / "sentences.txt").read_text("utf-8").splitlines()
    assert len(set(sentences)) == len(sentences) == 240
    for sentence in sentences:
        assert 3 <= len(sentence.split()) <= 14
        assert re.fullmatch(r"[A-Z][A-Za-z0-9 ,.:']*[.?!]", sentence)


def test_nasty_texts_have_names_and_can_be_sent() -> None:
    texts = json.loads((HERE / "nasty.json").read_text("utf-8"))
    assert len({nasty["name"] for nasty in texts}) == len(texts)
    for nasty in texts:
        assert nasty.keys() == {"name", "text"}
        assert nasty["text"].encode()
