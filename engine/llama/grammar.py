"""Choosing the next token among those that a grammar allows.

llama.cpp ends the whole process for a token that its grammar does not allow (an exception that
nothing catches, or GGML_ABORT), so nothing is told to it that was not asked before.
"""

from __future__ import annotations

import ctypes
from typing import Any

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from engine.errors import BadRequest
from engine.generation import Sampling
from engine.llama.context import Context
from engine.llama.model import Model
from engine.llama.sampling import Sampler

NOTHING_FITS = -2
_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


class Candidates:
    """llama.cpp's array of tokens to choose from."""

    def __init__(self, size: int) -> None:
        self._rows: NDArray[np.void] = np.zeros(size, _CANDIDATE)
        self.array = llama_cpp.llama_token_data_array()

    def fill(self, ids: NDArray[np.int32], logits: NDArray[np.float32]) -> None:
        """Begin anew with these, as many as there is room for."""
        self._rows["id"], self._rows["logit"] = ids, logits
        data: Any = ctypes.cast(self._rows.ctypes.data, ctypes.POINTER(llama_cpp.llama_token_data))
        self.array.data = data
        self.array.size, self.array.selected, self.array.sorted = len(self._rows), -1, False

    @property
    def none_left(self) -> bool:
        """All were ruled out."""
        return not np.isfinite(self._rows["logit"]).any()

    @property
    def selected(self) -> int:
        """The token that was chosen, -1 for none."""
        place = self.array.selected
        return int(self.array.data[place].id) if 0 <= place < self.array.size else -1


class GrammarSampler(Sampler):
    """A sampler chain that a grammar in llama.cpp's GBNF holds to its rules.

    Raises BadRequest for a grammar that llama.cpp cannot parse.
    """

    def __init__(self, sampling: Sampling, grammar: str, model: Model) -> None:
        self._grammar: Any = llama_cpp.llama_sampler_init_grammar(
            model.vocab, grammar.encode(), b"root"
        )
        if not self._grammar:
            raise BadRequest("The grammar cannot be used.")
        super().__init__(sampling, model.vocab_size)
        self._ids = np.arange(model.vocab_size, dtype=np.int32)
        self._all, self._one = Candidates(model.vocab_size), Candidates(1)

    def sample(self, context: Context, index: int) -> int:
        """The next token, NOTHING_FITS where the vocabulary cannot spell what must come.

        One token is asked for first: to ask for the whole vocabulary takes long, and most of the
        time the model keeps to the rules by itself.
        """
        logits = context.logits_of(index)
        token = self._draw(logits, constrained=False)
        if not self._allows(token):
            token = self._draw(logits, constrained=True)
            if not self._allows(token):
                return NOTHING_FITS
        llama_cpp.llama_sampler_accept(self._grammar, token)
        llama_cpp.llama_sampler_accept(self._chain, token)
        return token

    def _draw(self, logits: NDArray[np.float32], *, constrained: bool) -> int:
        candidates = self._all
        candidates.fill(self._ids, logits)
        if constrained:
            llama_cpp.llama_sampler_apply(self._grammar, ctypes.byref(candidates.array))
            if candidates.none_left:
                return NOTHING_FITS
        llama_cpp.llama_sampler_apply(self._chain, ctypes.byref(candidates.array))
        return candidates.selected

    def _allows(self, token: int) -> bool:
        if token < 0:
            return False
        self._one.fill(np.array([token], np.int32), np.zeros(1, np.float32))
        llama_cpp.llama_sampler_apply(self._grammar, ctypes.byref(self._one.array))
        return not self._one.none_left

    def close(self) -> None:
        super().close()
        if self._grammar:
            llama_cpp.llama_sampler_free(self._grammar)
            self._grammar = None
