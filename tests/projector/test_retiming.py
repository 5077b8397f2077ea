"""Timing policies that changed between two starts of the projector."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import pytest
from structlog.testing import capture_logs

from services.projector.firing.firing import Firing
from services.projector.folding.folder import Folder
from services.projector.folding.timing_fold import TimingFold
from services.projector.live.mailbox import Mailbox
from services.projector.models import MODELS
from services.projector.rebuild import comparing, retiming
from services.projector.storing import connecting
from services.projector.storing.halting import Halted
from shared.codec import decode
from shared.domain import interview, notification, seeker
from shared.log import Log
from shared.timing import calendar
from shared.timing.policies import Policies, default_policies, policies_with
from shared.timing.recipient import Recipient
from shared.timing.settling import Fire, settle
from shared.timing.timers import TIMER
from tests.projector.conftest import letter, owning, projector, until_blocked, write
from tests.projector.histories import appends, on

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

SEEKER, ANA, MEETING = UUID(int=1), UUID(int=2), UUID(int=3)
WHOSE: dict[str, Any] = {"seeker_id": SEEKER, "contact_ids": (ANA,)}
REGISTERED = on("seeker", SEEKER, seeker.Registered(name="Mona Quist", time_zone="Europe/Berlin"))
HELD = on("interview", MEETING, interview.Held(**WHOSE, format="coffee"))
ADA, BEN = UUID(int=11), UUID(int=12)
WISHES = {ADA: 5, BEN: 7}
"""Hours until they are to be thanked, by seeker."""
SOONER = policies_with("""
[acme.thank_you.stages]
due = { after = { hours = 1 } }
last_call = { enabled = false }
""")
_OF_NOBODY = """
WITH likeness AS (SELECT * FROM read.timer WHERE outcome IS NULL ORDER BY id LIMIT 1)
INSERT INTO read.timer (tenant, id, subject_id, seeker_id, guards, due_at, body)
SELECT 'nowhere', md5(n::text)::uuid, md5(n::text)::uuid, seeker_id, guards, due_at, body
FROM likeness, generate_series(1, 24) AS n
"""
_SLOW = """
ALTER TABLE read.timer ENABLE ROW LEVEL SECURITY;
CREATE POLICY everybody ON read.timer USING (true);
CREATE POLICY slowly ON read.timer AS RESTRICTIVE FOR SELECT
    USING (CASE WHEN tenant = 'nowhere' THEN pg_sleep(0.2) IS NOT NULL ELSE true END)
"""
"""To read one of those takes a while, as a page takes where there are millions."""
_NOTING = """
CREATE TABLE public.noted (setting text);
GRANT ALL ON public.noted TO kithlog_app;
CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO public.noted VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$;
CREATE TRIGGER noting AFTER UPDATE OF policies ON read.checkpoint FOR EACH ROW EXECUTE FUNCTION public.note()
"""
_FIRST = "SELECT body::text FROM read.timer WHERE body ->> 'policy' = 'thank_you' ORDER BY due_at LIMIT 1"
_DUE = """
SELECT body ->> 'stage' AS stage, due_at FROM read.timer
WHERE body ->> 'policy' = 'thank_you' AND outcome IS NULL ORDER BY due_at
"""


async def start(database_url: str, log: Log, policies: Policies) -> None:
    folder = Folder(MODELS, TimingFold(policies))
    async with projector(database_url, log, folder=folder).session() as session:
        await session.run_once()


async def due(connection: Connection) -> dict[str, datetime]:
    return {row["stage"]: row["due_at"] for row in await connection.fetch(_DUE)}


async def test_pending_timers_follow_new_policies(log: Log, database_url: str, connection: Connection) -> None:
    """Given pending reminders, when the projector starts with policies by which one of them comes an hour sooner and
    another not at all, then the first moves, the second is recorded as suppressed because it was switched off, which
    makes nothing needless that was told of the others, and those stay; a further start finds nothing to do."""
    await write(log, [REGISTERED, HELD])
    await start(database_url, log, default_policies())
    before = await due(connection)
    assert list(before) == ["due", "overdue", "last_call", "coach"]

    await start(database_url, log, SOONER)
    after = await due(connection)
    assert list(after) == ["due", "overdue", "coach"]
    assert after["due"] < before["due"]
    assert after["overdue"] == before["overdue"]
    turn = await connection.fetchval("SELECT turn FROM read.checkpoint")
    await start(database_url, log, SOONER)
    assert await connection.fetchval("SELECT turn FROM read.checkpoint") == turn

    async with Firing(database_url, SOONER).session() as session:
        await session.run_once()
    told = [decode(event).data for event in await log.read(2, 100)]
    withdrawn = [event for event in told if isinstance(event, notification.Withdrawn)]
    (ending,) = [event for event in withdrawn if event.because == "switched_off"]
    assert (ending.kind, ending.stages, ending.reason) == ("thank_you", ("last_call",), "suppressed")
    assert ending.due_at == before["last_call"]


async def test_a_policy_that_is_switched_off_is_withdrawn(log: Log, database_url: str, connection: Connection) -> None:
    """Given pending reminders, when the projector starts with policies by which there are none of their kind, then all
    are recorded as withdrawn, which makes needless what was told of them and is on its way."""
    await write(log, [REGISTERED, HELD])
    await start(database_url, log, default_policies())
    off = policies_with("[acme.thank_you]\nenabled = false")
    await start(database_url, log, off)
    assert await due(connection) == {}
    async with Firing(database_url, off).session() as session:
        await session.run_once()
    told = [decode(event).data for event in await log.read(2, 100)]
    endings = [event for event in told if isinstance(event, notification.Withdrawn) and event.kind == "thank_you"]
    assert len(endings) == 4
    assert {(event.reason, event.because) for event in endings} == {("withdrawn", "switched_off")}


async def test_what_new_policies_put_into_a_snooze_is_not_switched_off(
    log: Log, database_url: str, connection: Connection
) -> None:
    """Given a reminder that was put off until shortly before the next, when the projector starts with policies by which
    that would come sooner, then the snooze stands for it, and it is recorded so."""
    await write(log, [REGISTERED, HELD])
    await start(database_url, log, default_policies())
    timer = TIMER.validate_json(await connection.fetchval(_FIRST))
    seeker_of = Recipient(SEEKER, "acme", time_zone="Europe/Berlin")
    fired = settle(timer, timer.due_at, seeker_of, 0, default_policies())
    assert isinstance(fired, Fire)
    same = {name: getattr(fired.event, name) for name in notification.NotificationEvent.model_fields}
    until = (await due(connection))["overdue"] - timedelta(hours=1)
    put_off = notification.Snoozed(**same, until=until)
    answered = [on("notification", timer.id, event) for event in (fired.event, put_off)]
    await write(log, answered, after=2)
    await start(database_url, log, default_policies())
    assert list(await due(connection)) == ["due", "overdue", "last_call", "coach"]

    sooner = policies_with("[acme.thank_you.stages.overdue]\nafter = { hours = 22 }")
    await start(database_url, log, sooner)
    assert list(await due(connection)) == ["due", "last_call", "coach"]
    [ending] = await connection.fetch("SELECT outcome, ending ->> 'because' FROM read.timer WHERE outcome IS NOT NULL")
    assert tuple(ending) == ("suppressed", "snoozed")


async def test_a_file_of_policies_that_is_missing_stops_it(log: Log, database_url: str, connection: Connection) -> None:
    """Given a projector that was started with a file in which a tenant changes policies, when the next one is started
    without any, then it stops, and nothing moves; with an empty one it reckons anew."""
    await write(log, [REGISTERED, HELD])
    await start(database_url, log, SOONER)
    before = await due(connection)
    with pytest.raises(Halted, match="set KITHLOG_POLICIES to the file, or to an empty one") as halted:
        await start(database_url, log, default_policies())
    assert halted.value.reason == "policies"
    assert await due(connection) == before
    await start(database_url, log, policies_with(""))
    assert await due(connection) != before
    await start(database_url, log, default_policies())


async def test_what_new_policies_leave_aside_is_told(
    log: Log, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given two seekers with settings of their own and one without, when the projector starts with policies that the
    settings of one of them do not go with, then a warning names that one, and why, once."""
    after = {seeker_id: {"thank_you": {"stages": {"due": {"after": {"hours": n}}}}} for seeker_id, n in WISHES.items()}
    registered = [on("seeker", id, REGISTERED.event) for id in (SEEKER, *WISHES)]
    wishes = [on("seeker", id, seeker.PreferencesChanged(overrides=overrides)) for id, overrides in after.items()]
    await write(log, [*registered, *wishes])
    monkeypatch.setattr(retiming, "_AT_ONCE", 1)
    policies = policies_with("[acme.thank_you.stages]\noverdue = { after = { hours = 6 } }")
    for started_with, warnings in ((default_policies(), 0), (policies, 1), (policies, 0)):
        with capture_logs() as lines:
            await start(database_url, log, started_with)
        found = [line for line in lines if line["log_level"] == "warning"]
        assert len(found) == warnings
        for line in found:
            assert line["seekers"] == 1
            why = "thank_you: stage overdue does not come after the one before it"
            assert line["such_as"] == [f"acme/seeker/{BEN}: {why}"]


async def test_pending_timers_follow_the_calendar(
    log: Log, database_url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a reminder for a working day, when the projector starts with a release by which that is a holiday, and the
    policies are the same, then the reminder moves to the day after."""
    await write(log, [REGISTERED, HELD])
    await start(database_url, log, policies_with(""))
    connect = "SELECT due_at FROM read.timer WHERE body ->> 'policy' = 'connect'"
    before: datetime = await connection.fetchval(connect)
    monkeypatch.setattr(calendar, "SOURCES", "tzdata 2099.1, holidays 1.0")
    monkeypatch.setattr(calendar, "public_holidays", lambda country, year: {before.date()})
    await start(database_url, log, policies_with(""))
    assert await connection.fetchval(connect) > before


async def test_no_statement_takes_the_longer_the_more_timers_there_are(
    log: Log, database_url: str, connection: Connection, owner: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given pending timers of subjects that are not there, more than a statement may take the time to look at, when the
    projector starts with other policies, then it ends them all the same, and folds."""
    await write(log, [REGISTERED, HELD])
    await start(database_url, log, default_policies())
    await owner.execute(_OF_NOBODY)
    await owner.execute(_SLOW)
    monkeypatch.setattr(connecting, "PATIENCE", 4.0)
    monkeypatch.setattr(comparing, "_LOOKED_AT", 3)
    monkeypatch.setattr(retiming, "_AT_ONCE", 3)
    await start(database_url, log, SOONER)
    ended = await owner.fetchval("SELECT count(*) FROM read.timer WHERE tenant = 'nowhere' AND outcome = 'withdrawn'")
    assert ended == 24
    assert list(await due(connection)) == ["due", "overdue", "coach"]
    assert await connection.fetchval("SELECT policies FROM read.checkpoint") == SOONER.fingerprint


async def test_of_two_that_start_at_once_one_reckons(
    log: Log, database_url: str, connection: Connection, owner: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given two projectors that start with other policies at the same moment, then the one that comes second finds what
    the first has done, and does not hold up all folding a second time."""
    await write(log, [REGISTERED, HELD])
    await start(database_url, log, default_policies())
    looks: list[int] = []

    def looking(*given: Any) -> Any:
        looks.append(1)
        return comparing.differing_timers(*given)

    monkeypatch.setattr(retiming, "differing_timers", looking)
    async with owning(database_url) as blocker, blocker.transaction():
        await blocker.execute("SELECT FROM read.checkpoint FOR UPDATE")
        both = [asyncio.create_task(start(database_url, log, SOONER)) for _ in range(2)]
        await until_blocked(owner, 2)
    await asyncio.gather(*both)
    assert looks == [1]
    assert await connection.fetchval("SELECT policies FROM read.checkpoint") == SOONER.fingerprint


async def test_a_file_that_is_missing_is_missed_at_ones_turn(
    log: Log, database_url: str, connection: Connection, owner: Connection
) -> None:
    """Given two projectors that start at the same moment, the second without the file of the first, when it comes to
    its turn, then it stops as one that was started later does: it would end what only the file has."""
    await write(log, [REGISTERED, HELD])
    await start(database_url, log, default_policies())
    await owner.execute("UPDATE read.checkpoint SET policies = 'of the release before'")
    async with owning(database_url) as blocker, blocker.transaction():
        await blocker.execute("SELECT FROM read.checkpoint FOR UPDATE")
        first = asyncio.create_task(start(database_url, log, SOONER))
        await until_blocked(owner, 1)
        second = asyncio.create_task(start(database_url, log, default_policies()))
        await until_blocked(owner, 2)
    await first
    with pytest.raises(Halted, match="set KITHLOG_POLICIES to the file"):
        await second
    assert await connection.fetchval("SELECT policies FROM read.checkpoint") == SOONER.fingerprint


async def test_by_which_policies_timers_were_reckoned_survives_a_crash(
    log: Log, database_url: str, owner: Connection
) -> None:
    """The projector reckons once: having lost that, it would find the policies of before, and halt as if others' were
    in force. So what it commits is on disk, unlike what it folds again."""
    await write(log, [REGISTERED, HELD])
    await start(database_url, log, default_policies())
    await owner.execute(_NOTING)
    await start(database_url, log, SOONER)
    assert [row["setting"] for row in await owner.fetch("SELECT setting FROM public.noted")] == ["on"]


async def test_one_that_was_started_before_leaves_the_folding_to_the_newer(
    log: Log, database_url: str, connection: Connection
) -> None:
    """Given two projectors, the later one started with other policies, then the earlier one folds nothing more, says
    why, and does not make its own policies hold again."""
    await write(log, [REGISTERED])
    mailbox = Mailbox()
    earlier = projector(database_url, log, mailbox)
    async with earlier.session() as session:
        await session.run_once()
        await start(database_url, log, SOONER)
        await log.append(appends([REGISTERED, HELD])[1])
        mailbox.put(letter((await log.read(1, 10))[0]))
        with pytest.raises(Halted, match="policies") as halted:
            await session.run_once()
        assert halted.value.reason == "policies"
        session.next_look = 0.0
        with pytest.raises(Halted, match="policies"):
            await session.run_once()
    with pytest.raises(Halted, match="policies"):
        async with earlier.session() as session:
            pass
    assert await connection.fetchval("SELECT policies FROM read.checkpoint") == SOONER.fingerprint
    await start(database_url, log, SOONER)
    assert list(await due(connection)) == ["due", "overdue", "coach"]


async def test_nothing_is_fired_by_other_policies(log: Log, database_url: str, connection: Connection) -> None:
    """Given timers reckoned by the policies of a projector that was started later, when firing with others goes on,
    then it leaves them alone, also those of a stage that is unknown to it."""
    await write(log, [REGISTERED, HELD])
    await start(database_url, log, SOONER)
    await connection.execute("UPDATE read.timer SET due_at = log.now() - interval '1 second'")
    for policies, fired in ((default_policies(), False), (SOONER, True)):
        async with Firing(database_url, policies).session() as session:
            await session.run_once()
        assert bool(await log.read(2, 100)) == fired


async def test_policies_that_go_back_bring_timers_back(log: Log, database_url: str, connection: Connection) -> None:
    """Given other policies were in force for a while and nothing fired, when the old ones return, then what is pending
    is what it was, but for what has been recorded as ended."""
    await write(log, [REGISTERED, HELD])
    await start(database_url, log, default_policies())
    before = await due(connection)
    await start(database_url, log, SOONER)
    await start(database_url, log, policies_with(""))
    assert await due(connection) | {"last_call": before["last_call"]} == before
