"""Which files of a folder are offered as models."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest

from engine.models.catalogue import Catalogue
from engine.models.gguf import is_model
from tests.bench.test_shapes import write_vocabulary
from tests.conftest import MODEL
from tests.engine.llama.test_bad_files import rewritten


def write(path: Path, architecture: str, **texts: str) -> Path:
    """A file of one tensor, with arrays before what its type is."""
    writer = gguf.GGUFWriter(str(path), architecture)
    writer.add_array("general.tags", ["image", "text"])
    writer.add_array("general.numbers", [1, 2, 3])
    writer.add_uint32("general.file_type", 7)
    for name, text in texts.items():
        writer.add_string(f"general.{name}", text)
    writer.add_tensor("one", np.zeros(4, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize(
    ("architecture", "texts"),
    [
        ("clip", {"type": "mmproj"}),
        ("clip", {}),  # as older projectors are
        ("llama", {"type": "adapter"}),
        ("llama", {"type": "imatrix"}),
    ],
)
def test_what_is_no_language_model_is_not_offered(
    tmp_path: Path, architecture: str, texts: dict[str, str]
) -> None:
    file = write(tmp_path / "mmproj-F16.gguf", architecture, **texts)
    assert not is_model(file)
    assert Catalogue(tmp_path).named(file.stem) is None


def test_a_bare_vocabulary_is_not_offered(tmp_path: Path) -> None:
    write_vocabulary(tmp_path / "vocab.gguf")
    assert not is_model(tmp_path / "vocab.gguf")


@pytest.mark.parametrize("texts", [{}, {"type": "model"}])
def test_models_are_offered(tmp_path: Path, texts: dict[str, str]) -> None:
    assert is_model(MODEL)
    assert is_model(write(tmp_path / "some.gguf", "llama", **texts))


@pytest.mark.parametrize("length", [0, 3, 20, 30, 100, 1000])
def test_what_cannot_be_read_is_offered_for_loading_tells_why(tmp_path: Path, length: int) -> None:
    file = tmp_path / "cut.gguf"
    file.write_bytes(MODEL.read_bytes()[:length])
    assert is_model(file)


def test_a_file_that_changes_is_looked_at_again(tmp_path: Path) -> None:
    file = write(tmp_path / "one.gguf", "clip")
    assert not is_model(file)
    rewritten(file)
    assert is_model(file)
