"""Costs are learned: how much of a prompt is read at a time, and what is filled up."""

from __future__ import annotations

from engine.llama.pace import Pace


def learn(pace: Pace, *, step: float = 0.0, token: float = 0.0, times: int = 3) -> None:
    """Steps of four streams that take `step`, chunks that take `token` for each token (seconds)."""
    for _ in range(times):
        if step:
            pace.note_rows(4, step)
        if token:
            pace.note_chunk(100, 100 * token, first=False)


def test_beside_streams_a_chunk_takes_as_long_as_their_step() -> None:
    pace = Pace(8)
    learn(pace, step=0.040, token=0.001)
    assert pace.chunk_beside_streams() == 40


def test_it_follows_a_machine_that_gets_slower() -> None:
    pace = Pace(8)
    learn(pace, step=0.040, token=0.001, times=50)
    learn(pace, token=0.002, times=50)
    assert pace.chunk_beside_streams() == 20


def test_a_prompt_always_comes_to_its_end() -> None:
    pace = Pace(8)
    learn(pace, step=0.001, token=1.0)
    assert pace.chunk_beside_streams() == 16
    assert pace.chunk_alone() == 16


def test_before_anything_is_known_little_is_taken() -> None:
    pace = Pace(8)
    assert (pace.chunk_beside_streams(), pace.chunk_alone()) == (64, 64)
    learn(pace, token=0.001)  # prompts alone do not tell what a step costs
    assert pace.chunk_beside_streams() == 64


def test_alone_a_chunk_takes_a_fifth_of_a_second() -> None:
    pace = Pace(8)
    learn(pace, token=0.001)
    assert pace.chunk_alone() == 200


def rows_of(pace: Pace, rows: int, seconds: dict[int, float], steps: int) -> list[int]:
    """How wide each of so many steps of `rows` was, where a step of n takes seconds[n]."""
    widths = []
    for _ in range(steps):
        widths.append(pace.filled(rows))
        pace.note_rows(widths[-1], seconds[widths[-1]])
    return widths


def test_rows_are_filled_up_where_the_kernels_take_four_at_a_time() -> None:
    widths = rows_of(Pace(16), 15, {15: 0.049, 16: 0.033}, 100)
    assert {15, 16} == set(widths[:10])  # both ways were tried
    assert set(widths[10:]) == {16}


def test_rows_are_left_alone_where_filling_brings_nothing() -> None:
    widths = rows_of(Pace(16), 13, {13: 0.020, 16: 0.025}, 100)
    assert set(widths[10:]) == {13}


def test_what_was_slower_is_tried_again_now_and_then() -> None:
    pace = Pace(16)
    rows_of(pace, 15, {15: 0.049, 16: 0.033}, 100)
    widths = rows_of(pace, 15, {15: 0.020, 16: 0.033}, 4000)  # another machine, of a sudden
    assert widths[-100:].count(15) >= 99


def test_one_and_two_rows_and_full_fours_are_never_filled_up() -> None:
    pace = Pace(16)
    assert [pace.filled(rows) for rows in (1, 2, 4, 8, 16)] == [1, 2, 4, 8, 16]


def test_there_are_never_more_rows_than_sequences() -> None:
    assert Pace(6).filled(5) == 5


def test_prompts_are_filled_up_where_it_makes_them_faster() -> None:
    pace = Pace(8)
    for _ in range(20):
        count = pace.padded(31)
        pace.note_chunk(count, {31: 0.054, 32: 0.044}[count], first=True)
    assert pace.padded(31) == 32
    for _ in range(20):
        count = pace.padded(25)
        pace.note_chunk(count, {25: 0.033, 28: 0.043}[count], first=True)
    assert pace.padded(25) == 25
    assert pace.padded(28) == 28
