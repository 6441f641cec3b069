"""One `llama_batch` in NumPy arrays, filled by slices.

A ctypes assignment per token costs about a microsecond and a half for each of its five fields; here
a step's tokens are gathered in Python lists and copied with one assignment for each array.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any, cast

import llama_cpp
import numpy as np
from numpy.typing import NDArray


class Batch:
    """Room for `capacity` tokens, each belonging to one sequence.

    llama.cpp splits a batch over a split cache into one graph per run of ascending neighbouring
    sequence ids, so callers add sequences in ascending order.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._tokens: list[int] = []
        self._positions: list[int] = []
        self._sequences: list[int] = []
        self._outputs: list[int] = []
        self._token_array = np.zeros(capacity, np.int32)
        self._position_array = np.zeros(capacity, np.int32)
        self._sequence_array = np.zeros(capacity, np.int32)
        self._output_array = np.zeros(capacity, np.int8)
        self._counts = np.ones(capacity, np.int32)  # each token is in one sequence
        # seq_id is an array of pointers, one for each token, into the array of ids.
        base, step = self._sequence_array.ctypes.data, self._sequence_array.itemsize
        self._pointers = (base + step * np.arange(capacity)).astype(np.uintp)
        self.native = self._make_native()

    def _make_native(self) -> llama_cpp.llama_batch:
        native = llama_cpp.llama_batch()
        arrays: dict[str, NDArray[Any]] = {
            "token": self._token_array,
            "pos": self._position_array,
            "n_seq_id": self._counts,
            "seq_id": self._pointers,
            "logits": self._output_array,
        }
        for field in llama_cpp.llama_batch._fields_:
            name, kind = field[0], cast(Any, field[1])
            if name in arrays:
                setattr(native, name, ctypes.cast(arrays[name].ctypes.data, kind))
        return native

    def __len__(self) -> int:
        return len(self._tokens)

    @property
    def room(self) -> int:
        """How many more tokens fit."""
        return self.capacity - len(self._tokens)

    def clear(self) -> None:
        """Empty the batch for the next step."""
        self._tokens.clear()
        self._positions.clear()
        self._sequences.clear()
        self._outputs.clear()

    def add_token(self, token: int, position: int, sequence: int) -> None:
        """Add one token whose logits are wanted."""
        self._tokens.append(token)
        self._positions.append(position)
        self._sequences.append(sequence)
        self._outputs.append(1)

    def add_chunk(self, tokens: Sequence[int], start: int, sequence: int, *, output: bool) -> None:
        """Add part of a prompt from position `start`; `output` asks for logits after its last."""
        count = len(tokens)
        self._tokens.extend(tokens)
        self._positions.extend(range(start, start + count))
        self._sequences.extend([sequence] * count)
        self._outputs.extend([0] * (count - 1))
        self._outputs.append(1 if output else 0)

    def seal(self) -> llama_cpp.llama_batch:
        """Copy what was added into the native arrays and return the native batch."""
        count = len(self._tokens)
        self._token_array[:count] = self._tokens
        self._position_array[:count] = self._positions
        self._sequence_array[:count] = self._sequences
        self._output_array[:count] = self._outputs
        self.native.n_tokens = count
        return self.native
