"""The command service's web app: `uvicorn --factory services.command.app:create_app`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.routing import Route

from services.command.bulk import BULK_PATH, BulkEndpoint
from services.command.http import CommandRoutes
from services.command.openapi import describe
from services.command.service import CommandService
from shared.clock import Clock
from shared.operations.garbage import spare_collections
from shared.operations.logging import configure_logging
from shared.operations.settings import CommandSettings, of_this_process
from shared.operations.variables import warn_of_unread
from shared.operations.web import create_web_app

DESCRIPTION = """\
Commands in, events out. Every accepted command is durable and answers with the position that it wrote.

Errors are RFC 9457 problem documents: `code` is stable, `remedy` says what would be right, `field` names the culprit.
Repeat a command with its `Idempotency-Key` whenever you don't know how it ended: you get its first answer.
"""


def create_app(settings: CommandSettings | None = None, *, clock: Clock | None = None) -> FastAPI:
    """The app, composed but not started: that its lifespan does.

    Without `settings` it is taken to be a process of its own: they are read from the environment, and logging and
    garbage collection are set up accordingly; settings that can't be used end it with a message.
    """
    if settings is None:
        settings = of_this_process(CommandSettings)
        configure_logging(settings.log_level, settings.log_format, service="command")
        warn_of_unread()
        spare_collections()
    service = CommandService(settings, clock)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with service.running():
            yield

    app = create_web_app(
        title="Kithlog commands",
        description=DESCRIPTION,
        version="1",
        health=service.health,
        metrics=service.metrics,
        lifespan=lifespan,
        access_log=settings.access_log,
    )
    app.state.gate = service.gate
    bulk: Any = BulkEndpoint(service.gate, service.metrics, settings)
    # First, because routes are tried in their order.
    app.router.routes[:0] = [
        *CommandRoutes(service.gate, service.metrics, settings).routes(),
        Route(BULK_PATH, bulk, methods=["POST"]),
    ]
    describe(app)
    return app
