"""The projector service's web app: `uvicorn --factory services.projector.app:create_app`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from services.projector.feed.endpoint import create_feed_router
from services.projector.queries import create_router
from services.projector.service import ProjectorService
from shared.clock import Clock, SystemClock
from shared.operations.garbage import spare_collections
from shared.operations.logging import configure_logging
from shared.operations.settings import ProjectorSettings, of_this_process
from shared.operations.variables import warn_of_unread
from shared.operations.web import create_web_app

DESCRIPTION = """\
What was folded from the log: pipelines, timelines, what will be due and what was.

Every answer tells by `position` of which point of the log it is. Give the position that a command was answered with as
`min_position` to read your own writes. Errors are RFC 9457 problem documents.
"""


def create_app(settings: ProjectorSettings | None = None, *, clock: Clock | None = None) -> FastAPI:
    """The app, composed but not started: that its lifespan does.

    Without `settings` it is taken to be a process of its own: they are read from the environment, and logging and
    garbage collection are set up accordingly; settings that can't be used end it with a message. `clock` says what
    queries about the future count from; timers fire by PostgreSQL's (`log.now()`).
    """
    if settings is None:
        settings = of_this_process(ProjectorSettings)
        configure_logging(settings.log_level, settings.log_format, service="projector")
        warn_of_unread()
        spare_collections()
    service = ProjectorService(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with service.running():
            yield

    app = create_web_app(
        title="Kithlog read models",
        description=DESCRIPTION,
        version="1",
        health=service.health,
        metrics=service.metrics,
        lifespan=lifespan,
        access_log=settings.access_log,
    )
    app.include_router(
        create_router(
            service.reader, clock=clock or SystemClock(), policies=service.policies, patience=settings.wait_limit
        )
    )
    app.include_router(create_feed_router(service.feed))
    return app
