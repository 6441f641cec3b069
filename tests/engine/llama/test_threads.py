"""The number of threads follows the machine."""

from __future__ import annotations

from collections.abc import Callable

from engine.llama.threads import Crew


class Machine:
    """Steps that take `seconds(threads)`, on a clock of its own."""

    def __init__(self, count: int, most: int, seconds: Callable[[int], float]) -> None:
        self.now, self.seconds = 0.0, seconds
        self.crew = Crew(count, most=most, clock=lambda: self.now)

    def run(self, seconds: float, rows: int = 8) -> list[int]:
        """Decode for so long; the threads of each step."""
        end, counts = self.now + seconds, []
        while self.now < end:
            counts.append(self.crew.count)
            took = self.seconds(self.crew.count)
            self.now += took
            self.crew.note(rows, took)
        return counts


def test_fewer_threads_where_the_machine_becomes_crowded() -> None:
    machine = Machine(4, 4, lambda threads: 0.004 / threads)
    machine.run(10)
    assert machine.crew.count == 4
    machine.seconds = lambda threads: 0.004 if threads == 1 else 0.1
    machine.run(20)
    assert machine.crew.count == 1


def test_more_threads_when_it_is_free_again() -> None:
    machine = Machine(1, 4, lambda threads: 0.004 / threads)
    machine.run(20)
    assert machine.crew.count == 4


def test_trials_cost_about_a_hundredth_of_the_time() -> None:
    machine = Machine(2, 2, lambda threads: 0.2 / threads)
    counts = machine.run(600)
    assert 0 < counts.count(1) < 0.02 * len(counts)


def test_a_difference_within_the_noise_changes_nothing() -> None:
    machine = Machine(2, 2, lambda threads: 0.0100 if threads == 2 else 0.0098)
    machine.run(30)
    assert machine.crew.count == 2


def test_steps_of_other_sizes_are_not_compared() -> None:
    """Every step has another number of rows, so no trial ever begins."""
    machine = Machine(2, 2, lambda threads: 0.01)
    for rows in range(1000):
        machine.crew.note(rows % 2, 0.01)
        machine.now += 0.01
        assert machine.crew.count == 2


def test_a_number_that_was_set_stays() -> None:
    crew = Crew(3, prompts=2)
    for _ in range(1000):
        crew.note(8, 0.001)
    assert (crew.count, crew.for_prompts) == (3, 2)
