"""Queries about the past: a stream, and a seeker's rows, as of and as valid at a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import Field, JsonValue, TypeAdapter

from services.projector.queries.answering import Desk, require_seeker, unknown
from services.projector.queries.asking import Look, TenantPath
from services.projector.rebuild.past import OF_SEEKERS, Moment, Past, Unusable
from shared.domain.kernel import Event
from shared.domain.values import Instant
from shared.envelope import Recorded
from shared.faults import form
from shared.operations.problems import Problem, ProblemError, problem_of
from shared.operations.turns import in_turns

PastModel = Literal[
    "seeker",
    "pipeline",
    "agenda",
    "preparation",
    "relationship",
    "timeline",
    "lead",
    "network",
    "notebook",
    "notification",
]


class PastAsk(Look):
    as_of: Annotated[
        str | None,
        Field(
            max_length=40,
            pattern=form(r"^[0-9TZ:.+-]+$", "a position, such as 1042, or a time, such as 2026-03-02T09:00:00Z"),
            description="Only what was written down up to this position, or this time in ISO 8601.",
        ),
    ] = None
    valid_at: Annotated[
        Instant | None, Field(description="Only what had happened by then, whenever it was written down.")
    ] = None

    def moment(self) -> Moment:
        """Raises `ProblemError` (400 `malformed_as_of`)."""
        try:
            return Moment.parse(self.as_of, self.valid_at)
        except ValueError:
            raise ProblemError(
                Problem(
                    400,
                    "malformed_as_of",
                    f"{self.as_of!r} is neither a position nor a time",
                    "give a position such as 1042, or a time such as 2026-03-02T09:00:00Z",
                    "query.as_of",
                )
            ) from None


@dataclass(frozen=True, slots=True)
class PastAnswer:
    items: list[dict[str, JsonValue]]
    """The rows as they were, in the order of the model's pages."""
    position: int
    """The last position that was taken into account."""


@dataclass(frozen=True, slots=True)
class PastEvent:
    position: int
    version: int
    event_id: UUID
    type: str
    schema_version: int
    occurred_at: datetime
    recorded_at: datetime
    actor: str
    data: dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class PastStream:
    items: list[PastEvent]


_ITEM = TypeAdapter(PastEvent)


def add_past_queries(router: APIRouter, desk: Desk) -> None:
    @router.get(
        "/seekers/{seeker_id}/past/{model}",
        response_model=PastAnswer,
        summary="A seeker's rows of a read model as they were",
    )
    async def past_of_seeker(
        tenant: TenantPath, seeker_id: UUID, model: PastModel, ask: Annotated[PastAsk, Query()]
    ) -> Response:
        """Folded afresh from the log, as it was known (`as_of`) and as it was valid (`valid_at`)."""
        moment = ask.moment()
        reader = await desk.reader(ask)
        await require_seeker(reader, tenant, seeker_id)
        found = await Past(reader.pool).rows(model, tenant, seeker_id, moment)
        encode_row = OF_SEEKERS[model].encode
        items = ",".join([item async for item in in_turns(map(encode_row, found.rows))])
        return Response(f'{{"items":[{items}],"position":{found.position}}}', media_type="application/json")

    @router.get("/streams/{stream_id}/past", response_model=PastStream, summary="A stream as it was")
    async def past_of_stream(tenant: TenantPath, stream_id: UUID, ask: Annotated[PastAsk, Query()]) -> Response:
        """The events of any stream, each in its present shape. Refuses an unknown stream with 404 `unknown_stream`."""
        moment = ask.moment()
        events = await Past((await desk.reader(ask)).pool).stream(tenant, stream_id, moment)
        if events is None:
            raise unknown("stream", stream_id)
        items = b",".join([item async for item in in_turns(map(_encoded, events))])
        return Response(b'{"items":[%b]}' % items, media_type="application/json")


def _encoded(e: Recorded[Event]) -> bytes:
    data: Any = e.data.model_dump(mode="json", exclude_none=True)
    return _ITEM.dump_json(
        PastEvent(
            e.position, e.version, e.event_id, e.type, e.schema_version, e.occurred_at, e.recorded_at, e.actor, data
        )
    )


@problem_of.register
def _(error: Unusable) -> Problem:
    return Problem(
        500,
        "unusable_event",
        error.what,
        "have it looked at: `kithlog verify` tells why; a release that can, or that event from a back-up, mends it",
    )
