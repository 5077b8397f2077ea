"""A delivery service without broker and platform, and the events that it gets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import httpx

from deploy.delivery.desk import Desk
from deploy.delivery.intake import Intake
from deploy.delivery.ledger import Ledger
from deploy.delivery.mailbox import Mailbox
from deploy.delivery.needless import Needless
from deploy.delivery.platform import Platform
from deploy.delivery.post import Post
from deploy.delivery.service import ending, rules
from deploy.delivery.settings import DeliverySettings
from shared.client import Incoming, MemoryStore
from shared.client.testing import MemoryHistory, Trial, an_event

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SEEKER, THEO, TALK, COACH, LEAD = (f"00000000-0000-4000-8000-00000000000{n}" for n in range(1, 6))


def a_due(
    position: int = 1,
    kind: str = "thank_you",
    stage: str = "due",
    role: str = "seeker",
    epoch: int = 1,
    **data: Any,
) -> Incoming:
    fields = {
        "kind": kind,
        "stage": stage,
        "urgency": "normal",
        "recipient": {"role": role, "id": COACH if role == "coach" else SEEKER, "time_zone": "Europe/Lisbon"},
        "seeker_id": SEEKER,
        "contact_ids": [THEO],
        "interview_id": TALK,
        "dedupe_key": f"key-{position}",
        "group_key": "maya:2026-03-02",
        "cancellation_key": "thank_you:talk:1",
        "expires_at": (NOON + timedelta(days=1)).isoformat(),
    }
    return an_event("notification.due", {**fields, **data}, position=position, epoch=epoch)


def a_withdrawal(position: int, reason: str = "withdrawn", key: str = "thank_you:talk:1", epoch: int = 1) -> Incoming:
    data = {"cancellation_key": key, "reason": reason}
    return an_event("notification.withdrawn", data, position=position, epoch=epoch)


def an_acknowledgement(position: int, how: str, key: str = "thank_you:talk:1") -> Incoming:
    return an_event("notification.acknowledged", {"cancellation_key": key, "how": how}, position=position)


def a_snooze(position: int, notification: str) -> Incoming:
    until = {"until": (NOON + timedelta(hours=4)).isoformat()}
    data = {"cancellation_key": "thank_you:talk:1", **until}
    return an_event("notification.snoozed", data, position=position, subject=notification)


def a_problem(status: int, code: str) -> httpx.Response:
    return httpx.Response(status, headers={"content-type": "application/problem+json"}, json={"code": code})


@dataclass
class Kithlog:
    """Both services, as this one sees them."""

    seeker: dict[str, Any] = field(default_factory=lambda: {"name": "Maya <b>", "email": "maya@example.org"})
    notes: list[Any] = field(default_factory=list)
    lead: dict[str, Any] = field(default_factory=dict)
    programmes: list[Any] = field(default_factory=list)
    """One on each page."""
    reports: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    away: bool = False
    refusing: str | None = None
    """What is asked for in vain: a kind of thing, or the notebook."""
    instead: Callable[[httpx.Request], httpx.Response | None] = lambda request: None
    """What is answered to a request in the services' place."""

    def answer(self, request: httpx.Request) -> httpx.Response:
        if (answer := self.instead(request)) is not None:
            return answer
        *_, kind, last = request.url.path.split("/")
        if request.method == "POST":
            if self.away:
                return httpx.Response(503)
            self.reports.append((last, json.loads(request.content)))
            return httpx.Response(201, json={"position": 1})
        if self.refusing in (kind, last):
            return a_problem(422, "invalid_input")
        if last == "notebook":
            return httpx.Response(200, json={"items": self.notes})
        if last == "programmes":
            number = int(request.url.params.get("after", 0))
            following = str(number + 1) if number + 1 < len(self.programmes) else None
            return httpx.Response(200, json={"items": self.programmes[number : number + 1], "next": following})
        found = {
            "seekers": self.seeker,
            "contacts": {"name": "Theo Adeyemi"},
            "leads": self.lead,
            "interviews": {
                "about": "agency work",
                "contacts": [{"name": "Dora Lindt"}, {"name": None}],
                "starts_at": "2026-03-02T09:00:00Z",
                "time_zone": "Europe/Lisbon",
            },
        }
        return httpx.Response(200, json={"item": found[kind]})


class Killed(BaseException):
    """The process ends."""


class Clock:
    def __init__(self) -> None:
        self.instant = NOON

    async def now(self) -> datetime:
        return self.instant


class Office:
    """A delivery service on a fresh ledger, with a mailbox for a mail server."""

    def __init__(self, folder: Path, mailbox: Mailbox) -> None:
        self.kithlog, self.mailbox, self.folder = Kithlog(), mailbox, folder
        self.ledger = Ledger(folder / "mails.db")
        self.port = mailbox.port
        self.clock = Clock()
        self.when_unsure: Literal["never", "again"] = "never"
        self.gather = timedelta()
        self.store = MemoryStore()
        """Where the consumer would keep its mark."""
        self.rung = asyncio.Event()
        """Set when something was written down that is to be sent."""
        self.history = MemoryHistory()
        """The history feed, whatever the broker has brought of it."""
        self.coaches = {UUID(COACH): "coach@example.org"}

    async def take(self, *events: Incoming) -> Trial[None]:
        """What the broker brings is written down, by a process that has seen nothing yet."""
        intake = Intake(self.ledger, self.clock, self.gather, self.rung.set)
        trial = Trial(intake.handlers(), rules=rules("*"))
        await trial.give(*events)
        return trial

    def desk(self) -> Desk:
        """Of a process that has just started."""
        self.ledger.close()
        self.ledger = Ledger(self.folder / "mails.db")
        settings = DeliverySettings(state=self.folder, when_unsure=self.when_unsure, coaches=self.coaches)
        transport = httpx.MockTransport(self.kithlog.answer)
        platform = Platform("http://commands", "http://queries", transport=transport)
        needless = Needless(self.history, ending("*"), self.store, self.ledger)
        post = Post("127.0.0.1", self.port)
        return Desk(settings, platform, post, self.ledger, needless.look, self.rung)

    async def work(self) -> None:
        """A process that has just started does all that there is to do now."""
        desk = self.desk()
        while await desk.report_once(self.clock) or await desk.send_once(self.clock):
            pass

    async def work_again(self, after: timedelta) -> None:
        """The same some time later, with the mail server that takes every mail."""
        self.port = self.mailbox.port
        self.clock.instant += after
        await self.work()

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """A process that has just started goes on until it is told to stop, and must not fail."""
        desk, stop = self.desk(), asyncio.Event()
        tasks = [asyncio.create_task(part(stop, self.clock)) for part in (desk.send, desk.report)]
        try:
            yield
        finally:
            stop.set()
            await asyncio.gather(*tasks)

    @property
    def log(self) -> list[Incoming]:
        """What the history feed has."""
        return self.history.events

    @log.setter
    def log(self, events: list[Incoming]) -> None:
        self.history.events = events

    async def deliver(self, *events: Incoming) -> None:
        await self.take(*events)
        await self.work()
