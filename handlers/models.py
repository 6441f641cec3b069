"""`GET /models`: which models there are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine.interface import Engine
from engine.models import sizes
from engine.models.catalogue import Catalogue, ModelEntry
from handlers.base import GetHandler


class ModelsHandler(GetHandler):
    """The catalogue, exactly one entry of it selected."""

    def initialize(self, engine: Engine, catalogue: Catalogue) -> None:
        self.engine, self.catalogue = engine, catalogue

    def get(self) -> None:
        selected = self.engine.entry
        self.write_json(
            {
                "models": [
                    _model(entry, selected=entry.name == selected.name)
                    for entry in self._with(selected)
                ]
            }
        )

    def _with(self, selected: ModelEntry) -> Iterator[ModelEntry]:
        """The catalogue, and the selected model where it is a file that lies elsewhere."""
        there = False
        for entry in self.catalogue:
            there = there or entry.name == selected.name
            yield entry
        if not there:
            yield selected


def _model(entry: ModelEntry, *, selected: bool) -> dict[str, Any]:
    size = entry.size
    return {
        "name": entry.name,
        "params": sizes.parameters(entry.parameters),
        "size": sizes.size(size),
        "downloaded": entry.downloaded,
        "selected": selected,
        "parameters": entry.parameters,
        "size_bytes": size,
        "licence": entry.licence,
        "commercial_use": entry.commercial_use,
        "source_langs": entry.source_langs,
        "target_langs": entry.target_langs,
        "repository": entry.source.repository if entry.source else None,
    }
