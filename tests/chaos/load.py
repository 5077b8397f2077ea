"""``python -m tests.chaos.load``: clients at a steady rate, as a process of its own; ended in order by SIGTERM.

A client behaves as the documentation asks: it repeats a command under its ``Idempotency-Key`` until it is told how it
ended, by whichever way it is answered. What it was told goes into the journal.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count, cycle
from pathlib import Path
from time import monotonic

import uvloop

from tests.chaos.asking import LeftOpen, NotSent, Response
from tests.chaos.lives import WRONG_VERSION, Wish, life
from tests.chaos.seen import Journal
from tests.chaos.ways import Documents, Http, Imports, Queries, Queue, Way, WayUnheard

PATIENCE, MOST_PATIENCE = 4.0, 30.0
"""Seconds that a client waits for an answer before it asks again: at first, and after many doublings. Without them,
clients of a service that is too busy to answer in time would keep it busy with what they no longer wait for."""
PAUSE = 0.2
"""Seconds between attempts."""
LOOKING = 8.0
"""Seconds that a client waits for a document: for longer than a projector waits until it has come to a position."""
LAST_WORD = 30.0
"""Seconds that clients go on asking for what is not answered yet when all is to end."""
TELL = 0.2
"""Seconds after which it is told anew who waits for an answer."""
_IS_AN_ANSWER = {200, 201, 400, 404, 409, 412, 422}
_WAITS = 503
"""PostgreSQL is away; or read models have not come to a position."""
_KEPT = {"Queue", "Imports"}
"""Ways by which a refusal is final: it is kept before it is told, and the command gets it again whatever happens."""


@dataclass(eq=False, slots=True)
class Wait:
    """Of a client, for a clear answer."""

    began: float
    attempts: dict[str, float] = field(default_factory=dict)
    """Way → when the command was sent by it last."""


class Load:
    def __init__(
        self,
        ways: Sequence[Way],
        unheard: WayUnheard,
        documents: Documents,
        journal: Journal,
        waiting: Path,
        *,
        seed: str,
        rate: float,
    ) -> None:
        """`rate`: commands a second, at most; `ways`: taken in turn, so that one may be named several times; `unheard`:
        for commands whose answer nobody waits for; `documents`: in which clients look for what was accepted;
        `waiting`: a file that tells since when clients wait."""
        self._journal, self._waiting, self._seed, self._every = journal, waiting, seed, 1 / rate
        self._waits: set[Wait] = set()
        self._ways, self._unheard, self._documents = ways, unheard, documents
        self._numbers, self._turns, self._next_turn = count(), cycle(ways), 0.0
        self._stop, self._give_up = asyncio.Event(), asyncio.Event()
        self._tasks = asyncio.TaskGroup()

    async def run(self, clients: int) -> None:
        """Until told to stop; then what is under way is brought to its end."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stop.set)
        telling = asyncio.create_task(self._tell())
        async with self._tasks:
            for _ in range(clients):
                self._tasks.create_task(self._client())
            await self._stop.wait()
            loop.call_later(LAST_WORD, self._give_up.set)
        telling.cancel()
        for way in set(self._ways):
            await way.close()

    async def _client(self) -> None:
        while not self._stop.is_set():
            later: list[Wish] = []
            for wish in life(f"{self._seed}/{next(self._numbers)}").wishes():
                if wish.pause:
                    await self._unless_stopped(wish.pause)
                await self._turn(1 + len(wish.rivals))
                if self._stop.is_set():
                    return
                went_well = await asyncio.gather(*(self._send(each, later) for each in (wish, *wish.rivals)))
                if not all(went_well):
                    break
            for wish in later:
                await self._turn()
                if self._stop.is_set():
                    return
                await self._ask_again(wish)

    async def _tell(self) -> None:
        while True:
            since: dict[str, list[tuple[float, float]]] = {}
            for wait in self._waits:
                for via, at in wait.attempts.items():
                    since.setdefault(via, []).append((wait.began, at))
            whole = self._waiting.with_suffix(".new")
            whole.write_text(json.dumps(since))
            whole.replace(self._waiting)
            await asyncio.sleep(TELL)

    async def _turn(self, commands: int = 1) -> None:
        """Wait for the next place in the steady stream of commands; an outage is not made up for."""
        self._next_turn = max(self._next_turn + commands * self._every, monotonic() - self._every)
        await asyncio.sleep(max(0.0, self._next_turn - monotonic()))

    async def _unless_stopped(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stop.wait(), seconds)
        except TimeoutError:
            return

    async def _send(self, wish: Wish, later: list[Wish]) -> bool:
        return await (self._hand_over(wish) if wish.unheard else self._ask(wish, later))

    async def _ask(self, wish: Wish, later: list[Wish]) -> bool:
        """Whether its client knows that it ended as it should, and so may go on; `later` gets what is to be asked again
        after all the others.

        Where an attempt was left open that may not be so: what must be refused now may be right when it is executed.
        """
        first, sure = await self._answer(wish)
        if first is None:
            self._journal.unknown(wish)
            return False
        if wish.expected is not None and first.document.get("code") == WRONG_VERSION:
            # Whatever is still under way: a version that was there once, and is not any more, never comes again.
            self._journal.outdated(wish, datetime.now(UTC))
            later.append(wish)
            await self._turn()
            present = replace(wish, expected=first.document["actual_version"])
            return not self._stop.is_set() and await self._ask(present, later)
        if not first.accepted:
            kept = first.via in _KEPT
            if not (sure or kept):  # an attempt before it may still be under way
                self._journal.unknown(wish)
                return False
            self._journal.refused(wish, first.document["code"])
            if kept:
                later.append(wish)
            return wish.must_be_refused is not None
        self._journal.accepted(wish, first.document, first.via)
        if wish.look and wish.shows:
            self._tasks.create_task(self._look(wish, first.document["position"]))
        if wish.again:
            later.append(wish)
            await self._ask_again(wish)
        return True

    async def _ask_again(self, wish: Wish) -> None:
        again, _ = await self._answer(wish)
        if again is not None:
            self._repeated(wish, again)

    async def _look(self, wish: Wish, position: int) -> None:
        """While its client goes on: who waits for a projector that is away asks for no less meanwhile."""
        with suppress(NotSent, LeftOpen):
            told = await self._documents.of(wish, position, LOOKING)
            if told.status != _WAITS:
                self._journal.looked(wish, position, told.status, told.document)

    async def _hand_over(self, wish: Wish) -> bool:
        """Until the broker has it, which is all that its client waits for."""
        while not self._give_up.is_set():
            since = datetime.now(UTC)  # a broker that is wiped right after it confirmed has lost it, too
            with suppress(NotSent, LeftOpen):
                await self._unheard.hand_over(wish, PATIENCE)
                self._journal.handed_over(wish, since)
                return True
            await asyncio.sleep(PAUSE)
        self._journal.unknown(wish)
        return False

    async def _answer(self, wish: Wish) -> tuple[Response | None, bool]:
        """The first clear answer, and whether no attempt before it was left open; None once it is time to give up."""
        wait = Wait(monotonic())
        self._waits.add(wait)
        try:
            return await self._answered(wish, wait)
        finally:
            self._waits.remove(wait)

    async def _answered(self, wish: Wish, wait: Wait) -> tuple[Response | None, bool]:
        sure, patience = True, PATIENCE
        while not self._give_up.is_set():
            ways = dict.fromkeys(self._ways) if wish.to_all else [next(self._turns)]
            wait.attempts = {type(way).__name__: monotonic() for way in ways}
            found = await asyncio.gather(*(self._attempt(way, wish, patience) for way in ways))
            answers = [each for each in found if isinstance(each, Response)]
            if answers:
                answers.sort(key=lambda answer: not answer.accepted)
                if answers[0].accepted:
                    for each in answers[1:]:  # sent at once, so repetitions of one another
                        self._repeated(wish, each)
                return answers[0], sure and len(answers) == len(found)
            sure = sure and all(each == "not sent" for each in found)
            if "open" in found:
                patience = min(2 * patience, MOST_PATIENCE)
            await asyncio.sleep(PAUSE)
        return None, False

    def _repeated(self, wish: Wish, again: Response) -> None:
        if again.accepted:
            self._journal.repeated(wish, again.document)
        else:
            self._journal.refused_again(wish, again.document["code"])

    async def _attempt(self, way: Way, wish: Wish, patience: float) -> Response | str:
        """A clear answer; else whether the command may have arrived (`not sent`, `open`)."""
        try:
            response = await way.ask(wish, patience)
        except NotSent:
            return "not sent"
        except LeftOpen:
            return "open"
        if response.status in _IS_AN_ANSWER:
            return replace(response, via=type(way).__name__)
        if response.status != _WAITS:
            self._journal.failed(wish, response.status)
        return "open"


def waiting_file(journal: Path) -> Path:
    """Where the load tells since when its clients wait."""
    return journal.with_suffix(".waiting")


def longest_waits(waiting: Path, since: float) -> dict[str, float]:
    """Way → seconds, of those since `since`, for which the first of those waits for a clear answer who asked by it, or
    asked again, then or later. What was sent before may have got lost on its way.

    `since` is of the monotonic clock, which all processes share. Raises FileNotFoundError before the load has told.
    """
    now, told = monotonic(), json.loads(waiting.read_text())
    ages = {way: [now - max(began, since) for began, at in waits if at >= since] for way, waits in told.items()}
    return {way: max(waited) for way, waited in ages.items() if waited}


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.load", description=__doc__)
    parser.add_argument("amqp_url")
    parser.add_argument("urls", nargs="+")
    parser.add_argument("--queries", nargs="+", required=True, metavar="url")
    parser.add_argument("--journal", type=Path, required=True)
    parser.add_argument("--seed", required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--clients", type=int, default=128)
    chosen = parser.parse_args()
    http = [Http(url) for url in chosen.urls]
    queue = Queue(chosen.amqp_url)
    queries = Queries(chosen.queries)
    ways: list[Way] = [*http, queue, *http, Imports(chosen.urls), *http, queue]
    with chosen.journal.open("a") as file:
        waiting = waiting_file(chosen.journal)
        load = Load(ways, queue, queries, Journal(file), waiting, seed=chosen.seed, rate=chosen.rate)
        await load.run(chosen.clients)
    queries.close()


if __name__ == "__main__":
    uvloop.run(main())
