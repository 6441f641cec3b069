"""A GGUF file from the decoder's weights and the tokenizer: f16, or quantised to Q8_0."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from gguf import GGML_QUANT_VERSION, GGMLQuantizationType, GGUFWriter, LlamaFileType, TokenType
from gguf.quants import quantize
from torch import Tensor

from training.languages import LANGUAGES
from training.model import Shape
from training.tokenizer import BOS, EOS, UNKNOWN, Tokenizer
from training.weights import tensor_names

FORMATS = {
    "f16": (GGMLQuantizationType.F16, LlamaFileType.MOSTLY_F16),
    "q8_0": (GGMLQuantizationType.Q8_0, LlamaFileType.MOSTLY_Q8_0),
}

DESCRIPTION = "English to and from ja/de/fr/es/zh, trained on Tatoeba sentence pairs"
LICENSE = "CC-BY-2.0-FR (training data: tatoeba.org via manythings.org/anki)"
LICENSE_LINK = "https://creativecommons.org/licenses/by/2.0/fr/"


def piece_type(tokenizer: Tokenizer, token: int) -> TokenType:
    """Return llama.cpp's type of a piece."""
    pieces = tokenizer.pieces
    if pieces.is_unknown(token):
        return TokenType.UNKNOWN
    if pieces.is_control(token):
        return TokenType.CONTROL
    return TokenType.BYTE if pieces.is_byte(token) else TokenType.NORMAL


def add_shape(writer: GGUFWriter, shape: Shape) -> None:
    """Write the sizes that llama.cpp builds its graph from."""
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.hidden)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.heads)
    writer.add_rope_dimension_count(shape.head)
    writer.add_layer_norm_rms_eps(shape.norm_epsilon)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_vocab_size(shape.vocab)


def add_tokenizer(writer: GGUFWriter, tokenizer: Tokenizer) -> None:
    """Write pieces, scores and types; llama.cpp's `llama` tokenizer then equals SentencePiece."""
    pieces, ids = tokenizer.pieces, range(len(tokenizer))
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([pieces.id_to_piece(token) for token in ids])
    writer.add_token_scores([pieces.get_score(token) for token in ids])
    writer.add_token_types([piece_type(tokenizer, token) for token in ids])
    writer.add_bos_token_id(BOS)
    writer.add_eos_token_id(EOS)
    writer.add_unk_token_id(UNKNOWN)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(True)


def add_description(writer: GGUFWriter, name: str) -> None:
    """Write what a reader of the file should know: name, languages, licence of the data."""
    writer.add_name(name)
    writer.add_description(DESCRIPTION)
    writer.add_languages(list(LANGUAGES))
    writer.add_license(LICENSE)
    writer.add_license_link(LICENSE_LINK)


def _put_tensor(
    writer: GGUFWriter, name: str, values: npt.NDArray[np.float32], kind: GGMLQuantizationType
) -> None:
    # Norms stay float32: they are tiny, and llama.cpp wants them so.
    if values.ndim == 1:
        writer.add_tensor(name, values)
    else:
        writer.add_tensor(name, quantize(values, kind), raw_dtype=kind)


def export_gguf(
    path: Path,
    shape: Shape,
    weights: Mapping[str, Tensor],
    tokenizer: Tokenizer,
    kind: str,
    name: str,
) -> None:
    """Write a GGUF of `kind` ("f16" or "q8_0"), whole or not at all.

    Raises KeyError for another kind or a missing weight. The embedding serves as output matrix
    too: without an `output.weight` llama.cpp ties them.
    """
    quantization, file_type = FORMATS[kind]
    unfinished = path.with_name(path.name + ".part")
    writer = GGUFWriter(unfinished, "llama")
    add_description(writer, name)
    add_shape(writer, shape)
    writer.add_file_type(file_type)
    writer.add_quantization_version(GGML_QUANT_VERSION)
    add_tokenizer(writer, tokenizer)
    for theirs, ours in tensor_names(shape.layers).items():
        _put_tensor(writer, theirs, weights[ours].float().cpu().numpy(), quantization)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    unfinished.replace(path)
