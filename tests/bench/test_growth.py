"""What is done to a long log reaches all of it."""

from __future__ import annotations

from collections import Counter
from typing import Any
from uuid import UUID

from shared.domain.kernel import Stream
from tests.bench.growth import Work

TENANTS = [f"tenant-{number}" for number in range(4)]
OLD: list[dict[str, Any]] = [
    {"category": "seeker", "stream_id": UUID(int=number), "type": "seeker.introduction_written", "schema_version": 1,
     "data": b'{"text":"I draw."}', "version": number}
    for number in range(1, 101)
]  # fmt: skip


def test_every_tenant_is_written_to_all_the_time() -> None:
    """Given a log of several tenants, when a round's events are made, then the first quarter of them concerns all."""
    made = Work(TENANTS, OLD).appends(4_000)
    assert {append.tenant for append in made[: len(made) // 4]} == set(TENANTS)


def test_each_old_stream_goes_on_where_it_ends() -> None:
    """Given old streams, when several rounds are made, then each adds one event to each, in one tenant or another, at
    the version that this tenant's stream has by then."""
    work, ends = Work(TENANTS, OLD), Counter[tuple[str, Stream]]()
    old = {Stream("seeker", row["stream_id"]): row["version"] for row in OLD}
    for _ in range(5):
        again = [append for append in work.appends(0) if append.expected.keys() <= old.keys()]
        assert Counter(stream for append in again for stream in append.expected) == Counter(list(old))
        for append in again:
            [(stream, version)] = append.expected.items()
            assert version == old[stream] + ends[append.tenant, stream]
            ends[append.tenant, stream] += 1
    assert {tenant for tenant, _ in ends} == set(TENANTS)


def test_new_histories_are_in_their_order() -> None:
    """Given new histories among each other, when they are made, then each stream's versions follow one another."""
    ends = Counter[tuple[str, Stream]]()
    made = Work(TENANTS, OLD[:0]).appends(2_000)
    for append in made:
        for stream, version in append.expected.items():
            assert version == ends[append.tenant, stream]
        ends.update((append.tenant, event.stream) for event in append.events)
    assert ends.total() >= 2_000
