"""The delivery service as a process, ended by SIGKILL at each place where that could cost a mail or double it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import httpx
import pytest
from aio_pika.abc import AbstractChannel
from aiosmtpd.smtp import SMTP, Envelope, Session
from fastapi import FastAPI, Request, Response

from deploy.delivery.mailbox import Mailbox
from shared.client import Incoming
from shared.client.testing import MemoryHistory
from tests.client.messages import PATIENCE, publish
from tests.contract.conftest import served
from tests.delivery.office import Kithlog, a_due

Place = Literal["addressing", "taken", "answered", "leaving", "reporting", "nowhere"]


@dataclass
class Trap:
    """Holds the process at a place, and says when it is there."""

    place: Place
    there: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def passing(self, place: Place) -> None:
        if place == self.place:
            self.there.set()
            await self.go_on.wait()


class Server(Mailbox):
    """A mail server that keeps what it takes, and stops the other side where the trap is."""

    def __init__(self, trap: Trap) -> None:
        super().__init__()
        self.trap = trap
        self.has_answered = asyncio.Event()

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        await self.trap.passing("addressing")
        envelope.mail_from = address
        return "250 yes"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        answer = await super().handle_DATA(server, session, envelope)
        await self.trap.passing("taken")
        if self.trap.place == "answered":
            await self.trap.passing("answered")
            await server.push(answer)
            self.has_answered.set()
            await asyncio.Event().wait()
        return answer

    async def handle_QUIT(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        await self.trap.passing("leaving")
        return "221 bye"


class Surroundings:
    """What the process talks to: a mail server, both services, a history."""

    def __init__(self, mails: Server) -> None:
        self.mails, self.trap = mails, mails.trap
        self.kithlog = Kithlog()
        self.history = MemoryHistory()
        self.asked, self.told = asyncio.Event(), asyncio.Event()
        """Asked for what it missed: its queue is bound by then, and it knows where it begins. Told of a delivery."""
        self.keys: dict[str, set[str | None]] = {}
        """Idempotency keys of each report, those of requests that were never answered included."""
        self.app = FastAPI()
        self.app.get("/v1/events")(self._events)
        self.app.api_route("/{path:path}", methods=["GET", "POST"])(self._answer)

    async def record(self, channel: AbstractChannel, event: Incoming) -> None:
        self.history.events.append(event)
        await publish(channel, event)

    async def _events(self, after: int = 0, limit: int = 500) -> Response:
        if limit > 1:
            self.asked.set()
        page = await self.history.page(after)
        place = {
            "kithlog-position": page.position,
            "kithlog-head": page.head,
            "kithlog-epoch": page.epoch,
            "kithlog-time": page.time,
        }
        headers = {name: str(value) for name, value in place.items()}
        return Response(b"".join(line + b"\n" for line in page.events), headers=headers)

    async def _answer(self, request: Request) -> Response:
        if request.method == "POST":
            self.keys.setdefault(request.url.path, set()).add(request.headers.get("idempotency-key"))
            await self.trap.passing("reporting")
        asked = httpx.Request(request.method, str(request.url), content=await request.body())
        answer = self.kithlog.answer(asked)
        if request.method == "POST":
            self.told.set()
        return Response(answer.content, answer.status_code, media_type=answer.headers["content-type"])


@asynccontextmanager
async def process(environment: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy.delivery"),
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(PATIENCE):
            yield running
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()


async def kill(running: asyncio.subprocess.Process, surroundings: Surroundings) -> None:
    """SIGKILL at the trap. `answered`: it stands still until the server's answer is on its side of the connection, and
    never reads it.
    """
    trap = surroundings.trap
    await trap.there.wait()
    if trap.place == "answered":
        running.send_signal(signal.SIGSTOP)
        trap.go_on.set()
        await surroundings.mails.has_answered.wait()
    running.send_signal(signal.SIGKILL)
    assert await running.wait() == -signal.SIGKILL
    trap.place = "nowhere"
    trap.go_on.set()


@pytest.mark.parametrize(
    ("place", "when_unsure", "mails", "report"),
    [
        ("addressing", "never", 1, "report-delivered"),
        ("taken", "never", 1, "report-failed"),
        ("taken", "again", 2, "report-delivered"),
        ("answered", "never", 1, "report-failed"),
        ("answered", "again", 2, "report-delivered"),
        ("leaving", "never", 1, "report-delivered"),
        ("reporting", "never", 1, "report-delivered"),
        ("reporting", "again", 1, "report-delivered"),
    ],
)
async def test_killed_at_any_place_it_sends_no_mail_twice_that_it_knows_of(
    place: Place,
    when_unsure: str,
    mails: int,
    report: str,
    amqp_url: str,
    channel: AbstractChannel,
    tmp_path: Path,
) -> None:
    """Given a process killed before the mail's data went out, or after its own record of the server's answer, when the
    next one goes on, then the mail was sent once. Given one killed between: it can't know; then it sends none and says
    so, or, told to, the same under the same `Message-ID`. The broker brings the event once more in any case. All of it
    on a day that is long past by this machine's clock, and is today by the log's.
    """
    mailbox = Server(Trap(place))
    surroundings = Surroundings(mailbox)
    async with mailbox.open(), served(surroundings.app) as url:
        environment = {
            "KITHLOG_AMQP_URL": amqp_url,
            "KITHLOG_COMMAND_URL": url,
            "KITHLOG_PROJECTOR_URL": url,
            "KITHLOG_DELIVERY_SMTP_HOST": "127.0.0.1",
            "KITHLOG_DELIVERY_SMTP_PORT": str(mailbox.port),
            "KITHLOG_DELIVERY_STATE": str(tmp_path / "state"),
            "KITHLOG_DELIVERY_WHEN_UNSURE": when_unsure,
            "KITHLOG_DELIVERY_GATHER": "0",
        }
        first_time, once_more, another = (
            a_due(position, dedupe_key=key) for position, key in enumerate(("one", "one", "other"), 1)
        )
        async with process(environment) as first:
            await surroundings.asked.wait()
            await surroundings.record(channel, first_time)
            await kill(first, surroundings)
        await publish(channel, first_time)
        await surroundings.record(channel, once_more)
        async with process(environment) as second:
            await surroundings.told.wait()
            await surroundings.record(channel, another)
            await mailbox.has(mails + 1, seconds=PATIENCE)
            second.terminate()
            assert await second.wait() == 0
    ids = [mail["Message-ID"] for mail in mailbox.mails]
    assert (len(ids), len(set(ids))) == (mails + 1, 2), "the other one was sent after all that concerned this one"
    assert surroundings.kithlog.reports[0][0] == report
    assert all(len(keys) == 1 for keys in surroundings.keys.values()), surroundings.keys


async def test_without_a_mail_server_nothing_is_reported() -> None:
    """Given no mail server, then the service does not start, rather than report as delivered what nobody gets."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KITHLOG_")}
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy.delivery"), env=environment, stderr=asyncio.subprocess.PIPE
    )
    _, told = await running.communicate()
    assert running.returncode == 1
    assert "KITHLOG_DELIVERY_SMTP_HOST: name the mail server" in told.decode()
