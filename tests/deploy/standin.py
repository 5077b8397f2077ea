"""The smallest services that the launcher can start: they answer every request, or refuse to be ready."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Any

Send = Callable[[dict[str, Any]], Awaitable[None]]
App = Callable[[dict[str, Any], Callable[[], Awaitable[dict[str, Any]]], Send], Awaitable[None]]


def _answering(body: bytes) -> App:
    async def app(scope: dict[str, Any], receive: Callable[[], Awaitable[dict[str, Any]]], send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    return app


def create_app() -> App:
    """Answers everything with the database URL that it was given."""
    return _answering(os.environ.get("KITHLOG_DATABASE_URL", "").encode())


def create_broken_app() -> App:
    raise RuntimeError("the stand-in cannot start")
