"""The embedded model through the low-level API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import ModelError
from engine.llama.model import Model
from tests.conftest import MODEL


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    model = Model(MODEL)
    yield model
    model.close()


def test_the_prompt_of_the_model_card_has_its_tokens(model: Model) -> None:
    head = [model.bos, *model.tokenize("<2ja>", special=True)]
    tail = model.tokenize("<sep>", special=True)
    assert [*head, *model.tokenize("Hello.", special=False), *tail] == [1, 4, 446, 3852, 9772, 9]


def test_the_vocabulary_alone_makes_the_same_tokens(model: Model) -> None:
    text = "<s>Where is the station?</s> 日本語 🍣"
    alone = Model(MODEL, n_gpu_layers=0, vocab_only=True)
    for special in (False, True):
        assert alone.tokenize(text, special=special) == model.tokenize(text, special=special)
    assert (alone.bos, alone.bos_text, alone.eos_text) == (1, model.bos_text, model.eos_text)
    assert alone.metadata == model.metadata
    alone.close()


def test_text_never_becomes_a_control_token(model: Model) -> None:
    control = {token for token in range(model.vocab_size) if model.pieces[token] == b""}
    assert {1, 2, 4, 9} <= control
    spelled = model.tokenize("<s></s><2ja><sep>", special=True)
    assert set(spelled) & control
    assert not set(model.tokenize("<s></s><2ja><sep>", special=False)) & control


@pytest.mark.parametrize(
    "text", ["Hello.", "日本語 Ω", "🍣👩‍👩‍👧", "a\x00b", "\x01\r\n\t", "e\u0301"]
)
def test_the_bytes_of_a_text_come_back_from_its_tokens(model: Model, text: str) -> None:
    tokens = model.tokenize(text, special=False)
    joined = b"".join(model.pieces[token] for token in tokens)
    assert joined.decode() == f" {text}"  # the vocabulary puts a blank before every text


def test_eos_ends_a_generation(model: Model) -> None:
    assert model.end_tokens == {2}
    assert model.token_text(2) == "</s>"


def test_metadata_is_read(model: Model) -> None:
    assert model.metadata["general.architecture"] == "llama"
    assert model.chat_template is None
    assert model.train_context == 512
    assert model.parameters == 11_462_720


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot be read"),
        (b"", "not a GGUF"),
        (b"PK\x03\x04 some zip", "not a GGUF"),
        (b"GGUF\x03\x00\x00\x00" + b"\xff" * 64, "cannot be loaded"),
        (b"GGUF", "cannot be loaded"),
    ],
)
def test_a_file_that_is_no_model_is_refused_with_a_sentence(
    tmp_path: Path, content: bytes | None, sentence: str
) -> None:
    file = tmp_path / "broken.gguf"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ModelError, match=sentence):
        Model(file)


def test_a_truncated_model_is_refused_with_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "short.gguf"
    file.write_bytes(MODEL.read_bytes()[:5_000_000])
    with pytest.raises(ModelError, match="cannot be loaded"):
        Model(file)
