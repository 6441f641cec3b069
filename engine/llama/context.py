"""A llama.cpp context: the KV cache of many sequences and the call that decodes a batch."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from engine.errors import ModelError
from engine.llama import library
from engine.llama.batch import Batch
from engine.llama.model import Model

_KV_TYPES = {"f16": llama_cpp.GGML_TYPE_F16, "q8_0": llama_cpp.GGML_TYPE_Q8_0}
_FLASH_ATTENTION = {"auto": -1, "off": 0, "on": 1}


@dataclass(frozen=True, slots=True)
class ContextSize:
    """Sizes of a context. `context` counts one sequence's tokens, prompt and answer together."""

    sequences: int
    context: int
    batch: int
    threads: int
    flash_attention: str = "auto"
    kv_type: str = "f16"


class DecodeError(Exception):
    """`llama_decode` returned something else than 0; `code` is what it returned."""

    def __init__(self, code: int) -> None:
        super().__init__(f"llama_decode returned {code}: {self._meaning(code)}")
        self.code = code

    @staticmethod
    def _meaning(code: int) -> str:
        known = {1: "no room in the KV cache", 2: "aborted", -1: "invalid batch"}
        return known.get(code, "fatal error")

    @property
    def no_room(self) -> bool:
        """The batch found no KV slot; the memory is as before the call."""
        return self.code == 1


class Context:
    """The decode state of up to `size.sequences` sequences over one model.

    The cache is split: each sequence has its own `size.context` cells and attention walks only
    those. Sums are then the same whoever else is in the batch, so that a text's translation does
    not depend on its neighbours (measured; over a unified cache it does). Raises ModelError when
    llama.cpp cannot create it.
    """

    def __init__(self, model: Model, size: ContextSize) -> None:
        self.model, self.size = model, size
        self.handle = llama_cpp.llama_init_from_model(model.handle, self._params(size))
        if not self.handle:
            reason = library.take_last_error() or "llama.cpp refused the sizes"
            raise ModelError(f"No context of {size.sequences} x {size.context} tokens: {reason}")
        self._memory = llama_cpp.llama_get_memory(self.handle)
        self._vocab_size = model.vocab_size
        self._threads = size.threads

    @staticmethod
    def _params(size: ContextSize) -> llama_cpp.llama_context_params:
        params: llama_cpp.llama_context_params = llama_cpp.llama_context_default_params()
        params.n_ctx = size.sequences * size.context
        params.n_seq_max = size.sequences
        params.n_batch = params.n_ubatch = size.batch
        params.n_threads = params.n_threads_batch = size.threads
        params.flash_attn_type = _FLASH_ATTENTION[size.flash_attention]
        params.type_k = params.type_v = _KV_TYPES[size.kv_type]
        params.kv_unified = False
        params.no_perf = True
        return params

    def close(self) -> None:
        """Free the context."""
        if self.handle:
            llama_cpp.llama_free(self.handle)
            self.handle = None

    def decode(self, batch: Batch) -> None:
        """Run the batch through the model. Raises DecodeError. Releases the GIL meanwhile.

        Some misuse aborts the process instead of returning (more tokens than `n_batch`, ids at or
        above `n_seq_max`), so it must never get here.
        """
        code = llama_cpp.llama_decode(self.handle, batch.seal())
        if code != 0:
            raise DecodeError(code)

    def use_threads(self, count: int) -> None:
        """Set the threads of the next decodes.

        llama.cpp's own choice between its two counts is by the tokens of a batch, and would take
        eight decoding sequences for a prompt.
        """
        if count != self._threads:
            llama_cpp.llama_set_n_threads(self.handle, count, count)
            self._threads = count

    def logits(self, rows: int) -> NDArray[np.float32]:
        """Logits of the last batch's outputs, shape (rows, vocabulary), in the order of adding.

        A view of llama.cpp's own buffer: valid until the next decode.
        """
        pointer = llama_cpp.llama_get_logits(self.handle)
        address = ctypes.cast(pointer, ctypes.c_void_p).value
        buffer: Any = (ctypes.c_float * (rows * self._vocab_size)).from_address(address or 0)
        flat: NDArray[np.float32] = np.frombuffer(buffer, np.float32)
        return flat.reshape(rows, self._vocab_size)

    def logits_of(self, index: int) -> NDArray[np.float32]:
        """Logits of the last batch's token number `index`, -1 for the last, shape (vocabulary,).

        A view, as those of `logits`.
        """
        pointer = llama_cpp.llama_get_logits_ith(self.handle, index)
        address = ctypes.cast(pointer, ctypes.c_void_p).value
        buffer: Any = (ctypes.c_float * self._vocab_size).from_address(address or 0)
        return np.frombuffer(buffer, np.float32)

    def truncate(self, sequence: int, length: int) -> bool:
        """Keep a sequence's first `length` tokens; False where llama.cpp cannot remove a part."""
        return bool(llama_cpp.llama_memory_seq_rm(self._memory, sequence, length, -1))

    def copy(self, source: int, target: int) -> None:
        """Copy a whole sequence to an empty id; a split cache knows no other copy."""
        llama_cpp.llama_memory_seq_cp(self._memory, source, target, -1, -1)

    def clear(self, sequence: int) -> None:
        """Forget a sequence; removing a whole one never fails."""
        llama_cpp.llama_memory_seq_rm(self._memory, sequence, -1, -1)

    def length(self, sequence: int) -> int:
        """Tokens that the KV cache holds for a sequence."""
        return int(llama_cpp.llama_memory_seq_pos_max(self._memory, sequence)) + 1
