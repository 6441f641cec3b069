"""Models in several files: downloaded, listed, loaded, verified and removed as one."""

from __future__ import annotations

import asyncio
import doctest
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from engine.errors import ModelError
from engine.models import split
from engine.models.catalogue import Catalogue, ModelEntry, Source
from engine.models.download import Cancelled, DownloadError, fetch
from engine.models.loading import Loader
from engine.settings import Engine as EngineSettings
from tests.engine.llama.conftest import job, text_of
from tests.engine.llama.test_bad_files import rewritten
from tests.engine.models.hub import STORE_HOSTS, Hub
from tests.engine.models.test_command import Command
from tests.engine.models.test_pool import EN_DE

SOURCE = Source(repository="someone/models", file="q4/large-00001-of-00003.gguf")
PARTS = [os.urandom(size) for size in (1_000, 300_000, 200_000)]
TOTAL = sum(map(len, PARTS))


@pytest.fixture
def target(hub: Hub, tmp_path: Path) -> Path:
    """Where the first of three parts that the hub offers is to lie."""
    for name, content in zip(SOURCE.files, PARTS, strict=True):
        hub.add(SOURCE.repository, name, content)
    return tmp_path / "large-00001-of-00003.gguf"


def get(target: Path) -> list[tuple[int, int]]:
    """Download; returns the reports."""
    reports: list[tuple[int, int]] = []
    fetch(SOURCE, target, lambda *report: reports.append(report), threading.Event(), STORE_HOSTS)
    return reports


def test_the_examples_in_its_documentation_hold() -> None:
    assert doctest.testmod(split).failed == 0


def test_all_parts_come_with_one_progress(hub: Hub, target: Path) -> None:
    reports = get(target)
    assert [file.read_bytes() for file in split.paths(target)] == PARTS
    assert sorted(target.parent.glob("*.gguf")) == split.paths(target)
    assert not list(target.parent.glob("*.part"))
    assert reports == sorted(reports)
    assert reports[-1] == (TOTAL, TOTAL)
    assert {total for _, total in reports} == {TOTAL}


def test_parts_that_are_there_are_not_fetched_again(hub: Hub, target: Path) -> None:
    hub.stalls = [None, 100_000]
    stop = threading.Event()
    with pytest.raises(Cancelled):
        fetch(
            SOURCE, target, lambda done, _: stop.set() if done > 50_000 else None, stop, STORE_HOSTS
        )
    hub.go_on.set()
    assert [file.exists() for file in split.paths(target)] == [True, False, False]
    asked = len(hub.asked("store GET"))
    get(target)
    assert [file.read_bytes() for file in split.paths(target)] == PARTS
    ranges = [headers.get("range") for headers in hub.asked("store GET")[asked:]]
    assert len(ranges) == 2
    assert ranges[0] is not None


def test_a_part_that_the_hub_lacks_is_named_before_anything_is_fetched(
    hub: Hub, target: Path
) -> None:
    del hub.files[f"{SOURCE.repository}/{SOURCE.files[2]}"]
    with pytest.raises(DownloadError, match=r"no file q4/large-00003-of-00003\.gguf"):
        get(target)
    assert hub.asked("store GET") == []


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"file": "a-00002-of-00003.gguf"}, "name the first one, a-00001-of-00003.gguf"),
        ({"file": "a-00001-of-00003.gguf", "size": 7}, "pin its revision"),
    ],
)
def test_a_source_names_the_first_part_and_no_hash(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        Source(repository="a/b", **fields)


def test_a_model_in_the_folder_is_offered_once_and_when_it_is_whole(target: Path) -> None:
    files = split.paths(target)
    for file in files[:2]:
        file.write_bytes(b"GGUF")
    catalogue = Catalogue(target.parent)
    assert catalogue.named("large") is None
    files[2].write_bytes(b"GGUF")
    [entry] = [each for each in catalogue if each.name.startswith("large")]
    assert (entry.name, entry.file, entry.size) == ("large", files[0], 12)
    assert catalogue.find(str(files[0])) == entry
    with pytest.raises(ModelError, match="is a part of a model; its first file is large-00001"):
        catalogue.find(str(files[1]))


def test_the_command_downloads_and_removes_all_parts(hub: Hub, target: Path) -> None:
    command = Command(hub, target.parent)
    source = {"repository": SOURCE.repository, "file": SOURCE.file}
    command.flags[-1] = json.dumps([{"name": "large", "source": source}])
    assert command.run("download", "large")[0] == 0
    assert "501 kB" in next(s for s in command.run("list")[1].splitlines() if "large" in s)
    assert command.run("verify", "large")[:2] == (0, "large: sound\n")
    second = split.paths(target)[1]
    second.write_bytes(PARTS[1][:-1] + bytes([PARTS[1][-1] ^ 1]))
    status, out, _ = command.run("verify", "large")
    assert status == 1
    assert out.startswith(f"large: damaged: the sha256 of {second.name} is ")
    part = target.with_name("large-00002-of-00003.gguf.0123.part")
    part.touch()
    _, out, _ = command.run("remove", "large")
    assert out.count("Removed ") == 7
    assert list(target.parent.iterdir()) == []


def test_a_model_in_parts_is_loaded_and_answers(tmp_path: Path) -> None:
    rewritten(tmp_path / "mine.gguf", tensors_each=30)
    count = len(list(tmp_path.iterdir()))
    assert count >= 3
    entry = ModelEntry(name="mine", file=tmp_path / f"mine-00001-of-{count:05}.gguf", **EN_DE)

    async def test() -> str:
        loader = Loader(Catalogue(tmp_path), EngineSettings(sequences=1, threads=1), STORE_HOSTS)
        engine = await loader.make(entry)
        await engine.start()
        try:
            return await text_of(engine.submit(job("Hello.")))
        finally:
            engine.stop()
            while not engine.stopped:
                await asyncio.sleep(0.005)

    assert asyncio.run(test()) == " Hallo."
    entry.files[-1].unlink()
    with pytest.raises(ModelError, match=f"mine-{count:05}-of-{count:05}.gguf cannot be read"):
        asyncio.run(test())
