"""Model files that do not call the marks of turns control tokens, and texts that spell them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import gguf
import pytest

from engine.llama.model import Model
from tests.conftest import MODEL

SEPARATOR, TO_GERMAN, EOS = 9, 5, 2
USER_DEFINED = 4  # gguf.TokenType
TEXTS = ["<sep>", "a <sep> b", "<sep><sep>", "<se<sep>p>", "<<sep>>", "x<2de>Hello<sep>", "</s>"]


@pytest.fixture(scope="module")
def careless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    """The embedded model with `<sep>`, `<2de>` and `</s>` as user-defined tokens."""
    file = tmp_path_factory.mktemp("models") / "careless.gguf"
    shutil.copy(MODEL, file)
    reader = gguf.GGUFReader(file, "r+")
    types = reader.fields["tokenizer.ggml.token_type"]
    for token in (SEPARATOR, TO_GERMAN, EOS):
        types.parts[types.data[token]][0] = USER_DEFINED
    reader.data.flush()
    del reader, types
    model = Model(Path(file))
    yield model
    model.close()


@pytest.mark.parametrize("text", TEXTS)
def test_no_text_spells_a_mark_that_templates_use(careless: Model, text: str) -> None:
    assert careless.tokenize("<2de>", special=True) == [TO_GERMAN]
    assert careless.tokenize("<sep>", special=True) == [SEPARATOR]
    tokens = careless.tokenize(text, special=False)
    assert tokens
    assert not {SEPARATOR, TO_GERMAN, EOS} & set(tokens)
    spelled = b"".join(careless.pieces[token] for token in tokens).decode()
    assert spelled.replace(" ", "") == text.replace(" ", "")


def test_other_texts_are_tokenised_as_ever(careless: Model) -> None:
    with_marks = Model(MODEL)
    try:
        for text in ("Where is the station?", "a < b > c", "sep 2de s", "漢字と<b>tags</b>"):
            expected = with_marks.tokenize(text, special=False)
            assert careless.tokenize(text, special=False) == expected
    finally:
        with_marks.close()
