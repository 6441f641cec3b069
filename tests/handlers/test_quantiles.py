"""Quantiles over the last minute."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.quantiles import LastMinute


@given(
    st.lists(st.floats(1e-5, 1e4), min_size=1, max_size=300),
    st.sampled_from([0.01, 0.5, 0.95, 1.0]),
)
def test_a_quantile_is_right_to_within_five_percent(values: list[float], share: float) -> None:
    minute = LastMinute()
    for value in values:
        minute.add(value)
    right = sorted(values)[math.ceil(share * len(values)) - 1]
    assert minute.quantiles(share) == [pytest.approx(right, rel=0.055)]


def test_nothing_observed_has_no_quantiles() -> None:
    assert LastMinute().quantiles(0.5, 0.95) == [None, None]


def test_what_is_older_than_a_minute_is_forgotten() -> None:
    minute = LastMinute()
    begun = minute._begun
    minute.add(1.0)
    minute.forget(begun + 59)
    minute.add(0.001)
    assert minute.quantiles(1.0) == [pytest.approx(1.0, rel=0.055)]
    minute.forget(begun + 66)
    assert minute.quantiles(1.0) == [pytest.approx(0.001, rel=0.055)]
    minute.forget(begun + 200)
    assert minute.quantiles(1.0) == [None]


def test_no_duration_at_all_counts_too() -> None:
    minute = LastMinute()
    minute.add(0.0)
    assert minute.quantiles(0.5) == [pytest.approx(1e-6, rel=0.05)]
