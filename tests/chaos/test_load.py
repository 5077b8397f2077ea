"""A client of the load claims no more than it knows."""

from __future__ import annotations

import io
import json
import signal
from itertools import count

from tests.chaos.asking import LeftOpen, Response
from tests.chaos.lives import Wish, life
from tests.chaos.load import Load
from tests.chaos.seen import Journal, fold


class LosesOne:
    """Answers everything as it should be, but what must be refused only when it is asked again; ends the load with
    what is asked after that."""

    def __init__(self) -> None:
        self.asked: list[Wish] = []
        self._refused = False

    async def ask(self, wish: Wish, patience: float) -> Response:
        del patience
        if self._refused:
            signal.raise_signal(signal.SIGTERM)
        lost = wish.must_be_refused and wish not in self.asked
        self.asked.append(wish)
        if lost:
            raise LeftOpen
        if wish.must_be_refused:
            self._refused = True
            return Response(409, {"code": "not_accepted"})
        return Response(201, {"position": len(self.asked), "events": []})

    async def close(self) -> None: ...


def holds_too_early(seed: str) -> bool:
    return any(wish.must_be_refused and wish.verb == "hold" for wish in life(seed).wishes())


async def test_who_does_not_know_what_became_of_a_command_does_not_go_on() -> None:
    """Given a conversation that is said to have been held before anybody agreed to it, when the first attempt to say so
    may still be under way and the second is refused, then nothing further is asked for this seeker: that attempt could
    be executed when it is right."""
    seed = next(str(number) for number in count() if holds_too_early(f"{number}/0"))
    way, journal = LosesOne(), io.StringIO()
    await Load([way], Journal(journal), seed=seed, rate=1000.0).run(clients=1)
    *before, refused, refused_again, after = way.asked
    assert refused == refused_again
    assert refused.verb == "hold"
    assert refused.stream_id in {wish.stream_id for wish in before}
    assert after.verb == "register"
    assert after.stream_id not in {wish.stream_id for wish in before}
    seen = fold(map(json.loads, journal.getvalue().splitlines()))
    assert seen.unknown == {(refused.tenant, refused.command_id)}
