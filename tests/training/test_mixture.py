"""What is drawn, how often and in what order."""

from __future__ import annotations

from collections import Counter

from training.mixture import Mixture, cyclic, shares


def test_small_languages_count_for_more_than_their_size() -> None:
    found = shares({"de": 160_000, "zh": 10_000, "ja": 0}, Mixture())
    assert found == {"de": 0.8, "zh": 0.2}


def test_every_pass_takes_every_pair_once_in_another_order() -> None:
    passes = [list(cyclic(50, 50 * n, 50, "seed")) for n in range(3)]
    assert all(sorted(order) == list(range(50)) for order in passes)
    assert passes[0] != passes[1] != passes[2]


def test_a_pass_goes_on_where_the_last_chunk_stopped() -> None:
    whole = list(cyclic(50, 0, 120, "seed"))
    pieces = [place for start in range(0, 120, 40) for place in cyclic(50, start, 40, "seed")]
    assert pieces == whole
    assert max(Counter(whole).values()) == 3
