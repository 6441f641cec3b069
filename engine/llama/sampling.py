"""Choosing the next token: one argmax over all rows, or llama.cpp's sampler chain for one row."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from engine.generation import Sampling
from engine.llama.context import Context

_PENALTY_WINDOW = 64  # tokens that the repeat penalty looks back on; llama.cpp's default


def greedy(logits: NDArray[np.float32]) -> list[int]:
    """The best token of each row of logits (rows, vocabulary); the lowest id among equals."""
    best: list[int] = logits.argmax(axis=1).tolist()
    return best


class Sampler:
    """A sampler chain in llama.cpp's order: penalties, top-k, top-p, min-p, temperature, draw.

    `answer` are tokens that the answer has already.
    """

    def __init__(self, sampling: Sampling, vocab_size: int, answer: Iterable[int] = ()) -> None:
        self._chain: Any = llama_cpp.llama_sampler_chain_init(
            llama_cpp.llama_sampler_chain_default_params()
        )
        for link in _links(sampling, vocab_size):
            llama_cpp.llama_sampler_chain_add(self._chain, link)
        for token in answer:
            llama_cpp.llama_sampler_accept(self._chain, token)

    def sample(self, context: Context, index: int) -> int:
        """Draw the token after the last batch's token number `index`; the chain remembers it."""
        return int(llama_cpp.llama_sampler_sample(self._chain, context.handle, index))

    def close(self) -> None:
        """Free the chain and its links."""
        if self._chain:
            llama_cpp.llama_sampler_free(self._chain)
            self._chain = None


def _links(sampling: Sampling, vocab_size: int) -> list[Any]:
    links = []
    if sampling.repeat_penalty != 1.0:
        links.append(
            llama_cpp.llama_sampler_init_penalties(
                vocab_size, _PENALTY_WINDOW, sampling.repeat_penalty, 0.0, 0.0
            )
        )
    if sampling.temperature <= 0:
        return [*links, llama_cpp.llama_sampler_init_greedy()]
    seed = secrets.randbits(32) if sampling.seed is None else sampling.seed & 0xFFFFFFFF
    return [
        *links,
        llama_cpp.llama_sampler_init_top_k(sampling.top_k),
        llama_cpp.llama_sampler_init_top_p(sampling.top_p, 1),
        llama_cpp.llama_sampler_init_min_p(sampling.min_p, 1),
        llama_cpp.llama_sampler_init_temp(sampling.temperature),
        llama_cpp.llama_sampler_init_dist(seed),
    ]
