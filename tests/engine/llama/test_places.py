"""Sequence ids stay dense, and what the cache holds of a prompt is not computed again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from engine.generation import Decoding, Job
from engine.llama import sampling
from engine.llama.batch import Batch
from engine.llama.context import Context, ContextSize
from engine.llama.model import Model
from engine.llama.places import Places
from engine.llama.sequence import Sequence
from tests.conftest import MODEL

PROMPT = [1, 5, 446, 3852, 9772, 9]


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    model = Model(MODEL)
    yield model
    model.close()


@pytest.fixture
def context(model: Model) -> Iterator[Context]:
    context = Context(model, ContextSize(6, 512, 64, threads=1))
    yield context
    context.close()


def sequence(tokens: list[int]) -> Sequence:
    return Sequence(Decoding(Job("", "en", "de")), list(tokens), 500)


def decode(context: Context, sequences: list[Sequence], steps: int) -> None:
    """Feed what is pending, then `steps` greedy tokens."""
    batch = Batch(64)
    for _ in range(steps + 1):
        batch.clear()
        for each in sequences:
            batch.add_chunk(each.tokens[each.length :], each.length, each.id, output=True)
            each.length = len(each.tokens)
        context.decode(batch)
        for each, token in zip(
            sequences, sampling.greedy(context.logits(len(sequences))), strict=True
        ):
            each.tokens.append(token)


def test_ids_are_given_from_the_lowest(context: Context) -> None:
    places = Places(context)
    sequences = [sequence(PROMPT) for _ in range(4)]
    for each in sequences:
        places.put(each)
    assert [each.id for each in sequences] == [0, 1, 2, 3]


def test_a_newcomer_fills_a_hole(context: Context) -> None:
    places = Places(context)
    sequences = [sequence(PROMPT) for _ in range(4)]
    for each in sequences:
        places.put(each)
    places.free(sequences[1])
    places.put(newcomer := sequence([7, 8, 9]))
    assert newcomer.id == 1


def test_a_moved_sequence_goes_on_as_if_it_had_not_moved(context: Context) -> None:
    places = Places(context)
    alone, first, last = (sequence(PROMPT) for _ in range(3))
    places.put(alone)
    decode(context, [alone], 20)
    places.free(alone)

    places.put(first)
    first.length = 0
    context.clear(first.id)
    places.put(last)
    decode(context, [first, last], 5)
    places.free(first)
    places.close_hole()
    assert last.id == 1, "a hole is not closed at once: a newcomer may fill it"
    for _ in range(4):
        places.close_hole()
    assert (last.id, context.length(0), context.length(1)) == (0, last.length, 0)
    decode(context, [last], 14)
    assert last.tokens == alone.tokens


def test_without_a_hole_nothing_moves(context: Context) -> None:
    places = Places(context)
    sequences = [sequence(PROMPT) for _ in range(3)]
    for each in sequences:
        places.put(each)
    places.free(sequences[2])
    for _ in range(20):
        places.close_hole()
    assert [each.id for each in sequences] == [0, 1, -1]


def test_the_same_beginning_is_taken_over_and_gives_the_same_tokens(context: Context) -> None:
    places = Places(context)
    longer = [*PROMPT[:-1], 446, 9]
    places.put(fresh := sequence(longer))
    assert fresh.length == 0
    decode(context, [fresh], 10)
    places.free(fresh)
    context.clear(0)
    places._cached[0] = []

    places.put(before := sequence(PROMPT))
    decode(context, [before], 10)
    places.free(before)
    places.put(after := sequence(longer))
    assert (after.id, after.length) == (0, len(PROMPT) - 1)
    decode(context, [after], 10)
    assert after.tokens == fresh.tokens


def test_one_token_of_an_equal_prompt_is_left_to_decode(context: Context) -> None:
    places = Places(context)
    places.put(before := sequence(PROMPT))
    decode(context, [before], 3)
    places.free(before)
    places.put(again := sequence(PROMPT))
    assert again.length == len(PROMPT) - 1


def test_the_place_with_the_longest_common_beginning_is_chosen(context: Context) -> None:
    places = Places(context)
    others = [sequence([1, n, *PROMPT]) for n in (4, 5, 6)]
    for each in others:
        places.put(each)
    decode(context, others, 1)
    for each in others:
        places.free(each)
    places.put(sequence([99]))
    places.put(newcomer := sequence([1, 5, *PROMPT, 9]))
    assert (newcomer.id, newcomer.length) == (1, 2 + len(PROMPT))
