"""The delivery service put together: a consumer that writes down what falls due, a desk that sends it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, closing
from datetime import timedelta
from typing import Literal

from deploy.delivery.clock import Clock, LogClock
from deploy.delivery.desk import Desk
from deploy.delivery.intake import ENDING, Intake
from deploy.delivery.ledger import Ledger
from deploy.delivery.needless import Needless
from deploy.delivery.platform import Platform
from deploy.delivery.post import Post
from deploy.delivery.settings import DeliverySettings, Services
from shared.client import Consumer, FileStore, HttpHistory, Patterns, Rules, Wiring


def queue_of(tenant: str) -> str:
    """One for each set of notifications: two processes on one queue would take each other's."""
    return "kithlog.delivery" if tenant == "*" else f"kithlog.delivery.{tenant}"


def ending(tenant: str) -> Patterns:
    """What ends notifications of a tenant, or of all, that are undelivered."""
    return Patterns(tuple(f"{tenant}.notification.{event}" for event in ENDING))


def rules(tenant: str, begin: Literal["first", "now"] = "now") -> Rules:
    """What is consumed: the notifications of a tenant, or of all (`*`)."""
    return Rules(Patterns(tuple(f"{tenant}.notification.{event}" for event in ("due", *ENDING))), begin)


class NoWayBack(ValueError):
    """The service was told of a restore that it knows already, or that concerns nothing that it has seen."""


async def go_back(settings: DeliverySettings, position: int, epoch: int) -> None:
    """Put the mark to where a restored log goes on: only what had been seen from beyond that is to be seen anew.

    Raises `NoWayBack` where there is no mark, or one of that epoch or a later one already; `BlockingIOError` while the
    service runs.
    """
    path = settings.state / "mark.json"
    if not path.exists():
        raise NoWayBack(f"{path} is not there: nothing was seen, so there is nothing to go back from")
    with closing(FileStore(path)) as store:
        mark = await store.load()
        assert mark is not None
        if epoch <= mark.epoch:
            raise NoWayBack(f"{path} is of epoch {mark.epoch}: name the later one that `kithlog log fork` told")
        async with store.unit() as unit:
            await unit.save(mark.back_to(position, epoch).saved())


async def run(
    services: Services,
    settings: DeliverySettings,
    post: Post,
    stop: asyncio.Event,
    *,
    clock: Clock | None = None,
    begin: Literal["first", "now"] = "now",
) -> None:
    """Deliver until `stop` is set; it is set, too, when one part fails, so that the others end in order. `begin`: see
    `Rules.begin`.

    Only one process may use `settings.state` at a time. Raises `BlockingIOError` when another does, `OSError` and
    `Unavailable` when that folder can't be used at the start, and what `Consumer.run` raises.
    """
    settings.state.mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        store = stack.enter_context(closing(FileStore(settings.state / "mark.json")))
        ledger = stack.enter_context(closing(Ledger(settings.state / "mails.db")))
        if (mark := await store.load()) is not None:
            ledger.forget_abandoned(mark.epoch, mark.top)  # where the mark was set back to after a restore
        platform = await stack.enter_async_context(Platform(services.command_url, services.projector_url))
        history = await stack.enter_async_context(HttpHistory(services.projector_url))
        clock = clock or LogClock(history)
        rung = asyncio.Event()
        intake = Intake(ledger, clock, timedelta(seconds=settings.gather), rung.set)
        needless = Needless(history, ending(settings.tenant), store, ledger)
        desk = Desk(settings, platform, post, ledger, needless.look, rung)
        wiring = Wiring(services.amqp_url, queue_of(settings.tenant))
        consumer = Consumer(wiring, rules(settings.tenant, begin), intake.handlers(), store, history)
        parts = [
            asyncio.create_task(part) for part in (consumer.run(stop), desk.send(stop, clock), desk.report(stop, clock))
        ]
        for part in parts:
            part.add_done_callback(lambda _: stop.set())
        await asyncio.wait(parts)
        for part in parts:
            part.result()
