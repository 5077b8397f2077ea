"""`kithlog log export` and `import`: the same log elsewhere, or nothing."""

from __future__ import annotations

import asyncio
import io
import re
import shlex
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import pytest

from deploy.launcher.infrastructure import Infrastructure
from services.projector.live.mailbox import Mailbox
from shared.database.pool import connect, open_pool
from shared.log import KeptRefusal, Log, contents, exporting, importing
from shared.log.lines import Discarded, Seal, Truncated, read_lines
from tests.chaos.proxy import Proxy
from tests.cli.terminal import Said, Terminal, history
from tests.cli.test_parked import spoilt_log
from tests.client.disk import safely_renamed, watched
from tests.projector.conftest import assert_equals_a_cold_fold, folder, projector
from tests.projector.histories import appends

T = TypeVar("T")
ALL = "SELECT * FROM log.event ORDER BY position"
RECEIPTS = "SELECT * FROM log.receipt ORDER BY position, tenant, command_id"
DISCARDED = "SELECT * FROM read.discarded ORDER BY position"
ROWS = """SELECT g.model, r.tenant, r.key, r.owner, r.state, r.sort, r.body
FROM read.row r JOIN read.generation g ON g.id = r.generation AND g.status = 'live' ORDER BY 1, 2, 3"""
TIMERS = "SELECT tenant, id, subject_id, due_at, outcome, ending, guards, body FROM read.timer ORDER BY tenant, id"


@pytest.fixture
def elsewhere(infra: Infrastructure, migrated_template: str) -> Iterator[Terminal]:
    """A terminal on another database, new and empty."""
    yield Terminal(infra.postgres.create_database("elsewhere", template=migrated_template))
    infra.postgres.drop_database("elsewhere")


@pytest.fixture
def full(terminal: Terminal) -> Terminal:
    """A log with receipts, also of commands that wrote nothing, before the first event and after the last."""
    some = [replace(each, fingerprint=b"f%d" % n) for n, each in enumerate(appends(history(3, 3)))]
    idle = [replace(some[0], command_id=UUID(int=n), events=(), expected={}, fingerprint=b"i") for n in (1, 2)]
    terminal.append(idle[:1])
    terminal.append(some)
    terminal.append(idle[1:])
    return terminal


def test_an_import_has_the_same_log_and_the_same_read_models(
    full: Terminal, elsewhere: Terminal, tmp_path: Path
) -> None:
    """Given a log of a second timeline with receipts, when it is exported and imported, then all of it is the same."""
    assert full.run("log", "fork", "--why", "to have another epoch", "--yes").code == 0
    file = tmp_path / "log.jsonl"
    out = full.json("log", "export", str(file)).object
    assert out["events"] == len(full.log())
    assert full.query("SELECT verb, subject FROM log.operation ORDER BY id")[-1] == ("log export", str(file))
    assert elsewhere.json("log", "import", "--check", str(file)).object["sum"] == out["sum"]
    done = elsewhere.json("log", "import", str(file)).object
    assert (done["written"], done["there"]) == (out["events"], 0)
    for sql in (ALL, RECEIPTS, "SELECT * FROM log.head"):
        assert elsewhere.query(sql) == full.query(sql)
    asyncio.run(_folds_alike(elsewhere))


async def _folds_alike(terminal: Terminal) -> None:
    async with await open_pool(terminal.database_url) as pool, Log.open(pool, terminal.database_url) as log:
        async with projector(terminal.database_url, log, Mailbox()).session() as session:
            await session.run_once()
        connection = await connect(terminal.database_url)
        await assert_equals_a_cold_fold(connection, await log.read(0, 1_000_000), folder())
        await connection.close()


def test_an_import_takes_no_fork_back(
    full: Terminal, elsewhere: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a log that goes on apart from the one that it is imported from, when it is forked before the import, and
    once more before the import's end, then it stays so, and what is folded is of the last fork.
    """
    monkeypatch.setattr(importing, "CHUNK", 10)
    file = tmp_path / "log.jsonl"
    full.json("log", "export", str(file))
    assert elsewhere.run("log", "fork", "--why", "the old one went on", "--epoch", "5", "--yes").code == 0
    said = cut_after(file.stat().st_size // 2, elsewhere, "log", "import", str(file))
    assert said.code == 3
    assert elsewhere.query("SELECT epoch FROM log.head") == [(5,)]
    assert elsewhere.json("log", "fork", "--why", "and on", "--yes").object["epoch"] == 6
    assert elsewhere.run("log", "import", str(file)).code == 0
    assert elsewhere.query("SELECT epoch FROM log.head") == [(6,)]
    for sql in (ALL, RECEIPTS):
        assert elsewhere.query(sql) == full.query(sql)
    asyncio.run(_folds_alike(elsewhere))
    assert elsewhere.query("SELECT epoch FROM read.checkpoint") == [(6,)]
    assert elsewhere.run("verify").code == 0


def test_an_empty_log_can_be_carried_too(terminal: Terminal, elsewhere: Terminal, tmp_path: Path) -> None:
    """Given a log without events, when it is exported and imported, then that is no error."""
    file = tmp_path / "log.jsonl"
    assert terminal.json("log", "export", str(file)).object["events"] == 0
    assert elsewhere.json("log", "import", str(file)).object["written"] == 0


def test_a_file_that_is_not_whole_is_refused(full: Terminal, elsewhere: Terminal, tmp_path: Path) -> None:
    """Given a file that was tampered with or cut off, when it is imported, then the line is named, nothing written."""
    file = tmp_path / "log.jsonl"
    full.json("log", "export", str(file))
    whole = file.read_bytes().splitlines(keepends=True)
    changed = whole[20].replace(b'"version":', b'"version":1')
    damaged = [
        (21, [*whole[:20], changed, *whole[21:]]),
        (21, [*whole[:20], *whole[21:]]),
        (21, [*whole[:20], whole[21], whole[20], *whole[22:]]),
        (21, whole[:20]),
        (21, [*whole[:20], whole[20][:50]]),
        (len(whole) + 1, [*whole, whole[-1]]),
        (1, []),
    ]
    for line, lines in damaged:
        file.write_bytes(b"".join(lines))
        said = elsewhere.run("log", "import", str(file))
        assert said.code == 1
        assert f"line {line}:" in said.err
        assert "nothing was written" in said.err
    assert elsewhere.log() == []


def test_what_was_discarded_is_passed_over_elsewhere(terminal: Terminal, elsewhere: Terminal, tmp_path: Path) -> None:
    """Given a log with an event that was discarded, when it is exported and imported, then folding it, be it by a
    projector that runs already, gives the same read models and timers, and nothing is parked."""
    stream, position = spoilt_log(terminal)
    file, older = tmp_path / "log.jsonl", tmp_path / "older.jsonl"
    terminal.json("log", "export", str(older))
    assert terminal.run("parked", "discard", stream, "--why", "a test client wrote it").code == 0
    assert terminal.run("rebuild").code == 0
    out = terminal.json("log", "export", str(file)).object
    assert out["discarded"] == 1
    upto = tmp_path / "upto.jsonl"
    assert terminal.json("log", "export", "--upto", str(position - 1), str(upto)).object["discarded"] == 0

    part = tmp_path / "resumed.jsonl.part"
    part.write_bytes(older.read_bytes()[:-500])
    assert terminal.run("log", "export", "--resume", str(tmp_path / "resumed.jsonl")).code == 0
    assert (tmp_path / "resumed.jsonl").read_bytes() == file.read_bytes()

    async def import_under_way() -> None:
        url = elsewhere.database_url
        async with (
            await open_pool(url) as pool,
            Log.open(pool, url) as log,
            projector(url, log, Mailbox(), poll_interval=0.0).session() as session,
        ):
            await session.run_once()
            done = await asyncio.to_thread(elsewhere.json, "log", "import", str(file))
            assert done.object["discarded"] == 1
            # One look to notice, another to fold.
            await session.run_once()
            await session.run_once()

    asyncio.run(import_under_way())
    for sql in (ALL, RECEIPTS, DISCARDED, ROWS, TIMERS):
        found = elsewhere.query(sql)
        assert found
        assert found == terminal.query(sql)
    assert elsewhere.run("parked", "list").code == 0
    assert elsewhere.run("verify").code == 0
    assert elsewhere.json("log", "import", str(file)).object["written"] == 0


def test_a_tampered_discard_is_refused(terminal: Terminal, elsewhere: Terminal, tmp_path: Path) -> None:
    """Given a file whose discard was changed, left out, doubled or moved, when it is imported, then it is refused, and
    nothing was written, be it sealed anew where it can't be right."""
    stream, position = spoilt_log(terminal)
    assert terminal.run("parked", "discard", stream, "--why", "a test client wrote it").code == 0
    file = tmp_path / "log.jsonl"
    terminal.json("log", "export", str(file))
    whole = file.read_bytes().splitlines(keepends=True)
    discard = whole[-2]
    assert b'"discarded":{' in discard
    changed = discard.replace(stream.encode(), str(UUID(int=7)).encode())
    for lines in (
        [*whole[:-2], changed, whole[-1]],
        [*whole[:-2], whole[-1]],
        [*whole[:-1], discard, whole[-1]],
        [*whole[:5], discard, *whole[5:-2], whole[-1]],
    ):
        assert lines != whole
        file.write_bytes(b"".join(lines))
        assert "nothing was written" in refused(elsewhere, file)

    contents = [line.content for line in read_lines(io.BytesIO(b"".join(whole)))]
    [*before, kept, last] = contents
    assert isinstance(kept, Discarded)
    for wrong in (
        [*before[:5], kept, *before[5:], last],
        [*before, last],
        [*before, kept, kept, last],
        [*before, replace(kept, position=position + 1_000), last],
    ):
        seal = Seal()
        file.write_bytes(b"".join(map(seal.line, wrong)))
        assert "nothing was written" in refused(elsewhere, file)


def refused(elsewhere: Terminal, file: Path) -> str:
    """What is said of a file that is not imported."""
    said = elsewhere.run("log", "import", str(file))
    assert said.code == 1
    assert elsewhere.log() == []
    assert elsewhere.query(DISCARDED) == []
    return said.err


def test_a_file_of_the_first_format_can_be_read(full: Terminal, elsewhere: Terminal, tmp_path: Path) -> None:
    """Given a file as it was written before there were discards, when it is imported, then it is as good as another;
    but half of one is not gone on with."""
    file, old = tmp_path / "log.jsonl", tmp_path / "old.jsonl"
    full.json("log", "export", str(file))
    digest, lines = b"", []
    for raw in file.read_bytes().splitlines():
        body = raw.partition(b'",')[2].replace(b'"format":2', b'"format":1').replace(b',"discarded":0}', b"}")
        digest = blake2b(digest + body, digest_size=16).digest()
        lines.append(b'{"sum":"%b",%b\n' % (digest.hex().encode(), body))
    old.write_bytes(b"".join(lines))
    assert b"discarded" not in old.read_bytes()
    assert elsewhere.json("log", "import", str(old)).object["discarded"] == 0
    assert elsewhere.query(ALL) == full.query(ALL)
    (tmp_path / "half.jsonl.part").write_bytes(b"".join(lines[:-3]))
    said = full.run("log", "export", "--resume", str(tmp_path / "half.jsonl"))
    assert (said.code, "an earlier release" in said.err) == (1, True)


def test_a_log_that_is_not_empty_is_left_alone(full: Terminal, elsewhere: Terminal, tmp_path: Path) -> None:
    """Given a log of its own in the other database, when a file is imported there, then it is refused."""
    file = tmp_path / "log.jsonl"
    full.json("log", "export", str(file))
    elsewhere.write(history(4, 1))
    before = elsewhere.log()
    said = elsewhere.run("log", "import", str(file))
    assert said.code == 1
    assert "not empty" in said.err
    assert elsewhere.log() == before


def test_an_import_that_was_cut_off_is_gone_on_with(
    full: Terminal, elsewhere: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given an import that ended after its second chunk, when it is repeated, then the rest is written, once."""
    file = tmp_path / "log.jsonl"
    full.json("log", "export", str(file))
    monkeypatch.setattr(importing, "CHUNK", 10)
    written = importing._write
    chunks: list[int] = []

    async def fails(connection: object, chunk: importing._Chunk, position: int, epoch: int) -> None:
        if len(chunks) == 2:
            raise ConnectionResetError("cut off")
        chunks.append(position)
        await written(connection, chunk, position, epoch)

    with monkeypatch.context() as patch:
        patch.setattr(importing, "_write", fails)
        assert elsewhere.run("log", "import", str(file)).code == 3
    assert len(elsewhere.log()) == 20
    assert elsewhere.json("log", "import", str(file)).object["there"] == 20
    assert elsewhere.query(ALL) == full.query(ALL)
    assert elsewhere.query(RECEIPTS) == full.query(RECEIPTS)
    assert elsewhere.json("log", "import", str(file)).object["written"] == 0


def test_what_was_refused_before_the_import_is_answered_as_the_file_says(
    full: Terminal, elsewhere: Terminal, tmp_path: Path
) -> None:
    """Given commands that were refused by a log that was empty yet, when the log is imported, then those that it holds
    are accepted, and the others stay refused."""
    file = tmp_path / "log.jsonl"
    full.json("log", "export", str(file))
    [(tenant, command_id, fingerprint)] = full.query(
        "SELECT tenant, command_id, fingerprint FROM log.receipt ORDER BY position DESC LIMIT 1"
    )
    kept = [KeptRefusal(tenant, command_id, fingerprint, "{}"), KeptRefusal("demo", UUID(int=0xF), b"f", "{}")]

    async def refuse() -> None:
        async with await open_pool(elsewhere.database_url) as pool, Log.open(pool, elsewhere.database_url) as log:
            await log.refuse(kept)

    asyncio.run(refuse())
    assert elsewhere.run("log", "import", str(file)).code == 0
    assert elsewhere.query(RECEIPTS) == full.query(RECEIPTS)
    assert elsewhere.query("SELECT command_id FROM log.refusal") == [(UUID(int=0xF),)]


def test_somebody_who_writes_meanwhile_is_noticed(
    full: Terminal, elsewhere: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a service that appends between two chunks, when that is found, then the import stops and says so."""
    file = tmp_path / "log.jsonl"
    full.json("log", "export", str(file))
    monkeypatch.setattr(importing, "CHUNK", 10)
    written = importing._write
    [stranger] = appends(history(9, 1)[:1], after=5000)

    async def and_another(connection: object, chunk: importing._Chunk, position: int, epoch: int) -> None:
        await written(connection, chunk, position, epoch)
        if position == 0:
            other = await connect(elsewhere.database_url)
            await Log.append_within(other, [stranger])
            await other.close()

    monkeypatch.setattr(importing, "_write", and_another)
    said = elsewhere.run("log", "import", str(file))
    assert said.code == 1
    assert "from 10 to 11" in said.err


def test_an_export_is_on_disk_before_it_has_its_name(
    full: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given an export, then a power cut leaves it unfinished or whole; and whole once it was recorded as done."""
    file = tmp_path / "log.jsonl"
    with monkeypatch.context() as patched:
        steps = watched(patched)
        full.json("log", "export", str(file))
    assert steps == safely_renamed(file)


def test_an_export_that_was_cut_off_is_gone_on_with(full: Terminal, tmp_path: Path) -> None:
    """Given an export cut off anywhere, when it is resumed, then the file is the one that would have been written."""
    whole, file, part = (tmp_path / name for name in ("whole", "log", "log.part"))
    full.json("log", "export", str(whole))
    content = whole.read_bytes()
    assert whole.stat().st_mode & 0o077 == 0  # it holds all tenants' data
    header = content.index(b"\n") + 1
    for cut in (header, header + 700, len(content) // 2, len(content) - 1):
        part.write_bytes(content[:cut])
        assert full.run("log", "export", str(file)).code == 2
        assert full.run("log", "export", "--resume", str(file)).code == 0
        assert file.read_bytes() == content
        assert not part.exists()
        assert full.run("log", "export", str(file)).code == 2
        file.unlink()


def test_an_export_is_resumed_to_the_position_that_is_named(full: Terminal, tmp_path: Path) -> None:
    """Given an export up to some position that was cut off, when it is resumed up to the same or another one, then the
    file is the one that would have been written up to there; without one, up to the first."""
    total = len(full.log())
    whole: dict[int, bytes] = {}
    for upto in (30, 20, total, 0):
        file = tmp_path / str(upto)
        full.json("log", "export", "--upto", str(upto), str(file))
        whole[upto] = file.read_bytes()
    file, part = tmp_path / "log", tmp_path / "log.part"
    before = sorted(tmp_path.iterdir())
    header = whole[30].index(b"\n") + 1
    for cut in (0, header, header + 700, len(whole[30]) // 2, len(whole[30])):
        for upto in (30, 20, total):
            part.write_bytes(whole[30][:cut])
            if cut < len(whole[30]) or upto >= 30:
                assert full.run("log", "export", "--resume", "--upto", str(upto), str(file)).code == 0
                assert file.read_bytes() == whole[upto]
                file.unlink()
    part.write_bytes(whole[30])
    said = full.run("log", "export", "--resume", "--upto", "20", str(file))
    assert (said.code, "position 30 already" in said.err) == (2, True)
    assert part.read_bytes() == whole[30]
    part.write_bytes(whole[30][: header + 700])
    assert full.run("log", "export", "--resume", "--upto", str(total + 1), str(file)).code == 2
    assert full.run("log", "export", "--resume", str(file)).code == 0
    assert file.read_bytes() == whole[30]
    assert sorted(tmp_path.iterdir()) == sorted([*before, file])


@pytest.mark.parametrize("resumed", [False, True])
def test_nobody_else_writes_the_file_of_an_export(
    full: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, resumed: bool
) -> None:
    """Given an export that is under way, be it one that is resumed to another position, then another one to its file is
    refused, however it is begun, and the file is that which would have been written without it.
    """
    total = len(full.log())
    whole, first, file, part = (tmp_path / name for name in ("whole", "first", "log", "log.part"))
    full.json("log", "export", str(whole))
    full.json("log", "export", "--upto", "30", str(first))
    if resumed:
        part.write_bytes(first.read_bytes()[:-200])
    read, beside = contents.contents, dict[str, Said]()
    ways = {"resumed": ("--resume",), "further": ("--resume", "--upto", "40"), "anew": ()}

    async def held(connection: Any, after: int, upto: int) -> AsyncIterator[Any]:
        async for content in read(connection, after, upto):
            if content.position == total - 5 and not beside:
                for name, options in ways.items():
                    beside[name] = await asyncio.to_thread(full.run, "log", "export", *options, str(file))
            yield content

    with monkeypatch.context() as patch:
        patch.setattr(exporting, "contents", held)
        done = full.json("log", "export", "--resume", "--upto", str(total), str(file)).object
    assert beside.keys() == ways.keys()
    for said in beside.values():
        assert (said.code, said.out) == (1, "")
        assert f"somebody else is writing {part}: wait for its end, or name another file" in said.err
    assert file.read_bytes() == whole.read_bytes()
    assert full.json("log", "import", "--check", str(file)).object["sum"] == done["sum"]
    assert set(tmp_path.iterdir()) == {whole, first, file}


@pytest.mark.parametrize("replaced", [False, True])
def test_an_export_whose_file_is_taken_away(
    full: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, replaced: bool
) -> None:
    """Given somebody who deletes the unfinished file, or begins another one in its place, then no other file is told to
    be complete."""
    file, part = tmp_path / "log", tmp_path / "log.part"
    read = contents.contents

    async def meddled(connection: Any, after: int, upto: int) -> AsyncIterator[Any]:
        part.unlink()
        if replaced:
            part.write_bytes(b"another")
        async for content in read(connection, after, upto):
            yield content

    monkeypatch.setattr(exporting, "contents", meddled)
    said = full.run("log", "export", str(file))
    assert (said.code, said.out) == (1, "")
    assert "was taken away while it was written" in said.err
    assert list(tmp_path.iterdir()) == ([part] if replaced else [])


def test_an_export_that_can_not_begin_leaves_nothing(full: Terminal, tmp_path: Path) -> None:
    """Given a position that the log has not reached, when it is exported up to there, then no file is begun."""
    said = full.run("log", "export", "--upto", "4711", str(tmp_path / "log"))
    assert (said.code, list(tmp_path.iterdir())) == (2, [])


def test_an_export_is_not_resumed_from_another_log(full: Terminal, elsewhere: Terminal, tmp_path: Path) -> None:
    """Given the unfinished export of one log, when it is resumed with another, then it is refused."""
    file, part = tmp_path / "log.jsonl", tmp_path / "log.jsonl.part"
    full.json("log", "export", str(file))
    part.write_bytes(file.read_bytes()[:-100])
    file.unlink()
    elsewhere.write(history(4, 9))
    said = elsewhere.run("log", "export", "--resume", str(file))
    assert said.code == 1
    assert "other events" in said.err
    assert not file.exists()


def cut_after(size: int, terminal: Terminal, *words: str) -> Said:
    """Run a verb on connections that are cut after so many bytes."""

    async def go() -> Said:
        async with Proxy(terminal.database_url) as proxy:
            proxy.allowance = size
            return await asyncio.to_thread(terminal.run, *words, KITHLOG_DATABASE_URL=proxy.url)

    return asyncio.run(go())


def how_to_go_on(said: Said) -> list[str]:
    """The command that a lost database's victim is told."""
    assert (said.code, said.out) == (3, ""), said
    [command] = re.findall("PostgreSQL went away .*: go on with `kithlog ([^`]+)`", said.err)
    return shlex.split(command)


def test_an_export_that_loses_postgresql(full: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given an export whose connection is cut, then there is no file of its name; by the command that it tells there
    is, the same as without a cut."""
    monkeypatch.setattr(contents, "PAGE", 10)
    upto = str(len(full.log()) - 5)
    whole, file, part = (tmp_path / name for name in ("whole", "the log", "the log.part"))
    full.json("log", "export", "--upto", upto, str(whole))
    said = cut_after(whole.stat().st_size // 2, full, "log", "export", "--upto", upto, str(file))
    command = how_to_go_on(said)
    assert set(tmp_path.iterdir()) == {whole, part}
    assert part.read_bytes().count(b"\n") > 10
    assert whole.read_bytes().startswith(part.read_bytes())
    assert full.run(*command).code == 0
    assert file.read_bytes() == whole.read_bytes()


def test_an_import_that_loses_postgresql(
    full: Terminal, elsewhere: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given an import whose connection is cut, then the log holds whole chunks; by the command that it tells, all."""
    monkeypatch.setattr(importing, "CHUNK", 10)
    file = tmp_path / "the log"
    full.json("log", "export", str(file))
    command = how_to_go_on(cut_after(file.stat().st_size // 2, elsewhere, "log", "import", str(file)))
    there = len(elsewhere.log())
    assert (there > 0, there % 10) == (True, 0)
    assert elsewhere.query("SELECT position FROM log.head") == [(there,)]
    assert elsewhere.json(*command).object["there"] == there
    assert elsewhere.query(ALL) == full.query(ALL)
    assert elsewhere.query(RECEIPTS) == full.query(RECEIPTS)


def test_an_export_that_can_not_be_recorded_is_complete(full: Terminal, tmp_path: Path) -> None:
    """Given PostgreSQL, which can't write down that the log was exported, then it is told that the file is complete."""
    whole, file = tmp_path / "whole", tmp_path / "log"
    full.json("log", "export", str(whole))

    async def export() -> Said:
        owner = await asyncpg.connect(full.database_url)
        async with owner.transaction():
            await owner.execute("LOCK TABLE log.operation IN EXCLUSIVE MODE")
            url = f"{full.database_url}&lock_timeout=100"
            said = await asyncio.to_thread(full.run, "log", "export", str(file), KITHLOG_DATABASE_URL=url)
        await owner.close()
        return said

    said = asyncio.run(export())
    assert (said.code, said.out) == (3, "")
    assert f"{file} is complete, its sum is " in said.err
    assert "but that was not recorded: PostgreSQL can't now (canceling statement due to lock timeout)" in said.err
    assert file.read_bytes() == whole.read_bytes()


def test_an_export_that_is_resumed_leaves_no_transaction_open(
    full: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given an unfinished export, while it is read and rewritten, which may take long, then no transaction is open."""
    file, part = tmp_path / "log", tmp_path / "log.part"
    full.json("log", "export", str(file))
    part.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    file.unlink()
    states: list[str] = []

    async def state() -> str:
        owner = await asyncpg.connect(full.database_url)
        found = await owner.fetchval(
            "SELECT state FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'kithlog cli'"
        )
        await owner.close()
        return str(found)

    def looked_at(work: Callable[..., T]) -> Callable[..., T]:
        def look(*arguments: Any) -> T:
            with ThreadPoolExecutor() as aside:  # in this thread a loop runs
                states.append(aside.submit(asyncio.run, state()).result())
            return work(*arguments)

        return look

    monkeypatch.setattr(exporting, "_find_place", looked_at(exporting._find_place))
    monkeypatch.setattr(exporting, "_announce", looked_at(exporting._announce))
    upto = str(len(full.log()) - 1)
    assert full.run("log", "export", "--resume", "--upto", upto, str(file)).code == 0
    assert states == ["idle", "idle"]


def test_files_that_can_not_be_are_usage_errors(full: Terminal, tmp_path: Path) -> None:
    """Given a folder that is not there, or a position beyond the log, when exporting or importing, the code is 2."""
    assert full.run("log", "export", str(tmp_path / "no" / "log.jsonl")).code == 2
    assert full.run("log", "import", str(tmp_path / "none.jsonl")).code == 2
    assert full.run("log", "export", "--upto", "100000", str(tmp_path / "log.jsonl")).code == 2
    assert list(tmp_path.iterdir()) == []


def test_lines_read_as_they_were_written(full: Terminal, tmp_path: Path) -> None:
    """Given an export, when its lines are read and sealed anew, then they are the same bytes."""
    file = tmp_path / "log.jsonl"
    full.json("log", "export", str(file))
    seal = Seal()
    with file.open("rb") as lines:
        again = b"".join(seal.line(line.content) for line in read_lines(lines))
    assert again == file.read_bytes()
    with (tmp_path / "none").open("w+b") as empty, pytest.raises(Truncated):
        list(read_lines(empty))
