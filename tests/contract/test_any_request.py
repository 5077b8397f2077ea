"""Any request to the history feed that its description allows, and many that it does not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, cast

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, reject, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import status_code_conformance

from services.projector.feed.bell import Bell
from services.projector.feed.endpoint import LINES
from services.projector.feed.feed import Feed
from shared.database.pool import open_pool
from shared.log import Appended, Log
from shared.log.history import History
from tests.contract.conftest import an_append, light

SCHEMA = schemathesis.openapi.from_dict(light().app.openapi())
[FEED] = [
    operation
    for operation in (cast(Any, result).ok() for result in SCHEMA.get_all_operations())
    if operation.path == "/v1/events"
]


class Desk:
    """A feed of a few events that plain functions can ask."""

    def __init__(self, runner: asyncio.Runner, client: httpx.AsyncClient) -> None:
        self._runner, self._client = runner, client

    def ask(self, case: Any) -> httpx.Response:
        # One page, at once: what waits, and what streams for ever, is tested where it is.
        case.query = {name: value for name, value in (case.query or {}).items() if name != "wait"}
        asked = case.as_transport_kwargs()
        headers = {**asked["headers"], "Accept": LINES}
        return self._runner.run(
            self._client.request(asked["method"], asked["url"], params=asked["params"], headers=headers)
        )


@pytest.fixture(scope="module")
def desk(infra: Any, migrated_template: str) -> Iterator[Desk]:
    url = infra.postgres.create_database("any_reader", template=migrated_template)
    with asyncio.Runner() as runner:
        pool = runner.run(open_pool(url))
        client = httpx.AsyncClient(transport=httpx.ASGITransport(light().app), base_url="http://feed")
        try:
            runner.run(write(pool, url))
            light().feed = Feed(History(pool), Bell(url))
            yield Desk(runner, client)
        finally:
            runner.run(client.aclose())
            runner.run(pool.close())
    infra.postgres.drop_database("any_reader")


async def write(pool: Any, url: str) -> None:
    async with Log.open(pool, url) as log:
        outcomes = await log.append_all([an_append(number) for number in range(5)])
    assert all(isinstance(outcome, Appended) for outcome in outcomes)


def test_every_answer_is_as_documented(desk: Desk) -> None:
    """Given a request of any content, then its answer has a documented status and never blames us."""
    sound = FEED.as_strategy()
    unsound = FEED.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)
    statuses: set[int] = set()

    @settings(max_examples=60, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(st.one_of(sound, sound, unsound))
    def law(case: Any) -> None:
        try:
            response = desk.ask(case)
        except httpx.InvalidURL:  # longer than this client sends
            reject()
        assert response.status_code < 500, response.text
        case.validate_response(response, checks=[status_code_conformance])
        statuses.add(response.status_code)

    law()
    assert {200, 422} <= statuses
