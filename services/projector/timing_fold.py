"""The timers' part of folding: what each event does to the facts of subjects and recipients, and so to the timers.

Timers follow from those facts by a pure function, so disarming, moving and rescheduling are computing it before and
after an event and comparing. Pages play no part in it: the same events lead to the same rows and timers however they
are cut.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from services.projector.changes import OwnerId, Pending, RowId, TimerId
from services.projector.rows import MISSING, Kept, Rows
from services.projector.timing_models import LINK, RECIPIENT, SUBJECT, Link, Links, Recipients, Subjects
from shared.domain.kernel import Event
from shared.domain.notification import NotificationEvent
from shared.envelope import Recorded
from shared.timing.changes import changes
from shared.timing.policies import Policies
from shared.timing.recipient import Recipient, assigned_programme, recipients
from shared.timing.routing import closed_contact, subjects
from shared.timing.subject import Subject
from shared.timing.timers import Timer, timers

_OF_EVERY_ROUND = ("held", "closed", "contact_ids", "cadence_days", "until", "interviews")
_REMEMBERED = 5_000
"""Subjects whose timers are kept for the next event of theirs, so that they are computed once and not twice."""


class TimingFold:
    def __init__(self, policies: Policies) -> None:
        self._policies = policies
        self._subjects, self._recipients, self._links = Subjects(policies), Recipients(), Links()
        self._remembered = Kept(_REMEMBERED)

    @property
    def models(self) -> tuple[Subjects, Recipients, Links]:
        return (self._subjects, self._recipients, self._links)

    def needs(self, e: Recorded[Event]) -> tuple[list[RowId], list[OwnerId]]:
        """The rows that folding the event takes, and the owners all of whose rows it takes, from the event alone."""
        tenant = e.tenant
        ids: list[RowId] = [(SUBJECT, tenant, str(id)) for id in subjects(e)]
        if ids:
            ids.append((RECIPIENT, tenant, str(_seeker_id(e))))
        owners: list[OwnerId] = []
        for id in recipients(e):
            ids.append((RECIPIENT, tenant, str(id)))
            owners.append((SUBJECT, tenant, id))
        for source in (closed_contact(e), assigned_programme(e)):
            if source is not None:
                owners.append((LINK, tenant, source))
        return ids, owners

    def further(self, owners: Iterable[OwnerId], rows: Rows) -> tuple[set[RowId], set[OwnerId]]:
        """What following links takes beyond that; empty once `rows` has all of it."""
        more: set[RowId] = set()
        more_owners: set[OwnerId] = set()
        for owner in owners:
            if owner[0] != LINK:
                continue
            for id in rows.owned(owner):
                target = rows[id].target(id[1])
                if target not in rows:
                    more.add(target)
                elif target[0] == RECIPIENT:
                    more_owners.add((SUBJECT, target[1], UUID(target[2])))
                elif (subject := rows[target]) is not None:
                    more.add((RECIPIENT, target[1], str(subject.seeker_id)))
        return {id for id in more if id not in rows}, {owner for owner in more_owners if not rows.knows_owner(owner)}

    def fold(
        self, e: Recorded[Event], rows: Rows, staged: dict[RowId, Any]
    ) -> tuple[dict[TimerId, Pending | None], dict[RowId, OwnerId]]:
        """Put what the event changes into `staged`; answer the timers that it changes, and the owners of new rows."""
        owners: dict[RowId, OwnerId] = {}
        affected: dict[RowId, None] = {}
        for id in self._concerned(e, rows):
            model = self._recipients if id[0] == RECIPIENT else self._subjects
            before = rows[id]
            after: Any = model.evolve(id[2], before, e)
            if after is before:
                continue
            staged[id] = after
            if id[0] == RECIPIENT:
                affected |= dict.fromkeys(rows.owned((SUBJECT, id[1], after.id)))
            else:
                affected[id] = None
                owners[id] = (SUBJECT, id[1], after.seeker_id)
            for link in links(id, before, after):
                link_id = Links.id(link, e.tenant)
                staged[link_id], owners[link_id] = link, (LINK, e.tenant, link.source_id)
        changed: dict[TimerId, Pending | None] = {}
        for id in affected:
            changed |= self._compare(e, id, rows, staged)
        if isinstance(e.data, NotificationEvent) and e.version == 1:
            changed[e.tenant, e.stream_id] = None
        return changed, owners

    def _concerned(self, e: Recorded[Event], rows: Rows) -> dict[RowId, None]:
        """Recipients and subjects that the event may change, each once."""
        ids: list[RowId] = [(RECIPIENT, e.tenant, str(id)) for id in recipients(e)]
        ids += ((SUBJECT, e.tenant, str(id)) for id in subjects(e))
        for source in (assigned_programme(e), closed_contact(e)):
            if source is not None:
                ids += (rows[id].target(e.tenant) for id in rows.owned((LINK, e.tenant, source)))
        return dict.fromkeys(ids)

    def _compare(
        self, e: Recorded[Event], id: RowId, rows: Rows, staged: dict[RowId, Any]
    ) -> dict[TimerId, Pending | None]:
        subject = staged[id] if id in staged else rows[id]
        recipient_id = (RECIPIENT, id[1], str(subject.seeker_id))
        recipient_before = rows[recipient_id]
        recipient = staged.get(recipient_id, recipient_before)
        before = self._timers(id, rows[id], recipient_before)
        if recipient is recipient_before:
            after = self._timers_after(rows[id], before, subject, recipient)
        else:
            after = timers(subject, recipient, self._policies)
        self._remembered.keep({id: (subject, recipient, after)})
        if not before and not after:
            return {}
        found = changes(before, after, subject, recipient, self._policies, e)
        changed: dict[TimerId, Pending | None] = {}
        for timer in found.upserted:
            changed[e.tenant, timer.id] = Pending(timer, timer.due_at)
        for timer_id, ending in found.withdrawn.items():
            changed[e.tenant, timer_id] = Pending(before[timer_id], e.recorded_at, ending)
        for timer_id in found.settled:
            changed[e.tenant, timer_id] = None
        return changed

    def _timers(self, id: RowId, subject: Subject | None, recipient: Recipient | None) -> dict[UUID, Timer]:
        known = self._remembered.get(id)
        # The very same objects: then nothing can have changed, whatever page or failure lies between.
        if known is not MISSING and known[0] is subject and known[1] is recipient:
            found: dict[UUID, Timer] = known[2]
            return found
        return timers(subject, recipient, self._policies)

    def _timers_after(
        self, before: Subject | None, known: dict[UUID, Timer], subject: Subject, recipient: Recipient | None
    ) -> dict[UUID, Timer]:
        """The same as computing all of them, from those before and the rounds that changed: each stands by itself."""
        if before is None or not _alike(before, subject):
            return timers(subject, recipient, self._policies)
        old = {id(arming) for arming in before.armings}
        changed = [arming for arming in subject.armings if id(arming) not in old]
        same = {
            (arming.policy, occurrence)
            for arming in subject.armings
            if id(arming) in old
            for occurrence in arming.occurrences
        }
        found = {key: timer for key, timer in known.items() if (timer.policy, timer.occurrence) in same}
        return found | timers(subject, recipient, self._policies, changed) if changed else found


def _alike(one: Subject, other: Subject) -> bool:
    """Whether all is the same that concerns every round of a subject."""
    return all(getattr(one, name) == getattr(other, name) for name in _OF_EVERY_ROUND)


def _seeker_id(e: Recorded[Any]) -> UUID:
    seeker_id: UUID = e.stream_id if e.category == "seeker" else e.data.seeker_id
    return seeker_id


def links(id: RowId, before: Any, after: Any) -> list[Link]:
    """The links that begin with a change of a subject or a recipient."""
    if id[0] == SUBJECT:
        return [] if before is not None else [Link(contact, SUBJECT, id[2]) for contact in after.contact_ids]
    known = set() if before is None else {enrolment.programme_id for enrolment in before.enrolments}
    return [Link(one.programme_id, RECIPIENT, id[2]) for one in after.enrolments if one.programme_id not in known]
