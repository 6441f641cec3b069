"""Splitting a file and joining it."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.parts import PartsError, join, split


@pytest.fixture
def parts(tmp_path: Path) -> list[Path]:
    """Three parts of a file of 25 bytes."""
    whole = tmp_path / "model.gguf"
    whole.write_bytes(bytes(range(25)))
    return split(whole, tmp_path / "parts", size=10)


def test_parts_make_the_file_again_in_any_order(parts: list[Path], tmp_path: Path) -> None:
    assert [part.stat().st_size for part in parts] == [10, 10, 5]
    joined = join(parts[::-1], tmp_path / "parts")
    assert joined.name == "model.gguf"
    assert joined.read_bytes() == bytes(range(25))


def test_a_missing_part_is_named(parts: list[Path], tmp_path: Path) -> None:
    with pytest.raises(PartsError, match=r"parts \[1, 3\] of 3"):
        join([parts[0], parts[2]], tmp_path)


def test_a_damaged_part_is_found(parts: list[Path], tmp_path: Path) -> None:
    parts[1].write_bytes(bytes(10))
    with pytest.raises(PartsError, match="damaged"):
        join(parts, tmp_path)


def test_another_file_is_refused(parts: list[Path], tmp_path: Path) -> None:
    with pytest.raises(PartsError, match="not the name of a part"):
        join([*parts, tmp_path / "model.gguf"], tmp_path)
    with pytest.raises(PartsError, match="no parts"):
        join([], tmp_path)
