"""Batched greedy decoding in PyTorch, for evaluation and for the parity check."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

from training.model import Decoder, Past
from training.tokenizer import EOS, Tokenizer

BATCH_ROWS = 64


def answer_limit(prompt_tokens: int, context: int) -> int:
    """Return how many tokens an answer may have: ample for a sentence, within the context."""
    return min(3 * prompt_tokens + 24, context - prompt_tokens)


@torch.no_grad()
def greedy(model: Decoder, prompts: Sequence[Sequence[int]]) -> list[list[int]]:
    """Return the greedy answers, without EOS, of prompts that all have the same length."""
    device = model.embedding.weight.device
    tokens = torch.tensor(prompts, device=device)
    past = [Past() for _ in range(model.shape.layers)]
    done = torch.zeros(len(tokens), dtype=torch.bool, device=device)
    steps: list[Tensor] = []
    for _ in range(answer_limit(tokens.shape[1], model.shape.context)):
        tokens = model.logits(model(tokens, past)[:, -1]).argmax(-1, keepdim=True)
        steps.append(tokens)
        done |= tokens[:, 0] == EOS
        if done.all():
            break
    return [_until_end(row) for row in torch.cat(steps, 1).tolist()]


def _until_end(tokens: list[int]) -> list[int]:
    return tokens[: tokens.index(EOS)] if EOS in tokens else tokens


def greedy_all(model: Decoder, prompts: Sequence[list[int]]) -> list[list[int]]:
    """Return the greedy answers of prompts of any length, in order.

    Prompts of one length share a batch, so that no padding, and no mask for it, is needed.
    """
    places: dict[int, list[int]] = defaultdict(list)
    for place, prompt in enumerate(prompts):
        places[len(prompt)].append(place)
    answers: list[list[int]] = [[] for _ in prompts]
    for group in places.values():
        for start in range(0, len(group), BATCH_ROWS):
            some = group[start : start + BATCH_ROWS]
            found = greedy(model, [prompts[place] for place in some])
            for place, answer in zip(some, found, strict=True):
                answers[place] = answer
    return answers


class TorchTranslator:
    """Translates with the PyTorch model."""

    def __init__(self, model: Decoder, tokenizer: Tokenizer) -> None:
        self.model, self.tokenizer = model.eval(), tokenizer

    def __call__(self, texts: Sequence[str], source_lang: str, target_lang: str) -> list[str]:
        """Translate texts; the model does not need `source_lang`."""
        prompts = [self.tokenizer.prompt(text, target_lang) for text in texts]
        return [self.tokenizer.decode(answer) for answer in greedy_all(self.model, prompts)]
