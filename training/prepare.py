"""The first stage: a cleaned corpus, dev pairs apart from it, and a tokenizer."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from training.clean import clean, tidy, to_simplified
from training.corpus import Pair, read_pairs, write_pairs
from training.files import Files
from training.progress import show
from training.tokenizer import train_tokenizer

DEV_SENTENCES = 1000


def hold_out(pairs: Sequence[Pair], sentences: int, seed: int = 1) -> list[Pair]:
    """Choose at random `sentences` English sentences; return every pair that has one of them."""
    english = sorted({pair.english for pair in pairs})
    chosen = set(random.Random(seed).sample(english, min(sentences, len(english) // 10)))
    return [pair for pair in pairs if pair.english in chosen]


def prepare_corpus(files: Files, corpus: Path, dev: Path | None) -> None:
    """Write the cleaned training pairs and the dev pairs, none of whose English is in training.

    Without `dev`, some of the corpus is held out. Raises `CorpusError`, `OSError`.
    """
    dropped: Counter[str] = Counter()
    pairs = list(clean(read_pairs(corpus), to_simplified(), dropped))
    apart = list(read_pairs(dev)) if dev else hold_out(pairs, DEV_SENTENCES)
    english = {tidy(pair.english) for pair in apart}
    kept = [pair for pair in pairs if pair.english not in english]
    write_pairs(files.dev, apart)
    write_pairs(files.corpus, kept)
    show(f"{len(kept)} pairs, {len(apart)} apart for measuring; dropped {dict(dropped)}")


def prepare_tokenizer(files: Files, given: Path | None, size: int) -> None:
    """Copy the tokenizer that is `given`, else train one of `size` pieces on the cleaned pairs."""
    if given:
        shutil.copyfile(given, files.tokenizer)
        return
    texts = (text for pair in read_pairs(files.corpus) for text in (pair.english, pair.other))
    train_tokenizer(texts, files.tokenizer, size)


def prepare(
    files: Files, corpus: Path, dev: Path | None, tokenizer: Path | None, vocab: int
) -> None:
    """Make whatever of the three files is not there yet."""
    files.folder.mkdir(parents=True, exist_ok=True)
    if not (files.corpus.exists() and files.dev.exists()):
        prepare_corpus(files, corpus, dev)
    if not files.tokenizer.exists():
        prepare_tokenizer(files, tokenizer, vocab)
