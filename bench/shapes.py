"""Model files of a real shape with random weights and a real vocabulary.

Speed depends on shapes, not on weights, so nothing has to be downloaded. Quantised blocks are drawn
directly, with scales that keep the logits finite, which takes seconds where quantising takes
minutes. `python -m bench.shapes FILE` checks that a file loads and gives finite logits.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.servers import ROOT

_SEED = 20
_BLOCK = 32  # weights that share a scale, in Q4_0 and in Q8_0
_EMBEDDING_STD = 0.02
# Of the other rows of the embedding, which is the output matrix too: they never win.
_SILENT = 0.05
# Tokens that may be the answer: whole words. So every token completes text and brings a frame, as
# it does when a real model writes English.
_WORD = re.compile("Ġ?[A-Za-z]{2,}")


class ShapeError(Exception):
    """A model file could not be made or does not work."""


@dataclass(frozen=True)
class Shape:
    """A decoder of the Qwen2 architecture with tied embeddings; head width is width / heads."""

    name: str
    layers: int
    width: int
    heads: int
    kv_heads: int
    feed_forward: int

    @property
    def kv_width(self) -> int:
        """Width of the keys, and of the values."""
        return self.width // self.heads * self.kv_heads


# https://huggingface.co/Qwen/Qwen2-0.5B/blob/main/config.json, and the same of Qwen2-1.5B
HALF = Shape("0.5B", layers=24, width=896, heads=14, kv_heads=2, feed_forward=4864)
LARGE = Shape("1.5B", layers=28, width=1536, heads=12, kv_heads=2, feed_forward=8960)


def file_name(shape: Shape, kind: str) -> str:
    """Such as `random-0.5B-q4_0.gguf`."""
    return f"random-{shape.name}-{kind.lower()}.gguf"


def ensure(shape: Shape, kind: str, folder: Path, vocabulary: Path) -> Path:
    """The model file in `folder`, made first where it is not there. `kind` is Q4_0 or Q8_0.

    Raises ShapeError for a file that does not work.
    """
    path = folder / file_name(shape, kind)
    if path.exists():
        return path
    print(f"Making {path.name}", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(f".{os.getpid()}.new")
    try:
        write(shape, kind, new, vocabulary)
        _check_in_child(new)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
    return path


def write(shape: Shape, kind: str, path: Path, vocabulary: Path) -> None:
    """Write a model of `shape` with all matrices in `kind` and the tokenizer of `vocabulary`."""
    import gguf

    writer = gguf.GGUFWriter(str(path), "qwen2")
    writer.add_name(path.stem)
    writer.add_block_count(shape.layers)
    writer.add_context_length(32768)
    writer.add_embedding_length(shape.width)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_freq_base(1e6)
    writer.add_layer_norm_rms_eps(1e-6)
    tokens = _copy_tokenizer(gguf.GGUFReader(str(vocabulary)), writer)
    quantization = gguf.GGMLQuantizationType[kind]
    for name, tensor in _tensors(shape, kind, tokens):
        raw = quantization if tensor.dtype == np.uint8 else None
        writer.add_tensor(name, tensor, raw_dtype=raw)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _copy_tokenizer(reader: Any, writer: Any) -> list[str]:
    """Returns the tokens as the file spells them."""
    fields = {name: field.contents() for name, field in reader.fields.items() if "token" in name}
    tokens: list[str] = fields["tokenizer.ggml.tokens"]
    writer.add_tokenizer_model(fields["tokenizer.ggml.model"])
    writer.add_tokenizer_pre(fields["tokenizer.ggml.pre"])
    writer.add_token_list(tokens)
    writer.add_token_types(fields["tokenizer.ggml.token_type"])
    writer.add_token_merges(fields["tokenizer.ggml.merges"])
    writer.add_eos_token_id(fields["tokenizer.ggml.eos_token_id"])
    writer.add_add_bos_token(False)
    return tokens


def _tensors(shape: Shape, kind: str, tokens: list[str]) -> Iterator[tuple[str, NDArray[Any]]]:
    """Every tensor by name; matrices as rows of raw blocks, dtype uint8."""
    random = np.random.Generator(np.random.PCG64(_SEED))
    width, ones = shape.width, np.ones(shape.width, np.float32)

    def matrix(rows: int, columns: int) -> NDArray[np.uint8]:
        return blocks(kind, random, np.full(rows, columns**-0.5), columns)

    words = np.array([bool(_WORD.fullmatch(token)) for token in tokens])
    stds = np.where(words, _EMBEDDING_STD, _EMBEDDING_STD * _SILENT)
    yield "token_embd.weight", blocks(kind, random, stds, width)
    yield "output_norm.weight", ones
    for layer in range(shape.layers):
        prefix = f"blk.{layer}."
        yield prefix + "attn_norm.weight", ones
        for name, rows in (("q", width), ("k", shape.kv_width), ("v", shape.kv_width)):
            yield f"{prefix}attn_{name}.weight", matrix(rows, width)
            yield f"{prefix}attn_{name}.bias", np.zeros(rows, np.float32)
        yield prefix + "attn_output.weight", matrix(width, width)
        yield prefix + "ffn_norm.weight", ones
        yield prefix + "ffn_gate.weight", matrix(shape.feed_forward, width)
        yield prefix + "ffn_up.weight", matrix(shape.feed_forward, width)
        yield prefix + "ffn_down.weight", matrix(width, shape.feed_forward)


def blocks(
    kind: str, random: np.random.Generator, stds: NDArray[np.floating[Any]], columns: int
) -> NDArray[np.uint8]:
    """Random rows of quantised blocks: each a 16-bit scale and then the quants.

    `stds` are the standard deviations of the rows' weights, shape (rows,). Returns bytes of shape
    (rows, bytes of a row). Formats: block_q4_0 and block_q8_0 in llama.cpp's ggml-common.h; a
    weight is scale * (nibble - 8), or scale * int8.
    """
    quant_bytes, centred, quant_std = _QUANTS[kind]
    rows, count = len(stds), columns // _BLOCK
    made = np.empty((rows, count, 2 + quant_bytes), np.uint8)
    scales = np.repeat((stds / quant_std).astype(np.float16)[:, None], count, axis=1)
    made[:, :, :2] = scales.view(np.uint8).reshape(rows, count, 2)
    drawn = np.frombuffer(random.bytes(rows * count * quant_bytes), np.uint8)
    made[:, :, 2:] = centred[drawn].reshape(rows, count, quant_bytes)
    return made.reshape(rows, -1)


def _without_least(bits: int, middle: int) -> NDArray[np.uint8]:
    """Quants for each random byte, with the least quant, which has no opposite, as the middle one.

    A mean other than 0, times the width of a layer, would drown all that depends on the prompt.
    """
    least = middle ^ (1 << bits - 1)
    parts = np.arange(1 << bits)
    parts[least] = middle
    return np.array(
        parts if bits == 8 else [parts[byte >> 4] << 4 | parts[byte & 15] for byte in range(256)],
        np.uint8,
    )


# Bytes of a block's quants, quants by random byte, and their standard deviation.
_QUANTS = {
    "Q4_0": (16, _without_least(4, middle=8), 4.183),
    "Q8_0": (32, _without_least(8, middle=0), 73.47),
}


def _check_in_child(path: Path) -> None:
    """In a process of its own: a broken file can crash it, and a good one leaves no memory."""
    command = [sys.executable, "-m", "bench.shapes", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise ShapeError(f"{path.name} does not work: {done.stderr.strip()[-500:]}")


def check(path: Path) -> bool:
    """Whether the file loads and all logits after a few tokens are finite and not all equal."""
    from engine.llama.batch import Batch
    from engine.llama.context import Context, ContextSize
    from engine.llama.model import Model

    model = Model(path)
    context = Context(model, ContextSize(1, 256, 64, 1))
    batch = Batch(64)
    batch.add_chunk(model.tokenize("A few words.", special=False), 0, 0, output=True)
    context.decode(batch)
    logits = context.logits(1)
    sound = bool(np.isfinite(logits).all() and logits.std() > 0)
    context.close()
    model.close()
    return sound


if __name__ == "__main__":
    sys.exit(0 if check(Path(sys.argv[1])) else "its logits are not finite")
