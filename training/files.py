"""The files of one run, all in one folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Files:
    """Names within a run's `folder`; making a stage's file anew begins with deleting it."""

    folder: Path

    @property
    def corpus(self) -> Path:
        """The cleaned pairs."""
        return self.folder / "clean.tsv"

    @property
    def dev(self) -> Path:
        """The pairs that are measured and never trained on."""
        return self.folder / "dev.tsv"

    @property
    def tokenizer(self) -> Path:
        """The SentencePiece model."""
        return self.folder / "tokenizer.model"

    @property
    def checkpoint(self) -> Path:
        """The newest state of the run."""
        return self.folder / "checkpoint.pt"

    @property
    def log(self) -> Path:
        """Losses by time, as JSON Lines."""
        return self.folder / "log.jsonl"

    @property
    def curve(self) -> Path:
        """The learning curve."""
        return self.folder / "curve.png"

    def gguf(self, name: str, kind: str) -> Path:
        """The model for llama.cpp, of a kind such as "q8_0"."""
        return self.folder / f"{name}-{kind}.gguf"

    def scores(self, name: str) -> Path:
        """The table of scores of one translator."""
        return self.folder / f"scores-{name}.md"
