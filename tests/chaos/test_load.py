"""A client of the load claims no more than it knows."""

from __future__ import annotations

import io
import json
import signal
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any
from uuid import UUID

import pytest

from tests.chaos.asking import LeftOpen, Response
from tests.chaos.lives import RIVALS, WRONG_VERSION, Wish, life
from tests.chaos.load import Load, longest_waits, waiting_file
from tests.chaos.seen import Command, Journal, Seen, fold


class Way:
    """Answers everything as it should be, and ends the load with the second life's first command."""

    def __init__(self) -> None:
        self.asked: list[Wish] = []

    async def ask(self, wish: Wish, patience: float) -> Response:
        del patience
        if wish.verb == "register" and self.asked and wish.stream_id not in {each.stream_id for each in self.asked}:
            signal.raise_signal(signal.SIGTERM)
        self.asked.append(wish)
        return self.answer(wish)

    def answer(self, wish: Wish) -> Response:
        if wish.must_be_refused:
            return Response(409, {"code": wish.must_be_refused})
        return Response(201, {"position": self.asked.index(wish), "events": []})

    async def hand_over(self, wish: Wish, patience: float) -> None:
        del patience
        self.asked.append(wish)

    async def of(self, wish: Wish, position: int, patience: float) -> Response:
        del patience
        return Response(200, {"position": position, "item": wish.shows})

    async def close(self) -> None: ...


class Queue(Way):
    """By its name what is refused this way is refused for good."""


class LosesTheFirst(Way):
    """Of what is said to have been held before it was agreed to."""

    def answer(self, wish: Wish) -> Response:
        if holds_too_early(wish) and self.asked.count(wish) == 1:
            raise LeftOpen
        return super().answer(wish)


class FailsFirst(Way):
    def answer(self, wish: Wish) -> Response:
        return Response(500, {}) if len(self.asked) == 1 else super().answer(wish)


class HearsTheSecond(Way):
    async def hand_over(self, wish: Wish, patience: float) -> None:
        await super().hand_over(wish, patience)
        if self.asked.count(wish) == 1:
            raise LeftOpen


class Contested(Way):
    """As the service does it; of what is to be refused for its version the first attempt gets lost."""

    def __init__(self) -> None:
        super().__init__()
        self.versions: Counter[UUID] = Counter()
        self.answers: dict[UUID, Response] = {}

    def answer(self, wish: Wish) -> Response:
        version = self.versions[wish.stream_id]
        if wish.command_id in self.answers:
            return self.answers[wish.command_id]
        if wish.expected not in (None, version):
            if self.asked.count(wish) == 1:
                raise LeftOpen
            return Response(412, {"code": WRONG_VERSION, "actual_version": version})
        answer = super().answer(wish)
        if answer.accepted:
            self.answers[wish.command_id] = answer
            self.versions[wish.stream_id] += 1
        return answer


class ShowsNothing(Way):
    def __init__(self, status: int) -> None:
        super().__init__()
        self.status = status

    async def of(self, wish: Wish, position: int, patience: float) -> Response:
        return Response(self.status, {})


def a_seed(fits: Callable[[Wish], bool], *, again: bool = False) -> str:
    """Of a first life with such a wish, in which something is asked again, or nothing."""

    def found(wishes: list[Wish]) -> bool:
        return any(map(fits, wishes)) and any(wish.again for wish in wishes) == again

    return next(str(number) for number in count() if found(list(life(f"{number}/0").wishes())))


async def asked(way: Way, seed: str) -> Seen:
    """What a client of that way has seen when its first life is over."""
    journal = io.StringIO()
    with TemporaryDirectory() as folder:
        waiting = waiting_file(Path(folder) / "journal")
        await Load([way], way, way, Journal(journal), waiting, seed=seed, rate=1000.0).run(clients=1)
    return fold(map(json.loads, journal.getvalue().splitlines()))


def command(wish: Wish) -> Command:
    return wish.tenant, wish.command_id


def holds_too_early(wish: Wish) -> bool:
    return wish.must_be_refused is not None and wish.verb == "hold"


async def test_who_does_not_know_what_became_of_a_command_does_not_go_on() -> None:
    """Given a conversation that is said to have been held before anybody agreed to it, when the first attempt to say so
    may still be under way and the second is refused, then nothing further is asked for this seeker: that attempt could
    be executed when it is right."""
    way = LosesTheFirst()
    seen = await asked(way, a_seed(holds_too_early))
    *before, refused, refused_again, after = way.asked
    assert refused == refused_again
    assert refused.verb == "hold"
    assert refused.stream_id in {wish.stream_id for wish in before}
    assert after.verb == "register"
    assert seen.unknown == {command(refused)}


async def test_what_was_refused_for_good_is_asked_again_at_last() -> None:
    """Given a command that was refused by a way that keeps refusals, and one that is to be asked again, when all else
    of that life was asked, then both are once more, and what they are told then is written down."""
    way = Queue()
    seen = await asked(way, a_seed(holds_too_early, again=True))
    refused = next(wish for wish in way.asked if holds_too_early(wish))
    assert (command(refused), "out_of_order") in seen.repeated
    again = {wish for wish in map(command, way.asked) if [command(each) for each in way.asked].count(wish) > 1}
    assert again == {command(wish) for wish in way.asked if wish.again or wish.must_be_refused}
    *_, last, _ = way.asked
    assert command(last) in again
    assert seen.refused.items() >= {(command(refused), "out_of_order")}


async def test_a_failure_is_written_down_and_asked_again() -> None:
    """Given a service that fails at a command, when it is asked again, then that it was accepted does not hide it."""
    way = FailsFirst()
    seen = await asked(way, "1")
    first = command(way.asked[0])
    assert seen.wrongly == {first: "was answered with status 500"}
    assert first in seen.accepted


async def test_what_is_handed_over_is_sent_until_the_broker_has_it() -> None:
    """Given a command that nobody waits for, when the broker confirms the second attempt, then it is handed over."""
    way = HearsTheSecond()
    seen = await asked(way, a_seed(lambda wish: wish.unheard))
    [unheard] = {command(wish) for wish in way.asked if wish.unheard}
    assert [command(wish) for wish in way.asked].count(unheard) == 2
    assert seen.handed_over.keys() == {unheard}


async def test_rivals_ask_again_with_the_version_that_they_are_told() -> None:
    """Given several who change a contact at the same time, most of them on the version that they saw, when that is gone
    by, and an attempt got lost, then each asks with the present one until it is heard, and knows what became of it;
    who then names the first version once more gets the answer that the command has got."""
    way = Contested()
    seen = await asked(way, a_seed(lambda wish: sum(each.expected is not None for each in wish.rivals) > 2))
    corrections = {command(wish) for wish in way.asked if wish.verb == "correct-details"}
    assert len(corrections) == RIVALS
    assert corrections <= seen.accepted.keys()
    outdated = {each.command for each in seen.outdated}
    assert 2 < len(outdated) < RIVALS
    assert outdated <= corrections
    assert outdated <= {command for command, again in seen.repeated if again == seen.accepted[command]}
    assert not seen.unknown


@pytest.mark.parametrize(("way", "told"), [(Way(), 200), (ShowsNothing(404), 404), (ShowsNothing(503), None)])
async def test_who_looks_for_what_was_accepted_tells_what_it_found(way: Way, told: int | None) -> None:
    """Given commands that are to be looked for, when there is a document of each, or none, then that is written down;
    but not that the read models have not come so far."""
    seen = await asked(way, a_seed(lambda wish: any(each.look for each in wish.rivals)))
    wanted = {command(wish): seen.accepted[command(wish)].position for wish in way.asked if wish.look and wish.shows}
    assert {look.command: look.wanted for look in seen.looks} == (wanted if told else {})
    assert {look.status for look in seen.looks} == ({told} if told else set())


def test_how_long_clients_wait_is_told_from_a_moment_on(tmp_path: Path) -> None:
    """Given clients that wait, then of each way the first counts that has asked since a moment, for as long as it waits
    since then, though it was answered that it is to ask again; what was sent before may have got lost."""
    now = monotonic()
    waiting = waiting_file(tmp_path / "journal")
    told = {"Queue": [(now - 60, now - 60), (now - 5, now - 5)], "Http": [(now - 60, now - 1)], "Imports": [(0.0, 0.0)]}
    waiting.write_text(json.dumps(told))
    waits = longest_waits(waiting, now - 30)
    assert waits.keys() == {"Queue", "Http"}
    assert 5 <= waits["Queue"] < 30 <= waits["Http"] < 60


async def test_who_is_told_to_ask_again_waits_on(tmp_path: Path) -> None:
    """Given a service that answers each attempt at once, and none clearly, then its client waits since the first."""

    class Busy(Way):
        def answer(self, wish: Wish) -> Response:
            if len(self.asked) == 3:
                signal.raise_signal(signal.SIGTERM)
            return Response(503, {}) if len(self.asked) < 4 else super().answer(wish)

    waiting = waiting_file(tmp_path / "journal")
    began = monotonic()
    told: list[float] = []

    class Watched(Load):
        async def _attempt(self, way: Any, wish: Wish, patience: float) -> Response | str:
            [wait] = self._waits
            told.append(wait.began)
            return await super()._attempt(way, wish, patience)

    busy = Busy()
    seed = a_seed(lambda wish: True)
    await Watched([busy], busy, busy, Journal(io.StringIO()), waiting, seed=seed, rate=1000.0).run(clients=1)
    assert len(told) == 4
    assert began <= told[0]
    assert set(told) == {told[0]}
