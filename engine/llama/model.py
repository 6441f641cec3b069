"""A GGUF model: its vocabulary, its metadata and the table of its tokens' bytes."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import llama_cpp

from engine.errors import ModelError
from engine.llama import library, machine
from engine.models import split
from engine.settings import Engine as EngineSettings

_GGUF_MAGIC = b"GGUF"
_MARK = re.compile(r"<[|｜].+[|｜]>|\[/?[A-Z_]+\]|<</?[A-Z]+>>|<(?:start|end)_of_\w+>|</?s>")
_SPLIT_MODES = {
    "none": llama_cpp.LLAMA_SPLIT_MODE_NONE,
    "layer": llama_cpp.LLAMA_SPLIT_MODE_LAYER,
    "row": llama_cpp.LLAMA_SPLIT_MODE_ROW,
}


def open_model(path: Path, settings: EngineSettings) -> Model:
    """Load a model file as the settings say. Raises ModelError, also where memory is short."""
    if settings.n_gpu_layers == 0 or not llama_cpp.llama_supports_gpu_offload():
        _check_memory(path)
    return Model(
        path,
        n_gpu_layers=settings.n_gpu_layers,
        main_gpu=settings.main_gpu,
        split_mode=settings.split_mode,
    )


class Model:
    """A loaded model file.

    Raises ModelError where the file is missing, is no GGUF or is refused by llama.cpp.
    """

    def __init__(
        self,
        path: Path,
        *,
        n_gpu_layers: int = -1,
        main_gpu: int = 0,
        split_mode: str = "layer",
        vocab_only: bool = False,
    ) -> None:
        """With `vocab_only` it has no weights: it makes tokens of texts, and takes no memory."""
        library.load()
        _check_files(path)
        params = llama_cpp.llama_model_default_params()
        params.n_gpu_layers, params.main_gpu = n_gpu_layers, main_gpu
        params.split_mode = _SPLIT_MODES[split_mode]
        params.vocab_only = vocab_only
        self.path = path
        # On a GPU small chunks cost much, and nobody promises equal bits.
        self.on_gpu = bool(llama_cpp.llama_supports_gpu_offload()) and n_gpu_layers != 0
        self.handle = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
        if not self.handle:
            reason = library.take_last_error() or "llama.cpp refused it"
            raise ModelError(f"The model file {path} cannot be loaded: {reason}")
        self.vocab = llama_cpp.llama_model_get_vocab(self.handle)
        self.vocab_size = int(llama_cpp.llama_vocab_n_tokens(self.vocab))
        kind = llama_cpp.llama_vocab_type(self.vocab)
        if self.vocab_size == 0 or kind == llama_cpp.LLAMA_VOCAB_TYPE_NONE:
            self.close()
            raise ModelError(f"The model file {path} has no vocabulary.")
        # Now: with 150,000 tokens it takes a sixth of a second, which the event loop has not.
        self._user_defined = self._find_user_defined()
        # Those that look as if they marked turns; templates teach others.
        self._marks = {t: text for t, text in self._user_defined.items() if _MARK.fullmatch(text)}

    def close(self) -> None:
        """Free the model; its contexts must be closed before."""
        if self.handle:
            llama_cpp.llama_model_free(self.handle)
            self.handle = None

    @property
    def train_context(self) -> int:
        """The longest sequence the model was trained on, in tokens."""
        return int(llama_cpp.llama_model_n_ctx_train(self.handle))

    @property
    def parameters(self) -> int:
        """How many weights the model has."""
        return int(llama_cpp.llama_model_n_params(self.handle))

    @property
    def size(self) -> int:
        """Bytes of all tensors."""
        return int(llama_cpp.llama_model_size(self.handle))

    @cached_property
    def takes_back(self) -> bool:
        """Whether the last tokens of a sequence can be removed from the cache as if never fed.

        So with attention alone; a recurrent state holds all that it has seen.
        """
        recurrent = llama_cpp.llama_model_is_recurrent(self.handle)
        return not (recurrent or llama_cpp.llama_model_is_hybrid(self.handle))

    @cached_property
    def metadata(self) -> dict[str, str]:
        """The GGUF's scalar metadata, every value as text (arrays are left out by llama.cpp)."""
        count = llama_cpp.llama_model_meta_count(self.handle)
        key, value = (
            llama_cpp.llama_model_meta_key_by_index,
            llama_cpp.llama_model_meta_val_str_by_index,
        )
        return {self._meta(key, i): self._meta(value, i) for i in range(count)}

    def _meta(self, function: Callable[..., int], index: int) -> str:
        size = 256
        while True:
            buffer = ctypes.create_string_buffer(size)
            needed = function(self.handle, index, buffer, size)
            if needed < size:
                return buffer.value.decode("utf-8", "replace")
            size = needed + 1

    @cached_property
    def chat_template(self) -> str | None:
        """The Jinja source of the file's own chat template, if it has one."""
        return self.metadata.get("tokenizer.chat_template")

    @cached_property
    def end_tokens(self) -> frozenset[int]:
        """Tokens that end a generation (EOS, EOT and their like)."""
        is_end = llama_cpp.llama_vocab_is_eog
        return frozenset(t for t in range(self.vocab_size) if is_end(self.vocab, t))

    @cached_property
    def pieces(self) -> list[bytes]:
        """The bytes of every token, by id; control tokens have none."""
        return [self._piece(token) for token in range(self.vocab_size)]

    def _piece(self, token: int) -> bytes:
        size = 64
        while True:
            buffer = ctypes.create_string_buffer(size)
            n = llama_cpp.llama_token_to_piece(self.vocab, token, buffer, size, 0, False)
            if n >= 0:
                return buffer.raw[:n]
            size = -n

    def token_text(self, token: int) -> str:
        """A token as the vocabulary spells it, control tokens too ("</s>"); "" for none (-1)."""
        if token < 0:
            return ""
        return bytes(llama_cpp.llama_vocab_get_text(self.vocab, token)).decode("utf-8", "replace")

    @cached_property
    def bos(self) -> int | None:
        """The token that opens a sequence, None where the model wants none."""
        token = int(llama_cpp.llama_vocab_bos(self.vocab))
        return token if token >= 0 and llama_cpp.llama_vocab_get_add_bos(self.vocab) else None

    @property
    def bos_text(self) -> str:
        """The spelling of the BOS token, for chat templates."""
        return self.token_text(int(llama_cpp.llama_vocab_bos(self.vocab)))

    @property
    def eos_text(self) -> str:
        """The spelling of the EOS token, for chat templates."""
        return self.token_text(int(llama_cpp.llama_vocab_eos(self.vocab)))

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """Tokens of `text`, without BOS.

        With `special` the spelling of a control token becomes that token: for templates only, never
        for a user's text.

        In that, llama.cpp still sees tokens which the file calls user-defined rather than control
        tokens. Where they mark turns, what spells them is cut apart, so that it stays text.
        """
        tokens = self._tokens(text, special)
        if special:
            self._learn_marks(tokens)
        elif not self._marks.keys().isdisjoint(tokens):
            spellings = (map(re.escape, (mark[0], mark[1:])) for mark in self._marks.values())
            inside = "|".join(f"(?<={first})(?={rest})" for first, rest in spellings)
            tokens = [t for piece in re.split(inside, text) for t in self._tokens(piece, False)]
        return tokens

    def _find_user_defined(self) -> dict[int, str]:
        """The spellings of the tokens that files define beside words and control tokens."""
        wanted, attributes = llama_cpp.LLAMA_TOKEN_ATTR_USER_DEFINED, llama_cpp.llama_vocab_get_attr
        found = (t for t in range(self.vocab_size) if attributes(self.vocab, t) & wanted)
        return {token: self.token_text(token) for token in found}

    def _learn_marks(self, tokens: list[int]) -> None:
        for token in self._user_defined.keys() & tokens:
            text = self._user_defined[token]
            if len(text.strip()) > 1:  # no blank line, which may be a token, too
                self._marks[token] = text

    def _tokens(self, text: str, special: bool) -> list[int]:
        data = text.encode()
        # A power of two: ctypes makes a type for each size, and a new one costs more than the call.
        size = 1 << (len(data) + 8).bit_length()
        while True:
            buffer: Any = (llama_cpp.llama_token * size)()
            n = llama_cpp.llama_tokenize(self.vocab, data, len(data), buffer, size, False, special)
            if n >= 0:
                return list(buffer[:n])
            size = -n


def _check_memory(path: Path) -> None:
    """Weights that do not fit are read from disk again for every token: refuse them."""
    _check_files(path)
    size = sum(part.stat().st_size for part in split.paths(path))
    free = machine.free_memory()
    if size > free:
        raise ModelError(
            f"The model file {path} needs {size / 2**20:,.0f} MiB of memory for its weights, but"
            f" {free / 2**20:,.0f} MiB are free. Take a smaller model, or a smaller quantisation."
        )


def _check_files(path: Path) -> None:
    for part in split.paths(path):
        _check_file(part)


def _check_file(path: Path) -> None:
    """Refuse what cannot be a model before llama.cpp sees it, in a plainer sentence."""
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise ModelError(f"The model file {path} cannot be read: {error.strerror}.") from None
    if magic != _GGUF_MAGIC:
        raise ModelError(f"The file {path} is not a GGUF model (its first bytes are {magic!r}).")
