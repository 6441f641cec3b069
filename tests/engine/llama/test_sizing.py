"""Sizes come from settings, model and free memory; what cannot fit is refused with figures."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from engine.errors import ModelError
from engine.llama import sizing
from engine.llama.model import Model
from engine.settings import Engine as EngineSettings
from tests.conftest import MODEL

PER_TOKEN = 6 * 5 * (64 + 64) * 2  # layers x KV heads x (key + value widths) x 16 bits
PER_SEQUENCE = 512 * PER_TOKEN


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    model = Model(MODEL)
    yield model
    model.close()


def test_a_token_takes_its_keys_and_values(model: Model) -> None:
    assert sizing.kv_bytes_per_token(model) == PER_TOKEN


def test_a_cache_of_eight_bits_takes_about_half(model: Model) -> None:
    assert sizing.kv_bytes_per_token(model, "q8_0") == PER_TOKEN * 17 // 32


def test_auto_takes_the_training_context_and_up_to_32_sequences(model: Model) -> None:
    size = sizing.choose(model, EngineSettings(), free=2**40)
    assert (size.sequences, size.context) == (32, 512)


def test_auto_takes_as_many_sequences_as_half_of_the_free_memory_holds(model: Model) -> None:
    size = sizing.choose(model, EngineSettings(), free=2 * 5 * PER_SEQUENCE + 100)
    assert size.sequences == 5


def test_what_cannot_fit_is_refused_with_the_arithmetic(model: Model) -> None:
    with pytest.raises(ModelError, match=r"64 sequences of 512 tokens need 240 MiB .* 100 MiB"):
        sizing.choose(model, EngineSettings(sequences=64), free=200 * 2**20)


def test_every_sequence_finds_room_in_a_batch(model: Model) -> None:
    size = sizing.choose(model, EngineSettings(sequences=64, batch=32), free=2**40)
    assert size.batch == 64


def test_a_context_is_rounded_up_to_whole_cells(model: Model) -> None:
    assert sizing.choose(model, EngineSettings(context=300), free=2**40).context == 512
