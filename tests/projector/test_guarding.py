"""Nothing fires that is needless by what is in the log and not folded yet, and nothing else waits for it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import pytest

from services.projector.firing import firing as firing_module
from services.projector.firing import guarding
from services.projector.live.mailbox import Mailbox
from shared.codec import decode
from shared.domain import interview, notification, programme, relationship, seeker
from shared.domain.identity import relationship_id
from shared.envelope import Recorded
from shared.log import Log
from tests.projector.conftest import At, letter, owning, projector, until_blocked, write
from tests.projector.firings import (
    ANA,
    EVENING,
    HELD,
    MEETING,
    REGISTERED,
    SEEKER,
    THANKED,
    WHOSE,
    fire,
    firing,
    fold,
    second,
    thanks_of,
    told,
)
from tests.projector.histories import START, Happening, on

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Recorded[bytes]]:
    """The events that were read to see whom they concern."""
    noted: list[Recorded[bytes]] = []

    def noting(recorded: Recorded[bytes]) -> Recorded[Any]:
        noted.append(recorded)
        return decode(recorded)

    monkeypatch.setattr(guarding, "decode", noting)
    return noted


async def test_an_event_that_is_not_folded_yet_silences(log: Log, database_url: str, at: At) -> None:
    """Given a thank-you that was acknowledged a moment ago and is not folded yet, when its reminder is due, then it
    waits; once folded, it is withdrawn and names the event that made it needless."""
    await write(log, [REGISTERED, HELD])
    await fold(database_url, log)
    await at(EVENING)
    await log.append(second(THANKED, 3, version=1))
    held = await fire(database_url)
    assert (held.due, held.held) == (0, 1)
    assert await told(log) == []
    await fold(database_url, log)
    await fire(database_url)
    thanks = await thanks_of(log)
    assert thanks
    assert {(type, reason) for type, _, reason in thanks} == {("notification.withdrawn", "withdrawn")}
    assert {event.data.cause.position for event in await told(log) if event.data.kind == "thank_you"} == {3}


async def test_an_answer_to_what_fired_silences_the_next_though_neither_is_folded(
    log: Log, database_url: str, connection: Connection, at: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a projector that is far behind, so that only guards tell whether anything moved, when the first reminder
    to follow up fired and was acknowledged, then the second waits until that is folded."""
    monkeypatch.setattr(guarding, "NEAR", 0)
    sent = on("interview", MEETING, interview.RequestSent(**WHOSE, channel="email", minutes=20, intent="To learn."))
    await write(log, [REGISTERED, sent])
    await fold(database_url, log)
    pending = await connection.fetch("SELECT due_at FROM read.timer WHERE subject_id = $1 ORDER BY 1", MEETING)
    await at(pending[0]["due_at"])
    assert (await fire(database_url)).due == 1
    [first] = await told(log)
    same = {name: getattr(first.data, name) for name in notification.NotificationEvent.model_fields}
    answer = on("notification", first.stream_id, notification.Acknowledged.model_validate({**same, "how": "acted_on"}))
    await log.append(second(answer, 4, version=1))
    await at(pending[1]["due_at"])
    fired = await fire(database_url)
    assert (fired.due, fired.held) == (0, 1)
    await fold(database_url, log)
    await fire(database_url)
    assert [event.type for event in await told(log) if event.type.endswith(".due")] == ["notification.due"]


@pytest.mark.parametrize(("far", "near"), [(10_000, 0), (0, 200), (0, 0)])
async def test_an_event_of_another_stream_that_is_not_folded_yet_silences(
    log: Log, database_url: str, at: At, monkeypatch: pytest.MonkeyPatch, far: int, near: int
) -> None:
    """Given a participant without a conversation and a contact to keep in touch with, when another conversation is
    planned and held and not folded yet, then neither the coach nor the seeker is told, whether the projector is near
    enough to read what it is about, before the log is held or then, or far behind; once folded, both have ended because
    of it."""
    monkeypatch.setattr(guarding, "FAR", far)
    monkeypatch.setattr(guarding, "NEAR", near)
    programme_id, coach, another = UUID(int=7), UUID(int=8), UUID(int=9)
    enrolled = on("programme", programme_id, programme.ParticipantEnrolled(seeker_id=SEEKER, coach_id=coach))
    kept = on(
        "relationship",
        relationship_id(SEEKER, ANA),
        relationship.KeepInTouchStarted(seeker_id=SEEKER, contact_id=ANA, cadence_days=90, first_after_days=14),
    )
    await write(log, [REGISTERED, enrolled, kept])
    await fold(database_url, log)
    await at(START + timedelta(days=24))
    planned = on("interview", another, interview.Planned(**WHOSE, purpose="field", about="Art"))
    await write(log, [planned, on("interview", another, interview.Held(**WHOSE, format="coffee"))], after=3)

    held = await fire(database_url)
    assert held.held >= 2
    assert not {"participant_stalled", "keep_in_touch"} & {event.data.kind for event in await told(log)}
    await fold(database_url, log)
    await fire(database_url)
    ended = {event.data.kind: event.data for event in await told(log) if isinstance(event.data, notification.Withdrawn)}
    assert ended["participant_stalled"].because == ended["keep_in_touch"].because == "interview.held"
    assert not [event for event in await told(log) if event.data.kind in ended and event.type == "notification.due"]


def keeping_in_touch(contact_id: UUID) -> Happening:
    started = relationship.KeepInTouchStarted(
        seeker_id=SEEKER, contact_id=contact_id, cadence_days=90, first_after_days=14
    )
    return on("relationship", relationship_id(SEEKER, contact_id), started)


def _touched(contact_id: UUID) -> relationship.TouchpointRecorded:
    return relationship.TouchpointRecorded(
        seeker_id=SEEKER, contact_id=contact_id, kind="good_wishes", channel="email", by="seeker"
    )


async def test_who_is_behind_holds_up_only_what_that_concerns(
    log: Log, database_url: str, at: At, monkeypatch: pytest.MonkeyPatch, decoded: list[Recorded[bytes]]
) -> None:
    """Given more events that are not folded than may be read while the log is held, one of them about one of three
    relationships, then the seeker is reminded of the others, however many batches it takes, and each of those events is
    read once, before the log is held."""
    monkeypatch.setattr(guarding, "NEAR", 0)
    bo, cy = UUID(int=21), UUID(int=22)
    await write(log, [REGISTERED, *map(keeping_in_touch, (ANA, bo, cy))])
    await fold(database_url, log)
    others = [on("seeker", UUID(int=n), seeker.Registered(name="x", time_zone="Asia/Tokyo")) for n in range(100, 120)]
    moved = second(on("relationship", relationship_id(SEEKER, bo), _touched(bo)), 5, version=1)
    await log.append(moved)
    await write(log, others, after=5)
    await at(START + timedelta(days=24))
    fired = await fire(database_url, batch=1)
    assert fired.due == 2
    assert fired.held > 0
    assert {e.data.subject_id for e in await told(log)} == {relationship_id(SEEKER, ANA), relationship_id(SEEKER, cy)}
    assert [each.position for each in decoded] == list(range(5, 26))


async def test_what_is_far_from_the_fold_is_read_and_kept_no_more(
    log: Log, database_url: str, at: At, monkeypatch: pytest.MonkeyPatch, decoded: list[Recorded[bytes]]
) -> None:
    """Given a fold that stands still, when the log grows little by little beyond what is read of it, then no more is
    read, though each step is small."""
    monkeypatch.setattr(guarding, "FAR", 5)
    monkeypatch.setattr(guarding, "NEAR", 0)
    await write(log, [REGISTERED, keeping_in_touch(ANA)])
    await fold(database_url, log)
    await at(START + timedelta(days=24))
    async with firing(database_url).session() as session:
        await log.append(second(on("relationship", relationship_id(SEEKER, ANA), _touched(ANA)), 3, version=1))
        for number in range(4, 13):
            other = on("seeker", UUID(int=100 + number), seeker.Registered(name="x", time_zone="Asia/Tokyo"))
            await write(log, [other], after=number)
            assert (await session.run_once()).due == 0
    assert [each.position for each in decoded] == list(range(3, 8))


async def test_an_event_that_is_just_being_appended_silences(
    log: Log, database_url: str, connection: Connection, at: At
) -> None:
    """Given a thank-you whose append is under way, then firing waits for it rather than being quicker."""
    await write(log, [REGISTERED, HELD])
    await fold(database_url, log)
    await at(EVENING)
    async with asyncio.TaskGroup() as group:
        async with connection.transaction():
            await Log.append_within(connection, [second(THANKED, 3, version=1)])
            task = group.create_task(fire(database_url))
            async with owning(database_url) as observer:
                await until_blocked(observer)
        fired = await task
    assert (fired.due, fired.held) == (0, 1)


async def test_other_streams_do_not_hold_it_up(log: Log, database_url: str, at: At) -> None:
    """Given a log that is far ahead on other streams, then what is due on its own still fires."""
    await write(log, [REGISTERED, HELD])
    await fold(database_url, log)
    await write(log, [on("seeker", UUID(int=9), seeker.Registered(name="x", time_zone="Asia/Tokyo"))], after=50)
    await at(EVENING)
    assert (await fire(database_url)).due == 1


async def test_a_parked_stream_keeps_its_timers_waiting(
    log: Log, database_url: str, connection: Connection, at: At
) -> None:
    """Given that events of the interview wait because folding one failed, then nobody is told on half the facts."""
    await write(log, [REGISTERED, HELD])
    await fold(database_url, log)
    await connection.execute(
        "INSERT INTO read.parked (tenant, stream_id, category, position, model, error)"
        " VALUES ('acme', $1, 'interview', 3, 'pipeline', 'broken')",
        MEETING,
    )
    await at(EVENING)
    assert (await fire(database_url)).due == 0
    await connection.execute("DELETE FROM read.parked")
    assert (await fire(database_url)).due == 1


async def with_a_parked_conversation(log: Log, database_url: str, connection: Connection, at: At) -> UUID:
    """A conversation that waits because folding it failed, and that would have ended reminders about the seeker and the
    relationship, when those are due; so are the ones about somebody else, whose id is answered, and in another tenant.
    """
    programme_id, another, else_ = UUID(int=7), UUID(int=9), UUID(int=10)
    enrolled = on("programme", programme_id, programme.ParticipantEnrolled(seeker_id=SEEKER, coach_id=UUID(int=8)))
    kept = [
        on(
            "relationship",
            relationship_id(seeker_id, ANA),
            relationship.KeepInTouchStarted(seeker_id=seeker_id, contact_id=ANA, cadence_days=90, first_after_days=14),
        )
        for seeker_id in (SEEKER, else_)
    ]
    other = on("seeker", else_, seeker.Registered(name="Ole Vik", time_zone="Europe/Berlin"))
    twins = [replace(each, tenant="umbrella") for each in (other, kept[1])]
    lives = [REGISTERED, other, enrolled, *kept, *twins]
    held = on("interview", another, interview.Held(**WHOSE, format="coffee"))
    await write(log, [*lives, held])
    await connection.execute(
        "INSERT INTO read.parked (tenant, stream_id, category, position, model, error)"
        " VALUES ('acme', $1, 'interview', $2, 'pipeline', 'broken')",
        another,
        len(lives) + 1,
    )
    await fold(database_url, log)
    await at(START + timedelta(days=24))
    return else_


async def due_reminders(log: Log) -> set[tuple[str, str, UUID]]:
    """Of the reminders that fired: tenant, kind and seeker."""
    return {(e.tenant, e.data.kind, e.data.seeker_id) for e in await told(log) if e.type == "notification.due"}


async def test_a_stream_that_is_parked_while_its_timer_is_claimed_keeps_it_waiting(
    log: Log, database_url: str, connection: Connection, at: At
) -> None:
    """Given a due timer that has been locked, when its stream is parked before all that judging it takes is read, then
    it waits: what is not folded of that stream is behind the checkpoint by then."""
    await write(log, [REGISTERED, HELD])
    await fold(database_url, log)
    await at(EVENING)

    class Between:
        """A connection on which something happens once the timers are locked."""

        def __init__(self, own: Any) -> None:
            self._own = own

        def __getattr__(self, name: str) -> Any:
            return getattr(self._own, name)

        async def fetch(self, query: str, *arguments: Any) -> Any:
            rows = await self._own.fetch(query, *arguments)
            if query == firing_module.QUERIES["lock"]:
                await connection.execute(
                    "INSERT INTO read.parked (tenant, stream_id, category, position, model, error)"
                    " VALUES ('acme', $1, 'interview', 3, 'x', 'y') ON CONFLICT DO NOTHING",
                    MEETING,
                )
            return rows

    async with firing(database_url).session() as session:
        session._connections = [Between(each) for each in session._connections]  # type: ignore[misc]
        assert (await session.run_once()).due == 0
    assert await told(log) == []


async def test_what_waits_of_a_parked_stream_silences_others(
    log: Log, database_url: str, connection: Connection, at: At
) -> None:
    """Given a conversation that waits and would have ended reminders about others, then those are not fired; one that
    nothing parked concerns is."""
    else_ = await with_a_parked_conversation(log, database_url, connection, at)
    assert (await fire(database_url)).held >= 2
    due = await due_reminders(log)
    assert {("acme", "keep_in_touch", else_), ("umbrella", "keep_in_touch", else_)} <= due
    assert not {("acme", "keep_in_touch", SEEKER), ("acme", "participant_stalled", SEEKER)} & due


async def test_what_waits_of_a_conversation_silences_no_other_of_the_same_seeker(
    log: Log, database_url: str, connection: Connection, at: At
) -> None:
    """Given a conversation that waits because folding it failed, then the seeker is reminded of another one: nothing
    that waits concerns it, though it concerns the seeker."""
    await with_a_parked_conversation(log, database_url, connection, at)
    other = on("interview", UUID(int=12), interview.AgreedLoosely(**WHOSE, what="Tea"), START + timedelta(days=22))
    await write(log, [other], after=20)
    await fold(database_url, log)
    await fire(database_url)
    assert ("acme", "firm_it_up", SEEKER) in await due_reminders(log)


@pytest.mark.parametrize("said", ["whom", "nobody"])
async def test_what_waits_and_can_not_be_read_silences_whom_it_names(
    log: Log, database_url: str, connection: Connection, at: At, said: str
) -> None:
    """Given a parked conversation that this release can't read, then nobody is reminded whom it names; and nobody in
    its tenant of what it may be about, where it does not say whom it names."""
    else_ = await with_a_parked_conversation(log, database_url, connection, at)
    unread = "replace(convert_from(data, 'utf8'), 'coffee', 'telepathy')"
    if said == "nobody":
        unread = f"replace({unread}, 'seeker_id', 'whose')"
    owner = await asyncpg.connect(database_url, server_settings={"session_replication_role": "replica"})
    await owner.execute(f"UPDATE log.event SET data = convert_to({unread}, 'utf8') WHERE type = 'interview.held'")
    await owner.close()
    await fire(database_url)
    due = await due_reminders(log)
    assert ("umbrella", "keep_in_touch", else_) in due
    assert (("acme", "keep_in_touch", else_) in due) == (said == "whom")
    assert not {("acme", "keep_in_touch", SEEKER), ("acme", "participant_stalled", SEEKER)} & due


async def test_where_too_much_waits_its_tenant_is_not_told_on_half_the_facts(
    log: Log, database_url: str, connection: Connection, at: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given that more waits of a tenant's parked streams than is read, then its reminders about people and
    relationships wait, whosever they are; those of other tenants, and those about conversations, fire."""
    monkeypatch.setattr(guarding, "WAITING", 1)
    agreed = interview.AgreedLoosely(**WHOSE, what="Coffee some time")
    promised = on("interview", UUID(int=11), agreed, START + timedelta(days=22))
    else_ = await with_a_parked_conversation(log, database_url, connection, at)
    await write(log, [promised], after=20)
    await fold(database_url, log)
    await fire(database_url)
    due = await due_reminders(log)
    assert ("umbrella", "keep_in_touch", else_) in due
    assert not {kind for tenant, kind, _ in due if tenant == "acme"} & {"keep_in_touch", "participant_stalled"}
    assert {kind for tenant, kind, _ in due if tenant == "acme"}


async def test_what_leads_nowhere_else_does_not_crowd_a_tenant_out(
    log: Log, database_url: str, connection: Connection, at: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a parked conversation of which much waits that concerns nothing else, then it holds up what it would have
    ended, and no other reminder of its tenant."""
    monkeypatch.setattr(guarding, "WAITING", 2)
    else_ = await with_a_parked_conversation(log, database_url, connection, at)
    prepared = on("interview", UUID(int=9), interview.Prepared(**WHOSE))
    for version in (1, 2, 3):
        await log.append(second(prepared, 20 + version, version=version))
    await fold(database_url, log)
    await fire(database_url)
    due = await due_reminders(log)
    assert ("acme", "keep_in_touch", else_) in due
    assert not {("acme", "keep_in_touch", SEEKER), ("acme", "participant_stalled", SEEKER)} & due


async def test_what_waits_is_read_before_the_log_is_held(
    log: Log, database_url: str, connection: Connection, at: At, decoded: list[Recorded[bytes]]
) -> None:
    """Given a parked stream, when firing comes to where nobody may append, then it has read what waits of it."""
    await with_a_parked_conversation(log, database_url, connection, at)
    async with asyncio.TaskGroup() as group:
        async with connection.transaction():
            await connection.execute("SELECT FROM log.head FOR UPDATE")
            task = group.create_task(fire(database_url))
            async with owning(database_url) as observer:
                await until_blocked(observer)
            assert [each.type for each in decoded] == ["interview.held"]
        await task
    assert [each.type for each in decoded] == ["interview.held"]


async def test_what_firing_itself_appends_holds_nothing_back(
    log: Log, database_url: str, at: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given more reminders about relationships than are read of what is not folded yet, when they fire batch by batch
    without any folding between, then all fire in one pass."""
    monkeypatch.setattr(guarding, "NEAR", 4)
    people = [UUID(int=400 + n) for n in range(15)]
    lives: list[Happening] = []
    for person in people:
        kept = relationship.KeepInTouchStarted(seeker_id=person, contact_id=ANA, cadence_days=90, first_after_days=14)
        lives.append(on("seeker", person, seeker.Registered(name="Mona", time_zone="Europe/Berlin")))
        lives.append(on("relationship", relationship_id(person, ANA), kept))
    await write(log, lives)
    await fold(database_url, log)
    await at((START + timedelta(days=24)).replace(hour=11))
    fired = await fire(database_url, batch=2)
    assert (fired.due, fired.held) == (len(people), 0)


AWAY = seeker.Left(), seeker.Returned()
SWITCHED_OFF = (
    seeker.PreferencesChanged(overrides={"thank_you": {"enabled": False}}),
    seeker.PreferencesChanged(overrides={}),
)


@pytest.mark.parametrize(("off", "on_again"), [AWAY, SWITCHED_OFF], ids=["away", "switched off"])
async def test_what_the_log_says_never_falls_due_does_not(
    log: Log, database_url: str, at: At, off: Any, on_again: Any
) -> None:
    """Given reminders that are all overdue when they end, and what ended them taken back before that is recorded, when
    the projector has folded that they are wanted again and not that they have ended, then none of them falls due."""
    overdue = START + timedelta(hours=50)
    await write(log, [REGISTERED, HELD])
    mailbox = Mailbox()
    async with projector(database_url, log, mailbox, poll_interval=3600).session() as session:
        await session.run_once()
        await at(EVENING)
        await fire(database_url)
        await at(overdue)
        await log.append_all([second(on("seeker", SEEKER, off, overdue), 10, version=1)])
        session.next_look = 0.0
        await session.run_once()
        await log.append_all([second(on("seeker", SEEKER, on_again, overdue), 11, version=2)])
        await fire(database_url)
        [back] = [each for each in await log.read(0, 100) if each.stream_id == SEEKER and each.version == 3]
        mailbox.put(letter(back))
        await session.run_once()
        assert session.checkpoint.position == back.position
        assert (await fire(database_url)).held > 0
        session.next_look = 0.0
        await session.run_once()
        await fire(database_url)
    notifications = [each.data for each in await told(log)]
    ended = {other.id for each in notifications for other in getattr(each, "others", ())}
    assert len(ended) > 1
    assert not ended & {each.stream_id for each in await told(log) if each.type == "notification.due"}
