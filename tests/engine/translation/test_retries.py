"""Answers that cannot be handed out as they are: tried again, in smaller pieces, or reported."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from engine.echo import EchoEngine
from engine.errors import BabelbrookError, CutShort, Repetitive
from engine.generation import NO_HINTS, Decoding, Generation, Hints, Job
from engine.models.catalogue import ModelEntry, PromptSpec
from engine.translation import formats
from engine.translation.origin import Origin
from engine.translation.parts import Part
from engine.translation.request import TranslationRequest
from engine.translation.translator import Translation
from tests.engine.translation.documents import part

Answers = Callable[[Job], list[str] | None]


class ScriptedEngine(EchoEngine):
    """Answers each job with what `answers` makes of it: tokens; one too many for `max_tokens` is
    left out. None stands for an answer that never ends.
    """

    def __init__(self, answers: Answers, **entry: Any) -> None:
        super().__init__()
        self.entry: ModelEntry = self.entry.model_copy(update=entry)
        self._answers = answers
        self.jobs: list[Job] = []
        self.room = 200

    def submit(self, job: Job) -> Generation:
        self.jobs.append(job)
        decoding = Decoding(job)
        decoding.room = min(self.room, job.max_tokens or self.room)
        decoding.started = 0.0
        generation = decoding.join()
        asyncio.get_running_loop().call_soon(self._feed, decoding, decoding.room)
        return generation

    def _feed(self, decoding: Decoding, room: int) -> None:
        pieces = self._answers(decoding.job)
        for number in range(room):
            if decoding.cancelled:
                return decoding.feed("", 0, "cancelled")
            if pieces is not None and number == len(pieces):
                return decoding.feed("", 0, "stop")
            decoding.feed(" ja" if pieces is None else pieces[number], 1, None)
        return decoding.feed("", 0, "length")


def words(text: str) -> list[str]:
    """A text as tokens, each with the blank before it."""
    return [f" {word}" for word in text.split()]


def translate(
    engine: ScriptedEngine, document: str | list[Part], **fields: Any
) -> tuple[list[str], BabelbrookError | None]:
    """The pieces that a reader gets, and the error that ends them."""
    parts = formats.parts("text", document) if isinstance(document, str) else document
    request = TranslationRequest(parts=parts, origin=Origin("en"), target_lang="ja", **fields)

    async def main() -> tuple[list[str], BabelbrookError | None]:
        seen: list[str] = []
        try:
            async for pieces in Translation(engine, request, 4).pieces():
                seen += pieces
        except BabelbrookError as failure:
            return seen, failure
        return seen, None

    return asyncio.run(asyncio.wait_for(main(), 30))


# Keeps


def test_a_segment_with_a_placeholder_is_translated_whole() -> None:
    engine = ScriptedEngine(lambda job: words(f"Hallo {{name}}, {job.text.lower().count('hello')}"))
    assert translate(engine, "Hello {name}, hello.") == (["Hallo {name}, 2"], None)
    assert [job.text for job in engine.jobs] == ["Hello {name}, hello."]


@pytest.mark.parametrize(
    "answer",
    ["Hallo Name!", "Hallo {Name}!", "Hallo {name} {name}!", "Hallo {name} {x}!", "Hallo {name"],
)
def test_where_a_placeholder_is_not_what_it_was_the_segment_is_cut_around_it(answer: str) -> None:
    whole = "Hello {name}, hello."
    engine = ScriptedEngine(lambda job: words(answer if job.text == whole else job.text.upper()))
    assert translate(engine, whole) == (["HELLO", " {name}, HELLO."], None)
    assert [job.text for job in engine.jobs] == [whole, "Hello", "hello."]


@pytest.mark.parametrize(
    ("source", "glued", "fine"),
    [
        ("Set $HOME now.", "Setze $HOMEn", "Setze $HOME jetzt"),
        ("Visit https://example.com/a now.", "https://example.com/aund", "https://example.com/aは"),
        (
            "Write to me@example.com now.",
            "anme@example.com",
            "Anme@example.com".replace("An", "「"),
        ),
        ("Only %d of them.", "Nur %dx", "Nur %d-mal"),
    ],
)
def test_what_a_letter_beside_it_would_change_is_kept_apart(
    source: str, glued: str, fine: str
) -> None:
    keep = source.split()[-2] if "%d" not in source else "%d"
    for answer, asked in ((glued, 1), (fine, 0)):
        engine = ScriptedEngine(
            lambda job, answer=answer: words(answer if keep in job.text else job.text)  # type: ignore[misc]
        )
        seen, failure = translate(engine, source)
        assert failure is None
        assert (len(engine.jobs) > 1) is bool(asked)
        assert "".join(seen) == (source if asked else answer)


def test_a_model_that_cannot_copy_never_sees_a_keep() -> None:
    engine = ScriptedEngine(lambda job: words(job.text.upper()), copies_keeps=False)
    text = "See https://example.com/a, `x y` and me@example.com now."
    seen, _ = translate(engine, text)
    assert "".join(seen) == "SEE https://example.com/a, `x y` AND me@example.com NOW."
    assert [job.text for job in engine.jobs] == ["See", "and", "now."]


def test_tags_must_keep_their_order_and_placeholders_need_not() -> None:
    def answers(job: Job) -> list[str]:
        return words(" ".join(reversed(job.text.split())))

    tags = [part([("one ", False), ("<b>", True), (" two ", False), ("</b>", True), (" x", False)])]
    assert "".join(translate(ScriptedEngine(answers), tags)[0]) == "one <b> two </b> x"
    swapped, _ = translate(ScriptedEngine(answers), "give {this} to {that}")
    assert "".join(swapped) == "{that} to {this} give"


def test_tags_around_a_whole_segment_are_not_shown_to_a_model() -> None:
    engine = ScriptedEngine(lambda job: words(job.text.upper()))
    document = [part([("<b>", True), ("It is {n}.", False), ("</b>", True)])]
    assert "".join(translate(engine, document)[0]) == "<b>IT IS {N}.</b>".replace("{N}", "{n}")
    assert [job.text for job in engine.jobs] == ["It is {n}.", "It is"]


# Length


def test_an_answer_that_was_not_finished_is_tried_again_in_halves() -> None:
    engine = ScriptedEngine(lambda job: words(job.text.upper()))
    seen, failure = translate(engine, "One two, three four.", max_tokens=3)
    assert failure is None
    assert "".join(seen) == "ONE TWO, THREE FOUR."
    assert [job.text for job in engine.jobs] == ["One two, three four.", "One two,", "three four."]


def test_a_segment_is_cut_between_sentences_where_it_has_some() -> None:
    engine = ScriptedEngine(lambda job: words(job.text.upper()), segment="paragraph")
    translate(engine, "Yes. One two three four five six.", max_tokens=6)
    assert [job.text for job in engine.jobs[1:]] == [
        "Yes.",
        "One two three four five six.",
        "One two three",
        "four five six.",
    ]


def test_what_cannot_be_finished_in_small_pieces_either_is_told_with_its_place() -> None:
    engine = ScriptedEngine(lambda job: words(job.text.upper()))
    text = "Well.\nOne two three four five six seven eight."
    seen, failure = translate(engine, text, max_tokens=2)
    assert "".join(seen) == "WELL."
    assert isinstance(failure, CutShort)
    assert "characters 6 to 13 " in failure.sentence
    assert text[6:13] == "One two"


def test_an_answer_that_surely_has_room_is_not_held_and_told_when_it_has_none_after_all() -> None:
    engine = ScriptedEngine(lambda job: [f" {number}" for number in range(500)])
    seen, failure = translate(engine, "One two three.")
    assert seen[:3] == ["0", " 1", " 2"]
    assert len(seen) == 200
    assert isinstance(failure, CutShort)


# Loops


def looping(job: Job) -> list[str] | None:
    """Repeats itself, but not with a penalty."""
    if job.sampling.repeat_penalty > 1:
        return [" und", " aus"]
    return [" ach", *words("so ist es nun") * 50]


def test_a_loop_ends_early_and_the_model_goes_on_behind_its_last_good_word() -> None:
    engine = ScriptedEngine(looping)
    seen, failure = translate(engine, "So it is.")
    assert failure is None
    first, second = engine.jobs
    assert second.answer.strip() == "ach so ist es nun so ist es nun so"
    assert second.sampling.repeat_penalty > 1
    assert "".join(seen) == f"{second.answer.strip()} und aus"
    assert first.answer == ""


def test_a_loop_that_goes_on_is_told_and_never_reaches_the_reader() -> None:
    engine = ScriptedEngine(lambda job: None)
    seen, failure = translate(engine, "So it is.")
    assert "".join(seen).count("ja") <= 30
    assert isinstance(failure, Repetitive)
    assert "characters 0 to 9." in failure.sentence
    penalties = [job.sampling.repeat_penalty for job in engine.jobs]
    assert penalties == sorted(set(penalties))
    assert len(penalties) == 3


def test_a_loop_in_a_held_answer_is_tried_again_in_smaller_pieces() -> None:
    engine = ScriptedEngine(lambda job: None if "{n}" in job.text else words(job.text.upper()))
    assert "".join(translate(engine, "So {n} it is.")[0]) == "SO {n} IT IS."


def test_what_a_reader_gets_of_a_loop_does_not_depend_on_how_it_comes() -> None:
    class Slow(ScriptedEngine):
        def _feed(self, decoding: Decoding, room: int) -> None:
            self.task = asyncio.ensure_future(self._feed_slowly(decoding, room))

        async def _feed_slowly(self, decoding: Decoding, room: int) -> None:
            for piece in (self._answers(decoding.job) or [" ja"] * room)[:room]:
                if not decoding.cancelled:
                    decoding.feed(piece, 1, None)
                await asyncio.sleep(0)
            if not decoding.cancelled:
                decoding.feed("", 0, "stop")

    at_once = translate(ScriptedEngine(looping), "So it is. So.")[0]
    assert translate(Slow(looping), "So it is. So.")[0] == at_once


def test_a_source_that_repeats_itself_may_have_such_a_translation() -> None:
    engine = ScriptedEngine(lambda job: words("ha " * 40))
    seen, failure = translate(engine, "Ha " + "ha " * 39)
    assert failure is None
    assert "".join(seen).split() == ["ha"] * 40
    assert len(engine.jobs) == 1


def test_a_short_repetition_is_no_loop() -> None:
    engine = ScriptedEngine(lambda job: words("nein nein nein nein nein nein nein nein, bitte"))
    seen, failure = translate(engine, "Oh no.")
    assert failure is None
    assert "".join(seen) == "nein " * 7 + "nein, bitte"


# Measurements


def test_a_measurement_is_never_tried_again() -> None:
    engine = ScriptedEngine(lambda job: None)
    seen, failure = translate(engine, "See {n} it. So it is.", max_tokens=30, ignore_eos=True)
    assert failure is None
    assert "".join(seen).count("ja") == 60
    assert len(engine.jobs) == 2


# Earlier segments


def jobs_of(engine: ScriptedEngine, **fields: Any) -> list[Job]:
    translate(engine, "One. Two. Three. Four.", **fields)
    return engine.jobs


def hinting(**entry: Any) -> ScriptedEngine:
    prompt = PromptSpec(template="{hints}{text}")
    return ScriptedEngine(lambda job: words(job.text), prompt=prompt, **entry)


def test_a_model_is_told_the_segments_before_each_one() -> None:
    context = {job.text: job.hints.context for job in jobs_of(hinting(), earlier=2)}
    assert context == {"One.": "", "Two.": "One.", "Three.": "One.\nTwo.", "Four.": "Two.\nThree."}


def test_the_request_s_own_context_comes_first() -> None:
    jobs = jobs_of(hinting(), earlier=1, hints=Hints(context="A list."))
    assert {job.hints.context for job in jobs if job.text == "Two."} == {"A list.\nOne."}


def test_no_more_is_told_than_there_is_room_for() -> None:
    class Small(ScriptedEngine):
        def fits(
            self, text: str, source_lang: str | None, target_lang: str, hints: Hints = NO_HINTS
        ) -> bool:
            return len(hints.context) <= 4

    engine = Small(lambda job: words(job.text), prompt=PromptSpec(template="{hints}{text}"))
    context = {job.text: job.hints.context for job in jobs_of(engine, earlier=2)}
    assert context == {"One.": "", "Two.": "One.", "Three.": "Two.", "Four.": ""}


def test_a_prompt_without_a_place_for_it_is_told_nothing() -> None:
    engine = ScriptedEngine(lambda job: words(job.text))
    assert {job.hints for job in jobs_of(engine, earlier=2)} == {NO_HINTS}
