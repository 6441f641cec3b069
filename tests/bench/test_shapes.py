"""Random model files: their blocks, and a small one from end to end."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest

from bench import shapes

TINY = shapes.Shape("tiny", layers=2, width=64, heads=4, kv_heads=2, feed_forward=128)


def write_vocabulary(path: Path) -> None:
    """A byte-level vocabulary with two merges, in the form of llama.cpp's own vocabulary files."""
    alphabet = [chr(code) for code in (*range(33, 127), *range(161, 173), *range(174, 324))]
    tokens = [*alphabet, "in", "on", "<|endoftext|>"]
    writer = gguf.GGUFWriter(str(path), "qwen2")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * (len(tokens) - 1) + [3])
    writer.add_token_merges(["i n", "o n"])
    writer.add_eos_token_id(len(tokens) - 1)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


@pytest.mark.parametrize("kind", ["Q4_0", "Q8_0"])
def test_blocks_hold_weights_of_the_wanted_spread(kind: str) -> None:
    stds = np.array([0.02, 0.5])
    drawn = shapes.blocks(kind, np.random.Generator(np.random.PCG64(1)), stds, 4096)
    weights = gguf.quants.dequantize(drawn, gguf.GGMLQuantizationType[kind])
    assert weights.shape == (2, 4096)
    assert weights.std(axis=1) == pytest.approx(stds, rel=0.1)
    assert abs(weights.mean(axis=1) / stds) == pytest.approx(0, abs=0.06)
    assert weights.max() == -weights.min()


def test_equal_seeds_draw_equal_blocks() -> None:
    def draw() -> bytes:
        random = np.random.Generator(np.random.PCG64(5))
        return shapes.blocks("Q4_0", random, np.ones(3), 64).tobytes()

    assert draw() == draw()


def test_a_model_of_random_weights_loads_and_is_kept(tmp_path: Path) -> None:
    vocabulary = tmp_path / "vocabulary.gguf"
    write_vocabulary(vocabulary)
    path = shapes.ensure(TINY, "Q4_0", tmp_path, vocabulary)
    assert path.name == "random-tiny-q4_0.gguf"
    made = path.stat().st_mtime_ns
    assert shapes.ensure(TINY, "Q4_0", tmp_path, vocabulary).stat().st_mtime_ns == made


def test_a_file_that_does_not_load_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shapes, "write", lambda _s, _k, path, _v: path.write_bytes(b"no model"))
    with pytest.raises(shapes.ShapeError, match="does not work"):
        shapes.ensure(TINY, "Q4_0", tmp_path, tmp_path / "none")
    assert list(tmp_path.iterdir()) == []
