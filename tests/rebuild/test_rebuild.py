"""Rebuilding: the same rows and timers afresh, and nothing that is live is touched until the switch."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise
from uuid import UUID

import asyncpg
import pytest

from services.projector.folding.folder import Folder
from services.projector.folding.timing_fold import TimingFold
from services.projector.models import MODELS, PIPELINE
from services.projector.rebuild import building as building_module
from services.projector.rebuild import work as work_module
from services.projector.rebuild import worker
from services.projector.rebuild.building import CannotFold, LeftOut, Part
from services.projector.rebuild.rebuild import begun, rebuild, roll_back
from services.projector.rebuild.report import Busy, Refused
from services.projector.rebuild.staging import QUERIES, Staging
from services.projector.rebuild.unparking import NotParked, Unparked, unpark
from services.projector.rebuild.verify import compare
from services.projector.rebuild.work import NAMES, working
from services.projector.rebuild.worker import build_in_process
from services.projector.storing.halting import Halted
from services.projector.storing.leftovers import QUERIES as LEFTOVERS
from shared.codec import UnknownEventType
from shared.database.pool import UNAVAILABLE
from shared.timing.policies import policies_with
from tests.projector.conftest import folder, projector, until_blocked, write
from tests.projector.histories import TENANT, history
from tests.rebuild.conftest import POLICIES, System

_KEYS = """
SELECT r.generation, r.tenant, r.key FROM read.row r
JOIN read.generation g ON g.id = r.generation AND g.model = 'pipeline' AND g.status = 'live'
"""
_SPOIL = {
    "changed": "UPDATE read.row SET state = 'lapsed' WHERE generation = $1 AND tenant = $2 AND key = $3",
    "lacking": "DELETE FROM read.row WHERE generation = $1 AND tenant = $2 AND key = $3",
}


async def test_a_rebuild_of_everything_ends_as_it_began(folded: System) -> None:
    """Given live models, when all are rebuilt, rows and timers are as before, in new generations, and no event came
    of it."""
    before, head = await folded.state(), await folded.log.head()
    report = await rebuild(folded.url, POLICIES, NAMES)
    assert report.switched
    assert {name: told.differences for name, told in report.models.items() if told.differences} == {}
    assert await folded.state() == before
    assert await folded.log.head() == head
    [(_, first), (_, second)] = await folded.generations()
    assert (first, second) == ("retired", "live")


async def test_large_events_are_written_earlier(folded: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given more bytes than may be read at once, or staged, then they are read in several pages and written in several
    transactions, and nothing differs."""
    monkeypatch.setattr(building_module, "PAGE_BYTES", 1_000)
    monkeypatch.setattr(building_module, "FLUSH_BYTES", 5_000)
    flush, flushed = Staging.flush, list[int]()

    async def noting(self: Staging, position: int) -> None:
        if position > self.position:
            flushed.append(position)
        await flush(self, position)

    monkeypatch.setattr(Staging, "flush", noting)
    events = await folded.log.read(0, 1_000_000)
    report = await rebuild(folded.url, POLICIES, NAMES)
    assert (report.unexplained, report.switched) == (0, True)
    ends = [0, *flushed]
    assert len(flushed) > 3
    assert all(
        sum(len(event.data) for event in events[begin:end]) < 6_000 + max(len(event.data) for event in events)
        for begin, end in pairwise(ends)
    )


async def test_the_projector_goes_on_with_the_new_generation(folded: System) -> None:
    """Given a projector in the middle of its work, when models are switched under it, it writes to the new ones."""
    async with projector(folded.url, folded.log, poll_interval=0.0).session() as session:
        await session.run_once()
        await rebuild(folded.url, POLICIES, NAMES)
        await folded.happen(2)
        await session.run_once()  # finds the checkpoint turned, as if another projector were at work
        await session.run_once()
    report = await rebuild(folded.url, POLICIES, NAMES)
    assert report.switched
    assert report.position == (await folded.log.head()).position
    assert report.unexplained == 0


async def test_a_row_that_differs_keeps_a_rebuild_from_switching(folded: System) -> None:
    """Given a live row that is not what the log says, when its model is rebuilt, the report names the row field by
    field, nothing is switched and nothing is left behind; with a reason given, it is switched."""
    key = await folded.spoil("pipeline", {"follow_ups": 77}, state="lapsed")
    before = await folded.state()
    report = await rebuild(folded.url, POLICIES, ["pipeline"])
    assert not report.switched
    [difference] = report.models["pipeline"].first
    assert difference.key == key
    assert difference.fields["follow_ups"][0] == 77
    assert difference.fields["state"][0] == "lapsed"
    assert await folded.state() == before
    assert [status for _, status in await folded.generations()] == ["live"]

    report = await rebuild(folded.url, POLICIES, ["pipeline"], accept="edited by hand")
    assert report.switched
    assert (await rebuild(folded.url, POLICIES, ["pipeline"])).unexplained == 0


@pytest.mark.parametrize("spoiled", ["changed", "lacking", "not at all"])
async def test_what_came_since_the_comparison_is_compared_before_the_switch(folded: System, spoiled: str) -> None:
    """Given rows that the log led to only after all were compared, when a live one of them differs or is not there,
    nothing is switched; else it is."""
    before = {tuple(row) for row in await folded.connection.fetch(_KEYS)}
    async with begun(folded.url, POLICIES, "rebuild", NAMES, None, None) as (work, builder):
        compared = await work.compare(builder)
        await folded.happen(2)
        await folded.fold()
        came = min({tuple(row) for row in await folded.connection.fetch(_KEYS)} - before)
        if spoiled == "not at all":
            await work.switch(builder, compared, None)
            assert work.report.switched
            return
        await folded.connection.execute(_SPOIL[spoiled], *came)
        with pytest.raises(Refused, match="changed since the comparison"):
            await work.switch(builder, compared, None)
        assert [(one.model, one.key) for one in work.report.models["pipeline"].first] == [("pipeline", came[2])]
    assert [status for _, status in await folded.generations()] == ["live"]


async def test_rolling_back_folds_what_came_since(folded: System) -> None:
    """Given a rebuild after which the log went on, when it is rolled back, the earlier generation is live, and up to
    date; rolling back again goes forth."""
    await rebuild(folded.url, POLICIES, NAMES)
    await folded.happen(2)
    await folded.fold()
    before = await folded.state()
    for expected in (["live", "retired"], ["retired", "live"]):
        assert (await roll_back(folded.url, POLICIES, NAMES)).switched
        assert await folded.state() == before
        assert [status for _, status in await folded.generations()] == expected


async def test_there_is_one_turn(folded: System) -> None:
    """Given a rebuild at work, a second is refused, and so is a rollback."""
    async with working(folded.url, POLICIES, "rebuild", ["pipeline"]):
        with pytest.raises(Busy):
            await rebuild(folded.url, POLICIES, ["pipeline"])
        with pytest.raises(Busy):
            await roll_back(folded.url, POLICIES, ["pipeline"])


async def test_a_turn_is_over_when_its_verb_is(folded: System) -> None:
    """Given a verification that has ended, then the next verb is not told that somebody is at work."""
    for _ in range(5):
        async with working(folded.url, POLICIES, "verify", ["pipeline"]):
            pass
        assert await folded.connection.fetchval(LEFTOVERS["take_turn"])
        await folded.connection.execute(LEFTOVERS["end_turn"])


async def test_what_another_release_has_left_of_timing_is_left_alone_as_a_whole(folded: System) -> None:
    """Given a killed rebuild of a release that folds one model of timing otherwise, then none of what it left of timing
    is gone on with: they are folded together."""
    before = await folded.state()
    await folded.leave("rebuild")
    await folded.connection.execute(
        "UPDATE read.generation SET version = version - 1 WHERE status = 'building' AND model = 'timing_subject'"
    )
    assert (await rebuild(folded.url, POLICIES, ["timing"])).switched
    assert await folded.state() == before


async def test_it_waits_for_what_a_killed_one_has_left(folded: System) -> None:
    """Given a process of a killed rebuild that is writing still, then the next begins when that has ended."""
    left, observer = await asyncpg.connect(folded.url), await asyncpg.connect(folded.url)
    await left.execute(QUERIES["take_part"])
    task = asyncio.create_task(rebuild(folded.url, POLICIES, ["pipeline"]))
    await until_blocked(observer)
    left.terminate()
    assert (await task).switched
    await observer.close()


async def test_what_can_not_be_done_is_refused(folded: System) -> None:
    """Given unknown names, nothing to go back to, or a live model of a newer release: refused, with nothing changed."""
    with pytest.raises(Refused, match="no read model nothing"):
        await rebuild(folded.url, POLICIES, ["nothing"])
    with pytest.raises(Refused, match="no earlier generation"):
        await roll_back(folded.url, POLICIES, ["pipeline"])
    await folded.connection.execute("UPDATE read.generation SET version = 9 WHERE model = 'pipeline'")
    with pytest.raises(Refused, match="use the newer release"):
        await rebuild(folded.url, POLICIES, ["pipeline"])
    assert [status for _, status in await folded.generations()] == ["live"]


async def test_by_other_timing_policies_nothing_is_reckoned(folded: System) -> None:
    """Given timers that were reckoned by some policies, when they are to be rebuilt, mended or gone back to by others,
    it is refused and nothing changes; models without timers go on, and so does all where no projector has reckoned."""
    await rebuild(folded.url, POLICIES, NAMES)
    await folded.connection.execute("DELETE FROM read.timer WHERE id = (SELECT id FROM read.timer LIMIT 1)")
    before, others = await folded.state(), policies_with("[acme.thank_you]\nenabled = false")
    for doing in (
        rebuild(folded.url, others, NAMES, accept="so"),
        roll_back(folded.url, others, NAMES),
        compare(folded.url, others, NAMES, heal=True),
    ):
        with pytest.raises(Refused, match="set KITHLOG_POLICIES as the projector has it"):
            await doing
    assert await folded.state() == before
    assert (await rebuild(folded.url, others, ["pipeline"])).switched
    await folded.connection.execute("UPDATE read.checkpoint SET policies = ''")
    assert (await rebuild(folded.url, others, NAMES, accept="so")).switched


async def test_a_release_may_bring_other_policies_and_other_facts(folded: System) -> None:
    """Given a release that reckons timers by other policies and keeps facts of a higher version, whose projector can't
    start before they are rebuilt, then they can be: the timers are those of the new policies, and it starts."""
    await folded.connection.execute("UPDATE read.generation SET version = 1 WHERE model = 'timing_subject'")
    others = policies_with("[acme.thank_you]\nenabled = false")
    assert (await rebuild(folded.url, others, ["timing"])).switched
    of_thanks = "SELECT count(*) FROM read.timer WHERE body ->> 'policy' = 'thank_you'"
    assert await folded.connection.fetchval(of_thanks) == 0
    newer = projector(folded.url, folded.log, folder=Folder(MODELS, TimingFold(others)))
    async with newer.session() as session:
        assert await session.run_once() == 0
    assert await folded.connection.fetchval("SELECT policies FROM read.checkpoint") == others.fingerprint


async def test_a_release_with_other_policies_and_other_facts_can_be_gone_back_from(folded: System) -> None:
    """Given that such a release is live, when the one before goes back, then the timers are those of its policies, and
    its projector starts; it need not be told by which policies the other reckoned."""
    before = (await folded.state())["timers"]
    assert (await rebuild(folded.url, POLICIES, ["timing"])).switched
    others = policies_with("[acme.thank_you]\nenabled = false")
    await folded.connection.execute(
        "UPDATE read.generation SET version = version + 1 WHERE model = 'timing_subject' AND status = 'live'"
    )
    await folded.connection.execute("UPDATE read.checkpoint SET policies = $1", others.fingerprint)
    await folded.connection.execute("DELETE FROM read.timer WHERE body ->> 'policy' = 'thank_you'")
    assert (await roll_back(folded.url, POLICIES, ["timing"])).switched
    assert (await folded.state())["timers"] == before
    assert await folded.connection.fetchval("SELECT policies FROM read.checkpoint") == POLICIES.fingerprint
    async with projector(folded.url, folded.log).session() as session:
        assert await session.run_once() == 0


async def test_processes_share_the_work(folded: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a log that is worth it, when each of two processes folds half of the models, it ends as with one; where an
    event can't be read, the process says which, and nothing stays behind."""
    monkeypatch.setattr(work_module, "ALONE", 10)
    before = await folded.state()
    report = await rebuild(folded.url, POLICIES, NAMES, processes=2)
    assert report.switched
    assert (report.unexplained, report.failures) == (0, [])
    assert await folded.state() == before
    owner = await asyncpg.connect(folded.url)
    await owner.execute("ALTER TABLE log.event DISABLE TRIGGER ALL; UPDATE log.event SET data = '{' WHERE position = 7")
    await owner.close()
    with pytest.raises(CannotFold, match="position 7 "):
        await rebuild(folded.url, POLICIES, NAMES, processes=2)
    assert sorted(status for _, status in await folded.generations()) == ["live", "retired"]


async def test_a_process_says_which_field_is_not_known(folded: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given an event with a field of a newer release, when processes build, what stops them names it."""
    monkeypatch.setattr(work_module, "ALONE", 10)
    owner = await asyncpg.connect(folded.url)
    await owner.execute(
        "ALTER TABLE log.event DISABLE TRIGGER ALL; UPDATE log.event SET data ="
        " convert_to((convert_from(data, 'UTF8')::jsonb || '{\"novel\": 1}')::text, 'UTF8') WHERE position = 7"
    )
    await owner.close()
    with pytest.raises(UnknownEventType, match=r"position 7 .*not known here: novel"):
        await rebuild(folded.url, POLICIES, NAMES, processes=2)


async def test_a_process_says_that_postgresql_is_away() -> None:
    """Given no PostgreSQL where a process is to build, it is told as any connection's loss is."""
    part = Part({"pipeline": 1}, 0, 9, LeftOut({}, frozenset()))
    with pytest.raises(UNAVAILABLE, match="Connect call failed"):
        await build_in_process("postgresql://kithlog@127.0.0.1:1/nowhere", part, POLICIES, print)


async def test_a_process_says_what_postgresql_can_not_do_now(folded: System) -> None:
    """Given a lock that somebody holds on what a process is to read, then that is told, as what passes."""
    building = await folded.connection.fetchval("SELECT id FROM read.generation WHERE model = 'pipeline'")
    part = Part({"pipeline": building}, 0, 9, LeftOut({}, frozenset()))
    owner = await asyncpg.connect(folded.url)
    async with owner.transaction():
        await owner.execute("LOCK TABLE log.event IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(asyncpg.OperatorInterventionError, match="lock timeout"):
            await build_in_process(f"{folded.url}&lock_timeout=100", part, POLICIES, print)
    await owner.close()


async def test_a_process_that_is_not_wanted_while_it_ends_is_not_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given two parts that fail at the same moment, when the first one's failure cancels the second, which waits for
    its process to end, then that is waited for all the same: nobody else would."""
    ending, processes = asyncio.Event(), []
    end = worker._end

    async def tell(process: asyncio.subprocess.Process) -> None:
        processes.append(process)
        ending.set()
        await end(process)

    monkeypatch.setattr(worker, "_end", tell)
    part = Part({"pipeline": 1}, 0, 9, LeftOut({}, frozenset()))
    building = asyncio.create_task(build_in_process("postgresql://kithlog@127.0.0.1:1/nowhere", part, POLICIES, print))
    await ending.wait()
    building.cancel()
    with pytest.raises(asyncio.CancelledError):
        await building
    assert [process.returncode for process in processes] == [0]


async def test_a_new_version_is_expected_to_differ(folded: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given live rows of an earlier version, on which a projector of this release has halted, when the model is
    rebuilt, its differences say nothing, it is switched, and the projector goes on."""
    await folded.spoil("pipeline", {"follow_ups": 77})
    monkeypatch.setattr(type(PIPELINE), "version", PIPELINE.version + 1)
    with pytest.raises(Halted, match="kithlog rebuild pipeline"):
        await folded.fold()
    assert (await rebuild(folded.url, POLICIES, ["pipeline"])).switched
    await folded.happen(2)
    await folded.fold()
    with pytest.raises(Refused, match=f"roll back with the release that folds version {PIPELINE.version - 1}"):
        await roll_back(folded.url, POLICIES, ["pipeline"])
    assert (await rebuild(folded.url, POLICIES, NAMES)).unexplained == 0


async def restore(system: System, position: int) -> None:
    """The log is what it was at a position, and forked."""
    owner = await asyncpg.connect(system.url)
    await owner.execute(
        "ALTER TABLE log.event DISABLE TRIGGER ALL; ALTER TABLE log.receipt DISABLE TRIGGER ALL;"
        f"DELETE FROM log.event WHERE position > {position}; DELETE FROM log.receipt WHERE position > {position};"
        f"UPDATE log.head SET position = {position}, epoch = 2"
    )
    await owner.close()


async def test_after_a_restore_all_is_rebuilt(folded: System) -> None:
    """Given a log that was restored to an earlier point and forked, on which the projector has halted, when all is
    rebuilt, rows and timers are those of the log as it is, and the projector goes on; less than all is refused."""
    await restore(folded, (await folded.log.head()).position // 2)
    with pytest.raises(Halted, match="kithlog rebuild"):
        await folded.fold()
    with pytest.raises(Refused, match="rebuild all"):
        await rebuild(folded.url, POLICIES, ["pipeline"])
    report = await rebuild(folded.url, POLICIES, NAMES)
    assert (report.switched, report.forked) == (True, True)
    await folded.happen(2)
    await folded.fold()
    again = await rebuild(folded.url, POLICIES, NAMES)
    assert (again.unexplained, again.position) == (0, (await folded.log.head()).position)


async def park(system: System) -> UUID:
    """More is written and folded but for the first new lead, whose events wait; answers its stream."""
    await system.happen(2)
    stream: UUID = await system.connection.fetchval(
        "INSERT INTO read.parked (tenant, stream_id, category, position, model, error)"
        " SELECT tenant, stream_id, category, position, 'pipeline', 'planted' FROM log.event"
        " WHERE position > (SELECT position FROM read.checkpoint) AND category = 'lead' ORDER BY position LIMIT 1"
        " RETURNING stream_id"
    )
    await system.fold()
    return stream


async def take_up(system: System, stream: UUID, *, discard: bool = False) -> None:
    async def recording(connection: object, unparked: Unparked) -> None:
        pass

    await unpark(system.url, folder(), TENANT, stream, discard=discard, recording=recording)


@pytest.mark.parametrize("discard", [False, True])
async def test_what_lacks_events_that_waited_is_not_gone_back_to(folded: System, discard: bool) -> None:
    """Given a rebuild while a stream was parked, when that is taken up again, the generation from before is refused,
    since it can't get those events any more; from the next rebuild on there is one to go back to."""
    stream = await park(folded)
    await rebuild(folded.url, POLICIES, NAMES)
    await take_up(folded, stream, discard=discard)
    before = await folded.state()
    done = "discarded" if discard else "retried"
    with pytest.raises(Refused, match=f"stream {stream} of tenant {TENANT} was {done} since: rebuild it"):
        await roll_back(folded.url, POLICIES, NAMES)
    assert await folded.state() == before
    assert (await rebuild(folded.url, POLICIES, NAMES, accept="in the log's order")).switched
    assert (await roll_back(folded.url, POLICIES, NAMES)).switched


async def test_what_waited_beyond_a_generation_does_not_keep_from_going_back_to_it(folded: System) -> None:
    """Given a stream that was parked after a rebuild, when it is taken up again, then what was there before is gone
    back to: it folds those events in their order."""
    await rebuild(folded.url, POLICIES, NAMES)
    stream = await park(folded)
    await take_up(folded, stream)
    assert (await roll_back(folded.url, POLICIES, NAMES)).switched
    assert (await compare(folded.url, POLICIES, NAMES)).unexplained == 0


async def test_only_the_event_that_was_looked_at_is_discarded(folded: System) -> None:
    """Given a stream that is parked at another event than whoever discards it knows, then nothing is done."""
    stream = await park(folded)
    before = await folded.state()

    async def recording(connection: object, unparked: Unparked) -> None:
        pytest.fail("nothing was to be done")

    at = await folded.connection.fetchval("SELECT position FROM read.parked")
    with pytest.raises(NotParked, match=f"not parked at position {at + 1}"):
        await unpark(folded.url, folder(), TENANT, stream, discard=True, at=at + 1, recording=recording)
    assert await folded.state() == before


async def test_what_was_built_without_events_that_waited_is_not_gone_on_with(
    folded: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a rebuild that was killed while a stream was parked, when that is taken up without its first event, the
    next rebuild begins again, passes over that event in its processes too, and finds nothing; where the log is restored
    to before it, nothing is left of it."""
    stream = await park(folded)
    async with working(folded.url, POLICIES, "rebuild", NAMES) as work:
        await work.generations.prepare()
        await work.build()
    await take_up(folded, stream, discard=True)
    monkeypatch.setattr(work_module, "ALONE", 10)
    report = await rebuild(folded.url, POLICIES, NAMES, processes=2)
    assert (report.switched, report.unexplained) == (True, 0)
    [(position, discarded)] = await folded.connection.fetch("SELECT position, stream_id FROM read.discarded")
    assert discarded == stream
    await restore(folded, position - 1)
    assert (await rebuild(folded.url, POLICIES, NAMES)).forked
    assert await folded.connection.fetch("SELECT FROM read.discarded") == []


async def test_what_ceases_to_wait_as_going_back_begins_is_not_lost(folded: System) -> None:
    """Given a generation that lacks what waited, when that is taken up just after it was found fit to be gone back to,
    then it is refused: it was not known to lack anything, and nothing waits any more."""
    stream = await park(folded)
    await rebuild(folded.url, POLICIES, NAMES)
    async with working(folded.url, POLICIES, "rollback", NAMES) as work:
        await work.generations.prepare()
        await take_up(folded, stream)
        with pytest.raises(Refused, match="meanwhile: begin again"):
            await work.build()
    assert (await compare(folded.url, POLICIES, NAMES)).unexplained == 0


async def test_what_only_the_lost_time_had_parked_or_discarded_goes_on(folded: System) -> None:
    """Given an event discarded, a stream parked and a timer ended by events that a restored log does not hold, when the
    same commands come again and their events stand at the same positions, nothing of a parked stream is taken up before
    the rebuild; after it, nothing is left out any more."""
    kept = (await folded.log.head()).position
    await take_up(folded, await park(folded), discard=True)
    parked = await folded.connection.fetchval(
        "INSERT INTO read.parked (tenant, stream_id, category, position, model, error)"
        " SELECT tenant, stream_id, category, position, 'pipeline', 'planted' FROM log.event"
        " WHERE position > $1 AND category = 'interview' ORDER BY position LIMIT 1 RETURNING stream_id",
        kept,
    )
    ended = "INSERT INTO read.timer VALUES ($1, $2, $2, $2, '{}', now(), 'withdrawn', $3, 'null')"
    await folded.connection.execute(ended, TENANT, parked, f'{{"cause": {{"position": {kept + 1}}}}}')
    lost = await folded.log.read(kept, 1000)
    await restore(folded, kept)
    await folded.happen(2)
    again = await folded.log.read(kept, 1000)
    assert [(e.position, e.event_id, e.epoch + 1) for e in lost] == [(e.position, e.event_id, e.epoch) for e in again]

    for discard in (False, True):
        with pytest.raises(Halted, match="kithlog rebuild"):
            await take_up(folded, parked, discard=discard)
    assert len((await folded.state())["parked"]) == 1
    assert (await rebuild(folded.url, POLICIES, NAMES)).switched
    assert (await folded.state())["parked"] == []
    assert await folded.connection.fetch("SELECT FROM read.discarded") == []
    assert await folded.connection.fetch("SELECT FROM read.timer WHERE outcome IS NOT NULL") == []
    await folded.fold()
    report = await rebuild(folded.url, POLICIES, NAMES)
    assert (report.unexplained, report.position) == (0, len(again) + kept)


async def test_what_a_restored_log_still_holds_stays_parked_and_discarded(folded: System) -> None:
    """Given an event discarded and a stream parked before the point that the log is restored to, a rebuild leaves both
    out, as before."""
    await take_up(folded, await park(folded), discard=True)
    await folded.happen(3)
    parked = await folded.connection.fetchval(
        "INSERT INTO read.parked (tenant, stream_id, category, position, model, error)"
        " SELECT tenant, stream_id, category, position, 'pipeline', 'planted' FROM log.event"
        " WHERE position > (SELECT position FROM read.checkpoint) AND category = 'interview' ORDER BY position LIMIT 1"
        " RETURNING stream_id"
    )
    await folded.fold()
    kept = (await folded.log.head()).position
    await folded.happen(4)
    await folded.fold()
    await restore(folded, kept)
    await folded.happen(5)
    assert (await rebuild(folded.url, POLICIES, NAMES)).switched
    assert [row[1] for row in (await folded.state())["parked"]] == [parked]
    assert len(await folded.connection.fetch("SELECT FROM read.discarded")) == 1
    report = await rebuild(folded.url, POLICIES, NAMES)
    assert (report.unexplained, report.position) == (0, (await folded.log.head()).position)


async def test_an_event_is_discarded_of_one_tenant_alone(folded: System) -> None:
    """Given two tenants whose commands came with the same keys, when an event of one is discarded, then that of the
    other, which has the same id, is in its read models still."""
    before = (await folded.log.head()).position
    await take_up(folded, await park(folded), discard=True)
    await write(folded.log, [replace(each, tenant="umbrella") for each in history(2, 3)], after=before)
    twins = await folded.connection.fetch(
        "SELECT e.tenant FROM read.discarded d JOIN log.event e USING (event_id) ORDER BY e.position"
    )
    assert [row["tenant"] for row in twins] == [TENANT, "umbrella"]
    await folded.fold()
    assert (await compare(folded.url, POLICIES, NAMES)).unexplained == 0


async def test_parked_streams_stay_as_they_are(folded: System) -> None:
    """Given a parked stream, a rebuild leaves out what waits, as what is live does."""
    await park(folded)
    before = await folded.state()
    assert before["parked"]
    report = await rebuild(folded.url, POLICIES, NAMES)
    assert (report.switched, report.unexplained) == (True, 0)
    assert await folded.state() == before
