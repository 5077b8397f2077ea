"""Commands over HTTP: `POST /v1/tenants/{tenant}/interviews/{id}/send-request`, and so on for every command there is.

The paths follow from the registry of commands, so a new command has its endpoint, its checks and its documentation
(`services/command/openapi.py`) by being declared. One route serves them all: a lookup costs the same for the
sixtieth command as for the first.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pydantic import ValidationError
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from services.command.answers import answer_of
from services.command.executor import Executor
from services.command.messages import OCCURRED_AT, as_message_problem, name_of, parse_message
from services.command.metrics import CommandMetrics
from services.command.outcomes import outcome_of
from services.command.requests import PLACES, envelope_fields, read_body, require_all_in_messages
from services.command.settings import CommandSettings
from shared.command_envelope import CommandEnvelope
from shared.domain.catalogue import COMMANDS
from shared.domain.kernel import Command, Stream
from shared.domain.values import FROM_CALLER
from shared.log import Appended
from shared.operations import strict_json
from shared.operations.gate import Gate
from shared.operations.problems import Fault, Problem, ProblemError, faults_of, invalid, problem_of
from shared.operations.web import NOTED

COMMAND_PATH = "/v1/tenants/{tenant}/{category}/{id}/{verb}"
MESSAGE_PATH = "/v1/commands"


def path_of(command: type[Command]) -> tuple[str, str]:
    """Category and verb as paths have them: `interviews`, `send-request`."""
    return command.category + "s", command.type.partition(".")[2].replace("_", "-")


BY_PATH = {path_of(command): command for command in COMMANDS.values()}


class CommandRoutes:
    """The endpoints for single commands."""

    def __init__(self, gate: Gate[Executor], metrics: CommandMetrics, settings: CommandSettings) -> None:
        made = (gate, metrics, settings.body_limit)
        self._by_path: Any = PathEndpoint(*made)
        self._by_message: Any = MessageEndpoint(*made)

    def routes(self) -> list[Route]:
        return [
            Route(COMMAND_PATH, self._by_path, methods=["POST"]),
            Route(MESSAGE_PATH, self._by_message, methods=["POST"]),
        ]


class Endpoint:
    """What both have in common. ASGI apps, because a request and a response object cost a tenth of a command."""

    def __init__(self, gate: Gate[Executor], metrics: CommandMetrics, limit: int) -> None:
        self._gate, self._metrics, self._limit = gate, metrics, limit

    async def _accepted(self, send: Send, envelope: CommandEnvelope, appended: Appended) -> None:
        self._metrics.commands.labels("http", envelope.command, outcome_of(appended)).inc()
        body = answer_of(appended, envelope)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"kithlog-position", b"%d" % appended.position),
            (b"idempotency-key", str(appended.command_id).encode()),
        ]
        if (version := version_after(appended, envelope.stream)) is not None:
            headers.append((b"etag", b'"%d"' % version))
        status = 201 if envelope.data.creates else 200
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class PathEndpoint(Endpoint):
    """One command; its name, stream and tenant stand in the path, its fields in the body."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path_params"]
        command = BY_PATH.get((path["category"], path["verb"]))
        if command is None:
            raise unknown_command_path(path["category"], path["verb"])
        scope[NOTED]["command"] = command.type
        fields = envelope_fields(scope, path["tenant"], path["id"])
        body = await read_body(scope, receive, limit=self._limit)
        try:
            envelope = _envelope(command, fields, body)
            appended = await self._gate().execute(envelope)
        except Exception as error:
            problem = problem_of(error).with_members(command_id=str(fields["command_id"]))
            if problem.field == OCCURRED_AT:
                problem = replace(problem, field=PLACES["occurred_at"])
            self._metrics.commands.labels("http", command.type, outcome_of(error)).inc()
            raise ProblemError(problem) from error
        await self._accepted(send, envelope, appended)


class MessageEndpoint(Endpoint):
    """One command message: all in the body, as over AMQP."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        require_all_in_messages(scope)
        body = await read_body(scope, receive, limit=self._limit)
        parsed: CommandEnvelope | None = None
        try:
            parsed = envelope = parse_message(body)
            scope[NOTED].update(command=envelope.command, tenant=envelope.tenant)
            if envelope.correlation_id is None:
                envelope = envelope.model_copy(update={"correlation_id": scope["correlation_id"]})
            appended = await self._gate().execute(envelope)
        except Exception as error:
            self._metrics.commands.labels("http", name_of(parsed or error), outcome_of(error)).inc()
            problem = as_message_problem(error)
            if parsed is not None:
                problem = problem.with_members(command_id=str(parsed.command_id))
            raise ProblemError(problem) from error
        await self._accepted(send, envelope, appended)


def version_after(appended: Appended, stream: Stream) -> int | None:
    """The version that the command left its stream at; None when it wrote to others alone."""
    return next((event.version for event in reversed(appended.events) if event.stream == stream), None)


def _envelope(command: type[Command], fields: dict[str, Any], body: bytes) -> CommandEnvelope:
    """Raises `NotJson`, and `ProblemError` that names all that is wrong in body, path, query and headers."""
    faults: list[Fault] = []
    data = None
    if body.strip():
        strict_json.parse(body)
    try:
        data = command.model_validate_json(body.strip() or b"{}", context=FROM_CALLER)
    except ValidationError as error:
        faults += faults_of(error, command)
    try:
        envelope = CommandEnvelope(command=command.type, data=data, **fields)
    except ValidationError as error:
        faults += [
            Fault(PLACES.get(fault.field[1:] if fault.field else "", fault.field), fault.detail, fault.code)
            for fault in faults_of(error)
        ]
    if faults:
        raise ProblemError(invalid(faults))
    return envelope


def unknown_command_path(category: str, verb: str) -> ProblemError:
    verbs = sorted(known for plural, known in BY_PATH if plural == category)
    plurals = sorted({plural for plural, _ in BY_PATH})
    return ProblemError(
        Problem(
            404,
            "unknown_command",
            f"{category!r} has no command {verb!r}" if verbs else f"there are no {category!r}",
            f"one of: {', '.join(verbs or plurals)}",
            "path.verb" if verbs else "path.category",
        )
    )
