"""The examples in the docstrings of modules that need nothing beyond the standard library."""

from __future__ import annotations

import doctest
from importlib import import_module

import pytest


@pytest.mark.parametrize(
    "name", ["clean", "fillers", "mixture", "names", "progress", "schedule", "vary"]
)
def test_every_example_is_true(name: str) -> None:
    found = doctest.testmod(import_module(f"training.{name}"))
    assert found.attempted > 0
    assert found.failed == 0
