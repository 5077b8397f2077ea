"""The web app that both services are: correlation, problems, metrics and health around their routes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from time import perf_counter

import structlog
from fastapi import FastAPI
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.ids import new_id
from shared.operations.correlation import MalformedCorrelationId, correlated, correlation_of
from shared.operations.health import Health
from shared.operations.metrics import CONTENT_TYPE, Metrics
from shared.operations.openapi import describe_problems
from shared.operations.problems import problem_of

logger = structlog.get_logger(__name__)

UNLOGGED = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked every few seconds by machines: their answers would bury the other lines."""

_SECRET = re.compile(r"(?<=/calendars/).+?(?=(\.ics)?/?$)", re.IGNORECASE | re.DOTALL)
"""What in a path opens the door to whoever reads it, as the logs' readers may."""

NOTED = "kithlog.noted"
"""Where in a request's scope lies what else its line in the log is to tell: ids, codes and types, nobody's data."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Those that are counted by name: callers may invent others without end."""


def create_web_app(
    *,
    title: str,
    description: str,
    version: str,
    health: Health,
    metrics: Metrics,
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]],
    access_log: bool = True,
) -> FastAPI:
    """An app with `/healthz`, `/readyz`, `/metrics`, `/docs` and `/openapi.json`; the caller adds its own routes.

    Every error that a route raises is answered by its problem document (`problem_of`).
    """
    app = WebApp(title=title, description=description, version=version, lifespan=lifespan, redoc_url=None)
    app.edge = partial(Edge, metrics=metrics, access_log=access_log)

    async def alive() -> Response:
        """Alive: the process answers."""
        return Response(b'{"status":"alive"}', media_type="application/json")

    async def ready() -> Response:
        """Ready: what it stands on answers, and its loops move. 503 when not; `checks` tells why."""
        readiness = await health.look()
        body = json.dumps(readiness.to_dict()).encode()
        return Response(body, 200 if readiness.ready else 503, media_type="application/json")

    async def figures() -> Response:
        """Metrics for Prometheus."""
        return Response(metrics.page(), headers={"Content-Type": CONTENT_TYPE})

    for path, endpoint in {"/healthz": alive, "/readyz": ready, "/metrics": figures}.items():
        app.add_api_route(path, endpoint, methods=["GET"], tags=["operations"], response_class=Response)
    describe_problems(app)
    return app


class WebApp(FastAPI):
    """FastAPI with `Edge` around its routes in place of its own layers.

    Those answer errors, which the edge does, and limit bodies, which the routes that take one do; a command spent a
    tenth of its time in passing through them.
    """

    edge: Callable[[ASGIApp], ASGIApp]

    def build_middleware_stack(self) -> ASGIApp:
        return self.edge(AsyncExitStackMiddleware(self.router))


class Edge:
    """The outermost layer: gives each request its correlation id, answers what nobody caught, measures and logs."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, access_log: bool) -> None:
        self._app, self._metrics, self._access_log = app, metrics, access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = perf_counter(), 0
        scope[NOTED] = noted = dict[str, str]()
        unreadable: MalformedCorrelationId | None = None
        try:
            correlation = correlation_of(scope["headers"])
        except MalformedCorrelationId as error:
            correlation, unreadable = new_id(), error
        named = (b"x-correlation-id", str(correlation).encode())

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), named]
            await send(message)

        scope["correlation_id"] = correlation
        with correlated(correlation):
            try:
                if unreadable is not None:
                    raise unreadable
                await self._app(scope, receive, answer)
            except ClientDisconnect:
                logger.info("caller went away", path=_shown(scope))
            except Exception as error:
                problem = problem_of(error)
                noted["code"] = problem.code
                if problem.status == 500:
                    logger.error("request failed", path=_shown(scope), exc_info=error)
                if status:  # the answer has begun: all that is left is to break it off
                    raise
                await problem.to_response()(scope, receive, answer)
            finally:
                self._note(scope, status, perf_counter() - began)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in METHODS else "other"
        self._metrics.requests.labels(method, status).observe(seconds)
        if self._access_log and scope["path"] not in UNLOGGED:
            if (tenant := scope.get("path_params", {}).get("tenant")) is not None:
                scope[NOTED].setdefault("tenant", tenant)
            logger.info(
                "answered",
                method=scope["method"],
                path=_shown(scope),
                status=status,
                milliseconds=round(seconds * 1000, 2),
                **scope[NOTED],
            )


def _shown(scope: Scope) -> str:
    """The path as logs may hold it: a path's secret, such as a calendar's, opens the door to whoever reads it."""
    path: str = scope["path"]
    return _SECRET.sub("…", path)  # by the path alone: one that is slightly off holds a secret that is valid, too
