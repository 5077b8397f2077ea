"""Imports: `POST /v1/commands/bulk` takes command messages as NDJSON, one per line, and answers one outcome for each.
Blank lines are counted, and passed over.

Lines are executed in order, a chunk in one transaction; a line that is refused or can't be read does not stop those
after it. Outcomes stream back while lines still come. They are never waited for: a caller that sends everything before
it reads would otherwise wait for the server, and the server for it; what it has not read lies in a temporary file.

When PostgreSQL does not answer, or holds for one of the lines what only a newer release can read, the rest is reported
as not executed: what followed might be refused for lack of it. The lines before such a one are executed, so it is the
first of those that are not, and can be taken out where no newer release comes. Sending the same file again is always
safe: each line gets its first answer, what was refused is refused again. A line that is to be judged anew has to be
changed, or to get another command id.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from itertools import takewhile
from typing import Any

import structlog
from pydantic_core import to_json
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from services.command.answers import answer
from services.command.executor import WAITED_FOR, Executor
from services.command.messages import as_message_problem, name_of, parse_message
from services.command.metrics import CommandMetrics
from services.command.outcomes import outcome_of
from services.command.requests import require_all_in_messages, require_uncompressed
from services.command.settings import CommandSettings
from services.command.spool import Spool
from shared.codec import UnknownEventType
from shared.command_envelope import CommandEnvelope
from shared.immutable import immutable
from shared.log import Appended, LogUnavailable
from shared.operations.gate import Gate
from shared.operations.problems import Problem, ProblemError
from shared.operations.turns import in_turns

logger = structlog.get_logger(__name__)

BULK_PATH = "/v1/commands/bulk"
CONTENT_TYPE = "application/x-ndjson"
MOST_BYTES = 4 * 1024 * 1024
"""A chunk ends here, too, however few its lines are."""
AT_ONCE = 20
"""Lines read before others have their turn, such as the chunk before these, when PostgreSQL has answered it."""


@immutable
class Line:
    """One line of an import, numbered from 1: the command in it, or why there is none."""

    number: int
    command: CommandEnvelope | Exception


class BulkEndpoint:
    """An ASGI app, because it sends its answer while it still receives."""

    def __init__(self, gate: Gate[Executor], metrics: CommandMetrics, settings: CommandSettings) -> None:
        self._gate, self._metrics = gate, metrics
        self._chunk, self._longest = settings.bulk_chunk, settings.bulk_line_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        require_all_in_messages(scope)
        require_uncompressed(scope)
        executor = self._gate()
        # To a caller that asked whether to send (`Expect: 100-continue`), the server says so when it is asked for the
        # body, unless an answer has begun by then. Others may wait for the answer's beginning before they send.
        first = asyncio.ensure_future(receive())
        await asyncio.sleep(0)
        try:
            await send(
                {
                    "type": "http.response.start",
                    "status": 200,
                    "headers": [(b"content-type", CONTENT_TYPE.encode())],
                }
            )
            with Spool() as spool:
                sending = asyncio.create_task(_send_all(spool, send))
                try:
                    await self._execute(executor, scope, _after(first, receive), spool)
                    spool.finish()
                    await sending
                finally:
                    sending.cancel()  # an answer that breaks off must not look like one that is complete
        finally:
            first.cancel()

    async def _execute(self, executor: Executor, scope: Scope, receive: Receive, spool: Spool) -> None:
        """One chunk after the other; while PostgreSQL is at one, the next is read."""
        settling: asyncio.Task[Exception | None] | None = None
        away: Exception | None = None
        try:
            async for chunk in self._chunks(scope, receive):
                if settling is not None:
                    away = await settling
                settling = asyncio.create_task(self._settle(executor, chunk, spool, away))
        finally:
            if settling is not None:
                await settling

    async def _chunks(self, scope: Scope, receive: Receive) -> AsyncIterator[Sequence[Line]]:
        """Raises `ClientDisconnect`."""
        number = size = 0
        chunk: list[Line] = []
        async for raw in lines(receive, longest=self._longest):
            number += 1
            if raw is not None and not raw.strip():
                continue
            chunk.append(Line(number, self._read(raw, scope)))
            size += len(raw or b"")
            if len(chunk) >= self._chunk or size >= MOST_BYTES:
                yield chunk
                chunk, size = [], 0
            elif not len(chunk) % AT_ONCE:
                await asyncio.sleep(0)
        if chunk:
            yield chunk

    def _read(self, raw: bytes | None, scope: Scope) -> CommandEnvelope | Exception:
        if raw is None:
            return ProblemError(
                Problem(
                    413,
                    "line_too_long",
                    f"the line has more than {self._longest} bytes",
                    f"a line is one command and has at most {self._longest} bytes",
                )
            )
        try:
            envelope = parse_message(raw)
        except Exception as error:
            return error
        if envelope.correlation_id is None:
            return envelope.model_copy(update={"correlation_id": scope["correlation_id"]})
        return envelope

    async def _settle(
        self, executor: Executor, chunk: Sequence[Line], spool: Spool, away: Exception | None
    ) -> Exception | None:
        """Execute a chunk and report it; once something was `away` that is `WAITED_FOR`, only report. Answers what is
        away now."""
        envelopes = [line.command for line in chunk if isinstance(line.command, CommandEnvelope)]
        outcomes: list[Appended | Exception] = []
        if envelopes and away is None:
            try:
                outcomes = await _execute_all(executor, envelopes)
            except LogUnavailable as error:
                away = error
        if away is not None:
            outcomes = [away] * len(envelopes)
        away = next((each for each in outcomes if isinstance(each, WAITED_FOR)), away)
        settled = iter(outcomes)
        reports: list[bytes] = []
        async for line in in_turns(chunk):
            outcome = next(settled) if isinstance(line.command, CommandEnvelope) else line.command
            self._metrics.commands.labels("bulk", name_of(line.command), outcome_of(outcome)).inc()
            reports.append(_report(line, outcome))
        spool.write(b"".join(reports))
        return away


async def _execute_all(executor: Executor, envelopes: Sequence[CommandEnvelope]) -> list[Appended | Exception]:
    """Raises `LogUnavailable`. What nobody foresaw strikes only the command whose it is, and what only a newer release
    can read that command and all behind it."""
    try:
        outcomes = list(takewhile(_is_settled, await executor.execute_all(envelopes)))
    except LogUnavailable:
        raise
    except Exception as error:
        if len(envelopes) == 1:
            if not isinstance(error, UnknownEventType):
                logger.error("command failed", command=envelopes[0].command, exc_info=error)
            return [error]
        outcomes = []
    for envelope in envelopes[len(outcomes) :]:
        try:
            outcomes += await _execute_all(executor, [envelope])
        except LogUnavailable as error:  # what is settled before it is to be told
            outcomes.append(error)
        if isinstance(outcomes[-1], WAITED_FOR):
            break
    return outcomes + outcomes[-1:] * (len(envelopes) - len(outcomes))


def _is_settled(outcome: Appended | Exception) -> bool:
    return not isinstance(outcome, UnknownEventType)


def _report(line: Line, outcome: Appended | Exception) -> bytes:
    """`{"line": 1, "status": 200, "answer": {…}}` or `{"line": 2, "status": 409, "problem": {…}}`."""
    if isinstance(outcome, Appended) and isinstance(line.command, CommandEnvelope):
        accepted = answer(outcome, line.command)
        report: dict[str, Any] = {"line": line.number, "status": 200, "answer": accepted}
    else:
        assert isinstance(outcome, Exception), "what was appended came of a command"
        problem = as_message_problem(outcome)
        if isinstance(line.command, CommandEnvelope):
            problem = problem.with_members(command_id=str(line.command.command_id))
        report = {"line": line.number, "status": problem.status, "problem": problem.to_dict()}
    return to_json(report) + b"\n"


async def _send_all(spool: Spool, send: Send) -> None:
    async for part in spool.read():
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _after(first: asyncio.Future[Message], receive: Receive) -> Receive:
    """As `receive`, of which the first call was made already."""
    left = [first]

    async def receive_next() -> Message:
        return await (left.pop() if left else receive())

    return receive_next


async def lines(receive: Receive, *, longest: int) -> AsyncIterator[bytes | None]:
    """The lines of a body without their ends, as they come; None for one of more than `longest` bytes.

    Holds one line at most. Raises `ClientDisconnect`.
    """
    kept = bytearray()
    skipping = False
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        more = message.get("more_body", False)
        *whole, rest = message.get("body", b"").split(b"\n")
        for part in whole:
            kept += part
            yield None if skipping or len(kept) > longest else bytes(kept)
            kept.clear()
            skipping = False
        kept += rest
        if len(kept) > longest:
            kept.clear()
            skipping = True
    if skipping or kept:
        yield None if skipping else bytes(kept)
