"""The llama.cpp library itself: loaded once, its log lines passed to `logging`."""

from __future__ import annotations

import ctypes
import logging
from functools import cache
from typing import Any

import llama_cpp

logger = logging.getLogger("babelbrook.llama")

# ggml_log_level -> logging level. llama.cpp's "info" tells every tensor: that is our debug.
_LEVELS = {1: logging.DEBUG, 2: logging.DEBUG, 3: logging.WARNING, 4: logging.ERROR}
_CONTINUES = 5
_CONTINUE_LEVEL = logging.DEBUG
_last_error: list[str] = []


def _on_log(level: int, text: bytes | None, _user_data: Any) -> None:
    line = (text or b"").decode("utf-8", "replace").rstrip()
    if not line or level == _CONTINUES:
        return
    if level == 4:
        _last_error[:] = [*_last_error[-3:], line]
    logger.log(_LEVELS.get(level, logging.DEBUG), "%s", line)


# ctypes keeps no reference to a callback that C holds: this name keeps it alive.
_log_callback = llama_cpp.llama_log_callback(_on_log)


@cache
def load() -> None:
    """Route the library's log lines to `logging` and initialise its backends, once a process."""
    llama_cpp.llama_log_set(_log_callback, ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()


def take_last_error() -> str:
    """The library's latest error lines, joined; they say why a load failed. Clears them."""
    lines = " ".join(_last_error)
    _last_error.clear()
    return lines


def version() -> str:
    """The version of the Python package, which pins that of llama.cpp."""
    return str(llama_cpp.__version__)


def cpu_features() -> list[str]:
    """The CPU features that the build uses, as the library names them ("AVX512", "AMX_INT8")."""
    info = llama_cpp.llama_print_system_info().decode("ascii", "replace")
    parts = [part.split(":")[-1].strip() for part in info.split("|")]
    return [name.removesuffix(" = 1") for name in parts if name.endswith(" = 1")]
