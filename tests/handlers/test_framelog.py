"""The log of frames between a writer and readers that come and go."""

from __future__ import annotations

import doctest
import sys

from hypothesis import given
from hypothesis import strategies as st

from handlers import framelog
from handlers.framelog import FrameLog

FRAMES = st.lists(st.text(max_size=50), max_size=30)


def test_the_examples_in_its_documentation_hold() -> None:
    assert doctest.testmod(framelog).failed == 0


@given(st.lists(st.tuples(FRAMES, st.integers(1, 2000), st.floats(0, 1)), max_size=20))
def test_whatever_is_kept_can_be_read_again_and_nothing_is_lost(
    rounds: list[tuple[list[str], int, float]],
) -> None:
    log, written = FrameLog(2000), [""]  # so that the number of a frame is its index
    for frames, size, where in rounds:
        log.extend(frames)
        written += frames
        taken = log.taken
        for number, frame in log.take(size):
            taken += 1
            assert (number, frame) == (taken, written[number])
        assert log.end == len(written) - 1
        assert 0 <= log.begin <= log.taken <= log.sent <= log.end
        log.rewind(round(log.begin + where * (log.sent - log.begin)))


@given(FRAMES.filter(bool), st.integers(200, 3000))
def test_a_half_of_sent_frames_is_kept_and_a_half_of_others_makes_it_full(
    frames: list[str], most: int
) -> None:
    log = FrameLog(most)
    while not log.full:
        log.extend(frames)
    one_round = sum(map(sys.getsizeof, frames))
    waiting = log.end - log.taken
    assert most / 2 < sum(map(sys.getsizeof, (frames * waiting)[:waiting])) <= most / 2 + one_round
    while log.taken < log.end:
        log.take(300)
    kept = log.end - log.begin
    newest = (frames * (log.end // len(frames)))[log.end - kept - 1 :]
    assert not log.full
    assert sum(map(sys.getsizeof, newest[1:])) <= most / 2
    assert log.begin == 0 or sum(map(sys.getsizeof, newest)) > most / 2
