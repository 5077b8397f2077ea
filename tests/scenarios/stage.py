"""A stage for stories: both services on real servers, reached over HTTP alone, and a clock that the story moves.

Time stands still until the story moves it. On the way to a later moment everything that falls due is fired at its own
time, one after the other, as it would be by a projector that runs all along.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

import aio_pika
import asyncpg
import httpx
from fastapi import FastAPI

from deploy.demo.consumer import Heard, listening
from services.command.app import create_app as create_command_app
from services.command.settings import CommandSettings
from services.projector.app import create_app as create_projector_app
from services.projector.firing.firing import Firing, FiringSession
from services.projector.settings import ProjectorSettings
from shared.broker import topology
from shared.domain.identity import relationship_id
from shared.timing.policies import default_policies
from tests.database_clock import set_database_clock

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

TENANT = "career-centre"
PATIENCE = 30.0
"""Seconds after which a story that waits for its broker, or for the fold, gives up: not a measure, a way out."""
Told = tuple[str, str, str]
"""Kind, stage, and the wall clock of the recipient when it was fired."""


class StoryClock:
    """The time by which the services judge; the database's own is set with it."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at


class Stage:
    """What a platform can do: send commands and ask, at a time and in a time zone of the story's choosing."""

    def __init__(
        self,
        clock: StoryClock,
        zone: str,
        owner: Connection,
        firing: FiringSession,
        commands: httpx.AsyncClient,
        queries: httpx.AsyncClient,
        heard: Heard,
    ) -> None:
        self._clock, self._zone = clock, ZoneInfo(zone)
        self._owner, self._firing = owner, firing
        self._commands, self._queries, self._heard = commands, queries, heard
        self.position = 0

    def instant(self, local: str) -> datetime:
        """`2026-03-02 10:00` on the seeker's wall clock, as an instant."""
        return datetime.fromisoformat(local).replace(tzinfo=self._zone).astimezone(UTC)

    def local(self, at: datetime | str) -> str:
        """An instant on the seeker's wall clock, to the minute."""
        at = datetime.fromisoformat(at) if isinstance(at, str) else at
        return at.astimezone(self._zone).strftime("%Y-%m-%d %H:%M")

    async def until(self, local: str) -> None:
        """Let time pass until that wall clock; what falls due on the way is fired when it does."""
        moment = self.instant(local)
        while (due := await self._next_due()) is not None and due <= moment:
            await self._set_clock(max(due, self._clock.at))
            fired = await self._firing.run_once()
            assert not fired.held, "everything was folded before"
            await self._folded()
        await self._set_clock(moment)

    async def do(self, what: str, id: UUID, body: Any = None, *, at: str | None = None) -> dict[str, Any]:
        """`do("interviews/send-request", id, {...})`; `at`: the wall clock when it happened, if not now."""
        answer = await self._post(what, id, body, at)
        assert answer.is_success, f"{what}: {answer.text}"
        accepted: dict[str, Any] = answer.json()
        self.position = max(self.position, accepted["position"])
        await self._folded()
        return accepted

    async def between(self, seeker: UUID, contact: UUID, verb: str, body: Any = None) -> dict[str, Any]:
        """A command to the relationship of the two."""
        pair = {"seeker_id": str(seeker), "contact_id": str(contact)}
        return await self.do(f"relationships/{verb}", relationship_id(seeker, contact), pair | (body or {}))

    async def refused(self, what: str, id: UUID, body: Any, code: str) -> dict[str, Any]:
        """The refusal of a command, which must be one, with this code; nothing was written."""
        before = await self._head()
        answer = await self._post(what, id, body, None)
        problem: dict[str, Any] = answer.json()
        assert (answer.is_client_error, problem.get("code")) == (True, code), answer.text
        assert problem["remedy"]
        assert await self._head() == before
        return problem

    async def ask(self, path: str, **parameters: Any) -> Any:
        """What a read model answers, everything so far taken into account: the items of a page, or the one item."""
        answer = await self.get(path, **parameters)
        found = answer.json()
        return found["items"] if "items" in found else found.get("item", found)

    async def get(self, path: str, **parameters: Any) -> httpx.Response:
        answer = await self.look(path, **parameters)
        assert answer.is_success, f"{path}: {answer.text}"
        return answer

    async def look(self, path: str, **parameters: Any) -> httpx.Response:
        """What is answered, be it that there is nothing."""
        return await self._queries.get(
            f"/v1/tenants/{TENANT}{path}", params={"min_position": await self._head(), **parameters}
        )

    async def calendar(self, seeker: UUID, secret: str) -> str:
        """The feed as calendar programs ask for it: they name no position. Whatever was done is folded by then."""
        answer = await self._queries.get(f"/v1/tenants/{TENANT}/seekers/{seeker}/calendars/{secret}.ics")
        assert answer.is_success, answer.text
        return answer.text

    async def events(self, types: str, id: UUID | None = None) -> list[dict[str, Any]]:
        """CloudEvents of the history feed, of these types, of one stream where `id` is given."""
        found: list[dict[str, Any]] = []
        position = head = -1
        while position < head or head < 0:
            after = max(position, 0)
            answer = await self._queries.get("/v1/events", params={"after": after, "types": types, "tenant": TENANT})
            assert answer.is_success, answer.text
            position, head = int(answer.headers["Kithlog-Position"]), int(answer.headers["Kithlog-Head"])
            found += [json.loads(line) for line in answer.text.splitlines()]
        return [event for event in found if id is None or event["subject"].endswith(str(id))]

    async def types(self, id: UUID, category: str) -> list[str]:
        """What happened to one stream, in order, without the category."""
        return [event["type"].split(".")[2] for event in await self.events(f"{category}.*", id)]

    async def told(self, *kinds: str, role: str = "seeker") -> list[Told]:
        """Everything of some kinds that fell due for a role so far, in the order of firing."""
        due = [event["data"] | {"at": event["time"]} for event in await self.events("notification.due")]
        return [
            (data["kind"], data["stage"], self.local(data["at"]))
            for data in due
            if data["recipient"]["role"] == role and (not kinds or data["kind"] in kinds)
        ]

    async def silenced(self, *kinds: str) -> list[tuple[str, str, str, str]]:
        """What of some kinds was not told: kind, stage, reason and because of what, in alphabetical order."""
        data = [event["data"] for event in await self.events("notification.withdrawn")]
        return sorted(
            (each["kind"], stage, each["reason"], each["because"])
            for each in data
            if each["kind"] in kinds
            for stage in (each["stage"], *(other["stage"] for other in each["others"]))
        )

    async def stored(self) -> str:
        """All that is kept for readers: rows with what they are found by, timers, and what waits."""
        found = await self._owner.fetch(
            "SELECT concat(r) AS text FROM read.row r UNION ALL SELECT concat(t) FROM read.timer t"
            " UNION ALL SELECT concat(p) FROM read.parked p"
        )
        return "\n".join(row["text"] for row in found)

    async def nothing_twice(self) -> None:
        """What a delivery service heard from the broker is what the log tells: each notification once, in order."""
        due = [event["id"] for event in await self.events("notification.due")]
        assert await self._heard.until(lambda: len(self._heard.due) >= len(due), seconds=PATIENCE)
        heard = [event["id"] for event in self._heard.due]
        # At least once on the wire: a repeated message has the same id, and is the same notification.
        assert list(dict.fromkeys(heard)) == due
        keys = [event["data"]["dedupe_key"] for event in self._heard.due]
        assert len(set(keys)) == len(due)

    async def _post(self, what: str, id: UUID, body: Any, at: str | None) -> httpx.Response:
        category, _, verb = what.partition("/")
        happened = {} if at is None else {"occurred_at": self.instant(at).isoformat()}
        key = uuid5(id, f"{what} {self._clock.at} {json.dumps(body, sort_keys=True, default=str)}")
        return await self._commands.post(
            f"/v1/tenants/{TENANT}/{category}/{id}/{verb}",
            params=happened,
            content=b"" if body is None else json.dumps(body, default=str),
            headers={"Content-Type": "application/json", "Idempotency-Key": str(key)},
        )

    async def _set_clock(self, moment: datetime) -> None:
        assert moment >= self._clock.at, f"{moment} has passed"
        await set_database_clock(self._owner, moment)
        self._clock.at = moment

    async def _next_due(self) -> datetime | None:
        due: datetime | None = await self._owner.fetchval("SELECT min(due_at) FROM read.timer")
        return due

    async def _head(self) -> int:
        head: int = await self._owner.fetchval("SELECT position FROM log.head")
        return head

    async def _folded(self) -> None:
        """Wait until the projector has folded all that is in the log."""
        await self.get("/programmes", limit=1)


@asynccontextmanager
async def staged(database_url: str, amqp_url: str, zone: str, local: str) -> AsyncIterator[Stage]:
    """Both services, started; it is `local` on the wall clock of `zone`, where the seeker lives."""
    begin = datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    clock = StoryClock(begin)
    async with AsyncExitStack() as stack:
        owner = await asyncpg.connect(database_url)
        stack.push_async_callback(owner.close)
        await set_database_clock(owner, begin)
        command = create_command_app(
            CommandSettings(database_url=database_url, amqp_url=amqp_url, access_log=False), clock=clock
        )
        projector = create_projector_app(
            ProjectorSettings(
                database_url=database_url,
                amqp_url=amqp_url,
                fire=False,
                poll_interval=0.2,
                wait_limit=PATIENCE,
                access_log=False,
            ),
            clock=clock,
        )
        await _declare(amqp_url)
        commands = await stack.enter_async_context(_serving(command))
        queries = await stack.enter_async_context(_serving(projector))
        heard = await stack.enter_async_context(listening(amqp_url, TENANT))
        firing = Firing(database_url, default_policies())
        session = await stack.enter_async_context(firing.session())
        yield Stage(clock, zone, owner, session, commands, queries, heard)


@asynccontextmanager
async def _serving(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://kithlog", timeout=PATIENCE) as client,
    ):
        async with asyncio.timeout(PATIENCE):
            await _ready(client)
        yield client


async def _ready(client: httpx.AsyncClient) -> None:
    while True:
        if (await client.get("/readyz")).is_success:
            return
        await asyncio.sleep(0.02)


async def _declare(amqp_url: str) -> None:
    """The exchange, so that a delivery service can be bound to it before anything is published."""
    connection = await aio_pika.connect(amqp_url)
    async with connection:
        await topology.declare(await connection.channel())
