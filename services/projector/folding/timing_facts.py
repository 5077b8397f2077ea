"""The timers' part of folding: what each event does to the facts of subjects, recipients and contacts.

Pending timers follow from these facts alone, by a pure function (`shared.timing.timers`). Whoever needs no timers, as a
rebuild until it is done, folds the facts and computes them once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from uuid import UUID

from services.projector.folding.changes import Ending, OwnerId, RowId, TimerId
from services.projector.folding.read_model import StoredRows
from services.projector.folding.rows import Rows
from services.projector.folding.selection import EVERYTHING, Selection
from services.projector.folding.timing_rows import CONTACT, LINK, OF_TIMING, RECIPIENT, SUBJECT, Link
from shared.domain.kernel import Event
from shared.envelope import Recorded
from shared.timing.contact import evolve_contact, wishing_contact
from shared.timing.policies import Policies
from shared.timing.recipient import assigned_programme, evolve_recipient, recipients
from shared.timing.routing import Route, people, routes, timed
from shared.timing.subject import evolve
from shared.timing.timers import Timer


class Concern(NamedTuple):
    """Whom an event concerns, from the event alone."""

    routes: tuple[Route, ...] = ()
    """To subjects."""
    subjects: tuple[RowId, ...] = ()
    """Of those routes, as far as they are selected."""
    recipients: tuple[UUID, ...] = ()
    contacts: tuple[RowId, ...] = ()
    """Who takes part in those subjects, or is to be left in peace or asked again."""
    sources: tuple[OwnerId, ...] = ()
    """Contacts and programmes all of whose links lead to subjects and recipients that it concerns."""


NOBODY = Concern()


class TimingFacts:
    """Folds subjects, recipients, contacts and links. Of the subjects only the selected; the others always, they are
    few."""

    def __init__(self, policies: Policies, selection: Selection = EVERYTHING) -> None:
        self.policies, self._selection = policies, selection

    @property
    def models(self) -> Iterable[StoredRows[Any]]:
        """All that it folds."""
        return OF_TIMING.values()

    def listens(self, kind: type[Event]) -> bool:
        """Whether an event of a kind may concern anybody."""
        return timed(kind)

    def concern(self, e: Recorded[Event]) -> Concern:
        found, told, wishing, tenant = routes(e), recipients(e), wishing_contact(e), e.tenant
        sources = [(LINK, tenant, id) for id in (assigned_programme(e), wishing) if id is not None]
        if not found and not told and not sources:
            return NOBODY
        named = people(found, e) if wishing is None else [wishing]
        subjects: Iterable[RowId] = [(SUBJECT, tenant, str(route.id)) for route in found]
        if not self._selection.whole:
            subjects = [id for id in subjects if id in self._selection]
        return Concern(found, tuple(subjects), told, tuple((CONTACT, tenant, str(id)) for id in named), tuple(sources))

    def needs(self, e: Recorded[Event], concern: Concern) -> tuple[list[RowId], list[OwnerId]]:
        """The rows that folding the event takes, and the owners all of whose rows it takes."""
        ids = [*concern.subjects, *concern.contacts]
        ids += ((RECIPIENT, e.tenant, str(id)) for id in concern.recipients)
        return ids, list(concern.sources)

    def further(self, owners: Iterable[OwnerId], rows: Rows) -> tuple[set[RowId], set[OwnerId]]:
        """What following links takes beyond that; empty once `rows` has all of it."""
        targets = {rows[id].target(id[1]) for owner in owners for id in rows.owned(owner)}
        return {id for id in targets if id not in rows}, set()

    def fold(
        self, e: Recorded[Event], concern: Concern, rows: Rows, staged: dict[RowId, Any]
    ) -> tuple[dict[TimerId, Ending | None], dict[RowId, OwnerId]]:
        """Put what the event changes into `staged`; answer what it ends, and the owners of new rows.

        A timer whose own event is in the log is gone: None.
        """
        owners: dict[RowId, OwnerId] = {}
        for id in self._concerned(e, concern, rows):
            before = rows[id]
            after: Any
            if id[0] == RECIPIENT:
                after = evolve_recipient(UUID(id[2]) if before is None else before.id, before, e)
            elif id[0] == CONTACT:
                after = evolve_contact(before, e)
            else:
                closed = [row.id for row in (rows[contact] for contact in concern.contacts) if row is not None]
                after = evolve(
                    UUID(id[2]) if before is None else before.id, before, e, self.policies, concern.routes, closed
                )
            if after is before:
                continue
            staged[id] = after
            for link in _links(id, before, after):
                link_id = link.id(e.tenant)
                staged[link_id], owners[link_id] = link, (LINK, e.tenant, link.source_id)
        return {}, owners

    def timers(self, before: Mapping[RowId, Any], rows: Rows) -> dict[TimerId, Timer | None]:
        """What is pending now that was not, or not so, and what is no more.

        `before` holds the subjects and recipients that were changed as they were, `rows` has them as they are.
        """
        return {}

    def _concerned(self, e: Recorded[Event], concern: Concern, rows: Rows) -> Iterable[RowId]:
        """Recipients, contacts and subjects that the event may change, each once."""
        if not concern.recipients and not concern.sources:
            return concern.subjects if len(concern.subjects) == 1 else dict.fromkeys(concern.subjects)
        ids: list[RowId] = [(RECIPIENT, e.tenant, str(id)) for id in concern.recipients]
        ids += (*concern.contacts, *concern.subjects)
        for source in concern.sources:
            targets = (rows[id].target(e.tenant) for id in rows.owned(source))
            ids += (id for id in targets if id[0] == RECIPIENT or id in self._selection)
        return dict.fromkeys(ids)


def _links(id: RowId, before: Any, after: Any) -> list[Link]:
    """The links that begin with a change of a subject or a recipient."""
    if id[0] == CONTACT:
        return []
    if id[0] == SUBJECT:
        begun = after.contact_ids if before is None else ()
        asked = [arming.through for arming in after.armings if arming.through is not None]
        known = before.people if asked and before is not None else ()
        return [Link(one, SUBJECT, id[2]) for one in (*begun, *asked) if one not in known]
    enrolled = set() if before is None else {enrolment.programme_id for enrolment in before.enrolments}
    return [Link(one.programme_id, RECIPIENT, id[2]) for one in after.enrolments if one.programme_id not in enrolled]
