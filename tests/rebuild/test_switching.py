"""Two releases that fold the same log into other rows: whoever asks gets one release's answer, never half of each."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from itertools import count
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import httpx
import pytest

from services.projector.folding.folder import Folder
from services.projector.folding.selection import EVERYTHING, Selected
from services.projector.folding.timing_fold import TimingFold
from services.projector.folding.timing_rows import TIMING
from services.projector.live.mailbox import Mailbox
from services.projector.models import CONTACTS, LEADS, MODELS, NOTEBOOK, PIPELINE, SEEKERS
from services.projector.queries.reader import OtherVersion, Reader
from services.projector.rebuild import building, work
from services.projector.rebuild.rebuild import rebuild, roll_back
from services.projector.rebuild.report import Refused
from services.projector.rebuild.work import NAMES
from services.projector.storing.halting import Halted
from shared.database.pool import open_pool
from shared.domain.kernel import Event
from shared.envelope import Recorded
from shared.log import Append, Appended
from shared.replacing import replace
from tests.projector.conftest import PATIENCE, assert_equals_a_cold_fold, letter, projector, running, until
from tests.projector.histories import TENANT, appends, history
from tests.queries.conftest import serving
from tests.rebuild.conftest import POLICIES, System
from tests.rebuild.test_rebuild import restore

NEW = "as the new release folds it"
FIELDS = {PIPELINE.name: "about", CONTACTS.name: "employer", NOTEBOOK.name: "title", SEEKERS.name: "goal"}
"""By model the field in which each of its rows tells of the release that folded it."""
OF_STREAMS = {"seeker": SEEKERS.name, "contact": CONTACTS.name, "interview": PIPELINE.name, "lead": LEADS.name}
"""By category of streams the model that has a row for each."""


class Anew(Selected):
    """A read model of the release to come: a version higher, with other words in one field of every row."""

    def __init__(self, model: Any) -> None:
        super().__init__(model, EVERYTHING)
        self.version = model.version + 1  # type: ignore[misc]  # of this object alone
        self._field = FIELDS[model.name]

    def evolve(self, key: str, row: Any, e: Recorded[Event]) -> Any:
        after = super().evolve(key, row, e)
        return after if after is None or getattr(after, self._field) == NEW else replace(after, **{self._field: NEW})


class More(Selected):
    """A read model that a release has and the one before it has not."""

    def __init__(self) -> None:
        super().__init__(LEADS, EVERYTHING)
        self.name = "more"  # type: ignore[misc]  # of this object alone


RELEASES: dict[str, Sequence[Any]] = {
    "old": MODELS,
    "new": [Anew(model) if model.name in FIELDS else model for model in MODELS],
    "larger": [*MODELS, More()],
}


def versions_of(release: str) -> dict[str, int]:
    return {model.name: model.version for model in RELEASES[release]}


def folder_of(release: str) -> Folder:
    return Folder(RELEASES[release], TimingFold(POLICIES))


@contextmanager
def tool_of(release: str) -> Iterator[None]:
    """The operators' tool is of that release."""
    with pytest.MonkeyPatch.context() as tool:
        for module in (work, building):
            tool.setattr(module, "MODELS", RELEASES[release])
        tool.setattr(work, "NAMES", (*(model.name for model in RELEASES[release]), TIMING))
        yield


Said = TypeVar("Said")
Answer = tuple[int, list[bool]]
"""The position that it is of, and for each row whether the new release folded it."""


def answer(release: str, model: str, position: int, rows: Iterable[Any]) -> Answer:
    """What a process of a release has answered, which must be all its own."""
    rows = [json.loads(row) if isinstance(row, str) else row for row in rows]
    by_new = [row[FIELDS[model]] == NEW for row in rows]
    assert set(by_new) == {release == "new"}, f"the {release} release found no rows of {model}, or another's: {by_new}"
    return position, by_new


class EitherRelease:
    """Two processes, one of each release: the one whose models are not live refuses, and the other answers."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._readers = {release: Reader(pool, versions=versions_of(release)) for release in ("old", "new")}
        self._clients: dict[str, httpx.AsyncClient] = {}

    @asynccontextmanager
    async def served(self) -> AsyncIterator[None]:
        old, new = self._readers.values()
        # The sites of tests are told apart by their patience.
        async with serving(lambda: old) as one, serving(lambda: new, patience=0.02) as other:
            self._clients = {"old": one, "new": other}
            yield

    async def ask_who(self, question: Callable[[Reader], Awaitable[Said]]) -> tuple[str, Said]:
        """The answer, and of which release the process is that gave it."""
        while True:
            for release, reader in self._readers.items():
                with suppress(OtherVersion):
                    return release, await question(reader)

    async def ask(self, question: Callable[[Reader], Awaitable[Said]]) -> Said:
        _, said = await self.ask_who(question)
        return said

    async def get(self, path: str) -> tuple[str, Any]:
        """The same over HTTP."""
        while True:
            for release, client in self._clients.items():
                said = await client.get(f"/v1/tenants/{TENANT}/{path}")
                if said.status_code == 200:
                    return release, said.json()
                assert (said.status_code, said.json()["code"]) == (503, "model_version"), said.text


class Questions:
    """Asked one after the other for as long as the switching lasts; each by a task of its own."""

    def __init__(self, releases: EitherRelease, seeker: UUID, contact: UUID) -> None:
        self._releases = releases
        self._seeker, self._contact = seeker, contact
        self.answered = Counter[str]()
        self.by_new: dict[str, set[bool]] = {}

    async def get(self) -> Answer:
        release, found = await self._releases.ask_who(
            lambda reader: reader.get(CONTACTS.name, TENANT, str(self._contact))
        )
        return answer(release, CONTACTS.name, found.position, [found.body])

    async def rows(self) -> Answer:
        release, rows = await self._releases.ask_who(
            lambda reader: reader.rows(SEEKERS.name, TENANT, [str(self._seeker)])
        )
        position = await self._releases.ask(lambda reader: reader.position())
        return answer(release, SEEKERS.name, position, rows.values())

    async def page_of_owner(self) -> Answer:
        release, page = await self._releases.ask_who(
            lambda reader: reader.page(PIPELINE.name, TENANT, owner=self._seeker, limit=50)
        )
        return answer(release, PIPELINE.name, page.position, page.bodies)

    async def page_of_tenant(self) -> Answer:
        release, page = await self._releases.ask_who(lambda reader: reader.page(CONTACTS.name, TENANT, limit=500))
        return answer(release, CONTACTS.name, page.position, page.bodies)

    async def search(self) -> Answer:
        release, page = await self._releases.ask_who(
            lambda reader: reader.search_notebook(TENANT, self._seeker, "portfolios", language="english", limit=50)
        )
        return answer(release, NOTEBOOK.name, page.position, page.bodies)

    async def contact_by_http(self) -> Answer:
        release, said = await self._releases.get(f"contacts/{self._contact}")
        return answer(release, CONTACTS.name, said["position"], [said["item"]])

    async def pipeline_by_http(self) -> Answer:
        release, said = await self._releases.get(f"seekers/{self._seeker}/pipeline")
        return answer(release, PIPELINE.name, said["position"], said["items"])

    async def search_by_http(self) -> Answer:
        release, said = await self._releases.get(f"seekers/{self._seeker}/notebook?q=portfolios")
        return answer(release, NOTEBOOK.name, said["position"], said["items"])

    async def repeat(self, question: Callable[[], Awaitable[Answer]], stop: asyncio.Event) -> None:
        name, seen = question.__name__, 0
        while not stop.is_set():
            position, by_new = await question()
            assert position >= seen, f"{name}: went back from position {seen} to {position}"
            seen = position
            self.by_new.setdefault(name, set()).update(by_new)
            self.answered[name] += 1

    @property
    def all(self) -> Sequence[Callable[[], Awaitable[Answer]]]:
        by_http = (self.contact_by_http, self.pipeline_by_http, self.search_by_http)
        return (self.get, self.rows, self.page_of_owner, self.page_of_tenant, self.search, *by_http)

    async def once_more(self) -> None:
        """Until each has been asked and answered after this moment."""
        before = self.answered.copy()

        async def all_were() -> bool:
            return all(self.answered[each.__name__] >= before[each.__name__] + 2 for each in self.all)

        await until(all_were)


async def live_on(system: System, releases: EitherRelease, wanted: Iterator[Append], stop: asyncio.Event) -> int:
    """Write one event after the other, and read each of them back at once; answers how many."""
    written = 0
    while not stop.is_set():
        append = next(wanted)
        [outcome] = await system.log.append_all([append])
        assert isinstance(outcome, Appended)
        written += 1
        [event] = append.events
        if event.stream.category in OF_STREAMS:
            await releases.ask(partial(Reader.wait_for, position=outcome.position, timeout=PATIENCE))
            asked = partial(
                Reader.get, model=OF_STREAMS[event.stream.category], tenant=TENANT, key=str(event.stream.id)
            )
            found = await releases.ask(asked)
            assert found.position >= outcome.position
            assert found.body is not None, f"{event.type} at {outcome.position} can't be read back"
            if event.stream.category == "interview":
                assert append.occurred_at is not None
                assert PIPELINE.decode(found.body).moved_at >= append.occurred_at
    return written


def lives(after: int) -> Iterator[Append]:
    for seed in count(100):
        for append in appends(history(seed, 2), after=after):
            after += 1
            yield append


async def test_no_query_fails_or_sees_half_a_version(system: System) -> None:
    """Given live traffic and queries of all kinds, when a new release's models are rebuilt, rolled back by the old one
    and rebuilt again, which drops the generation in between, then of each query the release whose rows are live gives
    the answer and the other one refuses, each answer is of one version and of no earlier position than the one before,
    and what was written is read back at once."""
    await system.happen(1)
    await system.fold()
    head = (await system.log.head()).position
    body = await system.connection.fetchval(
        "SELECT r.body FROM read.row r JOIN read.generation g ON g.id = r.generation AND g.model = 'pipeline'"
        " WHERE r.key = (SELECT stream_id::text FROM log.event WHERE type = 'interview.notes_taken' LIMIT 1)"
    )
    talk = PIPELINE.decode(body)
    pool = await open_pool(system.url, max_size=12)
    releases, stop = EitherRelease(pool), asyncio.Event()
    generations = set()
    async with (
        running(projector(system.url, system.log, folder=folder_of("old"), poll_interval=0.02).run),
        running(projector(system.url, system.log, folder=folder_of("new"), poll_interval=0.02).run),
        releases.served(),
    ):
        questions = Questions(releases, talk.seeker_id, talk.contact_ids[0])
        async with asyncio.TaskGroup() as group:
            traffic = group.create_task(live_on(system, releases, lives(head), stop))
            for question in questions.all:
                group.create_task(questions.repeat(question, stop))
            for release, switch in (("new", rebuild), ("old", roll_back), ("new", rebuild), ("old", roll_back)):
                await questions.once_more()
                with tool_of(release):
                    assert (await switch(system.url, POLICIES, NAMES)).switched
                of_both = await system.generations()
                assert sorted(status for _, status in of_both) == ["live", "retired"]
                generations |= {id for id, _ in of_both}
            await questions.once_more()
            stop.set()
        assert traffic.result() > 20
        assert questions.by_new == {each.__name__: {True, False} for each in questions.all}
        assert len(generations) == 3, "the first, and one of each rebuild"
        await system.caught_up()
    await pool.close()
    await assert_equals_a_cold_fold(system.connection, await system.log.read(0, 1_000_000), folder_of("old"))


@pytest.mark.parametrize("by_messages", [False, True])
async def test_who_does_not_know_what_is_live_folds_nothing(system: System, by_messages: bool) -> None:
    """Given a read model that the next release has added, when it becomes live under the release before, then that
    folds nothing more, and the new one misses nothing; once its rows are taken out as is said, the one before goes
    on."""
    await system.happen(1)
    mailbox, interval = Mailbox(), 3600.0 if by_messages else 0.0
    old = projector(system.url, system.log, mailbox, folder=folder_of("old"), poll_interval=interval)
    new = projector(system.url, system.log, folder=folder_of("larger"), poll_interval=0.0)
    async with old.session() as session:
        position = await session.run_once()
        with tool_of("larger"):
            assert (await rebuild(system.url, POLICIES, ["more"])).switched
        await system.happen(2)
        events = await system.log.read(0, 1_000_000)
        for event in events[position:] if by_messages else ():
            mailbox.put(letter(event))
        with pytest.raises(Halted, match="rows of more, which this release does not fold"):
            await session.run_once()
    with pytest.raises(Halted) as halted:
        async with old.session():
            pytest.fail("began to fold")
    assert halted.value.reason == "model_version"
    said = re.search("`(WITH .*)`", halted.value.remedy)
    assert said is not None
    async with new.session() as session:
        assert await session.run_once() == len(events) - position
        await assert_equals_a_cold_fold(system.connection, events, folder_of("larger"))
        await system.connection.execute(said[1])
        await system.happen(3)
        with pytest.raises(Halted, match="read model more has no rows"):
            await session.run_once()
    async with old.session() as session:
        await session.run_once()
    await assert_equals_a_cold_fold(system.connection, await system.log.read(0, 1_000_000), folder_of("old"))
    with pytest.raises(Halted, match="read model more has no rows"):
        async with new.session():
            pytest.fail("began to fold")


async def test_of_two_releases_on_an_empty_log_the_larger_folds(system: System) -> None:
    """Given a release that stands before the first event, when one begins that has a read model more, then the first
    folds nothing."""
    async with (
        projector(system.url, system.log, folder=folder_of("old")).session() as session,
        projector(system.url, system.log, folder=folder_of("larger")).session() as other,
    ):
        await system.happen(1)
        with pytest.raises(Halted, match="rows of more"):
            await session.run_once()
        assert await other.run_once() > 0
    await assert_equals_a_cold_fold(system.connection, await system.log.read(0, 1_000), folder_of("larger"))


async def test_after_a_restore_nothing_stays_live_that_the_tool_does_not_know(system: System) -> None:
    """Given a log that was restored and forked, and a live read model that the next release has added, when the release
    before rebuilds all that it knows, then it is refused: the other's rows would go on as if they were of this log."""
    await system.happen(1)
    async with projector(system.url, system.log, folder=folder_of("larger")).session() as session:
        position = await session.run_once()
    await restore(system, position // 2)
    with tool_of("old"), pytest.raises(Refused, match="rows of more from before"):
        await rebuild(system.url, POLICIES, NAMES)
