"""Plausible histories of any number of seekers, the same for the same seed.

Every command goes through the deciders, so what comes out is a legal history: about 50 events a seeker over some
months, about 500 bytes of data each.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from uuid import UUID

from shared.domain import programme
from shared.domain.kernel import Command, On, Refusal, Stream
from tests.synthetic.lives import Life, Step, Steps, new_contact, new_id
from tests.synthetic.world import World

COHORT = 40
"""Seekers of one programme. Cohorts share no streams, so memory does not grow with their number."""
START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Wish:
    """A command that was accepted, as an envelope needs it."""

    tenant: str
    category: str
    stream_id: UUID
    command_id: UUID
    command: Command
    at: datetime
    """When it happened outside."""


def wishes(seekers: int, *, seed: int, tenants: int = 1, start: datetime = START) -> Iterator[Wish]:
    """Legal commands, in the order of their times within each programme."""
    return (wish for wish, _ in histories(seekers, seed=seed, tenants=tenants, start=start))


def histories(seekers: int, *, seed: int, tenants: int = 1, start: datetime = START) -> Iterator[tuple[Wish, list[On]]]:
    """Each wish with the events that follow from it, on whatever streams."""
    for number, first in enumerate(range(0, seekers, COHORT)):
        rng = Random(f"{seed}/{number}")
        tenant = f"tenant-{number % tenants + 1}"
        yield from _cohort(rng, World(tenant), min(COHORT, seekers - first), start + timedelta(days=number % 60))


def _cohort(rng: Random, world: World, seekers: int, start: datetime) -> Iterator[tuple[Wish, list[On]]]:
    programme_id = new_id(rng)
    community = [new_id(rng) for _ in range(max(3, seekers // 2))]
    for step in _opening(rng, programme_id, community, start):
        yield _grant(rng, world, step)
    order = count()
    waiting: list[tuple[datetime, int, Step, Steps]] = []
    for _ in range(seekers):
        begins = start + timedelta(days=rng.randint(1, 90), minutes=rng.randint(0, 600))
        life = Life(rng, begins, programme_id, community).live()
        step = next(life)
        heapq.heappush(waiting, (step.at, next(order), step, life))
    while waiting:
        _, _, step, life = heapq.heappop(waiting)
        accepted = True
        try:
            yield _grant(rng, world, step)
        except Refusal:
            accepted = False
        try:
            following = life.send(accepted)
        except StopIteration:
            continue
        heapq.heappush(waiting, (following.at, next(order), following, life))


def _opening(rng: Random, programme_id: UUID, community: list[UUID], start: datetime) -> Iterator[Step]:
    stream = Stream("programme", programme_id)
    yield Step(start, stream, programme.Create(title=f"Cohort of {start:%B %Y}"))
    yield Step(start, stream, programme.AssignCoach(coach_id=new_id(rng), name="Odile Wren"))
    for contact_id in community:
        added = new_contact(rng, source="programme_directory", capacity=rng.randint(2, 6))
        yield Step(start, Stream("contact", contact_id), added)


def _grant(rng: Random, world: World, step: Step) -> tuple[Wish, list[On]]:
    """The step as a wish with what follows. Raises `Refusal`."""
    events = world.execute(step.stream, step.command, step.at)
    wish = Wish(world.tenant, step.stream.category, step.stream.id, new_id(rng), step.command, step.at)
    return wish, events
