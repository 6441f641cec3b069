"""Glossaries: terms are found where they stand, told to the model, and missed where missing."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.echo import EchoEngine
from engine.generation import Generation, Job
from engine.models.catalogue import PLAIN_CHAT
from engine.translation.formats import parts
from engine.translation.glossary import Glossary, missing, prompted
from engine.translation.origin import Origin
from engine.translation.request import TranslationRequest
from engine.translation.translator import Translation

TERMS = [("bill", "Rechnung"), ("due date", "Fälligkeit"), ("C++", "C++"), ("請求書", "Rechnung")]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Pay the bill.", ["bill"]),
        ("BILL: due\n date!", ["bill", "due date"]),
        ("Billing, Waybill, bills", []),
        ("We use C++.", ["C++"]),
        ("この請求書を払う。", ["請求書"]),
        ("", []),
    ],
)
def test_terms_are_found_as_words_in_any_case(text: str, found: list[str]) -> None:
    assert [source for source, _ in Glossary(TERMS).occurring(text)] == found


def test_marks_may_be_composed_or_not() -> None:
    assert Glossary([("café", "Kaffeehaus")]).occurring("A cafe\u0301.")
    assert missing([("due date", "Fälligkeit")], "die Fa\u0308lligkeit") == ()


def test_of_two_translations_the_last_counts() -> None:
    assert Glossary([("bill", "Schein"), ("Bill", "Rechnung")]).occurring("bill") == (
        ("Bill", "Rechnung"),
    )


def test_versions_tell_glossaries_apart() -> None:
    versions = {Glossary(TERMS[:n]).version for n in range(len(TERMS) + 1)}
    assert len(versions) == len(TERMS) + 1
    assert Glossary(reversed(TERMS)).version == Glossary(TERMS).version


def test_a_prompt_takes_a_bounded_number_of_terms() -> None:
    terms = [("a" * 150, "b" * 150)] * 10
    assert len(prompted(terms)) == 6


@given(st.text(min_size=1).filter(str.strip), st.text(), st.text())
def test_a_term_between_blanks_is_found_whatever_it_is(term: str, before: str, behind: str) -> None:
    assert Glossary([(term, "x")]).occurring(f"{before} {term} {behind}")


def test_a_large_glossary_takes_no_longer() -> None:
    glossary = Glossary((f"term{number}", "x") for number in range(50_000))
    begun = time.thread_time()
    assert glossary.occurring("It has term123 and term49999.") == (
        ("term123", "x"),
        ("term49999", "x"),
    )
    assert time.thread_time() - begun < 0.1  # 0.005 as measured


class Teachable(EchoEngine):
    """Gives the text back with the terms translated that it was told, or only when told twice."""

    def __init__(self, *, stubborn: bool = False, carries: bool = True) -> None:
        super().__init__()
        self.stubborn, self.jobs = stubborn, list[Job]()
        if carries:
            self.entry = self.entry.model_copy(update={"prompt": PLAIN_CHAT})

    def submit(self, job: Job) -> Generation:
        self.jobs.append(job)
        text = job.text
        if job.hints.emphatic or not self.stubborn:
            for source, target in job.hints.terms:
                text = text.replace(source, target)
        return super().submit(replace(job, text=text))


def translate(engine: EchoEngine, text: str, **fields: Any) -> tuple[str, list[str]]:
    async def main() -> tuple[str, list[str]]:
        await engine.start()
        request = TranslationRequest(
            parts("text", text), Origin("en"), "de", glossary=Glossary(TERMS), report=True, **fields
        )
        translation = Translation(engine, request, lookahead=4)
        whole = await translation.joined()
        found = [(done.start, each.message) for done in translation.done for each in done.findings]
        return whole, [f"{start}: {message}" for start, message in found if "glossary" in message]

    return asyncio.run(main())


def test_each_segment_is_told_its_own_terms() -> None:
    engine = Teachable()
    text = "The bill.\n\nIts due date.\n\nNothing."
    assert translate(engine, text) == ("The Rechnung.\n\nIts Fälligkeit.\n\nNothing.", [])
    assert [job.hints.terms for job in engine.jobs] == [(TERMS[0],), (TERMS[1],), ()]


def test_a_missing_term_is_asked_for_once_more_with_emphasis() -> None:
    engine = Teachable(stubborn=True)
    assert translate(engine, "The bill.\n\nNothing.") == ("The Rechnung.\n\nNothing.", [])
    assert [job.hints.emphatic for job in engine.jobs if job.hints.terms] == [False, True]


def test_what_is_missing_still_is_found_by_the_check() -> None:
    class Deaf(Teachable):
        def submit(self, job: Job) -> Generation:
            self.jobs.append(job)
            return EchoEngine.submit(self, job)

    engine = Deaf()
    assert translate(engine, "Hi.\n\nThe bill.") == (
        "Hi.\n\nThe bill.",
        ["5: The glossary has 'Rechnung' for 'bill'."],
    )
    assert len(engine.jobs) == 3


def test_a_form_without_a_place_for_terms_is_checked_all_the_same() -> None:
    engine = Teachable(carries=False)
    translation, found = translate(engine, "The bill.")
    assert (translation, len(found), len(engine.jobs)) == ("The bill.", 1, 1)
