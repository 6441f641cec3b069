"""Prompts may double a step and no more."""

from __future__ import annotations

from engine.llama.pace import Pace


def test_nothing_is_held_back_while_nobody_decodes() -> None:
    pace = Pace()
    pace.note(0.010, 4, 0)
    pace.note(0.110, 0, 100)
    assert pace.prompt_budget(0, 500) == 500


def test_the_budget_costs_about_one_step() -> None:
    pace = Pace()
    pace.note(0.040, 8, 0)  # a step of running streams takes 40 ms
    pace.note(0.140, 8, 100)  # 100 prompt tokens add 100 ms
    assert pace.prompt_budget(8, 500) == 40


def test_the_budget_follows_a_machine_that_gets_slower() -> None:
    pace = Pace()
    for _ in range(50):
        pace.note(0.040, 8, 0)
        pace.note(0.140, 8, 100)
    for _ in range(50):
        pace.note(0.240, 8, 100)
    assert pace.prompt_budget(8, 500) == 20


def test_a_prompt_always_comes_to_its_end() -> None:
    pace = Pace()
    pace.note(0.001, 8, 0)
    pace.note(1.0, 8, 20)
    assert pace.prompt_budget(8, 500) == 16
    assert pace.prompt_budget(8, 3) == 3


def test_before_anything_is_known_little_is_taken_beside_running_streams() -> None:
    pace = Pace()
    assert pace.prompt_budget(8, 500) == 64
    pace.note(1.0, 8, 64)  # steps with prompts alone do not tell what a step costs without
    assert pace.prompt_budget(8, 500) == 64
