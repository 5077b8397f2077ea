"""The projector service's web app: `uvicorn --factory services.projector.app:create_app`."""

from __future__ import annotations

from fastapi import FastAPI

from services.projector.feed.endpoint import create_feed_router
from services.projector.queries import create_router
from services.projector.service import ProjectorService
from services.projector.settings import ProjectorSettings
from shared.clock import Clock, SystemClock
from shared.operations.service import set_up_process

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
    settings = settings or set_up_process(ProjectorSettings, "projector")
    service = ProjectorService(settings)
    app = service.web_app("Kithlog read models", DESCRIPTION)
    app.include_router(
        create_router(
            service.reader, clock=clock or SystemClock(), policies=service.policies, patience=settings.wait_limit
        )
    )
    app.include_router(create_feed_router(service.feed))
    return app
