"""The GGUF in llama.cpp, one sentence at a time: the program that will serve it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llama_cpp import Llama

from training.decode import answer_limit
from training.tokenizer import EOS, Tokenizer

CONTEXT = 512


class LlamaTranslator:
    """Translates greedily with llama.cpp; prompts are made by SentencePiece."""

    def __init__(self, gguf: Path, tokenizer: Tokenizer, threads: int = 2) -> None:
        """Load the model. Raises `ValueError` where llama.cpp cannot."""
        self.model: Any = Llama(str(gguf), n_ctx=CONTEXT, n_threads=threads, verbose=False)
        self.tokenizer = tokenizer

    def answer(self, prompt: list[int]) -> list[int]:
        """Return the greedy answer to a prompt, without EOS."""
        # The binding would reuse a prefix in common with the sentence before; every one of them
        # starting empty keeps answers independent of their order.
        self.model.reset()
        tokens: list[int] = []
        for token in self.model.generate(prompt, temp=0.0):
            if token == EOS or len(tokens) == answer_limit(len(prompt), CONTEXT):
                break
            tokens.append(token)
        return tokens

    def tokens_of(self, text: str) -> list[int]:
        """Return llama.cpp's own tokens of `text`, without BOS and special pieces."""
        found: list[int] = self.model.tokenize(text.encode(), add_bos=False, special=False)
        return found

    def __call__(self, texts: Sequence[str], source_lang: str, target_lang: str) -> list[str]:
        """Translate texts; the model does not need `source_lang`."""
        prompts = (self.tokenizer.prompt(text, target_lang) for text in texts)
        return [self.tokenizer.decode(self.answer(prompt)) for prompt in prompts]
