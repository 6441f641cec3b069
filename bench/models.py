"""Which models are measured, with which loads and for how long."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench import servers, shapes
from bench.loads import HALF, MIXED, PLAIN, STAGGERED, STEADY, Load, Prompting, plain


@dataclass(frozen=True)
class Model:
    """A model and what is asked of it: `tokens` output tokens a request, on average."""

    name: str
    loads: tuple[Load, ...]
    tokens: int
    prompting: Prompting = PLAIN
    shape: shapes.Shape | None = None
    kind: str = ""

    def file(self, folder: Path, vocabulary: Callable[[], Path]) -> Path:
        """The model file, made where it has to be."""
        if self.shape is None:
            return servers.ROOT / "models" / "tatoeba-mini-q8_0.gguf"
        path = folder / shapes.file_name(self.shape, self.kind)
        return path if path.exists() else shapes.ensure(self.shape, self.kind, folder, vocabulary())


_EMBEDDED = Prompting("<2{target_lang}>{text}<sep>")
_USUAL = (plain(1), plain(8), plain(16), plain(32), STAGGERED, HALF)
MODELS = {
    model.name: model
    for model in (
        Model("embedded", _USUAL, 24, _EMBEDDED),
        Model("0.5B-q4_0", (*_USUAL, STEADY, MIXED), 48, shape=shapes.HALF, kind="Q4_0"),
        Model("0.5B-q8_0", _USUAL, 48, shape=shapes.HALF, kind="Q8_0"),
        Model("1.5B-q4_0", (plain(1), plain(16)), 32, shape=shapes.LARGE, kind="Q4_0"),
    )
}
QUICK = {
    "embedded": (plain(1), plain(16)),
    "0.5B-q4_0": (plain(1), plain(8), plain(16)),
}
"""What a quick run measures."""


@dataclass(frozen=True)
class Plan:
    """How much is measured. A cell lasts about `cell_seconds`, `minutes` bound the whole run."""

    quick: bool
    rounds: int
    cell_seconds: float
    minutes: float


FULL_PLAN = Plan(quick=False, rounds=5, cell_seconds=6.0, minutes=55.0)
QUICK_PLAN = Plan(quick=True, rounds=3, cell_seconds=2.5, minutes=4.7)
