"""`kithlog doctor`: each fault that is made is found, with what to do; without faults nothing is wrong."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from aio_pika.abc import AbstractChannel

from deploy.launcher.infrastructure import Infrastructure
from services.cli import doctor_database
from services.cli.doctor_database import look_at_database
from services.cli.findings import Finding
from services.command.relay import Relay
from services.projector.live.mailbox import Mailbox
from services.projector.rebuild.work import working
from shared.broker import topology
from shared.database.pool import open_pool
from shared.log import Log
from shared.operations import health
from shared.operations.health import Readiness
from tests.cli.terminal import Terminal, history
from tests.cli.test_replay import on_channel
from tests.projector.conftest import projector, running
from tests.rebuild.conftest import POLICIES, opened


@pytest.fixture
def desk(database_url: str, amqp_url: str, infra: Infrastructure) -> Terminal:
    """A log that was folded and published."""
    terminal = Terminal(database_url, amqp_url, KITHLOG_MANAGEMENT_URL=infra.rabbitmq.management_url)
    terminal.write(history(2, 1))

    async def work() -> None:
        async with await open_pool(database_url) as pool, Log.open(pool, database_url) as log:
            async with projector(database_url, log, Mailbox()).session() as session:
                await session.run_once()
            await Relay(database_url, amqp_url, log).run_once()

    asyncio.run(work())
    # Reminders of a history of last spring are long overdue, and nothing fires here.
    terminal.query("WITH gone AS (DELETE FROM read.timer RETURNING 1) SELECT count(*) FROM gone")
    return terminal


def wrongs(terminal: Terminal, **env: str) -> dict[str, str]:
    """What is wrong, with the remedies."""
    said = terminal.json("doctor", "--watch", "0.5", **env)
    found = {row["what"]: row["remedy"] for row in said.objects if row["state"] in ("wrong", "away")}
    assert (said.code != 0) == bool(found)
    assert all(found.values())
    return found


async def test_nothing_is_wrong_where_all_runs(desk: Terminal) -> None:
    """Given a relay that leads and all folded, when the doctor looks, then nothing is wrong, and the code is 0."""
    async with (
        await open_pool(desk.database_url) as pool,
        Log.open(pool, desk.database_url) as log,
        running(Relay(desk.database_url, desk.amqp_url, log).run),
        asyncio.timeout(60),
    ):
        while found := await asyncio.to_thread(wrongs, desk):
            assert set(found) == {"leader"}  # it is about to take the lead
    said = await asyncio.to_thread(desk.run, "doctor", "--watch", "0.5")
    assert "what to do" in said.out


def test_faults_of_the_database_are_found(desk: Terminal) -> None:
    """Given parked streams, a fork, an old model, one of a later release, a late timer and no leader, when looked at,
    each is told."""
    assert set(wrongs(desk)) == {"leader"}
    desk.query(
        "WITH x AS (UPDATE read.generation SET version = 99 WHERE model IN ('pipeline', 'timing_link')"
        " RETURNING 1) SELECT * FROM x"
    )
    desk.query(
        "WITH x AS (INSERT INTO read.parked VALUES ('acme', gen_random_uuid(), 'seeker', 1, 'm', 'e') RETURNING 1) "
        "SELECT * FROM x"
    )
    desk.query(
        "WITH x AS (INSERT INTO read.timer VALUES ('acme', gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), "
        "'{}', '2026-01-01', NULL, NULL, '{}') RETURNING 1) SELECT * FROM x"
    )
    assert desk.run("log", "fork", "--why", "test", "--yes").code == 0
    found = wrongs(desk)
    assert set(found) == {"leader", "read models", "parked streams", "timers", "checkpoint"}
    assert found["read models"] == "kithlog rebuild pipeline timing"
    assert found["parked streams"] == "kithlog parked list"
    assert "kithlog rebuild" in found["checkpoint"]
    desk.query(
        "WITH x AS (INSERT INTO read.generation (model, version, status) VALUES ('later', 1, 'live') RETURNING 1)"
        " SELECT * FROM x"
    )
    assert "use the release that has them" in wrongs(desk)["read models"]


@pytest.fixture
def led(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a relay led: nothing is wrong but what a test makes so."""
    somebody = "SELECT pg_backend_pid() AS pid, $1::text AS application_name"
    monkeypatch.setitem(doctor_database.QUERIES, "leader", somebody)


def told_of(what: str, terminal: Terminal) -> tuple[int, list[tuple[str, str]]]:
    """The exit code, and how that is, where it is not in order, with the remedy."""
    said = terminal.json("doctor", "--watch", "0.5")
    states = [(row["state"], row["remedy"]) for row in said.objects if row["what"] == what]
    return said.code, [each for each in states if each != ("ok", "")]


@pytest.mark.usefixtures("led")
@pytest.mark.parametrize(
    ("column", "value", "what", "state", "remedy"),
    [
        ("number", "140012", "version", "wrong", "upgrade to PostgreSQL 15 or later"),
        ("fsync", "'off'", "fsync", "wrong", "set fsync = on"),
        ("full_page_writes", "'off'", "full_page_writes", "wrong", "set full_page_writes = on"),
        ("recovering", "true", "recovery", "wrong", "promote it, or point KITHLOG_DATABASE_URL at the primary"),
        ("connections", "s.most", "connections", "look", "raise max_connections, or lower KITHLOG_POOL_SIZE"),
    ],
)
def test_a_server_that_is_not_as_it_should_be_is_found(
    desk: Terminal, monkeypatch: pytest.MonkeyPatch, column: str, value: str, what: str, state: str, remedy: str
) -> None:
    """Given a server that is too old, can lose in a crash what was acknowledged, only reads, or has hardly any room for
    connections, when looked at, that is told, with what to do."""
    assert told_of(what, desk) == (0, [])
    server = doctor_database.QUERIES["server"].rstrip(";")
    # Of two columns of one name the last counts.
    changed = f"SELECT s.*, {value} AS {column} FROM ({server}) AS s"
    monkeypatch.setitem(doctor_database.QUERIES, "server", changed)
    assert told_of(what, desk) == (int(state == "wrong"), [(state, remedy)])


@pytest.mark.usefixtures("led")
async def test_commits_that_do_not_wait_for_the_disk_are_found(desk: Terminal) -> None:
    """Given a database whose commits return before they are on disk, when looked at, that is told, with what to do."""
    owner = await asyncpg.connect(desk.database_url)
    name = await owner.fetchval("SELECT current_database()")
    await owner.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    await owner.close()
    told = await asyncio.to_thread(told_of, "synchronous_commit", desk)
    assert told == (1, [("wrong", "set synchronous_commit = on")])


async def test_what_was_left_unfinished_is_found(desk: Terminal) -> None:
    """Given a rebuild and a verification, when looked at while they are at work, nothing is told; once they are killed,
    it is told what is left, where it stands and how large it is; and what is to be done about it does it."""
    names = ["pipeline", "timing"]

    async def unfinished() -> list[dict[str, Any]]:
        said = await asyncio.to_thread(desk.json, "doctor", "--watch", "0.5")
        return [row for row in said.objects if row["what"] == "unfinished read models"]

    async with opened(desk.database_url) as system:
        for mode in ("rebuild", "verify"):
            async with working(desk.database_url, POLICIES, mode, names) as work:
                await work.generations.prepare()
                await work.build()
                assert [(row["state"], row["detail"]) for row in await unfinished()] == [("ok", "none")]
            await system.nobody_at_work()
            [found] = await unfinished()
            assert found["state"] == "look"
            at = (await system.log.head()).position
            told = re.fullmatch(
                rf".*pipeline, timing_subject, timing_recipient, timing_contact, timing_link at position {at} "
                r"\(([\d,]+) bytes, begun 20\d\d-\d\d-\d\d \d\d:\d\d:\d\dZ\)",
                found["detail"],
            )
            assert told, found["detail"]
            assert int(told[1].replace(",", "")) > 100_000
            [remedy] = re.findall(r"kithlog (rebuild pipeline timing|verify)\b", found["remedy"])
            await asyncio.to_thread(desk.run, *remedy.split())
            assert [row["state"] for row in await unfinished()] == ["ok"]


def test_a_user_without_the_services_role_is_told_all_the_same(desk: Terminal) -> None:
    """Given a user who may not read the log, when the doctor looks, then it is said what to grant, what could not be
    looked at is unknown, and the broker is looked at."""
    stranger = f"stranger_{urlsplit(desk.database_url).path.strip('/')}"

    async def owner(sql: str) -> None:
        connection = await asyncpg.connect(desk.database_url)
        await connection.execute(sql)
        await connection.close()

    asyncio.run(owner(f"CREATE ROLE {stranger} LOGIN PASSWORD 'secret'"))
    try:
        parts = urlsplit(desk.database_url)
        url = parts._replace(netloc=f"{stranger}:secret@{parts.netloc.rpartition('@')[2]}").geturl()
        said = desk.json("doctor", "--watch", "0.5", KITHLOG_DATABASE_URL=url)
    finally:
        asyncio.run(owner(f"DROP ROLE {stranger}"))
    assert said.code == 1
    found = {(row["where"], row["what"]): row for row in said.objects}
    assert found["postgresql", "role"]["remedy"] == "GRANT kithlog_app TO this user"
    assert found["postgresql", "log"]["state"] == "unknown"
    assert "rabbitmq" in {where for where, _ in found}


def test_a_relay_and_a_projector_that_stand_still_are_found(desk: Terminal) -> None:
    """Given events that nobody publishes or folds, though somebody holds the lead, when watched, both are told."""
    desk.write(history(3, 1), after=5000)

    async def look() -> list[Any]:
        leader = await asyncpg.connect(desk.database_url)
        await leader.execute("SELECT pg_advisory_lock(hashtextextended('kithlog.relay.events', 0))")
        try:
            return await look_at_database(desk.database_url, watch=0.0)
        finally:
            await leader.close()

    still = {finding.what: finding for finding in asyncio.run(look()) if finding.state == "wrong"}
    assert "pg_terminate_backend" in still["leader"].remedy
    assert "does not move" in still["checkpoint"].detail
    assert " behind" in still["checkpoint"].detail


def test_clocks_that_differ_are_found(desk: Terminal) -> None:
    """Given a machine whose clock is years off, when looked at, then the difference is told."""

    class Off:
        def now(self) -> datetime:
            return datetime(2020, 1, 1, tzinfo=UTC)

    found = asyncio.run(look_at_database(desk.database_url, watch=0.0, clock=Off()))
    [clock] = [finding for finding in found if finding.what == "clock"]
    assert clock.state == "wrong"
    assert "NTP" in clock.remedy


def test_what_slows_a_database_down_is_found(desk: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a transaction that was left open and dead rows that it keeps, when looked at, each is told with its end."""
    monkeypatch.setattr(doctor_database, "OLD_TRANSACTION", 0.0)
    monkeypatch.setattr(doctor_database, "DEAD_TUPLES", 1)

    async def look() -> list[Any]:
        idle, busy = [await asyncpg.connect(desk.database_url) for _ in range(2)]
        try:
            await idle.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM log.event")
            await busy.execute("UPDATE read.checkpoint SET moved_at = moved_at")
            await busy.execute("SELECT pg_stat_force_next_flush()")
            await busy.execute("SELECT")
            return await look_at_database(desk.database_url, watch=0.0)
        finally:
            await idle.close()
            await busy.close()

    found = [finding for finding in asyncio.run(look()) if finding.state == "look"]
    [transaction] = [finding for finding in found if finding.what == "oldest transaction"]
    assert "pg_terminate_backend" in transaction.remedy
    assert "idle in transaction" in transaction.detail
    assert any("VACUUM read.checkpoint" in finding.remedy for finding in found if finding.what == "dead rows")


def test_replication_slots_that_nobody_reads_are_found(desk: Terminal) -> None:
    """Given slots of which one holds WAL, one never had a reader and one was given up, each is told with what to do."""

    async def look() -> list[Any]:
        owner = await asyncpg.connect(desk.database_url)
        slots = ("never_used", "given_up", "holding")
        try:
            await owner.execute("SELECT pg_create_physical_replication_slot('never_used')")
            await owner.execute("SELECT pg_create_physical_replication_slot('given_up', true)")
            await owner.execute("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'")
            await owner.execute("SELECT pg_reload_conf()")
            status = "SELECT wal_status FROM pg_replication_slots WHERE slot_name = 'given_up'"
            while await owner.fetchval(status) != "lost":
                await owner.execute("SELECT pg_logical_emit_message(false, 'kithlog', 'a segment is not empty')")
                await owner.execute("SELECT pg_switch_wal()")
                await owner.execute("CHECKPOINT")
            await owner.execute("SELECT pg_create_physical_replication_slot('holding', true)")
            return await look_at_database(desk.database_url, watch=0.0)
        finally:
            await owner.execute("ALTER SYSTEM RESET max_slot_wal_keep_size")
            await owner.execute("SELECT pg_reload_conf()")
            there = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = ANY ($1)"
            await owner.execute(there, slots)
            await owner.close()

    found = {f.detail.split()[0]: f for f in asyncio.run(look()) if f.what == "replication slot"}
    assert re.fullmatch(r"holding is read by nobody and holds [\d,]+ bytes of WAL", found["holding"].detail)
    assert found["never_used"].detail == "never_used is read by nobody and holds nothing yet"
    assert "start its reader" in found["never_used"].remedy
    assert "was given up" in found["given_up"].detail
    assert "make its reader anew" in found["given_up"].remedy
    assert {f.state for f in found.values()} == {"look"}


def test_a_cluster_without_the_services_role_is_told(desk: Terminal) -> None:
    """Given a database in a cluster that has no role of the services, as after a dump was restored into a new one, then
    the doctor and every other verb say so."""

    async def owner(sql: str) -> None:
        connection = await asyncpg.connect(desk.database_url)
        await connection.execute(sql)
        await connection.close()

    asyncio.run(owner("ALTER ROLE kithlog_app RENAME TO elsewhere_app"))
    try:
        found = wrongs(desk)
        said = [desk.run(*words) for words in (("log", "stats"), ("parked", "list"), ("rebuild",))]
    finally:
        asyncio.run(owner("ALTER ROLE elsewhere_app RENAME TO kithlog_app"))
    assert "start a projector service once" in found["role"]
    for each in said:
        assert (each.code, each.out) == (1, "")
        assert "there is no role kithlog_app in this cluster" in each.err
        assert "start a projector service once" in each.err


def test_faults_of_the_broker_are_found(desk: Terminal) -> None:
    """Given a missing queue, one of other arguments and a missing binding, when looked at, each is told."""

    async def spoil(channel: AbstractChannel) -> None:
        await channel.queue_delete(topology.COMMANDS)
        await channel.queue_delete(topology.DEAD_COMMANDS)
        await channel.declare_queue(topology.DEAD_COMMANDS, durable=True)
        await (await channel.get_queue(topology.PROJECTOR)).unbind(topology.EVENTS, "#")

    on_channel(desk, spoil)
    found = wrongs(desk)
    assert {f"queue {topology.COMMANDS}", f"queue {topology.DEAD_COMMANDS}"} < set(found)
    assert f"binding {topology.EVENTS} → {topology.PROJECTOR}" in found
    without = desk.json("doctor", "--watch", "0.5", KITHLOG_MANAGEMENT_URL="http://127.0.0.1:1").objects
    assert [row["state"] for row in without if row["what"] == "management"] == ["look"]


@pytest.mark.parametrize("wrong", ["http://kithlog:5ecret@", "http://kithlog:5ecret@127.0.0.1:port"])
def test_a_management_that_refuses_is_told_without_the_password(
    desk: Terminal, infra: Infrastructure, wrong: str
) -> None:
    """Given a wrong password for the management API, or an address that is none, then that is told, the password is
    not, and neither are the other findings lost."""
    url = wrong if "port" in wrong else wrong + infra.rabbitmq.management_url.rpartition("@")[2].removeprefix("http://")
    said = desk.run("doctor", "--watch", "0.5", "--json", KITHLOG_MANAGEMENT_URL=url)
    assert "5ecret" not in said.out + said.err
    states = {row["what"]: row["state"] for row in map(json.loads, said.out.splitlines())}
    assert (states["management"], states["publishing"]) == ("look", "ok")


@contextmanager
def answering(status: int, document: object) -> Iterator[str]:
    """The address of something that answers each GET so."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(document).encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def test_a_service_that_has_stopped_is_found(desk: Terminal) -> None:
    """Given services of which one has stopped, answers strangely or is away, then it is told why, and where nobody said
    where they are, that they were not asked."""
    stopped = Readiness(False, {"fold": health.Finding("failing", "another log"), "database": health.OK})

    def found(**env: str) -> set[tuple[str, str, str]]:
        rows = desk.json("doctor", "--watch", "0.5", **env).objects
        return {(row["where"], row["what"], row["state"]) for row in rows if row["where"].endswith(" service")}

    with answering(503, stopped.to_dict()) as projector, answering(200, ["strange"]) as strange:
        assert found(KITHLOG_COMMAND_URL=strange, KITHLOG_PROJECTOR_URL=projector) == {
            ("command service", "readiness", "look"),
            ("projector service", "fold", "wrong"),
            ("projector service", "database", "ok"),
        }
    assert found(KITHLOG_PROJECTOR_URL=projector) == {
        ("command service", "readiness", "unknown"),
        ("projector service", "readiness", "away"),
    }


@pytest.mark.parametrize(
    ("resource", "limit", "beyond", "usual"),
    [
        ("memory", "set_vm_memory_high_watermark", "0.00001", "0.4"),
        ("disk space", "set_disk_free_limit", "1000000GB", "200MB"),
    ],
)
def test_an_alarm_is_found(
    desk: Terminal, infra: Infrastructure, resource: str, limit: str, beyond: str, usual: str
) -> None:
    """Given a broker that has hit a limit, when looked at, then it is told, and looking ends all the same."""
    infra.rabbitmq.ctl(limit, beyond)
    try:
        wait_for_alarm(infra, resource)
        found = wrongs(desk)
    finally:
        infra.rabbitmq.ctl(limit, usual)
    assert {"publishing", f"{resource} alarm"} <= set(found)


def wait_for_alarm(infra: Infrastructure, resource: str) -> None:
    """The broker looks at its disk now and then, not when a limit is set."""
    for _ in range(600):
        alarms = infra.rabbitmq.ctl("status", "--formatter", "json").partition('"alarms"')[2].partition("]")[0]
        if resource.split()[0] in alarms:
            return
    raise AssertionError(f"no alarm of {resource} after a limit was set")


def test_servers_that_are_away_are_found(desk: Terminal, empty_database_url: str) -> None:
    """Given no PostgreSQL, no RabbitMQ, or an empty database, when looked at, then that is the finding, beside what
    could not be asked."""
    nowhere = {"KITHLOG_DATABASE_URL": "postgresql://a:b@127.0.0.1:1/x", "KITHLOG_AMQP_URL": "amqp://a:b@127.0.0.1:1/"}
    said = desk.json("doctor", **nowhere)
    assert said.code == 3
    assert {(row["where"], row["what"], row["state"]) for row in said.objects} == {
        ("postgresql", "connection", "away"),
        ("rabbitmq", "connection", "away"),
        ("command service", "readiness", "unknown"),
        ("projector service", "readiness", "unknown"),
    }
    assert "migrations" in wrongs(desk, KITHLOG_DATABASE_URL=empty_database_url)


def test_a_virtual_host_that_is_missing_or_forbidden_is_told(desk: Terminal, infra: Infrastructure) -> None:
    """Given a virtual host that there is not, or that the user may not use, then verbs say that it is not allowed, and
    ask for just that, and the doctor that it is wrong: nobody waits for it."""
    forbidden = urlsplit(desk.amqp_url).path[1:]
    user = str(urlsplit(desk.amqp_url).username)
    infra.rabbitmq.ctl("clear_permissions", "-p", forbidden, user)
    try:
        for url in (infra.rabbitmq.url_of("nowhere"), desk.amqp_url):
            said = desk.run("dead", "list", KITHLOG_AMQP_URL=url)
            assert said.code == 4, said
            assert "is there a virtual host of that name, and may the user use it?" in said.err
            assert "virtual host" in wrongs(desk, KITHLOG_AMQP_URL=url)["connection"]
    finally:
        infra.rabbitmq.ctl("set_permissions", "-p", forbidden, user, ".*", ".*", ".*")


async def test_no_server_that_has_vanished_is_waited_for(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a server that vanishes while the doctor looks, then its socket finds out, as those of the services do."""
    probed: list[int] = []

    async def look(connection: Any) -> list[Finding]:
        own = connection._transport.get_extra_info("socket")
        probed.append(own.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
        return []

    monkeypatch.setattr(doctor_database, "_server", look)
    await look_at_database(database_url, watch=0.1)
    assert probed == [1]
