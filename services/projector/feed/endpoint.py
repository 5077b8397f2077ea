"""`GET /v1/events`: as lines, or as a stream of server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Header, Query
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from services.projector.feed.asking import LAST, Ask
from services.projector.feed.feed import Feed
from shared.broker.cloudevents import encode
from shared.log.history import HistoryPage
from shared.operations.openapi import problem_response
from shared.operations.problems import malformed_header

PATH = "/v1/events"
LINES, STREAM = "application/x-ndjson", "text/event-stream"
SEND_PATIENCE = 60.0
"""Seconds that a reader of a stream may leave what was sent unread, before the stream is ended."""

HEADERS: dict[str, Any] = {
    "Kithlog-Position": "Every event that was asked for, up to this position, is in this answer or in those before it: "
    "give it as `after` to go on.",
    "Kithlog-Head": "Last position of the log at that moment; the same as `Kithlog-Position`: this was all.",
    "Kithlog-Epoch": "Timeline of the log; raised when it was restored to an earlier point.",
}
TIME = {"description": "What the log's clock said at that moment.", "schema": {"type": "string", "format": "date-time"}}
RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "CloudEvents, exactly as they are on the broker: one to a line, or as server-sent events.",
        "headers": {
            **{name: {"description": text, "schema": {"type": "integer"}} for name, text in HEADERS.items()},
            "Kithlog-Time": TIME,
            "Link": {"description": "The next page (`rel=next`).", "schema": {"type": "string"}},
        },
        "content": {LINES: {"schema": {"type": "string"}}, STREAM: {"schema": {"type": "string"}}},
    },
    400: problem_response("`Last-Event-ID` is not a position."),
    409: problem_response(
        "`forked`: the log was restored, and is in `epoch` now. Up to the position `fork` it is what it was in the "
        "epoch that was asked with; without that, there is no `fork`."
    ),
    422: problem_response("A parameter is not what was asked for."),
    503: problem_response("PostgreSQL is away, or too many callers wait."),
}


def create_feed_router(feed: Callable[[], Feed]) -> APIRouter:
    """The endpoint; `feed()` gives the feed, or raises while the service still starts."""
    router = APIRouter(tags=["history"])

    @router.get(PATH, response_class=Response, responses=RESPONSES, summary="All events, by position")
    async def events(
        ask: Annotated[Ask, Query()],
        request: Request,
        last_event_id: Annotated[
            str | None, Header(description="Of a stream that broke off; counts instead of `after`.")
        ] = None,
    ) -> Response:
        """Read the log from the first event or any later position, whether or not the read models keep up.

        Pages: follow `Kithlog-Position` until it is `Kithlog-Head`; with `wait`, an answer comes as soon as there is
        an event. A stream (`Accept: text/event-stream`) sends each event with its position as `id`, so that a browser
        goes on by itself after a break; events named `position` tell how far it has looked, one named `problem`, with
        a problem document, ends it: close it then, for a browser would ask again, whatever the problem is.
        """
        there, wanted = feed(), ask.wanted()
        if STREAM in request.headers.get("accept", LINES):
            began = ask.model_copy(update={"after": _position(last_event_id, ask.after)})
            return EventStream(there, there.stream(began, wanted))
        if not ask.wait:
            return _lines(ask, await there.page(ask, wanted))
        with there.listening():
            return _lines(ask, await there.page(ask, wanted))

    return router


class EventStream(StreamingResponse):
    """A stream that ends when its reader takes nothing for too long; it holds one page at most."""

    def __init__(self, feed: Feed, content: AsyncIterator[bytes]) -> None:
        super().__init__(content, headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}, media_type=STREAM)
        self._feed = feed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def patiently(message: Message) -> None:
            try:
                await asyncio.wait_for(send(message), SEND_PATIENCE)
            except TimeoutError:
                raise ClientDisconnect from None

        with self._feed.listening():
            await super().__call__(scope, receive, patiently)


def _lines(ask: Ask, page: HistoryPage) -> Response:
    asked = ask.model_dump(exclude_unset=True, exclude={"after"})
    following = urlencode({**asked, "after": page.position}, doseq=True)
    return Response(
        b"".join(encode(event)[0] + b"\n" for event in page.events),
        headers={
            "Kithlog-Position": str(page.position),
            "Kithlog-Head": str(page.head.position),
            "Kithlog-Epoch": str(page.head.epoch),
            "Kithlog-Time": page.now.isoformat(),
            "Link": f'<{PATH}?{following}>; rel="next"',
        },
        media_type=LINES,
    )


def _position(last_event_id: str | None, otherwise: int) -> int:
    """Raises `ProblemError` (400)."""
    if last_event_id is None:
        return otherwise
    digits = last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) <= 19
    if not digits or int(last_event_id) > LAST:
        raise malformed_header("Last-Event-ID", "is not a position", "give the `id` of the last event, unchanged")
    return int(last_event_id)
