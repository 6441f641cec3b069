"""Parity: llama.cpp and PyTorch, with the weights of one GGUF, give the same greedy tokens.

The two sum in different orders and llama.cpp rounds activations, so two tokens of nearly equal
logits may swap. Such a near tie is told from a fault by its margin in PyTorch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from training.corpus import Pair
from training.decode import greedy_all
from training.example import directed
from training.llama import LlamaTranslator
from training.model import Decoder
from training.tokenizer import EOS, Tokenizer
from training.weights import load_decoder

# Logits of the two candidates closer than this: rounding decides, and either is right.
NEAR_TIE = 0.1


@dataclass(frozen=True)
class Parity:
    """How many answers were equal, and the widest logit margin at a first difference."""

    sentences: int
    equal: int
    same_tokenisation: int
    widest_margin: float

    @property
    def holds(self) -> bool:
        """Tell whether tokenisation agrees and every difference began at a near tie."""
        return self.same_tokenisation == self.sentences and self.widest_margin < NEAR_TIE


@torch.no_grad()
def margin(model: Decoder, prompt: list[int], ours: list[int], theirs: list[int]) -> float:
    """Return PyTorch's logit margin between both choices where two answers first differ."""
    if ours == theirs:
        return 0.0
    ours, theirs = [*ours, EOS], [*theirs, EOS]
    place = next(n for n, pair in enumerate(zip(ours, theirs, strict=False)) if pair[0] != pair[1])
    tokens = torch.tensor([[*prompt, *ours[:place]]])
    logits = model.logits(model(tokens)[0, -1])
    return float(logits[ours[place]] - logits[theirs[place]])


def check_parity(gguf: Path, tokenizer: Tokenizer, pairs: Sequence[Pair]) -> Parity:
    """Compare both programs on the pairs, in alternating directions."""
    model, llama = load_decoder(gguf), LlamaTranslator(gguf, tokenizer)
    examples = [directed(pair, number % 2 == 1) for number, pair in enumerate(pairs)]
    prompts = [tokenizer.prompt(e.source, e.target_lang) for e in examples]
    ours = greedy_all(model, prompts)
    theirs = [llama.answer(prompt) for prompt in prompts]
    margins = [margin(model, *triple) for triple in zip(prompts, ours, theirs, strict=True)]
    return Parity(
        len(pairs),
        sum(a == b for a, b in zip(ours, theirs, strict=True)),
        sum(llama.tokens_of(e.source) == tokenizer.encode(e.source) for e in examples),
        max(margins, default=0.0),
    )
