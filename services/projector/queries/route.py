"""How queries fail: as documented for each of them, also while PostgreSQL is away."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import structlog
from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import ValidationError

from services.projector.queries.answering import other_version
from shared.database.pool import is_away
from shared.operations.problems import CONTENT_TYPE, Problem, ProblemDocument, ProblemError, faults_of

logger = structlog.get_logger(__name__)

FAILURES = {
    400: "The cursor is none that an answer gave.",
    404: "What the path names is not there.",
    422: "Something asked for can't be; `errors` names it.",
    503: "Not visible yet, to be rebuilt for a new release, or the database is away; repeating helps.",
}


def documented_failures() -> dict[int | str, dict[str, Any]]:
    """What every query's documentation says of its failures, in the form that FastAPI takes."""
    schema = ProblemDocument.model_json_schema()
    # Within an OpenAPI document a part can't refer to definitions of its own.
    schema["properties"]["errors"]["items"] = schema.pop("$defs")["FaultDocument"]
    return {
        status: {"description": text, "content": {CONTENT_TYPE: {"schema": schema}}}
        for status, text in FAILURES.items()
    }


class QueryRoute(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()

        async def attempt(request: Request) -> Response:
            try:
                return await answer(request)
            except ValidationError as error:
                # Of what is stored: what was asked for arrives as a RequestValidationError.
                raise _unreadable(error) from None
            except Exception as error:
                if is_away(error):
                    raise _unavailable() from error
                raise

        return attempt


def _unreadable(error: ValidationError) -> ProblemError:
    # Without what it says, which people may have written.
    faults = {fault.field: fault.code for fault in faults_of(error)}
    logger.error("a stored row can't be read", row=error.title, faults=faults)
    return ProblemError(other_version(f"a stored {error.title} is none of those that this release reads"))


def _unavailable() -> ProblemError:
    return ProblemError(
        Problem(
            503,
            "read_models_unavailable",
            "the read models did not answer",
            "repeat in a moment; /readyz tells what is away",
            retry_after=2,
        )
    )
