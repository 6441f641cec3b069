"""From a name to an engine that can answer: find, download, check and make ready."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from engine.errors import ModelError, UnknownModel
from engine.interface import Engine
from engine.models.catalogue import Catalogue, ModelEntry
from engine.models.download import Report
from engine.models.downloads import Downloads
from engine.settings import Engine as EngineSettings

logger = logging.getLogger("babelbrook.models")

_BESIDE_WEIGHTS = 1.25  # memory of a loaded model by its file: cache, buffers, repacked weights


class Loader:
    """Makes engines of the entries of a catalogue."""

    def __init__(
        self, catalogue: Catalogue, settings: EngineSettings, hosts: Sequence[str] = ()
    ) -> None:
        """`hosts` are those from which files may come."""
        self._catalogue, self._settings = catalogue, settings
        self._downloads = Downloads(hosts)

    def find(self, name: str) -> ModelEntry:
        """The entry of that name. Raises UnknownModel."""
        entry = self._catalogue.named(name)
        if entry is None:
            known = ", ".join(entry.name for entry in self._catalogue)
            raise UnknownModel(f"There is no model '{name[:100]}'. Known are {known}.")
        return entry

    async def download(self, entry: ModelEntry, report: Report) -> None:
        """Bring the file, where it is not there. Raises DownloadError and ModelError."""
        if not entry.downloaded:
            await self._downloads.get(entry.require_source(), entry.file, report)

    async def make(self, entry: ModelEntry) -> Engine:
        """An engine that has not been started. Raises ModelError.

        A build or a model that has never decoded here does so in a child process first.
        """
        await self.check_what_is_new(entry)
        # Imported after the check: a library for another CPU may crash as soon as it is loaded.
        from engine.llama.engine import LocalEngine

        return LocalEngine(entry, self._settings)

    async def check_what_is_new(self, entry: ModelEntry) -> None:
        """Let llama.cpp decode in a child process, if it never did so here. Raises ModelError."""
        from engine.llama import check

        if not self._settings.self_check or check.was_checked(entry.file):
            return
        logger.info("Checking this build of llama.cpp with %s, once.", entry.name)
        result = await check.run(entry, self._settings)
        if not result.ok:
            raise ModelError("\n".join(result.lines))
        check.remember(entry.file)

    def fits_beside(self, entry: ModelEntry, loaded: Iterable[ModelEntry]) -> bool:
        """Whether there is memory for one more model beside those that are loaded.

        Their weights are mapped files, which the system counts as free. What a GPU has left is not
        known here, so with one the answer is no.
        """
        import llama_cpp

        from engine.llama import machine

        if self._settings.n_gpu_layers != 0 and llama_cpp.llama_supports_gpu_offload():
            return False
        taken = sum(each.size or 0 for each in loaded)
        return (entry.size or 0) * _BESIDE_WEIGHTS <= machine.free_memory() - taken
