"""Read model `seeker`: who a seeker is and what they want; one row a seeker, by the seeker's id.

Other models hold ids only. Names are joined in when a query is answered, so that a correction shows everywhere at
once and forgetting a person concerns one row.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import ClassVar
from uuid import UUID

from services.projector.folding.read_model import Filed
from services.projector.models.per_stream import PerStream
from shared.domain import seeker
from shared.domain.values import said
from shared.envelope import Recorded
from shared.immutable import immutable
from shared.replacing import replace


@immutable
class SeekerRow:
    seeker_id: UUID
    name: str
    email: str | None
    stage: str
    fields: tuple[str, ...]
    goal: str | None
    goal_date: date | None
    time_zone: str
    country: str | None
    locale: str | None
    registered_at: datetime
    introduction: str | None = None
    """The professional introduction to open a conversation with."""
    feed_sha256: str | None = None
    """Of the secret of the calendar feed, while that is open."""
    left_at: datetime | None = None
    preferences: seeker.Preferences = seeker.Preferences()
    """How to be notified, as the seeker has set it; null: never set."""


def _registered(e: Recorded[seeker.Registered]) -> SeekerRow:
    data = e.data
    return SeekerRow(
        seeker_id=e.stream_id,
        name=data.name,
        email=data.email,
        stage=data.stage,
        fields=data.fields,
        goal=data.goal,
        goal_date=data.goal_date,
        time_zone=data.time_zone,
        country=data.country,
        locale=data.locale,
        registered_at=e.occurred_at,
    )


def _corrected(row: SeekerRow, e: Recorded[seeker.DetailsCorrected]) -> SeekerRow:
    return replace(row, name=e.data.name, email=e.data.email)


def _goals(row: SeekerRow, e: Recorded[seeker.GoalsChanged]) -> SeekerRow:
    data = e.data
    return replace(row, stage=data.stage, fields=data.fields, goal=data.goal, goal_date=data.goal_date)


def _introduced(row: SeekerRow, e: Recorded[seeker.IntroductionWritten]) -> SeekerRow:
    return replace(row, introduction=e.data.text)


def _moved(row: SeekerRow, e: Recorded[seeker.Moved]) -> SeekerRow:
    return replace(row, time_zone=e.data.time_zone, country=e.data.country, locale=e.data.locale)


def _prefers(row: SeekerRow, e: Recorded[seeker.PreferencesChanged]) -> SeekerRow:
    wish = {name: value for name, value in said(e.data).items() if value is not None}
    return replace(row, preferences=row.preferences.model_copy(update=wish))


def _feed_opened(row: SeekerRow, e: Recorded[seeker.CalendarFeedOpened]) -> SeekerRow:
    return replace(row, feed_sha256=e.data.secret_sha256)


def _feed_closed(row: SeekerRow, e: Recorded[seeker.CalendarFeedClosed]) -> SeekerRow:
    return replace(row, feed_sha256=None)


def _left(row: SeekerRow, e: Recorded[seeker.Left]) -> SeekerRow:
    return replace(row, left_at=e.occurred_at)


def _returned(row: SeekerRow, e: Recorded[seeker.Returned]) -> SeekerRow:
    return replace(row, left_at=None)


class Seekers(PerStream[SeekerRow]):
    name = "seeker"
    version = 3
    row = SeekerRow
    begins: ClassVar = {seeker.Registered: _registered}
    changes: ClassVar = {
        seeker.DetailsCorrected: _corrected,
        seeker.GoalsChanged: _goals,
        seeker.IntroductionWritten: _introduced,
        seeker.Moved: _moved,
        seeker.PreferencesChanged: _prefers,
        seeker.CalendarFeedOpened: _feed_opened,
        seeker.CalendarFeedClosed: _feed_closed,
        seeker.Left: _left,
        seeker.Returned: _returned,
    }

    def file(self, row: SeekerRow) -> Filed:
        return Filed(state="left" if row.left_at else row.stage, sort=row.registered_at)
