"""Queries about notifications: what is ahead, what a coach was told, and why or why not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, get_args
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Response
from pydantic import WithJsonSchema

from services.projector.folding.timing_rows import RECIPIENT, SUBJECT
from services.projector.models import NOTIFICATIONS
from services.projector.models.notification import NotificationRow, coachs_list
from services.projector.queries.answering import (
    Desk,
    One,
    PageOf,
    People,
    Person,
    json_response,
    page_of,
    require,
    require_seeker,
    unknown,
    widen,
)
from services.projector.queries.asking import Filtered, Look, NotificationState, ScheduleAsk, TenantPath
from services.projector.queries.items import NotificationItem, notification_item
from services.projector.queries.reader import Reader
from shared.clock import Clock
from shared.domain.notification import Reason
from shared.immutable import immutable
from shared.replacing import replace
from shared.timing import timers
from shared.timing.calendar import wall
from shared.timing.explain import Explanation, explain, put_off
from shared.timing.policies import Policies
from shared.timing.recipient import Recipient
from shared.timing.settling import silence, without_turn
from shared.timing.subject import Subject
from shared.timing.timers import Timer
from shared.zones import zone


@immutable(kw_only=True)
class PendingItem(Timer):
    # On the recipient's wall clock, so without the offset that JSON Schema's date-time asks for.
    local_due: Annotated[datetime, WithJsonSchema({"type": "string", "examples": ["2026-11-17T09:00:00"]})]
    contacts: tuple[Person, ...]
    will_be: str
    """Why nobody will be told, where that stands already: `muted`, `no_coach`. It will end as suppressed unless that
    changes."""


@immutable(kw_only=True)
class Reminder(Explanation):
    """One that did not fire has the reason that was recorded, and because of what."""

    state: str | None = None
    """What became of the notification, once it was fired or ended: due, delivered, snoozed, suppressed …"""


@dataclass(frozen=True, slots=True)
class Explained:
    subject: str
    subject_id: UUID
    contacts: tuple[Person, ...]
    policies: list[Reminder]
    """Every policy that could concern the subject, stage by stage."""
    left_aside: list[str]
    """What the seeker has set that does not go with the timing policies as they are now, and why: each of the policies
    named is as it would be without it, until `seeker.change_preferences` sets something else."""


def add_notification_queries(router: APIRouter, desk: Desk, clock: Clock, policies: Policies) -> None:
    """What is ahead is counted from the clock's present; `policies` are those that the timers were folded with."""
    _add_schedule(router, desk, clock, policies)
    _add_told(router, desk)
    _add_reminders(router, desk, policies)


def _add_schedule(router: APIRouter, desk: Desk, clock: Clock, policies: Policies) -> None:
    @router.get(
        "/seekers/{seeker_id}/schedule", response_model=PageOf[PendingItem], summary="What will fall due, soonest first"
    )
    async def schedule(tenant: TenantPath, seeker_id: UUID, ask: Annotated[ScheduleAsk, Query()]) -> Response:
        """The notifications about this seeker's affairs that are pending and fall due within the next `days`, as things
        stand: what happens meanwhile moves or ends them. Left out is what will have expired by then; `will_be` says of
        what else nobody will be told.
        """
        reader = await desk.reader(ask)
        await require_seeker(reader, tenant, seeker_id)
        page = await reader.timers(
            tenant, seeker_id, limit=ask.limit, after=ask.cursor, until=clock.now() + timedelta(days=ask.days)
        )
        pending = PageOf.read(page, timers.TIMER.validate_json)
        recipient = await _recipient(reader, tenant, seeker_id)
        people = await People.of(reader, tenant, (each for timer in pending.items for each in timer.contact_ids))
        items = [
            widen(
                PendingItem,
                _put_off(timer, due_at),
                contacts=people.all(timer.contact_ids),
                will_be=_against(timer, recipient, policies),
            )
            for timer, due_at in zip(pending.items, page.sorts, strict=True)
        ]
        return json_response(PageOf[PendingItem], pending.shown(items))


async def _recipient(reader: Reader, tenant: str, seeker_id: UUID) -> Recipient | None:
    found = await reader.get(RECIPIENT, tenant, str(seeker_id))
    return None if found.body is None else timers.RECIPIENT.validate_json(found.body)


def _against(timer: Timer, recipient: Recipient | None, policies: Policies) -> str:
    """Why nobody will be told, as things stand."""
    policy = recipient and recipient.policies(policies).by_name.get(timer.policy)
    return (recipient and policy and silence(timer, recipient, policy)) or ""


def _put_off(timer: Timer, until: datetime) -> Timer:
    """The timer with when it is to be fired, where firing has put it off."""
    if until == timer.due_at:
        return timer
    until = without_turn(until)
    return replace(timer, due_at=until, local_due=wall(until, zone(timer.time_zone) or ZoneInfo("UTC")))


def _add_told(router: APIRouter, desk: Desk) -> None:
    @router.get(
        "/coaches/{coach_id}/notifications",
        response_model=PageOf[NotificationItem],
        summary="What a coach was told, latest first",
    )
    async def of_coach(
        tenant: TenantPath, coach_id: UUID, ask: Annotated[Filtered[NotificationState], Query()]
    ) -> Response:
        """Empty for a coach who was told nothing; coaches have no stream of their own by which one could be unknown."""
        reader = await desk.reader(ask)
        owner = coachs_list(coach_id)
        page = await page_of(reader, NOTIFICATIONS, tenant, ask, owner=owner, states=ask.state, descending=True)
        people = await People.of(reader, tenant, (each for row in page.items for each in row.contact_ids))
        items = [notification_item(row, people) for row in page.items]
        return json_response(PageOf[NotificationItem], page.shown(items))

    @router.get("/notifications/{notification_id}", response_model=One[NotificationItem], summary="A notification")
    async def one(tenant: TenantPath, notification_id: UUID, ask: Annotated[Look, Query()]) -> Response:
        """One that fell due or was found needless; what is still ahead is not there yet."""
        reader = await desk.reader(ask)
        found = await require(reader, NOTIFICATIONS, tenant, "notification", notification_id)
        people = await People.of(reader, tenant, found.item.contact_ids)
        return json_response(One[NotificationItem], One(notification_item(found.item, people), found.position))


def _add_reminders(router: APIRouter, desk: Desk, policies: Policies) -> None:
    @router.get(
        "/reminders/{subject_id}", response_model=One[Explained], summary="Why am I reminded, or why not, and when"
    )
    async def reminders(tenant: TenantPath, subject_id: UUID, ask: Annotated[Look, Query()]) -> Response:
        """Every policy that could concern an interview, a relationship, a lead or a seeker: what armed it, when it is
        due, what ended it.
        """
        reader = await desk.reader(ask)
        found = await reader.get(SUBJECT, tenant, str(subject_id))
        if found.body is None:
            raise unknown("subject", subject_id)
        subject = timers.SUBJECT.validate_json(found.body)
        told = await explained(reader, tenant, subject, policies)
        return json_response(One[Explained], One(told, found.position))


async def explained(reader: Reader, tenant: str, subject: Subject, policies: Policies) -> Explained:
    """Every policy that could concern the subject, by the policies that the timers were folded with."""
    recipient = await _recipient(reader, tenant, subject.seeker_id)
    people = await People.of(reader, tenant, subject.contact_ids)
    told = await _with_outcomes(reader, tenant, explain(subject, recipient, policies))
    left_aside = [] if recipient is None else recipient.left_aside(policies)
    return Explained(subject.kind, subject.id, people.all(subject.contact_ids), told, left_aside)


async def _with_outcomes(reader: Reader, tenant: str, explanations: Sequence[Explanation]) -> list[Reminder]:
    """The explanations, those of notifications that are over with what their own events tell, those of pending ones
    that were put off with when they are due now."""
    ids = {each.notification_id for each in explanations if each.notification_id is not None}
    due = {str(id): at for id, at in (await reader.due(tenant, ids)).items()}
    bodies = await reader.rows(NOTIFICATIONS.name, tenant, {str(id) for id in ids})
    rows = {key: NOTIFICATIONS.decode(body) for key, body in bodies.items()}
    told = ((each, str(each.notification_id)) for each in explanations)
    return [_with_outcome(each, rows.get(key), due.get(key)) for each, key in told]


def _with_outcome(explanation: Explanation, row: NotificationRow | None, due: datetime | None) -> Reminder:
    if due is not None and explanation.due_at is not None and explanation.due_at < due:
        explanation = put_off(explanation, due)
    if row is None:
        return widen(Reminder, explanation)
    if explanation.status == "not_fired" and row.state in get_args(Reason):
        explanation = replace(explanation, reason=row.state, because=row.because or "")
    return widen(Reminder, explanation, state=row.state)
