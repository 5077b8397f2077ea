"""What the mailbox tells the doorbell of a backlog, and the loop of what became of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from services.projector.live.mailbox import BACKLOG, Mailbox, Place


def lose(mailbox: Mailbox) -> None:
    mailbox.lose(Place())


@pytest.mark.parametrize(("positions", "told"), [(BACKLOG - 1, False), (BACKLOG, True)])
def test_a_backlog_is_what_lies_far_behind(positions: int, told: bool) -> None:
    mailbox = Mailbox()
    mailbox.overtake(positions)
    assert mailbox.is_overtaken == told


@pytest.mark.parametrize("ending", [lose, Mailbox.shut, Mailbox.begin_anew])
def test_what_was_behind_on_one_place_says_nothing_of_the_next(ending: Callable[[Mailbox], None]) -> None:
    """Given a place in the queue that is lost, or left to others, then nothing is dropped for what came on it: the
    messages may be another projector's by then."""
    mailbox = Mailbox()
    mailbox.overtake(BACKLOG)
    ending(mailbox)
    assert not mailbox.is_overtaken


async def test_what_was_dropped_is_told_each_time() -> None:
    """Given a backlog that is dropped, then the loop wakes, and sees that it was since it last looked."""
    mailbox = Mailbox()
    before = mailbox.drops
    mailbox.drop()
    await mailbox.filled()
    assert mailbox.drops == before + 1
