"""Any request that the OpenAPI document allows, and many that it does not: never a fault of the server's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, cast

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from shared.domain import lead
from tests.domain.scenario import ANA, BEN, INTERVIEW, LEAD, PROGRAMME, SEEKER
from tests.models.history import History, happened
from tests.models.test_telling import DUE, REMINDER, told
from tests.queries.conftest import Library, library_of, served
from tests.queries.test_boards import ENROLLED_STORY
from tests.queries.test_calendar import OPENED, SECRET
from tests.queries.test_notebook import NOTES

PROMISE = lead.Recorded(seeker_id=SEEKER, contact_id=ANA, kind="promised_introduction", what="To Ben", person="Ben")
KNOWN = {
    "tenant": "tenant",
    "seeker_id": str(SEEKER),
    "contact_id": str(ANA),
    "interview_id": str(INTERVIEW),
    "lead_id": str(LEAD),
    "programme_id": str(PROGRAMME),
    "notification_id": str(REMINDER),
    "subject_id": str(INTERVIEW),
    "coach_id": str(BEN),
    "secret": SECRET,
    "model": "pipeline",
    "stream_id": str(INTERVIEW),
}
"""What paths name, so that requests do not all end with what is not there."""
SCHEMA = schemathesis.openapi.from_dict(served(0.01).app.openapi())
OPERATIONS = {
    operation.path: operation
    for operation in (cast(Any, result).ok() for result in SCHEMA.get_all_operations())
    if operation.path.startswith("/v1/")
}


def story() -> History:
    return happened(*ENROLLED_STORY, OPENED, NOTES, PROMISE, *told(DUE))


class Desk:
    """A library that plain functions can ask."""

    def __init__(self, runner: asyncio.Runner, library: Library) -> None:
        self._runner, self._library = runner, library

    def ask(self, case: schemathesis.Case[Any]) -> Any:
        asked = case.as_transport_kwargs()
        request = {name: asked[name] for name in ("method", "url", "params", "headers")}
        return self._runner.run(self._library.client.request(**request))


@pytest.fixture(scope="module")
def desk(infra: Any, migrated_template: str) -> Iterator[Desk]:
    url = infra.postgres.create_database("any_request", template=migrated_template)
    with asyncio.Runner() as runner:
        opened = library_of(url)
        library = runner.run(opened.__aenter__())
        try:
            runner.run(library.record(story()))
            runner.run(library.fold(story()))
            yield Desk(runner, library)
        finally:
            runner.run(opened.__aexit__(None, None, None))
    infra.postgres.drop_database("any_request")


@pytest.mark.parametrize("path", sorted(OPERATIONS))
def test_every_answer_is_as_documented(desk: Desk, path: str) -> None:
    """Given a request of any content, then its answer has a documented status, type and form, and never blames us."""
    operation = OPERATIONS[path]
    sound = operation.as_strategy()
    unsound = operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)

    @settings(max_examples=12, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(st.one_of(sound, sound, unsound), st.booleans())
    def law(case: schemathesis.Case[Any], known: bool) -> None:
        if known:
            case.path_parameters = {name: KNOWN[name] for name in case.path_parameters or {}}
        response = desk.ask(case)
        assert response.status_code in {200, 400, 404, 422, 503}, response.text
        case.validate_response(
            response, checks=[status_code_conformance, content_type_conformance, response_schema_conformance]
        )

    law()
    known = operation.Case(path_parameters={name: KNOWN[name] for name in KNOWN if f"{{{name}}}" in path})
    answer = desk.ask(known)
    assert answer.status_code == 200, answer.text
    known.validate_response(answer, checks=[content_type_conformance, response_schema_conformance])
