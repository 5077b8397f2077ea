"""From a command's answer until its events are in the read models: both services and the broker at work.

With firing, and without: as made-up histories lie in the past, every timer is overdue as soon as it is armed, so that
more fires than ever does.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from statistics import median
from time import perf_counter

import asyncpg

from deploy.launcher.services import SERVICES
from tests.bench import synthetic
from tests.bench.callers import Caller
from tests.bench.http import serving
from tests.bench.plots import histogram
from tests.bench.relay import fresh
from tests.bench.rounds import Result, percentile, times
from tests.bench.servers import Bench

LIVE_RATE = 500
"""Events a second."""
ENOUGH = 0.95
"""The share of the rate that must have come about."""
CLIENTS = 50
_HEAD = "SELECT position FROM log.head"
_seeds = count(10_001)


async def run(bench: Bench) -> list[Result]:
    return [*await _measure(bench, "on"), *await _measure(bench, "off")]


async def _measure(bench: Bench, firing: str) -> list[Result]:
    database_url = await bench.database(f"live_{firing}")
    seconds = bench.seconds * 3
    watch = await asyncpg.connect(database_url)
    rounds: list[list[float]] = []
    shares: list[float] = []
    async with (
        fresh(bench) as amqp_url,
        serving(bench, database_url, *SERVICES, amqp_url=amqp_url, fire=firing) as (command, _),
    ):
        commands_a_second = float(LIVE_RATE)
        for number in range(bench.rounds + 1):
            each = round(commands_a_second * seconds / CLIENTS)
            scripts = [synthetic.requests(each, seed=next(_seeds)) for _ in range(CLIENTS)]
            before = await watch.fetchval(_HEAD)
            lateness, reached = await visible_after(watch, command.url, scripts, commands_a_second)
            if number:
                rounds.append(lateness)
                shares.append(reached / commands_a_second)
            else:  # the round that does not count tells how many events a command makes
                commands_a_second = LIVE_RATE * each * CLIENTS / (await watch.fetchval(_HEAD) - before)
    await watch.close()
    late = [each * 1000 for lateness in rounds for each in lateness]
    title = f"Answered → visible in the read models, {LIVE_RATE} events/s, firing {firing}"
    histogram(f"live-lateness-firing-{firing}", title, late, "ms")
    name = f"projector, firing {firing}, live at {LIVE_RATE} events/s: answered → visible"
    results = [
        times(f"{name}, p50", [percentile(each, 0.5) for each in rounds], 0.010),
        times(f"{name}, p99", [percentile(each, 0.99) for each in rounds], 0.060),
    ]
    return results if median(shares) >= ENOUGH else [too_slow(each, LIVE_RATE * median(shares)) for each in results]


def too_slow(result: Result, reached: float) -> Result:
    """What was measured at a lower rate than it was to be says nothing of that one: the goal is not met by it."""
    return replace(result, name=f"{result.name} (only {reached:.0f} events/s came about)", met=False)


async def visible_after(
    watch: asyncpg.Connection[asyncpg.Record], url: str, scripts: Sequence[Sequence[bytes]], wanted_rate: float
) -> tuple[list[float], float]:
    """Seconds for each command, sent at an even rate of so many commands a second, and the rate that came about.

    Who looks for them does so each millisecond or two, and finds them as much later.
    """
    callers = await asyncio.gather(*(Caller.connect(url) for _ in scripts))
    answered: list[tuple[int, float]] = []
    seen: list[tuple[int, float]] = []
    began = perf_counter()

    async def play(place: int, caller: Caller, script: Sequence[bytes]) -> None:
        for number, request in enumerate(script):
            due = began + (number * len(scripts) + place) / wanted_rate
            await asyncio.sleep(max(0.0, due - perf_counter()))
            status, body = await caller.send(request)
            if status >= 400:
                raise RuntimeError(f"answered {status}: {body.decode()}")
            answered.append((int(json.loads(body)["position"]), perf_counter()))

    async def look() -> None:
        while not ended.is_set() or seen[-1][0] < max(answered)[0]:
            position = await watch.fetchval("SELECT position FROM read.checkpoint") or 0
            if not seen or position > seen[-1][0]:
                seen.append((position, perf_counter()))
            await asyncio.sleep(0.001)

    ended = asyncio.Event()
    looking = asyncio.create_task(look())
    await asyncio.gather(*(play(place, *each) for place, each in enumerate(zip(callers, scripts, strict=True))))
    ended.set()
    reached = len(answered) / (perf_counter() - began)
    await asyncio.wait_for(looking, 60)
    for caller in callers:
        caller.close()
    moves = iter(seen)
    position, at = next(moves)
    lateness = []
    for wanted, when in sorted(answered):
        while position < wanted:
            position, at = next(moves)
        lateness.append(max(0.0, at - when))
    return lateness, reached
