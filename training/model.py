"""A decoder that is exactly llama.cpp's `llama` architecture, small, in PyTorch.

RMSNorm, rotary positions on neighbouring pairs of channels (llama.cpp's "norm" convention for this
architecture, so that weights go into a GGUF unpermuted), SwiGLU, no biases, tied embeddings.
Source: `llama.cpp` (src/models/llama) for the graph; Su et al. 2021 (arXiv:2104.09864) for RoPE.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Shape:
    """Sizes of a model.

    Raises `ValueError` for sizes that rotary positions (heads of even width) or Q8_0 (rows of
    whole blocks of 32) cannot do.
    """

    vocab: int = 12_000
    width: int = 320
    layers: int = 6
    heads: int = 5
    hidden: int = 896
    context: int = 512
    rope_base: float = 10_000.0
    norm_epsilon: float = 1e-5

    def __post_init__(self) -> None:
        """Refuse odd sizes now rather than at the export, after hours of training."""
        if self.width % 32 or self.hidden % 32:
            raise ValueError(f"width {self.width} and hidden {self.hidden} must divide by 32")
        if self.width % (2 * self.heads):
            raise ValueError(f"width {self.width} must divide by twice the {self.heads} heads")

    @property
    def head(self) -> int:
        """Channels of one attention head."""
        return self.width // self.heads


def rope_table(shape: Shape, length: int) -> Tensor:
    """Return the rotation of each position and pair of channels, complex64 (length, head / 2)."""
    exponents = torch.arange(0, shape.head, 2, dtype=torch.float32) / shape.head
    angles = torch.outer(torch.arange(length, dtype=torch.float32), shape.rope_base**-exponents)
    return torch.polar(torch.ones_like(angles), angles)


def rotate(x: Tensor, rotation: Tensor) -> Tensor:
    """Rotate neighbouring channels of `x` (..., length, head) by their position's angle.

    As complex numbers, because one product of those is six times faster on a CPU than sines and
    cosines on every second channel.
    """
    pairs = torch.view_as_complex(x.float().reshape(*x.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * rotation).flatten(-2).to(x.dtype)


class Past:
    """Keys and values of one layer during decoding: a prompt first, then token after token."""

    def __init__(self) -> None:
        self.k: Tensor | None = None
        self.v: Tensor | None = None

    @property
    def length(self) -> int:
        """How many positions are held."""
        return 0 if self.k is None else self.k.shape[2]

    def extend(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Append (batch, heads, length, head) and return all keys and all values."""
        self.k = k if self.k is None else torch.cat((self.k, k), 2)
        self.v = v if self.v is None else torch.cat((self.v, v), 2)
        return self.k, self.v


class Attention(nn.Module):
    """Causal self-attention with rotary positions."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads, self.head = shape.heads, shape.head
        self.q = nn.Linear(shape.width, shape.width, bias=False)
        self.k = nn.Linear(shape.width, shape.width, bias=False)
        self.v = nn.Linear(shape.width, shape.width, bias=False)
        self.output = nn.Linear(shape.width, shape.width, bias=False)

    def forward(self, x: Tensor, rotation: Tensor, past: Past | None = None) -> Tensor:
        """Attend within `x` (batch, length, width), after what `past` holds."""
        batch, length, width = x.shape
        q, k, v = (
            part(x).view(batch, length, self.heads, self.head).transpose(1, 2)
            for part in (self.q, self.k, self.v)
        )
        q, k = rotate(q, rotation) * self.head**-0.5, rotate(k, rotation)
        if past is not None:
            k, v = past.extend(k, v)
        # Written out because it is faster than the fused kernel at these lengths (about 20) on a
        # CPU. Padding lies on the right, so the causal mask alone keeps it out of every real row.
        scores = q @ k.transpose(-2, -1)
        if length > 1:
            scores = scores + torch.full_like(scores[0, 0], float("-inf")).triu(1)
        weights = scores.softmax(-1).to(v.dtype)
        mixed: Tensor = self.output((weights @ v).transpose(1, 2).reshape(batch, length, width))
        return mixed


class FeedForward(nn.Module):
    """SwiGLU (Shazeer 2020, arXiv:2002.05202)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate = nn.Linear(shape.width, shape.hidden, bias=False)
        self.up = nn.Linear(shape.width, shape.hidden, bias=False)
        self.down = nn.Linear(shape.hidden, shape.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., width) to (..., width)."""
        mapped: Tensor = self.down(F.silu(self.gate(x)) * self.up(x))
        return mapped


class Block(nn.Module):
    """One layer: attention and feed-forward, each normalised before and added after."""

    def __init__(self, shape: Shape, dropout: float) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(shape.width, shape.norm_epsilon)
        self.attention = Attention(shape)
        self.feed_norm = nn.RMSNorm(shape.width, shape.norm_epsilon)
        self.feed = FeedForward(shape)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, rotation: Tensor, past: Past | None = None) -> Tensor:
        """Map (batch, length, width) to the same shape."""
        x = x + self.drop(self.attention(self.attention_norm(x), rotation, past))
        x = x + self.drop(self.feed(self.feed_norm(x)))
        return x


class Decoder(nn.Module):
    """Token ids to hidden states; the embedding doubles as the output matrix."""

    def __init__(self, shape: Shape, dropout: float = 0.0) -> None:
        super().__init__()
        self.rotation: Tensor
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocab, shape.width)
        self.blocks = nn.ModuleList(Block(shape, dropout) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.width, shape.norm_epsilon)
        self.drop = nn.Dropout(dropout)
        self.register_buffer("rotation", rope_table(shape, shape.context), persistent=False)
        self._initialise()

    def _initialise(self) -> None:
        """Draw weights as GPT-2 does: 0.02, less where a layer adds to the residual stream."""
        residual = 0.02 / (2 * self.shape.layers) ** 0.5
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                ends = name.endswith(("output.weight", "down.weight"))
                nn.init.normal_(weight, std=residual if ends else 0.02)

    def forward(self, tokens: Tensor, past: Sequence[Past] | None = None) -> Tensor:
        """Return the last hidden states (batch, length, width) of `tokens` (batch, length).

        With `past`, one for each layer, the tokens follow what it holds: a whole prompt after
        nothing, or one token after anything.
        """
        start = past[0].length if past else 0
        end = start + tokens.shape[1]
        rotation = self.rotation[start:end]
        x = self.drop(self.embedding(tokens))
        for number, block in enumerate(self.blocks):
            x = block(x, rotation, past[number] if past else None)
        hidden: Tensor = self.norm(x)
        return hidden

    def logits(self, hidden: Tensor) -> Tensor:
        """Return logits (..., vocab) of hidden states (..., width)."""
        return F.linear(hidden, self.embedding.weight)
