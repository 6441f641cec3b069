"""Token buckets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.access.rates import Bucket, Buckets, Rate


def test_a_burst_may_take_all_and_the_next_one_waits_for_one() -> None:
    bucket = Bucket(Rate.parse("3/min"), now=0.0)
    assert [bucket.take(0.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert bucket.take(0.0) == pytest.approx(20)
    assert bucket.take(19.0) == pytest.approx(1)
    assert bucket.take(20.01) == 0.0
    assert bucket.take(20.01) > 0


@given(
    rate=st.builds(Rate, st.integers(1, 50), st.sampled_from(["s", "min", "h", "day"])),
    pauses=st.lists(st.floats(0, 100), min_size=1, max_size=200),
)
def test_never_more_than_the_rate_and_one_burst_pass(rate: Rate, pauses: list[float]) -> None:
    bucket, now, passed = Bucket(rate, 0.0), 0.0, 0
    for pause in pauses:
        now += pause
        passed += bucket.take(now) == 0
        assert passed <= rate.count + now * rate.count / rate.seconds + 1e-6
        assert 0 <= bucket.left <= rate.count
        assert bucket.seconds_to_full <= rate.seconds


def test_who_waits_as_told_passes() -> None:
    bucket = Bucket(Rate.parse("7/h"), 0.0)
    now = 0.0
    for _ in range(30):
        wait = bucket.take(now)
        if wait:
            now += wait + 1e-6
            assert bucket.take(now) == 0


def test_a_changed_rate_holds_at_once() -> None:
    buckets = Buckets()
    buckets.get("a", Rate.parse("1/h"), 0.0).take(0.0)
    assert buckets.get("a", Rate.parse("1/h"), 1.0).take(1.0) > 0
    assert buckets.get("a", Rate.parse("2/h"), 1.0).take(1.0) == 0


def test_addresses_that_came_once_are_forgotten() -> None:
    buckets, rate = Buckets(), Rate.parse("10/s")
    for number in range(50_000):
        buckets.get(f"address {number}", rate, number / 100).take(number / 100)
    assert len(buckets._buckets) < 15_000


@pytest.mark.parametrize("text", ["", "60", "/min", "0/s", "1.5/s", "60/week", "-1/s", "٣/s"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="60/min"):
        Rate.parse(text)
