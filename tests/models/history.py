"""given / then for read models: what happened, and the rows that come of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID, uuid5

from services.projector.folding.read_model import ReadModel, Telling
from services.projector.models import MODELS
from shared.codec import encode
from shared.domain import contact
from shared.domain.kernel import Event, On
from shared.envelope import Recorded
from tests.domain.scenario import NOW, stream_of

Row = TypeVar("Row")
_IDS = UUID(int=0xE7E27)


class History:
    """Records events as a log would: positions, versions and ids rise with each."""

    def __init__(self, start: datetime = NOW, step: timedelta = timedelta(hours=1)) -> None:
        self.events: list[Recorded[Any]] = []
        self._next, self._step = start, step
        self._versions: dict[UUID, int] = {}

    def add(self, *events: Event | On, at: datetime | None = None) -> History:
        """Events that happened at `at`, else one step after the one before, each on its usual stream unless `On`
        another."""
        for each in events:
            stream, event = (each.stream, each.event) if isinstance(each, On) else (stream_of(each), each)
            self._next += self._step
            position = len(self.events) + 1
            version = self._versions[stream.id] = self._versions.get(stream.id, 0) + 1
            self.events.append(
                Recorded(
                    position=position,
                    epoch=1,
                    tenant="tenant",
                    category=stream.category,
                    stream_id=stream.id,
                    version=version,
                    event_id=uuid5(_IDS, str(position)),
                    type=event.type,
                    schema_version=event.schema_version,
                    occurred_at=at or self._next,
                    recorded_at=self._next,
                    actor="unknown",
                    command_id=uuid5(_IDS, f"command {position}"),
                    correlation_id=_IDS,
                    causation_id=_IDS,
                    data=event,
                )
            )
        return self

    def stored(self) -> list[Recorded[bytes]]:
        """The events as the log holds them."""
        return [each.holding(encode(each.data)) for each in self.events]


def happened(*events: Event | On) -> History:
    return History().add(*events)


def rows(model: ReadModel[Row], history: History | Iterable[Recorded[Any]]) -> dict[str, Row]:
    """What a read model makes of a history, by key."""
    found: dict[str, Any] = {}
    for e in history.events if isinstance(history, History) else history:
        found = after(model, found, e)
    return found


def after(model: ReadModel[Any], found: dict[str, Any], e: Recorded[Any]) -> dict[str, Any]:
    """The rows, by key, after one more event; `found` stays as it is."""
    changed = {key: model.evolve(key, found.get(key), e) for key in model.keys(e)}
    if isinstance(e.data, contact.Forgotten) and issubclass(model.row, Telling):
        changed |= {key: row.forgetting(e.stream_id, e.recorded_at) for key, row in found.items()}
    return {key: row for key, row in (found | changed).items() if row is not None}


def row(model: ReadModel[Row], history: History) -> Row:
    """The one row that comes of a history."""
    [only] = rows(model, history).values()
    return only


def all_rows(history: History | Iterable[Recorded[Any]]) -> Iterator[tuple[ReadModel[Any], str, Any]]:
    events = history.events if isinstance(history, History) else list(history)
    for model in MODELS:
        for key, each in rows(model, events).items():
            yield model, key, each
