"""What a round finds beside the checker: who did not come back, who listens no more, what does not come to rest."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain, repeat
from pathlib import Path
from random import Random
from time import monotonic
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest

from deploy.launcher.child import Child
from shared.broker.topology import COMMANDS
from tests.chaos import faults, rounds
from tests.chaos.faults import (
    cut_off_the_stand_by,
    freeze_relay_leader_for_long,
    kill_command_service,
    kill_witness,
    unsafe,
)
from tests.chaos.load import waiting_file
from tests.chaos.processes import ServiceProcess, Stage
from tests.chaos.rounds import Run
from tests.chaos.seen import Answer, Seen
from tests.chaos.witness import Delivery, Source

SEED, LIMIT = 1, 0.3
"""Seconds for which what does not come is waited for here."""
AT_REST = {"head": 0, "relay": 0, "projector": 0, "overdue": 0}
NOTHING_NEW = {"relay": 0.0, "projector": 0.0, "consumer": 0.0}


class StubStage:
    """Two services of each kind that are up and hear everything, until a test says otherwise."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self.found: list[str] = []
        self.wiped_at = None
        self.consumer = self.child("witness", "import time; time.sleep(600)")
        self.commands = [self._service("command", number) for number in (1, 2)]
        self.projectors = [self._service("projector", number) for number in (1, 2)]
        self.services = [*self.commands, *self.projectors]
        self.listening = Counter({"kithlog.projector": 2, "kithlog.commands": 2})
        self.messages: Iterator[float | None] = iter(map(float, range(1_000_000)))
        self.commands_left: int | None = 0
        self.places: dict[str, int] = dict(AT_REST)
        self.ages: dict[str, float] = dict(NOTHING_NEW)
        self.due: list[tuple[str, UUID]] = []
        self.waits_by: str | None = None
        self.load_exits_with = 0
        self.is_ready = True

    def _service(self, kind: str, number: int) -> ServiceProcess:
        no_way = cast(Any, None)
        service = ServiceProcess(kind, number, 0, no_way, no_way, no_way, self.logs, {})
        service.log.touch()
        service.child = self.child(service.name, "import time; time.sleep(600)")
        return service

    def child(self, name: str, program: str) -> Child:
        return Child(name, [sys.executable, "-c", program], env=os.environ, log=self.logs / "children.log")

    def start_load(self, *arguments: str) -> Child:
        with (self.logs / "journal").open("a") as journal:
            entry = {"kind": "refused", "tenant": "acme", "id": str(UUID(int=1)), "code": "already_exists"}
            journal.write(json.dumps(entry) + "\n")
        waiting_file(self.logs / "journal").write_text("{}")
        load = self.child("load", f"import sys; sys.exit({self.load_exits_with})")
        load.wait()
        return load

    async def ready(self) -> None:
        if not self.is_ready:
            raise TimeoutError
        if self.waits_by is not None:
            waiting_file(self.logs / "journal").write_text(json.dumps({self.waits_by: [(monotonic(), monotonic())]}))

    async def consumers(self) -> Counter[str]:
        return self.listening

    async def heard(self) -> float | None:
        return next(self.messages)

    async def waiting(self, queue: str) -> int | None:
        return self.commands_left if queue == COMMANDS else 0


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StubStage]:
    """For rounds that ask this stage, and not a database, how far everything is; the checker finds nothing."""
    stage = StubStage(tmp_path)

    async def places(run: Run) -> dict[str, int]:
        return stage.places

    async def ages(run: Run) -> tuple[dict[str, float], list[tuple[str, UUID]]]:
        return stage.ages, stage.due

    async def nothing(run: Run, seen: Seen) -> list[str]:
        return []

    monkeypatch.setattr(rounds, "REST_WITHIN", LIMIT)
    monkeypatch.setattr(rounds, "SMALL_LAG", LIMIT / 6)
    monkeypatch.setattr(rounds, "CALM", LIMIT / 3)
    monkeypatch.setattr(Run, "_ages", ages)
    monkeypatch.setattr(Run, "_places", places)
    monkeypatch.setattr(Run, "_judge", nothing)
    yield stage
    for child in (*(service.running for service in stage.services), stage.consumer):
        child.kill()


async def violations(stage: StubStage) -> tuple[str, ...]:
    """Of a round without faults."""
    run = Run(cast(Stage, stage), SEED, rate=1.0, seconds=0.0, clients=1)
    return (await run.round(1, [], None)).violations


async def test_a_sound_round_has_no_violation(stage: StubStage) -> None:
    """Given services that are up, hear messages and come to rest, when a round is judged, then nothing is found."""
    assert await violations(stage) == ()


def never_get_ready(stage: StubStage) -> None:
    stage.is_ready = False


def stay_far_behind(stage: StubStage) -> None:
    stage.ages["projector"] = 60.0


def stay_behind(stage: StubStage) -> None:
    stage.places["head"] = 1


def leave_a_timer_overdue(stage: StubStage) -> None:
    stage.places["overdue"] = 1


def stop_firing(stage: StubStage) -> None:
    """A single timer that has just fallen due when it is looked for."""
    stage.due = [("acme", UUID(int=7))]


def stop_answering_messages(stage: StubStage) -> None:
    """Whoever has a message in hand: it waits in no queue."""
    stage.waits_by = "Queue"


def lose_the_broker(stage: StubStage) -> None:
    stage.commands_left = None


def leave_a_command_in_its_queue(stage: StubStage) -> None:
    stage.commands_left = 1


def end_a_service(stage: StubStage) -> None:
    stage.commands[1].running.kill()
    stage.commands[1].child = ended = stage.child("command 2", "import sys; sys.exit(3)")
    ended.wait()


def end_the_witness(stage: StubStage) -> None:
    stage.consumer.kill()
    stage.consumer = stage.child("witness", "import sys; sys.exit(4)")
    stage.consumer.wait()


def let_a_loop_die(stage: StubStage) -> None:
    entry = {"event": "loop died", "loop": "doorbell", "exception": [{"exc_type": "KeyError"}]}
    stage.projectors[0].log.write_text(json.dumps(entry) + "\n")


def end_the_load_badly(stage: StubStage) -> None:
    stage.load_exits_with = 2


def bring_no_messages(stage: StubStage) -> None:
    stage.messages = chain([None], repeat(5.0))


def lose_a_doorbell(stage: StubStage) -> None:
    """The other projector is brought messages as before."""
    stage.listening["kithlog.projector"] = 1


def lose_all_intakes(stage: StubStage) -> None:
    del stage.listening["kithlog.commands"]


def find_something_in_a_fault(stage: StubStage) -> None:
    stage.found.append("unsafe: a command")


PLANTED: list[tuple[Callable[[StubStage], None], str]] = [
    (never_get_ready, "the services did not recover"),
    (stay_far_behind, "the services did not recover"),
    (stop_firing, "the services did not recover"),
    (stop_answering_messages, "the services did not recover"),
    (lose_the_broker, "the services did not recover"),
    (stay_behind, "no rest within"),
    (leave_a_timer_overdue, "no rest within"),
    (leave_a_command_in_its_queue, "no rest within"),
    (end_a_service, "command 2 ended by itself with 3"),
    (end_the_witness, "witness ended by itself with 4"),
    (let_a_loop_die, "died: projector 1's loop doorbell: KeyError"),
    (end_the_load_badly, "load ended with 2"),
    (bring_no_messages, "deaf: no message comes to a projector"),
    (lose_a_doorbell, "deaf: 1 services listen to kithlog.projector, 2 should"),
    (lose_all_intakes, "deaf: 0 services listen to kithlog.commands, 2 should"),
    (find_something_in_a_fault, "unsafe: a command"),
]


@pytest.mark.parametrize(("plant", "found"), PLANTED, ids=lambda each: getattr(each, "__name__", None))
async def test_a_planted_violation_is_found(stage: StubStage, plant: Callable[[StubStage], None], found: str) -> None:
    """Given a sound round but for one thing, when it is judged, then that is named."""
    plant(stage)
    assert any(each.startswith(found) for each in await violations(stage))


async def test_a_death_is_told_though_it_is_killed_afterwards(
    stage: StubStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a service and a consumer that ended by themselves, when they are to be killed, then that is told."""
    monkeypatch.setattr(ServiceProcess, "start", lambda service: None)
    monkeypatch.setattr(stage, "start_witness", lambda: None, raising=False)
    end_a_service(stage)
    end_the_witness(stage)
    stage.commands = stage.commands[1:]
    await kill_command_service(cast(Stage, stage), Random(1))
    await kill_witness(cast(Stage, stage), Random(1))
    assert stage.found == ["command 2 ended by itself with 3", "witness ended by itself with 4"]


async def test_who_is_frozen_for_long_goes_on_whatever_happens(
    stage: StubStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a leader that is frozen for long, when the run is stopped meanwhile, then the leader goes on."""
    [leader, _] = stage.commands
    frozen, goes_on = asyncio.Event(), asyncio.Event()
    monkeypatch.setattr(leader.running, "pause", frozen.set)
    monkeypatch.setattr(leader.running, "resume", goes_on.set)

    async def lead() -> ServiceProcess:
        return leader

    monkeypatch.setattr(stage, "leader", lead, raising=False)
    freezing = asyncio.create_task(freeze_relay_leader_for_long(cast(Stage, stage), Random(1)))
    await frozen.wait()
    assert not goes_on.is_set()
    freezing.cancel()
    await asyncio.wait_for(goes_on.wait(), 10)


def test_what_was_answered_must_be_on_the_stand_by() -> None:
    """Given a stand-by that was cut off at a position, when a command was answered with the next, then that one is
    named, and not the one before."""
    first, second = ("acme", UUID(int=1)), ("acme", UUID(int=2))
    [found] = unsafe({first: Answer(7, ()), second: Answer(8, ())}, [], 7)
    assert found.startswith(f"unsafe: command acme/{second[1]} was answered 8")


@pytest.mark.parametrize("source", ["broker", "feed"])
def test_what_a_consumer_was_told_must_be_on_the_stand_by(source: Source) -> None:
    """Given a stand-by that was cut off at a position, when a consumer has the next, by whichever way it came, then
    that one is named, and not the one before."""
    [found] = unsafe({}, [Delivery(source, 1, position, UUID(int=position), "") for position in (7, 8)], 7)
    assert found.startswith(f"unsafe: the {source} told of position 8")


@pytest.mark.parametrize(("readable", "found"), [(8, []), (7, ["in vain"])])
async def test_a_stand_by_that_is_cut_off_lacks_what_can_be_read(
    stage: StubStage, monkeypatch: pytest.MonkeyPatch, readable: int, found: list[str]
) -> None:
    """Given a stand-by that is cut off at a position, then who waits for it is ended, and then the consumer cut off, so
    that it asks the feed for what can be read now; where nothing can beyond that position, that is told."""
    happened: list[str] = []
    heads = {"primary": readable, "stand-by": 7}

    def ask(url: str, statement: str) -> object:
        happened.append(next((word for word in ("terminate", "conninfo", "head") if word in statement), "reload"))
        return heads[url]

    for name in ("LONG_FOR_AN_APPEND", "TO_ASK_THE_FEED"):
        monkeypatch.setattr(faults, name, (0.0, 0.0))
    monkeypatch.setattr(faults, "fetch_value", ask)
    further = {
        "stand_by": SimpleNamespace(url_of=lambda database: "stand-by"),
        "postgres": SimpleNamespace(wait_until_followed=lambda: happened.append("followed")),
        "clients_broker": SimpleNamespace(cut=lambda: happened.append("cut")),
        "database_url": "primary",
    }
    for name, value in further.items():
        monkeypatch.setattr(stage, name, value, raising=False)
    (stage.logs / "journal").touch()
    await cut_off_the_stand_by(cast(Stage, stage), Random(1))
    away, back = ["conninfo", "conninfo", "reload"], ["conninfo", "reload", "followed"]
    assert happened == [*away, "terminate", "cut", "head", "head", *back]
    assert [each.partition(":")[0] for each in stage.found] == found


async def test_what_a_fault_found_is_told_once(stage: StubStage) -> None:
    """Given a fault that saw what must not be, when the next round is judged, then that is not its own."""
    run = Run(cast(Stage, stage), SEED, rate=1.0, seconds=0.0, clients=1)
    find_something_in_a_fault(stage)
    assert (await run.round(1, [], None)).violations == ("unsafe: a command",)
    assert (await run.round(2, [], None)).violations == ()
