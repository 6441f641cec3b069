"""Prompts take turns with running streams."""

from __future__ import annotations

from engine.generation import Decoding, Job
from engine.llama.pace import Pace
from engine.llama.prompts import Chunk, PromptReader
from engine.llama.sequence import Sequence


def waiting(tokens: int) -> Sequence:
    """A sequence whose prompt of so many tokens is still to be read."""
    return Sequence(Decoding(Job("", "en", "de")), [5] * tokens, 4000)


def running() -> Sequence:
    """A sequence that decodes."""
    sequence = waiting(10)
    sequence.length = 9
    return sequence


def read(reader: PromptReader, live: list[Sequence]) -> Chunk | None:
    """The next chunk, read."""
    chunk = reader.next(live)
    if chunk is not None:
        chunk.sequence.length += chunk.tokens
    return chunk


def reader(sequences: int = 8, capacity: int = 512) -> PromptReader:
    return PromptReader(Pace(sequences), capacity)


def test_alone_a_short_prompt_is_read_whole_with_its_output() -> None:
    prompt = waiting(30)
    assert read(reader(), [prompt]) == Chunk(prompt, 30, output=True)


def test_beside_running_streams_its_last_token_goes_with_their_step() -> None:
    prompt, turns = waiting(30), reader()
    assert read(turns, [running(), prompt]) == Chunk(prompt, 29, output=False)
    assert read(turns, [running(), prompt]) is None


def test_few_short_prompts_are_read_between_two_steps() -> None:
    prompts, turns, stream = [waiting(31) for _ in range(5)], reader(), running()
    live = [stream, *prompts]
    assert [bool(read(turns, live)) for _ in range(4)] == [True, True, True, False]
    turns.stepped()
    assert [bool(read(turns, live)) for _ in range(3)] == [True, True, False]


def test_a_long_prompt_is_read_in_chunks_between_the_steps() -> None:
    prompt, turns, chunks = waiting(300), reader(), 0
    while prompt.pending > 1:
        assert (chunk := read(turns, [running(), prompt])) is not None
        assert chunk.tokens <= 64
        chunks += 1
        if prompt.pending > 1:
            assert read(turns, [running(), prompt]) is None
        turns.stepped()
    assert chunks == 5


def test_short_prompts_go_before_long_ones_and_early_ones_before_late_ones() -> None:
    long, first, second = waiting(300), waiting(20), waiting(10)
    turns, order = reader(), []
    for _ in range(3):
        if chunk := read(turns, [running(), long, second, first]):
            order.append(chunk.sequence)
        turns.stepped()
    assert order == [first, second, long]


def test_a_long_prompt_goes_on_while_short_ones_keep_coming() -> None:
    """Its chunks are small beside them, but it comes to its end."""
    long, turns, steps = waiting(300), reader(), 0
    while long.pending > 1:
        live = [running(), long, *(waiting(40) for _ in range(4))]
        while read(turns, live) is not None:
            pass
        turns.stepped()
        steps += 1
    assert steps == 13  # 64 tokens every third time, and the rest at once


def test_a_long_prompt_waits_where_short_ones_have_made_a_gap_already() -> None:
    long, turns = waiting(300), reader()
    chunk = read(turns, [running(), long, waiting(20), waiting(20)])
    assert chunk is not None
    assert chunk.sequence is not long
    assert read(turns, [running(), long, waiting(20)]) is None
    turns.stepped()
    chunk = read(turns, [running(), long])
    assert chunk is not None
    assert chunk.sequence is long


def test_no_chunk_is_larger_than_a_decode() -> None:
    prompt = waiting(60)
    assert read(reader(capacity=32), [prompt]) == Chunk(prompt, 32, output=False)
