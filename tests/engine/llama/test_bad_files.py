"""Files that are no usable model: each is refused with a sentence, by a child process."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import pytest

from engine.llama import check
from engine.models.catalogue import ModelEntry
from engine.settings import Engine as EngineSettings
from tests.conftest import MODEL

DATA = MODEL.read_bytes()


def checked(content: bytes | Path, tmp_path: Path) -> check.CheckResult:
    """What the check of a file says."""
    file = tmp_path / "bad.gguf"
    if isinstance(content, bytes):
        file.write_bytes(content)
    entry = ModelEntry(name="bad", file=file)
    return asyncio.run(check.run(entry, EngineSettings(threads=1, sequences=1)))


def rewritten(
    path: Path,
    architecture: str = "llama",
    keep: Callable[[str], bool] = lambda key: True,
    tensors_each: int = 0,
    **more: Any,
) -> Path:
    """The embedded model with other metadata, written by the gguf package.

    With `tensors_each` in parts of so many, the first of which bears the metadata alone.
    """
    reader = gguf.GGUFReader(str(MODEL))
    writer = gguf.GGUFWriter(
        str(path),
        architecture,
        split_max_tensors=tensors_each,
        small_first_shard=bool(tensors_each),
    )
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture" or not keep(name):
            continue
        kind = field.types[0]
        inner = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(name, field.contents(), kind, sub_type=inner)
    for name, text in more.items():
        writer.add_string(name.replace("__", "."), text)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is not a GGUF model"),
        (b"PK\x03\x04" + bytes(1000), "is not a GGUF model"),
        (DATA[:300], "cannot be loaded"),
        (DATA[:5_000_000], "model is corrupted or incomplete"),
        (DATA[:24] + b"\xff" * 200 + DATA[224:], "cannot be loaded"),
    ],
    ids=["empty", "a zip", "its beginning", "its half", "a damaged head"],
)
def test_what_is_no_whole_model_is_refused(content: bytes, sentence: str, tmp_path: Path) -> None:
    result = checked(content, tmp_path)
    assert not result.ok
    assert sentence in result.lines[0]


def test_an_unknown_architecture_is_named(tmp_path: Path) -> None:
    result = checked(rewritten(tmp_path / "bad.gguf", "notanarch"), tmp_path)
    assert not result.ok
    assert "unknown model architecture: 'notanarch'" in result.lines[0]


@pytest.mark.parametrize("named", [False, True])
def test_a_model_without_vocabulary_is_refused(named: bool, tmp_path: Path) -> None:
    more = {"tokenizer__ggml__model": "no_vocab"} if named else {}
    file = rewritten(
        tmp_path / "bad.gguf", keep=lambda key: not key.startswith("tokenizer."), **more
    )
    result = checked(file, tmp_path)
    assert not result.ok
    assert "vocabulary" in result.lines[0]


def test_a_model_larger_than_memory_is_refused_before_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "bad.gguf"
    file.write_bytes(DATA)
    with file.open("r+b") as large:
        large.truncate(1 << 40)  # a hole: takes no disk
    result = checked(file, tmp_path)
    assert not result.ok
    assert "needs 1,048,576 MiB of memory for its weights" in result.lines[0]


@pytest.mark.slow
def test_random_damage_is_never_more_than_a_sentence(tmp_path: Path) -> None:
    damage = random.Random(7)
    for _ in range(12):
        data = bytearray(DATA)
        start = damage.randrange(8, 2_000)
        data[start : start + 64] = damage.randbytes(64)
        result = checked(bytes(data), tmp_path)
        assert result.lines
        assert result.ok or len("".join(result.lines)) > 20
