"""What the nemesis does: each fault breaks something, waits, and mends it again.

A fault is a coroutine over the stage and a seeded generator, so that a run can be repeated from its seed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from random import Random
from typing import Protocol
from urllib.parse import urlsplit

from deploy.launcher.child import Child
from deploy.launcher.sql import fetch_value
from shared.broker.topology import PROJECTOR
from tests.chaos import witness
from tests.chaos.processes import ServiceProcess, Stage, ended_by_itself
from tests.chaos.proxy import Proxy
from tests.chaos.seen import Answer, Command, read
from tests.chaos.services import HOURS_OFF
from tests.chaos.witness import Delivery

Fault = Callable[[Stage, Random], Awaitable[None]]
BEGINNING = 2000
"""Bytes, one way, by which a connection is set up: all that is declared and consumed, or listened to, is sent."""


class Server(Protocol):
    """A server of the launcher's."""

    def pause(self) -> None: ...
    def resume(self) -> None: ...


async def kill_command_service(stage: Stage, rng: Random) -> None:
    await _kill(stage, rng.choice(stage.commands), rng)


async def kill_relay_leader(stage: Stage, rng: Random) -> None:
    await _kill(stage, await stage.leader(), rng)


async def kill_projector(stage: Stage, rng: Random) -> None:
    await _kill(stage, rng.choice(stage.projectors), rng)


async def kill_both_projectors(stage: Stage, rng: Random) -> None:
    await asyncio.gather(*(_kill(stage, each, rng) for each in stage.projectors))


async def kill_witness(stage: Stage, rng: Random) -> None:
    assert stage.consumer is not None
    stage.found += ended_by_itself(stage.consumer)
    await asyncio.to_thread(stage.consumer.kill)
    await asyncio.sleep(rng.uniform(0.1, 1.0))
    stage.start_witness()


async def kill_postgres(stage: Stage, rng: Random) -> None:
    await asyncio.to_thread(stage.postgres.kill)
    await asyncio.sleep(rng.uniform(0.1, 1.5))
    await asyncio.to_thread(stage.postgres.start)


async def stop_command_service_while_postgres_is_away(stage: Stage, rng: Random) -> None:
    """In order, as PostgreSQL comes back: what is given up then must be there for the next, and nothing overtake it."""
    service = rng.choice(stage.commands)
    stage.found += service.ended_by_itself()
    await asyncio.to_thread(stage.postgres.kill)
    await asyncio.sleep(rng.uniform(0.5, 12.0))  # `KITHLOG_APPEND_PATIENCE` is ten seconds
    await asyncio.gather(asyncio.to_thread(stage.postgres.start), asyncio.to_thread(service.running.stop))
    service.start()


async def kill_rabbitmq(stage: Stage, rng: Random) -> None:
    await asyncio.to_thread(stage.rabbitmq.settle)
    await _kill_rabbitmq(stage, rng)


async def _kill_rabbitmq(stage: Stage, rng: Random) -> None:
    await asyncio.to_thread(stage.rabbitmq.kill)
    await asyncio.sleep(rng.uniform(0.1, 1.0))
    await asyncio.to_thread(stage.rabbitmq.start)


async def wipe_rabbitmq(stage: Stage, rng: Random) -> None:
    await asyncio.to_thread(stage.rabbitmq.wipe)
    stage.wiped_at = datetime.now(UTC)
    await asyncio.to_thread(stage.rabbitmq.start)


async def kill_both_servers(stage: Stage, rng: Random) -> None:
    await asyncio.to_thread(stage.rabbitmq.settle)
    await asyncio.gather(kill_postgres(stage, rng), _kill_rabbitmq(stage, rng))


async def freeze_command_service(stage: Stage, rng: Random) -> None:
    await _freeze(rng.choice(stage.commands).running, rng.uniform(1.0, 6.0))


async def freeze_relay_leader(stage: Stage, rng: Random) -> None:
    await _freeze((await stage.leader()).running, rng.uniform(1.0, 6.0))


async def freeze_projector(stage: Stage, rng: Random) -> None:
    await _freeze(rng.choice(stage.projectors).running, rng.uniform(1.0, 7.0))


async def freeze_postgres(stage: Stage, rng: Random) -> None:
    await _freeze(stage.postgres, rng.uniform(1.0, 4.0))


async def freeze_rabbitmq(stage: Stage, rng: Random) -> None:
    await _freeze(stage.rabbitmq, rng.uniform(1.0, 4.0))


async def cut_connections(stage: Stage, rng: Random) -> None:
    """In the middle of whatever goes on, several times."""
    for _ in range(rng.randint(2, 5)):
        _way(stage, rng).cut()
        await asyncio.sleep(rng.uniform(0.05, 0.5))


async def cut_after_some_bytes(stage: Stage, rng: Random) -> None:
    """Every new connection breaks in the middle of a message."""
    way = _way(stage, rng)
    way.allowance = rng.randint(500, 50_000)
    way.cut()
    await asyncio.sleep(rng.uniform(1.0, 3.0))
    way.heal()
    way.cut()


async def cut_while_connecting(stage: Stage, rng: Random) -> None:
    """Whoever was connected begins again, and is cut off before all is set up, each time at another point of it."""
    way = _way(stage, rng)
    way.cut()
    for _ in range(rng.randint(10, 20)):
        way.allowance = rng.randint(1, BEGINNING)
        await asyncio.sleep(0.2)
    way.heal()
    way.cut()


async def refuse_connections(stage: Stage, rng: Random) -> None:
    way = _way(stage, rng)
    way.refuse()
    await asyncio.sleep(rng.uniform(0.5, 4.0))
    await way.accept()


async def delay_connections(stage: Stage, rng: Random) -> None:
    way = _way(stage, rng)
    way.delay = rng.uniform(0.02, 0.2)
    await asyncio.sleep(rng.uniform(1.0, 4.0))
    way.heal()


@contextmanager
def _silent(ways: Sequence[Proxy]) -> Iterator[None]:
    """Nothing arrives on them, however the block ends."""
    for way in ways:
        way.silence()
    try:
        yield
    finally:
        for way in ways:
            way.heal()


async def half_open_connections(stage: Stage, rng: Random) -> None:
    """Nothing arrives any more, and nobody is told; then the connections turn out to be gone."""
    way = _way(stage, rng)
    with _silent([way]):
        await asyncio.sleep(rng.uniform(1.0, 6.0))
        if rng.random() < 0.5:
            way.cut()


async def fill_the_disk_of_the_broker(stage: Stage, rng: Random) -> None:
    """The broker's alarm goes off: it blocks connections that publish until there is room again."""
    await asyncio.to_thread(stage.rabbitmq.ctl, "set_disk_free_limit", "1000000GB")
    try:
        await asyncio.sleep(rng.uniform(1.0, 4.0))
    finally:
        await asyncio.to_thread(stage.rabbitmq.ctl, "set_disk_free_limit", "200MB")


async def shift_the_clock(stage: Stage, rng: Random) -> None:
    """A service comes back hours ahead or behind, and stays so until something else restarts it."""
    service = rng.choice(stage.services)
    stage.found += service.ended_by_itself()
    await asyncio.to_thread(service.running.stop)
    service.start(**{HOURS_OFF: str(rng.choice((-7, -3, 3, 30)))})


def _by_name(*faults: Fault) -> dict[str, Fault]:
    return {fault.__name__.replace("_", " "): fault for fault in faults}


FAULTS = _by_name(
    kill_command_service,
    kill_relay_leader,
    kill_projector,
    kill_both_projectors,
    kill_witness,
    kill_postgres,
    stop_command_service_while_postgres_is_away,
    kill_rabbitmq,
    wipe_rabbitmq,
    kill_both_servers,
    freeze_command_service,
    freeze_relay_leader,
    freeze_projector,
    freeze_postgres,
    freeze_rabbitmq,
    cut_connections,
    cut_after_some_bytes,
    cut_while_connecting,
    refuse_connections,
    delay_connections,
    half_open_connections,
    fill_the_disk_of_the_broker,
    shift_the_clock,
)  # fmt: skip


PROMOTION = "promote the stand-by"
"""Happens once in the life of a primary and needs a stand-by: not in the deck."""
CUT_OFF_STAND_BY = "cut off the stand-by"
"""Needs one, too."""
QUORUM_LEADER, FROZEN_QUORUM_LEADER = "kill quorum leader", "freeze quorum leader"
"""Need a broker of several nodes: not in the deck either."""
LONG = (45.0, 55.0)
"""Seconds: longer than it takes either side to give up a peer that says nothing, 33 at most."""
LONG_FOR_A_SESSION = (18.0, 25.0)
"""Seconds: longer than who leads the relay may say nothing to PostgreSQL, after which another leads: 15 at most."""
LONG_FOR_AN_APPEND = (12.0, 15.0)
"""Seconds: longer than a command waits for PostgreSQL (`KITHLOG_APPEND_PATIENCE`, ten), which executes afterwards what
was given up."""
TO_ASK_THE_FEED = (13.0, 20.0)
"""Seconds: longer than the consumer takes to come back and to ask each projector's feed, for five seconds each."""


async def freeze_rabbitmq_for_long(stage: Stage, rng: Random) -> None:
    """All have taken the broker for gone when it goes on, and it all of them."""
    await _freeze(stage.rabbitmq, rng.uniform(*LONG))


async def half_open_connections_for_long(stage: Stage, rng: Random) -> None:
    """Between the broker and some or all who are connected to it."""
    ways = rng.sample(stage.ways_to_the_broker, rng.randint(1, len(stage.ways_to_the_broker)))
    with _silent(ways):
        await asyncio.sleep(rng.uniform(*LONG))


async def freeze_relay_leader_for_long(stage: Stage, rng: Random) -> None:
    """Another leads when it goes on, with whatever it had in hand."""
    await _freeze((await stage.leader()).running, rng.uniform(*LONG_FOR_A_SESSION))


async def half_open_database_for_long(stage: Stage, rng: Random) -> None:
    """Between PostgreSQL and who leads the relay, and a projector; what they had sent arrives after all, when they have
    given up waiting. Both at once: it comes once in a campaign, and one drawn from all would rarely be the leader."""
    ways = [(await stage.leader()).database, rng.choice(stage.projectors).database]
    with _silent(ways):
        await asyncio.sleep(rng.uniform(*LONG_FOR_A_SESSION))


async def freeze_postgres_for_long(stage: Stage, rng: Random) -> None:
    """It goes on with what nobody waits for any more."""
    await _freeze(stage.postgres, rng.uniform(*LONG_FOR_AN_APPEND))


IN_LONG_SILENCE = _by_name(
    freeze_rabbitmq_for_long,
    half_open_connections_for_long,
    freeze_relay_leader_for_long,
    half_open_database_for_long,
    freeze_postgres_for_long,
)
"""Longer than a round should take: not in the deck either."""


_END_WHO_WAITS = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE wait_event = 'SyncRep' AND datname = current_database()
"""


async def cut_off_the_stand_by(stage: Stage, rng: Random) -> None:
    """Commits wait for a stand-by that hears of nothing any more: meanwhile no command may be answered with success
    that it does not have, and no consumer be told of its events. Then it is brought back.

    Meanwhile sessions that wait are ended, and the consumer is cut off. What is appended can't be read before, however
    long ago it was given up: relay and feed would have nothing to give away. And the consumer asks the feed only when
    it comes back.
    """
    stand_by = stage.stand_by
    assert stand_by is not None
    database = stand_by.url_of(urlsplit(stage.database_url).path.removeprefix("/"))
    primary = await asyncio.to_thread(fetch_value, database, "SHOW primary_conninfo")
    await asyncio.to_thread(_follow, database, "")
    # Longer than services and clients wait for one attempt, so that commands are asked again.
    await asyncio.sleep(rng.uniform(*LONG_FOR_AN_APPEND))
    await asyncio.to_thread(fetch_value, stage.database_url, _END_WHO_WAITS)
    stage.clients_broker.cut()
    await asyncio.sleep(rng.uniform(*TO_ASK_THE_FEED))
    answered, told = read(stage.logs / "journal").accepted, witness.read(stage.logs / "witness.record")
    head, readable = [
        await asyncio.to_thread(fetch_value, url, "SELECT position FROM log.head")
        for url in (database, stage.database_url)
    ]
    assert isinstance(head, int)
    assert isinstance(readable, int)
    stage.found += unsafe(answered, told, head)
    if readable <= head:
        stage.found.append(f"in vain: nothing could be read beyond {head}, at which the stand-by was cut off")
    await asyncio.to_thread(_follow, database, str(primary))
    await asyncio.to_thread(stage.postgres.wait_until_followed)


def unsafe(answered: Mapping[Command, Answer], told: Sequence[Delivery], head: int) -> list[str]:
    """Commands that were answered with success, and events that a consumer was told of, beyond what a stand-by has."""
    return [
        *(
            f"unsafe: command {tenant}/{id} was answered {answer.position}, the stand-by was cut off at {head}"
            for (tenant, id), answer in answered.items()
            if answer.position > head
        ),
        *(
            f"unsafe: the {each.source} told of position {each.position}, the stand-by was cut off at {head}"
            for each in told
            if each.position > head
        ),
    ]


def _follow(database_url: str, primary: str) -> None:
    quoted = primary.replace("'", "''")
    fetch_value(database_url, f"ALTER SYSTEM SET primary_conninfo = '{quoted}'")
    fetch_value(database_url, "SELECT pg_reload_conf()")


async def promote_the_stand_by(stage: Stage, rng: Random) -> None:
    """The primary is gone for good; the synchronous stand-by takes its place behind the same addresses."""
    del rng
    old, new = stage.postgres, stage.stand_by
    assert new is not None
    await asyncio.to_thread(old.kill)
    await asyncio.to_thread(new.promote)
    stage.postgres, stage.stand_by = new, None
    stage.database_url = new.url_of(urlsplit(stage.database_url).path.removeprefix("/"))
    for service in stage.services:
        service.database.turn_to(stage.database_url)


async def kill_quorum_leader(stage: Stage, rng: Random) -> None:
    """The node that leads the projector's queue dies; another leads on, and whoever was connected to it is led to
    the others, as a load balancer does. Later it comes back."""
    assert stage.cluster is not None
    leader = await asyncio.to_thread(stage.cluster.leader, PROJECTOR)
    await asyncio.to_thread(leader.kill)
    left = [number for number, node in enumerate(stage.cluster.nodes) if node is not leader]
    for way in stage.ways_to_the_broker:
        if way.server_port == leader.port:
            way.turn_to(stage.cluster.url(rng.choice(left)))
    await asyncio.sleep(rng.uniform(2.0, 6.0))
    await asyncio.to_thread(leader.start)


async def freeze_quorum_leader(stage: Stage, rng: Random) -> None:
    assert stage.cluster is not None
    await _freeze(await asyncio.to_thread(stage.cluster.leader, PROJECTOR), rng.uniform(1.0, 6.0))


SPECIAL: dict[str, Fault] = {
    **IN_LONG_SILENCE,
    CUT_OFF_STAND_BY: cut_off_the_stand_by,
    PROMOTION: promote_the_stand_by,
    QUORUM_LEADER: kill_quorum_leader,
    FROZEN_QUORUM_LEADER: freeze_quorum_leader,
}


def fault(name: str) -> Fault:
    """The fault of that name. Raises KeyError."""
    return SPECIAL[name] if name in SPECIAL else FAULTS[name]


def draw(rng: Random, rounds: int, most: int = 4) -> Iterator[list[str]]:
    """For each round the names of its faults, two at least; none comes again before all have come."""
    deck: list[str] = []
    for _ in range(rounds):
        hand = []
        for _ in range(rng.randint(2, most)):
            if not deck:
                deck = rng.sample(sorted(FAULTS), len(FAULTS))
            hand.append(deck.pop())
        yield hand


async def _kill(stage: Stage, service: ServiceProcess, rng: Random) -> None:
    stage.found += service.ended_by_itself()
    await service.kill()
    await asyncio.sleep(rng.uniform(0.0, 1.0))
    service.start()


async def _freeze(what: Server | Child, seconds: float) -> None:
    what.pause()  # at once, as the other way round: given up between the two, it would stay frozen
    try:
        await asyncio.sleep(seconds)
    finally:
        what.resume()


def _way(stage: Stage, rng: Random) -> Proxy:
    """Between a service and a server, or between clients and either; one that is in use, where there is one."""
    return rng.choice([way for way in stage.ways if way.carries] or stage.ways)
