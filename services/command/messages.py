"""Command messages: from bytes to an envelope with the right kind of body."""

from __future__ import annotations

from codecs import BOM_UTF8
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from shared.command_envelope import CommandEnvelope, message_model
from shared.domain.catalogue import COMMANDS
from shared.domain.kernel import Refusal
from shared.domain.values import FROM_CALLER
from shared.operations import strict_json
from shared.operations.problems import Problem, ProblemError, faults_of, invalid, problem_of
from shared.operations.strict_json import NotJson

model_of = cache(message_model)
UNKNOWN = "unknown"


class Unreadable(ProblemError):
    """A message that is no command, and what of it could be read: its command, `unknown` where there is none of that
    name, and its id, a member of the problem."""

    def __init__(self, error: Exception, value: Any) -> None:
        said = value if isinstance(value, dict) else {}
        name, id = said.get("command"), said.get("command_id")
        self.command = name if isinstance(name, str) and name in COMMANDS else UNKNOWN
        problem = problem_of(error)
        with suppress(ValueError):
            problem = problem.with_members(command_id=str(UUID(id))) if isinstance(id, str) else problem
        super().__init__(problem)


def name_of(parsed: CommandEnvelope | Exception) -> str:
    """Of the command in a message, as metrics count it."""
    return parsed.command if isinstance(parsed, CommandEnvelope | Unreadable) else UNKNOWN


def parse_message(body: bytes) -> CommandEnvelope:
    """The command message in a JSON document; a byte-order mark before it is passed over. Raises `Unreadable`."""
    value = None
    body = body.removeprefix(BOM_UTF8)
    try:
        value = strict_json.parse(body)
        return _validated(value, body)
    except (NotJson, ProblemError) as error:
        raise Unreadable(error, value) from error


def _validated(value: Any, body: bytes) -> CommandEnvelope:
    name = value.get("command") if isinstance(value, dict) else None
    model = CommandEnvelope
    try:
        if not isinstance(name, str):
            model.model_validate(value)  # says what is missing or of the wrong type
        command = COMMANDS.get(str(name))
        if command is None:
            raise unknown_command(str(name))
        model = model_of(command)
        return model.model_validate_json(body, context=FROM_CALLER)
    except ValidationError as error:
        raise ProblemError(invalid(faults_of(error, model))) from None


def unknown_command(name: str) -> ProblemError:
    category = name.partition(".")[0]
    near = sorted(other for other in COMMANDS if other.startswith(f"{category}.")) or sorted(COMMANDS)
    return ProblemError(
        Problem(
            422,
            "unknown_command",
            f"there is no command {name!r}",
            f"one of: {', '.join(near)}",
            "/command",
        )
    )


OCCURRED_AT = "/occurred_at"
"""What deciders call the time given: it is the envelope's, not a field of the body."""

_IN_MESSAGE = {"header.If-Match": "/expected_version", "header.Idempotency-Key": "/command_id"}


def as_message_problem(error: Exception) -> Problem:
    """The problem document for a command that came as a message: its fields are those of the message."""
    problem = problem_of(error)
    if problem.field in _IN_MESSAGE:
        return replace(problem, field=_IN_MESSAGE[problem.field])
    if isinstance(error, Refusal) and error.field is not None and error.field != OCCURRED_AT:
        return replace(problem, field=f"/data{error.field}")
    return problem
