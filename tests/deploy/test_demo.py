"""The demo on a machine that is slow."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from uuid import UUID

import pytest
from fastapi import FastAPI, Response

from deploy.delivery.post import Post
from deploy.delivery.settings import DeliverySettings, Services
from deploy.demo.__main__ import play
from deploy.demo.mails import mailing
from deploy.demo.platform import InVain, Platform
from tests.contract.conftest import served


@pytest.fixture
def app() -> FastAPI:
    app = FastAPI()
    statuses: dict[str, Iterator[int]] = {"slow": iter([503, 503, 200]), "never": iter(lambda: 503, None)}

    @app.get("/v1/tenants/acme/{path}")
    async def answer(path: str) -> Response:
        return Response("{}", next(statuses[path]), media_type="application/json")

    return app


async def test_what_is_not_visible_yet_is_asked_for_again(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a projector that is behind, then it is asked until it is not, and given up when that takes too long."""
    monkeypatch.setattr("deploy.demo.platform.A_MOMENT", 0.01)
    async with served(app) as url, Platform(url, url, "acme", UUID(int=1)) as platform:
        assert await platform.ask("/slow") == {}
        monkeypatch.setattr("deploy.demo.platform.PATIENCE", 0.1)
        with pytest.raises(InVain, match="the projector has not seen position 0"):
            await platform.ask("/never")


async def test_mails_are_sent_of_all_that_there_is_of_the_tenant(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a delivery that comes to the log late, then what fell due by then is mailed all the same."""
    begins: list[str] = []

    async def run(
        services: Services, settings: DeliverySettings, post: Post, stop: asyncio.Event, *, begin: str = "now"
    ) -> None:
        begins.append(begin)
        await stop.wait()

    async def remove(amqp_url: str, queue: str) -> None:
        pass

    monkeypatch.setattr("deploy.demo.mails.run", run)
    monkeypatch.setattr("deploy.demo.mails._remove", remove)
    async with mailing("acme"):
        await asyncio.sleep(0)
    assert begins == ["first"]


async def test_a_demo_that_is_told_twice_to_end_removes_what_it_has_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given SIGTERM, and another while it removes its queues, then it goes on with that."""
    begun, removing, removed = asyncio.Event(), asyncio.Event(), False

    async def main() -> int:
        nonlocal removed
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            removing.set()
            for _ in range(5):
                await asyncio.sleep(0.02)
            removed = True
        return 0

    monkeypatch.setattr("deploy.demo.__main__.main", main)
    playing = asyncio.create_task(play())
    for at in (begun, removing):
        await at.wait()
        os.kill(os.getpid(), signal.SIGTERM)
    assert (await playing, removed) == (128 + signal.SIGTERM, True)


async def test_a_cancellation_is_not_taken_for_a_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given what somebody else has cancelled, or a client library has of its own accord, then no end is told that was
    asked for."""

    async def main() -> int:
        raise asyncio.CancelledError

    monkeypatch.setattr("deploy.demo.__main__.main", main)
    with pytest.raises(asyncio.CancelledError):
        await play()
