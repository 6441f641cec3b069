"""The dev pairs: never trained on, measured in both directions of every language."""

from __future__ import annotations

import random
from pathlib import Path

from training.batches import Batch, bucket
from training.corpus import read_pairs
from training.example import directed
from training.languages import OTHERS
from training.tokenizer import Tokenizer

BATCH_TOKENS = 4096


def dev_batches(path: Path, tokenizer: Tokenizer, rows: int) -> dict[str, list[Batch]]:
    """Return batches of up to `rows` pairs of every language: `en-xx` and `xx-en` by name."""
    pairs = list(read_pairs(path))
    result = {}
    for lang in OTHERS:
        own = [pair for pair in pairs if pair.lang == lang]
        # Neighbours are translations of one sentence, so the rows are taken from all over.
        chosen = random.Random(lang).sample(own, min(rows, len(own)))
        for into_english, name in ((False, f"en-{lang}"), (True, f"{lang}-en")):
            encoded = [tokenizer.row(directed(pair, into_english)) for pair in chosen]
            if encoded:
                result[name] = bucket(encoded, BATCH_TOKENS, random.Random(name))
    return result
