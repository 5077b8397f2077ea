"""`kithlog parked`: a stream whose fold failed is looked at, taken up again in order, or goes on without the event."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from services.cli import parked as parked_verbs
from services.projector.folding.folder import Folder
from services.projector.folding.selection import EVERYTHING, Selected
from services.projector.live.mailbox import Mailbox
from services.projector.models import LEADS
from services.projector.rebuild import unparking
from services.projector.rebuild.unparking import StillUnwritable, Unparked
from services.projector.storing.store import Store
from shared.database.pool import open_pool
from shared.domain.kernel import Event
from shared.envelope import Recorded
from shared.log import Log
from tests.cli.terminal import Terminal, history
from tests.projector.conftest import folder, projector
from tests.projector.histories import appends
from tests.projector.memory import Memory

TENANT = "acme"


class Broken(Selected):
    """A read model as a release has it whose fold fails at the given positions."""

    def __init__(self, *positions: int) -> None:
        super().__init__(LEADS, EVERYTHING)
        self.folds = None  # type: ignore[misc]  # of this object alone
        self._positions = positions

    def keys(self, e: Recorded[Event]) -> Iterable[str]:
        return ("it",) if e.position in self._positions else super().keys(e)

    def evolve(self, key: str, row: Any, e: Recorded[Event]) -> Any:
        if e.position in self._positions:
            raise RuntimeError(f"can't fold position {e.position}")
        return super().evolve(key, row, e)


async def _fold(terminal: Terminal, *broken: int) -> None:
    async with await open_pool(terminal.database_url) as pool, Log.open(pool, terminal.database_url) as log:
        fold = folder(Broken(*broken)) if broken else folder()
        async with projector(terminal.database_url, log, Mailbox(), folder=fold).session() as session:
            await session.run_once()


@pytest.fixture
def parked(terminal: Terminal) -> tuple[Terminal, Recorded[bytes]]:
    """A log whose first scheduled interview is parked at that event, since a broken release folded it."""
    terminal.write(history(5, 2))
    event = next(e for e in terminal.log() if e.type == "interview.scheduled")
    asyncio.run(_fold(terminal, event.position))
    return terminal, event


def test_a_parked_stream_is_listed_and_shown(parked: tuple[Terminal, Recorded[bytes]]) -> None:
    """Given a parked stream, when it is listed and shown, then error, waiting events and held timers are told."""
    terminal, event = parked
    listed = terminal.json("parked", "list")
    assert listed.code == 1
    [row] = listed.objects
    assert (row["stream_id"], row["position"], row["model"]) == (str(event.stream_id), event.position, LEADS.name)
    shown = terminal.json("parked", "show", row["stream_id"]).object
    assert shown["events"][0]["position"] == event.position
    assert len(shown["events"]) == row["waiting"] > 1
    assert "can't fold" in terminal.run("parked", "show", row["stream_id"]).out
    assert LEADS.name in terminal.run("parked", "list").out


def test_verifying_tells_that_a_stream_waits(parked: tuple[Terminal, Recorded[bytes]]) -> None:
    """Given a parked stream that can be read, then what is live is not told to be all that the log says."""
    terminal, event = parked
    said = terminal.run("verify")
    assert (said.code, "but for what is left out of it: parked streams: 1 (`kithlog parked list`)" in said.err) == (
        0,
        True,
    )
    assert terminal.json("parked", "retry", str(event.stream_id)).code == 0
    assert terminal.run("verify", "timing").err.endswith("what is live is what it says\n")


def test_a_retry_folds_what_waits_in_order(parked: tuple[Terminal, Recorded[bytes]]) -> None:
    """Given a release that can fold it, when the stream is retried, then all is as if it never had been parked."""
    terminal, event = parked
    [row] = terminal.json("parked", "list").objects
    done = terminal.json("parked", "retry", row["stream_id"], "--why", "release 7 can fold it").object
    assert (done["folded"], done["error"]) == (row["waiting"], None)
    assert terminal.json("parked", "list").objects == []
    streams = terminal.query(
        "SELECT count(*) FROM read.row r JOIN read.generation g ON g.id = r.generation AND g.status = 'live' "
        "WHERE g.model = 'timing_subject' AND r.key = $1",
        str(event.stream_id),
    )
    assert streams == [(1,)]
    told = terminal.json("log", "operations").object
    assert (told["verb"], told["subject"]) == ("parked retry", f"acme/{event.stream_id}")
    assert (told["actor"], told["why"]) == ("ines@desk", "release 7 can fold it")
    assert told["details"]["folded"] == row["waiting"]


def failing(at: UUID, error: Exception) -> Callable[..., Awaitable[Unparked]]:
    """Takes up all parked streams but one."""

    async def unpark(database_url: str, folder: Folder, tenant: str, stream: UUID, **options: Any) -> Unparked:
        if stream == at:
            raise error
        return await unparking.unpark(database_url, folder, tenant, stream, **options)

    return unpark


def test_one_that_can_not_be_taken_up_keeps_no_other(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given two parked streams, of which the first can't be written, when all are retried, the other is taken up, both
    outcomes are shown, and the code is 1."""
    terminal.write(history(5, 2))
    first, second = [e for e in terminal.log() if e.type == "interview.request_sent"][:2]
    asyncio.run(_fold(terminal, first.position, second.position))
    monkeypatch.setattr(parked_verbs, "unpark", failing(first.stream_id, StillUnwritable("as planned")))
    said = terminal.json("parked", "retry", "--all")
    assert said.code == 1
    assert "as planned" in said.err
    outcomes = {row["stream_id"]: (row["parked_at"], row["error"] is None) for row in said.objects}
    assert outcomes == {str(first.stream_id): (first.position, False), str(second.stream_id): (None, True)}


def test_what_was_taken_up_before_postgresql_went_away_is_told(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given two parked streams, when PostgreSQL goes away at the second, the first is told to be taken up, and the
    second is there to be retried."""
    terminal.write(history(5, 2))
    first, second = [e for e in terminal.log() if e.type == "interview.request_sent"][:2]
    asyncio.run(_fold(terminal, first.position, second.position))
    with monkeypatch.context() as away:
        away.setattr(parked_verbs, "unpark", failing(second.stream_id, ConnectionError("as planned")))
        said = terminal.run("parked", "retry", "--all")
    assert (said.code, "PostgreSQL is away (as planned)" in said.err) == (3, True)
    assert f"acme {first.stream_id}: " in said.out
    assert " events folded" in said.out
    assert str(second.stream_id) not in said.out
    [row] = terminal.json("parked", "list").objects
    assert row["stream_id"] == str(second.stream_id)
    assert terminal.json("parked", "retry", "--all").code == 0


def test_by_policies_that_are_no_text_nothing_is_taken_up(
    parked: tuple[Terminal, Recorded[bytes]], tmp_path: Path
) -> None:
    """Given a file of policies in another encoding than UTF-8, when a stream is retried, then the code is 2."""
    terminal, event = parked
    (tmp_path / "policies.toml").write_bytes(b"# \xff")
    said = terminal.run("parked", "retry", str(event.stream_id), KITHLOG_POLICIES=str(tmp_path / "policies.toml"))
    assert (said.code, "policies can't be used: 'utf-8' codec can't decode" in said.err) == (2, True)
    assert len(terminal.json("parked", "list").objects) == 1


def test_by_other_timing_policies_nothing_is_taken_up(parked: tuple[Terminal, Recorded[bytes]], tmp_path: Path) -> None:
    """Given other timing policies than the projector's, a stream stays parked, and it is said what to set."""
    terminal, event = parked
    others = tmp_path / "others.toml"
    others.write_text("[acme.thank_you]\nenabled = false")
    said = terminal.run("parked", "retry", str(event.stream_id), KITHLOG_POLICIES=str(others))
    assert (said.code, "set KITHLOG_POLICIES as the projector has it" in said.err) == (1, True)
    assert terminal.json("parked", "list").code == 1


async def test_a_running_projector_notices(database_url: str) -> None:
    """Given a projector that has the parked stream in memory, when it is taken up, then the fold goes on from there."""
    terminal = Terminal(database_url)
    happenings = history(6, 1)
    async with await open_pool(database_url) as pool, Log.open(pool, database_url) as log:
        half = len(happenings) // 2
        # The stream's later events come while it is parked, and after it was taken up.
        wanted = appends(happenings)
        await log.append_all(wanted[:half])
        events = await log.read(0, 1000)
        first = next(e for e in events if e.type == "interview.request_sent")
        async with projector(database_url, log, Mailbox(), folder=folder(Broken(first.position))).session() as session:
            await session.run_once()
        async with projector(database_url, log, Mailbox(), poll_interval=0.0).session() as session:
            await session.run_once()
            said = await asyncio.to_thread(terminal.json, "parked", "retry", "--all")
            assert said.code == 0, said
            await log.append_all(wanted[half:])
            await session.run_once()
            await session.run_once()
        events = await log.read(0, 1000)
        async with Store.open(database_url, folder().models) as store:
            await store.begin()
            expected = Memory(folder()).fold(events, [1]).rows
            # Its own rows; those that it shares have its events after those of other streams.
            own = [id for id in expected if id[2] == str(first.stream_id)]
            assert len(own) > 2
            assert await store.load(own) == {id: expected[id] for id in own}


def spoilt_log(terminal: Terminal) -> tuple[str, int]:
    """A folded log with an event that no release can read; answers its stream, which is parked, and its position."""
    wanted = appends(history(5, 1))
    spoilt = next(n for n, each in enumerate(wanted) if each.events[0].type == "interview.request_sent")
    [event] = wanted[spoilt].events
    wanted[spoilt] = replace(wanted[spoilt], events=[replace(event, data=b'{"no": "request"}')])
    terminal.append(wanted)
    asyncio.run(_fold(terminal))
    return str(event.stream.id), spoilt + 1


def test_what_can_not_be_folded_stays_parked_until_it_is_discarded(terminal: Terminal) -> None:
    """Given an event that no release can read, when retried it stays; when discarded, those behind it are folded."""
    stream, position = spoilt_log(terminal)
    before = terminal.query("SELECT count(*), min(position) FROM read.checkpoint")
    stays = terminal.json("parked", "retry", "--all")
    assert stays.code == 1
    assert stays.objects[0]["folded"] == 0
    assert "codec" in stays.objects[0]["error"]
    unread = terminal.json("verify")
    assert (unread.code, unread.objects[0]["log"][0]["subject"]) == (1, f"position {position}")
    assert terminal.run("parked", "discard", stream).code == 2
    gone = terminal.json("parked", "discard", stream, "--why", "a test client wrote it").object
    assert gone["discarded"] == position
    assert gone["folded"] > 0
    assert terminal.json("parked", "list").code == 0
    assert terminal.query("SELECT count(*), min(position) FROM read.checkpoint") == before
    told = terminal.json("log", "operations", "--about", stream).objects
    assert [(each["verb"], each["why"]) for each in told] == [
        ("parked discard", "a test client wrote it"),
        ("parked retry", None),
    ]
    assert terminal.json("log", "operations", "--about", "parked discard").objects == told[:1]
    assert terminal.json("log", "operations", "--about", str(UUID(int=1))).objects == []
    over = terminal.json("parked", "discarded", "--tenant", TENANT).object
    assert (over["stream_id"], over["position"], over["type"]) == (stream, position, "interview.request_sent")
    assert (over["actor"], over["why"]) == ("ines@desk", "a test client wrote it")
    assert "a test client wrote it" in terminal.run("parked", "discarded").out
    assert terminal.json("parked", "discarded", "--tenant", "umbrella").objects == []
    said = terminal.run("verify")
    assert (said.code, "but for what is left out of it: discarded events: 1 (`kithlog parked" in said.err) == (0, True)
    assert terminal.run("verify", "contact").code == 0
    assert terminal.run("verify", "--tenant", TENANT, "--stream", stream).code == 0
    assert terminal.run("rebuild").code == 0
    assert terminal.run("verify").code == 0
    [(seeker,)] = terminal.query("SELECT stream_id::text FROM log.event WHERE type = 'seeker.registered'")
    [row, *_] = terminal.json("asof", "seeker", "pipeline", seeker, "--tenant", TENANT).objects
    assert row


def test_what_is_discarded_does_not_wait(parked: tuple[Terminal, Recorded[bytes]]) -> None:
    """Given a parked stream of an imported log, one of whose later events was discarded where it came from, when it is
    retried, then that event is passed over."""
    terminal, event = parked
    [row] = terminal.json("parked", "list").objects
    later = [e for e in terminal.log() if e.stream_id == event.stream_id and e.position > event.position]
    terminal.query(
        "INSERT INTO read.discarded SELECT tenant, event_id, stream_id, position FROM log.event WHERE position = $1",
        later[-1].position,
    )
    shown = terminal.json("parked", "show", row["stream_id"]).object["events"]
    assert [e["position"] for e in shown] == [event.position, *(e.position for e in later[:-1])]
    assert terminal.json("parked", "retry", row["stream_id"]).object["folded"] == len(later)


@pytest.mark.parametrize("alone", [False, True])
def test_what_was_discarded_before_is_not_discarded_again(
    parked: tuple[Terminal, Recorded[bytes]], alone: bool
) -> None:
    """Given a stream that is parked at an event which was discarded where the log was imported from, be it the only one
    that waits, then no other event is discarded in its place; retried, those behind it are folded."""
    terminal, event = parked
    stream = str(event.stream_id)
    terminal.query(
        "INSERT INTO read.discarded SELECT tenant, event_id, stream_id, position FROM log.event"
        " WHERE stream_id = $1 AND (position = $2 OR $3 AND position > $2)",
        event.stream_id, event.position, alone,
    )  # fmt: skip
    before = terminal.query("SELECT position FROM read.discarded ORDER BY position")
    for at in ((), ("--at", str(event.position))):
        said = terminal.run("parked", "discard", stream, "--why", "by mistake", *at)
        assert (said.code, f"position {event.position} of stream {stream} is discarded already" in said.err) == (
            1,
            True,
        )
        assert f"`kithlog parked retry {stream}`" in said.err
    assert terminal.query("SELECT position FROM read.discarded ORDER BY position") == before
    assert terminal.json("parked", "list").code == 1
    assert (terminal.json("parked", "retry", stream).object["folded"] > 0) != alone
    assert terminal.json("parked", "list").code == 0


def test_what_is_not_parked_can_not_be_taken_up(terminal: Terminal) -> None:
    """Given nothing parked, when a stream is named, then the code says so; when none is named, it is a usage error."""
    unknown = str(UUID(int=1))
    for words in (["show", unknown], ["retry", unknown], ["discard", unknown, "--why", "x"]):
        said = terminal.run("parked", *words)
        assert said.code == 1
        assert "not parked" in said.err
    assert terminal.run("parked", "retry").code == 2
    assert terminal.run("parked", "retry", "--all", unknown).code == 2
    assert terminal.run("parked", "show", "seven").code == 2
    assert terminal.run("parked", "list").code == 0
    assert "nothing was discarded" in terminal.run("parked", "discarded").err
