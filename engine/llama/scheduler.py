"""The decode loop: one thread, one context, all running streams in one batch.

Each step: take commands, free cancelled sequences, admit waiting jobs to free sequence ids, decode
either part of a prompt or one token of every running stream, sample, hand the new text over in one
call.
"""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Callable
from math import isfinite
from typing import Literal

from engine.errors import BabelbrookError, DecodeFailed
from engine.generation import Decoding
from engine.llama.batch import Batch
from engine.llama.context import Context, DecodeError
from engine.llama.grammar import NOTHING_FITS, GrammarSampler
from engine.llama.model import Model
from engine.llama.pace import Pace
from engine.llama.places import Places
from engine.llama.prompts import EXACT, Chunk, PromptReader
from engine.llama.sampling import Sampler, greedy
from engine.llama.sequence import Sequence
from engine.llama.threads import Crew
from engine.waiting import Waiting

logger = logging.getLogger("babelbrook.engine")

# What a step tells the event loop of one decoding: new text, new tokens, how it ended (or None).
News = tuple[Decoding, str, int, str | BabelbrookError | None]
Deliver = Callable[[list[News]], None]

_FILLER = 0  # a token whose logits nobody looks at
_WEIGHT = 0.1  # of the newest measurement in the mean service time


class Scheduler:
    """Runs `run` on its own thread; `submit` and `stop` may be called from any other."""

    def __init__(
        self,
        model: Model,
        make_context: Callable[[], Context],
        deliver: Deliver,
        crew: Crew,
    ) -> None:
        self._model = model
        self._make_context = make_context
        self._context = make_context()
        self._deliver = deliver
        self._size = self._context.size
        self._batch = Batch(self._size.batch)
        self._commands: queue.SimpleQueue[Sequence | Literal["look"] | BabelbrookError] = (
            queue.SimpleQueue()
        )
        self._waiting: Waiting[Sequence] = Waiting()
        self._parked: list[Sequence] = []  # paused ones that gave up their places
        self._moving: Sequence | None = None  # on its way from the queue to a place
        self._places = Places(self._context)
        self._pace = Pace(self._size.sequences)
        self._crew = crew
        chunk = self._size.batch if model.on_gpu else min(self._size.batch, EXACT)
        self._prompts = PromptReader(self._pace, chunk)
        self._may_fill = model.takes_back  # tokens that were fed only to fill up
        self._full = False  # the cache had no room: admit nobody until a sequence ends
        self._stopping: BabelbrookError | None = None  # what those are told who still run then
        self._pieces = model.pieces
        self._ends = model.end_tokens
        self._news: list[News] = []
        self.ended = False  # the loop has ended: nothing submitted from now on is answered
        self.failure = ""  # why it has, where nobody had asked for that
        # Counters, written by the decode thread alone and read by anyone.
        self.tokens = 0
        self.prompt_tokens = 0
        self.reused_tokens = 0  # of the prompt tokens, those that the cache still held
        self.steps = 0
        self.decode_seconds = 0.0  # inside llama_decode
        self.step_seconds = 0.0  # in whole steps
        self.service_seconds = 0.0  # running mean of a sequence's time in its place, unpaused

    # Called from other threads ------------------------------------------------------------------

    def submit(self, decoding: Decoding, prompt: list[int], max_tokens: int | None) -> None:
        """Queue a decoding. `prompt` must be shorter than a sequence.

        Raises BadRequest for a grammar that llama.cpp cannot use.
        """
        context = self._size.context
        end = context if max_tokens is None else min(context, len(prompt) + max_tokens)
        sequence, job = Sequence(decoding, prompt, end), decoding.job
        if job.grammar is not None:
            sequence.sampler = GrammarSampler(job.sampling, job.grammar, self._model)
        self._commands.put(sequence)

    def note_change(self) -> None:
        """A decoding was cancelled, or goes on after a pause: look at all before the next step."""
        self._commands.put("look")

    def stop(self, reason: BabelbrookError) -> None:
        """Fail what is live or waiting and let `run` return after the present step."""
        self._commands.put(reason)

    @property
    def running(self) -> int:
        """Sequences with a place."""
        return self._places.live

    @property
    def threads(self) -> int:
        """Threads that decode at present."""
        return self._crew.count

    @property
    def queued(self) -> int:
        """Sequences that wait for a place, those that are ahead of their reader left out."""
        return self._waiting.urgent + self._commands.qsize()

    @property
    def paused(self) -> int:
        """Sequences whose readers are behind, with a place or without."""
        return len(self._parked) + sum(each.decoding.paused for each in self._places)

    @property
    def kv_used(self) -> int:
        """Cells of the KV cache that live sequences use."""
        return sum(sequence.length for sequence in self._places)

    # The decode thread --------------------------------------------------------------------------

    def run(self) -> None:
        """The loop itself; returns after `stop`, or with a `failure` where it cannot go on."""
        try:
            while not self._stopping:
                self._turn()
        except BaseException as error:
            logger.critical("The decode thread cannot go on.", exc_info=True)
            reason = error.sentence if isinstance(error, BabelbrookError) else "the log says why"
            self.failure = f"The decode thread has died: {reason}"
        self.ended = True
        self._fail_all(self._end_of_all())
        self._hand_over()
        self._context.close()

    def _turn(self) -> None:
        """One round of the loop. What goes wrong ends the running streams; others go on waiting."""
        try:
            self._take_commands()
            self._admit()
            if live := self._active():
                self._step(live)
            self._hand_over()
        except BaseException:  # whatever it is, nobody but this thread could tell the streams
            logger.exception("The decode loop failed; all running streams end with an error.")
            self._recover(DecodeFailed("The decode loop failed. Please try again."))
            self._hand_over()

    def _end_of_all(self) -> BabelbrookError:
        """What those are told who still run or wait when the loop ends."""
        return self._stopping or DecodeFailed(self.failure)

    def _active(self) -> list[Sequence]:
        """The sequences with a place whose readers are not all behind."""
        return [each for each in self._places if not each.decoding.paused]

    def _take_commands(self) -> None:
        """Take all commands there are; wait for one when there is nothing to do."""
        idle = not self._active() and not (self._waiting and self._can_admit())
        look = False
        try:
            while True:
                command = self._commands.get(block=idle)
                idle = False
                if isinstance(command, BabelbrookError):
                    self._stopping = self._stopping or command
                elif command == "look":
                    look = True
                else:
                    self._waiting.append(command)
        except queue.Empty:
            pass
        if look:
            self._free_cancelled()
            self._unpark()

    def _free_cancelled(self) -> None:
        for sequence in self._places:
            if sequence.decoding.cancelled:
                self._end(sequence, "", 0, "cancelled")
        for sequence in self._waiting.drop_cancelled():
            self._drop(sequence)

    def _unpark(self) -> None:
        """Those that go on wait for a place again, before all others of their client."""
        parked, self._parked = self._parked, []
        for sequence in parked:
            if sequence.decoding.cancelled:
                self._drop(sequence)
            elif sequence.decoding.paused:
                self._parked.append(sequence)
            else:
                self._waiting.put_back(sequence)

    def _drop(self, sequence: Sequence) -> None:
        sequence.close()
        self._news.append((sequence.decoding, "", 0, "cancelled"))

    def _can_admit(self) -> bool:
        """There is a place for somebody who waits, or one that a paused sequence gives up."""
        if self._stopping or (self._full and self._active()):
            return False
        return not self._places.full or (self._waiting.urgent > 0 and self._paused() is not None)

    def _paused(self) -> Sequence | None:
        """The paused sequence in a place that would be the cheapest to read again."""
        paused = (each for each in self._places if each.decoding.paused)
        return min(paused, key=lambda each: len(each.tokens), default=None)

    def _park(self, paused: Sequence) -> None:
        """Take a paused sequence's place; it is read again when its reader has caught up."""
        self._leave_place(paused)
        self._parked.append(paused)

    def _admit(self) -> None:
        """Give free places to those who wait; where nobody does, keep the ids dense by moving."""
        while self._waiting and self._can_admit():
            if self._places.full and (paused := self._paused()) is not None:
                self._park(paused)
            self._moving = sequence = self._waiting.pop()
            if sequence.decoding.cancelled:
                self._drop(sequence)
            else:
                self._place(sequence)
            self._moving = None
        self._places.close_hole()

    def _place(self, sequence: Sequence) -> None:
        self.reused_tokens += self._places.put(sequence)
        self.prompt_tokens += len(sequence.tokens)
        decoding = sequence.decoding
        if decoding.started is None:
            decoding.started = time.monotonic()
        sequence.placed = decoding.clock()
        if not decoding.job.sampling.greedy and sequence.sampler is None:
            answer = sequence.tokens[sequence.prompt - decoding.answer_tokens :]
            sequence.sampler = Sampler(decoding.job.sampling, self._model.vocab_size, answer)

    def _step(self, live: list[Sequence]) -> None:
        begun = time.perf_counter()
        chunk = self._prompts.next(live)
        try:
            seconds = self._read(chunk) if chunk else self._advance(live)
        except DecodeError as error:
            self._on_decode_error(error)
            return
        self.steps += 1
        self.decode_seconds += seconds
        self.step_seconds += time.perf_counter() - begun

    def _decode(self, threads: int) -> float:
        """Decode the batch; returns the seconds that it took. Raises DecodeError."""
        self._context.use_threads(threads)
        begun = time.perf_counter()
        self._context.decode(self._batch)
        return time.perf_counter() - begun

    def _read(self, chunk: Chunk) -> float:
        """Decode part of a prompt; where it is the end, choose the first token of the answer."""
        sequence, start = chunk.sequence, chunk.sequence.length
        count = self._padded(sequence, chunk.tokens)
        batch = self._batch
        batch.clear()
        tokens = sequence.tokens[start : start + chunk.tokens]
        batch.add_chunk(tokens, start, sequence.id, output=chunk.output)
        if count > chunk.tokens:  # behind the prompt, so that no token of it can see them
            fillers = [_FILLER] * (count - chunk.tokens)
            batch.add_chunk(fillers, start + chunk.tokens, sequence.id, output=False)
        seconds = self._decode(self._crew.for_prompts)
        sequence.length += chunk.tokens
        if count > chunk.tokens:
            self._places.take_back(sequence.id)
        self._pace.note_chunk(count, seconds, first=start == 0)
        if chunk.output:
            self._accept([sequence], self._choose([(sequence, -1)], 1))
        return seconds

    def _padded(self, sequence: Sequence, tokens: int) -> int:
        """The tokens of a chunk with fillers, where these make it faster and find room."""
        count = self._pace.padded(tokens) if self._may_fill else tokens
        fits = count <= self._batch.capacity and sequence.length + count <= self._size.context
        return count if fits else tokens

    def _advance(self, live: list[Sequence]) -> float:
        """Decode one token of every sequence, and choose the next one of those that decode.

        The batch holds the ids from 0 on without a gap: a gap would cost a graph of its own, and
        a filler, whose cell is taken back at once, next to nothing.
        """
        batch, places = self._batch, self._places
        batch.clear()
        rows: list[tuple[Sequence, int]] = []
        fed: list[Sequence] = []
        fillers: list[int] = []
        at_place = {sequence.id: sequence for sequence in live}
        for place in range(self._width(live)):
            sequence = at_place.get(place)
            if sequence is not None:
                fed.append(sequence)
                if sequence.pending == 1:
                    rows.append((sequence, len(batch)))
                batch.add_token(sequence.tokens[sequence.length], sequence.length, place)
            elif self._may_fill:
                fillers.append(place)
                batch.add_token(_FILLER, places.kept(place), place)
        seconds = self._decode(self._crew.count)
        for place in fillers:
            places.take_back(place)
        for sequence in fed:
            sequence.length += 1
        self._pace.note_rows(len(batch), seconds)
        self._crew.note(len(batch), seconds)
        self._prompts.stepped()
        self._accept([sequence for sequence, _ in rows], self._choose(rows, len(batch)))
        return seconds

    def _width(self, live: list[Sequence]) -> int:
        """How many ids, from 0 on, take part in a step of the running streams."""
        width = 1 + max(sequence.id for sequence in live if sequence.pending == 1)
        return self._pace.filled(width) if self._may_fill else width

    def _choose(self, rows: list[tuple[Sequence, int]], outputs: int) -> list[int]:
        """The next token of each sequence; -1 where the logits hold no number, or NOTHING_FITS.

        Each comes with its place among the last batch's `outputs`; -1 is the last one.
        """
        logits = self._context.logits(outputs)
        best = greedy(logits)
        tokens = []
        for sequence, row in rows:
            token = best[row]
            if not isfinite(logits[row, token]):
                token = -1
            elif sequence.sampler is not None:
                token = sequence.sampler.sample(self._context, row)
            tokens.append(token)
        return tokens

    def _accept(self, sequences: list[Sequence], tokens: list[int]) -> None:
        """Append each one's token to its sequence and its text to the news."""
        news, pieces, ends = self._news, self._pieces, self._ends
        self.tokens += len(sequences)
        for sequence, token in zip(sequences, tokens, strict=True):
            if token < 0:
                self._end(sequence, "", 0, _no_token(token))
                continue
            decoding = sequence.decoding
            if token in ends and not decoding.job.ignore_eos:
                self._end(sequence, sequence.decoder.decode(b"", True), 0, "stop")
                continue
            sequence.tokens.append(token)
            if len(sequence.tokens) < sequence.end:
                news.append((decoding, sequence.decoder.decode(pieces[token]), 1, None))
            else:
                text = sequence.decoder.decode(pieces[token], True)
                self._end(sequence, text, 1, "length")

    def _end(
        self, sequence: Sequence, text: str, tokens: int, finish: str | BabelbrookError
    ) -> None:
        """Free a live sequence's place and say how it ended."""
        self._leave_place(sequence)
        self._full = False
        sequence.close()
        self._news.append((sequence.decoding, text, tokens, finish))
        seconds, mean = sequence.served, self.service_seconds
        self.service_seconds = mean + _WEIGHT * (seconds - mean) if mean else seconds

    def _leave_place(self, sequence: Sequence) -> None:
        self._places.free(sequence)
        sequence.served += sequence.decoding.clock() - sequence.placed

    def _on_decode_error(self, error: DecodeError) -> None:
        """No room: one that is paused gives up its place, or the youngest goes back to the queue.

        Anything else: all fail, a new context.
        """
        if error.no_room and (paused := self._paused()) is not None:
            self._park(paused)
            return
        if error.no_room and self._places.live > 1:
            youngest = max(self._places, key=lambda sequence: sequence.decoding.submitted)
            self._preempt(youngest)
            return
        logger.error("%s; all running streams end with an error.", error)
        self._recover(DecodeFailed("The model failed to decode. Please try again."))

    def _preempt(self, sequence: Sequence) -> None:
        """Take a sequence's place; its tokens are kept and prefilled again later."""
        self._leave_place(sequence)
        self._full = True
        self._waiting.append(sequence, first=True)

    def _recover(self, error: BabelbrookError) -> None:
        """Fail all live sequences and start over with a fresh context.

        Raises ModelError where there can be none.
        """
        self._fail_live(error)
        self._full = False
        self._context.close()
        self._context = self._make_context()
        self._places = Places(self._context)

    def _fail_live(self, error: BabelbrookError) -> None:
        live = list(self._places)
        if self._moving is not None and self._moving not in live:
            live.append(self._moving)
        for sequence in live:
            sequence.close()
            self._news.append((sequence.decoding, "", 0, error))
        self._places, self._moving = Places(self._context), None

    def _fail_all(self, error: BabelbrookError) -> None:
        """Fail the live and the waiting, those still among the commands too."""
        self._fail_live(error)
        while not self._commands.empty():
            command = self._commands.get()
            if isinstance(command, Sequence):
                self._waiting.append(command)
        for sequence in (*self._parked, *self._waiting.pop_all()):
            sequence.close()
            self._news.append((sequence.decoding, "", 0, error))

    def _hand_over(self) -> None:
        """One call for all that the step brought."""
        if self._news:
            self._deliver(self._news)
            self._news = []


def _no_token(reason: int) -> DecodeFailed:
    """Why no token could be chosen."""
    if reason == NOTHING_FITS:
        return DecodeFailed("The model's vocabulary cannot spell what the format asks for.")
    return DecodeFailed("The model's output is not a number; its file may be broken.")
