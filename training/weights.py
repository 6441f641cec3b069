"""Between a GGUF file of the `llama` architecture and the decoder's weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from gguf import GGUFReader
from gguf.quants import dequantize
from torch import Tensor

from training.model import Decoder, Shape
from training.tokenizer import Tokenizer

_GLOBAL = {"token_embd.weight": "embedding.weight", "output_norm.weight": "norm.weight"}
_BLOCK = {
    "attn_norm.weight": "attention_norm.weight",
    "attn_q.weight": "attention.q.weight",
    "attn_k.weight": "attention.k.weight",
    "attn_v.weight": "attention.v.weight",
    "attn_output.weight": "attention.output.weight",
    "ffn_norm.weight": "feed_norm.weight",
    "ffn_gate.weight": "feed.gate.weight",
    "ffn_up.weight": "feed.up.weight",
    "ffn_down.weight": "feed.down.weight",
}


class WeightsError(ValueError):
    """A GGUF file that this decoder cannot take its weights from."""


def tensor_names(layers: int) -> dict[str, str]:
    """Map the GGUF's tensor names to the decoder's parameter names."""
    names = dict(_GLOBAL)
    for layer in range(layers):
        for theirs, ours in _BLOCK.items():
            names[f"blk.{layer}.{theirs}"] = f"blocks.{layer}.{ours}"
    return names


def _field(reader: GGUFReader, key: str) -> float:
    field = reader.get_field(key)
    if field is None:
        raise WeightsError(f"the GGUF has no {key!r}; is it a llama-architecture model?")
    value: float = field.contents()
    return value


def _single(value: float) -> float:
    """Return the shortest number that is `value` in float32: 1e-05, not 9.999999747e-06."""
    return float(str(np.float32(value)))


def read_shape(reader: GGUFReader) -> Shape:
    """Read the sizes from the metadata; raise `WeightsError` for grouped-query attention."""
    heads = int(_field(reader, "llama.attention.head_count"))
    if int(_field(reader, "llama.attention.head_count_kv")) != heads:
        raise WeightsError("grouped-query attention cannot be imported: heads and KV heads differ")
    return Shape(
        vocab=int(_field(reader, "llama.vocab_size")),
        width=int(_field(reader, "llama.embedding_length")),
        layers=int(_field(reader, "llama.block_count")),
        heads=heads,
        hidden=int(_field(reader, "llama.feed_forward_length")),
        context=int(_field(reader, "llama.context_length")),
        rope_base=_single(_field(reader, "llama.rope.freq_base")),
        norm_epsilon=_single(_field(reader, "llama.attention.layer_norm_rms_epsilon")),
    )


def read_weights(path: Path) -> tuple[Shape, dict[str, Tensor]]:
    """Read a GGUF's shape and weights (float32; quantised ones are expanded).

    Raises `WeightsError` where a tensor is missing or unknown.
    """
    reader = GGUFReader(path)
    shape = read_shape(reader)
    names = tensor_names(shape.layers)
    found = {tensor.name: tensor for tensor in reader.tensors}
    if found.keys() != names.keys():
        odd = sorted(found.keys() ^ names.keys())
        raise WeightsError(f"{path}: tensors missing or unknown: {', '.join(odd[:5])}")
    return shape, {
        ours: torch.from_numpy(
            np.array(dequantize(found[theirs].data, found[theirs].tensor_type), np.float32)
        )
        for theirs, ours in names.items()
    }


def blend(
    trained: Mapping[str, Tensor], start: Mapping[str, Tensor], share: float
) -> dict[str, Tensor]:
    """Return `share` of the trained weights plus the rest of those they started from.

    A short run on a new task loses some of the old one; part of the way back keeps most of both.
    Source: WiSE-FT, Wortsman et al. 2022 (arXiv:2109.01903). Raises KeyError for other models.
    """
    return {name: share * weight + (1 - share) * start[name] for name, weight in trained.items()}


def check_pieces(path: Path, tokenizer: Tokenizer) -> None:
    """Raise `WeightsError` unless a GGUF's embedding is of this tokenizer's pieces."""
    field = GGUFReader(path).get_field("tokenizer.ggml.tokens")
    ours = [tokenizer.pieces.id_to_piece(token) for token in range(len(tokenizer))]
    if field is None or field.contents() != ours:
        raise WeightsError(f"{path} has another vocabulary: give prepare its own --tokenizer")


def load_decoder(gguf: Path) -> Decoder:
    """Return the decoder with the weights of a GGUF, ready to decode."""
    shape, weights = read_weights(gguf)
    model = Decoder(shape)
    model.load_state_dict(weights)
    return model.eval()
