"""What a query may ask: parameters that all endpoints share. One that is not known is refused, not ignored."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Generic, Literal, TypeVar

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field

from services.projector.queries.reader import Cursor
from shared.domain.values import NO_NUL, TENANT, Instant
from shared.faults import form

TenantPath = Annotated[str, Path(pattern=TENANT, description="The career centre, programme or platform.")]


PipelineState = Literal[
    "planned",
    "requested",
    "accepted",
    "agreed_loosely",
    "times_offered",
    "scheduled",
    "confirmed",
    "started",
    "held",
    "thanked",
    "missed",
    "cancelled",
    "declined",
    "lapsed",
]
AgendaState = Literal["scheduled", "confirmed", "held", "missed", "cancelled"]
RelationshipState = Literal["untouched", "warm", "cooling", "paused", "ended"]
LeadState = Literal["to_act_on", "promised", "acted_on", "to_report_back", "reported_back", "dropped"]
ContactState = Literal["reachable", "do_not_contact", "forgotten"]
NotificationState = Literal[
    "due",
    "delivered",
    "failed",
    "escalated",
    "acknowledged",
    "snoozed",
    "expired",
    "suppressed",
    "withdrawn",
    "superseded",
]
PieceKind = Literal["notes", "reflection", "research", "lead", "result", "report", "touchpoint", "verdict", "outcome"]


class Nothing(BaseModel):
    """No parameters at all."""

    model_config = ConfigDict(extra="forbid")


class Look(Nothing):
    """Reading one's own writes: name the position that a command was answered with."""

    min_position: Annotated[
        int | None,
        Field(
            ge=0,
            le=2**63 - 1,
            description="Wait until the event at this position is visible, up to a limit; then 503 `not_yet_visible`. "
            "One that waits in a parked stream is not waited for.",
        ),
    ] = None


class Paging(Look):
    """Pages in a fixed order; `next` of an answer, given as `after`, leads on."""

    limit: Annotated[int, Field(ge=1, le=200, description="Most items in the answer.")] = 50
    after: Annotated[
        str | None,
        Field(
            max_length=400,
            pattern=form(r"^[A-Za-z0-9_-]+$", "`next` of the page before, as it was answered"),
            description="`next` of the page before.",
        ),
    ] = None

    @property
    def cursor(self) -> Cursor | None:
        """Raises `MalformedCursor`."""
        return None if self.after is None else Cursor.parse(self.after)

    @property
    def span(self) -> tuple[datetime | None, datetime | None]:
        """The first and last instant of what is asked for, in the order in which an answer's items stand."""
        return None, None


class Span(Paging):
    """A stretch of the order in which an answer's items stand, both ends included."""

    since: Annotated[Instant | None, Field(description="Only from this instant on.")] = None
    until: Annotated[Instant | None, Field(description="Only up to this instant.")] = None

    @property
    def span(self) -> tuple[datetime | None, datetime | None]:
        return self.since, self.until


State = TypeVar("State", bound=str)
Several = Field(description="Only these; may be given several times.", max_length=50)


class Filtered(Span, Generic[State]):
    """Only what stands in one of some states."""

    state: Annotated[list[State] | None, Several] = None


_TYPE = form(r"^[a-z]+\.[a-z_]+$", "the type of an event, such as interview.held")


class TimelineAsk(Span):
    type: Annotated[
        list[Annotated[str, Field(pattern=_TYPE, max_length=80)]] | None,
        Field(description="Only events of these types, such as `interview.held`.", max_length=50),
    ] = None


class NotebookAsk(Span):
    q: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=500,
            pattern=r"^[^\x00]*$",
            description='Words to search for, in the language of the seeker; "quoted words", `or` and -word count.',
        ),
    ] = None
    kind: Annotated[list[PieceKind] | None, Several] = None


class ScheduleAsk(Paging):
    days: Annotated[int, Field(ge=1, le=400, description="How far to look ahead.")] = 90


class CandidatesAsk(Look):
    limit: Annotated[int, Field(ge=1, le=100, description="Most candidates in the answer.")] = 20
    field: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=200, pattern=NO_NUL)]] | None,
        Field(
            description="Look for these fields instead of the participant's; may be given several times.", max_length=20
        ),
    ] = None


_MONTH = form(r"^(19|20|21)[0-9]{2}-(0[1-9]|1[0-2])$", "a month of the years 1900 to 2199, such as 2026-11")


class LoadAsk(Paging):
    month: Annotated[
        str | None,
        Field(pattern=_MONTH, description="Such as 2026-11; absent: all months."),
    ] = None

    @property
    def span(self) -> tuple[datetime | None, datetime | None]:
        month = None if self.month is None else datetime.fromisoformat(f"{self.month}-01").replace(tzinfo=UTC)
        return month, month
