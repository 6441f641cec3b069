"""Segments that cannot be translated, and that are to stay as they are then: named, never lost."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from engine.generation import Job
from engine.memory.memory import Memory
from engine.memory.places import FilePlace
from engine.translation import formats
from engine.translation.origin import Origin
from engine.translation.parts import Part
from engine.translation.request import TranslationRequest
from engine.translation.translator import Translation
from tests.conftest import ROOT
from tests.engine.translation.documents import DOCUMENTS
from tests.engine.translation.test_retries import ScriptedEngine, words

NASTY = json.loads((ROOT / "tests" / "data" / "nasty.json").read_text("utf-8"))


def translate(
    engine: ScriptedEngine, document: str | list[Part], **fields: Any
) -> tuple[str, Translation]:
    """What comes out where segments may stay as they are, and what is known about it."""
    parts = formats.parts("text", document) if isinstance(document, str) else document
    request = TranslationRequest(
        parts=parts, origin=Origin("en"), target_lang="ja", keep_source=True, **fields
    )

    async def main() -> tuple[str, Translation]:
        translation = Translation(engine, request, 4)
        return await translation.joined(), translation

    return asyncio.run(asyncio.wait_for(main(), 60))


def stubborn(job: Job) -> list[str] | None:
    """Repeats itself over what is bad, whatever the penalty."""
    return None if "bad" in job.text else words(job.text.upper())


def test_a_segment_that_fails_comes_back_as_it_was_and_is_named() -> None:
    text = "So it is.\n\tToo bad. \nWell."
    out, translation = translate(ScriptedEngine(stubborn), text, report=True)
    assert out == "SO IT IS.\n\tToo bad. \nWELL."
    [kept] = translation.untranslated
    assert (text[kept.start : kept.end], kept.code) == ("Too bad.", "repetition")
    assert [note.code for note in translation.notes] == ["untranslated"]
    assert translation.notes[0].message.startswith("1 segment came back as the source")


def test_it_is_among_the_findings_with_its_places() -> None:
    text = "So it is.\nToo bad."
    out, translation = translate(ScriptedEngine(stubborn), text, report=True)
    done = translation.done[-1]
    assert [finding.check for finding in done.findings] == ["untranslated"]
    told = "This came back as the source. The model repeats itself in the translation of characters"
    assert done.findings[0].message.startswith(f"{told} 10 to 18.")
    assert text[done.start : done.end] == out[done.translated_start : done.translated_end]


def test_only_the_pieces_that_fail_stay() -> None:
    engine = ScriptedEngine(stubborn, segment="paragraph")
    text = "One two three four. Five six seven bad. Eight nine ten and eleven."
    out, translation = translate(engine, text)
    assert "ONE TWO THREE FOUR." in out
    assert "NINE TEN AND ELEVEN." in out
    assert "bad." in out
    assert [text[kept.start : kept.end] for kept in translation.untranslated] == [
        "Five six seven bad."
    ]


def test_what_is_cut_short_stays_too() -> None:
    engine = ScriptedEngine(lambda job: words(job.text.upper()))
    text = "Well.\nOne two three four five six seven eight."
    out, translation = translate(engine, text, max_tokens=2)
    assert out == text.replace("Well", "WELL")
    assert {kept.code for kept in translation.untranslated} == {"cut_short"}
    places = [text[kept.start : kept.end] for kept in translation.untranslated]
    assert " ".join(places) == "One two three four five six seven eight."


def test_a_silent_model_is_named_too_whatever_is_wanted() -> None:
    request = TranslationRequest(formats.parts("text", "One."), Origin("en"), "ja")

    async def main() -> tuple[str, Translation]:
        translation = Translation(ScriptedEngine(lambda job: []), request, 4)
        return await translation.joined(), translation

    out, translation = asyncio.run(main())
    assert (out, [kept.code for kept in translation.untranslated]) == ("One.", ["empty"])


def test_what_came_back_as_it_was_is_not_remembered(tmp_path: Path) -> None:
    memory = Memory(FilePlace(str(tmp_path / "memory.sqlite"), 2**20))
    for _ in range(2):
        engine = ScriptedEngine(lambda job: None if "bad" in job.text else ["そうです。"])
        assert translate(engine, "Too bad. So it is.", memory=memory)[0] == "Too bad. そうです。"
        assert "Too bad." in {job.text for job in engine.jobs}
    assert "So it is." not in {job.text for job in engine.jobs}
    memory.close()


@settings(deadline=None)
@given(DOCUMENTS)
def test_any_document_comes_back_whole_from_a_model_that_only_repeats_itself(
    document: list[Part],
) -> None:
    out, _ = translate(ScriptedEngine(lambda job: None), document)
    assert out == "".join(part.raw for part in document)


@pytest.mark.parametrize("nasty", NASTY, ids=lambda nasty: str(nasty["name"]))
def test_a_nasty_text_comes_back_whole_too(nasty: dict[str, str]) -> None:
    assert translate(ScriptedEngine(lambda job: None), nasty["text"])[0] == nasty["text"]
