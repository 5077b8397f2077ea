"""The command service's web app: `uvicorn --factory services.command.app:create_app`."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from starlette.routing import Route

from services.command.bulk import BULK_PATH, BulkEndpoint
from services.command.http import CommandRoutes
from services.command.openapi import describe
from services.command.service import CommandService
from services.command.settings import CommandSettings
from shared.clock import Clock
from shared.operations.service import set_up_process

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
    settings = settings or set_up_process(CommandSettings, "command")
    service = CommandService(settings, clock)
    app = service.web_app("Kithlog commands", DESCRIPTION)
    app.state.gate = service.gate
    bulk: Any = BulkEndpoint(service.gate, service.metrics, settings)
    # First, because routes are tried in their order.
    app.router.routes[:0] = [
        *CommandRoutes(service.gate, service.metrics, settings).routes(),
        Route(BULK_PATH, bulk, methods=["POST"]),
    ]
    describe(app)
    return app
