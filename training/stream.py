"""The endless stream of training batches: a pure function of corpus, seed and position.

Chunk `n` is made from pairs, seed and `n` alone. So a run that was interrupted goes on where it
stopped, worker processes need no talk, and every pass over a pair sees it in another form.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator, Sequence
from multiprocessing import get_context
from pathlib import Path

from training.batches import Batch, bucket
from training.corpus import Pair, read_pairs
from training.example import Example, directed
from training.languages import OTHERS
from training.mixture import Mixture, cyclic, shares
from training.names import swap_names
from training.numbers import swap_numbers
from training.templates import draw_pair
from training.tokenizer import Tokenizer
from training.vary import join_runs, vary_source


class Stream:
    """Chunks of batches from a corpus."""

    def __init__(self, corpus: Path, tokenizer: Path, mixture: Mixture, seed: int) -> None:
        """Read the corpus into memory. Raises `CorpusError`, `TokenizerError`."""
        self.tokenizer = Tokenizer(tokenizer)
        self.mixture, self.seed = mixture, seed
        self.pairs: dict[str, list[Pair]] = {lang: [] for lang in OTHERS}
        for pair in read_pairs(corpus):
            self.pairs[pair.lang].append(pair)
        self.shares = shares({lang: len(own) for lang, own in self.pairs.items()}, mixture)

    def chunk(self, number: int) -> list[Batch]:
        """Return the batches of chunk `number`, in training order."""
        rng = random.Random(f"{self.seed}/{number}")
        examples: list[Example] = []
        for lang in self.shares:
            examples += self._examples(lang, number, rng)
        rows = [self.tokenizer.row(vary_source(example, rng)) for example in examples]
        fitting = [row for row in rows if len(row) <= self.mixture.max_tokens]
        return bucket(fitting, self.mixture.batch_tokens, rng)

    def _examples(self, lang: str, number: int, rng: random.Random) -> list[Example]:
        groups: dict[bool, list[Example]] = {True: [], False: []}
        for pair in self._varied(lang, number, rng):
            into_english = rng.random() < self.mixture.into_english
            groups[into_english].append(directed(pair, into_english))
        return [e for group in groups.values() for e in join_runs(group, self.mixture.runs, rng)]

    def _varied(self, lang: str, number: int, rng: random.Random) -> list[Pair]:
        """Draw this chunk's share of a language: corpus pairs, some changed, and template pairs."""
        count = round(self.shares[lang] * self.mixture.chunk)
        made = round(count * self.mixture.templates)
        own, drawn = self.pairs[lang], count - made
        places = cyclic(len(own), number * drawn, drawn, f"{self.seed}/{lang}")
        pairs = [self._change(own[place], rng) for place in places]
        pairs += [draw_pair(lang, rng) for _ in range(made)]
        rng.shuffle(pairs)
        return pairs

    def _change(self, pair: Pair, rng: random.Random) -> Pair:
        if rng.random() < self.mixture.names:
            pair = swap_names(pair, rng)
        if rng.random() < self.mixture.numbers:
            pair = swap_numbers(pair, rng)
        return pair


_stream: Stream | None = None


def _start_worker(corpus: Path, tokenizer: Path, mixture: Mixture, seed: int) -> None:
    global _stream
    _stream = Stream(corpus, tokenizer, mixture, seed)


def _work(number: int) -> list[Batch]:
    assert _stream is not None
    return _stream.chunk(number)


def chunks(
    corpus: Path, tokenizer: Path, mixture: Mixture, seed: int, first: int, workers: int
) -> Iterator[Sequence[Batch]]:
    """Yield chunks from number `first` on, made in `workers` processes ahead of their use."""
    arguments = (corpus, tokenizer, mixture, seed)
    with get_context("spawn").Pool(workers, _start_worker, arguments) as pool:
        ahead = deque(pool.apply_async(_work, (first + n,)) for n in range(workers + 1))
        number = first + len(ahead)
        while True:
            yield ahead.popleft().get()
            ahead.append(pool.apply_async(_work, (number,)))
            number += 1
