"""The decode loop: one thread, one context, every live sequence in one batch.

Each step: take commands, free cancelled sequences, admit waiting jobs to free sequence ids, build
one batch (one token of each decoding sequence, prompt chunks in what room is left, so that a long
prompt never stalls running streams), decode, sample, hand the new text over in one call.
"""

from __future__ import annotations

import codecs
import logging
import queue
import time
from collections import deque
from collections.abc import Callable

import numpy as np

from engine.errors import BabelbrookError, DecodeFailed, ModelError, ShuttingDown
from engine.generation import Generation
from engine.llama.batch import Batch
from engine.llama.context import Context, DecodeError
from engine.llama.model import Model
from engine.llama.sampling import Sampler, greedy

logger = logging.getLogger("babelbrook.engine")

# What a step tells the event loop of one generation: new text, new tokens, how it ended (or None).
News = tuple[Generation, str, int, str | BabelbrookError | None]
Deliver = Callable[[list[News]], None]

_make_utf8_decoder = codecs.getincrementaldecoder("utf-8")


class Sequence:
    """One generation while it has, or waits for, a place in the KV cache.

    `tokens` is all that is known of the sequence, prompt and answer; the first `length` of them are
    in the cache. What is left is what the next steps feed: a prompt's chunks, then one token each.
    Prefill, decode and taking up again after a loss of the place are the same thing.
    """

    __slots__ = ("decoder", "end", "generation", "id", "length", "sampler", "tokens")

    def __init__(self, generation: Generation, prompt: list[int], end: int) -> None:
        self.generation = generation
        self.tokens = prompt
        self.end = end  # the number of tokens at which a length stop comes
        self.id = -1
        self.length = 0
        self.sampler: Sampler | None = None
        # "replace" gives U+FFFD only for bytes that can never become a character; the bytes of an
        # unfinished one wait inside the decoder, also across tokens.
        self.decoder = _make_utf8_decoder("replace")


class Scheduler:
    """Runs `run` on its own thread; `submit` and `stop` may be called from any other."""

    def __init__(self, model: Model, make_context: Callable[[], Context], deliver: Deliver) -> None:
        self._model = model
        self._make_context = make_context
        self._context = make_context()
        self._deliver = deliver
        size = self._context.size
        self._batch = Batch(size.batch)
        self._commands: queue.SimpleQueue[Sequence | None] = queue.SimpleQueue()
        self._waiting: deque[Sequence] = deque()
        self._waiting_ahead: deque[Sequence] = deque()  # look-ahead segments yield to all others
        self._slots: list[Sequence | None] = [None] * size.sequences
        self._live = 0
        self._full = False  # the cache had no room: admit nobody until a sequence ends
        self._stopping = False
        self._pieces = model.pieces
        self._ends = model.end_tokens
        self._news: list[News] = []
        self.ended = False  # the loop has ended: nothing submitted from now on is answered
        # Counters, written by the decode thread alone and read by anyone.
        self.tokens = 0
        self.prompt_tokens = 0
        self.steps = 0

    # Called from other threads ------------------------------------------------------------------

    def submit(self, generation: Generation, prompt: list[int], max_tokens: int | None) -> None:
        """Queue a generation. `prompt` must be shorter than a sequence."""
        context = self._context.size.context
        end = context if max_tokens is None else min(context, len(prompt) + max_tokens)
        self._commands.put(Sequence(generation, prompt, end))

    def stop(self) -> None:
        """Fail what is live or waiting and let `run` return after the present step."""
        self._commands.put(None)

    @property
    def running(self) -> int:
        """Sequences with a place."""
        return self._live

    @property
    def queued(self) -> int:
        """Sequences that wait for a place."""
        return len(self._waiting) + len(self._waiting_ahead) + self._commands.qsize()

    @property
    def kv_used(self) -> int:
        """Cells of the KV cache in use."""
        return sum(slot.length for slot in list(self._slots) if slot is not None)

    # The decode thread --------------------------------------------------------------------------

    def run(self) -> None:
        """The loop itself; returns after `stop`. No exception ends it."""
        while not self._stopping:
            try:
                self._take_commands()
                self._free_cancelled()
                self._admit()
                if self._live:
                    self._step()
            except Exception:
                logger.exception("The decode loop failed; all running streams end with an error.")
                self._recover(DecodeFailed("The decode loop failed. Please try again."))
            self._hand_over()
        self.ended = True
        self._fail_all(ShuttingDown("The server is shutting down."))
        self._hand_over()
        self._context.close()

    def _take_commands(self) -> None:
        """Take all commands there are; wait for one when there is nothing to do."""
        idle = not self._live and not self._waiting and not self._waiting_ahead
        try:
            while True:
                command = self._commands.get(block=idle)
                idle = False
                if command is None:
                    self._stopping = True
                else:
                    ahead = command.generation.job.ahead
                    (self._waiting_ahead if ahead else self._waiting).append(command)
        except queue.Empty:
            pass

    def _free_cancelled(self) -> None:
        for slot in self._slots:
            if slot is not None and slot.generation.cancelled:
                self._end(slot, "", 0, "cancelled")

    def _admit(self) -> None:
        """Give free ids to waiting sequences, the lowest first: dense ids decode fastest."""
        if self._full or self._stopping or not (self._waiting or self._waiting_ahead):
            return
        for place, slot in enumerate(self._slots):
            if slot is not None:
                continue
            sequence = self._next_waiting()
            if sequence is None:
                return
            self._place(sequence, place)

    def _place(self, sequence: Sequence, place: int) -> None:
        sequence.id = place
        self._slots[place] = sequence
        self._live += 1
        self.prompt_tokens += len(sequence.tokens)
        generation = sequence.generation
        if generation.started is None:
            generation.started = time.monotonic()
        if not generation.job.sampling.greedy and sequence.sampler is None:
            sequence.sampler = Sampler(generation.job.sampling, self._model.vocab_size)

    def _next_waiting(self) -> Sequence | None:
        for waiting in (self._waiting, self._waiting_ahead):
            while waiting:
                sequence = waiting.popleft()
                if not sequence.generation.cancelled:
                    return sequence
                self._close(sequence)
                self._news.append((sequence.generation, "", 0, "cancelled"))
        return None

    def _step(self) -> None:
        fed = self._build_batch()
        size = self._context.size
        prompts = len(self._batch) > len(fed)
        self._context.use_threads(size.prompt_threads if prompts else size.threads)
        try:
            self._context.decode(self._batch)
        except DecodeError as error:
            self._on_decode_error(error)
            return
        self.steps += 1
        rows = []
        for sequence, count, index in fed:
            sequence.length += count
            if index >= 0:
                rows.append((sequence, index))
        if rows:
            self._accept(rows, self._choose(rows))

    def _build_batch(self) -> list[tuple[Sequence, int, int]]:
        """Fill the batch in ascending ids.

        Returns for each sequence how many tokens were added and the batch index of the one whose
        logits come back, -1 where none do (a prompt's inner chunk).
        """
        batch = self._batch
        batch.clear()
        fed = []
        budget = batch.capacity - self._live  # one token for each is always there
        for slot in self._slots:
            if slot is None:
                continue
            length, known = slot.length, len(slot.tokens)
            pending = known - length
            if pending == 1:
                fed.append((slot, 1, len(batch)))
                batch.add_token(slot.tokens[length], length, slot.id)
                continue
            count = min(pending, budget + 1)
            budget -= count - 1
            whole = count == pending
            batch.add_chunk(slot.tokens[length : length + count], length, slot.id, output=whole)
            fed.append((slot, count, len(batch) - 1 if whole else -1))
        return fed

    def _choose(self, rows: list[tuple[Sequence, int]]) -> list[int]:
        """The next token of each row; -1 where the logits hold no number."""
        logits = self._context.logits(len(rows))
        tokens = greedy(logits)
        best = logits[np.arange(len(rows)), tokens]
        sound = np.isfinite(best).tolist()
        for row, (sequence, index) in enumerate(rows):
            if not sound[row]:
                tokens[row] = -1
            elif sequence.sampler is not None:
                tokens[row] = sequence.sampler.sample(self._context, index)
        return tokens

    def _accept(self, rows: list[tuple[Sequence, int]], tokens: list[int]) -> None:
        """Append each row's token to its sequence and its text to the news."""
        news, pieces, ends = self._news, self._pieces, self._ends
        self.tokens += len(rows)
        for (sequence, _), token in zip(rows, tokens, strict=True):
            if token < 0:
                error = DecodeFailed("The model's output is not a number; its file may be broken.")
                self._end(sequence, "", 0, error)
                continue
            generation = sequence.generation
            if token in ends and not generation.job.ignore_eos:
                self._end(sequence, sequence.decoder.decode(b"", True), 0, "stop")
                continue
            sequence.tokens.append(token)
            if len(sequence.tokens) < sequence.end:
                news.append((generation, sequence.decoder.decode(pieces[token]), 1, None))
            else:
                text = sequence.decoder.decode(pieces[token], True)
                self._end(sequence, text, 1, "length")

    def _end(
        self, sequence: Sequence, text: str, tokens: int, finish: str | BabelbrookError
    ) -> None:
        """Free a live sequence's place and say how it ended."""
        self._free_place(sequence)
        self._full = False
        self._close(sequence)
        self._news.append((sequence.generation, text, tokens, finish))

    @staticmethod
    def _close(sequence: Sequence) -> None:
        if sequence.sampler is not None:
            sequence.sampler.close()
            sequence.sampler = None

    def _on_decode_error(self, error: DecodeError) -> None:
        """No room: the youngest goes back to the queue. Anything else: all fail, a new context."""
        if error.no_room and self._live > 1:
            youngest = max(
                (slot for slot in self._slots if slot is not None),
                key=lambda slot: slot.generation.submitted,
            )
            self._preempt(youngest)
            return
        logger.error("%s; all running streams end with an error.", error)
        self._recover(DecodeFailed("The model failed to decode. Please try again."))

    def _preempt(self, sequence: Sequence) -> None:
        """Take a sequence's place; its tokens are kept and prefilled again later."""
        self._free_place(sequence)
        self._full = True
        self._waiting.appendleft(sequence)

    def _free_place(self, sequence: Sequence) -> None:
        self._context.clear(sequence.id)
        self._slots[sequence.id] = None
        self._live -= 1
        sequence.id, sequence.length = -1, 0

    def _recover(self, error: BabelbrookError) -> None:
        """Fail all live sequences and start over with a fresh context; without one, stop."""
        self._fail_live(error)
        self._full = False
        self._context.close()
        try:
            self._context = self._make_context()
        except ModelError:
            logger.exception("No new context can be made; the engine stops.")
            self._stopping = True

    def _fail_live(self, error: BabelbrookError) -> None:
        for place, slot in enumerate(self._slots):
            if slot is not None:
                self._slots[place] = None
                self._close(slot)
                self._news.append((slot.generation, "", 0, error))
        self._live = 0

    def _fail_all(self, error: BabelbrookError) -> None:
        """Fail the live and the waiting, those still among the commands too."""
        self._fail_live(error)
        while not self._commands.empty():
            command = self._commands.get()
            if command is not None:
                self._waiting.append(command)
        for waiting in (self._waiting, self._waiting_ahead):
            for sequence in waiting:
                self._close(sequence)
                self._news.append((sequence.generation, "", 0, error))
            waiting.clear()

    def _hand_over(self) -> None:
        """One call for all that the step brought."""
        if self._news:
            news, self._news = self._news, []
            self._deliver(news)
