"""The timers' part of folding, with the timers: what events end, and what is pending after them.

What an event ends of a round of reminders is found event by event, from the facts before and after it. When things are
due is reckoned once for a page of events, for what is still pending at its end: most of what is armed is disarmed
before long. The same events lead to the same rows, endings and timers however they are cut into pages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from services.projector.folding.changes import Ending, OwnerId, RowId, TimerId
from services.projector.folding.rows import Rows
from services.projector.folding.timing_facts import Concern, TimingFacts
from services.projector.folding.timing_rows import LINK, RECIPIENT, SUBJECT
from shared.domain.identity import notification_ids
from shared.domain.kernel import Event
from shared.envelope import Recorded
from shared.timing.endings import Facts, alike, endings
from shared.timing.subject import Subject
from shared.timing.timers import Timer, timers, waiting


class TimingFold(TimingFacts):
    """For all subjects: what is pending for a recipient is found by looking at all of theirs."""

    def needs(self, e: Recorded[Event], concern: Concern) -> tuple[list[RowId], list[OwnerId]]:
        tenant = e.tenant
        ids, owners = super().needs(e, concern)
        if concern.routes:
            ids.append((RECIPIENT, tenant, str(_seeker_id(e))))
        owners += ((SUBJECT, tenant, id) for id in concern.recipients)
        return ids, owners

    def further(self, owners: Iterable[OwnerId], rows: Rows) -> tuple[set[RowId], set[OwnerId]]:
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
                    more.add(_recipient_of(target, subject))
        return {id for id in more if id not in rows}, {owner for owner in more_owners if not rows.knows_owner(owner)}

    def fold(
        self, e: Recorded[Event], concern: Concern, rows: Rows, staged: dict[RowId, Any]
    ) -> tuple[dict[TimerId, Ending | None], dict[RowId, OwnerId]]:
        changed, owners = super().fold(e, concern, rows, staged)
        affected: dict[RowId, None] = {}
        for id, after in staged.items():
            if id[0] == SUBJECT:
                affected[id] = None
                if rows[id] is None:
                    owners[id] = (SUBJECT, id[1], after.seeker_id)
            elif id[0] == RECIPIENT:
                affected |= dict.fromkeys(rows.owned((SUBJECT, id[1], after.id)))
        for id in affected:
            subject = staged.get(id) or rows[id]
            recipient = _recipient_of(id, subject)
            was = rows[recipient]
            before, after = Facts(rows[id], was), Facts(subject, staged.get(recipient, was))
            for timer_id, event in endings(before, after, self.policies, e).items():
                changed[e.tenant, timer_id] = Ending(event, e.recorded_at)
        if e.category == "notification" and e.version == 1:
            changed[e.tenant, e.stream_id] = None
        return changed, owners

    def timers(self, before: Mapping[RowId, Any], rows: Rows) -> dict[TimerId, Timer | None]:
        affected: dict[RowId, None] = {}
        for id in before:
            if id[0] == SUBJECT:
                affected[id] = None
            elif id[0] == RECIPIENT:
                affected |= dict.fromkeys(rows.owned((SUBJECT, id[1], UUID(id[2]))))
        changed: dict[TimerId, Timer | None] = {}
        for id in affected:
            subject = rows[id]
            if subject is not None:
                recipient = _recipient_of(id, subject)
                now = rows[recipient]
                was = Facts(before.get(id, subject), before.get(recipient, now))
                for timer_id, timer in self._changed(was, Facts(subject, now)).items():
                    changed[id[1], timer_id] = timer
        return changed

    def _changed(self, before: Facts, after: Facts) -> dict[UUID, Timer | None]:
        """Of the rounds that are not as they were: each stands by itself, unless something concerns every one."""
        old = before.subject.armings if before.subject else ()
        new = after.subject.armings if after.subject else ()
        if before.recipient is after.recipient and alike(before.subject, after.subject):
            same = {id(arming) for arming in old} & {id(arming) for arming in new}
            old = tuple(arming for arming in old if id(arming) not in same)
            new = tuple(arming for arming in new if id(arming) not in same)
        changed: dict[UUID, Timer | None] = {}
        if before.subject is not None:
            subject = before.subject
            for arming in old:
                for occurrence, stages in waiting(subject, arming, before.recipient, self.policies).items():
                    names = [stage.name for stage in stages]
                    changed |= dict.fromkeys(notification_ids(arming.policy, subject.id, occurrence, names))
        changed.update(timers(*after, self.policies, new))
        return changed


def _recipient_of(id: RowId, subject: Subject) -> RowId:
    return (RECIPIENT, id[1], str(subject.seeker_id))


def _seeker_id(e: Recorded[Any]) -> UUID:
    seeker_id: UUID = e.stream_id if e.category == "seeker" else e.data.seeker_id
    return seeker_id
