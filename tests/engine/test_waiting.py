"""Clients that wait are served in turn; look-ahead segments only when nobody else waits."""

from __future__ import annotations

import pytest

from engine.generation import Decoding, Job
from engine.llama.sequence import Sequence
from engine.waiting import Waiting


def sequence(client: str, text: str = "", *, ahead: bool = False) -> Sequence:
    return Sequence(Decoding(Job(text, "en", "de", client=client, ahead=ahead)), [1], 9)


def order(waiting: Waiting[Sequence]) -> str:
    return " ".join(each.decoding.job.client + each.decoding.job.text for each in waiting.pop_all())


def test_a_client_that_sends_much_waits_for_himself() -> None:
    waiting: Waiting[Sequence] = Waiting()
    for name in ("a1", "a2", "a3", "b1", "a4", "c1", "b2"):
        waiting.append(sequence(name[0], name[1]))
    assert order(waiting) == "a1 b1 c1 a2 b2 a3 a4"


def test_one_client_alone_is_served_in_order() -> None:
    waiting: Waiting[Sequence] = Waiting()
    for number in range(5):
        waiting.append(sequence("a", str(number)))
    assert order(waiting) == "a0 a1 a2 a3 a4"


def test_look_ahead_comes_after_everybody_and_does_not_count_as_urgent() -> None:
    waiting: Waiting[Sequence] = Waiting()
    waiting.append(sequence("a", "1", ahead=True))
    waiting.append(sequence("b", "1"))
    waiting.append(sequence("b", "2", ahead=True))
    waiting.append(sequence("a", "2"))
    assert (len(waiting), waiting.urgent) == (4, 2)
    assert order(waiting) == "b1 a2 a1 b2"


def test_who_lost_a_place_is_the_clients_first() -> None:
    waiting: Waiting[Sequence] = Waiting()
    waiting.append(sequence("a", "1"))
    waiting.append(sequence("a", "0"), first=True)
    assert order(waiting) == "a0 a1"


def test_an_empty_queue_has_nobody() -> None:
    waiting: Waiting[Sequence] = Waiting()
    assert not waiting
    with pytest.raises(KeyError):
        waiting.pop()
