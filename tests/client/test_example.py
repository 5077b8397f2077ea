"""The example that consumers begin with."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from pathlib import Path
from textwrap import dedent
from types import CodeType
from typing import Any
from unittest.mock import AsyncMock

import pytest
from pydantic import BaseModel

import shared.client
from shared.client import CloudEvent, Handlers, Rules
from shared.client.event import parse
from shared.client.testing import an_event
from shared.domain.catalogue import EVENTS

README = (Path(shared.client.__file__).parent / "README.md").read_text()
DOCUMENTATION = shared.client.__doc__ or ""
EXAMPLES = {
    "README": re.findall(r"```python\n(.*?)```", README, re.DOTALL)[0],
    "documentation": dedent(re.findall(r"\n((?: {4}.*\n|\n)+)", DOCUMENTATION)[0]),
}


class Held(BaseModel):
    minutes: int


class Noting:
    """In the place of the consumer: keeps what it was given."""

    rules: Rules
    handlers: Handlers[Any]

    def __init__(self, wiring: Any, rules: Rules, handlers: Handlers[Any], store: Any, history: Any) -> None:
        type(self).rules, type(self).handlers = rules, handlers

    async def run(self, stop: asyncio.Event) -> None:
        pass


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
async def test_it_runs_and_handles_whatever_it_binds(example: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given an event of any type of this release that its patterns match, then there is a handler for it."""
    monkeypatch.setattr(shared.client, "Consumer", Noting)
    connection = AsyncMock()
    names = {name: getattr(shared.client, name) for name in shared.client.__all__}
    given = {"Connection": Any, "Held": Held, "pool": AsyncMock(), "amqp_url": "amqp://", "stop": asyncio.Event()}
    code: CodeType = compile(example, "example", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    running = eval(code, {**names, **given})
    assert inspect.isawaitable(running)
    await running

    bound: list[CloudEvent] = [
        event
        for position, type in enumerate(EVENTS, 1)
        if Noting.rules.wanted.match((event := parse(an_event(type, {}, position=position).body)).routing_key)
    ]
    [handler] = {Noting.handlers.of(event) for event in bound}  # raises where there is none
    await handler(parse(an_event("interview.held", {"minutes": 25}, position=1).body), connection)
    assert connection.execute.await_args.args[-1] == 25
