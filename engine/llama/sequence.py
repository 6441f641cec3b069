"""One generation while it has, or waits for, a place in the KV cache."""

from __future__ import annotations

import codecs

from engine.generation import Decoding
from engine.llama.sampling import Sampler

_make_utf8_decoder = codecs.getincrementaldecoder("utf-8")


class Sequence:
    """`tokens` is all that is known of a sequence, prompt and answer; `length` of them are cached.

    What is left is what the next steps feed: a prompt's chunks, then one token each. Prefill,
    decode and taking up again after a loss of the place are the same thing.
    """

    __slots__ = (
        *("decoder", "decoding", "end", "id", "length", "placed", "prompt", "sampler", "served"),
        "tokens",
    )

    def __init__(self, decoding: Decoding, prompt: list[int], end: int) -> None:
        self.decoding = decoding
        self.tokens = prompt
        self.prompt = len(prompt)
        self.end = end  # the number of tokens at which a length stop comes
        self.id = -1
        self.length = 0
        self.placed = 0.0  # by the decoding's clock
        self.served = 0.0  # seconds in places that it has left
        self.sampler: Sampler | None = None
        # "replace" gives U+FFFD only for bytes that can never become a character; the bytes of an
        # unfinished one wait inside the decoder, also across tokens.
        self.decoder = _make_utf8_decoder("replace")

    @property
    def pending(self) -> int:
        """Tokens that are to be fed: 1 while it decodes, more while a prompt is being read."""
        return len(self.tokens) - self.length

    def close(self) -> None:
        """Free what llama.cpp holds for it."""
        if self.sampler is not None:
            self.sampler.close()
            self.sampler = None
