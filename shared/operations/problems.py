"""Errors as callers see them: RFC 9457 problem documents, the same over HTTP, over AMQP and as a line of an import.

`code` is stable and part of the contract; `detail` says what was wrong, `remedy` what would be right. `field` names
the culprit: a JSON pointer into the body (`/questions/0`), or `path.id`, `query.occurred_at`, `header.If-Match`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import field as member
from functools import singledispatch
from typing import Any
from uuid import UUID

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from shared.codec import UnknownEventType
from shared.domain.kernel import Refusal
from shared.faults import in_words
from shared.log import KeyReused, LogUnavailable, WrongVersion
from shared.operations.correlation import HEADER as CORRELATION_HEADER
from shared.operations.correlation import MalformedCorrelationId, current_correlation
from shared.operations.strict_json import LONGEST_KEY, NotJson, pointer

CONTENT_TYPE = "application/problem+json"
MOST_FAULTS = 20
"""A document names at most so many faults, whatever was sent."""
_LONGEST = {"field": 200, "detail": 500}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with the input."""

    field: str | None
    detail: str
    code: str


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem document. `members` are further ones, such as the versions of a conflict."""

    status: int
    code: str
    detail: str
    remedy: str
    field: str | None = None
    errors: Sequence[Fault] = ()
    members: Mapping[str, Any] = member(default_factory=dict)
    retry_after: int | None = None
    """Seconds, where repeating the same request may help."""
    headers: Mapping[str, str] = member(default_factory=dict)

    @property
    def title(self) -> str:
        """Of the kind of problem, not of this one."""
        return self.code.replace("_", " ").capitalize()

    def with_members(self, **members: Any) -> Problem:
        return replace(self, members={**self.members, **members})

    def to_dict(self) -> dict[str, Any]:
        document: dict[str, Any] = {
            "type": f"urn:kithlog:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "code": self.code,
            "detail": clean(self.detail, _LONGEST["detail"]),
            "remedy": self.remedy,
        }
        if self.field is not None:
            document["field"] = clean(self.field, _LONGEST["field"])
        if self.errors:
            document["errors"] = [
                {
                    "field": None if fault.field is None else clean(fault.field, _LONGEST["field"]),
                    "detail": clean(fault.detail, _LONGEST["detail"]),
                    "code": fault.code,
                }
                for fault in self.errors
            ]
        document |= self.members
        if (correlation := current_correlation()) is not None:
            document["correlation_id"] = str(correlation)
        return document

    def to_json(self) -> bytes:
        return json.dumps(self.to_dict(), ensure_ascii=False, separators=(",", ":"), default=str).encode()

    def to_response(self) -> Response:
        headers = dict(self.headers)
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        return Response(self.to_json(), self.status, headers, media_type=CONTENT_TYPE)


class FaultDocument(BaseModel):
    """One thing that is wrong with the input."""

    field: str | None = Field(description="JSON pointer into the body, or `path.…`, `query.…`, `header.…`.")
    detail: str = Field(description="What is wrong, and what would be right.")
    code: str = Field(description="The kind of fault.", examples=["missing"])


class ProblemDocument(BaseModel):
    """RFC 9457. Further members may follow, such as the versions of a conflict."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="`code` as a URN.", examples=["urn:kithlog:problem:out_of_order"])
    title: str = Field(description="`code` in words.")
    status: int = Field(description="The HTTP status, over AMQP, too.")
    code: str = Field(description="Stable: what programs go by.")
    detail: str = Field(description="What was wrong.")
    remedy: str = Field(description="What would be right.")
    field: str | None = Field(None, description="The culprit: JSON pointer, or `path.…`, `query.…`, `header.…`.")
    errors: list[FaultDocument] = Field([], description="Each thing that is wrong with the input, up to 20.")
    correlation_id: UUID | None = Field(None, description="That of the request, to find it again in the logs.")


class ProblemError(Exception):
    """An error that is a problem document already."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.code}: {problem.detail}")
        self.problem = problem


def clean(text: str, longest: int) -> str:
    """What a caller sent, made fit to be sent back: no lone surrogates, not too long."""
    text = text[: longest + 1].encode("utf-8", "replace").decode()
    return text if len(text) <= longest else text[: longest - 1] + "…"


@singledispatch
def problem_of(error: Exception) -> Problem:
    """The problem document for an error; kinds that were not foreseen become 500 and tell nothing of the inside."""
    return Problem(
        500,
        "internal_error",
        "something went wrong on the server; nothing is known to have been written",
        "repeat with the same Idempotency-Key; if it happens again, report the correlation id",
    )


@problem_of.register
def _(error: ProblemError) -> Problem:
    return error.problem


@problem_of.register
def _(error: Refusal) -> Problem:
    status = {"conflict": 409, "invalid": 422, "missing": 404}[error.kind]
    return Problem(status, error.code, error.detail, error.remedy, error.field)


@problem_of.register
def _(error: WrongVersion) -> Problem:
    return Problem(
        412,
        "wrong_version",
        f"{error.stream} has version {error.actual}, not {error.expected}",
        "read what happened since, then send the command with the present version, or without If-Match",
        "header.If-Match",
        members={"expected_version": error.expected, "actual_version": error.actual},
        headers={"ETag": f'"{error.actual}"'},
    )


@problem_of.register
def _(error: KeyReused) -> Problem:
    return Problem(
        422,
        "key_reused",
        "this Idempotency-Key (command id) was used before for a command with other content",
        "use a new key for a new command; repeat a command with exactly its own content",
        "header.Idempotency-Key",
        members={"command_id": str(error.command_id)},
    )


@problem_of.register
def _(error: LogUnavailable) -> Problem:
    return Problem(
        503,
        "log_unavailable",
        "the log did not answer, or could not write, in time; whether the command was written is not known",
        "repeat with the same Idempotency-Key (command id): it is executed at most once",
        retry_after=2,
    )


@problem_of.register
def _(error: UnknownEventType) -> Problem:
    # Another replica, or the one that takes over from this, may know it already.
    return Problem(503, "unknown_event_type", str(error), "repeat it once a release runs that knows it", retry_after=2)


@problem_of.register
def _(error: NotJson) -> Problem:
    return Problem(
        400,
        "malformed_json",
        _told_of(error.field, error.detail),
        f"send one JSON object, in UTF-8 (RFC 8259), each key once and of at most {LONGEST_KEY:,} characters",
        error.field,
    )


@problem_of.register
def _(error: MalformedCorrelationId) -> Problem:
    return Problem(
        400,
        "malformed_header",
        f"{CORRELATION_HEADER} is not a UUID",
        f"send a UUID as {CORRELATION_HEADER}, or a W3C traceparent, or neither",
        f"header.{CORRELATION_HEADER}",
    )


@problem_of.register
def _(error: ValidationError) -> Problem:
    return invalid(faults_of(error))


@problem_of.register
def _(error: RequestValidationError) -> Problem:
    faults = []
    for each in error.errors()[:MOST_FAULTS]:
        place, *rest = each["loc"]
        where = pointer(rest) if place == "body" else ".".join(str(part) for part in (place, *rest))
        faults.append(Fault(where, in_words(each), each["type"]))
    return invalid(faults)


@problem_of.register
def _(error: HTTPException) -> Problem:
    known = {
        404: ("unknown_path", "there is nothing at this path", "see /openapi.json for the paths there are"),
        405: ("method_not_allowed", "this path does not take that method", "see the Allow header"),
    }
    code, detail, remedy = known.get(
        error.status_code, ("refused", str(error.detail), "see /openapi.json for what is expected")
    )
    return Problem(error.status_code, code, detail, remedy, headers=dict(error.headers or {}))


def invalid(faults: Sequence[Fault]) -> Problem:
    """422 for input that is not what was asked for."""
    first = faults[0]
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return Problem(
        422,
        "invalid_input",
        _told_of(first.field, first.detail) + more,
        "correct what `errors` names; /openapi.json describes every field",
        first.field,
        errors=tuple(faults[:MOST_FAULTS]),
    )


def faults_of(error: ValidationError, model: type[BaseModel] | None = None) -> list[Fault]:
    """What pydantic found wrong with a body, as JSON pointers; `model` is what it was read as, where that is known."""
    errors = error.errors(include_url=False, include_input=False)
    told = [each for each in errors if each["type"] != "too_short" or not _items_at_fault(each["loc"], errors)]
    return [Fault(pointer(each["loc"]), in_words(each, model), each["type"]) for each in told[:MOST_FAULTS]]


def _items_at_fault(place: Sequence[str | int], errors: Sequence[Mapping[str, Any]]) -> bool:
    """Pydantic doesn't count such items: it says of a list of nothing else that it is too short."""
    return any(len(each["loc"]) > len(place) and each["loc"][: len(place)] == place for each in errors)


def _told_of(field: str | None, detail: str) -> str:
    """The detail behind its field, however long that is."""
    return f"{clean(field, _LONGEST['field'])}: {detail}" if field else detail


def malformed_header(name: str, detail: str, remedy: str) -> ProblemError:
    """400 for a header that can't be read."""
    return ProblemError(Problem(400, "malformed_header", f"{name} {detail}", remedy, f"header.{name}"))


def starting() -> ProblemError:
    """503 while a service still waits for what it stands on."""
    return ProblemError(
        Problem(
            503,
            "starting",
            "the service is waiting for its database",
            "repeat in a moment; /readyz tells what it waits for",
            retry_after=1,
        )
    )
