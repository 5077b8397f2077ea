"""Sends what the ledger holds, mail by mail, and reports how it went."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from typing import Any, Protocol

from deploy.delivery.clock import Clock
from deploy.delivery.composing import Composer, Left, Undeliverable
from deploy.delivery.ledger import KEPT, Entry, Ledger, State
from deploy.delivery.platform import Platform
from deploy.delivery.post import Post, Refused, ServerAway, Unsure
from deploy.delivery.settings import DeliverySettings
from shared.client import Forked, Unavailable
from shared.clock import monotonic

logger = logging.getLogger(__name__)

CHANNEL = "email"
DELAYS = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 30, 120))
"""Before a mail is tried again that could not be sent now; the last again and again, until it expires."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0
"""Seconds between attempts while mail server or platform are away."""
IN_A_ROW = 3
"""So many that find something away, one after the other, and it is away for all: until then it may be for that one."""
LONGEST_PUT_OFF = 600.0
"""Most seconds before another attempt at what finds something away each time, while others don't: it may take minutes
until that shows, and all wait for it meanwhile. Where nothing else succeeds, `LONGEST_PAUSE` is the most, so that all
goes out soon once what was away is back."""
FRESH = 5.0
"""Seconds for which it holds that nothing was found needless. A slow server takes longer, or a process that was
frozen."""
LOOKS = 2
"""Attempts at finding that out so soon before the data of a mail go out."""
LOOK = 60.0
"""Most seconds between looks, should the clock be set."""
PRUNE_EVERY = timedelta(days=1)
NOT_KNOWN = "it is not known whether the mail server has taken it"
TOO_LATE = "its time had passed before it could be sent"


class Overtaken(Exception):
    """While the mail was made, something in it became needless, or expired."""


class PutOff(Unavailable):
    """Something is away, maybe for one of them only, which was put off."""

    def __init__(self, error: Unavailable, at: datetime) -> None:
        super().__init__(str(error))
        self.at = at


@dataclass
class _Row:
    """Of attempts, one after the other."""

    in_vain: int = 0
    """How many were, since the last that was not."""


class Desk:
    def __init__(
        self,
        settings: DeliverySettings,
        platform: Platform,
        post: Post,
        ledger: Ledger,
        look: Callable[[], Awaitable[None]],
        rung: asyncio.Event,
    ) -> None:
        """`look` brings what is needless into the ledger, and may raise `Unavailable`; `rung` is set when there is
        something new."""
        self._settings, self._platform, self._post, self._ledger = settings, platform, post, ledger
        self._composer = Composer(platform, settings)
        self._look, self._rung = look, rung
        self._ended = asyncio.Event()
        """Set when there may be something to report."""
        self._mails, self._reports = _Row(), _Row()
        self._unwritten: Callable[[], None] | None = None
        """Writes down how the last mail went, where the ledger could not be written to then."""
        self._prune_at = datetime.min.replace(tzinfo=UTC)

    async def send(self, stop: asyncio.Event, clock: Clock) -> None:
        """Send what becomes due, until `stop` is set; a mail that is on its way then is brought to its end."""
        await _repeat(self.send_once, self._mails, self._ledger.next_at, self._rung, stop, clock)

    async def report(self, stop: asyncio.Event, clock: Clock) -> None:
        """Report how it went, until `stop` is set; no mail waits for that."""
        await _repeat(self.report_once, self._reports, self._ledger.next_untold_at, self._ended, stop, clock)

    async def report_once(self, clock: Clock) -> bool:
        """Report one result. False: there is none now.

        Raises `Unavailable` while the command service is away for it; its turn comes again, after that of others.
        """
        entry = self._ledger.next_untold(await clock.now())
        if entry is None:
            return False
        try:
            await self._report(entry)
        except Unavailable as error:
            raise self._put_off([entry], self._reports, await clock.now(), error) from error
        return True

    async def send_once(self, clock: Clock) -> bool:
        """Bring one mail to its end. False: there is none now.

        Raises `Unavailable` while something is away for it; its turn comes again, after that of others.
        """
        self._write_down(self._unwritten)
        self._ended.set()  # by what was done before, or by the intake
        now = await clock.now()
        if now >= self._prune_at:
            self._ledger.prune(now - KEPT)
            self._prune_at = now + PRUNE_EVERY
        if not self._ledger.next_mail(now) and not self._ledger.ended_ahead():
            return False
        looked = monotonic()  # what the answer tells may be as old
        await self._look()
        entries = self._ledger.next_mail(now)
        if not entries:
            return False
        if entries[0].state == "intended" and self._settings.when_unsure == "never":
            self._ledger.failed(_keys(entries), NOT_KNOWN, permanent=False)
            return True
        wanted = self._still_wanted(entries, now)
        if wanted:
            try:
                await self._try(wanted, clock, looked)
            except Unavailable as error:
                if self._unwritten is not None:
                    raise
                # What expires meanwhile is a failure to tell then, for which nothing is needed that is away.
                expiry = min(each.notification.due.expires_at for each in wanted)
                raise self._put_off(wanted, self._mails, await clock.now(), error, before=expiry) from error
        return True

    def _write_down(self, how_it_went: Callable[[], None] | None) -> None:
        """What a mail server said is known to this process alone until it is in the ledger: before that, nothing else
        is done with mails. Raises `Unavailable`, and is to be tried again."""
        self._unwritten = how_it_went
        if how_it_went is not None:
            how_it_went()
            self._unwritten = None

    def _put_off(
        self,
        entries: Sequence[Entry],
        row: _Row,
        now: datetime,
        error: Unavailable,
        *,
        before: datetime | None = None,
    ) -> PutOff:
        """`now`: after the attempt, which may have taken minutes."""
        times = max(each.in_vain for each in entries)
        longest = LONGEST_PAUSE if row.in_vain >= IN_A_ROW else LONGEST_PUT_OFF
        seconds = min(FIRST_PAUSE * 2 ** min(times, 30), longest)
        until = now + timedelta(seconds=seconds)
        if before is not None:
            # Time has to be left for what is away to come back, and for the mail to be sent then.
            half = max((before - now).total_seconds() / 2, FIRST_PAUSE)
            until = min(until, now + timedelta(seconds=half), before)
        # What another service says of its failure is none of the log's business, where reports are kept.
        self._ledger.put_off(_keys(entries), until, str(error)[:1000] if isinstance(error, ServerAway) else None)
        return PutOff(error, now)

    def _still_wanted(self, entries: Sequence[Entry], now: datetime) -> list[Entry]:
        """Those that are neither withdrawn nor expired; the others have had their end."""
        needless = [each for each in entries if each.withdrawn]
        late = [each for each in entries if each.notification.due.expires_at <= now and each not in needless]
        rest = [each for each in entries if not (each in late or each in needless)]
        unsure = entries[0].state == "intended"
        for each in late:
            why = NOT_KNOWN if unsure else f"{TOO_LATE}{f': {each.why}' if each.why else ''}"
            self._ledger.failed([each.key], why, permanent=False)
        self._end_unsent(_keys(needless), entries[0].state)
        return rest

    def _end_unsent(self, keys: Sequence[str], before: State) -> None:
        if before == "intended":
            self._ledger.failed(keys, NOT_KNOWN, permanent=False)
        else:
            self._ledger.dropped(keys)

    async def _try(self, entries: Sequence[Entry], clock: Clock, looked: float) -> None:
        """`looked`: when the last look began, on the monotonic clock."""
        keys, before = _keys(entries), entries[0].state

        async def look_again() -> None:
            await clock.now()  # read before, if it has to be: what is looked for may be old by then
            await self._look_again(looked)
            now = await clock.now()
            if any(each.notification.due.expires_at <= now for each in entries):
                raise Overtaken

        def on_the_brink() -> None:
            """Nothing is awaited between this and the data."""
            if self._ledger.has_needless(keys):
                raise Overtaken
            self._ledger.intend(keys, mail)

        # A mail that may be with the server keeps its id: by that, servers and readers can tell the double.
        mail = entries[0].mail if before == "intended" else sha256("\n".join(keys).encode()).hexdigest()[:32]
        try:
            message = await self._composer.compose([each.notification for each in entries], mail)
            take_leave = await self._post.send(message, look_again, on_the_brink)
        except Overtaken:
            logger.info("made anew, since something in it was withdrawn, or has expired: %s", ", ".join(keys))
        except (Unavailable, Forked):
            raise
        except Left:
            logger.info("not sent, since the seeker has left: %s", ", ".join(keys))
            for each in entries:
                # Nothing in the log withdraws it: without this, the next process would take it up again.
                self._ledger.leave_out(each.key, each.notification.epoch)
            self._end_unsent(keys, before)
        except (Undeliverable, Refused) as error:
            if error.permanent:
                self._write_down(partial(self._ledger.failed, keys, str(error), permanent=True))
            else:
                self._write_down(partial(self._postpone, entries, before, await clock.now(), str(error)))
        except Unsure as error:
            self._write_down(partial(self._postpone, entries, "intended", await clock.now(), str(error)))
        except Exception as error:
            # A fault in one of them must not hold up the others, nor all mails behind this one.
            logger.exception("no mail could be made of %s", keys)
            self._postpone(
                entries, before, await clock.now(), f"no mail could be made of it: {error!r}", apart=before == "waiting"
            )
        else:
            try:
                self._write_down(partial(self._ledger.sent, keys))  # before anything else is waited for
                logger.info("sent in one mail: %s", ", ".join(keys))
            finally:
                await take_leave()

    async def _look_again(self, looked: float) -> None:
        """Unless the look that began at `looked`, on the monotonic clock, is recent. Raises `Unavailable`."""
        for left in range(LOOKS, -1, -1):
            if monotonic() - looked <= FRESH:
                return
            if left:
                looked = monotonic()
                await self._look()
        raise Unavailable("the history feed tells too slowly what has become needless")

    def _postpone(
        self, entries: Sequence[Entry], state: State, now: datetime, why: str, *, apart: bool = False
    ) -> None:
        delay = DELAYS[min(entries[0].attempts, len(DELAYS) - 1)]
        # Once the last of them has expired there is nothing to try, but a failure to tell.
        until = min(now + delay, max(each.notification.due.expires_at for each in entries))
        logger.warning("tried again at %s: %s: %s", until, ", ".join(_keys(entries)), why)
        self._ledger.postpone(_keys(entries), state, until, why[:1000], apart=apart)

    async def _report(self, entry: Entry) -> None:
        if entry.state == "sent":
            verb, body = "report-delivered", dict[str, Any](channel=CHANNEL)
        else:
            verb, body = "report-failed", {"channel": CHANNEL, "why": entry.why, "permanent": entry.permanent}
        notification = entry.notification
        if not await self._platform.report(notification.tenant, notification.id, verb, body):
            logger.info("%s is not taken for %s: the notification has had another end", verb, entry.key)
        self._ledger.reported(entry.key)


def _keys(entries: Sequence[Entry]) -> list[str]:
    return [each.key for each in entries]


class _NextAt(Protocol):
    def __call__(self, *, fresh: bool = False) -> datetime | None:
        """Raises `Unavailable`."""
        ...


async def _repeat(
    once: Callable[[Clock], Awaitable[bool]],
    row: _Row,
    next_at: _NextAt,
    rung: asyncio.Event,
    stop: asyncio.Event,
    clock: Clock,
) -> None:
    """Do it again and again until `stop` is set: at `next_at`, or when `rung` is set."""
    pause = FIRST_PAUSE
    while not stop.is_set():
        rung.clear()
        try:
            done = await once(clock)
            now = await clock.now()
            following = None if done else next_at()
        except Unavailable as error:
            row.in_vain += 1
            logger.warning("waiting, since something is away: %s", error)
            if row.in_vain >= IN_A_ROW:
                await _first([stop], FIRST_PAUSE)
                seconds = pause - FIRST_PAUSE
                with suppress(Unavailable):
                    if isinstance(error, PutOff) and (fresh_at := next_at(fresh=True)) is not None:
                        # What has not failed yet does not wait for what has.
                        seconds = min(seconds, max((fresh_at - error.at).total_seconds() - FIRST_PAUSE, 0.0))
                await _first([stop, rung], seconds)
                pause = min(2 * pause, LONGEST_PAUSE)
            continue
        if done:
            pause, row.in_vain = FIRST_PAUSE, 0
        else:
            seconds = LOOK if following is None else (following - now).total_seconds()
            await _first([stop, rung], min(max(seconds, 0.0), LOOK))


async def _first(events: Sequence[asyncio.Event], seconds: float) -> None:
    """Wait for one of them, or so many seconds."""
    waiting = [asyncio.create_task(each.wait()) for each in events]
    await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for each in waiting:
        each.cancel()
