"""How many sequences of how many tokens: from the settings, the model and the free memory."""

from __future__ import annotations

import llama_cpp

from engine.errors import ModelError
from engine.llama import machine
from engine.llama.context import ContextSize
from engine.llama.model import Model
from engine.settings import Engine as EngineSettings

_AUTO_SEQUENCES = 32
_AUTO_CONTEXT = 4096
_MEMORY_SHARE = 0.5  # of the free memory, for the KV cache; the rest is for weights and buffers
_GRANULE = 256  # llama.cpp rounds the cells of a sequence up to this


_KV_BYTES = {"f16": 2.0, "q8_0": 34 / 32}  # a number; q8_0 holds 32 of them in 34 bytes


def kv_bytes_per_token(model: Model, kv_type: str = "f16") -> int:
    """Bytes of keys and values that one token takes in the cache of a plain transformer.

    Models with sliding windows or recurrent layers take less.
    """
    layers = int(llama_cpp.llama_model_n_layer(model.handle))
    heads = max(1, int(llama_cpp.llama_model_n_head(model.handle)))
    kv_heads = int(llama_cpp.llama_model_n_head_kv(model.handle))
    width = int(llama_cpp.llama_model_n_embd(model.handle)) // heads
    architecture = model.metadata.get("general.architecture", "")
    keys = int(model.metadata.get(f"{architecture}.attention.key_length", width))
    values = int(model.metadata.get(f"{architecture}.attention.value_length", width))
    return int(layers * kv_heads * (keys + values) * _KV_BYTES[kv_type])


def choose(model: Model, settings: EngineSettings, free: int | None = None) -> ContextSize:
    """Sizes for a context over `model`; `free` is the free memory in bytes, measured by default.

    Raises ModelError with the arithmetic when what the settings ask for cannot fit.
    """
    room = int((machine.free_memory() if free is None else free) * _MEMORY_SHARE)
    context = _context(model, settings)
    per_sequence = context * kv_bytes_per_token(model, settings.kv_type)
    most = max(1, min(_AUTO_SEQUENCES, room // max(1, per_sequence)))
    sequences = most if settings.sequences == "auto" else settings.sequences
    if sequences * per_sequence > room:
        raise ModelError(
            f"{sequences} sequences of {context} tokens need {_mib(sequences * per_sequence)} of KV"
            f" cache ({_mib(per_sequence)} each), but {_mib(room)} are free for it. Lower"
            " engine.sequences or engine.context."
        )
    threads = machine.cores() if settings.threads == "auto" else settings.threads
    return ContextSize(
        sequences=sequences,
        context=context,
        batch=max(settings.batch, sequences),  # every sequence must find room in one step
        threads=threads,
        flash_attention=settings.flash_attention,
        kv_type=settings.kv_type,
    )


def _context(model: Model, settings: EngineSettings) -> int:
    trained = min(model.train_context or _AUTO_CONTEXT, _AUTO_CONTEXT)
    wanted = trained if settings.context == "auto" else settings.context
    return -(-wanted // _GRANULE) * _GRANULE


def _mib(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"
