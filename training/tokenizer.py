"""The tokenizer: SentencePiece BPE with byte fallback, and the prompt form around a text."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from sentencepiece import SentencePieceProcessor, SentencePieceTrainer

from training.batches import Row
from training.example import Example
from training.languages import CONTROL_TOKENS, SEPARATOR

UNKNOWN, BOS, EOS = 0, 1, 2


class TokenizerError(ValueError):
    """A SentencePiece model without the control tokens of the prompt form."""


class Tokenizer:
    """Texts to token ids and back; `BOS <2xx> text <sep>` is the prompt, EOS ends the answer."""

    def __init__(self, path: Path) -> None:
        """Load the SentencePiece model at `path`; raise `TokenizerError` if it is not ours."""
        self.path = path
        self.pieces = SentencePieceProcessor(model_file=str(path))
        self.controls = {lang: self._control(piece) for lang, piece in CONTROL_TOKENS.items()}
        self.separator = self._control(SEPARATOR)

    def _control(self, piece: str) -> int:
        token: int = self.pieces.piece_to_id(piece)
        if token == UNKNOWN:
            raise TokenizerError(f"{self.path}: no piece {piece!r}")
        return token

    def __len__(self) -> int:
        size: int = self.pieces.get_piece_size()
        return size

    def encode(self, text: str) -> list[int]:
        """Return the ids of `text` alone."""
        ids: list[int] = self.pieces.encode(text)
        return ids

    def decode(self, tokens: list[int]) -> str:
        """Return the text of `tokens`; control tokens give nothing."""
        text: str = self.pieces.decode(tokens)
        return text

    def prompt(self, text: str, target_lang: str) -> list[int]:
        """Return the ids that ask for `text` in `target_lang`."""
        return [BOS, self.controls[target_lang], *self.encode(text), self.separator]

    def row(self, example: Example) -> Row:
        """Return an example as the model learns it: the prompt, and the answer with its EOS."""
        prompt = self.prompt(example.source, example.target_lang)
        return Row(prompt, [*self.encode(example.target), EOS])


def train_tokenizer(texts: Iterable[str], path: Path, size: int) -> None:
    """Train a SentencePiece model of `size` pieces on `texts` and write it to `path`.

    Identity normalisation and split digits, so that a text survives the way there and back, and
    the control tokens as the first pieces after unknown, BOS and EOS.
    """
    SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_prefix=str(path.with_suffix("")),
        vocab_size=size,
        model_type="bpe",
        byte_fallback=True,
        split_digits=True,
        normalization_rule_name="identity",
        character_coverage=0.9995,
        control_symbols=[*CONTROL_TOKENS.values(), SEPARATOR],
        unk_id=UNKNOWN,
        bos_id=BOS,
        eos_id=EOS,
        pad_id=-1,
        minloglevel=1,
    )
    path.with_suffix(".model").replace(path)
    path.with_suffix(".vocab").unlink()
