"""What the loop asks of its connections."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from services.projector.folding.changes import Changes, Checkpoint
from services.projector.folding.read_model import Filed, ReadModel
from services.projector.storing.store import QUERIES, Store
from shared.database.pool import PATIENCE
from shared.domain.kernel import Event
from shared.envelope import Recorded
from tests.projector.histories import TENANT

ANA = UUID(int=2)


@dataclass(frozen=True, slots=True)
class Nothing:
    pass


class Bare(ReadModel[Nothing]):
    name = "bare"
    row = Nothing

    def keys(self, e: Recorded[Event]) -> Iterable[str]:
        return ()

    def evolve(self, key: str, row: Nothing | None, e: Recorded[Event]) -> Nothing | None:
        return row

    def file(self, row: Nothing) -> Filed:
        return Filed()


class Noting:
    """A connection that notes for how long each statement may run, and finds nothing but a generation to go back to."""

    def __init__(self) -> None:
        self.patience: dict[str, float] = {}

    async def fetch(self, query: str, *_: Any, timeout: float = PATIENCE) -> list[Any]:
        self.patience[query] = timeout
        return [{"id": 1}] if query == QUERIES["retired"] else []

    async def execute(self, query: str, *_: Any, timeout: float = PATIENCE) -> None:
        self.patience[query] = timeout

    async def fetchval(self, query: str, *_: Any, timeout: float = PATIENCE) -> int:
        self.patience[query] = timeout
        return 1


async def test_going_through_a_large_tenant_may_take_long() -> None:
    """Given that a contact is forgotten, then what goes through all rows of a tenant is not given up after a minute,
    for it would be begun again for ever; everything else is."""
    noting: Any = Noting()
    store = Store(noting, noting, [])
    await store.load_mentioning([], [(TENANT, ANA)])
    await store.apply(Checkpoint(1, 1), 2, Changes(forgotten={(TENANT, ANA)}))
    patient = {query for query, seconds in noting.patience.items() if seconds > 30 * PATIENCE}
    assert patient == {QUERIES["load_mentioning"], QUERIES["forget_retired"]}
    assert len(noting.patience) > len(patient)


async def test_a_turn_reads_in_its_own_transaction(database_url: str) -> None:
    """Given a transaction that changes rows beside the fold, then what is loaded meanwhile goes through it: it is at
    work for as long as that takes, and the server does not end it as idle."""
    model = Bare()
    id = (model.name, TENANT, "it")
    async with Store.open(database_url, [model]) as store, store.turn() as (connection, _):
        generation = store.generations[model.name]
        await connection.execute(
            "INSERT INTO read.row (generation, tenant, key, body) VALUES ($1, $2, 'it', '{}')", generation, TENANT
        )
        assert set(await store.load([id])) == {id}
