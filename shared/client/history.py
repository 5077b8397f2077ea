"""The history feed: what the broker lost, and the proof that it lost nothing."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Protocol

import httpx

from shared.client.event import parse
from shared.client.failures import Forked, Unavailable
from shared.client.patterns import EVERYTHING, Patterns

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Page:
    """Every event that was asked for up to `position`, each as it went over the broker; perhaps some more."""

    events: tuple[bytes, ...]
    position: int
    head: int
    """Last position of the log."""
    epoch: int
    """Timeline of the log."""
    time: datetime
    """What the log's clock said."""


class History(Protocol):
    async def page(self, after: int, limit: int = 500, wanted: Patterns = EVERYTHING) -> Page:
        """The next events after a position. Raises `Unavailable`, and `Forked` when the log ends before `after`."""
        ...


async def as_known(history: History, position: int, epoch: int) -> bool:
    """Whether the log, in a later timeline by now, is up to a position what it was in that epoch. Raises as `page`."""
    page = await history.page(position - 1, 1)
    there = parse(page.events[0]) if page.events else None
    return there is not None and there.position == position and there.epoch <= epoch


class HttpHistory:
    """`GET /v1/events` of the projector service. Use it as an async context manager."""

    def __init__(self, url: str, *, timeout: float = 30.0, transport: httpx.AsyncBaseTransport | None = None) -> None:
        """`url`: the service's, such as `http://127.0.0.1:8102`; `timeout` in seconds."""
        self._client = httpx.AsyncClient(base_url=url, timeout=timeout, transport=transport)

    async def __aenter__(self) -> HttpHistory:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def page(self, after: int, limit: int = 500, wanted: Patterns = EVERYTHING) -> Page:
        query: dict[str, str | int] = {"after": after, "limit": limit}
        if wanted.tenant is not None:
            query["tenant"] = wanted.tenant
        if wanted.types is not None:
            query["types"] = ",".join(wanted.types)
        answer = await self._get(query)
        if answer.status_code == 422 and "types" in query:
            # An older release, which knows of no such type, must not keep from the others: all are asked for instead.
            logger.warning("the history feed does not know all of %s: %.500s", query.pop("types"), answer.text)
            answer = await self._get(query)
        if answer.status_code == 409 and _code(answer) == "forked":  # and not somebody's on the way
            raise Forked(answer.text)
        if answer.status_code != 200:
            raise Unavailable(f"the history feed answers {answer.status_code}: {answer.text:.500}")
        headers = answer.headers
        try:
            return Page(
                tuple(line for line in answer.content.split(b"\n") if line),
                int(headers["kithlog-position"]),
                int(headers["kithlog-head"]),
                int(headers["kithlog-epoch"]),
                datetime.fromisoformat(headers["kithlog-time"]),
            )
        except (KeyError, ValueError) as error:
            raise Unavailable(f"what answers is not this release's history feed: {error!r}") from error

    async def _get(self, query: Mapping[str, str | int]) -> httpx.Response:
        try:
            return await self._client.get("/v1/events", params=query)
        except httpx.HTTPError as error:
            raise Unavailable(f"the history feed does not answer: {error!r}") from error


def _code(answer: httpx.Response) -> object:
    """Of a problem document; None where it is none."""
    try:
        document = answer.json()
    except ValueError:
        return None
    return document.get("code") if isinstance(document, dict) else None
