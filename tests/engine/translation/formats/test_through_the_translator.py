"""Documents on their whole way: cut into segments, put together again by a model that echoes."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.echo import EchoEngine
from engine.translation import formats
from engine.translation.origin import Origin
from engine.translation.request import TranslationRequest
from engine.translation.translator import Translation
from tests.conftest import ROOT
from tests.engine.translation.formats import (
    test_html,
    test_json,
    test_markdown,
    test_subtitles,
    test_xml,
)

DOCUMENTS: dict[str, st.SearchStrategy[str]] = {
    "html": test_html.DOCUMENTS,
    "xml": test_xml.FRAGMENTS,
    "markdown": test_markdown.DOCUMENTS,
    "srt": test_subtitles.DOCUMENTS,
    "vtt": test_subtitles.DOCUMENTS,
    "json": test_json.VALUES.map(json.dumps),
}


def echoed(format_: str, document: str) -> str:
    """The document after a translation into itself."""

    async def translate() -> str:
        engine = EchoEngine()
        await engine.start()
        parts = formats.parts(format_, document)
        return await Translation(engine, TranslationRequest(parts, Origin("en"), "de"), 4).joined()

    return asyncio.run(translate())


@pytest.mark.parametrize("format_", DOCUMENTS)
@given(data=st.data())
@settings(max_examples=50, deadline=None)
def test_a_document_comes_back_byte_for_byte(format_: str, data: st.DataObject) -> None:
    document = data.draw(DOCUMENTS[format_])
    assert echoed(format_, document) == document


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "docs/server-behavior.md",
        "tests/data/page.html",
        "tests/data/nasty.html",
        "tests/data/nasty.md",
    ],
)
def test_so_does_a_page(page: str) -> None:
    document = (ROOT / page).read_bytes().decode()
    assert echoed("html" if page.endswith("html") else "markdown", document) == document


def test_so_does_every_nasty_text_inside_of_every_format() -> None:
    texts = json.loads((ROOT / "tests" / "data" / "nasty.json").read_text("utf-8"))
    for text in (nasty["text"] for nasty in texts):
        for format_ in ("html", "markdown", "srt", "vtt"):
            assert echoed(format_, text) == text
        assert echoed("json", json.dumps([text])) == json.dumps([text])
