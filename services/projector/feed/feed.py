"""Reading the log for callers: a page, a page that is waited for, a stream that never ends.

What a caller gets is the bytes that went over the broker. `Kithlog-Position` says up to which position every event
that was asked for is in the answer: with a filter, too, a reader knows to have missed nothing.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from time import monotonic

from services.projector.feed.asking import Ask
from services.projector.feed.bell import Bell
from shared.broker.cloudevents import encode, message_type
from shared.database.pool import is_away
from shared.log.appending import Head
from shared.log.history import History, HistoryPage, Wanted
from shared.operations.problems import Problem, ProblemError

MOST_LISTENERS = 500
"""Callers of one process that may wait for events at the same time."""
PAGES_IN_VAIN = 10
"""Pages without any match that are looked through for one answer."""
STREAM_PAGE = 200
"""Events that are read for a stream at a time."""
SIGN_OF_LIFE = 15.0
"""Seconds after which a stream without events tells how far it has looked."""


class Feed:
    """Reads as often as it is asked; holds nothing but the page in hand of each caller."""

    def __init__(self, history: History, bell: Bell) -> None:
        self._history, self._bell = history, bell
        self.listeners = 0
        """Callers that wait at present."""

    async def page(self, ask: Ask, wanted: Wanted) -> HistoryPage:
        """The next page; without any event only when `wait` is over, or a long stretch held none.

        Raises `ProblemError`: 409 when the log does not go on from there, 503 while PostgreSQL is away.
        """
        end = monotonic() + ask.wait
        after, in_vain = ask.after, 0
        while True:
            rung = self._bell.next
            page = await self._read(after, ask.limit, wanted, ask.epoch)
            at_end = page.position >= page.head.position
            if page.events or (at_end and monotonic() >= end):
                return page
            if at_end:
                with suppress(TimeoutError):
                    await asyncio.wait_for(rung.wait(), end - monotonic())
            elif (in_vain := in_vain + 1) >= PAGES_IN_VAIN:
                return page
            after = page.position

    async def stream(self, ask: Ask, wanted: Wanted) -> AsyncIterator[bytes]:
        """Server-sent events without end: `id` is the position, `event` the type, `data` the CloudEvent.

        `position` events tell, between the others, how far the stream has looked; a `problem` event, with the problem
        document, is the last of its stream.
        """
        after, epoch, told = ask.after, ask.epoch, monotonic()
        while True:
            rung = self._bell.next
            try:
                page = await self._read(after, STREAM_PAGE, wanted, epoch)
            except ProblemError as error:
                yield _sent(None, "problem", error.problem.to_json())
                return
            chunk = b"".join(_sent(each.position, message_type(each), encode(each)[0]) for each in page.events)
            silent = monotonic() - told >= SIGN_OF_LIFE
            if silent or (page.position > after and not (page.events and page.events[-1].position == page.position)):
                chunk += _sent(page.position, "position", _place(page))
            if chunk:
                yield chunk
                told = monotonic()
            after, epoch = page.position, page.head.epoch
            if after >= page.head.position:
                with suppress(TimeoutError):
                    await asyncio.wait_for(rung.wait(), SIGN_OF_LIFE)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Counts a caller who waits. Raises `ProblemError` (503) when there are too many."""
        if self.listeners >= MOST_LISTENERS:
            raise ProblemError(
                Problem(
                    503,
                    "too_many_listeners",
                    f"{MOST_LISTENERS} callers wait for events here already",
                    "ask without `wait` meanwhile, or repeat in some seconds",
                    retry_after=5,
                )
            )
        self.listeners += 1
        try:
            yield
        finally:
            self.listeners -= 1

    async def _read(self, after: int, limit: int, wanted: Wanted, epoch: int | None) -> HistoryPage:
        fork = None
        try:
            page = await self._history.page(after, limit, wanted)
            head = page.head
            if after <= head.position and epoch in (None, head.epoch):
                return page
            if epoch is not None and epoch <= head.epoch:
                fork = await self._history.fork(after, epoch)
        except Exception as error:
            if not is_away(error):
                raise
            raise ProblemError(
                Problem(
                    503,
                    "log_unavailable",
                    "the log did not answer",
                    "repeat in a moment: nothing is lost",
                    retry_after=2,
                )
            ) from None
        raise _forked(after, epoch, head, fork)


def _forked(after: int, epoch: int | None, head: Head, fork: int | None) -> ProblemError:
    """`fork`: None where it is not known which events the reader has seen."""
    detail = f"the log is in epoch {head.epoch} and ends at position {head.position}"
    members = {"position": head.position, "epoch": head.epoch}
    if fork is not None:
        detail += f": up to position {fork} it is what it was in epoch {epoch}"
        remedy = "undo what you have handled after `fork`, and read on from there, in `epoch`"
        members["fork"] = fork
    elif epoch is None:
        detail += f": there is no {after}"
        remedy = (
            "the log was restored to an earlier point: ask with the `epoch` that you are in, and `fork` says to which"
        )
    else:
        detail += f": nothing is known of epoch {epoch}"
        remedy = "the log was restored to an earlier point: begin again at position 0"
    return ProblemError(Problem(409, "forked", detail, remedy, "query.after", members=members))


def _place(page: HistoryPage) -> bytes:
    return json.dumps(
        {"position": page.position, "head": page.head.position, "epoch": page.head.epoch}, separators=(",", ":")
    ).encode()


def _sent(id: int | None, event: str, data: bytes) -> bytes:
    """One server-sent event; `data` is JSON on one line."""
    head = f"event: {event}\n" if id is None else f"id: {id}\nevent: {event}\n"
    return b"%bdata: %b\n\n" % (head.encode(), data)
