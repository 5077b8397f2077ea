"""Read model `relationship`: how it stands between a seeker and a contact; one row a pair, by the relationship's id.

What happens in their conversations and to what came of them counts as well as the relationship's own events. What
passed, entry by entry, is the timeline's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime
from typing import Any
from uuid import UUID

from services.projector.folding.read_model import Filed, ReadModel
from services.projector.models.pairs import pair
from shared.domain import interview, lead, notification, relationship
from shared.domain.kernel import NEW, Event
from shared.envelope import Recorded
from shared.immutable import immutable
from shared.replacing import replace


@immutable
class TieRow:
    relationship_id: UUID
    seeker_id: UUID
    contact_id: UUID
    since: datetime
    """When the two first came into each other's sight."""
    status: str = NEW
    """new (nothing has passed between the two), open, paused or ended."""
    introduction: str = NEW
    """new (none was asked for), requested, made, declined or lapsed."""
    warmth: str = "untouched"
    """untouched, warm, or cooling (the last keep-in-touch reminder went by without a touch)."""
    conversations: int = 0
    touches: int = 0
    last_touch_at: datetime | None = None
    last_touch: str | None = None
    """What it was: held, thanked, connected, reported_back, referral_asked, the touchpoint's kind, or, of an
    introduction to somebody else, introduction_requested, introduction_made or introduction_declined."""
    networks: tuple[str, ...] = ()
    """Where they are connected."""
    introduced_by: tuple[UUID, ...] = ()
    introduced_at: datetime | None = None
    """When the introduction was made."""
    wrote_at: datetime | None = None
    """When they last wrote about a conversation: the contact was asked for it, or said yes or no."""
    cadence_days: int | None = None
    """While they keep in touch by the seeker's own wish, or by a cadence set for it."""
    snoozed_until: datetime | None = None
    snoozed_at: datetime | None = None
    """When that was wished; a touch since then ends it."""
    paused_until: date | None = None


Fold = Callable[[TieRow, Recorded[Any]], TieRow]


def _touched(row: TieRow, e: Recorded[Any], what: str) -> TieRow:
    """A touch counts whenever it is written down. The last one is the latest that happened: what was before that warms
    nothing any more, as it has no reminder wait. A conversation opens the relationship as its own events do."""
    status = relationship.MACHINE.first if row.status == NEW else row.status
    row = replace(row, status=status, touches=row.touches + 1)
    if _is_before(e, row.last_touch_at):
        return row
    row = replace(row, warmth="warm", last_touch_at=e.occurred_at, last_touch=what)
    return row if _is_before(e, row.snoozed_at) else replace(row, snoozed_until=None, snoozed_at=None)


def _is_before(e: Recorded[Any], *moments: datetime | None) -> bool:
    """Whether it happened before one of them."""
    return any(moment is not None and e.occurred_at < moment for moment in moments)


def _seen(row: TieRow, e: Recorded[Any]) -> TieRow:
    return row


def _wrote(row: TieRow, e: Recorded[Any]) -> TieRow:
    earlier = row.wrote_at is not None and row.wrote_at > e.occurred_at
    return row if earlier else replace(row, wrote_at=e.occurred_at)


def _held(row: TieRow, e: Recorded[interview.Held]) -> TieRow:
    return replace(_touched(row, e, "held"), conversations=row.conversations + 1)


def _thanked(row: TieRow, e: Recorded[interview.Thanked]) -> TieRow:
    return _touched(row, e, "thanked") if row.contact_id in e.data.thanked_ids else row


def _reported_back(row: TieRow, e: Recorded[lead.ReportedBack]) -> TieRow:
    return _touched(row, e, "reported_back")


def _in_touch(row: TieRow, e: Recorded[Any]) -> TieRow:
    """Of whom else to talk to: with who was asked for a referral, or is or was to introduce."""
    return _touched(row, e, e.type.partition(".")[2])


def _touchpoint(row: TieRow, e: Recorded[relationship.TouchpointRecorded]) -> TieRow:
    return _touched(row, e, e.data.kind)


def _cooled(row: TieRow, e: Recorded[notification.Due]) -> TieRow:
    return replace(row, warmth="cooling")


def _connected(row: TieRow, e: Recorded[relationship.Connected]) -> TieRow:
    network = e.data.network
    networks = row.networks if network is None or network in row.networks else (*row.networks, network)
    return replace(_touched(row, e, "connected"), networks=networks)


def _introduced(row: TieRow, e: Recorded[relationship.IntroductionMade]) -> TieRow:
    return replace(row, introduced_by=e.data.introduced_by, introduced_at=e.occurred_at)


def _started(row: TieRow, e: Recorded[relationship.KeepInTouchStarted]) -> TieRow:
    return replace(row, cadence_days=e.data.cadence_days, paused_until=None)


def _cadence(row: TieRow, e: Recorded[relationship.CadenceChanged]) -> TieRow:
    return replace(row, cadence_days=e.data.cadence_days)


def _snoozed(row: TieRow, e: Recorded[relationship.Snoozed]) -> TieRow:
    if _is_before(e, row.last_touch_at, row.snoozed_at):
        return row
    return replace(row, snoozed_until=e.data.until, snoozed_at=e.occurred_at)


def _paused(row: TieRow, e: Recorded[relationship.Paused]) -> TieRow:
    return replace(row, paused_until=e.data.until)


def _resumed(row: TieRow, e: Recorded[relationship.Resumed]) -> TieRow:
    return replace(row, paused_until=None)


def _ended(row: TieRow, e: Recorded[relationship.Ended]) -> TieRow:
    return replace(row, cadence_days=None, snoozed_until=None, snoozed_at=None, paused_until=None)


OWN: dict[type[Event], Fold] = {
    relationship.ReferralAsked: _in_touch,
    relationship.IntroductionRequested: _seen,
    relationship.IntroductionMade: _introduced,
    relationship.IntroductionDeclined: _seen,
    relationship.IntroductionLapsed: _seen,
    relationship.Connected: _connected,
    relationship.KeepInTouchStarted: _started,
    relationship.CadenceChanged: _cadence,
    relationship.TouchpointRecorded: _touchpoint,
    relationship.Snoozed: _snoozed,
    relationship.Paused: _paused,
    relationship.Resumed: _resumed,
    relationship.Ended: _ended,
}
IN_CONVERSATION: dict[type[Event], Fold] = {
    interview.Planned: _seen,
    interview.RequestSent: _wrote,
    interview.Accepted: _wrote,
    interview.AgreedLoosely: _wrote,
    interview.Declined: _wrote,
    interview.Held: _held,
    interview.Thanked: _thanked,
}
ABOUT_LEADS: dict[type[Event], Fold] = {lead.Recorded: _seen, lead.ReportedBack: _reported_back}
COOLING = ("keep_in_touch", "cooling")
"""The policy and its stage that say so."""
FOLDS: dict[type[Event], Fold] = OWN | IN_CONVERSATION | ABOUT_LEADS | {notification.Due: _cooled}


def _cools(data: notification.Due) -> bool:
    return (data.rule.policy, data.stage) == COOLING


def _both(data: Any) -> tuple[UUID, ...]:
    """The contact whom an event is about, and the one who was asked to introduce them, or did."""
    connector_id = getattr(data, "connector_id", None)
    return (data.contact_id,) if connector_id is None else (data.contact_id, connector_id)


class Relationships(ReadModel[TieRow]):
    name = "relationship"
    version = 6
    folds = FOLDS.keys()
    row = TieRow

    def keys(self, e: Recorded[Any]) -> Iterable[str]:
        kind = type(e.data)
        if kind in IN_CONVERSATION:
            return [pair(e.data.seeker_id, contact_id) for contact_id in e.data.contact_ids]
        if kind in OWN or kind in ABOUT_LEADS:
            return [pair(e.data.seeker_id, contact_id) for contact_id in _both(e.data)]
        return (str(e.data.subject_id),) if kind is notification.Due and _cools(e.data) else ()

    def evolve(self, key: str, row: TieRow | None, e: Recorded[Any]) -> TieRow | None:
        kind = type(e.data)
        if row is None and kind is notification.Due:
            return None
        if row is None:
            seeker_id = e.data.seeker_id
            others = e.data.contact_ids if kind in IN_CONVERSATION else _both(e.data)
            contact_id = next(each for each in others if pair(seeker_id, each) == key)
            row = TieRow(UUID(key), seeker_id, contact_id, since=e.occurred_at)
        if kind in OWN and row.contact_id != e.data.contact_id:
            return _in_touch(row, e)
        row = FOLDS[kind](row, e)
        if kind not in OWN:
            return row
        status = relationship.MACHINE.next(row.status, e.data)
        introduction = relationship.INTRODUCTION.next(row.introduction, e.data)
        return replace(row, status=status, introduction=introduction)

    def file(self, row: TieRow) -> Filed:
        ended_or_paused = row.status in ("ended", "paused")
        return Filed(owner=row.seeker_id, state=row.status if ended_or_paused else row.warmth, sort=row.since)
