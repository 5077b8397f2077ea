"""The timers' facts without the timers: what pending timers follow from once everything is folded.

Folding step by step, as the projector does, computes the timers of a subject before and after each event, to see which
were ended by it. Afresh, what is pending now follows from the facts as they are now; computing it once is ten times
as fast.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from services.projector.changes import OwnerId, Pending, RowId, TimerId
from services.projector.rebuild_selection import Selection
from services.projector.rows import Rows
from services.projector.timing_fold import TimingFold, links
from services.projector.timing_models import LINK, RECIPIENT, SUBJECT, Links
from shared.domain.kernel import Event
from shared.envelope import Recorded
from shared.timing.policies import Policies
from shared.timing.recipient import assigned_programme, recipients
from shared.timing.routing import closed_contact, subjects


class TimingFacts(TimingFold):
    """Folds subjects, recipients and links. Of the subjects only the selected; recipients always, they are few."""

    def __init__(self, policies: Policies, selection: Selection) -> None:
        super().__init__(policies)
        self._selection = selection

    def needs(self, e: Recorded[Event]) -> tuple[list[RowId], list[OwnerId]]:
        tenant = e.tenant
        ids: list[RowId] = [id for one in subjects(e) if (id := (SUBJECT, tenant, str(one))) in self._selection]
        ids += ((RECIPIENT, tenant, str(id)) for id in recipients(e))
        sources = (closed_contact(e), assigned_programme(e))
        return ids, [(LINK, tenant, source) for source in sources if source is not None]

    def further(self, owners: Iterable[OwnerId], rows: Rows) -> tuple[set[RowId], set[OwnerId]]:
        targets = {rows[id].target(id[1]) for owner in owners for id in rows.owned(owner)}
        return {id for id in targets if id not in rows}, set()

    def fold(
        self, e: Recorded[Event], rows: Rows, staged: dict[RowId, Any]
    ) -> tuple[dict[TimerId, Pending | None], dict[RowId, OwnerId]]:
        owners: dict[RowId, OwnerId] = {}
        for id in self._concerned(e, rows):
            if id[0] == SUBJECT and id not in self._selection:
                continue
            model: Any = self._recipients if id[0] == RECIPIENT else self._subjects
            before = rows[id]
            after = model.evolve(id[2], before, e)
            if after is before:
                continue
            staged[id] = after
            for link in links(id, before, after):
                link_id = Links.id(link, e.tenant)
                staged[link_id], owners[link_id] = link, (LINK, e.tenant, link.source_id)
        return {}, owners
