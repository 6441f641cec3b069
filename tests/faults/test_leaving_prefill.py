"""Clients that leave while a long prompt is read, which takes a model of some size seconds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from bench import shapes
from tests.bench.test_shapes import write_vocabulary
from tests.conftest import ServerProcess
from tests.faults.conftest import Peer, baseline, gauge, wait_until
from tests.faults.test_leaving import WAYS

SHAPE = shapes.Shape("100M", layers=12, width=768, heads=12, kv_heads=2, feed_forward=3072)
SHORT = {"text": "Where is it?", "cache": False, "ignore_eos": True, "max_tokens": 5}
LONG = {**SHORT, "text": "My father reads. " * 230}  # a token for each letter


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server on a hundred million random weights, with long sequences."""
    folder = tmp_path_factory.mktemp("large")
    write_vocabulary(folder / "vocabulary.gguf")
    shapes.write(SHAPE, "Q4_0", folder / "random.gguf", folder / "vocabulary.gguf")
    entry = {"name": "random", "file": "random.gguf", "prompt": {"template": "{text}"}}
    process = ServerProcess(
        *("--models.folder", str(folder), "--models.entries", json.dumps([entry])),
        *("--model", "random", "--engine.self_check", "false", "--engine.threads", "1"),
        *("--engine.sequences", "2", "--engine.context", "8192"),
    )
    yield process
    process.close()


@pytest.mark.slow
@pytest.mark.parametrize("leave", WAYS.values(), ids=WAYS.keys())
def test_leaving_in_the_prompt_ends_its_reading(
    large: ServerProcess, leave: Callable[[Peer], None]
) -> None:
    with baseline(large, question=SHORT):
        tokens = gauge(large, "tokens_total")
        with Peer(large.port) as peer:
            peer.request(body=LONG)
            wait_until(lambda: gauge(large, "kv_used_ratio") * 2 * 8192 > 100)
            leave(peer)
            wait_until(lambda: gauge(large, "sequences_used") == 0)
        assert gauge(large, "tokens_total") == tokens  # the answer was never begun
