"""A text on its way through an engine: whole, in order, and ended when it should end.

The echo engine gives every segment back, so the whole must come out as it went in.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.echo import EchoEngine
from engine.errors import BabelbrookError, BadRequest, DecodeFailed, ModelError
from engine.generation import Decoding, Generation, Job
from engine.translation.formats import parts
from engine.translation.origin import Origin
from engine.translation.parts import Part
from engine.translation.request import TranslationRequest
from engine.translation.translator import Translation
from tests.engine.translation.documents import DOCUMENTS, part, raw

NASTY = json.loads((Path(__file__).parents[2] / "data" / "nasty.json").read_text("utf-8"))
LOOKAHEADS = [1, 4]
T = TypeVar("T")


class HeldEngine(EchoEngine):
    """Answers nothing by itself: the test feeds the decodings."""

    def __init__(self) -> None:
        super().__init__()
        self.decodings: list[Decoding] = []

    def submit(self, job: Job) -> Generation:
        self.decodings.append(Decoding(job))
        return self.decodings[-1].join()

    @property
    def texts(self) -> list[str]:
        return [generation.job.text for generation in self.decodings]


def make(engine: EchoEngine, text: str, lookahead: int = 4, **fields: Any) -> Translation:
    return translation(engine, parts("text", text), lookahead, **fields)


def translation(
    engine: EchoEngine, document: Iterable[Part], lookahead: int = 4, **fields: Any
) -> Translation:
    request = TranslationRequest(parts=document, origin=Origin(None), target_lang="ja", **fields)
    return Translation(engine, request, lookahead)


def run(test: Awaitable[T]) -> T:
    async def main() -> T:
        return await asyncio.wait_for(test, 60)

    return asyncio.run(main())


async def echo(text: str, lookahead: int, **fields: Any) -> tuple[str, list[str]]:
    """What `joined` and `pieces` make of a text."""
    engine = EchoEngine()
    await engine.start()
    joined = await make(engine, text, lookahead, **fields).joined()
    pieces = [p async for new in make(engine, text, lookahead, **fields).pieces() for p in new]
    return joined, pieces


async def read_to_failure(translation: Translation) -> tuple[str, BabelbrookError]:
    """What came before an error, and the error."""
    seen = ""
    try:
        async for pieces in translation.pieces():
            seen += "".join(pieces)
    except BabelbrookError as failure:
        return seen, failure
    raise AssertionError(f"no error, but {seen!r}")


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(20):
        await asyncio.sleep(0)


# The whole text, in order


@pytest.mark.parametrize("lookahead", LOOKAHEADS)
@pytest.mark.parametrize("nasty", NASTY, ids=lambda nasty: str(nasty["name"]))
def test_nasty_text_comes_out_as_it_went_in(nasty: dict[str, str], lookahead: int) -> None:
    joined, pieces = run(echo(nasty["text"], lookahead))
    assert joined == "".join(pieces) == nasty["text"]


@settings(deadline=None)
@given(
    st.text(st.sampled_from("ab.!? \n\r\u2029\u3000é\u0301👩日。1") | st.characters(codec="utf-8"))
)
@pytest.mark.parametrize("lookahead", LOOKAHEADS)
def test_any_text_comes_out_as_it_went_in(lookahead: int, text: str) -> None:
    joined, pieces = run(echo(text, lookahead))
    assert joined == "".join(pieces) == text


@settings(deadline=None)
@given(DOCUMENTS)
@pytest.mark.parametrize("lookahead", LOOKAHEADS)
def test_any_document_comes_out_as_it_went_in(lookahead: int, document: list[Part]) -> None:
    async def test() -> str:
        engine = EchoEngine()
        await engine.start()
        return await translation(engine, document, lookahead).joined()

    assert run(test()) == "".join(part.raw for part in document)


def test_markup_comes_out_as_it_is_and_text_is_escaped_again() -> None:
    document = [raw("<p>"), part([("Ham & ", False), ("<b>", True), ("eggs", False)]), raw("</p>")]

    async def test() -> tuple[str, list[str]]:
        engine = HeldEngine()
        whole = asyncio.ensure_future(translation(engine, document).joined())
        await settle()
        for generation in engine.decodings:
            generation.started = 0.0
            generation.feed(f"<{generation.job.text}>", 1, "stop")
        return await whole, engine.texts

    joined, texts = run(test())
    assert joined == "<p>&lt;Ham &amp; <b>eggs></p>"
    assert texts == ["Ham & <b>eggs"]


def test_no_piece_is_empty_and_each_word_is_one() -> None:
    _, pieces = run(echo("One two. Three!\n", 4))
    assert pieces == ["One", " two.", " Three!", "\n"]


def test_no_text_has_no_pieces() -> None:
    assert run(echo("", 4)) == ("", [])


def test_segments_leave_in_order_whichever_is_ready_first() -> None:
    async def test() -> str:
        engine = HeldEngine()
        whole = asyncio.ensure_future(make(engine, "One. Two. Three.").joined())
        await settle()
        for generation in reversed(engine.decodings):
            generation.started = 0.0
            generation.feed(generation.job.text.upper(), 1, "stop")
            await settle()
        return await whole

    assert run(test()) == "ONE. TWO. THREE."


def test_an_answer_without_text_leaves_the_source_in_its_place() -> None:
    async def test() -> str:
        engine = HeldEngine()
        whole = asyncio.ensure_future(make(engine, "One.\n Two.", 1).joined())
        for answer in (" \n", "ZWEI."):
            await settle()
            engine.decodings[-1].feed(answer, 1, "stop")
        return await whole

    assert run(test()) == "One.\n ZWEI."


# Looking ahead


def test_no_more_segments_are_on_their_way_than_allowed() -> None:
    async def test() -> None:
        engine = HeldEngine()
        whole = asyncio.ensure_future(make(engine, "Yes. No. " * 10, lookahead=3).joined())
        for done in range(20):
            await settle()
            assert len(engine.decodings) == min(done + 3, 20)
            for generation in engine.decodings:
                generation.started = 0.0
            engine.decodings[done].feed("x", 1, "stop")
        assert await whole == "x " * 20

    run(test())


def test_only_segments_behind_the_reader_s_own_are_ahead() -> None:
    async def test() -> list[bool]:
        engine = HeldEngine()
        whole = asyncio.ensure_future(make(engine, "One. Two. Three.").joined())
        await settle()
        whole.cancel()
        return [generation.job.ahead for generation in engine.decodings]

    assert run(test()) == [False, True, True]


def test_a_segment_that_still_waits_when_its_turn_comes_is_not_ahead_any_more() -> None:
    async def test() -> list[tuple[str, bool, bool]]:
        engine = HeldEngine()
        whole = asyncio.ensure_future(make(engine, "One. Two.").joined())
        await settle()
        engine.decodings[0].feed("Eins.", 1, "stop")
        await settle()
        whole.cancel()
        return [(g.job.text, g.job.ahead, g.cancelled) for g in engine.decodings[:3]]

    assert run(test()) == [("One.", False, False), ("Two.", True, True), ("Two.", False, False)]


def test_a_segment_that_was_begun_ahead_goes_on() -> None:
    async def test() -> list[str]:
        engine = HeldEngine()
        whole = asyncio.ensure_future(make(engine, "One. Two.").joined())
        await settle()
        engine.decodings[1].started = 1.0
        for generation in engine.decodings:
            generation.feed("x", 1, "stop")
        await whole
        return engine.texts

    assert run(test()) == ["One.", "Two."]


def test_a_text_without_letters_leaves_others_their_turn() -> None:
    async def test() -> int:
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        running = asyncio.ensure_future(other())
        text = "1\n" * 1_000_000
        assert await make(HeldEngine(), text, 1).joined() == text
        running.cancel()
        return turns

    assert run(test()) > 500


# Endings


def test_a_poke_yields_nothing_and_goes_on() -> None:
    async def test() -> list[list[str]]:
        engine = HeldEngine()
        translation = make(engine, "One.")
        seen = []
        pieces = translation.pieces()
        for act in (translation.poke, lambda: engine.decodings[0].feed("Eins.", 1, "stop")):
            asyncio.get_running_loop().call_later(0.01, act)
            seen.append(await anext(pieces))
        return [*seen, *[new async for new in pieces]]

    assert run(test()) == [[], ["Eins."]]


@pytest.mark.parametrize("after", [0, 1])
def test_a_cancelled_translation_ends_and_frees_all_its_segments(after: int) -> None:
    async def test() -> None:
        engine = HeldEngine()
        translation = make(engine, "One. Two. Three. Four. Five. Six.")
        whole = asyncio.ensure_future(translation.joined())
        await settle()
        if after:
            engine.decodings[0].feed("Eins", 1, None)
            await settle()
        translation.cancel()
        assert await whole in ("", "Eins")
        assert len(engine.decodings) == 4
        assert all(generation.cancelled for generation in engine.decodings)

    run(test())


def test_a_translation_cancelled_before_it_began_asks_for_nothing() -> None:
    engine = HeldEngine()
    translation = make(engine, "One.")
    translation.cancel()
    assert run(translation.joined()) == ""
    assert engine.decodings == []


def test_a_reader_that_stops_reading_frees_all_segments() -> None:
    async def test() -> HeldEngine:
        engine = HeldEngine()
        pieces = make(engine, "One. Two.").pieces()
        asyncio.get_running_loop().call_later(0.01, lambda: engine.decodings[0].feed("x", 1, None))
        async for _ in pieces:
            break
        await pieces.aclose()  # type: ignore[attr-defined]
        return engine

    assert [generation.cancelled for generation in run(test()).decodings] == [True, True]


def test_a_cut_is_told_by_its_place_in_the_document() -> None:
    document = [raw("<p>"), part([("<&\n", False), ("<b>", True), ("One two", False)])]

    async def test() -> BabelbrookError:
        engine = EchoEngine()
        await engine.start()
        return (await read_to_failure(translation(engine, document, max_tokens=1)))[1]

    assert "characters 20 to 27 " in run(test()).sentence
    assert "".join(part.raw for part in document)[20:27] == "One two"


def test_a_measurement_that_goes_on_to_its_length_is_not_cut_short() -> None:
    joined, _ = run(echo("One two three. Four.", 4, max_tokens=2, ignore_eos=True))
    assert joined == "One two Four."


@pytest.mark.parametrize("lookahead", LOOKAHEADS)
def test_an_engine_s_failure_comes_after_the_text_before_it(lookahead: int) -> None:
    engine = HeldEngine()

    def fail() -> None:
        engine.decodings[0].feed("Eins", 1, None)
        engine.decodings[0].fail(DecodeFailed("It failed."))

    async def test() -> tuple[str, BabelbrookError]:
        asyncio.get_running_loop().call_later(0.01, fail)
        return await read_to_failure(make(engine, "One. Two.", lookahead))

    seen, failure = run(test())
    assert seen == "Eins"
    assert isinstance(failure, DecodeFailed)
    assert all(generation.cancelled for generation in engine.decodings)


# Before the first segment


def test_what_the_prompt_form_refuses_is_told_before_anything_is_decoded() -> None:
    class Asking(HeldEngine):
        def fits(self, *asked: Any) -> bool:
            raise BadRequest("'source_lang' is required.")

    with pytest.raises(BadRequest):
        make(Asking(), "One.")


def test_a_prompt_that_leaves_no_room_for_a_text_is_an_error() -> None:
    class Full(HeldEngine):
        def fits(self, *asked: Any) -> bool:
            return False

    with pytest.raises(ModelError, match=r"Raise engine\.context"):
        make(Full(), "One.")


# Usage


def test_tokens_are_counted_for_every_segment_also_of_a_cancelled_text() -> None:
    async def test() -> tuple[int, int]:
        engine = HeldEngine()
        translation = make(engine, "One. Two. Three.", lookahead=2)
        whole = asyncio.ensure_future(translation.joined())
        await settle()
        for generation in engine.decodings:
            generation.started = 0.0
            generation.prompt_tokens = 10
        engine.decodings[0].feed("a", 1, "stop")
        engine.decodings[1].feed("b", 2, None)
        await settle()
        translation.cancel()
        await whole
        return translation.prompt_tokens, translation.output_tokens

    assert run(test()) == (20, 3)
