"""The decode loop on the embedded model; doubles only inject faults that cannot be had else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from engine.errors import DecodeFailed, ShuttingDown
from engine.generation import Generation, Sampling
from engine.llama import scheduler as scheduler_module
from engine.llama.context import Context, DecodeError
from engine.llama.engine import LocalEngine
from engine.llama.pace import Pace
from tests.engine.llama.conftest import job, text_of

With = Callable[..., Any]
LONG = {"ignore_eos": True, "max_tokens": 200}


async def started(generation: Generation) -> None:
    """Wait for the first text."""
    while not await generation.read():
        pass


async def sequences_free(engine: LocalEngine) -> None:
    while engine.status().sequences_used:
        await asyncio.sleep(0.001)


def test_one_job_and_many_at_once_give_the_same_text(
    with_engine: With, sentences: list[str]
) -> None:
    async def test(engine: LocalEngine) -> None:
        texts = sentences[:24]
        alone = [await text_of(engine.submit(job(text))) for text in texts]
        together = await asyncio.gather(*(text_of(engine.submit(job(text))) for text in texts))
        assert list(together) == alone
        assert all(alone)

    with_engine(test, sequences=8)


def test_more_jobs_than_sequences_all_finish(with_engine: With) -> None:
    async def test(engine: LocalEngine) -> None:
        jobs = [engine.submit(job()) for _ in range(25)]
        texts = await asyncio.gather(*map(text_of, jobs))
        assert len(set(texts)) == 1
        assert {generation.finish for generation in jobs} == {"stop"}
        assert engine.status().kv_used == 0

    with_engine(test, sequences=2)


def test_a_long_prompt_does_not_stall_a_running_stream(with_engine: With) -> None:
    """While a prompt is read in chunks of 32 tokens, the running stream gets every other step."""

    async def test(engine: LocalEngine) -> None:
        runner = engine.submit(job(**LONG))
        await started(runner)
        long_text = "My father likes to read books in the evening. " * 20
        late = engine.submit(job(long_text, max_tokens=1))
        assert late.prompt_tokens > 150
        while late.started is None:
            await asyncio.sleep(0)
        begun_steps, begun_tokens = engine.status().steps, runner.output_tokens
        await text_of(late)
        steps = engine.status().steps - begun_steps
        assert steps >= 2 * (late.prompt_tokens // 32) - 1
        assert runner.output_tokens - begun_tokens >= steps // 2 - 2
        runner.cancel()

    with_engine(test, batch=32)


def test_rows_that_are_filled_up_change_no_answer(
    with_engine: With, monkeypatch: pytest.MonkeyPatch, sentences: list[str]
) -> None:
    """Steps and prompts with fillers, always, give what they give without, never."""

    def answers(*, fill: bool) -> Any:
        def full(_: Pace, rows: int) -> int:
            return min(-(-rows // 4) * 4, 8) if fill else rows

        async def test(engine: LocalEngine) -> list[str]:
            jobs = [engine.submit(job(text, max_tokens=3 + n)) for n, text in enumerate(texts)]
            return [await text_of(each) for each in jobs]

        with monkeypatch.context() as patch:
            patch.setattr(Pace, "filled", full)
            patch.setattr(Pace, "padded", full)
            return with_engine(test, sequences=8)

    texts = sentences[:30]
    assert answers(fill=True) == answers(fill=False)


def test_a_filler_leaves_the_prompt_that_its_place_keeps(with_engine: With) -> None:
    async def test(engine: LocalEngine) -> None:
        texts = ["Where is the station?", "Good morning.", "I am tired."]
        alone = [await text_of(engine.submit(job(text))) for text in texts]
        jobs = [engine.submit(job(text, **LONG)) for text in texts]
        await asyncio.gather(*map(started, jobs))
        for each in jobs:
            each.cancel()
        await sequences_free(engine)
        reused = engine.status().reused_tokens
        again = [await text_of(engine.submit(job(text))) for text in texts]
        assert again == alone
        assert engine.status().reused_tokens > reused

    with_engine(test)


def test_chunked_prompts_give_the_same_text(with_engine: With) -> None:
    text = "My father likes to read books in the evening, and my mother sings. " * 6

    async def test(engine: LocalEngine) -> str:
        return await text_of(engine.submit(job(text, max_tokens=30)))

    assert with_engine(test, batch=32) == with_engine(test, batch=512)


def test_a_long_prompt_gives_the_same_answer_alone_and_in_company(with_engine: With) -> None:
    """Drawn with a seed at a high temperature, which the slightest difference of logits changes."""
    text = "My father likes to read books in the evening, and my mother sings. " * 12

    async def test(engine: LocalEngine) -> None:
        def wild() -> Generation:
            sampling = Sampling(seed=3, **_WILD)
            return engine.submit(job(text, sampling=sampling, ignore_eos=True, max_tokens=60))

        first = wild()
        assert first.prompt_tokens > 180
        alone = await text_of(first)
        for company in (1, 3, 6):
            others = [engine.submit(job(f"{n} dogs.", **LONG)) for n in range(company)]
            await asyncio.gather(*map(started, others))
            assert await text_of(wild()) == alone
            for other in others:
                other.cancel()

    with_engine(test, sequences=8)


@pytest.mark.parametrize("settings", [{"kv_type": "q8_0"}, {"flash_attention": "on"}])
def test_other_caches_and_kernels_translate_as_well(
    with_engine: With, settings: dict[str, str]
) -> None:
    async def test(engine: LocalEngine) -> str:
        return await text_of(engine.submit(job()))

    assert with_engine(test, **settings).startswith(" Wo ist ")


def test_cancelling_frees_the_sequence_within_one_step(with_engine: With) -> None:
    async def test(engine: LocalEngine) -> None:
        generation = engine.submit(job(**LONG))
        await started(generation)
        generation.cancel()
        steps = engine.status().steps
        await text_of(generation)
        assert generation.finish == "cancelled"
        await sequences_free(engine)
        # One step may have been in flight when the flag was set.
        assert engine.status().steps - steps <= 1
        assert engine.status().kv_used == 0

    with_engine(test)


def test_cancelling_during_prefill_frees_the_sequence_within_one_step(with_engine: With) -> None:
    async def test(engine: LocalEngine) -> None:
        generation = engine.submit(job("My father likes to read books in the evening. " * 25))
        assert generation.prompt_tokens > 250  # eight chunks and more
        while generation.started is None:
            await asyncio.sleep(0)
        generation.cancel()
        steps = engine.status().steps
        await text_of(generation)
        assert generation.finish == "cancelled"
        await sequences_free(engine)
        assert engine.status().steps - steps <= 1
        assert generation.output_tokens == 0

    with_engine(test, batch=32)


def test_a_job_cancelled_in_the_queue_costs_no_token(with_engine: With) -> None:
    async def test(engine: LocalEngine) -> None:
        runner = engine.submit(job(**LONG))
        await started(runner)
        waiting = engine.submit(job())
        waiting.cancel()
        prompt_tokens = engine.status().prompt_tokens
        runner.cancel()
        assert await text_of(waiting) == ""
        assert waiting.finish == "cancelled"
        assert engine.status().prompt_tokens == prompt_tokens

    with_engine(test, sequences=1)


def test_look_ahead_segments_yield_to_whoever_waits(with_engine: With) -> None:
    async def test(engine: LocalEngine) -> None:
        runner = engine.submit(job(**LONG))
        await started(runner)
        ahead = [engine.submit(job(ahead=True)) for _ in range(3)]
        later = engine.submit(job())
        await text_of(later)
        assert [generation.finish for generation in ahead] == [None] * 3
        assert runner.finish is not None
        await asyncio.gather(*map(text_of, ahead))

    with_engine(test, sequences=1)


def test_a_length_stop_says_so_and_counts_exactly(with_engine: With) -> None:
    async def test(engine: LocalEngine) -> None:
        short = engine.submit(job(max_tokens=3))
        await text_of(short)
        assert (short.finish, short.output_tokens) == ("length", 3)
        full = engine.submit(job(ignore_eos=True))
        await text_of(full)
        assert (full.finish, full.prompt_tokens + full.output_tokens) == ("length", 512)

    with_engine(test)


def test_a_prompt_that_does_not_fit_is_refused_before_llama_cpp_sees_it(with_engine: With) -> None:
    async def test(engine: LocalEngine) -> None:
        text = "dog " * 600
        assert not engine.fits(text, "en", "de")
        with pytest.raises(Exception, match="do not fit"):
            engine.submit(job(text))
        assert await text_of(engine.submit(job()))

    with_engine(test)


# Sampling ----------------------------------------------------------------------------------------

_WILD = {"temperature": 1.5, "top_k": 0, "top_p": 1.0, "min_p": 0.0}


def test_a_seed_repeats_whoever_else_is_in_the_batch(with_engine: With) -> None:
    async def test(engine: LocalEngine) -> None:
        def wild(seed: int) -> Generation:
            sampling = Sampling(seed=seed, **_WILD)
            return engine.submit(job(sampling=sampling, ignore_eos=True, max_tokens=40))

        alone = await text_of(wild(1))
        greedy = engine.submit(job(**LONG))
        again, other = await asyncio.gather(text_of(wild(1)), text_of(wild(2)))
        assert again == alone
        assert other != alone
        greedy.cancel()

    with_engine(test)


def test_a_very_low_temperature_equals_greedy(with_engine: With) -> None:
    async def test(engine: LocalEngine) -> None:
        cold = engine.submit(job(sampling=Sampling(temperature=1e-4)))
        assert await text_of(cold) == await text_of(engine.submit(job()))

    with_engine(test)


def test_a_repeat_penalty_breaks_a_loop(with_engine: With) -> None:
    async def test(engine: LocalEngine) -> None:
        plain = await text_of(engine.submit(job(ignore_eos=True, max_tokens=120)))
        penalised = Sampling(repeat_penalty=1.5)
        varied = await text_of(
            engine.submit(job(ignore_eos=True, max_tokens=120, sampling=penalised))
        )
        assert len(set(varied.split())) > len(set(plain.split()))

    with_engine(test)


# Bytes to text -----------------------------------------------------------------------------------


def script(monkeypatch: pytest.MonkeyPatch, engine: LocalEngine, text: bytes) -> None:
    """Make the model 'choose' the byte tokens of `text`, then the end."""
    assert engine._loaded is not None
    pieces = engine._loaded.model.pieces
    byte_tokens = {pieces[token]: token for token in range(10, 266)}
    choices = iter([*(byte_tokens[bytes([byte])] for byte in text), 2])
    monkeypatch.setattr(scheduler_module, "greedy", lambda logits: [next(choices)])


def test_no_piece_ever_splits_a_character(
    with_engine: With, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(engine: LocalEngine) -> None:
        script(monkeypatch, engine, "é日🍣x".encode())
        generation = engine.submit(job())
        while not generation.finish:
            await asyncio.sleep(0.001)
        assert await generation.read() == ["é", "日", "🍣", "x"]

    with_engine(test)


@pytest.mark.parametrize(
    ("broken", "text"),
    [
        (b"a\xf0\x9f\x8db", "a\ufffdb"),  # cut off by a letter: can never become a character
        (b"a\xe6\x97", "a\ufffd"),  # cut off by the end
        (b"\xff\xfea", "\ufffd\ufffda"),
        (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),  # a surrogate is no character
    ],
)
def test_bytes_that_can_never_become_a_character_are_replaced(
    with_engine: With, monkeypatch: pytest.MonkeyPatch, broken: bytes, text: str
) -> None:
    async def test(engine: LocalEngine) -> None:
        script(monkeypatch, engine, broken)
        assert await text_of(engine.submit(job())) == text

    with_engine(test)


# Faults ------------------------------------------------------------------------------------------


def fail_once(monkeypatch: pytest.MonkeyPatch, code: int, at: int) -> None:
    """Let the `at`-th call of llama_decode return `code` without having done anything."""
    decode, calls = Context.decode, iter(range(10**9))

    def faulty(self: Context, batch: Any) -> None:
        if next(calls) == at:
            raise DecodeError(code)
        decode(self, batch)

    monkeypatch.setattr(Context, "decode", faulty)


@pytest.mark.parametrize("code", [2, -1, -3])
def test_a_failed_decode_fails_its_streams_and_the_next_request_works(
    with_engine: With, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    async def test(engine: LocalEngine) -> None:
        before = await text_of(engine.submit(job()))
        fail_once(monkeypatch, code, at=3)
        both = [engine.submit(job(**LONG)) for _ in range(2)]
        for generation in both:
            with pytest.raises(DecodeFailed):
                await text_of(generation)
        assert engine.status().sequences_used == 0
        assert await text_of(engine.submit(job())) == before

    with_engine(test)


def test_no_room_in_the_cache_sends_the_youngest_back_and_loses_nothing(
    with_engine: With, monkeypatch: pytest.MonkeyPatch, sentences: list[str]
) -> None:
    async def test(engine: LocalEngine) -> None:
        texts = sentences[:3]
        before = [await text_of(engine.submit(job(text))) for text in texts]
        fail_once(monkeypatch, 1, at=4)
        after = await asyncio.gather(*(text_of(engine.submit(job(text))) for text in texts))
        assert list(after) == before
        assert engine.status().kv_used == 0

    with_engine(test)


def test_no_room_for_a_lone_sequence_is_an_error(
    with_engine: With, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(engine: LocalEngine) -> None:
        fail_once(monkeypatch, 1, at=0)
        with pytest.raises(DecodeFailed):
            await text_of(engine.submit(job()))
        assert await text_of(engine.submit(job()))

    with_engine(test)


def test_logits_that_are_no_numbers_end_the_stream_with_an_error(
    with_engine: With, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(engine: LocalEngine) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(
                Context,
                "logits",
                lambda self, rows: np.full((rows, self._vocab_size), np.nan, np.float32),
            )
            with pytest.raises(DecodeFailed, match="not a number"):
                await text_of(engine.submit(job(sampling=Sampling(temperature=1.0))))
        assert await text_of(engine.submit(job()))

    with_engine(test)


def test_an_exception_in_the_loop_is_survived(
    with_engine: With, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(engine: LocalEngine) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(scheduler_module, "greedy", lambda logits: 1 / 0)
            with pytest.raises(DecodeFailed):
                await text_of(engine.submit(job()))
        assert await text_of(engine.submit(job()))

    with_engine(test)
    assert "ZeroDivisionError" in caplog.text


def test_stopping_ends_running_and_waiting_jobs_with_an_error(with_engine: With) -> None:
    async def test(engine: LocalEngine) -> None:
        jobs = [engine.submit(job(**LONG)) for _ in range(3)]
        await started(jobs[0])
        engine.stop()
        for generation in jobs:
            with pytest.raises(ShuttingDown):
                await text_of(generation)
        while not engine.stopped:
            await asyncio.sleep(0.001)
        assert not engine.status().ready
        with pytest.raises(ShuttingDown):  # a text may be between two segments then
            engine.submit(job())

    with_engine(test, sequences=1)
