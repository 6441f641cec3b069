"""Nasty documents through the real model: the stream is the answer, and structure stays."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.translation.keeps import find
from tests.conftest import SENTENCES
from tests.engine.translation.documents import KEPT

NASTY = json.loads((Path(__file__).parents[1] / "data" / "nasty.json").read_text("utf-8"))
LINE_BREAK = re.compile(r"[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_WORDS = SENTENCES.read_text("utf-8").splitlines()[:40]
_PIECES = st.sampled_from([*_WORDS, *KEPT, " ", "\n", "\r\n", "\t- ", "\n\n  ", "1. ", "😀 ", "…"])
DOCUMENTS = st.lists(_PIECES, min_size=1, max_size=6).map("".join)


def structure(text: str) -> tuple[list[str], Counter[str], str, str]:
    """What a translation leaves as it is: line breaks, keeps, blanks at both ends."""
    kept = Counter(text[start:end] for start, end in find(text))
    blanks = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
    return LINE_BREAK.findall(text), kept, *blanks


def assert_same(client: httpx.Client, post: Any, text: str) -> None:
    body = {"text": text, "source_lang": "en", "target_lang": "de", "cache": False}
    stream, answer = post(**body), client.post("/translate", json=body)
    if answer.status_code == 200:
        assert stream.done
        assert stream.joined == answer.json()["translation"]
        assert structure(stream.joined) == structure(text)
    else:  # the model could not finish it, and says so in the same words
        assert stream.error == answer.json()
        assert stream.error["code"] in ("cut_short", "repetition")


@pytest.mark.parametrize("nasty", NASTY, ids=lambda nasty: str(nasty["name"]))
def test_the_frames_of_a_nasty_text_are_its_translation(
    client: httpx.Client, post: Any, nasty: dict[str, str]
) -> None:
    assert_same(client, post, nasty["text"])


@settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=DOCUMENTS)
def test_the_frames_of_any_text_are_its_translation(
    client: httpx.Client, post: Any, text: str
) -> None:
    assert_same(client, post, text)
