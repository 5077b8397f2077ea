"""Load, fold, decide, append on real PostgreSQL: what is kept in memory may be stale, an answer never is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from services.command.executor import Executor
from shared.command_envelope import CommandEnvelope
from shared.database.pool import UNAVAILABLE, connect, open_pool
from shared.domain.catalogue import COMMANDS, DECIDERS
from shared.domain.identity import relationship_id
from shared.domain.kernel import Refusal
from shared.envelope import Recorded
from shared.log import Append, Appended, KeyReused, Known, Log, LogUnavailable, Outcome, WrongVersion
from shared.operations import turns
from tests.chaos.proxy import Proxy
from tests.command.client import ADD, ANA, INTERVIEW, PLAN, REGISTER, REQUEST, SEEKER
from tests.command.conftest import NOW, FixedClock
from tests.turns import with_turns

VERDICT = {"field": "Geology", "verdict": "pursue"}


def envelope(command: str, id: UUID, data: dict[str, Any], *, number: int, **others: Any) -> CommandEnvelope:
    """A command whose id is made of `number`."""
    body = COMMANDS[command].model_validate_json(json.dumps(data))
    return CommandEnvelope(
        command=command, tenant="acme", id=id, command_id=UUID(int=number), occurred_at=NOW, data=body, **others
    )


def register(number: int = 1, id: UUID = SEEKER) -> CommandEnvelope:
    return envelope("seeker.register", id, REGISTER, number=number)


def verdict(number: int, id: UUID = SEEKER, **others: Any) -> CommandEnvelope:
    return envelope("seeker.record_verdict", id, VERDICT, number=number, **others)


class Replicas:
    """Executors on one log, each with a memory of its own."""

    def __init__(self, logs: Sequence[Log], **memory: int) -> None:
        self.executors = [Executor(log, DECIDERS, FixedClock(), **memory) for log in logs]
        self.log = logs[0]

    async def history(self) -> list[str]:
        return [event.type for event in await self.log.read(0, 1000)]


@asynccontextmanager
async def opened(database_url: str, replicas: int) -> AsyncIterator[list[Log]]:
    pool = await open_pool(database_url)
    try:
        async with Log.open(pool, database_url) as first, Log.open(pool, database_url) as second:
            yield [first, second][:replicas]
    finally:
        await pool.close()


@pytest.fixture
async def replicas(request: pytest.FixtureRequest, database_url: str) -> AsyncIterator[Replicas]:
    async with opened(database_url, 2) as logs:
        yield Replicas(logs, **getattr(request, "param", {}))


whatever_is_kept = pytest.mark.parametrize(
    "replicas", [{"keep": 0}, {"keep": 1}, {}], indirect=True, ids=["none kept", "one kept", "all kept"]
)
"""No answer depends on how many states are kept."""


@whatever_is_kept
async def test_a_command_accepted_on_a_stale_state_is_decided_again(replicas: Replicas) -> None:
    """Given a seeker that one replica remembers, when the other lets them leave, then the first refuses to go on, and
    nothing is written."""
    here, there = replicas.executors
    await here.execute(register())
    await there.execute(envelope("seeker.leave", SEEKER, {}, number=2))
    with pytest.raises(Refusal, match="out_of_order"):
        await here.execute(verdict(3))
    assert await replicas.history() == ["seeker.registered", "seeker.left"]


@whatever_is_kept
async def test_a_command_refused_on_a_stale_state_is_decided_again(replicas: Replicas) -> None:
    """Given an interview that one replica remembers as planned, when the other has sent the request, then the first
    accepts the answer to it."""
    here, there = replicas.executors
    await here.execute(register())
    await here.execute(envelope("contact.add", ANA, ADD, number=2))
    await here.execute(envelope("interview.plan", INTERVIEW, PLAN, number=3))
    with pytest.raises(Refusal, match="out_of_order"):
        await here.execute(envelope("interview.accept", INTERVIEW, {}, number=4))
    await there.execute(envelope("interview.send_request", INTERVIEW, REQUEST, number=5))
    assert (await here.execute(envelope("interview.accept", INTERVIEW, {}, number=6))).events


@whatever_is_kept
async def test_replicas_that_meet_on_a_stream_both_get_through(replicas: Replicas) -> None:
    """Given two replicas, when both write to one stream at the same time, then all is accepted, in dense versions."""
    await replicas.executors[0].execute(register())
    answers = await asyncio.gather(
        *(replicas.executors[number % 2].execute(verdict(number)) for number in range(10, 50))
    )
    assert sorted(answer.events[0].version for answer in answers) == list(range(2, 42))


@pytest.mark.parametrize("ahead", [timedelta(0), timedelta(minutes=4)])
async def test_what_follows_undated_is_never_the_earlier(database_url: str, ahead: timedelta) -> None:
    """Given a thank-you that its sender's clock dates, right or ahead, when the next word is snoozed at once, undated,
    by a service whose clock is slow, then the snooze happened later: timing goes by when things happened."""
    async with opened(database_url, 1) as [log]:

        class SlowClock:
            def now(self) -> datetime:
                return datetime.now(UTC) - timedelta(seconds=1)

        executor = Executor(log, DECIDERS, SlowClock())
        an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
        lived = [
            register(),
            envelope("contact.add", ANA, ADD, number=2),
            envelope("interview.plan", INTERVIEW, PLAN, number=3),
            envelope("interview.send_request", INTERVIEW, REQUEST, number=4),
            envelope("interview.accept", INTERVIEW, {}, number=5),
            envelope("interview.hold", INTERVIEW, {"minutes": 20, "format": "email"}, number=6),
        ]
        for each in lived:
            await executor.execute(each.model_copy(update={"occurred_at": an_hour_ago}))
        thank = envelope("interview.thank", INTERVIEW, {"how": "email"}, number=7)
        await executor.execute(thank.model_copy(update={"occurred_at": datetime.now(UTC) + ahead}))
        pair = {"seeker_id": str(SEEKER), "contact_id": str(ANA), "until": "2199-01-01T09:00:00Z"}
        snooze = envelope("relationship.snooze", relationship_id(SEEKER, ANA), pair, number=8)
        await executor.execute(snooze.model_copy(update={"occurred_at": None}))
        thanked, snoozed = (await log.read(0, 100))[-2:]
        assert (thanked.type, snoozed.type) == ("interview.thanked", "relationship.snoozed")
        assert thanked.occurred_at <= thanked.recorded_at <= snoozed.occurred_at == snoozed.recorded_at


async def test_two_copies_that_race_get_one_answer(replicas: Replicas) -> None:
    """Given one command sent to two replicas at once, then it is written once, and both get the same answer."""
    answers = await asyncio.gather(*(executor.execute(register()) for executor in replicas.executors))
    assert sorted(answer.repeated for answer in answers) == [False, True]
    assert answers[0].events == answers[1].events
    assert await replicas.history() == ["seeker.registered"]


@whatever_is_kept
async def test_two_copies_that_race_within_one_replica_get_one_answer(replicas: Replicas) -> None:
    here = replicas.executors[0]
    answers = await asyncio.gather(*(here.execute(register()) for _ in range(5)))
    assert [answer.events for answer in answers] == [answers[0].events] * 5
    assert [answer.repeated for answer in answers].count(False) == 1


@whatever_is_kept
async def test_a_repeat_is_answered_though_it_would_be_refused_by_now(replicas: Replicas) -> None:
    """Given a command whose time has passed, when it is repeated, then it gets its first answer, not a refusal; with
    other content, or another expected version that held then, it is told so."""
    here, there = replicas.executors
    first = await here.execute(register())
    await here.execute(envelope("seeker.leave", SEEKER, {}, number=2))
    for executor in (here, there):
        again = await executor.execute(register())
        assert (again.repeated, again.events, again.recorded_at) == (True, first.events, first.recorded_at)
    with pytest.raises(KeyReused):
        await there.execute(envelope("seeker.register", SEEKER, {**REGISTER, "name": "Other"}, number=1))


class TakingAll:
    """A log without events that takes all at once."""

    era = 0

    async def known(self, commands: Sequence[tuple[str, UUID]]) -> Known:
        return Known({}, {}, [])

    async def read_streams(self, tenants: Sequence[str], stream_ids: Sequence[UUID]) -> list[Recorded[bytes]]:
        return []

    async def append_chain(self, appends: Sequence[Append]) -> list[Outcome]:
        return [Appended(each.command_id, position, (), NOW) for position, each in enumerate(appends, 1)]


@pytest.mark.parametrize(("which", "so_much"), [("AT_ONCE", 1), ("A_WHILE", 0.0)])
async def test_many_commands_leave_others_their_turns(
    monkeypatch: pytest.MonkeyPatch, which: str, so_much: float
) -> None:
    """Given many commands, or such as take long, then other tasks have their turns while they are judged."""
    monkeypatch.setattr(turns, which, so_much)
    log: Any = TakingAll()
    commands = [register(number, UUID(int=number)) for number in range(1, 101)]
    outcomes, had = await with_turns(Executor(log, DECIDERS, FixedClock()).execute_all(commands))
    assert all(isinstance(each, Appended) for each in outcomes)
    assert had >= len(outcomes) == 100


@whatever_is_kept
async def test_an_expected_version_is_judged_on_what_the_log_holds(replicas: Replicas) -> None:
    """Given a replica that remembers version 1, when another has written version 2, then expecting 2 is right and
    expecting 1 is not."""
    here, there = replicas.executors
    await here.execute(register())
    await there.execute(verdict(2))
    with pytest.raises(WrongVersion) as refused:
        await here.execute(verdict(3, expected_version=1))
    assert (refused.value.expected, refused.value.actual) == (1, 2)
    assert (await here.execute(verdict(4, expected_version=2))).events[0].version == 3


@whatever_is_kept
async def test_an_id_belongs_to_one_category(replicas: Replicas) -> None:
    """Given a seeker's id, when a contact is to be created with it, then it is refused on any replica."""
    await replicas.executors[0].execute(register())
    for executor in replicas.executors:
        with pytest.raises(Refusal, match="id_in_use"):
            await executor.execute(envelope("contact.add", SEEKER, ADD, number=2))


@pytest.mark.parametrize("by", ["execute", "execute_all", "one batch with what has the id"])
@pytest.mark.parametrize(
    ("command", "id", "data"),
    [
        ("interview.accept", ANA, {}),
        ("seeker.record_verdict", ANA, VERDICT),
        ("contact.add", SEEKER, ADD),
        ("interview.plan", INTERVIEW, {**PLAN, "contact_ids": [str(SEEKER)]}),
    ],
)
@whatever_is_kept
async def test_an_id_of_something_else_is_said_to_be_in_use_whichever_way(
    replicas: Replicas, command: str, id: UUID, data: dict[str, Any], by: str
) -> None:
    """Given a command that is sent to the id of something else, or names it, then the answer is the same over HTTP as
    over AMQP or in an import, where it is kept: that the id is in use, and not that there is nothing."""
    here, there = replicas.executors
    people = [register(), envelope("contact.add", ANA, ADD, number=2)]
    wrong = envelope(command, id, data, number=3)
    outcome: Appended | Exception
    if by == "one batch with what has the id":
        *_, outcome = await here.execute_all([*people, wrong])
    else:
        await here.execute_all(people)
        if by == "execute":
            with pytest.raises(Refusal) as refused:
                await there.execute(wrong)
            outcome = refused.value
        else:
            outcome, _ = await there.execute_all([wrong, verdict(4)])
    assert isinstance(outcome, Refusal)
    assert (outcome.code, outcome.kind) == ("id_in_use", "conflict")
    assert (
        await replicas.history()
        == ["seeker.registered", "contact.added", "seeker.verdict_recorded"][: 3 if by == "execute_all" else 2]
    )


LEAD, PROGRAMME = UUID(int=0x1EAD), UUID(int=0x960)
RECORD = {"seeker_id": str(SEEKER), "contact_id": str(ANA), "kind": "advice", "what": "Read the annual report"}


def there_are_all() -> list[CommandEnvelope]:
    """Commands after which there is one stream of each category whose ids are chosen by who sends the command."""
    return [
        register(),
        envelope("contact.add", ANA, ADD, number=2),
        envelope("programme.create", PROGRAMME, {"title": "Spring"}, number=3),
        envelope("programme.enrol_participant", PROGRAMME, {"seeker_id": str(SEEKER)}, number=4),
        envelope("interview.plan", INTERVIEW, PLAN, number=5),
        envelope("lead.record", LEAD, {**RECORD, "interview_id": str(INTERVIEW)}, number=6),
    ]


@pytest.mark.parametrize(
    ("command", "id", "data"),
    [
        ("contact.add", SEEKER, {**ADD, "seeker_id": str(SEEKER)}),
        ("interview.plan", SEEKER, PLAN),
        ("interview.plan", ANA, PLAN),
        ("interview.plan", LEAD, {**PLAN, "lead_id": str(LEAD)}),
        ("interview.plan", PROGRAMME, {**PLAN, "programme_id": str(PROGRAMME)}),
        ("lead.record", SEEKER, RECORD),
        ("lead.record", ANA, RECORD),
        ("lead.record", INTERVIEW, {**RECORD, "interview_id": str(INTERVIEW)}),
        ("programme.create", SEEKER, {"title": "Autumn"}),
        ("seeker.register", ANA, REGISTER),
        ("lead.come_to_something", LEAD, {"new_contact_id": str(LEAD)}),
    ],
)
@pytest.mark.parametrize("remembers", [True, False])
@pytest.mark.parametrize("by", ["execute", "execute_all"])
async def test_no_command_writes_into_a_stream_that_it_names_as_another(
    replicas: Replicas, command: str, id: UUID, data: dict[str, Any], *, remembers: bool, by: str
) -> None:
    """Given a command whose own id is that of something else that it names, whether its replica remembers that or not,
    then it is refused, however it came, and nothing is written."""
    here, there = replicas.executors
    assert all(isinstance(outcome, Appended) for outcome in await here.execute_all(there_are_all()))
    before = await replicas.history()
    executor, wrong = here if remembers else there, envelope(command, id, data, number=7)
    outcome: Appended | Exception
    if by == "execute":
        with pytest.raises(Refusal) as refused:
            await executor.execute(wrong)
        outcome = refused.value
    else:
        [outcome] = await executor.execute_all([wrong])
    assert isinstance(outcome, Refusal)
    assert outcome.code == "id_in_use"
    assert await replicas.history() == before


async def test_nor_within_a_batch(replicas: Replicas) -> None:
    """Given a seeker and a contact with one id, in one batch, then the seeker is there and the contact refused."""
    contact = envelope("contact.add", SEEKER, {**ADD, "seeker_id": str(SEEKER)}, number=2)
    registered, refused = await replicas.executors[0].execute_all([register(), contact])
    assert isinstance(registered, Appended)
    assert isinstance(refused, Refusal)
    assert refused.code == "id_in_use"
    assert await replicas.history() == ["seeker.registered"]


@whatever_is_kept
async def test_a_batch_is_judged_in_order(replicas: Replicas) -> None:
    """Given commands that build on one another, some refused, some repeated, then each gets what it would have got
    alone, in order, and the accepted ones follow one another in the log."""
    here = replicas.executors[0]
    earlier = await here.execute(register(1))
    outcomes = await here.execute_all(
        [
            verdict(10, UUID(int=0xF)),  # too early: nobody is registered there yet
            register(11, UUID(int=0xF)),
            verdict(12, UUID(int=0xF)),
            register(1),  # answered before
            register(11, UUID(int=0xF)),  # a repeat within the batch
            register(13, UUID(int=0xF)),  # exists by now
            verdict(1),  # a key that was used for something else
            verdict(14, UUID(int=0xF), expected_version=2),
            verdict(15, UUID(int=0xF), expected_version=2),
        ]
    )
    codes = [outcome.code if isinstance(outcome, Refusal) else type(outcome).__name__ for outcome in outcomes]
    assert codes == [
        "unknown_seeker", "Appended", "Appended", "Appended", "Appended", "already_exists", "KeyReused", "Appended",
        "WrongVersion",
    ]  # fmt: skip
    registered, repeated_before, repeated_here = outcomes[1], outcomes[3], outcomes[4]
    assert isinstance(registered, Appended)
    assert isinstance(repeated_before, Appended)
    assert isinstance(repeated_here, Appended)
    assert (repeated_before.repeated, repeated_before.events) == (True, earlier.events)
    assert (repeated_here.repeated, repeated_here.events) == (True, registered.events)
    assert [event.position for event in await replicas.log.read(0, 100)] == [1, 2, 3, 4]


class Interrupted:
    """A log to which somebody else writes just before a batch is appended."""

    def __init__(self, log: Log, interruption: Callable[[], Any]) -> None:
        self._log, self._interruption = log, interruption

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def append_chain(self, appends: Sequence[Append]) -> list[Outcome]:
        await self._interruption()
        return await self._log.append_chain(appends)


class Meanwhile(Interrupted):
    """A log to which somebody else writes after some of the reads."""

    def __init__(self, log: Log, then: dict[int, Callable[[], Any]]) -> None:
        """`then`: what happens after the first read, the second …"""
        super().__init__(log, lambda: None)
        self._then, self._reads = then, 0

    async def append_chain(self, appends: Sequence[Append]) -> list[Outcome]:
        return await self._log.append_chain(appends)

    async def read_streams(self, tenants: Sequence[str], stream_ids: Sequence[UUID]) -> Any:
        found = await self._log.read_streams(tenants, stream_ids)
        self._reads += 1
        if then := self._then.pop(self._reads, None):
            await then()
        return found


class Reading(Interrupted):
    """Remembers which streams were read."""

    def __init__(self, log: Log) -> None:
        super().__init__(log, lambda: None)
        self.read: list[int] = []

    async def read_streams(self, tenants: Sequence[str], stream_ids: Sequence[UUID]) -> Any:
        self.read += [id.int for id in stream_ids]
        return await self._log.read_streams(tenants, stream_ids)


@pytest.mark.parametrize(("keep", "read"), [(0, [12, 10, 12, 11]), (1, [10, 12, 11]), (2, [10, 11]), (3, [])])
async def test_only_what_is_not_kept_is_read(replicas: Replicas, keep: int, read: list[int]) -> None:
    """Given three seekers and a memory for so many, when commands about them follow, then those are read again that
    were used the longest ago."""
    log = Reading(replicas.log)
    executor = Executor(log, DECIDERS, FixedClock(), keep=keep)
    for number in (10, 11, 12):
        await executor.execute(register(number, UUID(int=number)))
    for number, seeker in enumerate((12, 10, 12, 11)):
        await executor.execute(verdict(number, UUID(int=seeker)))
    assert log.read == read


@whatever_is_kept
async def test_what_follows_from_another_stream_is_loaded_after_it(replicas: Replicas) -> None:
    """Given Ben who led to Ana, and her referral to Cleo, when the conversation with Cleo that follows it up was held,
    then both are owed thanks: the lead is loaded, and then who gave it."""
    ben, cleo, referral = UUID(int=0xB2), UUID(int=0xC3), UUID(int=0x1EAD)
    met = {"seeker_id": str(SEEKER)}
    gave = {**met, "contact_id": str(ANA), "kind": "referral", "what": "Talk to Cleo"}
    plan = {**PLAN, "contact_ids": [str(cleo)], "lead_id": str(referral)}
    here, there = replicas.executors
    before = [
        register(),
        envelope("contact.add", ben, ADD, number=2),
        envelope("contact.add", ANA, {**ADD, **met, "introduced_by": str(ben)}, number=3),
        envelope("contact.add", cleo, ADD, number=4),
        envelope("lead.record", referral, gave, number=5),
        envelope("interview.plan", INTERVIEW, plan, number=6),
        envelope("interview.send_request", INTERVIEW, REQUEST, number=7),
        envelope("interview.accept", INTERVIEW, {"format": "email"}, number=8),
    ]
    assert {type(outcome).__name__ for outcome in await here.execute_all(before)} == {"Appended"}
    await there.execute(envelope("interview.hold", INTERVIEW, {}, number=9))
    [held] = [event for event in await replicas.log.read(0, 100) if event.type == "interview.held"]
    assert json.loads(held.data)["introduced_by"] == [str(ANA), str(ben)]


@pytest.mark.parametrize(("alone", "reads"), [(True, 1), (False, 2)], ids=["alone", "in a batch"])
async def test_nothing_is_refused_for_what_was_true_at_no_moment(replicas: Replicas, alone: bool, reads: int) -> None:
    """Given a touch of a tie that was never used, with a contact who is added while the command is judged, when the two
    connect, and the seeker leaves, after the tie was read again, then it is accepted: before, the seeker was there, and
    since, a tie that is there asks for no more.

    `reads`: how many it takes to judge it once."""
    there = replicas.executors[1]
    pair = {"seeker_id": str(SEEKER), "contact_id": str(ANA)}
    tie = relationship_id(SEEKER, ANA)

    async def add() -> None:
        await there.execute(envelope("contact.add", ANA, ADD, number=2))

    async def connect_and_leave() -> None:
        await there.execute(envelope("relationship.connect", tie, {**pair, "network": "linkedin"}, number=3))
        await there.execute(envelope("seeker.leave", SEEKER, {}, number=4))

    await there.execute(register())
    here = Executor(Meanwhile(replicas.log, {reads: add, reads + 1: connect_and_leave}), DECIDERS, FixedClock())
    touch = envelope("relationship.record_touchpoint", tie, {**pair, "kind": "thanks"}, number=5)
    outcome = await here.execute(touch) if alone else (await here.execute_all([touch]))[0]
    assert isinstance(outcome, Appended)
    assert (await replicas.history())[-3:] == [
        "relationship.connected",
        "seeker.left",
        "relationship.touchpoint_recorded",
    ]


async def test_a_batch_that_was_overtaken_is_decided_again(replicas: Replicas) -> None:
    """Given a batch decided on a seeker who leaves before it is appended, then what rests on their staying is
    refused, and the rest is written."""
    here, there = replicas.executors
    await here.execute(register())
    leave = envelope("seeker.leave", SEEKER, {}, number=2)
    overtaken = Executor(Interrupted(replicas.log, lambda: there.execute(leave)), DECIDERS, FixedClock())
    outcomes = await overtaken.execute_all([verdict(3), register(4, UUID(int=0xF)), verdict(5)])
    assert [type(outcome).__name__ for outcome in outcomes] == ["Refusal", "Appended", "Refusal"]
    assert await replicas.history() == ["seeker.registered", "seeker.left", "seeker.registered"]


@whatever_is_kept
async def test_nothing_in_a_batch_overtakes_what_was_decided_on_an_old_state(replicas: Replicas) -> None:
    """Given a batch that plans an interview and then forgets the contact, when another replica has written about the
    seeker meanwhile, so that the plan is decided again, then both are accepted, in their order."""
    here, there = replicas.executors
    await here.execute_all([register(), envelope("contact.add", ANA, ADD, number=2)])
    await there.execute(verdict(3))
    plan = envelope("interview.plan", INTERVIEW, PLAN, number=4)
    outcomes = await here.execute_all([plan, envelope("contact.forget", ANA, {}, number=5)])
    assert [type(outcome).__name__ for outcome in outcomes] == ["Appended", "Appended"]
    assert (await replicas.history())[-2:] == ["interview.planned", "contact.forgotten"]


async def test_a_batch_goes_on_together_behind_what_falls(replicas: Replicas) -> None:
    """Given a batch whose first command was decided on an old state, then that is decided again alone, and the others
    are appended together still: one conflict does not make each of them wait for a commit of its own."""
    here, there = replicas.executors
    await here.execute(register())
    await there.execute(verdict(2))

    chains: list[int] = []

    class Counted(Interrupted):
        async def append_chain(self, appends: Sequence[Append]) -> list[Outcome]:
            chains.append(len(appends))
            return await self._log.append_chain(appends)

    here._log = Counted(replicas.log, lambda: None)
    others = [register(number, UUID(int=number)) for number in range(10, 20)]
    outcomes = await here.execute_all([verdict(3), *others])
    assert {type(outcome).__name__ for outcome in outcomes} == {"Appended"}
    assert chains == [11, 10]


@whatever_is_kept
async def test_a_refusal_before_what_falls_stands(replicas: Replicas) -> None:
    """Given a batch that holds an interview too early, accepts it, and gives a contact the id of a seeker, for which it
    falls, then the first is refused all the same: what comes behind it was not there yet."""
    here = replicas.executors[0]
    await here.execute_all(
        [
            register(),
            envelope("contact.add", ANA, ADD, number=2),
            envelope("interview.plan", INTERVIEW, {**PLAN, "format": "email"}, number=3),
            envelope("interview.send_request", INTERVIEW, REQUEST, number=4),
        ]
    )
    outcomes = await here.execute_all(
        [
            envelope("interview.hold", INTERVIEW, {}, number=5),
            envelope("interview.accept", INTERVIEW, {}, number=6),
            envelope("contact.add", SEEKER, ADD, number=7),
        ]
    )
    told = [outcome.code if isinstance(outcome, Refusal) else type(outcome).__name__ for outcome in outcomes]
    assert told == ["out_of_order", "Appended", "id_in_use"]


@whatever_is_kept
async def test_a_slip_in_a_batch_counts_nothing_twice(replicas: Replicas) -> None:
    """Given a contact who takes two requests a month, of which one is there, when a batch has a command for a seeker by
    the contact's id beside the second request, then that is accepted: what was asked of the contact counts once."""
    here, there = replicas.executors
    other, second = UUID(int=0xE), UUID(int=0xF)
    await here.execute_all(
        [
            register(),
            register(2, other),
            envelope("contact.add", ANA, {**ADD, "capacity": 2}, number=3),
            envelope("interview.plan", INTERVIEW, PLAN, number=4),
            envelope("interview.send_request", INTERVIEW, REQUEST, number=5),
            envelope("interview.plan", second, {**PLAN, "seeker_id": str(other)}, number=6),
        ]
    )
    slip = envelope("seeker.leave", ANA, {}, number=7)
    offer = envelope("contact.correct_details", ANA, {"employer": "Margins"}, number=8)
    refused, *accepted = await there.execute_all(
        [slip, offer, envelope("interview.send_request", second, REQUEST, number=9)]
    )
    assert isinstance(refused, Refusal)
    assert [type(outcome).__name__ for outcome in accepted] == ["Appended", "Appended"]


async def test_a_batch_answers_a_copy_that_came_between(database_url: str) -> None:
    """Given a command in a batch, when its first copy is executed just after the batch asked for receipts, then the
    batch answers what the copy was answered, though on what the log holds now the command would be refused."""
    async with opened(database_url, 2) as logs:
        first = Executor(logs[0], DECIDERS, FixedClock())

        class Overtaken(Log):
            answered: Appended | None = None

            async def known(self, commands: Any) -> Any:
                found = await logs[1].known(commands)
                if self.answered is None:
                    self.answered = await first.execute(register())
                return found

        log = Overtaken.__new__(Overtaken)
        log.__dict__.update(logs[1].__dict__)
        [outcome] = await Executor(log, DECIDERS, FixedClock()).execute_all([register()])
        assert isinstance(outcome, Appended)
        assert log.answered is not None
        assert (outcome.position, outcome.events) == (log.answered.position, log.answered.events)
        assert outcome.repeated


async def test_sessions_that_can_only_read_are_not_kept(database_url: str) -> None:
    """Given sessions with a server that only reads by now, as one that became a stand-by, and no others to be had, then
    commands that would be written, and refusals that would be kept, are told so; they are when a session can write."""
    owner = await asyncpg.connect(database_url)
    name = await owner.fetchval("SELECT current_database()")
    pool = await open_pool(database_url, max_size=1)
    await pool.execute("SET default_transaction_read_only = on")
    await owner.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    async with Log.open(pool, database_url, patience=0.3) as log:
        executor = Executor(log, DECIDERS, FixedClock())
        with pytest.raises(LogUnavailable):
            await executor.execute(register())
        with pytest.raises(LogUnavailable):
            await executor.execute_all([verdict(2)])
    await owner.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
    async with Log.open(pool, database_url) as log:  # on the same sessions, with patience enough for any machine
        executor = Executor(log, DECIDERS, FixedClock())
        [refused] = await executor.execute_all([verdict(2)])
        assert isinstance(refused, Refusal)
        assert (await executor.execute(register())).position == 1
    await pool.close()
    await owner.close()


async def test_a_server_that_only_reads_is_not_asked(database_url: str) -> None:
    """Given an address that leads to a stand-by, then it is as if nobody answered: it may lack what was told."""
    owner = await asyncpg.connect(database_url)
    name = await owner.fetchval("SELECT current_database()")
    await owner.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    with pytest.raises(UNAVAILABLE, match="target attribute"):
        await connect(database_url)
    await owner.close()


async def test_a_log_out_of_reach_is_said_to_be(database_url: str) -> None:
    """Given a database that can't be reached, when a command needs it, then `LogUnavailable` within its patience."""
    nowhere = "postgresql://nobody@127.0.0.1:1/none"
    pool = await open_pool(database_url)
    async with Log.open(pool, nowhere, patience=0.2) as log:
        executor = Executor(log, DECIDERS, FixedClock())
        with pytest.raises(LogUnavailable):
            await executor.execute(register())
        await pool.close()
        with pytest.raises(LogUnavailable):
            await executor.execute(register(2, UUID(int=2)))
        with pytest.raises(LogUnavailable):
            await executor.execute_all([register(3, UUID(int=3))])


async def test_nobody_waits_for_a_server_that_says_nothing(database_url: str) -> None:
    """Given a server that is silent from some moment on, when a command has to read, then it is told within its
    patience, and not when asyncpg has given up to tell the server that nobody waits any more."""
    async with Proxy(database_url) as proxy:
        pool = await open_pool(proxy.url, max_size=1)
        async with Log.open(pool, database_url, patience=0.5) as log:
            await pool.fetchval("SELECT 1")
            proxy.silence()
            async with asyncio.timeout(30):
                for _ in range(2):
                    with pytest.raises(LogUnavailable):
                        await log.read_streams(["acme"], [SEEKER])
            pool.terminate()
