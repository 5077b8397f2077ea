"""Commands over AMQP: queue `kithlog.commands`, one JSON command message (`shared/command_envelope.py`) each.

They are executed in the order in which they were queued, and acknowledged once they are durable. A sender that names
`reply_to` gets the answer there, with its own `correlation_id`: what HTTP would answer, or the problem document.
Without a reply address, a command that can't be executed is parked in `kithlog.commands.dead` with the reason in its
headers. While PostgreSQL is away, or can't be worked with, commands wait, and so they do, for a while, for a release
that can read what a newer one has written; nothing is lost, and what comes twice gets its first answer again, be it an
acceptance or a refusal: the executor has kept it before it is told.

Whatever ends connection or process gives all that was delivered back, each with one delivery more of those after which
the broker dead-letters it. So that a message which ends every connection takes none along that lie beside it, what went
back three times is delivered one at a time, on a connection of its own, until one comes that went back less often: all
are through then that may have ended the three before. One lost connection, or two, are no reason to go slowly: brokers
and services are restarted.

What goes back is put behind all that went back before and waits. What was delivered together goes back in its order; of
those that are delivered one at a time none is left unexecuted in hand, not even when the service is told to stop. Where
such a connection is lost, or PostgreSQL away when it is left, that one command comes behind those that wait with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol
from uuid import UUID

import structlog
from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractIncomingMessage
from aio_pika.exceptions import ChannelPreconditionFailed, DeliveryError
from faststream.rabbit import RabbitBroker

from services.command.answers import answer_of
from services.command.messages import as_message_problem, name_of, parse_message
from services.command.replying import Replies
from services.command.waiting import HOLD, HeldTooLong, Waiting, waits
from shared.broker import topology
from shared.broker.connection import UNREACHABLE, told_as_lost
from shared.broker.consuming import consuming
from shared.broker.outgoing import ConnectionLost
from shared.broker.properties import UNREADABLE, sendable
from shared.broker.topology import COMMANDS, DEAD_COMMANDS
from shared.command_envelope import CommandEnvelope
from shared.log import Appended
from shared.operations.health import Presence
from shared.operations.pauses import Pauses
from shared.operations.problems import CONTENT_TYPE, Problem, ProblemError, clean
from shared.operations.waits import end, first_of

logger = structlog.get_logger(__name__)

BATCH = 200
"""Commands taken from the queue, and executed, at a time."""
DUBIOUS = 3
"""Deliveries after which a command may be what ends process or connection: those go one by one."""
SUSPECT = 16
"""Deliveries after which the command at the head of the queue is taken for what ends process or connection: fewer than
those after which the broker dead-letters it with all that lies beside it, and more than a dozen replicas need to find
that what is dubious is to be delivered singly."""
SUSPECTED = "suspect"
"""The code of its problem."""
GRACE = 10.0
"""Seconds that stopping waits for the commands that are being executed."""
ON_ITS_WAY = 5.0
"""Seconds within which what the last acknowledgement has made the broker hand out arrives, a slow one's too."""
LONGEST_PAUSE = 2.0
"""Seconds between attempts while PostgreSQL is away."""
DELIVERIES = "x-delivery-count"
"""Header in which the broker says how often a message was delivered and went back."""
LONGEST_DETAIL = 2000
"""Characters of what is said about a parked command."""

Concluded = Callable[[str, Appended | Exception], None]


class Executor(Protocol):
    async def execute_all(self, envelopes: Sequence[CommandEnvelope]) -> list[Appended | Exception]: ...

    async def confirm(self) -> int:
        """The log's last position, when commands can be executed. Raises what `waits` is true of while they can't."""
        ...


class Intake:
    """`run` it in as many replicas as you like: the broker gives the commands to one of them at a time."""

    def __init__(
        self,
        amqp_url: str,
        executor: Executor,
        *,
        body_limit: int = 256 * 1024,
        hold: float = HOLD,
        concluded: Concluded = lambda command, outcome: None,
    ) -> None:
        """`body_limit`: bytes of the longest command that is accepted. `hold`: seconds for which commands wait
        outside their queue. `concluded` hears of every command's end, with its name, or `unknown` where the message is
        no command.
        """
        self._url, self._executor, self._body_limit = amqp_url, executor, body_limit
        self._waiting, self._concluded = Waiting(hold), concluded
        self.presence = Presence("intake broker")
        self._careful = False  # the next connection has one delivered at a time, until all that is dubious is through
        self._suspecting = False  # the next command may be what ended the connection before this one
        self._held_back = 0  # times that what is at the head of the queue went back for PostgreSQL's sake
        self._parking = asyncio.Lock()
        self._replies = Replies()

    async def run(self, stop: asyncio.Event) -> None:
        """Execute what comes until `stop` is set; what is being executed then is finished, the rest stays queued.

        Waits while RabbitMQ or PostgreSQL is away. Raises aio-pika's `ChannelPreconditionFailed` when the queue was
        declared with other arguments.
        """
        pauses = Pauses(LONGEST_PAUSE)
        while not stop.is_set():
            await self._until_back(stop)
            if stop.is_set():
                return
            pauses.attempt()
            try:
                with told_as_lost():
                    await self._run_until_cut_off(stop)
            except ChannelPreconditionFailed:
                raise
            except HeldTooLong as error:
                self._held_back += 1
                self.presence.away(error)
                logger.warning("commands go back to their queue, having waited for long")
            except UNREACHABLE as error:
                # Unacknowledged commands come again, in order; what was executed gets its first answer then.
                self.presence.away(error)
                pause = pauses.next()
                logger.warning("intake begins again", error=repr(error), pause=pause)
                await first_of(stop.wait(), timeout=pause)

    async def _until_back(self, stop: asyncio.Event) -> None:
        """Wait, taking no commands, while PostgreSQL is known to be away."""
        pause = 0.05
        while self._waiting.begun and not stop.is_set():
            try:
                head = await self._executor.confirm()
            except Exception as error:
                if not waits(error):
                    raise
                self._waiting.through()  # this time is none that a newer release had to come
                await first_of(stop.wait(), timeout=pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            else:
                self._waiting.went_back(head)

    async def _run_until_cut_off(self, stop: asyncio.Event) -> None:
        """On one connection. Returns when told to stop, and when what comes next is to be delivered otherwise."""
        careful = self._suspecting = self._careful
        prefetch = 1 if careful else 2 * BATCH
        waiting: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
        busy = asyncio.Lock()
        queue = topology.TOPOLOGY.queue(COMMANDS)
        async with consuming(self._url, "commands", queue, waiting.put_nowait, prefetch=prefetch) as broker:
            working = asyncio.create_task(self._work(broker, waiting, busy, stop, careful))
            try:
                await first_of(asyncio.shield(working), stop.wait())
                if working.done():
                    working.result()
                # Taking the turn from the worker: it is between two batches then. One that is given commands singly
                # ends by itself, with none in hand.
                await first_of(asyncio.shield(working) if careful else busy.acquire(), timeout=GRACE)
            finally:
                await end(working)
                await self._replies.close()

    async def _work(
        self,
        broker: RabbitBroker,
        waiting: asyncio.Queue[AbstractIncomingMessage],
        busy: asyncio.Lock,
        stop: asyncio.Event,
        careful: bool,
    ) -> None:
        await topology.declare_on(await broker.connect())
        await broker.start()
        self.presence.here()
        if careful:
            await self._work_singly(broker, waiting, stop)
            return
        dubious: AbstractIncomingMessage | None = None
        while dubious is None:
            batch = [await waiting.get()]
            while len(batch) < BATCH and not waiting.empty():
                batch.append(waiting.get_nowait())
            at = next((at for at, each in enumerate(batch) if self._went_back(each, DUBIOUS)), len(batch))
            batch, dubious = batch[:at], batch[at] if at < len(batch) else None
            async with busy:
                # What comes behind a batch that was given up would acknowledge it, too.
                if stop.is_set() or (batch and not await self._settle(broker, batch, stop)):
                    return
        self._careful = True

    async def _work_singly(
        self, broker: RabbitBroker, waiting: asyncio.Queue[AbstractIncomingMessage], stop: asyncio.Event
    ) -> None:
        """So that it is known which of them ends the process, if one does."""
        while (message := await _next(waiting, stop)) is not None:
            through = not self._went_back(message, DUBIOUS)
            if message.redelivered and (through or stop.is_set()):
                # Acknowledged, it would have the next one handed out, which then went back behind all others.
                self._careful = not await self._execute_ahead(message, stop)
                return
            if not await self._settle(broker, [message], stop):
                return
            if through:
                self._careful = False
                return

    async def _settle(
        self, broker: RabbitBroker, batch: Sequence[AbstractIncomingMessage], stop: asyncio.Event
    ) -> bool:
        """Execute the messages, answer or park each, then acknowledge them all. False when told to stop meanwhile: they
        stay in the queue. Raises what is in `UNREACHABLE`.
        """
        if not batch[0].redelivered:
            self._waiting.through()  # what went back is delivered before what is new
        parsed = [self._parse(message) for message in batch]
        envelopes = [each for each in parsed if isinstance(each, CommandEnvelope)]
        executed = await self._execute(envelopes, stop)
        if executed is None:
            return False
        outcomes = iter(executed)
        concluding = []
        try:
            async with asyncio.TaskGroup() as group:
                for message, each in zip(batch, parsed, strict=True):
                    outcome = each if isinstance(each, Exception) else next(outcomes)
                    concluding.append(group.create_task(self._conclude(broker, message, each, outcome)))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        if any(task.cancelled() for task in concluding):
            raise ConnectionLost("what was told on it was cancelled")  # by the client library, as the group overlooks
        await batch[-1].ack(multiple=True)
        self._suspecting = False
        if not batch[-1].redelivered:
            self._held_back = 0  # what went back is through
        return True

    async def _execute_ahead(self, message: AbstractIncomingMessage, stop: asyncio.Event) -> bool:
        """Execute what goes back to the queue, and comes again behind what waits there with it: to be told, and
        acknowledged, then. False when told to stop meanwhile."""
        parsed = self._parse(message)
        executed = await self._execute([parsed] if isinstance(parsed, CommandEnvelope) else [], stop)
        self._suspecting = False
        return executed is not None

    def _parse(self, message: AbstractIncomingMessage) -> CommandEnvelope | Exception:
        """Whatever the message is: what is raised here would be raised again at each delivery."""
        if problem := self._unfit(message):
            return ProblemError(problem)
        try:
            envelope = parse_message(message.body)
        except Exception as error:
            return error
        if envelope.correlation_id is None and (id := uuid_or_none(message.correlation_id)):
            return envelope.model_copy(update={"correlation_id": id})
        return envelope

    def _unfit(self, message: AbstractIncomingMessage) -> Problem | None:
        """Why a message is not even looked into."""
        headers: Mapping[str, object] = message.headers or {}
        # The first on its connection, for only that can have ended the one before.
        if self._suspecting and self._went_back(message, SUSPECT):
            return Problem(
                500,
                SUSPECTED,
                f"delivered {headers.get(DELIVERIES)} times and never settled: it may be what ends the process, or the "
                "connection",
                "find out what it does to the service before sending it again",
            )
        if UNREADABLE in headers:
            return Problem(
                400,
                "unreadable_properties",
                f"its AMQP properties can't be read: {headers[UNREADABLE]}",
                "send ids as UTF-8, times in seconds, delivery mode 1 or 2",
            )
        if len(message.body) > self._body_limit:
            return Problem(
                413,
                "body_too_large",
                f"the message has {len(message.body)} bytes",
                f"send at most {self._body_limit} bytes",
            )
        return None

    def _went_back(self, message: AbstractIncomingMessage, times: int) -> bool:
        """Whether it did at least so often, but for PostgreSQL's sake."""
        deliveries = (message.headers or {}).get(DELIVERIES, 0)
        # On the first delivery the header is whatever the sender has put there.
        return bool(message.redelivered) and isinstance(deliveries, int) and deliveries - self._held_back >= times

    async def _execute(
        self, envelopes: Sequence[CommandEnvelope], stop: asyncio.Event
    ) -> list[Appended | Exception] | None:
        """One outcome for each, in order; waits for what `waits` is true of. None when told to stop meanwhile.

        Raises `HeldTooLong`.
        """
        pause = 0.05
        while envelopes:
            try:
                outcomes = await self._executor.execute_all(envelopes)
            except Exception as error:
                if not waits(error) and len(envelopes) > 1:
                    return await self._one_by_one(envelopes, stop)
                outcomes = [error]
            away = next((each for each in outcomes if isinstance(each, Exception) and waits(each)), None)
            if away is None:
                self._waiting.ended()
                return outcomes
            if self._waiting.in_vain(away):
                if len(envelopes) > 1:
                    return await self._one_by_one(envelopes, stop)
                self._waiting.ended()
                return outcomes
            self._waiting.go_on(away)
            logger.warning("commands wait", error=repr(away), commands=len(envelopes), pause=pause)
            await first_of(stop.wait(), timeout=pause)
            if stop.is_set():
                return None
            pause = min(pause * 2, LONGEST_PAUSE)
        return []

    async def _one_by_one(
        self, envelopes: Sequence[CommandEnvelope], stop: asyncio.Event
    ) -> list[Appended | Exception] | None:
        """After an error that nobody expected: so that it strikes only the command whose it is."""
        outcomes: list[Appended | Exception] = []
        for envelope in envelopes:
            outcome = await self._execute([envelope], stop)
            if outcome is None:
                return None
            outcomes += outcome
        return outcomes

    async def _conclude(
        self,
        broker: RabbitBroker,
        message: AbstractIncomingMessage,
        parsed: CommandEnvelope | Exception,
        outcome: Appended | Exception,
    ) -> None:
        """Answer the message, or park it if there is nobody to tell that it was not executed, or if it is suspect: the
        answer may be what ends the connection."""
        envelope = parsed if isinstance(parsed, CommandEnvelope) else None
        self._concluded(name_of(parsed), outcome)
        correlation = envelope.correlation_id if envelope else None
        correlation = correlation or uuid_or_none(message.correlation_id)
        bound = {"correlation_id": str(correlation)} if correlation else {}
        if envelope:
            bound |= {"command": envelope.command, "tenant": envelope.tenant}
            bound |= {"stream": str(envelope.stream), "command_id": str(envelope.command_id)}
        with structlog.contextvars.bound_contextvars(**bound):
            if isinstance(outcome, Appended) and envelope is not None:
                logger.debug("command executed", position=outcome.position)
                if message.reply_to:
                    await self._reply(broker, message, answer_of(outcome, envelope), "application/json")
                return
            assert isinstance(outcome, Exception), "what was appended came of a command"
            problem = as_message_problem(outcome)
            if envelope is not None:
                problem = problem.with_members(command_id=str(envelope.command_id))
            if problem.status >= 500:
                logger.error("command failed", code=problem.code, exc_info=outcome)
            if message.reply_to and problem.code != SUSPECTED:
                await self._reply(broker, message, problem.to_json(), CONTENT_TYPE)
            else:
                # One at a time: the client library tells apart by their ids what the broker returns, and these are the
                # sender's, who may give the same to all.
                async with self._parking:
                    await park(broker, message, problem)

    async def _reply(
        self, broker: RabbitBroker, message: AbstractIncomingMessage, body: bytes, content_type: str
    ) -> None:
        reply = Message(
            body,
            content_type=content_type,
            correlation_id=message.correlation_id,
            delivery_mode=DeliveryMode.PERSISTENT,
        )
        await self._replies.send(broker, message.reply_to or "", reply)


async def park(broker: RabbitBroker, message: AbstractIncomingMessage, problem: Problem) -> None:
    """Put a copy into the dead-letter queue, with the reason; returns when the broker has it safe.

    Headers: `kithlog-reason` (the problem's code), `kithlog-detail`, and `kithlog-headers`, the message's own: among
    ours they would take effect again (`CC`, for one). What can't be sent again as it came is told as text.
    """
    parked = Message(
        message.body,
        content_type=message.content_type,
        correlation_id=message.correlation_id,
        message_id=message.message_id,
        type=message.type,
        delivery_mode=DeliveryMode.PERSISTENT,
        headers={
            "kithlog-reason": problem.code,
            "kithlog-detail": clean(problem.detail, LONGEST_DETAIL),
            "kithlog-headers": sendable(message.headers or {}),
        },
    )
    while True:
        try:
            await broker.publish(parked, queue=DEAD_COMMANDS, mandatory=True)
        except DeliveryError as error:
            logger.error("dead-letter queue does not take a command", error=repr(error))
            await asyncio.sleep(1)
            await topology.declare_on(await broker.connect())
        else:
            logger.warning("command parked", reason=problem.code)  # the detail may quote what was sent
            return


async def _next(waiting: asyncio.Queue[AbstractIncomingMessage], stop: asyncio.Event) -> AbstractIncomingMessage | None:
    """What is delivered next; None when told to stop, and nothing is on its way."""
    getting = asyncio.create_task(waiting.get())
    try:
        await first_of(asyncio.shield(getting), stop.wait())
        await asyncio.wait([getting], timeout=ON_ITS_WAY)
        return getting.result() if getting.done() else None
    finally:
        getting.cancel()


def uuid_or_none(text: str | None) -> UUID | None:
    try:
        return UUID(text)
    except (ValueError, TypeError, AttributeError):
        return None
